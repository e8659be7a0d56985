//! *(shell)* Direct memberships as resources of their own (draft-zollner-scim-group-members): read, listed, made and ended. Each change is one of its
//! group, like any other change of members.

use scim_protocol::filter::CompareOp;
use scim_protocol::filter::compare::{check_sort, sort_key};
use scim_protocol::patch::member::MemberDelta;
use scim_protocol::patch_path::PATCH_SCHEMA;
use scim_protocol::{Error, ErrorKind, Filter, TypeSchema};
use serde_json::{Map, Value, json};

use super::refusal::{NotWritten, not_found, refusal};
use super::{Directory, DirectoryError};
use crate::access::Caller;
use crate::change_set::{Change, Effect, Precondition};
use crate::names::{check_names, hide_membership_names};
use crate::parking::Method;
use crate::search::{Position, Sort};
use crate::store::{CommitError, Fault, Locate, Membership, MembershipQuery};

/// Memberships that are looked at in one go where a filter has to be evaluated.
const LOOKED_AT_ONCE: u64 = 1_000;
/// Most memberships that are sorted for one page: no index has their order.
const SORTED_MAX: u64 = 10_000;

/// Which page of the memberships is wanted.
#[derive(Clone, Debug)]
pub struct MembershipSearch {
    /// The filter.
    pub filter: Option<Filter>,
    /// How many to pass over; nothing with a cursor.
    pub offset: u64,
    /// Most to return.
    pub limit: u64,
    /// The cursor, empty on the first page.
    pub cursor: Option<String>,
    /// The order; without one, that of groups and members.
    pub sort: Option<Sort>,
}

/// A page of memberships.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MembershipPage {
    /// How many match in all; `None` where that was not counted.
    pub total_results: Option<u64>,
    /// The page.
    pub memberships: Vec<Membership>,
    /// The cursor of the next page, where there is one.
    pub next_cursor: Option<String>,
}

impl Membership {
    /// The id of the membership: those of its group and its member.
    pub fn id(&self) -> String {
        format!("{}.{}", self.group.id, self.member.id)
    }

    /// The resource, without its location.
    pub fn to_document(
        &self,
        schema: &TypeSchema,
        locate: Option<Locate<'_>>,
    ) -> Map<String, Value> {
        let mut group = json!({"value": self.group.id});
        let mut member = json!({"value": self.member.id, "type": self.member.resource_type});
        for (element, related) in [(&mut group, &self.group), (&mut member, &self.member)] {
            let Some(element) = element.as_object_mut() else {
                continue;
            };
            if !related.display.is_empty() {
                element.insert("display".into(), related.display.clone().into());
            }
            if let Some(locate) = locate {
                element.insert(
                    "$ref".into(),
                    locate(&related.resource_type, &related.id).into(),
                );
            }
        }
        let mut document = Map::new();
        document.insert("schemas".into(), json!([schema.core.id]));
        document.insert("id".into(), self.id().into());
        document.insert("group".into(), group);
        document.insert("member".into(), member);
        document.insert("meta".into(), json!({"resourceType": schema.name()}));
        document
    }
}

impl Directory {
    /// One membership by its id.
    pub async fn membership(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Membership, DirectoryError> {
        caller.may_read(group_type(caller)?)?;
        self.find_membership(caller, id)
            .await?
            .ok_or_else(|| not_found("GroupMember", id).into())
    }

    async fn find_membership(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Option<Membership>, DirectoryError> {
        let Some((group, member)) = id.split_once('.') else {
            return Ok(None);
        };
        let query = MembershipQuery {
            group_id: Some(group.into()),
            member_id: Some(member.into()),
            limit: 1,
            ..MembershipQuery::default()
        };
        Ok(self.find_memberships(caller, &query).await?.pop())
    }

    /// Memberships as the caller sees them. Filters and orders go by nothing else.
    async fn find_memberships(
        &self,
        caller: &Caller,
        query: &MembershipQuery,
    ) -> Result<Vec<Membership>, Fault> {
        let mut found = self.store.find_memberships(caller.tenant.id, query).await?;
        for membership in &mut found {
            hide_membership_names(&caller.permissions, membership);
        }
        Ok(found)
    }

    /// A page of the memberships that a filter selects. Refuses an order of more than 10,000, or with a cursor.
    pub async fn memberships(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        search: MembershipSearch,
    ) -> Result<MembershipPage, DirectoryError> {
        caller.may_read(group_type(caller)?)?;
        if let Some(filter) = &search.filter {
            filter.check(&[schema])?;
        }
        check_names(
            caller,
            &[schema],
            search.filter.as_ref(),
            search.sort.as_ref().map(|sort| &sort.path),
        )?;
        if let Some(sort) = &search.sort {
            return self.sorted_memberships(caller, schema, &search, sort).await;
        }
        let (mut query, residual) = query_of(search.filter.as_ref());
        let context = context(caller, search.filter.as_ref());
        if let Some(cursor) = &search.cursor {
            let after = self.open_cursor(&context, cursor)?;
            query.after = after.map(|position| (key_of(&position.value), position.key));
        }
        let by_cursor = search.cursor.is_some();
        let wanted = usize::try_from(search.limit.saturating_add(u64::from(by_cursor)))
            .unwrap_or(usize::MAX);
        let (total_results, mut memberships) = if residual {
            self.look_at_memberships(caller, schema, &search, query, wanted)
                .await?
        } else {
            let total = self
                .store
                .count_memberships(caller.tenant.id, &query)
                .await?;
            query.offset = if by_cursor { 0 } else { search.offset };
            query.limit = u64::try_from(wanted).unwrap_or(u64::MAX);
            (Some(total), self.find_memberships(caller, &query).await?)
        };
        let limit = usize::try_from(search.limit).unwrap_or(usize::MAX);
        let more = by_cursor && memberships.len() > limit;
        memberships.truncate(limit);
        let next_cursor = match memberships.last().filter(|_| more) {
            None => None,
            Some(last) => {
                let (group, member) = last.keys;
                let position = Position {
                    place: 0,
                    missing: false,
                    value: group.to_be_bytes().to_vec(),
                    key: member,
                };
                Some(self.seal_cursor(&context, &position)?)
            }
        };
        Ok(MembershipPage {
            total_results,
            memberships,
            next_cursor,
        })
    }

    /// The same in an order that no index has: all that an index selects is read and sorted, so there may not be too many of them.
    async fn sorted_memberships(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        search: &MembershipSearch,
        sort: &Sort,
    ) -> Result<MembershipPage, DirectoryError> {
        check_sort(&[schema], &sort.path)?;
        if search.cursor.is_some() {
            let detail = "GroupMembers are paged by cursor in the order of groups and members; accepted is `sortBy` or `cursor`.";
            return Err(Error::new(ErrorKind::InvalidValue, detail)
                .at("sortBy")
                .into());
        }
        let (mut query, _) = query_of(search.filter.as_ref());
        let count = self
            .store
            .count_memberships(caller.tenant.id, &query)
            .await?;
        if count > SORTED_MAX {
            let detail = format!(
                "{count} memberships would have to be sorted; at most {SORTED_MAX} are. Accepted is a filter with `group.value eq` or `member.value eq` that selects fewer, or no `sortBy`."
            );
            return Err(Error::new(ErrorKind::TooMany, detail).at("sortBy").into());
        }
        query.limit = SORTED_MAX;
        let mut found = Vec::new();
        for membership in self.find_memberships(caller, &query).await? {
            let document = membership.to_document(schema, None);
            if search
                .filter
                .as_ref()
                .is_none_or(|filter| filter.matches(schema, &document))
            {
                found.push((sort_key(schema, &sort.path, &document), membership));
            }
        }
        // Those without a value come last, and first in descending order (RFC 7644 section 3.4.2.3); equals as they were.
        found.sort_by(|(one, _), (other, _)| {
            let order = (one.is_none(), one).cmp(&(other.is_none(), other));
            if sort.descending {
                order.reverse()
            } else {
                order
            }
        });
        let total_results = Some(u64::try_from(found.len()).unwrap_or(u64::MAX));
        let (offset, limit) = (
            usize::try_from(search.offset).unwrap_or(usize::MAX),
            usize::try_from(search.limit).unwrap_or(usize::MAX),
        );
        let memberships = found
            .into_iter()
            .map(|(_, membership)| membership)
            .skip(offset)
            .take(limit)
            .collect();
        Ok(MembershipPage {
            total_results,
            memberships,
            next_cursor: None,
        })
    }

    /// Evaluates the filter batch by batch, and keeps the memberships of the page.
    async fn look_at_memberships(
        &self,
        caller: &Caller,
        schema: &TypeSchema,
        search: &MembershipSearch,
        mut query: MembershipQuery,
        wanted: usize,
    ) -> Result<(Option<u64>, Vec<Membership>), DirectoryError> {
        let by_cursor = search.cursor.is_some();
        let (mut total, mut found) = (0_u64, Vec::new());
        query.limit = LOOKED_AT_ONCE;
        loop {
            let batch = self.find_memberships(caller, &query).await?;
            query.after = batch.last().map(|last| last.keys);
            let is_last = batch.len() < usize::try_from(LOOKED_AT_ONCE).unwrap_or(usize::MAX);
            for membership in batch {
                let document = membership.to_document(schema, None);
                if search
                    .filter
                    .as_ref()
                    .is_none_or(|filter| filter.matches(schema, &document))
                {
                    total += 1;
                    if (by_cursor || total > search.offset) && found.len() < wanted {
                        found.push(membership);
                    }
                }
            }
            if is_last || (by_cursor && found.len() >= wanted) {
                return Ok(((!by_cursor).then_some(total), found));
            }
        }
    }

    /// Makes a resource a member of a group.
    pub async fn create_membership(
        &self,
        caller: &Caller,
        body: &Value,
    ) -> Result<Membership, DirectoryError> {
        let schema = group_type(caller)?;
        caller.may_write(schema)?;
        let (group, member) = (named(body, "group")?, named(body, "member")?);
        // The `members` of a group may name somebody who is not there yet. A membership is a resource of its own, so both of its sides are there.
        if caller.may_name_people() && !self.is_there(caller, &member).await? {
            return Err(no_such_member(&member).into());
        }
        let delta = MemberDelta {
            replace: false,
            added: vec![member.clone()],
            removed: Vec::new(),
        };
        let change = Change::Update {
            precondition: Precondition::Exists,
            content: None,
            members: delta,
            effect: Effect::default(),
        };
        let committed = match self
            .commit(caller, self.moment().change_set(schema, &group, change))
            .await
        {
            Ok(committed) => committed,
            Err(CommitError::NotFound { .. }) => {
                let detail = format!(
                    "`group.value` is `{group}`, but there is no such group; accepted is the `id` of an existing Group."
                );
                return Err(Error::new(ErrorKind::InvalidValue, detail)
                    .at("group.value")
                    .into());
            }
            Err(CommitError::ReferenceMissing { id }) => return Err(no_such_member(&id).into()),
            Err(error) => return Err(refusal(error)),
        };
        let id = format!("{group}.{member}");
        if !committed.changed {
            let detail = format!(
                "`{member}` is a member of `{group}` already; the membership has the id `{id}`."
            );
            return Err(Error::new(ErrorKind::Uniqueness, detail)
                .at("member.value")
                .into());
        }
        self.find_membership(caller, &id)
            .await?
            .ok_or_else(|| not_found("GroupMember", &id).into())
    }

    /// Ends a membership.
    pub async fn delete_membership(&self, caller: &Caller, id: &str) -> Result<(), DirectoryError> {
        let schema = group_type(caller)?;
        caller.may_write(schema)?;
        let Some((group, member)) = id.split_once('.') else {
            return Err(not_found("GroupMember", id).into());
        };
        let delta = MemberDelta {
            replace: false,
            added: Vec::new(),
            removed: vec![member.to_owned()],
        };
        let change = Change::Update {
            precondition: Precondition::Exists,
            content: None,
            members: delta,
            effect: Effect::default(),
        };
        let outcome = match self
            .commit(caller, self.moment().change_set(schema, group, change))
            .await
        {
            Ok(committed) if committed.changed => Ok(()),
            Ok(_) | Err(CommitError::NotFound { .. }) => Err(not_found("GroupMember", id).into()),
            Err(error) => Err(NotWritten::from(error)),
        };
        // What is parked is the same change as a PATCH of the group.
        let operation =
            json!({"op": "remove", "path": format!("members[value eq {}]", Value::from(member))});
        let body = json!({"schemas": [PATCH_SCHEMA], "Operations": [operation]});
        let parked = self
            .parks(
                caller,
                (schema, group),
                (Method::Patch, &body),
                outcome.as_ref().err(),
            )
            .await?;
        if parked { Ok(()) } else { Ok(outcome?) }
    }
}

fn no_such_member(id: &str) -> Error {
    let detail = format!(
        "`member.value` is `{id}`, but there is no such resource; accepted is the `id` of an existing one."
    );
    Error::new(ErrorKind::InvalidValue, detail).at("member.value")
}

/// The type Group. A caller that may read or write groups may read or write their memberships.
fn group_type(caller: &Caller) -> Result<&TypeSchema, Error> {
    let missing = || {
        Error::new(
            ErrorKind::NotFound,
            "There are no groups here, so there are no members of groups.",
        )
    };
    caller
        .schemas
        .by_name("Group")
        .map(AsRef::as_ref)
        .ok_or_else(missing)
}

/// `{"value": id}` of a body.
fn named(body: &Value, name: &str) -> Result<String, Error> {
    let member = |map: &Value, name: &str| {
        map.as_object()?
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.clone())
    };
    let value = member(body, name).and_then(|element| member(&element, "value"));
    value.as_ref().and_then(Value::as_str).filter(|id| !id.is_empty()).map(str::to_lowercase).ok_or_else(|| {
        let detail =
            format!("`{name}.value` is missing; accepted is the `id` of the {name}, as in {{\"{name}\": {{\"value\": \"...\"}}}}.");
        Error::new(ErrorKind::InvalidValue, detail).at(format!("{name}.value"))
    })
}

/// What of a filter the index of memberships answers, and whether that is not all of it.
fn query_of(filter: Option<&Filter>) -> (MembershipQuery, bool) {
    let mut query = MembershipQuery::default();
    let mut residual = false;
    let all = match filter {
        None => &[],
        Some(Filter::And(all)) => all.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    for one in all {
        let Filter::Compare {
            path,
            op: CompareOp::Eq,
            value: Value::String(text),
        } = one
        else {
            residual = true;
            continue;
        };
        let path = path.to_string().to_ascii_lowercase();
        let place = match path.as_str() {
            "group" | "group.value" => &mut query.group_id,
            "member" | "member.value" => &mut query.member_id,
            _ => {
                residual = true;
                continue;
            }
        };
        // Two that differ select nothing, which the evaluation finds out.
        residual |= place.is_some();
        *place = Some(text.to_lowercase());
    }
    (query, residual)
}

/// What a cursor of memberships is bound to.
fn context(caller: &Caller, filter: Option<&Filter>) -> Vec<u8> {
    let mut context = b"GroupMember".to_vec();
    context.extend(caller.tenant.id.0.to_be_bytes());
    context.extend(
        filter
            .map(ToString::to_string)
            .unwrap_or_default()
            .into_bytes(),
    );
    context
}

fn key_of(bytes: &[u8]) -> i64 {
    bytes.try_into().map_or(i64::MIN, i64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use scim_protocol::filter::FilterLimits;

    use super::*;

    #[test]
    fn what_the_index_answers() {
        let check = |text: &str, group: Option<&str>, member: Option<&str>, residual: bool| {
            let filter = Filter::parse(text, FilterLimits::default()).unwrap();
            let (query, found) = query_of(Some(&filter));
            assert_eq!(
                (query.group_id.as_deref(), query.member_id.as_deref(), found),
                (group, member, residual),
                "{text}"
            );
        };
        check(r#"group.value eq "G""#, Some("g"), None, false);
        check(
            r#"group eq "g" and member.value eq "M""#,
            Some("g"),
            Some("m"),
            false,
        );
        check(
            r#"group.value eq "g" and member.type eq "User""#,
            Some("g"),
            None,
            true,
        );
        check(
            r#"group.value eq "g" and group.value eq "h""#,
            Some("h"),
            None,
            true,
        );
        check(
            r#"group.value eq "g" or member.value eq "m""#,
            None,
            None,
            true,
        );
        check(r#"member.display sw "a""#, None, None, true);
    }
}
