//! A filter as a condition on the store's indexes. Says whether the condition is exact; does not evaluate, does not refuse (`Filter::check` has).

use scim_protocol::filter::CompareOp;
use scim_protocol::filter::compare::{fold, index_key, instant};
use scim_protocol::schema::set::Resolved;
use scim_protocol::schema::{Attribute, AttributeType};
use scim_protocol::{AttributePath, Filter, TypeSchema};
use serde_json::{Map, Value, json};

use super::{Condition, Probe, TimeTest, ValueTest};

/// A condition that selects at least what the filter selects, and whether it selects nothing else.
pub(super) struct Selection {
    pub condition: Condition,
    pub exact: bool,
}

impl Selection {
    fn exactly(condition: Condition) -> Self {
        Self {
            condition,
            exact: true,
        }
    }

    fn at_least(condition: Condition) -> Self {
        Self {
            condition,
            exact: false,
        }
    }

    fn constant(truth: bool) -> Self {
        Self::exactly(if truth {
            Condition::All
        } else {
            Condition::Nothing
        })
    }

    fn negated(self) -> Self {
        if self.exact {
            Self::exactly(negate(self.condition))
        } else {
            Self::at_least(Condition::All)
        }
    }
}

fn negate(condition: Condition) -> Condition {
    match condition {
        Condition::All => Condition::Nothing,
        Condition::Nothing => Condition::All,
        Condition::Not(inner) => *inner,
        other => Condition::Not(Box::new(other)),
    }
}

fn all_of(selections: impl Iterator<Item = Selection>) -> Selection {
    let mut exact = true;
    let mut conditions = Vec::new();
    for selection in selections {
        match selection.condition {
            // With one condition that selects nothing, all of them together select nothing, and that is exact.
            Condition::Nothing => return Selection::exactly(Condition::Nothing),
            Condition::All => {}
            other => conditions.push(other),
        }
        exact &= selection.exact;
    }
    let condition = match conditions.len() {
        0 => Condition::All,
        1 => conditions.pop().unwrap_or(Condition::All),
        _ => Condition::And(conditions),
    };
    Selection { condition, exact }
}

fn one_of(selections: impl Iterator<Item = Selection>) -> Selection {
    let mut exact = true;
    let mut everything = false;
    let mut conditions = Vec::new();
    for selection in selections {
        match selection.condition {
            Condition::All if selection.exact => return Selection::exactly(Condition::All),
            Condition::All => everything = true,
            Condition::Nothing => {}
            other => conditions.push(other),
        }
        exact &= selection.exact;
    }
    let condition = match conditions.len() {
        _ if everything => Condition::All,
        0 => Condition::Nothing,
        1 => conditions.pop().unwrap_or(Condition::Nothing),
        _ => Condition::Or(conditions),
    };
    Selection { condition, exact }
}

/// The condition of a filter for one resource type.
pub(super) fn of_filter(schema: &TypeSchema, filter: &Filter) -> Selection {
    match filter {
        Filter::And(all) => all_of(all.iter().map(|inner| of_filter(schema, inner))),
        Filter::Or(all) => one_of(all.iter().map(|inner| of_filter(schema, inner))),
        Filter::Not(inner) => of_filter(schema, inner).negated(),
        Filter::Present(path) => match schema.resolve(path).filter(Resolved::is_readable) {
            Some(resolved) => present(schema, &resolved),
            None => Selection::constant(false),
        },
        Filter::Compare { path, op, value } => compare(schema, path, *op, value, filter),
        Filter::ValuePath { path, filter } => {
            let resolved = schema.resolve(path).filter(Resolved::is_readable);
            match resolved.and_then(|resolved| Some((resolved.attribute?, resolved))) {
                Some((attribute, resolved)) => of_element(schema, &resolved, attribute, filter),
                None => Selection::constant(false),
            }
        }
    }
}

/// What the store keeps of an attribute apart from the document.
enum Kept<'a> {
    Id,
    Created,
    LastModified,
    ResourceType,
    Members,
    MemberId,
    MemberPart,
    Groups,
    GroupId,
    GroupPart,
    Indexed { path: &'a str, unique: bool },
    Nothing,
}

fn kept<'a>(schema: &'a TypeSchema, resolved: &Resolved<'_>) -> Kept<'a> {
    // An element without its `primary` has no index row, though a filter takes it for false.
    if matches!((resolved.attribute, resolved.sub_attribute), (Some(attribute), Some(sub)) if attribute.is_primary(sub))
    {
        return Kept::Nothing;
    }
    let path = resolved.canonical_path();
    match path.as_str() {
        "id" => Kept::Id,
        "meta.created" => Kept::Created,
        "meta.lastModified" => Kept::LastModified,
        "meta.resourceType" => Kept::ResourceType,
        "members" => Kept::Members,
        "members.value" => Kept::MemberId,
        "groups" => Kept::Groups,
        "groups.value" => Kept::GroupId,
        other if other.starts_with("members.") => Kept::MemberPart,
        other if other.starts_with("groups.") => Kept::GroupPart,
        _ => schema
            .indexed()
            .iter()
            .find(|indexed| indexed.path == path)
            .map_or(Kept::Nothing, |indexed| Kept::Indexed {
                path: &indexed.path,
                unique: indexed.unique,
            }),
    }
}

fn probe(probe: Probe) -> Selection {
    Selection::exactly(Condition::Probe(probe))
}

fn value_probe(path: &str, unique: bool, test: ValueTest) -> Selection {
    probe(Probe::Value {
        path: path.to_owned(),
        unique,
        test,
    })
}

fn present(schema: &TypeSchema, resolved: &Resolved<'_>) -> Selection {
    match kept(schema, resolved) {
        Kept::Id | Kept::Created | Kept::LastModified | Kept::ResourceType => {
            Selection::constant(true)
        }
        Kept::Members | Kept::MemberId => probe(Probe::HasMembers),
        Kept::Groups | Kept::GroupId => probe(Probe::InGroups),
        Kept::MemberPart => Selection::at_least(Condition::Probe(Probe::HasMembers)),
        Kept::GroupPart => Selection::at_least(Condition::Probe(Probe::InGroups)),
        // Only the empty string has an empty key, and it counts as unassigned.
        Kept::Indexed { path, unique } => value_probe(path, unique, above(Vec::new(), true)),
        Kept::Nothing => Selection::at_least(Condition::All),
    }
}

fn compare(
    schema: &TypeSchema,
    path: &AttributePath,
    op: CompareOp,
    literal: &Value,
    filter: &Filter,
) -> Selection {
    let Some(resolved) = schema.resolve(path).filter(Resolved::is_readable) else {
        // Unassigned in this type: what the filter says of an empty resource.
        return Selection::constant(filter.matches(schema, &Map::new()));
    };
    if literal.is_null() {
        return match op {
            CompareOp::Eq => present(schema, &resolved).negated(),
            CompareOp::Ne => present(schema, &resolved),
            _ => Selection::constant(false),
        };
    }
    if matches!(kept(schema, &resolved), Kept::ResourceType) {
        let resource =
            Map::from_iter([("meta".to_owned(), json!({"resourceType": schema.name()}))]);
        return Selection::constant(filter.matches(schema, &resource));
    }
    let Some(leaf) = resolved.comparable() else {
        return Selection::at_least(Condition::All);
    };
    if op == CompareOp::Ne {
        return compare_leaf(schema, &leaf, CompareOp::Eq, literal).negated();
    }
    compare_leaf(schema, &leaf, op, literal)
}

/// Any operator but `ne`; any value of the attribute may satisfy it.
fn compare_leaf(
    schema: &TypeSchema,
    resolved: &Resolved<'_>,
    op: CompareOp,
    literal: &Value,
) -> Selection {
    let Some(attribute) = resolved.leaf() else {
        return Selection::at_least(Condition::All);
    };
    let Some(key) = index_key(attribute, literal).filter(|_| applies(op, attribute.kind)) else {
        return Selection::constant(false);
    };
    match kept(schema, resolved) {
        Kept::Id if op == CompareOp::Eq => probe(Probe::Id(reference(attribute, literal))),
        Kept::Created => time(op, literal, Probe::Created),
        Kept::LastModified => time(op, literal, Probe::LastModified),
        Kept::MemberId if op == CompareOp::Eq => {
            probe(Probe::HasMember(reference(attribute, literal)))
        }
        Kept::GroupId if op == CompareOp::Eq => {
            probe(Probe::InGroup(reference(attribute, literal)))
        }
        Kept::MemberId | Kept::MemberPart | Kept::Members => {
            Selection::at_least(Condition::Probe(Probe::HasMembers))
        }
        Kept::GroupId | Kept::GroupPart | Kept::Groups => {
            Selection::at_least(Condition::Probe(Probe::InGroups))
        }
        Kept::Indexed { path, unique } => value_probe(path, unique, value_test(op, key)),
        Kept::Id | Kept::ResourceType | Kept::Nothing => Selection::at_least(Condition::All),
    }
}

/// Ids are written in lower case, so where the attribute is compared without case the folded literal is the id.
fn reference(attribute: &Attribute, literal: &Value) -> String {
    let text = literal.as_str().unwrap_or_default();
    if attribute.case_exact {
        text.to_owned()
    } else {
        fold(text).into_owned()
    }
}

/// Whether an operator compares values of the type at all (RFC 7644 section 3.4.2.2, table 3).
fn applies(op: CompareOp, kind: AttributeType) -> bool {
    let ordered = matches!(
        op,
        CompareOp::Gt | CompareOp::Ge | CompareOp::Lt | CompareOp::Le
    );
    let substring = matches!(op, CompareOp::Co | CompareOp::Sw | CompareOp::Ew);
    match kind {
        AttributeType::String | AttributeType::Reference => true,
        AttributeType::Binary => !ordered,
        AttributeType::Integer | AttributeType::Decimal | AttributeType::DateTime => !substring,
        AttributeType::Boolean | AttributeType::Complex => !ordered && !substring,
    }
}

fn time(op: CompareOp, literal: &Value, make: fn(TimeTest) -> Probe) -> Selection {
    let Some(at) = literal.as_str().and_then(instant) else {
        return Selection::constant(false);
    };
    let (from_micros, to_micros) = match op {
        CompareOp::Gt => (Some(at.saturating_add(1)), None),
        CompareOp::Ge => (Some(at), None),
        CompareOp::Lt => (None, Some(at.saturating_sub(1))),
        CompareOp::Le => (None, Some(at)),
        _ => (Some(at), Some(at)),
    };
    probe(make(TimeTest {
        from_micros,
        to_micros,
    }))
}

fn above(from: Vec<u8>, from_open: bool) -> ValueTest {
    ValueTest::Range {
        from: Some(from),
        from_open,
        to: None,
        to_open: false,
    }
}

fn below(to: Vec<u8>, to_open: bool) -> ValueTest {
    ValueTest::Range {
        from: None,
        from_open: false,
        to: Some(to),
        to_open,
    }
}

const ANY_VALUE: ValueTest = ValueTest::Range {
    from: None,
    from_open: false,
    to: None,
    to_open: false,
};

fn value_test(op: CompareOp, key: Vec<u8>) -> ValueTest {
    match op {
        CompareOp::Eq | CompareOp::Ne => ValueTest::Equal(key),
        CompareOp::Gt => above(key, true),
        CompareOp::Ge => above(key, false),
        CompareOp::Lt => below(key, true),
        CompareOp::Le => below(key, false),
        CompareOp::Co | CompareOp::Ew | CompareOp::Sw if key.is_empty() => ANY_VALUE,
        CompareOp::Co => ValueTest::Contains(key),
        CompareOp::Ew => ValueTest::EndsWith(key),
        CompareOp::Sw => {
            let to = after_prefix(&key);
            ValueTest::Range {
                from: Some(key),
                from_open: false,
                to_open: to.is_some(),
                to,
            }
        }
    }
}

/// The least key above every key with this prefix; `None` if no key is above them.
fn after_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < u8::MAX {
            end.push(last + 1);
            return Some(end);
        }
    }
    None
}

/// A value path: some element satisfies the whole inner filter, so it satisfies each part of it; the reverse holds for a single comparison and for
/// alternatives of such.
fn of_element(
    schema: &TypeSchema,
    parent: &Resolved<'_>,
    attribute: &Attribute,
    filter: &Filter,
) -> Selection {
    match filter {
        Filter::And(all) => Selection::at_least(
            all_of(
                all.iter()
                    .map(|inner| of_element(schema, parent, attribute, inner)),
            )
            .condition,
        ),
        Filter::Or(all) => one_of(
            all.iter()
                .map(|inner| of_element(schema, parent, attribute, inner)),
        ),
        Filter::Present(path) => match sub_attribute(parent, attribute, path) {
            Some(sub) => present(schema, &sub),
            None => Selection::constant(false),
        },
        Filter::Compare { path, op, value } if *op != CompareOp::Ne && !value.is_null() => {
            match sub_attribute(parent, attribute, path) {
                Some(sub) => compare_leaf(schema, &sub, *op, value),
                None => Selection::constant(false),
            }
        }
        // A negation also holds for an element without an index row. But there must be an element.
        Filter::Not(_) | Filter::Compare { .. } | Filter::ValuePath { .. } => {
            match kept(schema, parent) {
                Kept::Members => Selection::at_least(Condition::Probe(Probe::HasMembers)),
                Kept::Groups => Selection::at_least(Condition::Probe(Probe::InGroups)),
                _ => Selection::at_least(Condition::All),
            }
        }
    }
}

/// What a path inside brackets names; `value` is the element itself where the attribute is not complex.
fn sub_attribute<'a>(
    parent: &Resolved<'a>,
    attribute: &'a Attribute,
    path: &AttributePath,
) -> Option<Resolved<'a>> {
    if attribute.kind != AttributeType::Complex {
        return path
            .attribute
            .eq_ignore_ascii_case("value")
            .then_some(*parent);
    }
    let sub = attribute
        .sub_attribute(&path.attribute)
        .filter(|sub| sub.is_readable())?;
    Some(Resolved {
        sub_attribute: Some(sub),
        ..*parent
    })
}
