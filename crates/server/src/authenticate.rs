//! From a request to its `Caller`: the bearer token (RFC 6750), be it stored, of our token endpoint or of a
//! foreign issuer, and the tenant in the URL, with the limits of those who call and of those who guess. Does
//! not decide what the caller may do.
//!
//! A good token is remembered for a while, with the revision of its tenant: a revocation, also by another process, takes effect at the next request.

use keys::signed_token::Signed;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use access::access_token;
use access::client::ClientRecord;
use access::credential::{TokenHash, authenticate, is_use_news};
use access::issuer::accept;
use directory::access::{Caller, Permissions};
use directory::directory::COMMAND_LINE;
use directory::store::Fault;
use directory::tenant::{Tenant, TenantId, TenantSettings};
use http::header::AUTHORIZATION;
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};

use crate::address::caller_address;
use crate::local::LocalUser;
use crate::rate_limit::{RateLimit, Verdict};
use crate::refusal::Failure;
use crate::state::{Callers, State};
use crate::tls::ClientCertificate;
use crate::token_cache::Remembered;
use crate::trace::Trace;

/// The caller of a tenant that answers: one that is suspended tells its own callers so, and nobody else. Who it is stands in the trace even where it is
/// refused for another reason than not being known.
pub(crate) async fn caller(
    state: &Arc<State>,
    tenant: &str,
    parts: &Parts,
    trace: Option<&Trace>,
) -> Result<Caller, Failure> {
    let caller = caller_of_any(state, tenant, parts, trace).await?;
    if caller.tenant.settings.suspended && parts.extensions.get::<LocalUser>().is_none() {
        let detail = "This tenant is suspended: it answers no requests until whoever runs this installation resumes it.";
        return Err(Error::new(ErrorKind::Forbidden, detail).into());
    }
    Ok(caller)
}

/// The caller, where the token is one of this tenant, suspended or not; an unknown tenant is refused in the same words.
pub(crate) async fn caller_of_any(
    state: &Arc<State>,
    tenant: &str,
    parts: &Parts,
    trace: Option<&Trace>,
) -> Result<Caller, Failure> {
    if parts.extensions.get::<LocalUser>().is_some() {
        // The request log is about clients; what a local user administers is in the audit log.
        return local_caller(state, tenant).await;
    }
    let Some(token) = bearer(&parts.headers) else {
        return Err(Failure::Unauthorized { token_given: false });
    };
    // The layers above have made the hash already, except where a request did not come through them.
    let hash = parts
        .extensions
        .get::<TokenHash>()
        .copied()
        .unwrap_or_else(|| state.hasher.hash(token));
    let now = state.clock.now();
    let attempt = Attempt::begin(state, parts, hash, now)?;
    // Where a request may take longer, that is not for this.
    let limit = Duration::from_secs(state.options.request_seconds_max);
    let caller =
        match tokio::time::timeout(limit, known_caller(state, tenant, token, parts, hash, now))
            .await
        {
            Ok(Ok(caller)) => caller,
            Ok(Err(failure)) => return Err(attempt.failed(state, failure)),
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Unavailable,
                    "The token could not be looked up in time; send the request again.",
                )
                .into());
            }
        };
    if let Some(trace) = trace {
        trace.called(&caller);
    }
    attempt.succeeded(state, &caller.tenant.settings)?;
    spend(
        state,
        caller.tenant.id,
        &caller.credential_id,
        &caller.permissions,
        parts,
    )?;
    Ok(caller)
}

/// A user of this machine, who may do everything in every tenant.
async fn local_caller(state: &State, tenant: &str) -> Result<Caller, Failure> {
    let missing = || {
        let detail = format!("There is no tenant `{tenant}`.");
        Error::new(ErrorKind::NotFound, detail)
    };
    let tenant = state
        .tenants
        .find_tenant(tenant)
        .await?
        .ok_or_else(missing)?;
    let caller = state
        .directory
        .caller(Arc::new(tenant), COMMAND_LINE.into(), Permissions::all());
    Ok(caller.await?)
}

/// One look at a credential, from an address.
pub(crate) struct Attempt {
    address: Option<IpAddr>,
    hash: TokenHash,
    now: Timestamp,
    waits: Option<u64>,
}

impl Attempt {
    /// Refuses an address that guesses, unless the credential was good before. Costs the same whatever the credential is, and reads no store.
    pub(crate) fn begin(
        state: &State,
        parts: &Parts,
        hash: TokenHash,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let address = caller_address(&state.options, &parts.headers, &parts.extensions);
        let waits = address.and_then(|address| state.lockout.waits(address, now));
        match waits {
            Some(seconds) if !state.lockout.is_proven(&hash, now) => Err(Failure::Limited {
                detail: GUESSED,
                seconds,
            }),
            _ => Ok(Self {
                address,
                hash,
                now,
                waits,
            }),
        }
    }

    /// Counts a refused credential against its address, and no longer as one that was good; what failed on our side counts for nothing.
    pub(crate) fn failed(&self, state: &State, failure: Failure) -> Failure {
        if matches!(failure, Failure::Unauthorized { .. }) {
            state.lockout.forget(&self.hash);
            if let Some(address) = self.address {
                state.lockout.failed(address, self.now);
            }
        }
        failure
    }

    /// Remembers a good one. A tenant may choose that even so it waits.
    pub(crate) fn succeeded(
        &self,
        state: &State,
        settings: &TenantSettings,
    ) -> Result<(), Failure> {
        state.lockout.succeeded(self.hash, self.now);
        match self.waits {
            Some(seconds) if !settings.lockout_spares_known_tokens => Err(Failure::Limited {
                detail: GUESSED,
                seconds,
            }),
            _ => Ok(()),
        }
    }
}

const GUESSED: &str = "Too many credentials from this address were not accepted.";

/// What the caller may still send; told in the answer.
#[derive(Clone, Default)]
pub(crate) struct Budget(Arc<OnceLock<(RateLimit, Verdict)>>);

impl Budget {
    /// `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
    pub(crate) fn describe(&self, headers: &mut HeaderMap) {
        let Some((limit, verdict)) = self.0.get() else {
            return;
        };
        let (remaining, wait) = match verdict {
            Verdict::Go { remaining } => (*remaining, 0),
            Verdict::Wait { seconds } => (0, *seconds),
        };
        let window = limit.burst.div_ceil(limit.per_second.max(1));
        let lines = [
            (
                "ratelimit-policy",
                format!("\"caller\";q={};w={window}", limit.burst),
            ),
            ("ratelimit", format!("\"caller\";r={remaining};t={wait}")),
        ];
        for (name, value) in lines {
            if let Ok(value) = HeaderValue::try_from(value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
    }
}

fn rate_limit(state: &State, permissions: &Permissions) -> Option<RateLimit> {
    match permissions.requests_per_second {
        None => state.options.rate_limit,
        Some(0) => None,
        Some(per_second) => Some(RateLimit {
            per_second,
            burst: per_second.saturating_mul(10),
        }),
    }
}

/// One request of the caller's budget.
pub(crate) fn spend(
    state: &State,
    tenant: TenantId,
    id: &str,
    permissions: &Permissions,
    parts: &Parts,
) -> Result<(), Failure> {
    let Some(limit) = rate_limit(state, permissions) else {
        return Ok(());
    };
    let verdict = state
        .rates
        .take(&(tenant, id.to_owned()), limit, state.clock.now());
    if let Some(Budget(cell)) = parts.extensions.get::<Budget>() {
        // A request has one caller.
        let _ = cell.set((limit, verdict));
    }
    match verdict {
        Verdict::Go { .. } => Ok(()),
        Verdict::Wait { seconds } => Err(Failure::Limited {
            detail: "This token has made too many requests.",
            seconds,
        }),
    }
}

/// What a bulk request costs besides itself: one request for each operation.
pub(crate) fn spend_more(state: &State, caller: &Caller, operations: usize) {
    if let Some(limit) = rate_limit(state, &caller.permissions) {
        state.rates.charge(
            &(caller.tenant.id, caller.credential_id.clone()),
            limit,
            operations,
        );
    }
}

async fn known_caller(
    state: &Arc<State>,
    tenant: &str,
    token: &str,
    parts: &Parts,
    hash: TokenHash,
    now: Timestamp,
) -> Result<Caller, Failure> {
    let certificate = parts
        .extensions
        .get::<Arc<ClientCertificate>>()
        .map(|certificate| certificate.thumbprint);
    // Read before everything else: what is remembered under an older revision is not found again.
    let revision = state.tenants.tenant_revision(tenant).await?;
    let known =
        revision.and_then(|revision| state.tokens.find(tenant, revision, &hash, certificate, now));
    if let Some((caller, news)) = known {
        if news {
            record_use(state, &caller, now);
        }
        return Ok(caller);
    }
    // Also where there is no such tenant: the time that a refusal takes does not tell which there are.
    let found = look_up(state, tenant, token, hash, now).await?;
    let (found, revision) = found
        .zip(revision)
        .ok_or(Failure::Unauthorized { token_given: true })?;
    let is_bound_elsewhere = found.certificate.is_some() && found.certificate != certificate;
    // What was issued to a person ended in the commit with which they left; this is for what a store kept all the same.
    if is_bound_elsewhere || !state.directory.has_active_person(&found.caller).await? {
        return Err(Failure::Unauthorized { token_given: true });
    }
    let news = is_use_news(found.last_used, now);
    if news {
        record_use(state, &found.caller, now);
    }
    let last_used = if news { Some(now) } else { found.last_used };
    let caller = Caller {
        expires: found.expires,
        ..found.caller
    };
    state.tokens.remember(
        tenant,
        hash,
        Remembered {
            caller: caller.clone(),
            revision,
            checked: now,
            last_used,
            ..found
        },
    );
    Ok(caller)
}

/// Uses of tokens that are not stored are not recorded, so none of them is news.
const NEVER_NEWS: Option<Timestamp> = Some(Timestamp::MAX);

async fn look_up(
    state: &State,
    tenant: &str,
    token: &str,
    hash: TokenHash,
    now: Timestamp,
) -> Result<Option<Remembered>, Fault> {
    let tenant = state
        .tenants
        .find_tenant(tenant)
        .await?
        .unwrap_or_else(Tenant::none);
    match state.callers() {
        Some(callers) if token.starts_with(access_token::PREFIX) => {
            of_client(state, callers, tenant, token, now).await
        }
        Some(callers) if Signed::looks_like(token) => {
            of_issuer(state, callers, tenant, token, now).await
        }
        _ => stored(state, tenant, hash, now).await,
    }
}

/// A token that the store knows.
async fn stored(
    state: &State,
    tenant: Tenant,
    hash: TokenHash,
    now: Timestamp,
) -> Result<Option<Remembered>, Fault> {
    let record = state.tenants.find_token(tenant.id, hash).await?;
    let Ok(record) = authenticate(record.as_ref(), tenant.id, &hash, now) else {
        return Ok(None);
    };
    let caller = state
        .directory
        .caller(
            Arc::new(tenant),
            record.id.clone(),
            record.permissions.clone(),
        )
        .await?;
    Ok(Some(Remembered {
        caller,
        revision: 0,
        checked: now,
        expires: record.expires,
        certificate: None,
        last_used: record.last_used,
    }))
}

/// An access token of our token endpoint.
async fn of_client(
    state: &State,
    callers: &Callers,
    tenant: Tenant,
    token: &str,
    now: Timestamp,
) -> Result<Option<Remembered>, Fault> {
    let Some(claims) = access_token::open(&*state.hasher, tenant.id, token) else {
        return Ok(None);
    };
    let Some(expires) = Timestamp::from_second(claims.expires)
        .ok()
        .filter(|expires| now < *expires)
    else {
        return Ok(None);
    };
    let client = callers
        .clients
        .find_client(tenant.id, &claims.client)
        .await?;
    let Some(client) = client.filter(ClientRecord::is_live) else {
        return Ok(None);
    };
    let permissions = claims.permissions(&client.permissions);
    let caller = state
        .directory
        .caller(Arc::new(tenant), client.id, permissions)
        .await?;
    let certificate = claims.certificate;
    Ok(Some(Remembered {
        caller,
        revision: 0,
        checked: now,
        expires: Some(expires),
        certificate,
        last_used: NEVER_NEWS,
    }))
}

/// A token of a foreign issuer.
async fn of_issuer(
    state: &State,
    callers: &Callers,
    tenant: Tenant,
    token: &str,
    now: Timestamp,
) -> Result<Option<Remembered>, Fault> {
    let Some(signed) = Signed::parse(token).filter(Signed::may_be_access_token) else {
        return Ok(None);
    };
    for issuer in callers.issuers.list_issuers(tenant.id).await? {
        // Claims before keys: a token that would not be accepted anyway causes no fetch.
        let Some(accepted) = accept(&issuer, &signed.claims, now) else {
            continue;
        };
        let keys = state
            .key_sets
            .keys(&*callers.key_sets, &issuer.settings.jwks_url, &signed, now)
            .await;
        if !signed.is_signed_by(&keys) {
            continue;
        }
        let caller = state
            .directory
            .caller(
                Arc::new(tenant),
                accepted.credential_id,
                issuer.settings.permissions,
            )
            .await?;
        let expires = Some(accepted.expires);
        return Ok(Some(Remembered {
            caller,
            revision: 0,
            checked: now,
            expires,
            certificate: None,
            last_used: NEVER_NEWS,
        }));
    }
    Ok(None)
}

/// Nobody waits for it, and a use that is lost in a crash is lost.
fn record_use(state: &Arc<State>, caller: &Caller, now: Timestamp) {
    let (tenants, tenant, id) = (
        state.tenants.clone(),
        caller.tenant.id,
        caller.credential_id.clone(),
    );
    tokio::spawn(async move {
        if let Err(fault) = tenants.record_token_use(tenant, &id, now).await {
            tracing::warn!(
                error = &fault as &dyn std::error::Error,
                "the use of a token was not recorded"
            );
        }
    });
}

/// The bearer token of a request.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers
        .get(AUTHORIZATION)?
        .to_str()
        .ok()?
        .trim()
        .split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers() {
        let check = |value: &str, expected: Option<&str>| {
            let headers = HeaderMap::from_iter([(AUTHORIZATION, value.parse().unwrap())]);
            assert_eq!(bearer(&headers), expected, "{value}");
        };
        check("Bearer abc", Some("abc"));
        check("bearer  abc ", Some("abc"));
        check("Bearer ", None);
        check("Basic abc", None);
        check("abc", None);
        assert_eq!(bearer(&HeaderMap::new()), None);
    }
}
