//! Damaged files of rows, so that replicas heal them: what can be read of one goes to a new file, and the damaged one is set
//! aside. It stays listed, so answers that need what is lacking are refused; comparisons with peers go by what is
//! there, find the rest missing, and bring it back. Then it is dropped.

use super::Store;
use super::check::CheckReport;
use super::open::{
    QUARANTINE, QUARANTINE_BYTES_MAX, make_quarantine, quarantine_bytes, quarantine_name,
};
use super::rescue::rescue;
use crate::disk::directory_of;
use crate::error::UpkeepError;
use crate::files::OpenFile;
use crate::group::{GroupFile, ReadError, file_path};
use crate::ids::{FileId, Tier};
use crate::manifest::{Change, FileEntry};
use crate::store::Inner;
use std::io;
use std::sync::{Arc, PoisonError};
use tidelog_model::{GroupId, Stamp, TimeRange};

/// A damaged file of rows that was set aside.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Aside {
    /// The file, in the store's directory.
    pub path: String,
    /// Of which group it has rows.
    pub group: GroupId,
    /// From its first to its last row.
    pub range: TimeRange,
    /// Its greatest stamp: a peer who agrees on everything up to it lacks nothing that the file had and peers have.
    pub newest: Stamp,
    /// Its rows, those that could be read included.
    pub rows: u64,
    id: FileId,
}

impl Aside {
    fn of(entry: &FileEntry) -> Self {
        Aside {
            path: file_path(entry.group, entry.tier, entry.id),
            group: entry.group,
            range: entry.range,
            newest: entry.stamps.1,
            rows: entry.rows,
            id: entry.id,
        }
    }
}

/// What an answer is refused with that needs a file which is set aside.
pub(super) fn unreadable(entry: &FileEntry) -> ReadError {
    let what = "it is damaged; a replica is waited for that has what is lacking".to_owned();
    ReadError::Unreadable { path: file_path(entry.group, entry.tier, entry.id), what }
}

impl Store {
    /// The files that are set aside, by group and age.
    #[must_use]
    pub fn aside(&self) -> Vec<Aside> {
        self.inner.files().all_aside().map(|open| Aside::of(&open.entry)).collect()
    }

    /// Has anything been read since the opening, or could not be opened, that may be damage in a file of rows?
    #[must_use]
    pub fn is_damage_suspected(&self) -> bool {
        self.inner.files().rows().any(is_suspect)
    }

    /// Verifies the files of rows that are suspected to be damaged, or all of them, and sets those aside that are: see
    /// [`Self::drop_aside`]. For stores with peers, who can give back what is lacking; nothing is lost that can be read.
    ///
    /// Reads every byte of the files that are verified, a page at a time, while writes and queries go on. `progress` is told bytes done
    /// and to do and stops the work by returning `false`; it may sleep to leave the disk to others.
    ///
    /// # Errors
    /// [`UpkeepError`]; what was set aside before stays so.
    pub fn set_damage_aside(
        &self,
        everything: bool,
        mut progress: impl FnMut(u64, u64) -> bool,
    ) -> Result<Vec<Aside>, UpkeepError> {
        self.inner.check_writable()?;
        let files = self.inner.files();
        let looked_at = |open: &&OpenFile| everything || is_suspect(open);
        let chosen: Vec<OpenFile> = files.rows().filter(looked_at).cloned().collect();
        let total: u64 = chosen.iter().map(|open| open.entry.len).sum();
        let mut report = CheckReport::default();
        let mut aside = Vec::new();
        for open in chosen {
            let known = report.findings.len();
            self.check_file(&open, &files.state, total, &mut progress, &mut report)?;
            if let Some(finding) = report.findings.get(known) {
                tracing::warn!(%finding, "a file of rows is damaged");
                aside.extend(self.inner.set_aside(open.entry.id, open.entry.group)?);
            } else if let Ok(file) = &open.file {
                file.container().trust();
            }
        }
        if !aside.is_empty() {
            self.inner.threads.compact_soon();
        }
        Ok(aside)
    }

    /// A peer has given back what a file lacked that was set aside, as far as any has it: the file is no part of the store any more, and
    /// answers go by what is here. It is moved to `quarantine/`, or removed when that holds a GiB.
    ///
    /// Call it after a comparison that began when the file was set aside already, and that agreed on everything in its group up to
    /// [`Aside::newest`]. Blocks while the pyramid of its group is sealed.
    ///
    /// # Errors
    /// [`UpkeepError`]; the file then stays set aside.
    pub fn drop_aside(&self, aside: &Aside) -> Result<(), UpkeepError> {
        self.inner.drop_aside(aside.group, aside.id)
    }
}

fn is_suspect(open: &OpenFile) -> bool {
    open.file.as_ref().map_or(true, |file| file.container().is_suspect())
}

impl Inner {
    /// `None` when the file is no part of the store any more.
    fn set_aside(&self, id: FileId, group: GroupId) -> Result<Option<Aside>, UpkeepError> {
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let files = self.files();
        let Some(open) = files.group(group).iter().find(|open| open.entry.id == id) else {
            return Ok(None);
        };
        let entry = Arc::clone(&open.entry);
        let path = file_path(group, Tier::Raw, id);
        let readable = GroupFile::open(&*self.disk, &path).map(Arc::new);
        // The name may be gone, and the bytes be here still.
        let readable = readable.ok().or_else(|| open.file.clone().ok());
        let mut written = Vec::new();
        if let Some(file) = readable.filter(|file| file.group() == (group, self.groups)) {
            self.ensure_directory(group, Tier::Raw)?;
            written.extend(rescue(&self.disk, &file, self.new_file_id())?);
        }
        let rescued = written.first().map_or(0, |file| file.summary.rows);
        for file in &mut written {
            file.uncounted = vec![file.summary.range];
        }
        // Nodes may count what is lacking, wherever the file had rows.
        let changes = vec![Change::SetAside(id), Change::Uncounted(id, vec![entry.range])];
        if let Err(error) = self.publish(&written, &[], changes, |files| self.show(files)) {
            self.discard_unpublished(&written, &error);
            return Err(error);
        }
        tracing::warn!(path, rescued, of = entry.rows, "set aside until a peer has sent the rest");
        Ok(Some(Aside::of(&entry)))
    }

    fn drop_aside(&self, group: GroupId, id: FileId) -> Result<(), UpkeepError> {
        let _one = self.upkeep.lock().unwrap_or_else(PoisonError::into_inner);
        let listed = |inner: &Inner| {
            let files = inner.files();
            let open = files.aside(group).iter().find(|open| open.entry.id == id);
            open.map(|open| Arc::clone(&open.entry))
        };
        let Some(entry) = listed(self) else { return Ok(()) };
        if self.options.pyramid && !entry.uncounted.is_empty() {
            // Once it is not listed nothing tells that nodes count rows which may be gone.
            self.roll_up_group(group, &mut || !self.threads.is_stopping())?;
        }
        self.publish(&[], &[id], Vec::new(), |files| self.show(files))?;
        let path = file_path(group, Tier::Raw, id);
        if let Err(error) = self.quarantine(&path, entry.len) {
            // The next opening removes it, as what no manifest lists.
            tracing::warn!(%error, path, "a damaged file could not be moved to quarantine");
        }
        tracing::info!(path, "healed: peers agree on all that it held");
        Ok(())
    }

    fn quarantine(&self, path: &str, len: u64) -> io::Result<()> {
        let disk = &*self.disk;
        make_quarantine(disk)?;
        let moved = if quarantine_bytes(disk)? + len > QUARANTINE_BYTES_MAX {
            disk.remove(path)
        } else {
            disk.rename(path, &quarantine_name(disk, path)?)
        };
        match moved {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        }
        disk.sync_dir(QUARANTINE)?;
        disk.sync_dir(directory_of(path))
    }
}
