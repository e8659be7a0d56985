//! What a tenant's administrator can make the program reach, and what they see of it.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{Answer, send};
use crate::program::{Serve, finish, program, run};

/// Longer than anything here takes; a test that waits as long has failed.
const PATIENCE: Duration = Duration::from_mins(2);
/// What the other side says, and no tenant reads.
const INSIDE: &str = "the key of the inside";

/// A service of the inside: counts connections, and answers each request with 500 and its secret.
struct Inside {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Inside {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (port, connections) = (
            listener.local_addr().unwrap().port(),
            Arc::new(AtomicUsize::new(0)),
        );
        let counted = connections.clone();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                counted.fetch_add(1, Ordering::SeqCst);
                drop(stream.read(&mut [0; 16_000]));
                let length = INSIDE.len();
                let answer = format!(
                    "HTTP/1.1 500 x\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{INSIDE}"
                );
                drop(stream.write_all(answer.as_bytes()));
                // What is not read would cut the answer off.
                drop(stream.shutdown(Shutdown::Write));
                drop(stream.read_to_end(&mut Vec::new()));
            }
        });
        Self { port, connections }
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// This service, as a host and in every other way to write it.
    fn urls(&self) -> Vec<String> {
        let hosts = [
            "127.0.0.1",
            "localhost",
            "a.localhost",
            "2130706433",
            "0x7f.1",
            "127.1",
            "[::ffff:127.0.0.1]",
            "[::127.0.0.1]",
            "0.0.0.0",
        ];
        hosts
            .iter()
            .map(|host| format!("http://{host}:{}/hook", self.port))
            .collect()
    }
}

/// The admin API of the tenant `default`, to one who may administer it and nothing else.
struct Administrator(String);

impl Administrator {
    fn new(data: &Path) -> Self {
        let made = run(
            data,
            &[
                "token", "create", "--scope", "admin", "--scope", "read", "--scope", "write",
                "--json",
            ],
        );
        assert_eq!(made.code, 0, "{}", made.stderr);
        Self(made.json()["token"].as_str().unwrap().to_owned())
    }

    fn send(&self, serve: &Serve, method: &str, path: &str, body: Option<&Value>) -> Answer {
        send(
            &format!("{}/t/default/admin/v1", serve.address),
            &self.0,
            method,
            path,
            body,
        )
        .unwrap()
    }

    fn add_user(&self, serve: &Serve, name: &str) {
        let made = send(
            &serve.base(),
            &self.0,
            "POST",
            "/Users",
            Some(&json!({ "userName": name })),
        )
        .unwrap();
        assert_eq!(made.status, 201, "{}", made.body);
    }

    /// Waits until the receiver's last attempt failed with something that holds this.
    fn wait_for_error(&self, serve: &Serve, word: &str) -> Value {
        let begun = Instant::now();
        loop {
            let shown = self.send(serve, "GET", "/receivers/app", None).body;
            if shown["lastError"]
                .as_str()
                .is_some_and(|error| error.contains(word))
            {
                return shown;
            }
            assert!(begun.elapsed() < PATIENCE, "{shown}");
        }
    }
}

#[test]
fn an_administrator_of_a_tenant_reaches_nothing_inside() {
    let (data, inside) = (tempfile::tempdir().unwrap(), Inside::start());
    let serve = Serve::start_allowing(data.path(), "");
    let administrator = Administrator::new(data.path());
    for url in inside.urls() {
        for kind in ["webhook", "push"] {
            let body = json!({"name": "app", "kind": kind, "url": url});
            let refused = administrator.send(&serve, "POST", "/receivers", Some(&body));
            let detail = refused.body["detail"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            assert!(
                refused.status == 400 && detail.contains("may not be reached"),
                "{url}: {} {}",
                refused.status,
                refused.body
            );
        }
        let issuer =
            json!({"name": "idp", "issuer": "https://a", "jwksUrl": url, "audiences": ["x"]});
        let refused = administrator.send(&serve, "POST", "/issuers", Some(&issuer));
        let detail = refused.body["detail"].as_str().unwrap_or_default();
        assert!(
            refused.status == 400 && detail.contains("can never be fetched"),
            "{url}: {}",
            refused.body
        );
    }
    administrator.add_user(&serve, "ada");
    assert_eq!(inside.connections(), 0);
}

#[test]
fn what_was_added_before_is_judged_again_and_its_answers_are_for_operators() {
    let (data, inside) = (tempfile::tempdir().unwrap(), Inside::start());
    let serve = Serve::start_allowing(data.path(), "127.0.0.1");
    let administrator = Administrator::new(data.path());
    let body = json!({"name": "app", "kind": "webhook", "url": format!("http://127.0.0.1:{}/hook", inside.port)});
    assert_eq!(
        administrator
            .send(&serve, "POST", "/receivers", Some(&body))
            .status,
        201,
        "its address is named"
    );
    serve.kill();

    let serve = Serve::start_allowing(data.path(), "10.0.0.0/8");
    administrator.add_user(&serve, "ada");
    administrator.wait_for_error(&serve, "its address may not be reached");
    assert_eq!(inside.connections(), 0);
    let shown = run(data.path(), &["receiver", "show", "app"]);
    assert!(
        shown.stdout.contains("`allow_private` does not name it"),
        "{}",
        shown.stdout
    );
    serve.kill();

    let serve = Serve::start_allowing(data.path(), "127.0.0.1");
    administrator.add_user(&serve, "bob");
    let shown = administrator.wait_for_error(&serve, "it answered 500");
    assert!(!shown.to_string().contains(INSIDE), "{shown}");
    assert!(
        !administrator
            .send(&serve, "GET", "/receivers", None)
            .body
            .to_string()
            .contains(INSIDE)
    );
    assert!(inside.connections() > 0);
    for arguments in [
        ["receiver", "show", "app"].as_slice(),
        &["receiver", "list"],
        &["receiver", "show", "app", "--json"],
    ] {
        let shown = run(data.path(), arguments);
        assert!(
            shown.stdout.contains(INSIDE),
            "{arguments:?}: {}",
            shown.stdout
        );
    }
    let operator = serve.send_admin("GET", "/receivers/app");
    assert!(
        operator.body["lastError"]
            .as_str()
            .unwrap()
            .contains(INSIDE),
        "{}",
        operator.body
    );
}

#[test]
fn commands_name_the_setting_that_would_allow_an_address() {
    let (data, inside) = (tempfile::tempdir().unwrap(), Inside::start());
    let mut serve = Some(Serve::start_allowing(data.path(), ""));
    let commands = [
        ["application", "add", "chat", "--token", "x", "--base-url"].as_slice(),
        &["receiver", "add", "app", "--kind", "webhook", "--url"],
    ];
    for command in commands {
        let add = |url: &str, more: &[&str]| {
            finish(
                program(data.path())
                    .env_remove("ROLLCALL_ALLOW_PRIVATE")
                    .args([command, &[url], more].concat()),
            )
        };
        for url in inside.urls().iter().filter(|url| !url.contains("0.0.0.0")) {
            let refused = add(url, &[]);
            assert_eq!(refused.code, 5, "{url}: {}", refused.stderr);
            assert!(
                refused.stderr.contains("allow_private")
                    && refused.stderr.contains("--allow-private"),
                "{url}: {}",
                refused.stderr
            );
        }
        let never = add(
            "http://169.254.169.254/scim",
            &["--allow-private", "169.254.0.0/16"],
        );
        assert!(
            never.code == 5 && never.stderr.contains("never reached"),
            "{}",
            never.stderr
        );
        // What is allowed is the server's to say, so this is asked where none runs.
        drop(serve.take());
        let allowed = add(
            &format!("http://127.0.0.1:{}/hook", inside.port),
            &["--allow-private", "127.0.0.1"],
        );
        assert_eq!(allowed.code, 0, "{}", allowed.stderr);
    }
    assert_eq!(inside.connections(), 0);
}
