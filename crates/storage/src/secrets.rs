//! The key file, and what is made with it: keyed hashes of tokens, sealed secrets of applications. Stores nothing but the key.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use directory::credential::{TokenHash, TokenHasher};
use directory::search::cursor::CursorSealer;
use directory::store::Fault;
use directory::tenant::TenantId;
use zeroize::Zeroizing;

/// Bytes of the key in the file.
const KEY_BYTES: usize = 32;

/// The keys of an installation, derived from its key file. Whoever has the database but not the file can neither use tokens nor read secrets.
pub struct MasterKey {
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
    /// Reads the key file, or makes one that only its owner may read. Refuses a file of another length.
    pub fn load_or_create(path: &Path) -> Result<Self, Fault> {
        let fault = |what: &str, error: std::io::Error| Fault::from_source(format!("the key file {} {what}", path.display()), error);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        match fs::read(path).map(Zeroizing::new) {
            Ok(stored) if stored.len() == KEY_BYTES => key.copy_from_slice(&stored),
            Ok(stored) => {
                let found = stored.len();
                return Err(Fault::new(format!("the key file {} has {found} bytes where {KEY_BYTES} are wanted", path.display())));
            }
            Err(error) if error.kind() == ErrorKind::NotFound => {
                rand::fill(key.as_mut()).map_err(|_| Fault::new("the operating system gave no random bytes"))?;
                create_private(path, key.as_ref()).map_err(|error| fault("could not be written", error))?;
            }
            Err(error) => return Err(fault("could not be read", error)),
        }
        Self::derive(key.as_ref())
    }

    fn derive(key: &[u8]) -> Result<Self, Fault> {
        let unspecified = |_| Fault::new("the key could not be used");
        let extracted = Salt::new(HKDF_SHA256, b"rollcall").extract(key);
        let expand = |purpose: &[u8]| -> Result<Zeroizing<[u8; KEY_BYTES]>, aws_lc_rs::error::Unspecified> {
            let mut derived = Zeroizing::new([0; KEY_BYTES]);
            extracted.expand(&[purpose], KeyBytes)?.fill(derived.as_mut())?;
            Ok(derived)
        };
        let tokens = expand(b"tokens").map_err(unspecified)?;
        let secrets = expand(b"secrets").map_err(unspecified)?;
        let cursors = expand(b"cursors").map_err(unspecified)?;
        Ok(Self {
            tokens: hmac::Key::new(hmac::HMAC_SHA256, tokens.as_ref()),
            secrets: LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, secrets.as_ref()).map_err(unspecified)?),
            cursors: LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, cursors.as_ref()).map_err(unspecified)?),
        })
    }

    /// Seals a secret (AES-256-GCM-SIV): the nonce, then the sealed bytes. `context` says where it belongs; it cannot be opened elsewhere.
    pub(crate) fn seal(&self, context: &str, secret: &str) -> Result<Vec<u8>, Fault> {
        let unspecified = |_| Fault::new("a secret could not be sealed");
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).map_err(unspecified)?;
        let mut sealed = secret.as_bytes().to_vec();
        self.secrets
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context.as_bytes()), &mut sealed)
            .map_err(unspecified)?;
        let mut stored = nonce.to_vec();
        stored.append(&mut sealed);
        Ok(stored)
    }

    /// Opens what `seal` made for the same context.
    pub(crate) fn open(&self, context: &str, stored: &[u8]) -> Result<String, Fault> {
        let refuse = || Fault::new("a sealed secret could not be opened: the key file is not the one it was sealed with");
        let (nonce, sealed) = stored.split_first_chunk::<NONCE_LEN>().ok_or_else(refuse)?;
        let mut sealed = Zeroizing::new(sealed.to_vec());
        let opened = self
            .secrets
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context.as_bytes()), &mut sealed)
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
        hash.iter_mut().zip(tag.as_ref()).for_each(|(to, from)| *to = *from);
        TokenHash(hash)
    }
}

impl CursorSealer for MasterKey {
    fn seal_cursor(&self, context: &[u8], position: &[u8]) -> Option<String> {
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = position.to_vec();
        self.cursors.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(context), &mut sealed).ok()?;
        Some(URL_SAFE_NO_PAD.encode([nonce.as_slice(), &sealed].concat()))
    }

    fn open_cursor(&self, context: &[u8], cursor: &str) -> Option<Vec<u8>> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE_LEN>()?;
        let mut sealed = sealed.to_vec();
        let opened = self.cursors.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(context), &mut sealed).ok()?;
        Some(opened.to_vec())
    }
}

/// Writes a new file that only its owner may read, whole and durable, or none. Refuses one that is there.
fn create_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    // Two steps, so that a crash between them leaves no key file that is too short.
    let unfinished = path.with_extension("new");
    let _ = fs::remove_file(&unfinished);
    let mut file = options.open(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::hard_link(&unfinished, path)?;
    fs::remove_file(&unfinished)?;
    path.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
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
        assert!(sealed.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)), "{sealed}");
        assert_eq!(key(one.path()).open_cursor(b"a", &sealed).unwrap(), b"position");
        assert_eq!(key(one.path()).open_cursor(b"b", &sealed), None);
        assert_eq!(key(other.path()).open_cursor(b"a", &sealed), None);
        let mut changed = sealed.clone().into_bytes();
        changed[20] = if changed[20] == b'A' { b'B' } else { b'A' };
        for text in [String::from_utf8(changed).unwrap(), sealed.chars().skip(2).collect(), String::new(), "?".into()] {
            assert_eq!(key(one.path()).open_cursor(b"a", &text), None, "{text}");
        }
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
        assert_eq!(fs::metadata(folder.path().join("key")).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(folder.path().join("short"), b"short").unwrap();
        assert!(MasterKey::load_or_create(&folder.path().join("short")).is_err());
    }
}
