#![doc = include_str!("FORMAT.md")]
#![cfg_attr(not(test), allow(dead_code, reason = "until the store drives it, only tests call it"))]
#![allow(unused_imports, reason = "as above")]

mod change;
mod collection;
mod error;
mod file;
mod generation;
mod invariants;
mod salvage;
mod state;
#[cfg(test)]
mod test_disk;
#[cfg(test)]
mod tests;

pub(crate) use change::{Change, Edit};
pub(crate) use collection::CollectionEntry;
pub(crate) use error::{AppendError, Damage, ManifestError, Report};
pub(crate) use file::{Manifest, Mode};
pub(crate) use invariants::check;
pub(crate) use state::{FileEntry, FileId, LogPoint, Opening, Pin, State, Tier};
