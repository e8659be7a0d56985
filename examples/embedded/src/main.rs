//! The issue tracker as a program: `embedded ADDRESS TOKEN`. Everything is in memory and gone when it ends.
#![expect(
    clippy::print_stdout,
    reason = "a program for people says where it listens"
)]

use std::sync::Arc;

use embedded::{Tracker, application};
use embedding::{Options, serve};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, token] = arguments.as_slice() else {
        return Err("usage: embedded ADDRESS TOKEN".into());
    };
    let folder = tempfile::tempdir()?;
    let application = application(Arc::new(Tracker::default()), folder.path(), token).await?;
    let listener = TcpListener::bind(address).await?;
    println!(
        "issues at http://{0}/issues, SCIM at http://{0}/scim/v2",
        listener.local_addr()?
    );
    // Rollcall's own listener, because links in answers are made from the address of the connection; with `axum::serve`, set `Options::public_url`.
    serve(
        listener,
        application,
        std::future::pending(),
        &Options::default(),
    )
    .await;
    Ok(())
}
