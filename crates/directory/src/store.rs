//! The ports of the directory: `Store` for identities, `Memberships` for who is in which group, `Tenants` for tenants and tokens. Each method is one atomic step; no handle crosses it.

use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::audit::Entry;
use crate::change_set::{ChangeSet, Committed};
use crate::deletion_guard::Excess;
use crate::document::Document;
use crate::search::{Position, SearchPlan};
use crate::tenant::{Tenant, TenantId, TenantSettings};
use crate::tombstone::{Deleted, Tombstone};
use crate::version::version_tag;

pub use crate::search::Include;

/// Something of ours failed. Opaque to callers; carries its source.
#[derive(Debug, thiserror::Error)]
#[error("{context}")]
pub struct Fault {
    context: String,
    #[source]
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl Fault {
    /// A fault without a source.
    pub fn new(context: impl Into<String>) -> Self {
        Self {
            context: context.into(),
            source: None,
        }
    }
    /// A fault with its source.
    pub fn from_source(
        context: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self {
            context: context.into(),
            source: Some(source.into()),
        }
    }
}

/// Why a commit did not happen. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The precondition's version is not the current one.
    #[error("version changed: it is {current} now")]
    VersionChanged {
        /// The current version.
        current: u64,
    },
    /// No such resource in this tenant.
    #[error("no {resource_type} {id}")]
    NotFound {
        /// Its type.
        resource_type: String,
        /// Its id.
        id: String,
    },
    /// Another resource has the value.
    #[error("{path} is taken")]
    ValueTaken {
        /// Canonical path of the unique attribute.
        path: String,
    },
    /// A member to add does not exist.
    #[error("no resource {id} to refer to")]
    ReferenceMissing {
        /// The id.
        id: String,
    },
    /// The tenant's schemas are not those that the change set was decided with.
    #[error("the tenant's types are at another revision")]
    TypesChanged,
    /// The deletion guard holds it.
    #[error("held: {} removals in the window", .0.in_window)]
    Held(Excess),
    /// A person wants to change what only others may change of them.
    #[error("people cannot change their own {attribute}")]
    OfOneself {
        /// `active`, `groups`, `roles` or `entitlements`.
        attribute: &'static str,
    },
    /// The person that the caller stands for is deactivated or deleted by now.
    #[error("the person that the caller stands for has left")]
    PersonLeft,
    /// The store failed.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// A resource as the store remembers it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredResource {
    /// Name of its type.
    pub resource_type: String,
    /// Its id.
    pub id: String,
    /// Its version, counted from 1.
    pub version: u64,
    /// `meta.created`.
    pub created: Timestamp,
    /// `meta.lastModified`.
    pub last_modified: Timestamp,
    /// The document of a `ValidResource`.
    pub document: Document,
    /// Its members, in order of joining; empty unless included.
    pub members: Vec<Related>,
    /// Its groups, direct ones first; empty unless included.
    pub groups: Vec<Related>,
}

/// Where a resource of this type and id is found: its URL.
pub type Locate<'a> = &'a dyn Fn(&str, &str) -> String;

impl StoredResource {
    /// The whole resource as filters see it: the document with `id`, `meta` and the derived attributes that were read. `meta.location` and `$ref` are not
    /// in it; they depend on the URL that the caller used.
    pub fn into_document(self) -> Map<String, Value> {
        whole(self.into_halves(None))
    }

    /// The whole resource as it is answered: with `meta.location`, and `$ref` of members and groups.
    pub fn into_located_document(self, locate: Locate<'_>) -> Map<String, Value> {
        whole(self.into_halves(Some(locate)))
    }

    /// What it holds, and what the directory says of it: `id` first, then `members`, `groups` and `meta`.
    pub fn into_halves(self, locate: Option<Locate<'_>>) -> (Document, Map<String, Value>) {
        let Self {
            resource_type,
            id,
            version,
            created,
            last_modified,
            document,
            members,
            groups,
        } = self;
        let location = locate.map(|locate| ("location", locate(&resource_type, &id)));
        let times = [
            ("created", created.to_string()),
            ("lastModified", last_modified.to_string()),
            ("version", version_tag(version)),
        ];
        let meta = object(
            std::iter::once(("resourceType", resource_type))
                .chain(times)
                .chain(location),
        );
        let mut said = Map::with_capacity(SAID_MAX);
        said.insert("id".to_owned(), id.into());
        if !members.is_empty() {
            said.insert(
                "members".to_owned(),
                members
                    .into_iter()
                    .map(|member| member.into_element(None, locate))
                    .collect(),
            );
        }
        if !groups.is_empty() {
            let group = |group: Related| {
                let kind = if group.direct { "direct" } else { "indirect" };
                group.into_element(Some(kind), locate)
            };
            said.insert("groups".to_owned(), groups.into_iter().map(group).collect());
        }
        said.insert("meta".to_owned(), Value::Object(meta));
        (document, said)
    }
}

/// `id`, `members`, `groups` and `meta`.
const SAID_MAX: usize = 4;

/// Both halves in one. `schemas` stays in front, as in the RFC's examples, and `id` follows it.
fn whole((document, said): (Document, Map<String, Value>)) -> Map<String, Value> {
    let mut document = document.into_tree();
    let mut said = said.into_iter();
    if let Some((name, id)) = said.next() {
        document.shift_insert(document.len().min(1), name, id);
    }
    document.extend(said);
    document
}

fn object<'a>(members: impl IntoIterator<Item = (&'a str, String)>) -> Map<String, Value> {
    members
        .into_iter()
        .map(|(name, value)| (name.to_owned(), Value::String(value)))
        .collect()
}

impl Related {
    /// A member's `type` is its resource type, a group's `type` is how the resource is in it (RFC 7643 sections 4.1.2 and 4.2).
    fn into_element(self, kind: Option<&str>, locate: Option<Locate<'_>>) -> Value {
        let reference = locate.map(|locate| locate(&self.resource_type, &self.id));
        let is_group = kind.is_some();
        let kind = kind.map_or(self.resource_type, str::to_owned);
        let mut element = object([("value", self.id), ("type", kind)]);
        // Whether an answer has the names of members is a setting of the tenant, so the server adds them when it answers.
        // What the caller may not read has no name here.
        if (is_group || locate.is_none()) && !self.display.is_empty() {
            element.insert("display".to_owned(), self.display.into());
        }
        if let Some(reference) = reference {
            element.insert("$ref".to_owned(), reference.into());
        }
        Value::Object(element)
    }
}

/// A member of a group, or a group of a resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Related {
    /// Its id.
    pub id: String,
    /// Name of its type.
    pub resource_type: String,
    /// What people call it; empty where the reader may not know.
    pub display: String,
    /// Of a group: whether the resource is in it itself. Always true of members.
    pub direct: bool,
}

/// A page of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SearchPage {
    /// How many match in all; 0 where the plan says that it is not counted.
    pub total_results: u64,
    /// The page.
    pub resources: Vec<StoredResource>,
    /// Where it ended, where the plan goes by positions and there is more.
    pub next: Option<Position>,
}

/// Members that are read at once.
pub const MEMBERS_AT_ONCE: u32 = 1_000;

/// A member with its place among the members.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The store's key of it; members come in this order.
    pub key: i64,
    /// Who it is.
    pub related: Related,
}

/// A direct membership.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The store's keys of group and member; memberships come in this order.
    pub keys: (i64, i64),
    /// The group.
    pub group: Related,
    /// Its member.
    pub member: Related,
}

/// Which memberships are looked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MembershipQuery {
    /// Of this group.
    pub group_id: Option<String>,
    /// Of this member.
    pub member_id: Option<String>,
    /// Of members of this type.
    pub member_type: Option<String>,
    /// Behind these keys.
    pub after: Option<(i64, i64)>,
    /// How many to pass over.
    pub offset: u64,
    /// Most to return.
    pub limit: u64,
}

/// Memberships, read.
#[async_trait]
pub trait Memberships: Send + Sync {
    /// Members of a group behind a key, at most so many; none where there is no such group.
    async fn members_after(
        &self,
        tenant: TenantId,
        group_id: &str,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Member>, Fault>;
    /// Direct memberships, in the order of their keys.
    async fn find_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<Vec<Membership>, Fault>;
    /// How many direct memberships there are; where they are looked for does not matter.
    async fn count_memberships(
        &self,
        tenant: TenantId,
        query: &MembershipQuery,
    ) -> Result<u64, Fault>;
}

/// Identities.
#[async_trait]
pub trait Store: Memberships {
    /// Applies all of a change set or nothing: one `Committed` per write. Durable when it returns.
    async fn commit(
        &self,
        tenant: TenantId,
        change_set: Arc<ChangeSet>,
    ) -> Result<Vec<Committed>, CommitError>;
    /// One resource.
    async fn read(
        &self,
        tenant: TenantId,
        resource_type: &str,
        id: &str,
        include: Include,
    ) -> Result<Option<StoredResource>, Fault>;
    /// Whether a group has more members than this; reads no more of them than it takes to know.
    async fn has_more_members_than(
        &self,
        tenant: TenantId,
        group_id: &str,
        count: u32,
    ) -> Result<bool, Fault>;
    /// A page of a search, from one snapshot.
    async fn search(&self, tenant: TenantId, plan: SearchPlan) -> Result<SearchPage, Fault>;
    /// Where commits are rehearsed; `None` from a store that cannot do that.
    fn stage(&self) -> Option<Box<dyn Stage>> {
        None
    }
}

/// Where commits are rehearsed: each is carried out on what those before it left, and when the stage is dropped all of them are gone. Nothing is kept, no
/// listener is told, and nothing comes into the change log. A stage delays others only while it is at work, so it may wait between two commits.
#[async_trait]
pub trait Stage: Send + Sync {
    /// What `Store::commit` would answer now. One that is refused leaves nothing.
    async fn commit(
        &self,
        tenant: TenantId,
        change_set: Arc<ChangeSet>,
    ) -> Result<Vec<Committed>, CommitError>;
    /// Reads what the commits so far left.
    async fn ask(&self, tenant: TenantId, question: Question) -> Result<Found, Fault>;
}

/// A read in a rehearsal.
#[derive(Clone, Debug)]
pub enum Question {
    /// `Store::read`.
    Resource {
        /// Name of its type.
        resource_type: String,
        /// Its id.
        id: String,
        /// Which derived attributes.
        include: Include,
    },
    /// `Store::has_more_members_than`.
    HasMoreMembers {
        /// The group.
        group_id: String,
        /// Than this.
        count: u32,
    },
    /// `Store::search`.
    Search(Box<SearchPlan>),
    /// `Memberships::members_after`.
    MembersAfter {
        /// The group.
        group_id: String,
        /// Behind this key.
        after: i64,
        /// At most so many.
        limit: u32,
    },
    /// `Memberships::find_memberships`.
    FindMemberships(MembershipQuery),
    /// `Memberships::count_memberships`.
    CountMemberships(MembershipQuery),
    /// `History::deleted`.
    Deleted {
        /// Which.
        which: Deleted,
        /// At most so many.
        limit: u32,
    },
}

/// What a question was answered with.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// A resource, where there is one.
    Resource(Option<Box<StoredResource>>),
    /// Whether it has.
    HasMoreMembers(bool),
    /// A page.
    Page(SearchPage),
    /// Members of a group.
    Members(Vec<Member>),
    /// Memberships.
    Memberships(Vec<Membership>),
    /// How many memberships.
    Count(u64),
    /// Deleted resources.
    Deleted(Vec<Tombstone>),
}

/// Tenants.
#[async_trait]
pub trait Tenants: Send + Sync {
    /// Makes a tenant; `None` where the name is taken. The audit entry goes into the chain of the installation with it.
    async fn create_tenant(
        &self,
        name: &str,
        settings: TenantSettings,
        at: Timestamp,
        entry: Entry,
    ) -> Result<Option<Tenant>, Fault>;
    /// By name.
    async fn find_tenant(&self, name: &str) -> Result<Option<Tenant>, Fault>;
    /// The revision of the tenant with this name; cheap enough to be asked for at every request.
    async fn tenant_revision(&self, name: &str) -> Result<Option<i64>, Fault>;
    /// All, by name.
    async fn list_tenants(&self) -> Result<Vec<Tenant>, Fault>;
}
