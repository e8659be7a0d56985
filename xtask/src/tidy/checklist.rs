//! The checklists in `docs/` tell the truth: a test that a line names exists, and a line without a test says why there is none.
//!
//! A line of a checklist begins with a number in bold. It names its tests in backticks: a file below `crates`, a colon, the function.

use std::path::Path;

use super::Finding;
use super::source::SourceFile;
use crate::Failure;

/// The checklists.
const LISTS: &[&str] = &["docs/rfc-checklist.md"];
/// How a line without a test begins its reason.
const REASONS: &[&str] = &[
    "Declined: ",
    "For clients: ",
    "For authors of schemas: ",
    "For the operator: ",
    "No demand: ",
    "Not yet: ",
];

pub fn check(root: &Path, files: &[SourceFile]) -> Result<Vec<Finding>, Failure> {
    let mut findings = Vec::new();
    for list in LISTS {
        let text =
            std::fs::read_to_string(root.join(list)).map_err(|error| format!("{list}: {error}"))?;
        let exists = |path: &str, name: &str| {
            let path = format!("crates/{path}");
            let signature = format!("fn {name}(");
            files
                .iter()
                .any(|file| file.path == path && file.text.contains(&signature))
        };
        findings.extend(lines(list, &text, exists));
    }
    Ok(findings)
}

fn lines(list: &str, text: &str, exists: impl Fn(&str, &str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in (1..)
        .zip(text.lines())
        .filter(|(_, line)| line.starts_with("- **"))
    {
        let named: Vec<(&str, &str)> = line
            .split('`')
            .skip(1)
            .step_by(2)
            .filter_map(|quoted| quoted.split_once(".rs: "))
            .collect();
        for (path, name) in &named {
            if !exists(&format!("{path}.rs"), name) {
                findings.push(Finding::new(
                    list,
                    number,
                    format!("there is no test `{name}` in crates/{path}.rs"),
                ));
            }
        }
        if named.is_empty() && !REASONS.iter().any(|reason| line.contains(reason)) {
            findings.push(Finding::new(
                list,
                number,
                format!(
                    "name a test, or say why there is none: {}",
                    REASONS.join(" or ")
                ),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_that_is_gone_is_found() {
        let check = |line: &str, expected: usize| {
            let found = lines("docs/a.md", line, |path, name| {
                (path, name) == ("server/tests/it/rfc.rs", "it_holds")
            });
            assert_eq!(found.len(), expected, "{line}: {found:?}");
        };
        check(
            "- **7644-3.3-1** MUST: x. `server/tests/it/rfc.rs: it_holds`",
            0,
        );
        check(
            "- **7644-3.3-1** MUST: `userName` is x. `server/tests/it/rfc.rs: it_holds`",
            0,
        );
        check(
            "- **7644-3.3-1** MUST: x. `server/tests/it/rfc.rs: it_is_gone`",
            1,
        );
        check(
            "- **7644-3.3-1** MUST: x. `server/tests/it/rfc.rs: it_holds`, `server/tests/it/gone.rs: it_holds`",
            1,
        );
        check(
            "- **7644-3.3-1** MAY: x. Declined: no client asks for it.",
            0,
        );
        check("- **7644-3.3-1** MUST: `userName` is x.", 1);
        check("Prose about `server/tests/it/gone.rs: it_holds`", 0);
    }
}
