//! Bodies in pieces: text that is there, and members of large groups, which are read batch by batch while the body is sent, so that memory does not grow
//! with the group. A body without such members is sent as a whole.

use std::collections::VecDeque;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use directory::access::Caller;
use directory::directory::{Directory, DirectoryError, MoreMembers};
use directory::document::Document;
use directory::store::{Related, StoredResource};
use futures_util::stream;
use jiff::Timestamp;
use scim_protocol::TypeSchema;
use scim_protocol::projection::Projection;
use serde::Serialize;
use serde_json::{Map, Value};

use super::view::View;

/// A body.
#[derive(Default)]
pub(crate) struct Pieces {
    /// What is before the text.
    pieces: VecDeque<Piece>,
    /// Text at the end.
    text: Vec<u8>,
}

enum Piece {
    Text(Vec<u8>),
    Members(Arc<TypeSchema>, MoreMembers),
}

/// A part of an object: some of its members as text, or one by name.
enum Part<'a> {
    Text(&'a str),
    Said(&'a String, &'a Value),
}

/// What it takes to render what is read later.
pub(crate) struct Later {
    /// Where it is read.
    pub directory: Directory,
    /// The base URL the caller used.
    pub base_url: String,
    /// Who asked.
    pub caller: Caller,
    /// What the caller wants to see.
    pub projection: Projection,
}

impl Pieces {
    /// Adds text.
    pub fn text(&mut self, text: &[u8]) {
        self.text.extend_from_slice(text);
    }

    fn json(&mut self, value: &impl Serialize) {
        // Maps with string keys and JSON values always can be JSON, and memory takes it.
        drop(serde_json::to_writer(&mut self.text, value));
    }

    /// Adds a resource as it is shown: what it holds as the text that it is, and what is said of it, whose `members` go on with those that were not read
    /// yet. `schemas` stays in front, as in the RFC's examples, and `id` follows it.
    pub fn resource(
        &mut self,
        schema: &Arc<TypeSchema>,
        shown: (Document, Map<String, Value>),
        mut more: Option<MoreMembers>,
    ) {
        let (document, said) = shown;
        let inside = document
            .text()
            .strip_prefix('{')
            .and_then(|text| text.strip_suffix('}'))
            .unwrap_or_default();
        let (schemas, rest) = first_member(inside);
        let held = |text| Some(Part::Text(text)).filter(|_| !text.is_empty());
        let mut said = said.iter().map(|(name, value)| Part::Said(name, value));
        let parts = held(schemas)
            .into_iter()
            .chain(said.next())
            .chain(held(rest))
            .chain(said);
        let mut separator = "{";
        for part in parts {
            self.text(separator.as_bytes());
            separator = ",";
            let (name, value) = match part {
                Part::Said(name, value) => (name, value),
                Part::Text(text) => {
                    self.text(text.as_bytes());
                    continue;
                }
            };
            self.json(name);
            self.text(b":");
            match (value, more.take_if(|_| name == "members")) {
                (Value::Array(first), Some(more)) => {
                    self.text(b"[");
                    self.elements(first);
                    self.pieces
                        .push_back(Piece::Text(std::mem::take(&mut self.text)));
                    self.pieces
                        .push_back(Piece::Members(Arc::clone(schema), more));
                    self.text(b"]");
                }
                _ => self.json(value),
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
    pub fn into_body(mut self, later: impl FnOnce() -> Later) -> Body {
        if self.pieces.is_empty() {
            return Body::from(self.text);
        }
        let later = later();
        self.pieces.push_back(Piece::Text(self.text));
        Body::from_stream(stream::try_unfold(
            (self.pieces, later),
            |(pieces, later)| async move {
                let next = next(pieces, &later).await?;
                Ok::<_, DirectoryError>(next.map(|(bytes, pieces)| (bytes, (pieces, later))))
            },
        ))
    }
}

/// The members inside an object's braces: the first one, and the others.
fn first_member(members: &str) -> (&str, &str) {
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    let comma = members.bytes().position(|byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => quoted = !quoted,
            b'[' | b'{' if !quoted => depth += 1,
            b']' | b'}' if !quoted => depth = depth.saturating_sub(1),
            b',' => return !quoted && depth == 0,
            _ => {}
        }
        false
    });
    comma
        .and_then(|comma| Some((members.get(..comma)?, members.get(comma + 1..)?)))
        .unwrap_or((members, ""))
}

async fn next(
    mut pieces: VecDeque<Piece>,
    later: &Later,
) -> Result<Option<(Bytes, VecDeque<Piece>)>, DirectoryError> {
    match pieces.pop_front() {
        None => Ok(None),
        Some(Piece::Text(text)) => Ok(Some((text.into(), pieces))),
        Some(Piece::Members(schema, from)) => {
            let (members, more) = later.directory.next_members(&later.caller, from).await?;
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
        let view = View {
            base_url: &self.base_url,
            caller: &self.caller,
            projection: &self.projection,
            directory: &self.directory,
        };
        let part = StoredResource {
            resource_type: schema.name().to_owned(),
            id: String::new(),
            version: 0,
            created: Timestamp::UNIX_EPOCH,
            last_modified: Timestamp::UNIX_EPOCH,
            document: Document::default(),
            members,
            groups: Vec::new(),
        };
        let (_, said) = view.halves(schema, part);
        let mut text = Vec::new();
        for element in said
            .get("members")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
        {
            text.push(b',');
            text.extend(serde_json::to_vec(element).unwrap_or_default());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_member_ends_where_it_ends() {
        let check = |text: &str, first: &str, rest: &str| {
            assert_eq!(first_member(text), (first, rest), "{text}");
        };
        check(
            r#""schemas":["a","b"],"userName":"x","n":{"a":1,"b":2}"#,
            r#""schemas":["a","b"]"#,
            r#""userName":"x","n":{"a":1,"b":2}"#,
        );
        check(r#""a,\"b":"}],\\","c":1"#, r#""a,\"b":"}],\\""#, r#""c":1"#);
        check(r#""a":{"b":[1,2]}"#, r#""a":{"b":[1,2]}"#, "");
        check("", "", "");
    }
}
