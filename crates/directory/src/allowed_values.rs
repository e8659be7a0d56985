//! Roles and entitlements that a tenant allows (draft-ietf-scim-roles-entitlements): which values of a write must be among its Role and Entitlement
//! resources. Does not look them up.
//!
//! A type is held to them where its schema has `x-enforced` on `roles.value` or `entitlements.value`. Values that a resource has already may stay.

use scim_protocol::filter::CompareOp;
use scim_protocol::{AttributePath, Error, ErrorKind, Filter, SchemaSet, TypeSchema};
use serde_json::{Map, Value};

/// The attributes, and the resource type that holds their values.
const HELD: [(&str, &str); 2] = [("roles", "Role"), ("entitlements", "Entitlement")];

/// Values that must be allowed.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The attribute.
    pub attribute: &'static str,
    /// Name of the resource type that holds the allowed values.
    pub resource_type: &'static str,
    /// The values.
    pub values: Vec<String>,
}

/// Whether the values of an attribute of a type are held to those that are allowed.
fn is_held(schema: &TypeSchema, attribute: &str) -> bool {
    let value = schema
        .core
        .attribute(attribute)
        .and_then(|attribute| attribute.sub_attribute("value"));
    value.is_some_and(|value| value.enforced && value.canonical_values.is_empty())
}

/// What a write asks for that was not there before.
pub fn asked(
    schema: &TypeSchema,
    before: Option<&Map<String, Value>>,
    after: &Map<String, Value>,
) -> Vec<Asked> {
    let values = |document: Option<&Map<String, Value>>, attribute: &str| -> Vec<String> {
        let elements = document
            .and_then(|document| document.get(attribute))
            .and_then(Value::as_array);
        elements
            .into_iter()
            .flatten()
            .filter_map(|element| element.get("value")?.as_str().map(str::to_owned))
            .collect()
    };
    let one = |(attribute, resource_type): (&'static str, &'static str)| {
        let known = values(before, attribute);
        let mut values = values(Some(after), attribute);
        values.retain(|value| !known.contains(value));
        values.dedup();
        Asked {
            attribute,
            resource_type,
            values,
        }
    };
    HELD.into_iter()
        .filter(|(attribute, _)| is_held(schema, attribute))
        .map(one)
        .filter(|asked| !asked.values.is_empty())
        .collect()
}

/// Refuses a set of types that holds values to a resource type which is not there.
pub fn check(set: &SchemaSet) -> Result<(), Error> {
    for (attribute, resource_type) in HELD {
        let holder = set.types().iter().find(|schema| is_held(schema, attribute));
        if let Some(holder) = holder.filter(|_| set.by_name(resource_type).is_none()) {
            let detail = format!(
                "`{attribute}.value` of {} is held to what {resource_type} resources allow, so the tenant must have the resource type {resource_type}.",
                holder.name()
            );
            return Err(Error::new(ErrorKind::Conflict, detail).at(attribute));
        }
    }
    Ok(())
}

impl Asked {
    /// Selects those of the values that are allowed.
    pub fn filter(&self) -> Filter {
        let is = |path: &str, value: Value| Filter::Compare {
            path: AttributePath::of(path),
            op: CompareOp::Eq,
            value,
        };
        let mut any: Vec<Filter> = self
            .values
            .iter()
            .map(|value| is("value", value.clone().into()))
            .collect();
        let named = if any.len() == 1 {
            any.remove(0)
        } else {
            Filter::Or(any)
        };
        Filter::And(vec![named, is("supported", true.into())])
    }

    /// Refuses values that are not among the allowed ones.
    pub fn check(&self, allowed: &[String]) -> Result<(), Error> {
        let folded: Vec<String> = allowed.iter().map(|value| value.to_lowercase()).collect();
        match self
            .values
            .iter()
            .find(|value| !folded.contains(&value.to_lowercase()))
        {
            None => Ok(()),
            Some(value) => {
                let (attribute, resource_type) = (self.attribute, self.resource_type);
                let detail = format!(
                    "`{attribute}` has the value `{value}`, which this tenant does not allow; accepted are the values of /{resource_type}s whose `supported` is true."
                );
                Err(Error::new(ErrorKind::InvalidValue, detail).at(format!("{attribute}.value")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use scim_protocol::schema::standard::USER;
    use serde_json::json;

    use super::*;
    use crate::schema_change::{Edit, decide};
    use crate::tenant_types::TenantTypes;

    fn enforced() -> Edit {
        Edit::PutSchema(
            json!({"id": USER, "attributes": [{"name": "roles", "subAttributes": [{"name": "value", "x-enforced": true}]}]}),
        )
    }

    #[test]
    fn only_new_values_are_asked_for_and_only_where_the_schema_says_so() {
        let document = |values: Value| Map::from_iter([("roles".to_owned(), values)]);
        let plain = SchemaSet::standard();
        let after = document(json!([{"value": "admin"}, {"value": "staff"}]));
        assert!(asked(plain.by_name("User").unwrap(), None, &after).is_empty());
        let role = scim_protocol::schema::optional::type_named("Role")
            .unwrap()
            .resource_type
            .clone();
        let with_role = TenantTypes {
            revision: 1,
            schemas: Vec::new(),
            resource_types: vec![role],
        };
        let change = decide(&with_role, &enforced()).unwrap();
        let schema = change.affected[0].schema.clone().unwrap();
        let before = document(json!([{"value": "staff"}]));
        let found = asked(&schema, Some(&before), &after);
        assert_eq!(
            found,
            [Asked {
                attribute: "roles",
                resource_type: "Role",
                values: vec!["admin".into()]
            }]
        );
        assert_eq!(
            found[0].filter().to_string(),
            "value eq \"admin\" and supported eq true"
        );
        assert!(found[0].check(&["Admin".into()]).is_ok());
        assert!(found[0].check(&[]).unwrap_err().detail().contains("/Roles"));
    }

    #[test]
    fn without_roles_nothing_can_be_held_to_them() {
        let error = decide(&TenantTypes::default(), &enforced()).unwrap_err();
        assert!(
            error.kind() == ErrorKind::Conflict && error.detail().contains("resource type Role"),
            "{error}"
        );
    }
}
