//! From a commit to the request at an idle application: how long a change waits before it leaves. The application is the smallest that answers as SCIM
//! does; it notes when a request that names a user has arrived.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::load::{Load, count, request};
use super::population::{TOKEN, user};
use super::server::{Server, free_address};
use crate::Failure;

/// Changes, one after the other, so that the application is idle before each.
const CHANGES: usize = 300;
const APPLICATION_BODY_BYTES_MAX: usize = 64 * 1024;
/// Longer than this, and something is broken.
const ARRIVAL_SECONDS_MAX: u64 = 10;

/// What a request said, and when it had arrived.
type Arrivals = UnboundedSender<(Instant, String)>;

/// The waits, sorted, and what a request to the same application takes without Rollcall.
pub struct Waits {
    own: Vec<Duration>,
    direct_ms: f64,
}

impl Waits {
    pub fn percentile_ms(&self, percent: usize) -> f64 {
        let at = (self.own.len() * percent / 100).min(self.own.len().saturating_sub(1));
        self.own
            .get(at)
            .map_or(f64::MAX, |wait| wait.as_secs_f64() * 1e3)
    }

    pub fn json(&self) -> Value {
        json!({"changes": count(self.own.len()), "p50_ms": self.percentile_ms(50), "p99_ms": self.percentile_ms(99), "direct_p50_ms": self.direct_ms})
    }

    pub fn line(&self) -> String {
        format!(
            "from commit to the request at an idle application: p50 {:.2} ms, p99 {:.2} ms; a request straight to it takes {:.2} ms",
            self.percentile_ms(50),
            self.percentile_ms(99),
            self.direct_ms
        )
    }
}

pub async fn measure(release: &Path) -> Result<Waits, Failure> {
    let data = tempfile::tempdir()?;
    let folder = data.path().join("rollcall");
    let (arrivals, mut arrived) = unbounded_channel();
    let application = serve(arrivals).await?;
    let address = free_address()?;
    let mut command = Command::new(release.join("rollcall"));
    command
        .args(["serve", "--listen", &address, "--data"])
        .arg(&folder)
        .env("ROLLCALL_BOOTSTRAP_TOKEN", TOKEN)
        .env("ROLLCALL_RATE_LIMIT_PER_SECOND", "0")
        .env("ROLLCALL_ALLOW_PRIVATE", "127.0.0.1");
    let rollcall = Server::start(
        &mut command,
        &address,
        "/readyz",
        &data.path().join("rollcall.log"),
    )?;
    let base_url = format!("http://{application}/scim/v2");
    let mut add = Command::new(release.join("rollcall"));
    add.args([
        "application",
        "add",
        "idle",
        "--base-url",
        &base_url,
        "--token",
        "of-the-application",
        "--data",
    ])
    .arg(&folder);
    add.env("ROLLCALL_ALLOW_PRIVATE", "127.0.0.1");
    let status = add.status()?;
    if !status.success() {
        return Err(format!("`rollcall application add` ended with {status}").into());
    }
    // The first change finds out what the application can do; it is not among the figures.
    change(&rollcall, 0, &mut arrived).await?;
    let mut own = Vec::with_capacity(CHANGES);
    for number in 1..=CHANGES {
        own.push(change(&rollcall, number, &mut arrived).await?);
    }
    own.sort_unstable();
    let straight = Load {
        address: application,
        connections: 1,
        keep_bodies: false,
    };
    let direct = straight
        .run(CHANGES, |number| {
            request(
                "POST",
                "/scim/v2/Users",
                TOKEN,
                Some(&user(number).to_string()),
            )
        })
        .await?;
    Ok(Waits {
        own,
        direct_ms: direct.percentile_ms(50),
    })
}

/// Creates a user and waits for the first request about it.
async fn change(
    rollcall: &Server,
    number: usize,
    arrived: &mut UnboundedReceiver<(Instant, String)>,
) -> Result<Duration, Failure> {
    let name = format!("user{number}@example.com");
    let create = request(
        "POST",
        "/scim/v2/Users",
        TOKEN,
        Some(&user(number).to_string()),
    );
    let one = Load {
        address: rollcall.address.clone(),
        connections: 1,
        keep_bodies: false,
    };
    one.run(1, |_| create.clone()).await?;
    let committed = Instant::now();
    let about_it = async {
        while let Some((at, said)) = arrived.recv().await {
            if said.contains(&name) {
                // The request may have left before the answer to the client was read.
                return Ok(at.saturating_duration_since(committed));
            }
        }
        Err(Failure::from("the application stopped"))
    };
    tokio::time::timeout(Duration::from_secs(ARRIVAL_SECONDS_MAX), about_it)
        .await
        .map_err(|_| format!("{name} never reached the application"))?
}

async fn serve(arrivals: Arrivals) -> Result<String, Failure> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?.to_string();
    let next = Arc::new(Mutex::new(0_u64));
    let routes = Router::new()
        .fallback(move |request: Request| answer(request, arrivals.clone(), next.clone()));
    tokio::spawn(async move { axum::serve(listener, routes).await });
    Ok(address)
}

/// Nobody is found, everybody can be created.
async fn answer(request: Request, arrivals: Arrivals, next: Arc<Mutex<u64>>) -> Response {
    let at = Instant::now();
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, APPLICATION_BODY_BYTES_MAX)
        .await
        .unwrap_or_default();
    // `@` is `%40` in a query.
    let said = format!(
        "{} {}",
        parts.uri.to_string().replace("%40", "@"),
        String::from_utf8_lossy(&body)
    );
    // Nobody listens any more once the figures are taken.
    let _ = arrivals.send((at, said));
    match (&parts.method, serde_json::from_slice::<Value>(&body)) {
        (&Method::POST | &Method::PUT, Ok(mut resource)) => {
            let number = next.lock().map_or(0, |mut next| {
                *next += 1;
                *next
            });
            if let Some(map) = resource.as_object_mut() {
                map.insert("id".into(), number.to_string().into());
            }
            respond(StatusCode::CREATED, &resource)
        }
        (&Method::PATCH | &Method::DELETE, _) => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        }
        _ => respond(
            StatusCode::OK,
            &json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:ListResponse"], "totalResults": 0, "Resources": []}),
        ),
    }
}

fn respond(status: StatusCode, body: &Value) -> Response {
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/scim+json"),
    );
    response
}
