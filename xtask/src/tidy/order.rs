//! Modules in dependency order: `lib.rs` (or `main.rs`) lists them, and a module uses only those listed above it, so no crate has a circle inside.

use std::collections::HashMap;

use syn::visit::Visit;
use syn::{Item, UseTree, Visibility};

use super::source::{SourceFile, is_test_only};
use super::{Finding, crate_of, is_test_file};

/// The modules of one crate's root file.
struct Root {
    /// Module name to its place in the list.
    place: HashMap<String, usize>,
    /// A name re-exported by the root file to the module it comes from.
    exported: HashMap<String, String>,
}

pub fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for root_file in files
        .iter()
        .filter(|file| file.path.ends_with("src/lib.rs") || file.path.ends_with("src/main.rs"))
    {
        let root = read_root(root_file);
        let folder = root_file
            .path
            .trim_end_matches("lib.rs")
            .trim_end_matches("main.rs");
        for file in files
            .iter()
            .filter(|file| crate_of(&file.path) == crate_of(&root_file.path) && !is_test_file(file))
        {
            let Some(module) = file
                .path
                .strip_prefix(folder)
                .map(|rest| rest.split(['/', '.']).next().unwrap_or_default())
            else {
                continue;
            };
            let Some(&own) = root.place.get(module) else {
                continue;
            };
            for (line, used) in used_modules(file, &root) {
                if root.place.get(&used).is_some_and(|&place| place > own) {
                    let text = format!(
                        "`{module}` uses `{used}`, which `{}` lists below it",
                        root_file.path
                    );
                    findings.push(Finding::new(&file.path, line, text));
                }
            }
        }
    }
    findings
}

fn read_root(file: &SourceFile) -> Root {
    let mut root = Root {
        place: HashMap::new(),
        exported: HashMap::new(),
    };
    for item in &file.syntax.items {
        match item {
            Item::Mod(module) if !is_test_only(&module.attrs) => {
                let place = root.place.len();
                root.place.insert(module.ident.to_string(), place);
            }
            Item::Use(import) if !matches!(import.vis, Visibility::Inherited) => {
                if let UseTree::Path(path) = &import.tree {
                    let mut module = path.ident.to_string();
                    let mut rest = &*path.tree;
                    if let ("crate" | "self", UseTree::Path(inner)) = (module.as_str(), rest) {
                        module = inner.ident.to_string();
                        rest = &inner.tree;
                    }
                    for name in leaf_names(rest) {
                        root.exported.insert(name, module.clone());
                    }
                }
            }
            _ => {}
        }
    }
    root
}

/// The names a use tree brings in.
fn leaf_names(tree: &UseTree) -> Vec<String> {
    match tree {
        UseTree::Path(path) => leaf_names(&path.tree),
        UseTree::Name(name) => vec![name.ident.to_string()],
        UseTree::Rename(rename) => vec![rename.rename.to_string()],
        UseTree::Glob(_) => Vec::new(),
        UseTree::Group(group) => group.items.iter().flat_map(leaf_names).collect(),
    }
}

/// Modules of its own crate that a file uses outside its tests, with the line.
fn used_modules(file: &SourceFile, root: &Root) -> Vec<(usize, String)> {
    let mut uses = CrateUses {
        root,
        found: Vec::new(),
    };
    uses.visit_file(&file.syntax);
    uses.found
}

struct CrateUses<'a> {
    root: &'a Root,
    found: Vec<(usize, String)>,
}

impl CrateUses<'_> {
    fn note(&mut self, name: &syn::Ident) {
        let text = name.to_string();
        let module = self.root.exported.get(&text).cloned().unwrap_or(text);
        self.found.push((name.span().start().line, module));
    }

    fn note_tree(&mut self, tree: &UseTree) {
        match tree {
            UseTree::Path(path) => self.note(&path.ident),
            UseTree::Name(name) => self.note(&name.ident),
            UseTree::Rename(rename) => self.note(&rename.ident),
            UseTree::Glob(_) => {}
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.note_tree(tree)),
        }
    }
}

impl<'ast> Visit<'ast> for CrateUses<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test_only(&module.attrs) {
            syn::visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        if let UseTree::Path(path) = &import.tree
            && path.ident == "crate"
        {
            self.note_tree(&path.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let mut segments = path.segments.iter();
        if segments.next().is_some_and(|first| first.ident == "crate")
            && let Some(second) = segments.next()
        {
            self.note(&second.ident);
        }
        syn::visit::visit_path(self, path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_uses_only_those_above_it() {
        let file = |path: &str, text: &str| SourceFile::parse(path, text.to_owned()).unwrap();
        let expect = |user: &str, expected: usize| {
            let root = file(
                "crates/a/src/lib.rs",
                "//! a\nmod low;\nmod high;\npub use high::Thing;\n",
            );
            let files = [
                root,
                file("crates/a/src/low.rs", user),
                file("crates/a/src/high.rs", "//! h\nuse crate::low::X;\n"),
            ];
            assert_eq!(check(&files).len(), expected, "{user}");
        };
        expect("//! l\nuse std::fmt;\n", 0);
        expect("//! l\nuse crate::high::X;\n", 1);
        expect("//! l\nuse crate::{high::X, low::Y};\n", 1);
        expect("//! l\nuse crate::Thing;\n", 1);
        expect("//! l\nfn f() { crate::high::f() }\n", 1);
        expect(
            "//! l\n#[cfg(test)]\nmod tests { use crate::high::X; }\n",
            0,
        );
    }
}
