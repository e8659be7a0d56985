//! A request that is all or nothing on its way: what has been decided so far, and what it leaves behind for the operations that follow. Reads nothing.

use std::collections::{HashMap, HashSet};

use scim_protocol::patch::member::MemberDelta;
use scim_protocol::{Error, ErrorKind, TypeSchema};

use crate::change_set::{Change, ChangeSet, Content, Effect, Moment, Precondition, Write};
use crate::document::Document;
use crate::store::Related;
use crate::version::Expected;

/// What has been decided. A resource may be written more than once: the store applies the writes in their order, so each one finds what those before it left.
pub(super) struct Draft {
    pub moment: Moment,
    /// The id of each resource that the request makes, by its name there.
    pub ids: HashMap<String, String>,
    /// Those of them that are not made yet.
    pub unmade: HashSet<String>,
    /// The resources that creates bring back, by the name of the create.
    pub back: HashMap<String, Back>,
    /// Whether operations refer to each other in a circle.
    pub has_circles: bool,
    types_revision: u64,
    /// Writes that change nothing: each demands the version in which a resource was read, before any other write raises it.
    pins: Vec<Write>,
    writes: Vec<Write>,
    /// Members that are made later in the request than their groups, by the place of the operation that names them.
    later: HashMap<usize, Write>,
    left: HashMap<String, Left>,
}

/// A resource that was there before and that a create brings back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Back {
    pub id: String,
    /// Deleted, and not only disabled.
    pub is_deleted: bool,
}

/// What the operations so far leave of a resource, as far as they wrote or read it.
#[derive(Default)]
pub(super) struct Left {
    pub resource_type: String,
    /// Whether the request made it.
    pub is_new: bool,
    pub is_gone: bool,
    /// Whether an operation wrote it, and did not only read it.
    is_written: bool,
    pub document: Option<Document>,
    /// What people call it, where its document was written.
    display: Option<String>,
    /// What happened to its members, in order.
    members: Vec<MemberDelta>,
}

impl Draft {
    pub fn new(moment: Moment) -> Self {
        Self {
            moment,
            ids: HashMap::new(),
            unmade: HashSet::new(),
            back: HashMap::new(),
            has_circles: false,
            types_revision: 0,
            pins: Vec::new(),
            writes: Vec::new(),
            later: HashMap::new(),
            left: HashMap::new(),
        }
    }

    pub fn into_change_set(self) -> ChangeSet {
        let writes = self.pins.into_iter().chain(self.writes).collect();
        self.moment.change_set_of(self.types_revision, writes)
    }

    /// The resource as the operations so far leave it; `None` if none of them was about it, or if it is of another type.
    pub fn left(&self, schema: &TypeSchema, id: &str) -> Option<&Left> {
        self.left
            .get(id)
            .filter(|left| left.resource_type == schema.name())
    }

    /// A member as the request leaves it, where it wrote what people call it.
    pub fn related(&self, id: &str) -> Option<Related> {
        let Left {
            resource_type,
            display,
            ..
        } = self.left.get(id)?;
        Some(Related {
            id: id.to_owned(),
            resource_type: resource_type.clone(),
            display: display.clone()?,
            direct: true,
        })
    }

    /// What happened to the members of a group, in order.
    pub fn changes_of_members(&self, id: &str) -> &[MemberDelta] {
        self.left
            .get(id)
            .map(|left| left.members.as_slice())
            .unwrap_or_default()
    }

    pub fn is_gone(&self, id: &str) -> bool {
        self.left.get(id).is_some_and(|left| left.is_gone)
    }

    /// The create with this name brings a resource back, so later operations refer to the id of that one.
    pub fn bring_back(&mut self, name: String, back: Back) {
        if let Some(id) = self.ids.insert(name.clone(), back.id.clone()) {
            self.unmade.remove(&id);
        }
        self.back.insert(name, back);
    }

    /// Whether the store no longer knows what this resource holds, or whether it is there.
    pub fn is_other_than_stored(&self, id: &str) -> bool {
        self.left
            .get(id)
            .is_some_and(|left| left.is_written || left.is_gone)
    }

    /// What resources of a type hold that the operations so far wrote.
    pub fn written_of(&self, resource_type: &str) -> impl Iterator<Item = &Document> {
        let is_it = move |left: &&Left| {
            left.is_written && !left.is_gone && left.resource_type == resource_type
        };
        self.left
            .values()
            .filter(is_it)
            .filter_map(|left| left.document.as_ref())
    }

    /// A resource was read: what is decided from here on holds only if no other request has changed it since.
    pub fn pin(&mut self, schema: &TypeSchema, id: &str, version: u64, document: Document) {
        let left = self.left_of(schema.name(), id);
        if left.document.is_none() {
            left.document = Some(document);
            let change = members_only(Precondition::VersionIs(version), MemberDelta::default());
            self.pins.push(Write {
                resource_type: schema.name().to_owned(),
                id: id.to_owned(),
                change,
            });
        }
    }

    /// What a write demands. The store looks at each when its turn comes, so a version that the client names is compared with what the operations before
    /// leave. The pin ensures that no other request came in between.
    pub fn precondition(&self, id: &str, expected: &Expected) -> Result<Precondition, Error> {
        match expected.only_version() {
            Some(version) => Ok(Precondition::VersionIs(version)),
            None if expected.is_anything() || !self.is_written(id) => Ok(Precondition::Exists),
            None => {
                let detail = format!(
                    "An operation before this one changes `{id}` too; accepted is one version, or none."
                );
                Err(Error::new(ErrorKind::InvalidValue, detail).at("version"))
            }
        }
    }

    /// Whether an operation so far has written it.
    pub fn is_written(&self, id: &str) -> bool {
        self.left.get(id).is_some_and(|left| left.is_written)
    }

    /// Takes what was decided about one resource.
    pub fn take(&mut self, decided: ChangeSet, demanded: Precondition) {
        self.types_revision = decided.types_revision;
        for mut write in decided.writes {
            let left = self.left_of(&write.resource_type, &write.id);
            left.is_written = true;
            match &mut write.change {
                Change::Create {
                    content, members, ..
                } => {
                    left.is_new = true;
                    left.hold(content);
                    left.members.push(MemberDelta {
                        replace: false,
                        added: members.clone(),
                        removed: Vec::new(),
                    });
                    self.unmade.remove(&write.id);
                }
                Change::Update {
                    precondition,
                    content,
                    members,
                    ..
                } => {
                    *precondition = demanded;
                    if let Some(content) = content {
                        left.hold(content);
                    }
                    left.members.push(members.clone());
                }
                Change::Delete { precondition } => {
                    *precondition = demanded;
                    left.is_gone = true;
                }
            }
            self.writes.push(write);
        }
    }

    /// Takes members out of a create that are not made yet; they join when the operation is completed.
    pub fn postpone_members(&mut self, index: usize, decided: &mut ChangeSet) {
        for write in &mut decided.writes {
            let Change::Create { members, .. } = &mut write.change else {
                continue;
            };
            let added: Vec<String> = members
                .iter()
                .filter(|id| self.unmade.contains(*id))
                .cloned()
                .collect();
            members.retain(|id| !self.unmade.contains(id));
            if !added.is_empty() {
                let change = members_only(
                    Precondition::Exists,
                    MemberDelta {
                        replace: false,
                        added,
                        removed: Vec::new(),
                    },
                );
                self.later.insert(
                    index,
                    Write {
                        resource_type: write.resource_type.clone(),
                        id: write.id.clone(),
                        change,
                    },
                );
            }
        }
    }

    /// The members that an operation was made without are there now.
    pub fn complete(&mut self, index: usize) {
        let Some(write) = self.later.remove(&index) else {
            return;
        };
        if let Change::Update { members, .. } = &write.change {
            self.left_of(&write.resource_type, &write.id)
                .members
                .push(members.clone());
        }
        self.writes.push(write);
    }

    fn left_of(&mut self, resource_type: &str, id: &str) -> &mut Left {
        self.left.entry(id.to_owned()).or_insert_with(|| Left {
            resource_type: resource_type.to_owned(),
            ..Left::default()
        })
    }
}

impl Left {
    fn hold(&mut self, content: &Content) {
        self.document = Some(content.document.clone());
        self.display = Some(content.display.clone());
    }
}

fn members_only(precondition: Precondition, members: MemberDelta) -> Change {
    Change::Update {
        precondition,
        content: None,
        members,
        effect: Effect::default(),
    }
}
