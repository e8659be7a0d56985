//! Who may use whom: crate edges, and the libraries that only one room may open. Also that every dependency says what it spares us.

use std::path::Path;

use cargo_metadata::{DependencyKind, MetadataCommand, Package};

use super::source::SourceFile;
use super::{Finding, crate_of, folder_of};
use crate::Failure;

/// A crate and the crates of ours it may use.
const EDGES: &[(&str, &[&str])] = &[
    ("scim-protocol", &[]),
    ("tls-failure", &[]),
    ("scim-client", &["scim-protocol", "tls-failure"]),
    ("keys", &[]),
    ("directory", &["scim-protocol"]),
    ("access", &["scim-protocol", "directory"]),
    ("events", &["scim-protocol", "directory"]),
    ("provisioning", &["scim-protocol", "directory"]),
    (
        "connectors",
        &[
            "scim-protocol",
            "tls-failure",
            "scim-client",
            "directory",
            "access",
            "events",
            "provisioning",
        ],
    ),
    (
        "storage",
        &[
            "scim-protocol",
            "tls-failure",
            "keys",
            "directory",
            "access",
            "events",
            "provisioning",
        ],
    ),
    (
        "administration",
        &[
            "scim-protocol",
            "keys",
            "directory",
            "access",
            "events",
            "provisioning",
        ],
    ),
    (
        "server",
        &[
            "scim-protocol",
            "tls-failure",
            "keys",
            "directory",
            "access",
            "events",
            "administration",
        ],
    ),
    (
        "rollcall",
        &[
            "scim-protocol",
            "scim-client",
            "keys",
            "directory",
            "access",
            "events",
            "provisioning",
            "administration",
            "connectors",
            "storage",
            "server",
        ],
    ),
    (
        "embedding",
        &["scim-protocol", "directory", "access", "storage", "server"],
    ),
    ("embedded", &["embedding"]),
    ("fuzz", &["scim-protocol", "directory"]),
    ("bench", &[]),
    ("xtask", &[]),
];

/// Edges that only tests may have: the tests of these crates want a real store.
const TEST_EDGES: &[(&str, &[&str])] = &[
    ("server", &["storage", "provisioning"]),
    ("connectors", &["storage"]),
];

/// A library and the crates that may name it: SQL in one crate, HTTP at the edges.
const ROOMS: &[(&str, &[&str])] = &[
    ("rusqlite", &["storage", "bench"]),
    ("tokio-postgres", &["storage"]),
    ("deadpool-postgres", &["storage"]),
    ("axum", &["server", "embedding", "embedded", "bench"]),
    ("hyper", &["server", "tls-failure"]),
    ("tower-http", &["server"]),
    ("reqwest", &["scim-client", "connectors"]),
];

/// Libraries that tests may use beyond their room.
const TEST_ROOMS: &[(&str, &[&str])] = &[
    ("reqwest", &["server", "rollcall"]),
    ("axum", &["connectors", "scim-client", "rollcall"]),
    ("tokio-postgres", &["rollcall"]),
];

/// Crates whose `clippy.toml` repeats the root's, because a member's file replaces it.
const PURE: &[&str] = &[
    "scim-protocol",
    "keys",
    "directory",
    "access",
    "events",
    "provisioning",
];

pub fn check(root: &Path, files: &[SourceFile]) -> Result<Vec<Finding>, Failure> {
    let metadata = MetadataCommand::new()
        .manifest_path(root.join("Cargo.toml"))
        .no_deps()
        .other_options(vec!["--offline".to_owned()])
        .exec()?;
    let ours: Vec<&str> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let mut findings = Vec::new();
    for package in &metadata.packages {
        findings.extend(package_edges(package, &ours, files));
    }
    findings.extend(reasons(&std::fs::read_to_string(root.join("Cargo.toml"))?));
    findings.extend(repeated_bans(root)?);
    Ok(findings)
}

fn package_edges(package: &Package, ours: &[&str], files: &[SourceFile]) -> Vec<Finding> {
    let name = package.name.as_str();
    let manifest = format!("{}/Cargo.toml", folder_of(name));
    let finding = |text: String| Finding::new(&manifest, 1, text);
    let allowed = |table: &'static [(&str, &[&str])], key: &str| {
        table
            .iter()
            .find(|(row, _)| *row == key)
            .map(|(_, allowed)| *allowed)
    };
    let Some(edges) = allowed(EDGES, name) else {
        return vec![finding(format!(
            "`{name}` has no row in xtask/src/tidy/edges.rs"
        ))];
    };
    let mut findings = Vec::new();
    for dependency in &package.dependencies {
        let used = dependency.name.as_str();
        let test_only = dependency.kind == DependencyKind::Development;
        if ours.contains(&used) {
            let in_tests =
                test_only && allowed(TEST_EDGES, name).is_some_and(|list| list.contains(&used));
            if !edges.contains(&used) && !in_tests {
                findings.push(finding(format!("`{name}` may not use `{used}`")));
            }
        } else if let Some(room) = allowed(ROOMS, used) {
            let in_tests =
                test_only && allowed(TEST_ROOMS, used).is_some_and(|list| list.contains(&name));
            if !room.contains(&name) && !in_tests {
                findings.push(finding(format!("`{used}` belongs to {}", room.join(", "))));
            }
        }
        let ident = used.replace('-', "_");
        if !files
            .iter()
            .any(|file| crate_of(&file.path) == name && file.text.contains(&ident))
        {
            findings.push(finding(format!(
                "`{used}` is not used by any file of `{name}`"
            )));
        }
    }
    findings
}

/// Each line of `[workspace.dependencies]` that is not ours ends in a comment: what the dependency spares us.
fn reasons(manifest: &str) -> Vec<Finding> {
    let mut section = "";
    let mut findings = Vec::new();
    for (number, line) in (1..).zip(manifest.lines()) {
        if line.starts_with('[') {
            section = line;
        }
        let dependency = section == "[workspace.dependencies]" && line.contains(" = ");
        if dependency
            && !line.starts_with('#')
            && !line.contains("path = ")
            && !line.contains(" # ")
        {
            findings.push(Finding::new(
                "Cargo.toml",
                number,
                "a dependency says in a comment what it spares us",
            ));
        }
    }
    findings
}

/// Every setting and ban of the root's `clippy.toml` stands in each pure crate's.
fn repeated_bans(root: &Path) -> Result<Vec<Finding>, Failure> {
    let shared = std::fs::read_to_string(root.join("clippy.toml"))?;
    let mut findings = Vec::new();
    for name in PURE {
        let path = format!("crates/{name}/clippy.toml");
        let own = std::fs::read_to_string(root.join(&path))
            .map_err(|error| format!("{path}: {error}"))?;
        let missing = shared
            .lines()
            .filter(|line| line.contains(" = ") && !line.starts_with('#') && !own.contains(*line));
        findings.extend(missing.map(|line| {
            Finding::new(
                &path,
                1,
                format!("repeat from the root's clippy.toml: {}", line.trim()),
            )
        }));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_without_a_reason_is_found() {
        let check = |line: &str, expected: usize| {
            assert_eq!(
                reasons(&format!("[workspace.dependencies]\n{line}\n")).len(),
                expected,
                "{line}"
            );
        };
        check("csv = \"1\" # quoting rules", 0);
        check("csv = \"1\"", 1);
        check("server = { path = \"crates/server\" }", 0);
    }
}
