//! The life of a tenant: suspended, exported and restored on either engine, erased.

use std::io::{Cursor, Write};
use std::sync::{Arc, Mutex};

use access::client::{CertificateName, ClientAuthentication, ClientRecord};
use access::credential::{TokenHash, TokenRecord};
use access::issuer::IssuerRecord;
use directory::change_set::Precondition;
use directory::parking::{Method, Parked, ParkedWrite};
use directory::store::CommitError;
use directory::tenant::{Tenant, TenantId, TenantSettings};
use directory::tenant_life::RestoreError;
use directory::tenant_types::TenantTypes;
use events::event::Kind;
use events::event_log::{Acknowledgements, Choice, Delivery, NewReceiver};
use events::receiver::{ReceiverKind, ReceiverSettings, ReceiverState, Secrets, UndeliveredState};
use events::room::ReceiverRoom;
use provisioning::application::{ApplicationState, Secret};
use provisioning::ledger::{LinkChange, Next, Record};
use serde_json::{Value, json};

use crate::applications::{add, at};
use crate::ledger::{due, link, log_entry, pair, record};
use crate::place::{ALL, Opened, Place, World, delete, entry, members, on_both_engines};

on_both_engines!(
    a_suspended_tenant_is_at_rest,
    settings_are_changed_by_who_saw_them_last,
    every_process_sees_a_new_revision_at_once,
    a_tenant_moves_to_either_engine_as_it_is,
    a_tenant_is_restored_beside_itself,
    what_was_restored_goes_on,
    a_file_that_is_not_whole_changes_nothing,
    secrets_do_not_travel,
    who_calls_and_who_is_told_travel_too,
    what_waits_travels_too,
    files_of_earlier_formats_are_restored,
    a_restored_tenant_has_the_types_that_it_had,
    an_export_is_of_one_moment,
    nothing_is_left_of_an_erased_tenant,
    an_erased_tenant_takes_nothing_any_more,
);

/// What callers are remembered by is never older than the last change that was answered, whoever made it.
async fn every_process_sees_a_new_revision_at_once(place: Place) {
    let (here, there) = (place.open().await, place.open().await);
    let revision = async |name: &str| {
        let [first, again] = [
            there.tenants.tenant_revision(name).await.unwrap(),
            there.tenants.tenant_revision(name).await.unwrap(),
        ];
        assert_eq!(first, again);
        first
    };
    let mut seen = vec![revision("acme").await];
    let tenant = here
        .tenants
        .create_tenant("acme", TenantSettings::default(), at(1), entry())
        .await
        .unwrap()
        .unwrap();
    seen.push(revision("acme").await);
    let settings = TenantSettings {
        request_log_days: 3,
        ..TenantSettings::default()
    };
    assert!(
        here.life
            .set_settings(&tenant, settings, entry())
            .await
            .unwrap()
    );
    seen.push(revision("acme").await);
    here.life
        .set_suspended(tenant.id, true, entry())
        .await
        .unwrap();
    seen.push(revision("acme").await);
    here.tenants
        .revoke_token(tenant.id, "any", at(2), entry())
        .await
        .unwrap();
    seen.push(revision("acme").await);
    here.clients
        .revoke_client(tenant.id, "any", at(2), entry())
        .await
        .unwrap();
    seen.push(revision("acme").await);
    let settings = serde_json::from_value(
        json!({"issuer": "https://a", "jwksUrl": "https://a/keys", "audiences": ["x"],
        "permissions": {"scopes": ["read"]}}),
    );
    let issuer = IssuerRecord {
        tenant: tenant.id,
        name: "a".into(),
        created: at(3),
        settings: settings.unwrap(),
    };
    assert!(here.issuers.add_issuer(issuer, entry()).await.unwrap());
    seen.push(revision("acme").await);
    assert!(
        here.issuers
            .remove_issuer(tenant.id, "a", entry())
            .await
            .unwrap()
    );
    seen.push(revision("acme").await);
    let text = export(&here, tenant.id).await;
    assert!(here.life.erase(tenant.id, entry()).await.unwrap());
    assert_eq!(revision("acme").await, None);
    restore(&here, "acme", &text).await.unwrap();
    seen.push(revision("acme").await);
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
}

/// A file that a test can look into.
#[derive(Clone, Default)]
struct Paper(Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

async fn export(opened: &Opened, tenant: TenantId) -> String {
    let paper = Paper::default();
    let lines = opened
        .life
        .export(tenant, at(0), Box::new(paper.clone()))
        .await
        .unwrap();
    let text = String::from_utf8(paper.0.lock().unwrap().clone()).unwrap();
    assert_eq!(text.lines().count() as u64, lines);
    assert!(
        text.ends_with('\n')
            && text
                .lines()
                .all(|line| serde_json::from_str::<Value>(line).is_ok())
    );
    text
}

async fn restore(opened: &Opened, name: &str, text: &str) -> Result<Tenant, RestoreError> {
    opened
        .life
        .restore(
            name,
            at(100),
            Box::new(Cursor::new(text.as_bytes().to_vec())),
            entry(),
        )
        .await
}

/// The rows of a file, without its first and last line.
fn rows(text: &str) -> Vec<&str> {
    text.lines()
        .filter(|line| line.starts_with("{\"table\""))
        .collect()
}

fn token(tenant: TenantId) -> TokenRecord {
    TokenRecord {
        id: "token".into(),
        tenant,
        name: "s3cret name".into(),
        hash: TokenHash([0x5c; 32]),
        created: at(0),
        expires: None,
        revoked: None,
        last_used: None,
        permissions: directory::access::Permissions::default(),
    }
}

/// A tenant with something in every table: people, groups in groups, changes, an application with a link, somebody awaited, a log, work.
async fn lived(place: &Place) -> World {
    let world = World::new(place).await;
    let odd = "å'\";\u{1f600} \\ \u{2028}";
    let user = json!({"schemas": [scim_protocol::schema::standard::USER], "userName": "ann", "externalId": "E1", "displayName": odd,
        "emails": [{"value": "ann@example.com", "type": "work"}], "nickName": "x".repeat(3_000)});
    world
        .commit_one(world.create_with("User", "ann", user, &[]))
        .await
        .unwrap();
    for id in ["bob", "cid"] {
        world.user(id).await;
    }
    world.group("team", &["ann", "bob"]).await;
    world.group("all", &["team"]).await;
    world
        .commit_one(members("team", &["cid"], &["bob"]))
        .await
        .unwrap();
    world
        .commit_one(delete("User", "bob", Precondition::Exists))
        .await
        .unwrap();
    let wiki = add(&world, "wiki").await;
    let claims = due(&world, 10).await;
    let ann = claims
        .iter()
        .find(|claim| claim.resource_id == "ann")
        .unwrap();
    let log = vec![log_entry("ann", "retry", 9), log_entry("ann", "done", 10)];
    let linked = Record {
        link: LinkChange::Set(link(ann, Some("r1"))),
        log,
        awaits: Some(vec!["dan".into()]),
        ..record(ann)
    };
    world.opened.ledger.record(linked).await.unwrap();
    let cid = claims
        .iter()
        .find(|claim| claim.resource_id == "cid")
        .unwrap();
    world
        .opened
        .ledger
        .record(Record {
            next: Next::Hold,
            link: LinkChange::Set(link(cid, None)),
            ..record(cid)
        })
        .await
        .unwrap();
    world
        .opened
        .ledger
        .mark_out_of_date(
            world.tenant.id,
            None,
            vec![pair(wiki.id, "User", "ann", 2, 20)],
        )
        .await
        .unwrap();
    world
        .opened
        .tenants
        .create_token(token(world.tenant.id), entry())
        .await
        .unwrap();
    world
}

/// The same tenant elsewhere.
fn there(world: &World, opened: &Opened, tenant: Tenant) -> World {
    World {
        opened: opened.clone(),
        tenant: Arc::new(tenant),
        ..world.clone()
    }
}

async fn a_suspended_tenant_is_at_rest(place: Place) {
    let world = lived(&place).await;
    let (life, ledger, tenants) = (
        &world.opened.life,
        &world.opened.ledger,
        &world.opened.tenants,
    );
    let before = tenants.find_tenant("acme").await.unwrap().unwrap();
    assert!(!before.settings.suspended && !ledger.tenants_with_changes().await.unwrap().is_empty());
    assert!(
        life.set_suspended(world.tenant.id, true, entry())
            .await
            .unwrap()
    );
    let suspended = tenants.find_tenant("acme").await.unwrap().unwrap();
    assert!(suspended.settings.suspended && suspended.revision > before.revision);
    assert_eq!(ledger.tenants_with_changes().await.unwrap(), []);
    assert_eq!(due(&world, 1_000).await, []);
    // Another one is not disturbed, and what is written (by an operator's hand) waits.
    let other = World::in_store(world.opened.clone(), "other", Arc::default()).await;
    other.user("zoe").await;
    add(&other, "wiki").await;
    assert_eq!(
        ledger.tenants_with_changes().await.unwrap(),
        [other.tenant.id]
    );
    assert!(
        due(&world, 1_000)
            .await
            .iter()
            .all(|claim| claim.tenant == other.tenant.id)
    );
    assert!(
        life.set_suspended(world.tenant.id, false, entry())
            .await
            .unwrap()
    );
    let resumed = tenants.find_tenant("acme").await.unwrap().unwrap();
    assert_eq!(
        (
            resumed.settings.clone(),
            resumed.revision > suspended.revision
        ),
        (before.settings, true)
    );
    assert!(
        due(&world, 2_000)
            .await
            .iter()
            .any(|claim| claim.tenant == world.tenant.id)
    );
    assert!(
        !life
            .set_suspended(TenantId(99_999), true, entry())
            .await
            .unwrap()
    );
}

async fn settings_are_changed_by_who_saw_them_last(place: Place) {
    let world = lived(&place).await;
    let (life, tenants) = (&world.opened.life, &world.opened.tenants);
    let before = tenants.find_tenant("acme").await.unwrap().unwrap();
    let wanted = TenantSettings {
        profile: "okta".into(),
        history_days: 7,
        ..before.settings.clone()
    };
    assert!(
        life.set_settings(&before, wanted.clone(), entry())
            .await
            .unwrap()
    );
    let after = tenants.find_tenant("acme").await.unwrap().unwrap();
    assert_eq!(
        (&after.settings, after.revision > before.revision),
        (&wanted, true)
    );
    // Somebody who has not seen that changes nothing.
    assert!(
        !life
            .set_settings(&before, TenantSettings::default(), entry())
            .await
            .unwrap()
    );
    assert!(
        life.set_suspended(world.tenant.id, true, entry())
            .await
            .unwrap()
    );
    assert!(
        !life
            .set_settings(&after, TenantSettings::default(), entry())
            .await
            .unwrap()
    );
    assert!(
        tenants
            .find_tenant("acme")
            .await
            .unwrap()
            .unwrap()
            .settings
            .suspended
    );
}

async fn a_tenant_moves_to_either_engine_as_it_is(place: Place) {
    let world = lived(&place).await;
    let text = export(&world.opened, world.tenant.id).await;
    for target in [Place::sqlite(), Place::postgres().await] {
        let opened = target.open().await;
        let tenant = restore(&opened, "acme", &text).await.unwrap();
        assert_eq!(
            (tenant.created, &tenant.settings),
            (world.tenant.created, &world.tenant.settings)
        );
        let copy = there(&world, &opened, tenant);
        for (resource_type, id) in [
            ("User", "ann"),
            ("User", "cid"),
            ("Group", "team"),
            ("Group", "all"),
        ] {
            let read = copy.read(resource_type, id).await;
            assert_eq!(read, world.read(resource_type, id).await);
            assert!(read.is_some_and(|read| read.version > 0));
        }
        assert_eq!(copy.read("User", "bob").await, None);
        assert_eq!(
            target.log(copy.tenant.id).await,
            place.log(world.tenant.id).await
        );
        // Every row says the same; only the keys were moved, and from one empty store to another not even they.
        let exported = export(&opened, copy.tenant.id).await;
        for (row, original) in rows(&exported).iter().zip(rows(&text)) {
            assert!(*row == original, "{row:.300}\n{original:.300}");
        }
        assert_eq!(rows(&exported).len(), rows(&text).len());
        let applications = opened
            .catalogue
            .list_applications(copy.tenant.id)
            .await
            .unwrap();
        let [wiki] = applications.as_slice() else {
            panic!("{applications:?}")
        };
        assert_eq!(
            (wiki.name.as_str(), wiki.state, wiki.token.reveal()),
            ("wiki", ApplicationState::Paused, "")
        );
        let linked = opened
            .ledger
            .read_link(copy.tenant.id, wiki.id, "User", "ann")
            .await
            .unwrap()
            .unwrap();
        assert_eq!(
            (
                linked.remote_id.as_deref(),
                linked.acknowledged_members.len()
            ),
            (Some("r1"), 2)
        );
        // Everybody, and whoever is linked, is to be verified as soon as the application may be told.
        assert!(
            opened
                .ledger
                .tenants_with_changes()
                .await
                .unwrap()
                .is_empty()
        );
        assert_eq!(
            opened
                .ledger
                .status(copy.tenant.id, wiki.id)
                .await
                .unwrap()
                .waiting,
            4
        );
        assert_eq!(due(&copy, 1_000).await, []);
        opened
            .catalogue
            .set_application_state(copy.tenant.id, wiki.id, ApplicationState::Live, entry())
            .await
            .unwrap();
        assert!(due(&copy, 1_000).await.iter().all(|claim| claim.verify));
    }
}

async fn a_tenant_is_restored_beside_itself(place: Place) {
    let world = lived(&place).await;
    let other = World::in_store(world.opened.clone(), "other", Arc::default()).await;
    other.user("ann").await;
    let text = export(&world.opened, world.tenant.id).await;
    let copy = there(
        &world,
        &world.opened,
        restore(&world.opened, "copy", &text).await.unwrap(),
    );
    assert_ne!(copy.tenant.id, world.tenant.id);
    assert_eq!(
        copy.read("Group", "all").await,
        world.read("Group", "all").await
    );
    copy.commit_one(members("team", &[], &["ann"]))
        .await
        .unwrap();
    assert_eq!(world.read("Group", "team").await.unwrap().members.len(), 2);
    assert_eq!(copy.read("Group", "team").await.unwrap().members.len(), 1);
    assert_eq!(
        export(&world.opened, world.tenant.id).await,
        text,
        "nothing of the first one has changed"
    );
    assert!(matches!(
        restore(&world.opened, "copy", &text).await,
        Err(RestoreError::NameTaken)
    ));
    assert!(other.read("User", "ann").await.is_some());
}

async fn what_was_restored_goes_on(place: Place) {
    let world = lived(&place).await;
    let text = export(&world.opened, world.tenant.id).await;
    let copy = there(
        &world,
        &world.opened,
        restore(&world.opened, "copy", &text).await.unwrap(),
    );
    // Unique values are held, the index answers, ids and order go on.
    let twin = copy.create_with(
        "User",
        "twin",
        json!({"schemas": [scim_protocol::schema::standard::USER], "userName": "ANN"}),
        &[],
    );
    assert!(matches!(
        copy.commit_one(twin).await,
        Err(CommitError::ValueTaken { .. })
    ));
    let eve = copy.user("eve").await;
    assert_eq!(eve.version, 1);
    copy.commit_one(members("all", &["eve"], &[]))
        .await
        .unwrap();
    let sequences: Vec<i64> = place
        .log(copy.tenant.id)
        .await
        .iter()
        .map(|row| row.0)
        .collect();
    assert_eq!(
        sequences,
        (1..=i64::try_from(sequences.len()).unwrap()).collect::<Vec<_>>()
    );
    assert_eq!(
        copy.opened
            .ledger
            .read_changes(copy.tenant.id, 10)
            .await
            .unwrap()
            .len(),
        2
    );
    let version = copy.read("User", "ann").await.unwrap().version;
    let changed = json!({"schemas": [scim_protocol::schema::standard::USER], "userName": "anna"});
    copy.commit_one(copy.replace_with("User", "ann", Precondition::VersionIs(version), changed))
        .await
        .unwrap();
    assert!(
        copy.opened
            .store
            .read(copy.tenant.id, "User", "ann", ALL)
            .await
            .unwrap()
            .unwrap()
            .document["userName"]
            == "anna"
    );
    // The name that is free now can be taken, so the index rows of the file were the right ones.
    let heir = copy.create_with(
        "User",
        "heir",
        json!({"schemas": [scim_protocol::schema::standard::USER], "userName": "ann"}),
        &[],
    );
    copy.commit_one(heir).await.unwrap();
}

async fn a_file_that_is_not_whole_changes_nothing(place: Place) {
    let world = lived(&place).await;
    let text = export(&world.opened, world.tenant.id).await;
    let before = export(&world.opened, world.tenant.id).await;
    let refuse = async |changed: String, said: &str| {
        assert_ne!(changed, text);
        match restore(&world.opened, "copy", &changed).await {
            Err(RestoreError::Refused(why)) => assert!(why.contains(said), "{why}"),
            other => panic!("{said}: {other:?}"),
        }
        assert_eq!(world.opened.tenants.list_tenants().await.unwrap().len(), 1);
    };
    refuse(
        text.replacen("\"userName\":\"cid\"", "\"userName\":\"cit\"", 1),
        "changed",
    )
    .await;
    refuse(
        text.replacen("\"format\":3", "\"format\":9", 1),
        "newer Rollcall",
    )
    .await;
    refuse(
        text.lines().take(6).flat_map(|line| [line, "\n"]).collect(),
        "before its end",
    )
    .await;
    let without_a_line = text
        .lines()
        .enumerate()
        .filter(|(number, _)| *number != 4)
        .flat_map(|(_, line)| [line, "\n"])
        .collect();
    refuse(without_a_line, "changed").await;
    refuse("{}\n".into(), "not an exported tenant").await;
    assert_eq!(export(&world.opened, world.tenant.id).await, before);
    for table in [
        "resources",
        "memberships",
        "unique_values",
        "index_values",
        "links",
        "change_log",
    ] {
        assert_eq!(
            place
                .number(&format!(
                    "SELECT count(*) FROM {table} WHERE tenant <> {}",
                    world.tenant.id.0
                ))
                .await,
            0,
            "{table}"
        );
    }
}

async fn secrets_do_not_travel(place: Place) {
    let world = lived(&place).await;
    let text = export(&world.opened, world.tenant.id).await;
    assert!(!text.contains("s3cret") && !text.contains("5c5c5c") && !text.contains("XFxcXFxc"));
    let copy = restore(&world.opened, "copy", &text).await.unwrap();
    assert_eq!(world.opened.tenants.list_tokens(copy.id).await.unwrap(), []);
    let wiki = world
        .opened
        .catalogue
        .list_applications(copy.id)
        .await
        .unwrap()
        .remove(0);
    assert!(
        world
            .opened
            .catalogue
            .set_application_token(copy.id, wiki.id, Secret::new("n3w"), entry())
            .await
            .unwrap()
    );
    let tokens: Vec<_> = [world.tenant.id, copy.id]
        .map(|tenant| world.opened.catalogue.list_applications(tenant))
        .into_iter()
        .collect();
    let mut shown = Vec::new();
    for token in tokens {
        shown.push(token.await.unwrap()[0].token.reveal().to_owned());
    }
    assert_eq!(shown, ["s3cret of wiki", "n3w"]);
    let nobody = provisioning::application::ApplicationId(99_999);
    assert!(
        !world
            .opened
            .catalogue
            .set_application_token(copy.id, nobody, Secret::new("x"), entry())
            .await
            .unwrap()
    );
}

fn receiver(name: &str, kind: ReceiverKind) -> NewReceiver {
    NewReceiver {
        name: name.into(),
        kind,
        url: if kind == ReceiverKind::Poll {
            String::new()
        } else {
            "https://app.example/hook".into()
        },
        settings: ReceiverSettings {
            chosen_only: kind == ReceiverKind::Poll,
            ..ReceiverSettings::default()
        },
        secrets: Secrets::new(Some(Secret::new("s3cret of a receiver"))),
        from_oldest: false,
        at: at(7),
    }
}

/// A client of each kind, one that was revoked, an issuer, a receiver that pushes, and one that polls and was told of somebody.
async fn with_partners(place: &Place) -> World {
    let world = lived(place).await;
    let (opened, tenant) = (&world.opened, world.tenant.id);
    let ways = [
        (
            "secret",
            ClientAuthentication::ClientSecret {
                hash: TokenHash([0x5c; 32]),
            },
        ),
        (
            "old",
            ClientAuthentication::ClientSecret {
                hash: TokenHash([0x5c; 32]),
            },
        ),
        (
            "key",
            ClientAuthentication::PrivateKeyJwt {
                keys: vec![json!({"kty": "EC", "x": "1"})],
            },
        ),
        (
            "certificate",
            ClientAuthentication::TlsClientAuth {
                name: CertificateName::SanDns("a.example".into()),
            },
        ),
    ];
    for (id, authentication) in ways {
        let permissions = directory::access::Permissions::default();
        let (id, name, created) = (id.into(), id.into(), at(5));
        let client = ClientRecord {
            id,
            tenant,
            name,
            created,
            revoked: None,
            authentication,
            permissions,
        };
        assert!(opened.clients.create_client(client, entry()).await.unwrap());
    }
    assert!(
        opened
            .clients
            .revoke_client(tenant, "old", at(6), entry())
            .await
            .unwrap()
    );
    let settings = json!({"issuer": "https://a", "jwksUrl": "https://a/keys", "audiences": ["x"], "permissions": {"scopes": ["read"]}});
    let settings = serde_json::from_value(settings).unwrap();
    assert!(
        opened
            .issuers
            .add_issuer(
                IssuerRecord {
                    tenant,
                    name: "entra".into(),
                    created: at(5),
                    settings
                },
                entry()
            )
            .await
            .unwrap()
    );
    opened
        .receivers
        .add_receiver(tenant, receiver("chat", ReceiverKind::Webhook), entry())
        .await
        .unwrap()
        .unwrap();
    let audit = opened
        .receivers
        .add_receiver(tenant, receiver("audit", ReceiverKind::Poll), entry())
        .await
        .unwrap()
        .unwrap();
    let (resource_type, resource_id, change_id) =
        ("User".into(), "ann".into(), uuid::Uuid::from_u128(77));
    assert!(
        opened
            .receivers
            .choose(
                &audit,
                Choice {
                    resource_type,
                    resource_id,
                    chosen: true,
                    change_id,
                    at: at(8)
                },
                entry()
            )
            .await
            .unwrap()
    );
    world
}

async fn who_calls_and_who_is_told_travel_too(place: Place) {
    let world = with_partners(&place).await;
    let (from, text) = (&world.opened, export(&world.opened, world.tenant.id).await);
    assert!(
        !text.contains("s3cret") && !text.contains("XFxcXFxc"),
        "{text}"
    );
    // Beside itself, so that its receivers have other keys.
    for (opened, name) in [
        (from.clone(), "copy"),
        (Place::sqlite().open().await, "acme"),
        (Place::postgres().await.open().await, "acme"),
    ] {
        let copy = restore(&opened, name, &text).await.unwrap();
        for before in from.clients.list_clients(world.tenant.id).await.unwrap() {
            let after = opened
                .clients
                .find_client(copy.id, &before.id)
                .await
                .unwrap()
                .unwrap();
            let (revoked, authentication) = match before.id.as_str() {
                "secret" => (
                    Some(at(100)),
                    ClientAuthentication::ClientSecret {
                        hash: TokenHash([0; 32]),
                    },
                ),
                "old" => (
                    Some(at(6)),
                    ClientAuthentication::ClientSecret {
                        hash: TokenHash([0; 32]),
                    },
                ),
                _ => (None, before.authentication.clone()),
            };
            assert_eq!(
                after,
                ClientRecord {
                    tenant: copy.id,
                    revoked,
                    authentication,
                    ..before
                }
            );
        }
        let issuers = from.issuers.list_issuers(world.tenant.id).await.unwrap();
        let issuers: Vec<_> = issuers
            .into_iter()
            .map(|issuer| IssuerRecord {
                tenant: copy.id,
                ..issuer
            })
            .collect();
        assert_eq!(
            (
                opened.issuers.list_issuers(copy.id).await.unwrap(),
                issuers.len()
            ),
            (issuers.clone(), 1)
        );
        let before = from
            .receivers
            .list_receivers(world.tenant.id)
            .await
            .unwrap();
        let after = opened.receivers.list_receivers(copy.id).await.unwrap();
        assert_eq!(after.len(), before.len());
        for (after, before) in after.iter().zip(&before) {
            assert_eq!(
                (&after.name, after.kind, &after.url, &after.settings),
                (&before.name, before.kind, &before.url, &before.settings)
            );
            assert_eq!(
                (after.cursor, after.created, after.state),
                (before.cursor, before.created, ReceiverState::Paused)
            );
            assert_eq!(after.secrets, Secrets::new(None));
            assert!(
                after.last_error.contains("restored without its secret"),
                "{}",
                after.last_error
            );
        }
        let claimed = opened
            .receivers
            .claim_receivers(at(1_000), at(1_100), ReceiverRoom::new(40))
            .await
            .unwrap();
        assert!(
            claimed
                .iter()
                .all(|receiver| receiver.tenant == world.tenant.id && name == "copy"),
            "nobody else is told"
        );
        // The one that polls goes on where it was, and an event about its feed still names it.
        let audit = after
            .iter()
            .find(|receiver| receiver.name == "audit")
            .unwrap();
        assert_eq!(
            opened
                .receivers
                .chosen(copy.id, audit.id, vec!["ann".into(), "cid".into()])
                .await
                .unwrap(),
            ["ann"]
        );
        assert!(
            opened
                .receivers
                .set_receiver_state(copy.id, audit.id, ReceiverState::Live, entry())
                .await
                .unwrap()
        );
        let handed = opened
            .receivers
            .poll(audit, Acknowledgements::default(), 10, at(1_000))
            .await
            .unwrap();
        let kinds: Vec<_> = handed
            .events
            .iter()
            .map(|event| (event.kind, event.resource_id.as_str()))
            .collect();
        assert_eq!(kinds, [(Kind::FeedAdd, "ann")]);
    }
}

async fn what_waits_travels_too(place: Place) {
    let world = with_partners(&place).await;
    let (from, tenant) = (&world.opened, world.tenant.id);
    let write = ParkedWrite {
        method: Method::Patch,
        body: json!({"Operations": [{"op": "replace", "path": "active", "value": false}]}),
        touches: vec!["active".into()],
        reason: "3 people".into(),
        profile: Some("okta".into()),
    };
    let parked = |number: i64| {
        let (id, credential_id, resource_type, resource_id) = (
            format!("p{number}"),
            "key".into(),
            "User".into(),
            "ann".into(),
        );
        Parked {
            id,
            at: at(number),
            credential_id,
            resource_type,
            resource_id,
            write: write.clone(),
        }
    };
    for number in [2, 1] {
        from.parking
            .park(tenant, parked(number), Vec::new())
            .await
            .unwrap();
    }
    let receivers = from.receivers.list_receivers(tenant).await.unwrap();
    let named = |name: &str| {
        receivers
            .iter()
            .find(|receiver| receiver.name == name)
            .unwrap()
            .clone()
    };
    // One that polls was handed the event about its feed; one that is pushed to refused an event.
    let handed = from
        .receivers
        .poll(&named("audit"), Acknowledgements::default(), 10, at(900))
        .await
        .unwrap()
        .events;
    assert_eq!(handed.len(), 1);
    world.user("dan").await;
    let chat = from
        .receivers
        .claim_receivers(at(1_000), at(1_100), ReceiverRoom::new(40))
        .await
        .unwrap()
        .into_iter()
        .find(|one| one.name == "chat")
        .unwrap();
    let event = from
        .events
        .read_events(tenant, chat.cursor, 10)
        .await
        .unwrap()
        .into_iter()
        .find(|event| event.resource_id == "dan")
        .unwrap();
    let aside = Delivery::DeadLetter {
        events: vec![event.clone()],
        error: "400".into(),
    };
    assert!(
        from.receivers
            .record_delivery(&chat, aside, None)
            .await
            .unwrap()
    );

    let text = export(from, tenant).await;
    for (opened, name) in [
        (from.clone(), "copy"),
        (Place::sqlite().open().await, "acme"),
        (Place::postgres().await.open().await, "acme"),
    ] {
        let copy = restore(&opened, name, &text).await.unwrap();
        assert_eq!(
            opened.parking.list_parked(copy.id, None, 10).await.unwrap(),
            [parked(1), parked(2)]
        );
        let receivers = opened.receivers.list_receivers(copy.id).await.unwrap();
        let named = |name: &str| {
            receivers
                .iter()
                .find(|receiver| receiver.name == name)
                .unwrap()
        };
        let aside = opened
            .receivers
            .list_undelivered(copy.id, named("chat").id, UndeliveredState::DeadLetter, 10)
            .await
            .unwrap();
        assert_eq!(
            aside
                .iter()
                .map(|one| (&one.event, one.error.as_str()))
                .collect::<Vec<_>>(),
            [(&event, "400")]
        );
        assert_eq!(
            opened
                .receivers
                .redeliver(copy.id, named("chat").id, None, entry())
                .await
                .unwrap(),
            1
        );
        // What was handed out and not acknowledged is handed out again, to the receiver by its new key.
        assert!(
            opened
                .receivers
                .set_receiver_state(copy.id, named("audit").id, ReceiverState::Live, entry())
                .await
                .unwrap()
        );
        let again = opened
            .receivers
            .poll(named("audit"), Acknowledgements::default(), 10, at(2_000))
            .await
            .unwrap()
            .events;
        assert_eq!((again.len(), again[0].id()), (1, handed[0].id()));
        assert!(named("audit").wants(&again[0], true), "{:?}", again[0]);
    }
}

async fn files_of_earlier_formats_are_restored(place: Place) {
    let opened = place.open().await;
    for (format, text, receivers) in [
        (1, include_str!("tenant_format_1.jsonl"), 0),
        (2, include_str!("tenant_format_2.jsonl"), 2),
    ] {
        assert!(text.contains(&format!("\"format\":{format},")));
        let tenant = restore(&opened, &format!("of{format}"), text)
            .await
            .unwrap();
        assert_eq!(
            opened
                .catalogue
                .list_applications(tenant.id)
                .await
                .unwrap()
                .len(),
            1
        );
        assert_eq!(
            opened
                .receivers
                .list_receivers(tenant.id)
                .await
                .unwrap()
                .len(),
            receivers
        );
        assert_eq!(
            opened
                .parking
                .list_parked(tenant.id, None, 10)
                .await
                .unwrap(),
            []
        );
        let exported = export(&opened, tenant.id).await;
        assert_eq!(rows(&exported).len(), rows(text).len());
        if format == 1 {
            assert_eq!(rows(&exported), rows(text));
        }
    }
}

/// What is brought to new tenants is not brought to one that comes from a file: it has what it had.
async fn a_restored_tenant_has_the_types_that_it_had(place: Place) {
    let world = World::new(&place).await;
    let first = export(&world.opened, world.tenant.id).await;
    let caller = world
        .directory()
        .caller(
            world.tenant.clone(),
            "test".into(),
            directory::access::Permissions::all(),
        )
        .await
        .unwrap();
    for name in ["Role", "Device"] {
        let edit = directory::schema_change::Edit::RemoveResourceType(name.into());
        world
            .directory()
            .edit_types(&caller, &edit, directory::schema_store::Activation::Keep)
            .await
            .unwrap();
    }
    let types = async |tenant| world.opened.types.read_types(tenant).await.unwrap();
    let names = |types: &TenantTypes| {
        types
            .resource_types
            .iter()
            .map(|own| own.name.clone())
            .collect::<Vec<_>>()
    };
    let copy = restore(
        &world.opened,
        "copy",
        &export(&world.opened, world.tenant.id).await,
    )
    .await
    .unwrap();
    assert_eq!(types(copy.id).await, types(world.tenant.id).await);
    assert_eq!(
        names(&types(copy.id).await),
        ["Agent", "AgenticApplication", "EndpointApp", "Entitlement"]
    );
    let earlier = restore(&world.opened, "earlier", &first).await.unwrap();
    assert_eq!(types(earlier.id).await, *TenantTypes::first());
    // One that an earlier program made.
    let old = restore(&world.opened, "old", include_str!("tenant_format_1.jsonl"))
        .await
        .unwrap();
    assert_eq!(types(old.id).await, TenantTypes::default());
}

/// People come and join a group, both in one commit, while the tenant is exported: no file has one without the other.
async fn an_export_is_of_one_moment(place: Place) {
    let world = World::new(&place).await;
    world.group("team", &[]).await;
    let writer = {
        let world = world.clone();
        tokio::spawn(async move {
            for number in 0..60 {
                let id = format!("user{number}");
                let user =
                    json!({"schemas": [scim_protocol::schema::standard::USER], "userName": id});
                world
                    .commit(vec![
                        world.create_with("User", &id, user, &[]),
                        members("team", &[&id], &[]),
                    ])
                    .await
                    .unwrap();
            }
        })
    };
    let count = |text: &str, table: &str| {
        text.lines()
            .filter(|line| line.starts_with(&format!("{{\"table\":\"{table}\"")))
            .count()
    };
    let mut number = 0;
    while !writer.is_finished() || number == 0 {
        let text = export(&world.opened, world.tenant.id).await;
        let (people, joined, changes) = (
            count(&text, "resources") - 1,
            count(&text, "memberships"),
            count(&text, "change_log") - 1,
        );
        assert_eq!((people, 2 * people), (joined, changes));
        number += 1;
    }
    writer.await.unwrap();
    let copy = restore(
        &world.opened,
        "copy",
        &export(&world.opened, world.tenant.id).await,
    )
    .await
    .unwrap();
    assert_eq!(
        there(&world, &world.opened, copy)
            .read("Group", "team")
            .await
            .unwrap()
            .members
            .len(),
        60
    );
}

async fn tables(place: &Place) -> Vec<String> {
    let sqlite = "SELECT name FROM sqlite_schema AS t WHERE type = 'table' AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) WHERE name = 'tenant')";
    let postgres = "SELECT table_name::TEXT FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'tenant'";
    place.texts(sqlite, postgres).await
}

async fn nothing_is_left_of_an_erased_tenant(place: Place) {
    let world = lived(&place).await;
    let copy = restore(
        &world.opened,
        "copy",
        &export(&world.opened, world.tenant.id).await,
    )
    .await
    .unwrap();
    let count = async |table: &str, tenant: TenantId| {
        place
            .number(&format!(
                "SELECT count(*) FROM {table} WHERE tenant = {}",
                tenant.0
            ))
            .await
    };
    let all = tables(&place).await;
    let mut of_the_other = Vec::new();
    for table in &all {
        of_the_other.push(count(table, copy.id).await);
    }
    for table in [
        "tenants",
        "tokens",
        "resources",
        "unique_values",
        "index_values",
        "memberships",
        "change_log",
        "applications",
        "outbox",
    ] {
        assert!(
            all.iter().any(|name| name == table) && count(table, world.tenant.id).await > 0,
            "{table}"
        );
    }
    for table in ["links", "awaits", "provisioning_log"] {
        assert!(
            all.iter().any(|name| name == table) && count(table, world.tenant.id).await > 0,
            "{table}"
        );
    }
    assert!(
        world
            .opened
            .life
            .erase(world.tenant.id, entry())
            .await
            .unwrap()
    );
    for (table, before) in all.iter().zip(of_the_other) {
        assert_eq!(count(table, world.tenant.id).await, 0, "{table}");
        assert_eq!(count(table, copy.id).await, before, "{table}");
    }
    assert!(
        !world
            .opened
            .life
            .erase(world.tenant.id, entry())
            .await
            .unwrap()
    );
    assert_eq!(
        world.opened.tenants.find_tenant("acme").await.unwrap(),
        None
    );
    // Its successor shares nothing with it, not even a revision under which something may be remembered.
    let again = world
        .opened
        .tenants
        .create_tenant("acme", TenantSettings::default(), at(500), entry())
        .await
        .unwrap()
        .unwrap();
    assert_ne!(again.revision, world.tenant.revision);
}

async fn an_erased_tenant_takes_nothing_any_more(place: Place) {
    let world = lived(&place).await;
    let wiki = world
        .opened
        .catalogue
        .list_applications(world.tenant.id)
        .await
        .unwrap()
        .remove(0);
    world
        .opened
        .life
        .erase(world.tenant.id, entry())
        .await
        .unwrap();
    let late = world.create_with(
        "User",
        "late",
        json!({"schemas": [scim_protocol::schema::standard::USER], "userName": "late"}),
        &[],
    );
    world.commit_one(late).await.unwrap_err();
    world
        .opened
        .ledger
        .mark_out_of_date(
            world.tenant.id,
            Some(1),
            vec![pair(wiki.id, "User", "ann", 2, 20)],
        )
        .await
        .unwrap();
    world
        .opened
        .tenants
        .create_token(token(world.tenant.id), entry())
        .await
        .unwrap_err();
    for table in tables(&place).await {
        assert_eq!(
            // What is 0 there is not of a tenant: the audit log of the installation, which says that it was erased.
            place
                .number(&format!("SELECT count(*) FROM {table} WHERE tenant <> 0"))
                .await,
            0,
            "{table}"
        );
    }
}
