//! The one binary: reads the command line, runs one command, ends with an exit code that means something. Decides nothing about identities.
//!
//! Modules in dependency order: a module uses only those above it. (The blank lines keep rustfmt from sorting them.)

#![expect(
    clippy::doc_markdown,
    reason = "comments of arguments are help texts, where backticks would be seen"
)]

mod failure;

mod output;

mod configuration;

mod assignment;

mod identities;

mod forgetting;

mod limits;

mod reach;

mod wiring;

mod serving_url;

mod local_socket;

mod running;

mod operations;

mod admin_client;

mod commands;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use directory::tenant_types::DocumentKind;

use crate::admin_client::{Destination, Remote};
use crate::commands::{
    application, audit, client, config, demo, group, guard, history, import, issuer, keys, profile,
    receiver, requests, schema, serve, sync, tenant, token, user,
};
use crate::configuration::{Configuration, Layer};
use crate::failure::Failure;
use crate::output::Output;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const AFTER_HELP: &str = "\
Start here:
  rollcall demo                      see the whole idea at work, on this machine
  rollcall serve                     start the directory; the first start prints its base URL and first token

Exit codes:
  0 done            1 failed          2 wrong command line or configuration
  3 not found       4 conflict        5 input refused        6 an application or the database does not answer

Every setting is a flag, a variable (ROLLCALL_DATA, ROLLCALL_LISTEN, ...) or a line of rollcall.toml, in this order of precedence;
`rollcall config show` prints what holds and where it came from.";

/// One directory of people and groups, written to by any identity provider over SCIM, and every application kept equal to it.
#[derive(Parser, Debug)]
#[command(name = "rollcall", version, about, after_help = AFTER_HELP, max_term_width = 120, disable_help_subcommand = true)]
struct CommandLine {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// Flags that every command takes.
#[derive(Args, Debug)]
struct Global {
    /// Print JSON instead of text and tables
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
    /// The data folder [variable: ROLLCALL_DATA] [default: ./rollcall-data]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Everywhere")]
    data: Option<String>,
    /// The configuration file [variable: ROLLCALL_CONFIG] [default: rollcall.toml in the data folder, where there is one]
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    config: Option<PathBuf>,
    /// A PostgreSQL database instead of SQLite in the data folder: postgres://USER:PASSWORD@HOST/NAME. Other users of this machine can
    /// read flags: the variable or the file is the better place for a password [variable: ROLLCALL_DATABASE]
    #[arg(long, global = true, value_name = "URL", help_heading = "Everywhere")]
    database: Option<String>,
    /// A host, an address or a network that applications, receivers and issuers may have although it is not public; may be repeated
    /// [variable: ROLLCALL_ALLOW_PRIVATE, with commas] [default: none]
    #[arg(long, global = true, value_name = "PLACE", help_heading = "Everywhere")]
    allow_private: Vec<String>,
    /// A server somewhere else that the command goes to, instead of the data folder: rollcall --url URL COMMAND; the variable
    /// ROLLCALL_TOKEN holds the token for it [variable: ROLLCALL_URL]
    #[arg(long, value_name = "URL", help_heading = "Everywhere")]
    url: Option<String>,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Start the directory: SCIM in, every application kept equal
    Serve(serve::Arguments),
    /// See it at work: a directory, two applications, a joiner, a mover, a group, a leaver
    Demo(demo::Arguments),
    /// Tenants: isolated directories in one database
    #[command(subcommand)]
    Tenant(tenant::Command),
    /// Kinds of clients, and what is tolerated of each
    #[command(subcommand)]
    Profile(profile::Command),
    /// What clients sent, what it was understood as, and what became of it
    #[command(subcommand)]
    Requests(requests::Command),
    /// The audit log: what administrators did
    #[command(subcommand)]
    Audit(audit::Command),
    /// Tokens with which identity providers write to a tenant
    #[command(subcommand)]
    Token(token::Command),
    /// Schemas of a tenant: extensions, schemas of its own types, constraints
    #[command(subcommand)]
    Schema(schema::Command),
    /// Resource types of a tenant: its own, and those that it switches on
    #[command(subcommand)]
    ResourceType(schema::Command),
    /// OAuth 2.0 clients of a tenant
    #[command(subcommand)]
    Client(client::Command),
    /// Foreign issuers whose tokens a tenant accepts
    #[command(subcommand)]
    Issuer(issuer::Command),
    /// People
    #[command(subcommand)]
    User(user::Command),
    /// Groups and their members
    #[command(subcommand)]
    Group(group::Command),
    /// What was: versions, deleted resources, undoing; references that wait
    #[command(subcommand)]
    History(history::Command),
    /// The guard on too many disables, deletes and membership removals that come in
    #[command(subcommand)]
    Guard(guard::Command),
    /// Applications that are kept equal to the directory
    #[command(subcommand)]
    Application(application::Command),
    /// What is on its way to applications, and what was sent
    #[command(subcommand)]
    Sync(sync::Command),
    /// Who is told of changes: webhooks, and Security Event Tokens by push and poll
    #[command(subcommand)]
    Receiver(receiver::Command),
    /// Keys with which event tokens are signed
    #[command(subcommand)]
    Keys(keys::Command),
    /// Create and update people from a CSV file
    Import(import::Arguments),
    /// Settings
    #[command(subcommand)]
    Config(config::Command),
}

impl Command {
    /// Whether it goes to the admin API of any server.
    fn goes_anywhere(&self) -> bool {
        matches!(
            self,
            Self::Tenant(_)
                | Self::Token(_)
                | Self::Client(_)
                | Self::Issuer(_)
                | Self::Audit(_)
                | Self::Application(_)
                | Self::Sync(_)
                | Self::Receiver(_)
                | Self::Keys(_)
        )
    }
}

fn main() -> ExitCode {
    let command_line = match CommandLine::try_parse() {
        Ok(command_line) => command_line,
        Err(error) => return not_understood(&error),
    };
    let output = Output::new(command_line.global.json);
    match run(command_line, output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit.code())
        }
    }
}

/// Says what is wrong with the command line; in JSON where that is asked for, although there are no arguments yet that say so. Help and version are not
/// failures, and come here too.
fn not_understood(error: &clap::Error) -> ExitCode {
    let asks_for_json = std::env::args_os()
        .take_while(|argument| argument != "--")
        .any(|argument| argument == "--json");
    if error.exit_code() == 0 || !asks_for_json {
        error.exit();
    }
    let failure = Failure::of_command_line(error);
    Output::new(true).failure(&failure);
    ExitCode::from(failure.exit.code())
}

#[expect(
    clippy::disallowed_methods,
    reason = "the configuration reads the environment, through this function"
)]
fn run(command_line: CommandLine, output: Output) -> Result<(), Failure> {
    let CommandLine { global, command } = command_line;
    let mut flags = Layer {
        data: global.data,
        database: global.database,
        allow_private: Some(global.allow_private).filter(|places| !places.is_empty()),
        ..Layer::default()
    };
    if let Command::Serve(arguments) = &command {
        arguments.add_to(&mut flags);
    }
    let data_was_given = flags.data.is_some();
    let configuration = Configuration::read(flags, global.config, |name| std::env::var(name).ok())?;
    let remote = Remote::read(global.url, |name| std::env::var(name).ok())?;
    if remote.is_some() && !command.goes_anywhere() {
        return Err(Failure::usage(
            "this command works on the data folder of this machine only, so it takes no --url",
        )
        .hint(
            "run it where the server runs, without --url and without the variable ROLLCALL_URL",
        ));
    }
    let configuration = &configuration;
    let destination = &Destination {
        remote,
        configuration,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        match command {
            Command::Serve(arguments) => serve::run(&arguments, configuration, output).await,
            Command::Demo(arguments) => {
                demo::run(&arguments, configuration, data_was_given, output).await
            }
            Command::Tenant(command) => tenant::run(command, destination, output).await,
            Command::Profile(command) => profile::run(&command, output),
            Command::Requests(command) => requests::run(command, configuration, output).await,
            Command::Token(command) => token::run(command, destination, output).await,
            Command::Audit(command) => audit::run(command, destination, output).await,
            Command::Schema(command) => {
                schema::run(command, DocumentKind::Schema, configuration, output).await
            }
            Command::ResourceType(command) => {
                schema::run(command, DocumentKind::ResourceType, configuration, output).await
            }
            Command::Client(command) => client::run(command, destination, output).await,
            Command::Issuer(command) => issuer::run(command, destination, output).await,
            Command::User(command) => user::run(command, configuration, output).await,
            Command::Group(command) => group::run(command, configuration, output).await,
            Command::History(command) => history::run(command, configuration, output).await,
            Command::Guard(command) => guard::run(command, configuration, output).await,
            Command::Application(command) => application::run(command, destination, output).await,
            Command::Sync(command) => sync::run(command, destination, output).await,
            Command::Receiver(command) => receiver::run(command, destination, output).await,
            Command::Keys(command) => keys::run(command, destination, output).await,
            Command::Import(arguments) => import::run(&arguments, configuration, output).await,
            Command::Config(config::Command::Show) => {
                config::show(configuration, output);
                Ok(())
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use std::collections::BTreeSet;

    use super::CommandLine;
    use crate::operations::{ALL, WITHOUT_COMMAND, WITHOUT_OPERATION};

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    fn commands(command: &clap::Command, above: &str, found: &mut BTreeSet<String>) {
        for command in command.get_subcommands() {
            let name = format!("{above}{}", command.get_name());
            if command.has_subcommands() {
                commands(command, &format!("{name} "), found);
            } else {
                found.insert(name);
            }
        }
    }

    fn api() -> BTreeSet<(String, String)> {
        let description = server::admin_description();
        let paths = description["paths"].as_object().unwrap();
        let of_path = |(path, methods): (&String, &serde_json::Value)| {
            let methods: Vec<_> = methods.as_object().unwrap().keys().cloned().collect();
            let path = path.clone();
            methods.into_iter().filter_map(move |method| {
                let method = method.to_uppercase();
                ["GET", "POST", "PUT", "PATCH", "DELETE"]
                    .contains(&method.as_str())
                    .then(|| (method, path.clone()))
            })
        };
        paths.iter().flat_map(of_path).collect()
    }

    /// What the API can do, the command line can do, and the other way round.
    #[test]
    fn each_operation_has_a_command_and_each_command_its_operations() {
        let mut all = BTreeSet::new();
        commands(&CommandLine::command(), "", &mut all);
        let sent: BTreeSet<String> = ALL
            .iter()
            .flat_map(|operation| operation.commands)
            .map(ToString::to_string)
            .collect();
        let without: BTreeSet<String> = WITHOUT_OPERATION
            .iter()
            .map(|(command, _)| (*command).to_owned())
            .collect();
        assert_eq!(sent.intersection(&without).next(), None, "listed twice");
        let known: BTreeSet<String> = sent.union(&without).cloned().collect();
        assert_eq!(all, known, "a command sends an operation or says why not");

        let named = |list: &mut dyn Iterator<Item = (&str, &str)>| -> BTreeSet<(String, String)> {
            list.map(|(method, path)| (method.to_owned(), path.to_owned()))
                .collect()
        };
        let with = named(
            &mut ALL
                .iter()
                .map(|operation| (operation.method, operation.path)),
        );
        let without = named(
            &mut WITHOUT_COMMAND
                .iter()
                .map(|(method, path, _)| (*method, *path)),
        );
        assert_eq!(with.intersection(&without).next(), None, "listed twice");
        let known: BTreeSet<_> = with.union(&without).cloned().collect();
        assert_eq!(api(), known, "an operation has a command or says why not");
    }
}
