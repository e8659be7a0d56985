//! One source of settings, still as text: flags, the environment, or the configuration file. Does not say what a text means.

use std::path::Path;

use serde::{Deserialize, Deserializer};

use super::{BOOTSTRAP_TOKEN_VARIABLE, CLIENT_VARIABLES, CONFIG_VARIABLE};
use crate::failure::Failure;

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

/// What commas separate.
fn parts(list: &str) -> Vec<String> {
    list.split(',')
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

pub(super) fn variable_name(key: &str) -> String {
    format!("ROLLCALL_{}", key.to_uppercase())
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
            || CLIENT_VARIABLES.contains(&name)
            || keys.iter().any(|key| variable_name(key) == name)
    };
    let mut unknown: Vec<String> = names
        .filter(|name| name.starts_with("ROLLCALL_") && !known(name))
        .collect();
    unknown.sort();
    unknown
}

pub(super) fn read_file(path: &Path, in_data_folder: bool) -> Result<Layer, Failure> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
