//! A disk in memory: what is live, what is durable, an image after every call, and failures on demand.

use crate::disk::{Disk, DiskFile, OpenMode, Sealed};
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

/// Files by name.
pub(super) type Image = BTreeMap<String, Vec<u8>>;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Write,
    SetLen,
    Sync,
    Rename,
    SyncDir,
    Remove,
    Create,
}

#[derive(Default, Debug)]
struct Inner {
    live_names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    live: Vec<Vec<u8>>,
    durable: Vec<Vec<u8>>,
    /// After each call: what a killed process leaves, and what a power cut leaves.
    images: Vec<(Image, Image)>,
    record: bool,
    /// Fail the calls of these kinds; a write is half done.
    failing: Vec<Call>,
    calls: u64,
    /// Fail this call and every later one.
    fail_from: Option<u64>,
}

#[derive(Clone, Default, Debug)]
pub(super) struct TestDisk(Arc<Mutex<Inner>>);

impl TestDisk {
    pub(super) fn of(image: &Image) -> Self {
        Self::of_live_and_durable(image, image)
    }

    /// What a killed process leaves behind, before the operating system has written it all.
    pub(super) fn of_live_and_durable(live: &Image, durable: &Image) -> Self {
        let disk = TestDisk::default();
        let mut inner = disk.lock();
        let names: BTreeSet<&String> = live.keys().chain(durable.keys()).collect();
        for (at, name) in names.into_iter().enumerate() {
            inner.live.push(live.get(name).cloned().unwrap_or_default());
            inner.durable.push(durable.get(name).cloned().unwrap_or_default());
            if live.contains_key(name) {
                inner.live_names.insert(name.clone(), at);
            }
            if durable.contains_key(name) {
                inner.durable_names.insert(name.clone(), at);
            }
        }
        drop(inner);
        disk
    }

    pub(super) fn durable_image(&self) -> Image {
        self.lock().durable_image()
    }

    pub(super) fn arc(&self) -> Arc<dyn Disk> {
        Arc::new(self.clone())
    }

    pub(super) fn record(&self) {
        self.lock().record = true;
    }

    pub(super) fn images(&self) -> Vec<(Image, Image)> {
        self.lock().images.clone()
    }

    pub(super) fn image(&self) -> Image {
        self.lock().image()
    }

    pub(super) fn fail(&self, calls: &[Call]) {
        self.lock().failing = calls.to_vec();
    }

    pub(super) fn fail_from(&self, call: u64) {
        self.lock().fail_from = Some(call);
    }

    pub(super) fn calls(&self) -> u64 {
        self.lock().calls
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Inner {
    fn image(&self) -> Image {
        self.live_names.iter().map(|(name, at)| (name.clone(), self.live[*at].clone())).collect()
    }

    fn durable_image(&self) -> Image {
        let names = self.durable_names.iter();
        names.map(|(name, at)| (name.clone(), self.durable[*at].clone())).collect()
    }

    fn enter(&mut self, call: Call) -> io::Result<()> {
        self.calls += 1;
        let late = self.fail_from.is_some_and(|from| self.calls >= from);
        if late || self.failing.contains(&call) {
            return Err(io::Error::other(format!("{call:?} fails")));
        }
        Ok(())
    }

    fn leave(&mut self) {
        if self.record {
            let images = (self.image(), self.durable_image());
            self.images.push(images);
        }
    }
}

impl Disk for TestDisk {
    fn place(&self) -> String {
        "test".to_owned()
    }

    fn create_dir(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut inner = self.lock();
        let known = inner.live_names.get(path).copied();
        let at = match (mode, known) {
            (OpenMode::CreateNew, Some(_)) => return Err(io::ErrorKind::AlreadyExists.into()),
            (OpenMode::CreateNew, None) => {
                inner.enter(Call::Create)?;
                inner.live.push(Vec::new());
                inner.durable.push(Vec::new());
                let at = inner.live.len() - 1;
                inner.live_names.insert(path.to_owned(), at);
                inner.leave();
                at
            }
            (_, Some(at)) => at,
            (_, None) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(TestFile { disk: self.clone(), at }))
    }

    fn open_sealed(&self, _: &str) -> io::Result<Sealed> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.enter(Call::Rename)?;
        let at = inner.live_names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        inner.live_names.insert(to.to_owned(), at);
        inner.leave();
        Ok(())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.enter(Call::Remove)?;
        inner.live_names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        inner.leave();
        Ok(())
    }

    fn list(&self, _: &str) -> io::Result<Vec<String>> {
        Ok(self.lock().live_names.keys().cloned().collect())
    }

    fn sync_dir(&self, _: &str) -> io::Result<()> {
        let mut inner = self.lock();
        inner.enter(Call::SyncDir)?;
        inner.durable_names = inner.live_names.clone();
        inner.leave();
        Ok(())
    }

    fn lock(&self, _: &str) -> io::Result<Option<Box<dyn Send + Sync>>> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

struct TestFile {
    disk: TestDisk,
    at: usize,
}

impl DiskFile for TestFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut inner = self.disk.lock();
        let entered = inner.enter(Call::Write);
        // Halves, so that the loop behind this is tested, and a failed write leaves a trace.
        let bytes = &bytes[..bytes.len().div_ceil(2)];
        let file = &mut inner.live[self.at];
        let offset = usize::try_from(offset).unwrap();
        file.resize(file.len().max(offset + bytes.len()), 0);
        file[offset..offset + bytes.len()].copy_from_slice(bytes);
        inner.leave();
        entered.map(|()| bytes.len())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let inner = self.disk.lock();
        let rest = inner.live[self.at].get(usize::try_from(offset).unwrap()..).unwrap_or(&[]);
        let read = rest.len().min(bytes.len());
        bytes[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.lock().live[self.at].len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.disk.lock();
        inner.enter(Call::SetLen)?;
        inner.live[self.at].resize(usize::try_from(len).unwrap(), 0);
        inner.leave();
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut inner = self.disk.lock();
        inner.enter(Call::Sync)?;
        inner.durable[self.at] = inner.live[self.at].clone();
        inner.leave();
        Ok(())
    }
}
