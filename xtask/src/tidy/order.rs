//! Modules in dependency order: `lib.rs` (or `main.rs`) lists them, and a module uses only those listed above it. In every folder, the modules beside each other
//! make no circle.
//!
//! A module is a file together with the files of its folder: `a.rs` and `a/x.rs` may use each other, `a/x.rs` and `a/y.rs` only in one direction. A file uses
//! another where it names an item of it by a path, in `use` lines, in code and in macros. A name that a file only imports or passes on counts as an item of the
//! file that defines it. Methods are called without a path, so a call of one is not seen.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};

use proc_macro2::{TokenStream, TokenTree};
use syn::visit::Visit;
use syn::{Item, UseTree, Visibility};

use super::source::{SourceFile, is_test_only};
use super::{Finding, is_test_file};

/// How many names are followed from one file to the next before a path is given up.
const IMPORTS_FOLLOWED_MAX: usize = 8;

/// One file of a crate as a module.
struct Module<'a> {
    file: &'a SourceFile,
    /// The names from the root to it; empty for the root.
    path: Vec<String>,
    /// Its submodules that are files or inline, tests apart.
    children: HashSet<String>,
    /// What it imports, by name: the path from the root.
    imports: HashMap<String, Vec<String>>,
}

/// All files below one root file, by their path from the root.
type Modules<'a> = BTreeMap<Vec<String>, Module<'a>>;

/// From a file to those that it uses, each with the first line that does.
type Uses = BTreeMap<Vec<String>, BTreeMap<Vec<String>, usize>>;

pub fn check(files: &[SourceFile]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for root_file in files
        .iter()
        .filter(|file| file.path.ends_with("src/lib.rs") || file.path.ends_with("src/main.rs"))
    {
        let modules = read_modules(root_file, files);
        let uses: Uses = modules
            .values()
            .map(|module| (module.path.clone(), uses_of(module, &modules)))
            .collect();
        findings.extend(wrong_order(root_file, &modules, &uses));
        let folders = steps(&modules, &uses)
            .into_iter()
            .filter(|(module, _)| module.len() > 1);
        findings.extend(circles(&folders.collect()));
    }
    findings
}

/// Uses of modules that the root file lists below the one that uses them.
fn wrong_order(root_file: &SourceFile, modules: &Modules<'_>, uses: &Uses) -> Vec<Finding> {
    let listed: Vec<String> = submodules(&root_file.syntax.items).collect();
    let place = |path: &[String]| {
        let first = path.first()?;
        listed.iter().position(|name| name == first)
    };
    let mut findings = Vec::new();
    for (user, used) in uses {
        for (path, line) in used {
            let (Some(own), Some(other)) = (place(user), place(path)) else {
                continue;
            };
            if let Some(module) = modules.get(user)
                && other > own
            {
                let text = format!(
                    "`{}` uses `{}`, which `{}` lists below it",
                    user.join("::"),
                    path.join("::"),
                    root_file.path
                );
                findings.push(Finding::new(&module.file.path, *line, text));
            }
        }
    }
    findings
}

/// Between modules that are beside each other: from one to those that it uses, each with the first file and line that does.
type Steps = BTreeMap<Vec<String>, BTreeMap<Vec<String>, (String, usize)>>;

/// The uses of each file, as uses between those two modules beside each other that the files belong to. A module's use of its own folder is none.
fn steps(modules: &Modules<'_>, uses: &Uses) -> Steps {
    let mut steps = Steps::new();
    for (user, used) in uses {
        let Some(module) = modules.get(user) else {
            continue;
        };
        for (path, line) in used {
            let shared = user.iter().zip(path).take_while(|(a, b)| a == b).count();
            if let (Some(from), Some(to)) = (user.get(..=shared), path.get(..=shared)) {
                steps
                    .entry(from.to_vec())
                    .or_default()
                    .entry(to.to_vec())
                    .or_insert_with(|| (module.file.path.clone(), *line));
            }
        }
    }
    steps
}

/// The shortest circle through each module that is in one; each circle once.
fn circles(steps: &Steps) -> Vec<Finding> {
    let mut found: BTreeMap<Vec<&Vec<String>>, Finding> = BTreeMap::new();
    for start in steps.keys() {
        let Some(circle) = shortest_circle(start, steps) else {
            continue;
        };
        let places: Vec<(&String, usize, String)> = circle
            .iter()
            .zip(circle.iter().cycle().skip(1))
            .filter_map(|(user, used)| {
                let (file, line) = steps.get(*user)?.get(*used)?;
                Some((file, *line, used.join("::")))
            })
            .collect();
        let mut members = circle.clone();
        members.sort();
        if let Some((file, line, _)) = places.first() {
            let places: Vec<String> = places
                .iter()
                .map(|(file, line, used)| format!("{file}:{line} uses `{used}`"))
                .collect();
            let text = format!("modules make a circle: {}", places.join(", "));
            found
                .entry(members)
                .or_insert_with(|| Finding::new(file.as_str(), *line, text));
        }
    }
    found.into_values().collect()
}

fn shortest_circle<'a>(start: &'a Vec<String>, steps: &'a Steps) -> Option<Vec<&'a Vec<String>>> {
    let mut came_from: HashMap<&Vec<String>, &Vec<String>> = HashMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(user) = waiting.pop_front() {
        for used in steps.get(user).into_iter().flat_map(BTreeMap::keys) {
            if used == start {
                let mut circle = vec![user];
                let mut here = user;
                while let Some(before) = came_from.get(here) {
                    here = before;
                    circle.push(here);
                }
                circle.reverse();
                return Some(circle);
            }
            if !came_from.contains_key(used) {
                came_from.insert(used, user);
                waiting.push_back(used);
            }
        }
    }
    None
}

/// The files below a root file, as its `mod` lines and theirs name them.
fn read_modules<'a>(root_file: &'a SourceFile, files: &'a [SourceFile]) -> Modules<'a> {
    let folder = root_file
        .path
        .trim_end_matches("lib.rs")
        .trim_end_matches("main.rs");
    let mut modules = Modules::new();
    let mut waiting = vec![(Vec::new(), root_file)];
    while let Some((path, file)) = waiting.pop() {
        let children: HashSet<String> = submodules(&file.syntax.items).collect();
        for child in &children {
            let below: Vec<String> = path.iter().chain([child]).cloned().collect();
            let name = format!("{folder}{}.rs", below.join("/"));
            let found = files.iter().find(|file| file.path == name);
            if let Some(file) = found.filter(|file| !is_test_file(file)) {
                waiting.push((below, file));
            }
        }
        let imports = imports(&file.syntax.items, &path, &children);
        let module = Module {
            file,
            path: path.clone(),
            children,
            imports,
        };
        modules.insert(path, module);
    }
    modules
}

/// The modules that these items declare, in order, tests apart.
fn submodules(items: &[Item]) -> impl Iterator<Item = String> {
    items.iter().filter_map(|item| match item {
        Item::Mod(module) if !is_test_only(&module.attrs) => Some(module.ident.to_string()),
        _ => None,
    })
}

fn imports(
    items: &[Item],
    path: &[String],
    children: &HashSet<String>,
) -> HashMap<String, Vec<String>> {
    let mut imports = HashMap::new();
    for item in items {
        if let Item::Use(import) = item
            && !is_test_only(&import.attrs)
        {
            for leaf in leaves(&import.tree) {
                if let Some(from_root) = from_root(&leaf.path, path, 0, children) {
                    imports.insert(leaf.name, from_root);
                }
            }
        }
    }
    imports
}

/// One name that a use tree brings in, with its path.
struct Leaf {
    name: String,
    path: Vec<String>,
    line: usize,
}

fn leaves(tree: &UseTree) -> Vec<Leaf> {
    let leaf = |name: &syn::Ident, renamed: &syn::Ident| Leaf {
        name: renamed.to_string(),
        path: vec![name.to_string()],
        line: name.span().start().line,
    };
    match tree {
        UseTree::Path(path) => {
            let mut below = leaves(&path.tree);
            for leaf in &mut below {
                if leaf.path.first().is_some_and(|first| first == "self") {
                    leaf.path.clear();
                    leaf.name = path.ident.to_string();
                }
                leaf.path.insert(0, path.ident.to_string());
            }
            below
        }
        UseTree::Name(name) => vec![leaf(&name.ident, &name.ident)],
        UseTree::Rename(rename) => vec![leaf(&rename.ident, &rename.rename)],
        UseTree::Glob(glob) => vec![Leaf {
            name: "*".into(),
            path: vec!["*".into()],
            line: glob.star_token.spans[0].start().line,
        }],
        UseTree::Group(group) => group.items.iter().flat_map(leaves).collect(),
    }
}

/// A path as written in the module at `own`, `inline` modules deep inside its file, from the root of the crate. `None`: it leads to another crate.
fn from_root(
    written: &[String],
    own: &[String],
    inline: usize,
    children: &HashSet<String>,
) -> Option<Vec<String>> {
    let mut rest = written;
    let mut base = match rest.split_first()? {
        (first, below) if first == "crate" => {
            rest = below;
            Vec::new()
        }
        (first, _) if first == "super" || first == "self" => own.to_vec(),
        (first, _) if inline == 0 && children.contains(first) => own.to_vec(),
        _ => return None,
    };
    let mut inside = inline;
    while let Some((first, below)) = rest.split_first() {
        match first.as_str() {
            "self" => {}
            "super" if inside > 0 => inside -= 1,
            "super" => drop(base.pop()),
            _ => break,
        }
        rest = below;
    }
    base.extend_from_slice(rest);
    Some(base)
}

/// The file that defines what a path from the root names.
fn defining(path: &[String], modules: &Modules<'_>, followed: usize) -> Option<Vec<String>> {
    let mut here = modules.get(&Vec::new())?;
    for (index, name) in path.iter().enumerate() {
        let below: Vec<String> = here.path.iter().chain([name]).cloned().collect();
        if let Some(module) = modules.get(&below) {
            here = module;
            continue;
        }
        if let Some(import) = here.imports.get(name)
            && followed < IMPORTS_FOLLOWED_MAX
        {
            let mut further = import.clone();
            further.extend(path.iter().skip(index + 1).cloned());
            return defining(&further, modules, followed + 1);
        }
        break;
    }
    Some(here.path.clone())
}

/// The files that one uses outside its tests.
fn uses_of(module: &Module<'_>, modules: &Modules<'_>) -> BTreeMap<Vec<String>, usize> {
    let mut paths = Paths {
        module,
        inline: 0,
        found: Vec::new(),
    };
    paths.visit_file(&module.file.syntax);
    let mut uses = BTreeMap::new();
    for (line, path) in paths.found {
        if let Some(used) = defining(&path, modules, 0)
            && used != module.path
        {
            let first = uses.entry(used).or_insert(line);
            *first = line.min(*first);
        }
    }
    uses
}

/// Collects the paths of a file that stay in its crate.
struct Paths<'a> {
    module: &'a Module<'a>,
    inline: usize,
    found: Vec<(usize, Vec<String>)>,
}

impl Paths<'_> {
    fn note(&mut self, line: usize, written: &[String]) {
        let module = self.module;
        let path = from_root(written, &module.path, self.inline, &module.children);
        self.found.extend(path.map(|path| (line, path)));
    }

    /// The paths in what a macro is given, which is not parsed: names with `::` between them.
    fn note_tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut line, mut colons) = (0, 0);
        for token in tokens {
            match token {
                TokenTree::Ident(name) => {
                    if colons != 2 {
                        self.note(line, &std::mem::take(&mut path));
                        line = name.span().start().line;
                    }
                    path.push(name.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
                TokenTree::Group(group) => {
                    self.note(line, &std::mem::take(&mut path));
                    self.note_tokens(group.stream());
                    colons = 0;
                }
                _ => {
                    self.note(line, &std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.note(line, &path);
    }
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        if !is_test_only(&module.attrs) {
            self.inline += 1;
            syn::visit::visit_item_mod(self, module);
            self.inline -= 1;
        }
    }

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if !is_test_only(&function.attrs) {
            syn::visit::visit_item_fn(self, function);
        }
    }

    fn visit_item_use(&mut self, import: &'ast syn::ItemUse) {
        if is_test_only(&import.attrs) {
            return;
        }
        for leaf in leaves(&import.tree) {
            self.note(leaf.line, &leaf.path);
        }
    }

    /// `pub(super)` and the like name a module without using it.
    fn visit_visibility(&mut self, _: &'ast Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none()
            && let Some(first) = path.segments.first()
        {
            let written: Vec<String> = path
                .segments
                .iter()
                .map(|segment| segment.ident.to_string())
                .collect();
            self.note(first.ident.span().start().line, &written);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.note_tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(files: &[(&str, &str)]) -> Vec<String> {
        let parse = |(path, text): &(&str, &str)| {
            SourceFile::parse(&format!("crates/a/src/{path}"), (*text).to_owned()).unwrap()
        };
        let files: Vec<SourceFile> = files.iter().map(parse).collect();
        check(&files)
            .iter()
            .map(|finding| format!("{}:{}", finding.file, finding.line))
            .collect()
    }

    #[test]
    fn a_module_uses_only_those_above_it() {
        let expect = |user: &str, expected: usize| {
            let files = [
                (
                    "lib.rs",
                    "//! a\nmod low;\nmod high;\npub use high::Thing;\n",
                ),
                ("low.rs", user),
                ("high.rs", "//! h\n"),
            ];
            assert_eq!(findings(&files).len(), expected, "{user}");
        };
        expect("//! l\nuse std::fmt;\n", 0);
        expect("//! l\nuse crate::high::X;\n", 1);
        expect("//! l\nuse crate::{high::X, low::Y};\n", 1);
        expect("//! l\nuse super::high::X;\n", 1);
        expect("//! l\nuse crate::Thing;\n", 1);
        expect("//! l\nfn f() { crate::high::f() }\n", 1);
        expect("//! l\nfn f() { call!(1, crate::high::f()) }\n", 1);
        expect(
            "//! l\n#[cfg(test)]\nmod tests { use crate::high::X; }\n",
            0,
        );
    }

    #[test]
    fn modules_beside_each_other_make_no_circle() {
        let expect = |parent: &str, x: &str, y: &str, expected: &[&str]| {
            let files = [
                ("lib.rs", "//! a\nmod p;\n"),
                ("p.rs", parent),
                ("p/x.rs", x),
                ("p/y.rs", y),
            ];
            assert_eq!(findings(&files), expected, "{parent}{x}{y}");
        };
        let plain = "//! p\nmod x;\nmod y;\n";
        let (x, y) = ("//! x\nuse super::y::Y;\n", "//! y\n");
        expect(plain, x, y, &[]);
        expect(
            plain,
            x,
            "//! y\nfn f() { crate::p::x::g() }\n",
            &["crates/a/src/p/x.rs:2"],
        );
        expect(
            plain,
            x,
            "//! y\n#[cfg(test)]\nmod tests { use super::super::x::X; }\n",
            &[],
        );
        // A file and its folder are one module, and a name that a file only passes on is no item of it.
        let parent = "//! p\nmod x;\nmod y;\npub use x::X;\nfn f() { y::g() }\n";
        expect(
            parent,
            "//! x\nuse super::P;\n",
            "//! y\nuse super::P;\n",
            &[],
        );
        expect(parent, x, "//! y\nuse super::P;\n", &[]);
        expect(
            parent,
            x,
            "//! y\nuse super::X;\n",
            &["crates/a/src/p/x.rs:2"],
        );
        expect(
            plain,
            "//! x\nmod inner { use super::Own; }\npub(in crate::p) struct Own;\n",
            "//! y\nuse super::x::Own;\n",
            &[],
        );
    }
    #[test]
    fn a_folder_counts_as_its_module() {
        let files = |deep| {
            findings(&[
                ("lib.rs", "//! a\nmod p;\n"),
                ("p.rs", "//! p\nmod x;\nmod y;\n"),
                ("p/x.rs", "//! x\nmod deep;\n"),
                ("p/x/deep.rs", deep),
                ("p/y.rs", "//! y\nuse super::x::X;\n"),
            ])
        };
        assert_eq!(files("//! d\nuse crate::p::P;\n"), [""; 0]);
        let circle = ["crates/a/src/p/x/deep.rs:2"];
        assert_eq!(files("//! d\nuse crate::p::y::Y;\n"), circle);
    }
}
