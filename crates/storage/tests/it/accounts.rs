//! Whose account it is, who refers to it, and whether anything may be sent to it now: what the engine asks `Ledger` while it works.

use provisioning::application::ApplicationState;
use provisioning::ledger::{Claim, LinkChange, Next, Record, Written};
use scim_protocol::schema::standard::{ENTERPRISE_USER, USER};
use serde_json::json;

use crate::applications::at;
use crate::ledger::{done, due, link, log_entry, mark, pair, record, start};
use crate::place::{Place, entry, on_both_engines};

on_both_engines!(
    an_account_belongs_to_one_resource,
    whoever_refers_to_an_account_that_was_made_anew_is_marked,
    an_application_is_served_unless_it_is_paused_or_asked_to_be_left_alone,
);

async fn an_account_belongs_to_one_resource(place: Place) {
    let (world, wiki) = start(&place).await;
    let ledger = &world.opened.ledger;
    mark(
        &world,
        vec![
            pair(wiki.id, "User", "ann", 2, 0),
            pair(wiki.id, "User", "bob", 2, 0),
            pair(wiki.id, "Group", "team", 3, 0),
        ],
    )
    .await;
    let claims = due(&world, 1).await;
    let of = |id: &str| claims.iter().find(|claim| claim.resource_id == id).unwrap();
    let write = async |claim: &Claim, remote: &str| {
        ledger
            .write_link(
                claim,
                link(claim, Some(remote)),
                vec![log_entry(remote, "done", 2)],
            )
            .await
            .unwrap()
    };
    // Both have looked and found it free.
    let (ann, bob) = tokio::join!(write(of("ann"), "r1"), write(of("bob"), "r1"));
    assert!(
        matches!(
            (ann, bob),
            (Written::Written, Written::Taken) | (Written::Taken, Written::Written)
        ),
        "{ann:?} {bob:?}"
    );
    let owner = ledger
        .find_linked(world.tenant.id, wiki.id, "User", "r1")
        .await
        .unwrap()
        .unwrap();
    // Nor is a line written about a link that is not.
    assert_eq!(
        ledger
            .read_log(world.tenant.id, None, Some("r1"), 10)
            .await
            .unwrap()
            .len(),
        1
    );
    assert_eq!(write(of(&owner), "r1").await, Written::Written, "its own");
    assert_eq!(
        ledger
            .find_linked(world.tenant.id, wiki.id, "User", "r2")
            .await
            .unwrap(),
        None
    );
}

async fn whoever_refers_to_an_account_that_was_made_anew_is_marked(place: Place) {
    let (world, wiki) = start(&place).await;
    let ledger = &world.opened.ledger;
    world.user("ann").await;
    let bob = json!({"schemas": [USER, ENTERPRISE_USER], "userName": "bob", ENTERPRISE_USER: {"manager": {"value": "ann"}}});
    world
        .commit_one(world.create_with("User", "bob", bob, &[]))
        .await
        .unwrap();
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    for remote in ["r1", "r1", "r2"] {
        let claims = due(&world, 100).await;
        let ann = claims
            .iter()
            .find(|claim| claim.resource_id == "ann")
            .unwrap();
        done(
            &world,
            &claims
                .iter()
                .filter(|claim| claim.resource_id != "ann")
                .cloned()
                .collect::<Vec<_>>(),
        )
        .await;
        ledger
            .record(Record {
                link: LinkChange::Set(link(ann, Some(remote))),
                ..record(ann)
            })
            .await
            .unwrap();
        let marked = due(&world, 200).await;
        let expected: &[&str] = if remote == "r2" { &["bob"] } else { &[] };
        assert_eq!(
            marked
                .iter()
                .map(|claim| claim.resource_id.as_str())
                .collect::<Vec<_>>(),
            expected,
            "{remote}"
        );
        done(&world, &marked).await;
        mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    }
}

async fn an_application_is_served_unless_it_is_paused_or_asked_to_be_left_alone(place: Place) {
    let (world, wiki) = start(&place).await;
    let (ledger, tenant) = (&world.opened.ledger, world.tenant.id);
    let served = async |seconds| {
        ledger
            .is_served(tenant, wiki.id, at(seconds))
            .await
            .unwrap()
    };
    assert!(served(1).await);
    mark(&world, vec![pair(wiki.id, "User", "ann", 2, 0)]).await;
    assert!(
        ledger.is_waiting(tenant, wiki.id, "ann").await.unwrap()
            && !ledger.is_waiting(tenant, wiki.id, "bob").await.unwrap()
    );
    let claim = due(&world, 1).await.remove(0);
    ledger
        .record(Record {
            next: Next::PauseUntil(at(50)),
            ..record(&claim)
        })
        .await
        .unwrap();
    assert!(!served(49).await && served(50).await);
    let claim = due(&world, 50).await.remove(0);
    ledger
        .record(Record {
            next: Next::Hold,
            ..record(&claim)
        })
        .await
        .unwrap();
    assert!(
        !ledger.is_waiting(tenant, wiki.id, "ann").await.unwrap(),
        "what is held waits for a person"
    );
    world
        .opened
        .catalogue
        .set_application_state(tenant, wiki.id, ApplicationState::Paused, entry())
        .await
        .unwrap();
    assert!(!served(60).await);
    world
        .opened
        .catalogue
        .set_application_state(tenant, wiki.id, ApplicationState::Live, entry())
        .await
        .unwrap();
    world
        .opened
        .life
        .set_suspended(tenant, true, entry())
        .await
        .unwrap();
    assert!(!served(60).await);
}
