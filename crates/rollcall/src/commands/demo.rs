//! `rollcall demo`: a directory and two applications that speak SCIM, and four things that happen to people, with what was sent where. The
//! applications are SCIM servers of their own: Rollcall directories with stores, tokens and ports apart.

mod portrait;
mod stage;
mod story;

use clap::Args;
use serde_json::json;

use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::Output;
use crate::running::StopSignal;

use self::stage::Stage;

/// `rollcall demo`
#[derive(Args, Debug)]
#[command(after_help = "\
Everything runs on this machine, on ports of its own, in a temporary folder that is removed at the end (unless --data names an empty one).
The exit code is 0 when all applications were equal to the directory after every step, else 1.

Examples:
  rollcall demo
  rollcall demo --exit")]
pub struct Arguments {
    /// End when the story is told, instead of staying up to be looked at
    #[arg(long)]
    exit: bool,
}

/// Runs it.
pub async fn run(
    arguments: &Arguments,
    configuration: &Configuration,
    data_was_given: bool,
    output: Output,
) -> Result<(), Failure> {
    let folder = stage::Folder::new(data_was_given.then(|| configuration.data.value.clone()))?;
    let mut stage = Stage::build(&folder, configuration, output).await?;
    introduce(&stage, output);
    let mut stop = StopSignal::listen()?;
    let told = tokio::select! {
        told = story::tell(&mut stage) => told,
        signal = stop.heard() => signal.and(Err(Failure::failed("the demo was stopped before its end"))),
    };
    if told.is_ok() {
        stage.say(
            "demo: all applications equal",
            &json!({ "event": "end", "equal": true }),
        );
        if !arguments.exit {
            farewell(&stage, output);
            stop.heard().await?;
        }
    }
    stage.stop().await?;
    told
}

fn introduce(stage: &Stage, output: Output) {
    if output.is_json() {
        return;
    }
    output.line("One directory, two applications, and what happens to people.\n");
    output.line(format!("  directory  {}", stage.directory.base_url));
    for application in &stage.applications {
        output.line(format!(
            "  {:<9}  {}  (an application that speaks SCIM)",
            application.name, application.base_url
        ));
    }
}

fn farewell(stage: &Stage, output: Output) {
    if output.is_json() {
        return;
    }
    let directory = &stage.directory;
    output.line("\nEverything stays up for you to look at; Ctrl-C ends it.\n");
    output.line(format!("  base URL: {}", directory.base_url));
    output.line(format!("  token:    {}\n", directory.token));
    output.line("Write to the directory:");
    output.line(format!(
        "  curl -H 'Authorization: Bearer {}' -H 'Content-Type: application/scim+json' \\\n    -d '{{\"userName\": \"you@example.com\"}}' {}/Users\n",
        directory.token, directory.base_url
    ));
    output.line("And look into an application a moment later:");
    for application in &stage.applications {
        output.line(format!(
            "  curl -H 'Authorization: Bearer {}' {}/Users",
            application.token, application.base_url
        ));
    }
}
