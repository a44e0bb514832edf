//! Stores that are replicas of each other over real QUIC on loopback.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tidelog_engine::{Batch, CollectionName, Digest, Durability, Level, Query, Store, TimeRange};
use tidelog_protocol::Event;
use tidelog_replica::identity::{Identity, LIFETIME};
use tidelog_replica::topology::{FixedTopology, NodeInfo};
use tidelog_replica::{Node, NodeOptions};

const WAIT: Duration = Duration::from_secs(20);

fn free_port() -> u16 {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Nodes that all know each other, each with a store in a directory of its own.
fn nodes(folder: &std::path::Path, count: usize) -> Vec<Node> {
    nodes_one_by_one(folder, count, None).collect()
}

/// Starts the next node when it is asked for; their stores ascend.
fn nodes_one_by_one(
    folder: &std::path::Path,
    count: usize,
    scrub: Option<Duration>,
) -> impl Iterator<Item = Node> {
    let mut stores: Vec<Store> =
        (0..count).map(|number| Store::open(folder.join(format!("{number}"))).unwrap()).collect();
    stores.sort_by_key(Store::store_id);
    let identities: Vec<Identity> = stores
        .iter()
        .map(|store| Identity::generate(store.store_id(), SystemTime::now(), LIFETIME).unwrap())
        .collect();
    let own_identities = identities.clone();
    let ports: Vec<u16> = (0..count).map(|_| free_port()).collect();
    let node = move |own: usize, number: usize| {
        NodeInfo::new(
            format!("node{number}"),
            own == number,
            format!("127.0.0.1:{}", ports[number]),
            vec![identities[number].fingerprint()],
        )
    };
    let start = move |(own, store): (usize, Store)| {
        let nodes: Vec<NodeInfo> = (0..count).map(|number| node(own, number)).collect();
        let listen = nodes[own].address.parse().unwrap();
        let topology = FixedTopology::new(nodes).unwrap();
        let mut options = NodeOptions::new(listen, own_identities[own].clone());
        options.scrub = scrub;
        Node::start(store, Arc::new(topology), options).unwrap()
    };
    stores.into_iter().enumerate().map(start)
}

fn write(store: &Store, device: &str, first: i64, rows: i64) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    for row in first..first + rows {
        let time = 1_700_000_000_000_000_000 + row * 10_000_000_000;
        batch.push(device, time, [("level", row as f64)]).unwrap();
    }
    store.write(&batch, Durability::Sync).unwrap();
}

fn root(store: &Store) -> Option<Digest> {
    let name = CollectionName::parse("plant.boiler").unwrap();
    let rows = store.digests(&name, Level::Root, TimeRange::ALL).unwrap();
    rows.first().map(|row| row.digest)
}

async fn equal(nodes: &[Node]) {
    let equal = || {
        let roots: Vec<_> = nodes.iter().map(|node| root(node.store())).collect();
        roots[0].is_some() && roots.iter().all(|one| *one == roots[0])
    };
    let until = tokio::time::Instant::now() + WAIT;
    while !equal() {
        let mut told = Vec::new();
        if tokio::time::Instant::now() > until {
            for node in nodes {
                told.push(node.status().await);
            }
            panic!("the stores did not become equal: {told:#?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_written_before_and_while_linked_is_on_all() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = nodes(folder.path(), 3);
    write(nodes[0].store(), "a", 0, 5_000);
    write(nodes[1].store(), "b", 0, 5_000);
    for node in &nodes {
        tokio::time::timeout(WAIT, node.ready()).await.unwrap();
    }
    equal(&nodes).await;
    for round in 0..20 {
        write(nodes[2].store(), "c", round * 100, 100);
        write(nodes[0].store(), "a", 4_900 + round * 50, 100);
    }
    equal(&nodes).await;
    let status = nodes[0].status().await.unwrap();
    assert!(status.ready && status.peers.len() == 2, "{status:#?}");
    for node in nodes {
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_without_peers_is_ready() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = nodes(folder.path(), 1);
    tokio::time::timeout(WAIT, nodes[0].ready()).await.unwrap();
    assert!(nodes[0].status().await.unwrap().ready);
}

/// Of two links both sides keep the one that the lesser store dialled. Its first packets are lost here, for nobody listens yet;
/// they are sent again after a second, when the other store's dial has long made a link. It must not be replaced by then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dial_that_comes_late_does_not_replace_the_link_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let mut starting = nodes_one_by_one(folder.path(), 2, None);
    let lesser = starting.next().unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let mut events = lesser.events();
    let _greater = starting.next().unwrap();
    let mut linked = 0;
    let _ = tokio::time::timeout(Duration::from_secs(3), async {
        loop {
            let event = events.recv().await.unwrap().event;
            linked += u32::from(matches!(event, tidelog_protocol::Event::Connected { .. }));
        }
    })
    .await;
    assert_eq!(linked, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_that_is_asked_for_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let nodes = nodes(folder.path(), 2);
    write(nodes[0].store(), "a", 0, 500);
    for node in &nodes {
        // The comparison of the start is over then, and not the one that is told of below.
        tokio::time::timeout(WAIT, node.ready()).await.unwrap();
    }
    equal(&nodes).await;
    let mut events = nodes[1].events();
    nodes[1].check(None).await;
    let outcome = tokio::time::timeout(WAIT, async {
        loop {
            if let tidelog_protocol::Event::Completed { outcome, report, .. } =
                events.recv().await.unwrap().event
            {
                return (outcome, report);
            }
        }
    });
    let (outcome, report) = outcome.await.unwrap();
    assert_eq!(outcome, tidelog_protocol::Outcome::Agreed);
    assert_eq!(report.counts.rows_sent + report.counts.rows_taken, 0, "{report:?}");
}

/// The largest file of rows of a store.
fn largest_file(store: &std::path::Path) -> PathBuf {
    let groups = std::fs::read_dir(store).unwrap().map(|entry| entry.unwrap().path());
    let files = groups.filter_map(|group| std::fs::read_dir(group.join("raw")).ok()).flatten();
    let files = files.map(|entry| entry.unwrap());
    files.max_by_key(|entry| entry.metadata().unwrap().len()).unwrap().path()
}

/// Whether a query meets the damage, or nobody asks and it is found when all files are verified.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_is_found_and_healed_from_a_peer() {
    for scrub in [None, Some(Duration::from_millis(500))] {
        let folder = tempfile::tempdir().unwrap();
        let nodes: Vec<Node> = nodes_one_by_one(folder.path(), 2, scrub).collect();
        (0..4).for_each(|device| write(nodes[0].store(), &format!("d{device}"), 0, 20_000));
        equal(&nodes).await;
        let places: Vec<PathBuf> =
            (0..2).map(|number| folder.path().join(format!("{number}"))).collect();
        let own = nodes[1].store();
        own.flush().unwrap();
        own.seal().unwrap();
        let of_id = |place: &&PathBuf| {
            let reader = tidelog_engine::Options::new().read_only(true).open(place).unwrap();
            reader.store_id() == own.store_id()
        };
        let file = largest_file(places.iter().find(of_id).unwrap());
        let mut events = nodes[1].events();
        {
            use std::os::unix::fs::FileExt;
            let file = std::fs::File::options().write(true).read(true).open(&file).unwrap();
            let len = file.metadata().unwrap().len();
            for part in 1..10 {
                let mut bytes = [0; 64];
                file.read_exact_at(&mut bytes, len / 16 * part).unwrap();
                file.write_all_at(&bytes.map(|byte| !byte), len / 16 * part).unwrap();
            }
        }
        if scrub.is_none() {
            let name = CollectionName::parse("plant.boiler").unwrap();
            let answer = own.query(&name, Query::new()).unwrap().collect_rows();
            let error = answer.map(|rows| rows.rows()).unwrap_err();
            assert!(error.to_string().contains("raw/"), "{error}");
        }
        let healed = tokio::time::timeout(WAIT, async {
            let mut damaged = None;
            loop {
                match events.recv().await.unwrap().event {
                    Event::Damaged { file, .. } => damaged = Some(file),
                    Event::Healed { file, .. } => return (damaged, file),
                    _ => {}
                }
            }
        });
        let (damaged, healed) = healed.await.unwrap();
        assert!(file.ends_with(&healed), "{healed}");
        assert_eq!(damaged, Some(healed));
        equal(&nodes).await;
        assert!(own.check(|_, _| true).unwrap().is_clean());
        assert_eq!(nodes[1].status().await.unwrap().damaged, []);
        for node in nodes {
            node.stop().await;
        }
    }
}
