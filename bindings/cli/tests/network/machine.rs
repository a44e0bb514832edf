//! A machine: a folder with a store, its identity and its configuration, and a node when one runs. Everything is done by the
//! command, as people do it.

use crate::is_long;
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What takes longer has not been done.
const PATIENCE: Duration = Duration::from_secs(30);
/// So little that a node flushes in the seconds of a test, as others do in hours.
const MEMORY: &str = "2MiB";
/// The port of every node.
const PORT: u16 = 7447;

pub(crate) struct Machine {
    pub(crate) name: &'static str,
    folder: tempfile::TempDir,
    /// Its network namespace.
    namespace: String,
    address: String,
    fingerprint: String,
    node: Option<Running>,
}

/// A process that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Machine {
    pub(crate) fn new(name: &'static str, namespace: String, host: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let address = format!("{host}:{PORT}");
        let fingerprint = String::new();
        let mut machine = Machine { name, folder, namespace, address, fingerprint, node: None };
        let cert = machine.text(&["cert", "plant", "--out", "keys"]);
        let line = cert.lines().find(|line| line.starts_with("fingerprint")).unwrap();
        machine.fingerprint = line.split_whitespace().nth(1).unwrap().to_owned();
        let text = format!(
            "[node]\nlisten = \"0.0.0.0:{PORT}\"\nstore = \"plant\"\nidentity = \"keys\"\n"
        );
        std::fs::write(machine.path("node.toml"), text).unwrap();
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command.output().unwrap()
    }

    /// What a command prints that has to succeed.
    pub(crate) fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {arguments:?}: {told}{}", self.name, self.log());
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a command prints, whatever it says of its success.
    pub(crate) fn told(&self, arguments: &[&str]) -> String {
        String::from_utf8(self.run(arguments).stdout).unwrap()
    }

    pub(crate) fn status(&self) -> Value {
        serde_json::from_str(&self.told(&["status", "plant", "--json"])).unwrap_or_default()
    }

    /// Tells it of a peer.
    pub(crate) fn pair(&self, peer: &Machine) {
        let to = ["--name", peer.name, "--address", &peer.address];
        let key = ["--fingerprint", &peer.fingerprint];
        self.text(&[&["pair", "--config", "node.toml"][..], &to, &key].concat());
    }

    /// Seconds that all threads of its node have worked.
    pub(crate) fn worked(&self) -> f64 {
        let pid = self.node.as_ref().map_or(0, |node| node.0.id());
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name in brackets: user and system time are the 12th and 13th, in hundredths.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
    }

    /// Starts its node, and waits until it answers.
    pub(crate) fn start(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.path("node.log"));
        let child = Command::new("ip")
            .args(["netns", "exec", &self.namespace, env!("CARGO_BIN_EXE_tidelog")])
            .args(["node", "--config", "node.toml", "--log", "info"])
            .args(["--memory", if is_long() { "128MiB" } else { MEMORY }])
            .current_dir(&self.folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log.unwrap())
            .spawn();
        // `ip` becomes the node: the process that is killed is the node's.
        self.node = Some(Running(child.unwrap()));
        self.wait("its node answers", || self.status()["ready"].is_boolean());
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.node = None;
    }

    /// SIGTERM, and the node closes its store.
    pub(crate) fn stop(&mut self) {
        let mut node = self.node.take().unwrap();
        Command::new("kill").arg(node.0.id().to_string()).status().unwrap();
        let until = Instant::now() + PATIENCE;
        let ended = loop {
            match node.0.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < until, "{} does not end", self.name),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert!(ended.success(), "{}: {ended}{}", self.name, self.log());
    }

    /// Writes rows: by the node if one runs.
    pub(crate) fn import(&self, collection: &str, csv: &str) {
        std::fs::write(self.path("rows.csv"), csv).unwrap();
        self.text(&["import", "plant", collection, "rows.csv"]);
    }

    pub(crate) fn wait(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < until, "{}: {what}: not so{}", self.name, self.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// What its nodes said, to be put behind an error.
    pub(crate) fn log(&self) -> String {
        format!("\n{}", std::fs::read_to_string(self.path("node.log")).unwrap_or_default())
    }
}
