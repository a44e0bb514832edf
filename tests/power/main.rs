//! Power cuts on real file systems: a virtual machine is killed while a worker in it writes.
//!
//! The machine is User Mode Linux (`linux.uml`): its kernel is a process here, so `SIGKILL` takes its
//! page cache along, and what it had not yet given to its disk image is lost, names included, as when
//! power fails. What it says goes through a pipe to this process, which outlives it. Then the image is
//! mounted here, the store opened and compared with what was said.
//!
//! `TIDELOG_POWER=N` cuts N times per file system; 3 unless set. Every second machine is started again
//! without a look at the store, so that recovery is cut as well. Needs root (to mount), `linux.uml`,
//! `mkfs.ext4` and `mkfs.xfs`; a test says what is missing and passes.

use std::fs;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tidelog_engine::{Durability, Options, Upkeep};
use tidelog_tests::numbered::{Compared, Said, batch};

#[test]
fn no_acknowledged_row_is_lost_on_ext4() {
    cuts("ext4", &["-q", "-F"], 0x5eed);
}

#[test]
fn no_acknowledged_row_is_lost_on_xfs() {
    cuts("xfs", &["-q", "-f"], 0xfeed);
}

fn cuts(fs: &str, mkfs: &[&str], seed: u64) {
    let mkfs_name = format!("mkfs.{fs}");
    for tool in ["linux.uml", &mkfs_name, "mount", "setsid"] {
        let found = ["/usr/bin", "/usr/sbin", "/bin", "/sbin"];
        if !found.iter().any(|directory| Path::new(directory).join(tool).exists()) {
            return note(&format!("skipped: {tool} is not installed"));
        }
    }
    let cuts: u64 =
        std::env::var("TIDELOG_POWER").map_or(3, |text| text.parse().expect("a number"));
    let started = Instant::now();
    let mut total = Compared::default();
    let (mut torn, mut lives) = (0u64, 0);
    for cut in 0..cuts {
        let Some(mut machine) = Machine::new(fs, &mkfs_name, mkfs) else {
            return note("skipped: an image cannot be made and mounted here (that takes root)");
        };
        let mut random = (seed + cut).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        for _ in 0..=cut % 2 {
            machine.live(Duration::from_millis(random % 700), cut % 3 != 0);
            random /= 3;
            lives += 1;
        }
        let (compared, torn_bytes) = machine.verify(&format!("{fs}, cut {cut}"));
        total.acknowledged += compared.acknowledged;
        total.whole += compared.whole;
        total.unacknowledged += compared.unacknowledged;
        torn += u64::from(torn_bytes > 0);
    }
    note(&format!(
        "{fs}: {lives} cuts of {cuts} machines, 0 acknowledged lost: {total:?}; {torn} had a torn tail; {:?}",
        started.elapsed()
    ));
    assert!(total.acknowledged > 0 || cuts == 0, "nothing was ever acknowledged");
}

#[expect(clippy::print_stderr, reason = "figures of a run")]
fn note(text: &str) {
    eprintln!("{text}");
}

/// A disk image, and what the workers on it have said.
struct Machine {
    directory: tempfile::TempDir,
    fs: String,
    said: Said,
}

impl Machine {
    fn new(fs: &str, mkfs: &str, options: &[&str]) -> Option<Self> {
        let memory = Path::new("/dev/shm");
        let directory =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let machine = Machine { directory: directory.ok()?, fs: fs.into(), said: Said::default() };
        // The least that xfs accepts.
        fs::File::create(machine.image()).ok()?.set_len(320 << 20).ok()?;
        let made = Command::new(mkfs).args(options).arg(machine.image()).output().ok()?;
        fs::create_dir(machine.mount_point()).ok()?;
        let mounted = made.status.success() && machine.mount();
        mounted.then(|| machine.unmount());
        mounted.then_some(machine)
    }

    fn image(&self) -> PathBuf {
        self.directory.path().join("disk.img")
    }

    fn mount_point(&self) -> PathBuf {
        self.directory.path().join("mnt")
    }

    fn mount(&self) -> bool {
        let mut mount = Command::new("mount");
        mount.args(["-o", "loop"]).arg(self.image()).arg(self.mount_point());
        mount.output().is_ok_and(|output| output.status.success())
    }

    fn unmount(&self) {
        let done = Command::new("umount").arg(self.mount_point()).status();
        assert!(done.is_ok_and(|status| status.success()), "cannot unmount the image");
    }

    /// Boots, waits until the worker has acknowledged something, and after a while cuts the power.
    fn live(&mut self, after: Duration, threads: bool) {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/power/init.sh");
        let mut command = Command::new("linux.uml");
        command
            .arg("mem=128M")
            .arg(format!("ubda={}", self.image().display()))
            .args(["rootfstype=hostfs", "rootflags=/", "rw", "quiet", "con=null"])
            .args(["con0=null,fd:1", "ssl=null"])
            .arg(format!("init={script}"))
            .arg(format!("power_fs={}", self.fs))
            .arg(format!("power_first={}", self.said.next()))
            .arg(format!("power_worker={}", env!("CARGO_BIN_EXE_worker")))
            .env("TMPDIR", self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0);
        if threads {
            command.arg("WORKER_THREADS=1");
        }
        let mut child = command.spawn().expect("linux.uml starts");
        let text = Arc::new(Mutex::new(Vec::new()));
        let reader = listen(&mut child, Arc::clone(&text));
        let booted = Instant::now();
        let acknowledged = |text: &Mutex<Vec<u8>>| {
            let text = text.lock().unwrap_or_else(PoisonError::into_inner);
            text.windows(5).any(|window| window == b"\nack ")
        };
        while !acknowledged(&text) && booted.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(after);
        self.cut(&mut child);
        reader.join().expect("a reader that does not panic");
        let text = text.lock().unwrap_or_else(PoisonError::into_inner);
        let text = String::from_utf8_lossy(&text);
        let before = self.said.acknowledged.len();
        self.said.hear(&text);
        assert!(self.said.acknowledged.len() > before, "the machine did not get to work: {text}");
        assert!(!text.contains("WRONG"), "{text}");
    }

    /// Ends every process of this machine at once: those that name its image, some of which have left
    /// the group of the one that was started.
    fn cut(&self, child: &mut Child) {
        let ours = format!("ubda={}", self.image().display());
        loop {
            let mut found = false;
            for entry in fs::read_dir("/proc").expect("/proc").flatten() {
                let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let pid = entry.file_name().to_string_lossy().parse::<u32>();
                let names = line.split(|byte| *byte == 0).any(|word| word == ours.as_bytes());
                if let (Ok(pid), true) = (pid, names) {
                    found = true;
                    let _ = Command::new("kill").args(["-9", &pid.to_string()]).output();
                }
            }
            let _ = child.try_wait();
            if !found {
                break;
            }
        }
        let _ = child.wait();
    }

    fn verify(&mut self, context: &str) -> (Compared, u64) {
        assert!(self.mount(), "{context}: the image cannot be mounted");
        let options = Options::new().memory_budget(1 << 20).upkeep(Upkeep::Caller);
        let store = options.open(self.mount_point().join("store"));
        let result = store.map_err(|error| error.to_string()).and_then(|store| {
            let report = store.open_report().clone();
            if !report.is_clean() {
                return Err(format!("{report:?}"));
            }
            let compared =
                self.said.compare(&store).map_err(|wrong| format!("{wrong}; {report:?}"))?;
            let next = store.write(&batch(self.said.next()), Durability::Sync);
            next.map_err(|error| error.to_string())?;
            Ok((compared, report.torn_bytes))
        });
        self.unmount();
        result.unwrap_or_else(|error| panic!("{context}: {error}; {:?}", self.said.others))
    }
}

fn listen(child: &mut Child, text: Arc<Mutex<Vec<u8>>>) -> std::thread::JoinHandle<()> {
    let mut pipe = child.stdout.take().expect("a pipe");
    std::thread::spawn(move || {
        let mut part = [0; 4096];
        while let Ok(len) = pipe.read(&mut part) {
            if len == 0 {
                return;
            }
            text.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&part[..len]);
        }
    })
}
