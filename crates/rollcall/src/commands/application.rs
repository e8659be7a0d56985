//! `rollcall application`: the applications that are kept equal to the directory. Speaks to one only in `test`.

use std::io::Read;
use std::path::{Path, PathBuf};

use administration::applications::{
    Application, Change, Failed, NewApplication, NewToken as AnotherToken, Problem, ProblemKind,
    Tested,
};
use clap::{Args, Subcommand, ValueEnum};
use directory::secret::is_bearer_token;
use provisioning::application::{ApplicationSettings, ApplicationState};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::admin_client::{AdminClient, Destination, Request};
use crate::commands::{Named, TenantArgument};
use crate::failure::{Exit, Failure};
use crate::operations::{
    ADD_APPLICATION, CHANGE_APPLICATION, LIST_APPLICATIONS, REMOVE_APPLICATION,
    SET_APPLICATION_TOKEN, SHOW_APPLICATION, TEST_APPLICATION,
};
use crate::output::{Output, instant, printable};

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
    /// Show one application
    Show(Named),
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
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let client = &destination.open().await?;
    match command {
        Command::Add(arguments) => add(client, arguments, output).await,
        Command::List(argument) => list(client, &argument.tenant, output).await,
        Command::Show(named) => {
            let shown: Application = named
                .answer(client.request(&SHOW_APPLICATION, &named.path()))
                .await?;
            let headers = ["name", "state", "base url", "added"];
            output.table(&headers, vec![row(&shown)], "", &json!(shown));
            Ok(())
        }
        Command::Test(named) => test(client, &named, output).await,
        Command::Pause(named) => set_state(client, &named, ApplicationState::Paused, output).await,
        Command::Resume(named) => set_state(client, &named, ApplicationState::Live, output).await,
        Command::Token(NewToken { named, token }) => {
            let token = token.given()?;
            let request = client
                .request(&SET_APPLICATION_TOKEN, &named.path())
                .body(&AnotherToken { token });
            request.done().await.map_err(hinted)?;
            output.say(
                format!("Application {} has another token.", named.name),
                &json!({ "name": named.name }),
            );
            Ok(())
        }
        Command::Remove(named) => {
            let request = client.request(&REMOVE_APPLICATION, &named.path());
            request.done().await.map_err(hinted)?;
            let text = format!(
                "Application {} is forgotten. Its accounts stay as they are.",
                named.name
            );
            output.say(text, &json!({ "name": named.name, "state": "removed" }));
            Ok(())
        }
    }
}

impl Named {
    /// The parameters of a path: tenant and name.
    pub(super) fn path(&self) -> [&str; 2] {
        [&self.tenant.tenant, &self.name]
    }

    async fn answer<T: DeserializeOwned>(&self, request: Request<'_>) -> Result<T, Failure> {
        request.answer().await.map_err(hinted)
    }
}

/// What helps where an application is not there.
pub(super) fn hinted(failure: Failure) -> Failure {
    match failure.exit {
        Exit::NotFound => failure.hint("`rollcall application list` shows those that are there"),
        _ => failure,
    }
}

async fn list(client: &AdminClient, tenant: &str, output: Output) -> Result<(), Failure> {
    let applications: Vec<Application> = client
        .request(&LIST_APPLICATIONS, &[tenant])
        .answer()
        .await?;
    let rows = applications.iter().map(row).collect();
    let empty = "No applications. Add one:\n  rollcall application add NAME --base-url URL --token-file FILE";
    output.table(
        &["name", "state", "base url", "added"],
        rows,
        empty,
        &json!(applications),
    );
    Ok(())
}

async fn add(client: &AdminClient, arguments: Add, output: Output) -> Result<(), Failure> {
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
        name: arguments.name,
        base_url: arguments.base_url,
        token,
        settings,
    };
    let added: Application = client
        .request(&ADD_APPLICATION, &[&arguments.tenant.tenant])
        .body(&new)
        .answer()
        .await?;
    let text = format!(
        "Application {name} is added. `rollcall application test {name}` asks whether it answers; `rollcall sync status` shows how it fills.",
        name = added.name
    );
    output.say(text, &json!(added));
    Ok(())
}

async fn set_state(
    client: &AdminClient,
    named: &Named,
    state: ApplicationState,
    output: Output,
) -> Result<(), Failure> {
    let request = client
        .request(&CHANGE_APPLICATION, &named.path())
        .body(&Change { state });
    let Application { name, state, .. } = named.answer(request).await?;
    let text = match state {
        ApplicationState::Live => format!("Application {name} is served again."),
        ApplicationState::Paused => format!("Application {name} is paused; changes wait."),
    };
    output.say(text, &json!({ "name": name, "state": state }));
    Ok(())
}

async fn test(client: &AdminClient, named: &Named, output: Output) -> Result<(), Failure> {
    let request = client.request(&TEST_APPLICATION, &named.path());
    let tested: Tested = named.answer(request).await?;
    if let Some(problem) = &tested.problem {
        return Err(explain(&tested.name, problem));
    }
    let failed_searches = tested.failed_searches.iter();
    let value = json!({
        "name": tested.name,
        "reachable": true,
        "milliseconds": tested.milliseconds,
        "patch": tested.patch,
        "filter": tested.filter,
        "publishesSchemas": tested.publishes_schemas,
        "ignoresFilters": !tested.ignored_filters.is_empty(),
        "failedSearches": failed_searches.map(|failed| &failed.attribute).collect::<Vec<_>>(),
    });
    output.say(found(&tested).join("\n"), &value);
    Ok(())
}

/// What was found, in sentences.
fn found(tested: &Tested) -> Vec<String> {
    let words = |can: bool, yes: &str, no: &str| if can { yes.to_owned() } else { no.to_owned() };
    let mut lines = vec![
        format!(
            "{} answers ({} ms) and accepts the token.",
            tested.name, tested.milliseconds
        ),
        words(
            tested.patch,
            "It can PATCH: changes are sent alone.",
            "It cannot PATCH: every change is sent as a whole (PUT).",
        ),
        words(
            tested.filter,
            "It can filter: accounts that are there already are found by name.",
            "It cannot filter: its whole list is read to find accounts.",
        ),
        words(
            tested.publishes_schemas,
            "It publishes its schemas: only attributes that it has are sent.",
            "It publishes no schemas: all attributes are sent.",
        ),
    ];
    lines.extend(
        tested
            .not_described
            .iter()
            .map(|Failed { request, said, .. }| {
                format!(
                    "Warning: {request} failed ({}); what it can do is found out as it goes.",
                    printable(said)
                )
            }),
    );
    lines.extend(tested.ignored_filters.iter().map(|ignored| {
        format!(
            "Warning: asked for a {attribute} that no person has, it returned {count} people. It seems to ignore filters on {attribute}.",
            attribute = ignored.attribute,
            count = ignored.count
        )
    }));
    lines.extend(tested.failed_searches.iter().map(|failed| {
        let instead = if failed.attribute == "externalId" {
            "accounts are looked for by name"
        } else {
            "its whole list is read instead"
        };
        format!(
            "Warning: it cannot look for {} ({}); {instead}.",
            failed.attribute,
            printable(&failed.said)
        )
    }));
    lines
}

/// In plain words what was wrong.
fn explain(name: &str, problem: &Problem) -> Failure {
    let (request, said) = (&problem.request, printable(&problem.said));
    let status = problem
        .status
        .map_or_else(String::new, |status| format!("{status} "));
    let wrong_base =
        "the base URL is most likely not that of its SCIM API; it often ends in /scim/v2";
    let refused = Failure::failed(format!("{name} answered {request} with {status}: {said}"));
    match problem.kind {
        ProblemKind::NotReached => {
            Failure::unreachable(format!("{name} does not answer to {request}: {said}"))
                .hint("check the base URL with `rollcall application list`, and that this machine can reach it")
        }
        ProblemKind::Unauthorized => {
            Failure::failed(format!("{name} refuses the token ({status}to {request}): {said}")).hint(format!(
                "get a new token from the application and give it to Rollcall: `rollcall application token {name} --token-file FILE`"
            ))
        }
        ProblemKind::Unavailable => {
            Failure::unreachable(format!("{name} cannot answer now: {status}to {request}: {said}")).hint("try again later")
        }
        ProblemKind::NotUnderstood => {
            Failure::failed(format!("{name} answered {request} with {status}but not with SCIM: {said}")).hint(wrong_base)
        }
        ProblemKind::Forbidden => refused.hint("its token does not allow this: get one that may read and write users and groups"),
        ProblemKind::NotFound => refused.hint(wrong_base),
        ProblemKind::Refused => refused.hint("its documentation should say what that means"),
    }
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
    use super::check_token;

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
