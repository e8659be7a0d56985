//! The URL of a running `serve`, left in the data folder for a command that cannot reach the socket of that `serve` and answers itself: the URLs that it
//! prints lead there. Starts nothing and asks nothing.

use std::fs::File;
use std::io::{self, Write};

use storage::private_files::{make_private, private_options};

use crate::configuration::Configuration;
use crate::wiring;

/// The file in the data folder. Every `serve` of the folder has it locked (shared) for as long as it runs, so a file that is not locked is an old one.
const FILE: &str = "serving.url";

/// The URL of an installation.
pub struct ServingUrl {
    /// Without a slash at its end.
    pub url: String,
    /// Whether it is made from the configured address only, because no `serve` runs on this data folder and `public_url` is not set.
    pub is_assumed: bool,
}

/// Writes the URL down. It holds for as long as the caller keeps the file open.
pub fn announce(configuration: &Configuration, url: &str) -> io::Result<File> {
    let path = configuration.data.value.join(FILE);
    let mut file = private_options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)?;
    make_private(&path);
    // Where files cannot be locked, the last URL counts.
    file.lock_shared().ok();
    file.set_len(0)?;
    file.write_all(url.as_bytes())?;
    Ok(file)
}

/// What a running `serve` wrote down; else what is configured.
pub fn find(configuration: &Configuration) -> ServingUrl {
    let announced = announced(configuration).ok().flatten();
    let is_assumed = announced.is_none() && configuration.public_url.value.is_none();
    let configured = || {
        wiring::public_url(
            configuration,
            configuration.listen.value,
            configuration.tls_cert.value.is_some(),
        )
    };
    ServingUrl {
        url: announced.unwrap_or_else(configured),
        is_assumed,
    }
}

fn announced(configuration: &Configuration) -> io::Result<Option<String>> {
    let path = configuration.data.value.join(FILE);
    let file = File::open(&path)?;
    if file.try_lock().is_ok() {
        return Ok(None);
    }
    let url = std::fs::read_to_string(&path)?;
    Ok(Some(url).filter(|url| !url.is_empty()))
}
