//! The memory store: what was written since the last flush, bounded in bytes.
//!
//! Writes go to the active generation. A flush seals it, starts a new one, and writes the sealed one
//! to files; queries read both until the files are in the manifest.

mod chunk;
mod table;

pub(crate) use table::{Table, TableView};

use hashbrown::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tidelog_model::{CollectionName, GroupId, Stamp, SubBatch};

/// All that was written between two flushes.
#[derive(Debug, Default)]
pub(crate) struct Generation {
    tables: HashMap<(GroupId, CollectionName), Table>,
    bytes: usize,
    stamps: Option<(Stamp, Stamp)>,
}

impl Generation {
    fn apply(&mut self, subs: &[SubBatch<'_>]) {
        for sub in subs {
            let key = (GroupId(sub.group().0), sub.collection());
            let stamp = sub.version().stamp;
            let (least, greatest) = self.stamps.unwrap_or((stamp, stamp));
            self.stamps = Some((least.min(stamp), greatest.max(stamp)));
            self.bytes += self.tables.entry(key).or_default().apply(sub);
        }
    }

    /// The tables, in no order.
    pub(crate) fn tables(&self) -> impl Iterator<Item = (GroupId, &CollectionName, &Table)> + '_ {
        self.tables.iter().map(|((group, name), table)| (*group, name, table))
    }

    pub(crate) fn table(&self, group: GroupId, name: &CollectionName) -> Option<&Table> {
        // A borrowed pair cannot look up an owned one; names are cheap to clone.
        self.tables.get(&(group, name.clone()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes
    }

    /// The least and the greatest stamp of any row.
    pub(crate) fn stamps(&self) -> Option<(Stamp, Stamp)> {
        self.stamps
    }
}

/// The active generation, and those being flushed.
#[derive(Debug, Default)]
pub(crate) struct Memory {
    active: Mutex<Active>,
}

#[derive(Debug, Default)]
struct Active {
    generation: Generation,
    /// Sealed and not in the manifest yet, oldest first.
    sealed: Vec<Arc<Generation>>,
}

/// What a query reads of memory: one moment, whole batches only.
#[derive(Clone, Debug, Default)]
pub(crate) struct MemoryView {
    pub(crate) tables: Vec<TableView>,
}

/// Which devices a view is wanted of.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ViewOf<'a> {
    All,
    /// Canonical texts.
    Devices(&'a [&'a str]),
}

impl Memory {
    /// Applies all sub-batches of one write, and what else becomes visible `with` it; the bytes memory takes now.
    pub(crate) fn apply(&self, subs: &[SubBatch<'_>], with: impl FnOnce()) -> usize {
        let mut active = self.lock();
        with();
        active.generation.apply(subs);
        active.generation.bytes
    }

    /// Seals the active generation and returns it with what `at` returned while no batch could be
    /// applied. `None` when it is empty.
    pub(crate) fn seal<T>(&self, at: impl FnOnce() -> T) -> Option<(Arc<Generation>, T)> {
        let mut active = self.lock();
        if active.generation.is_empty() {
            return None;
        }
        let sealed = Arc::new(std::mem::take(&mut active.generation));
        active.sealed.push(Arc::clone(&sealed));
        Some((sealed, at()))
    }

    /// Forgets a sealed generation while `publish` makes the files that hold it visible, so that no
    /// query sees its rows missing.
    pub(crate) fn retire<T>(&self, generation: &Arc<Generation>, publish: impl FnOnce() -> T) -> T {
        let mut active = self.lock();
        let published = publish();
        active.sealed.retain(|other| !Arc::ptr_eq(other, generation));
        published
    }

    /// A moment of one collection, together with what `at` returned at that moment.
    pub(crate) fn view<T>(
        &self,
        name: &CollectionName,
        groups: u32,
        of: ViewOf<'_>,
        at: impl FnOnce() -> T,
    ) -> (MemoryView, T) {
        let active = self.lock();
        let generations = active.sealed.iter().map(|sealed| &**sealed);
        let mut tables = Vec::new();
        for generation in generations.chain(std::iter::once(&active.generation)) {
            for group in (0..groups).map(GroupId) {
                let Some(table) = generation.table(group, name) else { continue };
                let view = match of {
                    ViewOf::All => table.view(),
                    ViewOf::Devices(devices) => table.view_devices(devices.iter().copied()),
                };
                if view.devices().len() > 0 {
                    tables.push(view);
                }
            }
        }
        (MemoryView { tables }, at())
    }

    /// Runs `read` over every generation, newest last.
    pub(crate) fn inspect<T>(&self, read: impl FnOnce(&[&Generation]) -> T) -> T {
        let active = self.lock();
        let mut all: Vec<&Generation> = active.sealed.iter().map(|sealed| &**sealed).collect();
        all.push(&active.generation);
        read(&all)
    }

    /// Bytes of the active generation, and of all that are sealed.
    pub(crate) fn heap_bytes(&self) -> (usize, usize) {
        let active = self.lock();
        let sealed = active.sealed.iter().map(|sealed| sealed.bytes).sum();
        (active.generation.bytes, sealed)
    }

    fn lock(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
