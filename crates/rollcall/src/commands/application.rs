//! `rollcall application`: the applications that are kept equal to the directory. Speaks to one only in `test`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use directory::tenant::Tenant;
use provisioning::application::{Application, ApplicationSettings, ApplicationState, Secret, is_bearer_token};
use provisioning::connector::{Answer, Connector, Exchange, Reply, get};
use provisioning::ledger::NewApplication;
use serde_json::{Value, json};
use url::Url;

use crate::commands::{Named, TenantArgument, find_application};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant, printable};
use crate::wiring::{self, Missing, Rollcall};

/// `rollcall application ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Add an application; everybody is provisioned into it as soon as `serve` runs
    #[command(
        after_help = "Examples:\n  rollcall application add chat --base-url https://chat.example.com/scim/v2 --token-file chat.token\n  \
        rollcall application test chat"
    )]
    Add(Add),
    /// List applications
    List(TenantArgument),
    /// Ask an application whether it answers, and say in plain words what it found; changes nothing there
    Test(Named),
    /// Give an application another token: the old one is refused, or the tenant was restored without it
    Token(NewToken),
    /// Stop sending changes to an application; they wait
    Pause(Named),
    /// Send changes again, those that waited first
    Resume(Named),
    /// Forget an application; the accounts over there stay as they are
    Remove(Named),
}

/// `rollcall application token`
#[derive(Args, Debug)]
pub struct NewToken {
    #[command(flatten)]
    named: Named,
    #[command(flatten)]
    token: TokenArguments,
}

/// The token of an application.
#[derive(Args, Debug)]
pub struct TokenArguments {
    /// Its bearer token. Other users of this machine can read flags: --token-file is the better place
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file", required_unless_present = "token_file")]
    token: Option<String>,
    /// A file that holds its bearer token (`-`: standard input)
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// `rollcall application add`
#[derive(Args, Debug)]
pub struct Add {
    /// What it is to be called here
    name: String,
    #[command(flatten)]
    tenant: TenantArgument,
    /// Where its SCIM API begins, such as https://chat.example.com/scim/v2
    #[arg(long, value_name = "URL")]
    base_url: String,
    #[command(flatten)]
    token: TokenArguments,
    /// Whether it can PATCH; `auto`: as it says itself
    #[arg(long, value_enum, default_value_t = CanPatch::Auto)]
    patch: CanPatch,
    /// Most members in one PATCH of a group
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    members_per_patch_max: u32,
    /// Deactivate people over there who are deleted here, instead of deleting them
    #[arg(long)]
    keep_users: bool,
    /// Provision people only, no groups
    #[arg(long)]
    without_groups: bool,
}

/// Whether an application can PATCH.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum CanPatch {
    /// As its `ServiceProviderConfig` says.
    Auto,
    /// It can.
    Yes,
    /// It cannot: PUT is used.
    No,
}

/// Runs it.
pub async fn run(command: Command, configuration: &Configuration, output: Output) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::Add(arguments) => add(&rollcall, arguments, output).await,
        Command::List(argument) => {
            let tenant = rollcall.tenant(&argument.tenant).await?;
            let applications = rollcall.store.catalogue.list_applications(tenant.id).await?;
            let rows = applications.iter().map(row).collect();
            let values = applications.iter().map(application_json).collect();
            let empty = "No applications. Add one:\n  rollcall application add NAME --base-url URL --token-file FILE";
            output.table(&["name", "state", "base url", "added"], rows, empty, &Value::Array(values));
            Ok(())
        }
        Command::Test(named) => {
            let (_, application) = named.application(&rollcall).await?;
            test(&rollcall, &application, output).await
        }
        Command::Pause(named) => set_state(&rollcall, &named, ApplicationState::Paused, output).await,
        Command::Resume(named) => set_state(&rollcall, &named, ApplicationState::Live, output).await,
        Command::Token(NewToken { named, token }) => {
            let token = token.given()?;
            let (tenant, application) = named.application(&rollcall).await?;
            rollcall.store.catalogue.set_application_token(tenant.id, application.id, Secret::new(token)).await?;
            output.say(format!("Application {} has another token.", application.name), &json!({ "name": application.name }));
            Ok(())
        }
        Command::Remove(named) => {
            let (tenant, application) = named.application(&rollcall).await?;
            rollcall.store.catalogue.remove_application(tenant.id, application.id).await?;
            let text = format!("Application {} is forgotten. Its accounts stay as they are.", application.name);
            output.say(text, &json!({ "name": application.name, "state": "removed" }));
            Ok(())
        }
    }
}

impl Named {
    async fn application(&self, rollcall: &Rollcall) -> Result<(Tenant, Application), Failure> {
        let tenant = rollcall.tenant(&self.tenant.tenant).await?;
        let application = find_application(rollcall, &tenant, &self.name).await?;
        Ok((tenant, application))
    }
}

async fn add(rollcall: &Rollcall, arguments: Add, output: Output) -> Result<(), Failure> {
    let tenant = rollcall.tenant(&arguments.tenant.tenant).await?;
    let base_url = check_base_url(&arguments.base_url)?;
    rollcall.connector.check(&base_url).await?;
    let base_url = base_url.as_str().trim_end_matches('/').to_owned();
    let token = arguments.token.given()?;
    let settings = ApplicationSettings {
        patch: match arguments.patch {
            CanPatch::Auto => None,
            CanPatch::Yes => Some(true),
            CanPatch::No => Some(false),
        },
        members_per_patch_max: usize::try_from(arguments.members_per_patch_max).unwrap_or(usize::MAX),
        delete_users: !arguments.keep_users,
        groups: !arguments.without_groups,
    };
    let new = NewApplication { name: arguments.name.clone(), base_url, token: Secret::new(token), settings, at: rollcall.now() };
    let added = rollcall.store.catalogue.add_application(tenant.id, new).await?;
    let application = added.ok_or_else(|| Failure::conflict(format!("there is an application `{}` already", arguments.name)))?;
    let text = format!(
        "Application {name} is added. `rollcall application test {name}` asks whether it answers; `rollcall sync status` shows how it fills.",
        name = application.name
    );
    output.say(text, &application_json(&application));
    Ok(())
}

async fn set_state(rollcall: &Rollcall, named: &Named, state: ApplicationState, output: Output) -> Result<(), Failure> {
    let (tenant, application) = named.application(rollcall).await?;
    rollcall.store.catalogue.set_application_state(tenant.id, application.id, state).await?;
    let text = match state {
        ApplicationState::Live => format!("Application {} is served again.", application.name),
        ApplicationState::Paused => format!("Application {} is paused; changes wait.", application.name),
    };
    output.say(text, &json!({ "name": application.name, "state": state_name(state) }));
    Ok(())
}

/// Asks what it can do and searches for somebody who cannot be there: both change nothing.
async fn test(rollcall: &Rollcall, application: &Application, output: Output) -> Result<(), Failure> {
    let target = rollcall.connector.connect(application)?;
    let name = &application.name;
    let capabilities = match target.discover().await {
        Ok(capabilities) => capabilities,
        Err(exchange) => {
            return Err(judge(name, &exchange).err().unwrap_or_else(|| Failure::failed(format!("{name} cannot be asked what it can do"))));
        }
    };
    let nobody = format!("rollcall-test-{}", wiring::fresh_name());
    let exchange = target.find("User", "userName", &nobody, capabilities.filter).await;
    let found = judge(name, &exchange)?;
    let words = |can: bool, yes: &str, no: &str| if can { yes.to_owned() } else { no.to_owned() };
    let mut lines = vec![
        format!("{name} answers ({} ms) and accepts the token.", exchange.milliseconds),
        words(capabilities.patch, "It can PATCH: changes are sent alone.", "It cannot PATCH: every change is sent as a whole (PUT)."),
        words(
            capabilities.filter,
            "It can filter: accounts that are there already are found by name.",
            "It cannot filter: its whole list is read to find accounts.",
        ),
        words(
            capabilities.attributes.is_some(),
            "It publishes its schemas: only attributes that it has are sent.",
            "It publishes no schemas: all attributes are sent.",
        ),
    ];
    if found > 0 && capabilities.filter {
        lines.push(format!("Warning: asked for a userName that nobody has, it returned {found} people: it seems to ignore filters."));
    }
    let value = json!({
        "name": name,
        "reachable": true,
        "milliseconds": exchange.milliseconds,
        "patch": capabilities.patch,
        "filter": capabilities.filter,
        "publishesSchemas": capabilities.attributes.is_some(),
        "ignoresFilters": found > 0 && capabilities.filter,
    });
    output.say(lines.join("\n"), &value);
    Ok(())
}

/// How many resources an exchange brought, or in plain words what was wrong.
fn judge(name: &str, exchange: &Exchange) -> Result<u64, Failure> {
    let request = &exchange.request;
    let answer = match &exchange.reply {
        Reply::NotSent(why) | Reply::Lost(why) => {
            return Err(Failure::unreachable(format!("{name} does not answer to {request}: {why}"))
                .hint("check the base URL with `rollcall application list`, and that this machine can reach it"));
        }
        Reply::Answer(answer) => answer,
    };
    let failed = |sentence: String, hint: &str| Err(Failure::failed(sentence).hint(hint));
    match answer.status {
        200..=299 if answer.is_scim() => Ok(total_results(answer)),
        200..=299 => failed(
            format!("{name} answered {request} with {} but not with SCIM: {}", answer.status, excerpt(answer)),
            "the base URL is most likely not that of its SCIM API; it often ends in /scim/v2",
        ),
        401 | 403 => failed(
            format!("{name} refuses the token ({} to {request})", answer.status),
            &format!("get a new token from the application and give it to Rollcall: `rollcall application token {name} --token-file FILE`"),
        ),
        404 => failed(
            format!("{name} knows no {request} (404)"),
            "the base URL is most likely not that of its SCIM API; it often ends in /scim/v2",
        ),
        429 | 500..=599 => {
            Err(Failure::unreachable(format!("{name} cannot answer now: {} to {request}: {}", answer.status, excerpt(answer)))
                .hint("try again later"))
        }
        status => {
            failed(format!("{name} answered {request} with {status}: {}", excerpt(answer)), "its documentation should say what that means")
        }
    }
}

fn total_results(answer: &Answer) -> u64 {
    let body = answer.body.as_ref();
    body.and_then(|body| get(body, "totalResults")).and_then(Value::as_u64).unwrap_or_default()
}

fn excerpt(answer: &Answer) -> String {
    let detail = answer.body.as_ref().and_then(|body| get(body, "detail")).and_then(Value::as_str);
    printable(detail.unwrap_or(&answer.text)).chars().take(200).collect()
}

/// The word for a state.
pub fn state_name(state: ApplicationState) -> &'static str {
    match state {
        ApplicationState::Live => "live",
        ApplicationState::Paused => "paused",
    }
}

fn row(application: &Application) -> Vec<String> {
    vec![application.name.clone(), state_name(application.state).to_owned(), application.base_url.clone(), instant(application.created)]
}

fn application_json(application: &Application) -> Value {
    json!({
        "name": application.name,
        "state": state_name(application.state),
        "baseUrl": application.base_url,
        "settings": application.settings,
        "created": application.created.to_string(),
    })
}

fn check_base_url(text: &str) -> Result<Url, Failure> {
    let refuse = || {
        Failure::refused(format!("{text:?} is not the base URL of a SCIM API"))
            .hint("give a URL such as https://chat.example.com/scim/v2, without user, query or fragment")
    };
    let url = Url::parse(text).map_err(|_| refuse())?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty() && url.password().is_none();
    if !(matches!(url.scheme(), "http" | "https") && url.has_host() && plain) {
        return Err(refuse());
    }
    Ok(url)
}

impl TokenArguments {
    fn given(&self) -> Result<String, Failure> {
        match (&self.token, &self.token_file) {
            (Some(token), _) => check_token(token, "--token"),
            (None, Some(path)) => read_token(path),
            (None, None) => Err(Failure::usage("give --token-file FILE or --token TOKEN")),
        }
    }
}

pub(super) fn read_token(path: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map(|_| ())
    } else {
        std::fs::read_to_string(path).map(|read| text = read)
    };
    read.map_err(|error| Failure::refused(format!("the token file {} cannot be read: {error}", path.display())))?;
    check_token(&text, &path.display().to_string())
}

/// The one word in this text: a token is a line of a file, and what goes into a header (RFC 6750 section 2.1). `place` says where the text is from.
fn check_token(text: &str, place: &str) -> Result<String, Failure> {
    let token = text.trim();
    if !is_bearer_token(token) {
        return Err(Failure::refused(format!(
            "{place} does not hold a token: one word was expected, of letters, digits and signs of ASCII"
        )));
    }
    Ok(token.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{Url, check_base_url, check_token};

    #[test]
    fn base_urls_are_plain() {
        let check =
            |text: &str, expected: Option<&str>| assert_eq!(check_base_url(text).ok().as_ref().map(Url::as_str), expected, "{text}");
        check("https://chat.example.com/scim/v2/", Some("https://chat.example.com/scim/v2/"));
        check("http://127.0.0.1:9000/scim", Some("http://127.0.0.1:9000/scim"));
        check("chat.example.com", None);
        check("ftp://chat.example.com", None);
        check("https://user:secret@chat.example.com", None);
        check("https://chat.example.com?x=1", None);
    }

    #[test]
    fn a_token_is_one_word() {
        let check = |text: &str, expected: Option<&str>| assert_eq!(check_token(text, "--token").ok().as_deref(), expected, "{text:?}");
        check("abc-._~+/=", Some("abc-._~+/="));
        check(" abc\n", Some("abc"));
        check("", None);
        check(" ", None);
        check("a\nb", None);
        check("a b", None);
        check("a\0b", None);
        // No header holds it.
        check("t\u{f6}ken", None);
    }
}
