//! A body that is too large for memory, in a file that is gone with whoever reads it. Understands none of it.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::Path;

use axum::body::{Body, Bytes};
use directory::store::Fault;
use http_body_util::BodyExt;
use scim_protocol::{Error, ErrorKind};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::refusal::Failure;

/// Pieces of a body that wait to be written.
const PIECES_MAX: usize = 8;

/// Writes a body into a new file below this folder, which only its owner can read, and goes back to its beginning. The file has no name any more, so that
/// nothing is left of it, however the request or the process ends. Refuses (413) a body of more bytes than this, and (400) one that breaks off.
pub(crate) async fn spool(
    body: Body,
    folder: &Path,
    id: &str,
    bytes_max: u64,
) -> Result<File, Failure> {
    let path = folder.join(format!("upload-{id}"));
    let (pieces, received) = channel(PIECES_MAX);
    // A disk may be slow, so it is written to where it keeps nobody waiting.
    let writing = tokio::task::spawn_blocking(move || write(&path, received));
    let sent = send(body, pieces, bytes_max).await;
    let failed = |error: io::Error| {
        Fault::from_source("the body could not be kept in the data folder", error)
    };
    let written = writing
        .await
        .map_err(|error| Fault::from_source("the body was not kept to its end", error))?;
    sent?;
    Ok(written.map_err(failed)?)
}

async fn send(mut body: Body, pieces: Sender<Bytes>, bytes_max: u64) -> Result<(), Error> {
    let mut left = bytes_max;
    while let Some(frame) = body.frame().await {
        let broken = |_| {
            Error::new(
                ErrorKind::InvalidSyntax,
                "The body broke off before its end; nothing was changed.",
            )
        };
        let Ok(piece) = frame.map_err(broken)?.into_data() else {
            continue;
        };
        left = left
            .checked_sub(piece.len() as u64)
            .ok_or_else(|| too_large(bytes_max))?;
        // Whoever writes is gone where that failed, and says so itself.
        if pieces.send(piece).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Of a body with more bytes than are taken.
pub(crate) fn too_large(bytes_max: u64) -> Error {
    let detail = format!(
        "The body is larger than the {bytes_max} bytes that are accepted; nothing was changed."
    );
    Error::new(ErrorKind::PayloadTooLarge, detail)
}

fn write(path: &Path, mut received: Receiver<Bytes>) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create_new(true);
    // Names and addresses of people are in it.
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    std::fs::remove_file(path)?;
    while let Some(piece) = received.blocking_recv() {
        file.write_all(&piece)?;
    }
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use futures_util::stream::iter;

    use super::*;

    fn pieces(all: Vec<Result<&'static str, io::Error>>) -> Body {
        Body::from_stream(iter(all))
    }

    #[tokio::test]
    async fn a_body_is_kept_without_a_name() {
        let folder = tempfile::tempdir().unwrap();
        let kept =
            async |body: Body, bytes_max: u64| spool(body, folder.path(), "1", bytes_max).await;
        let mut text = String::new();
        let mut file = kept(pieces(vec![Ok("ab"), Ok("cde")]), 5)
            .await
            .ok()
            .unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abcde");
        for (body, said) in [
            (
                pieces(vec![Ok("ab"), Ok("cde"), Ok("f")]),
                ErrorKind::PayloadTooLarge,
            ),
            (
                pieces(vec![Ok("ab"), Err(io::Error::other("gone"))]),
                ErrorKind::InvalidSyntax,
            ),
        ] {
            let Err(Failure::Refused(error)) = kept(body, 5).await else {
                panic!("{said:?}")
            };
            assert_eq!(error.kind(), said);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let nowhere = spool(pieces(vec![Ok("ab")]), &folder.path().join("none"), "1", 5).await;
        assert!(matches!(nowhere, Err(Failure::Fault(_))));
    }
}
