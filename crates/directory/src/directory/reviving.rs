//! *(shell)* Finds the person that a create brings back: one who was deleted, or one who is disabled.

use std::sync::Arc;

use scim_protocol::filter::CompareOp;
use scim_protocol::{AttributePath, Filter, TypeSchema};
use serde_json::{Map, Value};

use super::bulk_draft::Draft;
use super::{Directory, DirectoryError};
use crate::access::Caller;
use crate::history::{Deleted, Tombstone};
use crate::pending::{Names, fold};
use crate::revival::Wanted;
use crate::search::{Include, Page, plan};
use crate::store::{Fault, StoredResource};
use crate::version::Expected;

/// Resources, deleted or not, that are looked at for a name.
const NAMESAKES_MAX: u32 = 10;

impl Directory {
    /// A deleted resource with one of the names of the new one, if the caller's profile gives it its id back.
    pub(super) async fn find_former(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        document: &Map<String, Value>,
    ) -> Result<Option<Tombstone>, Fault> {
        let Some(past) = self
            .past
            .as_ref()
            .filter(|_| caller.safety().revive_deleted)
        else {
            return Ok(None);
        };
        let wanted = Wanted::of(document);
        let (user_name, external_id) = (
            wanted.user_name.map(fold),
            wanted.external_id.map(str::to_owned),
        );
        if user_name.is_none() && external_id.is_none() {
            return Ok(None);
        }
        let which = Deleted::Named {
            resource_type: schema.name().to_owned(),
            user_name,
            external_id: external_id.clone(),
        };
        let rehearsed = match &self.rehearsal {
            Some(rehearsal) => {
                rehearsal
                    .deleted(caller.tenant.id, &which, NAMESAKES_MAX)
                    .await?
            }
            None => None,
        };
        let mut found = match rehearsed {
            Some(found) => found,
            None => {
                past.history
                    .deleted(caller.tenant.id, which, NAMESAKES_MAX)
                    .await?
            }
        };
        found.retain(|tombstone| !wanted.is_other_than(tombstone.external_id.as_deref()));
        let same =
            |tombstone: &Tombstone| external_id.is_some() && tombstone.external_id == external_id;
        let place = found.iter().position(same).unwrap_or(0);
        Ok(if found.is_empty() {
            None
        } else {
            Some(found.swap_remove(place))
        })
    }

    /// Enables a disabled person who has one of the names of the new one, if the caller's profile says so.
    pub(super) async fn revive_disabled(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        (body, document): (&Value, &Map<String, Value>),
        include: Include,
    ) -> Result<Option<StoredResource>, DirectoryError> {
        let Some(one) = self.find_disabled(caller, schema, document, None).await? else {
            return Ok(None);
        };
        let expected = Expected::if_match(&crate::version::version_tag(one.version));
        self.replace_now(
            caller,
            schema,
            &one.id,
            enabling(body.clone()),
            &expected,
            include,
        )
        .await
        .map(Some)
        .map_err(DirectoryError::from)
    }

    /// The disabled person that a create enables, if the caller's profile says so; as a draft leaves them, if there is one.
    pub(super) async fn find_disabled(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        document: &Map<String, Value>,
        draft: Option<&Draft>,
    ) -> Result<Option<StoredResource>, DirectoryError> {
        let wants_active = document.get("active") != Some(&Value::Bool(false));
        if !caller.safety().revive_disabled
            || !wants_active
            || schema.core_attribute("active").is_none()
        {
            return Ok(None);
        }
        let Some(schema) = caller.schemas.by_name(schema.name()) else {
            return Ok(None);
        };
        let wanted = Wanted::of(document);
        // The person with the `externalId` is meant. If no person has it, the `userName` decides.
        let mut found = self
            .named(caller, schema, ("externalId", wanted.external_id), draft)
            .await?;
        if found.is_empty() {
            found = self
                .named(caller, schema, ("userName", wanted.user_name), draft)
                .await?;
        }
        Ok(wanted.choose(found))
    }

    /// Resources with this value of an attribute, as a draft leaves them, where there is one.
    async fn named(
        &self,
        caller: &Caller,
        schema: &Arc<TypeSchema>,
        (attribute, value): (&str, Option<&str>),
        draft: Option<&Draft>,
    ) -> Result<Vec<StoredResource>, DirectoryError> {
        let Some(value) = value else {
            return Ok(Vec::new());
        };
        let filter = Filter::Compare {
            path: AttributePath::parse(attribute)?,
            op: CompareOp::Eq,
            value: value.into(),
        };
        let page = Page {
            offset: 0,
            limit: NAMESAKES_MAX.into(),
        };
        let plan = plan(
            std::slice::from_ref(schema),
            Some(filter),
            None,
            page,
            Include::default(),
        )?;
        let mut found = self.store.search(caller.tenant.id, plan).await?.resources;
        for one in &mut found {
            if let Some(document) = draft
                .and_then(|draft| draft.left(schema, &one.id))
                .and_then(|left| left.document.clone())
            {
                one.document = document;
            }
        }
        found.retain(|one| draft.is_none_or(|draft| !draft.is_gone(&one.id)));
        found.retain(|one| Names::of(&one.id, &one.document).are_meant_by(value));
        Ok(found)
    }
}

/// The body of a create, as one that enables.
pub(super) fn enabling(mut body: Value) -> Value {
    if let Some(body) = body
        .as_object_mut()
        .filter(|body| !body.keys().any(|name| name.eq_ignore_ascii_case("active")))
    {
        body.insert("active".to_owned(), true.into());
    }
    body
}
