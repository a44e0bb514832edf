//! Random histories: what users, disks, clocks and networks do to replicas, from a seed.

use crate::twin::Twin;
use crate::world::{EPOCH_MILLIS, World};
use tidelog_engine::{Delete as StoreDelete, Durability, WriteError};
use tidelog_model::{Device, DeviceSelector, Stamp, TimeRange, Value, Version};
use tidelog_protocol::{Config, PeerState};
use tidelog_tests::disk::SimDisk;
use tidelog_tests::oracle::{Delete, RowWrite};
use tidelog_tests::subject;

const MINUTE: i64 = 60_000_000_000;
const START: i64 = 1_700_000_000_000_000_000;
const COLLECTIONS: [&str; 3] = ["plant.boiler", "plant.grid", "lab.x"];

/// What a machine wrote since a copy of its disk was made.
struct Copy {
    machine: usize,
    disk: SimDisk,
    /// How many events there were then.
    events: usize,
}

/// A world, what is known of it, and what may still happen.
pub struct History {
    pub world: World,
    pub twin: Twin,
    copy: Option<Copy>,
    /// Values are told apart by it.
    count: u64,
    /// How many things happen.
    pub steps: u64,
    /// Only comparisons that are needed come by themselves: nothing hides what a tail lost.
    pub tails_only: bool,
}

impl History {
    pub fn new(seed: u64) -> Self {
        let mut world = World::new(2, seed);
        let machines = match world.net.below(20) {
            0 => 7,
            1..4 => 5,
            4..9 => 4,
            9..14 => 3,
            _ => 2,
        };
        let mut world = World::new(machines, seed);
        world.net.draw();
        let tails_only = world.net.below(3) > 0;
        let interval = [5_000, 30_000][world.net.below(2) as usize];
        world.config = Config {
            interval: (!tails_only).then_some(interval),
            initial_delay: 3_000,
            silence: 5_000,
            ..Config::default()
        };
        if world.net.below(2) == 0 {
            world.net.delay = (1, 1 + world.net.below(300));
        }
        if world.net.below(3) == 0 {
            world.net.lost = world.net.below(60);
            world.net.twice = world.net.below(60);
            world.net.disordered = world.net.below(100);
        }
        let steps = 15 + world.net.below(30);
        for number in 0..machines {
            if world.net.below(4) == 0 {
                world.machines[number].slow = world.net.below(200);
            }
            world.start(number);
        }
        let twin = Twin::default();
        History { world, twin, copy: None, count: 0, steps, tails_only }
    }

    fn below(&mut self, most: u64) -> u64 {
        self.world.net.below(most)
    }

    fn say(&mut self, what: &str) {
        let line = format!("{:>7} {what}", self.world.now);
        self.world.log.push(line);
    }

    /// Lets one thing happen, and time pass.
    pub fn step(&mut self) {
        let machines = self.world.machines.len() as u64;
        let machine = self.below(machines) as usize;
        match self.below(100) {
            0..46 => self.write(machine),
            46..53 => self.delete(machine),
            53..60 => self.upkeep(machine),
            60..64 => self.check(machine),
            64..70 => self.network(machine),
            70..78 => self.crash_or_start(machine),
            78..82 => self.restart(machine),
            82..85 => self.fill_disk(machine),
            85..91 => self.turn_clock(machine),
            91..94 => self.copy_or_restore(machine),
            94..97 => self.slow(machine),
            _ => self.burst(machine),
        }
        if self.world.machines[machine].broken {
            self.crash(machine);
        }
        let millis = match self.below(4) {
            0 => self.below(5),
            1 => self.below(4000),
            _ => self.below(400),
        };
        self.world.run(millis);
    }

    fn burst(&mut self, machine: usize) {
        for _ in 0..10 {
            self.write(machine);
            self.world.run(3);
        }
    }

    fn device(&mut self) -> Device {
        match self.below(8) {
            0 => Device::with_labels("cpu", [("host", "a")]),
            1 => Device::with_labels("cpu", [("host", "b"), ("rack", "2")]),
            2 => Device::named("cp"),
            other => Device::named(&format!("pump_{}", other % 4)),
        }
        .expect("a device")
    }

    fn time(&mut self) -> i64 {
        match self.below(40) {
            0 => [i64::MIN, i64::MAX, 0, -1][self.below(4) as usize],
            1..5 => START - self.below(90 * 24) as i64 * 60 * MINUTE,
            5..15 => START + self.below(600) as i64 * MINUTE / 10,
            _ => START + self.below(30) as i64 * MINUTE,
        }
    }

    fn values(&mut self, machine: usize) -> Vec<(String, Value)> {
        let mut values = Vec::new();
        self.count += 1;
        let count = self.count;
        if self.below(10) < 6 {
            values.push(("level".to_owned(), Value::F64(count as f64)));
        }
        if self.below(10) < 3 {
            values.push(("count".to_owned(), Value::I64(count as i64)));
        }
        if self.below(10) < 2 {
            values.push(("mode".to_owned(), Value::String(format!("m{count}"))));
        }
        if self.below(20) == 0 {
            // One name with two types, until the stores know each other's.
            let value = if machine.is_multiple_of(2) {
                Value::U64(count)
            } else {
                Value::Bytes(count.to_le_bytes().to_vec())
            };
            values.push(("mixed".to_owned(), value));
        }
        if self.below(30) == 0 {
            values.push((format!("new_{}", self.below(12)), Value::Bool(count.is_multiple_of(2))));
        }
        values
    }

    pub fn write(&mut self, machine: usize) {
        let rows = if self.below(12) == 0 { 300 } else { 1 + self.below(8) };
        let mut all = Vec::new();
        let (device, dense) = (self.device(), rows > 100);
        let first = self.time();
        for at in 0..rows as i64 {
            let own = if self.below(3) == 0 && !dense { self.device() } else { device.clone() };
            let time = if dense { first.saturating_add(at * 1_000_000_000) } else { self.time() };
            all.push(RowWrite { device: own, time, values: self.values(machine) });
        }
        let collection = COLLECTIONS[self.below(4).min(2) as usize];
        let durability = if self.below(6) == 0 { Durability::Os } else { Durability::Sync };
        self.write_rows(machine, collection, &all, durability);
    }

    pub fn write_rows(
        &mut self,
        machine: usize,
        collection: &str,
        rows: &[RowWrite],
        durability: Durability,
    ) {
        if !self.world.is_up(machine) {
            return;
        }
        let store = self.world.store(machine).clone();
        let loose = durability != Durability::Sync;
        match subject::write(&store, collection, rows, durability) {
            Ok(receipt) => {
                let version = Version { stamp: receipt.stamp, origin: store.store_id() };
                self.twin.write(machine, collection, (version, loose), rows);
                if !loose {
                    self.twin.synced(machine);
                }
                let (count, stamp) = (rows.len(), receipt.stamp);
                self.say(&format!("{machine} writes {count} rows to {collection} at {stamp:?}"));
            }
            Err(error) => self.refused(machine, &error),
        }
        self.world.settle();
    }

    fn refused(&mut self, machine: usize, error: &WriteError) {
        self.say(&format!("{machine} refuses: {error}"));
        let machine = &mut self.world.machines[machine];
        machine.broken |= error.kind() == tidelog_engine::Kind::Reopen;
    }

    fn delete(&mut self, machine: usize) {
        if !self.world.is_up(machine) {
            return;
        }
        let devices = match self.below(6) {
            0 => DeviceSelector::all(),
            1 => DeviceSelector { prefix: Some("pump_".to_owned()), ..Default::default() },
            2 => DeviceSelector {
                labels: vec![("host".to_owned(), "a".to_owned())],
                ..Default::default()
            },
            _ => DeviceSelector::one(self.device()),
        };
        let (a, b) = (self.time(), self.time());
        let range = match self.below(4) {
            0 => TimeRange::ALL,
            1 => TimeRange::inclusive(a, i64::MAX).expect("not empty"),
            _ => TimeRange::inclusive(a.min(b), a.max(b)).expect("not empty"),
        };
        let fields = (self.below(4) == 0).then(|| vec!["level".to_owned(), "mixed".to_owned()]);
        let delete = Delete { devices, fields, range };
        let collection = COLLECTIONS[self.below(3) as usize];
        let whole = self.below(12) == 0;
        let store = self.world.store(machine).clone();
        let asked: StoreDelete =
            subject::delete_of(collection, whole, &delete).expect("names of collections");
        match store.delete(&asked) {
            Ok(stamp) => {
                let version = Version { stamp, origin: store.store_id() };
                let database = collection.split_once('.').expect("two names").0;
                self.twin.synced(machine);
                self.say(&format!("{machine} deletes {delete:?} of {collection} at {stamp:?}"));
                for one in COLLECTIONS {
                    if one == collection || whole && one.starts_with(database) {
                        self.twin.delete(machine, Some(one), version, delete.clone());
                    }
                }
            }
            Err(error) => self.refused(machine, &error),
        }
        self.world.settle();
    }

    fn upkeep(&mut self, machine: usize) {
        if !self.world.is_up(machine) {
            return;
        }
        let store = self.world.store(machine).clone();
        let (what, done) = match self.below(4) {
            0 | 1 => ("flushes", store.flush().is_ok()),
            2 => ("seals", store.seal().is_ok()),
            _ => ("compacts", store.flush().and_then(|()| store.compact()).is_ok()),
        };
        if done && what != "seals" {
            self.twin.synced(machine);
        }
        self.say(&format!("{machine} {what}: {done}"));
    }

    fn check(&mut self, machine: usize) {
        self.say(&format!("{machine} compares"));
        self.world.check(Some(machine));
    }

    fn network(&mut self, machine: usize) {
        let other = self.below(self.world.machines.len() as u64) as usize;
        match self.below(4) {
            0 => {
                self.say(&format!("nothing from {machine} reaches {other}"));
                self.world.net.cut(machine, other);
            }
            1 => {
                self.say(&format!("{machine} and {other} are apart"));
                self.world.net.cut(machine, other);
                self.world.net.cut(other, machine);
            }
            2 => {
                self.say(&format!("links of {machine} break"));
                self.world.unlink_all(machine, "it broke");
            }
            _ => {
                self.say("the network is whole");
                self.world.net.mend(self.world.now);
            }
        }
    }

    fn crash_or_start(&mut self, machine: usize) {
        if self.world.is_up(machine) {
            self.crash(machine);
        } else {
            self.start(machine);
        }
    }

    /// What a machine said to have of others, it has after a crash.
    pub fn crash(&mut self, machine: usize) {
        if !self.world.is_up(machine) {
            return;
        }
        let claims: Vec<_> = self.claims(machine);
        self.say(&format!("{machine} crashes"));
        self.world.crash(machine);
        self.twin.crashed(machine);
        self.start(machine);
        if self.world.is_up(machine) {
            for (origin, stamp) in claims {
                let missing = self.twin.missing(self.world.store(machine), origin, stamp);
                assert!(missing.is_none(), "{machine} said to have {}", missing.unwrap());
            }
        }
        if self.below(2) == 0 {
            self.say(&format!("{machine} stays away"));
            self.world.stop(machine);
        }
    }

    /// Of which peers a machine says to have everything up to a stamp.
    fn claims(&self, machine: usize) -> Vec<(tidelog_model::StoreId, Stamp)> {
        let whole = |state| matches!(state, PeerState::Connected | PeerState::Lagging);
        let all = self.world.node(machine).status().into_iter();
        all.filter(|one| whole(one.state)).map(|one| (one.peer, one.known)).collect()
    }

    pub fn start(&mut self, machine: usize) {
        if !self.world.is_up(machine) {
            let up = self.world.start(machine);
            self.say(&format!("{machine} starts: {up}"));
        }
    }

    fn restart(&mut self, machine: usize) {
        if self.world.is_up(machine) {
            self.say(&format!("{machine} stops"));
            self.world.stop(machine);
        }
        self.start(machine);
    }

    fn fill_disk(&mut self, machine: usize) {
        let disk = self.world.machines[machine].disk.clone();
        if self.below(2) == 0 {
            let room = self.below(20_000);
            self.say(&format!("the disk of {machine} has room for {room} bytes"));
            disk.set_capacity(Some(disk.live_bytes() + room));
        } else {
            disk.set_capacity(None);
        }
    }

    fn turn_clock(&mut self, machine: usize) {
        let millis = match self.below(6) {
            0 => 0,
            1 => -(self.below(60_000) as i64),
            2 => 12_000 + self.below(60_000) as i64,
            3 => self.world.machines[machine].skew + 50,
            _ => self.below(9_000) as i64,
        };
        self.say(&format!("the clock of {machine} is {millis} ms ahead"));
        self.world.skew(machine, millis);
    }

    fn slow(&mut self, machine: usize) {
        let other = self.below(self.world.machines.len() as u64) as usize;
        let millis = self.below(1500);
        self.say(&format!("{machine} to {other} takes {millis} ms more"));
        self.world.net.more_delay.insert((machine, other), millis);
    }

    /// Keeps a copy of a disk, or puts it back: only one machine forgets, so that what others have of it stays.
    fn copy_or_restore(&mut self, machine: usize) {
        match self.copy.take() {
            None if self.world.is_up(machine) => {
                self.say(&format!("a copy of the disk of {machine} is made"));
                // As a copy at one moment is: everything that was written is in it.
                let disk = self.world.machines[machine].disk.crash_keep_all();
                disk.set_capacity(None);
                self.copy = Some(Copy { machine, disk, events: self.twin.events.len() });
            }
            Some(copy) if self.below(2) == 0 => self.restore(copy),
            copy => self.copy = copy,
        }
    }

    fn restore(&mut self, copy: Copy) {
        let Copy { machine, disk, events } = copy;
        let held = self.held_of(machine);
        self.say(&format!("{machine} is given the copy of its disk; others have {held:?} of it"));
        self.twin.lost(machine, events, held);
        if self.world.is_up(machine) {
            self.world.crash(machine);
        }
        self.world.machines[machine].disk = disk.crash_keep_all();
        // A clock that stands before what was written with it, and a store that forgot that: then stamps are drawn
        // twice, and no merge can tell one write from another.
        let most = self.world.machines[machine].skew_max;
        self.world.skew(machine, most);
        self.copy = Some(Copy { machine, disk, events });
        self.start(machine);
    }

    /// Up to which stamp another machine has what a machine wrote.
    fn held_of(&self, machine: usize) -> Stamp {
        let Some(id) = self.world.machines[machine].id else { return Stamp::ZERO };
        let others = (0..self.world.machines.len()).filter(|one| *one != machine);
        let claims = others.filter(|one| self.world.is_up(*one)).flat_map(|one| self.claims(one));
        claims.filter(|(origin, _)| *origin == id).map(|one| one.1).max().unwrap_or(Stamp::ZERO)
    }

    /// Everything works again.
    pub fn heal(&mut self) {
        self.say("everything is well again");
        self.world.net.heal(self.world.now);
        for machine in 0..self.world.machines.len() {
            self.world.machines[machine].disk.set_capacity(None);
            self.world.machines[machine].slow = 0;
            self.world.skew(machine, 0);
            if self.world.machines[machine].broken {
                self.crash(machine);
            }
            self.start(machine);
            assert!(self.world.is_up(machine), "{machine} cannot be opened");
        }
    }

    pub fn wall(&self) -> u64 {
        EPOCH_MILLIS + self.world.now
    }
}
