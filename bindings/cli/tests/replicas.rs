//! The commands of replicas as people type them, over real QUIC on loopback: cert, pair, node, status, repair, sync.
#![cfg(feature = "replication")]

use serde_json::Value;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// What is waited for longer has not come.
const PATIENCE: Duration = Duration::from_secs(60);

/// A machine: a folder with a store `plant`, its identity `keys`, its configuration `node.toml`.
struct Machine {
    folder: tempfile::TempDir,
    address: String,
    fingerprint: String,
}

/// A node that ends with the test, however that ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Ends it as an operator would: its peers are told, and need not find out by its silence.
    fn end(mut self) {
        let kill = format!("kill -TERM {}", self.0.id());
        assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
        let _ = self.0.wait();
    }
}

impl Machine {
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap().to_string();
        let mut machine = Machine { folder, address, fingerprint: String::new() };
        let cert = machine.text(&["cert", "plant", "--out", "keys"]);
        let text = format!(
            "[node]\nlisten = \"{}\"\nstore = \"plant\"\nidentity = \"keys\"\n{more}",
            machine.address
        );
        std::fs::write(machine.path("node.toml"), text).unwrap();
        // What `cert` said is what `pair` says.
        assert_eq!(machine.text(&["pair", "--config", "node.toml"]), cert);
        machine.fingerprint = fingerprint(&cert);
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tidelog"));
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn text(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", told(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.text(arguments)).unwrap()
    }

    fn node(&self) -> Running {
        let mut command = self.command(&["node", "--config", "node.toml"]);
        Running(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    }

    /// Tells it of a peer by `pair`.
    fn pair(&self, name: &str, peer: &Machine) -> Output {
        let (address, fingerprint) = (&peer.address, &peer.fingerprint);
        let to = ["--name", name, "--address", address, "--fingerprint", fingerprint];
        self.run(&[&["pair", "--config", "node.toml"][..], &to].concat())
    }

    fn import(&self, rows: &str) {
        std::fs::write(self.path("rows.csv"), format!("device,timestamp_ns,level\n{rows}"))
            .unwrap();
        self.text(&["import", "plant", "db.tank", "rows.csv"]);
    }

    fn root(&self) -> String {
        let output = self.run(&["digest", "plant", "db.tank"]);
        String::from_utf8(output.stdout).unwrap()
    }

    fn sync(&self, peer: &Machine, fingerprint: &str, timeout: &str) -> Output {
        let to = ["--peer", &peer.address, "--fingerprint", fingerprint, "--identity", "keys"];
        self.run(&[&["sync", "plant"][..], &to, &["--timeout", timeout, "--json"]].concat())
    }
}

fn fingerprint(text: &str) -> String {
    let line = text.lines().find(|line| line.starts_with("fingerprint")).unwrap();
    line.split_whitespace().nth(1).unwrap().to_owned()
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "{what}: not so after {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Both know each other.
fn paired() -> (Machine, Machine) {
    let (a, b) = (Machine::new(""), Machine::new(""));
    assert!(a.pair("b", &b).status.success());
    assert!(b.pair("a", &a).status.success());
    (a, b)
}

#[test]
fn two_nodes_become_equal_and_say_how_they_stand() {
    let (a, b) = paired();
    a.import("pump,0,1.5\npump,1,2.5\n");
    b.import("fan,0,7.5\n");
    let _nodes = (a.node(), b.node());
    wait_until("both hold three rows", || {
        let root = a.root();
        root != "no rows\n" && root == b.root()
    });
    assert_eq!(b.text(&["export", "plant", "db.tank"]).lines().count(), 4);
    // A link is up, and so `repair` compares at once.
    let status = || a.json(&["status", "plant", "--json"]);
    wait_until("a is ready", || status()["ready"] == true);
    assert_eq!(status()["peers"][0]["name"], "b", "{}", status());
    wait_until("every group is active", || {
        a.text(&["status", "plant"]).starts_with("ready\ngroups: 8 active\nb ")
    });
    let repair = a.json(&["repair", "plant", "--peer", "b", "--json"]);
    assert_eq!((&repair["peer"], &repair["outcome"]), (&"b".into(), &"agreed".into()), "{repair}");
    // Beside the nodes, which write then: both arrive on the other side.
    a.import("pump,2,3.5\npump,3,4.5\n");
    let deleted = b.text(&["delete", "plant", "db.tank", "--device", "fan"]);
    assert!(deleted.starts_with("deleted"), "{deleted}");
    wait_until("b has what a wrote and a lacks what b deleted", || {
        let rows = |machine: &Machine| machine.text(&["export", "plant", "db.tank"]);
        a.root() == b.root() && rows(&a).lines().count() == 5 && !rows(&a).contains("fan")
    });
    let stranger = a.run(&["repair", "plant", "--peer", "c"]);
    assert!(!stranger.status.success() && told(&stranger).contains("no link with a peer c"));
}

#[test]
fn a_policy_of_the_configuration_decides_and_tells_what_it_did() {
    let metered = "[policy]\nuse = \"newest-first\"\nrecord = \"rounds\"\nbytes_per_day = 9000\n";
    let (a, b) = (Machine::new(metered), Machine::new(""));
    assert!(a.pair("b", &b).status.success());
    assert!(b.pair("a", &a).status.success());
    a.import("pump,0,1.5\npump,1,2.5\n");
    b.import("fan,0,7.5\n");
    let _nodes = (a.node(), b.node());
    wait_until("both hold three rows", || {
        let root = a.root();
        root != "no rows\n" && root == b.root()
    });
    wait_until("a has planned a round", || {
        let status = a.json(&["status", "plant", "--json"]);
        status["policy"]["name"] == "newest-first" && status["policy"]["rounds"] == 1
    });
    let text = a.text(&["status", "plant"]);
    let line =
        "policy newest-first: planned 1 rounds, 0 windows wait, 0 of 9,000 bytes of today used";
    assert!(text.contains(line), "{text}");
    wait_until("the round is recorded", || {
        let bytes = std::fs::read(a.path("rounds")).unwrap_or_default();
        let len = bytes.first_chunk().map(|len| u32::from_le_bytes(*len) as usize);
        len.is_some_and(|len| len > 0 && bytes.len() == len + 4)
    });
    let c = Machine::new("[policy]\nuse = \"uplink.wasm\"\n");
    let refused = c.run(&["node", "--config", "node.toml"]);
    assert!(!refused.status.success() && told(&refused).contains("uplink.wasm"));
}

#[test]
fn a_running_node_is_given_another_policy_and_keeps_the_one_it_has_when_that_cannot_be() {
    let (a, b) = (
        Machine::new("[policy]\nuse = \"newest-first\"\nbytes_per_day = 9000\n"),
        Machine::new(""),
    );
    assert!(a.pair("b", &b).status.success());
    let _node = a.node();
    wait_until("a answers", || a.run(&["status", "plant"]).status.success());
    let now = || a.json(&["policy", "list", "plant", "--json"]);
    assert_eq!(now()["name"], "newest-first");
    let text = a.text(&["policy", "enable", "plant", "metered", "--raw-hours", "22:00-06:00"]);
    assert!(text.starts_with("policy metered: planned 0 rounds"), "{text}");
    assert!(text.contains("0 of 9,000 bytes"), "the bounds of the configuration stay: {text}");
    assert_eq!(now()["name"], "metered");
    std::fs::write(a.path("broken.wasm"), b"no component").unwrap();
    let wrong: [(&[&str], &str); 5] = [
        (&["enable", "plant", "cheapest"], "is no policy"),
        (&["enable", "plant", "metered", "--raw-hours", "22-6"], "22:00-06:00"),
        (&["enable", "plant", "prefer-peer", "--prefer", "nobody"], "which is no peer"),
        (&["load", "plant", "broken.wasm"], "broken"),
        (&["load", "plant", "missing.wasm"], "missing.wasm"),
    ];
    for (arguments, why) in wrong {
        let refused = a.run(&[&["policy"], arguments].concat());
        assert!(!refused.status.success(), "{arguments:?}");
        assert!(told(&refused).contains(why), "{arguments:?}: {}", told(&refused));
        assert_eq!(now()["name"], "metered", "{arguments:?}");
    }
    a.text(&["policy", "enable", "plant", "prefer-peer", "--prefer", "b"]);
    assert_eq!(now()["name"], "prefer-peer");
    let text = a.text(&["policy", "enable", "plant", "complete"]);
    assert!(text.starts_with("no policy: everything is repaired at once"), "{text}");
    assert_eq!(now(), Value::Null);
}

/// The entries of compiled code beside a store, and which files they are.
#[cfg(all(unix, feature = "wasm"))]
fn compiled(machine: &Machine) -> Vec<u64> {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(machine.path("plant/policy.code")).into_iter().flatten();
    let entries = entries.map(|entry| entry.unwrap());
    let code = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "code"));
    code.map(|entry| entry.metadata().unwrap().ino()).collect()
}

#[cfg(all(unix, feature = "wasm"))]
#[test]
fn a_node_compiles_a_component_once_and_anew_when_its_code_is_not_what_was_kept() {
    use std::fs::{Permissions, set_permissions};
    use std::os::unix::fs::PermissionsExt;
    let built = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/examples/built");
    let a = Machine::new(&format!("[policy]\nuse = \"{built}/metered-uplink.wasm\"\n"));
    let start = || {
        let node = a.node();
        wait_until("a has its policy", || a.run(&["policy", "list", "plant"]).status.success());
        let policy = a.json(&["policy", "list", "plant", "--json"]);
        assert_eq!(policy["name"], "metered-uplink", "{policy}");
        let manifest = std::fs::read_to_string(format!("{built}/metered-uplink.toml")).unwrap();
        let hash = policy["hash"].as_str().unwrap();
        assert!(manifest.contains(&format!("hash = \"{hash}")), "{hash} begins that of {manifest}");
        node
    };
    start().end();
    let first = compiled(&a);
    assert_eq!(first.len(), 1);
    let node = start();
    assert_eq!(compiled(&a), first, "what is loaded is not written again");
    // Given while it runs, kept in the same place.
    a.text(&["policy", "load", "plant", &format!("{built}/trusted-peer.wasm")]);
    assert_eq!(compiled(&a).len(), 2);
    node.end();

    let folder = a.path("plant/policy.code");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|end| end == "code") {
            let mut bytes = std::fs::read(&path).unwrap();
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
            std::fs::write(&path, bytes).unwrap();
        }
    }
    start().end();
    assert!(!first.iter().all(|one| compiled(&a).contains(one)), "the damaged entry was replaced");
    // A folder that others can enter is not used, and the node is served all the same.
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    set_permissions(&folder, Permissions::from_mode(0o755)).unwrap();
    start().end();
    assert_eq!(compiled(&a), [0; 0]);
    assert_eq!(a.text(&["verify", "plant"]).lines().count(), 1, "it is no file of the store's");
}

#[test]
fn sync_brings_what_was_just_written_in_both_directions() {
    let (a, b) = paired();
    b.import("fan,0,7.5\n");
    let _node = b.node();
    wait_until("b answers", || b.run(&["status", "plant"]).status.success());
    a.import("pump,0,1.5\npump,1,2.5\n");
    let output = a.sync(&b, &b.fingerprint, "60");
    assert!(output.status.success(), "{}", told(&output));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "agreed", "{report}");
    assert_eq!((&report["rows_sent"], &report["rows_taken"]), (&2.into(), &1.into()), "{report}");
    assert_eq!(a.root(), b.root());
    // With nothing new, nothing goes.
    let output = a.sync(&b, &b.fingerprint, "60");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&report["rows_sent"], &report["rows_taken"]), (&0.into(), &0.into()), "{report}");
}

#[test]
fn compare_over_an_address_tells_what_differs_and_changes_nothing() {
    let (a, b) = paired();
    b.import("fan,0,7.5\npump,0,1.5\n");
    a.import("pump,0,1.5\npump,1,2.5\n");
    let (own, other) = (a.root(), b.root());
    let _node = b.node();
    wait_until("b answers", || b.run(&["status", "plant"]).status.success());
    let to = ["--peer", &b.address, "--fingerprint", &b.fingerprint, "--identity", "keys"];
    let output = a.run(&[&["compare", "plant"][..], &to].concat());
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let hour = "from 1970-01-01T00:00:00.000000000Z";
    assert_eq!(
        lines[0],
        format!("db.tank fan {hour}: 0 and 1 rows, 1 missing, 0 extra, 0 mismatched")
    );
    assert_eq!(
        lines[1],
        format!("db.tank pump {hour}: 2 and 1 rows, 0 missing, 1 extra, 0 mismatched")
    );
    assert!(lines.last().unwrap().starts_with("different: 2 windows of devices"), "{text}");
    assert_eq!((a.root(), b.root()), (own, other));
    assert!(a.sync(&b, &b.fingerprint, "60").status.success());
    let output = a.run(&[&["compare", "plant", "--json"][..], &to].concat());
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["equal"]), (Some(0), &true.into()), "{report}");
    let both = a.run(&[&["compare", "plant", "plant"][..], &to].concat());
    assert!(!both.status.success() && told(&both).contains("--peer"), "{}", told(&both));
}

#[test]
fn a_part_is_repaired_by_name() {
    let (a, b) = paired();
    let _nodes = (a.node(), b.node());
    wait_until("a is linked", || {
        let status = a.run(&["status", "plant", "--json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        status["peers"][0]["address"].is_string()
    });
    a.import("pump,0,1.5\n");
    wait_until("b has the row", || a.root() == b.root());
    let part = ["--collection", "db.tank", "--from", "0", "--to", "3600000000000", "--json"];
    let report = a.json(&[&["repair", "plant"][..], &part].concat());
    assert_eq!(report["outcome"], "agreed", "{report}");
    let unnamed = a.run(&["repair", "plant", "--from", "0"]);
    assert!(!unnamed.status.success() && told(&unnamed).contains("--collection"));
}

#[test]
fn a_wrong_fingerprint_is_refused_and_the_error_says_what_to_do() {
    let (a, b) = paired();
    let other = Machine::new("");
    a.import("pump,0,1.5\n");
    let node = b.node();
    wait_until("b answers", || b.run(&["status", "plant"]).status.success());
    // At once, and not when the time is over: no other dial could end differently.
    let begun = Instant::now();
    let output = a.sync(&b, &other.fingerprint, "300");
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(told(&output).contains("fingerprint"), "{}", told(&output));
    // A machine that b does not know is told so, too.
    let output = other.sync(&b, &b.fingerprint, "300");
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(told(&output).contains("list this store's fingerprint"), "{}", told(&output));
    assert_eq!(b.root(), "no rows\n", "nothing came");
    assert!(begun.elapsed() < Duration::from_secs(20), "after {:?}", begun.elapsed());
    // Where nobody listens now somebody may listen soon: that is waited for, up to the limit.
    drop(node);
    let begun = Instant::now();
    let output = a.sync(&b, &b.fingerprint, "3");
    assert_eq!(output.status.code(), Some(3), "{}", told(&output));
    assert!(begun.elapsed() >= Duration::from_secs(3), "after {:?}", begun.elapsed());
}

#[test]
fn status_without_a_node_says_how_to_start_one() {
    let machine = Machine::new("");
    for command in ["status", "repair"] {
        let output = machine.run(&[command, "plant"]);
        assert_eq!(output.status.code(), Some(3), "{command}");
        let told = told(&output);
        assert!(told.contains("no node serves plant: start one with `tidelog node`"), "{told}");
    }
}

#[test]
fn what_a_node_is_handed_fails_as_it_would_have_without_one() {
    let machine = Machine::new("");
    machine.import("pump,0,1.5\n");
    let _node = machine.node();
    wait_until("it answers", || machine.run(&["status", "plant"]).status.success());
    let cases: [(&[&str], i32, &str); 4] = [
        (&["import", "plant", "db.tank", "absent.csv"], 3, "absent.csv"),
        (&["import", "plant", "db.tank", "-"], 2, "name a file"),
        (&["delete", "plant", "db.vat", "--device", "pump"], 2, "db.vat"),
        (&["compact", "plant"], 3, "open for writing elsewhere"),
    ];
    for (arguments, code, why) in cases {
        let output = machine.run(arguments);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", told(&output));
        assert!(told(&output).contains(why), "{arguments:?}: {}", told(&output));
    }
    // Bad lines are told to whoever asked, and the others are kept.
    std::fs::write(machine.path("bad.csv"), "device,timestamp_ns,level\npump,1,2.5\npump,x,1\n")
        .unwrap();
    let output = machine.run(&["import", "plant", "db.tank", "bad.csv"]);
    assert_eq!(output.status.code(), Some(1), "{}", told(&output));
    assert!(told(&output).contains("bad.csv:3"), "{}", told(&output));
    assert_eq!(machine.text(&["export", "plant", "db.tank"]).lines().count(), 3);
}

#[test]
fn pair_refuses_what_would_make_the_file_invalid_and_keeps_the_old_one() {
    let (a, b) = paired();
    let before = std::fs::read_to_string(a.path("node.toml")).unwrap();
    // The same key under another name, a name that is taken, an address that is none.
    let twice = a.pair("twin", &b);
    let taken = a.pair("self", &Machine::new(""));
    let nowhere = Machine { address: "nowhere".to_owned(), ..Machine::new("") };
    for (output, why) in [(twice, "twin"), (taken, "self"), (a.pair("c", &nowhere), "nowhere")] {
        assert_eq!(output.status.code(), Some(3), "{why}: {}", told(&output));
        assert!(told(&output).contains(why), "{why}: {}", told(&output));
        assert_eq!(std::fs::read_to_string(a.path("node.toml")).unwrap(), before, "{why}");
    }
    let left = std::fs::read_dir(a.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().contains(".new")));
}

#[test]
fn a_key_that_is_unknown_is_refused_by_its_name() {
    let machine = Machine::new("");
    let text = std::fs::read_to_string(machine.path("node.toml")).unwrap();
    std::fs::write(machine.path("node.toml"), format!("{text}\n[sync]\nintervall = \"1h\"\n"))
        .unwrap();
    for command in ["node", "pair"] {
        let output = machine.run(&[command, "--config", "node.toml"]);
        assert_eq!(output.status.code(), Some(3), "{command}");
        assert!(told(&output).contains("intervall"), "{}", told(&output));
        assert!(told(&output).contains("node.toml:"), "{}", told(&output));
    }
}

/// The status of a node's only peer; null while there is none.
fn peer_of(machine: &Machine) -> Value {
    let status = machine.run(&["status", "plant", "--json"]);
    let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
    status["peers"][0].clone()
}

impl Machine {
    /// Changes the configuration, as an editor does: the node reads it again.
    fn edit(&self, change: impl Fn(&str) -> String) {
        let text = std::fs::read_to_string(self.path("node.toml")).unwrap();
        std::fs::write(self.path("node.new"), change(&text)).unwrap();
        std::fs::rename(self.path("node.new"), self.path("node.toml")).unwrap();
    }

    fn set_epoch(&self, epoch: u64) {
        self.edit(|text| text.replacen("[node]\n", &format!("[node]\nepoch = {epoch}\n"), 1));
    }
}

#[test]
fn nodes_of_two_epochs_part_and_meet_again_when_the_older_file_is_raised() {
    let (a, b) = paired();
    let (_a, b_runs) = (a.node(), b.node());
    let linked = |machine: &Machine| peer_of(machine)["address"].is_string();
    wait_until("they are linked", || linked(&a) && linked(&b));
    a.set_epoch(1);
    let refused = |machine: &Machine| {
        let peer = peer_of(machine);
        peer["refused"].as_str().is_some_and(|why| {
            why.contains("epoch 0 of group 0") && why.contains("epoch 1: update the file of store")
        })
    };
    wait_until("both say why they parted", || refused(&a) && refused(&b) && !linked(&a));
    a.import("pump,0,1.5\n");
    b.import("fan,0,7.5\n");
    // b learns the other epoch from a greeting, and knows by itself that its file is old from then on.
    drop(b_runs);
    let b_runs = b.node();
    let behind = || {
        let status = b.run(&["status", "plant", "--json"]);
        let status: Value = serde_json::from_slice(&status.stdout).unwrap_or_default();
        (status["behind"][0]["epoch"].as_u64(), status["behind"][0]["seen"].as_u64())
    };
    wait_until("b knows that its file is old", || behind() == (Some(0), Some(1)));
    drop(b_runs);
    let mut command = b.command(&["node", "--config", "node.toml"]);
    let mut again = Running(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    wait_until("it knows so when it starts", || behind() == (Some(0), Some(1)));
    b.set_epoch(1);
    wait_until("both hold both rows", || a.root() != "no rows\n" && a.root() == b.root());
    assert_eq!(b.text(&["export", "plant", "db.tank"]).lines().count(), 3);
    assert!(linked(&a) && peer_of(&a)["refused"].is_null() && behind() == (None, None));
    let _ = again.0.kill();
    let mut told = String::new();
    std::io::Read::read_to_string(&mut again.0.stderr.take().unwrap(), &mut told).unwrap();
    assert!(
        told.contains("has epoch 0 of group 0, and epoch 1 was seen: update the file"),
        "{told}"
    );
}

#[test]
fn a_peer_is_forgotten_when_it_is_no_member_and_refused_when_it_turns_up_again() {
    let (a, b) = paired();
    a.import("pump,0,1.5\n");
    let (_a, b_runs) = (a.node(), b.node());
    wait_until("b has the row", || a.root() != "no rows\n" && a.root() == b.root());
    let store = peer_of(&a)["store"].as_str().unwrap().to_owned();
    let forget = |who: &str| a.run(&["forget", "plant", who]);
    for who in ["b", &store] {
        let output = forget(who);
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains("b is still in the topology"), "{}", told(&output));
    }
    drop(b_runs);
    let listed = std::fs::read_to_string(a.path("node.toml")).unwrap();
    a.edit(|text| text.split("[[peer]]").next().unwrap().to_owned());
    wait_until("b is no peer any more", || peer_of(&a).is_null());
    let output = forget("c");
    assert!(told(&output).contains(&format!("{store} (b)")), "{}", told(&output));
    assert_eq!(a.text(&["forget", "plant", "b"]), format!("store {store} is forgotten\n"));
    // Whoever lists it again is told, on both sides.
    a.edit(|_| listed.clone());
    let _b = b.node();
    let refused = |machine: &Machine| {
        let peer = peer_of(machine);
        peer["refused"].as_str().is_some_and(|why| why.contains("was forgotten by store"))
    };
    wait_until("both say that it was forgotten", || refused(&a) && refused(&b));
    b.import("fan,0,7.5\n");
    assert_eq!(a.text(&["export", "plant", "db.tank"]).lines().count(), 2, "nothing of it came");
}

#[test]
fn a_peer_is_forgotten_where_no_node_runs() {
    let machine = Machine::new("");
    machine.import("pump,0,1.5\n");
    let store = "0102030405060708090a0b0c0d0e0f10";
    let output = machine.run(&["forget", "plant", store]);
    assert!(told(&output).contains("no node serves plant"), "{}", told(&output));
    let forgotten = machine.json(&["forget", "plant", store, "--config", "node.toml", "--json"]);
    assert_eq!(forgotten["forgotten"], store);
    let output = machine.run(&["forget", "plant", "b", "--config", "node.toml"]);
    assert_eq!(output.status.code(), Some(2), "{}", told(&output));
    assert!(told(&output).contains("none that anything is kept for"), "{}", told(&output));
}

#[test]
fn a_group_is_dropped_when_every_other_replica_has_shown_that_it_has_it() {
    let (a, b) = paired();
    let rows: String = (0..40).map(|device| format!("pump{device},0,{device}.5\n")).collect();
    a.import(&rows);
    let (_a, b_runs) = (a.node(), b.node());
    wait_until("b has the rows", || a.root() != "no rows\n" && a.root() == b.root());
    let drop_group = || a.run(&["drop-group", "plant", "0", "--json"]);
    let refused = |why: &str| {
        let output = drop_group();
        assert_eq!(output.status.code(), Some(2), "{}", told(&output));
        assert!(told(&output).contains(why), "{}", told(&output));
        assert_eq!(a.text(&["export", "plant", "db.tank"]).lines().count(), 41, "all is there");
    };
    refused("group-0000 is placed on this node");
    a.edit(|text| text.replacen("[node]\n", "[node]\ngroups = [1, 2, 3, 4, 5, 6, 7]\n", 1));
    wait_until("a holds seven groups", || {
        a.json(&["status", "plant", "--json"])["groups"].as_array().map(Vec::len) == Some(7)
    });
    // What nobody follows any more is found by the comparison, and sent.
    let late: String = (0..40).map(|device| format!("pump{device},1,{device}.5\n")).collect();
    b_runs.end();
    wait_until("b is gone", || !peer_of(&a)["address"].is_string());
    refused("b holds group-0000, and is not linked");
    a.import(&late);
    // b, too, must know a as one that holds the group: what it does not compare it cannot vouch for.
    let narrow = |groups: &str| {
        b.edit(|text| text.replace("name = \"a\"\n", &format!("name = \"a\"\n{groups}")))
    };
    narrow("groups = [1, 2, 3, 4, 5, 6, 7]\n");
    let b_runs = b.node();
    let linked = || peer_of(&a)["address"].is_string() && peer_of(&a)["state"] != "disconnected";
    wait_until("they are linked", linked);
    let output = drop_group();
    assert!(
        told(&output).contains("b was not shown to have all of group-0000"),
        "{}",
        told(&output)
    );
    assert_eq!(a.text(&["export", "plant", "db.tank"]).lines().count(), 81, "all is there");
    b.edit(|text| text.replace("groups = [1, 2, 3, 4, 5, 6, 7]\n", ""));
    b_runs.end();
    let _b = b.node();
    wait_until("b has all", || b.text(&["export", "plant", "db.tank"]).lines().count() > 60);
    // It may not be linked yet.
    let mut output = drop_group();
    wait_until("b has shown that it has all", || {
        if !output.status.success() {
            output = drop_group();
        }
        output.status.success()
    });
    let gone: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rows = gone["rows"].as_u64().unwrap() as usize;
    let left = a.text(&["export", "plant", "db.tank"]);
    assert!(rows > 0 && left.lines().count() == 81 - rows, "{rows} {left}");
    assert_eq!(b.text(&["export", "plant", "db.tank"]).lines().count(), 81, "b has them all");
    // What is written to it here from then on is neither lost nor hidden.
    let lost = (0..40).find(|device| !left.contains(&format!("pump{device},"))).unwrap();
    a.import(&format!("pump{lost},5,1.5\n"));
    assert_eq!(a.text(&["export", "plant", "db.tank"]).lines().count(), 82 - rows);
}
