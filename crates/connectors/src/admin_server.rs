//! The admin API of a Rollcall somewhere else, for the command line: a request goes there with a token, and the answer comes back. Understands neither.

use directory::secret::Secret;
use directory::store::Fault;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, Method};
use url::Url;

use crate::egress::{Egress, Place, Refusal};

/// A server and the token for it.
#[derive(Clone, Debug)]
pub struct AdminServer {
    client: Client,
    /// Without a slash at its end.
    url: String,
    authorization: HeaderValue,
}

/// Why there is no way to a server.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// The URL is not one that may be reached.
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// The token would be sent in the clear.
    #[error("the URL begins with http:, so everybody on the way could read the token")]
    InTheClear,
    /// The token does not fit into a header.
    #[error("the token is not one word of letters, digits and signs of ASCII")]
    Token,
    /// Ours.
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl AdminServer {
    /// The server at this URL. The user of the command names it, so it may be a private place. Plain HTTP is accepted only if the traffic stays on this machine,
    /// or if the operator allows the place.
    pub fn new(egress: &Egress, url: &Url, token: &Secret) -> Result<Self, Unusable> {
        let mut egress = egress.clone();
        let stays = egress.names(url) || is_this_machine(url);
        if url.scheme() == "http" && !stays {
            return Err(Unusable::InTheClear);
        }
        if let Some(place) = url.host_str().and_then(|host| host.parse::<Place>().ok()) {
            egress.allow_private.push(place);
        }
        egress.check(url)?;
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", token.reveal()))
            .map_err(|_| Unusable::Token)?;
        authorization.set_sensitive(true);
        Ok(Self {
            client: egress.client()?,
            url: url.as_str().trim_end_matches('/').to_owned(),
            authorization,
        })
    }

    /// Sends a request and waits for the status and the whole body of its answer.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(u16, Vec<u8>), Fault> {
        let method = Method::from_bytes(method.as_bytes())
            .map_err(|error| Fault::from_source("a method has a wrong name", error))?;
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.url))
            .header(AUTHORIZATION, self.authorization.clone());
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body);
        }
        let failed = |error: reqwest::Error| Fault::from_source("no answer", error.without_url());
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await.map_err(failed)?;
        Ok((status, body.to_vec()))
    }
}

fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_does_not_leave_the_machine_in_the_clear() {
        let check = |url: &str, expected: bool| {
            let egress = Egress::allowing(vec!["10.0.0.0/8".parse().unwrap()]);
            let url = url.parse().unwrap();
            let made = AdminServer::new(&egress, &url, &Secret::new("t"));
            assert_eq!(made.is_ok(), expected, "{url} {made:?}");
        };
        check("http://127.0.0.1:8700", true);
        check("http://localhost:8700", true);
        check("http://10.1.2.3:8700", true);
        check("https://192.168.1.1", true);
        check("https://rollcall.example.com", true);
        check("http://rollcall.example.com", false);
        check("http://192.168.1.1", false);
        check("https://169.254.169.254", false);
    }
}
