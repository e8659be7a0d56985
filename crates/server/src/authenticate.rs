//! From a request to its `Caller`: the bearer token (RFC 6750) and the tenant in the URL. Does not decide what the caller may do.
//!
//! A good token is remembered for a while, with the revision of its tenant: a revocation, also by another process, takes effect at the next request.

use std::sync::Arc;

use directory::access::Caller;
use directory::credential::{TokenHash, TokenRecord, authenticate, is_use_news};
use directory::store::Fault;
use directory::tenant::Tenant;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use jiff::Timestamp;

use crate::refusal::Failure;
use crate::state::State;
use crate::token_cache::Remembered;

/// The caller, where the token is one of this tenant; an unknown tenant is refused in the same words.
pub(crate) async fn caller(state: &Arc<State>, tenant: &str, headers: &HeaderMap) -> Result<Caller, Failure> {
    let Some(token) = bearer(headers) else { return Err(Failure::Unauthorized { token_given: false }) };
    let hash = state.hasher.hash(token);
    let now = state.clock.now();
    // Read before everything else: what is remembered under an older revision is not found again.
    let revision = state.tenants.tenant_revision(tenant).await?.ok_or(Failure::Unauthorized { token_given: true })?;
    if let Some((caller, news)) = state.tokens.find(tenant, revision, &hash, now) {
        if news {
            record_use(state, &caller, now);
        }
        return Ok(caller);
    }
    let (caller, record) = look_up(state, tenant, hash, now).await?.ok_or(Failure::Unauthorized { token_given: true })?;
    let news = is_use_news(record.last_used, now);
    if news {
        record_use(state, &caller, now);
    }
    let last_used = if news { Some(now) } else { record.last_used };
    let remembered = Remembered { caller: caller.clone(), revision, checked: now, expires: record.expires, last_used };
    state.tokens.remember(tenant, hash, remembered);
    Ok(caller)
}

async fn look_up(state: &State, tenant: &str, hash: TokenHash, now: Timestamp) -> Result<Option<(Caller, TokenRecord)>, Fault> {
    let Some(tenant): Option<Tenant> = state.tenants.find_tenant(tenant).await? else { return Ok(None) };
    let record = state.tenants.find_token(tenant.id, hash).await?;
    let Ok(record) = authenticate(record.as_ref(), tenant.id, &hash, now) else { return Ok(None) };
    let caller = state.directory.caller(Arc::new(tenant), record.id.clone(), record.permissions.clone()).await?;
    Ok(Some((caller, record.clone())))
}

/// Nobody waits for it, and a use that is lost in a crash is lost.
fn record_use(state: &Arc<State>, caller: &Caller, now: Timestamp) {
    let (tenants, tenant, id) = (state.tenants.clone(), caller.tenant.id, caller.credential_id.clone());
    tokio::spawn(async move {
        if let Err(fault) = tenants.record_token_use(tenant, &id, now).await {
            tracing::warn!(error = &fault as &dyn std::error::Error, "the use of a token was not recorded");
        }
    });
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.trim().split_once(' ')?;
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
