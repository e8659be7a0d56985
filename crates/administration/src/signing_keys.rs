//! The keys with which a tenant's event tokens are signed. The private halves never leave the store.

use directory::DirectoryError;
use events::event_log::SigningKey as Stored;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::administration::Administration;
use crate::administrator::{Administrator, NOTHING};
use crate::operations::{READ_SIGNING_KEYS, ROTATE_SIGNING_KEYS};

/// A key as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct SigningKey {
    /// Its id (`kid`).
    pub id: String,
    /// Its public half, a JSON Web Key (RFC 7517).
    #[schema(value_type = Object)]
    pub public: Value,
    /// When it was made.
    #[schema(value_type = String)]
    pub created: Timestamp,
    /// When another took its place; null: it signs.
    #[schema(value_type = Option<String>)]
    pub retired: Option<Timestamp>,
}

impl SigningKey {
    fn of(stored: Stored) -> Self {
        let Stored {
            id,
            public,
            created,
            retired,
        } = stored;
        Self {
            id,
            public,
            created,
            retired,
        }
    }
}

/// How keys shall be changed.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub struct Rotation {
    /// Whether the old keys may be in wrong hands: then they are taken back at once.
    pub distrust_old: bool,
}

/// The keys that are published, newest first.
pub async fn list(
    on: &Administration,
    by: &Administrator,
) -> Result<Vec<SigningKey>, DirectoryError> {
    by.may(&READ_SIGNING_KEYS)?;
    let (tenant, now) = (by.caller.tenant.id, on.clock.now());
    let found = on.events.keys.signing_keys(tenant, now).await?;
    Ok(found.into_iter().map(SigningKey::of).collect())
}

/// Signs event tokens with a new key from now on.
pub async fn rotate(
    on: &Administration,
    by: &Administrator,
    rotation: Rotation,
) -> Result<SigningKey, DirectoryError> {
    by.may(&ROTATE_SIGNING_KEYS)?;
    let (tenant, now) = (by.caller.tenant.id, on.clock.now());
    // The store makes the key, and names it in the entry.
    let entry = by.entry(&ROTATE_SIGNING_KEYS, "", now, NOTHING, Some(&rotation));
    let keys = &on.events.keys;
    let made = keys
        .rotate_keys(tenant, now, rotation.distrust_old, entry)
        .await?;
    Ok(SigningKey::of(made))
}
