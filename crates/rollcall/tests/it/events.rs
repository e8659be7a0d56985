//! Events out, by the program itself: real receivers verify what they get, the program is killed in the middle, keys and secrets change.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::http::send;
use crate::program::{Serve, TOKEN, finish, program, run};

/// Longer than anything here takes; a test that waits as long has failed.
const PATIENCE: Duration = Duration::from_mins(2);

/// A request as a receiver got it.
struct Got {
    headers: Vec<(String, String)>,
    body: String,
}

impl Got {
    fn header(&self, name: &str) -> &str {
        self.headers
            .iter()
            .find(|(known, _)| known == name)
            .map_or("", |(_, value)| value)
    }
}

/// A receiver: takes what is posted to it, and answers with the status that the test wants.
struct End {
    address: String,
    got: Receiver<Got>,
    status: Arc<Mutex<u16>>,
}

impl End {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (sender, got) = channel();
        let status = Arc::new(Mutex::new(202));
        let answers = status.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (sender, answers) = (sender.clone(), answers.clone());
                thread::spawn(move || drop(serve(stream, &sender, &answers)));
            }
        });
        Self {
            address,
            got,
            status,
        }
    }

    fn answer(&self, status: u16) {
        *self.status.lock().unwrap() = status;
    }

    fn next(&self) -> Got {
        self.got.recv_timeout(PATIENCE).expect("something is sent")
    }
}

/// Only what was answered with success counts as taken.
fn serve(stream: TcpStream, sender: &Sender<Got>, status: &Mutex<u16>) -> std::io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let mut headers = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .map_or(0, |(_, value)| value.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let status = *status.lock().unwrap();
        if status < 300 {
            sender
                .send(Got {
                    headers,
                    body: String::from_utf8(body).unwrap(),
                })
                .ok();
        }
        write!(writer, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n")?;
    }
}

fn add(data: &Path, arguments: &[&str]) -> Value {
    let added = run(
        data,
        &[&["receiver", "add"], arguments, &["--json"]].concat(),
    );
    assert_eq!(added.code, 0, "{}", added.stderr);
    added.json()
}

fn user(serve: &Serve, name: &str) -> Option<String> {
    let made = send(
        &serve.base(),
        TOKEN,
        "POST",
        "/Users",
        Some(&json!({ "userName": name })),
    )?;
    assert_eq!(made.status, 201, "{}", made.body);
    Some(made.body["id"].as_str().unwrap().to_owned())
}

/// Standard Webhooks: the key signs id, time and body.
fn is_signed(got: &Got, secret: &str) -> bool {
    let key = BASE64_STANDARD
        .decode(secret.strip_prefix("whsec_").unwrap())
        .unwrap();
    let signed = format!(
        "{}.{}.{}",
        got.header("webhook-id"),
        got.header("webhook-timestamp"),
        got.body
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
    let tags = got
        .header("webhook-signature")
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1,"));
    tags.into_iter().any(|tag| {
        hmac::verify(
            &key,
            signed.as_bytes(),
            &BASE64_STANDARD.decode(tag).unwrap(),
        )
        .is_ok()
    })
}

/// What a webhook was told: userName by userName.
fn told(got: &Got) -> Vec<String> {
    let body: Value = serde_json::from_str(&got.body).unwrap();
    let events = body["data"]["events"].as_array().unwrap();
    events
        .iter()
        .map(|event| {
            event["resource"]["userName"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect()
}

fn decoded(part: &str) -> Value {
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The claims of a token, verified with nothing but the published keys.
fn verified(serve: &Serve, token: &str) -> Value {
    let keys = send(
        &serve.address,
        "",
        "GET",
        "/t/default/.well-known/jwks.json",
        None,
    )
    .unwrap()
    .body;
    let (input, signature) = token.rsplit_once('.').unwrap();
    let (header, claims) = input.split_once('.').unwrap();
    let header = decoded(header);
    assert_eq!(
        (&header["alg"], &header["typ"]),
        (&json!("ES256"), &json!("secevent+jwt"))
    );
    let key = keys["keys"]
        .as_array()
        .unwrap()
        .iter()
        .find(|key| key["kid"] == header["kid"])
        .expect("the key is published")
        .clone();
    let mut point = vec![4];
    for coordinate in ["x", "y"] {
        point.extend(
            BASE64_URL_SAFE_NO_PAD
                .decode(key[coordinate].as_str().unwrap())
                .unwrap(),
        );
    }
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, &point)
        .verify(input.as_bytes(), &signature)
        .expect("the signature is right");
    decoded(claims)
}

#[test]
fn webhooks_are_signed_and_nothing_is_lost_when_the_program_is_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut serve = Serve::start(data.path(), Some(TOKEN));
    let end = End::start();
    let added = add(
        data.path(),
        &[
            "shop",
            "--kind",
            "webhook",
            "--url",
            &end.address,
            "--batch-max",
            "3",
        ],
    );
    let secret = added["secret"].as_str().unwrap().to_owned();
    let tested = run(data.path(), &["receiver", "test", "shop"]);
    assert_eq!(tested.code, 0, "{}", tested.stderr);
    assert!(is_signed(&end.next(), &secret));
    let mut acknowledged = Vec::new();
    for round in 0..6 {
        for count in 0..8 {
            let name = format!("u{round}-{count}");
            user(&serve, &name).unwrap();
            acknowledged.push(name);
        }
        // Somewhere in the middle of the deliveries; in every other round the receiver is away, too.
        end.answer(if round % 2 == 0 { 503 } else { 202 });
        serve.kill();
        end.answer(202);
        serve = Serve::start(data.path(), None);
    }
    let mut arrived: Vec<String> = Vec::new();
    while arrived.last() != acknowledged.last() {
        let got = end.next();
        assert!(is_signed(&got, &secret), "{}", got.body);
        arrived.extend(told(&got));
    }
    // At least once: what was under way when the program died may come twice. In order: without the repetitions it is what happened.
    let mut seen = std::collections::BTreeSet::new();
    arrived.retain(|name| seen.insert(name.clone()));
    assert_eq!(arrived, acknowledged);
    // Two secrets live after a change.
    let rotated = run(
        data.path(),
        &["receiver", "rotate-secret", "shop", "--json"],
    )
    .json();
    let new = rotated["secret"].as_str().unwrap();
    user(&serve, "after").unwrap();
    let mut got = end.next();
    while told(&got) != ["after"] {
        got = end.next();
    }
    assert_ne!(secret, new);
    assert_eq!(
        [&secret, new].map(|secret| is_signed(&got, secret)),
        [true, true],
        "{:?} {}",
        got.headers,
        got.body
    );
}

#[test]
fn pushed_and_polled_tokens_verify_across_a_change_of_keys() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    let end = End::start();
    add(
        data.path(),
        &[
            "siem",
            "--kind",
            "push",
            "--url",
            &end.address,
            "--detail",
            "notice",
        ],
    );
    let polls = add(data.path(), &["audit", "--kind", "poll"]);
    let ann = user(&serve, "ann").unwrap();
    let first = end.next();
    assert_eq!(first.header("content-type"), "application/secevent+jwt");
    let claims = verified(&serve, &first.body);
    assert_eq!(claims["iss"], format!("{}/t/default", serve.address));
    assert_eq!(claims["aud"], end.address);
    assert_eq!(claims["sub_id"]["uri"], format!("/Users/{ann}"));
    let notice = &claims["events"]["urn:ietf:params:scim:event:prov:create:notice"];
    assert_eq!(notice["attributes"], json!(["userName"]));
    let rotated = run(data.path(), &["keys", "rotate", "--json"]).json();
    let off = json!({
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{ "op": "replace", "path": "active", "value": false }]
    });
    serve.send("PATCH", &format!("/Users/{ann}"), Some(&off));
    let second = end.next();
    assert_eq!(
        decoded(second.body.split('.').next().unwrap())["kid"],
        rotated["id"]
    );
    let claims = verified(&serve, &second.body);
    assert!(
        claims["events"]["urn:ietf:params:scim:event:prov:deactivate"].is_object(),
        "{claims}"
    );
    // What the old key signed can still be verified.
    verified(&serve, &first.body);
    let poll = |body: Value| {
        let secret = polls["secret"].as_str().unwrap();
        send(
            &serve.address,
            secret,
            "POST",
            "/t/default/receivers/audit/poll",
            Some(&body),
        )
        .unwrap()
        .body
    };
    let sets = poll(json!({ "returnImmediately": true }))["sets"]
        .as_object()
        .unwrap()
        .clone();
    let tokens: Vec<Value> = sets
        .values()
        .map(|token| verified(&serve, token.as_str().unwrap()))
        .collect();
    assert_eq!(tokens.len(), 2);
    assert!(
        sets.iter()
            .zip(&tokens)
            .all(|((id, _), claims)| claims["jti"] == **id)
    );
    let ids: Vec<&String> = sets.keys().collect();
    assert_eq!(
        poll(json!({ "returnImmediately": true, "ack": ids }))["sets"],
        json!({})
    );
    // Keys in wrong hands are taken back at once.
    assert_eq!(
        run(data.path(), &["keys", "rotate", "--distrust-old"]).code,
        0
    );
    assert_eq!(
        run(data.path(), &["keys", "list", "--json"])
            .json()
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[test]
fn the_urls_of_a_new_receiver_lead_to_the_running_server() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    let added = add(data.path(), &["audit", "--kind", "poll"]);
    assert_eq!(added["issuer"], format!("{}/t/default", serve.address));
    let (base, path) = added["pollUrl"]
        .as_str()
        .unwrap()
        .split_at(serve.address.len());
    let answer = send(
        base,
        added["secret"].as_str().unwrap(),
        "POST",
        path,
        Some(&json!({ "returnImmediately": true })),
    )
    .unwrap();
    assert_eq!((answer.status, &answer.body["sets"]), (200, &json!({})));
    // The file of a server that was killed stays, and is not believed.
    serve.kill();
    let assumes = |said: &str| said.contains("No `serve` runs on this data folder");
    let said = run(data.path(), &["receiver", "add", "later", "--kind", "poll"]).stdout;
    assert!(
        said.contains("poll at: http://127.0.0.1:8700/t/default/receivers/later/poll")
            && assumes(&said),
        "{said}"
    );
    let public = |command: &mut Command| {
        finish(command.env("ROLLCALL_PUBLIC_URL", "https://id.example.com")).stdout
    };
    let said = public(program(data.path()).args(["receiver", "add", "public", "--kind", "poll"]));
    assert!(
        said.contains("poll at: https://id.example.com/t/default/receivers/public/poll")
            && !assumes(&said),
        "{said}"
    );
    // A flag of `serve` counts for commands that do not have it.
    let mut flagged = program(data.path());
    flagged.args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--public-url",
        "https://rollcall.example.com/",
    ]);
    let _serve = Serve::listen(flagged);
    let said = run(data.path(), &["receiver", "add", "siem", "--kind", "poll"]).stdout;
    assert!(
        said.contains("poll at: https://rollcall.example.com/t/default/receivers/siem/poll")
            && !assumes(&said),
        "{said}"
    );
}

#[test]
fn what_cannot_be_delivered_is_a_dead_letter_until_it_is_delivered() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    let end = End::start();
    end.answer(500);
    add(
        data.path(),
        &[
            "shop",
            "--kind",
            "webhook",
            "--url",
            &end.address,
            "--attempts-max",
            "1",
            "--batch-max",
            "1",
        ],
    );
    let ann = user(&serve, "ann").unwrap();
    let list = || {
        run(data.path(), &["receiver", "dead-letters", "shop", "--json"])
            .json()
            .as_array()
            .unwrap()
            .clone()
    };
    while list().is_empty() {}
    let letter = list().remove(0);
    assert_eq!(
        (
            letter["event"]["resourceId"].as_str(),
            letter["attempts"].as_u64()
        ),
        (Some(ann.as_str()), Some(1))
    );
    assert!(
        letter["error"].as_str().unwrap().contains("500"),
        "{letter}"
    );
    end.answer(204);
    // The next has its turn, whatever became of the one before.
    user(&serve, "bob").unwrap();
    assert_eq!(told(&end.next()), ["bob"]);
    let sequence = letter["sequence"].to_string();
    assert_eq!(
        run(
            data.path(),
            &[
                "receiver",
                "redeliver",
                "shop",
                "--sequence",
                &sequence,
                "--json"
            ]
        )
        .json()["redelivered"],
        1
    );
    assert_eq!(told(&end.next()), ["ann"]);
    while !list().is_empty() {}
    for (command, state) in [("pause", "paused"), ("resume", "live")] {
        assert_eq!(run(data.path(), &["receiver", command, "shop"]).code, 0);
        assert_eq!(
            run(data.path(), &["receiver", "show", "shop", "--json"]).json()["state"],
            state
        );
    }
    assert_eq!(run(data.path(), &["receiver", "remove", "shop"]).code, 0);
    assert_eq!(run(data.path(), &["receiver", "show", "shop"]).code, 3);
}
