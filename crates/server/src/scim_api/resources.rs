//! One resource: POST, GET, PUT, PATCH, DELETE (RFC 7644 sections 3.3 to 3.6).

use std::sync::Arc;

use axum::response::Response;
use directory::access::Scope;
use directory::directory::PatchAnswer;
use directory::store::{Include, StoredResource};
use directory::tenant::PatchResponse;
use directory::version::{Expected, Tags};
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, StatusCode};
use scim_protocol::messages::SearchRequest;
use scim_protocol::profile::PatchAnswer as PatchExpectation;
use scim_protocol::projection::Projection;
use scim_protocol::quirk::normalize_projection;
use scim_protocol::{AttributePath, Error, ErrorKind, TypeSchema};

use super::Call;
use super::render::{empty, with_version};
use super::view::View;
use crate::refusal::Failure;

pub(super) async fn create(mut call: Call, schema: Arc<TypeSchema>) -> Result<Response, Failure> {
    let projection = call.projection_of_written(std::slice::from_ref(&schema))?;
    let body = call.json(None)?;
    // What is to be made has no version yet, so it is none that the request could name.
    if let Some(Tags::OneOf(_)) = tags(&call.parts.headers, &IF_MATCH) {
        let detail = "`If-Match` names a version, but POST makes a new resource, which has none yet; send it without.";
        return Err(Error::new(ErrorKind::PreconditionFailed, detail).into());
    }
    let include = include(&schema, &projection);
    let made = call
        .directory
        .create(&call.caller, &schema, body, without_members(include))
        .await?;
    // What was revived has a version above the first.
    let revived = made.version > 1 && call.caller.tenant.settings.revive_answers_200;
    let status = if revived {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    call.answer(status, &schema, &projection, include, made)
        .await
}

pub(super) async fn read(
    call: Call,
    schema: Arc<TypeSchema>,
    id: String,
) -> Result<Response, Failure> {
    let projection = call.projection(std::slice::from_ref(&schema))?;
    let include = include(&schema, &projection);
    let directory = &call.directory;
    // A group that is small is read in one piece with its members.
    let is_large = include.members && directory.is_large(&call.caller, &id).await?;
    let now = if is_large {
        without_members(include)
    } else {
        include
    };
    let found = directory.read(&call.caller, &schema, &id, now).await?;
    if unchanged(&call.parts.headers, found.version)? {
        return Ok(with_version(empty(StatusCode::NOT_MODIFIED), found.version));
    }
    if is_large {
        return call
            .answer(StatusCode::OK, &schema, &projection, include, found)
            .await;
    }
    Ok(call
        .view(&projection)
        .response(StatusCode::OK, &schema, found, None))
}

pub(super) async fn replace(
    mut call: Call,
    schema: Arc<TypeSchema>,
    id: String,
) -> Result<Response, Failure> {
    let projection = call.projection_of_written(std::slice::from_ref(&schema))?;
    let body = call.json(None)?;
    let (expected, include) = (expected(&call.parts.headers), include(&schema, &projection));
    let made = call
        .directory
        .replace(
            &call.caller,
            &schema,
            &id,
            body,
            &expected,
            without_members(include),
        )
        .await?;
    call.answer(StatusCode::OK, &schema, &projection, include, made)
        .await
}

pub(super) async fn patch(
    mut call: Call,
    schema: Arc<TypeSchema>,
    id: String,
) -> Result<Response, Failure> {
    let mut projection = call.projection(std::slice::from_ref(&schema))?;
    let body = call.json(None)?;
    let expected = expected(&call.parts.headers);
    let mut include = include(&schema, &projection);
    // Who names attributes is to be answered with them (RFC 7644 section 3.5.2).
    let answer = match (&projection, call.caller.tenant.settings.patch_response) {
        _ if !call.may_read() => PatchAnswer::Version,
        (Projection::Default, PatchResponse::Automatic) if !call.expects_patched(&schema) => {
            PatchAnswer::Version
        }
        (Projection::Default, PatchResponse::Automatic) => {
            PatchAnswer::ResourceUnlessLarge(include)
        }
        (Projection::Default, PatchResponse::NoContent) => PatchAnswer::Version,
        (Projection::Default, PatchResponse::WithoutMembers) => {
            include.members = false;
            projection = Projection::Without(vec![AttributePath::of("members")]);
            PatchAnswer::Resource(include)
        }
        _ => PatchAnswer::Resource(without_members(include)),
    };
    let patched = call
        .directory
        .patch(&call.caller, &schema, &id, body, &expected, answer)
        .await?;
    match patched.resource {
        Some(resource) => {
            call.answer(StatusCode::OK, &schema, &projection, include, resource)
                .await
        }
        None => Ok(with_version(empty(StatusCode::NO_CONTENT), patched.version)),
    }
}

pub(super) async fn delete(
    call: Call,
    schema: Arc<TypeSchema>,
    id: String,
) -> Result<Response, Failure> {
    call.directory
        .delete(&call.caller, &schema, &id, &expected(&call.parts.headers))
        .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// Derived attributes that the answer shows.
pub(super) fn include(schema: &TypeSchema, projection: &Projection) -> Include {
    Include {
        members: projection.wants(schema, "members"),
        groups: projection.wants(schema, "groups"),
    }
}

fn without_members(include: Include) -> Include {
    Include {
        members: false,
        ..include
    }
}

/// Whether the caller has this version already (`If-None-Match`); refuses where it demands another one (`If-Match`).
pub(super) fn unchanged(headers: &HeaderMap, version: u64) -> Result<bool, Error> {
    if let Some(tags) = tags(headers, &IF_MATCH) {
        Expected {
            if_match: Some(tags),
            if_none_match: None,
        }
        .check(version)?;
    }
    Ok(tags(headers, &IF_NONE_MATCH).is_some_and(|tags| tags.name(version)))
}

pub(super) fn expected(headers: &HeaderMap) -> Expected {
    Expected {
        if_match: tags(headers, &IF_MATCH),
        if_none_match: tags(headers, &IF_NONE_MATCH),
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Option<Tags> {
    headers
        .get(name)
        .map(|value| Tags::parse(value.to_str().unwrap_or_default()))
}

impl Call {
    /// An answer with a resource that was read without its members.
    async fn answer(
        self,
        status: StatusCode,
        schema: &Arc<TypeSchema>,
        projection: &Projection,
        include: Include,
        mut resource: StoredResource,
    ) -> Result<Response, Failure> {
        let more = if include.members && schema.core_attribute("members").is_some() {
            self.directory
                .add_first_members(&self.caller, &mut resource)
                .await?
        } else {
            None
        };
        Ok(self
            .view(projection)
            .response(status, schema, resource, more))
    }

    /// `attributes` and `excludedAttributes` of the query, for resources of these types.
    pub(super) fn projection(&self, types: &[Arc<TypeSchema>]) -> Result<Projection, Failure> {
        if self.parts.uri.query().is_none_or(str::is_empty) {
            return Ok(Projection::Default);
        }
        let wanted = |name: &str| {
            name.eq_ignore_ascii_case("attributes")
                || name.eq_ignore_ascii_case("excludedAttributes")
        };
        let query = self.query();
        let pairs = query
            .iter()
            .filter(|(name, _)| wanted(name))
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let request = SearchRequest::from_query(pairs)?;
        Ok(self.projected(&request, types)?)
    }

    /// The same of a search.
    pub(super) fn projected(
        &self,
        request: &SearchRequest,
        types: &[Arc<TypeSchema>],
    ) -> Result<Projection, Error> {
        let mut projection = Projection::new(&request.attributes, &request.excluded_attributes)?;
        self.trace.journal.also_adapted(normalize_projection(
            &self.quirks(),
            types,
            &mut projection,
        ));
        Ok(projection)
    }

    /// What the answer to a POST or PUT shows. A caller that may not read is told which resource it is, and nothing that the resource holds.
    pub(super) fn projection_of_written(
        &self,
        types: &[Arc<TypeSchema>],
    ) -> Result<Projection, Failure> {
        let wanted = self.projection(types)?;
        Ok(if self.may_read() {
            wanted
        } else {
            Projection::new(&["meta".to_owned()], &[])?
        })
    }

    fn may_read(&self) -> bool {
        self.caller.requires(Scope::Read).is_ok()
    }

    /// Whether this kind of client expects the resource in the answer to a PATCH.
    fn expects_patched(&self, schema: &TypeSchema) -> bool {
        let expected = self
            .caller
            .profile()
            .map_or(PatchExpectation::Resource, |profile| {
                if schema.core_attribute("members").is_some() {
                    profile.expects.group_patch
                } else {
                    profile.expects.patch
                }
            });
        expected == PatchExpectation::Resource
    }

    pub(super) fn view<'a>(&'a self, projection: &'a Projection) -> View<'a> {
        View {
            base_url: &self.base_url,
            caller: &self.caller,
            projection,
            directory: &self.directory,
        }
    }
}
