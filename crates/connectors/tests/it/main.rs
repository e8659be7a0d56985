//! The SCIM target, and the fetcher of key sets, against servers that behave as real ones do on bad days.

#![expect(clippy::unwrap_used, reason = "tests")]

mod key_sets;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use connectors::egress::Egress;
use connectors::event_receiver::HttpEventDelivery;
use connectors::scim_target::ScimConnector;
use directory::tenant::TenantId;
use events::event_log::{EventDelivery, Message, Reception};
use events::receiver::{
    Receiver, ReceiverId, ReceiverKind, ReceiverSettings, ReceiverState, Secrets,
};
use jiff::Timestamp;
use provisioning::account::{AccountId, NewAccount};
use provisioning::application::{
    Application, ApplicationId, ApplicationSettings, ApplicationState, Secret,
};
use provisioning::connector::{Connector, Failure, Refusal, RefusalKind, RetryAfter, Target};
use provisioning::matching::Lookup;
use scim_protocol::{SchemaSet, TypeSchema};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What arrived: method, path with query, the bearer token.
type Seen = Arc<Mutex<Vec<(String, String)>>>;

struct Fake {
    address: SocketAddr,
    seen: Seen,
}

/// A server that answers everything through `answer`; it ends with the test's runtime.
async fn serve<R: IntoResponse + 'static>(
    answer: impl Fn(&str, &str) -> R + Clone + Send + Sync + 'static,
) -> Fake {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let log = Arc::clone(&seen);
    let router = Router::new().fallback(move |request: Request| {
        let authorization = request
            .headers()
            .get(header::AUTHORIZATION)
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default();
        let request = format!("{} {}", request.method(), request.uri());
        log.lock().unwrap().push((request.clone(), authorization));
        let (method, path) = request.split_once(' ').unwrap();
        let response = answer(method, path).into_response();
        async move { response }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    Fake { address, seen }
}

impl Fake {
    fn target(&self) -> Arc<dyn Target> {
        target(&format!("http://{}/scim/v2", self.address)).unwrap()
    }

    fn requests(&self) -> Vec<String> {
        self.seen
            .lock()
            .unwrap()
            .iter()
            .map(|(request, _)| request.clone())
            .collect()
    }
}

/// Rules that allow the address of these servers.
fn here() -> Egress {
    Egress::allowing(vec!["127.0.0.1".parse().unwrap()])
}

fn target(base_url: &str) -> Result<Arc<dyn Target>, directory::store::Fault> {
    target_under(here(), base_url)
}

fn target_under(
    egress: Egress,
    base_url: &str,
) -> Result<Arc<dyn Target>, directory::store::Fault> {
    let application = Application {
        id: ApplicationId(1),
        tenant: TenantId(1),
        name: "chat".into(),
        base_url: base_url.into(),
        token: Secret::new("s3cret"),
        state: ApplicationState::Live,
        settings: ApplicationSettings::default(),
        created: "2026-11-24T10:00:00Z".parse().unwrap(),
    };
    ScimConnector::new(egress).unwrap().connect(&application)
}

fn schema(name: &str) -> Arc<TypeSchema> {
    SchemaSet::standard().by_name(name).unwrap().clone()
}

fn user() -> Arc<TypeSchema> {
    schema("User")
}

fn id(text: &str) -> AccountId {
    AccountId::new(text).unwrap()
}

fn by_name(value: &str) -> Lookup {
    Lookup {
        attribute: "userName".into(),
        case_exact: false,
        value: value.into(),
    }
}

fn scim(status: u16, body: &Value) -> impl IntoResponse + use<> {
    (
        StatusCode::from_u16(status).unwrap(),
        [(header::CONTENT_TYPE, "application/scim+json")],
        body.to_string(),
    )
}

#[tokio::test]
async fn requests_are_what_the_rfc_says() {
    let fake = serve(|_, _| {
        scim(
            200,
            &json!({"schemas": [], "Resources": [], "totalResults": 0}),
        )
    })
    .await;
    let target = fake.target();
    let found = target.find(&user(), &by_name(r#"a"b\c@x"#)).await;
    assert_eq!(
        found.trace.request,
        r#"GET /Users?filter=userName eq "a\"b\\c@x""#
    );
    target.read(&schema("Group"), &id("a/b")).await;
    let attributes = json!({"userName": "ada", "password": "hush"})
        .as_object()
        .unwrap()
        .clone();
    let made = target
        .create(
            &user(),
            &NewAccount {
                attributes,
                ..NewAccount::default()
            },
        )
        .await;
    let sent = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ada", "password": "(hidden)"});
    assert_eq!(made.trace.body.unwrap(), sent, "the log sees no password");
    target.remove(&user(), &id("7")).await;
    assert_eq!(
        fake.requests(),
        [
            "GET /scim/v2/Users?filter=userName%20eq%20%22a%5C%22b%5C%5Cc%40x%22",
            "GET /scim/v2/Groups/a%2Fb",
            "POST /scim/v2/Users",
            "DELETE /scim/v2/Users/7"
        ]
    );
    assert!(
        fake.seen
            .lock()
            .unwrap()
            .iter()
            .all(|(_, authorization)| authorization == "Bearer s3cret")
    );
}

#[tokio::test]
async fn without_a_filter_every_page_is_read() {
    let fake = serve(|_, path| {
        let start: usize = path
            .split("startIndex=")
            .nth(1)
            .unwrap()
            .split('&')
            .next()
            .unwrap()
            .parse()
            .unwrap();
        let page: Vec<Value> = (start..=(start + 1).min(5))
            .map(|id| json!({"id": id.to_string()}))
            .collect();
        scim(200, &json!({"totalResults": 5, "Resources": page}))
    })
    .await;
    let found = fake.target().list(&user()).await.outcome.unwrap();
    let ids: Vec<String> = found
        .accounts
        .iter()
        .map(|account| account.id.to_string())
        .collect();
    // The last page is the one that shows nothing new, whatever is counted.
    assert_eq!(
        (ids, fake.requests().len()),
        (["1", "2", "3", "4", "5"].map(String::from).to_vec(), 4)
    );
}

#[tokio::test]
async fn discovery_knows_what_is_published_and_no_more() {
    let fake = serve(|_, path| match path.split('?').next().unwrap() {
        "/scim/v2/ServiceProviderConfig" => scim(
            200,
            &json!({"patch": {"supported": false}, "filter": {"supported": true}}),
        ),
        _ => scim(404, &json!({"detail": "no"})),
    })
    .await;
    let found = fake.target().discover().await.outcome.unwrap();
    assert_eq!(
        (found.patch, found.filter, found.attributes),
        (false, true, None)
    );
    for status in [401, 429, 500] {
        let fake = serve(move |_, _| scim(status, &json!({}))).await;
        assert!(
            fake.target().discover().await.outcome.is_err(),
            "{status}: nothing is known then"
        );
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = serve(|_, _| scim(200, &json!({}))).await;
    let to = format!("http://{}/scim/v2/Users/1", elsewhere.address);
    let fake = serve(move |_, _| {
        (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, to.clone())],
            "moved",
        )
    })
    .await;
    let exchange = fake.target().read(&user(), &id("1")).await;
    assert_eq!(exchange.trace.status, Some(307));
    assert_eq!(
        exchange.trace.said,
        format!(
            "status 307: it redirects to http://{}/scim/v2/Users/1",
            elsewhere.address
        )
    );
    assert!(elsewhere.requests().is_empty());
}

#[tokio::test]
async fn retry_after_arrives() {
    let fake = serve(|_, _| {
        (
            StatusCode::TOO_MANY_REQUESTS,
            [(header::RETRY_AFTER, "7")],
            "",
        )
    })
    .await;
    let exchange = fake.target().read(&user(), &id("1")).await;
    assert_eq!(
        (exchange.trace.status, exchange.wait),
        (Some(429), Some(RetryAfter::Seconds(7)))
    );
    assert_eq!(exchange.outcome, Err(Failure::Throttled));
}

#[tokio::test]
async fn what_never_left_is_told_from_what_may_have_had_its_effect() {
    // Nobody listens: nothing can have happened.
    let free = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let exchange = target(&format!("http://{free}"))
        .unwrap()
        .remove(&user(), &id("1"))
        .await;
    assert_eq!(exchange.outcome, Err(Failure::NotReached));
    // It reads the request and hangs up; then it promises more than it sends.
    for answer in [
        "",
        "HTTP/1.1 201 Created\r\nContent-Length: 100\r\n\r\n{\"id\":",
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 4_096];
                tokio::io::AsyncReadExt::read(&mut stream, &mut head)
                    .await
                    .unwrap();
                tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes())
                    .await
                    .unwrap();
            }
        });
        let exchange = target(&format!("http://{address}"))
            .unwrap()
            .create(&user(), &NewAccount::default())
            .await;
        assert_eq!(
            exchange.outcome,
            Err(Failure::Unknown { answered: false }),
            "{answer:?}"
        );
    }
}

/// Some applications know one media type only.
#[tokio::test]
async fn a_refused_media_type_is_changed_once_and_remembered() {
    let types = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&types);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().fallback(move |request: Request| {
        let kind = request
            .headers()
            .get(header::CONTENT_TYPE)
            .map(|value| value.to_str().unwrap().to_owned())
            .unwrap_or_default();
        seen.lock().unwrap().push(kind.clone());
        let status = if kind == "application/json" {
            StatusCode::NO_CONTENT
        } else {
            StatusCode::UNSUPPORTED_MEDIA_TYPE
        };
        async move { status }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    let target = target(&format!("http://{address}/scim/v2")).unwrap();
    for _ in 0..2 {
        let change = provisioning::account::AccountChange::disable(id("1"));
        assert!(target.change(&user(), &change).await.outcome.is_ok());
    }
    assert_eq!(
        *types.lock().unwrap(),
        [
            "application/scim+json",
            "application/json",
            "application/json"
        ]
    );
}

#[tokio::test]
async fn a_refusal_names_the_attribute_and_the_reason() {
    let refusal = json!({"message": "1 validation error: Value at 'operations.1.updateAttributes.phoneNumbers' failed"});
    let fake = serve(move |_, _| scim(400, &refusal)).await;
    let attributes = json!({"userName": "ada", "phoneNumbers": [{"value": "1"}]})
        .as_object()
        .unwrap()
        .clone();
    let exchange = fake
        .target()
        .create(
            &user(),
            &NewAccount {
                attributes,
                ..NewAccount::default()
            },
        )
        .await;
    let expected = Refusal {
        kind: RefusalKind::Other,
        attribute: Some("phoneNumbers".into()),
    };
    assert_eq!(exchange.outcome, Err(Failure::Refused(expected)));
    assert!(exchange.trace.said.starts_with("1 validation error"));
}

#[test]
fn base_urls_that_cannot_work_are_refused() {
    for base_url in [
        "no url",
        "ftp://chat.example.com",
        "http://169.254.169.254/latest",
    ] {
        assert!(target(base_url).is_err(), "{base_url}");
    }
}

/// Some applications repeat the request in their errors.
#[tokio::test]
async fn an_answer_that_repeats_the_token_is_kept_without_it() {
    let fake = serve(|_, path| match path {
        "/scim/v2/Users/1" => scim(
            401,
            &json!({"schemas": [], "detail": "The token Bearer s3cret is not valid"}),
        )
        .into_response(),
        "/scim/v2/Users/2" => scim(
            400,
            &json!({"detail": "no", "request": {"headers": ["authorization: Bearer %73%33cret"]}}),
        )
        .into_response(),
        _ => (
            StatusCode::BAD_GATEWAY,
            format!("{}Bearer s3cret", ".".repeat(190)),
        )
            .into_response(),
    })
    .await;
    let target = fake.target();
    for account in ["1", "2", "3"] {
        let exchange = target.read(&user(), &id(account)).await;
        let kept = format!("{exchange:?}");
        assert!(!kept.contains("s3c") && !kept.contains("%73"), "{kept}");
        // Of an error without words all of it is quoted.
        assert!(account != "1" || kept.contains("Bearer (hidden)"), "{kept}");
    }
}

fn receiver(kind: ReceiverKind, address: SocketAddr, secret: Option<&str>) -> Receiver {
    Receiver {
        id: ReceiverId(1),
        tenant: TenantId(1),
        tenant_name: "default".into(),
        name: "siem".into(),
        kind,
        url: format!("http://{address}/events"),
        state: ReceiverState::Live,
        settings: ReceiverSettings::default(),
        secrets: Secrets::new(secret.map(Secret::new)),
        created: Timestamp::UNIX_EPOCH,
        cursor: 0,
        attempts: 0,
        due: None,
        last_error: String::new(),
        last_delivered: None,
        fence: 0,
    }
}

#[tokio::test]
async fn a_receiver_that_repeats_its_token_is_quoted_without_it() {
    let fake =
        serve(|_, _| (StatusCode::UNAUTHORIZED, "no access with Bearer s3cret").into_response())
            .await;
    let receiver = receiver(ReceiverKind::Push, fake.address, Some("s3cret"));
    let now = "2026-11-24T10:00:00Z".parse().unwrap();
    let reception = HttpEventDelivery::new(here())
        .unwrap()
        .send(&receiver, &Message::Token("a.b.c".into()), now)
        .await;
    let why = "it answered 401\nno access with Bearer (hidden)".to_owned();
    assert_eq!(
        reception,
        Reception::Later {
            why,
            retry_after: None
        }
    );
}

#[tokio::test]
async fn a_webhook_without_a_secret_is_told_nothing() {
    let fake = serve(|_, _| StatusCode::OK.into_response()).await;
    let event_delivery = HttpEventDelivery::new(here()).unwrap();
    let message = Message::Webhook {
        id: "msg_1".into(),
        body: "{}".into(),
    };
    let reception = event_delivery
        .send(
            &receiver(ReceiverKind::Webhook, fake.address, None),
            &message,
            Timestamp::UNIX_EPOCH,
        )
        .await;
    assert!(
        matches!(&reception, Reception::Later { why, .. } if why.contains("no secret to sign with")),
        "{reception:?}"
    );
    let whole = receiver(
        ReceiverKind::Webhook,
        fake.address,
        Some("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"),
    );
    assert_eq!(
        event_delivery
            .send(&whole, &message, Timestamp::UNIX_EPOCH)
            .await,
        Reception::Taken
    );
}

#[tokio::test]
async fn an_address_that_is_not_allowed_is_asked_by_nobody() {
    let fake = serve(|_, _| scim(200, &json!({"Resources": [], "totalResults": 0}))).await;
    let port = fake.address.port();
    let hosts = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "localhost",
        "a.localhost",
        "[::ffff:127.0.0.1]",
    ];
    let application = |base_url: &str| target_under(Egress::default(), base_url).unwrap();
    let event_delivery = HttpEventDelivery::new(Egress::default()).unwrap();
    for host in hosts {
        let base_url = format!("http://{host}:{port}/scim/v2");
        let target = application(&base_url);
        assert_eq!(
            target.discover().await.outcome.unwrap_err(),
            Failure::NotReached,
            "{host}"
        );
        assert_eq!(
            target
                .find(&user(), &by_name("ada"))
                .await
                .outcome
                .unwrap_err(),
            Failure::NotReached,
            "{host}"
        );
        let listed = target.list(&user()).await;
        assert_eq!(listed.outcome.unwrap_err(), Failure::NotReached, "{host}");
        assert!(
            !listed.trace.said.is_empty(),
            "{host}: the log says why nothing was sent"
        );
        let removed = target.remove(&user(), &id("1")).await;
        assert_eq!(removed.outcome.unwrap_err(), Failure::NotReached, "{host}");
        let receiver = Receiver {
            url: base_url,
            ..receiver(ReceiverKind::Push, fake.address, Some("s3cret"))
        };
        let url = receiver.url.parse().unwrap();
        let checked = Egress::default().check_resolved(&url).await;
        assert!(checked.is_err(), "{host}");
        let reception = event_delivery
            .send(
                &receiver,
                &Message::Token("a.b.c".into()),
                Timestamp::UNIX_EPOCH,
            )
            .await;
        assert!(
            matches!(&reception, Reception::Later { why, .. } if why.starts_with("its address may not be reached\n")),
            "{reception:?}"
        );
    }
    for host in ["0.0.0.0", "[::]", "[fe80::1]"] {
        assert!(
            target_under(here(), &format!("http://{host}:{port}")).is_err(),
            "{host}"
        );
    }
    // A name is judged by what the resolver finds, whoever asks: no check comes before this.
    let asked = Egress::default()
        .client()
        .unwrap()
        .get(format!("http://localhost:{port}/"))
        .send()
        .await;
    assert!(asked.is_err_and(|error| error.is_connect()));
    assert!(fake.requests().is_empty());
    let allowed = Egress::allowing(vec!["localhost".parse().unwrap()]);
    let asked = allowed
        .client()
        .unwrap()
        .get(format!("http://localhost:{port}/"))
        .send()
        .await;
    assert_eq!(
        (asked.unwrap().status().as_u16(), fake.requests().len()),
        (200, 1)
    );
}
