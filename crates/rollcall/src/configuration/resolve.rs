//! Puts the layers together: for each setting the first layer that has it, read and checked. An error names the key and the layer.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use connectors::egress::Place;
use directory::tenant::DAYS_MAX;
use url::Url;

use super::layer::{Layer, variable_name};
use super::{Configuration, DATA_DEFAULT, Database, Hidden, LogFormat, Origin, Setting};
use crate::failure::Failure;

const LISTEN_DEFAULT: &str = "127.0.0.1:8700";
const LOG_DEFAULT: &str = "warn";

/// All layers, the strongest first.
struct Layers([(Origin, Layer); 3]);

impl Layers {
    /// The value of the first layer that has one, read; the default if no layer has one. An error names the key and the layer.
    fn setting<T: ?Sized, V>(
        &self,
        key: &str,
        pick: impl Fn(&Layer) -> Option<&T>,
        default: V,
        read: impl FnOnce(&T) -> Result<V, String>,
    ) -> Result<Setting<V>, Failure> {
        let mut layers = self.0.iter();
        let Some((origin, text)) = layers.find_map(|(origin, layer)| Some((*origin, pick(layer)?)))
        else {
            return Ok(Setting {
                value: default,
                origin: Origin::Default,
            });
        };
        let name = match origin {
            Origin::Flag => format!("--{}", key.replace('_', "-")),
            Origin::Environment => variable_name(key),
            Origin::File | Origin::Default => format!("`{key}` in the configuration file"),
        };
        match read(text) {
            Ok(value) => Ok(Setting { value, origin }),
            Err(expected) => Err(Failure::usage(format!("{name}: {expected}"))),
        }
    }
}

/// The configuration that these layers give.
pub(super) fn resolve(
    flags: Layer,
    environment: Layer,
    file: Layer,
) -> Result<Configuration, Failure> {
    let all = Layers([
        (Origin::Flag, flags),
        (Origin::Environment, environment),
        (Origin::File, file),
    ]);
    let [tls_cert, tls_key, tls_client_ca] = tls(&all)?;
    let [
        rate_limit_per_second,
        address_rate_limit_per_second,
        lockout_failures,
        event_retention_days,
    ] = numbers(&all)?;
    let embedded = Database::Embedded;
    Ok(Configuration {
        file: None,
        data: all.setting("data", |it| it.data.as_deref(), DATA_DEFAULT.into(), path)?,
        listen: all.setting(
            "listen",
            |it| it.listen.as_deref(),
            default_listen(),
            parse_listen,
        )?,
        database: all.setting(
            "database",
            |it| it.database.as_deref(),
            embedded,
            parse_database,
        )?,
        public_url: all.setting(
            "public_url",
            |it| it.public_url.as_deref(),
            None,
            parse_public_url,
        )?,
        trusted_proxies: all.setting(
            "trusted_proxies",
            |it| it.trusted_proxies.as_deref(),
            Vec::new(),
            parse_proxies,
        )?,
        tls_cert,
        tls_key,
        tls_client_ca,
        rate_limit_per_second,
        address_rate_limit_per_second,
        lockout_failures,
        event_retention_days,
        allow_private: all.setting(
            "allow_private",
            |it| it.allow_private.as_deref(),
            Vec::new(),
            parse_places,
        )?,
        log: all.setting(
            "log",
            |it| it.log.as_deref(),
            LOG_DEFAULT.into(),
            |text| Ok(text.into()),
        )?,
        log_format: all.setting(
            "log_format",
            |it| it.log_format.as_deref(),
            LogFormat::Text,
            parse_log_format,
        )?,
        bootstrap_token: None,
    })
}

fn numbers(all: &Layers) -> Result<[Setting<Option<u32>>; 4], Failure> {
    Ok([
        all.setting(
            "rate_limit_per_second",
            |it| it.rate_limit_per_second.as_deref(),
            None,
            |text| parse_rate(text, 1_000),
        )?,
        all.setting(
            "address_rate_limit_per_second",
            |it| it.address_rate_limit_per_second.as_deref(),
            None,
            |text| parse_rate(text, 100),
        )?,
        all.setting(
            "lockout_failures",
            |it| it.lockout_failures.as_deref(),
            None,
            parse_failures,
        )?,
        all.setting(
            "event_retention_days",
            |it| it.event_retention_days.as_deref(),
            None,
            parse_days,
        )?,
    ])
}

/// The certificate, its key, and the authorities of clients' certificates. A certificate needs its key, and the authorities need both.
fn tls(all: &Layers) -> Result<[Setting<Option<PathBuf>>; 3], Failure> {
    let files = [
        all.setting("tls_cert", |it| it.tls_cert.as_deref(), None, some_path)?,
        all.setting("tls_key", |it| it.tls_key.as_deref(), None, some_path)?,
        all.setting(
            "tls_client_ca",
            |it| it.tls_client_ca.as_deref(),
            None,
            some_path,
        )?,
    ];
    let [certificate, key, authorities] = files.each_ref().map(|file| file.value.is_some());
    if certificate == key && (certificate || !authorities) {
        return Ok(files);
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

fn parse_days(text: &str) -> Result<Option<u32>, String> {
    let days = text
        .parse()
        .ok()
        .filter(|days| (1..=DAYS_MAX).contains(days));
    days.map(Some)
        .ok_or_else(|| format!("{text:?} is not a number of days from 1 to {DAYS_MAX}"))
}

fn parse_database(text: &str) -> Result<Database, String> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        Ok(Database::PostgreSql(Hidden(text.to_owned())))
    } else {
        Err("only postgres://USER:PASSWORD@HOST/NAME is accepted; without it, SQLite in the data folder is used".into())
    }
}

fn parse_public_url(text: &str) -> Result<Option<Url>, String> {
    let expected = || format!("{text:?} is not a URL such as https://rollcall.example.com");
    let url = Url::parse(text).map_err(|_| expected())?;
    let plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if matches!(url.scheme(), "http" | "https") && url.has_host() && plain {
        Ok(Some(url))
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

fn parse_failures(text: &str) -> Result<Option<u32>, String> {
    text.parse().map(Some).map_err(|_| {
        format!("{text:?} is not a number of refused credentials, such as 20 (0: no limit)")
    })
}

fn parse_places(list: &[String]) -> Result<Vec<Place>, String> {
    list.iter().map(|text| text.parse()).collect()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is one of the functions that read a setting"
)]
fn path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it is one of the functions that read a setting"
)]
fn some_path(text: &str) -> Result<Option<PathBuf>, String> {
    Ok(Some(PathBuf::from(text)))
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
    fn a_database_is_shown_without_its_password() {
        let database = parse_database("postgres://ada:lovelace@db/rollcall").unwrap();
        assert!(!format!("{database:?}").contains("lovelace"));
    }
}
