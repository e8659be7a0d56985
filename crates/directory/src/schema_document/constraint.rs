//! A document that constrains a schema of this program: it names only what it changes, and it only narrows. Does not read documents of a tenant's own.

use scim_protocol::Error;
use scim_protocol::schema::{Attribute, AttributeType, Mutability, Schema, Uniqueness, standard};
use serde_json::Value;

use super::{ATTRIBUTE_NAMES, EXTERNAL_ID, list, refuse, top, wrong_forms};

/// Reads a document that changes a schema which this program brings: it names only what it changes, and only by way of constraints. Where the schema is the
/// core of a resource type, `externalId` is among what it may name.
pub fn read_constraint(
    brought: &Schema,
    current: &Schema,
    is_core: bool,
    document: &Value,
) -> Result<Schema, Error> {
    let map = top(document)?;
    if map.get("extends").is_some() {
        return Err(refuse(
            "extends",
            format!(
                "`{}` is no extension, so it cannot have `extends`",
                brought.id
            ),
        ));
    }
    let (mut whole, mut own) = (brought.clone(), current.clone());
    // A constraint that was kept by an earlier program has none of the forms that are brought.
    for standard in brought
        .attributes
        .iter()
        .filter(|standard| !standard.forms.is_empty())
    {
        if let Some(kept) = own
            .attributes
            .iter_mut()
            .find(|kept| kept.name == standard.name)
        {
            kept.forms.clone_from(&standard.forms);
        }
    }
    if is_core {
        [&mut whole, &mut own].into_iter().for_each(add_external_id);
    }
    let mut merged = serde_json::to_value(own).unwrap_or_default();
    if let Some(attributes) = map.get("attributes") {
        let attributes = attributes
            .as_array()
            .ok_or_else(|| refuse("attributes", "`attributes` must be an array"))?;
        merge(
            &brought.id,
            "attributes",
            merged.get_mut("attributes"),
            attributes,
        )?;
    }
    let mut schema: Schema = serde_json::from_value(merged).map_err(|error| {
        refuse(
            "attributes",
            format!("The document is not a schema (RFC 7643 section 7): {error}"),
        )
    })?;
    narrowed("", &whole.attributes, &schema.attributes)?;
    if is_core {
        keep_external_id(&mut schema)?;
    }
    Ok(schema)
}

/// Standard schemas do not list `externalId`, as every resource has it (RFC 7643 section 3.1).
fn add_external_id(schema: &mut Schema) {
    if schema.attribute(EXTERNAL_ID).is_none() {
        schema.attributes.extend(
            standard::common_attributes()
                .into_iter()
                .filter(|attribute| attribute.name == EXTERNAL_ID),
        );
    }
}

/// It is listed only where it is constrained.
fn keep_external_id(schema: &mut Schema) -> Result<(), Error> {
    if schema
        .attribute(EXTERNAL_ID)
        .is_some_and(|attribute| !attribute.indexed)
    {
        return Err(refuse(
            EXTERNAL_ID,
            "`externalId` is always indexed, because resources are found by it",
        ));
    }
    let common = standard::common_attributes();
    schema
        .attributes
        .retain(|attribute| attribute.name != EXTERNAL_ID || !common.contains(attribute));
    Ok(())
}

/// Puts the characteristics that are named over those that are there.
fn merge(
    urn: &str,
    place: &str,
    into: Option<&mut Value>,
    attributes: &[Value],
) -> Result<(), Error> {
    let Some(Value::Array(known)) = into else {
        return Err(refuse(
            place,
            format!("`{place}` of `{urn}` has no attributes"),
        ));
    };
    for posted in attributes {
        let map = posted
            .as_object()
            .ok_or_else(|| refuse(place, format!("`{place}` must hold objects")))?;
        let name = map
            .get("name")
            .and_then(Value::as_str)
            .ok_or_else(|| refuse(place, format!("An element of `{place}` has no `name`")))?;
        let is_it = |known: &&mut Value| {
            known
                .get("name")
                .and_then(Value::as_str)
                .is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        let Some(own) = known.iter_mut().find(is_it) else {
            let detail = format!(
                "`{name}` is not an attribute of `{urn}`; attributes are added by a schema of your own that extends the resource type"
            );
            return Err(refuse(name, detail));
        };
        for (key, value) in map.iter().filter(|(key, _)| *key != "name") {
            if !ATTRIBUTE_NAMES.contains(&key.as_str()) {
                let detail = format!(
                    "`{key}` of `{name}` is not a characteristic of attributes; use one of {}",
                    list(&ATTRIBUTE_NAMES)
                );
                return Err(refuse(name, detail));
            }
            match (key.as_str(), value) {
                ("subAttributes", Value::Array(subs)) => merge(
                    urn,
                    &format!("{name}.subAttributes"),
                    own.get_mut("subAttributes"),
                    subs,
                )?,
                _ => own[key.as_str()] = value.clone(),
            }
        }
    }
    Ok(())
}

/// A constraint only narrows: what a client of the standard reads stays right.
fn narrowed(prefix: &str, brought: &[Attribute], constrained: &[Attribute]) -> Result<(), Error> {
    for (standard, own) in brought.iter().zip(constrained) {
        let path = format!("{prefix}{}", standard.name);
        let allowed = Attribute {
            required: own.required,
            uniqueness: own.uniqueness,
            canonical_values: own.canonical_values.clone(),
            indexed: own.indexed,
            enforced: own.enforced,
            forms: if standard.forms.is_empty() {
                own.forms.clone()
            } else {
                standard.forms.clone()
            },
            description: own.description.clone(),
            sub_attributes: own.sub_attributes.clone(),
            ..standard.clone()
        };
        let widened = (standard.required && !own.required)
            || (standard.uniqueness != Uniqueness::None && own.uniqueness == Uniqueness::None);
        if *own != allowed || widened {
            let detail = format!(
                "`{path}` is a standard attribute, of which only constraints can be changed: `required` to true, `uniqueness` to `server`, `canonicalValues`, `x-enforced`, `x-indexed`, `x-forms` where it has none, `description`"
            );
            return Err(refuse(&path, detail));
        }
        let changed = standard != own;
        if changed {
            // The standard's own attributes do not all keep these rules, so only changed ones are held to them.
            constraint(&path, own)?;
        }
        narrowed(
            &format!("{path}."),
            &standard.sub_attributes,
            &own.sub_attributes,
        )?;
    }
    Ok(())
}

fn constraint(path: &str, own: &Attribute) -> Result<(), Error> {
    let wrong = |detail: &str| Err(refuse(path, format!("`{path}` {detail}")));
    if own.required && own.mutability == Mutability::ReadOnly {
        return wrong("is `readOnly`, so no client could provide it");
    }
    if (own.uniqueness != Uniqueness::None || own.indexed)
        && (own.kind == AttributeType::Complex || !own.is_readable())
    {
        return wrong(
            "has `uniqueness` or `x-indexed`, which complex and never returned attributes cannot have",
        );
    }
    // Without canonical values these two are held to the tenant's Role and Entitlement resources.
    let is_held = matches!(path, "roles.value" | "entitlements.value");
    if own.enforced
        && ((own.canonical_values.is_empty() && !is_held) || own.kind != AttributeType::String)
    {
        return wrong("has `x-enforced`, which needs `canonicalValues` of a string");
    }
    wrong_forms(own).map_or(Ok(()), wrong)
}

#[cfg(test)]
mod tests {
    use scim_protocol::schema::optional;
    use serde_json::json;

    use super::*;

    #[test]
    fn constraints_narrow_and_do_nothing_else() {
        let all = standard::schemas();
        let user = &all[0];
        let read = |attributes: Value| {
            read_constraint(
                user,
                user,
                true,
                &json!({"id": standard::USER, "attributes": attributes}),
            )
        };
        let constrained = read(json!([
            {"name": "displayname", "required": true},
            {"name": "userType", "canonicalValues": ["Employee"], "x-enforced": true},
            {"name": "emails", "subAttributes": [{"name": "value", "uniqueness": "server"}]},
            {"name": "externalid", "uniqueness": "server"}
        ]))
        .unwrap();
        let find = |name: &str| constrained.attribute(name).unwrap();
        assert!(
            find("displayName").required && find("userType").enforced && !find("title").required
        );
        assert_eq!(
            find("emails").sub_attribute("value").unwrap().uniqueness,
            Uniqueness::Server
        );
        assert_eq!(find("externalId").uniqueness, Uniqueness::Server);
        assert!(
            read(json!([{"name": "externalId", "uniqueness": "none"}])).unwrap() == *user,
            "it is listed only where it is constrained"
        );
        let check = |attributes: Value, said: &str| {
            let error = read(attributes.clone()).unwrap_err();
            assert!(error.detail().contains(said), "{attributes}: {error}");
        };
        check(
            json!([{"name": "shoeSize", "type": "integer"}]),
            "not an attribute of",
        );
        check(
            json!([{"name": "userName", "required": false}]),
            "only constraints",
        );
        check(
            json!([{"name": "userName", "uniqueness": "none"}]),
            "only constraints",
        );
        check(
            json!([{"name": "title", "type": "integer"}]),
            "only constraints",
        );
        check(
            json!([{"name": "password", "x-indexed": true}]),
            "never returned",
        );
        check(json!([{"name": "groups", "required": true}]), "readOnly");
        check(
            json!([{"name": "title", "x-enforced": true}]),
            "needs `canonicalValues`",
        );
        check(
            json!([{"name": "title", "length": 4}]),
            "not a characteristic",
        );
        check(
            json!([{"name": "externalId", "caseExact": false}]),
            "only constraints",
        );
        check(
            json!([{"name": "externalId", "x-indexed": false}]),
            "always indexed",
        );
        check(
            json!([{"name": "active", "x-forms": ["X"]}]),
            "only strings",
        );
        assert_eq!(
            read(json!([{"name": "title", "x-forms": ["XX"]}]))
                .unwrap()
                .attribute("title")
                .unwrap()
                .forms,
            ["XX"]
        );
        let ble =
            optional::schema("urn:ietf:params:scim:schemas:extension:ble:2.0:Device").unwrap();
        let of_ble = |own: &Schema, forms: Value| {
            let attribute =
                json!({"name": "deviceMacAddress", "x-indexed": true, "x-forms": forms});
            read_constraint(
                ble,
                own,
                false,
                &json!({"id": ble.id, "attributes": [attribute]}),
            )
        };
        assert_eq!(
            of_ble(ble, json!(["XX:XX:XX:XX:XX:XX"])).unwrap(),
            *ble,
            "as it is shown"
        );
        let mut earlier = ble.clone();
        earlier
            .attributes
            .iter_mut()
            .for_each(|attribute| attribute.forms.clear());
        assert_eq!(
            of_ble(&earlier, json!(["XX:XX:XX:XX:XX:XX"])).unwrap(),
            *ble
        );
        for loose in [json!([]), json!(["XX"])] {
            assert!(
                of_ble(ble, loose)
                    .unwrap_err()
                    .detail()
                    .contains("only constraints")
            );
        }
        let extension = all
            .iter()
            .find(|schema| schema.id == standard::ENTERPRISE_USER)
            .unwrap();
        let document = json!({"id": extension.id, "attributes": [{"name": "externalId", "uniqueness": "server"}]});
        assert!(
            read_constraint(extension, extension, false, &document)
                .unwrap_err()
                .detail()
                .contains("not an attribute of")
        );
    }
}
