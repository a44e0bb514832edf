//! `[policy]`: what decides about repairs.

use super::super::values;
use serde::Deserialize;
use serde::de::{Deserializer, Error};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tidelog_model::policy::RawHours;

/// `[policy]`: what decides about repairs. Changes of the file take effect when the node starts again.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct PolicySection {
    /// Which one.
    #[serde(rename = "use")]
    pub choice: PolicyChoice,
    /// For `metered`: rows cross metered links in these hours of the UTC day, `"22:00-06:00"`. All day unless given.
    #[serde(default, deserialize_with = "raw_hours")]
    pub raw_hours: RawHours,
    /// For `prefer-peer`: the peer's name.
    #[serde(default)]
    pub prefer: Option<String>,
    /// Over links with peers whose cost is `metered` comparisons may send and receive so many bytes in a UTC day. No bound
    /// unless given.
    #[serde(default)]
    pub bytes_per_day: Option<u64>,
    /// A window that has differed for so long is repaired whatever the policy says. A week unless given.
    #[serde(default = "week", deserialize_with = "values::at_least_a_second")]
    pub max_deferral: Duration,
    /// A plan that has not come after so long is not waited for. A second unless given, ten at most.
    #[serde(default = "second", deserialize_with = "timeout")]
    pub timeout: Duration,
    /// Rounds and plans are added to this file, up to 64 MiB, for `tidelog policy replay`. A relative path starts at the folder
    /// of the configuration.
    #[serde(default)]
    pub record: Option<PathBuf>,
}

/// Which policy decides.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum PolicyChoice {
    /// Everything is repaired at once.
    Complete,
    /// The same, what is newest first.
    NewestFirst,
    /// Over metered links rollups at once, and rows when they may cross.
    Metered,
    /// With one peer as long as it can be reached.
    PreferPeer,
    /// A component in a file that ends with `.wasm`.
    Component(PathBuf),
}

impl<'de> Deserialize<'de> for PolicyChoice {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Ok(match text.as_str() {
            "complete" => PolicyChoice::Complete,
            "newest-first" => PolicyChoice::NewestFirst,
            "metered" => PolicyChoice::Metered,
            "prefer-peer" => PolicyChoice::PreferPeer,
            path if path.ends_with(".wasm") => PolicyChoice::Component(path.into()),
            _ => {
                return Err(D::Error::custom(format!(
                    "{text:?} is no policy: write complete, newest-first, metered, prefer-peer, or the path of a component that ends with .wasm"
                )));
            }
        })
    }
}

impl PolicySection {
    /// The same bounds as another section's, and its hours if this names none.
    pub fn bounds_of(&mut self, other: &PolicySection) {
        self.bytes_per_day = self.bytes_per_day.or(other.bytes_per_day);
        (self.max_deferral, self.timeout) = (other.max_deferral, other.timeout);
        self.record.clone_from(&other.record);
        if self.choice == PolicyChoice::Metered && self.raw_hours == RawHours::default() {
            self.raw_hours = other.raw_hours;
        }
    }

    /// Relative paths start at a folder.
    pub(super) fn place(&mut self, folder: &Path) {
        if let PolicyChoice::Component(path) = &mut self.choice {
            *path = folder.join(&*path);
        }
        if let Some(record) = &mut self.record {
            *record = folder.join(&*record);
        }
    }

    /// What no single value shows.
    ///
    /// # Errors
    /// What does not fit together, and what to do about it.
    pub fn check(&self, is_peer: impl Fn(&str) -> bool) -> Result<(), String> {
        if self.raw_hours != RawHours::default() && self.choice != PolicyChoice::Metered {
            return Err(String::from("`raw_hours` is for the policy `metered` only: remove it"));
        }
        match (&self.choice, &self.prefer) {
            (PolicyChoice::PreferPeer, None) => {
                Err(String::from("the policy `prefer-peer` needs `prefer`: name a peer"))
            }
            (PolicyChoice::PreferPeer, Some(name)) if !is_peer(name) => {
                Err(format!("`prefer` names {name:?}, which is no peer: name one that is listed"))
            }
            (PolicyChoice::PreferPeer, Some(_)) | (_, None) => Ok(()),
            (_, Some(_)) => {
                Err(String::from("`prefer` is for the policy `prefer-peer` only: remove it"))
            }
        }
    }
}

fn week() -> Duration {
    Duration::from_secs(7 * 86_400)
}

fn second() -> Duration {
    Duration::from_secs(1)
}

fn timeout<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let duration: Duration = values::text(from)?;
    let fits = (Duration::from_millis(10)..=Duration::from_secs(10)).contains(&duration);
    if fits { Ok(duration) } else { Err(D::Error::custom("give 10ms to 10s")) }
}

/// `"22:00-06:00"`.
fn raw_hours<'de, D: Deserializer<'de>>(from: D) -> Result<RawHours, D::Error> {
    let text = String::deserialize(from)?;
    let minute = |text: &str| {
        let (hour, minute) = text.split_once(':')?;
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (hour < 24 && minute < 60).then_some(hour * 60 + minute)
    };
    let hours = text.split_once('-').and_then(|(from, to)| {
        Some(RawHours { from: minute(from.trim())?, to: minute(to.trim())? })
    });
    hours.ok_or_else(|| {
        D::Error::custom(format!("{text:?} are no hours of a day: write \"22:00-06:00\", in UTC"))
    })
}
