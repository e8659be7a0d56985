//! The token endpoint, its tokens, and the tokens of foreign issuers.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use access::client::{CertificateName, ClientAuthentication, ClientRecord};
use access::issuer::{IssuerRecord, KeySets};
use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::body::Body;
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use directory::access::{Permissions, Scope};
use directory::store::Fault;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use server::Options;
use server::tls::ClientCertificate;

use crate::house::{Answer, House, entry};
use crate::requests::{entries, entry_of};

const FORM: &str = "application/x-www-form-urlencoded";
const ASSERTION: &str = "client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer&client_assertion=";

/// A key of somebody who signs.
pub(crate) struct Signer(EcdsaKeyPair);

impl Signer {
    pub(crate) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(crate) fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({"kty": "EC", "crv": "P-256", "kid": "k1", "x": encode(&point[1..33]), "y": encode(&point[33..])})
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let signed = format!("{}.{}", encode(header), encode(claims));
        let signature = self
            .0
            .sign(&SystemRandom::new(), signed.as_bytes())
            .unwrap();
        format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
    }
}

async fn client(
    house: &House,
    id: &str,
    authentication: ClientAuthentication,
    permissions: Permissions,
) {
    let client = ClientRecord {
        id: id.into(),
        tenant: house.tenant.id,
        name: id.into(),
        created: house.hand_now(),
        revoked: None,
        authentication,
        permissions,
    };
    assert!(house.clients.create_client(client, entry()).await.unwrap());
}

async fn with_secret(house: &House, id: &str, permissions: Permissions) {
    let hash = house.hash("s3cret");
    client(
        house,
        id,
        ClientAuthentication::ClientSecret { hash },
        permissions,
    )
    .await;
}

async fn ask(
    house: &House,
    form: &str,
    basic: Option<&str>,
    certificate: Option<ClientCertificate>,
) -> Answer {
    let mut request = Request::builder()
        .method("POST")
        .uri("/t/default/oauth2/token")
        .header("content-type", FORM);
    if let Some(basic) = basic {
        request = request.header(
            "authorization",
            format!("Basic {}", BASE64_STANDARD.encode(basic)),
        );
    }
    let mut request = request.body(Body::from(form.to_owned())).unwrap();
    if let Some(certificate) = certificate {
        request.extensions_mut().insert(Arc::new(certificate));
    }
    house.send(request).await
}

async fn users(house: &House, token: &str, certificate: Option<ClientCertificate>) -> Answer {
    let request = Request::builder()
        .uri("/scim/v2/Users")
        .header("authorization", format!("Bearer {token}"));
    let mut request = request.body(Body::empty()).unwrap();
    if let Some(certificate) = certificate {
        request.extensions_mut().insert(Arc::new(certificate));
    }
    house.send(request).await
}

#[track_caller]
fn denied(answer: &Answer, status: u16, error: &str) {
    assert_eq!(
        (answer.status.as_u16(), answer.text("/error")),
        (status, error),
        "{answer:?}"
    );
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(!answer.text("/error_description").is_empty());
}

#[tokio::test]
async fn a_client_gets_a_token_and_uses_it() {
    let house = House::new().await;
    with_secret(
        &house,
        "hr",
        Permissions {
            resource_types: Some(vec!["User".into()]),
            ..Permissions::default()
        },
    )
    .await;
    let given = ask(
        &house,
        "grant_type=client_credentials",
        Some("hr:s3cret"),
        None,
    )
    .await;
    assert_eq!(given.status, StatusCode::OK, "{given:?}");
    assert_eq!(
        (given.header("cache-control"), given.header("content-type")),
        (Some("no-store"), Some("application/json"))
    );
    assert_eq!(
        (
            given.text("/token_type"),
            &given.body["expires_in"],
            given.text("/scope")
        ),
        ("Bearer", &json!(600), "read write")
    );
    let token = given.text("/access_token").to_owned();
    assert_eq!(users(&house, &token, None).await.status, StatusCode::OK);
    assert_eq!(
        house
            .call(&token, "GET", "/scim/v2/Groups", &[], None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        house
            .call(&token, "GET", "/t/default/admin/v1/tokens", &[], None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    house.wait(599);
    assert_eq!(users(&house, &token, None).await.status, StatusCode::OK);
    house.wait(1);
    assert_eq!(
        users(&house, &token, None).await.status,
        StatusCode::UNAUTHORIZED
    );

    let narrow = ask(
        &house,
        "grant_type=client_credentials&scope=read&client_id=hr&client_secret=s3cret",
        None,
        None,
    )
    .await;
    assert_eq!(narrow.text("/scope"), "read");
    let token = narrow.text("/access_token").to_owned();
    assert_eq!(
        house
            .call(&token, "DELETE", "/scim/v2/Users/none", &[], None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(users(&house, &token, None).await.status, StatusCode::OK);
    assert!(
        house
            .clients
            .revoke_client(house.tenant.id, "hr", house.hand_now(), entry())
            .await
            .unwrap()
    );
    assert_eq!(
        users(&house, &token, None).await.status,
        StatusCode::UNAUTHORIZED,
        "its tokens end with it"
    );
    denied(
        &ask(
            &house,
            "grant_type=client_credentials",
            Some("hr:s3cret"),
            None,
        )
        .await,
        401,
        "invalid_client",
    );
}

#[tokio::test]
async fn refusals_of_the_token_endpoint() {
    let house = House::new().await;
    with_secret(&house, "hr", Permissions::default()).await;
    let grant = "grant_type=client_credentials";
    let wrong = ask(&house, grant, Some("hr:wrong"), None).await;
    denied(&wrong, 401, "invalid_client");
    assert_eq!(
        wrong.header("www-authenticate"),
        Some("Basic realm=\"rollcall\"")
    );
    denied(
        &ask(&house, grant, Some("nobody:s3cret"), None).await,
        401,
        "invalid_client",
    );
    denied(
        &ask(
            &house,
            &format!("{grant}&client_id=hr&client_secret=x"),
            None,
            None,
        )
        .await,
        401,
        "invalid_client",
    );
    denied(
        &ask(&house, &format!("{grant}&client_id=hr"), None, None).await,
        401,
        "invalid_client",
    );
    denied(
        &ask(&house, grant, None, None).await,
        400,
        "invalid_request",
    );
    denied(
        &ask(&house, "", Some("hr:s3cret"), None).await,
        400,
        "invalid_request",
    );
    denied(
        &ask(&house, &format!("{grant}&{grant}"), Some("hr:s3cret"), None).await,
        400,
        "invalid_request",
    );
    denied(
        &ask(
            &house,
            &format!("{grant}&client_secret=s3cret"),
            Some("hr:s3cret"),
            None,
        )
        .await,
        400,
        "invalid_request",
    );
    denied(
        &ask(&house, "grant_type=password", Some("hr:s3cret"), None).await,
        400,
        "unsupported_grant_type",
    );
    denied(
        &ask(
            &house,
            &format!("{grant}&scope=read+admin"),
            Some("hr:s3cret"),
            None,
        )
        .await,
        400,
        "invalid_scope",
    );
    denied(
        &ask(
            &house,
            &format!("{grant}&scope=everything"),
            Some("hr:s3cret"),
            None,
        )
        .await,
        400,
        "invalid_scope",
    );
    denied(
        &ask(&house, &"a=b&".repeat(20_000), Some("hr:s3cret"), None).await,
        400,
        "invalid_request",
    );
    let get = house
        .call("", "GET", "/t/default/oauth2/token", &[], None)
        .await;
    assert_eq!(
        (get.status, get.header("allow")),
        (StatusCode::METHOD_NOT_ALLOWED, Some("POST"))
    );
    let json = house
        .call("", "POST", "/t/default/oauth2/token", &[], Some(json!({})))
        .await;
    denied(&json, 400, "invalid_request");
}

#[tokio::test]
async fn a_client_signs_with_its_key_and_each_assertion_counts_once() {
    let house = House::with(
        Options {
            public_url: Some("https://id.example".into()),
            ..Options::default()
        },
        directory::tenant::TenantSettings::default(),
    )
    .await;
    let (own, stranger) = (Signer::new(), Signer::new());
    client(
        &house,
        "hr",
        ClientAuthentication::PrivateKeyJwt {
            keys: vec![own.jwk()],
        },
        Permissions::default(),
    )
    .await;
    let now = house.hand_now().as_second();
    let good = json!({"iss": "hr", "sub": "hr", "aud": "https://id.example/t/default/oauth2/token", "exp": now + 60, "jti": "1"});
    let ask = async |signer: &Signer, changes: Value, header: Value| {
        let mut claims = good.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let form = format!(
            "grant_type=client_credentials&{ASSERTION}{}",
            signer.sign(&header, &claims)
        );
        ask(&house, &form, None, None).await
    };
    let es256 = json!({"alg": "ES256"});
    let given = ask(&own, json!({}), es256.clone()).await;
    assert_eq!(given.status, StatusCode::OK, "{given:?}");
    assert_eq!(
        users(&house, given.text("/access_token"), None)
            .await
            .status,
        StatusCode::OK
    );
    denied(
        &ask(&own, json!({}), es256.clone()).await,
        401,
        "invalid_client",
    );
    assert_eq!(
        ask(
            &own,
            json!({"jti": "2", "aud": ["x", "https://id.example/t/default"]}),
            es256.clone()
        )
        .await
        .status,
        StatusCode::OK
    );
    for refused in [
        json!({"jti": "3", "aud": "https://other.example"}),
        json!({"jti": "3", "exp": now - 61}),
        json!({"jti": "3", "exp": now + 7_200}),
        json!({"jti": "3", "exp": null}),
        json!({"jti": ""}),
        json!({"jti": null}),
        json!({"jti": "3", "iss": "other"}),
        json!({"jti": "3", "sub": "other"}),
        json!({"jti": "3", "nbf": now + 120}),
    ] {
        denied(
            &ask(&own, refused, es256.clone()).await,
            401,
            "invalid_client",
        );
    }
    denied(
        &ask(&stranger, json!({"jti": "3"}), es256.clone()).await,
        401,
        "invalid_client",
    );
    denied(
        &ask(&own, json!({"jti": "3"}), json!({"alg": "none"})).await,
        401,
        "invalid_client",
    );
    denied(
        &ask(&own, json!({"jti": "3"}), json!({"alg": "HS256"})).await,
        401,
        "invalid_client",
    );
    assert_eq!(
        ask(&own, json!({"jti": "3"}), es256).await.status,
        StatusCode::OK,
        "a refused one was not used up"
    );
}

#[tokio::test]
async fn tokens_of_certificates_are_bound_to_them() {
    let house = House::new().await;
    let name = CertificateName::SanDns("hr.example".into());
    client(
        &house,
        "hr",
        ClientAuthentication::TlsClientAuth { name: name.clone() },
        Permissions::default(),
    )
    .await;
    with_secret(&house, "crm", Permissions::default()).await;
    let own = ClientCertificate {
        thumbprint: [1; 32],
        names: vec![name],
    };
    let other = ClientCertificate {
        thumbprint: [2; 32],
        names: vec![CertificateName::SanDns("crm.example".into())],
    };
    let form = "grant_type=client_credentials&client_id=hr";
    denied(&ask(&house, form, None, None).await, 401, "invalid_client");
    denied(
        &ask(&house, form, None, Some(other.clone())).await,
        401,
        "invalid_client",
    );
    let by_certificate = ask(&house, form, None, Some(own.clone())).await;
    let by_secret = ask(
        &house,
        "grant_type=client_credentials",
        Some("crm:s3cret"),
        Some(own.clone()),
    )
    .await;
    for given in [by_certificate, by_secret] {
        let token = given.text("/access_token");
        assert_eq!(
            users(&house, token, Some(own.clone())).await.status,
            StatusCode::OK
        );
        // Also now that the token is remembered.
        assert_eq!(
            users(&house, token, Some(other.clone())).await.status,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(
            users(&house, token, None).await.status,
            StatusCode::UNAUTHORIZED
        );
        assert_eq!(
            users(&house, token, Some(own.clone())).await.status,
            StatusCode::OK
        );
    }
}

#[tokio::test]
async fn metadata_and_schemes_tell_what_is_there() {
    let options = Options {
        public_url: Some("https://id.example".into()),
        takes_client_certificates: true,
        ..Options::default()
    };
    let house = House::with(options, directory::tenant::TenantSettings::default()).await;
    for path in [
        "/t/default/.well-known/oauth-authorization-server",
        "/.well-known/oauth-authorization-server/t/default",
    ] {
        let told = house.call("", "GET", path, &[], None).await;
        assert_eq!(
            (told.text("/issuer"), told.text("/token_endpoint")),
            (
                "https://id.example/t/default",
                "https://id.example/t/default/oauth2/token"
            )
        );
        assert_eq!(
            told.body["grant_types_supported"],
            json!(["client_credentials"])
        );
        assert!(
            told.body["token_endpoint_auth_methods_supported"]
                .as_array()
                .unwrap()
                .contains(&json!("tls_client_auth"))
        );
    }
    let nowhere = house
        .call(
            "",
            "GET",
            "/t/none/.well-known/oauth-authorization-server",
            &[],
            None,
        )
        .await;
    assert_eq!(
        nowhere.text("/issuer"),
        "https://id.example/t/none",
        "nobody learns which tenants there are"
    );
    let schemes = async || {
        let config = house.scim("GET", "/ServiceProviderConfig", None).await;
        let schemes = config.body["authenticationSchemes"]
            .as_array()
            .unwrap()
            .clone();
        schemes
            .iter()
            .map(|scheme| scheme["type"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(schemes().await, ["oauthbearertoken"]);
    with_secret(&house, "hr", Permissions::default()).await;
    assert_eq!(schemes().await, ["oauthbearertoken", "oauth2"]);
}

#[tokio::test]
async fn guessing_secrets_is_stopped_too() {
    let house = House::new().await;
    with_secret(&house, "hr", Permissions::default()).await;
    let guess = async |secret: &str| {
        let request = Request::builder()
            .method("POST")
            .uri("/t/default/oauth2/token")
            .header("host", "x")
            .header("content-type", FORM);
        let form = format!("grant_type=client_credentials&client_id=hr&client_secret={secret}");
        let mut request = request.body(Body::from(form)).unwrap();
        let (peer, local) = (
            "192.0.2.1:5000".parse().unwrap(),
            "10.0.0.2:443".parse().unwrap(),
        );
        request.extensions_mut().insert(server::Connection {
            peer,
            local,
            is_tls: true,
        });
        house.send(request).await
    };
    for _ in 0..20 {
        denied(&guess("x").await, 401, "invalid_client");
    }
    let refused = guess("s3cret").await;
    denied(&refused, 429, "temporarily_unavailable");
    assert_eq!(refused.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn the_request_log_has_token_requests_and_no_secret_of_them() {
    let house = House::new().await;
    with_secret(&house, "hr", Permissions::default()).await;
    let grant = "grant_type=client_credentials";
    let given = ask(&house, grant, Some("hr:s3cret"), None).await;
    let entry = entry_of(&house, &given).await;
    assert_eq!(
        (entry.method.as_str(), entry.path.as_str(), entry.status),
        ("POST", "/oauth2/token", 200)
    );
    assert_eq!(
        (entry.credential.as_deref(), entry.detail, entry.body_bytes),
        (Some("hr"), None, grant.len() as u64)
    );
    let scope = ask(
        &house,
        &format!("{grant}&scope=admin"),
        Some("hr:s3cret"),
        None,
    )
    .await;
    let entry = entry_of(&house, &scope).await;
    assert_eq!(
        (entry.status, entry.credential.as_deref()),
        (400, Some("hr"))
    );
    assert_eq!(
        entry.detail.as_deref(),
        Some(scope.text("/error_description"))
    );

    // Administrators learn which client it was; whoever asks does not.
    let wrong = ask(&house, grant, Some("hr:wr0ng"), None).await;
    let entry = entry_of(&house, &wrong).await;
    assert_eq!((entry.status, &entry.credential), (401, &None));
    assert!(
        entry.detail.unwrap().contains("`hr`") && !wrong.text("/error_description").contains("hr")
    );
    // What was given for an id may be a secret.
    let nobody = ask(
        &house,
        &format!("{grant}&client_id=s3cret&client_secret=hr"),
        None,
        None,
    )
    .await;
    let entry = entry_of(&house, &nobody).await;
    assert_eq!((entry.status, &entry.credential), (401, &None));
    assert_eq!(
        entry.detail.as_deref(),
        Some(nobody.text("/error_description"))
    );

    let assertion =
        Signer::new().sign(&json!({"alg": "ES256"}), &json!({"iss": "hr", "sub": "hr"}));
    ask(
        &house,
        &format!("{grant}&{ASSERTION}{assertion}"),
        None,
        None,
    )
    .await;
    ask(
        &house,
        &format!("{grant}&client_id=hr&client_secret=s3cret&client_secret=s3cret"),
        None,
        None,
    )
    .await;
    house
        .call(
            "s3cret",
            "POST",
            "/t/default/oauth2/token?client_secret=s3cret",
            &[],
            Some(json!({"client_secret": "s3cret"})),
        )
        .await;
    assert_eq!(
        house
            .call("", "GET", "/t/default/oauth2/token", &[], None)
            .await
            .status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    let log = entries(&house).await;
    assert_eq!(
        log.iter().map(|entry| entry.status).collect::<Vec<_>>(),
        [200, 400, 401, 401, 401, 400, 400, 405]
    );
    for entry in &log {
        assert_eq!(
            (
                entry.path.as_str(),
                entry.received.is_none(),
                entry.query.len()
            ),
            ("/oauth2/token", true, 0)
        );
        let text = format!("{entry:?} {}", serde_json::to_string(entry).unwrap());
        for secret in [
            "s3cret",
            "wr0ng",
            assertion.as_str(),
            given.text("/access_token"),
        ] {
            assert!(!text.contains(secret), "{text}");
        }
    }
}

#[tokio::test]
async fn guessed_secrets_do_not_fill_the_log() {
    let house = House::with(
        Options {
            request_log_strangers_per_minute_max: 3,
            ..Options::default()
        },
        directory::tenant::TenantSettings::default(),
    )
    .await;
    with_secret(&house, "hr", Permissions::default()).await;
    for number in 0..9 {
        denied(
            &ask(
                &house,
                "grant_type=client_credentials",
                Some(&format!("hr:{number}")),
                None,
            )
            .await,
            401,
            "invalid_client",
        );
    }
    assert_eq!(entries(&house).await.len(), 3);
    assert_eq!(
        ask(
            &house,
            "grant_type=client_credentials",
            Some("hr:s3cret"),
            None
        )
        .await
        .status,
        StatusCode::OK
    );
    assert_eq!(entries(&house).await.len(), 4);
}

/// An issuer whose keys can be fetched.
pub(crate) struct Foreign {
    pub keys: std::sync::Mutex<Value>,
    pub fetches: AtomicUsize,
}

#[async_trait]
impl KeySets for Foreign {
    fn never(&self, url: &str) -> Option<String> {
        url.starts_with("http://127.").then(|| "it is here".into())
    }

    async fn fetch(&self, url: &str) -> Result<Value, Fault> {
        assert_eq!(url, "https://idp.example/keys");
        self.fetches.fetch_add(1, Ordering::Relaxed);
        Ok(self.keys.lock().unwrap().clone())
    }
}

#[tokio::test]
async fn tokens_of_a_foreign_issuer() {
    let house = House::new().await;
    let (own, stranger) = (Signer::new(), Signer::new());
    *house.foreign.keys.lock().unwrap() = json!({"keys": [own.jwk()]});
    let settings = json!({"issuer": "https://idp.example", "jwksUrl": "https://idp.example/keys", "audiences": ["scim"],
        "requiredClaims": {"tid": "t-1"}, "permissions": {"scopes": ["read"], "resourceTypes": ["User"]}});
    let record = IssuerRecord {
        tenant: house.tenant.id,
        name: "entra".into(),
        created: house.hand_now(),
        settings: serde_json::from_value(settings).unwrap(),
    };
    assert!(house.issuers.add_issuer(record, entry()).await.unwrap());
    let now = house.hand_now().as_second();
    let good = json!({"iss": "https://idp.example", "aud": "scim", "sub": "app", "tid": "t-1", "exp": now + 60});
    let token = |signer: &Signer, header: Value, changes: Value| {
        let mut claims = good.clone();
        for (name, value) in changes.as_object().unwrap() {
            claims[name] = value.clone();
        }
        signer.sign(&header, &claims)
    };
    let header = json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"});
    let accepted = token(&own, header.clone(), json!({}));
    assert_eq!(users(&house, &accepted, None).await.status, StatusCode::OK);
    assert_eq!(
        house
            .call(&accepted, "DELETE", "/scim/v2/Users/none", &[], None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    assert_eq!(
        house
            .call(&accepted, "GET", "/scim/v2/Groups", &[], None)
            .await
            .status,
        StatusCode::FORBIDDEN
    );
    for refused in [
        token(&stranger, header.clone(), json!({})),
        token(&own, json!({"alg": "none"}), json!({})),
        token(&own, json!({"alg": "HS256", "kid": "k1"}), json!({})),
        token(&own, json!({"alg": "RS256", "kid": "k1"}), json!({})),
        token(&own, json!({"alg": "ES256", "kid": "k2"}), json!({})),
        token(&own, header.clone(), json!({"aud": "other"})),
        token(
            &own,
            header.clone(),
            json!({"iss": "https://other.example"}),
        ),
        token(&own, header.clone(), json!({"exp": now - 61})),
        token(&own, header.clone(), json!({"nbf": now + 61})),
        token(&own, header.clone(), json!({"tid": "t-2"})),
        // Of another kind, whose keys and claims are the same.
        token(
            &own,
            json!({"alg": "ES256", "kid": "k1", "typ": "secevent+jwt"}),
            json!({}),
        ),
        token(
            &own,
            json!({"alg": "ES256", "kid": "k1", "typ": "application/logout+jwt"}),
            json!({}),
        ),
        token(
            &own,
            json!({"alg": "ES256", "kid": "k1", "typ": "dpop+jwt"}),
            json!({}),
        ),
        token(
            &own,
            json!({"alg": "ES256", "kid": "k1"}),
            json!({"events": {"https://schemas.openid.net/secevent/caep/event-type/session-revoked": {}}}),
        ),
        token(
            &own,
            json!({"alg": "ES256", "kid": "k1", "typ": "JWT"}),
            json!({"nonce": "n-1"}),
        ),
    ] {
        let answer = users(&house, &refused, None).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{refused}");
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer realm=\"rollcall\", error=\"invalid_token\"")
        );
    }
    for typ in ["JWT", "jwt", "application/at+jwt"] {
        let accepted = token(
            &own,
            json!({"alg": "ES256", "kid": "k1", "typ": typ}),
            json!({}),
        );
        assert_eq!(
            users(&house, &accepted, None).await.status,
            StatusCode::OK,
            "{typ}"
        );
    }
    assert_eq!(
        house.foreign.fetches.load(Ordering::Relaxed),
        1,
        "made-up key ids cause no load at the issuer"
    );
    house.wait(119);
    assert_eq!(
        users(&house, &accepted, None).await.status,
        StatusCode::OK,
        "within the leeway"
    );
    house.wait(1);
    assert_eq!(
        users(&house, &accepted, None).await.status,
        StatusCode::UNAUTHORIZED
    );
    let later = token(&own, header.clone(), json!({"exp": now + 900}));
    assert_eq!(users(&house, &later, None).await.status, StatusCode::OK);
    // A new key, at once.
    *house.foreign.keys.lock().unwrap() = json!({"keys": [stranger.jwk().as_object().map(|key| { let mut key = key.clone(); key["kid"] = "k9".into(); key })]});
    let rotated = token(
        &stranger,
        json!({"alg": "ES256", "kid": "k9"}),
        json!({"exp": now + 900}),
    );
    assert_eq!(users(&house, &rotated, None).await.status, StatusCode::OK);
    assert!(
        house
            .issuers
            .remove_issuer(house.tenant.id, "entra", entry())
            .await
            .unwrap()
    );
    assert_eq!(
        users(&house, &rotated, None).await.status,
        StatusCode::UNAUTHORIZED
    );
}

#[tokio::test]
async fn a_scope_that_a_client_lost_is_lost_to_its_tokens() {
    let house = House::new().await;
    with_secret(&house, "ops", Permissions::of(&[Scope::Read, Scope::Admin])).await;
    let given = ask(
        &house,
        "grant_type=client_credentials&scope=admin",
        Some("ops:s3cret"),
        None,
    )
    .await;
    let token = given.text("/access_token");
    assert_eq!(
        house
            .call(token, "GET", "/t/default/admin/v1/tokens", &[], None)
            .await
            .status,
        StatusCode::OK
    );
    assert_eq!(
        users(&house, token, None).await.status,
        StatusCode::FORBIDDEN
    );
    let mut forged = token.to_owned();
    forged.replace_range(14..15, if &forged[14..15] == "A" { "B" } else { "A" });
    assert_eq!(
        users(&house, &forged, None).await.status,
        StatusCode::UNAUTHORIZED
    );
}
