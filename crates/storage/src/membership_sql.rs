//! Lists of memberships as SQL. Reads nothing.

use directory::store::MembershipQuery;
use directory::tenant::TenantId;

use crate::filter_sql::{Parameter, Query};
use crate::session::Statement;

/// Members of a group after one of them.
pub(crate) static READ_MEMBERS_AFTER: Statement = Statement::new(
    "SELECT m.member_resource, r.id, r.type, r.display FROM memberships AS m \
     JOIN resources AS r ON r.tenant = m.tenant AND r.resource = m.member_resource \
     WHERE m.tenant = $1 AND m.group_resource = (SELECT resource FROM resources WHERE tenant = $1 AND id = $2) AND m.member_resource > $3 \
     ORDER BY m.member_resource LIMIT $4",
);

struct Builder {
    parameters: Vec<Parameter>,
}

impl Builder {
    fn bind(&mut self, parameter: Parameter) -> String {
        self.parameters.push(parameter);
        format!("${}", self.parameters.len())
    }
}

/// Keys of group and member, then id, type and name of each.
pub(crate) fn list(query: &MembershipQuery, tenant: TenantId) -> Query {
    let mut builder = Builder {
        parameters: Vec::new(),
    };
    let matching = matching(query, &mut builder, tenant);
    let after = match query.after {
        None => String::new(),
        Some((group, member)) => {
            let (group, member) = (
                builder.bind(Parameter::Integer(group)),
                builder.bind(Parameter::Integer(member)),
            );
            format!(" AND (m.group_resource, m.member_resource) > ({group}, {member})")
        }
    };
    let limit = builder.bind(Parameter::Integer(
        i64::try_from(query.limit).unwrap_or(i64::MAX),
    ));
    let offset = builder.bind(Parameter::Integer(
        i64::try_from(query.offset).unwrap_or(i64::MAX),
    ));
    let text = format!(
        "SELECT m.group_resource, m.member_resource, g.id, g.type, g.display, r.id, r.type, r.display {matching}{after} \
         ORDER BY m.group_resource, m.member_resource LIMIT {limit} OFFSET {offset}"
    );
    Query {
        text,
        parameters: builder.parameters,
    }
}

/// How many there are, wherever the list begins.
pub(crate) fn count(query: &MembershipQuery, tenant: TenantId) -> Query {
    let mut builder = Builder {
        parameters: Vec::new(),
    };
    let matching = if query.member_type.is_some() {
        matching(query, &mut builder, tenant)
    } else {
        narrow(query, &mut builder, tenant)
    };
    Query {
        text: format!("SELECT count(*) {matching}"),
        parameters: builder.parameters,
    }
}

fn matching(query: &MembershipQuery, builder: &mut Builder, tenant: TenantId) -> String {
    let conditions = conditions(query, builder, tenant);
    let of_type = query.member_type.as_ref().map_or_else(String::new, |name| {
        let name = builder.bind(Parameter::Text(name.clone()));
        format!(" AND r.type = {name}")
    });
    format!(
        "FROM memberships AS m JOIN resources AS g ON g.tenant = m.tenant AND g.resource = m.group_resource \
         JOIN resources AS r ON r.tenant = m.tenant AND r.resource = m.member_resource WHERE {conditions}{of_type}"
    )
}

/// Without the resources: each membership has both.
fn narrow(query: &MembershipQuery, builder: &mut Builder, tenant: TenantId) -> String {
    format!(
        "FROM memberships AS m WHERE {}",
        conditions(query, builder, tenant)
    )
}

fn conditions(query: &MembershipQuery, builder: &mut Builder, tenant: TenantId) -> String {
    let tenant = builder.bind(Parameter::Integer(tenant.0));
    let mut conditions = vec![format!("m.tenant = {tenant}")];
    for (column, id) in [
        ("group_resource", &query.group_id),
        ("member_resource", &query.member_id),
    ] {
        if let Some(id) = id {
            let id = builder.bind(Parameter::Text(id.clone()));
            conditions.push(format!("m.{column} = (SELECT x.resource FROM resources AS x WHERE x.tenant = {tenant} AND x.id = {id})"));
        }
    }
    conditions.join(" AND ")
}
