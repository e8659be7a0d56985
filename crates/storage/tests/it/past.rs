//! What the directory does with what was: restores, undoes a window, gives ids back, parks what the guard holds.

use std::sync::Arc;

use directory::access::{Caller, Permissions};
use directory::clock::Clock;
use directory::deletion_guard::{GuardSettings, Mode, Removal, Threshold};
use directory::directory::PatchAnswer;
use directory::history::{Deleted, Point, Window};
use directory::parking::Touch;
use directory::store::StoredResource;
use directory::tenant::{Tenant, TenantSettings};
use directory::version::Expected;
use directory::{Directory, DirectoryError};
use jiff::SignedDuration;
use scim_protocol::ErrorKind;
use scim_protocol::messages::BulkRequest;
use scim_protocol::schema::standard::{ENTERPRISE_USER, GROUP, USER};
use serde_json::{Value, json};

use crate::place::{ALL, Place, World, on_both_engines};

on_both_engines!(
    a_version_is_restored,
    who_joined_and_who_left_is_told_of_every_version,
    the_deleted_come_back_with_their_groups,
    a_restore_must_be_valid_and_unique,
    a_window_is_undone_as_far_as_later_changes_allow,
    names_that_were_given_away_go_back,
    names_that_were_passed_on_go_back,
    names_that_were_swapped_go_back,
    what_a_group_held_comes_back_with_its_deleted_members,
    people_come_back_before_groups,
    what_was_made_goes_with_all_that_it_was_in,
    deleted_people_get_their_ids_back,
    disabled_people_are_revived,
    somebody_else_is_not_revived,
    strict_revives_nobody,
    all_or_nothing_brings_people_back,
    what_is_held_is_refused_or_parked,
    later_writes_supersede_parked_ones,
    no_password_is_parked,
    a_narrow_credential_knows_and_restores_only_its_types,
);

/// A tenant with these settings, and one of its clients.
struct Client {
    world: World,
    directory: Directory,
    caller: Caller,
}

fn user(name: &str) -> Value {
    json!({"schemas": [USER], "userName": name})
}

fn patch(operations: Value) -> Value {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations})
}

impl Client {
    async fn new(place: &Place, settings: TenantSettings) -> Self {
        let world =
            World::with_settings(place.open().await, "acme", Arc::default(), settings).await;
        Self {
            directory: world.directory(),
            caller: world.caller(),
            world,
        }
    }

    fn named(&self, credential: &str) -> Self {
        let caller = Caller {
            credential_id: credential.into(),
            ..self.caller.clone()
        };
        Self {
            world: self.world.clone(),
            directory: self.directory.clone(),
            caller,
        }
    }

    async fn create(&self, body: Value) -> Result<StoredResource, DirectoryError> {
        let name = if body["schemas"][0] == GROUP {
            "Group"
        } else {
            "User"
        };
        self.directory
            .create(&self.caller, &self.world.schema(name), body, ALL)
            .await
    }

    async fn user(&self, name: &str) -> String {
        self.create(user(name)).await.unwrap().id
    }

    async fn group(&self, name: &str, members: &[&str]) -> String {
        let members: Vec<Value> = members.iter().map(|id| json!({ "value": id })).collect();
        self.create(json!({"schemas": [GROUP], "displayName": name, "members": members}))
            .await
            .unwrap()
            .id
    }

    async fn patch(&self, name: &str, id: &str, operations: Value) -> Result<u64, DirectoryError> {
        let (schema, any) = (self.world.schema(name), Expected::default());
        Ok(self
            .directory
            .patch(
                &self.caller,
                &schema,
                id,
                patch(operations),
                &any,
                PatchAnswer::Version,
            )
            .await?
            .version)
    }

    async fn set(&self, id: &str, attribute: &str, value: Value) -> Result<u64, DirectoryError> {
        self.patch(
            "User",
            id,
            json!([{"op": "replace", "path": attribute, "value": value}]),
        )
        .await
    }

    async fn delete(&self, name: &str, id: &str) -> Result<(), DirectoryError> {
        self.directory
            .delete(
                &self.caller,
                &self.world.schema(name),
                id,
                &Expected::default(),
            )
            .await
    }

    async fn members(&self, id: &str) -> Vec<String> {
        let mut ids: Vec<String> = self
            .world
            .read("Group", id)
            .await
            .unwrap()
            .members
            .into_iter()
            .map(|member| member.id)
            .collect();
        ids.sort();
        ids
    }

    async fn attribute(&self, id: &str, name: &str) -> Option<Value> {
        self.world
            .read("User", id)
            .await?
            .document
            .get(name)
            .cloned()
    }
}

fn sorted(ids: &[&String]) -> Vec<String> {
    let mut ids: Vec<String> = ids.iter().map(ToString::to_string).collect();
    ids.sort();
    ids
}

fn kind(outcome: Result<impl Sized, DirectoryError>) -> Option<ErrorKind> {
    match outcome {
        Err(DirectoryError::Refused(error)) => Some(error.kind()),
        _ => None,
    }
}

async fn a_version_is_restored(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let (ann, bob) = (client.user("ann").await, client.user("bob").await);
    let team = client.group("team", &[&ann]).await;
    client.patch("Group", &team, json!([{"op": "replace", "value": {"displayName": "crew", "members": [{"value": bob}]}}])).await.unwrap();
    let back = client
        .directory
        .restore(&client.caller, &team, Some(Point::Version(1)))
        .await
        .unwrap();
    assert_eq!(
        (&back.document["displayName"], back.version),
        (&json!("team"), 3)
    );
    assert_eq!(client.members(&team).await, std::slice::from_ref(&ann));
    // A member that is gone does not come back with its group.
    client.delete("User", &bob).await.unwrap();
    client
        .directory
        .restore(&client.caller, &team, Some(Point::Version(2)))
        .await
        .unwrap();
    assert_eq!(client.members(&team).await, Vec::<String>::new());
    let unknown = client
        .directory
        .restore(&client.caller, &ann, Some(Point::Version(9)))
        .await;
    assert_eq!(kind(unknown), Some(ErrorKind::NotFound));
}

async fn who_joined_and_who_left_is_told_of_every_version(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let (ann, bob, cy) = (
        client.user("ann").await,
        client.user("bob").await,
        client.user("cy").await,
    );
    let team = client.group("team", &[&ann, &bob]).await;
    client
        .patch(
            "Group",
            &team,
            json!([{"op": "remove", "path": format!("members[value eq \"{bob}\"]")}]),
        )
        .await
        .unwrap();
    client
        .patch(
            "Group",
            &team,
            json!([{"op": "replace", "value": {"displayName": "crew"}}]),
        )
        .await
        .unwrap();
    client
        .patch("Group", &team, json!([{"op": "replace", "value": {"displayName": "x", "members": [{"value": bob}, {"value": cy}]}}]))
        .await
        .unwrap();
    client.delete("User", &cy).await.unwrap();
    client.delete("Group", &team).await.unwrap();
    client
        .directory
        .restore(&client.caller, &team, None)
        .await
        .unwrap();
    let told = async |id: &str, above: u64| {
        let lines = client
            .directory
            .changes_of(&client.caller, id, above, 100)
            .await
            .unwrap();
        let line = |line: directory::history::HistoryLine| {
            assert!(!line.members_cut, "{line:?}");
            (
                line.version,
                line.kind.name(),
                sorted(&line.joined.iter().collect::<Vec<_>>()),
                sorted(&line.left.iter().collect::<Vec<_>>()),
            )
        };
        lines.into_iter().map(line).collect::<Vec<_>>()
    };
    let nobody: Vec<String> = Vec::new();
    let expected = [
        (1, "create", sorted(&[&ann, &bob]), nobody.clone()),
        (2, "members", nobody.clone(), sorted(&[&bob])),
        (3, "update", nobody.clone(), nobody.clone()),
        (4, "update", sorted(&[&bob, &cy]), sorted(&[&ann])),
        (5, "members", nobody.clone(), sorted(&[&cy])),
        (6, "delete", nobody.clone(), sorted(&[&bob])),
        (7, "restore", sorted(&[&bob]), nobody.clone()),
    ];
    assert_eq!(told(&team, 0).await, expected);
    assert_eq!(told(&team, 4).await, expected[4..]);
    assert_eq!(told(&ann, 0).await, [(1, "create", nobody.clone(), nobody)]);
    // Nobody in it ever, and nothing but its members since it was made.
    let empty = client.group("empty", &[]).await;
    assert_eq!(
        told(&empty, 0).await,
        [(1, "create", Vec::new(), Vec::new())]
    );
    client
        .patch(
            "Group",
            &empty,
            json!([{"op": "add", "path": "members", "value": [{"value": ann}]}]),
        )
        .await
        .unwrap();
    assert_eq!(
        told(&empty, 0).await,
        [
            (1, "create", Vec::new(), Vec::new()),
            (2, "members", sorted(&[&ann]), Vec::new())
        ]
    );
}

async fn the_deleted_come_back_with_their_groups(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let (ann, bob) = (client.user("ann").await, client.user("bob").await);
    let (one, two) = (
        client.group("one", &[&ann, &bob]).await,
        client.group("two", &[&ann]).await,
    );
    client.set(&ann, "title", json!("Dr")).await.unwrap();
    let before = client.world.read("User", &ann).await.unwrap();
    client.delete("User", &ann).await.unwrap();
    client.delete("Group", &two).await.unwrap();
    let buried = client
        .directory
        .deleted(&client.caller, Deleted::Id(ann.clone()), 1)
        .await
        .unwrap();
    assert_eq!(buried[0].user_name.as_deref(), Some("ann"));
    let back = client
        .directory
        .restore(&client.caller, &ann, None)
        .await
        .unwrap();
    assert_eq!(
        (&back.document, back.created, back.version),
        (&before.document, before.created, 4)
    );
    assert_eq!(
        back.groups
            .iter()
            .map(|group| &group.id)
            .collect::<Vec<_>>(),
        [&one]
    );
    assert_eq!(client.members(&one).await, sorted(&[&ann, &bob]));
    let group = client
        .directory
        .restore(&client.caller, &two, None)
        .await
        .unwrap();
    // Ann had left `two` before it was deleted.
    assert_eq!(group.members, []);
    assert_eq!(
        client
            .directory
            .deleted(&client.caller, Deleted::Id(ann), 1)
            .await
            .unwrap(),
        []
    );
}

async fn a_restore_must_be_valid_and_unique(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let ann = client.user("ann").await;
    client.delete("User", &ann).await.unwrap();
    client.user("Ann").await;
    assert_eq!(
        kind(client.directory.restore(&client.caller, &ann, None).await),
        Some(ErrorKind::Uniqueness)
    );
    assert_eq!(
        kind(
            client
                .directory
                .restore(&client.caller, "nobody", None)
                .await
        ),
        Some(ErrorKind::NotFound)
    );
}

async fn a_window_is_undone_as_far_as_later_changes_allow(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let bad = client.named("bad");
    let (ann, bob, cid, dan) = (
        client.user("ann").await,
        client.user("bob").await,
        client.user("cid").await,
        client.user("dan").await,
    );
    let team = client.group("team", &[&ann, &bob, &cid]).await;
    let from = client.world.counter.now();
    bad.set(&ann, "active", json!(false)).await.unwrap();
    bad.set(&bob, "title", json!("spoiled")).await.unwrap();
    bad.delete("User", &cid).await.unwrap();
    let eve = bad.user("eve").await;
    bad.patch("Group", &team, json!([{"op": "remove", "path": format!("members[value eq \"{bob}\"]")}, {"op": "add", "path": "members", "value": [{"value": eve}]}])).await.unwrap();
    client.set(&dan, "title", json!("kept")).await.unwrap();
    let until = client.world.counter.now();
    client.set(&bob, "title", json!("new")).await.unwrap();

    let window = Window {
        from,
        until,
        credential_id: Some("bad".into()),
    };
    let planned = client
        .directory
        .undo(&client.caller, &window, true)
        .await
        .unwrap();
    assert_eq!(
        client.attribute(&ann, "active").await,
        Some(json!(false)),
        "a dry run changes nothing"
    );
    let skipped: Vec<(&str, &str)> = planned
        .skipped
        .iter()
        .map(|line| (line.id.as_str(), line.what.as_str()))
        .collect();
    assert_eq!(skipped, [(bob.as_str(), "title")]);
    assert!(
        planned.skipped[0].why.contains("`test` changed it"),
        "{planned:?}"
    );

    let undone = client
        .directory
        .undo(&client.caller, &window, false)
        .await
        .unwrap();
    assert_eq!(
        (&undone.done, &undone.skipped),
        (&planned.done, &planned.skipped),
        "what was planned was done"
    );
    assert_ne!(client.attribute(&ann, "active").await, Some(json!(false)));
    assert_eq!(client.attribute(&bob, "title").await, Some(json!("new")));
    assert_eq!(client.attribute(&dan, "title").await, Some(json!("kept")));
    assert_eq!(
        client.world.read("User", &cid).await.unwrap().document["userName"],
        json!("cid")
    );
    assert_eq!(client.world.read("User", &eve).await, None);
    assert_eq!(client.members(&team).await, sorted(&[&ann, &bob, &cid]));
    let again = client
        .directory
        .undo(&client.caller, &window, false)
        .await
        .unwrap();
    assert_eq!(again.done, [], "doing it again does nothing more");
}

/// Undoes what "bad" did: all of it, as it was said before, and nothing more when it is done again.
async fn undo_all(client: &Client, from: jiff::Timestamp) {
    let window = Window {
        from,
        until: client.world.counter.now(),
        credential_id: Some("bad".into()),
    };
    let planned = client
        .directory
        .undo(&client.caller, &window, true)
        .await
        .unwrap();
    let undone = client
        .directory
        .undo(&client.caller, &window, false)
        .await
        .unwrap();
    assert_eq!(undone.skipped, []);
    let sorted = |undone: &directory::directory::Undone| {
        let mut lines: Vec<String> = undone
            .done
            .iter()
            .map(|line| format!("{} {}", line.id, line.what))
            .collect();
        lines.sort_unstable();
        (lines, undone.skipped.clone())
    };
    assert_eq!(
        sorted(&undone),
        sorted(&planned),
        "what was planned was done"
    );
    let again = client
        .directory
        .undo(&client.caller, &window, false)
        .await
        .unwrap();
    assert_eq!(
        (again.done, again.skipped),
        (Vec::new(), Vec::new()),
        "doing it again does nothing more"
    );
}

async fn names_that_were_given_away_go_back(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let bad = client.named("bad");
    let (ann, cat) = (client.user("ann").await, client.user("cat").await);
    let team = client.group("team", &[&ann, &cat]).await;
    let from = client.world.counter.now();
    bad.delete("User", &ann).await.unwrap();
    let other_ann = bad.user("ann").await;
    bad.set(&cat, "userName", json!("cat2")).await.unwrap();
    let other_cat = bad.user("cat").await;
    assert_ne!(other_ann, ann);

    undo_all(&client, from).await;
    assert_eq!(client.attribute(&ann, "userName").await, Some(json!("ann")));
    assert_eq!(client.attribute(&cat, "userName").await, Some(json!("cat")));
    assert_eq!(
        (
            client.world.read("User", &other_ann).await,
            client.world.read("User", &other_cat).await
        ),
        (None, None)
    );
    assert_eq!(client.members(&team).await, sorted(&[&ann, &cat]));
}

async fn names_that_were_passed_on_go_back(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let bad = client.named("bad");
    let (ann, bob, cat) = (
        client.user("ann").await,
        client.user("bob").await,
        client.user("cat").await,
    );
    let from = client.world.counter.now();
    // Neither the order of their first changes nor its reverse gives every name back at once.
    bad.set(&bob, "title", json!("spoiled")).await.unwrap();
    bad.set(&ann, "userName", json!("ann2")).await.unwrap();
    bad.set(&bob, "userName", json!("ann")).await.unwrap();
    bad.set(&cat, "userName", json!("bob")).await.unwrap();

    undo_all(&client, from).await;
    for (id, name) in [(&ann, "ann"), (&bob, "bob"), (&cat, "cat")] {
        assert_eq!(client.attribute(id, "userName").await, Some(json!(name)));
    }
}

async fn names_that_were_swapped_go_back(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let bad = client.named("bad");
    let mut ids = Vec::new();
    for name in ["ann", "bob", "cat", "dan", "eve"] {
        ids.push((client.user(name).await, name));
    }
    let from = client.world.counter.now();
    for (place, name) in [
        (0, "x"),
        (1, "ann"),
        (0, "bob"),
        (2, "x"),
        (3, "cat"),
        (4, "dan"),
        (2, "eve"),
    ] {
        bad.set(&ids[place].0, "userName", json!(name))
            .await
            .unwrap();
    }
    let swapped = client.attribute(&ids[0].0, "userName").await;
    assert_eq!(swapped, Some(json!("bob")));

    undo_all(&client, from).await;
    for (id, name) in &ids {
        assert_eq!(client.attribute(id, "userName").await, Some(json!(name)));
    }
}

async fn what_a_group_held_comes_back_with_its_deleted_members(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let bad = client.named("bad");
    let (ann, bob) = (client.user("ann").await, client.user("bob").await);
    let team = client.group("team", &[&ann, &bob]).await;
    let from = client.world.counter.now();
    bad.patch(
        "Group",
        &team,
        json!([{"op": "replace", "path": "displayName", "value": "spoiled"}]),
    )
    .await
    .unwrap();
    bad.delete("User", &ann).await.unwrap();

    undo_all(&client, from).await;
    assert_eq!(
        client.world.read("Group", &team).await.unwrap().document["displayName"],
        json!("team")
    );
    assert_eq!(client.members(&team).await, sorted(&[&ann, &bob]));
}

/// Whichever went first: who is not there yet cannot be a member.
async fn people_come_back_before_groups(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let bad = client.named("bad");
    let (ann, bob) = (client.user("ann").await, client.user("bob").await);
    let team = client.group("team", &[&ann, &bob]).await;
    let from = client.world.counter.now();
    bad.delete("Group", &team).await.unwrap();
    bad.delete("User", &ann).await.unwrap();
    bad.delete("User", &bob).await.unwrap();

    let window = Window {
        from,
        until: client.world.counter.now(),
        credential_id: Some("bad".into()),
    };
    for dry_run in [true, false] {
        let undone = client
            .directory
            .undo(&client.caller, &window, dry_run)
            .await
            .unwrap();
        let restored: Vec<&str> = undone
            .done
            .iter()
            .filter(|line| line.what == "restore")
            .map(|line| line.resource_type.as_str())
            .collect();
        assert_eq!(
            (restored, undone.skipped),
            (vec!["User", "User", "Group"], vec![])
        );
    }
    assert_eq!(client.members(&team).await, sorted(&[&ann, &bob]));
}

/// The deletion of a person changes the groups that it was in, also those that are turned back themselves.
async fn what_was_made_goes_with_all_that_it_was_in(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let bad = client.named("bad");
    let ann = client.user("ann").await;
    let team = client.group("team", &[&ann]).await;
    let from = client.world.counter.now();
    let eve = bad.user("eve").await;
    let outer = bad.group("outer", &[&eve]).await;
    let inner = bad.group("inner", &[&eve]).await;
    let members =
        json!([{"op": "add", "path": "members", "value": [{"value": eve}, {"value": inner}]}]);
    bad.patch("Group", &outer, members.clone()).await.unwrap();
    bad.patch("Group", &team, members).await.unwrap();
    bad.patch(
        "Group",
        &team,
        json!([{"op": "replace", "path": "displayName", "value": "spoiled"}]),
    )
    .await
    .unwrap();

    undo_all(&client, from).await;
    assert_eq!(
        (
            client.world.read("Group", &outer).await,
            client.world.read("Group", &inner).await
        ),
        (None, None)
    );
    assert_eq!(
        client.world.read("Group", &team).await.unwrap().document["displayName"],
        json!("team")
    );
    assert_eq!(client.members(&team).await, sorted(&[&ann]));
}

async fn deleted_people_get_their_ids_back(place: Place) {
    let settings = TenantSettings {
        revive_deleted: Some(true),
        ..TenantSettings::default()
    };
    let client = Client::new(&place, settings).await;
    let body = |name: &str, external: &str| json!({"schemas": [USER], "userName": name, "externalId": external});
    let first = client.create(body("ann", "E1")).await.unwrap();
    client.delete("User", &first.id).await.unwrap();
    let back = client.create(body("anna", "E1")).await.unwrap();
    assert_eq!(
        (&back.id, back.version, back.created),
        (&first.id, 3, first.created)
    );
    client.delete("User", &first.id).await.unwrap();
    let by_name = client.create(user("ANNA")).await.unwrap();
    assert_eq!((&by_name.id, by_name.version), (&first.id, 5));
    let carl = client.create(body("carl", "E7")).await.unwrap();
    client.delete("User", &carl.id).await.unwrap();
    let namesake = client.create(body("carl", "E8")).await.unwrap();
    assert!(
        namesake.id != carl.id && namesake.version == 1,
        "a name is given to somebody else, an id is not"
    );
    client.delete("User", &namesake.id).await.unwrap();
    let of_both = client.create(body("carl", "E7")).await.unwrap();
    assert_eq!((&of_both.id, of_both.version), (&carl.id, 3));
    let other = client.create(body("bob", "E2")).await.unwrap();
    assert_eq!(other.version, 1);
    assert_eq!(
        kind(client.create(user("anna")).await),
        Some(ErrorKind::Uniqueness)
    );
}

async fn disabled_people_are_revived(place: Place) {
    let settings = TenantSettings {
        revive_disabled: Some(true),
        ..TenantSettings::default()
    };
    let client = Client::new(&place, settings).await;
    let body = |name: &str, external: &str| json!({"schemas": [USER], "userName": name, "externalId": external, "title": "new"});
    let ann = client
        .create(
            json!({"schemas": [USER], "userName": "ann", "externalId": "E1", "nickName": "old"}),
        )
        .await
        .unwrap()
        .id;
    assert_eq!(
        kind(client.create(body("ann", "E1")).await),
        Some(ErrorKind::Uniqueness),
        "who is active is not revived"
    );
    client.set(&ann, "active", json!(false)).await.unwrap();
    let revived = client.create(body("Ann", "E1")).await.unwrap();
    assert_eq!(
        (
            &revived.id,
            &revived.document["active"],
            revived.document.get("nickName")
        ),
        (&ann, &json!(true), None)
    );
    client.set(&ann, "active", json!(false)).await.unwrap();
    let renamed = client.create(body("anna", "E1")).await.unwrap();
    assert_eq!(
        (&renamed.id, &renamed.document["userName"]),
        (&ann, &json!("anna"))
    );
    client.set(&ann, "active", json!(false)).await.unwrap();
    let still_off = json!({"schemas": [USER], "userName": "anna", "active": false});
    assert_eq!(
        kind(client.create(still_off).await),
        Some(ErrorKind::Uniqueness)
    );
}

/// Names are given to somebody else, ids are not: who has another `externalId` is another person, and gets nothing of who had the name before.
async fn somebody_else_is_not_revived(place: Place) {
    for profile in ["entra", "okta", "jumpcloud", "onelogin"] {
        let settings = TenantSettings {
            profile: profile.into(),
            revive_deleted: Some(true),
            revive_disabled: Some(true),
            ..TenantSettings::default()
        };
        let world =
            World::with_settings(place.open().await, profile, Arc::default(), settings).await;
        let client = Client {
            directory: world.directory(),
            caller: world.caller(),
            world,
        };
        let body = |name: &str, external: Option<&str>| {
            let mut body = user(name);
            if let Some(external) = external {
                body["externalId"] = external.into();
            }
            body
        };
        let bulk = async |atomic: bool, data: Value| {
            let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
            let operation =
                json!({"method": "POST", "path": "/Users", "bulkId": "a", "data": data});
            let request = BulkRequest::from_body(
                json!({"schemas": [schema], "atomic": atomic, "Operations": [operation]}),
            )
            .unwrap();
            client
                .directory
                .bulk(&client.caller, request)
                .await
                .remove(0)
                .outcome
        };
        let ann = client.create(body("ann", Some("E1"))).await.unwrap().id;
        let bob = client.create(body("bob", None)).await.unwrap().id;
        client.create(body("cy", Some("E3"))).await.unwrap();
        let team = client.group("team", &[&ann]).await;
        for id in [&ann, &bob] {
            client.set(id, "active", json!(false)).await.unwrap();
        }
        let before = client.world.read("User", &ann).await;
        for (name, external) in [
            ("ann", "E2"),
            ("ANN", "E2"),
            ("ann", "e1"),
            ("ann", "E1 "),
            ("ann", "E3"),
            ("bob", "E3"),
        ] {
            let other = body(name, Some(external));
            assert_eq!(
                kind(client.create(other.clone()).await),
                Some(ErrorKind::Uniqueness),
                "{profile} {name} {external}"
            );
            for atomic in [false, true] {
                assert_eq!(
                    kind(bulk(atomic, other.clone()).await),
                    Some(ErrorKind::Uniqueness),
                    "{profile} {name} {external} {atomic}"
                );
            }
        }
        assert_eq!(
            (
                client.world.read("User", &ann).await,
                client.members(&team).await
            ),
            (before, vec![ann.clone()])
        );
        // The same person, or one of whom nothing says that they are another.
        assert_eq!(
            client.create(body("Ann", Some("E1"))).await.unwrap().id,
            ann
        );
        assert_eq!(
            client.create(body("bob", Some("E4"))).await.unwrap().id,
            bob
        );
        client.set(&ann, "active", json!(false)).await.unwrap();
        assert_eq!(client.create(body("ann", None)).await.unwrap().id, ann);

        // Who was deleted, also with an `externalId` that is too long to be remembered.
        for external in ["E5".to_owned(), "E".repeat(501)] {
            let dan = client
                .create(body("dan", Some(&external)))
                .await
                .unwrap()
                .id;
            client.delete("User", &dan).await.unwrap();
            let other = client.create(body("Dan", Some("E6"))).await.unwrap().id;
            assert_ne!(other, dan, "{profile}");
            client.delete("User", &other).await.unwrap();
        }
    }
}

/// What single creates do, in one commit: references to whom a create brings back are references to that person, in circles too.
async fn all_or_nothing_brings_people_back(place: Place) {
    let settings = TenantSettings {
        revive_deleted: Some(true),
        revive_disabled: Some(true),
        ..TenantSettings::default()
    };
    let client = Client::new(&place, settings).await;
    let body = |name: &str, more: Value| {
        let mut body = json!({"schemas": [USER, ENTERPRISE_USER], "userName": name});
        body.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        body
    };
    let post = |path: &str, name: &str, data: Value| json!({"method": "POST", "path": path, "bulkId": name, "data": data});
    let group = |name: &str, member: &str| json!({"schemas": [GROUP], "displayName": name, "members": [{"value": member}]});
    let run = async |operations: Value| {
        let schema = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
        let request = BulkRequest::from_body(
            json!({"schemas": [schema], "atomic": true, "Operations": operations}),
        )
        .unwrap();
        let answers = client
            .directory
            .bulk(&client.caller, request)
            .await
            .into_iter();
        answers
            .map(|answer| {
                answer
                    .outcome
                    .map(|version| (answer.resource.unwrap().1, version))
            })
            .collect::<Result<Vec<_>, _>>()
    };
    let (ann, bob) = (client.user("ann").await, client.user("bob").await);
    client.set(&ann, "active", json!(false)).await.unwrap();
    client.delete("User", &bob).await.unwrap();
    // The boss comes last, and is the manager of both; her manager is one of them.
    let manager =
        |name: &str| json!({ENTERPRISE_USER: {"manager": {"value": format!("bulkId:{name}")}}});
    let made = run(json!([
        post("/Groups", "g", group("g", "bulkId:a")),
        post("/Groups", "h", group("h", "bulkId:b")),
        post("/Users", "a", body("Ann", manager("c"))),
        post("/Users", "b", body("bob", manager("c"))),
        post("/Users", "c", body("cleo", manager("b"))),
        {"method": "PATCH", "path": "/Users/bulkId:a", "data": patch(json!([{"op": "add", "path": "title", "value": "back"}]))},
    ]));
    let made = made.await.unwrap();
    assert_eq!(
        (&made[2], &made[3], &made[5]),
        (&(ann.clone(), 4), &(bob.clone(), 3), &(ann.clone(), 4))
    );
    let (now, cleo) = (client.world.read("User", &ann).await.unwrap(), &made[4].0);
    assert_eq!(
        (
            &now.document["active"],
            &now.document["userName"],
            &now.document["title"]
        ),
        (&json!(true), &json!("Ann"), &json!("back"))
    );
    assert_eq!(
        now.document[ENTERPRISE_USER]["manager"]["value"],
        json!(cleo)
    );
    assert_eq!(
        client.world.read("User", cleo).await.unwrap().document[ENTERPRISE_USER]["manager"]["value"],
        json!(bob)
    );
    assert_eq!(
        (
            client.members(&made[0].0).await,
            client.members(&made[1].0).await
        ),
        (sorted(&[&ann]), sorted(&[&bob]))
    );
    // As the request leaves them: disabled by it, they are enabled by it; enabled by it, they are taken.
    let active = |id: &str, value: bool| {
        let data = patch(json!([{"op": "replace", "path": "active", "value": value}]));
        json!({"method": "PATCH", "path": format!("/Users/{id}"), "data": data})
    };
    let again = run(json!([
        active(&ann, false),
        post("/Users", "a", body("ann", json!({})))
    ]))
    .await
    .unwrap();
    assert_eq!(
        (
            &again[1],
            client
                .world
                .read("User", &ann)
                .await
                .unwrap()
                .document
                .get("title")
        ),
        (&(ann.clone(), 6), None)
    );
    client.set(&ann, "active", json!(false)).await.unwrap();
    let taken = run(json!([
        active(&ann, true),
        post("/Users", "a", body("ann", json!({})))
    ]))
    .await;
    assert_eq!(kind(taken), Some(ErrorKind::Uniqueness));
    // Whom the request itself deletes is not brought back by it.
    let anew =
        run(json!([{"method": "DELETE", "path": format!("/Users/{bob}")}, post("/Users", "b", body("bob", json!({})))])).await.unwrap();
    assert!(anew[1].0 != bob && anew[1].1 == 1);
    // A tombstone that two want is one person's.
    assert_eq!(
        kind(
            run(json!([
                post("/Users", "x", body("dan", json!({"externalId": "1"}))),
                post("/Users", "y", body("dan", json!({"externalId": "1"})))
            ]))
            .await
        ),
        Some(ErrorKind::Uniqueness)
    );
}

async fn strict_revives_nobody(place: Place) {
    let wish = Some(true);
    let settings = TenantSettings {
        profile: "strict".into(),
        revive_disabled: wish,
        revive_deleted: wish,
        pending_references: wish,
        ..TenantSettings::default()
    };
    let client = Client::new(&place, settings).await;
    let ann = client
        .create(json!({"schemas": [USER], "userName": "ann", "active": false}))
        .await
        .unwrap()
        .id;
    assert_eq!(
        kind(client.create(user("ann")).await),
        Some(ErrorKind::Uniqueness)
    );
    client.delete("User", &ann).await.unwrap();
    assert_ne!(client.user("ann").await, ann);
    let group = json!({"schemas": [GROUP], "displayName": "g", "members": [{"value": "nobody"}]});
    assert_eq!(
        kind(client.create(group).await),
        Some(ErrorKind::InvalidValue)
    );
}

fn guarded(mode: Mode) -> TenantSettings {
    let threshold = Threshold {
        count: 2,
        percent: 20,
    };
    let guard = GuardSettings {
        mode,
        window_minutes: 60,
        disables: threshold,
        deletes: threshold,
        memberships: threshold,
    };
    TenantSettings {
        guard,
        ..TenantSettings::default()
    }
}

async fn what_is_held_is_refused_or_parked(place: Place) {
    let client = Client::new(&place, guarded(Mode::Refuse)).await;
    let mut ids = Vec::new();
    for number in 0..8 {
        ids.push(client.user(&format!("u{number}")).await);
    }
    client.delete("User", &ids[0]).await.unwrap();
    client.delete("User", &ids[1]).await.unwrap();
    let Err(DirectoryError::Refused(error)) = client.delete("User", &ids[2]).await else {
        panic!("held")
    };
    assert!(
        error
            .retry_after_seconds()
            .is_some_and(|seconds| (60..=3_600).contains(&seconds)),
        "{error:?}"
    );
    assert!(
        error
            .detail()
            .contains("3 people were deleted within 60 minutes"),
        "{}",
        error.detail()
    );
    assert!(client.world.read("User", &ids[2]).await.is_some());
    // The command line is not held, and an allowance lets through.
    client
        .named("command-line")
        .delete("User", &ids[2])
        .await
        .unwrap();
    let until = client.world.counter.now() + SignedDuration::from_hours(1);
    client
        .directory
        .allow(&client.caller, Removal::Delete, 1, until)
        .await
        .unwrap();
    client.delete("User", &ids[3]).await.unwrap();
    assert_eq!(
        kind(client.delete("User", &ids[4]).await),
        Some(ErrorKind::TooManyRequests)
    );

    let settings = guarded(Mode::Park);
    let tenant = Tenant {
        settings,
        ..client.world.tenant.as_ref().clone()
    };
    let parks = Client {
        caller: Caller {
            tenant: Arc::new(tenant),
            ..client.caller.clone()
        },
        ..client.named("test")
    };
    parks.delete("User", &ids[4]).await.unwrap();
    parks.delete("User", &ids[5]).await.unwrap();
    assert!(
        client.world.read("User", &ids[4]).await.is_some(),
        "the client was told that it is done"
    );
    let parked = parks.directory.parked(&parks.caller, 10).await.unwrap();
    assert_eq!(
        parked
            .iter()
            .map(|one| &one.resource_id)
            .collect::<Vec<_>>(),
        [&ids[4], &ids[5]]
    );
    parks
        .directory
        .approve(&parks.caller, &parked[0].id)
        .await
        .unwrap();
    parks
        .directory
        .reject(&parks.caller, &parked[1].id)
        .await
        .unwrap();
    assert!(
        client.world.read("User", &ids[4]).await.is_none()
            && client.world.read("User", &ids[5]).await.is_some()
    );
    assert_eq!(parks.directory.parked(&parks.caller, 10).await.unwrap(), []);
    assert_eq!(
        kind(parks.directory.approve(&parks.caller, &parked[0].id).await),
        Some(ErrorKind::NotFound)
    );
}

async fn later_writes_supersede_parked_ones(place: Place) {
    let client = Client::new(&place, guarded(Mode::Park)).await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(client.user(&format!("u{number}")).await);
    }
    for id in &ids {
        client.set(id, "active", json!(false)).await.unwrap();
    }
    let parked = async || {
        client
            .directory
            .parked(&client.caller, 10)
            .await
            .unwrap()
            .into_iter()
            .map(|one| one.resource_id)
            .collect::<Vec<_>>()
    };
    assert_eq!(parked().await, ids[2..]);
    // Again is the same, and about something else is something else.
    client.set(&ids[2], "active", json!(false)).await.unwrap();
    client.set(&ids[3], "title", json!("Dr")).await.unwrap();
    assert_eq!(parked().await.len(), 4);
    // Taken back, by the same client; another one does not speak for it.
    client.set(&ids[3], "active", json!(true)).await.unwrap();
    client
        .named("other")
        .set(&ids[4], "active", json!(true))
        .await
        .unwrap();
    let mut left = parked().await;
    left.sort();
    assert_eq!(left, sorted(&[&ids[2], &ids[4], &ids[5]]));
}

async fn no_password_is_parked(place: Place) {
    let client = Client::new(&place, guarded(Mode::Park)).await;
    let mut ids = Vec::new();
    for number in 0..4 {
        ids.push(client.user(&format!("u{number}")).await);
    }
    for id in &ids {
        let operations = json!([{"op": "replace", "path": "password", "value": "s3cret"}, {"op": "replace", "value": {"active": false, "password": "s3cret"}}]);
        client.patch("User", id, operations).await.unwrap();
    }
    let parked = client.directory.parked(&client.caller, 10).await.unwrap();
    assert_eq!(parked.len(), 2);
    for one in parked {
        assert!(!format!("{:?}", one.write).contains("s3cret"), "{one:?}");
        assert_eq!(one.write.touches, [Touch::Attribute("active".into())]);
        client
            .directory
            .approve(&client.caller, &one.id)
            .await
            .unwrap();
        assert_eq!(
            client.attribute(&one.resource_id, "active").await,
            Some(json!(false))
        );
    }
}

async fn a_narrow_credential_knows_and_restores_only_its_types(place: Place) {
    let client = Client::new(&place, TenantSettings::default()).await;
    let (ann, bob) = (client.user("ann").await, client.user("bob").await);
    let team = client.group("secret team", &[&ann]).await;
    let old = client.group("old team", &[]).await;
    client.delete("User", &bob).await.unwrap();
    client.delete("Group", &old).await.unwrap();
    let only = |name: &str| {
        let permissions = Permissions {
            resource_types: Some(vec![name.to_owned()]),
            ..Permissions::default()
        };
        Client {
            caller: Caller {
                permissions,
                ..client.caller.clone()
            },
            ..client.named("test")
        }
    };
    let before = || Deleted::Before(jiff::Timestamp::MAX);
    for (name, own, others) in [
        ("User", [&ann, &bob], [&team, &old]),
        ("Group", [&team, &old], [&ann, &bob]),
    ] {
        let narrow = only(name);
        let (directory, caller) = (&narrow.directory, &narrow.caller);
        let gone = directory.deleted(caller, before(), 10).await.unwrap();
        assert_eq!(
            gone.iter().map(|one| &one.id).collect::<Vec<_>>(),
            [own[1]],
            "{name}"
        );
        for id in own {
            assert!(
                !directory
                    .changes_of(caller, id, 0, 10)
                    .await
                    .unwrap()
                    .is_empty(),
                "{name} {id}"
            );
            assert_eq!(
                directory
                    .as_it_was(caller, id, Point::Version(1))
                    .await
                    .unwrap()
                    .id,
                *id
            );
        }
        for id in others {
            assert_eq!(
                kind(directory.changes_of(caller, id, 0, 10).await),
                Some(ErrorKind::NotFound),
                "{name} {id}"
            );
            assert_eq!(
                kind(directory.as_it_was(caller, id, Point::Version(1)).await),
                Some(ErrorKind::NotFound)
            );
            assert_eq!(
                kind(directory.restore(caller, id, None).await),
                Some(ErrorKind::NotFound)
            );
        }
    }
    let reads = Client {
        caller: Caller {
            permissions: Permissions::of(&[directory::access::Scope::Read]),
            ..client.caller.clone()
        },
        ..client.named("test")
    };
    assert_eq!(
        kind(reads.directory.restore(&reads.caller, &bob, None).await),
        Some(ErrorKind::InsufficientScope)
    );
    let users = only("User");
    let schema = client.world.schema("User");
    // The names of groups are hidden, and nothing is found or ordered by them.
    let read = users
        .directory
        .read(&users.caller, &schema, &ann, ALL)
        .await
        .unwrap();
    assert_eq!(
        (read.groups[0].id.as_str(), read.groups[0].display.as_str()),
        (team.as_str(), "")
    );
    let filter = scim_protocol::Filter::parse(
        "groups.display sw \"s\"",
        scim_protocol::filter::FilterLimits::default(),
    )
    .unwrap();
    let page = directory::search::Page {
        offset: 0,
        limit: 10,
    };
    let plan =
        directory::search::plan(std::slice::from_ref(&schema), Some(filter), None, page, ALL)
            .unwrap();
    assert_eq!(
        client
            .directory
            .search(&client.caller, plan.clone())
            .await
            .unwrap()
            .total_results,
        1
    );
    assert_eq!(
        kind(users.directory.search(&users.caller, plan).await),
        Some(ErrorKind::InsufficientScope)
    );
    // Whoever was in a group would be in it again.
    client.delete("User", &ann).await.unwrap();
    assert_eq!(
        kind(users.directory.restore(&users.caller, &ann, None).await),
        Some(ErrorKind::InsufficientScope)
    );
    users
        .directory
        .restore(&users.caller, &bob, None)
        .await
        .unwrap();
    client
        .directory
        .restore(&client.caller, &ann, None)
        .await
        .unwrap();
    assert_eq!(client.members(&team).await, [ann]);
}
