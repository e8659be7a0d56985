//! The public keys of foreign issuers, fetched: over HTTPS and from public addresses, unless the operator names the host; bounded in size and time. Keeps
//! nothing.

use access::issuer::KeySets;
use async_trait::async_trait;
use directory::store::Fault;
use serde_json::Value;
use tls_failure::Side;
use url::Url;

use crate::egress::Egress;

/// Largest JWK set, in bytes.
pub const KEY_SET_BYTES_MAX: usize = 256 * 1024;
/// Longest time to fetch one, in seconds.
pub const KEY_SET_SECONDS_MAX: u64 = 5;

/// Fetches JWK sets.
#[derive(Clone, Debug)]
pub struct KeySetFetcher {
    client: reqwest::Client,
    egress: Egress,
}

impl KeySetFetcher {
    /// Under these rules; an issuer that the operator names in `allow_private` may be asked over plain HTTP.
    pub fn new(egress: Egress) -> Result<Self, Fault> {
        let egress = Egress {
            request_seconds_max: KEY_SET_SECONDS_MAX,
            connect_seconds_max: KEY_SET_SECONDS_MAX,
            ..egress
        };
        Ok(Self {
            client: egress.client()?,
            egress,
        })
    }

    fn check(&self, url: &str) -> Result<Url, Fault> {
        let url: Url = url
            .parse()
            .map_err(|error| Fault::from_source("the URL of the key set cannot be read", error))?;
        self.egress.check(&url)?;
        if url.scheme() != "https" && !self.egress.names(&url) {
            return Err(Fault::new(
                "the URL of the key set must begin with https:, as `allow_private` does not name its host",
            ));
        }
        Ok(url)
    }
}

#[async_trait]
impl KeySets for KeySetFetcher {
    fn never(&self, url: &str) -> Option<String> {
        self.check(url).err().map(|fault| fault.to_string())
    }

    async fn fetch(&self, url: &str) -> Result<Value, Fault> {
        let url = self.check(url)?;
        let failed = |error| match tls_failure::explain(&error, Side::Client) {
            Some(words) => Fault::new(format!("the key set could not be fetched: {words}")),
            None => Fault::from_source("the key set could not be fetched", error),
        };
        let mut response = self
            .client
            .get(url)
            .header("accept", "application/jwk-set+json, application/json")
            .send()
            .await
            .map_err(failed)?;
        if !response.status().is_success() {
            return Err(Fault::new(format!(
                "the key set could not be fetched: status {}",
                response.status().as_u16()
            )));
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > KEY_SET_BYTES_MAX {
                return Err(Fault::new(format!(
                    "the key set is larger than {KEY_SET_BYTES_MAX} bytes"
                )));
            }
            bytes.extend_from_slice(&chunk);
        }
        let set: Value = serde_json::from_slice(&bytes)
            .map_err(|error| Fault::from_source("the key set is not JSON", error))?;
        // An error in JSON, sent with a good status, must not pass for a set without keys (RFC 7517 section 5).
        if !set.get("keys").is_some_and(Value::is_array) {
            return Err(Fault::new("the key set has no array `keys`"));
        }
        Ok(set)
    }
}
