//! What was issued to people ends in the commit that deactivates or deletes them, and does not come back with them.

use std::sync::Arc;

use access::client::{ClientAuthentication, ClientRecord};
use access::credential::{TokenHash, TokenRecord};
use access::issuer::{IssuerRecord, IssuerSettings};
use directory::access::{Caller, Permissions};
use directory::change_set::Precondition;
use directory::clock::Clock;
use directory::deletion_guard::{GuardSettings, Mode, Threshold};
use directory::directory::PatchAnswer;
use directory::history::Window;
use directory::tenant::TenantSettings;
use directory::version::Expected;
use directory::{Directory, DirectoryError};
use jiff::Timestamp;
use scim_protocol::ErrorKind;
use scim_protocol::messages::BulkRequest;
use scim_protocol::schema::standard::USER;
use serde_json::{Value, json};

use crate::place::{ALL, Place, World, delete, entry, members, on_both_engines};

on_both_engines!(
    everything_that_was_issued_ends_on_every_node,
    every_way_to_leave_ends_it,
    nothing_comes_back_with_the_person,
    what_is_refused_held_or_only_rehearsed_ends_nothing,
    no_token_is_made_for_people_who_are_not_there_or_not_active,
    a_token_that_is_made_while_its_person_leaves_is_refused_or_ends,
    people_who_left_before_have_no_tokens_after_the_migration,
    a_caller_whose_person_left_writes_nothing_more,
);

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn of(person: &str) -> Permissions {
    Permissions {
        user: Some(person.into()),
        ..Permissions::default()
    }
}

fn document(name: &str, active: Option<bool>) -> Value {
    let mut document = json!({"schemas": [USER], "userName": name});
    if let Some(active) = active {
        document["active"] = active.into();
    }
    document
}

impl World {
    fn token(&self, id: &str, permissions: Permissions) -> TokenRecord {
        let mut hash = [0; 32];
        hash.iter_mut()
            .zip(id.bytes().rev())
            .for_each(|(to, from)| *to = from);
        TokenRecord {
            id: id.into(),
            tenant: self.tenant.id,
            name: id.into(),
            hash: TokenHash(hash),
            created: at(1),
            expires: None,
            permissions,
            revoked: None,
            last_used: None,
        }
    }

    /// Makes a token for a person, with their id as its own.
    async fn issue(&self, person: &str) {
        assert!(
            self.opened
                .tenants
                .create_token(self.token(person, of(person)), entry())
                .await
                .unwrap(),
            "{person}"
        );
    }

    /// When a token ended.
    async fn ended(&self, id: &str) -> Option<Timestamp> {
        let tokens = self
            .opened
            .tenants
            .list_tokens(self.tenant.id)
            .await
            .unwrap();
        tokens
            .into_iter()
            .find(|token| token.id == id)
            .unwrap()
            .revoked
    }

    async fn revision(&self) -> i64 {
        self.opened
            .tenants
            .tenant_revision(&self.tenant.name)
            .await
            .unwrap()
            .unwrap()
    }

    fn becomes(&self, id: &str, active: Option<bool>) -> directory::change_set::Write {
        self.replace_with("User", id, Precondition::Exists, document(id, active))
    }
}

async fn everything_that_was_issued_ends_on_every_node(place: Place) {
    let world = World::new(&place).await;
    let (tenant, opened) = (world.tenant.id, &world.opened);
    let elsewhere = World::in_store(opened.clone(), "elsewhere", Arc::default()).await;
    let node = place.open().await;
    for id in ["ann", "bob"] {
        world.user(id).await;
        world.issue(id).await;
        let client = ClientRecord {
            id: format!("client of {id}"),
            tenant,
            name: id.into(),
            created: at(1),
            revoked: None,
            authentication: ClientAuthentication::PrivateKeyJwt { keys: Vec::new() },
            permissions: of(id),
        };
        assert!(opened.clients.create_client(client, entry()).await.unwrap());
        let settings: IssuerSettings = serde_json::from_value(
            json!({"issuer": "https://a", "jwksUrl": "https://a/keys", "audiences": ["x"],
            "permissions": {"user": id}}),
        )
        .unwrap();
        assert!(
            opened
                .issuers
                .add_issuer(
                    IssuerRecord {
                        tenant,
                        name: id.into(),
                        created: at(1),
                        settings
                    },
                    entry()
                )
                .await
                .unwrap()
        );
    }
    assert!(
        opened
            .tenants
            .create_token(world.token("nobody", Permissions::default()), entry())
            .await
            .unwrap()
    );
    elsewhere.user("her").await;
    elsewhere.issue("her").await;

    let remembered = node
        .tenants
        .tenant_revision(&world.tenant.name)
        .await
        .unwrap();
    world
        .commit_one(world.becomes("ann", Some(true)))
        .await
        .unwrap();
    assert_eq!(
        node.tenants
            .tenant_revision(&world.tenant.name)
            .await
            .unwrap(),
        remembered,
        "ann stays"
    );
    let left = world
        .commit_one(world.becomes("ann", Some(false)))
        .await
        .unwrap()
        .last_modified;
    assert!(
        node.tenants
            .tenant_revision(&world.tenant.name)
            .await
            .unwrap()
            > remembered,
        "what a node remembers is worth nothing"
    );
    assert_eq!(
        (
            world.ended("ann").await,
            world.ended("bob").await,
            world.ended("nobody").await
        ),
        (Some(left), None, None)
    );
    assert_eq!(
        opened
            .clients
            .find_client(tenant, "client of ann")
            .await
            .unwrap()
            .unwrap()
            .revoked,
        Some(left)
    );
    assert_eq!(
        opened
            .clients
            .find_client(tenant, "client of bob")
            .await
            .unwrap()
            .unwrap()
            .revoked,
        None
    );
    let issuers = opened.issuers.list_issuers(tenant).await.unwrap();
    assert_eq!(
        issuers
            .iter()
            .map(|issuer| issuer.name.as_str())
            .collect::<Vec<_>>(),
        ["bob"]
    );
    assert_eq!(elsewhere.ended("her").await, None);

    let remembered = node
        .tenants
        .tenant_revision(&world.tenant.name)
        .await
        .unwrap();
    world.user("cy").await;
    world
        .commit_one(delete("User", "cy", Precondition::Exists))
        .await
        .unwrap();
    world
        .commit_one(world.becomes("ann", Some(false)))
        .await
        .unwrap();
    assert_eq!(
        node.tenants
            .tenant_revision(&world.tenant.name)
            .await
            .unwrap(),
        remembered,
        "nothing was issued that could end"
    );
    assert_eq!(world.ended("ann").await, Some(left));
    world
        .commit_one(delete("User", "bob", Precondition::Exists))
        .await
        .unwrap();
    assert!(
        node.tenants
            .tenant_revision(&world.tenant.name)
            .await
            .unwrap()
            > remembered
    );
    assert!(world.ended("bob").await.is_some());
    assert_eq!(opened.issuers.list_issuers(tenant).await.unwrap(), []);
}

/// A directory and one of its callers.
struct Hand {
    world: World,
    directory: Directory,
    caller: Caller,
}

impl Hand {
    async fn new(place: &Place, settings: TenantSettings) -> Self {
        let world =
            World::with_settings(place.open().await, "acme", Arc::default(), settings).await;
        Self {
            directory: world.directory(),
            caller: world.caller(),
            world,
        }
    }

    /// A new person with a token; their id, which is that of the token too.
    async fn person(&self, name: &str) -> String {
        let made = self
            .directory
            .create(
                &self.caller,
                &self.world.schema("User"),
                document(name, None),
                ALL,
            )
            .await
            .unwrap();
        self.world.issue(&made.id).await;
        made.id
    }

    async fn set_active(
        &self,
        directory: &Directory,
        id: &str,
        active: Value,
    ) -> Result<(), DirectoryError> {
        let operations = json!([{"op": "replace", "path": "active", "value": active}]);
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations});
        let (user, any) = (self.world.schema("User"), Expected::default());
        directory
            .patch(&self.caller, &user, id, body, &any, PatchAnswer::Version)
            .await
            .map(drop)
    }

    async fn put(&self, id: &str, body: Value) {
        let (user, any) = (self.world.schema("User"), Expected::default());
        self.directory
            .replace(&self.caller, &user, id, body, &any, ALL)
            .await
            .unwrap();
    }

    async fn bulk(&self, atomic: bool, operations: Value) {
        let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
        let request = BulkRequest::from_body(
            json!({"schemas": [schema], "atomic": atomic, "Operations": operations}),
        )
        .unwrap();
        for answer in self.directory.bulk(&self.caller, request).await {
            answer.outcome.unwrap();
        }
    }
}

async fn every_way_to_leave_ends_it(place: Place) {
    let hand = Hand::new(&place, TenantSettings::default()).await;
    let (directory, caller, user) = (&hand.directory, &hand.caller, hand.world.schema("User"));
    let ended = async |id: &str, way: &str| assert!(hand.world.ended(id).await.is_some(), "{way}");

    let id = hand.person("patch").await;
    hand.set_active(directory, &id, json!(false)).await.unwrap();
    ended(&id, "PATCH").await;
    let id = hand.person("text").await;
    hand.set_active(directory, &id, json!("False"))
        .await
        .unwrap();
    ended(&id, "PATCH with a text").await;
    let id = hand.person("put").await;
    hand.put(&id, document("put", Some(false))).await;
    ended(&id, "PUT").await;
    let id = hand.person("delete").await;
    directory
        .delete(caller, &user, &id, &Expected::default())
        .await
        .unwrap();
    ended(&id, "DELETE").await;
    for atomic in [false, true] {
        let (one, two) = (
            hand.person(&format!("one {atomic}")).await,
            hand.person(&format!("two {atomic}")).await,
        );
        let operations = json!([
            {"method": "PUT", "path": format!("/Users/{one}"), "data": document("one", Some(false))},
            {"method": "PUT", "path": format!("/Users/{one}"), "data": document("one", Some(true))},
            {"method": "DELETE", "path": format!("/Users/{two}")},
        ]);
        hand.bulk(atomic, operations).await;
        ended(&one, "bulk that deactivates, also where it activates again").await;
        ended(&two, "bulk that deletes").await;
        directory
            .delete(caller, &user, &one, &Expected::default())
            .await
            .unwrap();
    }

    // An administrator gives back what was, and what was, was inactive.
    let id = hand.person("restored").await;
    hand.set_active(directory, &id, json!(false)).await.unwrap();
    hand.set_active(directory, &id, json!(true)).await.unwrap();
    assert!(
        hand.world
            .opened
            .tenants
            .create_token(hand.world.token("second", of(&id)), entry())
            .await
            .unwrap()
    );
    directory
        .restore(caller, &id, Some(directory::history::Point::Version(2)))
        .await
        .unwrap();
    ended("second", "restore").await;

    // A person is made, and an undo unmakes them.
    let from = hand.world.counter.now();
    let id = hand.person("undone").await;
    let until = hand.world.counter.now();
    directory
        .undo(
            caller,
            &Window {
                from,
                until,
                credential_id: None,
            },
            false,
        )
        .await
        .unwrap();
    ended(&id, "undo").await;
}

async fn nothing_comes_back_with_the_person(place: Place) {
    let settings = TenantSettings {
        revive_deleted: Some(true),
        revive_disabled: Some(true),
        ..TenantSettings::default()
    };
    let hand = Hand::new(&place, settings).await;
    let (directory, caller, user) = (&hand.directory, &hand.caller, hand.world.schema("User"));
    let (ann, bob, cy, dan) = (
        hand.person("ann").await,
        hand.person("bob").await,
        hand.person("cy").await,
        hand.person("dan").await,
    );
    let eve = hand.person("eve").await;
    let from = hand.world.counter.now();
    for id in [&ann, &bob, &eve] {
        hand.set_active(directory, id, json!(false)).await.unwrap();
    }
    for id in [&cy, &dan] {
        directory
            .delete(caller, &user, id, &Expected::default())
            .await
            .unwrap();
    }
    let until = hand.world.counter.now();
    hand.set_active(directory, &ann, json!(true)).await.unwrap();
    assert_eq!(
        directory
            .create(caller, &user, document("bob", None), ALL)
            .await
            .unwrap()
            .id,
        bob,
        "revived by a POST"
    );
    assert_eq!(
        directory
            .create(caller, &user, document("cy", None), ALL)
            .await
            .unwrap()
            .id,
        cy,
        "back by a POST"
    );
    directory.restore(caller, &dan, None).await.unwrap();
    directory
        .undo(
            caller,
            &Window {
                from,
                until,
                credential_id: None,
            },
            false,
        )
        .await
        .unwrap();
    for id in [&ann, &bob, &cy, &dan, &eve] {
        assert_ne!(
            hand.world
                .read("User", id)
                .await
                .unwrap()
                .document
                .get("active"),
            Some(&json!(false))
        );
        assert!(hand.world.ended(id).await.is_some(), "revoked is revoked");
    }
}

async fn what_is_refused_held_or_only_rehearsed_ends_nothing(place: Place) {
    let threshold = Threshold {
        count: 1,
        percent: 10,
    };
    let guard = GuardSettings {
        mode: Mode::Park,
        disables: threshold,
        ..GuardSettings::default()
    };
    let hand = Hand::new(
        &place,
        TenantSettings {
            guard,
            ..TenantSettings::default()
        },
    )
    .await;
    let (ann, bob) = (hand.person("ann").await, hand.person("bob").await);
    let revision = hand.world.revision().await;
    hand.set_active(&hand.directory.rehearsing().unwrap(), &ann, json!(false))
        .await
        .unwrap();
    let missing = members("none", &["ann"], &[]);
    hand.world
        .commit(vec![delete("User", &ann, Precondition::Exists), missing])
        .await
        .unwrap_err();
    assert_eq!(
        (hand.world.ended(&ann).await, hand.world.revision().await),
        (None, revision)
    );

    hand.set_active(&hand.directory, &ann, json!(false))
        .await
        .unwrap();
    hand.set_active(&hand.directory, &bob, json!(false))
        .await
        .unwrap();
    assert_eq!(
        hand.world.ended(&bob).await,
        None,
        "it is parked, and bob is active"
    );
    let parked = hand.directory.parked(&hand.caller, 10).await.unwrap();
    hand.directory
        .approve(&hand.caller, &parked[0].id)
        .await
        .unwrap();
    assert!(hand.world.ended(&bob).await.is_some(), "it is released");
}

async fn no_token_is_made_for_people_who_are_not_there_or_not_active(place: Place) {
    let world = World::new(&place).await;
    let elsewhere = World::in_store(world.opened.clone(), "elsewhere", Arc::default()).await;
    elsewhere.user("her").await;
    world.group("team", &[]).await;
    for (id, active) in [
        ("silent", None),
        ("active", Some(true)),
        ("inactive", Some(false)),
    ] {
        world
            .commit_one(world.create_with("User", id, document(id, active), &[]))
            .await
            .unwrap();
    }
    for (id, is_made) in [
        ("silent", true),
        ("active", true),
        ("inactive", false),
        ("her", false),
        ("team", false),
        ("none", false),
        ("a\0", false),
    ] {
        let made = world
            .opened
            .tenants
            .create_token(world.token(&format!("t{id}"), of(id)), entry())
            .await
            .unwrap();
        assert_eq!(made, is_made, "{id}");
    }
    assert_eq!(
        world
            .opened
            .tenants
            .list_tokens(world.tenant.id)
            .await
            .unwrap()
            .len(),
        2
    );
}

async fn a_token_that_is_made_while_its_person_leaves_is_refused_or_ends(place: Place) {
    let world = World::new(&place).await;
    for number in 0..40 {
        let id = format!("u{number}");
        world.user(&id).await;
        let write = if number % 2 == 0 {
            delete("User", &id, Precondition::Exists)
        } else {
            world.becomes(&id, Some(false))
        };
        let (tenants, token) = (world.opened.tenants.clone(), world.token(&id, of(&id)));
        let making = tokio::spawn(async move { tenants.create_token(token, entry()).await });
        let leaving = tokio::spawn({
            let world = world.clone();
            async move { world.commit_one(write).await }
        });
        let (made, left) = tokio::join!(making, leaving);
        left.unwrap().unwrap();
        if made.unwrap().unwrap() {
            assert!(world.ended(&id).await.is_some(), "{id}");
        }
    }
}

async fn people_who_left_before_have_no_tokens_after_the_migration(place: Place) {
    let world = World::new(&place).await;
    for (id, active) in [("ann", None), ("bob", Some(true)), ("cy", Some(false))] {
        world
            .commit_one(world.create_with("User", id, document(id, active), &[]))
            .await
            .unwrap();
    }
    assert!(
        world
            .opened
            .tenants
            .create_token(world.token("nobody", Permissions::default()), entry())
            .await
            .unwrap()
    );
    // As an older program left them: nothing tells a column that a token is a person's.
    let columns = "DELETE FROM migrations WHERE number = 11; DROP INDEX tokens_by_person; DROP INDEX clients_by_person; \
         DROP INDEX issuers_by_person; ALTER TABLE tokens DROP COLUMN person; ALTER TABLE clients DROP COLUMN person; \
         ALTER TABLE issuers DROP COLUMN person;";
    place.execute(columns).await;
    for id in ["ann", "bob", "cy", "gone"] {
        let permissions = serde_json::to_string(&of(id)).unwrap();
        let copy = format!(
            "INSERT INTO tokens (tenant, id, name, hash, created, permissions) \
             SELECT tenant, '{id}', name, HASH, created, '{permissions}' FROM tokens WHERE id = 'nobody';"
        );
        let (sqlite, postgres) = (
            copy.replace("HASH", &format!("CAST('{id:<32}' AS BLOB)")),
            copy.replace("HASH", &format!("'{id:<32}'::BYTEA")),
        );
        place.execute_on(&sqlite, &postgres).await;
    }
    let opened = place.open().await;
    let world = World { opened, ..world };
    let mut live = Vec::new();
    for id in ["ann", "bob", "cy", "gone", "nobody"] {
        if world.ended(id).await.is_none() {
            live.push(id);
        }
    }
    assert_eq!(live, ["ann", "bob", "nobody"]);
    world
        .commit_one(world.becomes("ann", Some(false)))
        .await
        .unwrap();
    assert!(
        world.ended("ann").await.is_some(),
        "the migration knows whose it is"
    );
}

async fn a_caller_whose_person_left_writes_nothing_more(place: Place) {
    let hand = Hand::new(&place, TenantSettings::default()).await;
    let (ann, bob) = (hand.person("ann").await, hand.person("bob").await);
    let of_ann = Hand {
        caller: Caller {
            permissions: of(&ann),
            ..hand.caller.clone()
        },
        world: hand.world.clone(),
        directory: hand.directory.clone(),
    };
    assert!(
        hand.directory
            .has_active_person(&of_ann.caller)
            .await
            .unwrap()
    );
    of_ann
        .set_active(&hand.directory, &bob, json!(false))
        .await
        .unwrap();
    // The request was let in before ann left, and writes after.
    hand.set_active(&hand.directory, &ann, json!(false))
        .await
        .unwrap();
    for id in [&ann, &bob] {
        let Err(DirectoryError::Refused(error)) =
            of_ann.set_active(&hand.directory, id, json!(true)).await
        else {
            panic!("{id}")
        };
        assert_eq!(error.kind(), ErrorKind::Unauthorized);
    }
    assert!(
        !hand
            .directory
            .has_active_person(&of_ann.caller)
            .await
            .unwrap()
    );
    hand.directory
        .delete(
            &hand.caller,
            &hand.world.schema("User"),
            &ann,
            &Expected::default(),
        )
        .await
        .unwrap();
    assert!(
        !hand
            .directory
            .has_active_person(&of_ann.caller)
            .await
            .unwrap()
    );
    assert!(
        hand.directory
            .has_active_person(&hand.caller)
            .await
            .unwrap(),
        "who stands for nobody"
    );
}
