//! What people and programs see: lines, tables, JSON, progress bars. The only file that writes to standard output and standard error.

use std::io::{IsTerminal, Read, Seek, SeekFrom, Write};
use std::pin::pin;
use std::time::Duration;

use comfy_table::{ContentArrangement, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::time::{Instant, interval_at};

use crate::failure::Failure;

/// What is quicker needs no progress bar.
const SHOWN_AFTER: Duration = Duration::from_secs(1);
/// Between two pictures of something that moves by itself.
const PICTURE_AFTER: Duration = Duration::from_millis(100);

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

    /// How many of them are done; on a terminal only, as everything that moves.
    pub fn progress(self, total: u64, what: &'static str) -> Progress {
        self.moving(
            Some(total),
            "{msg} [{bar:30}] {pos} of {len}, {eta} left",
            what,
        )
    }

    /// How much is done of something that is so many bytes long.
    pub fn progress_in_bytes(self, total: u64, what: &'static str) -> Progress {
        self.moving(
            Some(total),
            "{msg} [{bar:30}] {bytes} of {total_bytes}, {eta} left",
            what,
        )
    }

    /// How many lines there are already, where nobody knows how many there will be. Nothing where the lines themselves go to a terminal.
    pub fn progress_in_lines(self, to_stdout: bool, what: &'static str) -> Progress {
        let mut progress = self.moving(None, "{spinner} {msg}, {pos} lines", what);
        progress.may_be_seen &= !(to_stdout && std::io::stdout().is_terminal());
        progress
    }

    /// That something goes on of which nothing else is known.
    pub fn waiting(self, what: &'static str) -> Progress {
        self.moving(None, "{spinner} {msg}", what)
    }

    fn moving(self, total: Option<u64>, template: &str, what: &'static str) -> Progress {
        let bar =
            ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden()).with_message(what);
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        Progress {
            bar,
            may_be_seen: std::io::stderr().is_terminal() && !self.json,
        }
    }
}

/// A progress bar, or what stands in its place where the end is not known. It shows itself after a second.
#[derive(Clone)]
pub struct Progress {
    bar: ProgressBar,
    may_be_seen: bool,
}

impl Progress {
    /// So many more are done.
    pub fn advance(&self, by: u64) {
        self.bar.inc(by);
        self.show();
    }

    /// Keeps it moving as long as the work takes, then takes it away.
    pub async fn during<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        let mut pictures = interval_at(Instant::now() + SHOWN_AFTER, PICTURE_AFTER);
        loop {
            tokio::select! {
                done = &mut work => {
                    self.finish();
                    return done;
                }
                _ = pictures.tick() => {
                    self.show();
                    self.bar.tick();
                }
            }
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn show(&self) {
        if self.is_due() && self.bar.is_hidden() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
        }
    }

    fn is_due(&self) -> bool {
        self.may_be_seen && self.bar.elapsed() >= SHOWN_AFTER
    }
}

/// A file that moves a progress bar: by the lines that are written, by the bytes that are read.
pub struct Watched<T> {
    file: T,
    progress: Progress,
}

impl<T> Watched<T> {
    /// This file, and its bar.
    pub fn new(file: T, progress: &Progress) -> Self {
        Self {
            file,
            progress: progress.clone(),
        }
    }
}

impl<T: Write> Write for Watched<T> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.file.write(bytes)?;
        let lines = bytes
            .iter()
            .take(written)
            .filter(|byte| **byte == b'\n')
            .count();
        self.progress
            .advance(u64::try_from(lines).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl<T: Read> Read for Watched<T> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read(into)?;
        self.progress
            .advance(u64::try_from(read).unwrap_or_default());
        Ok(read)
    }
}

impl<T: Seek> Seek for Watched<T> {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.file.seek(to)
    }
}

fn render_table(headers: &[&str], rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headers.iter().map(|header| header.to_uppercase()));
    for row in rows {
        table.add_row(row.into_iter().map(|cell| printable(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Text from outside must not move the cursor or fake a line: control characters become spaces.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
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
        let text = render_table(
            &["name", "state"],
            vec![
                vec!["chat".into(), "live".into()],
                vec!["wiki-of-all".into(), "paused".into()],
            ],
        );
        assert_eq!(
            text,
            "NAME         STATE\nchat         live\nwiki-of-all  paused"
        );
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\nc"), "a [2Jb c");
    }

    #[test]
    fn a_bar_shows_itself_after_a_second_and_only_to_people() {
        let check = |may_be_seen, elapsed, expected| {
            let bar = ProgressBar::hidden().with_elapsed(Duration::from_millis(elapsed));
            assert_eq!(
                Progress { bar, may_be_seen }.is_due(),
                expected,
                "{may_be_seen} {elapsed}"
            );
        };
        check(true, 1_000, true);
        check(true, 100, false);
        check(false, 60_000, false);
        let bar = Output::new(true).progress(10, "importing");
        assert!(bar.bar.is_hidden() && !bar.may_be_seen);
    }

    #[test]
    fn a_file_moves_its_bar() {
        let progress = Output::new(true).progress_in_lines(false, "exporting");
        let mut file = Watched::new(Vec::new(), &progress);
        file.write_all(b"a\nb\n\nc").unwrap();
        assert_eq!(
            (file.file.as_slice(), progress.bar.position()),
            (&b"a\nb\n\nc"[..], 3)
        );

        let progress = Output::new(true).progress_in_bytes(12, "restoring");
        let mut file = Watched::new(std::io::Cursor::new(b"abcdef"), &progress);
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        file.rewind().unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(
            (text.as_str(), progress.bar.position()),
            ("abcdefabcdef", 12)
        );
    }

    #[tokio::test]
    async fn the_work_ends_with_its_bar() {
        let progress = Output::new(true).waiting("erasing");
        assert_eq!(progress.during(async { 7 }).await, 7);
        assert!(progress.bar.is_finished());
    }
}
