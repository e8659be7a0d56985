//! Turning back what was done in a window, as far as later changes allow: what each resource and each membership should be again, and what stays and why.
//! Only decides; `directory/undo.rs` reads and commits.

use std::collections::{HashMap, HashSet};

use serde_json::{Map, Value};

use crate::history::{Entry, Kind, MemberChange};

/// What should become of a resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Turn {
    /// It is as it should be.
    Nothing,
    /// It was made in the window: it goes.
    Delete,
    /// It was deleted in the window: it comes back with this document.
    Restore(Map<String, Value>),
    /// It should hold this.
    Update(Map<String, Value>),
}

/// What should become of a resource, and which of its attributes stay as they are because others changed them since (all of it: `*`).
#[derive(Clone, Debug, PartialEq)]
pub struct Verdict {
    /// What to do.
    pub turn: Turn,
    /// What stays, and why.
    pub kept: Vec<(String, String)>,
}

/// Decides about one resource. `entries` are its changes in order, the first of them one of the window's; `is_meant` says which are.
pub fn decide(
    entries: &[Entry],
    is_meant: impl Fn(&Entry) -> bool,
    present: Option<&Map<String, Value>>,
) -> Verdict {
    let states = states(entries, present);
    let nothing = Verdict {
        turn: Turn::Nothing,
        kept: Vec::new(),
    };
    let (Some(first), Some(before), Some(now)) = (entries.first(), states.first(), states.last())
    else {
        return nothing;
    };
    let keep_all = |by: &Entry| {
        let why = format!("`{}` changed it at {}", by.credential_id, by.at);
        Verdict {
            turn: Turn::Nothing,
            kept: vec![("*".to_owned(), why)],
        }
    };
    let foreign = entries.iter().find(|entry| !is_meant(entry));
    match (before, now) {
        (None, None) => nothing,
        // Made or brought back in the window.
        (None, Some(_)) => match foreign {
            Some(by) if matches!(first.kind, Kind::Create | Kind::Restore) => keep_all(by),
            _ => Verdict {
                turn: Turn::Delete,
                kept: Vec::new(),
            },
        },
        (Some(_), None) => match entries.iter().rfind(|entry| entry.kind == Kind::Delete) {
            Some(deletion) if is_meant(deletion) => {
                let alive: Vec<&Map<String, Value>> = states.iter().flatten().copied().collect();
                let last = alive.last().copied().cloned().unwrap_or_default();
                let (document, kept) = revert(&states, entries, is_meant, last);
                Verdict {
                    turn: Turn::Restore(document),
                    kept,
                }
            }
            Some(deletion) => keep_all(deletion),
            None => nothing,
        },
        (Some(_), Some(now)) => {
            let (document, kept) = revert(&states, entries, is_meant, (*now).clone());
            let turn = if document == **now {
                Turn::Nothing
            } else {
                Turn::Update(document)
            };
            Verdict { turn, kept }
        }
    }
}

/// What the resource held before each change, and at last what it holds; `None` where it did not exist.
fn states<'a>(
    entries: &'a [Entry],
    present: Option<&'a Map<String, Value>>,
) -> Vec<Option<&'a Map<String, Value>>> {
    let mut after = present;
    let mut states = vec![present];
    for entry in entries.iter().rev() {
        after = match entry.kind {
            Kind::Create | Kind::Restore => None,
            Kind::Update | Kind::Members | Kind::Delete => entry.before.as_ref().or(after),
        };
        states.push(after);
    }
    states.reverse();
    states
}

/// The document with the attributes that the window changed as they were before, apart from those that others changed since.
fn revert(
    states: &[Option<&Map<String, Value>>],
    entries: &[Entry],
    is_meant: impl Fn(&Entry) -> bool,
    mut document: Map<String, Value>,
) -> (Map<String, Value>, Vec<(String, String)>) {
    let mut names: Vec<&String> = states
        .iter()
        .flatten()
        .flat_map(|state| state.keys())
        .collect();
    names.sort_unstable();
    names.dedup();
    let mut kept = Vec::new();
    for name in names {
        // `Some(None)`: it was there, without this attribute.
        let value =
            |state: Option<&Map<String, Value>>| state.map(|state| state.get(name).cloned());
        let changes = entries
            .iter()
            .zip(states.iter().zip(states.iter().skip(1)))
            .filter_map(|(entry, (before, after))| {
                let (before, after) = (value(*before)?, value(*after)?);
                (before != after).then_some((entry, before))
            });
        let changes: Vec<(&Entry, Option<Value>)> = changes.collect();
        let Some(start) = changes.iter().position(|(entry, _)| is_meant(entry)) else {
            continue;
        };
        let Some((_, wanted)) = changes.get(start) else {
            continue;
        };
        if document.get(name) == wanted.as_ref() {
            continue;
        }
        if let Some((by, _)) = changes
            .iter()
            .skip(start)
            .find(|(entry, _)| !is_meant(entry))
        {
            kept.push((
                name.clone(),
                format!("`{}` changed it at {}", by.credential_id, by.at),
            ));
            continue;
        }
        match wanted {
            Some(value) => drop(document.insert(name.clone(), value.clone())),
            None => drop(document.shift_remove(name)),
        }
    }
    (document, kept)
}

/// Unique values of a resource: those that it is to hold again, and those that it holds.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// To hold again.
    pub wanted: HashSet<Name>,
    /// Held now.
    pub held: HashSet<Name>,
}

/// A unique value: the type of its resource, its path, its key.
pub type Name = (String, String, Vec<u8>);

/// The circles of resources that gave names to each other, by their places: they can only be turned back together. A resource without such a name is alone.
pub fn circles(names: &[Names]) -> Vec<Vec<usize>> {
    let held = names
        .iter()
        .enumerate()
        .flat_map(|(place, names)| names.held.iter().map(move |name| (name, place)));
    let holders: HashMap<&Name, usize> = held.collect();
    let mut neighbours = vec![Vec::new(); names.len()];
    for (place, names) in names.iter().enumerate() {
        for holder in names.wanted.iter().filter_map(|name| holders.get(name)) {
            for (one, other) in [(place, *holder), (*holder, place)] {
                neighbours
                    .get_mut(one)
                    .into_iter()
                    .for_each(|of_one: &mut Vec<usize>| of_one.push(other));
            }
        }
    }
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for start in 0..names.len() {
        let (mut circle, mut next) = (Vec::new(), vec![start]);
        while let Some(place) = next.pop() {
            if seen.insert(place) {
                circle.push(place);
                next.extend(neighbours.get(place).into_iter().flatten());
            }
        }
        found.extend(Some(circle).filter(|circle| !circle.is_empty()));
    }
    found
}

/// Members that should be there again, and those that should not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberTurn {
    /// To join again.
    pub join: Vec<String>,
    /// To leave again.
    pub leave: Vec<String>,
    /// Those that others moved since.
    pub kept: Vec<String>,
}

/// Decides about the members of one group. `changes` are in order; `is_meant` says which the window made.
pub fn decide_members(
    changes: &[MemberChange],
    is_meant: impl Fn(&MemberChange) -> bool,
) -> MemberTurn {
    let mut turn = MemberTurn::default();
    let mut seen = HashSet::new();
    for (place, change) in changes.iter().enumerate() {
        if !is_meant(change) || !seen.insert(change.member_id.as_str()) {
            continue;
        }
        let wanted = !change.joined;
        let later = changes
            .iter()
            .skip(place)
            .filter(|later| later.member_id == change.member_id);
        let later: Vec<&MemberChange> = later.collect();
        if later.last().is_some_and(|last| last.joined == wanted) {
            continue;
        }
        let id = change.member_id.clone();
        if later.iter().any(|later| !is_meant(later)) {
            turn.kept.push(id);
        } else if wanted {
            turn.join.push(id);
        } else {
            turn.leave.push(id);
        }
    }
    turn
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::Timestamp;
    use serde_json::json;
    use uuid::Uuid;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        let Value::Object(object) = value else {
            panic!("an object")
        };
        object
    }

    fn entry(version: u64, kind: Kind, by: &str, before: Option<Value>) -> Entry {
        let (at, change_id) = (Timestamp::UNIX_EPOCH, Uuid::nil());
        Entry {
            version,
            kind,
            at,
            change_id,
            credential_id: by.into(),
            before: before.map(object),
            created: at,
        }
    }

    fn check(entries: &[Entry], present: Option<Value>, turn: Turn, kept: &[&str]) {
        let present = present.map(object);
        let verdict = decide(
            entries,
            |entry| entry.credential_id == "bad",
            present.as_ref(),
        );
        let names: Vec<&str> = verdict.kept.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((verdict.turn, names), (turn, kept.to_vec()), "{entries:?}");
    }

    #[test]
    fn what_was_changed_is_changed_back() {
        let bad = |before| entry(2, Kind::Update, "bad", Some(before));
        check(
            &[bad(json!({"a": 1}))],
            Some(json!({"a": 2})),
            Turn::Update(object(json!({"a": 1}))),
            &[],
        );
        check(
            &[bad(json!({"a": 1}))],
            Some(json!({"a": 1, "b": 1})),
            Turn::Update(object(json!({"a": 1}))),
            &[],
        );
        check(
            &[bad(json!({"a": 1})), bad(json!({"a": 2}))],
            Some(json!({"a": 1})),
            Turn::Nothing,
            &[],
        );
    }

    #[test]
    fn what_others_changed_since_stays() {
        let entries = [
            entry(2, Kind::Update, "bad", Some(json!({"a": 1, "b": 1}))),
            entry(3, Kind::Update, "good", Some(json!({"a": 2, "b": 2}))),
        ];
        check(
            &entries,
            Some(json!({"a": 3, "b": 2})),
            Turn::Update(object(json!({"a": 3, "b": 1}))),
            &["a"],
        );
        check(
            &entries,
            Some(json!({"a": 1, "b": 2})),
            Turn::Update(object(json!({"a": 1, "b": 1}))),
            &[],
        );
    }

    #[test]
    fn what_was_made_goes_and_what_was_deleted_comes_back() {
        check(
            &[entry(1, Kind::Create, "bad", None)],
            Some(json!({"a": 1})),
            Turn::Delete,
            &[],
        );
        let touched = [
            entry(1, Kind::Create, "bad", None),
            entry(2, Kind::Update, "good", Some(json!({"a": 1}))),
        ];
        check(&touched, Some(json!({"a": 2})), Turn::Nothing, &["*"]);
        check(
            &[
                entry(1, Kind::Create, "bad", None),
                entry(2, Kind::Delete, "bad", Some(json!({}))),
            ],
            None,
            Turn::Nothing,
            &[],
        );
        let gone = [
            entry(2, Kind::Update, "bad", Some(json!({"a": 1}))),
            entry(3, Kind::Delete, "bad", Some(json!({"a": 2}))),
        ];
        check(&gone, None, Turn::Restore(object(json!({"a": 1}))), &[]);
        let later = [
            entry(2, Kind::Update, "bad", Some(json!({"a": 1}))),
            entry(3, Kind::Delete, "good", Some(json!({"a": 2}))),
        ];
        check(&later, None, Turn::Nothing, &["*"]);
        let back = [
            entry(2, Kind::Delete, "bad", Some(json!({"a": 1}))),
            entry(3, Kind::Restore, "good", None),
        ];
        check(&back, Some(json!({"a": 1})), Turn::Nothing, &[]);
    }

    #[test]
    fn those_who_hand_names_to_each_other_are_turned_back_together() {
        let keys = |texts: &[&str]| {
            texts
                .iter()
                .map(|text| {
                    (
                        "User".to_owned(),
                        "userName".to_owned(),
                        text.as_bytes().to_vec(),
                    )
                })
                .collect()
        };
        let names = [
            ("a", "b"),
            ("x", "y"),
            ("b", "c"),
            ("z", "z2"),
            ("c", "a"),
            ("y", "x"),
        ];
        let names = names.map(|(wanted, held)| Names {
            wanted: keys(&[wanted]),
            held: keys(&[held]),
        });
        let found: Vec<BTreeSet<usize>> = circles(&names)
            .into_iter()
            .map(BTreeSet::from_iter)
            .collect();
        assert_eq!(
            found,
            [
                BTreeSet::from([0, 2, 4]),
                BTreeSet::from([1, 5]),
                BTreeSet::from([3])
            ]
        );
    }

    #[test]
    fn members_go_back() {
        let change = |version: u64, id: &str, joined: bool| MemberChange {
            version,
            member_id: id.into(),
            joined,
        };
        // Odd versions are the window's.
        let changes = [
            change(1, "a", false),
            change(1, "b", true),
            change(1, "c", false),
            change(2, "c", true),
            change(3, "d", false),
            change(4, "d", true),
            change(5, "d", false),
            change(6, "e", true),
        ];
        let turn = decide_members(&changes, |change| change.version % 2 == 1);
        let ids = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(
            turn,
            MemberTurn {
                join: ids(&["a"]),
                leave: ids(&["b"]),
                kept: ids(&["d"])
            }
        );
    }
}
