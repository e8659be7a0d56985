//! The key file, and what is made with it: keyed hashes of tokens, sealed secrets of applications. Stores nothing but the key.

use std::fs;
use std::io::{ErrorKind, Write};
use std::path::Path;

use access::credential::{TokenHash, TokenHasher};
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::search::cursor::CursorSealer;
use directory::store::Fault;
use directory::tenant::TenantId;
use zeroize::Zeroizing;

use crate::private_files::{make_private, private_options, refused};

/// Bytes of the key in the file.
const KEY_BYTES: usize = 32;

/// What is sealed in a database, each with its context; of all tenants, for either engine.
pub(crate) const SEALED: &str = "SELECT 'application/' || tenant || '/' || name, token FROM applications \
     UNION ALL SELECT 'receiver/' || tenant || '/' || name, secrets FROM receivers \
     UNION ALL SELECT 'signing-key/' || tenant || '/' || key_id, private_key FROM signing_keys";

const LOST_WITHOUT: &str = "without the key that the database was made with no token is known, and nothing that is sealed can be opened";
const BRING_BACK: &str = "Put the key file back from a backup of the data folder; where several nodes share a database, copy it from the data folder of another node";

/// The keys of an installation, derived from its key file. The database without the file lets no one use tokens or read secrets.
pub struct MasterKey {
    /// Derived from the key, and kept in every database that the key is used with: it tells whether a key is the right one, and nothing else.
    check: [u8; KEY_BYTES],
    tokens: hmac::Key,
    secrets: LessSafeKey,
    cursors: LessSafeKey,
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// A length for HKDF.
struct KeyBytes;

impl KeyType for KeyBytes {
    fn len(&self) -> usize {
        KEY_BYTES
    }
}

impl MasterKey {
    /// The key of a database. Makes one only where no database needs it yet: another key than the first one opens nothing that is sealed in the database.
    pub fn of_database(path: &Path, is_in_use: bool) -> Result<Self, Fault> {
        if is_in_use && !path.exists() {
            return Err(Fault::new(format!(
                "the key file {} is missing, and the database needs it: {LOST_WITHOUT}; nothing was changed. {BRING_BACK}",
                path.display()
            )));
        }
        Self::load_or_create(path)
    }

    /// Reads the key file, or makes one that only its owner may read. Refuses a file of another length.
    pub fn load_or_create(path: &Path) -> Result<Self, Fault> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        match fs::read(path).map(Zeroizing::new) {
            Ok(stored) if stored.len() == KEY_BYTES => {
                make_private(path);
                key.copy_from_slice(&stored);
            }
            Ok(stored) => {
                let found = stored.len();
                return Err(Fault::new(format!(
                    "the key file {} has {found} bytes where {KEY_BYTES} are wanted; put the file back from a backup",
                    path.display()
                )));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                rand::fill(key.as_mut())
                    .map_err(|_| Fault::new("the operating system gave no random bytes"))?;
                create_whole(path, key.as_ref()).map_err(|error| refused(path, error))?;
            }
            Err(error) => {
                return Err(Fault::from_source(
                    format!("the key file {} could not be read", path.display()),
                    error,
                ));
            }
        }
        Self::derive(key.as_ref())
    }

    fn derive(key: &[u8]) -> Result<Self, Fault> {
        let unspecified = |_| Fault::new("the key could not be used");
        let extracted = Salt::new(HKDF_SHA256, b"rollcall").extract(key);
        let expand =
            |purpose: &[u8]| -> Result<Zeroizing<[u8; KEY_BYTES]>, aws_lc_rs::error::Unspecified> {
                let mut derived = Zeroizing::new([0; KEY_BYTES]);
                extracted
                    .expand(&[purpose], KeyBytes)?
                    .fill(derived.as_mut())?;
                Ok(derived)
            };
        let tokens = expand(b"tokens").map_err(unspecified)?;
        let secrets = expand(b"secrets").map_err(unspecified)?;
        let cursors = expand(b"cursors").map_err(unspecified)?;
        Ok(Self {
            check: *expand(b"check").map_err(unspecified)?,
            tokens: hmac::Key::new(hmac::HMAC_SHA256, tokens.as_ref()),
            secrets: LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM_SIV, secrets.as_ref()).map_err(unspecified)?,
            ),
            cursors: LessSafeKey::new(
                UnboundKey::new(&AES_256_GCM_SIV, cursors.as_ref()).map_err(unspecified)?,
            ),
        })
    }

    /// Whether this is the key of a database, by what stands in it: the check value, or, in a database of an earlier program that has none, what is sealed
    /// there (with its contexts). `Some` is the check value that the database is to have from now on.
    pub(crate) fn judge(
        &self,
        check: Option<&[u8]>,
        sealed: &[(String, Vec<u8>)],
    ) -> Result<Option<&[u8]>, Fault> {
        let is_right = match check {
            Some(check) => check == self.check,
            None => {
                sealed.is_empty()
                    || sealed
                        .iter()
                        .any(|(context, stored)| self.open(context, stored).is_ok())
            }
        };
        if !is_right {
            return Err(Fault::new(format!(
                "the key file is not the one that the database was made with: {LOST_WITHOUT}. {BRING_BACK}"
            )));
        }
        Ok(check.is_none().then_some(&self.check))
    }

    /// Whether a database with this check value is one of this key.
    pub(crate) fn has_check(&self, check: &[u8]) -> bool {
        check == self.check
    }

    /// Seals a secret (AES-256-GCM-SIV): the nonce, then the sealed bytes. `context` says where it belongs; it cannot be opened elsewhere.
    pub(crate) fn seal(&self, context: &str, secret: &str) -> Result<Vec<u8>, Fault> {
        let unspecified = |_| Fault::new("a secret could not be sealed");
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(unspecified)?;
        let mut sealed = secret.as_bytes().to_vec();
        self.secrets
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context.as_bytes()),
                &mut sealed,
            )
            .map_err(unspecified)?;
        let mut stored = nonce.to_vec();
        stored.append(&mut sealed);
        Ok(stored)
    }

    /// Opens what `seal` made for the same context.
    pub(crate) fn open(&self, context: &str, stored: &[u8]) -> Result<String, Fault> {
        let refuse = || {
            Fault::new(
                "a sealed secret could not be opened: the key file is not the one it was sealed with",
            )
        };
        let (nonce, sealed) = stored.split_first_chunk::<NONCE_LEN>().ok_or_else(refuse)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let opened = self
            .secrets
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(context.as_bytes()),
                &mut sealed,
            )
            .map_err(|_| refuse())?;
        String::from_utf8(opened.to_vec()).map_err(|_| refuse())
    }
}

/// Where the token of an application belongs, as `seal` and `open` want it.
pub(crate) fn application_context(tenant: TenantId, name: &str) -> String {
    format!("application/{}/{name}", tenant.0)
}

impl TokenHasher for MasterKey {
    fn hash(&self, token: &str) -> TokenHash {
        let tag = hmac::sign(&self.tokens, token.as_bytes());
        let mut hash = [0; 32];
        hash.iter_mut()
            .zip(tag.as_ref())
            .for_each(|(to, from)| *to = *from);
        TokenHash(hash)
    }
}

impl CursorSealer for MasterKey {
    fn seal_cursor(&self, context: &[u8], position: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = position.to_vec();
        self.cursors
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(context),
                &mut sealed,
            )
            .ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    fn open_cursor(&self, context: &[u8], cursor: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let opened = self
            .cursors
            .open_in_place(
                Nonce::assume_unique_for_key(*nonce),
                Aad::from(context),
                &mut sealed,
            )
            .ok()?;
        Some(opened.to_vec())
    }
}

/// Writes a new file that only its owner may read, whole and durable, or none. Refuses one that is there.
fn create_whole(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    // Two steps, so that a crash between them leaves no key file that is too short.
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = private_options()
        .write(true)
        .create_new(true)
        .open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::hard_link(&unfinished, path)?;
    fs::remove_file(&unfinished)?;
    path.parent()
        .map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(folder: &Path) -> MasterKey {
        MasterKey::load_or_create(&folder.join("key")).unwrap()
    }

    #[test]
    fn secrets_come_back_only_where_they_belong() {
        let folder = tempfile::tempdir().unwrap();
        let sealed = key(folder.path()).seal("1/2", "s3cret").unwrap();
        assert!(!sealed.windows(6).any(|window| window == b"s3cret"));
        assert_eq!(key(folder.path()).open("1/2", &sealed).unwrap(), "s3cret");
        assert!(key(folder.path()).open("1/3", &sealed).is_err());
        let other = tempfile::tempdir().unwrap();
        assert!(key(other.path()).open("1/2", &sealed).is_err());
        assert!(key(folder.path()).open("1/2", &[]).is_err());
    }

    #[test]
    fn cursors_open_only_here_and_under_their_context() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let sealed = key(one.path()).seal_cursor(b"a", b"position").unwrap();
        assert!(
            sealed
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)),
            "{sealed}"
        );
        assert_eq!(
            key(one.path()).open_cursor(b"a", &sealed).unwrap(),
            b"position"
        );
        assert_eq!(key(one.path()).open_cursor(b"b", &sealed), None);
        assert_eq!(key(other.path()).open_cursor(b"a", &sealed), None);
        let mut changed = sealed.clone().into_bytes();
        changed[20] = if changed[20] == b'A' { b'B' } else { b'A' };
        for text in [
            String::from_utf8(changed).unwrap(),
            sealed.chars().skip(2).collect(),
            String::new(),
            "?".into(),
        ] {
            assert_eq!(key(one.path()).open_cursor(b"a", &text), None, "{text}");
        }
    }

    #[test]
    fn a_database_says_which_key_is_its_own() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (one, other) = (key(one.path()), key(other.path()));
        let check = one.judge(None, &[]).unwrap().unwrap().to_vec();
        assert_eq!(one.judge(Some(&check), &[]).unwrap(), None);
        assert!(
            other
                .judge(Some(&check), &[])
                .unwrap_err()
                .to_string()
                .contains("not the one")
        );
        // A database of an earlier program has no check value; one secret that the key opens is enough.
        let sealed = |key: &MasterKey| ("1/2".to_owned(), key.seal("1/2", "s3cret").unwrap());
        assert!(
            one.judge(None, &[sealed(&other), sealed(&one)])
                .unwrap()
                .is_some()
        );
        assert!(one.judge(None, &[sealed(&other)]).is_err());
    }

    #[test]
    fn no_key_is_made_for_a_database_that_has_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        assert!(
            MasterKey::of_database(&path, true)
                .unwrap_err()
                .to_string()
                .contains("is missing")
        );
        assert!(!path.exists());
        MasterKey::of_database(&path, false).unwrap();
        MasterKey::of_database(&path, true).unwrap();
    }

    #[test]
    fn hashes_depend_on_the_key() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert_eq!(key(one.path()).hash("t"), key(one.path()).hash("t"));
        assert_ne!(key(one.path()).hash("t"), key(one.path()).hash("u"));
        assert_ne!(key(one.path()).hash("t"), key(other.path()).hash("t"));
    }

    #[cfg(unix)]
    #[test]
    fn nobody_else_may_read_the_key() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        key(folder.path());
        assert_eq!(
            fs::metadata(folder.path().join("key"))
                .unwrap()
                .permissions()
                .mode()
                & 0o777,
            0o600
        );
        fs::write(folder.path().join("short"), b"short").unwrap();
        assert!(MasterKey::load_or_create(&folder.path().join("short")).is_err());
    }
}
