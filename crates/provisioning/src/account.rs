//! Accounts as the engine speaks of them: ids, attributes, members, and the changes to them. Knows no protocol.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};

/// A member of a JSON object, its name compared without case.
pub fn get<'a>(object: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    object.get(name).or_else(|| {
        object
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// The text of a value: a string is its text, and so is a number (some applications write ids as JSON numbers).
pub fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The id of an account at an application, as text; never empty.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(String);

impl AccountId {
    /// An id; `None` where the text is empty.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        Some(text.into())
            .filter(|text: &String| !text.trim().is_empty())
            .map(Self)
    }

    /// An id as an application writes it: a string or a number.
    pub fn of_json(value: &Value) -> Option<Self> {
        text_of(value).and_then(Self::new)
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Members of a group: the id of each account, and whether it is a group itself.
pub type Members = BTreeMap<String, bool>;

/// An account as an application shows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// All that it shows, as it shows it.
    pub attributes: Map<String, Value>,
    /// The ids of its members; `None` where it shows none. An application that never shows members looks like one with an empty group.
    pub members: Option<BTreeSet<String>>,
}

impl Account {
    /// An account of what an application shows; `None` where that has no usable id.
    pub fn of_json(attributes: Map<String, Value>) -> Option<Self> {
        let id = get(&attributes, "id").and_then(AccountId::of_json)?;
        let members: Option<BTreeSet<String>> = get(&attributes, "members")
            .and_then(Value::as_array)
            .map(|members| {
                members
                    .iter()
                    .filter_map(|member| get(member.as_object()?, "value").and_then(text_of))
                    .collect()
            });
        Some(Self {
            id,
            attributes,
            members: members.filter(|members| !members.is_empty()),
        })
    }
}

impl Account {
    /// The account, where it is the one that was asked for by this id. Some applications write the letters of an id in another case when they answer.
    pub fn answering(self, asked: &AccountId) -> Option<Self> {
        self.id
            .as_str()
            .eq_ignore_ascii_case(asked.as_str())
            .then(|| Self {
                id: asked.clone(),
                ..self
            })
    }
}

/// An account that is to be made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NewAccount {
    /// Its attributes, names canonical.
    pub attributes: Map<String, Value>,
    /// Its members.
    pub members: Members,
}

/// An account as a whole, for applications that cannot change parts of one.
#[derive(Clone, Debug, PartialEq)]
pub struct Replacement {
    /// The account.
    pub id: AccountId,
    /// All of its attributes afterwards, with those that are the application's own.
    pub attributes: Map<String, Value>,
    /// All of its members afterwards.
    pub members: Members,
}

/// Where a value is in an account: an attribute of the core schema or of an extension, or a sub-attribute of a single complex attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The URN of the extension.
    pub extension: Option<String>,
    /// The attribute.
    pub attribute: String,
    /// The sub-attribute.
    pub sub: Option<String>,
}

impl Place {
    /// An attribute of the core schema.
    pub fn core(attribute: &str) -> Self {
        Self {
            extension: None,
            attribute: attribute.to_owned(),
            sub: None,
        }
    }

    /// Whether this is the attribute `active`.
    pub fn is_active(&self) -> bool {
        self.extension.is_none() && self.sub.is_none() && self.attribute == "active"
    }

    /// The value here.
    pub fn value_in<'a>(&self, document: &'a Map<String, Value>) -> Option<&'a Value> {
        let holder = match &self.extension {
            Some(urn) => document.get(urn)?.as_object()?,
            None => document,
        };
        let value = holder.get(&self.attribute)?;
        match &self.sub {
            Some(sub) => value.as_object()?.get(sub),
            None => Some(value),
        }
    }

    /// Puts a value here, or takes it away; what is left empty by that goes, too.
    pub fn put(&self, document: &mut Map<String, Value>, value: Option<Value>) {
        let Some(urn) = &self.extension else {
            return put_in(document, &self.attribute, self.sub.as_deref(), value);
        };
        let mut inner = document
            .get(urn)
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        put_in(&mut inner, &self.attribute, self.sub.as_deref(), value);
        if inner.is_empty() {
            document.shift_remove(urn);
        } else {
            document.insert(urn.clone(), Value::Object(inner));
        }
    }
}

fn put_in(
    holder: &mut Map<String, Value>,
    attribute: &str,
    sub: Option<&str>,
    value: Option<Value>,
) {
    let value = match sub {
        None => value,
        Some(sub) => {
            let mut inner = holder
                .get(attribute)
                .and_then(Value::as_object)
                .cloned()
                .unwrap_or_default();
            match value {
                Some(value) => drop(inner.insert(sub.to_owned(), value)),
                None => drop(inner.shift_remove(sub)),
            }
            (!inner.is_empty()).then_some(Value::Object(inner))
        }
    };
    match value {
        Some(value) => drop(holder.insert(attribute.to_owned(), value)),
        None => drop(holder.shift_remove(attribute)),
    }
}

/// As paths are written (RFC 7644 section 3.10).
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(urn) = &self.extension {
            write!(f, "{urn}:")?;
        }
        f.write_str(&self.attribute)?;
        match &self.sub {
            Some(sub) => write!(f, ".{sub}"),
            None => Ok(()),
        }
    }
}

/// A change of one value.
#[derive(Clone, Debug, PartialEq)]
pub struct Edit {
    /// Where.
    pub place: Place,
    /// What is there afterwards; `None`: nothing.
    pub value: Option<Value>,
}

/// A change of parts of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct AccountChange {
    /// The account.
    pub id: AccountId,
    /// Changes of attributes.
    pub edits: Vec<Edit>,
    /// Members that join.
    pub added: Members,
    /// Members that leave.
    pub removed: BTreeSet<String>,
}

impl AccountChange {
    /// A change of nothing yet.
    pub fn of(id: AccountId) -> Self {
        Self {
            id,
            edits: Vec::new(),
            added: Members::new(),
            removed: BTreeSet::new(),
        }
    }

    /// That the account may no longer be used.
    pub fn disable(id: AccountId) -> Self {
        Self {
            edits: vec![Edit {
                place: Place::core("active"),
                value: Some(Value::Bool(false)),
            }],
            ..Self::of(id)
        }
    }

    /// Whether all that it does is to take something away from somebody.
    pub fn is_revocation(&self) -> bool {
        let is_disabled =
            |edit: &Edit| edit.place.is_active() && edit.value == Some(Value::Bool(false));
        self.added.is_empty() && self.edits.iter().all(is_disabled)
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.parts() == 0
    }

    /// How many things it changes.
    pub fn parts(&self) -> usize {
        self.edits.len() + self.added.len() + self.removed.len()
    }

    /// Whether it changes one of these attributes.
    pub fn touches(&self, attributes: &[&str]) -> bool {
        self.edits.iter().any(|edit| {
            edit.place.extension.is_none() && attributes.contains(&edit.place.attribute.as_str())
        })
    }

    /// The same change in two: what is not about these attributes, and what is; `None` where one of them would be empty.
    pub fn without(&self, is_apart: impl Fn(&Place) -> bool) -> Option<(Self, Self)> {
        let (apart, edits): (Vec<Edit>, Vec<Edit>) = self
            .edits
            .iter()
            .cloned()
            .partition(|edit| is_apart(&edit.place));
        let rest = Self {
            edits,
            ..self.clone()
        };
        let apart = Self {
            edits: apart,
            ..Self::of(self.id.clone())
        };
        (!rest.is_empty() && !apart.is_empty()).then_some((rest, apart))
    }

    /// The same change in two halves; `None` where it is about one thing.
    pub fn halves(&self) -> Option<(Self, Self)> {
        if self.parts() < 2 {
            return None;
        }
        let mut left = self.parts() / 2;
        let (mut first, mut second) = (Self::of(self.id.clone()), Self::of(self.id.clone()));
        let mut is_first = || {
            let first = left > 0;
            left = left.saturating_sub(1);
            first
        };
        for id in &self.removed {
            if is_first() { &mut first } else { &mut second }
                .removed
                .insert(id.clone());
        }
        for edit in &self.edits {
            if is_first() { &mut first } else { &mut second }
                .edits
                .push(edit.clone());
        }
        for (id, group) in &self.added {
            if is_first() { &mut first } else { &mut second }
                .added
                .insert(id.clone(), *group);
        }
        Some((first, second))
    }

    /// The names of what it changes, for people.
    pub fn names(&self) -> Vec<String> {
        let edits = self.edits.iter().map(|edit| edit.place.to_string());
        let members = self
            .added
            .keys()
            .chain(&self.removed)
            .map(|id| format!("the member {id}"));
        edits.chain(members).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_id_is_its_text() {
        let check = |value: Value, expected: Option<&str>| {
            assert_eq!(
                AccountId::of_json(&value)
                    .map(|id| id.to_string())
                    .as_deref(),
                expected,
                "{value}"
            );
        };
        check(json!("a7"), Some("a7"));
        check(json!(7), Some("7"));
        check(json!(""), None);
        check(json!(null), None);
        check(json!(true), None);
        let group = json!({"id": 7, "members": [{"value": 1}, {"value": "2"}, {"display": "x"}]});
        let account = Account::of_json(group.as_object().unwrap().clone()).unwrap();
        assert_eq!(
            account.members.unwrap().into_iter().collect::<Vec<_>>(),
            ["1", "2"]
        );
    }

    #[test]
    fn halves_hold_everything_once() {
        let mut change = AccountChange::of(AccountId::new("1").unwrap());
        change.edits.push(Edit {
            place: Place::core("title"),
            value: None,
        });
        change.edits.push(Edit {
            place: Place::core("active"),
            value: Some(json!(true)),
        });
        change.added.insert("m".into(), false);
        let (first, second) = change.halves().unwrap();
        assert_eq!((first.parts(), second.parts()), (1, 2));
        let mut names = [first.names(), second.names()].concat();
        names.sort();
        let mut all = change.names();
        all.sort();
        assert_eq!(names, all);
        assert!(first.halves().is_none());
    }

    #[test]
    fn a_value_is_put_where_its_place_says() {
        let mut document = json!({"name": {"givenName": "Ada"}, "urn:x": {"a": 1}})
            .as_object()
            .cloned()
            .unwrap();
        let name = Place {
            extension: None,
            attribute: "name".into(),
            sub: Some("familyName".into()),
        };
        let own = Place {
            extension: Some("urn:x".into()),
            attribute: "a".into(),
            sub: None,
        };
        name.put(&mut document, Some(json!("King")));
        own.put(&mut document, None);
        assert_eq!(
            Value::Object(document.clone()),
            json!({"name": {"givenName": "Ada", "familyName": "King"}})
        );
        assert_eq!(name.value_in(&document), Some(&json!("King")));
        assert_eq!(
            (name.to_string(), own.to_string()),
            ("name.familyName".into(), "urn:x:a".into())
        );
    }
}
