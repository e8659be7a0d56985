//! `Catalogue`: what is said of an application comes back, its token sealed at rest, its names apart by tenant, its end complete.

use std::sync::Arc;

use jiff::Timestamp;
use provisioning::application::{
    Application, ApplicationId, ApplicationSettings, ApplicationState, Secret,
};
use provisioning::ledger::NewApplication;

use crate::ledger::{due, link, log_entry, pair, record};
use crate::place::{Place, World, entry, on_both_engines};

on_both_engines!(
    an_application_comes_back,
    a_name_is_taken_once_in_a_tenant,
    the_state_is_set,
    nothing_is_left_of_a_removed_one,
    the_token_is_sealed_at_rest,
    one_that_is_added_while_people_are_misses_nobody,
);

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

pub(crate) fn new(name: &str) -> NewApplication {
    let settings = ApplicationSettings {
        members_per_patch_max: 7,
        delete_users: false,
        ..ApplicationSettings::default()
    };
    NewApplication {
        name: name.into(),
        base_url: format!("https://{name}.example.com/scim"),
        token: Secret::new(format!("s3cret of {name}")),
        settings,
        at: at(0),
    }
}

pub(crate) async fn add(world: &World, name: &str) -> Application {
    world
        .opened
        .catalogue
        .add_application(world.tenant.id, new(name), entry())
        .await
        .unwrap()
        .unwrap()
}

async fn an_application_comes_back(place: Place) {
    let world = World::new(&place).await;
    let (wiki, chat) = (add(&world, "wiki").await, add(&world, "chat").await);
    assert_eq!(
        (wiki.name.as_str(), wiki.base_url.as_str(), wiki.tenant),
        ("wiki", "https://wiki.example.com/scim", world.tenant.id)
    );
    assert_eq!(
        (wiki.token.reveal(), wiki.state, wiki.created),
        ("s3cret of wiki", ApplicationState::Live, at(0))
    );
    assert_eq!(wiki.settings, new("wiki").settings);
    let again = place.open().await;
    assert_eq!(
        again
            .catalogue
            .list_applications(world.tenant.id)
            .await
            .unwrap(),
        [chat, wiki.clone()]
    );
    assert_eq!(
        again
            .ledger
            .read_application(world.tenant.id, wiki.id)
            .await
            .unwrap(),
        Some(wiki.clone())
    );
    assert_eq!(
        again
            .ledger
            .read_application(world.tenant.id, ApplicationId(wiki.id.0 + 100))
            .await
            .unwrap(),
        None
    );
    let other = World::in_store(again, "other", Arc::default()).await;
    assert_eq!(
        other
            .opened
            .catalogue
            .list_applications(other.tenant.id)
            .await
            .unwrap(),
        []
    );
    assert_eq!(
        other
            .opened
            .ledger
            .read_application(other.tenant.id, wiki.id)
            .await
            .unwrap(),
        None
    );
}

async fn a_name_is_taken_once_in_a_tenant(place: Place) {
    let world = World::new(&place).await;
    add(&world, "wiki").await;
    assert_eq!(
        world
            .opened
            .catalogue
            .add_application(world.tenant.id, new("wiki"), entry())
            .await
            .unwrap(),
        None
    );
    let other = World::in_store(world.opened.clone(), "other", Arc::default()).await;
    add(&other, "wiki").await;
    assert_eq!(
        world
            .opened
            .catalogue
            .list_applications(world.tenant.id)
            .await
            .unwrap()
            .len(),
        1
    );
}

async fn the_state_is_set(place: Place) {
    let world = World::new(&place).await;
    let (wiki, catalogue) = (add(&world, "wiki").await, &world.opened.catalogue);
    assert!(
        catalogue
            .set_application_state(world.tenant.id, wiki.id, ApplicationState::Paused, entry())
            .await
            .unwrap()
    );
    assert_eq!(
        catalogue.list_applications(world.tenant.id).await.unwrap()[0].state,
        ApplicationState::Paused
    );
    assert!(
        !catalogue
            .set_application_state(
                world.tenant.id,
                ApplicationId(wiki.id.0 + 100),
                ApplicationState::Paused,
                entry()
            )
            .await
            .unwrap()
    );
    assert!(
        catalogue
            .set_application_state(world.tenant.id, wiki.id, ApplicationState::Live, entry())
            .await
            .unwrap()
    );
    assert_eq!(
        catalogue.list_applications(world.tenant.id).await.unwrap()[0].state,
        ApplicationState::Live
    );
}

async fn nothing_is_left_of_a_removed_one(place: Place) {
    let world = World::new(&place).await;
    world.user("ann").await;
    let (wiki, chat) = (add(&world, "wiki").await, add(&world, "chat").await);
    let ledger = &world.opened.ledger;
    for application in [&wiki, &chat] {
        let claim = due(&world, 10)
            .await
            .into_iter()
            .find(|claim| claim.application == application.id);
        let Some(claim) = claim else {
            panic!("nothing was claimed for {}", application.name)
        };
        let mut done = record(&claim);
        done.link = provisioning::ledger::LinkChange::Set(link(&claim, Some("remote")));
        done.awaits = Some(vec!["bob".into()]);
        done.log = vec![log_entry("ann", "done", 10)];
        ledger.record(done).await.unwrap();
        ledger
            .mark_out_of_date(
                world.tenant.id,
                None,
                vec![pair(application.id, "User", "ann", 2, 20)],
            )
            .await
            .unwrap();
        // Whatever else was claimed: its lease runs out before the next turn.
        place
            .execute("UPDATE outbox SET lease_until = 0, due = 0")
            .await;
    }
    assert!(
        world
            .opened
            .catalogue
            .remove_application(world.tenant.id, wiki.id, entry())
            .await
            .unwrap()
    );
    assert!(
        !world
            .opened
            .catalogue
            .remove_application(world.tenant.id, wiki.id, entry())
            .await
            .unwrap()
    );
    for table in [
        "applications",
        "outbox",
        "links",
        "awaits",
        "provisioning_log",
    ] {
        let of = |id: ApplicationId| {
            format!("SELECT count(*) FROM {table} WHERE application = {}", id.0)
        };
        assert_eq!(place.number(&of(wiki.id)).await, 0, "{table}");
        assert!(place.number(&of(chat.id)).await > 0, "{table}");
    }
    // The engine of a moment ago comes too late.
    ledger
        .mark_out_of_date(
            world.tenant.id,
            None,
            vec![pair(wiki.id, "User", "ann", 2, 30)],
        )
        .await
        .unwrap();
    assert_eq!(
        world
            .opened
            .catalogue
            .compare_again(world.tenant.id, wiki.id, None, at(30), entry())
            .await
            .unwrap(),
        0
    );
    assert_eq!(
        place
            .number(&format!(
                "SELECT count(*) FROM outbox WHERE application = {}",
                wiki.id.0
            ))
            .await,
        0
    );
    // Its successor is another one.
    assert_ne!(add(&world, "wiki").await.id, wiki.id);
}

async fn the_token_is_sealed_at_rest(place: Place) {
    let world = World::new(&place).await;
    add(&world, "wiki").await;
    let shown = "SELECT count(*) FROM applications WHERE CAST(token AS TEXT) LIKE '%s3cret%' OR settings LIKE '%s3cret%'";
    assert_eq!(place.number(shown).await, 0);
    let longer = "SELECT count(*) FROM applications WHERE length(token) > 28";
    assert_eq!(place.number(longer).await, 1, "nonce, sealed bytes and tag");
    // Sealed for this name in this tenant, and not for another.
    place.execute("UPDATE applications SET name = 'blog'").await;
    world
        .opened
        .catalogue
        .list_applications(world.tenant.id)
        .await
        .unwrap_err();
}

/// People arrive while applications are added: each is either in the first look or in a change after it.
async fn one_that_is_added_while_people_are_misses_nobody(place: Place) {
    let world = World::new(&place).await;
    let other_node = place.open().await;
    let people = {
        let world = world.clone();
        tokio::spawn(async move {
            for number in 0..60 {
                world.user(&format!("user{number}")).await;
            }
        })
    };
    let dispatcher = {
        let (world, ledger, catalogue) = (
            world.clone(),
            other_node.ledger.clone(),
            other_node.catalogue.clone(),
        );
        let dispatch = async move |world: &World| {
            let changes = ledger.read_changes(world.tenant.id, 1_000).await.unwrap();
            let Some(cursor) = changes.last().map(|change| change.sequence) else {
                return;
            };
            let applications = catalogue.list_applications(world.tenant.id).await.unwrap();
            let of = |id: &str| {
                applications
                    .iter()
                    .map(|a| pair(a.id, "User", id, 2, 0))
                    .collect::<Vec<_>>()
            };
            let pairs = changes
                .iter()
                .flat_map(|change| of(&change.resource_id))
                .collect();
            ledger
                .mark_out_of_date(world.tenant.id, Some(cursor), pairs)
                .await
                .unwrap();
        };
        tokio::spawn(async move {
            while !people.is_finished() {
                dispatch(&world).await;
                tokio::task::yield_now().await;
            }
            people.await.unwrap();
            dispatch(&world).await;
        })
    };
    for number in 0..8 {
        add(&world, &format!("application{number}")).await;
    }
    dispatcher.await.unwrap();
    assert_eq!(place.number("SELECT count(*) FROM outbox").await, 60 * 8);
}
