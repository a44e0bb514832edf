//! Node files written and read back, whole and damaged.

mod damage;
mod golden;
mod sizes;

use super::reader::Digest;
use super::*;
use crate::codec::Effort;
use crate::disk::{Disk, FileDisk};
use crate::group::{Written, file_path};
use crate::ids::{FileId, Tier};
use crate::rollup::{Numbers, Rollup, Wants, window_of};
use crate::rows::FieldKey;
use ethnum::U256;
use proptest::collection::vec;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use tidelog_model::{
    CollectionName, Column, FieldType, GroupId, LeafWidth, Name, StoreId, TimeRange, ValueRef,
};

const HOUR: i64 = 3_600_000_000_000;
const PATH: &str = "group-0000/1h/0000000000000007.tide";

/// What is written to a section, by device and window.
#[derive(Clone, Debug, Default)]
struct Content {
    nodes: BTreeMap<(String, i64), (u64, Vec<Rollup>)>,
    leaves: BTreeMap<i64, BTreeMap<String, Digest>>,
    tree: BTreeMap<i64, (u64, Digest)>,
}

type Node<'a> = (&'a (String, i64), &'a (u64, Vec<Rollup>));

impl Content {
    /// Those with nodes or digests.
    fn devices(&self) -> BTreeSet<&String> {
        let with_nodes = self.nodes.keys().map(|(device, _)| device);
        with_nodes.chain(self.leaves.values().flat_map(BTreeMap::keys)).collect()
    }

    fn of(&self, device: &str) -> impl Iterator<Item = Node<'_>> {
        let device = device.to_owned();
        self.nodes.range((device.clone(), i64::MIN)..=(device, i64::MAX))
    }
}

fn fields() -> Vec<FieldKey> {
    let key = |kind: FieldType| FieldKey { name: Name::new("field", kind.name()).unwrap(), kind };
    let mut fields: Vec<FieldKey> = FieldType::ALL.into_iter().map(key).collect();
    fields.sort();
    fields
}

fn name(text: &str) -> CollectionName {
    CollectionName::new("plant", text).unwrap()
}

fn disk(root: &Path) -> Arc<dyn Disk> {
    let disk = FileDisk::new(root, true);
    disk.create_dir("group-0000").unwrap();
    for tier in Tier::ALL {
        disk.create_dir(&format!("group-0000/{}", tier.directory())).unwrap();
    }
    Arc::new(disk)
}

fn writer(disk: &Arc<dyn Disk>, tier: Tier) -> NodeWriter {
    NodeWriter::create(disk, StoreId([3; 16]), (GroupId(0), 1), tier, FileId(7), Effort::Dense)
        .unwrap()
}

fn write(disk: &Arc<dyn Disk>, sections: &BTreeMap<&str, Content>) -> Option<Written> {
    let mut writer = writer(disk, Tier::Hour);
    for (collection, content) in sections {
        writer.begin_section(name(collection), LeafWidth::Hour, fields()).unwrap();
        for device in content.devices() {
            writer.series(device).unwrap();
            for ((_, start), (rows, rollups)) in content.of(device) {
                writer.node(device, *start, *rows, rollups).unwrap();
            }
        }
        for (start, digests) in &content.leaves {
            let numbered =
                |(device, digest): (&String, &Digest)| (writer.number_of(device).unwrap(), *digest);
            let digests: Vec<(u32, Digest)> = digests.iter().map(numbered).collect();
            writer.leaf_digests(*start, &digests).unwrap();
        }
        for (start, (rows, digest)) in &content.tree {
            writer.tree_node(*start, *rows, *digest).unwrap();
        }
    }
    writer.finish().unwrap()
}

/// Everything a file says, with the bits of floats.
fn dump(file: &Arc<NodeFile>) -> Result<String, crate::group::ReadError> {
    let mut out = String::new();
    for (number, section) in (0u32..).zip(file.sections()) {
        writeln!(out, "{} {:?}", section.name, section.fields.len()).unwrap();
        let mut devices = Vec::new();
        file.each_series(number, |series, device| devices.push((series, device.to_owned())))?;
        for (series, device) in devices {
            let found = file.find(number, &device)? == Some(series);
            writeln!(out, "{device}: {found}").unwrap();
            for block in file.blocks(number, series, TimeRange::ALL)? {
                let block = file.block(number, block)?;
                for node in block.find(series, TimeRange::ALL) {
                    write!(out, "{device} {} {}", block.start(node), block.rows(node)).unwrap();
                    for field in (0u32..).zip(&section.fields).map(|(number, _)| number) {
                        write!(out, " {}", bits(&block.rollup(field, node, Wants::ALL)?)).unwrap();
                    }
                    out.push('\n');
                }
            }
        }
        for start in file.digest_windows(number)? {
            let digests = file.leaf_digests(number, start)?.unwrap_or_default();
            for (series, digest) in digests {
                writeln!(out, "leaf {start} {} {digest:?}", file.device(number, series)?).unwrap();
            }
        }
        for node in file.tree_nodes(number, TimeRange::ALL)? {
            writeln!(out, "tree {} {} {:?}", node.start, node.rows, node.digest).unwrap();
        }
    }
    Ok(out)
}

/// The same from what was written.
fn expected(sections: &BTreeMap<&str, Content>) -> String {
    let mut out = String::new();
    for (collection, content) in sections {
        writeln!(out, "{} {:?}", name(collection), fields().len()).unwrap();
        for device in content.devices() {
            writeln!(out, "{device}: true").unwrap();
            for ((_, start), (rows, rollups)) in content.of(device) {
                write!(out, "{device} {start} {rows}").unwrap();
                rollups.iter().for_each(|rollup| write!(out, " {}", bits(rollup)).unwrap());
                out.push('\n');
            }
        }
        for (start, digests) in &content.leaves {
            for (device, digest) in digests {
                writeln!(out, "leaf {start} {device} {digest:?}").unwrap();
            }
        }
        for (start, (rows, digest)) in &content.tree {
            writeln!(out, "tree {start} {rows} {digest:?}").unwrap();
        }
    }
    out
}

/// A rollup as text that tells every bit.
fn bits(rollup: &Rollup) -> String {
    macro_rules! floats {
        ($numbers:expr) => {{
            let n = $numbers;
            let ends =
                [n.first, n.last].map(|end| end.map(|(time, value)| (time, value.to_bits())));
            let extremes =
                [n.least, n.greatest].map(|end| end.map(|(value, time)| (value.to_bits(), time)));
            let dropped = n.dropped.map(f64::to_bits);
            let amounts = (n.count, n.sum.to_bits(), n.spread.to_bits());
            format!("{:?}", (amounts, ends, extremes, n.falls, dropped))
        }};
    }
    match rollup {
        Rollup::F64(numbers) => floats!(numbers),
        Rollup::F32(numbers) => floats!(numbers),
        other => format!("{other:?}"),
    }
}

/// The rollup of values at these offsets in a window.
fn fold(kind: FieldType, start: i64, cells: &[(u32, Option<u64>)]) -> Rollup {
    let mut column = Column::new(kind);
    let mut times = Vec::new();
    for (offset, bits) in cells {
        times.push(start.saturating_add(i64::from(*offset)));
        let Some(bits) = *bits else {
            column.push_absent();
            continue;
        };
        let text = format!("{bits:x}");
        let pushed = column.push(match kind {
            FieldType::F64 => ValueRef::F64(f64::from_bits(bits)),
            FieldType::F32 => ValueRef::F32(f32::from_bits(bits as u32)),
            FieldType::I64 => ValueRef::I64(bits as i64),
            FieldType::U64 => ValueRef::U64(bits),
            FieldType::Bool => ValueRef::Bool(bits % 2 == 1),
            FieldType::String => ValueRef::String(&text[..text.len() % 5]),
            FieldType::Bytes => ValueRef::Bytes(&text.as_bytes()[..text.len() % 3]),
        });
        assert!(pushed);
    }
    Rollup::of_block(&times, &column, 0..times.len(), Wants::ALL)
}

/// Bits of values: any, NaNs, zeros, infinities, extremes, decimals, small numbers.
fn value() -> impl Strategy<Value = u64> {
    let nan = Just(f64::NAN.to_bits() | 5);
    let f32_nan = Just(u64::from(f32::NAN.to_bits()));
    let edge = proptest::sample::select(vec![
        0u64,
        1 << 63,
        u64::MAX,
        i64::MAX as u64,
        f64::INFINITY.to_bits(),
        f64::MAX.to_bits(),
        1,
    ]);
    prop_oneof![
        any::<u64>(),
        nan,
        f32_nan,
        edge,
        (0u64..1000),
        (-999i32..999).prop_map(|v| (f64::from(v) / 100.0).to_bits()),
    ]
}

fn rollups(start: i64) -> impl Strategy<Value = (u64, Vec<Rollup>)> {
    (proptest::collection::btree_set(0u32..1_000_000_000, 0..7), any::<u8>()).prop_flat_map(
        move |(offsets, absent)| {
            let offsets: Vec<u32> = offsets.into_iter().collect();
            let cell = move |field: usize| {
                let kept = if absent >> field & 1 == 1 { 1e-9 } else { 0.8 };
                vec(proptest::option::weighted(kept, value()), offsets.len()).prop_map({
                    let offsets = offsets.clone();
                    move |values| {
                        let cells: Vec<_> = offsets.iter().copied().zip(values).collect();
                        (cells.len() as u64, fold(fields()[field].kind, start, &cells))
                    }
                })
            };
            (0..7)
                .map(cell)
                .collect::<Vec<_>>()
                .prop_map(|all| (all[0].0, all.into_iter().map(|(_, rollup)| rollup).collect()))
        },
    )
}

fn content() -> impl Strategy<Value = Content> {
    let start = prop_oneof![
        (-3i64..3).prop_map(|n| n * HOUR),
        Just(i64::MIN),
        Just(window_of(Tier::Hour, i64::MAX, LeafWidth::Hour).first()),
    ];
    let device = "[a-d]{1,2}";
    let node = (device, start.clone())
        .prop_flat_map(|(device, start)| (Just((device, start)), rollups(start)));
    let digests = proptest::collection::btree_map(device, any::<Digest>(), 0..4);
    (
        vec(node, 0..20),
        proptest::collection::btree_map(start.clone(), digests, 0..4),
        proptest::collection::btree_map(start, (any::<u64>(), any::<Digest>()), 0..4),
    )
        .prop_map(|(nodes, leaves, tree)| Content {
            nodes: nodes.into_iter().collect(),
            leaves,
            tree,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn what_is_written_reads_back_and_verifies(a in content(), b in content()) {
        let dir = tempfile::tempdir().unwrap();
        let disk = disk(dir.path());
        let sections = BTreeMap::from([("a", a), ("b", b)]);
        let Some(written) = write(&disk, &sections) else {
            let empty = |c: &Content| c.nodes.is_empty() && c.leaves.is_empty() && c.tree.is_empty();
            prop_assert!(sections.values().all(empty));
            prop_assert_eq!(disk.list("group-0000/1h").unwrap(), Vec::<String>::new());
            return Ok(());
        };
        prop_assert_eq!(file_path(written.group, written.tier, written.id), PATH);
        let file = Arc::new(NodeFile::open(&*disk, PATH).unwrap());
        prop_assert_eq!(file.len(), written.len);
        // A section with nothing in it is none.
        let mut kept = sections;
        kept.retain(|_, c| !c.nodes.is_empty() || !c.leaves.is_empty() || !c.tree.is_empty());
        prop_assert_eq!(dump(&file).unwrap(), expected(&kept));
        let found = file.verify(&mut |_| true).unwrap();
        prop_assert_eq!(&found.flaws, &vec![]);
        prop_assert_eq!(found.digest, Some(written.blake3));
        prop_assert_eq!((found.rows, found.values), (written.summary.rows, written.summary.values));
    }

    /// Whatever folding can reach in the end, and what it cannot.
    #[test]
    fn sums_and_spreads_keep_every_bit(
        sums in vec((any::<i128>(), any::<i128>(), any::<[u64; 4]>(), 1u64..9), 1..9),
        small in vec((any::<i8>(), any::<u8>()), 1..9),
    ) {
        let small = small.iter().map(|(a, b)| (i128::from(*a), i128::MAX, [u64::from(*b), 0, 0, 0], 3));
        for set in [sums, small.collect()] {
            let key = FieldKey { name: Name::new("field", "n").unwrap(), kind: FieldType::I64 };
            let dir = tempfile::tempdir().unwrap();
            let disk = disk(dir.path());
            let mut writer = writer(&disk, Tier::Day);
            writer.begin_section(name("a"), LeafWidth::Hour, vec![key]).unwrap();
            let mut all = Vec::new();
            for (day, (sum, dropped, limbs, count)) in (0i64..).zip(set) {
                let (low, high) = (u128::from(limbs[0]) | u128::from(limbs[1]) << 64, u128::from(limbs[2]) | u128::from(limbs[3]) << 64);
                let start = day * 24 * HOUR;
                let ends = ((start, i64::MIN), (start + 5, i64::MAX));
                let numbers = Numbers {
                    sum,
                    spread: U256::from_words(high, low),
                    dropped: Some(dropped),
                    falls: limbs[0],
                    least: Some((i64::MIN, start)),
                    greatest: Some((i64::MAX, start)),
                    ..Numbers::counted(count, ends.0, ends.1)
                };
                all.push(Rollup::I64(numbers));
                writer.node("d", start, count + 1, &all[all.len() - 1..]).unwrap();
            }
            writer.finish().unwrap();
            let path = file_path(GroupId(0), Tier::Day, FileId(7));
            let block = Arc::new(NodeFile::open(&*disk, &path).unwrap()).block(0, 0).unwrap();
            let read: Vec<Rollup> =
                (0..block.len()).map(|at| block.rollup(0, at, Wants::ALL).unwrap()).collect();
            prop_assert_eq!(&read, &all);
        }
    }
}

/// One integer per node: series and window.
fn numbered(disk: &Arc<dyn Disk>, series: i64, windows: i64) -> Arc<NodeFile> {
    let key = FieldKey { name: Name::new("field", "n").unwrap(), kind: FieldType::I64 };
    let mut writer = writer(disk, Tier::Hour);
    writer.begin_section(name("a"), LeafWidth::Hour, vec![key]).unwrap();
    for device in 0..series {
        for window in 0..windows {
            let cells = [(5, Some((device * windows + window) as u64)), (9, Some(0))];
            let rollup = fold(FieldType::I64, window * HOUR, &cells);
            writer.node(&format!("d{device:05}"), window * HOUR, 3, &[rollup]).unwrap();
        }
    }
    writer.finish().unwrap().unwrap();
    Arc::new(NodeFile::open(&**disk, PATH).unwrap())
}

#[test]
fn nodes_are_found_by_series_and_time_through_a_small_cache() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(dir.path());
    let file = numbered(&disk, 40, 90);
    assert_eq!(file.sections()[0].block_count(), 4, "3,600 nodes");
    let section = file.section(&name("a")).unwrap();
    for budget in [0, 100_000, 1 << 24] {
        let cache = NodeCache::new(budget);
        for device in 0..40i64 {
            let series = file.find(section, &format!("d{device:05}")).unwrap().unwrap();
            for (first, last) in [(0, 89), (10, 10), (85, 200), (-5, -1), (30, 61)] {
                let range = TimeRange::inclusive(first * HOUR - 5, last * HOUR).unwrap();
                let mut found = Vec::new();
                for block in file.blocks(section, series, range).unwrap() {
                    let block = cache.block(&file, section, block).unwrap();
                    let nodes = block.find(series, range);
                    let sum = |at| match block.rollup(0, at, Wants::ALL).unwrap() {
                        Rollup::I64(numbers) if numbers.count == 2 => numbers.sum,
                        other => panic!("{other:?}"),
                    };
                    let sums: Vec<i128> = nodes.clone().map(sum).collect();
                    assert!(
                        nodes.clone().all(|at| block.series(at) == series && block.rows(at) == 3)
                    );
                    found.extend(nodes.map(|at| block.start(at) / HOUR).zip(sums));
                }
                let windows = first.max(0)..=last.min(89);
                let expected: Vec<(i64, i128)> =
                    windows.map(|window| (window, i128::from(device * 90 + window))).collect();
                assert_eq!(found, expected, "{device} {first} {last}");
            }
        }
        assert!(cache.heap_bytes() > 3600 * 20, "four blocks are kept, each in a shard of its own");
    }
    assert_eq!(file.find(section, "d").unwrap(), None);
    assert_eq!(file.find(section, "d00040").unwrap(), None);
}

#[test]
fn parts_that_are_not_wanted_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let file = numbered(&disk(dir.path()), 2, 3);
    let block = file.block(0, 0).unwrap();
    let read = |block: &NodeBlock| {
        let columns = block.columns.fields[0].columns.iter();
        columns.filter(|column| column.is_decoded()).count()
    };
    let Rollup::I64(counted) = block.rollup(0, 4, Wants::default()).unwrap() else { panic!() };
    assert_eq!(counted, Numbers::counted(2, (HOUR + 5, 4), (HOUR + 9, 0)));
    let few = read(&block);
    let sum = Wants { sum: true, ..Wants::default() };
    let Rollup::I64(summed) = block.rollup(0, 4, sum).unwrap() else { panic!() };
    assert_eq!((summed.sum, summed.least, read(&block)), (4, None, few + 1));
    block.rollup(0, 4, Wants::ALL).unwrap();
    assert!(read(&block) > few + 3);
}

#[test]
fn a_leaf_may_hold_more_series_than_a_column() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(dir.path());
    let mut writer = writer(&disk, Tier::Hour);
    writer.begin_section(name("a"), LeafWidth::Hour, fields()).unwrap();
    let mut digests = Vec::new();
    for number in 0..70_000u32 {
        let series = writer.series(&format!("d{number:06}")).unwrap();
        let mut digest = [0; 32];
        digest[..4].copy_from_slice(&number.to_le_bytes());
        digests.push((series, digest));
    }
    writer.leaf_digests(HOUR, &digests).unwrap();
    writer.leaf_digests(3 * HOUR, &digests[7..8]).unwrap();
    assert_eq!(writer.number_of("d069999"), Some(69_999));
    assert_eq!(writer.number_of("e"), None);
    writer.finish().unwrap().unwrap();
    let file = Arc::new(NodeFile::open(&*disk, PATH).unwrap());
    assert_eq!(file.digest_windows(0).unwrap(), [HOUR, 3 * HOUR]);
    assert_eq!(file.leaf_digests(0, HOUR).unwrap(), Some(digests.clone()));
    assert_eq!(file.leaf_digests(0, 3 * HOUR).unwrap(), Some(digests[7..8].to_vec()));
    assert_eq!(file.leaf_digests(0, 2 * HOUR).unwrap(), None);
    assert_eq!(file.verify(&mut |_| true).unwrap().flaws, []);
}

#[test]
fn a_writer_that_is_dropped_leaves_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(dir.path());
    let mut dropped = writer(&disk, Tier::Month);
    dropped.begin_section(name("a"), LeafWidth::Hour, fields()).unwrap();
    dropped.tree_node(0, 1, [1; 32]).unwrap();
    assert_eq!(disk.list("group-0000/1mo").unwrap(), ["0000000000000007.tmp"]);
    drop(dropped);
    assert_eq!(disk.list("group-0000/1mo").unwrap(), Vec::<String>::new());
}
