//! An event: one change as the change log has it, and its JSON in the feed and in webhooks. Reads nothing.

use jiff::Timestamp;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use directory::version::version_tag;

/// What happened to a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// It was created.
    Create,
    /// Some of its attributes changed.
    Patch,
    /// All of it was replaced.
    Replace,
    /// It was deleted.
    Delete,
    /// Nothing: it was added to the feed of one receiver.
    FeedAdd,
    /// Nothing: it was taken out of the feed of one receiver.
    FeedRemove,
}

/// A row of the change log, without what only this server uses.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoggedEvent {
    /// Its place in the tenant's order.
    pub sequence: i64,
    /// The id of the change; one for all that was changed together.
    #[serde(serialize_with = "write_id", deserialize_with = "read_id")]
    pub change_id: Uuid,
    /// Type of the resource.
    pub resource_type: String,
    /// Id of the resource.
    pub resource_id: String,
    /// The version that the change made; 0 where the resource was deleted.
    pub version: u64,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub kind: Kind,
    /// The new value of `active`, where the change changed it.
    pub active: Option<bool>,
    /// Canonical names of the attributes that changed; empty in rows that were written before the log had names.
    pub attributes: Vec<String>,
}

fn write_id<S: Serializer>(id: &Uuid, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}

fn read_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Uuid, D::Error> {
    String::deserialize(deserializer)?
        .parse()
        .map_err(D::Error::custom)
}

impl LoggedEvent {
    /// Its id, which is the same in every delivery.
    pub fn id(&self) -> String {
        format!("{}-{}", self.change_id.simple(), self.sequence)
    }

    /// What happened, in the words of the feed.
    fn words(&self) -> Vec<&'static str> {
        let first = match self.kind {
            Kind::Create => "create",
            Kind::Patch | Kind::Replace => "change",
            Kind::Delete => "delete",
            Kind::FeedAdd => "feed-add",
            Kind::FeedRemove => "feed-remove",
        };
        let flip = self
            .active
            .map(|active| if active { "activate" } else { "deactivate" });
        std::iter::once(first).chain(flip).collect()
    }

    /// The event as the feed and webhooks show it. `resource` is the resource as it is now, where it exists and the reader asked for it.
    pub fn to_json(&self, resource: Option<&Map<String, Value>>) -> Map<String, Value> {
        let mut event = Map::new();
        let mut add = |name: &str, value: Value| event.insert(name.to_owned(), value);
        add("id", self.id().into());
        add("kinds", json!(self.words()));
        add("resourceType", self.resource_type.clone().into());
        add("resourceId", self.resource_id.clone().into());
        if self.version > 0 {
            add("version", version_tag(self.version).into());
        }
        add("at", self.at.to_string().into());
        add("txn", self.change_id.to_string().into());
        if !self.attributes.is_empty() {
            add("attributes", json!(self.attributes));
        }
        if let Some(resource) = resource {
            add("resource", Value::Object(resource.clone()));
        }
        event
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An event from which tests make others.
    pub(crate) fn sample(kind: Kind, active: Option<bool>, attributes: &[&str]) -> LoggedEvent {
        LoggedEvent {
            sequence: 7,
            change_id: Uuid::from_u128(0xab),
            resource_type: "User".into(),
            resource_id: "u1".into(),
            version: if kind == Kind::Delete { 0 } else { 3 },
            at: "2026-11-24T10:00:00Z".parse().unwrap(),
            kind,
            active,
            attributes: attributes.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn events_in_the_words_of_the_feed() {
        let check = |event: LoggedEvent, expected: Value| {
            assert_eq!(Value::Object(event.to_json(None)), expected);
        };
        let common = |kinds: Value, version: bool| {
            let mut event = json!({
                "id": "000000000000000000000000000000ab-7", "kinds": kinds, "resourceType": "User", "resourceId": "u1",
                "at": "2026-11-24T10:00:00Z", "txn": "00000000-0000-0000-0000-0000000000ab"
            });
            if version {
                event["version"] = "W/\"3\"".into();
            }
            event
        };
        check(
            sample(Kind::Create, None, &[]),
            common(json!(["create"]), true),
        );
        check(
            sample(Kind::Delete, None, &[]),
            common(json!(["delete"]), false),
        );
        let mut off = common(json!(["change", "deactivate"]), true);
        off["attributes"] = json!(["active"]);
        check(sample(Kind::Patch, Some(false), &["active"]), off);
        check(
            sample(Kind::Replace, Some(true), &[]),
            common(json!(["change", "activate"]), true),
        );
    }
}
