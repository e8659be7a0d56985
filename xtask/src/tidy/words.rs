//! The words of the house: one word per thing, and the words that never name anything here.

use super::source::SourceFile;
use super::{Finding, crate_of};

/// The refused word and the one to use instead.
const REFUSED: &[(&str, &str)] = &[
    ("realm", "tenant"),
    ("entity", "resource"),
    ("entities", "resources"),
    ("workaround", "quirk"),
    ("correlation", "matching attribute"),
    ("shadow", "link"),
    ("resync", "reconciliation"),
    ("circuit breaker", "deletion guard or hold"),
    ("circuit_breaker", "deletion guard or hold"),
    ("teller", "event renderer"),
    ("courier", "event delivery"),
    ("handout", "poll answer"),
    ("wishes", "requested permissions"),
];

/// Words that make a comment hard to read, and what a comment says instead.
const REFUSED_IN_COMMENTS: &[(&str, &str)] = &[
    ("nobody", "what is missing, such as \"no client\""),
    ("whoever", "the one that is meant, such as \"the caller\""),
    ("whatever", "\"every\", \"any\" or \"also if\""),
];
/// Crates whose comments still have such words. Each leaves the list when it is mended.
const COMMENTS_TO_MEND: &[&str] = &[
    "access",
    "bench",
    "connectors",
    "embedded",
    "events",
    "provisioning",
    "rollcall",
    "server",
    "storage",
];

/// Words that may stand on a line because of another one there: names that others gave (RFC 7235, RFC 9110, a constant of the `http` crate), and what a
/// word means elsewhere.
const GIVEN_NAMES: &[(&str, &str)] = &[
    ("realm", "WWW-Authenticate"),
    ("realm", "www_authenticate"),
    ("realm", "Bearer realm="),
    ("realm", "Basic realm="),
    ("entity", "UNPROCESSABLE_ENTITY"),
    ("entity", "CaUsedAsEndEntity"),
    ("entity", "entity-tag"),
    ("entity", "entity tag"),
];

/// The refused words in a file, tests and comments included: a word kept out of the code comes back through its comments.
pub fn check(file: &SourceFile) -> Vec<Finding> {
    if file.path == "xtask/src/tidy/words.rs" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let is_waived = COMMENTS_TO_MEND.contains(&crate_of(&file.path));
    for (number, line) in (1..).zip(file.text.lines()) {
        for (word, instead) in REFUSED {
            let given = GIVEN_NAMES
                .iter()
                .any(|(given, sign)| given == word && line.contains(sign));
            if !given && contains_word(line, word) {
                findings.push(Finding::new(
                    &file.path,
                    number,
                    format!("the word here is \"{instead}\", not \"{word}\""),
                ));
            }
        }
        let comment = line.split_once("//").map_or("", |(_, comment)| comment);
        for (word, instead) in REFUSED_IN_COMMENTS {
            if !is_waived && contains_word(comment, word) {
                findings.push(Finding::new(
                    &file.path,
                    number,
                    format!("\"{word}\" makes a comment hard to read; say {instead}"),
                ));
            }
        }
    }
    findings
}

/// Whether `line` has `word` as a word or as a part of a name; inside a longer word ("identity") it does not count.
fn contains_word(line: &str, word: &str) -> bool {
    let lower = line.to_ascii_lowercase();
    lower.match_indices(word).any(|(at, _)| {
        let before = lower.as_bytes().get(at.wrapping_sub(1)).copied();
        let starts_a_part = line.as_bytes().get(at).is_some_and(u8::is_ascii_uppercase)
            && before.is_none_or(|_| !is_upper_before(line, at));
        let starts_a_word = before.is_none_or(|byte| !byte.is_ascii_alphabetic());
        let after = lower.get(at + word.len()..).unwrap_or_default();
        let end = after
            .find(|c: char| !c.is_ascii_lowercase())
            .unwrap_or(after.len());
        let suffix = after.get(..end).unwrap_or_default();
        let continues = line
            .as_bytes()
            .get(at + word.len())
            .is_some_and(u8::is_ascii_uppercase);
        (starts_a_word || starts_a_part)
            && (continues || matches!(suffix, "" | "s" | "ed" | "ing" | "ion"))
    })
}

fn is_upper_before(line: &str, at: usize) -> bool {
    at.checked_sub(1)
        .and_then(|before| line.as_bytes().get(before))
        .is_some_and(u8::is_ascii_uppercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_name_what_they_mean() {
        let findings = |path: &str, text: &str| {
            let file = SourceFile::parse(path, text.to_owned()).unwrap();
            check(&file).len()
        };
        assert_eq!(
            findings("crates/directory/src/a.rs", "//! Told to whoever asks.\n"),
            1
        );
        assert_eq!(
            findings(
                "crates/directory/src/a.rs",
                "const NAME: &str = \"nobody\";\n"
            ),
            0
        );
    }

    #[test]
    fn a_word_counts_alone_or_as_part_of_a_name() {
        let check = |line: &str, word: &str, expected: bool| {
            assert_eq!(contains_word(line, word), expected, "{line}");
        };
        check("the realm of a user", "realm", true);
        check("fn realm_id()", "realm", true);
        check("struct RealmId;", "realm", true);
        check("struct MyRealm;", "realm", true);
        check("let user_realms = 1;", "realm", true);
        check("an identity provider", "entity", false);
        check("struct Identity;", "entity", false);
    }
}
