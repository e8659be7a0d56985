//! The ports through which time and randomness come in.

use jiff::Timestamp;
use uuid::Uuid;

/// What time it is.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// Where ids and secrets come from.
pub trait IdGenerator: Send + Sync {
    /// A new id that sorts after earlier ones (UUID version 7).
    fn id(&self) -> Uuid;
    /// 256 random bits.
    fn secret(&self) -> [u8; 32];
}
