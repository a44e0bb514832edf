//! Machines that all know each other, and how it is seen that they are equal.

use crate::machine::Machine;
use crate::net::{Net, address};
use crate::note;
use serde_json::Value;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

const NAMES: [&str; 3] = ["a", "b", "c"];
/// The collection of most tests.
pub(crate) const SEA: &str = "sea.level";
/// A digest in hexadecimal, and the end of its line.
const DIGEST: usize = 65;

/// The machines are ended before their network is.
pub(crate) struct Cluster {
    pub(crate) machines: Vec<Machine>,
    pub(crate) net: Net,
}

impl Cluster {
    /// Three machines with nodes that run; `None`, with a note, where there can be none.
    pub(crate) fn start() -> Option<Self> {
        let mut cluster = Self::new(NAMES.len())?;
        cluster.machines.iter_mut().for_each(Machine::start);
        Some(cluster)
    }

    /// Waits until every node has settled with each of its peers what was written before they were linked.
    pub(crate) fn settled(&self) {
        for machine in &self.machines {
            machine.wait("it has compared with all", || {
                let status = machine.status();
                let peers = status["peers"].as_array().into_iter().flatten();
                let settled = peers.filter(|peer| peer["state"] == "connected").count();
                settled + 1 == self.machines.len()
            });
        }
    }

    /// Waits until stamps are of the wall clock again. A store that was just made, or died, draws them up to 10 s ahead of it,
    /// and of two that are parted the one that writes more often then is the later one.
    pub(crate) fn stamps_are_of_now(&self) {
        for machine in &self.machines {
            machine.wait("its stamps are of now", || {
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
                let status = machine.status();
                let peers = status["peers"].as_array().into_iter().flatten();
                let known = peers.filter_map(|peer| peer["known_ms"].as_u64()).max();
                known.is_some_and(|known| u128::from(known) <= now)
            });
        }
    }

    /// A network for three, with so many machines in it that know each other.
    pub(crate) fn new(count: usize) -> Option<Self> {
        let mut cluster = Cluster { machines: Vec::new(), net: Net::new(NAMES.len())? };
        (0..count).for_each(|_| cluster.add());
        Some(cluster)
    }

    /// One more, which all know and which knows all.
    pub(crate) fn add(&mut self) {
        let number = self.machines.len();
        let new = Machine::new(NAMES[number], self.net.name(number), &address(number));
        for other in &self.machines {
            new.pair(other);
            other.pair(&new);
        }
        self.machines.push(new);
    }

    /// Waits until all have equal content roots of a collection; then they have to answer alike, too. How long it took.
    pub(crate) fn equal(&self, what: &str, collection: &str, limit: Duration) -> Duration {
        let begun = Instant::now();
        let root = |machine: &Machine| machine.told(&["digest", "plant", collection]);
        loop {
            let roots: Vec<String> = self.machines.iter().map(root).collect();
            if roots[0].len() == DIGEST && roots.iter().all(|root| *root == roots[0]) {
                break;
            }
            if begun.elapsed() > limit {
                panic!("{what}: not equal after {limit:?}: {roots:?}\n{}", self.told());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let took = begun.elapsed();
        let question = ["--every", "1d", "--agg", "count,mean,first,last", "--format", "csv"];
        let question = [&["query", "plant", collection][..], &question].concat();
        let answers: Vec<String> = self.machines.iter().map(|one| one.text(&question)).collect();
        assert!(answers.iter().all(|answer| *answer == answers[0]), "{what}: the answers differ");
        let sent: Vec<u64> =
            self.machines.iter().map(|one| sum(&one.status(), "bytes_sent")).collect();
        note(&format!(
            "{what}: equal after {:.1} s; a, b and c sent {sent:?} bytes since they started",
            took.as_secs_f64()
        ));
        took
    }

    /// The rows of a device between two times, from the first machine.
    pub(crate) fn rows(&self, device: &str, from: i64, to: i64) -> Vec<String> {
        let (from, to) = (from.to_string(), to.to_string());
        let part = ["--device", device, "--from", &from, "--to", &to, "--format", "csv"];
        let text = self.machines[0].text(&[&["query", "plant", SEA][..], &part].concat());
        text.lines().skip(1).map(str::to_owned).collect()
    }

    /// How things stand and what the nodes said, to be put behind an error.
    pub(crate) fn told(&self) -> String {
        let told = |machine: &Machine| {
            format!("{}: {}{}\n", machine.name, machine.status(), machine.log())
        };
        self.machines.iter().map(told).collect()
    }

    /// How often nodes were linked so far.
    pub(crate) fn links(&self) -> usize {
        let linked = |machine: &Machine| machine.log().matches("Connected {").count();
        self.machines.iter().map(linked).sum()
    }
}

/// A figure of a status, of all peers.
pub(crate) fn sum(status: &Value, figure: &str) -> u64 {
    let peers = status["peers"].as_array().into_iter().flatten();
    peers.filter_map(|peer| peer[figure].as_u64()).sum()
}
