//! `rollcall config`: what holds, and where it came from. Changes nothing.

use clap::Subcommand;
use serde_json::{Map, Value, json};

use crate::configuration::{Configuration, unknown_variables};
use crate::output::Output;

/// `rollcall config ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Print every setting and where it came from; secrets are hidden
    #[command(
        after_help = "A configuration file says the same in TOML:\n  listen = \"0.0.0.0:8700\"\n  public_url = \"https://rollcall.example.com\"\n  trusted_proxies = [\"10.0.0.7\"]"
    )]
    Show,
}

/// Prints every setting.
pub fn show(configuration: &Configuration, output: Output) {
    let rows = configuration.rows();
    let mut document = Map::new();
    for (key, value, origin) in &rows {
        document.insert(
            (*key).to_owned(),
            json!({ "value": value, "origin": origin.name() }),
        );
    }
    let file = configuration
        .file
        .as_ref()
        .map(|path| path.display().to_string());
    document.insert(
        "config".into(),
        json!({ "value": file, "origin": if file.is_some() { "found" } else { "default" } }),
    );
    let lines = rows
        .iter()
        .map(|(key, value, origin)| vec![(*key).to_owned(), text(value), origin.name().to_owned()])
        .collect();
    output.table(
        &["key", "value", "origin"],
        lines,
        "",
        &Value::Object(document),
    );
    if !output.is_json() {
        output.line(match &file {
            Some(path) => format!("\nConfiguration file: {path}"),
            None => "\nNo configuration file.".to_owned(),
        });
    }
    for name in
        unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
    {
        output.note(format!(
            "warning: the variable {name} means nothing to this program"
        ));
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".into(),
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "-".into(),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}
