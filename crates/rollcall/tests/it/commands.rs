//! The commands that look at and change a directory, beside a running `serve` or without one.

use std::io::Read;
use std::path::Path;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::program::{Serve, TOKEN, finish, program, run};

/// A data folder with the tenant `default` in it, and nobody running.
pub fn prepared() -> TempDir {
    let data = tempfile::tempdir().unwrap();
    let (code, _) = Serve::start(data.path(), Some(TOKEN)).terminate();
    assert_eq!(code, 0);
    data
}

/// What a command says as JSON; it has to succeed.
#[track_caller]
pub fn done(data: &Path, arguments: &[&str]) -> Value {
    let mut arguments = arguments.to_vec();
    arguments.push("--json");
    let finished = run(data, &arguments);
    assert_eq!(finished.code, 0, "{arguments:?}: {}", finished.stderr);
    finished.json()
}

/// A command has to end with this code and say that.
#[track_caller]
pub fn fails(data: &Path, arguments: &[&str], code: i32, said: &str) {
    let finished = run(data, arguments);
    assert_eq!(
        finished.code, code,
        "{arguments:?}: {}{}",
        finished.stdout, finished.stderr
    );
    assert!(
        finished.stderr.contains(said),
        "{arguments:?}: {}",
        finished.stderr
    );
}

#[test]
fn exit_codes_mean_what_help_says() {
    let data = prepared();
    let data = data.path();
    done(data, &["user", "create", "ada"]);
    fails(data, &["user", "create", "ADA"], 4, "error: ");
    fails(data, &["user", "show", "nobody"], 3, "error: ");
    fails(
        data,
        &["user", "create", "grace", "--set", "salary=1"],
        5,
        "`salary`",
    );
    fails(
        data,
        &["user", "list", "--filter", "salary eq 1"],
        5,
        "error: ",
    );
    fails(data, &["user", "list", "--tenant", "acme"], 3, "acme");
    fails(data, &["user", "fly"], 2, "fly");
    fails(data, &["token", "revoke", "nothing"], 3, "nothing");
    fails(data, &["application", "test", "chat"], 3, "chat");
    done(
        data,
        &[
            "application",
            "add",
            "chat",
            "--base-url",
            "http://127.0.0.1:1/scim/v2",
            "--token",
            "x",
        ],
    );
    fails(
        data,
        &[
            "application",
            "add",
            "chat",
            "--base-url",
            "http://127.0.0.1:1/scim/v2",
            "--token",
            "x",
        ],
        4,
        "chat",
    );
    fails(data, &["application", "test", "chat"], 6, "error: ");
    fails(
        &data.join("elsewhere"),
        &["user", "list"],
        3,
        "rollcall serve",
    );
    let refused = finish(
        program(data)
            .args(["user", "list", "--data", "/x"])
            .env("ROLLCALL_LOG_FORMAT", "xml"),
    );
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    let unknown = finish(program(data).args(["user", "show", "nobody", "--json"]));
    let error: Value = serde_json::from_str(&unknown.stderr).unwrap();
    assert_eq!(error["error"]["code"], 3);
}

#[test]
fn a_token_that_no_header_can_hold_is_refused() {
    let data = prepared();
    let data = data.path();
    let add = [
        "application",
        "add",
        "chat",
        "--base-url",
        "http://127.0.0.1:1/scim/v2",
        "--token",
    ];
    done(data, &[&add[..], &["sekret-tok"]].concat());
    for token in ["a\nb", "", " ", "a b", "tök"] {
        fails(
            data,
            &["application", "token", "chat", "--token", token],
            5,
            "--token does not hold a token",
        );
        fails(
            data,
            &[
                "application",
                "add",
                "wiki",
                "--base-url",
                "http://127.0.0.1:1/scim/v2",
                "--token",
                token,
            ],
            5,
            "--token",
        );
    }
    done(data, &["application", "token", "chat", "--token", "other"]);
    assert_eq!(
        done(data, &["application", "list"])
            .as_array()
            .map(Vec::len),
        Some(1)
    );
}

#[test]
fn the_hint_for_a_token_that_an_application_refuses_is_a_command_that_helps() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    done(
        data.path(),
        &[
            "application",
            "add",
            "chat",
            "--base-url",
            &serve.base(),
            "--token",
            "revoked",
        ],
    );
    let said = run(data.path(), &["application", "test", "chat"]).stderr;
    assert!(said.contains("refuses the token"), "{said}");
    let hinted = said
        .split('`')
        .find(|text| text.starts_with("rollcall application "))
        .unwrap_or_else(|| panic!("{said}"));
    let file = data.path().join("chat.token");
    std::fs::write(&file, TOKEN).unwrap();
    let hinted = hinted.replace("FILE", file.to_str().unwrap());
    done(data.path(), &hinted.split(' ').skip(1).collect::<Vec<_>>());
    assert_eq!(
        done(data.path(), &["application", "test", "chat"])["reachable"],
        true
    );
}

#[test]
fn with_json_a_wrong_command_line_is_json_too() {
    let data = tempfile::tempdir().unwrap();
    let check = |arguments: &[&str], message: &str, hint: &str| {
        let finished = run(data.path(), arguments);
        assert_eq!(
            (finished.code, finished.stdout.as_str()),
            (2, ""),
            "{arguments:?}"
        );
        let said: Value = serde_json::from_str(&finished.stderr)
            .unwrap_or_else(|error| panic!("{error}: {}", finished.stderr));
        let text = |name: &str| said["error"][name].as_str().unwrap_or_default();
        assert_eq!(said["error"]["code"], 2);
        assert!(
            text("message").contains(message) && text("hint").contains(hint),
            "{said}"
        );
        assert!(
            !text("message").starts_with("error") && !finished.stderr.contains("\\n"),
            "{said}"
        );
    };
    check(
        &["user", "show", "--json"],
        "required arguments were not provided",
        "Usage: rollcall user show",
    );
    check(
        &["--json", "user", "fly"],
        "unrecognized subcommand 'fly'",
        "",
    );
    check(
        &["user", "list", "--jsn", "--json"],
        "unexpected argument '--jsn'",
        "'--json'",
    );
    check(&["user", "--json"], "command", "--help");
    check(&["--json"], "command", "--help");
    check(&["--json", "user"], "a command is missing", "--help");
    // Without it, and where help is what was asked for, it is text.
    fails(
        data.path(),
        &["user", "show"],
        2,
        "error: the following required arguments",
    );
    fails(
        data.path(),
        &["user", "show", "--", "--json", "b"],
        2,
        "error: unexpected argument",
    );
    let help = run(data.path(), &["user", "--json", "--help"]);
    assert!(
        help.code == 0 && help.stdout.contains("Usage: rollcall user"),
        "{}",
        help.stdout
    );
    let version = run(data.path(), &["--json", "--version"]);
    assert!(
        version.code == 0 && version.stdout.starts_with("rollcall "),
        "{}",
        version.stdout
    );
}

#[test]
fn a_database_that_does_not_answer_has_its_exit_code() {
    let data = tempfile::tempdir().unwrap();
    let command = |arguments: &[&str]| {
        let mut command = program(data.path());
        command
            .args(arguments)
            .env("ROLLCALL_DATABASE", "postgres://u:geheim@127.0.0.1:1/db");
        finish(&mut command)
    };
    let finished = command(&["user", "list"]);
    assert_eq!(finished.code, 6, "{}", finished.stderr);
    assert!(
        finished.stderr.contains("hint: ") && finished.stderr.contains("Connection refused"),
        "{}",
        finished.stderr
    );
    assert!(!finished.stderr.contains("geheim"), "{}", finished.stderr);
    let finished = command(&["serve", "--json"]);
    let said: Value =
        serde_json::from_str(finished.stderr.lines().last().unwrap_or_default()).unwrap();
    assert_eq!(
        (finished.code, &said["error"]["code"]),
        (6, &json!(6)),
        "{said}"
    );
    // A URL that is none is the command line's fault, not the database's.
    let wrong = finish(
        program(data.path())
            .args(["user", "list"])
            .env("ROLLCALL_DATABASE", "postgres://u:geheim@127.0.0.1:x/db"),
    );
    assert!(
        wrong.code != 6 && !wrong.stderr.contains("geheim"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn people_and_groups_are_kept_by_hand() {
    let data = prepared();
    let data = data.path();
    let ada = done(
        data,
        &[
            "user",
            "create",
            "ada",
            "--set",
            "name.givenName=Ada",
            "--set",
            "department=Engines",
            "--set",
            "emails.work=a@b.c",
        ],
    );
    assert_eq!(ada["name"]["givenName"], "Ada");
    done(data, &["user", "edit", "ada", "--set", "title=Countess"]);
    let shown = done(data, &["user", "show", ada["id"].as_str().unwrap()]);
    assert_eq!(shown["title"], "Countess");
    assert_eq!(shown["emails"][0]["value"], "a@b.c");
    done(data, &["user", "edit", "ada", "--unset", "title"]);
    assert_eq!(done(data, &["user", "show", "ada"])["title"], Value::Null);
    assert_eq!(done(data, &["user", "deactivate", "ada"])["active"], false);

    done(data, &["user", "create", "grace"]);
    done(data, &["group", "create", "Engineers", "--member", "ada"]);
    done(data, &["group", "add-member", "Engineers", "grace"]);
    assert_eq!(
        done(data, &["group", "show", "Engineers"])["members"]
            .as_array()
            .map(Vec::len),
        Some(2)
    );
    done(data, &["group", "remove-member", "Engineers", "ada"]);
    done(data, &["group", "rename", "Engineers", "Builders"]);
    let members = done(data, &["group", "show", "Builders"])["members"].clone();
    assert_eq!(members.as_array().map(Vec::len), Some(1), "{members}");
    done(data, &["user", "delete", "ada"]);
    assert_eq!(done(data, &["user", "list"])["totalResults"], 1);
    done(data, &["group", "delete", "Builders"]);
    assert_eq!(done(data, &["group", "list"])["totalResults"], 0);
    let table = run(data, &["user", "list"]);
    assert!(
        table.stdout.starts_with("USERNAME") && table.stdout.contains("grace"),
        "{}",
        table.stdout
    );
}

#[test]
fn a_second_process_writes_beside_serve() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    done(data.path(), &["user", "create", "ada"]);
    assert_eq!(serve.send("GET", "/Users", None).body["totalResults"], 1);
    let token = done(data.path(), &["token", "create", "--name", "okta"]);
    let value = token["token"].as_str().unwrap();
    assert_eq!(
        crate::http::send(&serve.base(), value, "GET", "/Users", None)
            .unwrap()
            .status,
        200
    );
    let revoked = done(data.path(), &["token", "create", "--name", "entra"]);
    done(
        data.path(),
        &["token", "revoke", revoked["id"].as_str().unwrap()],
    );
    let late = crate::http::send(
        &serve.base(),
        revoked["token"].as_str().unwrap(),
        "GET",
        "/Users",
        None,
    )
    .unwrap();
    assert_eq!(late.status, 401);
    let listed = run(data.path(), &["token", "list", "--json"]);
    assert!(!listed.stdout.contains(value));
    assert_eq!(listed.json().as_array().map(Vec::len), Some(3));
}

#[test]
fn tenants_do_not_see_each_other() {
    let data = prepared();
    let data = data.path();
    done(data, &["tenant", "create", "acme"]);
    fails(data, &["tenant", "create", "acme"], 4, "acme");
    fails(data, &["tenant", "create", "No Name"], 5, "No Name");
    done(data, &["user", "create", "ada", "--tenant", "acme"]);
    assert_eq!(done(data, &["user", "list"])["totalResults"], 0);
    assert_eq!(
        done(data, &["user", "list", "--tenant", "acme"])["totalResults"],
        1
    );
    assert_eq!(
        done(data, &["tenant", "list"]).as_array().map(Vec::len),
        Some(2)
    );
}

#[test]
fn import_creates_and_updates_and_names_refused_lines() {
    let data = prepared();
    let file = data.path().join("users.csv");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    let path = file.to_str().unwrap();
    write(
        "userName,name.givenName,emails.work,department,active\nada,Ada,ada@example.com,Engines,true\ngrace,Grace,,,yes\n",
    );
    let dry = done(data.path(), &["import", path, "--dry-run"]);
    assert_eq!((&dry["created"], &dry["dryRun"]), (&json!(2), &json!(true)));
    assert_eq!(done(data.path(), &["user", "list"])["totalResults"], 0);
    assert_eq!(done(data.path(), &["import", path])["created"], 2);
    assert_eq!(done(data.path(), &["import", path])["unchanged"], 2);
    write("userName,department,active\nada,Poetry,true\nalan,Codes,perhaps\n,x,true\n");
    let partly = run(data.path(), &["import", path, "--json"]);
    assert_eq!(partly.code, 5, "{}", partly.stderr);
    let report = partly.json();
    assert_eq!(report["updated"], 1);
    let lines: Vec<&Value> = report["refused"]
        .as_array()
        .unwrap()
        .iter()
        .map(|refusal| &refusal["line"])
        .collect();
    assert_eq!(lines, vec![&json!(3), &json!(4)]);
    let ada = done(data.path(), &["user", "show", "ada"]);
    assert_eq!(ada["emails"][0]["value"], "ada@example.com");
    assert!(ada.to_string().contains("Poetry"), "{ada}");
    fails(data.path(), &["import", "nowhere.csv"], 3, "nowhere.csv");
    write("userName,salary\nada,1\n");
    fails(data.path(), &["import", path], 5, "`salary`");
}

#[test]
fn an_import_gives_no_disabled_person_another_external_id() {
    let data = prepared();
    let file = data.path().join("people.csv");
    let import = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let finished = run(data.path(), &["import", file.to_str().unwrap(), "--json"]);
        (finished.code, finished.json())
    };
    let (code, made) = import("userName,externalId,active\nada,1,false\nbob,2,true\ncyd,,false\n");
    assert_eq!((code, &made["created"]), (0, &json!(3)), "{made}");
    let (code, outcome) =
        import("userName,externalId,active\nada,9,true\nbob,9,true\ncyd,3,true\n");
    assert_eq!(
        (code, &outcome["updated"], &outcome["refused"][0]["line"]),
        (5, &json!(2), &json!(2)),
        "{outcome}"
    );
    let message = outcome["refused"][0]["message"].as_str().unwrap();
    assert!(message.contains("another person"), "{message}");
    let ada = done(data.path(), &["user", "show", "ada"]);
    assert_eq!(
        (&ada["externalId"], &ada["active"]),
        (&json!("1"), &json!(false))
    );
}

#[cfg(unix)]
#[test]
fn an_import_that_is_stopped_says_how_far_it_came() {
    let data = prepared();
    let file = data.path().join("many.csv");
    let lines = 50_000;
    let names: Vec<String> = (0..lines).map(|number| format!("user{number}")).collect();
    std::fs::write(&file, format!("userName\n{}\n", names.join("\n"))).unwrap();
    let path = file.to_str().unwrap();
    let mut importing = program(data.path())
        .args(["import", path, "--json"])
        .spawn()
        .unwrap();
    // It is stopped in the middle: when somebody has been imported, and before everybody has.
    while done(data.path(), &["user", "list", "--count", "1"])["totalResults"] == 0 {}
    let id = importing.id().to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let mut said = (String::new(), String::new());
    importing
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut said.0)
        .unwrap();
    importing
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut said.1)
        .unwrap();
    assert_eq!(importing.wait().unwrap().code(), Some(1), "{}", said.1);
    let report: Value = serde_json::from_str(&said.0).unwrap();
    let (created, left) = (
        report["created"].as_u64().unwrap(),
        report["notLookedAt"].as_u64().unwrap(),
    );
    assert!(
        created > 0 && left > 0 && created + left == lines,
        "{report}"
    );
    assert!(
        said.1
            .contains(&format!("after {created} of {lines} lines"))
            && said.1.contains("go on"),
        "{}",
        said.1
    );
    assert_eq!(
        done(data.path(), &["user", "list", "--count", "1"])["totalResults"],
        created
    );
}

#[test]
fn config_show_hides_secrets_and_names_origins() {
    let data = tempfile::tempdir().unwrap();
    std::fs::write(
        data.path().join("rollcall.toml"),
        "public_url = \"https://id.example.com\"\n",
    )
    .unwrap();
    let mut command = program(data.path());
    command
        .args(["config", "show", "--json"])
        .env("ROLLCALL_DATABASE", "postgres://ada:lovelace@db/rollcall")
        .env("ROLLCALL_BOOTSTRAP_TOKEN", TOKEN);
    let shown = finish(&mut command);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(
        !shown.stdout.contains("lovelace") && !shown.stdout.contains(TOKEN),
        "{}",
        shown.stdout
    );
    let value = shown.json();
    assert_eq!(
        value["database"],
        json!({"value": "postgres://ada:hidden@db/rollcall", "origin": "environment"})
    );
    assert_eq!(value["public_url"]["origin"], "file");
    assert_eq!(
        value["listen"],
        json!({"value": "127.0.0.1:8700", "origin": "default"})
    );

    std::fs::write(
        data.path().join("rollcall.toml"),
        "public_ulr = \"https://id.example.com\"\n",
    )
    .unwrap();
    fails(data.path(), &["config", "show"], 2, "public_ulr");
    fails(data.path(), &["serve"], 2, "public_ulr");
}

#[test]
fn every_command_explains_itself() {
    let data = tempfile::tempdir().unwrap();
    let help = run(data.path(), &["--help"]);
    assert_eq!(help.code, 0);
    assert!(help.stdout.contains("Exit codes:"), "{}", help.stdout);
    for command in [
        "serve",
        "demo",
        "tenant",
        "token",
        "user",
        "group",
        "application",
        "sync",
        "import",
        "config",
    ] {
        let help = run(data.path(), &[command, "--help"]);
        assert!(
            help.code == 0 && help.stdout.contains("Usage: rollcall"),
            "{command}"
        );
    }
}

#[test]
fn applications_and_sync_are_shown() {
    let data = prepared();
    let data = data.path();
    done(data, &["user", "create", "ada"]);
    done(
        data,
        &[
            "application",
            "add",
            "chat",
            "--base-url",
            "http://127.0.0.1:1/scim/v2/",
            "--token",
            "very-secret",
        ],
    );
    let listed = run(data, &["application", "list", "--json"]);
    assert!(!listed.stdout.contains("very-secret"));
    assert_eq!(listed.json()[0]["baseUrl"], "http://127.0.0.1:1/scim/v2");
    assert_eq!(done(data, &["sync", "status"])[0]["status"]["waiting"], 1);
    done(data, &["application", "pause", "chat"]);
    assert_eq!(done(data, &["application", "list"])[0]["state"], "paused");
    done(data, &["application", "resume", "chat"]);
    assert_eq!(done(data, &["sync", "log"]), json!([]));
    done(data, &["sync", "now"]);
    fails(
        data,
        &["sync", "plan", "ada", "--application", "chat"],
        1,
        "could not be planned",
    );
    done(data, &["application", "remove", "chat"]);
    assert_eq!(done(data, &["application", "list"]), json!([]));
}

#[test]
fn schemas_and_resource_types_come_and_go() {
    let data = prepared();
    let data = data.path();
    let urn = "urn:example:Badge";
    let document = |attributes: Value| {
        let path = data.join("badge.json");
        std::fs::write(
            &path,
            json!({"id": urn, "extends": ["User"], "attributes": attributes}).to_string(),
        )
        .unwrap();
        path.to_str().unwrap().to_owned()
    };
    let file = document(json!([{"name": "number", "type": "string"}]));
    let rehearsed = done(data, &["schema", "add", &file, "--dry-run"]);
    assert_eq!(rehearsed["dryRun"], true);
    assert_eq!(done(data, &["schema", "list"]), json!([]));
    done(data, &["schema", "add", &file]);
    done(
        data,
        &["user", "create", "ada", "--set", &format!("{urn}:number=7")],
    );
    done(
        data,
        &[
            "user",
            "create",
            "grace",
            "--set",
            &format!("{urn}:number=7"),
        ],
    );
    let file = document(json!([{"name": "number", "type": "string", "uniqueness": "server"}]));
    fails(
        data,
        &["schema", "add", &file],
        4,
        "has a value that another User has too",
    );
    fails(
        data,
        &["schema", "remove", urn],
        4,
        "Stored resources contradict",
    );
    done(data, &["user", "delete", "grace"]);
    let added = done(data, &["schema", "add", &file]);
    assert_eq!(added["resourcesIndexed"], 1);
    assert_eq!(
        done(data, &["schema", "history", urn])[1]["document"]["attributes"][0]["uniqueness"],
        "server"
    );
    fails(data, &["schema", "show", "urn:x:y"], 3, "urn:x:y");
    done(data, &["resource-type", "add", "Device"]);
    assert_eq!(
        done(data, &["resource-type", "show", "device"])["endpoint"],
        "/Devices"
    );
    done(data, &["resource-type", "remove", "Device"]);
    fails(
        data,
        &["resource-type", "remove", "User"],
        4,
        "Stored resources contradict",
    );
    fails(
        data,
        &["resource-type", "add", "nothing.json"],
        5,
        "cannot be read",
    );
}
