//! Proof, both ways: that an application has acknowledged a write, and that an account is not there. Each is a type that only the right evidence makes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::account::{Account, AccountId};
use crate::matching::Lookup;

/// An application has done what it was asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Acknowledged(Option<Account>);

impl Acknowledged {
    /// It says so without showing anything. Only for answers that mean this and nothing else: 204 and 202 of HTTP, an empty success of a deletion, the
    /// result code of LDAP.
    pub fn silently() -> Self {
        Self(None)
    }

    /// It shows the account that it was asked about; `None` where it shows another one.
    pub fn showing(asked: &AccountId, account: Account) -> Option<Self> {
        account.answering(asked).map(|account| Self(Some(account)))
    }

    /// What it shows.
    pub fn shown(&self) -> Option<&Account> {
        self.0.as_ref()
    }
}

/// Proof that an application has no such account that could be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Absent(());

impl Absent {
    /// Proof by accounts that all have the value and all belong to other resources.
    pub fn by_owners(others: &[(Account, String)], resource_id: &str) -> Option<Self> {
        (!others.is_empty() && others.iter().all(|(_, owner)| owner != resource_id))
            .then_some(Self(()))
    }
}

/// What an application lists when it is asked for accounts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// The accounts, each once.
    pub accounts: Vec<Account>,
    /// Resources that are listed without a usable id.
    pub without_id: Vec<Map<String, Value>>,
    /// How many it says there are.
    pub counted: Option<u64>,
    /// Whether every account was asked for and the list was read until it showed nothing new; else the application was to look for some.
    pub whole: bool,
}

/// What a lookup found.
#[derive(Clone, Debug, PartialEq)]
pub enum Found {
    /// Proof that there is none.
    Nothing(Absent),
    /// These, by id.
    Accounts(BTreeMap<AccountId, Account>),
    /// None among those that are listed, but the list is not the answer to the question: the application has not looked, or shows a part only.
    Partial,
    /// There is one, and it has no id by which it could be spoken of.
    Unnamed,
}

impl Listing {
    /// Reads the answer to a lookup. A list that shows accounts without the value was not filtered: some applications ignore filters that they do not know,
    /// and what they count may be one page.
    pub fn find(&self, lookup: &Lookup) -> Found {
        let accounts = self
            .accounts
            .iter()
            .filter(|account| lookup.is_of(&account.attributes));
        let accounts: BTreeMap<AccountId, Account> = accounts
            .map(|account| (account.id.clone(), account.clone()))
            .collect();
        if !accounts.is_empty() {
            return Found::Accounts(accounts);
        }
        if self
            .without_id
            .iter()
            .any(|resource| lookup.is_of(resource))
        {
            return Found::Unnamed;
        }
        let listed = self.accounts.len() + self.without_id.len();
        let counted = self
            .counted
            .and_then(|counted| usize::try_from(counted).ok());
        let is_complete = counted.is_none_or(|counted| counted <= listed);
        if is_complete && (self.whole || listed == 0) {
            Found::Nothing(Absent(()))
        } else {
            Found::Partial
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_list_proves_absence() {
        let lookup = Lookup {
            attribute: "userName".into(),
            value: "ada".into(),
            case_exact: false,
        };
        let check = |whole, counted: Option<u64>, resources: Value, expected: &str| {
            let mut listing = Listing {
                counted,
                whole,
                ..Listing::default()
            };
            for resource in resources.as_array().unwrap() {
                let resource = resource.as_object().cloned().unwrap();
                match Account::of_json(resource.clone()) {
                    Some(account) => listing.accounts.push(account),
                    None => listing.without_id.push(resource),
                }
            }
            let found = match listing.find(&lookup) {
                Found::Nothing(_) => "nothing".to_owned(),
                Found::Partial => "partial".to_owned(),
                Found::Unnamed => "unnamed".to_owned(),
                Found::Accounts(accounts) => accounts
                    .keys()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
                    .join(","),
            };
            assert_eq!(found, expected, "{listing:?}");
        };
        check(false, Some(0), json!([]), "nothing");
        check(false, None, json!([]), "nothing");
        check(false, Some(5), json!([]), "partial");
        check(false, Some(1), json!([{"id": "1", "username": "ADA"}]), "1");
        check(
            false,
            None,
            json!([{"id": 1, "userName": "ada"}, {"id": "2", "userName": "Ada"}]),
            "1,2",
        );
        // It did not filter, and what it counts may be one page.
        check(
            false,
            Some(1),
            json!([{"id": "1", "userName": "bob"}]),
            "partial",
        );
        check(
            false,
            None,
            json!([{"id": "1", "userName": "bob"}]),
            "partial",
        );
        check(
            true,
            Some(1),
            json!([{"id": "1", "userName": "bob"}]),
            "nothing",
        );
        check(
            true,
            None,
            json!([{"id": "1", "userName": "bob"}]),
            "nothing",
        );
        check(
            true,
            Some(2),
            json!([{"id": "1", "userName": "bob"}]),
            "partial",
        );
        check(
            true,
            Some(1),
            json!([{"id": null, "userName": "ada"}]),
            "unnamed",
        );
    }

    #[test]
    fn only_the_account_itself_acknowledges() {
        let asked = AccountId::new("7").unwrap();
        let shown = |id: Value| {
            Account::of_json(json!({ "id": id }).as_object().cloned().unwrap()).unwrap()
        };
        assert!(Acknowledged::showing(&asked, shown(json!(7))).is_some());
        assert!(Acknowledged::showing(&asked, shown(json!("8"))).is_none());
    }
}
