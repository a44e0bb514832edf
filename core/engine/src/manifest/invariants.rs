//! What holds of every state, between any two edits. The same predicates run when an edit is about to be
//! written, when one is read back, and over a whole state.

use super::change::Change;
use super::collection::CollectionEntry;
use super::state::{FileEntry, State, require};
use crate::format::Malformed;
use crate::ids::Tier;

/// Checks a whole state.
///
/// # Errors
/// The rule that does not hold.
pub(crate) fn check(state: &State) -> Result<(), Malformed> {
    check_store(state)?;
    state.files.values().try_for_each(|entry| check_file(state, entry))?;
    state.collections.values().try_for_each(|entry| check_collection(entry))
}

/// Checks what an edit, just applied, can have broken.
pub(super) fn after_edit(state: &State, edit: &[Change]) -> Result<(), Malformed> {
    check_store(state)?;
    edit.iter().try_for_each(|change| match change {
        Change::AddFile(entry) if state.files.contains_key(&entry.id) => check_file(state, entry),
        Change::Collection(_, entry) => check_collection(entry),
        Change::ForgetOpening(ordinal) => check_forgotten(state, *ordinal),
        _ => Ok(()),
    })
}

fn check_store(state: &State) -> Result<(), Malformed> {
    require(state.groups > 0, "a store has at least one group")?;
    require(openings_increase(state), "openings are not in the order of their ordinals")?;
    require(incarnations_differ(state), "two openings have one incarnation")?;
    require(covered_is_in_an_opening(state), "more log is covered than was ever opened")
}

fn check_file(state: &State, entry: &FileEntry) -> Result<(), Malformed> {
    require(entry.id < state.next_file, "a file's id is not below the next one")?;
    require(entry.group.0 < state.groups, "a file's group is not among the store's groups")?;
    require(entry.len > 0, "a file has no bytes")?;
    require(!entry.settled || entry.tier != Tier::Raw, "rows cannot be settled")?;
    require(!entry.borrowed || entry.tier != Tier::Raw, "rows cannot be borrowed")?;
    require(entry.stamps.0 <= entry.stamps.1, "a file's least stamp is above its greatest")
}

fn check_collection(entry: &CollectionEntry) -> Result<(), Malformed> {
    let tiers = entry.retention.iter().map(|(tier, _)| *tier);
    require(tiers.is_sorted_by(|a, b| a < b), "retention does not name each tier once, in order")?;
    require(entry.agreed_cuts().is_sound(), "a cut is above that of a finer tier")
}

/// Forgetting an opening gives its segments away.
fn check_forgotten(state: &State, ordinal: u32) -> Result<(), Malformed> {
    require(state.covered.ordinal > ordinal, "an opening is forgotten before it is covered")?;
    let pinned = state.pins.values().any(|pin| pin.point.ordinal <= ordinal);
    require(!pinned, "an opening is forgotten that a pin still needs")
}

fn openings_increase(state: &State) -> bool {
    state.openings.is_sorted_by(|a, b| a.ordinal < b.ordinal)
}

fn incarnations_differ(state: &State) -> bool {
    let mut incarnations: Vec<_> = state.openings.iter().map(|one| one.incarnation).collect();
    incarnations.sort_unstable();
    incarnations.is_sorted_by(|a, b| a < b)
}

fn covered_is_in_an_opening(state: &State) -> bool {
    state.openings.last().is_none_or(|last| state.covered.ordinal <= last.ordinal)
}
