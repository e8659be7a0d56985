//! One downstream application that is kept equal to the directory.

use std::collections::BTreeSet;

pub use directory::secret::{Secret, is_bearer_token};
use directory::tenant::TenantId;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The store's key of an application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ApplicationId(pub i64);

impl ApplicationId {
    /// The id of no application, until the right one is filled in.
    pub(crate) fn nobody() -> Self {
        Self(0)
    }
}

/// Whether an application is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ApplicationState {
    /// Changes are sent.
    Live,
    /// Changes wait.
    Paused,
}

/// How an application is to be spoken to. All of it has a default that is right for a SCIM server that keeps the RFC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ApplicationSettings {
    /// Whether it can PATCH; `None`: as its `ServiceProviderConfig` says.
    pub patch: Option<bool>,
    /// Most members in one PATCH.
    pub members_per_patch_max: usize,
    /// Whether an account that can be deactivated is deleted there when its resource leaves (else it is deactivated). Others are deleted in any case.
    pub delete_users: bool,
    /// Whether groups are provisioned.
    pub groups: bool,
    /// Whether it counts more than it lists: a list that was read until nothing more came is whole all the same.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub counts_too_many: bool,
    /// Resource types that are provisioned besides users and groups: devices, agents, types of the tenant's own.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub other_types: BTreeSet<String>,
}

impl ApplicationSettings {
    /// The resource types that are provisioned.
    pub fn types(&self) -> Vec<String> {
        let groups = self.groups.then_some("Group");
        let names = std::iter::once("User").chain(groups).map(str::to_owned);
        names.chain(self.other_types.iter().cloned()).collect()
    }
}

impl Default for ApplicationSettings {
    fn default() -> Self {
        Self {
            patch: None,
            members_per_patch_max: 100,
            delete_users: true,
            groups: true,
            counts_too_many: false,
            other_types: BTreeSet::new(),
        }
    }
}

/// A downstream application.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// The store's key.
    pub id: ApplicationId,
    /// Whose it is.
    pub tenant: TenantId,
    /// Its name, unique in the tenant.
    pub name: String,
    /// Where its SCIM API begins.
    pub base_url: String,
    /// Its bearer token, sealed at rest.
    pub token: Secret,
    /// Whether it is served.
    pub state: ApplicationState,
    /// How it is spoken to.
    pub settings: ApplicationSettings,
    /// When it was added.
    pub created: Timestamp,
}
