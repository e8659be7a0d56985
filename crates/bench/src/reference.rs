//! The reference server: the least that can be called a durable create. axum, a `serde_json` parse, one SQLite row with three indexes, group commit,
//! `synchronous=FULL`. It checks nothing, so what Rollcall takes longer is what Rollcall's promises cost.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as UrlPath, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use rusqlite::{Connection, OpenFlags, params};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use crate::Failure;

/// Most creates in one transaction, as in Rollcall's writer.
const GROUP_MAX: usize = 256;
const READERS: usize = 4;

/// A write waiting for the writer.
struct Write {
    id: String,
    body: String,
    /// What a create puts into the indexes; a change of the title touches none of them.
    indexed: Option<Indexed>,
    done: oneshot::Sender<bool>,
}

struct Indexed {
    user_name: String,
    external_id: Option<String>,
    email: Option<String>,
}

struct Reference {
    writer: mpsc::Sender<Write>,
    readers: Vec<Mutex<Connection>>,
    next: AtomicU64,
}

/// `bench reference DATA ADDRESS`
pub fn command(arguments: &[String]) -> Result<(), Failure> {
    let [data, address] = arguments else {
        return Err("bench reference DATA ADDRESS".into());
    };
    let path = PathBuf::from(data).join("reference.sqlite");
    let writer = start_writer(&path)?;
    let readers: Result<Vec<_>, Failure> = (0..READERS)
        .map(|_| {
            Ok(Mutex::new(Connection::open_with_flags(
                &path,
                OpenFlags::SQLITE_OPEN_READ_ONLY,
            )?))
        })
        .collect();
    let reference = Arc::new(Reference {
        writer,
        readers: readers?,
        next: AtomicU64::new(1),
    });
    let routes = Router::new()
        .route("/scim/v2/Users", post(create).get(find))
        .route("/scim/v2/Users/{id}", get(read).patch(change))
        .with_state(reference);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind(address).await?;
        axum::serve(listener, routes).await
    })?;
    Ok(())
}

fn start_writer(path: &Path) -> Result<mpsc::Sender<Write>, Failure> {
    let mut connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE users (id TEXT PRIMARY KEY, user_name TEXT NOT NULL, external_id TEXT, email TEXT, body TEXT NOT NULL) WITHOUT ROWID;
         CREATE UNIQUE INDEX users_user_name ON users (user_name);
         CREATE INDEX users_external_id ON users (external_id);
         CREATE INDEX users_email ON users (email);",
    )?;
    let (sender, receiver) = mpsc::channel::<Write>();
    std::thread::spawn(move || {
        while let Ok(first) = receiver.recv() {
            let mut group = vec![first];
            group.extend(receiver.try_iter().take(GROUP_MAX - 1));
            let committed = commit(&mut connection, &group);
            for write in group {
                // Whoever no longer waits does not mind.
                let _ = write.done.send(committed.is_ok());
            }
        }
    });
    Ok(sender)
}

fn commit(connection: &mut Connection, group: &[Write]) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    {
        let mut insert =
            transaction.prepare_cached("INSERT INTO users (id, user_name, external_id, email, body) VALUES (?1, ?2, ?3, ?4, ?5)")?;
        let mut update = transaction.prepare_cached("UPDATE users SET body = ?2 WHERE id = ?1")?;
        for Write {
            id, body, indexed, ..
        } in group
        {
            match indexed {
                Some(Indexed {
                    user_name,
                    external_id,
                    email,
                }) => insert.execute(params![id, user_name, external_id, email, body])?,
                None => update.execute(params![id, body])?,
            };
        }
    }
    transaction.commit()
}

async fn create(State(reference): State<Arc<Reference>>, body: Bytes) -> Response {
    let Ok(mut document) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let Some(user_name) = text(document.get("userName")) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let id = format!("{:032x}", reference.next.fetch_add(1, Ordering::Relaxed));
    let external_id = text(document.get("externalId"));
    let email = text(document.pointer("/emails/0/value"));
    if let Some(object) = document.as_object_mut() {
        object.insert("id".to_owned(), Value::from(id.clone()));
    }
    let indexed = Some(Indexed {
        user_name,
        external_id,
        email,
    });
    written(
        &reference,
        StatusCode::CREATED,
        id,
        document.to_string(),
        indexed,
    )
    .await
}

/// Hands a body to the writer, and answers with it once it is durable.
async fn written(
    reference: &Reference,
    status: StatusCode,
    id: String,
    body: String,
    indexed: Option<Indexed>,
) -> Response {
    let (done, waiting) = oneshot::channel();
    let sent = reference.writer.send(Write {
        id,
        body: body.clone(),
        indexed,
        done,
    });
    match (sent, waiting.await) {
        (Ok(()), Ok(true)) => (
            status,
            [(header::CONTENT_TYPE, "application/scim+json")],
            body,
        )
            .into_response(),
        _ => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// GET by id: "the same without the insert".
async fn read(State(reference): State<Arc<Reference>>, UrlPath(id): UrlPath<String>) -> Response {
    // Parsed and printed again, as a server does that shows only what may be seen.
    match select(reference, "SELECT body FROM users WHERE id = ?1", id).await {
        Some(document) => (
            [(header::CONTENT_TYPE, "application/scim+json")],
            document.to_string(),
        )
            .into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// `?filter=userName eq "..."`, and no other filter: what is between the quotes is the name.
async fn find(State(reference): State<Arc<Reference>>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let name = query
        .split("%22")
        .nth(1)
        .unwrap_or_default()
        .replace("%40", "@");
    match select(
        reference,
        "SELECT body FROM users WHERE user_name = ?1",
        name,
    )
    .await
    {
        Some(document) => {
            let list = json!({"totalResults": 1, "Resources": [document]});
            (
                [(header::CONTENT_TYPE, "application/scim+json")],
                list.to_string(),
            )
                .into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// PATCH: puts the value of the first operation at its path, and writes the row again.
async fn change(
    State(reference): State<Arc<Reference>>,
    UrlPath(id): UrlPath<String>,
    body: Bytes,
) -> Response {
    let Ok(message) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (path, value) = (
        message
            .pointer("/Operations/0/path")
            .and_then(Value::as_str),
        message.pointer("/Operations/0/value"),
    );
    let (Some(path), Some(value)) = (path, value) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let Some(mut document) = select(
        Arc::clone(&reference),
        "SELECT body FROM users WHERE id = ?1",
        id.clone(),
    )
    .await
    else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if let Some(object) = document.as_object_mut() {
        object.insert(path.to_owned(), value.clone());
    }
    written(&reference, StatusCode::OK, id, document.to_string(), None).await
}

/// The one document that a statement finds.
async fn select(reference: Arc<Reference>, statement: &'static str, key: String) -> Option<Value> {
    let found = tokio::task::spawn_blocking(move || {
        let turn =
            usize::try_from(reference.next.fetch_add(1, Ordering::Relaxed)).unwrap_or(0) % READERS;
        let connection = reference.readers.get(turn)?.lock().ok()?;
        let mut select = connection.prepare_cached(statement).ok()?;
        let body = select
            .query_row([key], |row| row.get::<_, String>(0))
            .ok()?;
        serde_json::from_str::<Value>(&body).ok()
    });
    found.await.ok().flatten()
}

#[cfg(test)]
mod tests {
    use super::super::load::{Load, request};
    use super::super::server::free_address;

    #[tokio::test]
    async fn what_is_measured_is_stored_and_found_again() {
        let data = tempfile::tempdir().unwrap();
        let address = free_address().unwrap();
        let arguments = [data.path().display().to_string(), address.clone()];
        // The server runs until the test process ends.
        std::thread::spawn(move || super::command(&arguments).unwrap());
        while tokio::net::TcpStream::connect(&address).await.is_err() {
            tokio::task::yield_now().await;
        }
        let load = Load {
            address,
            connections: 4,
            keep_bodies: true,
        };
        let post = |number: usize| {
            request(
                "POST",
                "/scim/v2/Users",
                "t",
                Some(&format!("{{\"userName\": \"user{number}\"}}")),
            )
        };
        let created = load.run(20, post).await.unwrap();
        assert_eq!(created.latencies.len(), 20);
        let document: serde_json::Value = serde_json::from_slice(&created.bodies[7]).unwrap();
        let path = format!("/scim/v2/Users/{}", document["id"].as_str().unwrap());
        let get = path.clone();
        let read = load
            .run(1, move |_| request("GET", &get, "t", None))
            .await
            .unwrap();
        assert_eq!(read.bodies[0], created.bodies[7]);
        let change = r#"{"Operations": [{"op": "replace", "path": "title", "value": "Countess"}]}"#;
        load.run(1, move |_| request("PATCH", &path, "t", Some(change)))
            .await
            .unwrap();
        let filter = format!(
            "/scim/v2/Users?filter=userName%20eq%20%22{}%22",
            document["userName"].as_str().unwrap()
        );
        let found = load
            .run(1, move |_| request("GET", &filter, "t", None))
            .await
            .unwrap();
        let found: serde_json::Value = serde_json::from_slice(&found.bodies[0]).unwrap();
        assert_eq!(
            (
                &found["Resources"][0]["id"],
                &found["Resources"][0]["title"]
            ),
            (&document["id"], &"Countess".into())
        );
        assert!(
            load.run(1, |_| request("GET", "/scim/v2/Users/nobody", "t", None))
                .await
                .is_err()
        );
    }
}
