//! The content of one file: what the process sees, what surely survives, and what is in between.
//!
//! A write is torn at sectors: any subset of the sectors it touches may survive. The length is kept
//! apart from the data, as file systems keep it, so data may survive without the length (and then
//! is cut off) or the length without the data (and then zeros are read).

use super::journal::{Fate, Journal, Pending, Sequence};
use std::sync::Arc;

/// What reaches the medium whole or not at all.
pub(super) const SECTOR: u64 = 512;

/// One change of a file.
#[derive(Clone, Debug)]
pub(super) enum Edit {
    Write {
        offset: u64,
        bytes: Arc<[u8]>,
    },
    /// The length grew because something was written past the end.
    Grow {
        to: u64,
    },
    SetLen {
        len: u64,
    },
}

impl Edit {
    /// How many sectors the edit touches; a length counts as one.
    pub(super) fn sectors(&self) -> u64 {
        match self {
            Edit::Write { offset, bytes } => {
                (offset + bytes.len() as u64).div_ceil(SECTOR) - offset / SECTOR
            }
            Edit::Grow { .. } | Edit::SetLen { .. } => 1,
        }
    }
}

/// A file's bytes. The `Arc`s make crash states cheap: they share what they do not change.
#[derive(Clone, Debug)]
pub(super) struct Content {
    pub(super) live: Arc<Vec<u8>>,
    durable: Arc<Vec<u8>>,
    pub(super) edits: Journal<Edit>,
    /// Every open handle holds a clone, so the count says whether any is left.
    pub(super) handles: Arc<()>,
}

impl Content {
    /// A file that is durable as it is.
    pub(super) fn settled(bytes: Arc<Vec<u8>>) -> Self {
        let handles = Arc::new(());
        Content { live: Arc::clone(&bytes), durable: bytes, edits: Journal::new(), handles }
    }

    pub(super) fn len(&self) -> u64 {
        self.live.len() as u64
    }

    pub(super) fn write(&mut self, sequence: &mut Sequence, bytes: &[u8], offset: u64) {
        if bytes.is_empty() {
            return;
        }
        let before = self.len();
        Image::of(Arc::make_mut(&mut self.live)).put(offset, bytes);
        self.note(sequence, Edit::Write { offset, bytes: bytes.into() });
        if self.len() > before {
            self.note(sequence, Edit::Grow { to: self.len() });
        }
    }

    /// The length part of a write alone, when it passes the end.
    pub(super) fn grow(&mut self, sequence: &mut Sequence, to: u64) {
        if to > self.len() {
            Arc::make_mut(&mut self.live).resize(to as usize, 0);
            self.note(sequence, Edit::Grow { to });
        }
    }

    pub(super) fn set_len(&mut self, sequence: &mut Sequence, len: u64) {
        if len != self.len() {
            Arc::make_mut(&mut self.live).resize(len as usize, 0);
            self.note(sequence, Edit::SetLen { len });
        }
    }

    /// Makes all that can still be saved durable.
    pub(super) fn sync(&mut self) {
        self.edits.settle(Fate::Certain);
        let mut image = Image::of(Arc::make_mut(&mut self.durable));
        self.edits.take_certain().for_each(|pending| image.apply(&pending.op, |_, _| true));
        image.finish();
    }

    /// What a failed sync leaves behind.
    pub(super) fn fail_sync(&mut self) {
        self.edits.settle(Fate::Stuck);
    }

    /// Changes the bytes in both images.
    pub(super) fn damage(&mut self, act: impl FnOnce(&mut Vec<u8>)) {
        act(Arc::make_mut(&mut self.live));
        self.durable = Arc::clone(&self.live);
        self.edits = Journal::new();
    }

    /// The bytes after a crash, `survives` saying which sectors of which edit are kept.
    pub(super) fn after_crash(
        &self,
        survives: impl Fn(&Pending<Edit>, u64, u64) -> bool,
    ) -> Arc<Vec<u8>> {
        if self.edits.is_empty() {
            return Arc::clone(&self.durable);
        }
        let mut bytes = self.durable.to_vec();
        let mut image = Image::of(&mut bytes);
        for pending in self.edits.iter() {
            let certain = pending.fate == Fate::Certain;
            image.apply(&pending.op, |sector, of| certain || survives(pending, sector, of));
        }
        image.finish();
        Arc::new(bytes)
    }

    fn note(&mut self, sequence: &mut Sequence, edit: Edit) {
        self.edits.push(*sequence, edit);
        *sequence += 1;
    }
}

/// Bytes with a length of their own: data may lie past the end until the length follows.
struct Image<'a> {
    bytes: &'a mut Vec<u8>,
    len: u64,
}

impl<'a> Image<'a> {
    fn of(bytes: &'a mut Vec<u8>) -> Self {
        let len = bytes.len() as u64;
        Image { bytes, len }
    }

    /// Applies an edit; `survives(sector, sectors)` says which of its sectors are kept.
    fn apply(&mut self, edit: &Edit, survives: impl Fn(u64, u64) -> bool) {
        match edit {
            Edit::Write { offset, bytes } => {
                let (first, sectors) = (offset / SECTOR, edit.sectors());
                let end = offset + bytes.len() as u64;
                for sector in (0..sectors).filter(|sector| survives(*sector, sectors)) {
                    let from = (*offset).max((first + sector) * SECTOR);
                    let to = end.min((first + sector + 1) * SECTOR);
                    self.put(from, &bytes[(from - offset) as usize..(to - offset) as usize]);
                }
            }
            Edit::Grow { to } if survives(0, 1) => self.len = self.len.max(*to),
            Edit::SetLen { len } if survives(0, 1) => {
                self.len = *len;
                self.bytes.truncate(*len as usize);
            }
            Edit::Grow { .. } | Edit::SetLen { .. } => {}
        }
    }

    fn put(&mut self, offset: u64, bytes: &[u8]) {
        let (start, end) = (offset as usize, offset as usize + bytes.len());
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[start..end].copy_from_slice(bytes);
    }

    fn finish(self) {
        self.bytes.resize(self.len as usize, 0);
    }
}
