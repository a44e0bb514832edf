//! What a node takes on the disk.

use super::{HOUR, disk, name, writer};
use crate::ids::Tier;
use crate::nodes::NodeFile;
use crate::rollup::{Rollup, Wants};
use crate::rows::FieldKey;
use std::collections::BTreeMap;
use std::sync::Arc;
use tidelog_model::{Column, FieldType, LeafWidth, Name, Values};

const SERIES: usize = 125;
const WINDOWS: i64 = 10;
const FIELDS: usize = 10;
const ROWS: i64 = 360;
const START: i64 = 490_000 * HOUR;

/// SplitMix64.
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Random walks of whole numbers from the field's level, in steps of up to `step`.
fn walk(kind: FieldType, scale: f64, step: i64) -> (f64, BTreeMap<String, f64>) {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk(dir.path());
    let mut out = writer(&disk, Tier::Hour);
    let key = |n| FieldKey { name: Name::new("field", &format!("f{n}")).unwrap(), kind };
    out.begin_section(name("a"), LeafWidth::Hour, (0..FIELDS).map(key).collect()).unwrap();
    let mut random = 1;
    for series in 0..SERIES {
        let device = format!("machine-{series:04}");
        let mut level: Vec<i64> = (0..FIELDS).map(|f| (f as i64 + 1) * 20 * step).collect();
        for window in 0..WINDOWS {
            let start = START + window * HOUR;
            let times: Vec<i64> = (0..ROWS).map(|row| start + row * HOUR / ROWS).collect();
            let mut field = |level: &mut i64| {
                let walked: Vec<i64> = (0..ROWS)
                    .map(|_| {
                        *level += (draw(&mut random) % (2 * step as u64 + 1)) as i64 - step;
                        *level
                    })
                    .collect();
                let values = match kind {
                    FieldType::F64 => {
                        Values::F64(walked.iter().map(|v| *v as f64 / scale).collect())
                    }
                    FieldType::F32 => {
                        Values::F32(walked.iter().map(|v| (*v as f64 / scale) as f32).collect())
                    }
                    _ => Values::I64(walked),
                };
                let column = Column::from_parts(values, None).unwrap();
                Rollup::of_block(&times, &column, 0..times.len(), Wants::ALL)
            };
            let rollups: Vec<Rollup> = level.iter_mut().map(&mut field).collect();
            out.node(&device, start, ROWS as u64, &rollups).unwrap();
        }
    }
    let written = out.finish().unwrap().unwrap();
    let file = Arc::new(NodeFile::open(&*disk, super::PATH).unwrap());
    let nodes = (SERIES * FIELDS) as f64 * WINDOWS as f64;
    let mut parts = BTreeMap::new();
    for number in 0..file.sections()[0].block_count() {
        let block = file.block(0, number).unwrap();
        for column in block.columns.fields.iter().flat_map(|field| &field.columns) {
            let name = format!("{:?}", column.part);
            *parts.entry(name).or_insert(0.0) += f64::from(column.extent.len) / nodes;
        }
    }
    (written.len as f64 / nodes, parts)
}

/// Bytes for a node of 360 rows and one field, all that is in the file counted.
#[test]
#[expect(clippy::print_stderr, reason = "figures of a run")]
fn a_node_takes_few_bytes() {
    for (what, kind, scale, step, most) in [
        ("two decimals", FieldType::F64, 100.0, 50, 17.0),
        ("two decimals, f32", FieldType::F32, 100.0, 50, 24.0),
        ("small integers", FieldType::I64, 1.0, 3, 12.0),
    ] {
        let (bytes, parts) = walk(kind, scale, step);
        let parts: Vec<String> =
            parts.iter().map(|(part, bytes)| format!("{part} {bytes:.2}")).collect();
        eprintln!("{what}: {bytes:.2} bytes; {}", parts.join(", "));
        assert!(bytes < most, "{what}: {bytes} bytes for a node and a field");
    }
}
