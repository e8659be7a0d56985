//! Routes of the audit log, of a tenant and of the installation. What they mean is in `administration`'s `audit.rs`.

use administration::audit::{self, Asked, AuditEntry, Verified};
use directory::audit::Chain;
use http::StatusCode;

use super::administrator::{Acting, ActingOnInstallation, Reply};
use super::body::Asking;

/// What administrators did in the tenant, in order; without `after`, the newest.
#[utoipa::path(get, path = "/audit", tag = "audit",
    params(("tenant" = String, Path), ("after" = Option<u64>, Query), ("count" = Option<u32>, Query)), responses((status = 200, body = Vec<AuditEntry>)))]
pub(crate) async fn list(at: Acting, Asking(asked): Asking<Asked>) -> Reply<Vec<AuditEntry>> {
    let chain = audit::of_tenant(&at.administrator);
    let found = audit::list(&at.administration, &at.administrator, chain, asked).await;
    at.reply(StatusCode::OK, found)
}

/// Recomputes the chain of hashes of the tenant's audit log, and names the first entry that does not fit.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", params(("tenant" = String, Path)), responses((status = 200, body = Verified)))]
pub(crate) async fn verify(at: Acting) -> Reply<Verified> {
    let chain = audit::of_tenant(&at.administrator);
    let found = audit::verify(&at.administration, &at.administrator, chain).await;
    at.reply(StatusCode::OK, found)
}

/// What was done to tenants as a whole, in order; without `after`, the newest.
#[utoipa::path(get, path = "/audit", tag = "audit", params(("after" = Option<u64>, Query), ("count" = Option<u32>, Query)),
    responses((status = 200, body = Vec<AuditEntry>)))]
pub(crate) async fn list_of_installation(
    ActingOnInstallation(at): ActingOnInstallation,
    Asking(asked): Asking<Asked>,
) -> Reply<Vec<AuditEntry>> {
    let chain = Chain::Installation;
    let found = audit::list(&at.administration, &at.administrator, chain, asked).await;
    at.reply(StatusCode::OK, found)
}

/// Recomputes the chain of hashes of the installation's audit log, and names the first entry that does not fit.
#[utoipa::path(get, path = "/audit/verify", tag = "audit", responses((status = 200, body = Verified)))]
pub(crate) async fn verify_installation(
    ActingOnInstallation(at): ActingOnInstallation,
) -> Reply<Verified> {
    let chain = Chain::Installation;
    let found = audit::verify(&at.administration, &at.administrator, chain).await;
    at.reply(StatusCode::OK, found)
}
