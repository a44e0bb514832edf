//! What runs at the two ends: bulk over TCP, frames over a link, and stores that are joined. The side that receives prints bytes
//! and seconds.

use crate::Result;
use crate::path::ADDRESSES;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tidelog_engine::{Batch, Durability, FieldType, Store};
use tidelog_replica::frames::Channel;
use tidelog_replica::identity::{Identity, LIFETIME};
use tidelog_replica::protocol::PeerState;
use tidelog_replica::topology::{FixedTopology, NodeInfo};
use tidelog_replica::trust::{PeerPin, Pins};
use tidelog_replica::{Congestion, Endpoint, EndpointOptions, Limits, Node, NodeOptions};

const PORT: u16 = 7447;
/// Bulk is so long, times the scale: 40 s at the rate of Cubic.
const BULK_BYTES: usize = 8 << 20;
const DEVICES: i64 = 1000;
const TICKS: i64 = 1000;
/// In one batch.
const TICKS_AT_A_TIME: i64 = 10;
/// A run that takes longer has failed.
const LIMIT: Duration = Duration::from_secs(600);

/// How much there is to move: what is faster has more to do, so that its beginning does not count for more.
fn scale(controller: &str) -> usize {
    if controller == "bbr" { 8 } else { 1 }
}

/// One end of a run.
struct End {
    /// Which of the two.
    own: usize,
    folder: PathBuf,
    congestion: Congestion,
    scale: usize,
}

/// The stores and identities of the runs that have some.
pub(crate) fn prepare(role: &str, controller: &str, folder: &Path) -> Result<()> {
    for name in ["a", "b"] {
        std::fs::create_dir_all(folder.join(name))?;
        let store = Store::open(folder.join(name).join("store"))?;
        let identity = Identity::generate(store.store_id(), SystemTime::now(), LIFETIME)?;
        identity.save(&folder.join(name).join("keys"))?;
        if role == "full" && name == "a" {
            write(&store, scale(controller))?;
            store.seal()?;
        }
        store.close()?;
    }
    Ok(())
}

/// Runs `ROLE send|receive CONTROLLER DIRECTORY`.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let [role, side, controller, folder] = arguments else { return Err("no such role".into()) };
    let congestion = if controller == "bbr" { Congestion::Bbr } else { Congestion::Cubic };
    let end = End {
        own: usize::from(side == "receive"),
        folder: folder.into(),
        congestion,
        scale: scale(controller),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let sends = end.own == 0;
    match &**role {
        "tcp" if sends => send_tcp(controller),
        "tcp" => receive_tcp(scale(controller)),
        "frames" => runtime.block_on(end.frames(sends)),
        _ if sends => runtime.block_on(end.send_rows(role == "tail")),
        _ => runtime.block_on(end.receive_rows(role == "tail")),
    }
}

fn tell(bytes: usize, begun: Instant) {
    println!("{bytes} {}", begun.elapsed().as_secs_f64());
}

fn send_tcp(controller: &str) -> Result<()> {
    let begun = Instant::now();
    let mut stream = loop {
        match TcpStream::connect((ADDRESSES[1], PORT)) {
            Ok(stream) => break stream,
            Err(error) if begun.elapsed() > LIMIT => return Err(error.into()),
            Err(_) => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    rustix::net::sockopt::set_tcp_congestion(&stream, controller)?;
    stream.write_all(&vec![7; scale(controller) * BULK_BYTES])?;
    // Until the receiver has all and hangs up.
    stream.read_exact(&mut [0])?;
    Ok(())
}

fn receive_tcp(scale: usize) -> Result<()> {
    let (mut stream, _) = TcpListener::bind((ADDRESSES[1], PORT))?.accept()?;
    let begun = Instant::now();
    let mut bytes = vec![0; scale * BULK_BYTES];
    stream.read_exact(&mut bytes)?;
    tell(bytes.len(), begun);
    Ok(())
}

impl End {
    fn identity(&self, end: usize) -> Result<Identity> {
        Ok(Identity::load(&self.folder.join(["a", "b"][end]).join("keys"))?)
    }

    fn limits(&self) -> Limits {
        let mut limits = Limits::default();
        limits.congestion = self.congestion;
        limits
    }

    async fn frames(&self, sends: bool) -> Result<()> {
        let fingerprints = vec![self.identity(1 - self.own)?.fingerprint()];
        let endpoint = Endpoint::bind(EndpointOptions {
            listen: address(self.own)?,
            identity: self.identity(self.own)?,
            pins: Pins::new(vec![PeerPin { name: "peer".into(), store: None, fingerprints }])?,
            authority: None,
            limits: self.limits(),
        })?;
        const FRAME: usize = 64 << 10;
        if !sends {
            let link = endpoint.accept().await.ok_or("closed")?;
            let begun = Instant::now();
            let mut bytes = 0;
            while bytes < self.scale * BULK_BYTES {
                bytes += link.recv().await.ok_or("the link ended")?.1.len();
            }
            tell(bytes, begun);
            return Ok(());
        }
        let begun = Instant::now();
        let link = loop {
            match endpoint.dial("peer", &address(1)?.to_string()).await {
                Ok(link) => break link,
                Err(error) if begun.elapsed() > LIMIT => return Err(error.into()),
                Err(_) => {}
            }
        };
        let frame = bytes::Bytes::from(vec![7; FRAME]);
        for _ in 0..self.scale * BULK_BYTES / FRAME {
            link.sender().send(Channel::Tail, frame.clone()).await?;
        }
        link.ended().await;
        Ok(())
    }

    fn join(&self, store: Store) -> Result<Node> {
        let node = |end: usize| -> Result<NodeInfo> {
            let keys = vec![self.identity(end)?.fingerprint()];
            let place = address(end)?.to_string();
            Ok(NodeInfo::new(["a", "b"][end], end == self.own, place, keys))
        };
        let topology = FixedTopology::new(vec![node(0)?, node(1)?])?;
        let mut options = NodeOptions::new(address(self.own)?, self.identity(self.own)?);
        options.protocol.interval = None;
        options.limits = self.limits();
        Ok(Node::start(store, Arc::new(topology), options)?)
    }

    fn store(&self) -> Result<Store> {
        Ok(Store::open(self.folder.join(["a", "b"][self.own]).join("store"))?)
    }

    /// Serves; by the log what is written once both are in step, otherwise what was there before.
    async fn send_rows(&self, by_log: bool) -> Result<()> {
        let node = self.join(self.store()?)?;
        if by_log {
            loop {
                let status = node.status().await.ok_or("the node ended")?;
                if status.peers.iter().any(|peer| peer.status.state == PeerState::Connected) {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            let store = node.store().clone();
            std::fs::write(self.folder.join("written"), "")?;
            let scale = self.scale;
            let written = move || write(&store, scale).map_err(|error| error.to_string());
            tokio::task::spawn_blocking(written).await??;
        }
        std::future::pending().await
    }

    async fn receive_rows(&self, by_log: bool) -> Result<()> {
        let store = self.store()?;
        let node = self.join(store.clone())?;
        let limit = Instant::now() + LIMIT;
        let mut begun: Option<(Instant, u64)> = None;
        let rows = DEVICES as u64 * TICKS as u64 * self.scale as u64;
        while store.stats().rows_applied < rows {
            let status = node.status().await.ok_or("the node ended")?;
            let linked = status.peers.iter().find(|peer| peer.link.is_some());
            let begins = !by_log || self.folder.join("written").exists();
            if let (None, Some(peer), true) = (&begun, linked, begins) {
                begun = Some((Instant::now(), peer.status.bytes.1));
            }
            if Instant::now() > limit {
                return Err("it takes too long".into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let (begun, before) = begun.ok_or("there was no link")?;
        let status = node.status().await.ok_or("the node ended")?;
        let bytes: u64 = status.peers.iter().map(|peer| peer.status.bytes.1).sum();
        tell(usize::try_from(bytes - before)?, begun);
        Ok(())
    }
}

fn address(end: usize) -> Result<SocketAddr> {
    Ok(SocketAddr::new(ADDRESSES[end].parse()?, PORT))
}

/// Rows at even times whose values no codec makes shorter.
fn write(store: &Store, scale: usize) -> Result<()> {
    let mut random = 1_u64;
    let mut batch = Batch::new("bench.meter")?;
    for first in (0..TICKS * scale as i64).step_by(TICKS_AT_A_TIME as usize) {
        batch.clear();
        let field = batch.field("level", FieldType::F64)?;
        let (mut devices, mut times, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for device in 0..DEVICES {
            let device = batch.device(&format!("meter_{device}"))?;
            for tick in first..first + TICKS_AT_A_TIME {
                devices.push(device);
                times.push(1_795_132_800_000_000_000 + tick * 10_000_000_000);
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                values.push((random >> 11) as f64);
            }
        }
        batch.append(&devices, &times)?.f64(field, &values)?;
        store.write(&batch, Durability::Os)?;
    }
    Ok(())
}
