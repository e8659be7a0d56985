//! *(shell)* Parks what the deletion guard holds, where the tenant wants that; and what administrators decide about it.

use jiff::Timestamp;
use scim_protocol::redaction::without_write_only;
use scim_protocol::{Error, ErrorKind, TypeSchema};
use serde_json::Value;

use super::{Directory, DirectoryError, PatchAnswer};
use crate::access::{Caller, Permissions};
use crate::deletion_guard::{Mode, Removal, supersedes};
use crate::parking::{Allowance, Method, Parked, ParkedWrite, Parking};
use crate::search::Include;
use crate::store::Fault;
use crate::version::Expected;

/// Parked writes of one resource that are looked at.
const OF_ONE_MAX: u32 = 1_000;
/// Parked writes that are looked at for one.
const LISTED_MAX: u32 = 100_000;

/// What a write speaks about, for the decision which parked ones it supersedes.
pub(super) fn touched(method: Method, body: &Value) -> Vec<String> {
    if method != Method::Patch {
        return vec!["*".to_owned()];
    }
    let operations = body
        .get("Operations")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let mut names = Vec::new();
    for operation in operations {
        if let Some(path) = operation.get("path").and_then(Value::as_str) {
            touch(path, operation.get("value"), &mut names);
            continue;
        }
        for (name, value) in operation
            .get("value")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
        {
            touch(name, Some(value), &mut names);
        }
    }
    names.sort_unstable();
    names.dedup();
    names
}

/// Members are spoken about one by one, where the operation names them.
fn touch(path: &str, value: Option<&Value>, names: &mut Vec<String>) {
    let lower = path.to_lowercase();
    if !lower.starts_with("members") {
        let end = lower
            .find(['.', '['])
            .filter(|_| !lower.contains(':'))
            .unwrap_or(lower.len());
        return names.push(lower.get(..end).unwrap_or_default().to_owned());
    }
    let quoted = path
        .split('"')
        .nth(1)
        .filter(|_| lower.contains("value eq"));
    let listed = value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    let ids: Vec<&str> = listed
        .iter()
        .filter_map(|member| member.get("value").and_then(Value::as_str))
        .chain(quoted)
        .collect();
    if ids.is_empty() {
        names.push("members:*".to_owned());
    }
    names.extend(ids.into_iter().map(|id| format!("members:{id}")));
}

impl Directory {
    fn parking(&self) -> Option<&dyn Parking> {
        self.past.as_ref().map(|past| &*past.parking)
    }

    /// Parks a write that was held, where the tenant wants that; whether it did, or would have where it is only rehearsed. A write that was done takes the
    /// place of parked ones that speak about the same.
    pub(super) async fn parks(
        &self,
        caller: &Caller,
        (schema, id): (&TypeSchema, &str),
        (method, body): (Method, &Value),
        outcome: Option<&DirectoryError>,
    ) -> Result<bool, Fault> {
        let Some(parking) = self
            .parking()
            .filter(|_| caller.tenant.settings.guard.mode == Mode::Park && !self.unguarded)
        else {
            return Ok(false);
        };
        let is_held = match outcome {
            None => false,
            Some(DirectoryError::Refused(error)) if error.kind() == ErrorKind::TooManyRequests => {
                true
            }
            Some(_) => return Ok(false),
        };
        if self.rehearsal.is_some() {
            return Ok(is_held);
        }
        // It may wait for days, and travel with its tenant: no password does.
        let body = without_write_only(schema, body.clone());
        let touches = touched(method, &body);
        let earlier = parking
            .list_parked(caller.tenant.id, Some(id), OF_ONE_MAX)
            .await?;
        let is_over = |parked: &&Parked| {
            parked.credential_id == caller.credential_id
                && supersedes(&touches, &parked.write.touches)
        };
        let superseded: Vec<String> = earlier
            .iter()
            .filter(is_over)
            .map(|parked| parked.id.clone())
            .collect();
        let Some(DirectoryError::Refused(held)) = outcome else {
            for id in &superseded {
                parking.remove_parked(caller.tenant.id, id).await?;
            }
            return Ok(false);
        };
        let profile = caller.permissions.profile.clone();
        let write = ParkedWrite {
            method,
            body,
            touches,
            reason: held.detail().to_owned(),
            profile,
        };
        let parked = Parked {
            id: self.ids.id().to_string(),
            at: self.moment().at,
            credential_id: caller.credential_id.clone(),
            resource_type: schema.name().to_owned(),
            resource_id: id.to_owned(),
            write,
        };
        parking.park(caller.tenant.id, parked, superseded).await?;
        Ok(true)
    }

    /// Parked writes, the oldest first.
    pub async fn parked(&self, caller: &Caller, limit: u32) -> Result<Vec<Parked>, DirectoryError> {
        match self.parking() {
            Some(parking) => Ok(parking.list_parked(caller.tenant.id, None, limit).await?),
            None => Ok(Vec::new()),
        }
    }

    /// Carries out a parked write, in the name of who sent it; no guard holds it.
    pub async fn approve(
        &self,
        caller: &Caller,
        parked_id: &str,
    ) -> Result<Parked, DirectoryError> {
        let parked = self.find_parked(caller, parked_id).await?;
        let gone = || {
            Error::new(
                ErrorKind::NotFound,
                format!(
                    "The resource type {} is not there any more.",
                    parked.resource_type
                ),
            )
        };
        let schema = caller
            .schemas
            .by_name(&parked.resource_type)
            .cloned()
            .ok_or_else(gone)?;
        let permissions = Permissions {
            profile: parked.write.profile.clone(),
            ..Permissions::all()
        };
        let sender = Caller {
            credential_id: parked.credential_id.clone(),
            permissions,
            ..caller.clone()
        };
        let free = Self {
            unguarded: true,
            ..self.clone()
        };
        let (id, any, body) = (
            &parked.resource_id,
            &Expected::default(),
            parked.write.body.clone(),
        );
        let outcome = match parked.write.method {
            Method::Replace => free
                .replace_now(&sender, &schema, id, body, any, Include::default())
                .await
                .map(drop),
            Method::Patch => free
                .patch_now(&sender, &schema, id, body, any, PatchAnswer::Version)
                .await
                .map(drop),
            Method::Delete => free.delete_now(&sender, &schema, id, any).await,
        };
        match outcome {
            // Who is gone already need not go again.
            Err(DirectoryError::Refused(error)) if error.kind() != ErrorKind::NotFound => {
                return Err(error.into());
            }
            Err(DirectoryError::Fault(fault)) => return Err(fault.into()),
            Ok(()) | Err(DirectoryError::Refused(_)) => {}
        }
        self.reject(caller, parked_id).await?;
        Ok(parked)
    }

    /// Forgets a parked write.
    pub async fn reject(&self, caller: &Caller, parked_id: &str) -> Result<(), DirectoryError> {
        let removed = match self.parking() {
            Some(parking) => parking.remove_parked(caller.tenant.id, parked_id).await?,
            None => false,
        };
        if removed {
            Ok(())
        } else {
            Err(no_parked(parked_id).into())
        }
    }

    async fn find_parked(
        &self,
        caller: &Caller,
        parked_id: &str,
    ) -> Result<Parked, DirectoryError> {
        let all = self.parked(caller, LISTED_MAX).await?;
        Ok(all
            .into_iter()
            .find(|parked| parked.id == parked_id)
            .ok_or_else(|| no_parked(parked_id))?)
    }

    /// Removals in the window that ends now, and what is let through.
    pub async fn guard_status(
        &self,
        caller: &Caller,
    ) -> Result<(Vec<(Removal, u64)>, Vec<Allowance>), DirectoryError> {
        let Some(parking) = self.parking() else {
            return Ok((Vec::new(), Vec::new()));
        };
        let now = self.moment().at;
        let counted = parking
            .removals_since(
                caller.tenant.id,
                caller.tenant.settings.guard.window_start(now),
            )
            .await?;
        let allowances = parking.allowances(caller.tenant.id).await?;
        Ok((
            counted,
            allowances
                .into_iter()
                .filter(|allowance| allowance.expires > now && allowance.remaining > 0)
                .collect(),
        ))
    }

    /// Lets through so many more removals of a kind until then.
    pub async fn allow(
        &self,
        caller: &Caller,
        removal: Removal,
        count: u64,
        expires: Timestamp,
    ) -> Result<(), DirectoryError> {
        let missing = || Error::new(ErrorKind::NotImplemented, "This store keeps no counts.");
        let parking = self.parking().ok_or_else(missing)?;
        Ok(parking
            .allow(
                caller.tenant.id,
                Allowance {
                    removal,
                    remaining: count,
                    expires,
                },
            )
            .await?)
    }
}

fn no_parked(id: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        format!("There is no parked write with the id `{id}`."),
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_writes_speak_about() {
        let check = |operations: Value, expected: &[&str]| {
            assert_eq!(
                touched(Method::Patch, &json!({ "Operations": operations })),
                expected,
                "{operations}"
            );
        };
        check(
            json!([{"op": "replace", "path": "active", "value": false}]),
            &["active"],
        );
        check(
            json!([{"op": "replace", "value": {"Active": false, "title": "x"}}]),
            &["active", "title"],
        );
        check(
            json!([{"op": "replace", "path": "emails[type eq \"work\"].value", "value": "x"}]),
            &["emails"],
        );
        check(
            json!([{"op": "remove", "path": "members[value eq \"A\"]"}]),
            &["members:A"],
        );
        check(
            json!([{"op": "remove", "path": "members", "value": [{"value": "A"}, {"value": "B"}]}]),
            &["members:A", "members:B"],
        );
        check(json!([{"op": "remove", "path": "members"}]), &["members:*"]);
        assert_eq!(touched(Method::Delete, &Value::Null), ["*"]);
        assert_eq!(touched(Method::Replace, &json!({"active": false})), ["*"]);
    }
}
