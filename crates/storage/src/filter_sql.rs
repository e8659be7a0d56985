//! A search plan as SQL, in both dialects: the only generated SQL. Says which resources and in which order; reads nothing.
//!
//! The tenant is an equality in every part and stands outside the parenthesised condition.

use directory::search::{Condition, Probe, SearchPlan, Sort, TimeTest, ValueTest};
use directory::tenant::TenantId;
use scim_protocol::TypeSchema;

use crate::rows::{attribute_key, stored_key};

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// SQLite.
    Sqlite,
    /// PostgreSQL.
    Postgres,
}

/// A value beside the text of a query.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Parameter {
    /// A number or key.
    Integer(i64),
    /// An id, or the name of a type.
    Text(String),
    /// An index key.
    Bytes(Vec<u8>),
}

/// A query: one column, `resource` or a count.
#[derive(Clone, Debug)]
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
    let Some(sort) = &plan.sort else { return Order::InSql };
    if plan.types.iter().all(|schema| sort_source(schema, sort).is_some()) { Order::InSql } else { Order::InMemory }
}

/// How many resources the conditions select.
pub(crate) fn count(plan: &SearchPlan, dialect: Dialect, tenant: TenantId) -> Query {
    let mut query = Builder::new(dialect, tenant);
    let parts: Vec<String> =
        plan.types.iter().zip(&plan.conditions).map(|(schema, condition)| query.matching("count(*) AS n", schema, condition)).collect();
    let text = match parts.as_slice() {
        [one] => one.clone(),
        many => format!("SELECT CAST(sum(n) AS BIGINT) FROM ({}) AS parts", many.join(" UNION ALL ")),
    };
    query.finish(text)
}

/// Keys of the resources that the conditions select: in the order of the plan where `order` is `InSql`, else by type and key. All of them, or only the page.
pub(crate) fn keys(plan: &SearchPlan, dialect: Dialect, tenant: TenantId, page: bool) -> Query {
    let mut query = Builder::new(dialect, tenant);
    let sort = plan.sort.as_ref().filter(|_| order(plan) == Order::InSql);
    let mut parts = Vec::new();
    for (index, (schema, condition)) in plan.types.iter().zip(&plan.conditions).enumerate() {
        match sort.and_then(|sort| sort_source(schema, sort)) {
            None => parts.push(query.matching(&format!("r.resource, {index} AS place"), schema, condition)),
            Some(source) => query.sorted(index, schema, condition, &source, &mut parts),
        }
    }
    let direction = if sort.is_some_and(|sort| sort.descending) { "DESC" } else { "ASC" };
    let order = match (sort, parts.len()) {
        (None, 1) => "r.resource".to_owned(),
        (None, _) => "place, resource".to_owned(),
        (Some(_), _) => format!("missing {direction}, value {direction}, place, resource"),
    };
    let mut text = match parts.as_slice() {
        [one] if sort.is_none() => format!("{one} ORDER BY {order}"),
        many => format!("SELECT resource FROM ({}) AS parts ORDER BY {order}", many.join(" UNION ALL ")),
    };
    if page {
        let limit = query.bind(Parameter::Integer(i64::try_from(plan.limit).unwrap_or(i64::MAX)));
        let offset = query.bind(Parameter::Integer(i64::try_from(plan.offset).unwrap_or(i64::MAX)));
        text = format!("{text} LIMIT {limit} OFFSET {offset}");
    }
    query.finish(text)
}

/// Where an order comes from.
enum SortSource {
    /// A column of `resources` that always has a value.
    Column(&'static str),
    /// A table of index rows.
    Index { table: &'static str, attribute: i64, required: bool },
}

/// `None` where no index has exactly the values that the resource is sorted by; one of several values is chosen by looking at all of them.
fn sort_source(schema: &TypeSchema, sort: &Sort) -> Option<SortSource> {
    let resolved = schema.resolve(&sort.path)?;
    let path = resolved.canonical_path();
    match path.as_str() {
        "id" => return Some(SortSource::Column("id")),
        "meta.created" => return Some(SortSource::Column("created")),
        "meta.lastModified" => return Some(SortSource::Column("modified")),
        _ => {}
    }
    let several = [resolved.attribute, resolved.sub_attribute].into_iter().flatten().any(|attribute| attribute.multi_valued);
    let indexed = schema.indexed().iter().find(|indexed| indexed.path == path).filter(|_| !several)?;
    Some(SortSource::Index {
        table: table(indexed.unique),
        attribute: attribute_key(schema.name(), &path),
        required: indexed.attribute.required && indexed.parent.is_none() && indexed.extension.is_none(),
    })
}

fn table(unique: bool) -> &'static str {
    if unique { "unique_values" } else { "index_values" }
}

struct Builder {
    dialect: Dialect,
    parameters: Vec<Parameter>,
    tenant: String,
}

impl Builder {
    fn new(dialect: Dialect, tenant: TenantId) -> Self {
        let mut builder = Self { dialect, parameters: Vec::new(), tenant: String::new() };
        builder.tenant = builder.bind(Parameter::Integer(tenant.0));
        builder
    }

    fn finish(self, text: String) -> Query {
        Query { text, parameters: self.parameters }
    }

    fn bind(&mut self, parameter: Parameter) -> String {
        self.parameters.push(parameter);
        let sign = if self.dialect == Dialect::Sqlite { '?' } else { '$' };
        format!("{sign}{}", self.parameters.len())
    }

    fn bind_text(&mut self, text: &str) -> String {
        self.bind(Parameter::Text(text.to_owned()))
    }

    fn bind_key(&mut self, key: &[u8]) -> String {
        let key = if self.dialect == Dialect::Postgres { stored_key(key).into_owned() } else { key.to_vec() };
        self.bind(Parameter::Bytes(key))
    }

    /// These columns of the resources of a type that a condition selects.
    fn matching(&mut self, columns: &str, schema: &TypeSchema, condition: &Condition) -> String {
        let resource_type = self.bind_text(schema.name());
        let condition = self.condition(schema.name(), condition);
        format!("SELECT {columns} FROM resources AS r WHERE r.tenant = {} AND r.type = {resource_type} AND ({condition})", self.tenant)
    }

    /// The same with what they are sorted by: from the index itself, so that a page is read in order, and then those that the index does not have.
    fn sorted(&mut self, place: usize, schema: &TypeSchema, condition: &Condition, source: &SortSource, parts: &mut Vec<String>) {
        let (table, attribute, required) = match source {
            SortSource::Column(column) => {
                let collation = if self.dialect == Dialect::Postgres && *column == "id" { " COLLATE \"C\"" } else { "" };
                let columns = format!("r.resource, {place} AS place, 0 AS missing, r.{column}{collation} AS value");
                parts.push(self.matching(&columns, schema, condition));
                return;
            }
            SortSource::Index { table, attribute, required } => (*table, self.bind(Parameter::Integer(*attribute)), *required),
        };
        let tenant = self.tenant.clone();
        let mut with_value = format!(
            "SELECT s.resource, {place} AS place, 0 AS missing, s.value AS value FROM {table} AS s WHERE s.tenant = {tenant} AND s.attribute = {attribute}"
        );
        if *condition != Condition::All {
            let matching = self.matching("r.resource", schema, condition);
            with_value = format!("{with_value} AND s.resource IN ({matching})");
        }
        parts.push(with_value);
        if !required {
            let empty = if self.dialect == Dialect::Sqlite { "x''" } else { "''::bytea" };
            let matching = self.matching(&format!("r.resource, {place} AS place, 1 AS missing, {empty} AS value"), schema, condition);
            let known = format!("SELECT s.resource FROM {table} AS s WHERE s.tenant = {tenant} AND s.attribute = {attribute}");
            parts.push(format!("{matching} AND r.resource NOT IN ({known})"));
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
        let parts: Vec<String> = all.iter().map(|condition| format!("({})", self.condition(resource_type, condition))).collect();
        parts.join(separator)
    }

    fn probe(&mut self, resource_type: &str, probe: &Probe) -> String {
        let tenant = self.tenant.clone();
        match probe {
            Probe::Id(id) => format!("r.id = {}", self.bind_text(id)),
            Probe::Created(test) => self.time("r.created", *test),
            Probe::LastModified(test) => self.time("r.modified", *test),
            Probe::Value { path, unique, test } => {
                let table = table(*unique);
                let attribute = self.bind(Parameter::Integer(attribute_key(resource_type, path)));
                let test = self.value(test);
                format!(
                    "r.resource IN (SELECT v.resource FROM {table} AS v WHERE v.tenant = {tenant} AND v.attribute = {attribute} AND {test})"
                )
            }
            Probe::HasMember(id) => {
                let member = self.resource(id);
                format!(
                    "r.resource IN (SELECT m.group_resource FROM memberships AS m WHERE m.tenant = {tenant} AND m.member_resource = {member})"
                )
            }
            Probe::HasMembers => {
                format!("EXISTS (SELECT 1 FROM memberships AS m WHERE m.tenant = {tenant} AND m.group_resource = r.resource)")
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

    /// The key of a resource, 0 where there is none.
    fn resource(&mut self, id: &str) -> String {
        let id = self.bind_text(id);
        format!("coalesce((SELECT x.resource FROM resources AS x WHERE x.tenant = {} AND x.id = {id}), 0)", self.tenant)
    }

    fn time(&mut self, column: &str, test: TimeTest) -> String {
        let from = test.from_micros.map(|from| format!("{column} >= {}", self.bind(Parameter::Integer(from))));
        let to = test.to_micros.map(|to| format!("{column} <= {}", self.bind(Parameter::Integer(to))));
        all_of([from, to])
    }

    fn value(&mut self, test: &ValueTest) -> String {
        match test {
            ValueTest::Present => "TRUE".to_owned(),
            ValueTest::Equal(key) => format!("v.value = {}", self.bind_key(key)),
            ValueTest::Range { from, from_open, to, to_open } => {
                let from = from.as_ref().map(|key| format!("v.value {} {}", if *from_open { ">" } else { ">=" }, self.bind_key(key)));
                let to = to.as_ref().map(|key| format!("v.value {} {}", if *to_open { "<" } else { "<=" }, self.bind_key(key)));
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
                    format!("substring(v.value FROM greatest(length(v.value) - {length} + 1, 1)) = {end}")
                }
            }
        }
    }
}

fn all_of(parts: [Option<String>; 2]) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "TRUE".to_owned() } else { parts.join(" AND ") }
}
