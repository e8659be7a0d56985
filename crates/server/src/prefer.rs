//! The header `Prefer` (RFC 7240): `handling=dry-run` asks what a write would do, and has nothing done.

use http::HeaderMap;
use http::HeaderName;

const PREFER: HeaderName = HeaderName::from_static("prefer");
/// What was honoured of it (RFC 7240 section 3).
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
/// The one that is honoured.
pub(crate) const DRY_RUN: &str = "handling=dry-run";

/// Whether the request is only to be rehearsed. Several headers, or several preferences in one, mean the same; of two that contradict each other the
/// first counts (RFC 7240 section 2).
pub(crate) fn wants_dry_run(headers: &HeaderMap) -> bool {
    let preferences = headers
        .get_all(PREFER)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    let handling = preferences.filter_map(|preference| {
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim()
            .eq_ignore_ascii_case("handling")
            .then(|| value.trim().trim_matches('"').to_owned())
    });
    handling
        .into_iter()
        .next()
        .is_some_and(|value| value.eq_ignore_ascii_case("dry-run"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preferences() {
        let check = |values: &[&str], expected: bool| {
            let headers: HeaderMap = values
                .iter()
                .map(|value| (PREFER, value.parse().unwrap()))
                .collect();
            assert_eq!(wants_dry_run(&headers), expected, "{values:?}");
        };
        check(&["handling=dry-run"], true);
        check(&["respond-async, Handling = \"Dry-Run\"; x=1"], true);
        check(&["return=minimal", "handling=dry-run"], true);
        check(&["handling=lenient, handling=dry-run"], false);
        check(&["handling"], false);
        check(&["dry-run"], false);
        check(&[], false);
    }
}
