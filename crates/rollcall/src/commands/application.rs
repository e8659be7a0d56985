//! `rollcall application`: the applications that are kept equal to the directory. Speaks to one only in `test`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use directory::tenant::Tenant;
use provisioning::application::{
    Application, ApplicationSettings, ApplicationState, Secret, is_bearer_token,
};
use provisioning::connector::{Connector, Failure as Failed, RefusalKind, Trace};
use provisioning::ledger::NewApplication;
use provisioning::probe::{Probe, probe};
use scim_protocol::SchemaSet;
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
    #[arg(
        long,
        value_name = "TOKEN",
        conflicts_with = "token_file",
        required_unless_present = "token_file"
    )]
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
    /// Another resource type that is provisioned to it, besides users and groups: `Device`, or a type of the tenant's own; may be given several times
    #[arg(long = "resource-type", value_name = "NAME")]
    resource_types: Vec<String>,
    /// Its lists count more accounts than they show, even at their end; a list that was read to its end is whole all the same
    #[arg(long)]
    counts_too_many: bool,
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
pub async fn run(
    command: Command,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::Add(arguments) => add(&rollcall, arguments, output).await,
        Command::List(argument) => {
            let tenant = rollcall.tenant(&argument.tenant).await?;
            let applications = rollcall
                .store
                .catalogue
                .list_applications(tenant.id)
                .await?;
            let rows = applications.iter().map(row).collect();
            let values = applications.iter().map(application_json).collect();
            let empty = "No applications. Add one:\n  rollcall application add NAME --base-url URL --token-file FILE";
            output.table(
                &["name", "state", "base url", "added"],
                rows,
                empty,
                &Value::Array(values),
            );
            Ok(())
        }
        Command::Test(named) => {
            let (_, application) = named.application(&rollcall).await?;
            test(&rollcall, &application, output).await
        }
        Command::Pause(named) => {
            set_state(&rollcall, &named, ApplicationState::Paused, output).await
        }
        Command::Resume(named) => {
            set_state(&rollcall, &named, ApplicationState::Live, output).await
        }
        Command::Token(NewToken { named, token }) => {
            let token = token.given()?;
            let (tenant, application) = named.application(&rollcall).await?;
            rollcall
                .store
                .catalogue
                .set_application_token(tenant.id, application.id, Secret::new(token))
                .await?;
            output.say(
                format!("Application {} has another token.", application.name),
                &json!({ "name": application.name }),
            );
            Ok(())
        }
        Command::Remove(named) => {
            let (tenant, application) = named.application(&rollcall).await?;
            rollcall
                .store
                .catalogue
                .remove_application(tenant.id, application.id)
                .await?;
            let text = format!(
                "Application {} is forgotten. Its accounts stay as they are.",
                application.name
            );
            output.say(
                text,
                &json!({ "name": application.name, "state": "removed" }),
            );
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
        members_per_patch_max: usize::try_from(arguments.members_per_patch_max)
            .unwrap_or(usize::MAX),
        delete_users: !arguments.keep_users,
        groups: !arguments.without_groups,
        counts_too_many: arguments.counts_too_many,
        other_types: arguments.resource_types.into_iter().collect(),
    };
    let new = NewApplication {
        name: arguments.name.clone(),
        base_url,
        token: Secret::new(token),
        settings,
        at: rollcall.now(),
    };
    let added = rollcall
        .store
        .catalogue
        .add_application(tenant.id, new)
        .await?;
    let application = added.ok_or_else(|| {
        Failure::conflict(format!(
            "there is an application `{}` already",
            arguments.name
        ))
    })?;
    let text = format!(
        "Application {name} is added. `rollcall application test {name}` asks whether it answers; `rollcall sync status` shows how it fills.",
        name = application.name
    );
    output.say(text, &application_json(&application));
    Ok(())
}

async fn set_state(
    rollcall: &Rollcall,
    named: &Named,
    state: ApplicationState,
    output: Output,
) -> Result<(), Failure> {
    let (tenant, application) = named.application(rollcall).await?;
    rollcall
        .store
        .catalogue
        .set_application_state(tenant.id, application.id, state)
        .await?;
    let text = match state {
        ApplicationState::Live => format!("Application {} is served again.", application.name),
        ApplicationState::Paused => {
            format!("Application {} is paused; changes wait.", application.name)
        }
    };
    output.say(
        text,
        &json!({ "name": application.name, "state": state_name(state) }),
    );
    Ok(())
}

/// Asks what the engine would ask, about somebody who cannot be there; that changes nothing.
async fn test(
    rollcall: &Rollcall,
    application: &Application,
    output: Output,
) -> Result<(), Failure> {
    let target = rollcall.connector.connect(application)?;
    let name = &application.name;
    let schemas = SchemaSet::standard();
    let schema = schemas
        .by_name("User")
        .ok_or_else(|| Failure::failed("the standard schemas lack User"))?;
    let nobody = format!("rollcall-test-{}", wiring::fresh_name());
    let found = probe(&*target, schema, &nobody)
        .await
        .map_err(|failed| explain(name, &failed.0, &failed.1))?;
    let Probe {
        capabilities,
        not_described,
        can_search,
        ignored,
        failed,
        milliseconds,
    } = &found;
    let words = |can: bool, yes: &str, no: &str| if can { yes.to_owned() } else { no.to_owned() };
    let mut lines = vec![
        format!("{name} answers ({milliseconds} ms) and accepts the token."),
        words(
            capabilities.patch,
            "It can PATCH: changes are sent alone.",
            "It cannot PATCH: every change is sent as a whole (PUT).",
        ),
        words(
            *can_search,
            "It can filter: accounts that are there already are found by name.",
            "It cannot filter: its whole list is read to find accounts.",
        ),
        words(
            capabilities.attributes.is_some(),
            "It publishes its schemas: only attributes that it has are sent.",
            "It publishes no schemas: all attributes are sent.",
        ),
    ];
    lines.extend(not_described.iter().map(|trace| {
        format!(
            "Warning: {} failed ({}); what it can do is found out as it goes.",
            trace.request,
            said(trace)
        )
    }));
    lines.extend(ignored.iter().map(|(attribute, count)| {
        format!(
            "Warning: asked for a {attribute} that no person has, it returned {count} people. It seems to ignore filters on {attribute}."
        )
    }));
    lines.extend(failed.iter().map(|(attribute, trace)| {
        let instead = if *attribute == "externalId" {
            "accounts are looked for by name"
        } else {
            "its whole list is read instead"
        };
        format!(
            "Warning: it cannot look for {attribute} ({}); {instead}.",
            said(trace)
        )
    }));
    let value = json!({
        "name": name,
        "reachable": true,
        "milliseconds": milliseconds,
        "patch": capabilities.patch,
        "filter": can_search,
        "publishesSchemas": capabilities.attributes.is_some(),
        "ignoresFilters": !ignored.is_empty(),
        "failedSearches": failed.iter().map(|(attribute, _)| attribute).collect::<Vec<_>>(),
    });
    output.say(lines.join("\n"), &value);
    Ok(())
}

/// In plain words what was wrong.
fn explain(name: &str, trace: &Trace, failure: &Failed) -> Failure {
    let (request, said) = (&trace.request, said(trace));
    let status = trace
        .status
        .map_or_else(String::new, |status| format!("{status} "));
    let wrong_base =
        "the base URL is most likely not that of its SCIM API; it often ends in /scim/v2";
    match failure {
        Failed::NotReached | Failed::Unknown { answered: false } => {
            Failure::unreachable(format!("{name} does not answer to {request}: {said}"))
                .hint("check the base URL with `rollcall application list`, and that this machine can reach it")
        }
        Failed::Unauthorized => Failure::failed(format!("{name} refuses the token ({status}to {request}): {said}")).hint(format!(
            "get a new token from the application and give it to Rollcall: `rollcall application token {name} --token-file FILE`"
        )),
        Failed::Throttled | Failed::Unknown { answered: true } => {
            Failure::unreachable(format!("{name} cannot answer now: {status}to {request}: {said}")).hint("try again later")
        }
        Failed::NotUnderstood => {
            Failure::failed(format!("{name} answered {request} with {status}but not with SCIM: {said}")).hint(wrong_base)
        }
        Failed::Refused(refusal) => {
            let refused = Failure::failed(format!("{name} answered {request} with {status}: {said}"));
            match refusal.kind {
                RefusalKind::Forbidden => refused.hint("its token does not allow this: get one that may read and write users and groups"),
                RefusalKind::Gone | RefusalKind::NotFound | RefusalKind::NotOffered => refused.hint(wrong_base),
                _ => refused.hint("its documentation should say what that means"),
            }
        }
    }
}

fn said(trace: &Trace) -> String {
    printable(&trace.said).chars().take(200).collect()
}

/// The word for a state.
pub fn state_name(state: ApplicationState) -> &'static str {
    match state {
        ApplicationState::Live => "live",
        ApplicationState::Paused => "paused",
    }
}

fn row(application: &Application) -> Vec<String> {
    vec![
        application.name.clone(),
        state_name(application.state).to_owned(),
        application.base_url.clone(),
        instant(application.created),
    ]
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
        Failure::refused(format!("{text:?} is not the base URL of a SCIM API")).hint(
            "give a URL such as https://chat.example.com/scim/v2, without user, query or fragment",
        )
    };
    let url = Url::parse(text).map_err(|_| refuse())?;
    let plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
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
    read.map_err(|error| {
        Failure::refused(format!(
            "the token file {} cannot be read: {error}",
            path.display()
        ))
    })?;
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
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(
                check_base_url(text).ok().as_ref().map(Url::as_str),
                expected,
                "{text}"
            );
        };
        check(
            "https://chat.example.com/scim/v2/",
            Some("https://chat.example.com/scim/v2/"),
        );
        check(
            "http://127.0.0.1:9000/scim",
            Some("http://127.0.0.1:9000/scim"),
        );
        check("chat.example.com", None);
        check("ftp://chat.example.com", None);
        check("https://user:secret@chat.example.com", None);
        check("https://chat.example.com?x=1", None);
    }

    #[test]
    fn a_token_is_one_word() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(
                check_token(text, "--token").ok().as_deref(),
                expected,
                "{text:?}"
            );
        };
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
