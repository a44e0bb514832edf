//! A policy by its name or its file, and rounds that were recorded.

use crate::error::CommandError;
use std::path::{Path, PathBuf};
use tidelog::model::policy::{Complete, Metered, NewestFirst, RawHours, Recorded, RepairPolicy};

/// A policy by its name.
pub(super) struct Loaded {
    pub(super) policy: Box<dyn RepairPolicy>,
    /// What it may use, in words.
    pub(super) limits: String,
    /// The manifest that was made for a component without one, and where it belongs.
    pub(super) made: Option<(PathBuf, String)>,
    /// Of a component: the first 16 digits of its hash.
    #[cfg_attr(not(feature = "replication"), expect(dead_code, reason = "nodes say it"))]
    hash: Option<u64>,
}

pub(super) fn load(name: &str) -> Result<Loaded, CommandError> {
    let told = |policy: Box<dyn RepairPolicy>, limits: &str| {
        Ok(Loaded { policy, limits: limits.to_owned(), made: None, hash: None })
    };
    let built_in = |policy| told(policy, "built in\n");
    match name {
        "complete" => built_in(Box::new(Complete)),
        "newest-first" => built_in(Box::new(NewestFirst)),
        // By night, as an example.
        "metered" => {
            let raw = RawHours { from: 22 * 60, to: 6 * 60 };
            let policy = Box::new(Metered { raw });
            told(policy, "built in; rows cross from 22:00 to 6:00 UTC\n")
        }
        // Compiled and tried anew each time: that is what it is checked for.
        path if path.ends_with(".wasm") => of_file(Path::new(path), None),
        _ => Err(CommandError::Usage(format!(
            "{name} is no policy: name complete, newest-first, metered, or a file that ends with .wasm"
        ))),
    }
}

/// A component, for a node: its manifest has to be there. What it is compiled to is kept in the folder `code`, so that a
/// node that is started again does not compile. With the policy come the first 16 digits of its hash.
#[cfg(feature = "replication")]
pub(crate) fn component(
    path: &Path,
    code: &Path,
) -> Result<(Box<dyn RepairPolicy>, Option<u64>), CommandError> {
    let manifest = path.with_extension("toml");
    if cfg!(feature = "wasm") && path.exists() && !manifest.exists() {
        let (path, manifest) = (path.display(), manifest.display());
        return Err(CommandError::Policy(format!(
            "{path} has no manifest {manifest}: `tidelog policy check {path}` prints one"
        )));
    }
    let loaded = of_file(path, Some(code))?;
    Ok((loaded.policy, loaded.hash))
}

#[cfg(feature = "wasm")]
fn of_file(path: &Path, code: Option<&Path>) -> Result<Loaded, CommandError> {
    use tidelog_wasm::{LoadError, Manifest};
    let refused = |error: LoadError| CommandError::Policy(error.to_string());
    let loader = loader(code);
    let manifest = path.with_extension("toml");
    let (policy, made) = if manifest.exists() {
        (loader.load_file(path).map_err(refused)?, None)
    } else {
        let wasm = std::fs::read(path)
            .map_err(|source| CommandError::File { path: path.to_owned(), source })?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("policy");
        let made = Manifest::of(&stem.to_lowercase().replace('_', "-"), &wasm);
        let text = made.to_string();
        (loader.load(&wasm, made).map_err(refused)?, Some((manifest, text)))
    };
    let limits = policy.manifest().limits;
    let (bytes, millis) = (limits.memory_bytes, limits.deadline.as_millis());
    let limits = format!("a component that may use {bytes} bytes and {millis} ms for a plan\n");
    let hash = policy.manifest().hash.as_bytes().first_chunk().copied().map(u64::from_be_bytes);
    Ok(Loaded { policy: Box::new(policy), limits, made, hash })
}

/// Where compiled code cannot be kept a node compiles, and says so: a copy of a store that others may read is no reason
/// not to serve it.
#[cfg(feature = "wasm")]
fn loader(code: Option<&Path>) -> tidelog_wasm::Loader {
    use tidelog_wasm::Loader;
    code.map_or_else(Loader::new, |folder| {
        Loader::with_cache(folder).unwrap_or_else(|error| {
            tracing::warn!("{error}: the policy is compiled at each start");
            Loader::new()
        })
    })
}

#[cfg(not(feature = "wasm"))]
fn of_file(path: &Path, _: Option<&Path>) -> Result<Loaded, CommandError> {
    Err(CommandError::NoComponents { path: path.to_owned() })
}

/// The rounds of a file: of each a `u32` length, little-endian, then its bytes.
pub(super) fn rounds(path: &Path) -> Result<Vec<Recorded>, CommandError> {
    let bytes = std::fs::read(path)
        .map_err(|source| CommandError::File { path: path.to_owned(), source })?;
    let mut rounds = Vec::new();
    let mut rest = bytes.as_slice();
    while let Some((len, behind)) = rest.split_first_chunk() {
        let number = rounds.len();
        let damaged = |what: &str| {
            CommandError::Policy(format!("round {number} of {} {what}", path.display()))
        };
        let len = u32::from_le_bytes(*len) as usize;
        // A machine that lost its power may have written a part of the last one.
        let Some(round) = behind.get(..len) else { return Ok(rounds) };
        let round = Recorded::decode(round);
        rounds.push(round.map_err(|error| damaged(&format!("cannot be read: {error}")))?);
        rest = behind.get(len..).unwrap_or_default();
    }
    Ok(rounds)
}
