//! A policy by its name or its file, and rounds that were recorded.

use crate::error::CommandError;
#[cfg(feature = "wasm")]
use std::fmt::Write;
use std::path::Path;
use tidelog::model::policy::{Complete, Metered, NewestFirst, RawHours, Recorded, RepairPolicy};

/// A policy, and what it may use, in words.
pub(super) type Loaded = (Box<dyn RepairPolicy>, String);

pub(super) fn load(name: &str) -> Result<Loaded, CommandError> {
    let built_in = |policy: Box<dyn RepairPolicy>| Ok((policy, "built in\n".to_owned()));
    match name {
        "complete" => built_in(Box::new(Complete)),
        "newest-first" => built_in(Box::new(NewestFirst)),
        // By night, as an example.
        "metered" => {
            let raw = RawHours { from: 22 * 60, to: 6 * 60 };
            let policy = Box::new(Metered { raw });
            Ok((policy, "built in; rows cross from 22:00 to 6:00 UTC\n".to_owned()))
        }
        // Compiled and tried anew each time: that is what it is checked for.
        path if path.ends_with(".wasm") => of_file(Path::new(path), None),
        _ => Err(CommandError::Usage(format!(
            "{name} is no policy: name complete, newest-first, metered, or a file that ends with .wasm"
        ))),
    }
}

/// A component, for a node: its manifest has to be there. What it is compiled to is kept in the folder `code`, so that a
/// node that is started again does not compile.
#[cfg(feature = "replication")]
pub(crate) fn component(path: &Path, code: &Path) -> Result<Box<dyn RepairPolicy>, CommandError> {
    let manifest = path.with_extension("toml");
    if cfg!(feature = "wasm") && path.exists() && !manifest.exists() {
        let (path, manifest) = (path.display(), manifest.display());
        return Err(CommandError::Policy(format!(
            "{path} has no manifest {manifest}: `tidelog policy check {path}` prints one"
        )));
    }
    Ok(of_file(path, Some(code))?.0)
}

#[cfg(feature = "wasm")]
fn of_file(path: &Path, code: Option<&Path>) -> Result<Loaded, CommandError> {
    use tidelog_wasm::{LoadError, Manifest};
    let refused = |error: LoadError| CommandError::Policy(error.to_string());
    let loader = loader(code);
    let manifest = path.with_extension("toml");
    let (policy, mut text) = if manifest.exists() {
        (loader.load_file(path).map_err(refused)?, String::new())
    } else {
        let wasm = std::fs::read(path)
            .map_err(|source| CommandError::File { path: path.to_owned(), source })?;
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or("policy");
        let made = Manifest::of(&stem.to_lowercase().replace('_', "-"), &wasm);
        let text = format!("# it has no manifest: write this to {}\n{made}\n", manifest.display());
        (loader.load(&wasm, made).map_err(refused)?, text)
    };
    let limits = policy.manifest().limits;
    let (bytes, millis) = (limits.memory_bytes, limits.deadline.as_millis());
    let _ = writeln!(text, "a component that may use {bytes} bytes and {millis} ms for a plan");
    Ok((Box::new(policy), text))
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
