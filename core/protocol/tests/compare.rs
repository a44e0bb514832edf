//! Steps of a comparison over stores in memory: whatever they hold, they come to hold the same, and come to an end.

use proptest::collection::btree_map;
use proptest::prelude::*;
use proptest::sample::select;
use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::hash::{DefaultHasher, Hash, Hasher};
use tidelog_model::digest::Bucket;
use tidelog_model::policy::Side;
use tidelog_model::{CollectionName, Digest, GroupId, LeafWidth, Level, Placer, Stamp, TimeRange};
use tidelog_protocol::compare::{
    CollectionRoot, Counts, Item, Look, More, Pace, Pack, Packed, Place, Print, Scope,
    SettledClaim, Source, Taken, collections, step,
};

/// Value and stamp, by device and time.
type Rows = BTreeMap<Key, Row>;
type Key = (String, i64);
type Row = (u64, u64);

/// One collection in one group.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Held(Rows);

const GROUP: GroupId = GroupId(0);

fn name() -> CollectionName {
    CollectionName::parse("a.b").unwrap()
}

fn digest(of: &impl Hash) -> Digest {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    let short = hasher.finish().to_le_bytes();
    let mut digest = Digest([0; 32]);
    digest.0[..8].copy_from_slice(&short);
    digest
}

impl Held {
    fn inside(&self, range: TimeRange) -> BTreeMap<&(String, i64), &(u64, u64)> {
        self.0.iter().filter(|(key, _)| range.contains(key.1)).collect()
    }

    fn archive(device: &str, time: i64, (value, stamp): (u64, u64)) -> Vec<u8> {
        format!("{device} {time} {value} {stamp}").into_bytes()
    }
}

impl Source for Held {
    type Error = Infallible;

    fn weigh(&mut self, _: &Scope, _: TimeRange, _: &[&str]) -> Result<Side, Infallible> {
        Ok(Side::default())
    }

    fn settled(
        &mut self,
        _: &Scope,
        _: Option<&Place>,
        _: usize,
    ) -> Result<(Vec<SettledClaim>, bool), Infallible> {
        Ok((Vec::new(), false))
    }

    fn settled_nodes(
        &mut self,
        _: &Scope,
        _: &[Place],
        _: usize,
    ) -> Result<(Vec<Vec<u8>>, usize), Infallible> {
        Ok((Vec::new(), 1))
    }

    fn take_settled(&mut self, _: &Scope, _: &[Vec<u8>]) -> Result<(u64, u64), Infallible> {
        Ok((0, 0))
    }

    fn lend(
        &mut self,
        _: &Scope,
        _: (Level, TimeRange),
        _: Option<&Place>,
        _: usize,
    ) -> Result<(Vec<Vec<u8>>, Option<Place>), Infallible> {
        Ok((Vec::new(), None))
    }

    fn borrow(&mut self, _: &Scope, _: &[Vec<u8>]) -> Result<u64, Infallible> {
        Ok(0)
    }

    fn shares(&self, _: &Scope) -> bool {
        true
    }

    fn collections(&mut self, _: GroupId) -> Result<Vec<CollectionRoot>, Infallible> {
        let root = (!self.0.is_empty()).then(|| digest(&self.0));
        Ok(vec![CollectionRoot { name: name(), leaf: LeafWidth::Hour, cut: i64::MIN, root }])
    }

    fn leaf(&mut self, _: &Scope) -> Result<LeafWidth, Infallible> {
        Ok(LeafWidth::Hour)
    }

    fn windows(
        &mut self,
        _: &Scope,
        level: Level,
        range: TimeRange,
    ) -> Result<Vec<(TimeRange, Digest)>, Infallible> {
        let windows: BTreeSet<(i64, i64)> = self
            .inside(range)
            .into_keys()
            .map(|key| level.window_of(key.1, LeafWidth::Hour))
            .map(|window| (window.first(), window.last()))
            .collect();
        let whole = |(first, last)| {
            let window = TimeRange::inclusive(first, last).unwrap();
            (window, digest(&self.inside(window)))
        };
        Ok(windows.into_iter().map(whole).collect())
    }

    fn series(
        &mut self,
        _: &Scope,
        window: i64,
    ) -> Result<Vec<(String, Bucket, Digest)>, Infallible> {
        let range = Level::Window.window_of(window, LeafWidth::Hour);
        let mut series: BTreeMap<String, Vec<(i64, u64, u64)>> = BTreeMap::new();
        for ((device, time), (value, stamp)) in self.inside(range) {
            series.entry(device.clone()).or_default().push((*time, *value, *stamp));
        }
        let placer = Placer::new(&name());
        let entry = |(device, rows): (String, Vec<_>)| {
            let bucket = Bucket::of(placer.place(&device));
            (device, bucket, digest(&rows))
        };
        Ok(series.into_iter().map(entry).collect())
    }

    fn prints(
        &mut self,
        _: &Scope,
        device: &str,
        range: TimeRange,
    ) -> Result<Vec<(Print, u64)>, Infallible> {
        let rows = self.inside(range).into_iter().filter(|(key, _)| key.0 == device);
        let print = |((_, time), (value, stamp)): (&(String, i64), &(u64, u64))| {
            let short = digest(&(time, value));
            let whole = u64::from_le_bytes(*short.0.first_chunk().unwrap());
            (Print { time: *time, print: whole as u32, stamp: Stamp(*stamp) }, whole)
        };
        Ok(rows.map(print).collect())
    }

    fn pack(
        &mut self,
        _: &Scope,
        what: &[Pack<'_>],
        bytes_max: usize,
    ) -> Result<(Packed, usize), Infallible> {
        let mut packed = Packed::default();
        let (mut bytes, mut begun) = (0, 0);
        for one in what {
            if begun > 0 && bytes >= bytes_max {
                break;
            }
            begun += 1;
            let rows: Vec<(&Key, &Row)> = match *one {
                Pack::Range { device, range, after } => {
                    let behind = |key: &Key| after.is_none_or(|after| (&*key.0, key.1) > after);
                    let meant = |key: &Key| device.is_none_or(|one| one == key.0) && behind(key);
                    self.inside(range).into_iter().filter(|(key, _)| meant(key)).collect()
                }
                Pack::Times { device, times } => {
                    let meant = |key: &Key| key.0 == device && times.binary_search(&key.1).is_ok();
                    self.0.iter().filter(|(key, _)| meant(key)).collect()
                }
            };
            let mut last: Option<&Key> = None;
            for (key, row) in rows {
                if packed.rows > 0 && bytes >= bytes_max {
                    let after = match *one {
                        Pack::Range { after, .. } => {
                            after.map(|(one, time)| (one.to_owned(), time))
                        }
                        Pack::Times { .. } => None,
                    };
                    let from = match *one {
                        Pack::Times { .. } => key.1,
                        Pack::Range { range, .. } => range.first(),
                    };
                    packed.more = Some(More { from, behind: last.cloned().or(after) });
                    return Ok((packed, begun));
                }
                let archive = Held::archive(&key.0, key.1, *row);
                bytes += archive.len();
                packed.rows += 1;
                packed.archives.push(archive);
                last = Some(key);
            }
        }
        Ok((packed, begun))
    }

    fn take(
        &mut self,
        archives: &[Vec<u8>],
        contested: bool,
    ) -> Result<(Taken, Packed), Infallible> {
        let mut back = Packed::default();
        for archive in archives {
            let text = String::from_utf8(archive.clone()).unwrap();
            let words: Vec<&str> = text.split(' ').collect();
            let key = (words[0].to_owned(), words[1].parse().unwrap());
            let theirs: (u64, u64) = (words[2].parse().unwrap(), words[3].parse().unwrap());
            let own = self.0.get(&key).copied();
            let order = |(value, stamp): (u64, u64)| (stamp, value);
            if let Some(own) = own.filter(|own| contested && order(*own) > order(theirs)) {
                back.archives.push(Held::archive(&key.0, key.1, own));
                back.rows += 1;
            }
            if own.is_none_or(|own| order(theirs) > order(own)) {
                self.0.insert(key, theirs);
            }
        }
        Ok((Taken { rows: archives.len() as u64, below_cut: 0, ahead: 0 }, back))
    }
}

fn settled<T>(done: Result<T, Infallible>) -> T {
    done.unwrap_or_else(|never| match never {})
}

/// A pass of a comparison, as the side that asks leads it; how many turns it took.
fn pass(asks: &mut Held, answers: &mut Held, bytes_max: usize, eager: bool) -> (u64, Counts) {
    let pace = Pace { look: Look::Second, eager, bytes_max, from: i64::MIN };
    let mut local = settled(collections(answers, GROUP));
    let (mut remote, mut turns, mut counts) = (Vec::new(), 0, Counts::default());
    while !local.is_empty() || !remote.is_empty() {
        turns += 1;
        assert!(turns < 10_000, "it comes to no end");
        if !local.is_empty() {
            let done = settled(step(asks, std::mem::take(&mut local), pace));
            counts.add(&done.counts);
            local = done.rest.into();
            remote.extend(done.out);
        } else {
            let done = settled(step(answers, std::mem::take(&mut remote), pace));
            counts.add(&done.counts);
            remote = done.rest.into();
            local = done.out;
        }
    }
    (turns, counts)
}

fn merged(a: &Held, b: &Held) -> Held {
    let mut all = a.clone();
    for (key, row) in &b.0 {
        let archive = Held::archive(&key.0, key.1, *row);
        let _ = all.take(&[archive], false);
    }
    all
}

fn time() -> impl Strategy<Value = i64> {
    const HOUR: i64 = 3_600_000_000_000;
    prop_oneof![
        6 => (0i64..3, 0i64..300).prop_map(|(hour, at)| hour * HOUR + at * 1_000_000_000),
        2 => (0i64..900).prop_map(|day| day * 24 * HOUR),
        1 => select(vec![i64::MIN, i64::MIN + 1, i64::MAX - 1, i64::MAX, -1, 0, 1]),
    ]
}

fn rows(most: usize) -> impl Strategy<Value = Held> {
    let device = (0u32..60).prop_map(|number| format!("d{}", number.min(40) * (number % 3)));
    btree_map((device, time()), (0u64..3, 0u64..4), 0..most).prop_map(Held)
}

/// One series with many rows in one window: parts, and prints of them.
fn dense() -> impl Strategy<Value = Held> {
    let row = (0i64..400).prop_map(|at| ("d0".to_owned(), at * 1_000_000_000));
    btree_map(row, (0u64..2, 0u64..3), 0..400).prop_map(Held)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn two_stores_come_to_hold_the_same(
        common in prop_oneof![rows(300), dense()],
        a in prop_oneof![rows(60), dense()],
        b in prop_oneof![rows(60), dense()],
        bytes_max in select(vec![1usize, 300, 4000, 1 << 20]),
        eager in any::<bool>(),
    ) {
        let (mut a, mut b) = (merged(&common, &a), merged(&common, &b));
        let all = merged(&a, &b);
        pass(&mut a, &mut b, bytes_max, eager);
        // Values are told apart by prints, which stamps are not in, as in the engine's.
        let values = |held: &Held| -> Vec<_> {
            held.0.iter().map(|(key, row)| (key.clone(), row.0)).collect()
        };
        prop_assert_eq!(values(&a), values(&all));
        prop_assert_eq!(values(&b), values(&all));
    }

    #[test]
    fn a_first_look_sends_no_row(
        mut a in rows(80), mut b in rows(80), eager in any::<bool>(),
    ) {
        let pace = Pace { look: Look::First, eager, bytes_max: 1 << 20, from: i64::MIN };
        let mut items = settled(collections(&mut b, GROUP));
        let (before_a, before_b) = (a.clone(), b.clone());
        for turn in 0..100 {
            let side = if turn % 2 == 0 { &mut a } else { &mut b };
            let done = settled(step(side, items, pace));
            prop_assert_eq!(done.counts.rows_sent, 0);
            items = done.out.into_iter().filter(|item| !matches!(item, Item::Suspects { .. })).collect();
            if items.is_empty() {
                break;
            }
        }
        prop_assert!(items.is_empty(), "it comes to no end");
        prop_assert_eq!((a, b), (before_a, before_b));
    }
}

#[test]
fn equal_stores_say_nothing() {
    let rows = (0..200).map(|at| (("d".to_owned(), at), (1, 1))).collect();
    let mut held = Held(rows);
    let mut other = held.clone();
    let (turns, counts) = pass(&mut held, &mut other, 1 << 20, false);
    assert_eq!((turns, counts.rows_sent), (1, 0));
}

/// Ranges of rows that touch the ends of time are cut in parts, too.
#[test]
fn the_ends_of_time_are_compared() {
    let row = |time| (("d".to_owned(), time), (1, 1));
    for end in [i64::MIN, i64::MAX] {
        let near = |at: i64| if end < 0 { end + at } else { end - at };
        let mut a = Held((0..300).map(|at| row(near(at))).collect());
        let mut b = Held((0..300).filter(|at| at % 7 != 0).map(|at| row(near(at))).collect());
        let all = a.clone();
        pass(&mut a, &mut b, 1 << 20, true);
        assert_eq!((&a, &b), (&all, &all), "at {end}");
        let mut none = Held::default();
        pass(&mut none, &mut a, 500, false);
        assert_eq!(none, all, "at {end}, from nothing");
    }
}
