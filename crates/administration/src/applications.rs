//! The applications that are kept equal to the directory. A token of an application goes in and never comes out.

use directory::DirectoryError;
use directory::secret::{Secret, is_bearer_token};
use jiff::Timestamp;
use provisioning::application::{Application as Stored, ApplicationSettings, ApplicationState};
use provisioning::connector::{Failure, RefusalKind, Trace};
use provisioning::ledger::NewApplication as New;
use provisioning::probe::{Probe, probe};
use scim_protocol::{Error, ErrorKind, SchemaSet};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;
use utoipa::ToSchema;

use crate::administration::{Administration, has_room, may_be_reached, what_was_said};
use crate::administrator::{Administrator, NOTHING};
use crate::operations::{
    ADD_APPLICATION, CHANGE_APPLICATION, READ_APPLICATIONS, REMOVE_APPLICATION,
    SET_APPLICATION_TOKEN, TEST_APPLICATION,
};

/// What an application said is shown up to this many characters.
const SAID_CHARACTERS_MAX: usize = 200;

/// What a new application shall be.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewApplication {
    /// What it is called here; one application's in its tenant.
    pub name: String,
    /// Where its SCIM API begins, such as `https://chat.example.com/scim/v2`.
    pub base_url: String,
    /// Its bearer token.
    pub token: String,
    /// How it is spoken to; what is left out has its default.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: ApplicationSettings,
}

/// An application as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Application {
    /// What it is called here.
    pub name: String,
    /// `live`, or `paused`: changes wait.
    #[schema(value_type = String)]
    pub state: ApplicationState,
    /// Where its SCIM API begins.
    pub base_url: String,
    /// How it is spoken to.
    #[schema(value_type = Object)]
    pub settings: ApplicationSettings,
    /// When it was added.
    #[schema(value_type = String)]
    pub created: Timestamp,
}

/// What of an application shall be otherwise.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// `live`, or `paused`: changes wait.
    #[schema(value_type = String)]
    pub state: ApplicationState,
}

/// Another token.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// The bearer token.
    pub token: String,
}

/// What an application answered when it was asked what the engine would ask it.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tested {
    /// Its name.
    pub name: String,
    /// Why the engine cannot work with it; null where it can.
    pub problem: Option<Problem>,
    /// How long the last request took.
    pub milliseconds: u64,
    /// Whether it can PATCH.
    pub patch: bool,
    /// Whether it can filter.
    pub filter: bool,
    /// Whether it publishes its schemas.
    pub publishes_schemas: bool,
    /// Requests about itself that failed.
    pub not_described: Vec<Failed>,
    /// Searches that were answered with people who do not match.
    pub ignored_filters: Vec<Ignored>,
    /// Searches that failed.
    pub failed_searches: Vec<Failed>,
}

/// A request that failed, and what was said.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Failed {
    /// The attribute that was searched; empty where nothing was.
    pub attribute: String,
    /// What was sent.
    pub request: String,
    /// What came back, or why nothing did.
    pub said: String,
}

/// A search that was answered with so many who do not match.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Ignored {
    /// The attribute that was searched.
    pub attribute: String,
    /// How many came back.
    pub count: usize,
}

/// Why the engine cannot work with an application.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// What kind of problem it is.
    pub kind: ProblemKind,
    /// What was sent.
    pub request: String,
    /// The status that came back.
    pub status: Option<u16>,
    /// What came back, or why nothing did.
    pub said: String,
}

/// Kinds of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// No answer came.
    NotReached,
    /// The token is refused.
    Unauthorized,
    /// It cannot answer now.
    Unavailable,
    /// What answered does not speak SCIM.
    NotUnderstood,
    /// The token does not allow it.
    Forbidden,
    /// There is no such interface.
    NotFound,
    /// It refused for another reason.
    Refused,
}

impl Application {
    pub(crate) fn of(stored: &Stored) -> Self {
        Self {
            name: stored.name.clone(),
            state: stored.state,
            base_url: stored.base_url.clone(),
            settings: stored.settings.clone(),
            created: stored.created,
        }
    }
}

/// All applications, by name.
pub async fn list(
    on: &Administration,
    by: &Administrator,
) -> Result<Vec<Application>, DirectoryError> {
    by.may(&READ_APPLICATIONS)?;
    let found = stored(on, by).await?;
    Ok(found.iter().map(Application::of).collect())
}

/// One application.
pub async fn show(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<Application, DirectoryError> {
    by.may(&READ_APPLICATIONS)?;
    Ok(Application::of(&find(on, by, name).await?))
}

/// Adds an application; everybody is provisioned into it.
pub async fn add(
    on: &Administration,
    by: &Administrator,
    new: NewApplication,
) -> Result<Application, DirectoryError> {
    by.may(&ADD_APPLICATION)?;
    let base_url = base_url(&new.base_url)?;
    let token = bearer_token(new.token)?;
    if let Some(name) = new
        .settings
        .other_types
        .iter()
        .find(|name| by.caller.schemas.by_name(name).is_none())
    {
        let detail =
            format!("`settings.other_types` names `{name}`, but there is no such resource type.");
        return Err(refusal("settings.other_types", detail).into());
    }
    may_be_reached(on, by, "baseUrl", base_url.as_str()).await?;
    has_room(
        stored(on, by).await?.len(),
        on.options.partners_max,
        "applications",
    )?;
    let at = on.clock.now();
    let after = Application {
        name: new.name.clone(),
        state: ApplicationState::Live,
        base_url: base_url.as_str().trim_end_matches('/').to_owned(),
        settings: new.settings,
        created: at,
    };
    let entry = by.entry(&ADD_APPLICATION, &new.name, at, NOTHING, Some(&after));
    let new = New {
        name: new.name,
        base_url: after.base_url,
        token,
        settings: after.settings,
        at,
    };
    let name = new.name.clone();
    let tenant = by.caller.tenant.id;
    let added = on
        .engine
        .catalogue
        .add_application(tenant, new, entry)
        .await?;
    let name_is_used = || {
        let detail = format!("There is an application `{name}` already.");
        Error::new(ErrorKind::Uniqueness, detail).at("name")
    };
    Ok(Application::of(&added.ok_or_else(name_is_used)?))
}

/// Pauses an application, or serves it again.
pub async fn change(
    on: &Administration,
    by: &Administrator,
    name: &str,
    change: Change,
) -> Result<Application, DirectoryError> {
    by.may(&CHANGE_APPLICATION)?;
    let stored = find(on, by, name).await?;
    let before = Application::of(&stored);
    let after = Application {
        state: change.state,
        ..before.clone()
    };
    let at = on.clock.now();
    let entry = by.entry(&CHANGE_APPLICATION, name, at, Some(&before), Some(&after));
    let (tenant, id) = (by.caller.tenant.id, stored.id);
    let catalogue = &on.engine.catalogue;
    if catalogue
        .set_application_state(tenant, id, change.state, entry)
        .await?
    {
        return Ok(after);
    }
    Err(missing(name).into())
}

/// Gives an application another token.
pub async fn set_token(
    on: &Administration,
    by: &Administrator,
    name: &str,
    new: NewToken,
) -> Result<(), DirectoryError> {
    by.may(&SET_APPLICATION_TOKEN)?;
    let token = bearer_token(new.token)?;
    let stored = find(on, by, name).await?;
    let at = on.clock.now();
    let entry = by.entry(&SET_APPLICATION_TOKEN, name, at, NOTHING, NOTHING);
    let (tenant, id) = (by.caller.tenant.id, stored.id);
    let catalogue = &on.engine.catalogue;
    if catalogue
        .set_application_token(tenant, id, token, entry)
        .await?
    {
        return Ok(());
    }
    Err(missing(name).into())
}

/// Forgets an application; the accounts over there stay as they are.
pub async fn remove(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<(), DirectoryError> {
    by.may(&REMOVE_APPLICATION)?;
    let stored = find(on, by, name).await?;
    let before = Application::of(&stored);
    let at = on.clock.now();
    let entry = by.entry(&REMOVE_APPLICATION, name, at, Some(&before), NOTHING);
    let (tenant, id) = (by.caller.tenant.id, stored.id);
    if on
        .engine
        .catalogue
        .remove_application(tenant, id, entry)
        .await?
    {
        return Ok(());
    }
    Err(missing(name).into())
}

/// Asks an application what the engine would ask it, about somebody who cannot be there; that changes nothing there.
pub async fn test(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<Tested, DirectoryError> {
    by.may(&TEST_APPLICATION)?;
    let stored = find(on, by, name).await?;
    let target = on.engine.connector.connect(&stored)?;
    let schemas = SchemaSet::standard();
    let missing = || Error::new(ErrorKind::Internal, "The standard schemas lack User.");
    let schema = schemas.by_name("User").ok_or_else(missing)?;
    let nobody = format!("rollcall-test-{}", on.ids.id().simple());
    let name = name.to_owned();
    Ok(match probe(&*target, schema, &nobody).await {
        Ok(found) => Tested::of(by, name, found, None),
        Err(failed) => {
            let (trace, failure) = *failed;
            let problem = Problem {
                kind: ProblemKind::of(&failure),
                said: what_was_said(by, said(&trace)),
                request: trace.request,
                status: trace.status,
            };
            Tested::of(by, name, Probe::default(), Some(problem))
        }
    })
}

impl Tested {
    fn of(by: &Administrator, name: String, probe: Probe, problem: Option<Problem>) -> Self {
        let failed = |(attribute, trace): (String, Trace)| Failed {
            attribute,
            said: what_was_said(by, said(&trace)),
            request: trace.request,
        };
        let ignored = |(attribute, count)| Ignored { attribute, count };
        let not_described = probe.not_described.map(|trace| (String::new(), trace));
        Self {
            name,
            problem,
            milliseconds: probe.milliseconds,
            patch: probe.capabilities.patch,
            filter: probe.can_search,
            publishes_schemas: probe.capabilities.attributes.is_some(),
            not_described: not_described.into_iter().map(failed).collect(),
            ignored_filters: probe.ignored.into_iter().map(ignored).collect(),
            failed_searches: probe.failed.into_iter().map(failed).collect(),
        }
    }
}

impl ProblemKind {
    fn of(failure: &Failure) -> Self {
        match failure {
            Failure::NotReached | Failure::Unknown { answered: false } => Self::NotReached,
            Failure::Unauthorized => Self::Unauthorized,
            Failure::Throttled | Failure::Unknown { answered: true } => Self::Unavailable,
            Failure::NotUnderstood => Self::NotUnderstood,
            Failure::Refused(refusal) => match refusal.kind {
                RefusalKind::Forbidden => Self::Forbidden,
                RefusalKind::Gone | RefusalKind::NotFound | RefusalKind::NotOffered => {
                    Self::NotFound
                }
                _ => Self::Refused,
            },
        }
    }
}

fn said(trace: &Trace) -> String {
    trace.said.chars().take(SAID_CHARACTERS_MAX).collect()
}

pub(crate) async fn stored(
    on: &Administration,
    by: &Administrator,
) -> Result<Vec<Stored>, DirectoryError> {
    Ok(on
        .engine
        .catalogue
        .list_applications(by.caller.tenant.id)
        .await?)
}

/// An application by its name.
pub(crate) async fn find(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<Stored, DirectoryError> {
    let found = stored(on, by).await?.into_iter();
    let mut found = found.filter(|application| application.name == name);
    Ok(found.next().ok_or_else(|| missing(name))?)
}

fn missing(name: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("There is no application `{name}` in this tenant."),
    )
}

fn bearer_token(text: String) -> Result<Secret, Error> {
    if is_bearer_token(&text) {
        return Ok(Secret::new(text));
    }
    let detail = "`token` is not a bearer token; accepted is one word of letters, digits and signs of ASCII.";
    Err(refusal("token", detail.into()))
}

fn base_url(text: &str) -> Result<Url, Error> {
    let detail = || {
        format!(
            "`baseUrl` is {}, which is not the base URL of a SCIM API; accepted is a URL such as https://chat.example.com/scim/v2, without user, query or fragment.",
            Value::from(text)
        )
    };
    let refuse = || refusal("baseUrl", detail());
    let url = Url::parse(text).map_err(|_| refuse())?;
    let plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && plain {
        return Ok(url);
    }
    Err(refuse())
}

fn refusal(path: &str, detail: String) -> Error {
    Error::new(ErrorKind::InvalidValue, detail).at(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_are_plain() {
        let check = |text: &str, expected: Option<&str>| {
            let found = base_url(text).ok();
            assert_eq!(found.as_ref().map(Url::as_str), expected, "{text}");
        };
        check(
            "https://chat.example.com/scim/v2/",
            Some("https://chat.example.com/scim/v2/"),
        );
        check(
            "http://127.0.0.1:9000/scim",
            Some("http://127.0.0.1:9000/scim"),
        );
        check("chat.example.com", None);
        check("ftp://chat.example.com", None);
        check("https://user:secret@chat.example.com", None);
        check("https://chat.example.com?x=1", None);
    }
}
