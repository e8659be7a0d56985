//! Tenants and tokens.

use access::credential::{TokenHash, TokenHasher, TokenRecord};
use directory::access::Permissions;
use directory::tenant::PatchResponse;
use directory::tenant::{TenantId, TenantSettings};
use jiff::Timestamp;

use crate::place::{Place, World, entry, on_both_engines};

on_both_engines!(
    tenants_have_one_name_each,
    tokens_are_found_used_and_revoked
);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

async fn tenants_have_one_name_each(place: Place) {
    let tenants = place.open().await.tenants;
    let strict = TenantSettings {
        profile: "strict".into(),
        patch_response: PatchResponse::NoContent,
        ..TenantSettings::default()
    };
    for name in ["b", "a-1", "a"] {
        tenants
            .create_tenant(name, strict.clone(), at(5), entry())
            .await
            .unwrap()
            .unwrap();
    }
    assert_eq!(
        tenants
            .create_tenant("a", TenantSettings::default(), at(6), entry())
            .await
            .unwrap(),
        None
    );
    let found = tenants.find_tenant("a").await.unwrap().unwrap();
    assert_eq!(
        (&found.settings, found.created, found.name.as_str()),
        (&strict, at(5), "a")
    );
    let names: Vec<String> = tenants
        .list_tenants()
        .await
        .unwrap()
        .into_iter()
        .map(|tenant| tenant.name)
        .collect();
    assert_eq!(names, ["a", "a-1", "b"]);
    assert_eq!(tenants.find_tenant("c").await.unwrap(), None);
    assert_eq!(tenants.find_tenant("a\0").await.unwrap(), None);
}

async fn tokens_are_found_used_and_revoked(place: Place) {
    let world = World::new(&place).await;
    let (tenants, tenant) = (&world.opened.tenants, world.tenant.id);
    let hash = place.key().hash("secret");
    let one = TokenRecord {
        id: "1".into(),
        tenant,
        name: "for Entra".into(),
        hash,
        created: at(10),
        expires: Some(at(100)),
        revoked: None,
        last_used: None,
        permissions: Permissions {
            resource_types: Some(vec!["User".into()]),
            ..Permissions::all()
        },
    };
    tenants.create_token(one.clone(), entry()).await.unwrap();
    let older = TokenRecord {
        id: "2".into(),
        hash: TokenHash([9; 32]),
        created: at(5),
        expires: None,
        ..one.clone()
    };
    tenants.create_token(older.clone(), entry()).await.unwrap();
    assert!(
        tenants
            .create_token(
                TokenRecord {
                    id: "3".into(),
                    ..one.clone()
                },
                entry()
            )
            .await
            .is_err(),
        "a hash is one token's"
    );
    assert_eq!(
        tenants.find_token(tenant, hash).await.unwrap(),
        Some(one.clone())
    );
    assert_eq!(
        tenants
            .find_token(TenantId(tenant.0 + 1), hash)
            .await
            .unwrap(),
        None
    );
    assert_eq!(
        tenants.list_tokens(tenant).await.unwrap(),
        [older, one.clone()]
    );

    let revision = tenants.tenant_revision(&world.tenant.name).await.unwrap();
    tenants.record_token_use(tenant, "1", at(20)).await.unwrap();
    assert_eq!(
        tenants.tenant_revision(&world.tenant.name).await.unwrap(),
        revision,
        "a use changes no answer"
    );
    tenants.record_token_use(tenant, "1", at(15)).await.unwrap();
    assert!(
        tenants
            .revoke_token(tenant, "1", at(30), entry())
            .await
            .unwrap()
    );
    assert!(
        tenants
            .revoke_token(tenant, "1", at(40), entry())
            .await
            .unwrap()
    );
    assert!(
        !tenants
            .revoke_token(tenant, "none", at(40), entry())
            .await
            .unwrap()
    );
    assert!(
        !tenants
            .revoke_token(TenantId(tenant.0 + 1), "2", at(40), entry())
            .await
            .unwrap()
    );
    assert!(tenants.tenant_revision(&world.tenant.name).await.unwrap() > revision);
    assert_eq!(tenants.tenant_revision("nobody").await.unwrap(), None);
    let used = TokenRecord {
        last_used: Some(at(20)),
        revoked: Some(at(30)),
        ..one
    };
    assert_eq!(tenants.find_token(tenant, hash).await.unwrap(), Some(used));
}
