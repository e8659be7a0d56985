//! What the history says is what was: random writes, and after them every instant and every version is as a model remembers it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use directory::change_set::{Change, Former, Precondition};
use directory::history::{Deleted, Kind, Point, Remembered};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::place::{Place, World, delete, members, on_both_engines};

on_both_engines!(every_instant_is_as_it_was);

/// A resource of the model.
#[derive(Clone, Debug, PartialEq)]
struct Modelled {
    version: u64,
    document: Value,
    members: BTreeSet<String>,
}

type Model = BTreeMap<String, Modelled>;

/// A generator that needs no seed from outside: the same writes on every machine.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % sides
    }
}

const IDS: [&str; 5] = ["a", "b", "c", "g", "h"];

fn kind_of(id: &str) -> &'static str {
    if matches!(id, "g" | "h") {
        "Group"
    } else {
        "User"
    }
}

fn document(id: &str, number: usize) -> Value {
    if kind_of(id) == "Group" {
        json!({"displayName": format!("{id} {number}")})
    } else {
        json!({"userName": id, "title": number})
    }
}

struct Run {
    world: World,
    model: Model,
    dead: BTreeMap<String, u64>,
    past: Vec<(Timestamp, Model)>,
}

impl Run {
    /// One write, and what it should have done.
    async fn step(&mut self, dice: &mut Dice, number: usize) {
        let id = IDS[dice.throw(IDS.len())];
        let other = IDS[dice.throw(IDS.len())];
        let write = match (self.model.contains_key(id), dice.throw(8)) {
            (false, _) => self.make(id, number).await,
            (true, 0) => {
                let gone = self.model.remove(id).unwrap();
                self.dead.insert(id.into(), gone.version + 1);
                for group in self
                    .model
                    .values_mut()
                    .filter(|group| group.members.contains(id))
                {
                    group.members.remove(id);
                    group.version += 1;
                }
                delete(kind_of(id), id, Precondition::Exists)
            }
            (true, 1..=3) if kind_of(id) == "Group" && self.model.contains_key(other) => {
                let group = self.model.get_mut(id).unwrap();
                group.version += u64::from(group.members.insert(other.into()));
                members(id, &[other], &[])
            }
            (true, 4) if kind_of(id) == "Group" => {
                let group = self.model.get_mut(id).unwrap();
                group.version += u64::from(group.members.remove(other));
                members(id, &[], &[other])
            }
            (true, _) => {
                let resource = self.model.get_mut(id).unwrap();
                resource.document = document(id, number);
                resource.version += 1;
                self.world.replace_with(
                    kind_of(id),
                    id,
                    Precondition::Exists,
                    resource.document.clone(),
                )
            }
        };
        let change_set = self.world.change_set(vec![write]);
        let at = change_set.at;
        self.world
            .opened
            .store
            .commit(self.world.tenant.id, Arc::new(change_set))
            .await
            .unwrap();
        self.past.push((at, self.model.clone()));
    }

    async fn make(&mut self, id: &str, number: usize) -> directory::change_set::Write {
        let mut write = self
            .world
            .create_with(kind_of(id), id, document(id, number), &[]);
        let version = self.dead.remove(id).map_or(1, |dead| dead + 1);
        if version > 1 {
            let found = self
                .world
                .opened
                .history
                .deleted(self.world.tenant.id, Deleted::Id(id.into()), 1)
                .await
                .unwrap();
            assert_eq!(found[0].version, version - 1);
            let Change::Create { former, .. } = &mut write.change else {
                panic!("a create")
            };
            *former = Some(Former {
                version: found[0].version,
                created: found[0].created,
            });
        }
        self.model.insert(
            id.into(),
            Modelled {
                version,
                document: document(id, number),
                members: BTreeSet::new(),
            },
        );
        write
    }

    async fn check(&self, id: &str, point: Point, expected: Option<&Modelled>) {
        let found = self
            .world
            .opened
            .history
            .snapshot(self.world.tenant.id, id, point)
            .await
            .unwrap();
        let found = match found {
            Remembered::Was(shot) => Some(Modelled {
                version: shot.version,
                document: Value::Object(shot.document),
                members: shot.members.into_iter().collect(),
            }),
            Remembered::WasNot => None,
            // What never was has no history.
            Remembered::Unknown
                if expected.is_none()
                    && !self.model.contains_key(id)
                    && !self.dead.contains_key(id) =>
            {
                None
            }
            Remembered::Unknown => panic!("{id} {point:?} is not known"),
        };
        assert_eq!(found.as_ref(), expected, "{id} {point:?}");
    }
}

async fn every_instant_is_as_it_was(place: Place) {
    let mut dice = Dice(7);
    let world = World::new(&place).await;
    let mut run = Run {
        world,
        model: Model::new(),
        dead: BTreeMap::new(),
        past: Vec::new(),
    };
    for number in 0..120 {
        run.step(&mut dice, number).await;
    }
    for (at, model) in &run.past {
        for id in IDS {
            run.check(id, Point::At(*at), model.get(id)).await;
            if let Some(modelled) = model.get(id) {
                run.check(id, Point::Version(modelled.version), Some(modelled))
                    .await;
            }
        }
    }
    for id in IDS {
        let entries = run
            .world
            .opened
            .history
            .entries(run.world.tenant.id, id, 0, 1_000)
            .await
            .unwrap();
        let versions: Vec<u64> = entries.iter().map(|entry| entry.version).collect();
        assert_eq!(
            versions,
            (1..=u64::try_from(versions.len()).unwrap()).collect::<Vec<_>>(),
            "{id}"
        );
        assert!(entries.is_empty() || entries[0].kind == Kind::Create);
        assert!(entries.iter().all(|entry| entry.credential_id == "test"));
    }
    let restored = run
        .world
        .opened
        .history
        .entries(run.world.tenant.id, "a", 0, 1_000)
        .await
        .unwrap();
    assert!(
        restored.iter().any(|entry| entry.kind == Kind::Restore),
        "the writes should try what they are about"
    );
}
