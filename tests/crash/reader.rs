//! Opening for reading beside a writer that does not wait: at each call of the reader, the writer flushes,
//! compacts and writes on. What the reader sees is what the store held at some moment in between.

use crate::history::{History, NAME, Step};
use crate::report;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use tidelog_engine::Durability::{Os, Sync};
use tidelog_engine::Store;
use tidelog_engine::disk::{Disk, DiskFile, OpenMode, Sealed};
use tidelog_tests::disk::SimDisk;
use tidelog_tests::subject::{self, whole_answer};

/// The reader's way to the disk: before its call with a number, something else happens.
struct Meddled {
    disk: SimDisk,
    calls: AtomicU64,
    at: u64,
    meddle: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl std::fmt::Debug for Meddled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Meddled(at {})", self.at)
    }
}

impl Meddled {
    fn call(&self) -> &SimDisk {
        if self.calls.fetch_add(1, SeqCst) + 1 == self.at
            && let Some(meddle) = self.meddle.lock().unwrap().take()
        {
            meddle();
        }
        &self.disk
    }
}

impl Disk for Meddled {
    fn place(&self) -> String {
        self.disk.place()
    }
    fn create_dir(&self, path: &str) -> io::Result<()> {
        self.call().create_dir(path)
    }
    fn open(&self, path: &str, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.call().open(path, mode)
    }
    fn open_sealed(&self, path: &str) -> io::Result<Sealed> {
        self.call().open_sealed(path)
    }
    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.call().rename(from, to)
    }
    fn remove(&self, path: &str) -> io::Result<()> {
        self.call().remove(path)
    }
    fn list(&self, path: &str) -> io::Result<Vec<String>> {
        self.call().list(path)
    }
    fn sync_dir(&self, path: &str) -> io::Result<()> {
        self.call().sync_dir(path)
    }
    fn lock(&self, path: &str) -> io::Result<Option<Box<dyn Send + std::marker::Sync>>> {
        self.call().lock(path)
    }
}

const BEFORE: [Step; 6] = [
    Step::Write(Sync),
    Step::Flush,
    Step::Write(Sync),
    Step::DeleteRange,
    Step::Write(Sync),
    Step::Write(Os),
];

fn meddle_at(at: u64, steps: &'static [Step]) -> bool {
    let (disk, clock) = (SimDisk::new(), subject::clock(1));
    let store = subject::open(&disk, &clock).unwrap();
    let mut history = History::default();
    for (number, step) in (1..).zip(BEFORE) {
        assert!(history.step(&store, number, step).is_ok());
    }
    let known = history.events.len();
    let shared = Arc::new(Mutex::new(history));
    let (writer, of_writer): (Store, _) = (store.clone(), Arc::clone(&shared));
    let meddle = move || {
        let mut history = of_writer.lock().unwrap();
        for (number, step) in (10..).zip(steps) {
            assert!(history.step(&writer, number, *step).is_ok());
        }
    };
    let meddled = Arc::new(Meddled {
        disk: disk.clone(),
        calls: AtomicU64::new(0),
        at,
        meddle: Mutex::new(Some(Box::new(meddle))),
    });
    let seam: Arc<dyn Disk> = meddled.clone();
    let reader = subject::options(&clock).read_only(true).open_on(seam).unwrap();
    let met = meddled.meddle.lock().unwrap().is_none();
    let rows = whole_answer(&reader, NAME).unwrap();
    let history = shared.lock().unwrap();
    // Some beginning that ends no earlier than what was there when the reader began.
    if let Err(why) = history.allows_from(&rows, known) {
        panic!("{steps:?} at call {at}: {why}");
    }
    assert!(reader.open_report().is_clean(), "at call {at}: {:?}", reader.open_report());
    met
}

#[test]
fn a_reader_beside_a_writer_sees_one_moment() {
    const WRITER: [&[Step]; 4] = [
        &[Step::Flush],
        &[Step::Write(Os), Step::Flush, Step::Write(Os)],
        &[Step::Flush, Step::Compact, Step::Write(Sync), Step::Flush],
        &[Step::DeleteDevice, Step::Compact, Step::Write(Os), Step::Compact],
    ];
    let mut tried = 0;
    for steps in WRITER {
        let mut at = 1;
        while meddle_at(at, steps) {
            at += 1;
        }
        tried += at - 1;
    }
    report("moments of a reader", tried);
}
