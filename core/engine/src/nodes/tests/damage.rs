//! Damaged files: an error or the same answers, never a panic, and verification names it.

use super::{Content, HOUR, PATH, disk, dump, fields, fold, write};
use crate::disk::{DiskFile, Sealed};
use crate::group::{Container, HEADER_LEN, ReadError};
use crate::nodes::NodeFile;
use crate::nodes::layout::NodeSection;
use crate::rollup::{Rollup, Wants};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, LazyLock};

const FOOTER_LEN: usize = 48;

/// The bytes of a small file with all that a file may have.
fn sample() -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let mut content = Content::default();
    for (device, window) in [("a", 0), ("a", 1), ("b", 1)] {
        let start = window * HOUR;
        let cells = |field: usize| -> Vec<(u32, Option<u64>)> {
            let value = |row: u64| match (device, field) {
                ("b", 0) => None,
                ("a", _) if row == 2 && field > 1 => None,
                ("b", _) => Some(f64::NAN.to_bits()),
                _ => Some((row + 3) % 4 * 0x0010_0000_0000_0001),
            };
            (0..4u32).map(|row| (row * 7, value(u64::from(row)))).collect()
        };
        let rollups: Vec<Rollup> =
            (0..7).map(|field| fold(fields()[field].kind, start, &cells(field))).collect();
        content.nodes.insert((device.to_owned(), start), (4, rollups));
        content.leaves.entry(start).or_default().insert(device.to_owned(), [7; 32]);
        content.tree.insert(start, (4, [9; 32]));
    }
    let empty = fields().iter().map(|field| Rollup::new(field.kind)).collect();
    content.nodes.insert(("b".to_owned(), 2 * HOUR), (0, empty));
    let disk = disk(dir.path());
    write(&disk, &BTreeMap::from([("a", content)])).unwrap();
    crate::disk::read_all(&*disk, PATH).unwrap()
}

/// A file in memory, for reading.
struct Bytes(Vec<u8>);

impl DiskFile for Bytes {
    fn write_at(&self, _: &[u8], _: u64) -> io::Result<usize> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.0.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
        let len = rest.len().min(bytes.len());
        bytes[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.0.len() as u64)
    }

    fn set_len(&self, _: u64) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn sync(&self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn container(bytes: &[u8]) -> Result<Container, ReadError> {
    let file = Arc::new(Bytes(bytes.to_vec()));
    Container::from_sealed(PATH, Sealed::file(file, bytes.len() as u64))
}

fn open(bytes: &[u8]) -> Result<Arc<NodeFile>, ReadError> {
    Ok(Arc::new(NodeFile::of(container(bytes)?)?))
}

#[test]
fn every_flipped_bit_is_an_error_or_changes_nothing_and_verification_names_it() {
    let mut bytes = sample();
    let whole = dump(&open(&bytes).unwrap()).unwrap();
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        match open(&bytes).and_then(|file| dump(&file)) {
            Ok(found) => assert_eq!(found, whole, "bit {bit}"),
            Err(ReadError::Damaged { path, .. }) => assert_eq!(path, PATH),
            Err(error) => panic!("bit {bit}: {error}"),
        }
        if let Ok(file) = open(&bytes) {
            let found = file.verify(&mut |_| true).unwrap();
            assert!(!found.flaws.is_empty(), "bit {bit} is not found");
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn a_file_that_is_cut_or_of_rows_is_refused() {
    let bytes = sample();
    for len in 0..bytes.len() {
        assert!(open(&bytes[..len]).is_err(), "cut at {len}");
    }
    let rows = crate::group::GroupFile::of(container(&bytes).unwrap());
    assert!(rows.unwrap_err().to_string().contains("the file is not of rows"));
}

#[test]
fn a_node_of_a_series_beyond_the_table_is_refused() {
    let mut bytes = sample();
    let directory = container(&bytes).unwrap().directory();
    let place = directory.offset as usize..directory.end().unwrap() as usize;
    let mut sections = NodeSection::decode_all(&bytes[place.clone()]).unwrap();
    assert_eq!(sections[0].series, 2);
    sections[0].series = 1;
    bytes[place].copy_from_slice(&NodeSection::encode_all(&sections));
    let file = Arc::new(NodeFile::trusting(container(&bytes).unwrap()).unwrap());
    let error = file.block(0, 0).unwrap_err().to_string();
    assert!(error.contains("unknown series"), "{error}");
}

#[test]
fn damage_names_the_device_and_the_window() {
    let mut bytes = sample();
    let block = open(&bytes).unwrap().block(0, 0).unwrap();
    let hit = block.columns.fields[0].columns.iter().find(|column| column.extent.len > 0).unwrap();
    bytes[usize::try_from(hit.extent.offset).unwrap()] ^= 1;
    let file = open(&bytes).unwrap();
    let block = file.block(0, 0).unwrap();
    let field = block.columns.fields[0].field;
    let error = block.rollup(field, 1, Wants::ALL).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("; a of plant.a, from 3600000000000 to 7199999999999 ns"), "{text}");
    let flaws = file.verify(&mut |_| true).unwrap().flaws;
    let devices: Vec<_> = flaws.iter().filter_map(|flaw| flaw.device.as_deref()).collect();
    assert_eq!(devices, ["a", "b"], "{flaws:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// What passes checksums may still be of a writer that errs, or is up to no good.
    #[test]
    fn bytes_that_no_checksum_vouches_for_never_panic(
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<u8>()), 1..4),
    ) {
        static SAMPLE: LazyLock<Vec<u8>> = LazyLock::new(sample);
        let mut bytes = SAMPLE.clone();
        let end = bytes.len() - FOOTER_LEN;
        for (at, byte) in changes {
            bytes[HEADER_LEN..end][at.index(end - HEADER_LEN)] = byte;
        }
        if let Ok(file) = NodeFile::trusting(container(&bytes).unwrap()) {
            let file = Arc::new(file);
            file.verify(&mut |_| true).unwrap();
            let _ = dump(&file);
            for (number, section) in (0u32..).zip(file.sections()) {
                let blocks = (0..section.block_count()).map(|block| file.block(number, block));
                for block in blocks.flatten() {
                    let keys = || (0..block.len()).map(|at| (block.series(at), block.start(at)));
                    prop_assert!(keys().all(|(series, _)| series < section.series));
                    prop_assert!(keys().is_sorted_by(|a, b| a < b));
                }
            }
        }
    }
}
