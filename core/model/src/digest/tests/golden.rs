//! What FORMAT.md gives as bytes and digests: if one of these fails, the format has changed, and
//! replicas of two versions would never agree.

use super::{Cells, Columns, Leaf, naive_blocks};
use crate::digest::{
    BLOCK_CONTEXT, Bucket, Buckets, DAY_CONTEXT, Digest, Entry, GROUP_CONTEXT, INNER_CONTEXT,
    LEAF_CONTEXT, MONTH_CONTEXT, OUTER_CONTEXT, ROOT_CONTEXT, SETTLED_CONTEXT, STATE_CONTEXT,
    STORE_CONTEXT, StateKind, StateRoot, TreeHasher, WINDOW_CONTEXT, YEAR_CONTEXT,
};
use crate::level::Level;
use crate::name::CollectionName;
use crate::placement::{GroupId, Placer};
use crate::time::LeafWidth;
use crate::values::{FieldType, Value};
use alloc::format;
use alloc::vec::Vec;

const FORMAT: &str = include_str!("../FORMAT.md");

/// The rows of the example.
fn example() -> Leaf {
    let (a, s) = ("a", "s");
    let row = |cells: Vec<(&str, Value)>| -> Cells {
        let key = |(name, value): (&str, Value)| ((name.into(), value.field_type()), value);
        cells.into_iter().map(key).collect()
    };
    Leaf::from([
        (0, row([(a, Value::F64(1.5)), (s, Value::String("hi".into()))].into())),
        (1, row([(a, Value::I64(-1)), (s, Value::String("".into()))].into())),
        (3, row([(a, Value::F64(-0.0))].into())),
    ])
}

#[test]
fn the_example_has_the_bytes_that_the_specification_spells_out() {
    let block = FORMAT.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let digits = block.lines().flat_map(|line| line.split('#').next().unwrap().split_whitespace());
    let bytes: Vec<u8> = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
    assert_eq!(naive_blocks(&example()).concat(), bytes);
    let digest = Digest(blake3::derive_key(BLOCK_CONTEXT, &bytes));
    assert_eq!(Columns::of(&example()).digest(), Some(digest));
}

/// Every node above the example, and those that it has none of, by name.
fn nodes() -> Vec<(&'static str, Digest)> {
    let leaf = Columns::of(&example()).digest().unwrap();
    let ramp = (0..4_097)
        .map(|time| (time, Cells::from([(("n".into(), FieldType::U64), Value::U64(time as u64))])));
    let ramp = Columns::of(&ramp.collect()).digest().unwrap();
    let name = CollectionName::parse("plant.boiler").unwrap();
    let bucket = Bucket::of(Placer::new(&name).place("host_1"));
    let entry = Entry { bucket, device: "host_1", digest: leaf };
    let (mut hasher, buckets) = (TreeHasher::new(), Buckets::new([entry]));
    let inner = buckets.inner(&mut hasher, bucket.outer())[bucket.inner()].unwrap();
    let outer = buckets.outer(&mut hasher)[bucket.outer()].unwrap();
    let window = buckets.window(&mut hasher).unwrap();
    let mut nodes = [("leaf", leaf), ("inner bucket", inner), ("outer bucket", outer)].to_vec();
    nodes.push(("leaf window", window));
    let mut below = window;
    let levels = [
        (Level::Day, "day"),
        (Level::Month, "month"),
        (Level::Year, "year"),
        (Level::Root, "root"),
    ];
    for (level, name) in levels {
        let start = level.child().unwrap().window_of(0, LeafWidth::Hour).first();
        below = hasher.parent(level, &[(start, below)]).unwrap();
        nodes.push((name, below));
    }
    let group = hasher.group(&[(&name, below)]).unwrap();
    let day = Level::Day.window_of(0, LeafWidth::Hour);
    let mut state = StateRoot::new(Some(group));
    state.push(StateKind::Tombstone, b"x");
    state.push(StateKind::Cut, b"");
    nodes.extend([
        ("group", group),
        ("set of groups", hasher.store(&[(GroupId(0), group)]).unwrap()),
        ("state root over the group, with tombstone \"x\" and an empty cut", state.finish()),
        ("state root of nothing", StateRoot::new(None).finish()),
        ("day 1970-01-01 of `host_1`, settled with rollup \"sum\"", {
            hasher.settled(Level::Day, day, "host_1", b"sum")
        }),
        ("leaf of the u64 `n` = t at the 4,097 times t = 0, 1, ... 4,096 ns", ramp),
    ]);
    nodes
}

#[test]
fn the_example_has_the_digests_of_the_specification() {
    let lines = nodes().into_iter().map(|(name, digest)| format!("| {name} | `{digest}` |"));
    let missing: Vec<_> = lines.filter(|line| !FORMAT.lines().any(|l| l == line)).collect();
    assert!(missing.is_empty(), "not in FORMAT.md:\n{}", missing.join("\n"));
}

#[test]
fn each_kind_of_node_has_its_own_context_and_the_specification_names_it() {
    let mut contexts = [
        BLOCK_CONTEXT,
        LEAF_CONTEXT,
        SETTLED_CONTEXT,
        INNER_CONTEXT,
        OUTER_CONTEXT,
        WINDOW_CONTEXT,
        DAY_CONTEXT,
        MONTH_CONTEXT,
        YEAR_CONTEXT,
        ROOT_CONTEXT,
        GROUP_CONTEXT,
        STORE_CONTEXT,
        STATE_CONTEXT,
    ];
    for context in contexts {
        assert!(FORMAT.contains(&format!("`{context}` |\n")), "{context}");
    }
    contexts.sort_unstable();
    assert!(contexts.windows(2).all(|pair| pair[0] < pair[1]));
}
