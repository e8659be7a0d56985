//! The issue tracker's own routes: what it did before it had SCIM. Who comes in says so in a header, which a real application would not believe.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::tracker::{Issue, Tables, Tracker};

/// A new issue.
#[derive(Deserialize)]
struct NewIssue {
    title: String,
}

/// Who shall look after it.
#[derive(Deserialize)]
struct Assignment {
    login: String,
}

pub fn routes(tracker: Arc<Tracker>) -> Router {
    let routes = Router::new()
        .route("/issues", get(list).post(create))
        .route("/issues/{number}/assignee", put(assign));
    routes.route("/people", get(people)).with_state(tracker)
}

/// The login of whoever sends the request, where they may come in.
fn login(tables: &Tables, headers: &HeaderMap) -> Result<String, StatusCode> {
    let login = headers
        .get("x-login")
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
        .to_lowercase();
    if tables.may_sign_in(&login) {
        Ok(login)
    } else {
        Err(StatusCode::FORBIDDEN)
    }
}

async fn list(
    State(tracker): State<Arc<Tracker>>,
    headers: HeaderMap,
) -> Result<Json<Vec<Issue>>, StatusCode> {
    let tables = tracker.tables();
    login(&tables, &headers)?;
    Ok(Json(tables.issues.clone()))
}

async fn create(
    State(tracker): State<Arc<Tracker>>,
    headers: HeaderMap,
    Json(new): Json<NewIssue>,
) -> Result<(StatusCode, Json<Issue>), StatusCode> {
    let mut tables = tracker.tables();
    let reporter = login(&tables, &headers)?;
    let issue = Issue {
        number: tables.issues.len() + 1,
        title: new.title,
        reporter,
        assignee: None,
    };
    tables.issues.push(issue.clone());
    Ok((StatusCode::CREATED, Json(issue)))
}

async fn assign(
    State(tracker): State<Arc<Tracker>>,
    Path(number): Path<usize>,
    headers: HeaderMap,
    Json(assignment): Json<Assignment>,
) -> Result<Json<Issue>, StatusCode> {
    let mut tables = tracker.tables();
    login(&tables, &headers)?;
    let assignee = assignment.login.to_lowercase();
    if !tables.may_sign_in(&assignee) {
        return Err(StatusCode::CONFLICT);
    }
    let issue = tables
        .issues
        .iter_mut()
        .find(|issue| issue.number == number)
        .ok_or(StatusCode::NOT_FOUND)?;
    issue.assignee = Some(assignee);
    Ok(Json(issue.clone()))
}

async fn people(
    State(tracker): State<Arc<Tracker>>,
    headers: HeaderMap,
) -> Result<Json<Value>, StatusCode> {
    let tables = tracker.tables();
    login(&tables, &headers)?;
    let person =
        |person: &crate::tracker::Person| json!({"login": person.login, "name": person.name});
    Ok(Json(
        tables
            .people
            .iter()
            .filter(|person| person.may_sign_in)
            .map(person)
            .collect(),
    ))
}
