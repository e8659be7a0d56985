//! An administrator at work: the caller with its permissions, and the actor whom the audit log names. Finds out nothing about either.

use directory::access::{Caller, Role};
use directory::audit::{Actor, Entry};
use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};
use serde::Serialize;

use crate::operations::Operation;

/// Who acts in a tenant.
#[derive(Clone, Debug)]
pub struct Administrator {
    /// The tenant, and what the credential opens there.
    pub caller: Caller,
    /// Who it is, and from where, for the audit log.
    pub actor: Actor,
}

impl Administrator {
    /// The bearer of a credential, who calls from there.
    pub fn of(caller: Caller, name: String, from: String) -> Self {
        let actor = Actor {
            name,
            role: caller.permissions.role(),
            from,
        };
        Self { caller, actor }
    }

    /// Refuses (`403`) an operation that needs a broader role.
    pub fn may(&self, operation: &Operation) -> Result<(), Error> {
        may(self.actor.role, operation)
    }

    /// The audit entry of an act. `before` and `after` are answers as they are shown, which hold no secrets.
    pub fn entry(
        &self,
        operation: &Operation,
        on: impl Into<String>,
        at: Timestamp,
        before: Option<&impl Serialize>,
        after: Option<&impl Serialize>,
    ) -> Entry {
        Entry {
            at,
            actor: self.actor.clone(),
            act: operation.name.to_owned(),
            on: on.into(),
            // Answers are structures with named fields, which always can be JSON.
            before: before.map(|value| serde_json::to_value(value).unwrap_or_default()),
            after: after.map(|value| serde_json::to_value(value).unwrap_or_default()),
        }
    }
}

/// Nothing was there before, or nothing is there after.
pub const NOTHING: Option<&()> = None;

/// Refuses (`403`) an operation to a role that is too narrow for it.
pub fn may(role: Option<Role>, operation: &Operation) -> Result<(), Error> {
    if role.is_some_and(|role| role >= operation.role) {
        return Ok(());
    }
    let detail = format!(
        "`{}` needs the role `{}`, or a broader one; this credential has {}.",
        operation.name,
        operation.role.name(),
        role.map_or("none".to_owned(), |role| format!(
            "the role `{}`",
            role.name()
        ))
    );
    Err(Error::new(ErrorKind::InsufficientScope, detail))
}

#[cfg(test)]
mod tests {
    use directory::access::{Permissions, Scope};

    use super::*;
    use crate::operations::{
        CREATE_TENANT, CREATE_TOKEN, READ_AUDIT, RESTORE_RESOURCE, REVOKE_TOKEN_OF_PERSON,
    };

    #[test]
    fn a_broader_role_may_what_a_narrower_one_may() {
        let of = |scopes: &[Scope], role| Permissions {
            role,
            ..Permissions::of(scopes)
        };
        let check = |permissions: Permissions, allowed: &[&Operation]| {
            let all = [
                &READ_AUDIT,
                &REVOKE_TOKEN_OF_PERSON,
                &RESTORE_RESOURCE,
                &CREATE_TOKEN,
                &CREATE_TENANT,
            ];
            let found: Vec<&Operation> = all
                .into_iter()
                .filter(|operation| may(permissions.role(), operation).is_ok())
                .collect();
            assert_eq!(found, allowed, "{permissions:?}");
        };
        check(of(&[Scope::Read, Scope::Write], None), &[]);
        check(of(&[Scope::Read], Some(Role::Owner)), &[]);
        let auditor = of(&[Scope::Admin], Some(Role::Auditor));
        check(auditor, &[&READ_AUDIT]);
        let help = [&READ_AUDIT, &REVOKE_TOKEN_OF_PERSON, &RESTORE_RESOURCE];
        check(of(&[Scope::Admin], Some(Role::HelpDesk)), &help);
        let administers = [&help[..], &[&CREATE_TOKEN]].concat();
        check(of(&[Scope::Admin], None), &administers);
        check(of(&[Scope::Admin], Some(Role::Owner)), &administers);
        let owns = [&administers[..], &[&CREATE_TENANT]].concat();
        check(Permissions::all(), &owns);
    }
}
