//! What a change of a type's schemas means for the rows of one stored resource: the same on both engines. Reads and writes nothing.

use std::collections::HashSet;

use directory::schema_effect::{AffectedType, judge};
use directory::schema_store::Contradiction;
use directory::store::Fault;
use directory::tenant_types::{DocumentVersion, TenantTypes};
use scim_protocol::TypeSchema;
use scim_protocol::quirk::QuirkSet;
use serde_json::{Map, Value};

use crate::rows::{
    IndexRow, attribute_key, decode_entries, encode_entries, from_json, index_rows, timestamp,
    version,
};

/// Resources that are looked at in one go.
pub(crate) const BATCH: usize = 500;

/// A resource's row, as far as it matters here.
pub(crate) struct Stored {
    /// Its key.
    pub resource: i64,
    /// Its id.
    pub id: String,
    /// The column `entries`.
    pub entries: Vec<u8>,
    /// The column `document`.
    pub document: String,
}

/// The rows that a resource loses and gets.
pub(crate) struct Rows {
    pub removed: Vec<IndexRow>,
    pub added: Vec<IndexRow>,
    /// The column `entries` from now on.
    pub entries: Vec<u8>,
}

/// One change of one type.
pub(crate) struct Reindex<'a> {
    affected: &'a AffectedType,
    schema: &'a TypeSchema,
    strict: QuirkSet,
    kept: HashSet<(bool, i64)>,
}

impl<'a> Reindex<'a> {
    pub(crate) fn new(affected: &'a AffectedType, schema: &'a TypeSchema) -> Self {
        let key = |path: &str| attribute_key(&affected.name, path);
        let kept = schema
            .indexed()
            .iter()
            .map(|indexed| (indexed.unique, key(&indexed.path)))
            .collect();
        Self {
            affected,
            schema,
            strict: QuirkSet::strict(),
            kept,
        }
    }

    /// The rows that change; `None` where none do; or what contradicts the change.
    ///
    /// Rows of attributes that are no longer indexed stay until the resource is next written: a search that was planned a moment ago may still ask for
    /// them, and they say nothing untrue.
    pub(crate) fn rows(
        &self,
        stored: &Stored,
    ) -> Result<Result<Option<Rows>, Contradiction>, Fault> {
        let document: Map<String, Value> = from_json(&stored.document)?;
        let content = match judge(self.affected, self.schema, document, &self.strict) {
            Ok(content) => content,
            Err(reason) => return Ok(Err(self.contradiction(&stored.id, reason))),
        };
        if !self.affected.reindex {
            return Ok(Ok(None));
        }
        let old = decode_entries(&stored.entries)?;
        let mut new = index_rows(&self.affected.name, &content.index);
        new.extend(
            old.iter()
                .filter(|row| !self.kept.contains(&(row.unique, row.attribute)))
                .cloned(),
        );
        let (before, after): (HashSet<&IndexRow>, HashSet<&IndexRow>) =
            (old.iter().collect(), new.iter().collect());
        let removed: Vec<IndexRow> = old
            .iter()
            .filter(|row| !after.contains(row))
            .cloned()
            .collect();
        let added: Vec<IndexRow> = new
            .iter()
            .filter(|row| !before.contains(row))
            .cloned()
            .collect();
        if removed.is_empty() && added.is_empty() {
            return Ok(Ok(None));
        }
        let entries = encode_entries(&new);
        Ok(Ok(Some(Rows {
            removed,
            added,
            entries,
        })))
    }

    pub(crate) fn contradiction(&self, id: &str, reason: String) -> Contradiction {
        Contradiction {
            resource_type: self.affected.name.clone(),
            id: id.to_owned(),
            reason,
        }
    }

    /// The resource has a value that another one has too.
    pub(crate) fn taken(&self, id: &str, attribute: i64) -> Contradiction {
        let is_it = |path: &&str| attribute_key(&self.affected.name, path) == attribute;
        let path = self
            .schema
            .indexed()
            .iter()
            .map(|indexed| indexed.path.as_str())
            .find(is_it)
            .unwrap_or_default();
        self.contradiction(
            id,
            format!(
                "`{path}` has a value that another {} has too",
                self.affected.name
            ),
        )
    }
}

/// A resource of a type that goes.
pub(crate) fn in_use(affected: &AffectedType, id: &str) -> Contradiction {
    Contradiction {
        resource_type: affected.name.clone(),
        id: id.to_owned(),
        reason: "it is there, and its resource type would go".into(),
    }
}

/// What holds, from rows of kind and document.
pub(crate) fn tenant_types(
    revision: i64,
    rows: Vec<(String, String)>,
) -> Result<TenantTypes, Fault> {
    let mut types = TenantTypes {
        revision: version(revision),
        ..TenantTypes::default()
    };
    for (kind, document) in rows {
        if kind == directory::tenant_types::DocumentKind::Schema.name() {
            types.schemas.push(from_json(&document)?);
        } else {
            types.resource_types.push(from_json(&document)?);
        }
    }
    Ok(types)
}

/// A version of a document, from its row.
pub(crate) fn document_version(
    number: i64,
    at: i64,
    author: String,
    document: Option<String>,
) -> Result<DocumentVersion, Fault> {
    let document = document.map(|document| from_json(&document)).transpose()?;
    Ok(DocumentVersion {
        version: version(number),
        at: timestamp(at)?,
        author,
        document,
    })
}
