//! Cursors (RFC 9865): a place in an order, sealed so that a client can neither read nor make one. Does not know keys or time; both come in.

use jiff::Timestamp;
use scim_protocol::{Error, ErrorKind};

use super::{Position, SearchPlan};
use crate::tenant::TenantId;

/// Seals cursors with a key of the installation. A text that was sealed under one context opens under no other.
pub trait CursorSealer: Send + Sync {
    /// The sealed bytes as text of unreserved characters (RFC 3986 section 2.3); `None` where sealing failed.
    fn seal_cursor(&self, context: &[u8], position: &[u8]) -> Option<String>;
    /// The reverse; `None` for everything that was not sealed here under this context.
    fn open_cursor(&self, context: &[u8], cursor: &str) -> Option<Vec<u8>>;
}

/// What a cursor is bound to: the tenant and everything that decides which resources come in which order. Page size and attributes may vary.
pub fn context(tenant: TenantId, plan: &SearchPlan) -> Vec<u8> {
    let mut context = tenant.0.to_be_bytes().to_vec();
    let mut add = |text: &str| {
        context.extend(u32::try_from(text.len()).unwrap_or(u32::MAX).to_be_bytes());
        context.extend(text.as_bytes());
    };
    for schema in &plan.types {
        add(schema.name());
    }
    add(plan.filter.as_deref().unwrap_or_default());
    if let Some(sort) = &plan.sort {
        add(&sort.path.to_string().to_ascii_lowercase());
        add(if sort.descending {
            "descending"
        } else {
            "ascending"
        });
    }
    context
}

/// Bytes of a cursor before the value: when it expires, the place of the type, the key, whether there is no value.
const HEAD_BYTES: usize = 8 + 4 + 8 + 1;

/// A position as it is sealed.
pub fn encode(position: &Position, expires: Timestamp) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEAD_BYTES + position.value.len());
    bytes.extend(expires.as_second().to_be_bytes());
    bytes.extend(position.place.to_be_bytes());
    bytes.extend(position.key.to_be_bytes());
    bytes.push(u8::from(position.missing));
    bytes.extend(&position.value);
    bytes
}

/// The reverse. Refuses what has expired.
pub fn decode(bytes: &[u8], now: Timestamp) -> Result<Position, Error> {
    let (expires, rest) = bytes.split_first_chunk().ok_or_else(invalid)?;
    let (place, rest) = rest.split_first_chunk().ok_or_else(invalid)?;
    let (key, rest) = rest.split_first_chunk().ok_or_else(invalid)?;
    let (missing, value) = rest.split_first().ok_or_else(invalid)?;
    if i64::from_be_bytes(*expires) < now.as_second() {
        let detail = "The `cursor` has expired; begin again with an empty one. /ServiceProviderConfig says how long cursors are good for.";
        return Err(Error::new(ErrorKind::ExpiredCursor, detail).at("cursor"));
    }
    Ok(Position {
        place: u32::from_be_bytes(*place),
        key: i64::from_be_bytes(*key),
        missing: *missing != 0,
        value: value.to_vec(),
    })
}

/// The refusal of a cursor that is not one of ours, or not of this query: the same words for both, so that nothing is learnt.
pub fn invalid() -> Error {
    let detail = "The `cursor` is not one that this query was answered with; accepted is the `nextCursor` of the page before, with the same \
                  filter and order, or an empty one for the first page.";
    Error::new(ErrorKind::InvalidCursor, detail).at("cursor")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::search::{Page, Sort, plan};
    use crate::store::Include;
    use scim_protocol::filter::FilterLimits;
    use scim_protocol::{AttributePath, Filter, SchemaSet};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn positions_come_back_until_they_expire() {
        let position = Position {
            place: 1,
            missing: true,
            value: vec![0, 255],
            key: -7,
        };
        let bytes = encode(&position, at(100));
        assert_eq!(decode(&bytes, at(100)).unwrap(), position);
        assert_eq!(
            decode(&bytes, at(101)).unwrap_err().kind(),
            ErrorKind::ExpiredCursor
        );
        assert_eq!(
            decode(&bytes[..HEAD_BYTES - 1], at(0)).unwrap_err().kind(),
            ErrorKind::InvalidCursor
        );
    }

    #[test]
    fn what_decides_the_order_is_in_the_context() {
        let of = |tenant: i64,
                  types: &[&str],
                  filter: Option<&str>,
                  sort: Option<(&str, bool)>,
                  limit: u64| {
            let set = SchemaSet::standard();
            let types: Vec<_> = types
                .iter()
                .map(|name| set.by_name(name).unwrap().clone())
                .collect();
            let filter = filter.map(|text| Filter::parse(text, FilterLimits::default()).unwrap());
            let sort = sort.map(|(path, descending)| Sort {
                path: AttributePath::parse(path).unwrap(),
                descending,
            });
            let plan = plan(
                &types,
                filter,
                sort,
                Page { offset: 0, limit },
                Include::default(),
            )
            .unwrap();
            context(TenantId(tenant), &plan)
        };
        let one = of(1, &["User"], Some("title pr"), Some(("title", false)), 10);
        assert_eq!(
            one,
            of(1, &["User"], Some("title  PR"), Some(("TITLE", false)), 99)
        );
        for other in [
            of(2, &["User"], Some("title pr"), Some(("title", false)), 10),
            of(
                1,
                &["User", "Group"],
                Some("title pr"),
                Some(("title", false)),
                10,
            ),
            of(1, &["User"], None, Some(("title", false)), 10),
            of(1, &["User"], Some("title pr"), Some(("title", true)), 10),
            of(1, &["User"], Some("title pr"), None, 10),
        ] {
            assert_ne!(one, other);
        }
    }
}
