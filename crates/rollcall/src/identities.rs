//! People and groups of one tenant as commands see them: found by name, shown as SCIM documents. Writes only through `Directory`.

use std::sync::Arc;

use directory::access::{Caller, Permissions};
use directory::directory::{Directory, DirectoryError, PatchAnswer};
use directory::search::{Page as Part, Sort, plan};
use directory::store::{Include, StoredResource};
use directory::tenant::Tenant;
use directory::version::Expected;
use scim_protocol::filter::FilterLimits;
use scim_protocol::messages::SearchRequest;
use scim_protocol::projection::Projection;
use scim_protocol::quirk::QuirkSet;
use scim_protocol::validate::validate;
use scim_protocol::{AttributePath, Filter, TypeSchema};
use serde_json::{Map, Value};

use crate::failure::Failure;

const ALL: Include = Include {
    members: true,
    groups: true,
};

/// A page of a search.
pub struct Page {
    /// How many match in all.
    pub total_results: u64,
    /// The page.
    pub resources: Vec<Map<String, Value>>,
}

/// People and groups of one tenant.
pub struct Identities {
    directory: Directory,
    caller: Caller,
}

impl From<DirectoryError> for Failure {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Refused(error) => error.into(),
            DirectoryError::Fault(fault) => fault.into(),
        }
    }
}

impl Identities {
    /// Of this tenant, in the name of the command line.
    pub async fn new(directory: Directory, tenant: &Tenant) -> Result<Self, Failure> {
        let caller = directory
            .caller(
                Arc::new(tenant.clone()),
                "command-line".into(),
                Permissions::all(),
            )
            .await?;
        Ok(Self { directory, caller })
    }

    /// The tenant's name.
    pub fn tenant_name(&self) -> &str {
        &self.caller.tenant.name
    }

    /// A resource type.
    pub fn schema(&self, name: &str) -> Result<Arc<TypeSchema>, Failure> {
        let found = self.caller.schemas.by_name(name).cloned();
        found.ok_or_else(|| Failure::failed(format!("there is no resource type {name}")))
    }

    /// A page of the matching resources.
    pub async fn search(&self, name: &str, request: SearchRequest) -> Result<Page, Failure> {
        let schema = self.schema(name)?;
        let filter = request
            .filter
            .as_deref()
            .map(|text| Filter::parse(text, FilterLimits::default()))
            .transpose()?;
        let sort = match request.sort_by.as_deref() {
            Some(path) => Some(Sort {
                path: AttributePath::parse(path)?,
                descending: request.descending,
            }),
            None => None,
        };
        let part = Part {
            offset: request.start_index.saturating_sub(1),
            limit: request.count.unwrap_or(100),
        };
        let planned = plan(&[schema], filter, sort, part, ALL)?;
        let page = self.directory.search(&self.caller, planned).await?;
        Ok(Page {
            total_results: page.total_results,
            resources: page
                .resources
                .into_iter()
                .map(StoredResource::into_document)
                .collect(),
        })
    }

    /// The resource with this id, or else with this `userName` (of a Group: this `displayName`).
    pub async fn find(
        &self,
        name: &str,
        text: &str,
    ) -> Result<Option<Map<String, Value>>, Failure> {
        let attribute = if name == "User" {
            "userName"
        } else {
            "displayName"
        };
        // A string of JSON is a string of the filter grammar (RFC 7644 section 3.4.2.2).
        let literal = Value::from(text);
        let request = SearchRequest {
            filter: Some(format!("id eq {literal} or {attribute} eq {literal}")),
            start_index: 1,
            count: Some(2),
            ..SearchRequest::default()
        };
        let page = self.search(name, request).await?;
        let is_id = |resource: &Map<String, Value>| {
            resource.get("id").and_then(Value::as_str) == Some(text)
        };
        if page.total_results > 1 && !page.resources.iter().any(is_id) {
            return Err(Failure::conflict(format!(
                "{} {}s are called `{text}`",
                page.total_results,
                name.to_lowercase()
            ))
            .hint("name the one that is meant by its id"));
        }
        let mut resources = page.resources;
        let place = resources.iter().position(is_id).unwrap_or(0);
        Ok(if resources.is_empty() {
            None
        } else {
            Some(resources.swap_remove(place))
        })
    }

    /// The same; nothing found is a failure.
    pub async fn get(&self, name: &str, text: &str) -> Result<Map<String, Value>, Failure> {
        self.find(name, text).await?.ok_or_else(|| {
            let noun = name.to_lowercase();
            Failure::not_found(format!(
                "there is no {noun} `{text}` in tenant {}",
                self.tenant_name()
            ))
            .hint(format!("`rollcall {noun} list` shows those that are there"))
        })
    }

    /// The id of the resource.
    pub async fn find_id(&self, name: &str, text: &str) -> Result<Option<String>, Failure> {
        Ok(self
            .find(name, text)
            .await?
            .and_then(|resource| Some(resource.get("id")?.as_str()?.to_owned())))
    }

    /// The same; nothing found is a failure.
    pub async fn require_id(&self, name: &str, text: &str) -> Result<String, Failure> {
        Ok(self
            .get(name, text)
            .await?
            .get("id")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned())
    }

    /// The document without what is never shown (RFC 7643 section 7: `returned`). Only for the screen: what is written back must be whole.
    pub fn shown(&self, name: &str, mut document: Map<String, Value>) -> Map<String, Value> {
        if let Some(schema) = self.caller.schemas.by_name(name) {
            Projection::default().apply(schema, &mut document);
        }
        document
    }

    /// Says what would be wrong with a document, and writes nothing. Whether its values are taken is not looked up.
    pub fn check(&self, name: &str, document: Map<String, Value>) -> Result<(), Failure> {
        let schema = self.schema(name)?;
        let quirks = self
            .caller
            .profile()
            .map_or_else(QuirkSet::standard, scim_protocol::Profile::quirks);
        validate(&schema, with_schemas(&schema, document), None, &quirks)?;
        Ok(())
    }

    /// Creates a resource.
    pub async fn create(
        &self,
        name: &str,
        document: Map<String, Value>,
    ) -> Result<Map<String, Value>, Failure> {
        let schema = self.schema(name)?;
        Ok(self
            .directory
            .create(&self.caller, &schema, with_schemas(&schema, document), ALL)
            .await?
            .into_document())
    }

    /// Replaces `before`, unless somebody else changed it meanwhile.
    pub async fn replace(
        &self,
        name: &str,
        before: &Map<String, Value>,
        document: Map<String, Value>,
    ) -> Result<Map<String, Value>, Failure> {
        let schema = self.schema(name)?;
        let id = before.get("id").and_then(Value::as_str).unwrap_or_default();
        let version = before
            .get("meta")
            .and_then(|meta| meta.get("version"))
            .and_then(Value::as_str)
            .unwrap_or("*");
        let body = with_schemas(&schema, document);
        Ok(self
            .directory
            .replace(
                &self.caller,
                &schema,
                id,
                body,
                &Expected::if_match(version),
                ALL,
            )
            .await?
            .into_document())
    }

    /// Changes a part of a resource.
    pub async fn patch(
        &self,
        name: &str,
        id: &str,
        body: Value,
    ) -> Result<Map<String, Value>, Failure> {
        let schema = self.schema(name)?;
        let answer = PatchAnswer::Resource(ALL);
        let patched = self
            .directory
            .patch(
                &self.caller,
                &schema,
                id,
                body,
                &Expected::default(),
                answer,
            )
            .await?;
        Ok(patched
            .resource
            .map(StoredResource::into_document)
            .unwrap_or_default())
    }

    /// Deletes a resource.
    pub async fn delete(&self, name: &str, id: &str) -> Result<(), Failure> {
        let schema = self.schema(name)?;
        Ok(self
            .directory
            .delete(&self.caller, &schema, id, &Expected::default())
            .await?)
    }
}

/// The body with the URNs of what it holds, which the one who writes by hand need not know.
fn with_schemas(schema: &TypeSchema, mut document: Map<String, Value>) -> Value {
    let mut urns = vec![schema.core.id.clone()];
    urns.extend(
        schema
            .extensions
            .iter()
            .map(|extension| extension.id.clone())
            .filter(|urn| document.contains_key(urn)),
    );
    document.insert("schemas".into(), urns.into());
    Value::Object(document)
}
