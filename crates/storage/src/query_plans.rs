//! Tests only: every statement prepares on its engine, and the searches that clients send all day are answered by an index.

use std::sync::Arc;

use directory::search::{Condition, Page, Position, SearchPlan, Sort, plan};
use directory::store::Include;
use directory::tenant::TenantId;
use rusqlite::params_from_iter;
use scim_protocol::filter::FilterLimits;
use scim_protocol::{AttributePath, Filter, SchemaSet};

use crate::filter_sql::{Dialect, Parameter, Query, candidates, count, keys};
use crate::membership_sql::READ_MEMBERS_AFTER;
use crate::secrets::MasterKey;
use crate::session::Statement;
use crate::tenant_tables::{LEFT_OUT, LEFT_OUT_COLUMNS, TABLES};
use crate::{
    migrate, postgres, postgres_server, sqlite, statements_of_audit, statements_of_callers,
    statements_of_events, statements_of_safety, statements_of_schemas, statements_of_tenants,
    statements_of_work,
};

/// A filter, and the index that must answer it on each engine.
const INDEXED: &[(&str, &str, &str)] = &[
    (
        r#"userName eq "ann""#,
        "v USING PRIMARY KEY (tenant=? AND attribute=? AND value=?)",
        "unique_values_pkey",
    ),
    (
        r#"emails.value eq "ann@example.com""#,
        "v USING PRIMARY KEY (tenant=? AND attribute=? AND value=?)",
        "index_values_pkey",
    ),
    (
        r#"emails[value eq "ann@example.com"]"#,
        "v USING PRIMARY KEY (tenant=? AND attribute=? AND value=?)",
        "index_values_pkey",
    ),
    (
        r#"externalId eq "E1""#,
        "v USING PRIMARY KEY (tenant=? AND attribute=? AND value=?)",
        "_values_pkey",
    ),
    (
        r#"displayName sw "a""#,
        "v USING PRIMARY KEY (tenant=? AND attribute=? AND value>? AND value<?)",
        "index_values_pkey",
    ),
    (
        r#"name.familyName sw "Sm" and active eq true"#,
        "v USING PRIMARY KEY (tenant=? AND attribute=? AND value",
        "index_values_pkey",
    ),
    (
        r#"meta.lastModified gt "2024-01-01T00:00:00Z""#,
        "r USING COVERING INDEX resources_by_modified (tenant=? AND type=? AND modified>?)",
        "resources_by_modified",
    ),
    (
        r#"id eq "1""#,
        "r USING INDEX resources_by_id (tenant=? AND id=?)",
        "resources_by_id",
    ),
    (
        r#"groups.value eq "1""#,
        "m USING PRIMARY KEY (tenant=? AND group_resource=?)",
        "memberships_pkey",
    ),
];

/// Others, to be prepared.
const PREPARED: &[&str] = &[
    r#"title co "a" and title ew "b" or not (title pr)"#,
    r#"meta.created ge "2024-01-01T00:00:00Z" and meta.created lt "2025-01-01T00:00:00Z""#,
    r#"title gt "a" and title le "b" and active eq true"#,
    "groups pr",
    r#"groups.type eq "direct""#,
];

fn search(filter: Option<&str>, sort: Option<&str>, types: &[&str]) -> SearchPlan {
    let set = SchemaSet::standard();
    let types: Vec<_> = types
        .iter()
        .map(|name| set.by_name(name).unwrap().clone())
        .collect();
    let filter = filter.map(|text| Filter::parse(text, FilterLimits::default()).unwrap());
    let sort = sort.map(|path| Sort {
        path: AttributePath::parse(path).unwrap(),
        descending: true,
    });
    plan(
        &types,
        filter,
        sort,
        Page {
            offset: 0,
            limit: 100,
        },
        Include::default(),
    )
    .unwrap()
}

fn searches() -> Vec<SearchPlan> {
    let mut all = Vec::new();
    let filters = INDEXED
        .iter()
        .map(|(filter, ..)| *filter)
        .chain(PREPARED.iter().copied());
    for filter in filters.map(Some).chain([None]) {
        for sort in [
            None,
            Some("userName"),
            Some("title"),
            Some("id"),
            Some("meta.created"),
            Some("locale"),
        ] {
            all.push(search(filter, sort, &["User"]));
        }
    }
    for sort in [None, Some("displayName"), Some("meta.lastModified")] {
        all.push(search(
            Some(r#"displayName eq "a" or members.value eq "1" or id eq "2""#),
            sort,
            &["User", "Group"],
        ));
        all.push(search(None, sort, &["User", "Group"]));
    }
    let positions = all.clone().into_iter().flat_map(|plan| {
        [(false, 0), (true, 0), (false, 1)].map(|(missing, place)| {
            plan.clone().by_position(Some(Position {
                place,
                missing,
                value: vec![0; 8],
                key: 7,
            }))
        })
    });
    let positions: Vec<_> = positions.collect();
    all.extend(positions);
    all
}

/// The statements that are the same on both engines, but for their spelling.
fn shared() -> impl Iterator<Item = &'static Statement> {
    statements_of_callers::ALL
        .iter()
        .chain(statements_of_audit::ALL)
        .chain(statements_of_events::ALL)
        .chain(statements_of_safety::ALL)
        .chain(statements_of_schemas::ALL)
        .chain(statements_of_tenants::ALL)
        .chain(statements_of_work::ALL)
        .copied()
        .chain(&statements_of_work::REMOVE_APPLICATION)
        .chain([&READ_MEMBERS_AFTER])
}

#[test]
fn each_shared_statement_names_the_tenant() {
    for statement in shared() {
        for text in [statement.sqlite(), statement.postgres()] {
            assert!(text.is_empty() || text.contains("tenant"), "{text}");
        }
    }
}

fn sqlite_database() -> rusqlite::Connection {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    connection
        .execute_batch(sqlite::statements::MAKE_MIGRATIONS)
        .unwrap();
    for migration in migrate::SQLITE {
        connection.execute_batch(migration.sql).unwrap();
    }
    connection
}

#[test]
fn sqlite_prepares_every_search() {
    let connection = sqlite_database();
    for plan in searches() {
        for query in [
            keys(&plan, Dialect::Sqlite, TenantId(1), true),
            keys(&plan, Dialect::Sqlite, TenantId(1), false),
        ] {
            connection
                .prepare(&query.text)
                .unwrap_or_else(|error| panic!("{error}: {}", query.text));
        }
        for (schema, condition) in plan.types.iter().zip(&plan.conditions) {
            let query = count(schema, condition, Dialect::Sqlite, TenantId(1));
            connection
                .prepare(&query.text)
                .unwrap_or_else(|error| panic!("{error}: {}", query.text));
        }
    }
}

#[test]
fn sqlite_answers_by_index() {
    let connection = sqlite_database();
    for (filter, index, _) in INDEXED {
        let query = keys(
            &search(Some(filter), None, &["User"]),
            Dialect::Sqlite,
            TenantId(1),
            true,
        );
        let mut statement = connection
            .prepare(&format!("EXPLAIN QUERY PLAN {}", query.text))
            .unwrap();
        let steps = statement
            .query_map(params_from_iter(&query.parameters), |row| {
                row.get::<_, String>(3)
            })
            .unwrap();
        let steps = steps.map(Result::unwrap).collect::<Vec<_>>().join("\n");
        assert!(steps.contains(index), "{filter}:\n{steps}");
        assert!(
            !steps.contains("SCAN r\n") && !steps.contains("SCAN v"),
            "{filter}:\n{steps}"
        );
    }
}

/// Statements that read all rows of a tenant in a table that grows with it, and why they may.
const READS_A_TENANT: &[(&str, &str)] = &[(
    sqlite::statements::END_LEASES,
    "once at a start, what a former run had leased",
)];

/// The same, of the statements that are written once.
static SHARED_READ_A_TENANT: &[(&Statement, &str)] = &[
    (
        &statements_of_events::READ_WINDOW,
        "the least key of a primary key",
    ),
    (
        &statements_of_events::ADD_RECEIVER,
        "the least key of a primary key",
    ),
    (
        &statements_of_events::OLDEST_EVENTS,
        "the beginning of a primary key",
    ),
    (
        &statements_of_work::MARK_ALL,
        "a full pass over an application is about everybody",
    ),
    (
        &statements_of_work::READ_LOG,
        "from its newest line, as far as the page reaches",
    ),
    (
        &statements_of_safety::COUNT_MEMBERSHIPS,
        "counted when the guard is near its threshold, from an index alone",
    ),
    (
        &statements_of_safety::LIST_PARKED,
        "what an administrator has still to decide",
    ),
    (
        &statements_of_safety::LIST_AWAITED,
        "what an administrator asks for",
    ),
    (
        &statements_of_safety::LIST_REMOVALS,
        "as many rows as the window has minutes",
    ),
];

/// Tables that have few rows, whatever the tenant.
const SMALL: &[&str] = &[
    "tenants",
    "tokens",
    "clients",
    "issuers",
    "signing_keys",
    "applications",
    "receivers",
    "type_documents",
    "guard_allowances",
    "migrations",
    "installation",
];

#[test]
fn sqlite_reads_no_whole_tenant_unawares() {
    let connection = sqlite_database();
    let all = sqlite::statements::ALL
        .iter()
        .chain(sqlite::statements_of_safety::ALL)
        .chain(sqlite::statements_of_installation::ALL)
        .copied()
        .chain(shared().map(Statement::sqlite));
    let reads_all = |text: &str| {
        let names_a_small_one = |step: &str| {
            let table = step.split(' ').nth(1).unwrap_or_default();
            let alias = |name: &&str| {
                *name == table
                    || text.contains(&format!("{name} AS {table} "))
                    || text.contains(&format!("{name} AS {table})"))
            };
            SMALL.iter().any(alias)
        };
        let steps = explain(&connection, text);
        let is_whole = |step: &&str| {
            step.contains("BLOOM FILTER")
                || step.contains("AUTOMATIC")
                || ((step.ends_with("(tenant=?)")
                    || step.contains("ANY(")
                    || step.starts_with("SCAN "))
                    && !names_a_small_one(step))
        };
        // A row without a table, and what a statement made itself.
        let own = [
            "SCAN CONSTANT ROW",
            "SCAN above",
            "SCAN (subquery",
            "SCAN json_each",
        ];
        steps
            .lines()
            .find(|step| is_whole(step) && !own.iter().any(|own| step.starts_with(own)))
            .map(str::to_owned)
    };
    for text in all.filter(|text| !text.is_empty() && !text.contains("sqlite_schema")) {
        let excused = READS_A_TENANT.iter().any(|(excused, _)| *excused == text)
            || SHARED_READ_A_TENANT
                .iter()
                .any(|(excused, _)| excused.sqlite() == text);
        let found = reads_all(text);
        assert!(
            excused == found.is_some(),
            "{text}: {found:?}; either an index answers, or READS_A_TENANT says why not"
        );
    }
}

/// What is read first of the searches that are to be fast at any size: few candidates from one index, or the beginning of the list.
#[test]
fn sqlite_finds_candidates_by_index() {
    let connection = sqlite_database();
    for (filter, index) in [
        (
            r#"emails.value eq "ann@example.com""#,
            "SEARCH v USING PRIMARY KEY (tenant=? AND attribute=? AND value=?)",
        ),
        (
            r#"name.familyName sw "Sm" and active eq true"#,
            "SEARCH v USING PRIMARY KEY (tenant=? AND attribute=? AND value>? AND value<?)",
        ),
        (
            r#"meta.lastModified gt "2024-01-01T00:00:00Z""#,
            "SEARCH r USING COVERING INDEX resources_by_modified (tenant=? AND type=? AND modified>?)",
        ),
        (
            r#"title co "lead""#,
            "SEARCH v USING PRIMARY KEY (tenant=? AND attribute=?)",
        ),
    ] {
        let plan = search(Some(filter), None, &["User"]);
        let condition = plan.conditions.first().unwrap();
        let probe = match condition {
            Condition::And(all) => all.first().unwrap(),
            one => one,
        };
        let Condition::Probe(probe) = probe else {
            panic!("{filter}")
        };
        let query = candidates(
            plan.types.first().unwrap(),
            probe,
            Dialect::Sqlite,
            TenantId(1),
        )
        .unwrap();
        let steps = explain(&connection, &query.text);
        assert!(steps.contains(index), "{filter}:\n{steps}");
    }
    for text in [
        sqlite::statements::LIST_FACTS,
        sqlite::statements::LIST_KEYS,
        sqlite::statements::LIST_ALL_KEYS,
    ] {
        let steps = explain(&connection, text);
        assert!(
            steps.contains("resources_by_type (tenant=? AND type=?")
                && !steps.contains("TEMP B-TREE"),
            "{text}:\n{steps}"
        );
    }
}

/// The steps of a statement, whatever its values are.
fn explain(connection: &rusqlite::Connection, text: &str) -> String {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {text}"))
        .unwrap();
    let values = vec![rusqlite::types::Null; statement.parameter_count()];
    let steps = statement
        .query_map(params_from_iter(values), |row| row.get::<_, String>(3))
        .unwrap();
    steps.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

#[test]
fn sqlite_reads_pages_in_order() {
    let connection = sqlite_database();
    let query = keys(
        &search(None, None, &["User"]),
        Dialect::Sqlite,
        TenantId(1),
        true,
    );
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {}", query.text))
        .unwrap();
    let steps = statement
        .query_map(params_from_iter(&query.parameters), |row| {
            row.get::<_, String>(3)
        })
        .unwrap();
    let steps = steps.map(Result::unwrap).collect::<Vec<_>>().join("\n");
    assert!(
        steps.contains("resources_by_type") && !steps.contains("TEMP B-TREE"),
        "{steps}"
    );
}

async fn postgres_database() -> tokio_postgres::Client {
    let folder = tempfile::tempdir().unwrap();
    let key = Arc::new(MasterKey::load_or_create(&folder.path().join("key")).unwrap());
    let url = postgres_server::database().await;
    postgres::Postgres::connect(&url, key).await.unwrap();
    postgres_server::client(&url).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_prepares_every_statement() {
    let client = postgres_database().await;
    let of_work = postgres::statements_of_requests::ALL
        .iter()
        .chain(postgres::statements_of_safety::ALL)
        .chain(postgres::statements_of_installation::ALL);
    let own = postgres::statements::ALL.iter().chain(of_work).copied();
    for statement in own.chain(shared().map(Statement::postgres)) {
        client
            .prepare(statement)
            .await
            .unwrap_or_else(|error| panic!("{error:?}: {statement}"));
    }
    for plan in searches() {
        let mut queries = vec![
            keys(&plan, Dialect::Postgres, TenantId(1), true),
            keys(&plan, Dialect::Postgres, TenantId(1), false),
        ];
        for (schema, condition) in plan.types.iter().zip(&plan.conditions) {
            queries.push(count(schema, condition, Dialect::Postgres, TenantId(1)));
        }
        for query in queries {
            let statement = client
                .prepare(&query.text)
                .await
                .unwrap_or_else(|error| panic!("{error:?}: {}", query.text));
            assert_eq!(
                statement.params().len(),
                query.parameters.len(),
                "{}",
                query.text
            );
        }
    }
}

/// As many rows as a planner needs to want an index.
const FILL: &str = "INSERT INTO resources (tenant, type, id, version, created, modified, display, entries, document) \
       SELECT t, 'User', t || '-' || n, 1, 1700000000000000 + n::BIGINT * 413000000, 1700000000000000 + n::BIGINT * 413000000, 'name', '', '{}' FROM generate_series(1, 2) AS t, generate_series(1, 10000) AS n; \
     INSERT INTO unique_values (tenant, attribute, value, resource) SELECT t, a, sha256((n || '')::bytea), n \
       FROM generate_series(1, 2) AS t, generate_series(1, 2) AS a, generate_series(1, 10000) AS n; \
     INSERT INTO index_values (tenant, attribute, value, resource) SELECT t, a, sha256((n || '')::bytea), n \
       FROM generate_series(1, 2) AS t, generate_series(1, 4) AS a, generate_series(1, 10000) AS n; \
     INSERT INTO memberships (tenant, group_resource, member_resource) SELECT 1, n / 100, n FROM generate_series(1, 10000) AS n; \
     ANALYZE;";

/// The query with its parameters in its text, as `EXPLAIN` takes none.
fn literal_text(query: &Query) -> String {
    let mut text = query.text.clone();
    for (number, parameter) in query.parameters.iter().enumerate().rev() {
        let literal = match parameter {
            Parameter::Integer(value) => format!("({value})::bigint"),
            Parameter::Text(text) => format!("'{text}'"),
            Parameter::Bytes(bytes) => {
                let hex: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                format!("'\\x{}'::bytea", hex.concat())
            }
        };
        text = text.replace(&format!("${}", number + 1), &literal);
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_answers_by_index() {
    let client = postgres_database().await;
    client.batch_execute(FILL).await.unwrap();
    for (filter, _, index) in INDEXED {
        let query = keys(
            &search(Some(filter), None, &["User"]),
            Dialect::Postgres,
            TenantId(1),
            true,
        );
        let rows = client
            .query(
                &format!("EXPLAIN (COSTS OFF) {}", literal_text(&query)),
                &[],
            )
            .await
            .unwrap();
        let steps = rows
            .iter()
            .map(|row| row.get::<_, String>(0))
            .collect::<Vec<_>>()
            .join("\n");
        let reads_all = [
            "Seq Scan on resources",
            "Seq Scan on unique_values",
            "Seq Scan on index_values",
        ]
        .iter()
        .any(|scan| steps.contains(scan));
        assert!(steps.contains(index) && !reads_all, "{filter}:\n{steps}");
    }
}

/// Each table and column of tenants is exported, or somebody has said why not. (Erasing finds the tables by itself.)
fn knows_every_column(found: &[(String, String)]) {
    assert!(found.len() > 40, "{found:?}");
    for (table, column) in found {
        let Some(exported) = TABLES.iter().find(|known| known.name == table) else {
            assert!(
                LEFT_OUT.iter().any(|(name, _)| name == table),
                "the table {table} is new: give it a place in TABLES or LEFT_OUT of tenant_tables.rs"
            );
            continue;
        };
        let is_known = exported.columns.iter().any(|known| known.name == column)
            || column == "tenant"
            || LEFT_OUT_COLUMNS
                .iter()
                .any(|(of, name, _)| of == table && name == column);
        assert!(
            is_known,
            "the column {table}.{column} is new: give it a place in TABLES or LEFT_OUT_COLUMNS of tenant_tables.rs"
        );
    }
    for table in TABLES {
        for column in table.columns {
            assert!(
                found.contains(&(table.name.into(), column.name.into())),
                "{}.{} is gone",
                table.name,
                column.name
            );
        }
    }
}

#[test]
fn sqlite_exports_every_column_of_tenants() {
    let connection = sqlite_database();
    let sql = "SELECT t.name, c.name FROM sqlite_schema AS t JOIN pragma_table_info(t.name) AS c \
         WHERE t.type = 'table' AND EXISTS (SELECT 1 FROM pragma_table_info(t.name) WHERE name = 'tenant')";
    let mut statement = connection.prepare(sql).unwrap();
    let found: Vec<_> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    knows_every_column(&found);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_exports_every_column_of_tenants() {
    let client = postgres_database().await;
    let sql = "SELECT table_name::TEXT, column_name::TEXT FROM information_schema.columns AS c WHERE table_schema = current_schema() \
         AND EXISTS (SELECT 1 FROM information_schema.columns AS t WHERE t.table_schema = c.table_schema \
           AND t.table_name = c.table_name AND t.column_name = 'tenant')";
    let found: Vec<_> = client
        .query(sql, &[])
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get(0), row.get(1)))
        .collect();
    knows_every_column(&found);
}
