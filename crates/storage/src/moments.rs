//! What the rows of the history say about a moment of a resource: the same on both engines. Reads nothing.

use directory::history::{Kind, Point, Remembered, Snapshot};
use directory::store::Fault;

use crate::rows::{timestamp, version};

/// The first change behind a moment.
pub(crate) struct Next {
    /// The version it made.
    pub version: i64,
    /// What it did.
    pub kind: Kind,
    /// When what was before it began.
    pub since: i64,
    /// `meta.created`.
    pub created: i64,
    /// Name of the resource's type.
    pub resource_type: String,
}

/// The resource as it is.
pub(crate) struct Present {
    /// Its version.
    pub version: i64,
    /// `meta.created`.
    pub created: i64,
    /// `meta.lastModified`.
    pub modified: i64,
    /// What it holds.
    pub document: String,
    /// Name of its type.
    pub resource_type: String,
}

/// What a resource was at a point: a snapshot that still wants its document and its members; or what else is known.
pub(crate) fn moment(
    id: &str,
    point: Point,
    next: Option<&Next>,
    present: Option<&Present>,
    buried_at: Option<i64>,
) -> Result<Result<Snapshot, Remembered>, Fault> {
    let (resource_type, number, since, created) = match (next, present) {
        (Some(next), _) => (
            &next.resource_type,
            next.version - 1,
            timestamp(next.since)?,
            timestamp(next.created)?,
        ),
        (None, Some(present)) => (
            &present.resource_type,
            present.version,
            timestamp(present.modified)?,
            timestamp(present.created)?,
        ),
        (None, None) => {
            let deleted = buried_at.map(timestamp).transpose()?;
            let was_not =
                matches!((point, deleted), (Point::At(at), Some(deleted)) if deleted <= at);
            return Ok(Err(if was_not {
                Remembered::WasNot
            } else {
                Remembered::Unknown
            }));
        }
    };
    let is_known = match point {
        Point::At(at) if at < created => return Ok(Err(Remembered::WasNot)),
        Point::At(at) => since <= at,
        Point::Version(wanted) => version(number) == wanted,
    };
    if !is_known {
        return Ok(Err(Remembered::Unknown));
    }
    // What a resource comes back from is that it was not.
    if next.is_some_and(|next| next.kind == Kind::Restore) {
        return Ok(Err(Remembered::WasNot));
    }
    Ok(Ok(Snapshot {
        resource_type: resource_type.clone(),
        id: id.to_owned(),
        version: version(number),
        created,
        last_modified: since,
        document: serde_json::Map::new(),
        members: Vec::new(),
    }))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    fn at(second: i64) -> Point {
        Point::At(Timestamp::from_second(second).unwrap())
    }

    fn next(version: i64, kind: Kind, since: i64) -> Next {
        Next {
            version,
            kind,
            since: since * 1_000_000,
            created: 1_000_000,
            resource_type: "User".into(),
        }
    }

    fn present(version: i64, modified: i64) -> Present {
        let (document, resource_type) = ("{}".into(), "User".into());
        Present {
            version,
            created: 1_000_000,
            modified: modified * 1_000_000,
            document,
            resource_type,
        }
    }

    #[test]
    fn what_was() {
        let check = |point: Point,
                     next: Option<Next>,
                     present: Option<Present>,
                     expected: Result<u64, Remembered>| {
            let found =
                moment("7", point, next.as_ref(), present.as_ref(), Some(9_000_000)).unwrap();
            assert_eq!(found.map(|shot| shot.version), expected);
        };
        check(at(5), None, Some(present(3, 5)), Ok(3));
        check(at(4), None, Some(present(3, 5)), Err(Remembered::Unknown));
        check(at(0), None, Some(present(3, 5)), Err(Remembered::WasNot));
        check(
            at(4),
            Some(next(3, Kind::Update, 2)),
            Some(present(3, 5)),
            Ok(2),
        );
        check(
            at(1),
            Some(next(3, Kind::Update, 2)),
            Some(present(3, 5)),
            Err(Remembered::Unknown),
        );
        check(
            at(0),
            Some(next(3, Kind::Update, 2)),
            Some(present(3, 5)),
            Err(Remembered::WasNot),
        );
        check(
            at(4),
            Some(next(5, Kind::Restore, 3)),
            Some(present(5, 5)),
            Err(Remembered::WasNot),
        );
        check(at(10), None, None, Err(Remembered::WasNot));
        check(at(8), None, None, Err(Remembered::Unknown));
        check(Point::Version(3), None, Some(present(3, 5)), Ok(3));
        check(
            Point::Version(4),
            None,
            Some(present(3, 5)),
            Err(Remembered::Unknown),
        );
        check(
            Point::Version(2),
            Some(next(3, Kind::Delete, 2)),
            None,
            Ok(2),
        );
        check(
            Point::Version(1),
            Some(next(3, Kind::Delete, 2)),
            None,
            Err(Remembered::Unknown),
        );
    }
}
