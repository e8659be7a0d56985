//! A search plan as SQL, in both dialects: the only generated SQL. Says which resources and in which order; reads nothing.
//!
//! The tenant is an equality in every part and stands outside the parenthesised condition.

use std::cmp::Ordering;

use directory::search::{Condition, Position, Probe, SearchPlan, Sort, TimeTest, ValueTest};
use directory::tenant::TenantId;
use scim_protocol::TypeSchema;

use crate::rows::{attribute_key, stored_key};
use crate::session::{Bind, Field};

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A value beside the text of a query.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Parameter {
    /// A number or key.
    Integer(i64),
    /// An id, or the name of a type.
    Text(String),
    /// An index key.
    Bytes(Vec<u8>),
}

impl Bind for Parameter {
    fn field(&self) -> Field<'_> {
        match self {
            Self::Integer(value) => Field::Integer(*value),
            Self::Text(text) => Field::Text(text),
            Self::Bytes(key) => Field::IndexKey(key),
        }
    }
}

/// A query: a count, or rows of `resource`, `place` (of the type in the plan), `missing` and `value` (what is sorted by).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Query {
    /// With numbered parameters.
    pub text: String,
    /// Their values.
    pub parameters: Vec<Parameter>,
}

/// Who brings the resources into the order that was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// The query.
    InSql,
    /// Whoever reads the candidates: only the documents know it.
    InMemory,
}

/// Whether an index knows the order.
pub(crate) fn order(plan: &SearchPlan) -> Order {
    let Some(sort) = &plan.sort else {
        return Order::InSql;
    };
    if plan
        .types
        .iter()
        .all(|schema| sort_source(schema, sort).is_some())
    {
        Order::InSql
    } else {
        Order::InMemory
    }
}

/// How many resources of one of the plan's types its condition selects.
pub(crate) fn count(
    schema: &TypeSchema,
    condition: &Condition,
    dialect: Dialect,
    tenant: TenantId,
) -> Query {
    let mut query = Builder::new(dialect, tenant);
    let text = query.matching("count(*) AS n", schema, condition);
    query.finish(text)
}

/// The resources that the conditions select: in the order of the plan where `order` is `InSql`, else by type and key. All of them, or only the page; with
/// positions, those behind the position, and on a page one more, which tells whether there is another.
pub(crate) fn keys(plan: &SearchPlan, dialect: Dialect, tenant: TenantId, page: bool) -> Query {
    let mut query = Builder::new(dialect, tenant);
    let sort = plan.sort.as_ref().filter(|_| order(plan) == Order::InSql);
    // A position in an order that only the documents know says nothing of the rows.
    let is_in_order = sort.is_some() || plan.sort.is_none();
    let after = plan
        .keyset
        .as_ref()
        .and_then(|keyset| keyset.after.as_ref())
        .filter(|_| is_in_order);
    let descending = sort.is_some_and(|sort| sort.descending);
    let mut parts = Vec::new();
    for (place, (schema, condition)) in (0..).zip(plan.types.iter().zip(&plan.conditions)) {
        let part = Part {
            place,
            after,
            descending,
        };
        match sort.and_then(|sort| sort_source(schema, sort)) {
            None => query.unsorted(part, schema, condition, &mut parts),
            Some(source) => query.sorted(part, schema, condition, &source, &mut parts),
        }
    }
    let direction = if descending { "DESC" } else { "ASC" };
    let within = if sort.is_some() {
        format!("value {direction}, resource")
    } else {
        "resource".to_owned()
    };
    let whole = if sort.is_some() {
        format!("missing {direction}, value {direction}, place, resource")
    } else {
        "place, resource".to_owned()
    };
    if !page {
        return query.union(&parts, &whole);
    }
    let wanted = plan
        .limit
        .saturating_add(u64::from(plan.keyset.is_some() && plan.limit > 0));
    let limit = query.bind_count(wanted);
    let offset = query.bind_count(plan.offset);
    if let [one] = parts.as_slice() {
        let text = format!("{one} ORDER BY {within} LIMIT {limit} OFFSET {offset}");
        return query.finish(text);
    }
    // Each part gives no more than the page could need, in its own order, which an index has; then few are left to be brought together.
    let most = if parts.is_empty() {
        String::new()
    } else {
        query.bind_count(plan.offset.saturating_add(wanted))
    };
    let parts: Vec<String> = parts
        .iter()
        .map(|part| format!("SELECT * FROM ({part} ORDER BY {within} LIMIT {most}) AS part"))
        .collect();
    let mut union = query.union(&parts, &whole);
    union.text = format!("{} LIMIT {limit} OFFSET {offset}", union.text);
    union
}

/// Keys of resources that a probe alone selects, with repetitions, and of all types that have it; `None` where no index begins with what it asks for.
pub(crate) fn candidates(
    schema: &TypeSchema,
    probe: &Probe,
    dialect: Dialect,
    tenant: TenantId,
) -> Option<Query> {
    let mut query = Builder::new(dialect, tenant);
    let text = match probe {
        Probe::Value { path, unique, test } => query.values(schema.name(), path, *unique, test),
        Probe::Id(_) | Probe::LastModified(_) | Probe::HasMember(_) => {
            query.matching("r.resource", schema, &Condition::Probe(probe.clone()))
        }
        Probe::Created(_) | Probe::HasMembers | Probe::InGroup(_) | Probe::InGroups => return None,
    };
    Some(query.finish(text))
}

/// Where an order comes from.
pub(crate) enum SortSource {
    /// A column of `resources` that always has a value.
    Column(&'static str),
    /// A table of index rows.
    Index {
        /// Which.
        table: &'static str,
        /// The key of the attribute.
        attribute: i64,
        /// Whether every resource has a value.
        required: bool,
    },
}

/// One type's part of a query.
#[derive(Clone, Copy)]
struct Part<'a> {
    place: u32,
    after: Option<&'a Position>,
    descending: bool,
}

/// Which rows of a part come after a position.
enum Start {
    All,
    None,
    Where(String),
}

impl Start {
    /// What is added to the part's condition; `None` where the part has no such rows.
    fn condition(self) -> Option<String> {
        match self {
            Self::All => Some(String::new()),
            Self::None => None,
            Self::Where(condition) => Some(format!(" AND {condition}")),
        }
    }
}

/// `None` where no index has exactly the values that the resource is sorted by; one of several values is chosen by looking at all of them.
pub(crate) fn sort_source(schema: &TypeSchema, sort: &Sort) -> Option<SortSource> {
    let resolved = schema.resolve(&sort.path)?;
    let path = resolved.canonical_path();
    match path.as_str() {
        "id" => return Some(SortSource::Column("id")),
        "meta.created" => return Some(SortSource::Column("created")),
        "meta.lastModified" => return Some(SortSource::Column("modified")),
        _ => {}
    }
    let several = [resolved.attribute, resolved.sub_attribute]
        .into_iter()
        .flatten()
        .any(|attribute| attribute.multi_valued);
    let indexed = schema
        .indexed()
        .iter()
        .find(|indexed| indexed.path == path)
        .filter(|_| !several)?;
    Some(SortSource::Index {
        table: table(indexed.unique),
        attribute: attribute_key(schema.name(), &path),
        required: indexed.attribute.required
            && indexed.parent.is_none()
            && indexed.extension.is_none(),
    })
}

fn table(unique: bool) -> &'static str {
    if unique {
        "unique_values"
    } else {
        "index_values"
    }
}

struct Builder {
    dialect: Dialect,
    parameters: Vec<Parameter>,
    tenant: String,
}

impl Builder {
    fn new(dialect: Dialect, tenant: TenantId) -> Self {
        let mut builder = Self {
            dialect,
            parameters: Vec::new(),
            tenant: String::new(),
        };
        builder.tenant = builder.bind(Parameter::Integer(tenant.0));
        builder
    }

    fn finish(self, text: String) -> Query {
        Query {
            text,
            parameters: self.parameters,
        }
    }

    fn bind(&mut self, parameter: Parameter) -> String {
        self.parameters.push(parameter);
        let sign = if self.dialect == Dialect::Sqlite {
            '?'
        } else {
            '$'
        };
        format!("{sign}{}", self.parameters.len())
    }

    fn bind_text(&mut self, text: &str) -> String {
        self.bind(Parameter::Text(text.to_owned()))
    }

    fn bind_key(&mut self, key: &[u8]) -> String {
        let key = if self.dialect == Dialect::Postgres {
            stored_key(key).into_owned()
        } else {
            key.to_vec()
        };
        self.bind(Parameter::Bytes(key))
    }

    /// These columns of the resources of a type that a condition selects.
    fn matching(&mut self, columns: &str, schema: &TypeSchema, condition: &Condition) -> String {
        let resource_type = self.bind_text(schema.name());
        let condition = self.condition(schema.name(), condition);
        format!(
            "SELECT {columns} FROM resources AS r WHERE r.tenant = {} AND r.type = {resource_type} AND ({condition})",
            self.tenant
        )
    }

    fn bind_count(&mut self, count: u64) -> String {
        self.bind(Parameter::Integer(i64::try_from(count).unwrap_or(i64::MAX)))
    }

    /// All parts as one query; none of them may be left.
    fn union(self, parts: &[String], order: &str) -> Query {
        let empty = self.empty();
        let nothing = format!(
            "SELECT r.resource, 0 AS place, 0 AS missing, {empty} AS value FROM resources AS r WHERE r.tenant = {} AND FALSE",
            self.tenant
        );
        let parts = if parts.is_empty() {
            nothing
        } else {
            parts.join(" UNION ALL ")
        };
        self.finish(format!(
            "SELECT resource, place, missing, value FROM ({parts}) AS parts ORDER BY {order}"
        ))
    }

    fn empty(&self) -> &'static str {
        if self.dialect == Dialect::Sqlite {
            "x''"
        } else {
            "''::bytea"
        }
    }

    fn unsorted(
        &mut self,
        part: Part<'_>,
        schema: &TypeSchema,
        condition: &Condition,
        parts: &mut Vec<String>,
    ) {
        let start = match part.after {
            Some(after) => self.ties(part.place, after, "r.resource"),
            None => Start::All,
        };
        let Some(start) = start.condition() else {
            return;
        };
        let columns = format!(
            "r.resource, {} AS place, 0 AS missing, {} AS value",
            part.place,
            self.empty()
        );
        parts.push(self.matching(&columns, schema, condition) + &start);
    }

    /// Among equals: by type, then by key.
    fn ties(&mut self, place: u32, after: &Position, key: &str) -> Start {
        match place.cmp(&after.place) {
            Ordering::Less => Start::None,
            Ordering::Equal => Start::Where(format!(
                "{key} > {}",
                self.bind(Parameter::Integer(after.key))
            )),
            Ordering::Greater => Start::All,
        }
    }

    /// Of rows that have a value: those behind the position.
    fn behind(
        &mut self,
        part: Part<'_>,
        value: &str,
        key: &str,
        bind: impl Fn(&Position) -> Option<Parameter>,
    ) -> Start {
        let Some(after) = part.after else {
            return Start::All;
        };
        if after.missing {
            return if part.descending {
                Start::All
            } else {
                Start::None
            };
        }
        // A value that is not of the column's kind is in no cursor of ours.
        let Some(bound) = bind(after) else {
            return Start::None;
        };
        let bound = self.bind(bound);
        let beyond = if part.descending { "<" } else { ">" };
        let ties = self.ties(part.place, after, key);
        Start::Where(match ties {
            Start::None => format!("{value} {beyond} {bound}"),
            Start::All => format!("{value} {beyond}= {bound}"),
            // The first comparison is what an index begins with.
            Start::Where(tie) => {
                format!("{value} {beyond}= {bound} AND ({value} {beyond} {bound} OR {tie})")
            }
        })
    }

    /// The same with what they are sorted by: from the index itself, so that a page is read in order, and then those that the index does not have.
    fn sorted(
        &mut self,
        part: Part<'_>,
        schema: &TypeSchema,
        condition: &Condition,
        source: &SortSource,
        parts: &mut Vec<String>,
    ) {
        let place = part.place;
        let (table, attribute, required) = match source {
            SortSource::Column(column) => {
                let collation = if self.dialect == Dialect::Postgres && *column == "id" {
                    " COLLATE \"C\""
                } else {
                    ""
                };
                let value = format!("r.{column}{collation}");
                let start = self.behind(part, &value, "r.resource", |after| {
                    column_value(column, &after.value)
                });
                let Some(start) = start.condition() else {
                    return;
                };
                let columns =
                    format!("r.resource, {place} AS place, 0 AS missing, {value} AS value");
                parts.push(self.matching(&columns, schema, condition) + &start);
                return;
            }
            SortSource::Index {
                table,
                attribute,
                required,
            } => (*table, *attribute, *required),
        };
        let tenant = self.tenant.clone();
        let start = self.behind(part, "s.value", "s.resource", |after| {
            Some(Parameter::Bytes(after.value.clone()))
        });
        if let Some(start) = start.condition() {
            let attribute = self.bind(Parameter::Integer(attribute));
            let mut with_value = format!(
                "SELECT s.resource, {place} AS place, 0 AS missing, s.value AS value FROM {table} AS s WHERE s.tenant = {tenant} AND s.attribute = {attribute}"
            );
            if *condition != Condition::All {
                let matching = self.matching("r.resource", schema, condition);
                with_value = format!("{with_value} AND s.resource IN ({matching})");
            }
            parts.push(with_value + &start);
        }
        let start = match part.after {
            _ if required => Start::None,
            Some(after) if after.missing => self.ties(place, after, "r.resource"),
            Some(_) if part.descending => Start::None,
            _ => Start::All,
        };
        if let Some(start) = start.condition() {
            let columns = format!(
                "r.resource, {place} AS place, 1 AS missing, {} AS value",
                self.empty()
            );
            let matching = self.matching(&columns, schema, condition);
            let attribute = self.bind(Parameter::Integer(attribute));
            let known = format!(
                "SELECT s.resource FROM {table} AS s WHERE s.tenant = {tenant} AND s.attribute = {attribute}"
            );
            parts.push(format!("{matching} AND r.resource NOT IN ({known}){start}"));
        }
    }

    fn condition(&mut self, resource_type: &str, condition: &Condition) -> String {
        match condition {
            Condition::All => "TRUE".to_owned(),
            Condition::Nothing => "FALSE".to_owned(),
            Condition::And(all) => self.joined(resource_type, all, " AND "),
            Condition::Or(all) => self.joined(resource_type, all, " OR "),
            Condition::Not(inner) => format!("NOT ({})", self.condition(resource_type, inner)),
            Condition::Probe(probe) => self.probe(resource_type, probe),
        }
    }

    fn joined(&mut self, resource_type: &str, all: &[Condition], separator: &str) -> String {
        let parts: Vec<String> = all
            .iter()
            .map(|condition| format!("({})", self.condition(resource_type, condition)))
            .collect();
        parts.join(separator)
    }

    fn probe(&mut self, resource_type: &str, probe: &Probe) -> String {
        let tenant = self.tenant.clone();
        match probe {
            Probe::Id(id) => format!("r.id = {}", self.bind_text(id)),
            Probe::Created(test) => self.time("r.created", *test),
            Probe::LastModified(test) => self.time("r.modified", *test),
            Probe::Value { path, unique, test } => {
                format!(
                    "r.resource IN ({})",
                    self.values(resource_type, path, *unique, test)
                )
            }
            Probe::HasMember(id) => {
                let member = self.resource(id);
                format!(
                    "r.resource IN (SELECT m.group_resource FROM memberships AS m WHERE m.tenant = {tenant} AND m.member_resource = {member})"
                )
            }
            Probe::HasMembers => {
                format!(
                    "EXISTS (SELECT 1 FROM memberships AS m WHERE m.tenant = {tenant} AND m.group_resource = r.resource)"
                )
            }
            Probe::InGroup(id) => {
                let group = self.resource(id);
                // UNION makes circles harmless; nothing is in itself.
                format!(
                    "r.resource IN (WITH RECURSIVE below (resource) AS (\
                     SELECT m.member_resource FROM memberships AS m WHERE m.tenant = {tenant} AND m.group_resource = {group} \
                     UNION SELECT m.member_resource FROM memberships AS m JOIN below AS b ON m.group_resource = b.resource WHERE m.tenant = {tenant}) \
                     SELECT resource FROM below) AND r.resource <> {group}"
                )
            }
            Probe::InGroups => format!(
                "EXISTS (SELECT 1 FROM memberships AS m WHERE m.tenant = {tenant} AND m.member_resource = r.resource AND m.group_resource <> r.resource)"
            ),
        }
    }

    /// Keys of the resources whose values satisfy a test.
    fn values(
        &mut self,
        resource_type: &str,
        path: &str,
        unique: bool,
        test: &ValueTest,
    ) -> String {
        let attribute = self.bind(Parameter::Integer(attribute_key(resource_type, path)));
        let test = self.value(test);
        format!(
            "SELECT v.resource FROM {} AS v WHERE v.tenant = {} AND v.attribute = {attribute} AND {test}",
            table(unique),
            self.tenant
        )
    }

    /// The key of a resource, 0 where there is none.
    fn resource(&mut self, id: &str) -> String {
        let id = self.bind_text(id);
        format!(
            "coalesce((SELECT x.resource FROM resources AS x WHERE x.tenant = {} AND x.id = {id}), 0)",
            self.tenant
        )
    }

    fn time(&mut self, column: &str, test: TimeTest) -> String {
        let from = test
            .from_micros
            .map(|from| format!("{column} >= {}", self.bind(Parameter::Integer(from))));
        let to = test
            .to_micros
            .map(|to| format!("{column} <= {}", self.bind(Parameter::Integer(to))));
        all_of([from, to])
    }

    fn value(&mut self, test: &ValueTest) -> String {
        match test {
            ValueTest::Present => "TRUE".to_owned(),
            ValueTest::Equal(key) => format!("v.value = {}", self.bind_key(key)),
            ValueTest::Range {
                from,
                from_open,
                to,
                to_open,
            } => {
                let from = from.as_ref().map(|key| {
                    format!(
                        "v.value {} {}",
                        if *from_open { ">" } else { ">=" },
                        self.bind_key(key)
                    )
                });
                let to = to.as_ref().map(|key| {
                    format!(
                        "v.value {} {}",
                        if *to_open { "<" } else { "<=" },
                        self.bind_key(key)
                    )
                });
                all_of([from, to])
            }
            ValueTest::Contains(part) => {
                let part = self.bind_key(part);
                if self.dialect == Dialect::Sqlite {
                    format!("instr(v.value, {part}) > 0")
                } else {
                    format!("position({part} IN v.value) > 0")
                }
            }
            ValueTest::EndsWith(end) => {
                let length = end.len();
                let end = self.bind_key(end);
                if self.dialect == Dialect::Sqlite {
                    format!("substr(v.value, -{length}) = {end}")
                } else {
                    format!(
                        "substring(v.value FROM greatest(length(v.value) - {length} + 1, 1)) = {end}"
                    )
                }
            }
        }
    }
}

/// A column's value as positions have it: a text, or the eight bytes of a number.
fn column_value(column: &str, value: &[u8]) -> Option<Parameter> {
    if column == "id" {
        return String::from_utf8(value.to_vec()).ok().map(Parameter::Text);
    }
    value
        .try_into()
        .ok()
        .map(|bytes| Parameter::Integer(i64::from_be_bytes(bytes)))
}

fn all_of(parts: [Option<String>; 2]) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() {
        "TRUE".to_owned()
    } else {
        parts.join(" AND ")
    }
}
