//! Running the worker, under strace or not, and looking at what it leaves.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use tidelog_engine::{Durability, Options, Store, Upkeep};
use tidelog_tests::numbered::{Compared, Said, batch};

/// All places, however long it takes?
pub(crate) fn long() -> bool {
    std::env::var_os("TIDELOG_LONG").is_some()
}

/// Prints figures and reasons for skipping; tests have no other way to say them.
#[expect(clippy::print_stderr, reason = "figures of a run")]
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}

/// A directory in memory where there is one: these tests are about calls, not about a disk.
pub(crate) fn scratch() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub(crate) fn has_strace() -> bool {
    let found = Command::new("strace").arg("-V").output().is_ok();
    if !found {
        note("skipped: strace is not installed");
    }
    found
}

/// A store, and what all workers on it have said so far.
pub(crate) struct Run {
    directory: tempfile::TempDir,
    pub(crate) said: Said,
    runs: u32,
}

impl Run {
    pub(crate) fn new() -> Self {
        Run { directory: scratch(), said: Said::default(), runs: 0 }
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.directory.path().join("store")
    }

    pub(crate) fn scratch(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A worker that writes `count` batches behind those there are. `strace` holds its options.
    pub(crate) fn command(&self, count: u64, strace: &[&str]) -> Command {
        let worker = env!("CARGO_BIN_EXE_worker");
        let mut command = if strace.is_empty() {
            Command::new(worker)
        } else {
            let mut command = Command::new("strace");
            command.args(["-qq", "-f", "-o"]).arg(self.scratch("strace")).args(strace).arg(worker);
            command
        };
        let first = self.said.next();
        command.arg("write").arg(self.store()).args([count.to_string(), first.to_string()]);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a worker to its end, and hears what it says.
    pub(crate) fn run(&mut self, count: u64, strace: &[&str]) -> ExitStatus {
        let mut child = self.start(self.command(count, strace));
        let status = child.wait().unwrap();
        self.hear();
        status
    }

    pub(crate) fn start(&mut self, mut command: Command) -> Child {
        self.runs += 1;
        let lines = File::create(self.lines()).unwrap();
        command.stdout(lines).spawn().unwrap()
    }

    fn lines(&self) -> PathBuf {
        self.scratch(&format!("said.{}", self.runs))
    }

    /// Hears what the last worker said.
    pub(crate) fn hear(&mut self) {
        let text = std::fs::read(self.lines()).unwrap();
        self.said.hear(&String::from_utf8_lossy(&text));
        let wrong = self.said.others.iter().find(|line| line.contains("WRONG"));
        assert_eq!(wrong, None, "said by the worker");
    }

    /// What the last worker has said so far, it may be still at it.
    pub(crate) fn said_so_far(&self) -> Said {
        let mut said = self.said.clone();
        said.hear(&String::from_utf8_lossy(&std::fs::read(self.lines()).unwrap()));
        said
    }

    /// Opens the store, compares, and writes one batch more: no repair is needed to go on.
    #[track_caller]
    pub(crate) fn verify(&mut self, context: &str) -> Compared {
        let store = match options().open(self.store()) {
            Ok(store) => store,
            Err(error) => panic!("{context}: {error}; {:?}", self.said.others),
        };
        let report = store.open_report();
        assert!(report.is_clean(), "{context}: {report:?}");
        let compared = match self.said.compare(&store) {
            Ok(compared) => compared,
            Err(wrong) => panic!("{context}: {wrong}; {report:?}; {:?}", self.said.others),
        };
        let n = self.said.next();
        store.write(&batch(n), Durability::Sync).unwrap();
        self.said.begun.insert(n);
        self.said.acknowledged.insert(n);
        self.said.compare(&store).unwrap();
        compared
    }
}

pub(crate) fn options() -> Options {
    Options::new().memory_budget(1 << 20).segment_bytes(64 << 10).upkeep(Upkeep::Caller)
}

#[track_caller]
pub(crate) fn open(path: &Path) -> Store {
    options().open(path).unwrap()
}
