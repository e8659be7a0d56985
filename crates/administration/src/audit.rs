//! The audit log as auditors read it: pages of entries, and whether the chain fits together. Writes nothing.

use directory::DirectoryError;
use directory::audit::{Broken, Chain, Recorded, Verification, hash_text};
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::administration::Administration;
use crate::administrator::Administrator;
use crate::operations::READ_AUDIT;

/// Entries on a page where nothing is said.
const COUNT_DEFAULT: u32 = 100;
/// Most entries on a page.
pub const COUNT_MAX: u32 = 1_000;
/// Entries that are read at once while a chain is verified.
const VERIFIED_AT_ONCE: u32 = 1_000;

/// Which entries are asked for.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Asked {
    /// Those after this number; without it, the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

/// An entry as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its number in the chain: the first has the number 1.
    pub number: u64,
    /// The SHA-256 hash of the hash before it and the JSON text of `entry` without spaces, in hexadecimal digits.
    pub hash: String,
    /// What was done: `at`, `actor` (`name`, `role`, `from`), `act`, `on`, and `before` and `after` without secrets.
    #[schema(value_type = Object)]
    pub entry: Value,
}

/// What came of recomputing a chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verified {
    /// How many entries fit, from the first on.
    pub entries: u64,
    /// The hash of the newest entry, in hexadecimal digits. Kept elsewhere, it proves later that nothing before it was changed.
    pub hash: String,
    /// The first entry that does not fit; null where all do.
    pub broken: Option<BrokenAt>,
}

/// Where a chain does not fit together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct BrokenAt {
    /// The number of the entry.
    pub number: u64,
    /// What does not fit.
    pub why: String,
}

/// The chain of the administrator's tenant.
pub fn of_tenant(by: &Administrator) -> Chain {
    Chain::Tenant(by.caller.tenant.id)
}

/// A page of entries in their order; without `after`, the newest.
pub async fn list(
    on: &Administration,
    by: &Administrator,
    chain: Chain,
    asked: Asked,
) -> Result<Vec<AuditEntry>, DirectoryError> {
    by.may(&READ_AUDIT)?;
    let count = asked.count.unwrap_or(COUNT_DEFAULT);
    if !(1..=COUNT_MAX).contains(&count) {
        let detail = format!("`count` is {count}; accepted are 1 to {COUNT_MAX}.");
        return Err(Error::new(ErrorKind::InvalidValue, detail)
            .at("count")
            .into());
    }
    let after = if let Some(after) = asked.after {
        after
    } else {
        let head = on.audit.audit_head(chain).await?;
        head.number.saturating_sub(count.into())
    };
    let recorded = on.audit.audit_entries(chain, after, count).await?;
    Ok(recorded.into_iter().map(shown).collect())
}

/// Recomputes every hash of a chain.
pub async fn verify(
    on: &Administration,
    by: &Administrator,
    chain: Chain,
) -> Result<Verified, DirectoryError> {
    by.may(&READ_AUDIT)?;
    // Read first: what is appended meanwhile is not looked at.
    let head = on.audit.audit_head(chain).await?;
    let mut verification = Verification::of(chain);
    let mut broken = None;
    'pages: while verification.entries() < head.number {
        let recorded = on
            .audit
            .audit_entries(chain, verification.entries(), VERIFIED_AT_ONCE)
            .await?;
        if recorded.is_empty() {
            break;
        }
        for one in &recorded {
            if verification.entries() == head.number {
                break 'pages;
            }
            if let Err(found) = verification.next(one) {
                broken = Some(found);
                break 'pages;
            }
        }
    }
    let broken = broken.or_else(|| verification.end(&head).err());
    Ok(Verified {
        entries: verification.entries(),
        hash: hash_text(&head.hash),
        broken: broken.map(|Broken { number, why }| BrokenAt {
            number,
            why: why.to_owned(),
        }),
    })
}

fn shown(recorded: Recorded) -> AuditEntry {
    let Recorded { number, text, hash } = recorded;
    AuditEntry {
        number,
        hash: hash_text(&hash),
        // An entry that somebody has changed is shown as it is found; `verify` names it.
        entry: serde_json::from_str(&text).unwrap_or(Value::String(text)),
    }
}
