//! One request at a time to one SCIM server, under one bearer token. Does not build the HTTP client: who owns the process says how it may reach the network.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use serde_json::Value;
use tls_failure::Side;
use url::Url;

use crate::hiding::hide;
use crate::response::{Response, SendError};

/// The content type of SCIM (RFC 7644 section 8.1).
const SCIM_JSON: &str = "application/scim+json";
/// The content type of JSON.
const PLAIN_JSON: &str = "application/json";
/// JSON is accepted too, because many servers call SCIM so.
const ACCEPTED: &str = "application/scim+json, application/json;q=0.9";
/// The largest answer that is read, in bytes.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// What stands in a path or a query as it is (RFC 3986 section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A request below the base URL.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// `GET`, `POST`, `PUT`, `PATCH` or `DELETE`.
    pub method: Method,
    /// Segments of the path, not encoded.
    pub path: Vec<String>,
    /// Parameters, not encoded.
    pub query: Vec<(&'static str, String)>,
    /// The body.
    pub body: Option<Value>,
    /// Whether the body is called `application/json`, for servers that know no other name of it.
    pub is_plain: bool,
}

impl Request {
    /// Without parameters and body.
    pub fn new(method: Method, path: &[&str]) -> Self {
        Self {
            method,
            path: path.iter().map(|segment| (*segment).to_owned()).collect(),
            query: Vec::new(),
            body: None,
            is_plain: false,
        }
    }

    /// With a body.
    #[must_use]
    pub fn with_body(self, body: Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    /// With one more parameter.
    #[must_use]
    pub fn with_query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// With its body called `application/json`.
    #[must_use]
    pub fn plain(self, is_plain: bool) -> Self {
        Self { is_plain, ..self }
    }

    /// Method and path as a person reads them: not encoded.
    pub fn describe(&self) -> String {
        let mut text = format!("{} ", self.method);
        for segment in &self.path {
            text.push('/');
            text.push_str(segment);
        }
        for (index, (name, value)) in self.query.iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            text.push_str(name);
            text.push('=');
            text.push_str(value);
        }
        text
    }

    fn url(&self, base: &Url) -> Url {
        let encode = |text: &str| utf8_percent_encode(text, UNRESERVED).to_string();
        let mut url = base.clone();
        let mut path = base.path().trim_end_matches('/').to_owned();
        for segment in &self.path {
            path.push('/');
            path.push_str(&encode(segment));
        }
        url.set_path(&path);
        if !self.query.is_empty() {
            let pairs: Vec<String> = self
                .query
                .iter()
                .map(|(name, value)| format!("{name}={}", encode(value)))
                .collect();
            url.set_query(Some(&pairs.join("&")));
        }
        url
    }
}

/// A way to one SCIM server.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    base: Url,
    authorization: HeaderValue,
    /// The secret that is taken out of every answer.
    token: String,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Client({})", self.base)
    }
}

impl Client {
    /// `http` says how the network is reached; `base` is where the SCIM API begins. `None` where the token cannot stand in a header.
    pub fn new(http: reqwest::Client, base: Url, token: &str) -> Option<Self> {
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).ok()?;
        authorization.set_sensitive(true);
        Some(Self {
            http,
            base,
            authorization,
            token: token.to_owned(),
        })
    }

    /// Sends one request, once. The token is in nothing that comes back but in resources.
    pub async fn send(&self, request: &Request) -> Result<Response, SendError> {
        self.exchange(request).await.map_err(|error| match error {
            SendError::NotSent(why) => SendError::NotSent(hide(&why, &self.token)),
            SendError::Lost(why) => SendError::Lost(hide(&why, &self.token)),
        })
    }

    async fn exchange(&self, request: &Request) -> Result<Response, SendError> {
        let mut message = self
            .http
            .request(request.method.clone(), request.url(&self.base))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(
                ACCEPT,
                if request.is_plain {
                    PLAIN_JSON
                } else {
                    ACCEPTED
                },
            );
        if let Some(body) = &request.body {
            message = message
                .header(
                    CONTENT_TYPE,
                    if request.is_plain {
                        PLAIN_JSON
                    } else {
                        SCIM_JSON
                    },
                )
                .body(body.to_string());
        }
        let mut response = message.send().await.map_err(|error| not_answered(&error))?;
        let mut bytes = Vec::new();
        // Once the head is there the request had its effect. If the body is lost, it is not known what was made.
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| SendError::Lost(explain(&error)))?
        {
            if bytes.len().saturating_add(chunk.len()) > ANSWER_BYTES_MAX {
                return Err(SendError::Lost(format!(
                    "the answer is longer than {ANSWER_BYTES_MAX} bytes"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        Ok(Response::read(
            response.status().as_u16(),
            response.headers(),
            &bytes,
            &self.token,
        ))
    }
}

fn not_answered(error: &reqwest::Error) -> SendError {
    if error.is_connect() || error.is_builder() {
        SendError::NotSent(explain(error))
    } else {
        SendError::Lost(explain(error))
    }
}

/// What failed, without the URL: what TLS says, or else the innermost reason, which says most.
fn explain(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return if error.is_connect() {
            "no connection in time".into()
        } else {
            "no answer in time".into()
        };
    }
    if let Some(words) = tls_failure::explain(error, Side::Client) {
        return words;
    }
    let mut innermost: &dyn std::error::Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_encoded_and_descriptions_are_not() {
        let base: Url = "https://chat.example.com/scim/v2/".parse().unwrap();
        let request = Request::new(Method::GET, &["Users"])
            .with_query("filter", r#"userName eq "a&b/c ü""#)
            .with_query("count", "2");
        assert_eq!(
            request.url(&base).as_str(),
            "https://chat.example.com/scim/v2/Users?filter=userName%20eq%20%22a%26b%2Fc%20%C3%BC%22&count=2"
        );
        assert_eq!(
            request.describe(),
            r#"GET /Users?filter=userName eq "a&b/c ü"&count=2"#
        );
        let id = Request::new(Method::DELETE, &["Groups", "a/../b?c"]);
        assert_eq!(
            id.url(&base).as_str(),
            "https://chat.example.com/scim/v2/Groups/a%2F..%2Fb%3Fc"
        );
    }
}
