//! Bodies in pieces: text that is there, and members of large groups, which are read batch by batch while the body is sent, so that memory does not grow
//! with the group. A body without such members is sent as a whole.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use directory::directory::{Directory, DirectoryError, MoreMembers};
use directory::store::{Related, StoredResource};
use futures_util::stream;
use jiff::Timestamp;
use scim_protocol::projection::Projection;
use scim_protocol::{SchemaSet, TypeSchema};
use serde::Serialize;
use serde_json::{Map, Value};

use super::render::View;

/// A body.
#[derive(Default)]
pub(crate) struct Pieces {
    pieces: VecDeque<Piece>,
}

enum Piece {
    Text(Vec<u8>),
    Members(Arc<TypeSchema>, MoreMembers),
}

/// What it takes to render what is read later.
pub(crate) struct Later {
    /// Where it is read.
    pub directory: Directory,
    /// The base URL the caller used.
    pub base_url: String,
    /// All resource types, for references.
    pub schemas: SchemaSet,
    /// What the caller wants to see.
    pub projection: Projection,
}

impl Pieces {
    /// Adds text.
    pub fn text(&mut self, text: &[u8]) {
        match self.pieces.back_mut() {
            Some(Piece::Text(last)) => last.extend_from_slice(text),
            _ => self.pieces.push_back(Piece::Text(text.to_vec())),
        }
    }

    fn json(&mut self, value: &impl Serialize) {
        // Maps with string keys and JSON values always can be JSON.
        self.text(&serde_json::to_vec(value).unwrap_or_default());
    }

    /// Adds a resource as it is shown, whose `members` go on with those that were not read yet.
    pub fn resource(&mut self, schema: &Arc<TypeSchema>, document: Map<String, Value>, more: Option<MoreMembers>) {
        let Some((more, first)) = more.zip(document.get("members").and_then(Value::as_array)) else {
            return self.json(&document);
        };
        let mut separator = "{";
        for (name, value) in &document {
            self.text(separator.as_bytes());
            separator = ",";
            self.json(name);
            self.text(b":");
            if name == "members" {
                self.text(b"[");
                self.elements(first);
                self.pieces.push_back(Piece::Members(Arc::clone(schema), more.clone()));
                self.text(b"]");
            } else {
                self.json(value);
            }
        }
        self.text(b"}");
    }

    fn elements(&mut self, elements: &[Value]) {
        for (index, element) in elements.iter().enumerate() {
            if index > 0 {
                self.text(b",");
            }
            self.json(element);
        }
    }

    /// The body. One that is whole has a length.
    pub fn into_body(mut self, later: Later) -> Body {
        if self.pieces.len() <= 1 {
            return match self.pieces.pop_front() {
                Some(Piece::Text(text)) => Body::from(text),
                _ => Body::empty(),
            };
        }
        Body::from_stream(stream::try_unfold((self.pieces, later), |(pieces, later)| async move {
            let next = next(pieces, &later).await?;
            Ok::<_, DirectoryError>(next.map(|(bytes, pieces)| (bytes, (pieces, later))))
        }))
    }
}

async fn next(mut pieces: VecDeque<Piece>, later: &Later) -> Result<Option<(Bytes, VecDeque<Piece>)>, DirectoryError> {
    match pieces.pop_front() {
        None => Ok(None),
        Some(Piece::Text(text)) => Ok(Some((text.into(), pieces))),
        Some(Piece::Members(schema, from)) => {
            let (members, more) = later.directory.next_members(from).await?;
            if let Some(more) = more {
                pieces.push_front(Piece::Members(Arc::clone(&schema), more));
            }
            let members = members.into_iter().map(|member| member.related).collect();
            Ok(Some((later.elements(&schema, members).into(), pieces)))
        }
    }
}

impl Later {
    /// Further elements of `members`, each behind a comma.
    fn elements(&self, schema: &Arc<TypeSchema>, members: Vec<Related>) -> Vec<u8> {
        let view = View { base_url: &self.base_url, schemas: &self.schemas, projection: &self.projection, directory: &self.directory };
        let part = StoredResource {
            resource_type: schema.name().to_owned(),
            id: String::new(),
            version: 0,
            created: Timestamp::UNIX_EPOCH,
            last_modified: Timestamp::UNIX_EPOCH,
            document: Map::new(),
            members,
            groups: Vec::new(),
        };
        let document = view.document(schema, part);
        let mut text = Vec::new();
        for element in document.get("members").and_then(Value::as_array).into_iter().flatten() {
            text.push(b',');
            text.extend(serde_json::to_vec(element).unwrap_or_default());
        }
        text
    }
}
