//! At rest: faults are over, everyone is up, and time has passed. Then all stores answer alike, as the twin does, and
//! agree; and while writes go on, comparisons find nothing.

use crate::history::History;
use crate::plant::{Plant, version_of};
use crate::twin::{Cells, cells, lists};
use crate::world::World;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tidelog_model::{Horizon, StoreId, TimeRange};
use tidelog_protocol::message::TailBatch;
use tidelog_protocol::{Channel, Event, Outcome, PeerState};

/// Rest comes within so many milliseconds: clocks were up to 72 s ahead, and stamps are until then.
const PATIENCE: u64 = 240_000;

/// Runs a history from a seed, and checks it at rest. What was wrong, with what had happened.
pub fn run(seed: u64, plant: Plant) -> Result<u64, String> {
    let mut history = History::new(seed);
    history.world.plant = plant;
    let outcome = catch_unwind(AssertUnwindSafe(|| live(&mut history)));
    match outcome {
        Ok(()) => Ok(history.world.net.messages),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or(panic.downcast_ref::<&str>().map(ToString::to_string));
            Err(format!(
                "{}\n{}\nreplay: TIDELOG_SIM_SEED={seed} cargo test -p tidelog-tests --test sim random_histories",
                history.world.log.join("\n"),
                text.unwrap_or_default()
            ))
        }
    }
}

fn live(history: &mut History) {
    // The bug is there from the first opening on.
    for machine in 0..history.world.machines.len() {
        if history.world.plant != Plant::Nothing {
            history.world.stop(machine);
            history.start(machine);
        }
    }
    let ids: Vec<StoreId> = history.world.machines.iter().filter_map(|one| one.id).collect();
    history.world.net.tamper = Some(Box::new(move |from, channel, bytes| {
        if channel == Channel::Tail {
            own_only(ids[from], bytes);
        }
    }));
    for _ in 0..history.steps {
        history.step();
    }
    history.heal();
    come_to_rest(&mut history.world);
    equal(history);
    checks_find_nothing(history);
    checks_beside_writes_find_nothing(history);
    equal(history);
}

/// A tail carries what its store wrote.
fn own_only(store: StoreId, bytes: &[u8]) {
    let batch = TailBatch::decode(bytes).expect("a message");
    for archive in &batch.batches {
        assert_eq!(version_of(archive).origin, store, "a tail carries what others wrote");
    }
    for delete in &batch.tombstones {
        let delete = tidelog_engine::read_tombstone(delete).expect("a delete");
        assert_eq!(delete.version.origin, store, "a tail carries deletes of others");
    }
}

/// Runs until every store follows every other one, and none has anything more to say.
pub fn come_to_rest(world: &mut World) {
    let until = world.now + PATIENCE;
    while world.now < until {
        world.run(2_000);
        if is_at_rest(world) {
            // Comparisons that heard nothing more have ended by then.
            world.run(12_000);
            return;
        }
    }
    let statuses: Vec<_> = (0..world.machines.len())
        .map(|number| (number, world.node(number).status(), last(&world.machines[number].events)))
        .collect();
    panic!("no rest after {PATIENCE} ms: {statuses:#?}");
}

fn last(events: &[Event]) -> &[Event] {
    &events[events.len().saturating_sub(4)..]
}

fn is_at_rest(world: &World) -> bool {
    (0..world.machines.len()).all(|number| {
        let node = world.node(number);
        node.status()
            .iter()
            .all(|peer| peer.state == PeerState::Connected && node.is_drained(peer.peer))
    })
}

/// All answer alike, as the twin does.
pub fn equal(history: &History) {
    for number in 0..history.world.machines.len() {
        let objection = history.twin.object(&cells(history.world.store(number)));
        assert!(objection.is_none(), "{number}: {}", objection.unwrap());
    }
    alike(&history.world);
}

/// All answer alike.
pub fn alike(world: &World) {
    let all = world.machines.len();
    let answers: Vec<Cells> = (0..all).map(|number| cells(world.store(number))).collect();
    for (number, other) in answers.iter().enumerate().skip(1) {
        let differ = |a: &Cells, b: &Cells| {
            a.iter().find(|(key, value)| b.get(*key) != Some(value)).map(|one| format!("{one:?}"))
        };
        let first = differ(&answers[0], other).map(|one| format!("0 has {one}"));
        let first = first.or(differ(other, &answers[0]).map(|one| format!("{number} has {one}")));
        assert!(first.is_none(), "0 and {number} answer differently: {}", first.unwrap());
        assert_eq!(lists(world.store(0)), lists(world.store(number)), "lists of 0 and {number}");
    }
    let roots: BTreeSet<String> = (0..all).map(|number| roots(world, number)).collect();
    assert_eq!(roots.len(), 1, "equal answers have equal roots: {roots:?}");
}

fn roots(world: &World, number: usize) -> String {
    let store = world.store(number);
    let names = store.collection_names();
    let root = |name| {
        let rows = store.digests(name, tidelog_engine::Level::Root, TimeRange::ALL);
        rows.expect("they can be read").first().map(|row| row.digest)
    };
    let roots: Vec<_> = names.iter().map(root).collect();
    format!("{roots:?} {:?}", store.state_root(None, &Horizon::default()))
}

/// Rows that comparisons have sent, on all sides.
pub fn rows_sent(world: &World) -> u64 {
    let all = (0..world.machines.len()).flat_map(|number| world.node(number).status());
    all.map(|peer| peer.counts.rows_sent).sum()
}

/// Everybody compares with everybody, agrees, and sends nothing.
fn checks_find_nothing(history: &mut History) {
    let world = &mut history.world;
    let (before, messages) = (rows_sent(world), world.net.messages);
    world.machines.iter_mut().for_each(|one| one.events.clear());
    world.check(None);
    world.run(8_000);
    agreed(world, "at rest");
    assert_eq!(rows_sent(world), before, "rows were sent between equal stores");
    let pairs = (world.machines.len() * (world.machines.len() - 1)) as u64;
    let messages = world.net.messages - messages;
    assert!(messages <= pairs * 60, "{messages} messages in 8 s of {pairs} pairs at rest");
}

fn agreed(world: &World, when: &str) {
    for number in 0..world.machines.len() {
        let outcomes = world.outcomes(number);
        let peers = world.machines.len() - 1;
        assert!(outcomes.len() >= peers, "{when} {number} compared {} times", outcomes.len());
        assert!(
            outcomes.iter().all(|one| *one == Outcome::Agreed),
            "{when} {number} ended with {outcomes:?}"
        );
    }
}

/// While everybody writes, comparisons agree up to their horizon, and send nothing.
fn checks_beside_writes_find_nothing(history: &mut History) {
    let before = rows_sent(&history.world);
    history.world.machines.iter_mut().for_each(|one| one.events.clear());
    for round in 0..20 {
        let machine = history.world.net.below(history.world.machines.len() as u64) as usize;
        history.write(machine);
        if round % 5 == 0 {
            history.world.check(None);
        }
        history.world.run(150);
    }
    history.world.run(4_000);
    agreed(&history.world, "beside writes");
    // After many openings stamps are ahead of the clock, for each begins where the one before may have ended.
    come_to_rest(&mut history.world);
    assert_eq!(rows_sent(&history.world), before, "rows in flight were sent");
}
