//! The admin API: what administrators change besides identities. One file a noun; the frame here: who may, which route, and OpenAPI from the same code.
//!
//! `/t/{tenant}/admin/v1` is for administrators of one tenant (scope `admin`), `/admin/v1` for whoever runs the installation (scope `operator`, a token
//! of the tenant `default`). Bodies are JSON; errors have the form of SCIM errors.

mod body;

mod lines;

mod spool;

mod administrator;

mod tokens;

mod audit;

mod applications;

mod sync;

mod clients;

mod issuers;

mod guard;

mod past;

mod receivers;

mod signing_keys;

mod types;

mod schemas;

mod resource_types;

mod tenants;

mod requests;

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use directory::access::Caller;
use http::Method;
use scim_protocol::schema::optional::restricted;
use scim_protocol::{Error, ErrorKind, SchemaSet};
use serde_json::Value;
use tower::ServiceExt;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::administrator::SecuritySchemes;
use crate::openapi::with_scim;
use crate::prefer::wants_dry_run;
use crate::refusal::error_response;
use crate::state::State;

/// The head of the OpenAPI document.
#[derive(OpenApi)]
#[openapi(
    info(title = "Rollcall", description = "Identities by SCIM 2.0 (RFC 7643, RFC 7644), and the admin API for what administrators change besides."),
    modifiers(&SecuritySchemes),
    security(("bearer" = []))
)]
struct Head;

/// Routes of the admin API, with their description. Each noun gives its own.
fn routes_of_all() -> OpenApiRouter<Arc<State>> {
    let tenant = OpenApiRouter::new()
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(applications::list, applications::add))
        .routes(routes!(
            applications::show,
            applications::change,
            applications::remove
        ))
        .routes(routes!(applications::set_token))
        .routes(routes!(applications::test))
        .routes(routes!(sync::status, sync::now))
        .routes(routes!(sync::log))
        .routes(routes!(sync::plan))
        .routes(routes!(audit::list))
        .routes(routes!(audit::verify))
        .routes(routes!(clients::list, clients::create))
        .routes(routes!(clients::revoke))
        .routes(routes!(issuers::list, issuers::create))
        .routes(routes!(issuers::remove))
        .routes(routes!(guard::show))
        .routes(routes!(guard::allow))
        .routes(routes!(guard::approve))
        .routes(routes!(guard::reject))
        .routes(routes!(past::versions))
        .routes(routes!(past::then))
        .routes(routes!(past::restore))
        .routes(routes!(past::deleted))
        .routes(routes!(past::undo))
        .routes(routes!(past::pending))
        .routes(routes!(schemas::list, schemas::put))
        .routes(routes!(schemas::show, schemas::remove))
        .routes(routes!(schemas::history))
        .routes(routes!(resource_types::list, resource_types::put))
        .routes(routes!(resource_types::show, resource_types::remove))
        .routes(routes!(resource_types::history))
        .routes(routes!(requests::list))
        .routes(routes!(requests::show))
        .routes(routes!(requests::quirks))
        .routes(routes!(receivers::list, receivers::create))
        .routes(routes!(
            receivers::show,
            receivers::change,
            receivers::remove
        ))
        .routes(routes!(receivers::rotate_secret))
        .routes(routes!(receivers::test))
        .routes(routes!(receivers::add_to_feed))
        .routes(routes!(receivers::remove_from_feed))
        .routes(routes!(receivers::dead_letters))
        .routes(routes!(receivers::redeliver))
        .routes(routes!(receivers::discard))
        .routes(routes!(signing_keys::list, signing_keys::rotate));
    let installation = OpenApiRouter::new()
        .routes(routes!(audit::list_of_installation))
        .routes(routes!(audit::verify_installation))
        .routes(routes!(tenants::list, tenants::create))
        .routes(routes!(tenants::show, tenants::change, tenants::erase))
        .routes(routes!(tokens::create_in_tenant))
        .routes(routes!(tenants::suspend))
        .routes(routes!(tenants::resume))
        .routes(routes!(tenants::export))
        .routes(routes!(tenants::restore));
    OpenApiRouter::with_openapi(Head::openapi())
        .nest("/t/{tenant}/admin/v1", tenant)
        .nest("/admin/v1", installation)
}

fn parts(state: Arc<State>) -> (Router, utoipa::openapi::OpenApi) {
    let (router, description) = routes_of_all().split_for_parts();
    (
        router
            .fallback(no_route)
            .method_not_allowed_fallback(no_method)
            .with_state(state),
        description,
    )
}

/// The admin API as its code describes itself: an OpenAPI document without the SCIM API.
pub fn admin_description() -> Value {
    // Descriptions are maps with string keys, which always can be JSON.
    serde_json::to_value(routes_of_all().into_openapi()).unwrap_or_default()
}

/// Answers requests of the admin API.
pub(crate) struct AdminApi {
    router: Router,
    /// What the routes say of themselves.
    description: Value,
    document: String,
}

impl AdminApi {
    /// Builds the routes once.
    pub(crate) fn new(state: Arc<State>) -> Self {
        let (router, description) = parts(state);
        // Descriptions are maps with string keys, which always can be JSON.
        let description = serde_json::to_value(&description).unwrap_or_default();
        let document =
            with_scim(description.clone(), &SchemaSet::standard(), "/scim/v2").to_string();
        Self {
            router,
            description,
            document,
        }
    }

    /// Whether a path belongs to the admin API.
    pub(crate) fn is_for(path: &str) -> bool {
        let rest = match path.strip_prefix("/t/") {
            Some(rest) => rest.split_once('/').map(|(_, rest)| rest),
            None => path.strip_prefix('/'),
        };
        rest.is_some_and(|rest| rest == "admin" || rest.starts_with("admin/"))
    }

    /// Whether a request brings or erases a whole tenant, which takes longer than others may.
    pub(crate) fn moves_a_tenant(method: &Method, path: &str) -> bool {
        let name = match (path.strip_prefix("/admin/v1/tenants/"), method) {
            (Some(rest), &Method::POST) => rest.strip_suffix("/restore"),
            (Some(name), &Method::DELETE) => Some(name),
            _ => None,
        };
        name.is_some_and(|name| !name.contains('/'))
    }

    /// The answer. A write that shall only be tried is not carried out.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        if !matches!(*request.method(), Method::GET | Method::HEAD)
            && wants_dry_run(request.headers())
        {
            let detail = "The admin API has no dry runs by `Prefer`, so nothing was done; schemas and resource types have `?dryRun=true`.";
            return error_response(&Error::new(ErrorKind::NotImplemented, detail));
        }
        self.router.clone().oneshot(request).await.into_response()
    }

    /// The OpenAPI document, as JSON: the admin API, and the SCIM API of the standard types.
    pub(crate) fn document(&self) -> &str {
        &self.document
    }

    /// The same for a tenant, with the types that are its own and that the caller's credential is for.
    pub(crate) fn document_of(&self, caller: &Caller) -> String {
        let types = restricted(&caller.schemas, |schema| {
            caller.permissions.covers(schema.name())
        });
        with_scim(
            self.description.clone(),
            &types,
            &format!("/t/{}/scim/v2", caller.tenant.name),
        )
        .to_string()
    }
}

/// With these words an answer begins that says that the server lacks a route, and not only what the route names.
pub const NO_SUCH_ROUTE: &str = "This path leads nowhere";

async fn no_route() -> Response {
    let detail = format!("{NO_SUCH_ROUTE}; `/openapi.json` describes the admin API.");
    error_response(&Error::new(ErrorKind::NotFound, detail))
}

async fn no_method(method: Method) -> Response {
    let detail = format!(
        "This route does not have the method {method}; `/openapi.json` describes the admin API."
    );
    error_response(&Error::new(ErrorKind::MethodNotAllowed, detail))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::AdminApi;

    #[test]
    fn paths_of_the_admin_api() {
        let check =
            |path: &str, expected: bool| assert_eq!(AdminApi::is_for(path), expected, "{path}");
        check("/admin/v1/tenants", true);
        check("/t/acme/admin/v1/tokens", true);
        check("/t/admin/scim/v2/Users", false);
        check("/administrators", false);
        check("/scim/v2", false);
        check("/t/acme", false);
    }

    #[test]
    fn what_brings_or_erases_a_whole_tenant() {
        let erases = |path: &str| AdminApi::moves_a_tenant(&Method::DELETE, path);
        assert!(erases("/admin/v1/tenants/acme") && !erases("/admin/v1/tenants/acme/x"));
        let check = |path: &str, expected: bool| {
            let found = AdminApi::moves_a_tenant(&Method::POST, path);
            assert_eq!(found, expected, "{path}");
        };
        check("/admin/v1/tenants/acme/restore", true);
        check("/admin/v1/tenants/acme/x/restore", false);
        check("/admin/v1/tenants/acme/export", false);
        check("/t/acme/admin/v1/tenants/acme/restore", false);
        check("/t/acme/admin/v1/history/7/restore", false);
    }
}
