//! The commands, one file each; and the arguments and lookups that several of them share.

pub mod application;
pub mod audit;
pub mod client;
pub mod config;
pub mod demo;
pub mod group;
pub mod guard;
pub mod history;
pub mod import;
pub mod keys;
pub mod receiver;
pub mod issuer;
pub mod permissions;
pub mod profile;
pub mod requests;
pub mod schema;
pub mod serve;
pub mod sync;
pub mod tenant;
pub mod token;
pub mod user;

use clap::Args;
use scim_protocol::messages::SearchRequest;
use serde_json::{Map, Value, json};

use crate::identities::Page;
use crate::output::{Output, printable};

/// Which tenant.
#[derive(Args, Debug)]
pub struct TenantArgument {
    /// The tenant
    #[arg(long, value_name = "NAME", default_value = "default")]
    pub tenant: String,
}

/// Something of a tenant, by its name.
#[derive(Args, Debug)]
pub struct Named {
    /// Its name
    name: String,
    #[command(flatten)]
    tenant: TenantArgument,
}

/// Which resources, and how many.
#[derive(Args, Debug)]
pub struct Find {
    #[command(flatten)]
    pub tenant: TenantArgument,
    /// A SCIM filter (RFC 7644 section 3.4.2.2), such as 'userName sw "a"'
    #[arg(long)]
    filter: Option<String>,
    /// An attribute to sort by
    #[arg(long, value_name = "PATH")]
    sort_by: Option<String>,
    /// Sort downwards
    #[arg(long)]
    descending: bool,
    /// From which one on, counted from 1
    #[arg(long, value_name = "N", default_value_t = 1)]
    start_index: u64,
    /// At most this many
    #[arg(long, value_name = "N", default_value_t = 100)]
    count: u64,
}

impl Find {
    /// The search it stands for; by `sort_by` where nothing is said.
    fn request(&self, sort_by: &str) -> SearchRequest {
        SearchRequest {
            filter: self.filter.clone(),
            sort_by: Some(self.sort_by.clone().unwrap_or_else(|| sort_by.to_owned())),
            descending: self.descending,
            start_index: self.start_index.max(1),
            count: Some(self.count),
            ..SearchRequest::default()
        }
    }

    fn page_json(&self, page: &Page) -> Value {
        json!({ "totalResults": page.total_results, "startIndex": self.start_index.max(1), "resources": page.resources })
    }

    /// Says that there are more, where there are.
    fn say_rest(&self, page: &Page, output: Output) {
        let shown = u64::try_from(page.resources.len()).unwrap_or(u64::MAX);
        let next = self.start_index.max(1).saturating_add(shown);
        if !output.is_json() && next <= page.total_results && shown > 0 {
            output.note(format!(
                "{shown} of {} are shown; the next begin at --start-index {next}",
                page.total_results
            ));
        }
    }
}

/// The text of a top-level attribute; empty where there is none.
fn text_at(resource: &Map<String, Value>, name: &str) -> String {
    resource
        .get(name)
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned()
}

/// A resource as a table of attribute paths and values, or as JSON.
fn show(resource: Map<String, Value>, output: Output) {
    let mut rows = Vec::new();
    for (name, value) in &resource {
        if name != "schemas" {
            flatten(name, separator(name), value, &mut rows);
        }
    }
    output.table(&["attribute", "value"], rows, "", &Value::Object(resource));
}

/// The URN of an extension ends in a colon before the attribute (RFC 7644 section 3.10).
fn separator(name: &str) -> char {
    if name.contains(':') { ':' } else { '.' }
}

fn flatten(path: &str, separator: char, value: &Value, rows: &mut Vec<Vec<String>>) {
    match value {
        Value::Object(object) => {
            for (name, value) in object.iter().filter(|(name, _)| *name != "$ref") {
                flatten(&format!("{path}{separator}{name}"), '.', value, rows);
            }
        }
        Value::Array(elements) => {
            for element in elements {
                rows.push(vec![path.to_owned(), element_text(element)]);
            }
        }
        Value::String(text) => rows.push(vec![path.to_owned(), printable(text)]),
        other => rows.push(vec![path.to_owned(), other.to_string()]),
    }
}

/// An element of a multi-valued attribute in one line: its value, then the rest.
fn element_text(element: &Value) -> String {
    let Value::Object(object) = element else {
        return element
            .as_str()
            .map_or_else(|| element.to_string(), printable);
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), printable);
    let value = object.get("value").map(text);
    let rest = object
        .iter()
        .filter(|(name, _)| !matches!(name.as_str(), "value" | "$ref"))
        .map(|(name, value)| format!("{name}={}", text(value)));
    let rest = rest.collect::<Vec<_>>().join(", ");
    match value {
        Some(value) if rest.is_empty() => value,
        Some(value) => format!("{value} ({rest})"),
        None => rest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_told_line_by_line() {
        let resource = json!({
            "name": { "givenName": "Ada" },
            "emails": [{ "value": "a@b.c", "type": "work", "primary": true }],
            "urn:x:User": { "department": "Engines", "manager": { "value": "7" } }
        });
        let mut rows = Vec::new();
        for (name, value) in resource.as_object().unwrap() {
            flatten(name, separator(name), value, &mut rows);
        }
        let lines: Vec<String> = rows.iter().map(|row| row.join(" = ")).collect();
        let expected = [
            "name.givenName = Ada",
            "emails = a@b.c (type=work, primary=true)",
            "urn:x:User:department = Engines",
            "urn:x:User:manager.value = 7",
        ];
        assert_eq!(lines, expected);
    }
}
