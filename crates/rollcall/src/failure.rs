//! How a command ends badly: a sentence, a hint, and an exit code that means something. Does not print.

use connectors::egress::Refusal;
use directory::store::Fault;
use scim_protocol::{Error, ErrorKind};
use storage::postgres::ConnectError;

/// The exit codes, as `--help` documents them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Something of ours failed.
    Failed,
    /// The command line or the configuration is wrong.
    Usage,
    /// What was named does not exist.
    NotFound,
    /// It exists already, or changed meanwhile.
    Conflict,
    /// The input was refused.
    Refused,
    /// An application or the database does not answer.
    Unreachable,
}

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        match self {
            Self::Failed => 1,
            Self::Usage => 2,
            Self::NotFound => 3,
            Self::Conflict => 4,
            Self::Refused => 5,
            Self::Unreachable => 6,
        }
    }
}

/// Why a command did not do what was asked.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What was wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure with a sentence.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self {
            exit,
            message: message.into(),
            hint: None,
        }
    }

    /// Ours.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Exit::Failed, message)
    }

    /// The command line's.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// What the parser of the command line says, without its layout: the sentence, and its tips and the usage as a hint.
    pub fn of_command_line(error: &clap::Error) -> Self {
        if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
            // The parser would show the whole help.
            return Self::usage("a command is missing")
                .hint("`--help` says which commands there are");
        }
        let text = error.render().to_string();
        let mut paragraphs = text
            .split("\n\n")
            .map(|paragraph| paragraph.split_whitespace().collect::<Vec<_>>().join(" "));
        let message = paragraphs.next().unwrap_or_default();
        let failure = Self::usage(message.strip_prefix("error: ").unwrap_or(&message));
        failure.hint(paragraphs.collect::<Vec<_>>().join("; "))
    }

    /// Nothing of that name.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Exit::NotFound, message)
    }

    /// Already there, or changed meanwhile.
    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Exit::Conflict, message)
    }

    /// Input that is not accepted.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Exit::Refused, message)
    }

    /// No answer.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Exit::Unreachable, message)
    }

    /// Whether it is our fault or the machine's, not that of what was asked: it makes no sense to go on.
    pub fn is_ours(&self) -> bool {
        matches!(self.exit, Exit::Failed | Exit::Unreachable)
    }

    /// Says what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// An error with its sources, joined by `: ` (a source that only repeats its parent is left out).
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        source = cause.source();
    }
    text
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::failed(chain(&fault))
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let failure = Self::refused(refusal.to_string());
        match refusal.place {
            None => failure,
            Some(place) => failure.hint(format!(
                "if it is yours, allow it by name: `allow_private = [\"{place}\"]` in rollcall.toml, ROLLCALL_ALLOW_PRIVATE={place}, or \
                 --allow-private {place}, for `serve` as well"
            )),
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::NoConnection(fault) => Self::unreachable(chain(&fault)).hint(
                "check the URL of the database, which `rollcall config show` shows without the password, and that PostgreSQL runs there",
            ),
            ConnectError::Other(fault) => fault.into(),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::failed(chain(&error))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let exit = match error.kind() {
            ErrorKind::NotFound => Exit::NotFound,
            ErrorKind::Uniqueness | ErrorKind::Conflict | ErrorKind::PreconditionFailed => {
                Exit::Conflict
            }
            ErrorKind::Internal
            | ErrorKind::NotImplemented
            | ErrorKind::Unauthorized
            | ErrorKind::Forbidden => Exit::Failed,
            ErrorKind::Unavailable | ErrorKind::TooManyRequests => Exit::Unreachable,
            _ => Exit::Refused,
        };
        Self::new(exit, error.detail())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_have_the_exit_code_of_their_kind() {
        let check = |kind, code| {
            assert_eq!(
                Failure::from(Error::new(kind, "No.")).exit.code(),
                code,
                "{kind:?}"
            );
        };
        check(ErrorKind::NotFound, 3);
        check(ErrorKind::Uniqueness, 4);
        check(ErrorKind::PreconditionFailed, 4);
        check(ErrorKind::InvalidValue, 5);
        check(ErrorKind::InvalidFilter, 5);
        check(ErrorKind::Internal, 1);
        check(ErrorKind::Unavailable, 6);
    }

    #[test]
    fn a_fault_is_told_with_its_sources() {
        let fault = Fault::from_source("open the store", std::io::Error::other("disk full"));
        assert_eq!(Failure::from(fault).message, "open the store: disk full");
    }
}
