//! A service that embeds a replica: writes readings, and another machine has them a moment later.
//!
//!     cargo run --example service --features replication
//!
//! Two stores in one process, so that it runs anywhere; in earnest each is on a machine of its own and knows the other's
//! fingerprint from `tidelog pair`.

#![expect(clippy::print_stdout, reason = "a program that tells what it did")]

use std::{sync::Arc, time::SystemTime};
use tidelog::replication::identity::{Identity, LIFETIME};
use tidelog::replication::topology::{FixedTopology, NodeInfo};
use tidelog::replication::{Node, NodeOptions};
use tidelog::{Batch, CollectionName, Durability, Query, Store};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Joins a store at a port to its peer at another.
fn join(store: Store, own: &Identity, port: u16, peer: &Identity, peer_port: u16) -> Result<Node> {
    let node = |name, is_self, port, identity: &Identity| {
        NodeInfo::new(name, is_self, format!("127.0.0.1:{port}"), vec![identity.fingerprint()])
    };
    let nodes = vec![node("here", true, port, own), node("there", false, peer_port, peer)];
    let options = NodeOptions::new(([127, 0, 0, 1], port).into(), own.clone());
    Ok(Node::start(store, Arc::new(FixedTopology::new(nodes)?), options)?)
}

#[tokio::main]
async fn main() -> Result<()> {
    let folder = std::env::temp_dir().join(format!("tidelog-service-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let (a, b) = (Store::open(folder.join("a"))?, Store::open(folder.join("b"))?);
    let identity =
        |store: &Store| Identity::generate(store.store_id(), SystemTime::now(), LIFETIME);
    let (id_a, id_b) = (identity(&a)?, identity(&b)?);
    let gateway = join(a, &id_a, 7447, &id_b, 7448)?;
    let centre = join(b, &id_b, 7448, &id_a, 7447)?;
    gateway.ready().await;

    let mut batch = Batch::new("plant.boiler")?;
    batch.push("pump_1,line=north", 1_700_000_000_000_000_000, [("pressure", 4.2)])?;
    // Writing blocks for an fsync: not on a thread that runs tasks.
    let store = gateway.store().clone();
    tokio::task::spawn_blocking(move || store.write(&batch, Durability::Sync)).await??;

    let boiler = CollectionName::parse("plant.boiler")?;
    loop {
        let there = centre.store().query(&boiler, Query::new());
        if there.is_ok_and(|answer| answer.collect_rows().is_ok_and(|rows| rows.rows() == 1)) {
            println!("the reading is on both");
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    gateway.stop().await;
    centre.stop().await;
    Ok(std::fs::remove_dir_all(folder)?)
}
