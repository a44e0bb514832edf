//! Members come and go: whose topology is older is not spoken with until it is raised, and who was forgotten comes back only as
//! a new store.

use crate::rest::{alike, come_to_rest};
use crate::twin::cells;
use crate::world::World;
use tidelog_engine::{Batch, Durability};
use tidelog_model::{GroupEpoch, GroupId, Stamp};
use tidelog_protocol::{Event, Input, Outcome, Refusal, RefusalKind};

const START: i64 = 1_700_000_000_000_000_000;

fn write(world: &World, machine: usize, device: &str) {
    let mut batch = Batch::new("plant.boiler").unwrap();
    batch.push(device, START, [("level", machine as f64)]).unwrap();
    world.store(machine).write(&batch, Durability::Sync).unwrap();
}

fn world(machines: usize, seed: u64) -> World {
    let mut world = World::new(machines, seed);
    (0..machines).for_each(|machine| assert!(world.start(machine)));
    come_to_rest(&mut world);
    world
}

/// What a machine was told, or told others, since it was looked last.
fn refusals(world: &mut World, machine: usize) -> Vec<Refusal> {
    let events = std::mem::take(&mut world.machines[machine].events);
    let refused = events.into_iter().filter_map(|event| match event {
        Event::Refused { refusal, .. } => Some(refusal),
        _ => None,
    });
    refused.collect()
}

fn devices(world: &World, machine: usize) -> Vec<String> {
    let cells = cells(world.store(machine));
    let mut devices: Vec<String> = cells.keys().map(|key| format!("{key:?}")).collect();
    devices.retain(|key| key.contains("level"));
    devices
}

#[test]
fn an_old_epoch_is_refused_until_it_is_raised_and_no_row_is_lost() {
    let mut world = world(2, 70);
    write(&world, 0, "before");
    world.run(1_000);
    world.set_epoch(0, 2);
    write(&world, 0, "on 0");
    write(&world, 1, "on 1");
    let messages = world.net.messages;
    world.run(300_000);
    let old = world.machines[1].id.unwrap();
    for machine in 0..2 {
        let refused = refusals(&mut world, machine);
        assert!(!refused.is_empty() && refused.len() <= 7, "{} times", refused.len());
        for refusal in refused {
            assert_eq!(refusal.kind, RefusalKind::Epoch, "{refusal:?}");
            let text = &refusal.text;
            assert!(text.contains("epoch 0 of group") && text.contains("epoch 2"), "{text}");
            assert!(text.ends_with(&format!("update the file of store {old}")), "{text}");
        }
    }
    assert!(world.net.messages - messages < 100, "{}", world.net.messages - messages);
    assert_eq!(world.node(1).status()[0].refusal.as_ref().unwrap().kind, RefusalKind::Epoch);
    assert_eq!((devices(&world, 0).len(), devices(&world, 1).len()), (2, 2));
    // It has seen the other one, and knows so after a crash.
    world.crash_lose_all(1);
    assert!(world.start(1));
    let seen = [(GroupId(0), GroupEpoch(2)), (GroupId(1), GroupEpoch(2))];
    assert_eq!(world.store(1).epochs(), seen);
    world.set_epoch(1, 2);
    come_to_rest(&mut world);
    alike(&world);
    assert_eq!(devices(&world, 0).len(), 3);
    assert_eq!(world.node(1).status()[0].refusal, None);
    let started =
        world.machines.iter().flat_map(|one| &one.events).rev().find_map(|event| match event {
            Event::Started { epochs, .. } => Some(epochs.clone()),
            _ => None,
        });
    assert_eq!(started.unwrap(), [GroupEpoch(2); 2]);
}

#[test]
fn a_topology_older_than_what_its_store_has_seen_is_told_of_though_both_have_it() {
    let mut world = world(2, 71);
    (0..2).for_each(|machine| world.set_epoch(machine, 3));
    come_to_rest(&mut world);
    for machine in 0..2 {
        world.machines[machine].events.clear();
        world.set_epoch(machine, 1);
    }
    write(&world, 0, "a");
    world.run(120_000);
    let refused = refusals(&mut world, 0);
    assert!(
        refused.iter().any(|one| one.text.contains("epoch 1 of group 0, and it has seen epoch 3")),
        "{refused:?}"
    );
    assert_eq!(devices(&world, 1).len(), 0);
    (0..2).for_each(|machine| world.set_epoch(machine, 3));
    come_to_rest(&mut world);
    alike(&world);
    assert_eq!(devices(&world, 1).len(), 1);
}

#[test]
fn who_was_forgotten_is_refused_and_comes_back_as_a_new_store() {
    let mut world = world(3, 72);
    write(&world, 2, "sent");
    come_to_rest(&mut world);
    let gone = world.machines[2].id.unwrap();
    world.net.cut(2, 0);
    world.net.cut(2, 1);
    write(&world, 2, "not sent");
    world.stop(2);
    world.net.mend(world.now);
    world.set_member(2, false);
    for machine in 0..2 {
        assert!(world.store(machine).known_stores().contains(&gone));
        world.store(machine).forget_store(gone).unwrap();
        assert!(!world.store(machine).known_stores().contains(&gone));
    }
    // The log of what was taken of it is still there when the store is opened again.
    world.crash_lose_all(0);
    assert!(world.start(0));
    assert!(!world.store(0).known_stores().contains(&gone), "its cursor came back");
    write(&world, 0, "meanwhile");
    world.run(5_000);

    world.set_member(2, true);
    (0..3).for_each(|machine| world.machines[machine].events.clear());
    assert!(world.start(2));
    world.run(300_000);
    for machine in 0..2 {
        let refused = refusals(&mut world, machine);
        assert!(!refused.is_empty() && refused.len() <= 7, "{} times", refused.len());
        for refusal in refused {
            assert_eq!(refusal.kind, RefusalKind::Forgotten);
            assert!(refusal.text.contains("a new store in an empty directory"), "{}", refusal.text);
        }
    }
    let kept =
        |world: &World| (0..2).map(|machine| devices(world, machine).len()).collect::<Vec<_>>();
    assert_eq!(kept(&world), [2, 2], "nothing of it came, and its rows that were here stay");

    // Empty, it is another store; what it had not sent is written anew.
    world.stop(2);
    world.empty(2);
    assert!(world.start(2));
    assert_ne!(world.machines[2].id, Some(gone));
    write(&world, 2, "not sent");
    come_to_rest(&mut world);
    alike(&world);
    assert_eq!(kept(&world), [3, 3]);
}

#[test]
fn a_comparison_of_a_named_group_is_of_that_alone_and_settles_nothing_else() {
    let mut world = world(2, 73);
    (0..20).for_each(|device| write(&world, 0, &format!("d{device}")));
    world.run(5_000);
    let agreed = |world: &World| [0, 1].map(|machine| world.node(machine).status()[0].agreed_at);
    for machine in 0..2 {
        let before = agreed(&world);
        let (now, peer) = (world.now_of(machine), world.machines[1 - machine].id.unwrap());
        world.machines.iter_mut().for_each(|one| one.events.clear());
        let up = world.machines[machine].up.as_mut().unwrap();
        let groups = vec![GroupId(1)];
        up.node.handle(now, Input::CheckGroups { peer, groups: groups.clone() });
        world.run(1_000);
        let ended = world.machines[machine].events.iter().find_map(|event| match event {
            Event::Completed { outcome, report, .. } => Some((outcome.clone(), report.clone())),
            _ => None,
        });
        let (outcome, report) = ended.expect("it came to its end");
        assert_eq!((outcome, report.groups), (Outcome::Agreed, groups));
        assert!(report.horizon.least() > Stamp::ZERO);
        assert_eq!(agreed(&world), before, "other groups were not compared");
    }
    // Of a peer that is none it is told at once, and not waited for.
    world.set_member(1, false);
    let (now, peer) = (world.now_of(0), world.machines[1].id.unwrap());
    let up = world.machines[0].up.as_mut().unwrap();
    up.node.handle(now, Input::CheckGroups { peer, groups: vec![GroupId(1)] });
    world.settle();
    let failed = |event: &Event| matches!(event, Event::Failed { report, .. } if report.groups == [GroupId(1)]);
    assert!(world.machines[0].events.iter().any(failed), "{:?}", world.machines[0].events);
}
