//! An empty store is given files over real QUIC, by a process that is killed as it is: what was received before is not sent
//! again. `TIDELOG_LONG=1` kills a hundred times.
//!
//! The processes are this one, started again for [`a_node_of_its_own`], which is no test otherwise. Each tells how many bytes
//! of messages it has sent, every few milliseconds, so that at most the last of a giver that is killed go uncounted.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};
use tidelog_engine::{
    Batch, CollectionName, Durability, Level, Options, Store, TimeRange, ValueRef,
};
use tidelog_replica::identity::{Identity, LIFETIME};
use tidelog_replica::topology::{FixedTopology, NodeInfo};
use tidelog_replica::{Node, NodeOptions};

const NODE: &str = "TIDELOG_TEST_NODE";
/// What is waited for longer has not come.
const PATIENCE: Duration = Duration::from_secs(180);
const MIB: u64 = 1 << 20;
/// A round's kills may each cost what is under way, 4 MiB, and must cost less than 5 % in all.
const KILLS: usize = 2;
const SNAPSHOT: u64 = 24 * KILLS as u64 * 4 * MIB + 16 * MIB;

fn long() -> bool {
    std::env::var_os("TIDELOG_LONG").is_some()
}

/// Whoever is asked to by [`NODE`] serves a store until it is killed: a folder, the own number, and the port of each.
#[test]
fn a_node_of_its_own() {
    let Ok(told) = std::env::var(NODE) else { return };
    let mut words = told.split('\n');
    let folder = PathBuf::from(words.next().unwrap());
    let own: usize = words.next().unwrap().parse().unwrap();
    let ports: Vec<u16> = words.map(|port| port.parse().unwrap()).collect();
    serve(&folder, own, &ports);
}

#[expect(clippy::print_stdout, reason = "what the process that started it reads")]
fn serve(folder: &Path, own: usize, ports: &[u16]) {
    let identity = |number: usize| Identity::load(&folder.join(format!("keys{number}"))).unwrap();
    let store = Store::open(folder.join(format!("{own}"))).unwrap();
    let info = |number: usize| {
        let address = format!("127.0.0.1:{}", ports[number]);
        let keys = vec![identity(number).fingerprint()];
        NodeInfo::new(format!("node{number}"), number == own, address, keys)
    };
    let topology = FixedTopology::new(vec![info(0), info(1)]).unwrap();
    let listen = ([127, 0, 0, 1], ports[own]).into();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let options = NodeOptions::new(listen, identity(own));
        let node = Node::start(store, Arc::new(topology), options).unwrap();
        loop {
            let status = node.status().await.unwrap();
            let sent: u64 = status.peers.iter().map(|peer| peer.status.bytes.0).sum();
            let agreed = status.peers.iter().any(|peer| peer.agreed_millis_ago.is_some());
            println!("sent {sent} {agreed}");
            tokio::time::sleep(Duration::from_millis(3)).await;
        }
    });
}

/// A node in a process of its own.
struct Running {
    child: Child,
    sent: Arc<AtomicU64>,
    agreed: Arc<Mutex<bool>>,
}

impl Running {
    fn start(folder: &Path, own: usize, ports: &[u16]) -> Self {
        let ports: Vec<String> = ports.iter().map(ToString::to_string).collect();
        let told = format!("{}\n{own}\n{}", folder.display(), ports.join("\n"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["a_node_of_its_own", "--exact", "--nocapture"])
            .env(NODE, told)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (sent, agreed) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(false)));
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (to, has) = (Arc::clone(&sent), Arc::clone(&agreed));
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                let Some(rest) = line.strip_prefix("sent ") else { continue };
                let (bytes, agreed) = rest.split_once(' ').unwrap();
                to.store(bytes.parse().unwrap(), Relaxed);
                *has.lock().unwrap() = agreed == "true";
            }
        });
        Running { child, sent, agreed }
    }

    /// What it sent until it was killed, as far as it told.
    fn kill(mut self) -> u64 {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::thread::sleep(Duration::from_millis(20));
        self.sent.load(Relaxed)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

/// A store with so many bytes in its files, that no codec makes smaller.
fn fill(path: &Path) {
    let store = Options::new().memory_budget(256 << 20).open(path).unwrap();
    let mut random = 88_172_645_463_325_252;
    let mut noise = vec![0; 32 << 10];
    let (mut written, mut tick) = (0, 0);
    while written < SNAPSHOT {
        let mut batch = Batch::new("plant.boiler").unwrap();
        for device in 0..32 {
            for eight in noise.chunks_exact_mut(8) {
                eight.copy_from_slice(&next(&mut random).to_le_bytes());
            }
            let time = 1_700_000_000_000_000_000 + tick * 60_000_000_000;
            written += noise.len() as u64;
            let values = [("noise", ValueRef::Bytes(&noise))];
            batch.push(&format!("pump_{device}"), time, values).unwrap();
        }
        tick += 1;
        store.write(&batch, Durability::Os).unwrap();
    }
    store.flush().unwrap();
    store.close().unwrap();
}

fn identify(folder: &Path, number: usize) {
    let store = Store::open(folder.join(format!("{number}"))).unwrap();
    let identity = Identity::generate(store.store_id(), SystemTime::now(), LIFETIME).unwrap();
    let keys = folder.join(format!("keys{number}"));
    let _ = std::fs::remove_dir_all(&keys);
    identity.save(&keys).unwrap();
    store.close().unwrap();
}

fn root(path: &Path) -> String {
    let store = Store::open(path).unwrap();
    let name = CollectionName::parse("plant.boiler").unwrap();
    let rows = store.digests(&name, Level::Root, TimeRange::ALL).unwrap();
    format!("{rows:?}")
}

fn bytes_of_files(path: &Path) -> u64 {
    let store = Store::open(path).unwrap();
    store.held().iter().map(|(_, bytes)| bytes).sum()
}

/// Lets the two run until they agree, killing one of them now and then; the bytes that the giver sent.
fn round(folder: &Path, random: &mut u64) -> u64 {
    let port = || std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ports = [port(), port()];
    let start = |own| Running::start(folder, own, &ports);
    let mut nodes = [Some(start(0)), Some(start(1))];
    let (mut before, mut kills) = (0, 0);
    // At a random number of bytes, so that a fast machine is killed as often as a slow one.
    let mut at = SNAPSHOT / 10 + next(random) % (SNAPSHOT / 3);
    let until = Instant::now() + PATIENCE;
    loop {
        assert!(
            Instant::now() < until,
            "they do not agree; {before} bytes were sent by giver(s) killed"
        );
        std::thread::sleep(Duration::from_millis(1));
        let giver = nodes[0].as_ref().unwrap();
        let sent = before + giver.sent.load(Relaxed);
        if kills < KILLS && sent >= at {
            let who = (next(random) % 2) as usize;
            let told = nodes[who].take().unwrap().kill();
            if who == 0 {
                // And what it sent since it told.
                before += told + MIB;
            }
            nodes[who] = Some(start(who));
            kills += 1;
            at = sent + SNAPSHOT / 10 + next(random) % (SNAPSHOT / 3);
        }
        let agreed = |node: &Option<Running>| *node.as_ref().unwrap().agreed.lock().unwrap();
        if agreed(&nodes[1]) {
            assert_eq!(kills, KILLS);
            let [giver, receiver] = nodes.map(Option::unwrap);
            receiver.kill();
            return before + giver.kill();
        }
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "figures of a run")]
fn kills_of_either_side_cost_less_than_a_twentieth() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let begun = Instant::now();
    fill(&folder.join("0"));
    eprintln!("filled {:?}", begun.elapsed());
    identify(folder, 0);
    let (bytes, expected) = (bytes_of_files(&folder.join("0")), root(&folder.join("0")));
    assert!(bytes >= SNAPSHOT, "{bytes}");
    let mut random = seed();
    for number in 0..if long() { 50 } else { 1 } {
        let seed = random;
        let _ = std::fs::remove_dir_all(folder.join("1"));
        identify(folder, 1);
        let sent = round(folder, &mut random);
        eprintln!("round {:?}", begun.elapsed());
        let share = sent as f64 / bytes as f64;
        eprintln!(
            "round {number}, seed {seed}: {sent} bytes sent for {bytes} of files, {share:.4}"
        );
        assert!(share <= 1.05, "seed {seed}: {sent} bytes for {bytes}");
        assert_eq!(root(&folder.join("1")), expected, "seed {seed}");
    }
}

/// `TIDELOG_SEED`, or one that differs from run to run.
fn seed() -> u64 {
    let given = std::env::var("TIDELOG_SEED").ok().and_then(|text| text.parse::<u64>().ok());
    let nanos = SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
    given.unwrap_or(nanos as u64 | 1)
}
