//! Nodes above the leaves.

use crate::digest::{Bucket, Buckets, Digest, Entry, FANOUT, StateKind, StateRoot, TreeHasher};
use crate::level::Level;
use crate::name::CollectionName;
use crate::placement::{GroupId, PlacementHash, Placer};
use crate::time::TimeRange;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use proptest::prelude::*;
use proptest::sample::Index;

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest)
}

/// Devices with the byte of their bucket; few buckets, so that many share one.
fn series() -> impl Strategy<Value = BTreeMap<String, (u8, Digest)>> {
    let bucket = prop_oneof![any::<u8>(), Just(0x00), Just(0x12), Just(0x1f), Just(0xff)];
    proptest::collection::btree_map("[a-c]{1,3}", (bucket, digest()), 0..30)
}

fn entries(series: &BTreeMap<String, (u8, Digest)>) -> Vec<Entry<'_>> {
    let entry = |(device, bucket, digest)| Entry { bucket: Bucket(bucket), device, digest };
    series.iter().map(|(device, (bucket, digest))| entry((&**device, *bucket, *digest))).collect()
}

fn window(series: &BTreeMap<String, (u8, Digest)>) -> Option<Digest> {
    Buckets::new(entries(series)).window(&mut TreeHasher::new())
}

/// The digest of a node by the bytes of its children.
fn node(context: &str, bytes: &[u8]) -> [u8; 32] {
    blake3::derive_key(&format!("tidelog 2026-11 {context} v1"), bytes)
}

/// The digest of a window, bucket by bucket as FORMAT.md says it.
fn naive_window(series: &BTreeMap<String, (u8, Digest)>) -> Option<Digest> {
    let fan = |context: &str, children: Vec<[u8; 32]>| match children.concat() {
        bytes if bytes.iter().all(|byte| *byte == 0) => [0; 32],
        bytes => node(context, &bytes),
    };
    let inner = |bucket: u8| {
        let own: Vec<_> = series.iter().filter(|(_, (own, _))| *own == bucket).collect();
        let mut bytes = (own.len() as u32).to_le_bytes().to_vec();
        for (device, (_, digest)) in &own {
            bytes.extend((device.len() as u32).to_le_bytes());
            bytes.extend(device.bytes());
            bytes.extend(digest.0);
        }
        if own.is_empty() { [0; 32] } else { node("inner", &bytes) }
    };
    let outer = |outer: u8| fan("outer", (0..16).map(|low| inner(outer << 4 | low)).collect());
    let root = fan("window", (0..16).map(outer).collect());
    (!series.is_empty()).then_some(Digest(root))
}

proptest! {
    #[test]
    fn a_window_hashes_as_its_specification_says(series in series()) {
        prop_assert_eq!(window(&series), naive_window(&series));
    }

    #[test]
    fn the_order_in_which_series_come_does_not_matter(series in series(), seed in any::<u64>()) {
        let mut shuffled = entries(&series);
        shuffled.sort_by_key(|entry| blake3::hash(&[entry.device.as_bytes(), &seed.to_le_bytes()].concat()).to_hex());
        let digest = Buckets::new(shuffled).window(&mut TreeHasher::new());
        prop_assert_eq!(digest, window(&series));
    }

    #[test]
    fn any_change_of_a_series_changes_its_window_on_its_own_path_only(
        series in series(), at in any::<Index>(), other in digest(), move_to in any::<u8>(),
    ) {
        prop_assume!(!series.is_empty());
        let device = series.keys().nth(at.index(series.len())).unwrap().clone();
        let (bucket, old) = series[&device];
        let mut edits = [series.clone(), series.clone(), series.clone(), series.clone()];
        edits[0].insert(device.clone(), (bucket, other));
        edits[1].insert(device.clone(), (if move_to == bucket { !bucket } else { move_to }, old));
        edits[2].remove(&device);
        edits[3].remove(&device);
        edits[3].insert(format!("{device}d"), (bucket, old));
        for edited in &edits {
            prop_assert_ne!(window(edited), window(&series));
        }
        // A changed leaf is found by descent, and nowhere else.
        let mut hasher = TreeHasher::new();
        let (before, after) = (Buckets::new(entries(&series)), Buckets::new(entries(&edits[0])));
        let differ = |a: [Option<Digest>; FANOUT], b: [Option<Digest>; FANOUT]| -> Vec<usize> {
            (0..FANOUT).filter(|index| a[*index] != b[*index]).collect()
        };
        let outer = differ(before.outer(&mut hasher), after.outer(&mut hasher));
        prop_assert_eq!(&outer, &[usize::from(bucket >> 4)]);
        let (a, b) = (before.inner(&mut hasher, outer[0]), after.inner(&mut hasher, outer[0]));
        prop_assert_eq!(differ(a, b), [usize::from(bucket & 15)]);
        let found = after.series(Bucket(bucket)).iter().find(|entry| entry.digest == other);
        prop_assert_eq!(found.map(|entry| entry.device), Some(&*device));
    }

    #[test]
    fn the_levels_above_windows_hash_their_children(
        children in proptest::collection::btree_map(any::<i64>(), digest(), 1..20)
    ) {
        let children: Vec<_> = children.into_iter().collect();
        let mut bytes = (children.len() as u32).to_le_bytes().to_vec();
        for (start, digest) in &children {
            bytes.extend(start.to_le_bytes());
            bytes.extend(digest.0);
        }
        for level in [Level::Day, Level::Month, Level::Year, Level::Root] {
            let digest = TreeHasher::new().parent(level, &children);
            prop_assert_eq!(digest, Some(Digest(node(level.name(), &bytes))));
        }
    }

    #[test]
    fn a_digest_reads_back_from_its_text(digest in digest()) {
        prop_assert_eq!(digest.to_string().parse(), Ok(digest));
        prop_assert_eq!(digest.to_string().to_uppercase().parse(), Ok(digest));
    }
}

#[test]
fn text_that_is_no_digest_is_refused() {
    let zeros = "0".repeat(62);
    for text in
        ["", "00", &zeros, &format!("{zeros}000"), &format!("{zeros}0g"), &format!("{zeros}é")]
    {
        assert!(text.parse::<Digest>().is_err(), "{text}");
    }
}

#[test]
fn what_is_empty_has_no_digest() {
    let mut hasher = TreeHasher::new();
    let none = [None; FANOUT];
    assert_eq!((hasher.inner(&[]), hasher.outer(&none), hasher.window(&none)), (None, None, None));
    assert_eq!(
        (hasher.parent(Level::Root, &[]), hasher.group(&[]), hasher.store(&[])),
        (None, None, None)
    );
    let empty = Buckets::new([]);
    assert_eq!(empty.window(&mut hasher), None);
    assert_eq!((empty.outer(&mut hasher), empty.inner(&mut hasher, 3)), (none, none));
}

#[test]
fn an_empty_bucket_beside_a_full_one_keeps_its_place() {
    let mut hasher = TreeHasher::new();
    let at = |place: usize| core::array::from_fn(|n| (n == place).then_some(Digest([7; 32])));
    let all: BTreeSet<_> = (0..FANOUT).map(|place| hasher.outer(&at(place))).collect();
    assert_eq!(all.len(), FANOUT);
    assert!(!all.contains(&hasher.window(&at(0))), "each kind of node has its own context");
}

#[test]
#[should_panic(expected = "stands once")]
fn a_device_twice_in_a_window_is_refused() {
    let entry = Entry { bucket: Bucket(1), device: "x", digest: Digest([0; 32]) };
    let _ = Buckets::new([entry, entry]);
}

#[test]
fn groups_and_collections_are_told_apart_by_name_and_number() {
    let mut hasher = TreeHasher::new();
    let name = |text| CollectionName::parse(text).unwrap();
    let (a, b, one, two) = (name("a.bc"), name("ab.c"), Digest([1; 32]), Digest([2; 32]));
    let groups: BTreeSet<_> = [
        hasher.group(&[(&a, one)]),
        hasher.group(&[(&b, one)]),
        hasher.group(&[(&a, one), (&b, two)]),
        hasher.group(&[(&a, two), (&b, one)]),
        hasher.store(&[(GroupId(1), one)]),
        hasher.store(&[(GroupId(2), one)]),
        hasher.store(&[(GroupId(1), one), (GroupId(2), two)]),
        hasher.store(&[(GroupId(1), two), (GroupId(2), one)]),
    ]
    .into();
    assert_eq!(groups.len(), 8);
}

#[test]
fn everything_about_a_settled_window_counts() {
    let mut hasher = TreeHasher::new();
    let range = |first, last| TimeRange::inclusive(first, last).unwrap();
    let all: BTreeSet<_> = [
        hasher.settled(Level::Day, range(0, 9), "x", b"rollup"),
        hasher.settled(Level::Window, range(0, 9), "x", b"rollup"),
        hasher.settled(Level::Day, range(1, 9), "x", b"rollup"),
        hasher.settled(Level::Day, range(0, 8), "x", b"rollup"),
        hasher.settled(Level::Day, range(0, 9), "y", b"rollup"),
        hasher.settled(Level::Day, range(0, 9), "x", b"rollu"),
        hasher.settled(Level::Day, range(0, 9), "xr", b"ollup"),
        hasher.settled(Level::Day, range(i64::MIN, i64::MAX), "x", b""),
    ]
    .into();
    assert_eq!(all.len(), 8);
}

#[test]
fn everything_about_the_state_counts() {
    let root = |content, parts: &[(StateKind, &[u8])]| {
        let mut root = StateRoot::new(content);
        parts.iter().for_each(|(kind, bytes)| root.push(*kind, bytes));
        root.finish()
    };
    let (content, cut) = (Some(Digest([1; 32])), StateKind::Cut);
    let all: BTreeSet<_> = [
        root(None, &[]),
        root(content, &[]),
        root(content, &[(cut, b"ab")]),
        root(content, &[(cut, b"a"), (cut, b"b")]),
        root(content, &[(cut, b"a\x04b")]),
        root(content, &[(StateKind::Tombstone, b"ab")]),
        root(content, &[(StateKind::Schema, b"a"), (StateKind::Options, b"b")]),
        root(content, &[(StateKind::Schema, b""), (StateKind::Schema, b"a"), (cut, b"b")]),
    ]
    .into();
    assert_eq!(all.len(), 8);
}

#[test]
#[should_panic(expected = "parts strictly ascend")]
fn parts_of_the_state_out_of_order_are_refused() {
    let mut root = StateRoot::new(None);
    root.push(StateKind::Schema, b"b");
    root.push(StateKind::Schema, b"a");
}

/// Whatever the number of groups, the devices of one group fill the buckets about evenly.
#[test]
fn the_devices_of_one_group_spread_over_all_buckets() {
    let placer = Placer::new(&CollectionName::parse("plant.boiler").unwrap());
    for groups in [1, 7, 8, 64] {
        let hashes = (0..).map(|device| placer.place(&format!("host_{device}")));
        let mut counts = [0; 256];
        for hash in hashes.filter(|hash| hash.group(groups) == GroupId(0)).take(2_560) {
            counts[usize::from(Bucket::of(hash).0)] += 1;
        }
        let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
        // Ten on average; a bucket nobody is in has a chance of 1 in 22,000.
        assert!(*least >= 1 && *most <= 30, "{groups} groups: {least} to {most}");
    }
}

#[test]
fn a_bucket_is_the_top_byte_high_nibble_first() {
    let bucket = Bucket::of(PlacementHash(0xa5_00_00_00_00_00_00_3c));
    assert_eq!((bucket.outer(), bucket.inner()), (0xa, 0x5));
    assert_eq!(Bucket::at(0xa, 0x5), bucket);
}
