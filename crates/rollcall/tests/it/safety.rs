//! The commands for what was, what is held, how tenants are set, and what came in.

use std::path::Path;

use serde_json::{Value, json};

use crate::commands::{done, fails, prepared};
use crate::http::send;
use crate::program::{Serve, TOKEN};

fn user(data: &Path, name: &str) -> String {
    done(data, &["user", "create", name])["id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn switches_of_a_tenant_are_changed_one_by_one() {
    let data = prepared();
    let data = data.path();
    let edited = done(
        data,
        &[
            "tenant",
            "edit",
            "default",
            "--profile",
            "okta",
            "--guard",
            "park",
            "--guard-deletes",
            "5,10",
            "--pending-references",
            "true",
        ],
    );
    let settings = &edited["settings"];
    assert_eq!(
        (
            &settings["profile"],
            &settings["guard"]["mode"],
            &settings["pending_references"]
        ),
        (&json!("okta"), &json!("park"), &json!(true))
    );
    assert_eq!(
        settings["guard"]["deletes"],
        json!({"count": 5, "percent": 10})
    );
    let edited = done(
        data,
        &[
            "tenant",
            "edit",
            "default",
            "--patch-response",
            "no-content",
            "--pending-references",
            "profile",
        ],
    );
    let settings = &edited["settings"];
    assert_eq!(
        (
            &settings["profile"],
            &settings["patch_response"],
            &settings["pending_references"]
        ),
        (&json!("okta"), &json!("no-content"), &Value::Null)
    );
    assert_eq!(
        done(data, &["tenant", "show", "default"])["settings"],
        *settings
    );
    fails(
        data,
        &["tenant", "edit", "default", "--profile", "none"],
        3,
        "none",
    );
    fails(
        data,
        &["tenant", "edit", "default", "--guard-deletes", "many"],
        2,
        "COUNT,PERCENT",
    );
    fails(
        data,
        &["tenant", "edit", "default", "--guard-window", "0"],
        5,
        "1 to 10080",
    );
    fails(
        data,
        &["tenant", "edit", "acme", "--profile", "okta"],
        3,
        "acme",
    );
    let made = done(
        data,
        &[
            "tenant",
            "create",
            "acme",
            "--patch-response",
            "without-members",
            "--history-days",
            "7",
        ],
    );
    assert_eq!(
        (
            &made["settings"]["patch_response"],
            &made["settings"]["history_days"]
        ),
        (&json!("without-members"), &json!(7))
    );
}

#[test]
fn what_was_is_shown_given_back_and_undone() {
    let data = prepared();
    let data = data.path();
    let ada = user(data, "ada");
    done(data, &["user", "edit", "ada", "--set", "title=Countess"]);
    done(data, &["user", "edit", "ada", "--set", "title=Nobody"]);
    let versions = done(data, &["history", "list", &ada]);
    assert_eq!(
        (versions.as_array().unwrap().len(), &versions[0]["kind"]),
        (3, &json!("create"))
    );
    done(data, &["group", "create", "team"]);
    done(data, &["group", "add-member", "team", "ada"]);
    let team = done(data, &["group", "show", "team"])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    assert_eq!(
        done(data, &["history", "list", &team])[1]["joined"],
        json!([ada])
    );
    assert_eq!(
        done(data, &["history", "show", &ada, "--version", "2"])["title"],
        "Countess"
    );
    assert_eq!(
        done(data, &["history", "restore", &ada, "--version", "2"])["title"],
        "Countess"
    );
    fails(
        data,
        &["history", "show", &ada],
        2,
        "--at TIME or --version N",
    );
    fails(data, &["history", "show", &ada, "--version", "99"], 3, &ada);

    done(data, &["user", "delete", "ada"]);
    assert_eq!(done(data, &["history", "deleted"])[0]["userName"], "ada");
    let window = [
        "history",
        "undo",
        "--from",
        "2020-01-01T00:00:00Z",
        "--until",
        "2100-01-01T00:00:00Z",
        "--credential",
        "nobody",
    ];
    let looked = done(data, &window);
    assert_eq!(
        (&looked["executed"], &looked["done"]),
        (&json!(false), &json!([]))
    );
    assert_eq!(done(data, &["history", "restore", &ada])["userName"], "ada");
    assert_eq!(done(data, &["user", "show", "ada"])["id"], ada.as_str());
    assert_eq!(done(data, &["history", "pending"]), json!([]));
}

#[test]
fn held_removals_are_let_through_approved_and_rejected() {
    let data = prepared();
    let data = data.path();
    let ids = ["ada", "grace", "edith", "joan"].map(|name| user(data, name));
    done(
        data,
        &[
            "tenant",
            "edit",
            "default",
            "--guard",
            "park",
            "--guard-deletes",
            "1,0",
        ],
    );
    let serve = Serve::start(data, Some(TOKEN));
    for id in &ids[..3] {
        assert_eq!(
            serve.send("DELETE", &format!("/Users/{id}"), None).status,
            204
        );
    }
    let status = done(data, &["guard", "status"]);
    assert_eq!(
        (&status["mode"], status["parked"].as_array().unwrap().len()),
        (&json!("park"), 2),
        "{status}"
    );
    let parked = |at: usize| status["parked"][at]["id"].as_str().unwrap().to_owned();
    assert_eq!(
        done(data, &["guard", "approve", &parked(0)])["resourceId"],
        ids[1].as_str()
    );
    done(data, &["guard", "reject", &parked(1)]);
    fails(data, &["guard", "approve", "none"], 3, "none");
    assert_eq!(done(data, &["guard", "status"])["parked"], json!([]));
    assert_eq!(
        done(
            data,
            &["guard", "allow", "delete", "5", "--for-minutes", "10"]
        )["remaining"],
        5
    );
    assert_eq!(
        serve
            .send("DELETE", &format!("/Users/{}", ids[2]), None)
            .status,
        204
    );
    assert_eq!(
        done(data, &["guard", "status"])["parked"],
        json!([]),
        "it was let through"
    );
    assert_eq!(serve.terminate().0, 0);
}

#[test]
fn requests_are_listed_and_profiles_and_tokens_say_who_calls() {
    let data = prepared();
    let data = data.path();
    let ada = user(data, "ada");
    let token = done(
        data,
        &[
            "token",
            "create",
            "--name",
            "ada's",
            "--user",
            "ada",
            "--profile",
            "okta",
            "--scope",
            "read",
        ],
    );
    assert_eq!(token["permissions"]["profile"], "okta");
    fails(data, &["token", "create", "--user", "nobody"], 3, "nobody");
    fails(data, &["token", "create", "--profile", "none"], 5, "none");
    let serve = Serve::start(data, None);
    let call = |method: &str, path: &str| {
        send(
            &serve.base(),
            token["token"].as_str().unwrap(),
            method,
            path,
            None,
        )
        .unwrap()
    };
    assert_eq!(call("GET", "/Me").body["id"], ada.as_str());
    assert_eq!(call("DELETE", &format!("/Users/{ada}")).status, 403);
    let (code, _) = serve.terminate();
    assert_eq!(code, 0);
    let refused = done(data, &["requests", "list", "--status", "4xx"]);
    let entry = refused
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["method"] == "DELETE")
        .unwrap();
    assert_eq!(
        (&entry["status"], &entry["profile"]),
        (&json!(403), &json!("okta"))
    );
    assert_eq!(
        done(data, &["requests", "show", entry["id"].as_str().unwrap()])["id"],
        entry["id"]
    );
    fails(data, &["requests", "list", "--status", "often"], 2, "often");
    let profiles = done(data, &["profile", "list"]);
    assert!(
        profiles
            .as_array()
            .unwrap()
            .iter()
            .any(|profile| profile["name"] == "sailpoint")
    );
    assert_eq!(done(data, &["profile", "show", "okta"])["name"], "okta");
    fails(data, &["profile", "show", "none"], 3, "none");
}
