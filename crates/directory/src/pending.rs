//! References to resources that are not there yet: the members and managers that wait, and how they are linked when they arrive. The port to those that
//! wait. The store keeps and links them within commits.

use async_trait::async_trait;
use jiff::Timestamp;
use scim_protocol::filter::compare::prepare;
use scim_protocol::schema::standard::ENTERPRISE_USER;
use serde_json::{Map, Value};

use crate::store::Fault;
use crate::tenant::TenantId;

/// The path under which a member waits.
pub const MEMBERS: &str = "members";
/// The path under which a manager waits.
pub const MANAGER: &str = "manager";

/// A reference that waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingReference {
    /// Name of the type of the resource that refers.
    pub resource_type: String,
    /// The id of the resource that refers.
    pub id: String,
    /// `members` or `manager`.
    pub path: String,
    /// What it refers to: an id, a `userName` or an `externalId`.
    pub value: String,
    /// Since when it waits.
    pub since: Timestamp,
}

/// References that wait.
#[async_trait]
pub trait PendingReferences: Send + Sync {
    /// Those of a tenant, the oldest first, behind the first `skip`.
    async fn list_pending(
        &self,
        tenant: TenantId,
        skip: u32,
        limit: u32,
    ) -> Result<Vec<PendingReference>, Fault>;
}

/// The names by which a resource may be waited for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    id: String,
    user_name: Option<String>,
    external_id: Option<String>,
}

impl Names {
    /// Of a resource with this id and document.
    pub fn of(id: &str, document: &Map<String, Value>) -> Self {
        let text = |name: &str| {
            document
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(str::to_owned)
        };
        Self {
            id: id.to_owned(),
            user_name: text("userName"),
            external_id: text("externalId"),
        }
    }

    /// What to look for, folded as `fold` does.
    pub fn folded(&self) -> Vec<String> {
        let mut all = vec![fold(&self.id)];
        all.extend(
            [&self.user_name, &self.external_id]
                .into_iter()
                .flatten()
                .map(|name| fold(name)),
        );
        all.sort_unstable();
        all.dedup();
        all
    }

    /// Whether this value refers to it: `userName` in any case, the others exactly.
    pub fn are_meant_by(&self, value: &str) -> bool {
        value == self.id
            || self.external_id.as_deref() == Some(value)
            || self
                .user_name
                .as_ref()
                .is_some_and(|name| fold(name) == fold(value))
    }
}

/// A value as it is looked up: without case, as a `userName` is compared. An id or an `externalId` that differs in case only is sorted out afterwards.
pub fn fold(value: &str) -> String {
    prepare(value).into_owned()
}

/// The manager that a document names.
pub fn manager(document: &Map<String, Value>) -> Option<&str> {
    document
        .get(ENTERPRISE_USER)?
        .get("manager")?
        .get("value")?
        .as_str()
        .filter(|value| !value.is_empty())
}

/// Names another manager in a document that names one; whether it did.
pub fn set_manager(document: &mut Map<String, Value>, id: &str) -> bool {
    let place = document
        .get_mut(ENTERPRISE_USER)
        .and_then(|extension| extension.get_mut("manager"))
        .and_then(|m| m.get_mut("value"));
    place.map(|place| *place = id.into()).is_some()
}

/// The canonical path of the manager's index entries.
pub fn manager_path() -> String {
    format!("{ENTERPRISE_USER}:manager.value")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn who_is_meant() {
        let Value::Object(document) = json!({"userName": "Ann@X", "externalId": "E1"}) else {
            panic!("an object")
        };
        let names = Names::of("7", &document);
        let check = |value: &str, expected: bool| {
            assert_eq!(names.are_meant_by(value), expected, "{value}");
        };
        check("7", true);
        check("ann@x", true);
        check("E1", true);
        check("e1", false);
        check("8", false);
        check("", false);
        assert_eq!(names.folded(), ["7", "ann@x", "e1"]);
        let Value::Object(nameless) = json!({"userName": ""}) else {
            panic!("an object")
        };
        assert!(!Names::of("7", &nameless).are_meant_by(""));
    }

    #[test]
    fn managers() {
        let Value::Object(mut document) =
            json!({ENTERPRISE_USER: {"manager": {"value": "E9", "displayName": "Bo"}}})
        else {
            panic!("an object")
        };
        assert_eq!(manager(&document), Some("E9"));
        assert!(set_manager(&mut document, "9"));
        assert_eq!(manager(&document), Some("9"));
        assert!(!set_manager(&mut Map::new(), "9"));
    }
}
