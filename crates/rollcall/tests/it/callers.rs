//! The binary with TLS of its own, and a client with a certificate: `curl`, which nobody here wrote.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use serde_json::Value;

use crate::program::{Serve, TOKEN, run};

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(path: &Path) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    // OpenSSL takes a certificate whose two names are the same for a self-signed one.
    params
        .distinguished_name
        .push(DnType::CommonName, "an authority");
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    std::fs::write(path, authority.pem()).unwrap();
    authority
}

fn issue(authority: &Authority, name: &str, folder: &Path, file: &str) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, authority).unwrap();
    std::fs::write(folder.join(format!("{file}.key")), key.serialize_pem()).unwrap();
    std::fs::write(folder.join(format!("{file}.pem")), certificate.pem()).unwrap();
}

/// Status and body; `None` where there was no exchange, such as for an authority that curl does not trust.
fn curl(
    folder: &Path,
    authority: &str,
    certificate: bool,
    arguments: &[&str],
) -> Option<(u16, Value)> {
    let mut command = Command::new("curl");
    command
        .args(["-sS", "-m", "20", "-w", "\n%{http_code}", "--cacert"])
        .arg(folder.join(authority));
    if certificate {
        command
            .arg("--cert")
            .arg(folder.join("client.pem"))
            .arg("--key")
            .arg(folder.join("client.key"));
    }
    let output = command.args(arguments).output().expect("curl(1)");
    let text = String::from_utf8(output.stdout).unwrap();
    let (body, status) = text.rsplit_once('\n')?;
    output.status.success().then(|| {
        (
            status.parse().unwrap(),
            serde_json::from_str(body).unwrap_or(Value::Null),
        )
    })
}

#[test]
fn a_client_comes_with_its_certificate_and_the_server_changes_its_own() {
    let data = tempfile::tempdir().unwrap();
    let folder = data.path();
    let (first, clients) = (
        authority(&folder.join("first.pem")),
        authority(&folder.join("clients.pem")),
    );
    issue(&first, "127.0.0.1", folder, "server");
    issue(&clients, "hr.example.com", folder, "client");
    let path = |name: &str| folder.join(name).display().to_string();
    let settings = format!(
        "tls_cert = {:?}\ntls_key = {:?}\ntls_client_ca = {:?}\n",
        path("server.pem"),
        path("server.key"),
        path("clients.pem")
    );
    std::fs::write(folder.join("rollcall.toml"), settings).unwrap();
    let serve = Serve::start(folder, Some(TOKEN));
    assert!(
        serve.address.starts_with("https://127.0.0.1:"),
        "{}",
        serve.address
    );

    let added = run(
        folder,
        &[
            "client",
            "add",
            "hr",
            "--scope",
            "read",
            "--type",
            "User",
            "--tls-dns",
            "hr.example.com",
            "--json",
        ],
    );
    assert_eq!(added.code, 0, "{}", added.stderr);
    let id = format!("client_id={}", added.json()["id"].as_str().unwrap());
    let token_url = format!("{}/t/default/oauth2/token", serve.address);
    let form = ["-d", "grant_type=client_credentials", "-d", &id, &token_url];
    assert_eq!(
        curl(folder, "first.pem", false, &form).unwrap().0,
        401,
        "without a certificate"
    );
    let (status, given) = curl(folder, "first.pem", true, &form).unwrap();
    assert_eq!(status, 200, "{given}");

    let bearer = format!(
        "Authorization: Bearer {}",
        given["access_token"].as_str().unwrap()
    );
    let users = format!("{}/Users", serve.base());
    let (status, found) = curl(folder, "first.pem", true, &["-H", &bearer, &users]).unwrap();
    assert_eq!((status, &found["totalResults"]), (200, &Value::from(0)));
    assert_eq!(
        curl(folder, "first.pem", false, &["-H", &bearer, &users])
            .unwrap()
            .0,
        401,
        "it is bound to the certificate"
    );
    assert_eq!(
        curl(
            folder,
            "first.pem",
            true,
            &["-H", &bearer, &format!("{}/Groups", serve.base())]
        )
        .unwrap()
        .0,
        403
    );

    let second = authority(&folder.join("second.pem"));
    issue(&second, "127.0.0.1", folder, "server");
    serve.signal("HUP");
    let begun = Instant::now();
    while curl(folder, "second.pem", true, &["-H", &bearer, &users])
        .is_none_or(|(status, _)| status != 200)
    {
        assert!(
            begun.elapsed() < Duration::from_secs(30),
            "the new certificate is not used"
        );
    }
    assert!(curl(folder, "first.pem", true, &["-H", &bearer, &users]).is_none());

    assert_eq!(
        run(
            folder,
            &["client", "revoke", added.json()["id"].as_str().unwrap()]
        )
        .code,
        0
    );
    assert_eq!(
        curl(folder, "second.pem", true, &["-H", &bearer, &users])
            .unwrap()
            .0,
        401,
        "its tokens end with it"
    );
}

#[test]
fn issuers_and_narrow_tokens_are_kept_by_hand() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    let done = |arguments: &[&str]| {
        let finished = run(data.path(), &[arguments, &["--json"]].concat());
        assert_eq!(finished.code, 0, "{arguments:?}: {}", finished.stderr);
        finished.json()
    };
    let issuer = [
        "issuer",
        "add",
        "idp",
        "--issuer",
        "https://a",
        "--jwks-url",
        "https://a/keys",
        "--audience",
        "x",
    ];
    assert_eq!(
        done(&issuer)["permissions"]["scopes"],
        serde_json::json!(["read", "write"])
    );
    assert_eq!(run(data.path(), &issuer).code, 4);
    for url in [
        "http://127.0.0.2:8080/keys",
        "https://10.0.0.1/keys",
        "http://a/keys",
    ] {
        let refused = run(
            data.path(),
            &[
                "issuer",
                "add",
                "other",
                "--issuer",
                "https://a",
                "--jwks-url",
                url,
                "--audience",
                "x",
            ],
        );
        assert!(
            refused.code != 0 && refused.stderr.contains("can never be fetched"),
            "{url}: {}",
            refused.stderr
        );
        assert!(
            refused.stderr.contains("allow_private"),
            "{}",
            refused.stderr
        );
    }
    assert_eq!(done(&["issuer", "list"])[0]["name"], "idp");
    done(&["issuer", "remove", "idp"]);
    assert_eq!(run(data.path(), &["issuer", "remove", "idp"]).code, 3);

    let secret = done(&["client", "add", "crm"]);
    assert!(
        secret["clientSecret"]
            .as_str()
            .is_some_and(|secret| secret.len() > 40),
        "{secret}"
    );
    assert_eq!(run(data.path(), &["client", "add", "crm"]).code, 4);
    assert!(
        !run(data.path(), &["client", "list", "--json"])
            .stdout
            .contains(secret["clientSecret"].as_str().unwrap())
    );

    let narrow = done(&[
        "token",
        "create",
        "--scope",
        "read",
        "--type",
        "User",
        "--profile",
        "entra",
        "--expires",
        "90d",
        "--requests-per-second",
        "7",
    ]);
    assert_eq!(narrow["permissions"]["profile"], "entra");
    let send = |method: &str, path: &str| {
        crate::http::send(
            &serve.base(),
            narrow["token"].as_str().unwrap(),
            method,
            path,
            None,
        )
        .unwrap()
        .status
    };
    assert_eq!(
        (
            send("GET", "/Users"),
            send("GET", "/Groups"),
            send("DELETE", "/Users/x")
        ),
        (200, 403, 403)
    );
    assert_eq!(
        run(data.path(), &["token", "create", "--type", "Pet"]).code,
        5
    );
    assert_eq!(
        run(data.path(), &["token", "create", "--profile", "nobody"]).code,
        5
    );
    assert_eq!(
        run(data.path(), &["token", "create", "--expires", "soon"]).code,
        2
    );
}

/// The command line writes beside the server, which remembers tokens.
#[test]
fn a_persons_token_ends_with_them_while_the_server_runs() {
    let data = tempfile::tempdir().unwrap();
    let serve = Serve::start(data.path(), Some(TOKEN));
    let done = |arguments: &[&str]| {
        let finished = run(data.path(), &[arguments, &["--json"]].concat());
        assert_eq!(finished.code, 0, "{arguments:?}: {}", finished.stderr);
        finished.json()
    };
    for name in ["ann", "bob"] {
        done(&["user", "create", name]);
    }
    let token = done(&["token", "create", "--user", "ann"])["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let send = |method: &str, path: &str, body: Option<&Value>| {
        crate::http::send(&serve.base(), &token, method, path, body)
            .unwrap()
            .status
    };
    assert_eq!(
        (send("GET", "/Me", None), send("GET", "/Users", None)),
        (200, 200)
    );
    done(&["user", "deactivate", "ann"]);
    let on = serde_json::json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": [{"op": "replace", "path": "active", "value": true}]});
    assert_eq!(
        (
            send("GET", "/Users", None),
            send("GET", "/Me", None),
            send("PATCH", "/Me", Some(&on))
        ),
        (401, 401, 401)
    );
    assert_eq!(
        done(&["token", "list"])
            .as_array()
            .unwrap()
            .iter()
            .filter(|token| token["state"] == "revoked")
            .count(),
        1
    );

    let refused = run(data.path(), &["token", "create", "--user", "ann"]);
    assert!(
        refused.code == 5 && refused.stderr.contains("not active"),
        "{}",
        refused.stderr
    );
    assert_eq!(
        run(data.path(), &["token", "create", "--user", "nobody"]).code,
        3
    );
    done(&["user", "edit", "ann", "--set", "active=true"]);
    assert_eq!(send("GET", "/Users", None), 401, "revoked is revoked");
    let token = done(&["token", "create", "--user", "bob"])["token"]
        .as_str()
        .unwrap()
        .to_owned();
    let send = |path: &str| {
        crate::http::send(&serve.base(), &token, "GET", path, None)
            .unwrap()
            .status
    };
    assert_eq!(send("/Users"), 200);
    done(&["user", "delete", "bob"]);
    assert_eq!(send("/Users"), 401);
}
