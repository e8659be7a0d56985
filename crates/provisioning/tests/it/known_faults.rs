//! Faults that the engine once had, each with the application that shows it.

use std::collections::BTreeSet;

use provisioning::application::ApplicationSettings;
use provisioning::machine::Request;
use serde_json::{Value, json};

use crate::model::{Behaviour, Fault};
use crate::pure::{Fate, Pure};

fn world(behaviour: Behaviour) -> Pure {
    let mut world = Pure::new(ApplicationSettings::default());
    world.model.behaviour = behaviour;
    world
}

fn person(name: &str, active: bool) -> Value {
    json!({ "userName": name, "active": active })
}

fn writes(world: &mut Pure) -> usize {
    world.take_writes().len()
}

/// An application that asks for a wait with each success is served all the same, one request in each wait.
#[test]
fn a_wait_after_each_answer_keeps_what_was_learned() {
    for no_patch in [false, true] {
        let mut world = world(Behaviour {
            asks_to_wait: true,
            no_patch,
            ..Behaviour::default()
        });
        world.put("User", "u1", &person("ada", true), &[]);
        world.put("User", "u2", &person("bob", true), &[]);
        world.put(
            "Group",
            "g1",
            &json!({"displayName": "team"}),
            &["u1", "u2"],
        );
        world.calm();
        assert_eq!((world.people(), world.outbox.len()), (2, 0));
        assert_eq!(
            world
                .model
                .members
                .values()
                .map(BTreeSet::len)
                .sum::<usize>(),
            2
        );
        let requests = world.model.requests.len();
        assert!(requests < 30, "{requests} requests");
        world.put("User", "u1", &person("ada", false), &[]);
        world.calm();
        assert_eq!(world.account("User", "r1")["active"], false);
    }
}

/// What was learned is not used once anything has changed.
#[test]
fn what_was_learned_before_a_wait_is_not_used_after_a_change() {
    let mut world = world(Behaviour {
        asks_to_wait: true,
        ..Behaviour::default()
    });
    world.put("User", "u1", &person("ada", true), &[]);
    let mut fate = |_: &Request| Fate::default();
    // Discovery, and the two lookups that show that there is no such account.
    for _ in 0..3 {
        world.step(&mut fate);
    }
    world.put("User", "u1", &person("bob", true), &[]);
    world.model.put("User", "old", person("bob", true), &[]);
    world.calm();
    assert_eq!(
        (
            world.people(),
            world.link("User", "u1").remote_id.as_deref()
        ),
        (1, Some("old"))
    );
}

/// Names that are handed round in a circle.
#[test]
fn people_who_swap_names_do_not_wait_for_ever() {
    for count in [2_usize, 3, 5] {
        let mut world = world(Behaviour {
            unique_names: true,
            ..Behaviour::default()
        });
        let put = |world: &mut Pure, shift: usize| {
            for number in 0..count {
                let name = format!("name{}", (number + shift) % count);
                world.put("User", &format!("u{number}"), &person(&name, true), &[]);
            }
        };
        put(&mut world, 0);
        world.calm();
        put(&mut world, 1);
        world.calm();
        for number in 0..count {
            let account = world.account("User", &format!("r{}", number + 1));
            let expected = format!("name{}", (number + 1) % count);
            assert_eq!(account["userName"], expected, "{count} {:?}", world.log);
        }
        assert!(world.outbox.is_empty() && world.people() == count);
    }
}

/// Somebody who waits for a name that will not be free gets no other one meanwhile.
#[test]
fn only_those_in_a_circle_get_another_name() {
    let mut world = world(Behaviour {
        unique_names: true,
        ..Behaviour::default()
    });
    world.put("User", "u1", &person("ada", true), &[]);
    world.put("User", "u2", &person("bob", true), &[]);
    world.calm();
    world.put("User", "u1", &person("bob", true), &[]);
    world.calm();
    assert_eq!(world.account("User", "r1")["userName"], "ada");
    assert_eq!(world.outbox.len(), 1);
    assert!(world.outbox.values().all(|entry| entry.held));
}

/// An application that replaces whole accounts only, and refuses one without saying why, still locks somebody out.
#[test]
fn a_refused_whole_account_does_not_keep_a_leaver_active() {
    for (attribute, names_refused) in [("nickName", false), ("title", false), ("title", true)] {
        let mut world = world(Behaviour {
            no_patch: true,
            names_refused,
            ..Behaviour::default()
        });
        let ada = |active| json!({"userName": "ada", "title": "Countess", "active": active});
        world.put("User", "u1", &ada(true), &[]);
        world.calm();
        let key = ("User".to_owned(), "r1".to_owned());
        let account = world.model.accounts.get_mut(&key).unwrap();
        account.insert("nickName".into(), "A".into());
        world.model.behaviour.refuses = [attribute.to_owned()].into();
        world.put("User", "u1", &ada(false), &[]);
        world.calm();
        assert_eq!(
            world.account("User", "r1")["active"],
            false,
            "{attribute} {:?}",
            world.log
        );
        assert_eq!(world.account("User", "r1")["userName"], "ada");
    }
}

/// The first try is the representation of the application itself: nothing of it is lost.
#[test]
fn what_the_application_shows_itself_is_tried_before_less() {
    let mut world = world(Behaviour {
        no_patch: true,
        hides: ["title".to_owned()].into(),
        ..Behaviour::default()
    });
    let ada = |active| json!({"userName": "ada", "title": "Countess", "active": active});
    world.put("User", "u1", &ada(true), &[]);
    world.calm();
    let key = ("User".to_owned(), "r1".to_owned());
    let account = world.model.accounts.get_mut(&key).unwrap();
    account.insert("nickName".into(), "A".into());
    world.model.behaviour.refuses = ["title".to_owned()].into();
    world.put("User", "u1", &ada(false), &[]);
    world.calm();
    let account = world.account("User", "r1");
    assert_eq!(
        (&account["active"], &account["nickName"]),
        (&json!(false), &json!("A"))
    );
}

/// 404 by id and an empty search are no proof while the answers lag behind the accounts.
#[test]
fn a_lagging_search_makes_no_twin() {
    for kind in ["User", "Group"] {
        let mut world = world(Behaviour::default());
        let document = json!({"userName": "ada", "displayName": "team"});
        world.put(kind, "x1", &document, &[]);
        world.calm();
        world.model.behaviour.unlisted = ["r1".to_owned()].into();
        world.mark_all();
        let mut reads = 0;
        let mut fate = |request: &Request| {
            let lies = matches!(request, Request::Read(_)) && reads < 1;
            reads += usize::from(lies);
            Fate {
                fault: lies.then_some(Fault::Gone),
                crash: false,
            }
        };
        assert!(world.settle(&mut fate), "{:?}", world.log);
        assert_eq!(reads, 1);
        let count = world.model.accounts.keys().filter(|(it, _)| it == kind);
        assert_eq!(count.count(), 1, "{kind} {:?}", world.log);
        assert_eq!(world.link(kind, "x1").remote_id.as_deref(), Some("r1"));
        // One that stays gone is made anew.
        world.model.behaviour.unlisted.clear();
        world.model.accounts.clear();
        world.mark_all();
        world.calm();
        assert_eq!(world.link(kind, "x1").remote_id.as_deref(), Some("r2"));
    }
}

/// A create that is refused shows that the search has left an account out.
#[test]
fn a_search_that_lied_is_not_believed_again() {
    let mut world = world(Behaviour {
        unique_names: true,
        failing_search: None,
        searches_with_case: true,
        ..Behaviour::default()
    });
    for (id, name) in [("a", "ADA"), ("b", "Bob")] {
        world.model.put("User", id, person(name, true), &[]);
    }
    world.put("User", "u1", &person("Ada", true), &[]);
    world.calm();
    assert_eq!(world.link("User", "u1").remote_id.as_deref(), Some("a"));
    world.take_writes();
    world.put("User", "u2", &person("bOB", true), &[]);
    world.calm();
    assert_eq!(world.link("User", "u2").remote_id.as_deref(), Some("b"));
    let creates = world.take_writes();
    let is_create = |request: &&Request| matches!(request, Request::Create(_));
    assert_eq!(creates.iter().filter(is_create).count(), 0);
}

/// An application that does not show who is deactivated.
#[test]
fn who_is_hidden_while_deactivated_comes_back() {
    for (unique_names, can_be_changed) in [(true, true), (false, true), (true, false)] {
        let mut world = world(Behaviour {
            unique_names,
            hides_inactive: Some(can_be_changed),
            ..Behaviour::default()
        });
        world.put("User", "u1", &person("ada", true), &[]);
        world.calm();
        world.put("User", "u1", &person("ada", false), &[]);
        world.calm();
        assert_eq!(world.account("User", "r1")["active"], false);
        world.take_writes();
        world.mark_all();
        world.calm();
        assert_eq!(
            (world.people(), writes(&mut world)),
            (1, 0),
            "nobody gets a second account for being hidden"
        );
        world.put("User", "u1", &person("ada", true), &[]);
        world.calm();
        assert_eq!(world.people(), 1, "{:?}", world.log);
        if can_be_changed {
            assert_eq!(world.account("User", "r1")["active"], true);
            assert!(world.outbox.is_empty());
        } else {
            let held = world.held();
            assert!(
                held.last().is_some_and(
                    |words| words.contains("it may hide accounts that are deactivated")
                ),
                "{:?}",
                world.log
            );
            assert!(writes(&mut world) < 6 && world.outbox.len() == 1);
        }
    }
}

/// 204 that changed nothing: the account is read after a revocation.
#[test]
fn a_revocation_is_proven_by_what_the_application_shows() {
    for document in [Some(person("ada", false)), None] {
        let mut world = world(Behaviour::default());
        world.put("User", "u1", &person("ada", true), &[]);
        world.calm();
        world.model.behaviour.stores_nothing = true;
        match &document {
            Some(document) => world.put("User", "u1", document, &[]),
            None => world.delete("User", "u1"),
        }
        for _ in 0..20 {
            world.step(&mut |_| Fate::default());
        }
        assert_eq!(world.outbox.len(), 1, "it is not done: {:?}", world.log);
        assert_eq!(world.link("User", "u1").remote_id.as_deref(), Some("r1"));
        // Once it stores what it is told, the person is locked out.
        world.model.behaviour.stores_nothing = false;
        world.mark_all();
        world.calm();
        let is_locked = world
            .model
            .accounts
            .get(&("User".to_owned(), "r1".to_owned()))
            .is_none_or(|account| account["active"] == false);
        assert!(is_locked && world.outbox.is_empty(), "{:?}", world.log);
    }
}

/// Members who are taken out are looked for, too.
#[test]
fn a_member_who_is_still_in_is_found_at_once() {
    let mut world = world(Behaviour::default());
    for id in ["u1", "u2"] {
        world.put("User", id, &person(id, true), &[]);
    }
    world.put(
        "Group",
        "g1",
        &json!({"displayName": "team"}),
        &["u1", "u2"],
    );
    world.calm();
    world.model.behaviour.stores_nothing = true;
    world.put("Group", "g1", &json!({"displayName": "team"}), &["u1"]);
    world.calm();
    assert!(
        world
            .held()
            .iter()
            .any(|words| words.contains("accepted, not stored")),
        "{:?}",
        world.log
    );
    assert_eq!(world.outbox.len(), 1);
}

/// An account that is kept, deactivated, when it is deleted.
#[test]
fn a_soft_deletion_is_a_deletion() {
    let mut world = world(Behaviour {
        deletes_softly: true,
        ..Behaviour::default()
    });
    world.put("User", "u1", &person("ada", true), &[]);
    world.calm();
    world.delete("User", "u1");
    world.calm();
    assert_eq!((world.outbox.len(), world.links.len()), (0, 0));
    assert_eq!(world.account("User", "r1")["active"], false);
}

/// An application that counts more than it lists.
#[test]
fn a_count_that_is_too_high_keeps_nobody_out() {
    // Its own search shows nothing either, or an administrator has said that the count is wrong.
    for (ignores_filters, counts_too_many) in [(false, false), (true, true)] {
        let mut world = Pure::new(ApplicationSettings {
            counts_too_many,
            ..ApplicationSettings::default()
        });
        world.model.behaviour = Behaviour {
            counts_more: 3,
            ignores_filters,
            ..Behaviour::default()
        };
        world.model.put("User", "old", person("ada", true), &[]);
        world.put("User", "u1", &person("ada", true), &[]);
        world.put("User", "u2", &person("bob", true), &[]);
        world.calm();
        assert_eq!(
            (world.people(), world.outbox.len()),
            (2, 0),
            "{:?}",
            world.log
        );
        assert_eq!(world.link("User", "u1").remote_id.as_deref(), Some("old"));
    }
    // Else nothing is known.
    let mut world = world(Behaviour {
        counts_more: 3,
        ignores_filters: true,
        ..Behaviour::default()
    });
    world.model.put("User", "old", person("bob", true), &[]);
    world.put("User", "u1", &person("ada", true), &[]);
    for _ in 0..10 {
        world.step(&mut |_| Fate::default());
    }
    assert_eq!(world.people(), 1);
    assert!(
        world
            .log
            .iter()
            .any(|line| line.detail.contains("counts more accounts than it lists"))
    );
}

/// An application that writes the letters of ids in another case in lists and members.
#[test]
fn ids_in_another_case_are_the_same_ids() {
    let mut world = world(Behaviour {
        upper_case_ids: true,
        ..Behaviour::default()
    });
    for id in ["u1", "u2"] {
        world.put("User", id, &person(id, true), &[]);
    }
    world.put(
        "Group",
        "g1",
        &json!({"displayName": "team"}),
        &["u1", "u2"],
    );
    world.calm();
    world.take_writes();
    world.mark_all();
    world.calm();
    assert_eq!(world.take_writes(), [], "{:?}", world.log);
    // Somebody else is given the name of one of ours: the account is known to be taken.
    world.put("User", "u3", &person("U1", true), &[]);
    world.put("Group", "g1", &json!({"displayName": "team"}), &["u2"]);
    world.calm();
    assert_eq!(world.people(), 3);
    let group = world.link("Group", "g1").remote_id.clone().unwrap();
    assert_eq!(world.model.members[&group].len(), 1);
}
