//! *(shell)* Parks what the deletion guard holds, where the tenant wants that; and what administrators decide about it.

use jiff::Timestamp;
use scim_protocol::patch::member::split;
use scim_protocol::patch::mention::mentions;
use scim_protocol::patch::parse;
use scim_protocol::quirk::{QuirkSet, normalize_patch};
use scim_protocol::redaction::without_write_only;
use scim_protocol::{Error, ErrorKind, TypeSchema};
use serde_json::Value;

use super::refusal::NotWritten;
use super::{Directory, DirectoryError, PatchAnswer};
use crate::access::{Caller, Permissions};
use crate::deletion_guard::{Mode, Removal};
use crate::parking::{Allowance, Method, Parked, ParkedWrite, Parking, Touch, supersedes};
use crate::search::Include;
use crate::store::Fault;
use crate::version::Expected;

/// Parked writes of one resource that are looked at.
const OF_ONE_MAX: u32 = 1_000;
/// Parked writes that are looked at for one.
const LISTED_MAX: u32 = 100_000;

/// What a write is about, as the caller's quirks read it.
pub(super) fn touched(
    schema: &TypeSchema,
    quirks: &QuirkSet,
    method: Method,
    body: &Value,
) -> Vec<Touch> {
    if method != Method::Patch {
        return vec![Touch::Everything];
    }
    let mut message = body.clone();
    normalize_patch(quirks, schema, &mut message);
    // The guard holds, and the store does, only what could be parsed.
    match parse(schema, message, quirks).and_then(|operations| split(schema, operations)) {
        Ok(split) => mentions(schema, &split)
            .into_iter()
            .map(Touch::from)
            .collect(),
        Err(_) => vec![Touch::Everything],
    }
}

impl Directory {
    fn parking(&self) -> Option<&dyn Parking> {
        self.past.as_ref().map(|past| &*past.parking)
    }

    /// Parks a write that the guard holds, if the tenant wants that. Returns whether the write is parked, or would be if it was not only rehearsed. A write
    /// that was done (`outcome` is `None`) takes the place of parked ones that are about the same.
    pub(super) async fn parks(
        &self,
        caller: &Caller,
        (schema, id): (&TypeSchema, &str),
        (method, body): (Method, &Value),
        outcome: Option<&NotWritten>,
    ) -> Result<bool, Fault> {
        let Some(parking) = self
            .parking()
            .filter(|_| caller.tenant.settings.guard.mode == Mode::Park && !self.unguarded)
        else {
            return Ok(false);
        };
        let held = match outcome {
            None => None,
            Some(NotWritten::Held(excess)) => Some(excess),
            Some(NotWritten::Failed(_)) => return Ok(false),
        };
        if self.rehearsal.is_some() {
            return Ok(held.is_some());
        }
        // It may wait for days and be exported with its tenant, so it is kept without passwords.
        let body = without_write_only(schema, body.clone());
        let touches = touched(schema, &Self::quirks(caller), method, &body);
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
        let Some(excess) = held else {
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
            reason: excess.detail(),
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
        match outcome.map_err(DirectoryError::from) {
            // A removal of what is gone already is done.
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

    /// The removals in the window that ends now, and the allowances.
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
    use scim_protocol::SchemaSet;
    use scim_protocol::patch::PATCH_SCHEMA;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_writes_speak_about() {
        let (set, quirks) = (SchemaSet::standard(), QuirkSet::standard());
        let check = |resource_type: &str, operations: Value, expected: &[&str]| {
            let message = json!({"schemas": [PATCH_SCHEMA], "Operations": operations});
            let schema = set.by_name(resource_type).unwrap();
            let expected: Vec<Touch> = expected.iter().map(|text| Touch::from(*text)).collect();
            assert_eq!(
                touched(schema, &quirks, Method::Patch, &message),
                expected,
                "{operations}"
            );
        };
        check(
            "User",
            json!([{"op": "replace", "path": "active", "value": false}]),
            &["active"],
        );
        check(
            "User",
            json!([{"op": "replace", "value": {"Active": false, "title": "x"}}]),
            &["active", "title"],
        );
        check(
            "User",
            json!([{"op": "replace", "path": "emails[type eq \"work\"].value", "value": "x"}]),
            &["emails"],
        );
        check(
            "Group",
            json!([{"op": "remove", "path": "members[value eq \"A\"]"}]),
            &["members:A"],
        );
        check(
            "Group",
            json!([{"op": "remove", "path": "members", "value": [{"value": "A"}, {"value": "B"}]}]),
            &["members:A", "members:B"],
        );
        check(
            "Group",
            json!([{"op": "remove", "path": "members"}]),
            &["members:*"],
        );
        let user = set.by_name("User").unwrap();
        let of = |method, body: &Value| touched(user, &quirks, method, body);
        assert_eq!(of(Method::Delete, &Value::Null), [Touch::Everything]);
        assert_eq!(
            of(Method::Replace, &json!({"active": false})),
            [Touch::Everything]
        );
    }
}
