//! What people and programs see: lines, tables, JSON, progress bars. The only file that writes to standard output and standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::failure::Failure;

/// Where a command's answers go.
#[derive(Clone, Copy, Debug)]
pub struct Output {
    json: bool,
}

impl Output {
    /// JSON where `json`, else text for people.
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// Whether answers are JSON.
    pub fn is_json(self) -> bool {
        self.json
    }

    /// A line on standard output. A reader that went away is no failure.
    #[expect(clippy::unused_self, reason = "whoever writes holds the output")]
    pub fn line(self, text: impl AsRef<str>) {
        let mut out = std::io::stdout().lock();
        drop(writeln!(out, "{}", text.as_ref()).and_then(|()| out.flush()));
    }

    /// A line on standard error.
    #[expect(clippy::unused_self, reason = "whoever writes holds the output")]
    pub fn note(self, text: impl AsRef<str>) {
        drop(writeln!(std::io::stderr().lock(), "{}", text.as_ref()));
    }

    /// A sentence for people, or its JSON for programs.
    pub fn say(self, text: impl AsRef<str>, value: &Value) {
        if self.json {
            self.json(value);
        } else {
            self.line(text);
        }
    }

    /// A JSON document, indented.
    pub fn json(self, value: &Value) {
        self.line(serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string()));
    }

    /// A table for people (with a word where there are no rows), or its JSON for programs.
    pub fn table(self, headers: &[&str], rows: Vec<Vec<String>>, empty: &str, value: &Value) {
        if self.json {
            self.json(value);
        } else if rows.is_empty() {
            self.line(empty);
        } else {
            self.line(render_table(headers, rows));
        }
    }

    /// A failure: `error: ...` with a hint, or its JSON; on standard error.
    pub fn failure(self, failure: &Failure) {
        if self.json {
            let mut error = json!({ "code": failure.exit.code(), "message": failure.message });
            if let (Some(map), Some(hint)) = (error.as_object_mut(), &failure.hint) {
                map.insert("hint".into(), hint.clone().into());
            }
            self.note(json!({ "error": error }).to_string());
            return;
        }
        self.note(format!("error: {}", failure.message));
        if let Some(hint) = &failure.hint {
            self.note(format!("  hint: {hint}"));
        }
    }

    /// A bar that shows itself after a second, and only on a terminal.
    pub fn progress(self, total: u64, what: &'static str) -> Progress {
        let visible = std::io::stderr().is_terminal() && !self.json;
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(total), target).with_message(what);
        if let Ok(style) = ProgressStyle::with_template("{msg} [{bar:30}] {pos} of {len}, {eta} left") {
            bar.set_style(style.progress_chars("=> "));
        }
        Progress { bar }
    }
}

/// A progress bar.
pub struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// One more is done. Nothing is drawn in the first second: what is that quick needs no bar.
    pub fn advance(&self) {
        if self.bar.elapsed() < Duration::from_secs(1) {
            self.bar.update(|state| state.set_pos(state.pos().saturating_add(1)));
        } else {
            self.bar.inc(1);
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

fn render_table(headers: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers.iter().map(|header| header.to_uppercase()));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| printable(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Text from outside must not move the cursor or fake a line: control characters become spaces.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// An instant as people read it: UTC, to the second.
pub fn instant(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

/// An instant that may not be there.
pub fn instant_or(at: Option<Timestamp>, otherwise: &str) -> String {
    at.map_or_else(|| otherwise.to_owned(), instant)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned_and_has_no_trailing_blanks() {
        let text = render_table(&["name", "state"], vec![vec!["chat".into(), "live".into()], vec!["wiki-of-all".into(), "paused".into()]]);
        assert_eq!(text, "NAME         STATE\nchat         live\nwiki-of-all  paused");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a [2Jb c");
    }
}
