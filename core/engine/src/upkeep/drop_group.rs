//! Giving up a group that is no longer placed here, in two steps.
//!
//! First everything of the group that is in memory goes to files, and those are named ([`FrozenGroup`]). Whoever asks then
//! makes sure that their rows are elsewhere. Then exactly these files go, in one edit of the manifest, with what the pyramid made
//! of them. What is written in between stands in other files or in memory, and stays. The log is covered by then, so nothing
//! comes back from it.

use super::open_leaves::OpenLeaves;
use crate::error::UpkeepError;
use crate::files::FileSet;
use crate::ids::FileId;
use crate::manifest::{Change, FileEntry};
use crate::store::Inner;
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use tidelog_model::{GroupId, Stamp};

/// The files of a group at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FrozenGroup {
    group: GroupId,
    files: BTreeSet<FileId>,
    stamp: Stamp,
    rows: u64,
    bytes: u64,
}

impl FrozenGroup {
    /// The group.
    #[must_use]
    pub fn group(&self) -> GroupId {
        self.group
    }

    /// Nothing is there.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// No row in them has a greater stamp.
    #[must_use]
    pub fn stamp(&self) -> Stamp {
        self.stamp
    }

    /// Rows in them, those that others hide included.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of them.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// Why a group is not given up. Nothing was removed then.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DropGroupError {
    /// There is no such group.
    #[error("there is no {group}: the groups are numbered from 0 to {}", .groups - 1)]
    Unknown {
        /// As it was asked for.
        group: GroupId,
        /// How many there are.
        groups: u32,
    },
    /// Retention has settled a part of its history, which no comparison covers: nobody can say that others have it.
    #[error(
        "{group} has history that was settled by retention, which comparisons leave out, so that nobody can say that others have it: keep the group here"
    )]
    Settled {
        /// The group.
        group: GroupId,
    },
    /// A file of it is damaged: what it lacks may be nowhere else.
    #[error(
        "a file of {group} is damaged, and what it lacks may be nowhere else: let it be healed first"
    )]
    Damaged {
        /// The group.
        group: GroupId,
    },
    /// Its files were merged since they were named.
    #[error("files of {group} were merged meanwhile: try again")]
    Changed {
        /// The group.
        group: GroupId,
    },
    /// The files could not be written or removed.
    #[error(transparent)]
    Upkeep(#[from] UpkeepError),
}

/// Is all of the group in files of rows that can be read?
fn can_go(files: &FileSet, group: GroupId) -> Result<(), DropGroupError> {
    if !files.settled(group).is_empty() {
        return Err(DropGroupError::Settled { group });
    }
    if !files.aside(group).is_empty() || files.group(group).iter().any(|open| open.file.is_err()) {
        return Err(DropGroupError::Damaged { group });
    }
    Ok(())
}

impl Inner {
    pub(crate) fn freeze_group(&self, group: GroupId) -> Result<FrozenGroup, DropGroupError> {
        if group.0 >= self.groups {
            return Err(DropGroupError::Unknown { group, groups: self.groups });
        }
        self.flush()?;
        let files = self.files();
        can_go(&files, group)?;
        let entries = || files.group(group).iter().map(|open| &open.entry);
        Ok(FrozenGroup {
            group,
            files: entries().map(|entry| entry.id).collect(),
            stamp: entries().map(|entry| entry.stamps.1).max().unwrap_or(Stamp::ZERO),
            rows: entries().map(|entry| entry.rows).sum(),
            bytes: entries().map(|entry| entry.len).sum(),
        })
    }

    pub(crate) fn drop_group(&self, frozen: &FrozenGroup) -> Result<(), DropGroupError> {
        let group = frozen.group;
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.files();
        can_go(&files, group)?;
        let entry = |id: &FileId| files.group(group).iter().find(|open| open.entry.id == *id);
        let gone: Option<Vec<Arc<FileEntry>>> =
            frozen.files.iter().map(|id| entry(id).map(|open| Arc::clone(&open.entry))).collect();
        let Some(mut gone) = gone else { return Err(DropGroupError::Changed { group }) };
        // The pyramid counts rows that go: it is made anew from what stays.
        let nodes = files.nodes(group).iter().chain(files.borrowed(group));
        gone.extend(nodes.map(|open| Arc::clone(&open.entry)));
        let ids: Vec<FileId> = gone.iter().map(|entry| entry.id).collect();
        let stays = files.group(group).iter().map(|open| &open.entry);
        let stays = stays.filter(|entry| !frozen.files.contains(&entry.id));
        let uncounted = stays.map(|entry| Change::Uncounted(entry.id, vec![entry.range])).collect();
        self.publish(&[], &ids, uncounted, |files| {
            self.show(files);
            self.keep_open_leaves(group, OpenLeaves::default());
        })?;
        tracing::info!(%group, rows = frozen.rows, bytes = frozen.bytes, "a group was given up");
        self.unlink(&gone);
        Ok(())
    }
}
