//! OAuth clients, the assertions they used, and foreign issuers.

use access::client::{CertificateName, ClientAuthentication, ClientRecord};
use access::credential::TokenHash;
use access::issuer::{IssuerRecord, IssuerSettings};
use directory::access::{Permissions, Scope};
use directory::tenant::TenantId;
use jiff::Timestamp;
use serde_json::json;

use crate::place::{Place, World, entry, on_both_engines};

on_both_engines!(
    clients_are_found_and_revoked,
    assertions_are_used_once,
    issuers_are_added_and_removed
);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

async fn clients_are_found_and_revoked(place: Place) {
    let world = World::new(&place).await;
    let (clients, tenants, tenant) = (
        &world.opened.clients,
        &world.opened.tenants,
        world.tenant.id,
    );
    let client = |id: &str, name: &str, created: i64, authentication| ClientRecord {
        id: id.into(),
        tenant,
        name: name.into(),
        created: at(created),
        revoked: None,
        authentication,
        permissions: Permissions {
            resource_types: Some(vec!["User".into()]),
            requests_per_second: Some(5),
            ..Permissions::of(&[Scope::Read])
        },
    };
    let by_secret = client(
        "b",
        "one",
        20,
        ClientAuthentication::ClientSecret {
            hash: TokenHash([7; 32]),
        },
    );
    let by_key = client(
        "a",
        "two",
        30,
        ClientAuthentication::PrivateKeyJwt {
            keys: vec![json!({"kty": "EC", "x": "1"})],
        },
    );
    let by_name = client(
        "c",
        "three",
        10,
        ClientAuthentication::TlsClientAuth {
            name: CertificateName::SubjectDn("CN=x".into()),
        },
    );
    for one in [&by_secret, &by_key, &by_name] {
        assert!(clients.create_client(one.clone(), entry()).await.unwrap());
    }
    assert!(
        !clients
            .create_client(
                ClientRecord {
                    id: "d".into(),
                    ..by_secret.clone()
                },
                entry()
            )
            .await
            .unwrap(),
        "the name is taken"
    );
    assert_eq!(
        clients.find_client(tenant, "b").await.unwrap(),
        Some(by_secret.clone())
    );
    assert_eq!(clients.find_client(tenant, "d").await.unwrap(), None);
    assert_eq!(
        clients
            .find_client(TenantId(tenant.0 + 1), "b")
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        clients.list_clients(tenant).await.unwrap(),
        [by_name, by_secret.clone(), by_key]
    );

    let revision = tenants.tenant_revision(&world.tenant.name).await.unwrap();
    assert!(
        clients
            .revoke_client(tenant, "b", at(40), entry())
            .await
            .unwrap()
    );
    assert!(
        tenants.tenant_revision(&world.tenant.name).await.unwrap() > revision,
        "what is remembered of its tokens is worth nothing"
    );
    assert!(
        clients
            .revoke_client(tenant, "b", at(50), entry())
            .await
            .unwrap()
    );
    assert!(
        !clients
            .revoke_client(tenant, "d", at(50), entry())
            .await
            .unwrap()
    );
    assert_eq!(
        clients
            .find_client(tenant, "b")
            .await
            .unwrap()
            .unwrap()
            .revoked,
        Some(at(40))
    );
    assert!(
        clients
            .create_client(
                ClientRecord {
                    id: "d".into(),
                    ..by_secret
                },
                entry()
            )
            .await
            .unwrap(),
        "the name is free again"
    );
}

async fn assertions_are_used_once(place: Place) {
    let world = World::new(&place).await;
    let (clients, tenant) = (&world.opened.clients, world.tenant.id);
    let used = async |client: &str, byte: u8, expires: i64, now: i64| {
        clients
            .use_assertion(tenant, client, TokenHash([byte; 32]), at(expires), at(now))
            .await
            .unwrap()
    };
    assert!(used("a", 1, 100, 10).await);
    assert!(!used("a", 1, 100, 20).await);
    assert!(!used("a", 1, 200, 99).await, "also with another end");
    assert!(used("b", 1, 100, 20).await, "another client");
    assert!(used("a", 2, 100, 20).await);
    assert!(used("a", 3, 300, 150).await);
    assert_eq!(
        place.number("SELECT count(*) FROM assertions").await,
        1,
        "those that have ended are forgotten"
    );
}

async fn issuers_are_added_and_removed(place: Place) {
    let world = World::new(&place).await;
    let (issuers, tenants, tenant) = (
        &world.opened.issuers,
        &world.opened.tenants,
        world.tenant.id,
    );
    let settings: IssuerSettings = serde_json::from_value(
        json!({"issuer": "https://a", "jwksUrl": "https://a/keys", "audiences": ["x"],
        "requiredClaims": {"tid": "1"}, "permissions": {"scopes": ["read"]}}),
    )
    .unwrap();
    let issuer = |name: &str| IssuerRecord {
        tenant,
        name: name.into(),
        created: at(5),
        settings: settings.clone(),
    };
    let mut revisions = vec![tenants.tenant_revision(&world.tenant.name).await.unwrap()];
    assert!(issuers.add_issuer(issuer("b"), entry()).await.unwrap());
    revisions.push(tenants.tenant_revision(&world.tenant.name).await.unwrap());
    assert!(issuers.add_issuer(issuer("a"), entry()).await.unwrap());
    assert!(!issuers.add_issuer(issuer("a"), entry()).await.unwrap());
    assert_eq!(
        issuers.list_issuers(tenant).await.unwrap(),
        [issuer("a"), issuer("b")]
    );
    assert_eq!(
        issuers.list_issuers(TenantId(tenant.0 + 1)).await.unwrap(),
        []
    );
    assert!(issuers.remove_issuer(tenant, "b", entry()).await.unwrap());
    revisions.push(tenants.tenant_revision(&world.tenant.name).await.unwrap());
    assert!(!issuers.remove_issuer(tenant, "b", entry()).await.unwrap());
    assert_eq!(issuers.list_issuers(tenant).await.unwrap(), [issuer("a")]);
    assert!(revisions.is_sorted_by(|a, b| a < b), "{revisions:?}");
}
