//! What an application publishes about itself, as `Capabilities`. Sends nothing.

use std::collections::{BTreeMap, BTreeSet};

use provisioning::account::get;
use provisioning::connector::{Capabilities, WritableAttributes};
use serde_json::{Map, Value};

/// Of `ServiceProviderConfig` (RFC 7643 section 5); what it does not say has its default.
pub(crate) fn of_config(config: Option<&Map<String, Value>>) -> Capabilities {
    let supported = |name: &str| get(get(config?, name)?.as_object()?, "supported")?.as_bool();
    Capabilities {
        patch: supported("patch").unwrap_or(true),
        filter: supported("filter").unwrap_or(true),
        attributes: None,
    }
}

/// Of the list of schemas (RFC 7643 section 7); `None` where it holds no attribute of Users, so that it cannot be the whole truth.
pub(crate) fn of_schemas(
    list: &Map<String, Value>,
) -> Option<BTreeMap<String, WritableAttributes>> {
    let mut schemas = BTreeMap::new();
    for schema in get(list, "Resources")?
        .as_array()?
        .iter()
        .filter_map(Value::as_object)
    {
        let Some(id) = get(schema, "id").and_then(Value::as_str) else {
            continue;
        };
        let attributes = objects(schema, "attributes").filter(|attribute| is_writable(attribute));
        let attributes = attributes.filter_map(|attribute| {
            let inner: BTreeSet<String> = objects(attribute, "subAttributes")
                .filter(|sub| is_writable(sub))
                .filter_map(name)
                .collect();
            Some((name(attribute)?, inner))
        });
        schemas.insert(id.to_lowercase(), attributes.collect());
    }
    schemas
        .values()
        .any(|attributes: &WritableAttributes| attributes.contains_key("username"))
        .then_some(schemas)
}

fn objects<'a>(
    object: &'a Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'a Map<String, Value>> {
    get(object, name)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_object)
}

fn name(attribute: &Map<String, Value>) -> Option<String> {
    get(attribute, "name")?.as_str().map(str::to_lowercase)
}

fn is_writable(attribute: &Map<String, Value>) -> bool {
    !get(attribute, "mutability")
        .and_then(Value::as_str)
        .is_some_and(|mutability| mutability.eq_ignore_ascii_case("readOnly"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_said_has_its_default() {
        let check = |config: Value, patch: bool, filter: bool| {
            let found = of_config(config.as_object());
            assert_eq!((found.patch, found.filter), (patch, filter), "{config}");
        };
        check(json!(null), true, true);
        check(
            json!({"patch": {"supported": false}, "filter": {"supported": false, "maxResults": 0}}),
            false,
            false,
        );
        check(json!({"Patch": {"Supported": true}}), true, true);
        check(json!({"patch": "yes"}), true, true);
    }

    #[test]
    fn only_writable_attributes_count() {
        let list = json!({"Resources": [{"id": "urn:U", "attributes": [
            {"name": "userName"},
            {"name": "groups", "mutability": "readOnly"},
            {"name": "name", "subAttributes": [{"name": "givenName"}, {"name": "formatted", "mutability": "readonly"}]},
        ]}]});
        let found = of_schemas(list.as_object().unwrap()).unwrap();
        let attributes = &found["urn:u"];
        assert_eq!(attributes.keys().collect::<Vec<_>>(), ["name", "username"]);
        assert_eq!(attributes["name"].iter().collect::<Vec<_>>(), ["givenname"]);
        assert_eq!(
            of_schemas(json!({"Resources": []}).as_object().unwrap()),
            None
        );
        assert_eq!(of_schemas(json!({}).as_object().unwrap()), None);
    }
}
