//! The generations on disk: opens them, appends edits, rolls over to a new one.
//!
//! Invariants: an edit is appended to a generation only when the one before is sealed in its favour, and
//! that seal durable; the state in memory moves only after the edit is durable. What the bytes mean is
//! decided in `generation.rs`. Threads: the caller serialises appends; a state, once given out, is a value.

use super::change::{self, Edit};
use super::error::{AppendError, Damage, ManifestError, Report};
use super::generation::{self, EDIT, Fault, PAYLOAD_LEN_MAX, Recovered, SEAL, Seal, TooLarge};
use super::invariants;
use super::state::State;
use crate::disk::{Disk, DiskFile, OpenMode, publish, read_all};
use std::io;
use std::sync::Arc;

/// What an opener may do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mode {
    ReadWrite,
    /// Writes nothing and takes no lock; may be beside a writer.
    ReadOnly,
}

/// A store's manifest, open.
#[derive(Debug)]
pub(crate) struct Manifest {
    disk: Arc<dyn Disk>,
    state: Arc<State>,
    ordinal: u32,
    /// The end of the newest generation; `None` when it cannot be written to.
    tail: Option<Tail>,
    /// The newest generation may take edits: the one before is sealed in its favour, and what this opening
    /// has read is durable for certain.
    settled: bool,
    standing: Standing,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Standing {
    Good,
    ReadOnly,
    Poisoned,
    Closed,
}

impl Manifest {
    /// The manifest of a new store.
    ///
    /// # Errors
    /// When there is one already, when the state breaks a rule, and those of the disk.
    pub(crate) fn create(disk: Arc<dyn Disk>, state: State) -> Result<Self, ManifestError> {
        if !generations(&*disk)?.is_empty() {
            return Err(ManifestError::Exists { place: disk.place() });
        }
        Self::begin(disk, state, 0)
    }

    /// A manifest with this state in place of whatever generations there are: for offline recovery.
    /// They are removed; copy them away first. Edit numbers go on after theirs.
    ///
    /// # Errors
    /// When the state breaks a rule, and those of the disk.
    pub(crate) fn replace(disk: Arc<dyn Disk>, mut state: State) -> Result<Self, ManifestError> {
        let newest = generations(&*disk)?.last().copied().unwrap_or(0);
        let (known, _) = Self::salvage(&*disk)?;
        state.number = known.map_or(state.number, |known| state.number.max(known.number));
        Self::begin(disk, state, newest)
    }

    fn begin(disk: Arc<dyn Disk>, state: State, ordinal: u32) -> Result<Self, ManifestError> {
        invariants::check(&state).map_err(|rule| ManifestError::Invalid { rule: rule.0 })?;
        let mut manifest = Manifest {
            disk,
            state: Arc::new(state),
            ordinal,
            tail: None,
            settled: false,
            standing: Standing::Good,
        };
        let begun = manifest.roll();
        begun.map_err(|error| manifest.as_open_error(error))?;
        Ok(manifest)
    }

    /// Opens the manifest at its last durable edit.
    ///
    /// # Errors
    /// When there is none, when an edit is lost or may be, and those of the disk.
    pub(crate) fn open(disk: Arc<dyn Disk>, mode: Mode) -> Result<(Self, Report), ManifestError> {
        let (recovered, ordinal) = match mode {
            Mode::ReadWrite => read_newest(&*disk)?,
            Mode::ReadOnly => read_beside_a_writer(&*disk)?,
        };
        let Recovered { newest, whole, settled, faults } = recovered;
        let report = Report {
            generation: ordinal,
            cut_bytes: newest.torn,
            damage: faults.iter().map(Damage::from).collect(),
        };
        let mut manifest = Manifest {
            disk,
            state: Arc::new(newest.state),
            ordinal,
            tail: None,
            settled,
            standing: if mode == Mode::ReadOnly { Standing::ReadOnly } else { Standing::Good },
        };
        if mode == Mode::ReadWrite {
            let place = (newest.seed, newest.fresh_len, newest.end);
            manifest.take_over(whole.then_some(place), newest.torn)?;
        }
        Ok((manifest, report))
    }

    /// Cuts off what an unfinished edit left, and makes durable what was read: the process that wrote it may
    /// have been killed before it did, and what follows from it (segments deleted, say) must not outlive it.
    fn take_over(
        &mut self,
        whole: Option<(u32, u64, u64)>,
        torn: u64,
    ) -> Result<(), ManifestError> {
        let file = generation::name(self.ordinal);
        let io = |act| {
            let (place, file) = (self.disk.place(), file.clone());
            move |source| ManifestError::Io { place, file, act, source }
        };
        let open = self.disk.open(&file, OpenMode::Write).map_err(io("open"))?;
        if torn > 0
            && let Some((_, _, end)) = whole
        {
            open.set_len(end).map_err(io("cut"))?;
        }
        open.sync().map_err(io("sync"))?;
        if self.settled {
            let before = generation::name(self.ordinal.saturating_sub(1));
            let sealed = self.disk.open(&before, OpenMode::Write);
            sealed.and_then(|file| file.sync()).map_err(io("sync the generation before"))?;
        }
        self.disk.sync_dir("").map_err(io("sync the directory of"))?;
        // A failed sync may have left edits in doubt, and no later sync of their file settles it. It takes no
        // seal either: two new generations vouch for each other, and this one goes.
        let certain = whole.filter(|(_, fresh_len, end)| fresh_len == end);
        self.tail = certain.map(|(seed, fresh_len, end)| Tail { file: open, seed, fresh_len, end });
        for name in self.disk.list("").unwrap_or_default() {
            if generation::is_temporary(&name) {
                self.remove(&name);
            }
        }
        Ok(())
    }

    /// The state after the last durable edit.
    pub(crate) fn state(&self) -> &Arc<State> {
        &self.state
    }

    #[cfg(test)]
    pub(super) fn generation(&self) -> u32 {
        self.ordinal
    }

    /// Refuses every edit from now on: the lock on the directory is about to be given up.
    pub(crate) fn end(&mut self) {
        if self.standing == Standing::Good {
            self.standing = Standing::Closed;
        }
    }

    /// Makes an edit. When this returns it is durable and [`Self::state`] has it. Blocks for one sync, and for
    /// a few more when it is time for a new generation. An empty edit is none.
    ///
    /// # Errors
    /// See [`AppendError`]: nothing was changed, except after `Unknown`.
    pub(crate) fn append(&mut self, edit: &Edit) -> Result<(), AppendError> {
        self.writable()?;
        if edit.is_empty() {
            return Ok(());
        }
        let mut next = State::clone(&self.state);
        next.apply(edit)?;
        let payload = change::encode(edit);
        if payload.len() > PAYLOAD_LEN_MAX {
            return Err(TooLarge { bytes: payload.len() }.into());
        }
        if !self.settled {
            self.roll()?;
        }
        let Some(mut tail) = self.tail.take() else {
            return Err(AppendError::Poisoned { place: self.disk.place() });
        };
        let written = tail.write(EDIT, next.number, &payload);
        let due = tail.end - tail.fresh_len > EDITS_BYTES_MIN.max(2 * tail.fresh_len);
        self.tail = Some(tail);
        self.judge(self.ordinal, written)?;
        self.state = Arc::new(next);
        if due && let Err(error) = self.roll() {
            // The edit is durable, so it is not refused for this. The next append tries again.
            tracing::warn!(%error, "the manifest did not roll over");
        }
        Ok(())
    }

    /// Rolls over to a new generation where that adds safety: after it, the state is in two files, and either
    /// may be damaged. For a clean close.
    ///
    /// # Errors
    /// See [`AppendError`]; the state is what it was.
    pub(crate) fn close(&mut self) -> Result<(), AppendError> {
        let fresh = self.tail.as_ref().is_some_and(|tail| tail.end == tail.fresh_len);
        if self.settled && fresh { self.writable() } else { self.roll() }
    }

    /// Starts a new generation with the present state and seals the one before in its favour.
    ///
    /// # Errors
    /// See [`AppendError`]; the state is what it was.
    pub(crate) fn roll(&mut self) -> Result<(), AppendError> {
        self.writable()?;
        self.settled = false;
        let before = self.publish_next()?;
        let before = match before {
            Some(before) => before,
            // There is none, or a damaged one, to seal. The new one can be: by a second one.
            None => match self.publish_next()? {
                Some(before) => before,
                None => return Err(AppendError::Poisoned { place: self.disk.place() }),
            },
        };
        self.seal(before)?;
        self.settled = true;
        self.sweep();
        Ok(())
    }

    /// Writes the present state as the next generation. Gives the end of the one before.
    fn publish_next(&mut self) -> Result<Option<Tail>, AppendError> {
        let exhausted = || AppendError::Exhausted { place: self.disk.place() };
        let ordinal = self.ordinal.checked_add(1).ok_or_else(exhausted)?;
        let (bytes, seed) = generation::begin(ordinal, &self.state)?;
        let temporary = generation::temporary_name(ordinal);
        let file = match self.write_temporary(&temporary, &bytes) {
            Ok(file) => file,
            Err(source) => {
                self.remove(&temporary);
                return Err(self.not_written(ordinal, source));
            }
        };
        let published = publish(&*self.disk, &*file, &temporary, &generation::name(ordinal));
        self.judge(ordinal, published.map_err(WriteFault::Unknown))?;
        let len = bytes.len() as u64;
        self.ordinal = ordinal;
        Ok(self.tail.replace(Tail { file, seed, fresh_len: len, end: len }))
    }

    fn write_temporary(&self, temporary: &str, bytes: &[u8]) -> io::Result<Arc<dyn DiskFile>> {
        if let Err(error) = self.disk.remove(temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            return Err(error);
        }
        let file = self.disk.open(temporary, OpenMode::CreateNew)?;
        file.write_all_at(bytes, 0)?;
        Ok(file)
    }

    /// Says in the generation before that all of its edits are there and that the newest goes on.
    fn seal(&mut self, mut before: Tail) -> Result<(), AppendError> {
        let fresh_len = self.tail.as_ref().map_or(0, |tail| tail.fresh_len);
        let seal = Seal { next: self.ordinal, fresh_len };
        let written = before.write(SEAL, self.state.number, &seal.encode());
        self.judge(self.ordinal.saturating_sub(1), written)
    }

    /// Two generations are kept.
    fn sweep(&self) {
        let ordinals = generations(&*self.disk).unwrap_or_default();
        for old in ordinals.into_iter().filter(|old| old.saturating_add(1) < self.ordinal) {
            self.remove(&generation::name(old));
        }
    }

    /// What stays is swept next time, and in nobody's way.
    fn remove(&self, file: &str) {
        if let Err(error) = self.disk.remove(file)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, file, "cannot remove a file of the manifest");
        }
    }

    fn writable(&self) -> Result<(), AppendError> {
        let place = || self.disk.place();
        match self.standing {
            Standing::Good => Ok(()),
            Standing::ReadOnly => Err(AppendError::ReadOnly { place: place() }),
            Standing::Poisoned => Err(AppendError::Poisoned { place: place() }),
            Standing::Closed => Err(AppendError::Closed { place: place() }),
        }
    }

    fn judge(&mut self, ordinal: u32, done: Result<(), WriteFault>) -> Result<(), AppendError> {
        match done {
            Ok(()) => Ok(()),
            Err(WriteFault::Undone(source)) => Err(self.not_written(ordinal, source)),
            Err(WriteFault::Unknown(source)) => {
                self.standing = Standing::Poisoned;
                let (place, file) = (self.disk.place(), generation::name(ordinal));
                Err(AppendError::Unknown { place, file, source })
            }
        }
    }

    fn not_written(&self, ordinal: u32, source: io::Error) -> AppendError {
        let (place, file) = (self.disk.place(), generation::name(ordinal));
        AppendError::NotWritten { place, file, source }
    }

    fn as_open_error(&self, error: AppendError) -> ManifestError {
        let place = self.disk.place();
        match error {
            AppendError::NotWritten { place, file, source } => {
                ManifestError::Io { place, file, act: "write", source }
            }
            AppendError::Unknown { place, file, source } => {
                ManifestError::Io { place, file, act: "sync", source }
            }
            AppendError::TooLarge { bytes, max } => ManifestError::TooLarge { place, bytes, max },
            AppendError::Invalid { rule } => ManifestError::Invalid { rule },
            AppendError::Exhausted { .. }
            | AppendError::ReadOnly { .. }
            | AppendError::Poisoned { .. }
            | AppendError::Closed { .. } => {
                let file = generation::name(self.ordinal);
                let what = "its generation has the last number there is".to_owned();
                ManifestError::Damaged { place, files: vec![file], what }
            }
        }
    }
}

/// Where the next frame of a generation goes.
struct Tail {
    file: Arc<dyn DiskFile>,
    seed: u32,
    fresh_len: u64,
    end: u64,
}

impl std::fmt::Debug for Tail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tail").field("end", &self.end).finish_non_exhaustive()
    }
}

enum WriteFault {
    /// The file is what it was.
    Undone(io::Error),
    Unknown(io::Error),
}

impl Tail {
    /// Writes a frame and makes it durable.
    fn write(&mut self, kind: u8, number: u64, payload: &[u8]) -> Result<(), WriteFault> {
        let frame = generation::frame(kind, number, self.end, self.seed, payload)
            .map_err(|_| WriteFault::Undone(io::ErrorKind::FileTooLarge.into()))?;
        if let Err(error) = self.file.write_all_at(&frame, self.end) {
            let undone = self.file.set_len(self.end).and_then(|()| self.file.sync());
            return Err(match undone {
                Ok(()) => WriteFault::Undone(error),
                Err(_) => WriteFault::Unknown(error),
            });
        }
        self.file.sync().map_err(WriteFault::Unknown)?;
        self.end += frame.len() as u64;
        Ok(())
    }
}

/// The generations there are, oldest first.
pub(super) fn generations(disk: &dyn Disk) -> Result<Vec<u32>, ManifestError> {
    let names = disk.list("").map_err(|source| {
        let (place, file) = (disk.place(), "MANIFEST-*".to_owned());
        ManifestError::Io { place, file, act: "look for", source }
    })?;
    let mut ordinals: Vec<u32> =
        names.iter().filter_map(|name| generation::ordinal_of(name)).collect();
    ordinals.sort_unstable();
    Ok(ordinals)
}

/// A writer beside us may remove a generation between our looking and our reading, or cut one while we read
/// it. Then another look finds newer ones.
fn read_beside_a_writer(disk: &dyn Disk) -> Result<(Recovered, u32), ManifestError> {
    let mut found = read_newest(disk);
    for _ in 1..READ_TRIES {
        if found.is_ok() {
            break;
        }
        found = read_newest(disk);
    }
    found
}

fn read_newest(disk: &dyn Disk) -> Result<(Recovered, u32), ManifestError> {
    let ordinals = generations(disk)?;
    let Some(ordinal) = ordinals.last().copied() else {
        return Err(ManifestError::Missing { place: disk.place() });
    };
    let previous = ordinal.checked_sub(1).filter(|before| ordinals.contains(before));
    let read = |ordinal| {
        let file = generation::name(ordinal);
        read_all(disk, &file).map_err(|source| ManifestError::Io {
            place: disk.place(),
            file,
            act: "read",
            source,
        })
    };
    let newest = read(ordinal)?;
    // It may be unreadable, or gone by now: it may not be needed either.
    let previous = previous.and_then(|before| read(before).ok());
    let recovered = generation::recover(ordinal, &newest, previous.as_deref());
    recovered.map(|recovered| (recovered, ordinal)).map_err(|fault| refusal(disk, ordinal, &fault))
}

fn refusal(disk: &dyn Disk, newest: u32, fault: &Fault) -> ManifestError {
    let place = disk.place();
    let Damage { file, what } = Damage::from(fault);
    match fault {
        Fault::TooNew { .. } => ManifestError::TooNew { place, file, what },
        Fault::Start { .. } | Fault::Damaged { .. } => {
            let what = format!("{file}: {what}");
            let files = newest.checked_sub(1).into_iter().chain([newest]);
            ManifestError::Damaged { place, files: files.map(generation::name).collect(), what }
        }
    }
}

/// A generation takes this many bytes of edits at least, and twice its snapshot, before the next one begins.
const EDITS_BYTES_MIN: u64 = 64 << 10;
const READ_TRIES: u32 = 8;
