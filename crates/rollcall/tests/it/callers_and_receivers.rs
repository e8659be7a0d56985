//! Commands about clients, issuers, receivers and signing keys as clients of the admin API.

use std::path::Path;

use serde_json::{Value, json};

use crate::program::{Finished, Serve, TOKEN, finish, program, run};

/// From a folder that has no database, with the token that may do everything.
fn remote(url: &str, arguments: &[&str]) -> Finished {
    let elsewhere = tempfile::tempdir().unwrap();
    finish(
        program(elsewhere.path())
            .args(arguments)
            .env("ROLLCALL_URL", url)
            .env("ROLLCALL_TOKEN", TOKEN),
    )
}

fn done(finished: &Finished) -> Value {
    assert_eq!(finished.code, 0, "{}", finished.stderr);
    finished.json()
}

/// What was done, oldest first, but for the tokens.
fn acts(data: &Path) -> Vec<String> {
    let log = done(&run(data, &["audit", "list", "--json"]));
    let acts = log.as_array().unwrap().iter();
    acts.filter_map(|entry| entry["entry"]["act"].as_str())
        .filter(|act| !act.starts_with("token."))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_receiver_that_is_added_from_afar_polls_where_its_administrator_came_in() {
    let data = tempfile::tempdir().unwrap();
    let mut command = program(data.path());
    command
        .args(["serve", "--listen", "127.0.0.1:0"])
        .args(["--public-url", "https://rollcall.example.com"])
        .env("ROLLCALL_BOOTSTRAP_TOKEN", TOKEN);
    let serve = Serve::listen(command);
    let add = |name: &str| ["receiver", "add", name, "--kind", "poll", "--json"].map(str::to_owned);
    let arguments = add("far");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let far = done(&remote(&format!("{}/", serve.address), &arguments));
    assert_eq!(
        far["pollUrl"],
        format!("{}/t/default/receivers/far/poll", serve.address)
    );
    assert_eq!(
        far["jwksUri"],
        format!("{}/t/default/.well-known/jwks.json", serve.address)
    );
    // It is in every token, so it is what the server says.
    assert_eq!(far["issuer"], "https://rollcall.example.com/t/default");

    let near = add("near");
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    let near = done(&run(data.path(), &near));
    assert_eq!(
        near["pollUrl"],
        "https://rollcall.example.com/t/default/receivers/near/poll"
    );
}

#[test]
fn callers_and_receivers_are_administered_from_afar_and_at_home() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    let client = done(&remote(&serve.address, &["client", "add", "hr", "--json"]));
    assert!(client["clientSecret"].is_string());
    let issuer = [
        "issuer",
        "add",
        "idp",
        "--issuer",
        "https://idp.example",
        "--audience",
        "x",
        "--jwks-url",
        "http://127.0.0.1:9/keys",
        "--json",
    ];
    assert_eq!(done(&run(data.path(), &issuer))["subjectClaim"], "sub");
    let (code, _) = serve.terminate();
    assert_eq!(code, 0);

    let hook = [
        "receiver",
        "add",
        "hook",
        "--kind",
        "webhook",
        "--json",
        "--url",
        "http://127.0.0.1:9/a",
    ];
    let added = done(&run(data.path(), &hook));
    let secret = added["secret"].as_str().unwrap();
    assert!(secret.starts_with("whsec_") && added.get("issuer").is_none());
    let tested = run(data.path(), &["receiver", "test", "hook"]);
    assert_eq!(tested.code, 6, "{}", tested.stderr);
    let rotated = done(&run(
        data.path(),
        &[
            "receiver",
            "rotate-secret",
            "hook",
            "--overlap-hours",
            "1",
            "--json",
        ],
    ));
    assert_ne!(rotated["secret"], json!(secret));
    assert!(rotated["oldSecretUntil"].is_string());
    for (arguments, code) in [
        (["receiver", "rotate-secret", "hook", "--token-file"], 2),
        (["receiver", "rotate-secret", "none", "--token-file"], 3),
    ] {
        let file = data.path().join("token");
        std::fs::write(&file, "word").unwrap();
        let refused = run(
            data.path(),
            &[&arguments[..], &[file.to_str().unwrap()]].concat(),
        );
        assert_eq!(refused.code, code, "{}", refused.stderr);
    }
    let unknown = done(&run(
        data.path(),
        &["receiver", "feed-add", "hook", "nobody", "--json"],
    ));
    assert_eq!(
        (&unknown["inFeed"], &unknown["changed"]),
        (&json!(true), &json!(false))
    );
    let key = done(&run(data.path(), &["keys", "rotate", "--json"]));
    assert_eq!(key["public"]["kid"], key["id"]);
    let id = client["id"].as_str().unwrap();
    done(&run(data.path(), &["client", "revoke", id, "--json"]));
    done(&run(data.path(), &["issuer", "remove", "idp", "--json"]));
    done(&run(data.path(), &["receiver", "remove", "hook", "--json"]));
    for gone in [
        ["client", "revoke", "none"],
        ["issuer", "remove", "idp"],
        ["receiver", "show", "hook"],
    ] {
        let finished = run(data.path(), &gone);
        assert_eq!(finished.code, 3, "{gone:?} {}", finished.stderr);
        assert!(finished.stderr.contains(" list`"), "{}", finished.stderr);
    }
    assert_eq!(
        acts(data.path()),
        [
            "client.create",
            "issuer.create",
            "receiver.create",
            "receiver.rotate-secret",
            "signing-key.rotate",
            "client.revoke",
            "issuer.remove",
            "receiver.remove"
        ]
    );
}
