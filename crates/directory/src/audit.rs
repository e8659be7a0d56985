//! The audit log: what administrators did, one entry for each act. The entries of a tenant form a chain, in which each carries a hash over its own text and
//! the hash of the entry before it; acts on the installation form a chain of their own. Decides nothing about permissions and stores nothing.

use std::fmt::Write as _;

use aws_lc_rs::digest::{Context, SHA256};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::access::Role;
use crate::tenant::TenantId;

/// Who acts, with which role, and from where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Actor {
    /// The id of the credential, or `local user NAME`.
    pub name: String,
    /// The role that the credential gives; `None`: the program itself acts.
    pub role: Option<Role>,
    /// The address of the caller, `local socket`, or `command line`.
    pub from: String,
}

impl Actor {
    /// The program itself, which prepares an installation or applies a setting of its owner.
    pub fn program() -> Self {
        Self {
            name: "rollcall".into(),
            role: None,
            from: "this program".into(),
        }
    }
}

/// What one act was. Its JSON text, in this order of fields, is what is stored and hashed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who.
    pub actor: Actor,
    /// What was done, such as `token.create`.
    pub act: String,
    /// To what: the id or the name of the thing.
    pub on: String,
    /// How the thing was before, without secrets; absent where it was not there.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub before: Option<Value>,
    /// How the thing is now, without secrets; absent where it is gone.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub after: Option<Value>,
}

impl Entry {
    /// An act of the program itself.
    pub fn of_program(act: &str, on: impl Into<String>, at: Timestamp) -> Self {
        Self {
            at,
            actor: Actor::program(),
            act: act.to_owned(),
            on: on.into(),
            before: None,
            after: None,
        }
    }
}

/// Which chain an entry belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chain {
    /// Acts on one tenant. It is erased with the tenant.
    Tenant(TenantId),
    /// Acts on the installation: a tenant made, restored or erased.
    Installation,
}

impl Chain {
    /// The number under which it is stored; no tenant has the number 0.
    pub fn key(self) -> i64 {
        match self {
            Self::Tenant(tenant) => tenant.0,
            Self::Installation => 0,
        }
    }

    /// The chain before its first entry.
    pub fn beginning(self) -> Head {
        Head {
            number: 0,
            hash: sealed(&[0; 32], &format!("audit chain {}", self.key())),
        }
    }
}

/// A SHA-256 hash.
pub type Hash = [u8; 32];

/// The newest entry of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its number: the first entry has the number 1, and none is left out.
    pub number: u64,
    /// Its hash.
    pub hash: Hash,
}

impl Head {
    /// The head after one more entry with this text.
    #[must_use]
    pub fn after(&self, text: &str) -> Self {
        Self {
            number: self.number.saturating_add(1),
            hash: sealed(&self.hash, text),
        }
    }
}

/// An entry as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// Its number in the chain.
    pub number: u64,
    /// Its text.
    pub text: String,
    /// Its hash.
    pub hash: Vec<u8>,
}

/// The first place at which a chain does not fit together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The number of the entry.
    pub number: u64,
    /// What does not fit.
    pub why: &'static str,
}

/// Goes through a chain from its beginning and recomputes each hash.
#[derive(Debug)]
pub struct Verification {
    head: Head,
}

impl Verification {
    /// At the beginning of a chain.
    pub fn of(chain: Chain) -> Self {
        Self {
            head: chain.beginning(),
        }
    }

    /// How many entries were looked at.
    pub fn entries(&self) -> u64 {
        self.head.number
    }

    /// Looks at the next entry.
    pub fn next(&mut self, recorded: &Recorded) -> Result<(), Broken> {
        let expected = self.head.after(&recorded.text);
        let broken = |why| {
            Err(Broken {
                number: expected.number,
                why,
            })
        };
        if recorded.number != expected.number {
            return broken("the entry is missing");
        }
        if recorded.hash != expected.hash {
            return broken("the entry, or its hash, was changed after it was written");
        }
        self.head = expected;
        Ok(())
    }

    /// Compares the last entry with what the chain says of its end.
    pub fn end(&self, head: &Head) -> Result<(), Broken> {
        if self.head == *head {
            return Ok(());
        }
        Err(Broken {
            number: self.head.number.saturating_add(1),
            why: "the entries end here, and the chain says that there are more or others",
        })
    }
}

/// A hash as people compare it: hexadecimal digits.
pub fn hash_text(hash: &[u8]) -> String {
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn sealed(previous: &Hash, text: &str) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(previous);
    context.update(text.as_bytes());
    let mut hash = [0; 32];
    hash.iter_mut()
        .zip(context.finish().as_ref())
        .for_each(|(to, from)| *to = *from);
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain() -> Vec<Recorded> {
        let mut head = Chain::Tenant(TenantId(7)).beginning();
        let texts = ["a", "b", "c"];
        let recorded = texts.map(|text| {
            head = head.after(text);
            Recorded {
                number: head.number,
                text: text.to_owned(),
                hash: head.hash.to_vec(),
            }
        });
        recorded.into()
    }

    fn verify(chain: Chain, entries: &[Recorded], head: &Head) -> Result<(), u64> {
        let mut verification = Verification::of(chain);
        let looked = entries.iter().try_for_each(|one| verification.next(one));
        looked
            .and_then(|()| verification.end(head))
            .map_err(|broken| broken.number)
    }

    #[test]
    fn a_chain_names_the_first_entry_that_does_not_fit() {
        let tenant = Chain::Tenant(TenantId(7));
        let good = chain();
        let head = good
            .iter()
            .fold(tenant.beginning(), |head, one| head.after(&one.text));
        let check = |change: &dyn Fn(&mut Vec<Recorded>), expected: Result<(), u64>| {
            let mut entries = good.clone();
            change(&mut entries);
            assert_eq!(verify(tenant, &entries, &head), expected, "{entries:?}");
        };
        check(&|_| {}, Ok(()));
        check(&|entries| entries[1].text = "B".into(), Err(2));
        check(&|entries| entries[0].hash[3] ^= 1, Err(1));
        check(&|entries| drop(entries.remove(1)), Err(2));
        check(&|entries| entries.swap(1, 2), Err(2));
        check(&|entries| drop(entries.pop()), Err(3));
        check(&|entries| entries.clear(), Err(1));
        assert_eq!(verify(Chain::Installation, &good, &head), Err(1));
    }

    #[test]
    fn the_text_of_an_entry_is_read_as_the_same_entry() {
        let entry = Entry {
            after: Some(serde_json::json!({"name": "okta", "scopes": ["read"]})),
            ..Entry::of_program("token.create", "first", Timestamp::UNIX_EPOCH)
        };
        let text = serde_json::to_string(&entry).unwrap();
        assert!(text.starts_with(r#"{"at":"1970-01-01T00:00:00Z","actor":"#));
        assert_eq!(serde_json::from_str::<Entry>(&text).unwrap(), entry);
    }
}
