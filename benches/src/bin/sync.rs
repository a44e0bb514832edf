//! What replicas cost: finding and repairing differences, following a log, filling an empty store. See
//! benches/SYNC.md.
//!
//!     cargo run --release -p tidelog-benches --features replica --bin sync -- DIRECTORY [DAYS] [PART...]
//!
//! D1 is 1,000 devices with one field, a row every 10 s for DAYS (30 unless given). Two nodes in one process, over QUIC on
//! loopback. Parts: find, tail, fill, raw.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "figures are what it is for")]

use rkyv::util::AlignedVec;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tidelog_benches::memory;
use tidelog_engine::{
    Batch, CollectionName, Delete, DeviceSelector, Durability, FieldType, Incoming, Level, Options,
    Store, TimeRange, adopt,
};
use tidelog_model::{Cutter, LeafWidth, Stamp, StoreId, Version};
use tidelog_replica::identity::{Identity, LIFETIME};
use tidelog_replica::protocol::snapshot::Transfer;
use tidelog_replica::protocol::{Event, Outcome, Report};
use tidelog_replica::topology::{FixedTopology, NodeInfo};
use tidelog_replica::{Node, NodeOptions};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const COLLECTION: &str = "bench.meter";
const DEVICES: i64 = 1000;
const STEP: i64 = 10_000_000_000;
const START: i64 = 1_795_132_800_000_000_000;

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let dir = PathBuf::from(arguments.next().ok_or("name a directory for stores")?);
    let days: i64 = arguments.next().map_or(Ok(30), |days| days.parse())?;
    let parts: Vec<String> = arguments.collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|named| named == part);
    std::fs::create_dir_all(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if wanted("find") {
        find(&dir, days)?;
    }
    // What `find` starts again.
    let (a, b) = (dir.join("a"), dir.join("b"));
    for count in [0, 1, 100, 10_000] {
        if parts.contains(&format!("find-{count}")) {
            find_rows(&runtime, (&a, &b), days, count)?;
        }
    }
    if parts.iter().any(|part| part == "find-again") {
        find_again(&runtime, &a, &b, days)?;
    }
    if wanted("tail") {
        tail(&runtime, &dir)?;
    }
    if wanted("fill") {
        fill(&runtime, &dir, days)?;
    }
    if wanted("raw") {
        runtime.block_on(raw())?;
    }
    Ok(())
}

fn print(figure: &str, value: f64, unit: &str) {
    println!("{figure:<56} {value:>14.3} {unit}");
}

fn fresh(dir: &Path, name: &str) -> Result<PathBuf> {
    let path = dir.join(name);
    if path.exists() {
        std::fs::remove_dir_all(&path)?;
    }
    Ok(path)
}

fn name() -> Result<CollectionName> {
    Ok(CollectionName::parse(COLLECTION)?)
}

/// The rows of some ticks, all devices.
fn rows(
    batch: &mut Batch,
    ticks: std::ops::Range<i64>,
    value: impl Fn(i64, i64) -> f64,
) -> Result<()> {
    batch.clear();
    let field = batch.field("level", FieldType::F64)?;
    let devices = (0..DEVICES)
        .map(|at| batch.device(&format!("meter_{at}")))
        .collect::<std::result::Result<Vec<_>, _>>()?;
    let (mut of, mut times, mut values) = (Vec::new(), Vec::new(), Vec::new());
    for tick in ticks {
        of.extend_from_slice(&devices);
        times.extend(std::iter::repeat_n(START + tick * STEP, devices.len()));
        values.extend((0..DEVICES).map(|device| value(device, tick)));
    }
    batch.append(&of, &times)?.f64(field, &values)?;
    Ok(())
}

fn ordinary(device: i64, tick: i64) -> f64 {
    ((device * 31 + tick * 7) % 9973) as f64 / 100.0
}

/// Values of a meter with noise in their last three digits, which no codec takes out.
fn noisy(device: i64, tick: i64) -> f64 {
    let mut mixed = (device * 1_000_003 + tick).cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    20.0 + device as f64 + ((mixed >> 32) % 1_000_000) as f64 / 1e5
}

/// D1, sealed and compacted.
fn one_store(dir: &Path, days: i64, value: impl Fn(i64, i64) -> f64) -> Result<PathBuf> {
    let a = fresh(dir, "a")?;
    let store = Options::new().memory_budget(512 << 20).open(&a)?;
    let mut batch = Batch::for_collection(name()?);
    let ticks = days * 8640;
    for from in (0..ticks).step_by(100) {
        rows(&mut batch, from..ticks.min(from + 100), &value)?;
        store.write(&batch, Durability::Os)?;
    }
    store.seal()?;
    store.compact()?;
    store.close()?;
    Ok(a)
}

/// The same as `a`, and a copy of it under another id as `b`.
fn two_stores(dir: &Path, days: i64) -> Result<()> {
    let (a, b) = (one_store(dir, days, ordinary)?, fresh(dir, "b")?);
    let store = Store::open(&a)?;
    store.backup(&b, |_, _| true)?;
    store.close()?;
    adopt(&b)?;
    Ok(())
}

/// Two stores, joined.
struct Pair {
    nodes: [Node; 2],
}

fn port() -> Result<u16> {
    Ok(std::net::UdpSocket::bind("127.0.0.1:0")?.local_addr()?.port())
}

async fn join(a: Store, b: Store) -> Result<Pair> {
    let identity =
        |store: &Store| Identity::generate(store.store_id(), SystemTime::now(), LIFETIME);
    let identities = [identity(&a)?, identity(&b)?];
    let ports = [port()?, port()?];
    let start = |own: usize, store: Store| {
        let node = |at: usize| {
            let key = vec![identities[at].fingerprint()];
            NodeInfo::new(format!("node{at}"), at == own, format!("127.0.0.1:{}", ports[at]), key)
        };
        let topology = FixedTopology::new(vec![node(0), node(1)])?;
        let listen = SocketAddr::from(([127, 0, 0, 1], ports[own]));
        let mut options = NodeOptions::new(listen, identities[own].clone());
        options.protocol.interval = None;
        Ok::<Node, Box<dyn std::error::Error>>(Node::start(store, Arc::new(topology), options)?)
    };
    Ok(Pair { nodes: [start(0, a)?, start(1, b)?] })
}

/// Seconds since the offer until all files are here, are installed, and both agree.
#[derive(Default)]
struct Filled {
    here: f64,
    received: f64,
    agreed: f64,
    transfer: Transfer,
}

impl Pair {
    /// The report of the next comparison that comes to its end on either side.
    async fn compared(&self, ask: bool) -> Result<(Outcome, Report)> {
        let (mut a, mut b) = (self.nodes[0].events(), self.nodes[1].events());
        if ask {
            self.nodes[0].check(None).await;
        }
        loop {
            let happening = tokio::select! {
                one = a.recv() => one?,
                one = b.recv() => one?,
                () = tokio::time::sleep(Duration::from_secs(600)) => return Err("no comparison".into()),
            };
            match happening.event {
                Event::Completed { outcome, report, .. } => return Ok((outcome, report)),
                Event::Failed { why, .. } => eprintln!("failed: {why}"),
                _ => {}
            }
        }
    }

    /// How an empty store came to be full.
    async fn filled(&self) -> Result<Filled> {
        let (mut a, mut b) = (self.nodes[0].events(), self.nodes[1].events());
        let mut begun = Instant::now();
        let mut filled = Filled::default();
        loop {
            let happening = tokio::select! {
                one = a.recv() => one?,
                one = b.recv() => one?,
            };
            let seconds = begun.elapsed().as_secs_f64();
            match happening.event {
                Event::Receiving { transfer, .. } if filled.transfer == Transfer::default() => {
                    print("from linking until the offer", seconds, "s");
                    begun = Instant::now();
                    filled.transfer = transfer;
                }
                Event::Receiving { transfer, .. } if transfer.files == transfer.files_total => {
                    filled.here = if filled.here == 0.0 { seconds } else { filled.here };
                }
                Event::Received { transfer, .. } => {
                    (filled.received, filled.transfer) = (seconds, transfer);
                }
                Event::NotReceived { why, .. } => return Err(why.into()),
                Event::Completed { outcome, report, .. } => {
                    told("the comparison after it", &(outcome, report));
                    filled.agreed = seconds;
                    return Ok(filled);
                }
                _ => {}
            }
        }
    }

    async fn stop(self) {
        for node in self.nodes {
            node.stop().await;
        }
    }
}

fn told(what: &str, (outcome, report): &(Outcome, Report)) {
    println!("{what}: {outcome:?}");
    print("  bytes of messages, both ways", (report.sent + report.received) as f64, "B");
    print("  of which rows sent by the side that asked", report.counts.row_bytes_sent as f64, "B");
    print("  rows sent / taken by the side that asked", report.counts.rows_sent as f64, "rows");
    print("    taken", report.counts.rows_taken as f64, "rows");
    print("  turns, beside opening and closing", f64::from(report.turns), "");
    print("  time", report.millis as f64, "ms");
}

/// Stores are made here; each number of rows is looked for in a process of its own, whose memory holds nothing of that.
fn find(dir: &Path, days: i64) -> Result<()> {
    let begun = Instant::now();
    two_stores(dir, days)?;
    print("two stores made", begun.elapsed().as_secs_f64(), "s");
    for part in ["find-0", "find-1", "find-100", "find-10000", "find-again"] {
        let mut process = std::process::Command::new(std::env::current_exe()?);
        if !process.arg(dir).arg(days.to_string()).arg(part).status()?.success() {
            return Err(format!("{part} failed").into());
        }
    }
    Ok(())
}

fn find_rows(
    runtime: &tokio::runtime::Runtime,
    (a, b): (&Path, &Path),
    days: i64,
    count: i64,
) -> Result<()> {
    let (left, right) = (Store::open(a)?, Store::open(b)?);
    // On one side only, while nobody follows it.
    let mut batch = Batch::for_collection(name()?);
    let mut random = 88_172_645_463_325_252u64 + count.unsigned_abs();
    for _ in 0..count {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let device = (random >> 8) as i64 % DEVICES;
        let tick = (random >> 24) as i64 % (days * 8640);
        // A time of its own: a row that the other one lacks.
        batch.push(&format!("meter_{device}"), START + tick * STEP + 1, [("level", 1.0)])?;
    }
    if count > 0 {
        left.write(&batch, Durability::Sync)?;
        left.seal()?;
    }
    let kept = |store: &Store| (store.stats().cache_bytes, store.stats().memory_bytes);
    let before = (kept(&left), kept(&right));
    let (ended, grown) = memory::growth_while(|| {
        runtime.block_on(async {
            let pair = join(left.clone(), right.clone()).await?;
            let first = pair.compared(false).await?;
            told(&format!("{count} rows differ"), &first);
            if count == 0 {
                let again = pair.compared(true).await?;
                told("asked for, nothing differs", &again);
            }
            pair.stop().await;
            Ok::<_, Box<dyn std::error::Error>>(first)
        })
    });
    assert_eq!(ended?.0, Outcome::Agreed);
    let after = (kept(&left), kept(&right));
    let mib = |bytes: u64| bytes as f64 / 1048576.0;
    print("  memory, both stores with their links", mib(grown), "MiB more");
    for (side, before, after) in [("left", before.0, after.0), ("right", before.1, after.1)] {
        print(&format!("    of it cache, {side}"), mib(after.0.saturating_sub(before.0)), "MiB");
        print(&format!("    of it rows, {side}"), mib(after.1.saturating_sub(before.1)), "MiB");
    }
    let root = |store: &Store| {
        store
            .digests(&name()?, Level::Root, TimeRange::ALL)
            .map_err(Box::<dyn std::error::Error>::from)
    };
    assert_eq!(root(&left)?, root(&right)?);
    left.close()?;
    right.close()?;
    Ok(())
}

/// The same between stores that agreed while they were linked. Rows that a third store wrote are given to one of them: no log
/// carries them to the other.
fn find_again(runtime: &tokio::runtime::Runtime, a: &Path, b: &Path, days: i64) -> Result<()> {
    let (left, right) = (Store::open(a)?, Store::open(b)?);
    runtime.block_on(async {
        let pair = join(left.clone(), right.clone()).await?;
        assert_eq!(pair.compared(false).await?.0, Outcome::Agreed);
        // What the other side begins at the start is over then, too.
        tokio::time::sleep(Duration::from_secs(3)).await;
        for count in [1i64, 100, 10_000] {
            let version = Version {
                stamp: Stamp::from_millis(u64::try_from(
                    SystemTime::now().duration_since(UNIX_EPOCH)?.as_millis(),
                )?),
                origin: StoreId([7; 16]),
            };
            let mut batch = Batch::for_collection(name()?);
            for row in 0..count {
                let tick = (row * 7919 + count) % (days * 8640);
                let device = format!("meter_{}", (row * 613 + 17) % DEVICES);
                batch.push(&device, START + tick * STEP + 2, [("level", 2.0)])?;
            }
            let mut incoming = Incoming::default();
            let (groups, leaf) = (left.group_count(), LeafWidth::default());
            batch.cut(groups, version, leaf, &mut Cutter::default(), |sub| {
                incoming.batches.push(sub.write_to(AlignedVec::new()));
            });
            left.apply(&incoming)?;
            left.seal()?;
            let again = pair.compared(true).await?;
            told(&format!("{count} rows differ after an agreement"), &again);
            assert_eq!(again.0, Outcome::Agreed);
        }
        pair.stop().await;
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    left.close()?;
    right.close()?;
    Ok(())
}

/// Catching up by the log against writing the same batches.
fn tail(runtime: &tokio::runtime::Runtime, dir: &Path) -> Result<()> {
    const BATCHES: i64 = 10_000;
    let (a, b) = (Store::open(fresh(dir, "ta")?)?, Store::open(fresh(dir, "tb")?)?);
    let mut batches = Vec::new();
    for at in 0..BATCHES {
        let mut batch = Batch::for_collection(name()?);
        rows(&mut batch, at..at + 1, ordinary)?;
        batches.push(batch);
    }
    runtime.block_on(async {
        let pair = join(a.clone(), b.clone()).await?;
        pair.compared(false).await?;
        // Until the log is followed without a comparison.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let [left, right] = pair.nodes;
        right.stop().await;
        left.stop().await;
        Ok::<_, Box<dyn std::error::Error>>(())
    })?;
    let begun = Instant::now();
    let tickets = batches.iter().map(|batch| a.submit(batch, Durability::Sync));
    for ticket in tickets.collect::<std::result::Result<Vec<_>, _>>()? {
        ticket.wait()?;
    }
    let local = begun.elapsed().as_secs_f64();
    let all = (BATCHES * DEVICES) as f64;
    print("written here, durable", all / local / 1e6, "M rows/s");
    let caught = runtime.block_on(async {
        let begun = Instant::now();
        let pair = join(a.clone(), b.clone()).await?;
        while b.stats().rows_applied < all as u64 {
            tokio::time::sleep(Duration::from_millis(2)).await;
            if begun.elapsed() > Duration::from_secs(300) {
                return Err("did not catch up".into());
            }
        }
        let took = begun.elapsed().as_secs_f64();
        pair.stop().await;
        Ok::<_, Box<dyn std::error::Error>>(took)
    })?;
    print("caught up by the log, durable, linking included", all / caught / 1e6, "M rows/s");
    print("caught up against written", 100.0 * local / caught, "%");
    // A delete follows, too.
    a.delete(&Delete::collection(&name()?).devices(DeviceSelector::all()))?;
    a.close()?;
    b.close()?;
    Ok(())
}

/// An empty store from a full one: files first, then the comparison that gives the verdict; and against frames with
/// nothing done with them, right before and after.
fn fill(runtime: &tokio::runtime::Runtime, dir: &Path, days: i64) -> Result<()> {
    let a = one_store(dir, days, noisy)?;
    let (left, right) = (Store::open(&a)?, Store::open(fresh(dir, "empty")?)?);
    let rows = (days * 8640 * DEVICES) as f64;
    let bytes: u64 = left.groups().iter().map(|group| group.bytes).sum();
    print("bytes of all files of the full store", bytes as f64, "B");
    let before = runtime.block_on(raw())?;
    let filled = runtime.block_on(async {
        let pair = join(left.clone(), right.clone()).await?;
        let filled = pair.filled().await?;
        pair.stop().await;
        Ok::<_, Box<dyn std::error::Error>>(filled)
    })?;
    let after = runtime.block_on(raw())?;
    let transfer = filled.transfer;
    let (size, raw) = (transfer.bytes_total as f64 / 1e6, f64::midpoint(before, after));
    print("bytes of files that were received", size, "MB");
    print("  bytes of pieces on the wire against that", transfer.received as f64 / size / 1e6, "x");
    let stages = [
        ("here and verified piece by piece, durable", filled.here),
        ("checked as foreign files and installed", filled.received),
        ("agreed", filled.agreed),
    ];
    for (what, seconds) in stages {
        print(&format!("from the offer until {what}"), seconds, "s");
        print("  rows", rows / seconds / 1e6, "M rows/s");
        print("  bytes of files", size / seconds, "MB/s");
        print("  against frames with nothing done with them", size / seconds / raw * 100.0, "%");
    }
    assert_eq!(transfer.rows, rows as u64);
    left.close()?;
    right.close()?;
    Ok(())
}

/// Frames over a link, with nothing done with them: bytes per second, in millions.
async fn raw() -> Result<f64> {
    use tidelog_replica::frames::Channel;
    use tidelog_replica::trust::{PeerPin, Pins};
    use tidelog_replica::{Endpoint, EndpointOptions, Limits};
    let make =
        |id| Identity::generate(tidelog_engine::StoreId([id; 16]), SystemTime::now(), LIFETIME);
    let (a, b) = (make(1)?, make(2)?);
    let bind = |own: &Identity, name: &str, peer: &Identity| {
        let fingerprints = vec![peer.fingerprint()];
        let pins = Pins::new(vec![PeerPin { name: name.into(), store: None, fingerprints }])?;
        let listen = ([127, 0, 0, 1], 0).into();
        let (identity, limits) = (own.clone(), Limits::default());
        let options = EndpointOptions { listen, identity, pins, authority: None, limits };
        Ok::<_, Box<dyn std::error::Error>>(Endpoint::bind(options)?)
    };
    let (here, there) = (bind(&a, "b", &b)?, bind(&b, "a", &a)?);
    let address = there.local_address().to_string();
    let (dialled, accepted) = tokio::join!(here.dial("b", &address), there.accept());
    let (dialled, accepted) = (dialled?, accepted.ok_or("not accepted")?);
    let frame = bytes::Bytes::from(vec![7u8; 1 << 20]);
    let count = 2000usize;
    let begun = Instant::now();
    let sender = dialled.sender();
    let sending = tokio::spawn(async move {
        for _ in 0..count {
            if sender.send(Channel::Tail, frame.clone()).await.is_err() {
                return;
            }
        }
    });
    for _ in 0..count {
        accepted.recv().await.ok_or("ended")?;
    }
    sending.await?;
    let speed = (count << 20) as f64 / begun.elapsed().as_secs_f64() / 1e6;
    print("frames over one link", speed, "MB/s");
    Ok(speed)
}
