//! What quirks changed in one request, in words, so that an administrator sees why something was accepted. It repeats no value, apart from booleans and the
//! words of the protocol itself.

use serde::{Deserialize, Serialize};

use super::Quirk;

/// Most different adaptations that are kept of one request; more are only counted.
const ADAPTATIONS_MAX: usize = 32;
/// Longest name or path that is repeated, in characters.
const NAME_CHARACTERS_MAX: usize = 120;

/// What one quirk changed at one place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adaptation {
    /// The quirk.
    pub quirk: Quirk,
    /// Where: a path, or the name of a part of the message.
    pub path: String,
    /// What, in words: accepted `"False"` for `active`.
    pub what: String,
    /// How often at this place.
    pub times: u32,
}

/// What quirks changed in one request, in the order in which they acted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Adaptations {
    kept: Vec<Adaptation>,
}

impl Adaptations {
    /// Notes one; the same quirk at the same place again is only counted.
    pub(crate) fn note(&mut self, quirk: Quirk, path: &str, what: impl FnOnce() -> String) {
        let path = shortened(path);
        if let Some(same) = self
            .kept
            .iter_mut()
            .find(|kept| kept.quirk == quirk && kept.path == path)
        {
            same.times = same.times.saturating_add(1);
        } else if self.kept.len() < ADAPTATIONS_MAX {
            self.kept.push(Adaptation {
                quirk,
                path: path.to_owned(),
                what: what(),
                times: 1,
            });
        } else if let Some(alike) = self.kept.iter_mut().find(|kept| kept.quirk == quirk) {
            alike.times = alike.times.saturating_add(1);
        }
    }

    /// Those of another part of the same request.
    pub fn extend(&mut self, more: Self) {
        for one in more.kept {
            if let Some(same) = self
                .kept
                .iter_mut()
                .find(|kept| kept.quirk == one.quirk && kept.path == one.path)
            {
                same.times = same.times.saturating_add(one.times);
            } else if self.kept.len() < ADAPTATIONS_MAX {
                self.kept.push(one);
            }
        }
    }

    /// All that are kept.
    pub fn as_slice(&self) -> &[Adaptation] {
        &self.kept
    }

    /// Whether nothing was changed.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The quirks that acted, once each.
    pub fn quirks(&self) -> Vec<Quirk> {
        let mut quirks = Vec::new();
        for adaptation in &self.kept {
            if !quirks.contains(&adaptation.quirk) {
                quirks.push(adaptation.quirk);
            }
        }
        quirks
    }

    /// All that are kept, by value.
    pub fn into_vec(self) -> Vec<Adaptation> {
        self.kept
    }
}

/// The beginning of a name that a client has chosen.
pub(super) fn shortened(name: &str) -> &str {
    match name.char_indices().nth(NAME_CHARACTERS_MAX) {
        Some((end, _)) => name.get(..end).unwrap_or_default(),
        None => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_at_the_same_place_is_counted_and_the_list_is_bounded() {
        let mut adaptations = Adaptations::default();
        for _ in 0..1_000 {
            adaptations.note(Quirk::IgnoreUnknown, "members.display", || {
                "ignored it".into()
            });
        }
        assert_eq!(
            adaptations
                .as_slice()
                .iter()
                .map(|one| one.times)
                .collect::<Vec<_>>(),
            [1_000]
        );
        for number in 0..1_000 {
            adaptations.note(Quirk::IgnoreUnknown, &format!("a{number}"), || {
                "ignored it".into()
            });
        }
        assert_eq!(adaptations.as_slice().len(), ADAPTATIONS_MAX);
        assert_eq!(adaptations.quirks(), [Quirk::IgnoreUnknown]);
        let mut other = Adaptations::default();
        other.note(Quirk::IgnoreUnknown, "members.display", || {
            "ignored it".into()
        });
        other.extend(adaptations);
        assert!(
            other
                .as_slice()
                .first()
                .is_some_and(|one| one.times > 1_000)
        );
        assert_eq!(
            shortened(&"é".repeat(500)).chars().count(),
            NAME_CHARACTERS_MAX
        );
    }
}
