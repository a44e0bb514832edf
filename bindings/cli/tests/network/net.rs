//! A network of namespaces: one for each machine, and one with the bridge between them. It is gone when it is dropped.
//!
//! What arrives is dropped at the receiver (the hook `input`), as a network loses it: dropped at the sender, a send would be
//! an error that no network gives.

use crate::note;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// How the namespaces of this test are called; the process id follows.
const PREFIX: &str = "tidelog-net-";

pub(crate) struct Net {
    prefix: String,
    machines: usize,
}

impl Net {
    /// `None`, with a note, where such a network cannot be made.
    pub(crate) fn new(machines: usize) -> Option<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        sweep();
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        // Made first, so that half a network is taken down, too.
        let net = Net { prefix: format!("{PREFIX}{}-{number}", std::process::id()), machines };
        match net.build() {
            Ok(()) => Some(net),
            Err(why) => {
                assert!(std::env::var_os("TIDELOG_NETWORK").is_none(), "no network: {why}");
                note(&format!("skipped: {why} (that takes root, ip and nft)"));
                None
            }
        }
    }

    fn build(&self) -> Result<(), String> {
        let hub = self.hub();
        run(&["ip", "netns", "add", &hub])?;
        run(&["ip", "-n", &hub, "link", "add", "br0", "type", "bridge"])?;
        run(&["ip", "-n", &hub, "link", "set", "br0", "up"])?;
        for machine in 0..self.machines {
            let (own, port) = (self.name(machine), port(machine));
            let address = format!("{}/24", address(machine));
            run(&["ip", "netns", "add", &own])?;
            let veth = ["type", "veth", "peer", "name", "e0", "netns", &own];
            run(&[&["ip", "-n", &hub, "link", "add", &port], &veth[..]].concat())?;
            run(&["ip", "-n", &hub, "link", "set", &port, "master", "br0", "up"])?;
            run(&["ip", "-n", &own, "address", "add", &address, "dev", "e0"])?;
            run(&["ip", "-n", &own, "link", "set", "e0", "up"])?;
            run(&["ip", "-n", &own, "link", "set", "lo", "up"])?;
            self.nft(machine, "add table inet faults")?;
            self.nft(machine, "add chain inet faults in { type filter hook input priority 0; }")?;
        }
        Ok(())
    }

    /// The namespace of a machine.
    pub(crate) fn name(&self, machine: usize) -> String {
        format!("{}-{machine}", self.prefix)
    }

    fn hub(&self) -> String {
        format!("{}-hub", self.prefix)
    }

    /// From now on nothing that `from` sends arrives at `at`.
    pub(crate) fn cut(&self, from: usize, at: usize) {
        self.rule(at, &format!("ip saddr {} drop", address(from)));
    }

    /// From now on a share of what arrives at a machine is lost.
    pub(crate) fn lose(&self, at: usize, percent: u32) {
        self.rule(at, &format!("iif e0 numgen random mod 100 < {percent} drop"));
    }

    /// Everything arrives again.
    pub(crate) fn heal(&self) {
        for machine in 0..self.machines {
            self.nft(machine, "flush chain inet faults in").unwrap();
        }
    }

    /// What a machine sends and what it gets passes a link of so much each, with room for 400 ms of packets.
    pub(crate) fn limit(&self, machine: usize, rate: &str) {
        let shape = ["root", "tbf", "rate", rate, "burst", "32kbit", "latency", "400ms"];
        for (namespace, device) in [(self.name(machine), "e0"), (self.hub(), &*port(machine))] {
            let on = ["tc", "-n", &namespace, "qdisc", "replace", "dev", device];
            run(&[&on[..], &shape].concat()).unwrap();
        }
    }

    /// Bytes on the wire that a machine sent, everything included.
    pub(crate) fn wire_bytes(&self, machine: usize) -> u64 {
        let shown = run(&["ip", "-j", "-s", "-n", &self.name(machine), "link", "show", "e0"]);
        let shown: serde_json::Value = serde_json::from_str(&shown.unwrap()).unwrap();
        shown[0]["stats64"]["tx"]["bytes"].as_u64().unwrap()
    }

    fn rule(&self, machine: usize, rule: &str) {
        self.nft(machine, &format!("add rule inet faults in {rule}")).unwrap();
    }

    fn nft(&self, machine: usize, command: &str) -> Result<String, String> {
        run(&["ip", "netns", "exec", &self.name(machine), "nft", command])
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for machine in 0..self.machines {
            let _ = run(&["ip", "netns", "del", &self.name(machine)]);
        }
        let _ = run(&["ip", "netns", "del", &self.hub()]);
    }
}

/// Where a machine is.
pub(crate) fn address(machine: usize) -> String {
    format!("10.77.0.{}", machine + 1)
}

/// The machine's end at the bridge.
fn port(machine: usize) -> String {
    format!("port{machine}")
}

/// Takes down what runs left behind that were killed, and what still runs in it.
fn sweep() {
    let Ok(list) = run(&["ip", "netns", "list"]) else { return };
    let names = list.lines().filter_map(|line| line.split_whitespace().next());
    for name in names {
        let pid = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if pid.is_none_or(|pid| std::path::Path::new("/proc").join(pid).exists()) {
            continue;
        }
        let left = run(&["ip", "netns", "pids", name]).unwrap_or_default();
        for pid in left.split_whitespace() {
            let _ = run(&["kill", "-9", pid]);
        }
        let _ = run(&["ip", "netns", "del", name]);
    }
}

/// What a program printed, or why it could not do its work.
fn run(words: &[&str]) -> Result<String, String> {
    let told = |what: &str| format!("`{}`: {what}", words.join(" "));
    let Output { status, stdout, stderr } = Command::new(words[0])
        .args(&words[1..])
        .output()
        .map_err(|error| told(&error.to_string()))?;
    match status.success() {
        true => Ok(String::from_utf8_lossy(&stdout).into_owned()),
        false => Err(told(String::from_utf8_lossy(&stderr).trim())),
    }
}
