//! The installation as a whole: the key that belongs to a database, and whether the database can be used.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use directory::readiness::NotReady;
use storage::secrets::MasterKey;

use crate::applications::add;
use crate::place::{Place, World, on_both_engines};

on_both_engines!(
    another_key_is_refused,
    a_database_without_a_check_value_is_judged_by_what_is_sealed,
    readiness_tells_of_another_key
);

fn another_key() -> Arc<MasterKey> {
    let folder = tempfile::tempdir().unwrap();
    Arc::new(MasterKey::load_or_create(&folder.path().join("key")).unwrap())
}

async fn another_key_is_refused(place: Place) {
    // Nothing is sealed yet.
    drop(place.open().await);
    let refusal = place
        .try_open_with(another_key())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        refusal.contains("not the one that the database was made with")
            && refusal.contains("backup"),
        "{refusal}"
    );
    place.open().await;
}

async fn a_database_without_a_check_value_is_judged_by_what_is_sealed(place: Place) {
    let world = World::new(&place).await;
    add(&world, "wiki").await;
    let forget = "UPDATE installation SET key_check = NULL";
    place.execute(forget).await;
    let refusal = place
        .try_open_with(another_key())
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(
        refusal.contains("not the one that the database was made with"),
        "{refusal}"
    );
    place.open().await;
    assert_eq!(
        place
            .number("SELECT CAST(length(key_check) AS BIGINT) FROM installation")
            .await,
        32
    );
    // The first key of a database in which nothing is sealed is its key from then on.
    place.execute(forget).await;
    place.execute("DELETE FROM applications").await;
    let other = another_key();
    place.try_open_with(other.clone()).await.unwrap();
    assert!(place.try_open().await.is_err());
    place.try_open_with(other).await.unwrap();
}

async fn readiness_tells_of_another_key(place: Place) {
    let opened = place.open().await;
    opened.readiness.check_readiness().await.unwrap();
    // As where another installation was put in this one's place.
    place
        .execute("UPDATE installation SET key_check = substr(key_check, 2)")
        .await;
    let found = opened.readiness.check_readiness().await;
    assert!(matches!(found, Err(NotReady::WrongKey)), "{found:?}");
}

#[tokio::test]
async fn readiness_tells_of_damage_that_was_seen() {
    let place = Place::sqlite();
    let world = World::new(&place).await;
    world.user("ann").await;
    let page = place
        .number("SELECT rootpage FROM sqlite_schema WHERE name = 'resources_by_id'")
        .await;
    place.execute("PRAGMA wal_checkpoint(TRUNCATE)").await;
    let mut file = File::options().write(true).open(place.file()).unwrap();
    file.seek(SeekFrom::Start((page.unsigned_abs() - 1) * 4_096))
        .unwrap();
    file.write_all(&[0xff; 4_096]).unwrap();
    let world = World {
        opened: place.open().await,
        ..world
    };
    world.opened.readiness.check_readiness().await.unwrap();
    let read = world
        .opened
        .store
        .read(world.tenant.id, "User", "ann", crate::place::NOTHING)
        .await;
    assert!(read.is_err(), "{read:?}");
    let found = world.opened.readiness.check_readiness().await;
    assert!(matches!(found, Err(NotReady::Damaged)), "{found:?}");
}
