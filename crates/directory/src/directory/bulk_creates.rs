//! *(shell)* Creates of a bulk request that follow each other, in one commit.

use std::collections::HashMap;
use std::sync::Arc;

use scim_protocol::messages::BulkOperation;
use scim_protocol::quirk::{Adaptations, normalize_resource};
use scim_protocol::{TypeSchema, redaction};
use serde_json::Value;

use super::Directory;
use super::bulk_operation::{BulkAnswer, Target, target};
use super::committing::written;
use crate::access::Caller;
use crate::bulk::{Scope, resolve};
use crate::change_set::{ChangeSet, Committed, Moment};
use crate::create;

/// Creates that have been decided, and what each of them leaves behind for the next one.
struct Creates {
    change_set: ChangeSet,
    /// The ids of the resources that the request made so far, by `bulkId`.
    ids: HashMap<String, String>,
    resources: Vec<(Arc<TypeSchema>, String)>,
    /// What quirks changed of each body, and the body where they changed something.
    noted: Vec<(Adaptations, Option<Value>)>,
}

impl Directory {
    /// Creates as many of these resources, from the first on, as can be decided, in one commit. If it can decide fewer than two, it creates none, and the
    /// caller creates the first by itself. `None`: the commit failed and changed nothing; the caller tries with fewer, which finds the operation at fault.
    pub(super) async fn create_together(
        &self,
        caller: &Caller,
        operations: &[(usize, &BulkOperation)],
        ids: &mut HashMap<String, String>,
    ) -> Option<Vec<BulkAnswer>> {
        // Creates that may bring a person back are carried out one after the other.
        if operations.len() < 2 || caller.safety().revive_deleted || caller.safety().revive_disabled
        {
            return Some(Vec::new());
        }
        let mut creates = Creates {
            change_set: self.moment().change_set_of(0, Vec::new()),
            ids: ids.clone(),
            resources: Vec::new(),
            noted: Vec::new(),
        };
        for (_, operation) in operations.iter().take_while(|_| !self.stop.is_set()) {
            if self
                .add_create(caller, operation, &mut creates)
                .await
                .is_none()
            {
                break;
            }
        }
        let Creates {
            change_set,
            ids: known,
            resources,
            noted,
        } = creates;
        if resources.len() < 2 {
            return Some(Vec::new());
        }
        let committed = self.commit_all(caller, change_set).await.ok()?;
        for (adapted, message) in noted {
            self.note(adapted, || message.unwrap_or_default());
        }
        *ids = known;
        let answer = |(((_, operation), resource), committed): (
            (&(usize, &BulkOperation), _),
            Committed,
        )| BulkAnswer {
            method: Some(operation.method),
            bulk_id: operation.bulk_id.clone(),
            resource: Some(resource),
            outcome: Ok(committed.version),
        };
        Some(
            operations
                .iter()
                .zip(resources)
                .zip(committed)
                .map(answer)
                .collect(),
        )
    }

    /// Decides one more create and adds it; `None` if it cannot be decided in this way.
    async fn add_create(
        &self,
        caller: &Caller,
        operation: &BulkOperation,
        creates: &mut Creates,
    ) -> Option<()> {
        let Ok(Target { schema, id: None }) = target(caller, operation, &creates.ids) else {
            return None;
        };
        let name = operation.bulk_id.as_ref();
        if name.is_none_or(|name| creates.ids.contains_key(name)) {
            return None;
        }
        caller.may_write(&schema).ok()?;
        let mut data = operation.data.clone().unwrap_or_default();
        resolve(
            Scope::of(Some(&schema), operation.method),
            &mut data,
            &creates.ids,
        )
        .ok()?;
        let quirks = &Self::quirks(caller);
        let adapted = normalize_resource(quirks, &schema, &mut data);
        let id = self.ids.id().to_string();
        let message = (!adapted.is_empty()).then(|| redaction::resource(&schema, data.clone()));
        let moment = Moment {
            at: creates.change_set.at,
            change_id: creates.change_set.change_id,
        };
        let decided = create::decide(moment, &schema, &id, data, quirks).ok()?;
        let document = written(&decided).map(|document| &**document);
        self.check_allowed(caller, &schema, [None, document], None)
            .await
            .ok()?;
        creates.noted.push((adapted, message));
        creates.change_set.types_revision = decided.types_revision;
        creates.change_set.writes.extend(decided.writes);
        creates
            .ids
            .extend(name.map(|name| (name.clone(), id.clone())));
        creates.resources.push((schema, id));
        Some(())
    }
}
