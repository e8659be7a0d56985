//! The rules of the house that a program can check. Reads the workspace, changes nothing.

mod checklist;
mod edges;
mod engines;
mod map;
mod order;
mod source;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Failure;
use source::SourceFile;

/// One broken rule, where an editor can jump to.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub file: String,
    pub line: usize,
    pub text: String,
}

impl Finding {
    fn new(file: impl Into<String>, line: usize, text: impl Into<String>) -> Self {
        Self {
            file: file.into(),
            line,
            text: text.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.text)
    }
}

/// `cargo xtask tidy`: prints every finding and fails if there is one.
pub fn command(root: &Path) -> Result<(), Failure> {
    let findings = check(root)?;
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: every rule holds");
        return Ok(());
    }
    Err(format!("tidy: {} findings", findings.len()).into())
}

/// Every broken rule of the workspace at `root`.
pub fn check(root: &Path) -> Result<Vec<Finding>, Failure> {
    let files = source::read_all(root)?;
    let mut findings = Vec::new();
    for file in &files {
        findings.extend(
            file.findings
                .iter()
                .map(|(line, text)| Finding::new(&file.path, *line, text)),
        );
        findings.extend(words::check(file));
    }
    findings.extend(order::check(&files));
    findings.extend(edges::check(root, &files)?);
    findings.extend(engines::check(&files));
    findings.extend(map::check(root, &files)?);
    findings.extend(checklist::check(root, &files)?);
    findings.sort();
    Ok(findings)
}

/// The files below `folder`, sorted, `target` and hidden folders left out.
fn files_below(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    let mut waiting = vec![folder.to_path_buf()];
    while let Some(next) = waiting.pop() {
        for entry in
            std::fs::read_dir(&next).map_err(|error| format!("{}: {error}", next.display()))?
        {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            if name.starts_with('.') || name == "target" || name == "node_modules" {
                continue;
            }
            if path.is_dir() {
                waiting.push(path);
            } else {
                found.push(path);
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Crates that are not below `crates`, and where they are.
const ELSEWHERE: &[(&str, &str)] = &[("xtask", "xtask"), ("embedded", "examples/embedded")];

/// The crate a file belongs to: the folder below `crates` or `examples`, or `xtask`.
fn crate_of(path: &str) -> &str {
    let inner = path
        .strip_prefix("crates/")
        .or_else(|| path.strip_prefix("examples/"));
    inner.unwrap_or(path).split('/').next().unwrap_or_default()
}

/// Where a crate is.
fn folder_of(name: &str) -> String {
    ELSEWHERE
        .iter()
        .find(|(known, _)| *known == name)
        .map_or_else(
            || format!("crates/{name}"),
            |(_, folder)| (*folder).to_owned(),
        )
}

/// Whether a file is only ever compiled for tests.
fn is_test_file(file: &SourceFile) -> bool {
    file.path.contains("/tests/")
        || file.path.ends_with("/tests.rs")
        || file.path.contains("/benches/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_of_the_house_holds() {
        let findings = check(&crate::root()).unwrap();
        let list: Vec<String> = findings.iter().map(ToString::to_string).collect();
        assert!(list.is_empty(), "{}", list.join("\n"));
    }

    #[test]
    fn the_crate_of_a_file_is_its_folder() {
        let check = |path: &str, expected: &str| assert_eq!(crate_of(path), expected);
        check("crates/storage/src/sqlite/commit.rs", "storage");
        check("xtask/src/main.rs", "xtask");
        check("examples/embedded/src/lib.rs", "embedded");
        assert_eq!(
            [folder_of("storage"), folder_of("embedded")],
            ["crates/storage", "examples/embedded"]
        );
    }
}
