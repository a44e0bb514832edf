//! The last part of the demo: three replicas over QUIC on loopback, one of them killed, left behind, and made equal again by
//! comparing.
//!
//! What they hold in the end is held against the demo's oracle, and so is each of their stores when all have ended.

mod child;
mod levels;
mod metered;
mod plan;
mod process;

pub(in super::super) use child::DemoReplica;
pub(super) use metered::run as run_metered;

use super::super::{bytes_on_disk, counted, grouped};
use super::Report;
use super::check::Rows;
use crate::error::CommandError;
use levels::{Counts, Digests, LEVELS};
use plan::{Plan, Step};
use process::Process;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};
use tidelog::Store;
use tidelog::replication::identity::{Identity, LIFETIME};

const NAMES: [&str; 3] = ["a", "b", "c"];
/// The one that is killed.
const KILLED: usize = 2;
/// Stores that are not equal by then do not become so.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at what goes on.
const PAUSE: Duration = Duration::from_millis(5);

/// Why the part ended early.
pub(super) enum Stop {
    /// A claim does not hold.
    Claim(String),
    Command(CommandError),
}

impl From<String> for Stop {
    fn from(text: String) -> Self {
        Stop::Claim(text)
    }
}

impl From<CommandError> for Stop {
    fn from(error: CommandError) -> Self {
        Stop::Command(error)
    }
}

/// The replicas that run, and what they must hold.
struct Replicas {
    folder: PathBuf,
    processes: [Option<Process>; NAMES.len()],
    oracle: Rows,
    /// What filling the third one took on the wire.
    filled_bytes: u64,
}

/// Where c differed when it came back, and what it has to hold there.
struct Watch {
    windows: Vec<(i64, i64)>,
    target: Digests,
}

/// Runs the part; its stores and configurations stay in the folder.
pub(super) fn run(report: &mut Report<'_>, folder: PathBuf) -> Result<(), Stop> {
    report
        .say("4. Three replicas of real data, each a process of its own, over QUIC on loopback")?;
    let plan = Plan::new().map_err(|error| error.to_string())?;
    prepare(&folder, &NAMES, "")?;
    let mut replicas =
        Replicas { folder, processes: Default::default(), oracle: Rows::new(), filled_bytes: 0 };
    for number in 0..NAMES.len() {
        replicas.start(number)?;
        replicas.ask(number, &json!({ "do": "join" }))?;
    }
    replicas.fill(report, &plan)?;
    replicas.kill_one_and_go_on(report, &plan)?;
    replicas.catch_up(report)?;
    replicas.follow(report, &plan)?;
    replicas.close_and_compare(report)
}

impl Replicas {
    fn start(&mut self, number: usize) -> Result<(), String> {
        let name = NAMES[number];
        let process = Process::start(name, &self.folder.join(name).with_extension("toml"))?;
        self.processes[number] = Some(process);
        Ok(())
    }

    fn ask(&self, number: usize, request: &Value) -> Result<Value, String> {
        match &self.processes[number] {
            Some(process) => process.ask(request),
            None => Err(format!("replica {} does not run", NAMES[number])),
        }
    }

    /// On a replica and on the oracle.
    fn take(&mut self, (number, step): &(usize, Step)) -> Result<(), String> {
        self.ask(*number, &step.to_json())?;
        step.apply(&mut self.oracle);
        Ok(())
    }

    fn fill(&mut self, report: &mut Report<'_>, plan: &Plan) -> Result<(), Stop> {
        let begun = Instant::now();
        plan.filling.iter().try_for_each(|step| self.take(step))?;
        self.seal(&[0, 1, 2])?;
        let root = self.wait_until_equal(&[0, 1, 2])?;
        self.wait_until_agreed()?;
        let (rows, seconds) = (self.oracle.len() as u64, begun.elapsed().as_secs_f64());
        self.seal(&[0, 1, 2])?;
        report.say(&format!(
            "   {} written, by turns of days, on a and b; all three have root {} after {seconds:.2} s",
            counted(rows, "row"),
            shortly(&root),
        ))?;
        self.filled_bytes =
            self.bytes_by(&[KILLED], NAMES[0])?[0] + self.bytes_by(&[KILLED], NAMES[1])?[0];
        report.replicas.insert("rows_filled".to_owned(), rows.into());
        report.replicas.insert("fill_seconds".to_owned(), seconds.into());
        Ok(())
    }

    /// Has them write files and seal the pyramid, as they do by themselves when nobody writes; their logs end with it.
    fn seal(&self, numbers: &[usize]) -> Result<(), String> {
        numbers
            .iter()
            .try_for_each(|number| self.ask(*number, &json!({ "do": "seal" })).map(|_| ()))
    }

    /// One is killed while it receives; the others write on, and let go of their logs.
    fn kill_one_and_go_on(&mut self, report: &mut Report<'_>, plan: &Plan) -> Result<(), Stop> {
        let (first, rest) = plan.meanwhile.split_at(1);
        first.iter().try_for_each(|step| self.take(step))?;
        if let Some(process) = self.processes[KILLED].take() {
            process.kill()?;
        }
        rest.iter().try_for_each(|step| self.take(step))?;
        self.wait_until_equal(&[0, 1])?;
        self.seal(&[0, 1])?;
        report.say(&format!("   c is killed (SIGKILL) in mid-write; meanwhile {}", plan.told))?;
        Ok(())
    }

    /// The one that was killed starts again; what differs is watched until nothing does.
    fn catch_up(&mut self, report: &mut Report<'_>) -> Result<(), Stop> {
        self.start(KILLED)?;
        report.say("   c is back, and the logs of a and b do not reach back to what it missed: it compares")?;
        let before = self.bytes_by(&[0, 1], NAMES[KILLED])?;
        let (mut seen, watch) = self.differences()?;
        let begun = Instant::now();
        self.ask(KILLED, &json!({ "do": "join" }))?;
        let names = LEVELS.map(|(name, _)| format!("{name:>13}")).concat();
        report.say(&format!("     {:<10}{names}", "differing"))?;
        let mut steps = Vec::new();
        let mut seconds = 0.0;
        loop {
            let counts = seen.map(|count| format!("{:>13}", grouped(count))).concat();
            report.say(&format!("     {:<10}{counts}", format!("{seconds:.2} s")))?;
            steps.push(json!({ "seconds": seconds, "differing": seen }));
            if seen == [0; LEVELS.len()] {
                break;
            }
            seen = self.wait_for_other_counts(seen, &watch, begun)?;
            seconds = begun.elapsed().as_secs_f64();
        }
        if steps.len() < 2 {
            return Err("c missed nothing while it was away".to_owned().into());
        }
        self.wait_until_equal(&[0, 1, 2])?;
        self.wait_until_agreed()?;
        report.replicas.insert("catch_up".to_owned(), steps.into());
        report.replicas.insert("catch_up_seconds".to_owned(), seconds.into());
        self.tell_bytes(report, before)
    }

    /// Waits until other nodes differ than before.
    fn wait_for_other_counts(
        &self,
        seen: Counts,
        watch: &Watch,
        begun: Instant,
    ) -> Result<Counts, String> {
        loop {
            let request = json!({ "do": "digests", "level": "series", "windows": watch.windows });
            let series = levels::parse(&self.ask(KILLED, &request)?);
            let now = levels::counts(&levels::differing(&watch.target, &series));
            if now != seen {
                return Ok(now);
            }
            if begun.elapsed() > PATIENCE {
                let what =
                    LEVELS.iter().zip(seen).map(|((name, _), count)| format!("{count} {name}"));
                let what = what.collect::<Vec<_>>().join(", ");
                return Err(format!("after {} s c still differs in {what}", PATIENCE.as_secs()));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// In how many nodes of each level c differs from a, while nobody writes.
    fn differences(&self) -> Result<(Counts, Watch), String> {
        let (mut counted, mut series, mut target) =
            (Counts::default(), BTreeSet::new(), Digests::new());
        for ((_, level), count) in LEVELS.iter().zip(&mut counted) {
            let request = json!({ "do": "digests", "level": level });
            target = levels::parse(&self.ask(0, &request)?);
            series = levels::differing(&target, &levels::parse(&self.ask(KILLED, &request)?));
            *count = series.len() as u64;
        }
        // From here on only series are asked for, at one moment, and the levels above them are counted.
        let above = levels::counts(&series);
        if counted != above {
            return Err(format!(
                "{counted:?} nodes differ, and {above:?} stand above series that do"
            ));
        }
        let windows = levels::windows(&series);
        target.retain(|node, _| node.is_inside(&windows));
        Ok((counted, Watch { windows, target }))
    }

    /// What went over the wire since c is back, both ways.
    fn tell_bytes(&self, report: &mut Report<'_>, before: [u64; 2]) -> Result<(), Stop> {
        let status = self.ask(KILLED, &json!({ "do": "status" }))?;
        let peers = || status.as_object().into_iter().flatten().map(|(_, peer)| peer);
        let sum = |what: &str| peers().filter_map(|peer| peer[what].as_u64()).sum::<u64>();
        let after = self.bytes_by(&[0, 1], NAMES[KILLED])?;
        let compared = sum("compared_bytes") + after[1].saturating_sub(before[1]);
        let followed = sum("bytes").saturating_sub(compared);
        let store = self.folder.join(NAMES[0]);
        let copy = bytes_on_disk(&store)
            .map_err(|source| CommandError::File { path: store.clone(), source })?;
        report.say(&format!(
            "   {} bytes by comparing, {} by following logs; filling c took {}, and a copy of the store is {}",
            grouped(compared),
            grouped(followed),
            grouped(self.filled_bytes),
            grouped(copy)
        ))?;
        let figures = &mut report.replicas;
        figures.insert("bytes_of_filling".to_owned(), self.filled_bytes.into());
        figures.insert("rows_repaired".to_owned(), sum("rows_taken").into());
        figures.insert("bytes_compared".to_owned(), compared.into());
        figures.insert("bytes_followed".to_owned(), followed.into());
        figures.insert("bytes_of_a_copy".to_owned(), copy.into());
        Ok(())
    }

    /// What is written now is on all a moment later.
    fn follow(&mut self, report: &mut Report<'_>, plan: &Plan) -> Result<(), Stop> {
        let begun = Instant::now();
        plan.afterwards.iter().try_for_each(|step| self.take(step))?;
        let root = self.wait_until_equal(&[0, 1, 2])?;
        let millis = begun.elapsed().as_secs_f64() * 1e3;
        report.say(&format!(
            "   the last late rows are written on a, and {millis:.0} ms later all three have root {}",
            shortly(&root)
        ))?;
        report.replicas.insert("follow_ms".to_owned(), millis.into());
        report.replicas.insert("root".to_owned(), root.into());
        Ok(())
    }

    /// Ends all, and compares each store with the oracle, byte checks included.
    fn close_and_compare(mut self, report: &mut Report<'_>) -> Result<(), Stop> {
        for process in &mut self.processes {
            process.take().map_or(Ok(()), Process::close)?;
        }
        let before = (report.rows_compared, report.windows_compared);
        for name in NAMES {
            let store = Store::open(self.folder.join(name)).map_err(CommandError::from)?;
            report.compare(&store, &plan::collection(), &self.oracle)?;
            let found = store.check(|_, _| true).map_err(CommandError::from)?.findings;
            report.failures.extend(found.iter().map(|one| format!("replica {name}: {one}")));
            store.close().map_err(CommandError::from)?;
        }
        let (rows, windows) = (report.rows_compared - before.0, report.windows_compared - before.1);
        report.say(&format!(
            "   {} and {} of the three compared with the demo's own; every byte verified",
            counted(rows, "row"),
            counted(windows, "hourly mean")
        ))?;
        Ok(())
    }

    /// Waits until these have one root, and says which.
    fn wait_until_equal(&self, numbers: &[usize]) -> Result<String, String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let begun = Instant::now();
            let mut roots = Vec::new();
            for number in numbers {
                let answer = self.ask(*number, &json!({ "do": "digests", "level": "root" }))?;
                let root = levels::parse(&answer).into_values().next();
                roots.push(root.unwrap_or_else(|| "no rows".to_owned()));
            }
            if roots.iter().all(|root| *root == roots[0]) {
                return Ok(roots.swap_remove(0));
            }
            if Instant::now() > until {
                let told = numbers.iter().zip(&roots);
                let told =
                    told.map(|(number, root)| format!("{} {}", NAMES[*number], shortly(root)));
                let told = told.collect::<Vec<_>>().join(", ");
                return Err(format!("after {} s roots differ: {told}", PATIENCE.as_secs()));
            }
            // What is not sealed yet is hashed anew for each answer: at least half of the time is for the work itself.
            std::thread::sleep(begun.elapsed().max(PAUSE));
        }
    }

    /// Waits until comparisons of c with both others have come to their end since it started.
    fn wait_until_agreed(&self) -> Result<(), String> {
        let until = Instant::now() + PATIENCE;
        loop {
            let status = self.ask(KILLED, &json!({ "do": "status" }))?;
            if [0, 1].iter().all(|number| status[NAMES[*number]]["agreed"] == true) {
                return Ok(());
            }
            if Instant::now() > until {
                return Err(format!("c agreed with a and b in no comparison: {status}"));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Bytes between these and a peer: all, and those of comparisons that they began.
    fn bytes_by(&self, numbers: &[usize], peer: &str) -> Result<[u64; 2], String> {
        let mut bytes = [0; 2];
        for number in numbers {
            let status = self.ask(*number, &json!({ "do": "status" }))?;
            for (sum, what) in bytes.iter_mut().zip(["bytes", "compared_bytes"]) {
                *sum += status[peer][what].as_u64().unwrap_or_default();
            }
        }
        Ok(bytes)
    }
}

/// Stores, keys and configurations, as `tidelog cert` and `tidelog pair` would make them. Of each peer more can be said.
fn prepare(folder: &Path, names: &[&str], of_peers: &str) -> Result<(), Stop> {
    let failed = |error: &dyn std::fmt::Display| format!("replicas cannot be prepared: {error}");
    std::fs::create_dir_all(folder).map_err(|error| failed(&error))?;
    let mut fingerprints = Vec::new();
    for name in names {
        let store = Store::open(folder.join(name)).map_err(CommandError::from)?;
        let identity = Identity::generate(store.store_id(), SystemTime::now(), LIFETIME)
            .map_err(CommandError::from)?;
        identity.save(&folder.join(format!("{name}.id"))).map_err(CommandError::from)?;
        fingerprints.push(identity.fingerprint());
        store.close().map_err(CommandError::from)?;
    }
    // All at once, so that no two get one port.
    let sockets: Vec<_> = names.iter().map(|_| UdpSocket::bind(("127.0.0.1", 0))).collect();
    let mut addresses = Vec::new();
    for socket in sockets {
        let address = socket.and_then(|socket| socket.local_addr());
        addresses.push(address.map_err(|error| failed(&error))?);
    }
    for (own, name) in names.iter().enumerate() {
        let listen = addresses[own];
        let mut text = format!(
            "[node]\nname = \"{name}\"\nlisten = \"{listen}\"\nstore = \"{name}\"\nidentity = \"{name}.id\"\n"
        );
        for (peer, name) in names.iter().enumerate().filter(|(peer, _)| *peer != own) {
            let (address, fingerprint) = (addresses[peer], fingerprints[peer]);
            text += &format!(
                "\n[[peer]]\nname = \"{name}\"\naddress = \"{address}\"\nfingerprint = \"{fingerprint}\"\n{of_peers}"
            );
        }
        let path = folder.join(format!("{name}.toml"));
        std::fs::write(&path, text).map_err(|source| CommandError::File { path, source })?;
    }
    Ok(())
}

/// The beginning of a digest, enough for people to see that two are one.
fn shortly(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
