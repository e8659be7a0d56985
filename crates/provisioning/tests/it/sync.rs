//! What the engine sends, and what it never sends.

use provisioning::application::{ApplicationSettings, ApplicationState};
use provisioning::link::LinkState;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::application::Trouble;
use crate::world::World;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

fn world() -> World {
    World::new(ApplicationSettings::default())
}

fn ada() -> Value {
    json!({"schemas": [USER], "userName": "ada", "name": {"givenName": "Ada", "familyName": "King"}, "active": true})
}

fn team() -> Value {
    json!({"displayName": "Engineers"})
}

#[tokio::test]
async fn somebody_new_is_made_after_a_lookup_and_a_second_pass_sends_nothing() {
    let world = world();
    world.put_user("u1", &ada());
    world.settle().await;
    let expected = [
        "DISCOVER /ServiceProviderConfig",
        "FIND User externalId=u1 true",
        "FIND User userName=ada true",
        "POST User",
    ];
    assert_eq!(world.application.take_requests(false), expected);
    assert_eq!(world.accounts("User")[0]["externalId"], "u1");
    world.put_user("u1", &ada());
    world.settle().await;
    assert_eq!(world.application.take_requests(false), Vec::<String>::new());
}

#[tokio::test]
async fn an_account_that_is_there_is_adopted() {
    let world = world();
    let there = json!({"id": "old", "userName": "Ada", "name": {"familyName": "Byron"}, "active": true, "title": "Countess"});
    world.application.inner().accounts.insert(
        ("User".into(), "old".into()),
        there.as_object().unwrap().clone(),
    );
    world.application.inner().no_filter = true;
    world.put_user("u1", &ada());
    world.settle().await;
    assert_eq!(
        world.application.take_requests(true),
        ["DISCOVER /ServiceProviderConfig", "PATCH User/old"]
    );
    let account = &world.accounts("User")[0];
    assert_eq!(
        account["name"],
        json!({"familyName": "King", "givenName": "Ada"})
    );
    assert_eq!(
        (&account["userName"], &account["title"]),
        (&json!("ada"), &json!("Countess"))
    );
}

#[tokio::test]
async fn a_page_of_others_is_no_proof_that_there_is_no_account() {
    let world = world();
    for id in ["a", "b", "old"] {
        let name = if id == "old" { "ada" } else { id };
        let there = json!({"id": id, "userName": name});
        world.application.inner().accounts.insert(
            ("User".into(), id.into()),
            there.as_object().unwrap().clone(),
        );
    }
    world.application.inner().list_max = Some(2);
    world.put_user("u1", &ada());
    world.settle().await;
    assert_eq!(
        world.application.take_requests(true),
        ["DISCOVER /ServiceProviderConfig", "PATCH User/old"]
    );
    assert_eq!(world.accounts("User").len(), 3);
}

#[tokio::test]
async fn two_groups_of_one_name_never_share_an_account() {
    let world = world();
    let there = json!({"id": "r8", "displayName": "Engineers"});
    world.application.inner().accounts.insert(
        ("Group".into(), "r8".into()),
        there.as_object().unwrap().clone(),
    );
    for id in ["g1", "g2"] {
        world.put_group(id, &team(), &[]);
    }
    world.settle().await;
    let linked: Vec<Option<String>> = world
        .ledger
        .state()
        .links
        .values()
        .map(|link| link.remote_id.clone())
        .collect();
    assert_eq!(linked.len(), 2);
    assert_ne!(linked[0], linked[1]);
}

#[tokio::test]
async fn an_account_that_a_create_is_answered_with_is_not_taken_from_another() {
    let world = world();
    world.put_user("u1", &ada());
    world.settle().await;
    world.application.inner().creates_onto = Some("r1");
    world.put_user("u2", &json!({"userName": "bob"}));
    world.settle().await;
    let linked = world
        .ledger
        .state()
        .links
        .values()
        .filter_map(|link| {
            link.remote_id
                .clone()
                .map(|id| (link.resource_id.clone(), id))
        })
        .collect::<Vec<_>>();
    assert_eq!(linked, [("u1".to_owned(), "r1".to_owned())]);
    let (outcome, detail) = {
        let state = world.ledger.state();
        let refused = state
            .log
            .iter()
            .find(|entry| entry.resource_id == "u2" && entry.step == "create")
            .unwrap();
        (refused.outcome.clone(), refused.detail.clone())
    };
    assert_eq!(outcome, "held");
    assert!(
        detail.contains("linked to another resource, \"u1\""),
        "{detail}"
    );
    // What the create did to the account of the other is put right.
    assert_eq!(world.accounts("User")[0]["userName"], "ada");
    // Once the application makes accounts again, a change is enough.
    world.application.inner().creates_onto = None;
    world.put_user("u2", &json!({"userName": "bob"}));
    world.settle().await;
    assert_eq!(world.accounts("User").len(), 2);
    assert!(
        world
            .ledger
            .state()
            .links
            .values()
            .all(|link| link.state == LinkState::Linked)
    );
}

#[tokio::test]
async fn a_pause_ends_a_claim_that_is_under_way() {
    let world = World::new(ApplicationSettings {
        members_per_patch_max: 1,
        ..ApplicationSettings::default()
    });
    world.put_group("g1", &team(), &[]);
    let members: Vec<String> = (0..6).map(|number| format!("u{number}")).collect();
    for id in &members {
        world.put_user(id, &json!({"userName": id}));
    }
    world.settle().await;
    let ledger = std::sync::Arc::clone(&world.ledger);
    let pause = move || ledger.state().applications[0].state = ApplicationState::Paused;
    world.application.inner().after_patch = Some(Box::new(pause));
    world.application.take_requests(false);
    world.put_group(
        "g1",
        &team(),
        &members.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    world.engine.run_until_idle().await.unwrap();
    assert_eq!(world.application.take_requests(true).len(), 1);
}

#[tokio::test]
async fn two_accounts_of_one_name_wait_for_a_person() {
    let world = world();
    for id in ["a", "b"] {
        let there = json!({"id": id, "userName": "ada"});
        world.application.inner().accounts.insert(
            ("User".into(), id.into()),
            there.as_object().unwrap().clone(),
        );
    }
    world.put_user("u1", &ada());
    world.settle().await;
    assert_eq!(
        world.outcomes().last(),
        Some(&("match".into(), "held".into()))
    );
    assert_eq!(world.accounts("User").len(), 2);
}

#[tokio::test]
async fn a_lost_answer_to_a_create_makes_no_twin() {
    let world = world();
    for trouble in [Trouble::LoseAnswer, Trouble::Status(502)] {
        world.application.trouble("POST", trouble);
    }
    world.put_user("u1", &ada());
    world.put_user("u2", &json!({"userName": "bob"}));
    world.engine.run_until_idle().await.unwrap();
    assert!(
        world
            .ledger
            .state()
            .links
            .values()
            .all(|link| link.state == LinkState::Creating)
    );
    // The name changes before the answer is looked for.
    world.put_user("u1", &json!({"userName": "ada.king"}));
    world.settle().await;
    let names: Vec<Value> = world
        .accounts("User")
        .iter()
        .map(|account| account["userName"].clone())
        .collect();
    assert_eq!(names, ["ada.king", "bob"]);
    let details: Vec<String> = world
        .ledger
        .state()
        .log
        .iter()
        .map(|entry| entry.detail.clone())
        .collect();
    assert!(
        details
            .iter()
            .any(|detail| detail == "an earlier create whose answer was lost may have made it"),
        "{details:?}"
    );
    assert!(
        world
            .ledger
            .state()
            .links
            .values()
            .all(|link| link.state == LinkState::Linked)
    );
}

#[tokio::test]
async fn an_application_that_cannot_answer_for_a_moment_is_still_searched() {
    let world = world();
    for _ in 0..6 {
        world.application.trouble("FIND", Trouble::Status(503));
    }
    world.put_user("u1", &ada());
    world.settle().await;
    assert_eq!(world.accounts("User").len(), 1);
    let requests = world.application.take_requests(false);
    assert!(
        !requests.iter().any(|request| request.ends_with(" all")),
        "no whole list was read: {requests:?}"
    );
}

#[tokio::test]
async fn somebody_deleted_while_being_made_is_deleted_there() {
    let world = world();
    world.application.trouble("POST", Trouble::LoseAnswer);
    world.put_user("u1", &ada());
    world.engine.run_until_idle().await.unwrap();
    world.remove("User", "u1");
    world.settle().await;
    assert_eq!(world.accounts("User").len(), 0);
    assert!(world.ledger.state().links.is_empty());
}

#[tokio::test]
async fn a_change_is_the_shortest_patch() {
    let world = world();
    world.put_user("u1", &ada());
    world.settle().await;
    world.put_user("u1", &json!({"userName": "ada", "name": {"givenName": "Ada", "familyName": "Lovelace"}, "active": false, ENTERPRISE: {"department": "Engines"}}));
    world.settle().await;
    let patches: Vec<Vec<String>> = world
        .application
        .inner()
        .patches
        .iter()
        .map(provisioning::account::AccountChange::names)
        .collect();
    // Whether somebody may sign in goes alone and first.
    assert_eq!(
        patches,
        [
            vec!["active".to_owned()],
            vec![
                "name.familyName".to_owned(),
                format!("{ENTERPRISE}:department")
            ]
        ]
    );
    // Somebody who is not active stays linked, and comes back to the same account.
    assert_eq!(world.accounts("User")[0]["active"], false);
    world.put_user("u1", &ada());
    world.settle().await;
    assert_eq!(
        (
            world.accounts("User").len(),
            &world.accounts("User")[0]["active"]
        ),
        (1, &json!(true))
    );
    assert_eq!(world.accounts("User")[0][ENTERPRISE], json!({}));
}

#[tokio::test]
async fn an_order_is_no_difference() {
    for no_patch in [false, true] {
        let world = world();
        world.application.inner().no_patch = no_patch;
        let (work, home) = (
            json!({"value": "ada@work", "type": "work"}),
            json!({"value": "ada@home", "type": "home"}),
        );
        world.put_user("u1", &json!({"userName": "ada", "emails": [work, home]}));
        world.settle().await;
        world.application.take_requests(true);
        world.put_user("u1", &json!({"userName": "ada", "emails": [home, work]}));
        world.settle().await;
        assert_eq!(world.application.take_requests(false), Vec::<String>::new());
        // Nor is one of the application's own.
        let account = ("User".to_owned(), "r1".to_owned());
        world
            .application
            .inner()
            .accounts
            .get_mut(&account)
            .unwrap()
            .insert("emails".into(), json!([work, home]));
        world.verify().await;
        assert_eq!(world.application.take_requests(true), Vec::<String>::new());
        // One that is there twice over there, and the other not at all, is a difference.
        world
            .application
            .inner()
            .accounts
            .get_mut(&account)
            .unwrap()
            .insert("emails".into(), json!([work, work]));
        world.verify().await;
        assert_eq!(world.accounts("User")[0]["emails"], json!([home, work]));
    }
}

#[tokio::test]
async fn somebody_who_leaves_is_deleted_or_deactivated() {
    // Whether it is gone or locked is read.
    for (delete_users, expected) in [
        (true, ["DELETE User/r1", "GET User/r1"].as_slice()),
        (false, &["PATCH User/r1", "GET User/r1"]),
    ] {
        let world = World::new(ApplicationSettings {
            delete_users,
            ..ApplicationSettings::default()
        });
        world.put_user("u1", &ada());
        world.settle().await;
        world.application.take_requests(false);
        world.remove("User", "u1");
        world.settle().await;
        assert_eq!(world.application.take_requests(false), expected);
        assert!(world.ledger.state().links.is_empty());
        let active: Vec<Value> = world
            .accounts("User")
            .iter()
            .map(|account| account["active"].clone())
            .collect();
        assert_eq!(
            active,
            if delete_users {
                vec![]
            } else {
                vec![json!(false)]
            }
        );
    }
}

#[tokio::test]
async fn an_application_that_deletes_nobody_deactivates() {
    let world = world();
    world.put_user("u1", &ada());
    world.settle().await;
    world.application.trouble("DELETE", Trouble::Status(405));
    world.remove("User", "u1");
    world.settle().await;
    assert_eq!(world.accounts("User")[0]["active"], false);
    assert!(world.ledger.state().links.is_empty());
}

#[tokio::test]
async fn a_group_follows_its_members_and_does_not_wait_for_one_who_cannot_be_made() {
    let world = world();
    world.put_group("g1", &team(), &["u1", "u2"]);
    world.put_user("u1", &ada());
    world.put_user("u2", &json!({"userName": "bob"}));
    world.application.trouble("POST", Trouble::Status(400));
    world.settle().await;
    let writes = world.application.take_requests(true);
    assert_eq!(
        writes,
        [
            "DISCOVER /ServiceProviderConfig",
            "POST User",
            "POST User",
            "POST Group"
        ]
    );
    assert_eq!(
        world.accounts("Group")[0]["members"],
        json!([{"value": "r1"}])
    );
    // The one who was refused is made after a change, and the group hears of it by itself.
    world.put_user("u1", &ada());
    world.settle().await;
    assert_eq!(
        world.application.take_requests(true),
        ["POST User", "PATCH Group/r2"]
    );
    assert_eq!(
        world.accounts("Group")[0]["members"],
        json!([{"value": "r1"}, {"value": "r3"}])
    );
}

#[tokio::test]
async fn a_member_who_leaves_is_named_and_the_others_stay() {
    let world = world();
    world.put_user("u1", &ada());
    world.put_user("u2", &json!({"userName": "bob"}));
    world.put_group("g1", &team(), &["u1", "u2"]);
    world.settle().await;
    world.put_group("g1", &team(), &["u2"]);
    world.settle().await;
    let last = world.application.inner().patches.last().unwrap().clone();
    assert_eq!(
        (
            last.removed.into_iter().collect::<Vec<_>>(),
            last.added.len(),
            last.edits.len()
        ),
        (vec!["r1".to_owned()], 0, 0)
    );
    assert_eq!(
        world.accounts("Group")[0]["members"],
        json!([{"value": "r2"}])
    );
}

#[tokio::test]
async fn whoever_leaves_a_group_leaves_it_before_others_are_made() {
    let world = world();
    world.put_user("u1", &ada());
    world.put_user("u2", &json!({"userName": "bob"}));
    world.put_group("g1", &team(), &["u1", "u2"]);
    world.settle().await;
    world.application.take_requests(true);
    world.put_user("u3", &json!({"userName": "cid"}));
    world.put_user("u4", &json!({"userName": "dan"}));
    world.put_group("g1", &team(), &["u2", "u3"]);
    // What came after it does not make it forgotten.
    world.put_group("g1", &team(), &["u2", "u3", "u4"]);
    world.settle().await;
    let writes = world.application.take_requests(true);
    assert_eq!(
        writes.first().map(String::as_str),
        Some("PATCH Group/r3"),
        "{writes:?}"
    );
    assert_eq!(
        world.accounts("Group")[0]["members"],
        json!([{"value": "r2"}, {"value": "r4"}, {"value": "r5"}])
    );
    // A group that somebody joins waits for them.
    world.put_user("u5", &json!({"userName": "eve"}));
    world.put_group("g1", &team(), &["u2", "u3", "u4", "u5"]);
    world.settle().await;
    assert_eq!(
        world.application.take_requests(true),
        ["POST User", "PATCH Group/r3"]
    );
}

#[tokio::test]
async fn many_members_go_in_several_requests() {
    let world = World::new(ApplicationSettings {
        members_per_patch_max: 2,
        ..ApplicationSettings::default()
    });
    let ids: Vec<String> = (0..7).map(|number| format!("u{number}")).collect();
    for id in &ids {
        world.put_user(id, &json!({"userName": id}));
    }
    world.put_group(
        "g1",
        &team(),
        &ids.iter().map(String::as_str).collect::<Vec<_>>(),
    );
    world.settle().await;
    assert_eq!(
        world.accounts("Group")[0]["members"]
            .as_array()
            .unwrap()
            .len(),
        7
    );
    assert_eq!(world.application.inner().patches.len(), 3);
}

#[tokio::test]
async fn a_429_pauses_the_application_as_long_as_it_asks() {
    let world = world();
    world.put_user("u1", &ada());
    world.settle().await;
    world.application.take_requests(false);
    world.application.trouble("PATCH", Trouble::Throttle(90));
    world.put_user("u1", &json!({"userName": "ada", "title": "Countess"}));
    world.engine.run_until_idle().await.unwrap();
    world.put_user("u2", &json!({"userName": "bob"}));
    world.pass(89);
    world.engine.run_until_idle().await.unwrap();
    assert_eq!(world.application.take_requests(false), ["PATCH User/r1"]);
    assert!(
        world
            .ledger
            .state()
            .outbox
            .values()
            .all(|entry| entry.attempts == 0)
    );
    world.pass(1);
    world.engine.run_until_idle().await.unwrap();
    assert_eq!(
        world.application.take_requests(true),
        ["PATCH User/r1", "POST User"]
    );
}

#[tokio::test]
async fn a_refused_token_is_tried_once_a_minute() {
    let world = world();
    world.application.trouble("DISCOVER", Trouble::Status(401));
    world.put_user("u1", &ada());
    world.engine.run_until_idle().await.unwrap();
    world.pass(59);
    assert_eq!(world.engine.run_until_idle().await.unwrap(), 0);
    world.pass(1);
    world.engine.run_until_idle().await.unwrap();
    assert_eq!(world.accounts("User").len(), 1);
}

#[tokio::test]
async fn an_account_that_is_gone_is_made_again_and_joins_its_groups() {
    let world = world();
    world.put_user("u1", &ada());
    world.put_group("g1", &team(), &["u1"]);
    world.settle().await;
    world
        .application
        .inner()
        .accounts
        .remove(&("User".into(), "r1".into()));
    world.put_user("u1", &json!({"userName": "ada", "title": "Countess"}));
    world.settle().await;
    assert_eq!(world.accounts("User")[0]["title"], "Countess");
    assert_eq!(
        world.accounts("Group")[0]["members"],
        json!([{"value": "r3"}])
    );
}

#[tokio::test]
async fn a_page_of_html_is_no_proof_that_an_account_is_gone() {
    let world = world();
    world.put_user("u1", &ada());
    world.settle().await;
    for verb in ["PATCH", "GET"] {
        world.application.trouble(verb, Trouble::Html);
    }
    world.put_user("u1", &json!({"userName": "ada", "title": "Countess"}));
    world.settle().await;
    assert_eq!(
        (
            world.accounts("User").len(),
            &world.accounts("User")[0]["title"]
        ),
        (1, &json!("Countess"))
    );
    world.application.trouble("DELETE", Trouble::Html);
    world.remove("User", "u1");
    world.settle().await;
    assert_eq!(world.accounts("User").len(), 0);
}

#[tokio::test]
async fn without_patch_the_whole_account_is_put_and_its_own_attributes_survive() {
    let world = world();
    world.application.inner().no_patch = true;
    world.put_user("u1", &ada());
    world.settle().await;
    let own = json!({
        "nickName": "Lady", "seat": 7, "urn:app:own": {"tier": "gold"}, "name": {"givenName": "Ada", "familyName": "King", "middleName": "B."},
    });
    world
        .application
        .inner()
        .accounts
        .get_mut(&("User".into(), "r1".into()))
        .unwrap()
        .extend(own.as_object().unwrap().clone());
    world.application.take_requests(false);
    world.put_user("u1", &json!({"userName": "ada", "name": {"givenName": "Ada", "familyName": "Lovelace"}, "active": true}));
    world.settle().await;
    assert_eq!(
        world.application.take_requests(false),
        ["PATCH User/r1", "GET User/r1", "PUT User/r1"]
    );
    let account = &world.accounts("User")[0];
    assert_eq!(
        (
            &account["nickName"],
            &account["seat"],
            &account["urn:app:own"]
        ),
        (&json!("Lady"), &json!(7), &json!({"tier": "gold"}))
    );
    assert_eq!(
        account["name"],
        json!({"givenName": "Ada", "familyName": "Lovelace", "middleName": "B."})
    );
    // It is remembered that PATCH is not offered.
    world.put_user("u1", &ada());
    world.settle().await;
    assert_eq!(
        world.application.take_requests(false),
        ["GET User/r1", "PUT User/r1"]
    );
}

#[tokio::test]
async fn a_lost_answer_to_a_change_is_read_before_the_next_one() {
    for trouble in [Trouble::LoseAnswer, Trouble::Status(500)] {
        let world = world();
        world.put_user("u1", &ada());
        world.settle().await;
        world.application.take_requests(false);
        world.application.trouble("PATCH", trouble);
        world.put_user("u1", &json!({"userName": "ada", "title": "Countess"}));
        world.engine.run_until_idle().await.unwrap();
        assert_eq!(
            world.ledger.state().links.values().next().unwrap().state,
            LinkState::Uncertain
        );
        // What was perhaps added is taken back before anybody knows whether it was.
        world.put_user("u1", &json!({"userName": "ada", "active": true}));
        world.settle().await;
        assert_eq!(world.application.take_requests(false)[1], "GET User/r1");
        let account = &world.accounts("User")[0];
        assert_eq!(
            (
                account.get("title"),
                account.get("name"),
                account.get("active")
            ),
            (None, None, Some(&json!(true)))
        );
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_tried_again_and_then_held() {
    let world = world();
    world.put_user("u1", &ada());
    world.put_user("u2", &json!({"userName": "bob"}));
    world.settle().await;
    world.put_user("u2", &json!({"userName": "ada"}));
    for _ in 0..20 {
        world.application.trouble("PATCH", Trouble::Status(409));
    }
    world.settle().await;
    assert_eq!(
        world.outcomes().last(),
        Some(&("update".into(), "held".into()))
    );
    let retries = world
        .outcomes()
        .into_iter()
        .filter(|(step, outcome)| step == "update" && outcome == "retry")
        .count();
    assert_eq!(retries, 6);
}

#[tokio::test]
async fn a_name_that_one_of_ours_is_about_to_leave_is_never_held() {
    let world = world();
    world.application.inner().unique_names = true;
    world.put_user("u1", &ada());
    world.put_user("u2", &json!({"userName": "bob", "active": true}));
    world.settle().await;
    // An outage used up the attempts; then the name is asked for before its owner has left it.
    for _ in 0..8 {
        world.application.trouble("PATCH", Trouble::Status(503));
    }
    world.put_user("u2", &json!({"userName": "ada", "active": false}));
    world.put_user("u1", &json!({"userName": "ada.king", "active": true}));
    world.settle().await;
    assert!(
        world.ledger.state().outbox.is_empty(),
        "{:?}",
        world.outcomes()
    );
    let names: Vec<Value> = world
        .accounts("User")
        .iter()
        .map(|account| account["userName"].clone())
        .collect();
    assert_eq!(names, ["ada.king", "ada"]);
}

#[tokio::test]
async fn what_is_no_name_does_not_wait_for_one() {
    let world = world();
    world.application.inner().unique_names = true;
    for (id, name) in [("u1", "ada"), ("u2", "bob")] {
        world.put_user(id, &json!({"userName": name, "active": true}));
    }
    world.settle().await;
    world.put_user(
        "u2",
        &json!({"userName": "ada", "displayName": "B.", "active": false}),
    );
    world.settle().await;
    let bob = &world.accounts("User")[1];
    assert_eq!(
        (&bob["userName"], &bob["active"], &bob["displayName"]),
        (&json!("bob"), &json!(false), &json!("B."))
    );
    assert_eq!(
        world.outcomes().last(),
        Some(&("update".into(), "held".into()))
    );
}

#[tokio::test]
async fn nobody_is_deactivated_by_saying_nothing() {
    for no_patch in [false, true] {
        let world = world();
        world.application.inner().no_patch = no_patch;
        world.put_user(
            "u1",
            &json!({"userName": "ada", "title": "Countess", "active": true}),
        );
        world.settle().await;
        world.put_user("u1", &json!({"userName": "ada"}));
        world.settle().await;
        let account = &world.accounts("User")[0];
        assert_eq!(
            (account.get("title"), account.get("active")),
            (None, Some(&json!(true))),
            "{no_patch}"
        );
    }
}

#[tokio::test]
async fn a_refusal_is_held_with_its_reason_until_something_changes() {
    let world = world();
    world.application.trouble("POST", Trouble::Status(400));
    world.put_user("u1", &ada());
    world.settle().await;
    let last = world.ledger.state().log.last().cloned().unwrap();
    assert_eq!(
        (last.step.as_str(), last.outcome.as_str(), last.status),
        ("create", "held", Some(400))
    );
    assert_eq!(last.detail, "the application does not accept this: no");
    world.put_user("u1", &ada());
    world.settle().await;
    assert_eq!(world.accounts("User").len(), 1);
}

#[tokio::test]
async fn a_comparison_finds_and_mends_drift() {
    let world = world();
    world.put_user("u1", &ada());
    world.put_user("u2", &json!({"userName": "bob"}));
    world.put_group("g1", &team(), &["u1"]);
    world.settle().await;
    world.verify().await;
    assert_eq!(world.application.inner().patches.len(), 0);
    {
        let mut inner = world.application.inner();
        let account = inner
            .accounts
            .get_mut(&("User".into(), "r1".into()))
            .unwrap();
        account.insert("active".into(), json!(false));
        account.insert("nickName".into(), json!("Lady"));
        let group = inner
            .accounts
            .get_mut(&("Group".into(), "r3".into()))
            .unwrap();
        group.insert(
            "members".into(),
            json!([{"value": "stranger"}, {"value": "r2"}]),
        );
    }
    world.verify().await;
    assert_eq!(
        (
            &world.accounts("User")[0]["active"],
            &world.accounts("User")[0]["nickName"]
        ),
        (&json!(true), &json!("Lady"))
    );
    // Somebody whom the directory knows is in the group or not as the directory says; somebody whom it does not know is reported and stays.
    assert_eq!(
        world.accounts("Group")[0]["members"],
        json!([{"value": "stranger"}, {"value": "r1"}])
    );
    let remark = "members that the directory does not know stay (1): stranger";
    assert!(
        world
            .ledger
            .state()
            .log
            .iter()
            .any(|line| line.step == "read" && line.detail == remark)
    );
}

#[tokio::test]
async fn an_application_that_is_down_gets_everything_later() {
    let mut world = world();
    for _ in 0..5 {
        world.application.trouble("DISCOVER", Trouble::Unreachable);
    }
    world.application.trouble("FIND", Trouble::Status(503));
    world.application.trouble("POST", Trouble::Unreachable);
    world.put_user("u1", &ada());
    world.engine.run_until_idle().await.unwrap();
    world.restart();
    world.settle().await;
    assert_eq!(world.accounts("User").len(), 1);
}

#[tokio::test]
async fn a_manager_is_named_by_their_account() {
    let world = world();
    world.put_user(
        "u2",
        &json!({"userName": "bob", ENTERPRISE: {"manager": {"value": "u1"}}}),
    );
    world.put_user(
        "u3",
        &json!({"userName": "self", ENTERPRISE: {"manager": {"value": "u3"}}}),
    );
    world.put_user("u1", &ada());
    world.settle().await;
    let find = |name: &str| {
        world
            .accounts("User")
            .into_iter()
            .find(|account| account["userName"] == name)
            .unwrap()
    };
    assert_eq!(
        find("bob")[ENTERPRISE]["manager"]["value"],
        find("ada")["id"]
    );
    assert_eq!(
        find("self")[ENTERPRISE]["manager"]["value"],
        find("self")["id"]
    );
}

#[tokio::test]
async fn a_change_leaves_when_the_engine_is_woken_and_a_stop_finishes_what_has_begun() {
    let world = world();
    let (stop, stopped) = watch::channel(false);
    let engine = world.engine.clone();
    let running = tokio::spawn(async move { engine.run(stopped).await });
    world.put_user("u1", &ada());
    world.ports.committed.notify_one();
    while world
        .ledger
        .state()
        .links
        .values()
        .all(|link| link.state != LinkState::Linked)
    {
        tokio::task::yield_now().await;
    }
    stop.send_replace(true);
    running.await.unwrap();
    assert_eq!(world.accounts("User").len(), 1);
}
