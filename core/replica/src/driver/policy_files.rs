//! The files of a policy: what is kept for it over restarts, and the rounds that it was asked.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use tidelog_protocol::PolicyState;

/// No more is recorded to one file.
const RECORD_BYTES_MAX: u64 = 64 << 20;

/// What was kept; `None` when there is nothing that can be read.
pub(super) fn read_state(path: &Path) -> Option<PolicyState> {
    let bytes = fs::read(path).ok()?;
    let state = PolicyState::decode(&bytes);
    if let Err(error) = &state {
        tracing::warn!(%error, path = %path.display(), "what was kept for the policy cannot be read: windows wait anew");
    }
    state.ok()
}

/// Writes a file as a whole: a crash leaves the one before or this one.
pub(super) fn write_state(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("state.new");
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Adds a round to a file, unless that is full.
pub(super) fn append(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    if file.metadata()?.len() + u64::from(len) > RECORD_BYTES_MAX {
        return Ok(());
    }
    let mut whole = Vec::with_capacity(bytes.len() + 4);
    whole.extend_from_slice(&len.to_le_bytes());
    whole.extend_from_slice(bytes);
    file.write_all(&whole)
}
