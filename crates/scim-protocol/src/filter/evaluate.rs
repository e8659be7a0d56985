//! Does this resource match? Unassigned, multi-valued and case semantics of RFC 7644 section 3.4.2.2. Does not parse, and does not refuse: that is `Filter::check`.
//!
//! - Of a multi-valued attribute one value that compares is enough. A complex attribute without sub-attribute stands for its `value`.
//! - `ne` is the negation of `eq` over the whole attribute: no value equals. So it holds for an unassigned attribute.
//! - A `primary` that a value does not have compares as false (RFC 7643 section 2.4); `pr` and null still see that it is not there.
//! - Unassigned are null, the empty string, `[]`, `{}` and what holds only those: `pr` and `ne null` are false, `eq null` is true, any other comparison false.

use serde_json::{Map, Value};

use super::compare::{Key, applies, holds, key};
use super::{CompareOp, Filter};
use crate::schema::set::{Resolved, TypeSchema};
use crate::schema::{Attribute, AttributeType};

/// Whether a resource satisfies a filter.
pub fn matches(filter: &Filter, schema: &TypeSchema, resource: &Map<String, Value>) -> bool {
    match filter {
        Filter::And(all) => all.iter().all(|filter| matches(filter, schema, resource)),
        Filter::Or(all) => all.iter().any(|filter| matches(filter, schema, resource)),
        Filter::Not(inner) => !matches(inner, schema, resource),
        Filter::Present(path) => {
            let Some(resolved) = schema.resolve(path).filter(Resolved::is_readable) else {
                return false;
            };
            is_assigned(resolved.value_in(resource), resolved.sub_attribute)
        }
        Filter::Compare {
            path,
            op,
            value: literal,
        } => {
            let resolved = schema.resolve(path).filter(Resolved::is_readable);
            compare_resolved(resolved, *op, literal, resource)
        }
        Filter::ValuePath { path, filter } => {
            let Some(resolved) = schema.resolve(path).filter(Resolved::is_readable) else {
                return false;
            };
            let (Some(attribute), Some(value)) = (resolved.attribute, resolved.value_in(resource))
            else {
                return false;
            };
            elements(value)
                .iter()
                .any(|element| matches_element(filter, attribute, element))
        }
    }
}

/// Whether one element of an attribute satisfies the inner filter of a value path. `value` names the element itself where the attribute is not complex.
pub fn matches_element(filter: &Filter, attribute: &Attribute, element: &Value) -> bool {
    let sub_value = |name: &str| -> Option<(&Attribute, Option<&Value>)> {
        if attribute.kind != AttributeType::Complex {
            return name
                .eq_ignore_ascii_case("value")
                .then_some((attribute, Some(element)));
        }
        let sub = attribute
            .sub_attribute(name)
            .filter(|sub| sub.is_readable())?;
        Some((sub, element.get(&sub.name)))
    };
    match filter {
        Filter::And(all) => all
            .iter()
            .all(|filter| matches_element(filter, attribute, element)),
        Filter::Or(all) => all
            .iter()
            .any(|filter| matches_element(filter, attribute, element)),
        Filter::Not(inner) => !matches_element(inner, attribute, element),
        Filter::Present(path) => {
            sub_value(&path.attribute).is_some_and(|(_, value)| is_assigned(value, None))
        }
        Filter::Compare {
            path,
            op,
            value: literal,
        } => match sub_value(&path.attribute) {
            Some((sub, value)) if literal.is_null() => compare(*op, literal, sub, None, value),
            Some((sub, value)) => compare(
                *op,
                literal,
                sub,
                None,
                said_or_assumed(attribute, sub, element, value),
            ),
            None => compare_unassigned(*op, literal),
        },
        // The parser refuses brackets in brackets.
        Filter::ValuePath { .. } => false,
    }
}

fn compare_resolved(
    resolved: Option<Resolved<'_>>,
    op: CompareOp,
    literal: &Value,
    resource: &Map<String, Value>,
) -> bool {
    let Some(resolved) = resolved else {
        return compare_unassigned(op, literal);
    };
    let value = resolved.value_in(resource);
    if literal.is_null() {
        return compare_null(op, is_assigned(value, resolved.sub_attribute));
    }
    match resolved.comparable() {
        Some(Resolved {
            attribute: Some(attribute),
            sub_attribute,
            ..
        }) => compare(op, literal, attribute, sub_attribute, value),
        _ => op == CompareOp::Ne,
    }
}

fn compare_unassigned(op: CompareOp, literal: &Value) -> bool {
    if literal.is_null() {
        compare_null(op, false)
    } else {
        op == CompareOp::Ne
    }
}

fn compare_null(op: CompareOp, assigned: bool) -> bool {
    match op {
        CompareOp::Eq => !assigned,
        CompareOp::Ne => assigned,
        _ => false,
    }
}

fn compare(
    op: CompareOp,
    literal: &Value,
    attribute: &Attribute,
    sub: Option<&Attribute>,
    value: Option<&Value>,
) -> bool {
    let leaf = sub.unwrap_or(attribute);
    if literal.is_null() {
        return compare_null(op, is_assigned(value, sub));
    }
    let literal = key(leaf, literal).filter(|_| applies(op, leaf.kind));
    let found = match (&literal, value) {
        (Some(literal), Some(value)) => elements(value).iter().any(|element| {
            let value = match sub {
                Some(sub) => said_or_assumed(attribute, sub, element, element.get(&sub.name)),
                None => Some(element),
            };
            value.is_some_and(|value| any_holds(op, leaf, value, literal))
        }),
        _ => false,
    };
    if op == CompareOp::Ne { !found } else { found }
}

static NOT_PRIMARY: Value = Value::Bool(false);

/// The value that an element has for a sub-attribute, or the one that the RFC assumes where the element does not say it.
fn said_or_assumed<'v>(
    attribute: &Attribute,
    sub: &Attribute,
    element: &Value,
    said: Option<&'v Value>,
) -> Option<&'v Value> {
    let said = said.filter(|value| !value.is_null());
    if element.is_object() && attribute.is_primary(sub) {
        said.or(Some(&NOT_PRIMARY))
    } else {
        said
    }
}

/// A sub-attribute may be multi-valued itself.
fn any_holds(op: CompareOp, leaf: &Attribute, value: &Value, literal: &Key<'_>) -> bool {
    elements(value)
        .iter()
        .any(|value| key(leaf, value).is_some_and(|value| holds(op, &value, literal)))
}

/// The values of an attribute: those of an array, or the one.
fn elements(value: &Value) -> &[Value] {
    match value {
        Value::Array(elements) => elements,
        single => std::slice::from_ref(single),
    }
}

fn is_assigned(value: Option<&Value>, sub: Option<&Attribute>) -> bool {
    match (value, sub) {
        (None, _) => false,
        (Some(value), None) => is_present(value),
        (Some(value), Some(sub)) => elements(value)
            .iter()
            .any(|element| element.get(&sub.name).is_some_and(is_present)),
    }
}

/// Whether a value is there in the sense of `pr`: neither null nor empty, and not made of such only.
pub fn is_present(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Array(elements) => elements.iter().any(is_present),
        Value::Object(map) => map.values().any(is_present),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::filter::FilterLimits;
    use crate::schema::set::SchemaSet;
    use crate::schema::standard::ENTERPRISE_USER;

    fn user() -> Value {
        json!({
            "id": "2819c223", "externalId": "Ext-1", "userName": "bjensen@example.com", "active": true, "title": "", "nickName": null,
            "name": {"familyName": "J\u{c9}NSEN", "givenName": "Barbara"},
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", ENTERPRISE_USER],
            "emails": [
                {"value": "bjensen@example.com", "type": "work", "primary": true},
                {"value": "babs@jensen.org", "type": "home"}
            ],
            "addresses": [],
            "password": "secret",
            "meta": {"resourceType": "User", "created": "2010-01-23T04:56:22Z", "lastModified": "2011-05-13T04:42:34Z"},
            ENTERPRISE_USER: {"department": "Tour Operations", "manager": {"value": "26118915"}}
        })
    }

    fn holds_for_user(text: &str) -> bool {
        let set = SchemaSet::standard();
        let filter = Filter::parse(text, FilterLimits::default()).unwrap();
        filter.matches(set.by_name("User").unwrap(), user().as_object().unwrap())
    }

    #[test]
    fn filters_that_match() {
        for text in [
            r#"userName eq "BJensen@Example.com""#,
            r#"USERNAME sw "bj" and username ew ".COM""#,
            r#"externalId eq "Ext-1""#,
            r#"name.familyName eq "j\u00e9nsen""#,
            r#"urn:ietf:params:scim:schemas:core:2.0:User:name.givenName co "ARB""#,
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:department co "tour""#,
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager.value eq "26118915""#,
            r#"urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager eq "26118915""#,
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User pr",
            "active eq true",
            r#"active eq "True""#,
            "active ne false",
            "title eq null",
            "nickName eq null",
            "addresses eq null",
            "userName ne null",
            r#"title ne "x""#,
            r#"displayName ne "x""#,
            r#"emails eq "babs@jensen.org""#,
            r#"emails co "jensen.org""#,
            r#"emails.type eq "home""#,
            r#"emails[type eq "work" and value co "@example.com"]"#,
            r#"emails[type eq "work"].value ew "example.com""#,
            r#"emails[not (type eq "work")]"#,
            r#"emails[primary eq "True"]"#,
            "emails[primary eq null]",
            r#"not (emails[type eq "other"])"#,
            "emails pr and name pr and meta pr",
            r#"meta.created lt "2010-01-23T05:56:22+00:00""#,
            r#"meta.lastModified eq "2011-05-13T06:42:34.000+02:00""#,
            r#"meta.lastModified ge "2011-05-13T04:42:34Z" and meta.lastModified le "2011-05-13T04:42:34Z""#,
            r#"schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#,
            r#"schemas[value eq "urn:ietf:params:scim:schemas:core:2.0:User"]"#,
            r#"userName gt "a" and userName lt "C""#,
            r#"members ne "x""#,
        ] {
            assert!(holds_for_user(text), "{text}");
        }
    }

    #[test]
    fn filters_that_do_not_match() {
        for text in [
            r#"externalId eq "ext-1""#,
            r#"userName eq "bjensen""#,
            "title pr",
            "nickName pr",
            "addresses pr",
            "displayName pr",
            "active eq false",
            r#"displayName eq "x""#,
            r#"displayName gt "a""#,
            r#"displayName le "a""#,
            r#"emails ne "babs@jensen.org""#,
            r#"emails.type ne "work""#,
            r#"emails[type eq "home" and value co "example.com"]"#,
            r#"addresses[type ne "work"]"#,
            r#"meta.lastModified gt "2011-05-13T04:42:34Z""#,
            r#"password eq "secret""#,
            "password pr",
            "userName eq 5",
            "active gt false",
            r#"members eq "x""#,
            "members pr",
            "userName eq null",
        ] {
            assert!(!holds_for_user(text), "{text}");
        }
    }

    #[test]
    fn rfc7643_section_2_4_a_primary_that_is_not_there_is_false() {
        for text in [
            "emails.primary eq false",
            r#"emails.primary eq "False""#,
            "emails[primary eq false]",
            r#"emails[type eq "home" and primary eq false]"#,
            r#"emails[type eq "home" and primary ne true]"#,
            r#"emails[type eq "home" and not (primary eq true)]"#,
            r#"emails[primary eq false].value eq "babs@jensen.org""#,
            // `pr` and null ask whether it is there.
            r#"emails[type eq "home" and primary eq null]"#,
            r#"emails[type eq "home" and not (primary pr)]"#,
            // Without emails there is none that is secondary.
            "addresses.primary ne false",
        ] {
            assert!(holds_for_user(text), "{text}");
        }
        for text in [
            "emails.primary ne false",
            "not (emails.primary eq false)",
            r#"emails[type eq "home" and primary ne false]"#,
            r#"emails[type eq "home" and not (primary eq false)]"#,
            r#"emails[type eq "work" and primary eq false]"#,
            r#"emails[type eq "home" and primary eq true]"#,
            "addresses.primary eq false",
            "addresses[primary eq false]",
        ] {
            assert!(!holds_for_user(text), "{text}");
        }
    }

    #[test]
    fn an_element_is_tried_by_its_sub_attributes() {
        let set = SchemaSet::standard();
        let emails = set
            .by_name("User")
            .unwrap()
            .core_attribute("emails")
            .unwrap();
        let filter = Filter::parse(
            r#"type eq "WORK" and not (primary eq true)"#,
            FilterLimits::default(),
        )
        .unwrap();
        assert!(filter.matches_element(emails, &json!({"type": "work", "value": "x"})));
        assert!(!filter.matches_element(emails, &json!({"type": "work", "primary": true})));
    }
}
