//! `rollcall profile`: the kinds of clients that are known, and what is tolerated of each. Changes nothing: `rollcall tenant` and `rollcall token` choose.

use clap::Subcommand;
use scim_protocol::Profile;
use serde_json::{Value, json};

use crate::failure::Failure;
use crate::output::Output;

/// `rollcall profile ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// List all profiles
    List,
    /// Show what a profile tolerates, with the page or issue that each quirk is known from
    #[command(after_help = "Example:\n  rollcall profile show okta")]
    Show {
        /// Its name
        name: String,
    },
}

/// Runs it.
pub fn run(command: &Command, output: Output) -> Result<(), Failure> {
    match command {
        Command::List => {
            let rows = Profile::all()
                .iter()
                .map(|profile| {
                    vec![
                        profile.name.clone(),
                        profile.title.clone(),
                        profile.tolerates.len().to_string(),
                        profile.description.clone(),
                    ]
                })
                .collect();
            output.table(
                &["name", "client", "quirks", ""],
                rows,
                "",
                &json!(Profile::all()),
            );
        }
        Command::Show { name } => show(find_profile(name)?, output),
    }
    Ok(())
}

/// A profile by its name.
pub fn find_profile(name: &str) -> Result<&'static Profile, Failure> {
    Profile::by_name(name).ok_or_else(|| {
        Failure::not_found(format!("there is no client profile `{name}`"))
            .hint("`rollcall profile list` shows those that are there")
    })
}

fn show(profile: &Profile, output: Output) {
    let value: Value = json!(profile);
    if output.is_json() {
        return output.json(&value);
    }
    output.line(format!("{}: {}\n", profile.title, profile.description));
    let rows = profile
        .tolerates
        .iter()
        .map(|tolerated| {
            vec![
                tolerated.quirk.name().to_owned(),
                tolerated.sends.clone(),
                tolerated.source.clone(),
            ]
        })
        .collect();
    output.table(
        &["quirk", "what it sends", "known from"],
        rows,
        "Nothing is tolerated.",
        &value,
    );
    for note in &profile.notes {
        output.line(format!("- {note}"));
    }
    for source in &profile.sources {
        output.line(format!("  {}: {}", source.title, source.url));
    }
}
