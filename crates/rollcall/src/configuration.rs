//! Configuration: flags over environment over file over defaults, and where each value came from. Does not build anything from it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use connectors::egress::Place;
use directory::tenant::DAYS_MAX;
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};
use url::Url;

use crate::failure::Failure;

/// The configuration file that is looked for in the data folder.
pub const FILE_NAME: &str = "rollcall.toml";
/// The variable that gives the first token its value.
pub const BOOTSTRAP_TOKEN_VARIABLE: &str = "ROLLCALL_BOOTSTRAP_TOKEN";
/// The variable that names the configuration file.
pub const CONFIG_VARIABLE: &str = "ROLLCALL_CONFIG";
const DATA_DEFAULT: &str = "rollcall-data";
const LISTEN_DEFAULT: &str = "127.0.0.1:8700";
const LOG_DEFAULT: &str = "warn";

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

/// One source of settings, still as text. The same names everywhere: `public_url`, `ROLLCALL_PUBLIC_URL`, `--public-url`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Layer {
    /// The data folder.
    pub data: Option<String>,
    /// ADDR:PORT.
    pub listen: Option<String>,
    /// A PostgreSQL URL.
    pub database: Option<String>,
    /// The URL under which clients reach us.
    pub public_url: Option<String>,
    /// Addresses of proxies that are believed.
    pub trusted_proxies: Option<Vec<String>>,
    /// Our certificate, a PEM file.
    pub tls_cert: Option<String>,
    /// Its key, a PEM file.
    pub tls_key: Option<String>,
    /// Authorities of clients' certificates, a PEM file.
    pub tls_client_ca: Option<String>,
    /// Requests a second of one caller.
    #[serde(deserialize_with = "as_text")]
    pub rate_limit_per_second: Option<String>,
    /// Requests a second of one address without a token.
    #[serde(deserialize_with = "as_text")]
    pub address_rate_limit_per_second: Option<String>,
    /// Refused credentials of one address, after which it waits.
    #[serde(deserialize_with = "as_text")]
    pub lockout_failures: Option<String>,
    /// Days for which events are kept.
    #[serde(deserialize_with = "as_text")]
    pub event_retention_days: Option<String>,
    /// Hosts, addresses and networks that may be reached although they are not public.
    pub allow_private: Option<Vec<String>>,
    /// Which log lines are written.
    pub log: Option<String>,
    /// How log lines look.
    pub log_format: Option<String>,
}

/// A number or a flag of a TOML file, or a text that says one: all layers are read in the same way.
fn as_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(
        untagged,
        expecting = "a number, `true` or `false`, or either in quotes"
    )]
    enum Said {
        Text(String),
        Number(i64),
        Flag(bool),
    }
    Ok(Some(match Said::deserialize(deserializer)? {
        Said::Text(text) => text,
        Said::Number(number) => number.to_string(),
        Said::Flag(flag) => flag.to_string(),
    }))
}

impl Layer {
    /// What the environment says.
    pub fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Self {
        let read = |key: &str| variable(&variable_name(key)).filter(|value| !value.is_empty());
        Self {
            data: read("data"),
            listen: read("listen"),
            database: read("database"),
            public_url: read("public_url"),
            trusted_proxies: read("trusted_proxies").map(|list| parts(&list)),
            tls_cert: read("tls_cert"),
            tls_key: read("tls_key"),
            tls_client_ca: read("tls_client_ca"),
            rate_limit_per_second: read("rate_limit_per_second"),
            address_rate_limit_per_second: read("address_rate_limit_per_second"),
            lockout_failures: read("lockout_failures"),
            event_retention_days: read("event_retention_days"),
            allow_private: read("allow_private").map(|list| parts(&list)),
            log: read("log"),
            log_format: read("log_format"),
        }
    }

    /// What a file says. A key that does not exist is an error that names it.
    pub fn from_toml(text: &str, name: &str) -> Result<Self, Failure> {
        let malformed =
            |error: &dyn std::fmt::Display| Failure::usage(format!("{name} is not TOML: {error}"));
        let deserializer = toml::Deserializer::parse(text).map_err(|error| malformed(&error))?;
        serde_path_to_error::deserialize(deserializer).map_err(|error| {
            let path = error.path().to_string();
            let said = error.inner().message().to_owned();
            let at = if path == "." { String::new() } else { format!("`{path}`: ") };
            Failure::usage(format!("{name}: {at}{said}"))
                .hint("`rollcall config show` lists every key; each is written as there, in lower case with underscores")
        })
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

/// What commas separate.
fn parts(list: &str) -> Vec<String> {
    list.split(',')
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

fn variable_name(key: &str) -> String {
    format!("ROLLCALL_{}", key.to_uppercase())
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

    /// For one of the servers of the demo: everything apart from the rest of the machine.
    pub fn for_demo(&self, data: PathBuf) -> Self {
        let origin = Origin::Default;
        Self {
            file: None,
            data: Setting {
                value: data,
                origin,
            },
            database: Setting {
                value: Database::Embedded,
                origin,
            },
            public_url: Setting {
                value: None,
                origin,
            },
            tls_cert: Setting {
                value: None,
                origin,
            },
            tls_key: Setting {
                value: None,
                origin,
            },
            tls_client_ca: Setting {
                value: None,
                origin,
            },
            allow_private: Setting {
                value: this_machine(self.listen.value.ip()),
                origin,
            },
            bootstrap_token: None,
            ..self.clone()
        }
    }

    /// Every setting as (key, value without secrets, origin).
    pub fn rows(&self) -> Vec<(&'static str, Value, Origin)> {
        let mut rows = vec![
            (
                "data",
                json!(self.data.value.display().to_string()),
                self.data.origin,
            ),
            (
                "listen",
                json!(self.listen.value.to_string()),
                self.listen.origin,
            ),
            (
                "database",
                json!(self.database.value.display()),
                self.database.origin,
            ),
            (
                "public_url",
                json!(self.public_url.value.as_ref().map(Url::as_str)),
                self.public_url.origin,
            ),
            (
                "trusted_proxies",
                json!(self.trusted_proxies.value),
                self.trusted_proxies.origin,
            ),
            ("tls_cert", json!(self.tls_cert.value), self.tls_cert.origin),
            ("tls_key", json!(self.tls_key.value), self.tls_key.origin),
            (
                "tls_client_ca",
                json!(self.tls_client_ca.value),
                self.tls_client_ca.origin,
            ),
            (
                "rate_limit_per_second",
                json!(self.rate_limit_per_second.value),
                self.rate_limit_per_second.origin,
            ),
            (
                "address_rate_limit_per_second",
                json!(self.address_rate_limit_per_second.value),
                self.address_rate_limit_per_second.origin,
            ),
            (
                "lockout_failures",
                json!(self.lockout_failures.value),
                self.lockout_failures.origin,
            ),
            (
                "event_retention_days",
                json!(self.event_retention_days.value),
                self.event_retention_days.origin,
            ),
            (
                "allow_private",
                json!(
                    self.allow_private
                        .value
                        .iter()
                        .map(Place::to_string)
                        .collect::<Vec<_>>()
                ),
                self.allow_private.origin,
            ),
            ("log", json!(self.log.value), self.log.origin),
            (
                "log_format",
                json!(self.log_format.value.name()),
                self.log_format.origin,
            ),
        ];
        if self.bootstrap_token.is_some() {
            rows.push(("bootstrap_token", json!("(hidden)"), Origin::Environment));
        }
        rows
    }
}

/// Variables of ours that mean nothing: most likely misspelled.
pub fn unknown_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    let keys = [
        "data",
        "listen",
        "database",
        "public_url",
        "trusted_proxies",
        "tls_cert",
        "tls_key",
        "tls_client_ca",
        "rate_limit_per_second",
        "address_rate_limit_per_second",
        "lockout_failures",
        "event_retention_days",
        "allow_private",
        "log",
        "log_format",
    ];
    let known = |name: &str| {
        name == BOOTSTRAP_TOKEN_VARIABLE
            || name == CONFIG_VARIABLE
            || keys.iter().any(|key| variable_name(key) == name)
    };
    let mut unknown: Vec<String> = names
        .filter(|name| name.starts_with("ROLLCALL_") && !known(name))
        .collect();
    unknown.sort();
    unknown
}

fn read_file(path: &Path, in_data_folder: bool) -> Result<Layer, Failure> {
    let name = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::usage(format!(
            "the configuration file {name} cannot be read: {error}"
        ))
    })?;
    let layer = Layer::from_toml(&text, &name)?;
    if in_data_folder && layer.data.is_some() {
        return Err(Failure::usage(format!(
            "{name}: `data` cannot be set in the file that lies in the data folder"
        ))
        .hint(
            "give the folder with --data or ROLLCALL_DATA, or name a file elsewhere with --config",
        ));
    }
    Ok(layer)
}

/// The first that says something.
fn choose<T>(flag: Option<T>, environment: Option<T>, file: Option<T>) -> Option<Setting<T>> {
    let setting = |origin| move |value| Setting { value, origin };
    flag.map(setting(Origin::Flag))
        .or_else(|| environment.map(setting(Origin::Environment)))
        .or_else(|| file.map(setting(Origin::File)))
}

/// Parses a value, naming its key and origin where it is not acceptable; the default where there is none.
fn parse<T, V>(
    key: &str,
    chosen: Option<Setting<T>>,
    otherwise: impl FnOnce() -> V,
    read: impl FnOnce(&T) -> Result<V, String>,
) -> Result<Setting<V>, Failure> {
    let Some(Setting { value, origin }) = chosen else {
        return Ok(Setting {
            value: otherwise(),
            origin: Origin::Default,
        });
    };
    let name = match origin {
        Origin::Flag => format!("--{}", key.replace('_', "-")),
        Origin::Environment => variable_name(key),
        Origin::File | Origin::Default => format!("`{key}` in the configuration file"),
    };
    match read(&value) {
        Ok(value) => Ok(Setting { value, origin }),
        Err(expected) => Err(Failure::usage(format!("{name}: {expected}"))),
    }
}

fn resolve(flags: Layer, environment: Layer, file: Layer) -> Result<Configuration, Failure> {
    let path = |text: &String| Ok(Some(PathBuf::from(text)));
    let configuration = Configuration {
        file: None,
        data: parse(
            "data",
            choose(flags.data, environment.data, file.data),
            || DATA_DEFAULT.into(),
            |text| Ok(PathBuf::from(text)),
        )?,
        listen: parse(
            "listen",
            choose(flags.listen, environment.listen, file.listen),
            default_listen,
            |text| parse_listen(text),
        )?,
        database: parse(
            "database",
            choose(flags.database, environment.database, file.database),
            || Database::Embedded,
            |text| parse_database(text),
        )?,
        public_url: parse(
            "public_url",
            choose(flags.public_url, environment.public_url, file.public_url),
            || None,
            |text| parse_public_url(text).map(Some),
        )?,
        trusted_proxies: parse(
            "trusted_proxies",
            choose(
                flags.trusted_proxies,
                environment.trusted_proxies,
                file.trusted_proxies,
            ),
            Vec::new,
            |list| parse_proxies(list),
        )?,
        tls_cert: parse(
            "tls_cert",
            choose(flags.tls_cert, environment.tls_cert, file.tls_cert),
            || None,
            path,
        )?,
        tls_key: parse(
            "tls_key",
            choose(flags.tls_key, environment.tls_key, file.tls_key),
            || None,
            path,
        )?,
        tls_client_ca: parse(
            "tls_client_ca",
            choose(
                flags.tls_client_ca,
                environment.tls_client_ca,
                file.tls_client_ca,
            ),
            || None,
            path,
        )?,
        rate_limit_per_second: parse(
            "rate_limit_per_second",
            choose(
                flags.rate_limit_per_second,
                environment.rate_limit_per_second,
                file.rate_limit_per_second,
            ),
            || None,
            |text| parse_rate(text, 1_000),
        )?,
        address_rate_limit_per_second: parse(
            "address_rate_limit_per_second",
            choose(
                flags.address_rate_limit_per_second,
                environment.address_rate_limit_per_second,
                file.address_rate_limit_per_second,
            ),
            || None,
            |text| parse_rate(text, 100),
        )?,
        lockout_failures: parse(
            "lockout_failures",
            choose(
                flags.lockout_failures,
                environment.lockout_failures,
                file.lockout_failures,
            ),
            || None,
            |text| {
                text.parse().map(Some).map_err(|_| {
                    format!(
                        "{text:?} is not a number of refused credentials, such as 20 (0: no limit)"
                    )
                })
            },
        )?,
        event_retention_days: parse(
            "event_retention_days",
            choose(
                flags.event_retention_days,
                environment.event_retention_days,
                file.event_retention_days,
            ),
            || None,
            |text| parse_days(text).map(Some),
        )?,
        allow_private: parse(
            "allow_private",
            choose(
                flags.allow_private,
                environment.allow_private,
                file.allow_private,
            ),
            Vec::new,
            |list| list.iter().map(|text| text.parse()).collect(),
        )?,
        log: parse(
            "log",
            choose(flags.log, environment.log, file.log),
            || LOG_DEFAULT.into(),
            |text| Ok(text.clone()),
        )?,
        log_format: parse(
            "log_format",
            choose(flags.log_format, environment.log_format, file.log_format),
            || LogFormat::Text,
            |text| parse_log_format(text),
        )?,
        bootstrap_token: None,
    };
    check_tls(&configuration)?;
    Ok(configuration)
}

/// Certificate and key belong together, and authorities of clients to both.
fn check_tls(configuration: &Configuration) -> Result<(), Failure> {
    let Configuration {
        tls_cert,
        tls_key,
        tls_client_ca,
        ..
    } = configuration;
    let (certificate, key) = (tls_cert.value.is_some(), tls_key.value.is_some());
    if certificate == key && (certificate || tls_client_ca.value.is_none()) {
        return Ok(());
    }
    Err(Failure::usage("TLS needs a certificate and its key")
        .hint("give both, --tls-cert FILE and --tls-key FILE (or tls_cert and tls_key in the configuration file)"))
}

fn default_listen() -> SocketAddr {
    LISTEN_DEFAULT
        .parse()
        .unwrap_or_else(|_| SocketAddr::from(([127, 0, 0, 1], 8700)))
}

fn parse_listen(text: &str) -> Result<SocketAddr, String> {
    let text = text
        .strip_prefix("localhost:")
        .map_or_else(|| text.to_owned(), |port| format!("127.0.0.1:{port}"));
    text.parse().map_err(|_| format!("{text:?} is not ADDR:PORT, such as {LISTEN_DEFAULT} or [::1]:8700 (port 0: any free port)"))
}

fn parse_rate(text: &str, example: u32) -> Result<Option<u32>, String> {
    text.parse().map(Some).map_err(|_| {
        format!("{text:?} is not a number of requests, such as {example} (0: no limit)")
    })
}

fn parse_days(text: &str) -> Result<u32, String> {
    let days = text
        .parse()
        .ok()
        .filter(|days| (1..=DAYS_MAX).contains(days));
    days.ok_or_else(|| format!("{text:?} is not a number of days from 1 to {DAYS_MAX}"))
}

fn parse_database(text: &str) -> Result<Database, String> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        Ok(Database::PostgreSql(Hidden(text.to_owned())))
    } else {
        Err("only postgres://USER:PASSWORD@HOST/NAME is accepted; without it, SQLite in the data folder is used".into())
    }
}

fn parse_public_url(text: &str) -> Result<Url, String> {
    let expected = || format!("{text:?} is not a URL such as https://rollcall.example.com");
    let url = Url::parse(text).map_err(|_| expected())?;
    let plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && plain {
        Ok(url)
    } else {
        Err(expected())
    }
}

fn parse_proxies(list: &[String]) -> Result<Vec<IpAddr>, String> {
    list.iter()
        .map(|text| {
            text.parse()
                .map_err(|_| format!("{text:?} is not the address of a proxy, such as 10.0.0.7"))
        })
        .collect()
}

fn parse_log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err(format!("{text:?} is neither `text` nor `json`")),
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

    fn layer(listen: Option<&str>) -> Layer {
        Layer {
            listen: listen.map(Into::into),
            ..Layer::default()
        }
    }

    #[test]
    fn flags_go_before_environment_before_file_before_default() {
        let check = |flag, environment, file, port: u16, origin| {
            let listen = resolve(layer(flag), layer(environment), layer(file))
                .unwrap()
                .listen;
            assert_eq!((listen.value.port(), listen.origin), (port, origin));
        };
        check(
            Some("127.0.0.1:1"),
            Some("127.0.0.1:2"),
            Some("127.0.0.1:3"),
            1,
            Origin::Flag,
        );
        check(
            None,
            Some("127.0.0.1:2"),
            Some("127.0.0.1:3"),
            2,
            Origin::Environment,
        );
        check(None, None, Some("localhost:3"), 3, Origin::File);
        check(None, None, None, 8700, Origin::Default);
    }

    #[test]
    fn unknown_keys_are_named() {
        let failure = Layer::from_toml(
            "listen = \"127.0.0.1:1\"\nlisten_adress = \"x\"\n",
            "rollcall.toml",
        )
        .unwrap_err();
        assert!(
            failure.message.contains("listen_adress"),
            "{}",
            failure.message
        );
        let failure = Layer::from_toml("listen = 5\n", "rollcall.toml").unwrap_err();
        assert!(failure.message.contains("`listen`"), "{}", failure.message);
    }

    #[test]
    fn numbers_and_flags_of_a_file_need_no_quotes() {
        let text = "rate_limit_per_second = 50\naddress_rate_limit_per_second = 5\nlockout_failures = \"7\"\nevent_retention_days = 90\n";
        let layer = Layer::from_toml(text, "rollcall.toml").unwrap();
        let configuration = resolve(Layer::default(), Layer::default(), layer).unwrap();
        let rates = [
            &configuration.rate_limit_per_second,
            &configuration.address_rate_limit_per_second,
        ];
        let numbers = [
            &configuration.lockout_failures,
            &configuration.event_retention_days,
        ];
        assert_eq!(rates.map(|setting| setting.value), [Some(50), Some(5)]);
        assert_eq!(numbers.map(|setting| setting.value), [Some(7), Some(90)]);
        let check = |text: &str, expected: &str| {
            let layer = Layer::from_toml(text, "rollcall.toml");
            let failure = layer
                .and_then(|layer| resolve(Layer::default(), Layer::default(), layer))
                .unwrap_err();
            assert!(failure.message.contains(expected), "{}", failure.message);
        };
        check(
            "event_retention_days = 0\n",
            "`event_retention_days` in the configuration file: ",
        );
        check(
            "lockout_failures = -1\n",
            "`lockout_failures` in the configuration file: ",
        );
        check("rate_limit_per_second = [1]\n", "`rate_limit_per_second`: ");
    }

    #[test]
    fn what_is_allowed_by_name_is_read_from_every_layer() {
        let file = Layer::from_toml(
            "allow_private = [\"127.0.0.1\", \"10.0.0.0/8\", \"chat.internal\"]",
            "rollcall.toml",
        )
        .unwrap();
        let environment = Layer::from_environment(|name| {
            (name == "ROLLCALL_ALLOW_PRIVATE").then(|| "::1, wiki.internal".into())
        });
        let shown = |environment: Layer, file: Layer| {
            let allowed = resolve(Layer::default(), environment, file)
                .unwrap()
                .allow_private;
            (
                allowed
                    .value
                    .iter()
                    .map(Place::to_string)
                    .collect::<Vec<_>>()
                    .join(" "),
                allowed.origin,
            )
        };
        assert_eq!(
            shown(Layer::default(), Layer::default()),
            (String::new(), Origin::Default)
        );
        assert_eq!(
            shown(Layer::default(), file.clone()),
            ("127.0.0.1 10.0.0.0/8 chat.internal".into(), Origin::File)
        );
        assert_eq!(
            shown(environment, file),
            ("::1 wiki.internal".into(), Origin::Environment)
        );
        let wrong = Layer {
            allow_private: Some(vec!["http://chat".into()]),
            ..Layer::default()
        };
        let failure = resolve(wrong, Layer::default(), Layer::default()).unwrap_err();
        assert!(
            failure
                .message
                .starts_with("--allow-private: \"http://chat\" is neither"),
            "{}",
            failure.message
        );
    }

    #[test]
    fn values_that_are_not_acceptable_name_their_origin() {
        let check = |flags: Layer, environment: Layer, file: Layer, expected: &str| {
            let failure = resolve(flags, environment, file).unwrap_err();
            assert!(failure.message.starts_with(expected), "{}", failure.message);
        };
        check(
            layer(Some("x")),
            Layer::default(),
            Layer::default(),
            "--listen: ",
        );
        check(
            Layer::default(),
            layer(Some("x")),
            Layer::default(),
            "ROLLCALL_LISTEN: ",
        );
        check(
            Layer::default(),
            Layer::default(),
            layer(Some("x")),
            "`listen` in the configuration file: ",
        );
        let bad_url = Layer {
            public_url: Some("ftp://x".into()),
            ..Layer::default()
        };
        check(
            bad_url,
            Layer::default(),
            Layer::default(),
            "--public-url: ",
        );
    }

    #[test]
    fn a_certificate_comes_with_its_key() {
        let check = |cert: Option<&str>, key: Option<&str>, ca: Option<&str>, accepted: bool| {
            let text = |value: Option<&str>| value.map(str::to_owned);
            let flags = Layer {
                tls_cert: text(cert),
                tls_key: text(key),
                tls_client_ca: text(ca),
                ..Layer::default()
            };
            assert_eq!(
                resolve(flags, Layer::default(), Layer::default()).is_ok(),
                accepted,
                "{cert:?} {key:?} {ca:?}"
            );
        };
        check(None, None, None, true);
        check(Some("a"), Some("b"), None, true);
        check(Some("a"), Some("b"), Some("c"), true);
        check(Some("a"), None, None, false);
        check(None, Some("b"), None, false);
        check(None, None, Some("c"), false);
    }

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
        let database = parse_database("postgres://ada:lovelace@db/rollcall").unwrap();
        assert!(!format!("{database:?}").contains("lovelace"));
    }

    #[test]
    fn misspelled_variables_are_found() {
        let names = [
            "ROLLCALL_LISTN",
            "ROLLCALL_LISTEN",
            "ROLLCALL_BOOTSTRAP_TOKEN",
            "PATH",
        ];
        assert_eq!(
            unknown_variables(names.iter().map(ToString::to_string)),
            vec!["ROLLCALL_LISTN"]
        );
    }
}
