//! What a path below the base URL leads to, and with which methods. Names of endpoints are compared without case.

use std::sync::Arc;

use directory::request_log::BodyKind;
use http::Method;
use percent_encoding::percent_decode_str;
use scim_protocol::schema::group_member::group_member;
use scim_protocol::{Error, ErrorKind, SchemaSet, TypeSchema};

use crate::options::Options;

/// A route.
#[derive(Clone, Debug)]
pub(crate) enum Route {
    /// The base URL itself.
    Root,
    /// `/.search`, or that of a type.
    Search(Option<Arc<TypeSchema>>),
    /// `/Bulk`.
    Bulk,
    /// `/Me`.
    Me,
    /// `/ServiceProviderConfig`.
    ServiceProviderConfig,
    /// `/ResourceTypes`, or one of them.
    ResourceTypes(Option<String>),
    /// `/Schemas`, or one of them.
    Schemas(Option<String>),
    /// `/Users`.
    Type(Arc<TypeSchema>),
    /// `/Users/id`.
    Resource(Arc<TypeSchema>, String),
    /// `/GroupMembers`.
    GroupMembers,
    /// `/GroupMembers/.search`.
    GroupMemberSearch,
    /// `/GroupMembers/id`.
    GroupMember(String),
}

impl Route {
    /// Finds the route of a path below the base URL. Slashes too many are tolerated.
    pub fn find(schemas: &SchemaSet, path: &str) -> Result<Self, Error> {
        let decode = |segment: &str| {
            percent_decode_str(segment)
                .decode_utf8()
                .map(std::borrow::Cow::into_owned)
        };
        let mut segments = path.split('/').filter(|segment| !segment.is_empty());
        let (first, second, third) = (segments.next(), segments.next(), segments.next());
        let not_found = || {
            Error::new(
                ErrorKind::NotFound,
                "This path leads nowhere; /ResourceTypes shows the endpoints that there are.",
            )
        };
        let second = second.map(decode).transpose().map_err(|_| not_found())?;
        let Some(first) = first else {
            return Ok(Self::Root);
        };
        let is = |name: &str| first.eq_ignore_ascii_case(name);
        if is("Me") {
            return Ok(Self::Me);
        }
        match (second, third) {
            (_, Some(_)) => Err(not_found()),
            (None, None) if is(".search") => Ok(Self::Search(None)),
            (None, None) if is("Bulk") => Ok(Self::Bulk),
            (None, None) if is("ServiceProviderConfig") => Ok(Self::ServiceProviderConfig),
            (id, None) if is("ResourceTypes") => Ok(Self::ResourceTypes(id)),
            (id, None) if is("Schemas") => Ok(Self::Schemas(id)),
            // A type of that name that the tenant made comes first.
            (id, None) if is("GroupMembers") && schemas.by_endpoint(first).is_none() => {
                Ok(match id {
                    None => Self::GroupMembers,
                    Some(id) if id.eq_ignore_ascii_case(".search") => Self::GroupMemberSearch,
                    Some(id) => Self::GroupMember(id),
                })
            }
            (id, None) => {
                let schema = schemas.by_endpoint(first).ok_or_else(not_found)?.clone();
                Ok(match id {
                    None => Self::Type(schema),
                    Some(id) if id.eq_ignore_ascii_case(".search") => Self::Search(Some(schema)),
                    Some(id) => Self::Resource(schema, id),
                })
            }
        }
    }

    /// The path as the request log shows it, with the type and the id of the resource it is about.
    pub fn described(&self) -> (String, Option<(String, Option<String>)>) {
        let endpoint = |schema: &TypeSchema| {
            format!("/{}", schema.resource_type.endpoint.trim_start_matches('/'))
        };
        match self {
            Self::Root => ("/".to_owned(), None),
            Self::Search(None) => ("/.search".to_owned(), None),
            Self::Search(Some(schema)) => (
                format!("{}/.search", endpoint(schema)),
                Some((schema.name().to_owned(), None)),
            ),
            Self::Bulk => ("/Bulk".to_owned(), None),
            Self::ServiceProviderConfig => ("/ServiceProviderConfig".to_owned(), None),
            Self::ResourceTypes(id) => (
                format!("/ResourceTypes{}", if id.is_some() { "/{id}" } else { "" }),
                None,
            ),
            Self::Schemas(id) => (
                format!("/Schemas{}", if id.is_some() { "/{id}" } else { "" }),
                None,
            ),
            Self::Type(schema) => (endpoint(schema), Some((schema.name().to_owned(), None))),
            Self::Resource(schema, id) => (
                format!("{}/{{id}}", endpoint(schema)),
                Some((schema.name().to_owned(), Some(id.clone()))),
            ),
            Self::Me => ("/Me".to_owned(), None),
            Self::GroupMembers => (
                "/GroupMembers".to_owned(),
                Some(("GroupMember".to_owned(), None)),
            ),
            Self::GroupMemberSearch => (
                "/GroupMembers/.search".to_owned(),
                Some(("GroupMember".to_owned(), None)),
            ),
            Self::GroupMember(id) => (
                "/GroupMembers/{id}".to_owned(),
                Some(("GroupMember".to_owned(), Some(id.clone()))),
            ),
        }
    }

    /// Its pattern in the table of needs, and the name of the type that it is about.
    pub fn pattern(&self) -> (&'static str, Option<&str>) {
        match self {
            Self::Root => ("/", None),
            Self::Search(None) => ("/.search", None),
            Self::Search(Some(schema)) => ("/{type}/.search", Some(schema.name())),
            Self::Bulk => ("/Bulk", None),
            Self::ServiceProviderConfig => ("/ServiceProviderConfig", None),
            Self::ResourceTypes(None) => ("/ResourceTypes", None),
            Self::ResourceTypes(Some(_)) => ("/ResourceTypes/{id}", None),
            Self::Schemas(None) => ("/Schemas", None),
            Self::Schemas(Some(_)) => ("/Schemas/{id}", None),
            Self::Type(schema) => ("/{type}", Some(schema.name())),
            Self::Resource(schema, _) => ("/{type}/{id}", Some(schema.name())),
            // Always the resource of a User by the time that it is asked.
            Self::Me => ("/{type}/{id}", Some("User")),
            // Who may read or write groups may read or write who is in them.
            Self::GroupMembers => ("/GroupMembers", Some("Group")),
            Self::GroupMemberSearch => ("/GroupMembers/.search", Some("Group")),
            Self::GroupMember(_) => ("/GroupMembers/{id}", Some("Group")),
        }
    }

    /// Whether a request with this method changes something.
    pub fn writes(&self, method: &Method) -> bool {
        match self {
            Self::Type(_) | Self::Bulk | Self::GroupMembers => *method == Method::POST,
            Self::Resource(..) | Self::GroupMember(_) | Self::Me => {
                [Method::PUT, Method::PATCH, Method::DELETE].contains(method)
            }
            _ => false,
        }
    }

    /// Largest body of a request with this method; `None` where none is read.
    pub fn body_bytes_max(&self, method: &Method, options: &Options) -> Option<usize> {
        match self {
            Self::Bulk if *method == Method::POST => Some(options.large_body_bytes_max),
            Self::Search(_) | Self::GroupMembers | Self::GroupMemberSearch
                if *method == Method::POST =>
            {
                Some(options.body_bytes_max)
            }
            // Lists of members are long.
            Self::Type(schema) | Self::Resource(schema, _)
                if self.writes(method) && *method != Method::DELETE =>
            {
                let has_members = schema.core_attribute("members").is_some();
                Some(if has_members {
                    options.large_body_bytes_max
                } else {
                    options.body_bytes_max
                })
            }
            _ => None,
        }
    }

    /// What the body of a request with this method is.
    pub fn body_kind(&self, method: &Method, schemas: &SchemaSet) -> Option<BodyKind> {
        match self {
            Self::Type(schema) if *method == Method::POST => {
                Some(BodyKind::Resource(schema.clone()))
            }
            Self::Resource(schema, _) if *method == Method::PUT => {
                Some(BodyKind::Resource(schema.clone()))
            }
            Self::Resource(schema, _) if *method == Method::PATCH => {
                Some(BodyKind::Patch(schema.clone()))
            }
            Self::Search(schema) => Some(BodyKind::Search(
                schema
                    .as_ref()
                    .map_or_else(|| schemas.types().to_vec(), |schema| vec![schema.clone()]),
            )),
            Self::Bulk => Some(BodyKind::Bulk(schemas.clone())),
            Self::GroupMembers if *method == Method::POST => {
                group_member().map(|schema| BodyKind::Resource(schema.clone()))
            }
            Self::GroupMemberSearch => {
                group_member().map(|schema| BodyKind::Search(vec![schema.clone()]))
            }
            _ => None,
        }
    }

    /// The methods it has, as in the header `Allow`.
    pub fn allowed(&self) -> &'static str {
        match self {
            Self::Root
            | Self::ServiceProviderConfig
            | Self::ResourceTypes(_)
            | Self::Schemas(_) => "GET, HEAD",
            Self::Search(_) | Self::Bulk | Self::GroupMemberSearch => "POST",
            Self::Type(_) | Self::GroupMembers => "GET, HEAD, POST",
            Self::GroupMember(_) => "GET, HEAD, DELETE",
            Self::Resource(..) | Self::Me => "GET, HEAD, PUT, PATCH, DELETE",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths() {
        let check = |path: &str, expected: &str| {
            let found = match Route::find(&SchemaSet::standard(), path) {
                Ok(Route::Search(schema)) => format!(
                    "search {}",
                    schema.map_or(String::new(), |schema| schema.name().to_owned())
                ),
                Ok(Route::Type(schema)) => schema.name().to_owned(),
                Ok(Route::Resource(schema, id)) => format!("{} {id}", schema.name()),
                Ok(other) => format!("{other:?}"),
                Err(error) => error.kind().status().to_string(),
            };
            assert_eq!(found, expected, "{path}");
        };
        check("", "Root");
        check("/", "Root");
        check("/users/", "User");
        check("//Users//a%20b", "User a b");
        check("/Groups/.search", "search Group");
        check("/.search", "search ");
        check("/bulk", "Bulk");
        check("/Me/x/y", "Me");
        check("/serviceproviderconfig", "ServiceProviderConfig");
        check("/Schemas/urn:x", "Schemas(Some(\"urn:x\"))");
        check("/groupmembers/a.b", "GroupMember(\"a.b\")");
        check("/GroupMembers/.search", "GroupMemberSearch");
        check("/Pets", "404");
        check("/Users/1/2", "404");
        check("/Users/%ff", "404");
    }
}
