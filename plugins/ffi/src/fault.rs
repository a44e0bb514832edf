//! An error on its way to the caller: a code, what a program can do about it, and a text that says what to do.

use crate::abi::*;
use std::borrow::Cow;
use std::error::Error;
use std::io::ErrorKind;
use tidelog_model::policy::{PolicyError, PolicyErrorKind};
use tidelog_wasm::{CacheError, LoadError, ManifestError};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub(crate) code: tidelog_status,
    pub(crate) kind: u32,
    pub(crate) message: Cow<'static, str>,
}

impl Fault {
    pub(crate) fn new(
        code: tidelog_status,
        kind: u32,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Fault { code, kind, message: message.into() }
    }

    /// The call asks for something that cannot be.
    pub(crate) fn argument(message: impl Into<Cow<'static, str>>) -> Self {
        Fault::new(TIDELOG_INVALID_ARGUMENT, TIDELOG_KIND_FIX_CALL, message)
    }

    pub(crate) fn null(what: &str) -> Self {
        Fault::argument(format!("{what} is NULL: it has to point somewhere"))
    }

    pub(crate) fn handle(message: impl Into<Cow<'static, str>>) -> Self {
        Fault::new(TIDELOG_INVALID_HANDLE, TIDELOG_KIND_FIX_CALL, message)
    }

    /// Begins no allocation: in a forked child the allocator's locks may be held for ever.
    pub(crate) const fn forked() -> Self {
        let message = "this process was forked from one that has loaded policies, and the thread that ends their calls is not here: fork before the first policy is loaded, or exec";
        Fault { code: TIDELOG_FORKED, kind: TIDELOG_KIND_FIX_CALL, message: Cow::Borrowed(message) }
    }

    pub(crate) fn panicked(function: &str, what: &str) -> Self {
        let message = format!(
            "{function} failed inside libtidelog_wasm ({what}): report it as a bug of tidelog"
        );
        Fault::new(TIDELOG_PANIC, TIDELOG_KIND_BUG, message)
    }
}

impl From<CacheError> for Fault {
    fn from(error: CacheError) -> Self {
        let (code, kind, advice) = match &error {
            CacheError::NotPrivate { .. } => (
                TIDELOG_INVALID_ARGUMENT,
                TIDELOG_KIND_FIX_CALL,
                "name another folder, or chmod it",
            ),
            _ => (TIDELOG_IO, TIDELOG_KIND_RETRY, "name a folder that can be written, or none"),
        };
        Fault::new(code, kind, format!("{}: {advice}", text(&error)))
    }
}

/// Why a component is not loaded. `place` is where it came from.
pub(crate) fn of_load(error: &LoadError, place: &str) -> Fault {
    let (code, kind, advice) = match error {
        LoadError::Read { source, .. } => match source.kind() {
            ErrorKind::NotFound => (
                TIDELOG_NOT_FOUND,
                TIDELOG_KIND_FIX_CALL,
                "a policy is a component and its manifest: FILE.wasm, and FILE.toml beside it",
            ),
            ErrorKind::InvalidData => {
                (TIDELOG_INVALID_ARGUMENT, TIDELOG_KIND_FIX_CALL, "write it as TOML in UTF-8")
            }
            _ => (TIDELOG_IO, TIDELOG_KIND_RETRY, "check that it is a file that may be read"),
        },
        LoadError::Manifest { source, .. } => of_manifest(source),
        LoadError::TooLarge { .. } | LoadError::Bound { .. } => {
            (TIDELOG_LIMIT, TIDELOG_KIND_FIX_CALL, "build it for size, as plugins/README.md says")
        }
        LoadError::Hash { .. } => (
            TIDELOG_CORRUPT,
            TIDELOG_KIND_RESTORE,
            "install component and manifest anew, from one source",
        ),
        LoadError::Tried { source, .. } => tried(source),
        _ => (
            TIDELOG_INVALID_ARGUMENT,
            TIDELOG_KIND_FIX_CALL,
            "build it for the package tidelog:policy of this version",
        ),
    };
    let what = text(error);
    // Not every error says of which file it is.
    let place = if what.contains(place) { String::new() } else { format!("{place}: ") };
    Fault::new(code, kind, format!("{place}{what}: {advice}"))
}

/// Why the text of a manifest is refused.
pub(crate) fn of_manifest_text(error: &ManifestError) -> Fault {
    let (code, kind, advice) = of_manifest(error);
    Fault::new(code, kind, format!("the manifest: {}: {advice}", text(error)))
}

fn of_manifest(error: &ManifestError) -> (tidelog_status, u32, &'static str) {
    match error {
        ManifestError::Wit { .. } => (
            TIDELOG_TOO_NEW,
            TIDELOG_KIND_UPGRADE,
            "install a libtidelog_wasm that speaks it, or build the policy for this one",
        ),
        _ => (
            TIDELOG_INVALID_ARGUMENT,
            TIDELOG_KIND_FIX_CALL,
            "`tidelog policy check` prints a manifest that fits",
        ),
    }
}

/// A machine that is busy may be why a deadline was missed.
fn tried(error: &PolicyError) -> (tidelog_status, u32, &'static str) {
    match error.kind {
        PolicyErrorKind::Deadline => {
            (TIDELOG_LIMIT, TIDELOG_KIND_RETRY, "try again, or raise deadline_ms of its manifest")
        }
        PolicyErrorKind::Limit => {
            (TIDELOG_LIMIT, TIDELOG_KIND_FIX_CALL, "raise memory_bytes of its manifest")
        }
        _ => (
            TIDELOG_INVALID_ARGUMENT,
            TIDELOG_KIND_FIX_CALL,
            "`tidelog policy check` shows what it plans",
        ),
    }
}

/// A failed plan: the status that loses the round, and why in words.
pub(crate) fn of_plan(error: &PolicyError) -> (tidelog_status, String) {
    let PolicyError { kind, text, .. } = error;
    match kind {
        PolicyErrorKind::Unsupported => (TIDELOG_UNSUPPORTED, text.clone()),
        PolicyErrorKind::InvalidInput => (TIDELOG_INVALID_ARGUMENT, text.clone()),
        PolicyErrorKind::Trap => (TIDELOG_CORRUPT, format!("it trapped: {text}")),
        PolicyErrorKind::Plan => (TIDELOG_CORRUPT, format!("its answer is not valid: {text}")),
        PolicyErrorKind::Deadline | PolicyErrorKind::Limit => (TIDELOG_LIMIT, text.clone()),
        // It says itself that it failed.
        _ => (TIDELOG_STOPPED, text.clone()),
    }
}

/// The text of an error and of what caused it, on one line.
fn text(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let more = inner.to_string();
        // Some say the same as their source.
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = inner.source();
    }
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}
