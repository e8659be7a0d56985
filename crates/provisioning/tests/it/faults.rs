//! What real applications do, each kind as a model: what the engine makes of it.

use std::collections::BTreeSet;

use provisioning::account::AccountChange;
use provisioning::application::ApplicationSettings;
use provisioning::link::LinkState;
use provisioning::machine::Request;
use provisioning::matching::Lookup;
use serde_json::{Value, json};

use crate::model::{Behaviour, Fault};
use crate::pure::{Fate, Pure};

fn world(behaviour: Behaviour) -> Pure {
    let mut world = Pure::new(ApplicationSettings::default());
    world.model.behaviour = behaviour;
    world
}

fn ada() -> Value {
    json!({"userName": "ada", "title": "Countess", "phoneNumbers": [{"value": "+1"}], "active": true})
}

/// Each request suffers this fault until there are none left; then none.
fn suffer(world: &mut Pure, is_meant: impl Fn(&Request) -> bool, faults: &[Fault]) {
    let mut left = faults.iter().copied();
    let mut fate = |request: &Request| Fate {
        fault: if is_meant(request) { left.next() } else { None },
        crash: false,
    };
    assert!(world.settle(&mut fate), "{:?}", world.log);
}

fn changes(writes: &[Request]) -> Vec<&AccountChange> {
    writes
        .iter()
        .filter_map(|write| {
            if let Request::Change(change) = write {
                Some(change)
            } else {
                None
            }
        })
        .collect()
}

/// A: an answer that is not SCIM is no acknowledgement.
#[test]
fn a_page_of_html_acknowledges_nothing() {
    for document in [Some(json!({"userName": "ada", "active": false})), None] {
        let mut world = world(Behaviour::default());
        world.put(
            "User",
            "u1",
            &json!({"userName": "ada", "active": true}),
            &[],
        );
        world.calm();
        match &document {
            Some(document) => world.put("User", "u1", document, &[]),
            None => world.delete("User", "u1"),
        }
        suffer(&mut world, Request::is_write, &[Fault::NotUnderstood; 3]);
        let locked_out = world
            .model
            .accounts
            .get(&("User".into(), "r1".into()))
            .is_none_or(|account| account["active"] == false);
        assert!(locked_out && world.outbox.is_empty());
    }
}

/// B: an id that is a number is its text.
#[test]
fn numbers_are_ids() {
    let mut world = world(Behaviour {
        numeric_ids: true,
        ..Behaviour::default()
    });
    for id in ["u1", "u2"] {
        world.put("User", id, &json!({"userName": id, "active": true}), &[]);
    }
    world.put(
        "Group",
        "g1",
        &json!({"displayName": "team"}),
        &["u1", "u2"],
    );
    world.calm();
    world.put(
        "User",
        "u1",
        &json!({"userName": "u1", "title": "x", "active": true}),
        &[],
    );
    world.put("Group", "g1", &json!({"displayName": "team"}), &["u2"]);
    world.calm();
    assert_eq!((world.people(), world.model.members["3"].len()), (2, 1));
    world.delete("User", "u1");
    world.calm();
    assert_eq!((world.people(), world.outbox.len()), (1, 0));
    world.take_writes();
    world.mark_all();
    world.calm();
    assert_eq!(world.take_writes(), []);
}

/// B: that an account was made that told no id stays in the link, in every later claim.
#[test]
fn an_account_without_an_id_is_never_made_twice() {
    let mut world = world(Behaviour {
        unnamed: true,
        ignores_filters: true,
        hides: ["userName".into(), "externalId".into()].into(),
        ..Behaviour::default()
    });
    world.put(
        "User",
        "u1",
        &json!({"userName": "ada", "active": true}),
        &[],
    );
    world.calm();
    assert_eq!(
        (world.people(), world.link("User", "u1").state),
        (1, LinkState::Unnamed)
    );
    world.put(
        "User",
        "u1",
        &json!({"userName": "ada", "title": "x", "active": true}),
        &[],
    );
    world.calm();
    assert_eq!(world.people(), 1);
    // Somebody who leaves stays visible.
    world.delete("User", "u1");
    world.calm();
    assert!(
        world.outbox.values().all(|entry| entry.held) && world.outbox.len() == 1,
        "{:?}",
        world.outbox
    );
    // Once it can be found it is.
    world.model.behaviour.hides.clear();
    world.mark_all();
    world.calm();
    assert_eq!((world.people(), world.outbox.len()), (0, 0));
}

/// C: a refused attribute holds neither the revocation nor the rest.
#[test]
fn a_refused_attribute_holds_nothing_else() {
    for names_refused in [true, false] {
        let refuses: BTreeSet<String> = ["phoneNumbers".to_owned()].into();
        let mut world = world(Behaviour {
            refuses,
            names_refused,
            ..Behaviour::default()
        });
        world.put("User", "u1", &ada(), &[]);
        world.calm();
        let account = world.account("User", "r1");
        assert_eq!(
            (&account["title"], account.get("phoneNumbers")),
            (&json!("Countess"), None),
            "{names_refused}"
        );
        assert_eq!(
            world.held(),
            ["the application does not accept phoneNumbers: in its own words"]
        );
        world.take_writes();
        let after = json!({"userName": "ada", "title": "Lady", "nickName": "A", "phoneNumbers": [{"value": "+2"}], "active": false});
        world.put("User", "u1", &after, &[]);
        world.calm();
        let writes = world.take_writes();
        assert_eq!(changes(&writes)[0].names(), ["active"]);
        let account = world.account("User", "r1");
        assert_eq!(
            (&account["active"], &account["title"], &account["nickName"]),
            (&json!(false), &json!("Lady"), &json!("A"))
        );
        assert_eq!(world.outbox.len(), 1, "what is refused is held");
        // Somebody who leaves is deleted all the same.
        world.delete("User", "u1");
        world.calm();
        assert_eq!((world.people(), world.outbox.len()), (0, 0));
    }
}

/// C: where somebody cannot be deleted, the account is locked at least.
#[test]
fn a_refused_deletion_locks_the_account() {
    let mut world = world(Behaviour {
        refuses_delete: true,
        ..Behaviour::default()
    });
    world.put("User", "u1", &ada(), &[]);
    world.calm();
    world.delete("User", "u1");
    world.calm();
    assert_eq!(world.account("User", "r1")["active"], json!(false));
    assert!(world.outbox.values().all(|entry| entry.held) && world.outbox.len() == 1);
    assert_eq!(world.link("User", "u1").remote_id.as_deref(), Some("r1"));
}

/// C: where it is not known whether somebody was deleted, the account is locked at once, and the deletion is tried again.
#[test]
fn a_deletion_that_is_not_proven_locks_the_account_first() {
    let faults = [
        Fault::NotUnderstood,
        Fault::Broken,
        Fault::PageNotFound,
        Fault::Conflict,
        Fault::NotUnderstoodAfter,
        Fault::BrokenAfter,
    ];
    for fault in faults {
        let mut world = world(Behaviour::default());
        world.put("User", "u1", &ada(), &[]);
        world.calm();
        world.take_writes();
        world.delete("User", "u1");
        suffer(
            &mut world,
            |request| matches!(request, Request::Remove(_)),
            &[fault; 3],
        );
        let writes = world.take_writes();
        assert!(
            matches!(writes[0], Request::Remove(_)),
            "{fault:?} {writes:?}"
        );
        assert_eq!(
            changes(&writes[1..2])[0].names(),
            ["active"],
            "{fault:?} {writes:?}"
        );
        assert_eq!(
            changes(&writes).len(),
            1,
            "locked once is enough: {fault:?} {writes:?}"
        );
        assert_eq!(
            (world.people(), world.outbox.len(), world.links.len()),
            (0, 0, 0),
            "{fault:?}"
        );
    }
}

/// C: where PATCH does not lock an account, PUT does; everything else is still sent as PATCH, and one that takes neither is held.
#[test]
fn who_is_not_locked_by_patch_is_locked_by_put() {
    for (delete_users, refuses) in [(true, None), (false, None), (true, Some("active"))] {
        let mut world = Pure::new(ApplicationSettings {
            delete_users,
            ..ApplicationSettings::default()
        });
        world.model.behaviour = Behaviour {
            locks_as_a_whole: true,
            ..Behaviour::default()
        };
        world.put("User", "u1", &ada(), &[]);
        world.calm();
        world.take_writes();
        world.model.behaviour.refuses = refuses.into_iter().map(str::to_owned).collect();
        if delete_users {
            let after = json!({"userName": "ada", "title": "Lady", "phoneNumbers": [{"value": "+1"}], "active": false});
            world.put("User", "u1", &after, &[]);
        } else {
            world.delete("User", "u1");
        }
        world.calm();
        let (account, writes) = (world.account("User", "r1").clone(), world.take_writes());
        assert_eq!(
            (account["active"] == false, world.outbox.len()),
            (refuses.is_none(), refuses.iter().count()),
            "{writes:?}"
        );
        assert_eq!(
            account["phoneNumbers"],
            json!([{"value": "+1"}]),
            "nothing else is lost"
        );
        assert_eq!(
            writes
                .iter()
                .filter(|write| matches!(write, Request::Replace(_)))
                .count(),
            // One that is refused is sent with less, and with less again.
            if refuses.is_some() { 3 } else { 1 },
            "{writes:?}"
        );
        assert_eq!(account["title"] == "Lady", delete_users);
    }
}

/// C: what an account has besides and the application does not take back does not keep somebody active.
#[test]
fn what_is_refused_with_the_whole_is_left_out_of_a_revocation() {
    let mut world = world(Behaviour {
        no_patch: true,
        ..Behaviour::default()
    });
    world.put("User", "u1", &ada(), &[]);
    world.calm();
    world
        .model
        .accounts
        .get_mut(&("User".into(), "r1".into()))
        .unwrap()
        .insert("nickName".into(), "A".into());
    (
        world.model.behaviour.refuses,
        world.model.behaviour.names_refused,
    ) = (["nickName".to_owned()].into(), true);
    world.put("User", "u1", &json!({"userName": "ada", "title": "Countess", "phoneNumbers": [{"value": "+1"}], "active": false}), &[]);
    world.calm();
    assert_eq!(
        (&world.account("User", "r1")["active"], world.outbox.len()),
        (&json!(false), 0),
        "{:?}",
        world.log
    );
}

/// C: a revocation that something is in the way of is tried again by itself.
#[test]
fn a_conflict_does_not_end_a_revocation() {
    let mut world = world(Behaviour::default());
    world.put("User", "u1", &ada(), &[]);
    world.calm();
    let after = json!({"userName": "ada", "title": "Countess", "phoneNumbers": [{"value": "+1"}], "active": false});
    world.put("User", "u1", &after, &[]);
    suffer(&mut world, Request::is_write, &[Fault::Conflict; 5]);
    assert_eq!(
        (&world.account("User", "r1")["active"], world.outbox.len()),
        (&json!(false), 0)
    );
}

/// A: while pages say that accounts are not there, nobody is let go, and nobody is taken out of a group or left in it.
#[test]
fn a_page_that_says_not_found_loses_no_link() {
    for is_hit in [
        Request::is_write as fn(&Request) -> bool,
        |request| !matches!(request, Request::Discover),
        |request| matches!(request, Request::Read(_)),
    ] {
        let mut world = world(Behaviour::default());
        for id in ["u1", "u2", "u3"] {
            world.put("User", id, &json!({"userName": id, "active": true}), &[]);
        }
        world.put(
            "Group",
            "g1",
            &json!({"displayName": "team"}),
            &["u1", "u2"],
        );
        world.calm();
        let accounts: Vec<Option<String>> = world
            .links
            .values()
            .map(|link| link.remote_id.clone())
            .collect();
        world.take_writes();
        // Somebody leaves the group meanwhile.
        world.put("Group", "g1", &json!({"displayName": "team"}), &["u1"]);
        world.mark_all();
        let mut count = 0;
        let mut fate = |request: &Request| {
            count += usize::from(is_hit(request));
            Fate {
                fault: (is_hit(request) && count < 40).then_some(Fault::PageNotFound),
                crash: false,
            }
        };
        assert!(world.settle(&mut fate), "{:?}", world.log);
        assert_eq!(
            world
                .links
                .values()
                .map(|link| link.remote_id.clone())
                .collect::<Vec<_>>(),
            accounts
        );
        assert_eq!(world.model.members["r4"], BTreeSet::from(["r1".to_owned()]));
        let removed: BTreeSet<String> = changes(&world.take_writes())
            .iter()
            .flat_map(|change| change.removed.clone())
            .collect();
        assert_eq!(
            removed,
            BTreeSet::from(["r2".to_owned()]),
            "nobody else is taken out on the way"
        );
    }
}

/// C: somebody who leaves is not taken for a stranger because a page says that the account is not there.
#[test]
fn who_leaves_is_known_without_an_external_id() {
    let mut world = world(Behaviour {
        hides: ["externalId".into()].into(),
        ..Behaviour::default()
    });
    world.put("User", "u1", &ada(), &[]);
    world.calm();
    world.delete("User", "u1");
    let is_by_id = |request: &Request| {
        matches!(
            request,
            Request::Remove(_) | Request::Change(_) | Request::Read(_)
        )
    };
    suffer(&mut world, is_by_id, &[Fault::PageNotFound; 7]);
    assert_eq!(
        (world.people(), world.outbox.len(), world.links.len()),
        (0, 0, 0)
    );
}

/// E: members that are never shown are unknown, not gone.
#[test]
fn hidden_members_are_not_lost() {
    let mut world = world(Behaviour {
        hides_members: true,
        ..Behaviour::default()
    });
    for id in ["u1", "u2", "u3"] {
        world.put("User", id, &json!({"userName": id}), &[]);
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
    assert_eq!(
        world.take_writes(),
        [],
        "a comparison knows nothing, and says so"
    );
    assert!(
        world
            .log
            .iter()
            .any(|line| line.detail.contains("does not show the members"))
    );
    for fault in [
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Broken,
        Fault::NotUnderstood,
    ] {
        // A removal and then an addition whose answers are lost.
        for members in [["u1", "u3"].as_slice(), &["u1"], &["u1", "u2"]] {
            world.put("Group", "g1", &json!({"displayName": "team"}), members);
            suffer(&mut world, Request::is_write, &[fault]);
            let accounts: BTreeSet<String> = members
                .iter()
                .map(|id| world.link("User", id).remote_id.clone().unwrap())
                .collect();
            assert_eq!(world.model.members["r4"], accounts, "{fault:?} {members:?}");
        }
    }
}

/// E: an attribute that is never shown is not sent with every comparison, and a lost change of it is sent again.
#[test]
fn hidden_attributes_are_not_sent_again_and_again() {
    let mut world = world(Behaviour {
        hides: ["title".into()].into(),
        ..Behaviour::default()
    });
    world.put("User", "u1", &ada(), &[]);
    world.calm();
    world.take_writes();
    for _ in 0..2 {
        world.mark_all();
        world.calm();
        assert_eq!(world.take_writes(), []);
    }
    world.put("User", "u1", &json!({"userName": "ada", "title": "Lady", "phoneNumbers": [{"value": "+1"}], "active": true}), &[]);
    suffer(&mut world, Request::is_write, &[Fault::LostBefore]);
    assert_eq!(world.account("User", "r1")["title"], "Lady");
    world.put(
        "User",
        "u1",
        &json!({"userName": "ada", "phoneNumbers": [{"value": "+1"}], "active": true}),
        &[],
    );
    suffer(&mut world, Request::is_write, &[Fault::LostBefore]);
    assert_eq!(world.account("User", "r1").get("title"), None);
}

/// F: what the answer shows is what is.
#[test]
fn an_answer_that_shows_otherwise_is_a_difference() {
    let mut world = world(Behaviour {
        creates_active: true,
        ..Behaviour::default()
    });
    world.put(
        "User",
        "u1",
        &json!({"userName": "ada", "active": false}),
        &[],
    );
    world.calm();
    assert_eq!(world.account("User", "r1")["active"], json!(false));
    assert_eq!(world.outbox.len(), 0);
}

/// F: what stays different is held, and not sent for ever.
#[test]
fn what_is_accepted_and_not_stored_is_held() {
    for silent in [false, true] {
        let mut world = world(Behaviour {
            keeps_active: true,
            silent,
            ..Behaviour::default()
        });
        world.put(
            "User",
            "u1",
            &json!({"userName": "ada", "active": true}),
            &[],
        );
        world.calm();
        world.take_writes();
        world.put(
            "User",
            "u1",
            &json!({"userName": "ada", "title": "x", "active": false}),
            &[],
        );
        world.calm();
        assert_eq!(world.account("User", "r1")["title"], "x");
        assert_eq!(world.held().len(), 1, "{:?}", world.log);
        assert!(world.held()[0].starts_with("active was accepted, not stored"));
        assert!(world.take_writes().len() <= 4);
    }
}

/// F: an attribute that others show and this account does not, although it was just sent, was not stored.
#[test]
fn what_others_show_and_this_one_does_not_was_not_stored() {
    let mut world = world(Behaviour::default());
    world.put("User", "u1", &ada(), &[]);
    world.put(
        "User",
        "u2",
        &json!({"userName": "bob", "active": true}),
        &[],
    );
    world.calm();
    world.model.behaviour.drops = ["title".to_owned()].into();
    world.put(
        "User",
        "u2",
        &json!({"userName": "bob", "title": "x", "nickName": "B", "active": true}),
        &[],
    );
    world.calm();
    assert_eq!(
        world.held(),
        ["title was accepted, not stored: the application shows another value"]
    );
    assert_eq!(world.account("User", "r2")["nickName"], "B");
}

/// G: a page of others proves nothing.
#[test]
fn an_ignored_filter_makes_no_twin() {
    let mut world = world(Behaviour {
        ignores_filters: true,
        ..Behaviour::default()
    });
    for id in ["a", "b", "c"] {
        world.model.put(
            "User",
            id,
            json!({"userName": format!("Name-{id}"), "active": true}),
            &[],
        );
    }
    world.put(
        "User",
        "u1",
        &json!({"userName": "name-c", "active": true}),
        &[],
    );
    world.put(
        "User",
        "u2",
        &json!({"userName": "name-d", "active": true}),
        &[],
    );
    world.calm();
    assert_eq!(
        (
            world.people(),
            world.link("User", "u1").remote_id.as_deref()
        ),
        (4, Some("c"))
    );
}

/// H: one member whom the application does not take does not keep the others out.
#[test]
fn one_refused_member_holds_nobody_else() {
    for breaks_on_member in [false, true] {
        let mut world = world(Behaviour {
            refused_member: Some("r3".into()),
            breaks_on_member,
            ..Behaviour::default()
        });
        let ids = ["u1", "u2", "u3", "u4", "u5"];
        for id in ids {
            world.put("User", id, &json!({"userName": id}), &[]);
        }
        world.put("Group", "g1", &json!({"displayName": "team"}), &ids);
        let mut count = 0;
        // Where it fails each time it is tried again for ever; here for as long as it takes to see.
        let mut fate = |_: &Request| {
            count += 1;
            Fate::default()
        };
        if breaks_on_member {
            for _ in 0..40 {
                let due: Vec<_> = world
                    .outbox
                    .iter()
                    .filter(|(_, entry)| !entry.held)
                    .map(|(_, entry)| entry.attempts)
                    .collect();
                if due.iter().all(|attempts| *attempts >= 4) && !due.is_empty() {
                    break;
                }
                world.step(&mut fate);
            }
        } else {
            assert!(world.settle(&mut fate));
        }
        let group = world.link("Group", "g1").remote_id.clone().unwrap();
        let expected: BTreeSet<String> = ["r1", "r2", "r4", "r5"].map(str::to_owned).into();
        assert_eq!(world.model.members[&group], expected, "{breaks_on_member}");
        assert_eq!(world.outbox.len(), 1);
        // Once it is taken, it joins.
        world.model.behaviour.refused_member = None;
        world.put("Group", "g1", &json!({"displayName": "team"}), &ids);
        world.calm();
        assert_eq!(world.model.members[&group].len(), 5);
        assert!(count > 0);
    }
}

/// I: names are compared as the schema says.
#[test]
fn a_name_in_another_case_is_the_same_name() {
    let base = Behaviour {
        unique_names: true,
        lower_case: true,
        searches_with_case: true,
        ..Behaviour::default()
    };
    for (behaviour, there) in [(base.clone(), "ada.king"), (base, "ADA.KING")] {
        let mut world = world(behaviour);
        world.model.put(
            "User",
            "old",
            json!({"userName": there, "active": true}),
            &[],
        );
        world.put(
            "User",
            "u1",
            &json!({"userName": "Ada.King", "active": true}),
            &[],
        );
        world.calm();
        assert_eq!(
            (
                world.people(),
                world.link("User", "u1").remote_id.as_deref()
            ),
            (1, Some("old")),
            "{there}"
        );
        world.take_writes();
        world.mark_all();
        world.calm();
        assert_eq!(world.take_writes(), [], "a comparison writes nothing");
    }
}

/// I: a name that one of ours keeps is disputed with the reason, and nobody gets a twin.
#[test]
fn a_name_that_one_of_ours_keeps_is_held_with_its_owner() {
    let mut world = world(Behaviour {
        unique_names: true,
        ..Behaviour::default()
    });
    world.put("User", "u1", &json!({"userName": "ada"}), &[]);
    world.put("User", "u2", &json!({"userName": "ADA"}), &[]);
    world.calm();
    assert_eq!((world.people(), world.held().len()), (1, 1));
    assert!(
        world.held()[0]
            .ends_with(r#"the account that has the name is linked to another resource, "u1""#),
        "{:?}",
        world.held()
    );
}

/// J: a search that fails, and a discovery that does, stop nothing.
#[test]
fn conveniences_that_fail_stop_nothing() {
    for attribute in ["externalId", "userName"] {
        let mut world = world(Behaviour {
            failing_search: Some(attribute),
            no_discovery: true,
            ..Behaviour::default()
        });
        for id in ["u1", "u2", "u3", "u4"] {
            world.put("User", id, &json!({ "userName": id }), &[]);
        }
        world.calm();
        assert_eq!((world.people(), world.outbox.len()), (4, 0));
        let failed = |request: &&Request| matches!(request, Request::Find(Lookup { attribute: it, .. }) if it == attribute);
        assert_eq!(
            world.model.requests.iter().filter(failed).count(),
            2,
            "what fails twice is not used"
        );
        let asked = world
            .model
            .requests
            .iter()
            .filter(|request| **request == Request::Discover)
            .count();
        assert_eq!(asked, 1, "and is asked again later");
        world.pass(3_600);
        world.put("User", "u5", &json!({"userName": "u5"}), &[]);
        world.calm();
        let asked = world
            .model
            .requests
            .iter()
            .filter(|request| **request == Request::Discover)
            .count();
        assert_eq!(asked, 2);
    }
}

/// K: an application that wants to be left alone is left alone, also after a success.
#[test]
fn a_wait_is_kept() {
    let mut world = world(Behaviour::default());
    for number in 0..6 {
        world.put(
            "User",
            &format!("u{number}"),
            &json!({"userName": format!("u{number}")}),
            &[],
        );
    }
    let mut refused = 0;
    let mut throttled = [false, true, true].into_iter().cycle();
    let mut fate = |request: &Request| {
        let fault = if request.is_write() && throttled.next() == Some(true) {
            Some(Fault::Throttled)
        } else {
            None
        };
        refused += usize::from(fault.is_some());
        Fate {
            fault,
            crash: false,
        }
    };
    assert!(world.settle(&mut fate));
    assert_eq!(world.people(), 6);
    assert!(
        world.log.iter().all(|line| line.attempt == 1),
        "a wait is no attempt"
    );
}

/// Adopting a group: members that the directory does not know stay.
#[test]
fn an_adopted_group_keeps_its_strangers() {
    for no_patch in [false, true] {
        let mut world = world(Behaviour {
            no_patch,
            ..Behaviour::default()
        });
        for id in ["s1", "s2"] {
            world.model.put(
                "User",
                id,
                json!({"userName": format!("stranger-{id}"), "active": true}),
                &[],
            );
        }
        for id in ["u1", "u2"] {
            world.put("User", id, &json!({ "userName": id }), &[]);
        }
        world.calm();
        world.model.put(
            "Group",
            "old",
            json!({"displayName": "Team"}),
            &["s1", "s2", "r2"],
        );
        world.put("Group", "g1", &json!({"displayName": "team"}), &["u1"]);
        world.calm();
        let expected: BTreeSet<String> = ["s1", "s2", "r1"].map(str::to_owned).into();
        assert_eq!(world.model.members["old"], expected, "{no_patch}");
        world.take_writes();
        world.mark_all();
        world.calm();
        assert_eq!(world.take_writes(), []);
        assert!(
            world
                .log
                .iter()
                .any(|line| line.detail
                    == "members that the directory does not know stay (2): s1, s2")
        );
        world.put(
            "Group",
            "g1",
            &json!({"displayName": "team"}),
            &["u1", "u2"],
        );
        world.calm();
        assert_eq!(world.model.members["old"].len(), 4);
    }
}
