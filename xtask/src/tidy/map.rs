//! ARCHITECTURE.md tells the truth: it names every crate and every module of it, and nothing that is gone.
//!
//! A section headed with a crate's name in backticks names each file directly below that crate's `src`, in backticks. Files in folders are listed by the
//! module that the folder belongs to. Anywhere else a name in backticks that ends in `.rs` must be the end of some file's path.

use std::collections::BTreeSet;
use std::path::Path;

use super::source::SourceFile;
use super::{Finding, crate_of, folder_of};
use crate::Failure;

const MAP: &str = "ARCHITECTURE.md";

pub fn check(root: &Path, files: &[SourceFile]) -> Result<Vec<Finding>, Failure> {
    let text =
        std::fs::read_to_string(root.join(MAP)).map_err(|error| format!("{MAP}: {error}"))?;
    let sources: Vec<&str> = files
        .iter()
        .map(|file| file.path.as_str())
        .filter(|path| path.contains("/src/"))
        .collect();
    Ok(compare(&text, &sources, |path| root.join(path).exists()))
}

fn compare(text: &str, sources: &[&str], exists: impl Fn(&str) -> bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut missing: BTreeSet<&str> = sources
        .iter()
        .copied()
        .filter(|path| is_module(path))
        .collect();
    let mut crates: BTreeSet<&str> = sources.iter().map(|path| crate_of(path)).collect();
    let known = crates.clone();
    let mut section = None;
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with('#') {
            section = line
                .strip_prefix("### `")
                .and_then(|rest| rest.split('`').next());
            if let Some(name) = section {
                crates.remove(name);
                if !known.contains(name) {
                    findings.push(Finding::new(
                        MAP,
                        number,
                        format!("there is no crate `{name}`"),
                    ));
                }
            }
            continue;
        }
        for quoted in line.split('`').skip(1).step_by(2) {
            let gone = if let (Some(name), true) = (section, is_rust(quoted)) {
                !missing.remove(format!("{}/src/{quoted}", folder_of(name)).as_str())
            } else if is_rust(quoted) {
                !sources
                    .iter()
                    .any(|path| path.ends_with(quoted.trim_start_matches('/')))
            } else {
                quoted.starts_with("crates/") && !exists(quoted)
            };
            if gone {
                findings.push(Finding::new(
                    MAP,
                    number,
                    format!("`{quoted}` does not exist there"),
                ));
            }
        }
    }
    findings.extend(
        crates
            .iter()
            .map(|name| Finding::new(MAP, 1, format!("no section `### \\`{name}\\``"))),
    );
    findings.extend(
        missing
            .iter()
            .map(|path| Finding::new(MAP, 1, format!("{path} is not on the map"))),
    );
    findings
}

/// Whether a file lies directly below `src`.
fn is_module(path: &str) -> bool {
    path.split_once("/src/")
        .is_some_and(|(_, rest)| !rest.contains('/'))
}

fn is_rust(name: &str) -> bool {
    Path::new(name)
        .extension()
        .is_some_and(|extension| extension == "rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_and_the_tree_agree() {
        let sources = [
            "crates/a/src/lib.rs",
            "crates/a/src/b.rs",
            "crates/a/src/b/inner.rs",
        ];
        let check = |text: &str, expected: usize| {
            assert_eq!(compare(text, &sources, |_| false).len(), expected, "{text}");
        };
        check("### `a`\nx: `lib.rs`, `b.rs`.\n", 0);
        check("### `a`\n- `lib.rs`: x\n", 1);
        check("### `a`\n- `lib.rs`: x\n- `b.rs`: y\n- `c.rs`: z\n", 1);
        check(
            "### `a`\n- `lib.rs`: x\n- `b.rs`: y\n- `b/inner.rs`: z\n",
            1,
        );
        check("see `c.rs`\n### `a`\n- `lib.rs`: x\n- `b.rs`: y\n", 1);
        check(
            "see `crates/gone`\n### `a`\n- `lib.rs`: x\n- `b.rs`: y\n### `z`\n",
            2,
        );
    }
}
