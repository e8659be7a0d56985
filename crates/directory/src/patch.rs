//! PATCH of a resource that had to be read (RFC 7644 section 3.5.2). A PATCH of members only is in `membership`.

use scim_protocol::patch::apply::apply_noting;
use scim_protocol::patch::member::{Split, fold};
use scim_protocol::patch::work::Work;
use scim_protocol::quirk::{Adaptations, QuirkSet};
use scim_protocol::{Error, TypeSchema, ValidResource};

use crate::change_set::{Change, ChangeSet, Effect, Moment, Precondition};
use crate::content::content;
use crate::membership::elements;
use crate::store::StoredResource;

/// Decides a PATCH of `current`, read with its members where `membership::needs` says so.
///
/// `work` counts the whole PATCH, whichever attributes its operations are on. `noted` gets the adaptations of quirks that only the resource shows.
pub fn decide(
    moment: Moment,
    schema: &TypeSchema,
    current: &StoredResource,
    split: &Split,
    quirks: &QuirkSet,
    work: &mut Work,
    noted: &mut Adaptations,
) -> Result<ChangeSet, Error> {
    let StoredResource {
        id,
        version,
        document,
        members,
        ..
    } = current;
    let before = ValidResource::trusted(document.clone().into_tree());
    let after = if split.others.is_empty() {
        None
    } else {
        Some(apply_noting(
            schema,
            &before,
            &split.others,
            quirks,
            work,
            noted,
        )?)
    };
    let effect = after
        .as_ref()
        .map(|after| Effect::between(document, after.document(), false))
        .unwrap_or_default();
    // Content that did not change is not written again; the members may have.
    let content = after
        .filter(|after| *after != before)
        .map(|after| content(schema, after));
    let members = fold(schema, &split.members, &elements(members), work)?;
    let precondition = Precondition::VersionIs(*version);
    Ok(moment.change_set(
        schema,
        id,
        Change::Update {
            precondition,
            content,
            members,
            effect,
        },
    ))
}
