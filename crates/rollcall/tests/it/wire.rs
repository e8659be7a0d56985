//! What identity providers really send, against `serve` on PostgreSQL; the server's own tests have it on SQLite.

use axum::body::{Body, to_bytes};
use axum::response::Response;
use http::Request;

use crate::nodes::database;
use crate::program::{Serve, TOKEN};
use crate::replay::{Answer, every_case};

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "the rule is for the product; this client calls the test's own server"
)]
fn every_conversation_goes_as_expected_on_postgresql() {
    let (database, data) = (database(), tempfile::tempdir().unwrap());
    let serve = Serve::start_on(&database, data.path());
    let (client, origin) = (
        reqwest::Client::new(),
        serve.base().trim_end_matches("/scim/v2").to_owned(),
    );
    let send = async |request: Request<Body>| {
        let (parts, body) = request.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let sent = client
            .request(parts.method, format!("{origin}{}", parts.uri))
            .headers(parts.headers)
            .body(body)
            .send()
            .await;
        Answer::of(Response::from(sent.unwrap()).map(Body::new)).await
    };
    let failed = tokio::runtime::Runtime::new()
        .unwrap()
        .block_on(every_case(TOKEN, send));
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
