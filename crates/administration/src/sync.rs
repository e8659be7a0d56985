//! What is on its way to applications, and what was sent. Sends nothing itself: the engine does.

use directory::DirectoryError;
use jiff::Timestamp;
use provisioning::application::{ApplicationId, ApplicationState};
use provisioning::dry_run::Plan;
use provisioning::ledger::{Next, OutOfDate, SyncStatus};
use provisioning::provisioning_log::LogEntry;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::administration::{Administration, what_was_said};
use crate::administrator::{Administrator, NOTHING};
use crate::applications::{find, stored};
use crate::operations::{COMPARE_ALL, COMPARE_ONE, PLAN_SYNC, READ_SYNC};

/// Lines of the log where nothing is said.
const LINES_DEFAULT: usize = 50;
/// Most lines of the log in one answer.
pub const LINES_MAX: usize = 1_000;

/// How an application stands.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Status {
    /// Its name.
    pub application: String,
    /// `live`, or `paused`: changes wait.
    #[schema(value_type = String)]
    pub state: ApplicationState,
    /// How many accounts are linked; how many people and groups wait, are tried again, or are held.
    #[schema(value_type = Object)]
    pub status: SyncStatus,
}

/// What is to be compared with applications again.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Wanted {
    /// Only with this application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<String>,
    /// Only this resource.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource: Option<Resource>,
}

/// One resource.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Resource {
    /// Its type, such as `User`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// How many resources are to be compared with an application.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Marked {
    /// The application.
    pub application: String,
    /// How many.
    pub marked: u64,
}

/// Which lines of the log are asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AskedLines {
    /// Only of this application.
    pub application: Option<String>,
    /// Only about the resource with this id.
    pub resource: Option<String>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// A line of the log.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Line {
    /// What was sent, and what came back.
    #[serde(flatten)]
    #[schema(value_type = Object)]
    pub entry: LogEntry,
    /// The application.
    pub application: String,
}

/// Whose plan is asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskedPlan {
    /// With which application.
    pub application: String,
    /// The id of the person.
    pub person: String,
}

/// What an application would be sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Planned {
    /// The requests, in order.
    pub steps: Vec<Step>,
    /// Why the plan does not go to its end; null where it does.
    pub problem: Option<String>,
}

/// A request that would be sent.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct Step {
    /// What is done.
    pub step: String,
    /// To which account; null where there is none yet.
    pub account: Option<String>,
    /// With what.
    #[schema(value_type = Object)]
    pub what: Value,
}

/// How each application stands.
pub async fn status(
    on: &Administration,
    by: &Administrator,
) -> Result<Vec<Status>, DirectoryError> {
    by.may(&READ_SYNC)?;
    let mut all = Vec::new();
    for application in stored(on, by).await? {
        let tenant = by.caller.tenant.id;
        let status = on.engine.ledger.status(tenant, application.id).await?;
        all.push(Status {
            application: application.name,
            state: application.state,
            status,
        });
    }
    Ok(all)
}

/// What was sent to applications and what came back, newest last.
pub async fn log(
    on: &Administration,
    by: &Administrator,
    asked: AskedLines,
) -> Result<Vec<Line>, DirectoryError> {
    by.may(&READ_SYNC)?;
    let limit = asked.limit.unwrap_or(LINES_DEFAULT);
    if limit > LINES_MAX {
        let detail = format!("`limit` is {limit}; accepted are 0 to {LINES_MAX}.");
        return Err(Error::new(ErrorKind::InvalidValue, detail)
            .at("limit")
            .into());
    }
    let chosen = match &asked.application {
        Some(name) => Some(find(on, by, name).await?.id),
        None => None,
    };
    let applications = stored(on, by).await?;
    let name_of = |id: ApplicationId| {
        let mut found = applications
            .iter()
            .filter(|application| application.id == id);
        found
            .next()
            .map_or("-".to_owned(), |found| found.name.clone())
    };
    let (tenant, resource) = (by.caller.tenant.id, asked.resource.as_deref());
    let ledger = &on.engine.ledger;
    let mut entries = ledger.read_log(tenant, chosen, resource, limit).await?;
    entries.reverse();
    let line = |entry: LogEntry| Line {
        application: name_of(entry.application),
        entry: LogEntry {
            detail: what_was_said(by, entry.detail),
            ..entry
        },
    };
    Ok(entries.into_iter().map(line).collect())
}

/// Has everything, or one resource, compared with applications again.
pub async fn now(
    on: &Administration,
    by: &Administrator,
    wanted: Wanted,
) -> Result<Vec<Marked>, DirectoryError> {
    let operation = match wanted.resource {
        Some(_) => &COMPARE_ONE,
        None => &COMPARE_ALL,
    };
    by.may(operation)?;
    let applications = match &wanted.application {
        Some(name) => vec![find(on, by, name).await?],
        None => stored(on, by).await?,
    };
    if let Some(resource) = &wanted.resource
        && by.caller.schemas.by_name(&resource.kind).is_none()
    {
        let detail = format!("There is no resource type `{}`.", resource.kind);
        return Err(Error::new(ErrorKind::InvalidValue, detail)
            .at("resource.type")
            .into());
    }
    let at = on.clock.now();
    let mut all = Vec::new();
    for application in applications {
        let entry = by.entry(operation, &application.name, at, NOTHING, Some(&wanted));
        let pair = wanted
            .resource
            .as_ref()
            .map(|resource| on_demand(application.id, resource, at));
        let marked = on
            .engine
            .catalogue
            .compare_again(by.caller.tenant.id, application.id, pair, at, entry)
            .await?;
        all.push(Marked {
            application: application.name,
            marked,
        });
    }
    Ok(all)
}

/// What an application would be sent about one person if it were compared now; nothing is sent.
pub async fn plan(
    on: &Administration,
    by: &Administrator,
    asked: AskedPlan,
) -> Result<Planned, DirectoryError> {
    by.may(&PLAN_SYNC)?;
    let application = find(on, by, &asked.application).await?;
    let (tenant, at) = (by.caller.tenant.id, on.clock.now());
    let planned = on
        .engine
        .dry_run
        .plan(tenant, &application, "User", &asked.person, at)
        .await?;
    let missing = || Error::new(ErrorKind::NotImplemented, "People are not provisioned.");
    let Plan {
        writes,
        next,
        lines,
    } = planned.ok_or_else(missing)?;
    let steps = writes.iter().map(|write| {
        let (step, account, what) = write.explain();
        Step {
            step: step.to_owned(),
            account: account.map(ToString::to_string),
            what,
        }
    });
    let steps = steps.collect();
    let mut remarks = lines.into_iter().filter(|line| line.outcome != "done");
    let problem = remarks
        .next_back()
        .filter(|_| next != Next::Done)
        .map(|line| line.detail);
    Ok(Planned { steps, problem })
}

/// A pair that goes before everything but revocations, and whose account is read and compared.
fn on_demand(application: ApplicationId, resource: &Resource, at: Timestamp) -> OutOfDate {
    OutOfDate {
        application,
        resource_type: resource.kind.clone(),
        resource_id: resource.id.clone(),
        priority: 1,
        due: at,
        verify: true,
    }
}
