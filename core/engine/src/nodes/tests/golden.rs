//! A node file written once and read for ever. Before the first release `TIDELOG_WRITE_GOLDEN` may write it anew.

use super::{Content, HOUR, PATH, disk, dump, expected, fields, fold, write};
use crate::disk::{Disk, FileDisk};
use crate::nodes::NodeFile;
use crate::rollup::Rollup;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tidelog_model::FieldType;

const HOME: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/v1");
const NAME: &str = "node_file.tide";

/// Decimals, counters, gaps, NaN, extremes, windows that are empty now, and digests.
fn content() -> Content {
    let mut content = Content::default();
    let fields = fields();
    for (device, series) in ["pump_1", "pump_2", "../x", "cpu,host=a"].into_iter().zip(0u64..) {
        for window in (0..9).filter(|window| (window + series) % 5 != 4) {
            let start = window as i64 * HOUR;
            let rollups = fields.iter().map(|field| {
                let cell = |row: u64| {
                    let gap = (row + series) % 4 == 3 && window % 2 == 1;
                    let walked = 100 * series + 10 * window + row;
                    let value = match field.kind {
                        FieldType::F64 if window == 8 => f64::NAN.to_bits(),
                        FieldType::F64 => (walked as f64 / 100.0).to_bits(),
                        FieldType::F32 => u64::from((walked as f32 / 4.0).to_bits()),
                        FieldType::I64 => {
                            walked.wrapping_mul(if row == 5 { u64::MAX / 3 } else { 1 })
                        }
                        FieldType::U64 => walked / 7 * 7 % 31,
                        _ => walked / 3,
                    };
                    (row as u32 * 10_000_000, (!gap && series < 3).then_some(value))
                };
                fold(field.kind, start, &(0..30).map(cell).collect::<Vec<_>>())
            });
            content.nodes.insert((device.to_owned(), start), (30, rollups.collect()));
            let digest = [(series * 16 + window) as u8; 32];
            content.leaves.entry(start).or_default().insert(device.to_owned(), digest);
            content.tree.insert(start, (30 * (window + 1), digest));
        }
        let empty = fields.iter().map(|field| Rollup::new(field.kind)).collect();
        content.nodes.insert((device.to_owned(), 10 * HOUR), (0, empty));
    }
    content.tree.insert(10 * HOUR, (0, [0; 32]));
    content
}

#[test]
fn a_node_file_of_version_1_reads_the_same_for_ever() {
    let sections = BTreeMap::from([("a", content())]);
    if std::env::var_os("TIDELOG_WRITE_GOLDEN").is_some() {
        let dir = tempfile::tempdir().unwrap();
        write(&disk(dir.path()), &sections).unwrap();
        std::fs::copy(dir.path().join(PATH), Path::new(HOME).join(NAME)).unwrap();
    }
    for map in [true, false] {
        let disk: Arc<dyn Disk> = Arc::new(FileDisk::new(Path::new(HOME), map));
        let file = Arc::new(NodeFile::open(&*disk, NAME).unwrap());
        assert_eq!(dump(&file).unwrap(), expected(&sections));
        assert_eq!(file.verify(&mut |_| true).unwrap().flaws, []);
    }
}
