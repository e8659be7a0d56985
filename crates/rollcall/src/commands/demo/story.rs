//! What happens in the demo: a joiner, a mover, a group, a leaver. Knows nothing of how it is sent.

use scim_protocol::patch::PATCH_SCHEMA;
use serde_json::{Value, json};

use super::stage::Stage;
use crate::failure::Failure;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

/// Tells it; after each part all applications must be equal to the directory.
pub async fn tell(stage: &mut Stage) -> Result<(), Failure> {
    stage.begin("Before", "Grace Hopper and Alan Turing are there already.");
    let grace = stage
        .create(
            "Users",
            person("grace", "Grace", "Hopper", "Rear Admiral", "Compilers"),
        )
        .await?;
    let alan = stage
        .create(
            "Users",
            person("alan", "Alan", "Turing", "Head of Engines", "Engines"),
        )
        .await?;
    stage.settle().await?;

    stage.begin("A joiner", "Ada Lovelace starts on Monday.");
    let ada = stage
        .create(
            "Users",
            person("ada", "Ada", "Lovelace", "Analyst", "Mathematics"),
        )
        .await?;
    stage.settle().await?;

    stage.begin(
        "A mover",
        "Ada gets another title and department, and Alan becomes her manager.",
    );
    let moved = patch(&json!([
        { "op": "replace", "path": "title", "value": "Principal Engineer" },
        { "op": "replace", "path": format!("{ENTERPRISE}:department"), "value": "Engines" },
        { "op": "replace", "path": format!("{ENTERPRISE}:manager"), "value": { "value": alan } },
    ]));
    stage.patch("Users", &ada, moved).await?;
    stage.settle().await?;

    stage.begin(
        "A group",
        "Engineers: Ada and Grace. Then Alan joins it and Grace leaves it.",
    );
    let group = json!({ "schemas": [GROUP], "displayName": "Engineers", "members": [{ "value": ada }, { "value": grace }] });
    let engineers = stage.create("Groups", group).await?;
    stage.settle().await?;
    let changed = patch(&json!([
        { "op": "add", "path": "members", "value": [{ "value": alan }] },
        { "op": "remove", "path": format!("members[value eq \"{grace}\"]") },
    ]));
    stage.patch("Groups", &engineers, changed).await?;
    stage.settle().await?;

    stage.begin(
        "A leaver",
        "Ada's last day: first she can no longer sign in, then her account goes.",
    );
    let deactivated = patch(&json!([{ "op": "replace", "path": "active", "value": false }]));
    stage.patch("Users", &ada, deactivated).await?;
    stage.settle().await?;
    stage.delete("Users", &ada).await?;
    stage.settle().await
}

fn person(login: &str, given: &str, family: &str, title: &str, department: &str) -> Value {
    let address = format!("{login}@example.com");
    json!({
        "schemas": [USER, ENTERPRISE],
        "userName": address,
        "name": { "givenName": given, "familyName": family, "formatted": format!("{given} {family}") },
        "displayName": format!("{given} {family}"),
        "title": title,
        "active": true,
        "emails": [{ "value": address, "type": "work", "primary": true }],
        ENTERPRISE: { "department": department },
    })
}

fn patch(operations: &Value) -> Value {
    json!({ "schemas": [PATCH_SCHEMA], "Operations": operations })
}
