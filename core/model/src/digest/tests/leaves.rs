//! Leaves: every bit of the rows counts, and nothing else does.

use super::{Cells, Columns, Leaf, naive_digest};
use crate::column::Column;
use crate::digest::{LEAF_BLOCK_ROWS, LeafHasher, LeafStream};
use crate::values::{FieldType, Value};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use proptest::prelude::*;
use proptest::sample::Index;

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(|bits| Value::F64(f64::from_bits(bits))),
        prop_oneof![Just(0.0), Just(-0.0), Just(f64::NAN)].prop_map(Value::F64),
        any::<u32>().prop_map(|bits| Value::F32(f32::from_bits(bits))),
        any::<i64>().prop_map(Value::I64),
        any::<u64>().prop_map(Value::U64),
        any::<bool>().prop_map(Value::Bool),
        "\\PC{0,5}".prop_map(Value::String),
        proptest::collection::vec(any::<u8>(), 0..5).prop_map(Value::Bytes),
    ]
}

/// Names that begin each other, so that a length that is not hashed shows.
fn name() -> impl Strategy<Value = String> {
    proptest::sample::select(&["a", "aa", "ab", "b", "é"][..]).prop_map(str::to_string)
}

fn cells() -> impl Strategy<Value = Cells> {
    proptest::collection::vec((name(), value()), 0..5).prop_map(|cells| {
        cells.into_iter().map(|(name, value)| ((name, value.field_type()), value)).collect()
    })
}

fn leaf() -> impl Strategy<Value = Leaf> {
    let time = prop_oneof![-5i64..100, any::<i64>()];
    proptest::collection::btree_map(time, cells(), 1..90)
}

/// The value with one bit of its canonical bytes flipped; a string takes another letter instead,
/// and an empty value gets its first byte.
fn flipped(value: &Value, at: Index) -> Value {
    let bit = |bits: usize| 1u64 << at.index(bits);
    let other = |byte: u8| if byte == b'x' { b'y' } else { b'x' };
    match value {
        Value::F64(v) => Value::F64(f64::from_bits(v.to_bits() ^ bit(64))),
        Value::F32(v) => Value::F32(f32::from_bits(v.to_bits() ^ bit(32) as u32)),
        Value::I64(v) => Value::I64(v ^ bit(64) as i64),
        Value::U64(v) => Value::U64(v ^ bit(64)),
        Value::Bool(v) => Value::Bool(!v),
        Value::String(v) => {
            let mut letters: Vec<char> = v.chars().collect();
            match letters.len() {
                0 => letters.push('x'),
                len => letters[at.index(len)] = other(letters[at.index(len)] as u8) as char,
            }
            Value::String(letters.into_iter().collect())
        }
        Value::Bytes(v) if v.is_empty() => Value::Bytes(vec![0]),
        Value::Bytes(v) => {
            let mut bytes = v.clone();
            bytes[at.index(v.len())] ^= 1 << (at.index(v.len() * 8) % 8);
            Value::Bytes(bytes)
        }
    }
}

/// A type whose values can have the same bytes, and the value as that type.
fn retyped(value: &Value) -> Option<Value> {
    Some(match value {
        Value::F64(v) => Value::U64(v.to_bits()),
        Value::I64(v) => Value::U64(*v as u64),
        Value::U64(v) => Value::I64(*v as i64),
        Value::String(v) => Value::Bytes(v.clone().into_bytes()),
        Value::Bytes(v) => Value::String(String::from_utf8(v.clone()).ok()?),
        Value::F32(_) | Value::Bool(_) => return None,
    })
}

/// Every leaf that differs from this one in one way.
fn changed(leaf: &Leaf, at: Index) -> Vec<(&'static str, Leaf)> {
    let time = *leaf.keys().nth(at.index(leaf.len())).unwrap();
    let mut out = Vec::new();
    let mut change = |what, edit: &dyn Fn(&mut Leaf)| {
        let mut other = leaf.clone();
        edit(&mut other);
        if other != *leaf {
            out.push((what, other));
        }
    };
    change("a row less", &|leaf| drop(leaf.remove(&time)));
    change("a bit of a time", &|leaf| {
        let moved = time ^ 1 << at.index(64);
        if !leaf.contains_key(&moved) {
            let cells = leaf.remove(&time).unwrap();
            leaf.insert(moved, cells);
        }
    });
    let new_time = (0..).find(|time| !leaf.contains_key(time)).unwrap();
    change("a row without values more", &|leaf| drop(leaf.insert(new_time, Cells::new())));
    for (key, value) in &leaf[&time] {
        let set = |leaf: &mut Leaf, key: (String, FieldType), value: Value| {
            leaf.get_mut(&time).unwrap().insert(key, value);
        };
        let take = |leaf: &mut Leaf| drop(leaf.get_mut(&time).unwrap().remove(key));
        change("a bit of a value", &|leaf| set(leaf, key.clone(), flipped(value, at)));
        change("presence", &take);
        change("a name", &|leaf| {
            take(leaf);
            set(leaf, (format!("{}b", key.0), key.1), value.clone());
        });
        if let Some(other) = retyped(value) {
            change("a type", &|leaf| {
                take(leaf);
                set(leaf, (key.0.clone(), other.field_type()), other.clone());
            });
        }
    }
    out
}

/// A long leaf, with fields that come and go, in one row of three none.
fn long(rows: usize, start: i64) -> Leaf {
    let cells = |row: usize| {
        let mut cells = Cells::new();
        if !row.is_multiple_of(3) {
            cells.insert(("a".into(), FieldType::F64), Value::F64(row as f64 / 8.0));
        }
        if row % 3_000 > 1_000 {
            cells.insert(("s".into(), FieldType::String), Value::String(format!("{row}")));
        }
        if row > 5_000 {
            cells.insert(("a".into(), FieldType::Bool), Value::Bool(row.is_multiple_of(2)));
        }
        cells
    };
    (0..rows).map(|row| (start + row as i64, cells(row))).collect()
}

proptest! {
    #[test]
    fn a_leaf_hashes_as_its_specification_says(leaf in leaf()) {
        prop_assert_eq!(Columns::of(&leaf).digest(), naive_digest(&leaf));
    }

    #[test]
    fn any_change_of_a_leaf_changes_its_digest(leaf in leaf(), at in any::<Index>()) {
        let mut seen = BTreeSet::from([Columns::of(&leaf).digest()]);
        for (what, other) in changed(&leaf, at) {
            // Two of the changes may be one, but none may be as before.
            seen.insert(Columns::of(&other).digest());
            prop_assert_ne!(Columns::of(&other).digest(), Columns::of(&leaf).digest(), "{}", what);
        }
        prop_assert!(seen.len() > 1);
    }

    #[test]
    fn rows_among_others_hash_as_alone(leaf in leaf(), from in any::<Index>(), to in any::<Index>()) {
        let all = Columns::of(&leaf);
        let (from, to) = (from.index(leaf.len() + 1), to.index(leaf.len() + 1));
        let alone: Leaf = leaf.into_iter().skip(from).take(to.saturating_sub(from)).collect();
        let digest = LeafHasher::new().whole(&all.times, from..to.max(from), all.iter());
        prop_assert_eq!(digest, naive_digest(&alone));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]
    #[test]
    fn blocks_are_cut_by_rows_and_not_by_slices(
        rows in prop_oneof![1usize..3 * LEAF_BLOCK_ROWS, Just(LEAF_BLOCK_ROWS), Just(2 * LEAF_BLOCK_ROWS)],
        cuts in proptest::collection::vec(any::<Index>(), 0..6),
    ) {
        let leaf = long(rows, -100);
        let expected = naive_digest(&leaf);
        let whole = Columns::of(&leaf);
        prop_assert_eq!(whole.digest(), expected);

        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(rows + 1)).collect();
        cuts.extend([0, rows]);
        cuts.sort_unstable();
        let mut stream = LeafStream::new();
        let all: Vec<_> = leaf.into_iter().collect();
        for owned in [false, true] {
            for cut in cuts.windows(2) {
                if owned {
                    // Columns of its own, without the fields that the slice has not.
                    let slice = Columns::of(&all[cut[0]..cut[1]].iter().cloned().collect());
                    stream.push(&slice.times, 0..slice.times.len(), slice.iter());
                } else {
                    stream.push(&whole.times, cut[0]..cut[1], whole.iter());
                }
            }
            prop_assert_eq!(stream.finish(), expected);
        }
        prop_assert_eq!(stream.finish(), None);
    }
}

#[test]
fn the_presence_of_a_whole_column_is_none() {
    // One absent row behind the leaf makes the column have a bitmap; the leaf itself needs none.
    let mut leaf = long(2, 1);
    leaf.insert(0, Cells::new());
    leaf.values_mut().take(2).for_each(|cells| {
        cells.clear();
        cells.insert(("a".into(), FieldType::I64), Value::I64(7));
    });
    let columns = Columns::of(&leaf);
    assert!(columns.fields.iter().any(|(_, column)| column.presence().is_some()));
    let two: Leaf = leaf.into_iter().take(2).collect();
    let digest = LeafHasher::new().whole(&columns.times, 0..2, columns.iter());
    assert_eq!(digest, naive_digest(&two));
}

#[test]
fn a_field_without_values_is_not_there() {
    let mut absent = Column::new(FieldType::Bytes);
    absent.pad(2);
    let mut hasher = LeafHasher::new();
    let fields = [("nothing", &absent)];
    let with = hasher.whole(&[1, 2], 0..2, fields.into_iter());
    assert_eq!(with, hasher.whole(&[1, 2], 0..2, [].into_iter()));
    assert_eq!(hasher.whole(&[1, 2], 1..1, fields.into_iter()), None);
    assert_eq!(hasher.leaf(&[]), None);
}

#[test]
#[cfg(debug_assertions)]
#[should_panic(expected = "fields strictly ascend")]
fn fields_out_of_order_are_noticed() {
    let (mut a, mut b) = (Column::new(FieldType::F64), Column::new(FieldType::F64));
    [&mut a, &mut b].into_iter().for_each(|column| column.pad(1));
    LeafHasher::new().whole(&[1], 0..1, [("b", &b), ("a", &a)].into_iter());
}
