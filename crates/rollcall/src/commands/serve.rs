//! `rollcall serve`: the directory, its SCIM API and the engine, until a signal says stop.

use clap::Args;
use serde_json::json;
use tokio::net::TcpListener;

use crate::configuration::{Configuration, Layer, LogFormat, unknown_variables};
use crate::failure::Failure;
use crate::limits;
use crate::local_socket;
use crate::output::Output;
use crate::running::{self, StopSignal};
use crate::serving_url;
use crate::wiring::{self, Missing, Rollcall};

/// `rollcall serve`
#[derive(Args, Debug)]
#[command(after_help = "\
The first start makes the tenant `default` and prints its base URL and its first token, once. For unattended set-up, the variable
ROLLCALL_BOOTSTRAP_TOKEN gives that token its value; it is not printed then. Base URLs: /t/TENANT/scim/v2, short /scim/v2 for `default`.

Examples:
  rollcall serve
  rollcall serve --data /var/lib/rollcall --listen 0.0.0.0:8700 --public-url https://rollcall.example.com
  ROLLCALL_DATABASE=postgres://rollcall:secret@db/rollcall rollcall serve")]
pub struct Arguments {
    /// Where to listen; port 0: any free port [variable: ROLLCALL_LISTEN] [default: 127.0.0.1:8700]
    #[arg(long, value_name = "ADDR:PORT")]
    listen: Option<String>,
    /// The URL under which clients reach this program; without it, the address it listens on [variable: ROLLCALL_PUBLIC_URL]
    #[arg(long, value_name = "URL")]
    public_url: Option<String>,
    /// The address of a proxy whose X-Forwarded headers are believed; may be repeated [variable: ROLLCALL_TRUSTED_PROXIES, with commas]
    #[arg(long, value_name = "ADDR")]
    trusted_proxy: Vec<String>,
    /// A PEM file with the certificate for TLS and those that lead to its authority; loaded again when it changes, and on SIGHUP
    /// [variable: ROLLCALL_TLS_CERT]
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<String>,
    /// A PEM file with the key of that certificate [variable: ROLLCALL_TLS_KEY]
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// A PEM file with the authorities whose clients may show a certificate (mTLS) [variable: ROLLCALL_TLS_CLIENT_CA]
    #[arg(long, value_name = "FILE")]
    tls_client_ca: Option<String>,
    /// Requests a second that one caller may make; 0: any number [variable: ROLLCALL_RATE_LIMIT_PER_SECOND] [default: 1000]
    #[arg(long, value_name = "COUNT")]
    rate_limit_per_second: Option<String>,
    /// Requests a second without a token that one address may send; 0: any number [variable: ROLLCALL_ADDRESS_RATE_LIMIT_PER_SECOND]
    /// [default: 100]
    #[arg(long, value_name = "COUNT")]
    address_rate_limit_per_second: Option<String>,
    /// Which log lines are written, such as info or server=debug,warn [variable: ROLLCALL_LOG] [default: warn]
    #[arg(long, value_name = "FILTER")]
    log: Option<String>,
    /// How log lines look [variable: ROLLCALL_LOG_FORMAT] [default: text]
    #[arg(long, value_enum)]
    log_format: Option<LogFormat>,
    /// Go on with what the database file has, where its journal is missing or cut and cannot be brought back: the newest changes are lost
    #[arg(long)]
    accept_lost_journal: bool,
    /// Print every limit with its unit, and start nothing
    #[arg(long)]
    print_limits: bool,
}

impl Arguments {
    /// Puts what the flags say into their layer.
    pub fn add_to(&self, flags: &mut Layer) {
        flags.listen.clone_from(&self.listen);
        flags.public_url.clone_from(&self.public_url);
        flags.trusted_proxies =
            Some(self.trusted_proxy.clone()).filter(|proxies| !proxies.is_empty());
        flags.tls_cert.clone_from(&self.tls_cert);
        flags.tls_key.clone_from(&self.tls_key);
        flags.tls_client_ca.clone_from(&self.tls_client_ca);
        flags
            .rate_limit_per_second
            .clone_from(&self.rate_limit_per_second);
        flags
            .address_rate_limit_per_second
            .clone_from(&self.address_rate_limit_per_second);
        flags.log.clone_from(&self.log);
        flags.log_format = self.log_format.map(|format| format.name().to_owned());
    }
}

/// Runs it.
pub async fn run(
    arguments: &Arguments,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    if arguments.print_limits {
        print_limits(output);
        return Ok(());
    }
    running::start_log(configuration)?;
    for name in
        unknown_variables(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))
    {
        output.note(format!(
            "warning: the variable {name} means nothing to this program"
        ));
    }
    let tls = running::tls(configuration)?;
    if arguments.accept_lost_journal {
        Rollcall::accept_lost_journal(configuration)?;
    }
    let rollcall = Rollcall::open(configuration, Missing::Create).await?;
    let _serving = rollcall.begin_to_serve().await?;
    let address = configuration.listen.value;
    let listener = TcpListener::bind(address).await.map_err(|error| {
        Failure::failed(format!("cannot listen on {address}: {error}"))
            .hint("give another address with --listen ADDR:PORT, port 0 for any free port")
    })?;
    let url = format!(
        "{}://{}",
        if tls.is_some() { "https" } else { "http" },
        listener.local_addr()?
    );
    greet(&rollcall, configuration, &url, output).await?;
    let public_url = wiring::public_url(configuration, listener.local_addr()?, tls.is_some());
    let _announced = serving_url::announce(configuration, &public_url).inspect_err(
        |error| tracing::warn!(%error, "could not write down the URL of this server; `receiver add` prints that of the configuration"),
    );
    let socket = local_socket::bind(&configuration.data.value).await.unwrap_or_else(|error| {
        tracing::warn!(%error, "there is no local socket; commands on this data folder work beside this server");
        None
    });
    let mut stop = StopSignal::listen()?;
    let running = running::start(&rollcall, listener, tls, socket, configuration);
    if output.is_json() {
        output.line(json!({ "event": "listening", "url": url }).to_string());
    } else {
        output.line(format!("listening on {url}"));
    }
    stop.heard().await?;
    running.stop().await
}

/// Makes the tenant `default` and its first token where they are not there, and says so.
async fn greet(
    rollcall: &Rollcall,
    configuration: &Configuration,
    url: &str,
    output: Output,
) -> Result<(), Failure> {
    let Some(first) = wiring::first_start(rollcall, configuration.bootstrap_token.as_ref()).await?
    else {
        return Ok(());
    };
    let public = configuration
        .public_url
        .value
        .as_ref()
        .map_or(url, |url| url.as_str().trim_end_matches('/'));
    let base_url = format!("{public}/t/{}/scim/v2", first.tenant);
    if output.is_json() {
        output.line(json!({ "event": "first_start", "tenant": first.tenant, "baseUrl": base_url, "token": first.token }).to_string());
        return Ok(());
    }
    output.line("This is the first start: the tenant `default` is there now.\n");
    output.line(format!("  base URL: {base_url}"));
    match first.token {
        Some(token) => {
            output.line(format!("  token:    {token}\n"));
            output.line(
                "Keep this token to yourself: it may do everything, and it is shown only now.",
            );
            output.line("Make a narrower one for your identity provider: `rollcall token create --name NAME`.\n");
        }
        None => output.line("  its token is the value of ROLLCALL_BOOTSTRAP_TOKEN\n"),
    }
    Ok(())
}

fn print_limits(output: Output) {
    let limits = limits::limits();
    let mut rows = Vec::new();
    for (part, values) in limits.as_object().into_iter().flatten() {
        for (name, value) in values.as_object().into_iter().flatten() {
            rows.push(vec![part.clone(), name.clone(), value.to_string()]);
        }
    }
    output.table(&["part", "limit", "value"], rows, "", &limits);
}
