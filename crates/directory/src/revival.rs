//! Finds the person that a create brings back: one who was disabled or deleted, and never another person who had the same name. Reads nothing.

use serde_json::{Map, Value};

use crate::change_set::is_active;
use crate::pending::{Names, fold};
use crate::store::StoredResource;

/// The names by which a create may mean a person who is there, or who was.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// `userName`, where it is not empty.
    pub user_name: Option<&'a str>,
    /// `externalId`, where it is not empty.
    pub external_id: Option<&'a str>,
}

impl<'a> Wanted<'a> {
    /// The names of the resource that is to be created.
    pub fn of(document: &'a Map<String, Value>) -> Self {
        Self {
            user_name: text_of(document, "userName"),
            external_id: text_of(document, "externalId"),
        }
    }

    /// Whether the resource with this `externalId` is another person: both have one, and they differ. A name may be given to another person later, an id may
    /// not. In ids case matters (RFC 7643 section 3.1).
    pub fn is_other_than(&self, external_id: Option<&str>) -> bool {
        self.external_id
            .zip(external_id.filter(|id| !id.is_empty()))
            .is_some_and(|(one, other)| one != other)
    }

    /// The person that the create enables, among those who have one of the names: one that it means and who is disabled. If several have the `externalId`,
    /// the one with the `userName`, and otherwise none of them.
    pub fn choose(&self, mut found: Vec<StoredResource>) -> Option<StoredResource> {
        found.retain(|one| !self.is_other_than(text_of(&one.document, "externalId")));
        if found.len() > 1 {
            let user_name = self.user_name.map(fold);
            found.retain(|one| {
                user_name.is_some() && text_of(&one.document, "userName").map(fold) == user_name
            });
        }
        let one = found.pop().filter(|_| found.is_empty())?;
        let names = Names::of(&one.id, &one.document);
        let is_meant = [self.external_id, self.user_name]
            .into_iter()
            .flatten()
            .any(|name| names.are_meant_by(name));
        (is_meant && !is_active(&one.document)).then_some(one)
    }
}

/// A text of a document that is not empty.
fn text_of<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    document
        .get(name)
        .and_then(Value::as_str)
        .filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;

    fn person((place, held): (usize, &Value)) -> StoredResource {
        StoredResource {
            resource_type: "User".into(),
            id: place.to_string(),
            version: 1,
            created: Timestamp::UNIX_EPOCH,
            last_modified: Timestamp::UNIX_EPOCH,
            document: held.as_object().unwrap().clone().into(),
            members: Vec::new(),
            groups: Vec::new(),
        }
    }

    #[test]
    fn the_person_who_is_meant_is_revived_and_nobody_else() {
        let check = |wanted: Value, found: &[Value], chosen: Option<&str>| {
            let found = found.iter().enumerate().map(person).collect();
            let one = Wanted::of(wanted.as_object().unwrap()).choose(found);
            assert_eq!(one.as_ref().map(|one| one.id.as_str()), chosen, "{wanted}");
        };
        let ann = |external_id: &str, active: bool| json!({"userName": "ann", "externalId": external_id, "active": active});
        check(
            json!({"userName": "ann", "externalId": "1"}),
            &[ann("1", false)],
            Some("0"),
        );
        check(
            json!({"userName": "anne", "externalId": "1"}),
            &[ann("1", false)],
            Some("0"),
        );
        check(
            json!({"userName": "ann", "externalId": "2"}),
            &[ann("1", false)],
            None,
        );
        check(
            json!({"userName": "ann", "externalId": "a"}),
            &[ann("A", false)],
            None,
        );
        check(json!({"userName": "ANN"}), &[ann("1", false)], Some("0"));
        check(
            json!({"userName": "ANN", "externalId": "1"}),
            &[ann("", false)],
            Some("0"),
        );
        check(
            json!({"userName": "ann", "externalId": "1"}),
            &[json!({"userName": "ann", "active": false})],
            Some("0"),
        );
        check(
            json!({"userName": "ann", "externalId": "1"}),
            &[ann("1", true)],
            None,
        );
        check(
            json!({"userName": "ann"}),
            &[json!({"userName": "ann"})],
            None,
        );
        let bob = json!({"userName": "bob", "externalId": "1", "active": false});
        check(
            json!({"userName": "Ann", "externalId": "1"}),
            &[bob.clone(), ann("1", false)],
            Some("1"),
        );
        check(
            json!({"userName": "cy", "externalId": "1"}),
            &[bob, ann("1", false)],
            None,
        );
    }
}
