//! Client profiles: what each kind of client is known to send and to expect, as data (`profiles/*.json`), each quirk with the page or issue it is known
//! from. What a quirk does is in `quirk`. The server decides how it meets the expectations.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::quirk::{Quirk, QuirkSet};

/// One kind of client.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Profile {
    /// Its name in settings.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// In one sentence.
    pub description: String,
    /// The quirks that it is known for.
    pub tolerates: Vec<Tolerated>,
    /// The form of answers that it expects.
    pub expects: Expectations,
    /// What it may do beyond the RFC with people who were deleted or disabled, or who do not exist yet.
    pub safety: Safety,
    /// Where to read about it.
    pub sources: Vec<Source>,
    /// What an administrator should know.
    pub notes: Vec<String>,
}

/// A quirk that a profile tolerates.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tolerated {
    /// Which.
    pub quirk: Quirk,
    /// How this client is known to send it.
    pub sends: String,
    /// The page or issue that this is known from.
    pub source: String,
}

/// What a client expects of answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectations {
    /// What answers a PATCH of anything but a group.
    pub patch: PatchAnswer,
    /// What answers a PATCH of a group.
    pub group_patch: PatchAnswer,
}

/// What answers a PATCH that does not ask for attributes (RFC 7644 section 3.5.2 allows both).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PatchAnswer {
    /// 200 and the resource.
    Resource,
    /// 204 and nothing.
    NoContent,
}

/// What a client may do beyond the RFC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Safety {
    /// A deleted resource that is created again with the same `externalId` may get its id back.
    pub revive_deleted: bool,
    /// Whether creating a person who is only disabled may enable that person.
    pub revive_disabled: bool,
    /// References to people who are not there yet wait for them.
    pub pending_references: bool,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// What it is.
    pub title: String,
    /// Where it is.
    pub url: String,
}

/// The name of the profile of a tenant that was not told another.
pub const DEFAULT_PROFILE: &str = "standard";

const TEXTS: [&str; 9] = [
    include_str!("profiles/strict.json"),
    include_str!("profiles/standard.json"),
    include_str!("profiles/entra.json"),
    include_str!("profiles/okta.json"),
    include_str!("profiles/onelogin.json"),
    include_str!("profiles/jumpcloud.json"),
    include_str!("profiles/google.json"),
    include_str!("profiles/ping.json"),
    include_str!("profiles/sailpoint.json"),
];

// A test sees to it that each can be read.
static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    TEXTS
        .iter()
        .filter_map(|text| serde_json::from_str(text).ok())
        .collect()
});

impl Profile {
    /// All of them.
    pub fn all() -> &'static [Self] {
        &PROFILES
    }

    /// The one with this name.
    pub fn by_name(name: &str) -> Option<&'static Self> {
        PROFILES.iter().find(|profile| profile.name == name)
    }

    /// The quirks it tolerates.
    pub fn quirks(&self) -> QuirkSet {
        let quirks: Vec<Quirk> = self
            .tolerates
            .iter()
            .map(|tolerated| tolerated.quirk)
            .collect();
        QuirkSet::of(&quirks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_there_and_says_where_it_comes_from() {
        let names: Vec<&str> = Profile::all()
            .iter()
            .map(|profile| profile.name.as_str())
            .collect();
        assert_eq!(
            names,
            [
                "strict",
                "standard",
                "entra",
                "okta",
                "onelogin",
                "jumpcloud",
                "google",
                "ping",
                "sailpoint"
            ]
        );
        for (profile, text) in Profile::all().iter().zip(TEXTS) {
            assert_eq!(
                serde_json::from_str::<Profile>(text).as_ref().ok(),
                Some(profile)
            );
            assert_eq!(Profile::by_name(&profile.name), Some(profile));
            assert!(
                !profile.title.is_empty() && profile.description.ends_with('.'),
                "{}",
                profile.name
            );
            assert!(
                profile
                    .sources
                    .iter()
                    .all(|source| source.url.starts_with("http") && !source.title.is_empty()),
                "{}",
                profile.name
            );
            assert!(!profile.sources.is_empty(), "{}", profile.name);
            for tolerated in &profile.tolerates {
                let place = format!("{} {}", profile.name, tolerated.quirk.name());
                assert!(
                    tolerated.source.starts_with("http") && tolerated.sends.ends_with('.'),
                    "{place}"
                );
                assert_eq!(
                    profile
                        .tolerates
                        .iter()
                        .filter(|other| other.quirk == tolerated.quirk)
                        .count(),
                    1,
                    "{place}"
                );
            }
        }
        assert_eq!(Profile::by_name("lenient"), None);
    }

    #[test]
    fn strict_tolerates_nothing_and_standard_everything() {
        let strict = Profile::by_name("strict").unwrap();
        assert_eq!(
            (strict.quirks(), strict.safety),
            (QuirkSet::strict(), Safety::default())
        );
        let standard = Profile::by_name(DEFAULT_PROFILE).unwrap();
        assert_eq!(standard.quirks(), QuirkSet::standard());
        for profile in Profile::all() {
            assert!(
                profile
                    .quirks()
                    .iter()
                    .all(|quirk| standard.quirks().has(quirk))
            );
        }
    }

    #[test]
    fn every_source_of_a_quirk_is_an_address() {
        for quirk in Quirk::ALL {
            assert!(quirk.source().starts_with("http"), "{}", quirk.name());
        }
    }
}
