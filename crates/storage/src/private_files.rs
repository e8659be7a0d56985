//! Files that only their owner may read and write: how they are opened, and how those that others could read are closed to them. Knows nothing of what is
//! in them.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::Path;

use directory::store::Fault;

/// Options with which a file that is made is its owner's alone.
pub fn private_options() -> OpenOptions {
    let mut options = File::options();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Makes an empty file, where there is none, in a way that a power cut does not take back.
pub(crate) fn create_private(path: &Path) -> io::Result<()> {
    match private_options().write(true).create_new(true).open(path) {
        Ok(_) => path
            .parent()
            .filter(|parent| !parent.as_os_str().is_empty())
            .map_or(Ok(()), |parent| File::open(parent)?.sync_all()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

/// Takes a file or folder that is there from everybody but its owner. Where that cannot be done, because it is somebody else's or because the file system
/// knows no permissions, the log says so: what is done with the file does not depend on it.
pub fn make_private(path: &Path) {
    #[cfg(unix)]
    if let Err(error) = close_to_others(path) {
        tracing::warn!(path = %path.display(), %error, "other users of this machine may read this, and it cannot be changed");
    }
}

#[cfg(unix)]
fn close_to_others(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let found = match fs::metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mode = found.permissions().mode() & 0o7777;
    let own = mode & !0o077;
    if own == mode {
        Ok(())
    } else {
        fs::set_permissions(path, fs::Permissions::from_mode(own))
    }
}

/// How many bytes can still be written where this file or folder is; `None` where that cannot be known.
#[cfg(unix)]
pub(crate) fn free_bytes(path: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(path).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}

/// How many bytes can still be written where this file or folder is; `None` where that cannot be known.
#[cfg(not(unix))]
pub(crate) fn free_bytes(_: &Path) -> Option<u64> {
    None
}

/// Why a file could not be made or written, with what to do about it.
pub(crate) fn refused(path: &Path, error: io::Error) -> Fault {
    let folder = path.parent().unwrap_or(path).display();
    let advice = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: make room and start again; nothing is lost".to_owned()
        }
        io::ErrorKind::PermissionDenied => format!("this user must be able to write in the folder {folder}"),
        io::ErrorKind::ReadOnlyFilesystem => {
            "the disk is mounted read-only: mount it for writing, or name another folder with --data".to_owned()
        }
        _ => format!("look at the folder {folder}"),
    };
    Fault::from_source(
        format!(
            "the file {} could not be written ({advice})",
            path.display()
        ),
        error,
    )
}
