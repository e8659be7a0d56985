//! Tenants: isolated directories in one database. For those who own the installation.

use std::io::Write;

use directory::DirectoryError;
use directory::audit::Chain;
use directory::tenant::{Tenant as Stored, TenantSettings, check_name};
use directory::tenant_life::{RestoreError, Source};
use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::administration::{Administration, DEFAULT_TENANT};
use crate::administrator::{Administrator, NOTHING};
use crate::operations::{
    CHANGE_TENANT, CREATE_TENANT, ERASE_TENANT, EXPORT_TENANT, Operation, READ_TENANTS,
    RESTORE_TENANT, RESUME_TENANT, SUSPEND_TENANT,
};

/// How often settings are changed while others change them.
const ATTEMPTS_MAX: usize = 8;

/// What a new tenant shall be.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NewTenant {
    /// 1 to 63 lower-case letters, digits and hyphens; part of its base URL.
    pub name: String,
    /// Its switches; those left out have their defaults.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: TenantSettings,
}

/// A tenant as it is shown.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Tenant {
    /// Its name.
    pub name: String,
    /// Where its SCIM API begins, below the URL of the server.
    pub base_path: String,
    /// When it was made.
    #[schema(value_type = String)]
    pub created: Timestamp,
    /// Its switches.
    #[schema(value_type = Object)]
    pub settings: TenantSettings,
}

/// What of a tenant shall be otherwise.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// The settings that shall be others (a merge patch, RFC 7396); null gives one its default.
    #[schema(value_type = Object)]
    pub settings: Map<String, Value>,
}

impl Tenant {
    /// As a tenant is shown.
    pub fn of(tenant: Stored) -> Self {
        Self {
            base_path: format!("/t/{}/scim/v2", tenant.name),
            created: tenant.created,
            settings: tenant.settings,
            name: tenant.name,
        }
    }
}

/// All tenants, by name.
pub async fn list(on: &Administration, by: &Administrator) -> Result<Vec<Tenant>, DirectoryError> {
    by.may(&READ_TENANTS)?;
    let found = on.tenants.list_tenants().await?;
    Ok(found.into_iter().map(Tenant::of).collect())
}

/// One tenant.
pub async fn show(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<Tenant, DirectoryError> {
    by.may(&READ_TENANTS)?;
    Ok(Tenant::of(find(on, name).await?))
}

/// Makes a tenant.
pub async fn create(
    on: &Administration,
    by: &Administrator,
    new: NewTenant,
) -> Result<Tenant, DirectoryError> {
    by.may(&CREATE_TENANT)?;
    check_name(&new.name)?;
    new.settings.check()?;
    let at = on.clock.now();
    let entry = by.entry(&CREATE_TENANT, &new.name, at, NOTHING, Some(&new));
    let NewTenant { name, settings } = new;
    let made = on.tenants.create_tenant(&name, settings, at, entry).await?;
    Ok(Tenant::of(made.ok_or_else(|| taken(&name))?))
}

/// Changes settings of a tenant; those that are not named stay.
pub async fn change(
    on: &Administration,
    by: &Administrator,
    name: &str,
    Change { settings }: Change,
) -> Result<Tenant, DirectoryError> {
    by.may(&CHANGE_TENANT)?;
    for _ in 0..ATTEMPTS_MAX {
        let tenant = find(on, name).await?;
        let wanted = tenant.settings.merged(&settings)?;
        let (before, after) = (&tenant.settings, &wanted);
        let entry = by.entry(
            &CHANGE_TENANT,
            name,
            on.clock.now(),
            Some(before),
            Some(after),
        );
        if on.life.set_settings(&tenant, wanted.clone(), entry).await? {
            return Ok(Tenant::of(Stored {
                settings: wanted,
                ..tenant
            }));
        }
    }
    let detail = "The tenant is being changed by others all the time; try again.";
    Err(Error::new(ErrorKind::Conflict, detail).into())
}

/// Suspends a tenant, or lets it answer again. A suspended tenant refuses every caller and sends nothing to applications; all data stays.
pub async fn set_suspended(
    on: &Administration,
    by: &Administrator,
    name: &str,
    suspended: bool,
) -> Result<Tenant, DirectoryError> {
    let operation: &Operation = if suspended {
        &SUSPEND_TENANT
    } else {
        &RESUME_TENANT
    };
    by.may(operation)?;
    if name == DEFAULT_TENANT && suspended {
        let detail =
            "The tenant `default` cannot be suspended: the owners of this installation call by it.";
        return Err(Error::new(ErrorKind::Forbidden, detail).into());
    }
    let tenant = find(on, name).await?;
    let entry = by.entry(operation, name, on.clock.now(), NOTHING, NOTHING);
    if !on.life.set_suspended(tenant.id, suspended, entry).await? {
        return Err(missing(name).into());
    }
    Ok(Tenant::of(find(on, name).await?))
}

/// Allows to write everything of a tenant apart from secrets as lines of JSON, and writes down that it is done; the export itself is the store's.
pub async fn begin_export(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<Stored, DirectoryError> {
    by.may(&EXPORT_TENANT)?;
    let tenant = find(on, name).await?;
    let entry = by.entry(&EXPORT_TENANT, name, on.clock.now(), NOTHING, NOTHING);
    on.audit.append(Chain::Installation, entry).await?;
    Ok(tenant)
}

/// Writes everything of a tenant apart from secrets as lines of JSON; how many lines.
pub async fn export(
    on: &Administration,
    by: &Administrator,
    name: &str,
    sink: Box<dyn Write + Send>,
) -> Result<u64, DirectoryError> {
    let tenant = begin_export(on, by, name).await?;
    Ok(on.life.export(tenant.id, on.clock.now(), sink).await?)
}

/// Makes a tenant of what `export` wrote, all of it or nothing.
pub async fn restore(
    on: &Administration,
    by: &Administrator,
    name: &str,
    source: Box<dyn Source>,
) -> Result<Tenant, DirectoryError> {
    may_restore(on, by, name).await?;
    let at = on.clock.now();
    let entry = by.entry(&RESTORE_TENANT, name, at, NOTHING, NOTHING);
    let restored = on.life.restore(name, at, source, entry).await;
    restored.map(Tenant::of).map_err(|error| match error {
        RestoreError::NameTaken => taken(name).into(),
        RestoreError::Refused(why) => {
            let detail = format!("The tenant was not restored, and nothing was changed: {why}.");
            Error::new(ErrorKind::InvalidValue, detail).into()
        }
        RestoreError::Fault(fault) => fault.into(),
    })
}

/// Refuses what can be refused before the file is there.
pub async fn may_restore(
    on: &Administration,
    by: &Administrator,
    name: &str,
) -> Result<(), DirectoryError> {
    by.may(&RESTORE_TENANT)?;
    check_name(name)?;
    if on.tenants.find_tenant(name).await?.is_some() {
        return Err(taken(name).into());
    }
    Ok(())
}

/// Erases a tenant and everything of it for good; `confirm` is its name again.
pub async fn erase(
    on: &Administration,
    by: &Administrator,
    name: &str,
    confirm: Option<&str>,
) -> Result<(), DirectoryError> {
    by.may(&ERASE_TENANT)?;
    if confirm != Some(name) {
        let detail = format!(
            "A tenant is erased for good: `confirm` has to be its name again (`?confirm={name}`)."
        );
        return Err(Error::new(ErrorKind::InvalidValue, detail)
            .at("confirm")
            .into());
    }
    if name == DEFAULT_TENANT {
        let detail =
            "The tenant `default` is the home of those who own this installation, and stays.";
        return Err(Error::new(ErrorKind::Forbidden, detail).into());
    }
    let tenant = find(on, name).await?;
    let (id, before) = (tenant.id, Tenant::of(tenant));
    let entry = by.entry(&ERASE_TENANT, name, on.clock.now(), Some(&before), NOTHING);
    on.life.erase(id, entry).await?;
    // It may be in a file of its own.
    Ok(on.request_log.erase(id).await?)
}

async fn find(on: &Administration, name: &str) -> Result<Stored, DirectoryError> {
    let found = on.tenants.find_tenant(name).await?;
    Ok(found.ok_or_else(|| missing(name))?)
}

fn missing(name: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("There is no tenant `{name}`."))
}

fn taken(name: &str) -> Error {
    let detail = format!("There is a tenant `{name}` already.");
    Error::new(ErrorKind::Uniqueness, detail).at("name")
}
