//! TLS to PostgreSQL, with a server whose certificate nobody but its file vouches for.

use std::error::Error;
use std::sync::Arc;

use directory::store::{Fault, Tenants};
use directory::tenant::TenantSettings;
use jiff::Timestamp;
use storage::postgres::{ConnectError, Postgres};
use storage::secrets::MasterKey;

use crate::place::entry;
use crate::postgres_server::{Server, client, start};

/// A server that listens on this port of 127.0.0.1, with a certificate for `localhost`.
fn encrypted() -> (Server, u16) {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    let options = format!("-c listen_addresses=127.0.0.1 -c port={port} -c ssl=on");
    let files = [
        ("server.crt", certificate.as_str()),
        ("server.key", key.as_str()),
    ];
    let server = tokio::task::block_in_place(|| start(&options, &files));
    (server, port)
}

async fn connect(url: &str) -> Result<Postgres, Fault> {
    let folder = tempfile::tempdir().unwrap();
    let key = folder.path().join("key");
    // Each database is opened several times, with the same key.
    std::fs::write(&key, [7; 32]).unwrap();
    Postgres::connect(url, Arc::new(MasterKey::load_or_create(&key).unwrap()))
        .await
        .map_err(ConnectError::into_fault)
}

/// The fault and what it came from.
fn whole(fault: &Fault) -> String {
    let mut text = fault.to_string();
    let mut source = fault.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_is_encrypted_where_the_url_wants_it() {
    let (server, port) = encrypted();
    let root = server
        .folder
        .join("server.crt")
        .display()
        .to_string()
        .replace('/', "%2F");
    let stranger = client(&format!(
        "host={} port={port} user=postgres dbname=postgres",
        server.folder.display()
    ))
    .await;
    let encrypted = async |wanted: bool| {
        let count = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE application_name = 'rollcall' AND ssl = $1";
        stranger
            .query_one(count, &[&wanted])
            .await
            .unwrap()
            .get::<_, i64>(0)
    };
    let url =
        |host: &str, query: &str| format!("postgres://postgres@{host}:{port}/postgres?{query}");

    for query in [
        format!("sslmode=require&sslrootcert={root}"),
        format!("sslmode=verify-full&sslrootcert={root}"),
        String::new(),
    ] {
        let store = connect(&url("localhost", &query))
            .await
            .unwrap_or_else(|fault| panic!("{query}: {}", whole(&fault)));
        assert!(
            encrypted(true).await > 0 && encrypted(false).await == 0,
            "{query}"
        );
        store
            .create_tenant(
                "acme",
                TenantSettings::default(),
                Timestamp::UNIX_EPOCH,
                entry(),
            )
            .await
            .unwrap();
        assert_eq!(store.list_tenants().await.unwrap().len(), 1);
        drop(store);
        stranger.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'rollcall'", &[]).await.unwrap();
        while encrypted(true).await > 0 {
            tokio::task::yield_now().await;
        }
    }
    let _open = connect(&url("localhost", "sslmode=disable")).await.unwrap();
    assert!(encrypted(false).await > 0 && encrypted(true).await == 0);

    // Nobody of the machine's authorities vouches for it; and it is not the host that its certificate names.
    for (host, query) in [
        ("localhost", "sslmode=require".to_owned()),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={root}")),
    ] {
        let refusal = whole(&connect(&url(host, &query)).await.err().unwrap());
        assert!(refusal.contains("certificate"), "{refusal}");
    }
    // Where one is given, `prefer` believes no other either.
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])
        .unwrap()
        .cert
        .pem();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), other).unwrap();
    connect(&url(
        "localhost",
        &format!("sslrootcert={}", file.path().display()),
    ))
    .await
    .err()
    .unwrap();
}
