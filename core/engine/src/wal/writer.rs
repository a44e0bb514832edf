//! The writing end of the log: appends in order, one fsync for everyone who waits.
//!
//! Invariants: bytes before `end` are whole frames; `durable <= end`; after a failed fsync nothing is
//! appended or promised any more.
//! Threads: any number append and wait. Appends take one lock; of the waiters one syncs for all.

use super::{KIND_END, segment_path};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::log::{FILE_HEADER_LEN, FileHeader, LogKind, encode_frame};
use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tidelog_model::{Incarnation, StoreId};

/// Why a frame was not appended. The log is as it was before.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// The disk refused; a later append may succeed.
    Io(io::Error),
    /// An fsync failed earlier: nothing is promised until the store is reopened.
    Poisoned,
    /// The store was closed.
    Ended,
}

/// Where a frame stands: its log offset and the one right behind it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Span {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

/// The log of one opening.
pub(crate) struct Wal {
    disk: Arc<dyn Disk>,
    identity: Identity,
    segment_bytes: u64,
    writer: Mutex<Writer>,
    syncer: Mutex<Syncer>,
    synced: Condvar,
    /// Wakes tails; its mutex is `writer`.
    appended: Condvar,
}

#[derive(Clone, Copy)]
pub(crate) struct Identity {
    pub(crate) store: StoreId,
    pub(crate) incarnation: Incarnation,
    pub(crate) ordinal: u32,
}

#[derive(Default)]
struct Writer {
    current: Option<Current>,
    next_index: u32,
    sequence: u64,
    end: u64,
    /// Log offset known durable, as of the last sync: stands in every frame.
    durable: u64,
    /// All segments that still exist, oldest first.
    segments: VecDeque<Segment>,
    /// Files with bytes that no sync has covered yet.
    unsynced: Vec<Arc<dyn DiskFile>>,
    names_unsynced: bool,
    poisoned: bool,
    /// Closed: only the frame that says so may follow.
    ended: bool,
    /// How many wait for what is appended: without any, nobody is woken, which is a system call for each write.
    tails: usize,
    bytes_written: u64,
}

struct Current {
    file: Arc<dyn DiskFile>,
    seed: u32,
    base: u64,
}

/// A segment that exists.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment {
    pub(crate) index: u32,
    pub(crate) base: u64,
}

#[derive(Default)]
struct Syncer {
    durable: u64,
    leading: bool,
    poisoned: bool,
    syncs: u64,
}

impl Wal {
    pub(crate) fn new(disk: Arc<dyn Disk>, identity: Identity, segment_bytes: u64) -> Self {
        Wal {
            disk,
            identity,
            segment_bytes,
            writer: Mutex::default(),
            syncer: Mutex::default(),
            synced: Condvar::new(),
            appended: Condvar::new(),
        }
    }

    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }

    /// Takes no more writes. A writer that saw the store open, and comes to the log after it was closed, must
    /// not be acknowledged: the next opener may have read the log by then.
    pub(crate) fn refuse_writes(&self) {
        self.lock_writer().ended = true;
    }

    /// Appends a frame (room for a header, then the payload). `registered` runs before anyone else
    /// can append, so that what is in flight is never unknown.
    pub(crate) fn append(
        &self,
        kind: u8,
        frame: &mut [u8],
        registered: impl FnOnce(Span),
    ) -> Result<Span, AppendError> {
        let mut writer = self.lock_writer();
        if writer.poisoned {
            return Err(AppendError::Poisoned);
        }
        if writer.ended && kind != KIND_END {
            return Err(AppendError::Ended);
        }
        let writer = &mut *writer;
        let full = |current: &Current| writer.end - current.base >= self.segment_bytes;
        if writer.current.as_ref().is_none_or(full) {
            self.next_segment(writer).map_err(AppendError::Io)?;
        }
        let Some(current) = &writer.current else { return Err(AppendError::Poisoned) };
        let span = Span { start: writer.end, end: writer.end + frame.len() as u64 };
        encode_frame(frame, kind, writer.sequence, writer.durable, span.start, current.seed);
        let at = span.start - current.base;
        if let Err(error) = current.file.write_all_at(frame, at) {
            // Leave no trace: cut the part that was written. Where even that fails the segment is
            // given up; the next one's base says that what follows here is not part of the log.
            if current.file.set_len(at).is_err() {
                writer.current = None;
            }
            return Err(AppendError::Io(error));
        }
        writer.end = span.end;
        writer.sequence += 1;
        writer.bytes_written += frame.len() as u64;
        registered(span);
        if writer.tails > 0 {
            self.appended.notify_all();
        }
        Ok(span)
    }

    fn next_segment(&self, writer: &mut Writer) -> io::Result<()> {
        let (index, base) = (writer.next_index, writer.end);
        let Identity { store, incarnation, ordinal } = self.identity;
        let header = FileHeader { kind: LogKind::Wal, ordinal, index, store, incarnation, base };
        let path = segment_path(ordinal, index);
        let file = self.disk.open(&path, OpenMode::CreateNew)?;
        // The number is used up even if the rest fails: a file of that name may exist.
        writer.next_index += 1;
        if let Err(error) = file.write_all_at(&header.encode(), 0) {
            // Best effort: a segment without frames is harmless to recovery.
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        writer.end += FILE_HEADER_LEN as u64;
        writer.bytes_written += FILE_HEADER_LEN as u64;
        writer.segments.push_back(Segment { index, base });
        writer.unsynced.push(Arc::clone(&file));
        writer.names_unsynced = true;
        writer.current = Some(Current { file, seed: header.seed(), base });
        Ok(())
    }

    /// Waits until everything before `end` is durable, syncing it unless somebody does already.
    /// An error means that the store is poisoned.
    pub(crate) fn sync_to(&self, end: u64) -> Result<(), Option<io::Error>> {
        let mut syncer = self.lock_syncer();
        loop {
            if syncer.durable >= end {
                return Ok(());
            }
            if syncer.poisoned {
                return Err(None);
            }
            if syncer.leading {
                syncer = self.synced.wait(syncer).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            syncer.leading = true;
            drop(syncer);
            let outcome = self.sync_now();
            syncer = self.lock_syncer();
            syncer.leading = false;
            syncer.syncs += 1;
            let outcome = match outcome {
                Ok(durable) => {
                    syncer.durable = syncer.durable.max(durable);
                    Ok(())
                }
                Err(error) => {
                    syncer.poisoned = true;
                    Err(Some(error))
                }
            };
            self.synced.notify_all();
            outcome?;
        }
    }

    /// Syncs everything appended so far; the log offset that is durable now.
    fn sync_now(&self) -> io::Result<u64> {
        let (end, files, names) = {
            let mut writer = self.lock_writer();
            let files = std::mem::take(&mut writer.unsynced);
            let names = std::mem::take(&mut writer.names_unsynced);
            // Later frames go to the current file, so it stays on the list.
            if let Some(current) = &writer.current {
                let file = Arc::clone(&current.file);
                writer.unsynced.push(file);
            }
            (writer.end, files, names)
        };
        let synced = files
            .iter()
            .try_for_each(|file| file.sync())
            .and_then(|()| if names { self.disk.sync_dir("wal") } else { Ok(()) });
        let mut writer = self.lock_writer();
        match synced {
            Ok(()) => {
                writer.durable = writer.durable.max(end);
                Ok(end)
            }
            Err(error) => {
                writer.poisoned = true;
                Err(error)
            }
        }
    }

    /// No promise is made any more until the store is reopened.
    pub(crate) fn poison(&self) {
        self.lock_writer().poisoned = true;
        self.lock_syncer().poisoned = true;
        self.synced.notify_all();
        self.appended.notify_all();
    }

    pub(crate) fn is_poisoned(&self) -> bool {
        self.lock_writer().poisoned
    }

    /// The log offset behind the last frame.
    pub(crate) fn end(&self) -> u64 {
        self.lock_writer().end
    }

    /// The log offset known durable.
    pub(crate) fn durable(&self) -> u64 {
        self.lock_syncer().durable
    }

    /// How many fsyncs have served how many bytes.
    pub(crate) fn counters(&self) -> (u64, u64) {
        (self.lock_syncer().syncs, self.lock_writer().bytes_written)
    }

    /// Waits until something is appended behind `end`, or the timeout; the end then.
    pub(crate) fn wait_beyond(&self, end: u64, timeout: std::time::Duration) -> u64 {
        let mut writer = self.lock_writer();
        writer.tails += 1;
        let (mut writer, _) = self
            .appended
            .wait_timeout_while(writer, timeout, |writer| writer.end <= end && !writer.poisoned)
            .unwrap_or_else(PoisonError::into_inner);
        writer.tails -= 1;
        writer.end
    }

    /// The segments that exist, oldest first, and the end of the log.
    pub(crate) fn segments(&self) -> (Vec<Segment>, u64) {
        let writer = self.lock_writer();
        (writer.segments.iter().copied().collect(), writer.end)
    }

    /// Deletes the segments that lie wholly before `offset`. The current one stays unless it ends
    /// there: then the next append begins a new one.
    ///
    /// One that the disk would not delete stays listed, and so do those behind it: the next call tries again.
    pub(crate) fn release(&self, offset: u64) -> io::Result<()> {
        while let Some(index) = self.releasable(offset) {
            // Not under the lock: deleting may take milliseconds, and writers wait for it.
            match self.disk.remove(&segment_path(self.identity.ordinal, index)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut writer = self.lock_writer();
            // Another caller may have been as far.
            if writer.segments.front().is_some_and(|first| first.index == index) {
                writer.segments.pop_front();
            }
        }
        Ok(())
    }

    /// The oldest segment, if it lies wholly before `offset`; nothing is appended to it any more.
    fn releasable(&self, offset: u64) -> Option<u32> {
        let mut writer = self.lock_writer();
        let first = *writer.segments.front()?;
        let end = writer.segments.get(1).map_or(writer.end, |next| next.base);
        if end > offset {
            return None;
        }
        if writer.segments.len() == 1 {
            writer.current = None;
            writer.unsynced.clear();
        }
        Some(first.index)
    }

    fn lock_writer(&self) -> MutexGuard<'_, Writer> {
        // A panic while the lock was held is a bug of ours; going on is safe because frames become
        // part of the log only by the last assignments of `append`.
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_syncer(&self) -> MutexGuard<'_, Syncer> {
        self.syncer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
