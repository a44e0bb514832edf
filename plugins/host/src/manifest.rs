//! What stands beside a component: which one is meant, and what it may use.

use crate::limits::{Limits, PAGE};
use blake3::Hash;
use serde::Deserialize;
use std::fmt;
use std::time::Duration;

/// The version of the WIT package that this host speaks. Later ones add to this list; none is ever taken off it.
pub const WIT: &str = "0.1";

const MEMORY_MAX: usize = 256 << 20;
const DEADLINE_MS_MAX: u64 = 10_000;
const TEXT_MAX: usize = 64;

/// A manifest. As text it is TOML:
///
/// ```toml
/// name = "metered-uplink"     # 1 to 64 of a-z, 0-9 and -
/// version = "1.0.0"           # 1 to 64 of A-Z, a-z, 0-9, ., + and -
/// wit = "0.1"                 # of the package tidelog:policy
/// hash = "..."                # BLAKE3 of the component, 64 hexadecimal digits
///
/// [limits]                    # may be left out, wholly or in part
/// memory_bytes = 4194304      # a multiple of 65536, 256 MiB at most
/// deadline_ms = 50            # 10,000 at most
/// ```
///
/// A key that is not known is an error: it could be a limit that someone relies on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Manifest {
    /// The policy's name, for events and status.
    pub name: String,
    /// The policy's own version.
    pub version: String,
    /// Of the component.
    pub hash: Hash,
    /// What it may use.
    pub limits: Limits,
}

impl Manifest {
    /// A manifest for a component as it is, with the usual limits.
    #[must_use]
    pub fn of(name: &str, component: &[u8]) -> Self {
        Manifest {
            name: name.to_owned(),
            version: "0.0.0".to_owned(),
            hash: blake3::hash(component),
            limits: Limits::default(),
        }
    }

    /// Reads a manifest.
    ///
    /// # Errors
    /// When it is no TOML, lacks a key or has one that is not known, or when a value is out of its range.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let Keys { name, version, wit, hash, limits } = toml::from_str(text)?;
        let letter = |b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-');
        if !is_made_of(&name, letter) {
            return Err(ManifestError::Name { name });
        }
        if !is_made_of(&version, |b| letter(b) || matches!(b, b'A'..=b'Z' | b'.' | b'+')) {
            return Err(ManifestError::Version { version });
        }
        if wit != WIT {
            return Err(ManifestError::Wit { found: wit });
        }
        let hash = Hash::from_hex(&hash).map_err(|_| ManifestError::Hash { found: hash })?;
        Ok(Manifest { name, version, hash, limits: limits.check()? })
    }
}

fn is_made_of(text: &str, letter: impl Fn(u8) -> bool) -> bool {
    (1..=TEXT_MAX).contains(&text.len()) && text.bytes().all(letter)
}

/// The manifest as TOML.
impl fmt::Display for Manifest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // None of them has a letter that TOML would want escaped.
        writeln!(f, "name = \"{}\"", self.name)?;
        writeln!(f, "version = \"{}\"", self.version)?;
        writeln!(f, "wit = \"{WIT}\"")?;
        writeln!(f, "hash = \"{}\"", self.hash.to_hex())?;
        writeln!(f, "\n[limits]")?;
        writeln!(f, "memory_bytes = {}", self.limits.memory_bytes)?;
        writeln!(f, "deadline_ms = {}", self.limits.deadline.as_millis())
    }
}

/// Why a manifest is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// No TOML, a key that is missing, or one that is not known.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// Not a name.
    #[error("{name:?} is no name of a policy: take 1 to 64 of a-z, 0-9 and -")]
    Name {
        /// What stands there.
        name: String,
    },
    /// Not a version.
    #[error("{version:?} is no version: take 1 to 64 of A-Z, a-z, 0-9, ., + and -")]
    Version {
        /// What stands there.
        version: String,
    },
    /// A version of the package that this host does not speak.
    #[error("the policy is for tidelog:policy {found}, and this host speaks {WIT}")]
    Wit {
        /// What stands there.
        found: String,
    },
    /// Not a hash.
    #[error("{found:?} is no BLAKE3 hash: it has 64 hexadecimal digits")]
    Hash {
        /// What stands there.
        found: String,
    },
    /// A limit out of its range.
    #[error("{key} = {found}: {range}")]
    Limit {
        /// Which one.
        key: &'static str,
        /// What stands there.
        found: u64,
        /// What may stand there.
        range: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    name: String,
    version: String,
    wit: String,
    hash: String,
    #[serde(default)]
    limits: LimitKeys,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct LimitKeys {
    memory_bytes: Option<u64>,
    deadline_ms: Option<u64>,
}

impl LimitKeys {
    fn check(self) -> Result<Limits, ManifestError> {
        let usual = Limits::default();
        let memory = self.memory_bytes.unwrap_or(usual.memory_bytes as u64);
        let pages = memory.is_multiple_of(PAGE as u64);
        let memory_bytes = match usize::try_from(memory) {
            Ok(bytes) if pages && (PAGE..=MEMORY_MAX).contains(&bytes) => bytes,
            _ => {
                let range = "a multiple of 65536, up to 268435456";
                return Err(ManifestError::Limit { key: "memory_bytes", found: memory, range });
            }
        };
        let deadline = self.deadline_ms.unwrap_or(usual.deadline.as_millis() as u64);
        if !(1..=DEADLINE_MS_MAX).contains(&deadline) {
            let range = "1 to 10000";
            return Err(ManifestError::Limit { key: "deadline_ms", found: deadline, range });
        }
        Ok(Limits { memory_bytes, deadline: Duration::from_millis(deadline) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        Manifest::of("metered-uplink", b"component")
    }

    #[test]
    fn a_manifest_is_read_as_it_is_written() {
        assert_eq!(Manifest::parse(&manifest().to_string()).unwrap(), manifest());
        let without_limits = manifest().to_string();
        let without_limits = without_limits.split("[limits]").next().unwrap();
        assert_eq!(Manifest::parse(without_limits).unwrap(), manifest());
    }

    #[test]
    fn what_is_not_known_missing_or_out_of_range_is_named() {
        let cases = [
            ("version = ", "grants = [\"network\"]\nversion = ", "grants"),
            ("[limits]", "[limits]\nfuel = 1", "fuel"),
            ("version = \"0.0.0\"", "", "version"),
            ("metered-uplink", "Metered Uplink", "Metered Uplink"),
            ("0.0.0", "0 0", "\"0 0\" is no version"),
            ("wit = \"0.1\"", "wit = \"0.2\"", "speaks 0.1"),
            ("hash = \"", "hash = \"0", "64 hexadecimal digits"),
            ("4194304", "4194305", "memory_bytes = 4194305"),
            ("4194304", "0", "memory_bytes = 0"),
            ("4194304", "536870912", "memory_bytes = 536870912"),
            ("deadline_ms = 50", "deadline_ms = 0", "deadline_ms = 0"),
            ("deadline_ms = 50", "deadline_ms = 60000", "deadline_ms = 60000"),
        ];
        for (old, new, named) in cases {
            let text = manifest().to_string();
            assert!(text.contains(old), "{old}");
            let error = Manifest::parse(&text.replacen(old, new, 1)).unwrap_err().to_string();
            assert!(error.contains(named), "{new}: {error}");
        }
    }
}
