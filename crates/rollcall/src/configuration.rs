//! Configuration: flags over environment over file over defaults, and where each value came from. Does not build anything from it.

mod layer;

mod resolve;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use connectors::egress::Place;
use serde_json::{Value, json};
use url::Url;

use self::layer::read_file;
pub use self::layer::{Layer, unknown_variables};
use self::resolve::resolve;
use crate::failure::Failure;

/// The configuration file that is looked for in the data folder.
pub const FILE_NAME: &str = "rollcall.toml";
/// The variable that gives the first token its value.
pub const BOOTSTRAP_TOKEN_VARIABLE: &str = "ROLLCALL_BOOTSTRAP_TOKEN";
/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "ROLLCALL_CONFIG";
/// The variables by which commands reach a server somewhere else.
pub const CLIENT_VARIABLES: [&str; 2] = ["ROLLCALL_URL", "ROLLCALL_TOKEN"];
const DATA_DEFAULT: &str = "rollcall-data";

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    Default,
    /// The configuration file.
    File,
    /// A variable.
    Environment,
    /// A flag.
    Flag,
}

impl Origin {
    /// As `config show` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::File => "file",
            Self::Environment => "environment",
            Self::Flag => "flag",
        }
    }
}

/// A value and where it came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it came from.
    pub origin: Origin,
}

/// A setting as it is shown: its key, its value without secrets, its origin.
pub type Row = (&'static str, Value, Origin);

impl<T> Setting<T> {
    fn default_of(value: T) -> Self {
        Self {
            value,
            origin: Origin::Default,
        }
    }

    fn row(&self, key: &'static str, shown: impl Fn(&T) -> Value) -> Row {
        (key, shown(&self.value), self.origin)
    }
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl LogFormat {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// A value that nothing prints.
#[derive(Clone, PartialEq, Eq)]
pub struct Hidden(String);

impl Hidden {
    /// The value, for the one place that needs it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden(..)")
    }
}

/// Where identities are kept.
#[derive(Clone, PartialEq, Eq)]
pub enum Database {
    /// The SQLite file in the data folder.
    Embedded,
    /// A PostgreSQL URL; may hold a password.
    PostgreSql(Hidden),
}

impl Database {
    /// The database without its password.
    pub fn display(&self) -> String {
        match self {
            Self::Embedded => "SQLite, in the data folder".into(),
            Self::PostgreSql(url) => hide_password(url.reveal()),
        }
    }
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.display())
    }
}

/// What the servers of the demo reach: each other.
fn this_machine(listen: IpAddr) -> Vec<Place> {
    let bits = if listen.is_ipv4() { 32 } else { 128 };
    vec![
        Place::Network(Ipv4Addr::LOCALHOST.into(), 32),
        Place::Network(Ipv6Addr::LOCALHOST.into(), 128),
        Place::Network(listen, bits),
    ]
}

/// All settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration {
    /// The file that was read.
    pub file: Option<PathBuf>,
    /// The data folder.
    pub data: Setting<PathBuf>,
    /// Where to listen.
    pub listen: Setting<SocketAddr>,
    /// Where identities are kept.
    pub database: Setting<Database>,
    /// The URL under which clients reach us.
    pub public_url: Setting<Option<Url>>,
    /// Addresses of proxies whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Setting<Vec<IpAddr>>,
    /// Our certificate; without it, plain HTTP.
    pub tls_cert: Setting<Option<PathBuf>>,
    /// Its key.
    pub tls_key: Setting<Option<PathBuf>>,
    /// Authorities of clients' certificates.
    pub tls_client_ca: Setting<Option<PathBuf>>,
    /// Requests a second of one caller; `None`: as the server has it, 0: without a limit.
    pub rate_limit_per_second: Setting<Option<u32>>,
    /// Requests a second of one address without a token; `None`: as the server has it, 0: without a limit.
    pub address_rate_limit_per_second: Setting<Option<u32>>,
    /// Refused credentials of one address within a minute, after which it waits; `None`: as the server has it, 0: it never waits.
    pub lockout_failures: Setting<Option<u32>>,
    /// Days for which the change feed keeps what happened; `None`: as the engine has it.
    pub event_retention_days: Setting<Option<u32>>,
    /// Hosts, addresses and networks that applications, receivers and issuers may have although they are not public.
    pub allow_private: Setting<Vec<Place>>,
    /// Which log lines are written.
    pub log: Setting<String>,
    /// How log lines look.
    pub log_format: Setting<LogFormat>,
    /// The value of the first token.
    pub bootstrap_token: Option<Hidden>,
}

impl Configuration {
    /// Reads the file that `config_flag` or the environment names, or the one in the data folder, and puts everything together.
    pub fn read(
        flags: Layer,
        config_flag: Option<PathBuf>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let environment = Layer::from_environment(&variable);
        let named = config_flag.or_else(|| {
            variable(CONFIG_VARIABLE)
                .filter(|path| !path.is_empty())
                .map(PathBuf::from)
        });
        let folder = flags
            .data
            .as_deref()
            .or(environment.data.as_deref())
            .unwrap_or(DATA_DEFAULT);
        let in_folder = Path::new(folder).join(FILE_NAME);
        let file = match &named {
            Some(path) => Some(path.clone()),
            None if in_folder.is_file() => Some(in_folder),
            None => None,
        };
        let layer = match &file {
            Some(path) => read_file(path, named.is_none())?,
            None => Layer::default(),
        };
        let bootstrap_token = variable(BOOTSTRAP_TOKEN_VARIABLE)
            .filter(|token| !token.is_empty())
            .map(Hidden);
        let mut configuration = resolve(flags, environment, layer)?;
        configuration.file = file;
        configuration.bootstrap_token = bootstrap_token;
        Ok(configuration)
    }

    /// The configuration of one of the demo's servers, which shares nothing with the rest of the machine.
    pub fn for_demo(&self, data: PathBuf) -> Self {
        Self {
            file: None,
            data: Setting::default_of(data),
            database: Setting::default_of(Database::Embedded),
            public_url: Setting::default_of(None),
            tls_cert: Setting::default_of(None),
            tls_key: Setting::default_of(None),
            tls_client_ca: Setting::default_of(None),
            allow_private: Setting::default_of(this_machine(self.listen.value.ip())),
            bootstrap_token: None,
            ..self.clone()
        }
    }

    /// Every setting as (key, value without secrets, origin).
    pub fn rows(&self) -> Vec<Row> {
        let places = |all: &Vec<Place>| json!(all.iter().map(Place::to_string).collect::<Vec<_>>());
        let mut rows = vec![
            self.data.row("data", |it| json!(it.display().to_string())),
            self.listen.row("listen", |it| json!(it.to_string())),
            self.database.row("database", |it| json!(it.display())),
            self.public_url
                .row("public_url", |it| json!(it.as_ref().map(Url::as_str))),
            self.trusted_proxies.row("trusted_proxies", |it| json!(it)),
            self.tls_cert.row("tls_cert", |it| json!(it)),
            self.tls_key.row("tls_key", |it| json!(it)),
            self.tls_client_ca.row("tls_client_ca", |it| json!(it)),
            self.rate_limit_per_second
                .row("rate_limit_per_second", |it| json!(it)),
            self.address_rate_limit_per_second
                .row("address_rate_limit_per_second", |it| json!(it)),
            self.lockout_failures
                .row("lockout_failures", |it| json!(it)),
            self.event_retention_days
                .row("event_retention_days", |it| json!(it)),
            self.allow_private.row("allow_private", places),
            self.log.row("log", |it| json!(it)),
            self.log_format.row("log_format", |it| json!(it.name())),
        ];
        if self.bootstrap_token.is_some() {
            rows.push(("bootstrap_token", json!("(hidden)"), Origin::Environment));
        }
        rows
    }
}

/// A URL with its password, and every query value that may be one, made unreadable. What is not a URL is hidden whole.
fn hide_password(text: &str) -> String {
    let Ok(mut url) = Url::parse(text) else {
        return "(hidden)".into();
    };
    if url.password().is_some() && url.set_password(Some("hidden")).is_err() {
        return "(hidden)".into();
    }
    if url.query().is_some() {
        let pairs: Vec<(String, String)> = url
            .query_pairs()
            .map(|(key, value)| {
                let secret = key.to_lowercase().contains("password");
                (
                    key.into_owned(),
                    if secret {
                        "hidden".into()
                    } else {
                        value.into_owned()
                    },
                )
            })
            .collect();
        url.query_pairs_mut().clear().extend_pairs(pairs);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_hidden() {
        let check = |text: &str, expected: &str| assert_eq!(hide_password(text), expected);
        check(
            "postgres://ada:lovelace@db/rollcall",
            "postgres://ada:hidden@db/rollcall",
        );
        check(
            "postgres://ada@db/rollcall?password=lovelace&x=1",
            "postgres://ada@db/rollcall?password=hidden&x=1",
        );
        check("postgres://ada@db/rollcall", "postgres://ada@db/rollcall");
        check("host=db password=lovelace", "(hidden)");
    }
}
