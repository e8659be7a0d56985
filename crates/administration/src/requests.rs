//! The request log of a tenant: what clients sent, what it was understood as, which quirks acted, what changed. Changes nothing.

use directory::DirectoryError;
use directory::request_log::{QuirkUse, RequestEntry, RequestFilter};
use jiff::Timestamp;
use scim_protocol::quirk::Quirk;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::administration::Administration;
use crate::administrator::Administrator;
use crate::operations::READ_REQUESTS;

/// Most entries in one answer.
pub const LIMIT_MAX: usize = 500;

/// Which requests are asked for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Asked {
    /// A status (`409`), or a class of them (`4xx`).
    pub status: Option<String>,
    /// A quirk that acted.
    pub quirk: Option<String>,
    /// The id of the resource that it was about.
    pub resource: Option<String>,
    /// The id of the credential that it came with.
    pub credential: Option<String>,
    /// Not before this instant (RFC 3339).
    pub since: Option<String>,
    /// Those that came before the entry with this id.
    pub before: Option<String>,
    /// At most so many.
    pub limit: Option<String>,
}

impl Asked {
    fn filter(self) -> Result<RequestFilter, Error> {
        let (status_min, status_max) = read(
            "status",
            self.status,
            "a status, or a class of them such as `4xx`",
            statuses,
        )?
        .unwrap_or((0, 999));
        let quirk = read(
            "quirk",
            self.quirk,
            "the name of a quirk, such as `op-case`",
            Quirk::by_name,
        )?;
        let instant = |text: &str| text.parse::<Timestamp>().ok();
        let since = read("since", self.since, "an instant (RFC 3339)", instant)?;
        let id = |text: &str| text.parse::<Uuid>().ok();
        let before = read("before", self.before, "the id of an entry", id)?;
        let number = |text: &str| text.parse::<usize>().ok();
        let limit = read("limit", self.limit, "a number", number)?;
        let filter = RequestFilter::default();
        Ok(RequestFilter {
            status_min,
            status_max,
            quirk,
            since,
            before,
            resource_id: self.resource,
            credential: self.credential,
            limit: limit.unwrap_or(filter.limit).min(LIMIT_MAX),
        })
    }
}

/// A parameter, where it is given. Refuses what cannot be read.
fn read<T>(
    name: &str,
    text: Option<String>,
    accepted: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, Error> {
    let refused = || {
        let detail = format!("The parameter `{name}` cannot be read; accepted is {accepted}.");
        Error::new(ErrorKind::InvalidValue, detail).at(name)
    };
    let value = text.map(|text| parse(&text).ok_or_else(refused));
    value.transpose()
}

/// The statuses that `409` or `4xx` stands for.
pub fn statuses(text: &str) -> Option<(u16, u16)> {
    if let Some(class) = text.strip_suffix("xx") {
        let class: u16 = class.parse().ok().filter(|class| (1..=5).contains(class))?;
        return Some((class * 100, class * 100 + 99));
    }
    let status = text
        .parse()
        .ok()
        .filter(|status| (100..=599).contains(status))?;
    Some((status, status))
}

/// A page of requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Requests {
    /// The newest first.
    pub requests: Vec<RequestEntry>,
    /// How many entries the server has dropped since it started, because too many were waiting to be written.
    pub dropped: u64,
}

/// Which quirks act.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuirkUses {
    /// The tenant's client profile.
    pub profile: Option<String>,
    /// How often each quirk acted for each client.
    pub uses: Vec<QuirkUse>,
    /// Quirks of the profile that never acted.
    pub never_used: Vec<String>,
}

/// Requests, newest first.
pub async fn list(
    on: &Administration,
    by: &Administrator,
    asked: Asked,
) -> Result<Requests, DirectoryError> {
    by.may(&READ_REQUESTS)?;
    let filter = asked.filter()?;
    on.request_log.flush().await?;
    let requests = on.request_log.list(by.caller.tenant.id, filter).await?;
    let dropped = on.request_log.dropped();
    Ok(Requests { requests, dropped })
}

/// One request.
pub async fn show(
    on: &Administration,
    by: &Administrator,
    id: &str,
) -> Result<RequestEntry, DirectoryError> {
    by.may(&READ_REQUESTS)?;
    on.request_log.flush().await?;
    let tenant = &by.caller.tenant;
    let found = match id.parse() {
        Ok(id) => on.request_log.find(tenant.id, id).await?,
        Err(_) => None,
    };
    let missing = || {
        let detail = format!(
            "There is no request `{id}` in the log of the tenant `{}`.",
            tenant.name
        );
        Error::new(ErrorKind::NotFound, detail)
    };
    Ok(found.ok_or_else(missing)?)
}

/// How often each quirk acted for each client, and the quirks of the tenant's profile that never did.
pub async fn quirks(on: &Administration, by: &Administrator) -> Result<QuirkUses, DirectoryError> {
    by.may(&READ_REQUESTS)?;
    on.request_log.flush().await?;
    let tenant = &by.caller.tenant;
    let uses = on.request_log.quirk_uses(tenant.id).await?;
    let profile = tenant.settings.client_profile();
    let never_used = profile
        .iter()
        .flat_map(|profile| &profile.tolerates)
        .map(|tolerated| tolerated.quirk.name())
        .filter(|name| uses.iter().all(|used| used.quirk != *name))
        .map(str::to_owned)
        .collect();
    Ok(QuirkUses {
        profile: profile.map(|profile| profile.name.clone()),
        uses,
        never_used,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, value: &str) -> Asked {
        let mut map = serde_json::Map::new();
        map.insert(name.into(), value.into());
        serde_json::from_value(map.into()).unwrap()
    }

    #[test]
    fn filters() {
        let read = Asked {
            status: Some("4xx".into()),
            quirk: Some("op-case".into()),
            resource: Some("u ".into()),
            since: Some("2026-01-01T00:00:00Z".into()),
            limit: Some("9999".into()),
            ..Asked::default()
        };
        let read = read.filter().unwrap();
        assert_eq!(
            (read.status_min, read.status_max, read.quirk, read.limit),
            (400, 499, Some(Quirk::OpCase), LIMIT_MAX)
        );
        assert_eq!(read.resource_id.as_deref(), Some("u "));
        assert_eq!(asked("status", "409").filter().unwrap().status_max, 409);
        for (name, wrong) in [
            ("status", "9xx"),
            ("status", "x"),
            ("quirk", "none"),
            ("since", "today"),
            ("before", "x"),
            ("limit", "-1"),
        ] {
            let error = asked(name, wrong).filter().unwrap_err();
            let found = (error.kind(), error.path());
            assert_eq!(found, (ErrorKind::InvalidValue, Some(name)), "{wrong}");
        }
        let unknown = serde_json::json!({"colour": "red"});
        assert!(serde_json::from_value::<Asked>(unknown).is_err());
    }

    #[test]
    fn classes_of_statuses() {
        assert_eq!(statuses("4xx"), Some((400, 499)));
        assert_eq!(statuses("409"), Some((409, 409)));
        assert_eq!((statuses("9xx"), statuses("four")), (None, None));
    }
}
