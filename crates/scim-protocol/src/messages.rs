//! List, search and bulk bodies (RFC 7644 sections 3.4.2, 3.4.3, 3.7). Does not carry them out, and leaves filters and paths as text.

use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use crate::error::{Error, ErrorKind};

/// URN of the list response.
pub const LIST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:ListResponse";
/// URN of the search request.
pub const SEARCH_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:SearchRequest";
/// URN of the bulk request.
pub const BULK_REQUEST_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkRequest";
/// URN of the bulk response.
pub const BULK_RESPONSE_SCHEMA: &str = "urn:ietf:params:scim:api:messages:2.0:BulkResponse";

/// What a search asks for, from the query or from a `.search` body; still text.
#[derive(Clone, Debug, PartialEq)]
pub struct SearchRequest {
    /// `filter`.
    pub filter: Option<String>,
    /// `sortBy`.
    pub sort_by: Option<String>,
    /// `sortOrder` is `descending`.
    pub descending: bool,
    /// `startIndex`, at least 1 (RFC 7644 section 3.4.2.4: less than 1 is 1).
    pub start_index: u64,
    /// `count`; negative is 0, with a cursor it is refused.
    pub count: Option<u64>,
    /// `cursor` (RFC 9865); empty on the first page.
    pub cursor: Option<String>,
    /// `attributes`.
    pub attributes: Vec<String>,
    /// `excludedAttributes`.
    pub excluded_attributes: Vec<String>,
}

impl Default for SearchRequest {
    fn default() -> Self {
        Self {
            filter: None,
            sort_by: None,
            descending: false,
            start_index: 1,
            count: None,
            cursor: None,
            attributes: Vec::new(),
            excluded_attributes: Vec::new(),
        }
    }
}

/// How a search asks for its page, until all of the request has been read: what `count` may be depends on whether there is a cursor.
#[derive(Default)]
struct Paging {
    start_index: Option<i64>,
    /// The number, or what stands in its place.
    count: Option<Result<i64, String>>,
    cursor: Option<String>,
}

impl Paging {
    fn into_request(self, request: &mut SearchRequest) -> Result<(), Error> {
        let Some(cursor) = self.cursor else {
            request.start_index = start_index(self.start_index.unwrap_or(1));
            let refuse =
                |shown: String| Parameter::Count.refuse(&format!("`{shown}`"), "an integer");
            request.count = self
                .count
                .map(|number| number.map(count).map_err(refuse))
                .transpose()?;
            return Ok(());
        };
        // RFC 9865 section 2.3: a client asks for one method of paging or for the other.
        if self.start_index.is_some() {
            let detail = "The request has a `cursor` and a `startIndex`; accepted is one of them.";
            return Err(Error::new(ErrorKind::InvalidCursor, detail).at("cursor"));
        }
        request.count = self.count.map(positive_count).transpose()?;
        request.cursor = Some(cursor);
        Ok(())
    }
}

/// RFC 9865 section 2.1: beside a cursor, `count` is a positive integer. A larger number than the largest page gets the largest page.
fn positive_count(number: Result<i64, String>) -> Result<u64, Error> {
    let positive = number.and_then(|number| {
        u64::try_from(number)
            .ok()
            .filter(|number| *number > 0)
            .ok_or_else(|| number.to_string())
    });
    positive.map_err(|shown| {
        let detail =
            format!("`count` is `{shown}`; accepted with a cursor is an integer of at least 1.");
        Error::new(ErrorKind::InvalidCount, detail).at("count")
    })
}

impl SearchRequest {
    /// From decoded query parameters; names without case, unknown ones ignored.
    pub fn from_query<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self, Error> {
        let mut request = Self::default();
        let mut paging = Paging::default();
        for (name, value) in pairs {
            let Some(parameter) = Parameter::from_name(name) else {
                continue;
            };
            match parameter {
                Parameter::Filter => request.filter = Some(value.to_owned()),
                Parameter::SortBy => request.sort_by = Some(value.to_owned()),
                Parameter::SortOrder => request.descending = descending(value)?,
                Parameter::StartIndex => paging.start_index = Some(number(parameter, value)?),
                Parameter::Count => {
                    paging.count = Some(value.trim().parse().map_err(|_| value.to_owned()));
                }
                Parameter::Cursor => paging.cursor = Some(value.to_owned()),
                // Some clients send a list as one parameter for each name.
                Parameter::Attributes => request.attributes.extend(split(value)),
                Parameter::ExcludedAttributes => request.excluded_attributes.extend(split(value)),
            }
        }
        paging.into_request(&mut request)?;
        Ok(request)
    }

    /// From a `.search` body. Member names without case, unknown ones ignored, null is absent.
    pub fn from_body(body: Value) -> Result<Self, Error> {
        let body = message(body, SEARCH_SCHEMA)?;
        let mut request = Self::default();
        let mut paging = Paging::default();
        for (name, value) in body {
            let Some(parameter) = Parameter::from_name(&name).filter(|_| !value.is_null()) else {
                continue;
            };
            match parameter {
                Parameter::Filter => request.filter = Some(text(parameter, value)?),
                Parameter::SortBy => request.sort_by = Some(text(parameter, value)?),
                Parameter::SortOrder => request.descending = descending(&text(parameter, value)?)?,
                Parameter::StartIndex => paging.start_index = Some(integer(parameter, &value)?),
                Parameter::Count => {
                    paging.count = Some(value.as_i64().ok_or_else(|| value.to_string()));
                }
                Parameter::Cursor => paging.cursor = Some(text(parameter, value)?),
                Parameter::Attributes => request.attributes = names(parameter, value)?,
                Parameter::ExcludedAttributes => {
                    request.excluded_attributes = names(parameter, value)?;
                }
            }
        }
        paging.into_request(&mut request)?;
        Ok(request)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Parameter {
    Filter,
    SortBy,
    SortOrder,
    StartIndex,
    Count,
    Cursor,
    Attributes,
    ExcludedAttributes,
}

impl Parameter {
    const ALL: [Self; 8] = [
        Self::Filter,
        Self::SortBy,
        Self::SortOrder,
        Self::StartIndex,
        Self::Count,
        Self::Cursor,
        Self::Attributes,
        Self::ExcludedAttributes,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::Filter => "filter",
            Self::SortBy => "sortBy",
            Self::SortOrder => "sortOrder",
            Self::StartIndex => "startIndex",
            Self::Count => "count",
            Self::Cursor => "cursor",
            Self::Attributes => "attributes",
            Self::ExcludedAttributes => "excludedAttributes",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|parameter| parameter.name().eq_ignore_ascii_case(name))
    }

    fn refuse(self, found: &str, accepted: &str) -> Error {
        let name = self.name();
        Error::new(
            ErrorKind::InvalidValue,
            format!("`{name}` is {found}; accepted is {accepted}."),
        )
        .at(name)
    }
}

fn number(parameter: Parameter, value: &str) -> Result<i64, Error> {
    value
        .trim()
        .parse()
        .map_err(|_| parameter.refuse(&format!("`{value}`"), "an integer"))
}

fn integer(parameter: Parameter, value: &Value) -> Result<i64, Error> {
    value
        .as_i64()
        .ok_or_else(|| parameter.refuse(&format!("`{value}`"), "an integer"))
}

fn text(parameter: Parameter, value: Value) -> Result<String, Error> {
    match value {
        Value::String(text) => Ok(text),
        other => Err(parameter.refuse(&format!("`{other}`"), "a string")),
    }
}

/// RFC 7644 section 3.4.2.4: less than 1 is 1.
fn start_index(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(1).max(1)
}

/// RFC 7644 section 3.4.2.4: a negative value is 0.
fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn descending(order: &str) -> Result<bool, Error> {
    match order {
        order if order.eq_ignore_ascii_case("ascending") => Ok(false),
        order if order.eq_ignore_ascii_case("descending") => Ok(true),
        other => {
            Err(Parameter::SortOrder.refuse(&format!("`{other}`"), "`ascending` or `descending`"))
        }
    }
}

fn split(names: &str) -> Vec<String> {
    names
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .collect()
}

fn names(parameter: Parameter, value: Value) -> Result<Vec<String>, Error> {
    match value {
        Value::String(names) => Ok(split(&names)),
        Value::Array(names) => names
            .into_iter()
            .map(|name| {
                text(parameter, name).map_err(|_| {
                    parameter.refuse("not a list of strings", "an array of attribute names")
                })
            })
            .collect(),
        other => Err(parameter.refuse(&format!("`{other}`"), "an array of attribute names")),
    }
}

fn syntax(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidSyntax, detail)
}

/// The members of a message whose `schemas` names the URN.
fn message(body: Value, urn: &str) -> Result<Map<String, Value>, Error> {
    let Value::Object(body) = body else {
        return Err(syntax("The body is not a JSON object."));
    };
    let schemas = member(&body, "schemas").and_then(Value::as_array);
    let named = schemas.is_some_and(|schemas| {
        schemas.iter().any(|schema| {
            schema
                .as_str()
                .is_some_and(|schema| schema.eq_ignore_ascii_case(urn))
        })
    });
    if named {
        Ok(body)
    } else {
        Err(syntax(format!(
            "`schemas` does not name `{urn}`, which this request demands."
        ))
        .at("schemas"))
    }
}

fn member<'a>(map: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    map.get(name).or_else(|| {
        map.iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    })
}

/// A list response.
pub fn list_response(
    total_results: u64,
    start_index: u64,
    resources: Vec<Map<String, Value>>,
) -> Value {
    let mut body = list_head(total_results, start_index, resources.len());
    body.insert(
        "Resources".into(),
        Value::Array(resources.into_iter().map(Value::Object).collect()),
    );
    Value::Object(body)
}

/// A list response without its `Resources`, which are its last member.
pub fn list_head(total_results: u64, start_index: u64, items: usize) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("schemas".into(), json!([LIST_SCHEMA]));
    body.insert("totalResults".into(), total_results.into());
    body.insert("startIndex".into(), start_index.into());
    body.insert("itemsPerPage".into(), items.into());
    body
}

/// The same for a page that is found by a cursor (RFC 9865 section 2.2): `nextCursor` only where there is more, `totalResults` only where it was counted.
pub fn cursor_head(
    total_results: Option<u64>,
    next_cursor: Option<String>,
    items: usize,
) -> Map<String, Value> {
    let mut body = Map::new();
    body.insert("schemas".into(), json!([LIST_SCHEMA]));
    if let Some(total) = total_results {
        body.insert("totalResults".into(), total.into());
    }
    body.insert("itemsPerPage".into(), items.into());
    if let Some(next) = next_cursor {
        body.insert("nextCursor".into(), next.into());
    }
    body
}

/// The methods of bulk operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are HTTP's")]
pub enum BulkMethod {
    Post,
    Put,
    Patch,
    Delete,
}

impl BulkMethod {
    /// As HTTP writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Post, Self::Put, Self::Patch, Self::Delete]
            .into_iter()
            .find(|method| method.name().eq_ignore_ascii_case(name))
    }
}

impl Serialize for BulkMethod {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// One bulk operation (RFC 7644 section 3.7).
#[derive(Clone, Debug, PartialEq)]
pub struct BulkOperation {
    /// The method.
    pub method: BulkMethod,
    /// The client's name for it; demanded with POST.
    pub bulk_id: Option<String>,
    /// The `If-Match` of this operation.
    pub version: Option<String>,
    /// `/Users` or `/Users/id`.
    pub path: String,
    /// The body.
    pub data: Option<Value>,
}

/// A bulk request.
#[derive(Clone, Debug, PartialEq)]
pub struct BulkRequest {
    /// Stop after so many errors.
    pub fail_on_errors: Option<u64>,
    /// All operations or none; an extension of ours, `"atomic": true`.
    pub atomic: bool,
    /// In the order of the client; one that is malformed is its own error and answered as such.
    pub operations: Vec<Result<BulkOperation, Malformed>>,
}

impl BulkRequest {
    /// From a body.
    pub fn from_body(body: Value) -> Result<Self, Error> {
        let body = message(body, BULK_REQUEST_SCHEMA)?;
        let fail_on_errors = match member(&body, "failOnErrors") {
            None | Some(Value::Null) => None,
            Some(number) => Some(number.as_u64().filter(|number| *number > 0).ok_or_else(
                || {
                    let detail = format!(
                        "`failOnErrors` is `{number}`; accepted is an integer of at least 1."
                    );
                    Error::new(ErrorKind::InvalidValue, detail).at("failOnErrors")
                },
            )?),
        };
        let atomic = match member(&body, "atomic") {
            None | Some(Value::Null) => false,
            Some(Value::Bool(atomic)) => *atomic,
            Some(other) => {
                let detail = format!("`atomic` is `{other}`; accepted is `true` or `false`.");
                return Err(Error::new(ErrorKind::InvalidValue, detail).at("atomic"));
            }
        };
        let operations = body
            .into_iter()
            .find(|(name, _)| name.eq_ignore_ascii_case("Operations"));
        let Some((_, Value::Array(operations))) = operations else {
            return Err(syntax("`Operations` is missing or not an array.").at("Operations"));
        };
        Ok(Self {
            fail_on_errors,
            atomic,
            operations: operations
                .into_iter()
                .map(BulkOperation::from_value)
                .collect(),
        })
    }
}

/// A malformed bulk operation. The parts that could be read say in its answer which one it was (RFC 7644 section 3.7.3).
#[derive(Clone, Debug, PartialEq)]
pub struct Malformed {
    /// Its method, where it names one.
    pub method: Option<BulkMethod>,
    /// The client's name for it, where it has one.
    pub bulk_id: Option<String>,
    /// What is wrong with it.
    pub error: Box<Error>,
}

impl BulkOperation {
    fn from_value(operation: Value) -> Result<Self, Malformed> {
        let Value::Object(operation) = operation else {
            return Err(Malformed {
                method: None,
                bulk_id: None,
                error: Box::new(syntax("A bulk operation is not a JSON object.")),
            });
        };
        let text = |name: &str| {
            member(&operation, name)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let (method, bulk_id) = (
            text("method").as_deref().and_then(BulkMethod::from_name),
            text("bulkId"),
        );
        Self::from_object(operation).map_err(|error| Malformed {
            method,
            bulk_id,
            error: Box::new(error),
        })
    }

    fn from_object(mut operation: Map<String, Value>) -> Result<Self, Error> {
        let data_name = operation
            .keys()
            .find(|name| name.eq_ignore_ascii_case("data"))
            .cloned();
        let data = data_name
            .and_then(|name| operation.shift_remove(&name))
            .filter(|data| !data.is_null());
        let optional = |name: &str| match member(&operation, name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(other) => Err(syntax(format!(
                "`{name}` of a bulk operation is `{other}`; accepted is a string."
            ))
            .at(name)),
        };
        let method = optional("method")?
            .as_deref()
            .and_then(BulkMethod::from_name);
        let method = method.ok_or_else(|| {
            syntax("`method` of a bulk operation is not one of POST, PUT, PATCH and DELETE.")
                .at("method")
        })?;
        let bulk_id = optional("bulkId")?;
        if method == BulkMethod::Post && bulk_id.as_deref().unwrap_or_default().is_empty() {
            return Err(
                syntax("`bulkId` is missing; a bulk operation with POST needs one.").at("bulkId"),
            );
        }
        let path = optional("path")?.filter(|path| path.starts_with('/'));
        let path = path.ok_or_else(|| {
            syntax("`path` of a bulk operation is missing or does not begin with `/`; accepted is `/Users` or `/Users/id`.").at("path")
        })?;
        if method != BulkMethod::Delete && data.is_none() {
            return Err(syntax(format!(
                "`data` is missing; a bulk operation with {} needs it.",
                method.name()
            ))
            .at("data"));
        }
        Ok(Self {
            method,
            bulk_id,
            version: optional("version")?,
            path,
            data,
        })
    }
}

/// A bulk response (RFC 7644 section 3.7.3).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BulkResponse {
    schemas: [&'static str; 1],
    #[serde(rename = "Operations")]
    operations: Vec<BulkOutcome>,
}

impl BulkResponse {
    /// One with these outcomes, in their order.
    pub fn new(operations: Vec<BulkOutcome>) -> Self {
        Self {
            schemas: [BULK_RESPONSE_SCHEMA],
            operations,
        }
    }
}

/// What became of one bulk operation (RFC 7644 section 3.7.3).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BulkOutcome {
    /// URL of the resource; not there for a failed POST.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// The method; `None` where the operation named none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<BulkMethod>,
    /// The client's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bulk_id: Option<String>,
    /// Version of the resource afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The HTTP status that the operation alone would have had; a string on the wire.
    #[serde(serialize_with = "as_text")]
    pub status: u16,
    /// The error message, where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Value>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn as_text<S: Serializer>(status: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries() {
        let check = |pairs: &[(&str, &str)], expected: SearchRequest| {
            assert_eq!(
                SearchRequest::from_query(pairs.iter().copied()).unwrap(),
                expected,
                "{pairs:?}"
            );
        };
        let default = SearchRequest::default;
        check(&[("other", "x")], default());
        check(
            &[("FILTER", "a pr"), ("sortby", "a")],
            SearchRequest {
                filter: Some("a pr".into()),
                sort_by: Some("a".into()),
                ..default()
            },
        );
        check(
            &[("sortOrder", "Descending")],
            SearchRequest {
                descending: true,
                ..default()
            },
        );
        check(
            &[("startIndex", "0"), ("count", "-3")],
            SearchRequest {
                start_index: 1,
                count: Some(0),
                ..default()
            },
        );
        check(
            &[("startIndex", "-7"), ("count", "10")],
            SearchRequest {
                start_index: 1,
                count: Some(10),
                ..default()
            },
        );
        check(
            &[("startIndex", "11")],
            SearchRequest {
                start_index: 11,
                ..default()
            },
        );
        check(
            &[("attributes", "a, b.c,,")],
            SearchRequest {
                attributes: vec!["a".into(), "b.c".into()],
                ..default()
            },
        );
        check(
            &[("attributes", "a"), ("attributes", "b.c")],
            SearchRequest {
                attributes: vec!["a".into(), "b.c".into()],
                ..default()
            },
        );
        check(
            &[("excludedAttributes", "members")],
            SearchRequest {
                excluded_attributes: vec!["members".into()],
                ..default()
            },
        );
        check(
            &[("cursor", ""), ("count", "5")],
            SearchRequest {
                cursor: Some(String::new()),
                count: Some(5),
                ..default()
            },
        );
        check(
            &[("count", "5"), ("Cursor", "abc")],
            SearchRequest {
                cursor: Some("abc".into()),
                count: Some(5),
                ..default()
            },
        );
        for count in ["0", "-1", "x", "1.5", ""] {
            let error = SearchRequest::from_query([("count", count), ("cursor", "")].into_iter())
                .unwrap_err();
            assert_eq!(
                (error.kind(), error.path()),
                (ErrorKind::InvalidCount, Some("count")),
                "{count}"
            );
        }
        let both = SearchRequest::from_query([("startIndex", "1"), ("cursor", "")].into_iter())
            .unwrap_err();
        assert_eq!(both.kind(), ErrorKind::InvalidCursor);
        for (name, value) in [
            ("startIndex", "x"),
            ("count", ""),
            ("count", "1.5"),
            ("sortOrder", "up"),
        ] {
            let error = SearchRequest::from_query([(name, value)].into_iter()).unwrap_err();
            assert_eq!(
                (error.kind(), error.path()),
                (ErrorKind::InvalidValue, Some(name))
            );
        }
    }

    /// The body of RFC 7644 section 3.4.3.
    #[test]
    fn search_bodies() {
        let body = json!({"schemas": [SEARCH_SCHEMA], "attributes": ["displayName", "userName"], "filter": "displayName sw \"smith\"", "startIndex": 1, "count": 10});
        let expected = SearchRequest {
            filter: Some("displayName sw \"smith\"".into()),
            count: Some(10),
            attributes: vec!["displayName".into(), "userName".into()],
            ..SearchRequest::default()
        };
        assert_eq!(SearchRequest::from_body(body).unwrap(), expected);
        let check = |body: Value, kind: ErrorKind| {
            assert_eq!(
                SearchRequest::from_body(body.clone()).unwrap_err().kind(),
                kind,
                "{body}"
            );
        };
        check(json!([]), ErrorKind::InvalidSyntax);
        check(json!({"filter": "a pr"}), ErrorKind::InvalidSyntax);
        check(json!({"schemas": [LIST_SCHEMA]}), ErrorKind::InvalidSyntax);
        check(
            json!({"schemas": [SEARCH_SCHEMA], "count": "many"}),
            ErrorKind::InvalidValue,
        );
        check(
            json!({"schemas": [SEARCH_SCHEMA], "count": "5"}),
            ErrorKind::InvalidValue,
        );
        check(
            json!({"schemas": [SEARCH_SCHEMA], "count": "5", "cursor": ""}),
            ErrorKind::InvalidCount,
        );
        check(
            json!({"schemas": [SEARCH_SCHEMA], "filter": 1}),
            ErrorKind::InvalidValue,
        );
        check(
            json!({"schemas": [SEARCH_SCHEMA], "attributes": [1]}),
            ErrorKind::InvalidValue,
        );
        let lenient = json!({"schemas": [SEARCH_SCHEMA], "attributes": "a,b", "count": null, "startIndex": -1});
        let expected = SearchRequest {
            attributes: vec!["a".into(), "b".into()],
            ..SearchRequest::default()
        };
        assert_eq!(SearchRequest::from_body(lenient).unwrap(), expected);
    }

    #[test]
    fn lists() {
        let resource = || Map::from_iter([("id".to_owned(), json!("1"))]);
        let expected = json!({"schemas": [LIST_SCHEMA], "totalResults": 7, "startIndex": 3, "itemsPerPage": 1, "Resources": [{"id": "1"}]});
        assert_eq!(list_response(7, 3, vec![resource()]), expected);
        assert_eq!(list_response(0, 1, Vec::new())["Resources"], json!([]));
    }

    #[test]
    fn pages_by_cursor() {
        let whole = cursor_head(Some(7), Some("abc".into()), 2);
        assert_eq!(
            json!(whole),
            json!({"schemas": [LIST_SCHEMA], "totalResults": 7, "itemsPerPage": 2, "nextCursor": "abc"})
        );
        assert_eq!(
            json!(cursor_head(None, None, 0)),
            json!({"schemas": [LIST_SCHEMA], "itemsPerPage": 0})
        );
    }

    #[test]
    fn bulk_requests_keep_the_errors_of_operations() {
        let body = json!({"schemas": [BULK_REQUEST_SCHEMA], "failOnErrors": 1, "Operations": [
            {"method": "post", "path": "/Users", "bulkId": "q", "data": {"userName": "a"}},
            {"method": "DELETE", "path": "/Users/1", "version": "W/\"1\""},
            {"method": "POST", "path": "/Users", "data": {}},
            {"method": "GET", "path": "/Users"},
            {"method": "PUT", "path": "/Users/1"},
            {"method": "DELETE", "path": 5},
            7
        ]});
        let request = BulkRequest::from_body(body).unwrap();
        assert_eq!(request.fail_on_errors, Some(1));
        let outcome: Vec<_> = request
            .operations
            .iter()
            .map(|o| {
                o.as_ref()
                    .map(|o| o.method)
                    .map_err(|e| e.error.path().map(str::to_owned))
            })
            .collect();
        let refused = |name: &str| Err(Some(name.to_owned()));
        let expected = [
            Ok(BulkMethod::Post),
            Ok(BulkMethod::Delete),
            refused("bulkId"),
            refused("method"),
            refused("data"),
            refused("path"),
            Err(None),
        ];
        assert_eq!(outcome, expected);
        let first = request.operations[0].as_ref().unwrap();
        assert_eq!(
            (first.bulk_id.as_deref(), first.path.as_str(), &first.data),
            (Some("q"), "/Users", &Some(json!({"userName": "a"})))
        );
        assert_eq!(
            request.operations[1].as_ref().unwrap().version.as_deref(),
            Some("W/\"1\"")
        );
        let check = |body: Value, kind: ErrorKind| {
            assert_eq!(BulkRequest::from_body(body).unwrap_err().kind(), kind);
        };
        check(json!({"Operations": []}), ErrorKind::InvalidSyntax);
        check(
            json!({"schemas": [BULK_REQUEST_SCHEMA]}),
            ErrorKind::InvalidSyntax,
        );
        check(
            json!({"schemas": [BULK_REQUEST_SCHEMA], "failOnErrors": "x", "Operations": []}),
            ErrorKind::InvalidValue,
        );
    }

    #[test]
    fn bulk_responses_leave_out_what_is_not_there() {
        let outcome = BulkOutcome {
            method: Some(BulkMethod::Post),
            bulk_id: Some("q".into()),
            version: None,
            location: Some("https://x/Users/1".into()),
            status: 201,
            response: None,
        };
        let expected = json!({"schemas": [BULK_RESPONSE_SCHEMA], "Operations": [{"location": "https://x/Users/1", "method": "POST", "bulkId": "q", "status": "201"}]});
        assert_eq!(
            serde_json::to_value(BulkResponse::new(vec![outcome])).unwrap(),
            expected
        );
    }
}
