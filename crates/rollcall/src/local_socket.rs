//! The socket in the data folder through which commands reach the `serve` that runs on it. The file can be opened by its owner only, so who can open it is an
//! operator. Answers nothing itself.

use std::path::{Path, PathBuf};

#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// The file in the data folder.
const FILE: &str = "admin.sock";

/// Where the socket of a data folder is.
pub fn path(data: &Path) -> PathBuf {
    data.join(FILE)
}

/// A socket that listens, and its file.
#[cfg(unix)]
pub type Socket = (UnixListener, SocketFile);

/// There are no sockets here.
#[cfg(not(unix))]
pub type Socket = std::convert::Infallible;

/// The file of a socket that is served; removed when the server stops.
#[cfg(unix)]
pub struct SocketFile(PathBuf);

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// Makes the socket; `None` where another node on the same data folder has it already.
#[cfg(unix)]
pub async fn bind(data: &Path) -> std::io::Result<Option<Socket>> {
    let path = path(data);
    if UnixStream::connect(&path).await.is_ok() {
        return Ok(None);
    }
    // A server that was killed has left its file.
    drop(std::fs::remove_file(&path));
    let listener = UnixListener::bind(&path)?;
    let only_owner = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&path, only_owner)?;
    Ok(Some((listener, SocketFile(path))))
}

/// Makes none.
#[cfg(not(unix))]
pub async fn bind(_data: &Path) -> std::io::Result<Option<Socket>> {
    Ok(None)
}
