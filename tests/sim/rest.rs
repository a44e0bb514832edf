//! At rest: faults are over, everyone is up, and time has passed. Then all stores answer alike, as the twin does, and
//! agree; and while writes go on, comparisons find nothing.

use crate::history::History;
use crate::liar::liar;
use crate::plant::{Plant, version_of};
use crate::policy::{deciding, hostile};
use crate::twin::{Cells, cells, lists};
use crate::world::World;
use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tidelog_model::{Horizon, StoreId, TimeRange};
use tidelog_protocol::message::TailBatch;
use tidelog_protocol::{Channel, Config, Event, Outcome, PeerState};

/// Rest comes within so many milliseconds: clocks were up to 72 s ahead, and stamps are until then.
const PATIENCE: u64 = 240_000;

/// Runs a history from a seed, and checks it at rest. What was wrong, with what had happened.
pub fn run(seed: u64, plant: Plant) -> Result<u64, String> {
    run_one(History::new(seed), seed, plant)
}

/// The same where what decides about repairs on most machines says anything.
pub fn run_with_hostile_policies(seed: u64) -> Result<u64, String> {
    let mut history = History::new(seed);
    for machine in 0..history.world.machines.len() {
        let mut told = deciding(hostile(seed.wrapping_mul(9) + machine as u64));
        told.config.max_deferral = 20_000;
        if machine as u64 % 4 != seed % 4 {
            history.world.set_policy(machine, Some(told));
        }
    }
    run_one(history, seed, Plant::Nothing)
}

fn run_one(mut history: History, seed: u64, plant: Plant) -> Result<u64, String> {
    history.world.plant = plant;
    if plant == Plant::PassOverGap {
        // Most histories lose nothing, and in most others a comparison finds it.
        history.world.net.lost = 80;
        history.world.config.interval = None;
    }
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
    rot_is_healed(history);
}

/// Three stores and more, of which the first one lies.
pub fn run_with_a_liar(seed: u64) {
    let mut world = World::new(3 + seed as usize % 2, seed);
    world.config = Config { interval: Some(2_000), initial_delay: 500, ..Config::default() };
    world.config.silence = 4_000;
    let mut history = History::of(world);
    history.world.net.tamper = Some(liar(seed));
    for round in 0..30 {
        let machine = history.world.net.below(history.world.machines.len() as u64) as usize;
        history.write(machine);
        if round % 10 == 9 {
            history.delete(machine);
        }
        history.world.run(400);
    }
    // What the liar said to have differs from one to another, so nobody knows how far its writes have come.
    let mut world = history.world;
    world.net.tamper = None;
    world.stop(0);
    let liar = world.machines[0].id.expect("it was started");
    world.run(12_000);
    for _ in 0..3 {
        world.check(None);
        world.run(8_000);
    }
    let honest = 1..world.machines.len();
    let first = cells(world.store(1));
    for number in honest {
        let others = world.node(number).status();
        let violations = others.iter().filter(|one| one.peer != liar).map(|one| one.violations);
        assert_eq!(violations.sum::<u64>(), 0, "seed {seed}: honest ones were blamed");
        assert!(cells(world.store(number)) == first, "seed {seed}: 1 and {number} differ");
    }
    assert!(!first.is_empty());
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
        if let Some((key, why)) = objection {
            let held = (0..history.world.machines.len())
                .map(|number| crate::twin::held(history.world.store(number), &key));
            panic!("{number}: {why}; held: {:#?}", held.collect::<Vec<_>>());
        }
    }
    alike(&history.world);
}

/// All answer alike.
pub fn alike(world: &World) {
    let all = world.machines.len();
    let answers: Vec<Cells> = (0..all).map(|number| cells(world.store(number))).collect();
    for (number, other) in answers.iter().enumerate().skip(1) {
        let differ = |a: &Cells, b: &Cells| {
            let (key, value) = a.iter().find(|(key, value)| b.get(*key) != Some(value))?;
            let held = (0..all).map(|number| crate::twin::held(world.store(number), key));
            Some(format!("{key:?} {value:?}, held: {:#?}", held.collect::<Vec<_>>()))
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

/// Files of one store are damaged in places; the others give back what is lacking.
fn rot_is_healed(history: &mut History) {
    let world = &mut history.world;
    let machine = world.net.below(world.machines.len() as u64) as usize;
    world.store(machine).flush().expect("disks have room at rest");
    let mut files = world.machines[machine].disk.files();
    files.retain(|(path, _)| path.contains("/raw/") && path.ends_with(".tide"));
    for _ in 0..3 {
        if let Some((path, len)) = files.get(world.net.below(files.len().max(1) as u64) as usize) {
            let (byte, bit) = (world.net.below(*len), world.net.below(8) as u8);
            world.log.push(format!(
                "{:>7} {machine} bit {bit} of byte {byte} of {path} rots",
                world.now
            ));
            world.machines[machine].disk.flip(path, byte, bit);
        }
    }
    let found = world.scrub(machine);
    assert!(found > 0 || files.is_empty(), "no damage was found");
    if world.net.below(2) == 0 {
        world.stop(machine);
        assert!(world.start(machine), "a store with files aside opens");
    }
    come_to_rest(world);
    let until = world.now + PATIENCE;
    while !world.store(machine).aside().is_empty() && world.now < until {
        world.run(5_000);
    }
    assert_eq!(world.store(machine).aside(), [], "healed");
    equal(history);
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
