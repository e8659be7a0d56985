//! Who may use the admin API: from a request to the administrator of a tenant, or of the installation. Does not answer anything.

use std::sync::Arc;

use administration::Administration;
use administration::administrator as admin;
use axum::extract::{FromRequestParts, RawPathParams};
use axum::response::{IntoResponse, Response};
use directory::DirectoryError;
use directory::access::Caller;
use directory::directory::COMMAND_LINE;
use http::StatusCode;
use http::request::Parts;
use scim_protocol::{Error, ErrorKind};
use utoipa::Modify;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};

use super::body::Answer;
use crate::address::caller_address;
use crate::authenticate::{caller, caller_of_any};
use crate::local::LocalUser;
use crate::needs::{Place, check};
use crate::refusal::{Failure, response};
use crate::request_id::RequestId;
use crate::state::{DEFAULT_TENANT, State};

/// The caller of a tenant's admin API, who has what the route needs.
pub(crate) struct Administrator(pub Caller);

/// The caller of the installation's admin API, who has what the route needs.
pub(crate) struct Operator(pub Caller);

/// An administrator of a tenant at work: who acts, on what, and how a handler answers.
pub(crate) struct Acting {
    /// What `administration` works with.
    pub administration: Arc<Administration>,
    /// Who acts.
    pub administrator: admin::Administrator,
    refuse: Refuse,
}

/// An administrator of the installation at work.
pub(crate) struct ActingOnInstallation(pub Acting);

/// What a handler answers.
pub(crate) type Reply<T> = Result<Answer<T>, Refused>;

impl Acting {
    fn of(state: &State, parts: &Parts, caller: Caller) -> Result<Self, Failure> {
        let missing = || {
            let detail = "This server has no administration.";
            Error::new(ErrorKind::NotImplemented, detail)
        };
        let administration = state.administration().ok_or_else(missing)?;
        let administrator = if let Some(user) = parts.extensions.get::<LocalUser>() {
            admin::Administrator::of(caller, user.name().to_owned(), user.from().to_owned())
        } else {
            let address = caller_address(&state.options, &parts.headers, &parts.extensions);
            let from = address.map_or("unknown".to_owned(), |address| address.to_string());
            let name = caller.credential_id.clone();
            admin::Administrator::of(caller, name, from)
        };
        Ok(Self {
            administration: Arc::clone(administration),
            administrator,
            refuse: refuse(parts),
        })
    }

    /// The answer to what came of an act, where it has a body.
    pub(crate) fn reply<T>(
        &self,
        status: StatusCode,
        done: Result<T, impl Into<Failure>>,
    ) -> Reply<T> {
        done.map(|value| Answer(status, value))
            .map_err(|error| self.refuse.with(error))
    }

    /// What came of an act, for a handler that goes on with it.
    pub(crate) fn done_with<T>(&self, done: Result<T, DirectoryError>) -> Result<T, Refused> {
        done.map_err(|error| self.refuse.with(error))
    }

    /// The same for an act that has nothing to show.
    pub(crate) fn done(&self, done: Result<(), DirectoryError>) -> Result<StatusCode, Refused> {
        done.map(|()| StatusCode::NO_CONTENT)
            .map_err(|error| self.refuse.with(error))
    }
}

impl FromRequestParts<Arc<State>> for Acting {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Refused> {
        let Administrator(caller) = Administrator::from_request_parts(parts, state).await?;
        Self::of(state, parts, caller).map_err(|failure| refuse(parts).with(failure))
    }
}

impl FromRequestParts<Arc<State>> for ActingOnInstallation {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Refused> {
        let Operator(caller) = Operator::from_request_parts(parts, state).await?;
        Acting::of(state, parts, caller)
            .map(Self)
            .map_err(|failure| refuse(parts).with(failure))
    }
}

/// A failure, with the id by which the log knows it.
pub(crate) struct Refused {
    failure: Failure,
    request_id: String,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        response(self.failure, &self.request_id)
    }
}

/// The id of the request, for handlers that may fail.
pub(crate) struct Refuse(String);

impl Refuse {
    /// The failure as an answer.
    pub(crate) fn with(&self, failure: impl Into<Failure>) -> Refused {
        Refused {
            failure: failure.into(),
            request_id: self.0.clone(),
        }
    }
}

fn refuse(parts: &Parts) -> Refuse {
    Refuse(
        parts
            .extensions
            .get::<RequestId>()
            .map(RequestId::as_str)
            .unwrap_or_default()
            .to_owned(),
    )
}

impl<S: Send + Sync> FromRequestParts<S> for Refuse {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        Ok(refuse(parts))
    }
}

impl FromRequestParts<Arc<State>> for Administrator {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Refused> {
        let Ok(parameters) = RawPathParams::from_request_parts(parts, state).await else {
            // Nothing is said of the credential: whose it would have to be is not known.
            return Err(refuse(parts).with(Error::new(
                ErrorKind::NotFound,
                "The path has bytes that are not UTF-8; nothing has such a name.",
            )));
        };
        let tenant = parameters
            .iter()
            .find(|(name, _)| *name == "tenant")
            .map_or(String::new(), |(_, value)| value.to_owned());
        let administrator = async {
            let caller = caller(state, &tenant, parts, None).await?;
            // The router has taken off what stands before the path that the table has.
            check(
                Place::Administration,
                parts.method.as_str(),
                parts.uri.path(),
                &caller,
            )?;
            Ok(Self(caller))
        };
        administrator
            .await
            .map_err(|failure: Failure| refuse(parts).with(failure))
    }
}

impl FromRequestParts<Arc<State>> for Operator {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<State>) -> Result<Self, Refused> {
        let operator = async {
            // Also where their own tenant is suspended: somebody has to resume it.
            let caller = operator(state, parts).await?;
            check(
                Place::Installation,
                parts.method.as_str(),
                parts.uri.path(),
                &caller,
            )?;
            Ok(Self(caller))
        };
        operator
            .await
            .map_err(|failure: Failure| refuse(parts).with(failure))
    }
}

/// The caller of the home tenant; a local user is an operator also where that tenant is not there yet.
async fn operator(state: &Arc<State>, parts: &Parts) -> Result<Caller, Failure> {
    if parts.extensions.get::<LocalUser>().is_some()
        && state.tenants.find_tenant(DEFAULT_TENANT).await?.is_none()
    {
        return Ok(Caller::of_installation(COMMAND_LINE.into()));
    }
    caller_of_any(state, DEFAULT_TENANT, parts, None).await
}

/// The scheme that `security` names in the OpenAPI document.
pub(crate) struct SecuritySchemes;

impl Modify for SecuritySchemes {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme =
            SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
        document
            .components
            .get_or_insert_default()
            .add_security_scheme("bearer", scheme);
    }
}
