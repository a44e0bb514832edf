//! Files written once and read for ever: a whole store, one whose log ends in a torn frame, and a
//! `BatchV1` archive, each with its rows as text beside it. `node_file.tide` is read by the engine's own tests
//! (`nodes/tests/golden.rs`), since no store writes one yet; `windows.lines`, by `windows.py`, too (`query/window_golden.rs`).
//!
//! Before the first release `cargo test --test golden -- --ignored` may write them anew; after it, a
//! format that cannot read them any more is broken.

mod digest;

use rkyv::util::AlignedVec;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tidelog_engine::model::Cutter;
use tidelog_engine::{
    Batch, CollectionName, Delete, Device, DeviceSelector, Durability, LeafWidth, Options, Query,
    Stamp, Store, StoreId, SubBatch, TimeRange, Timestamp, Upkeep, Value, Values, Version,
};
use tidelog_tests::clock::SimClock;
use tidelog_tests::lines::lines;

const SECOND: i64 = 1_000_000_000;
const COLLECTIONS: [&str; 2] = ["plant.all", "plant.few"];

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1")
}

fn options() -> Options {
    let clock = SimClock::new(1_767_225_600_000, 1);
    let options = Options::new().groups(2).upkeep(Upkeep::Caller);
    options.clock(Arc::new(clock.clone())).entropy(Arc::new(clock))
}

#[test]
fn a_store_of_version_1_reads_the_same_for_ever() {
    let copy = copy_of("store");
    for map in [true, false] {
        let reader = options().read_only(true).map(map).open(copy.path()).unwrap();
        compare(&reader, "store.lines");
    }
    let store = options().open(copy.path()).unwrap();
    assert!(store.open_report().is_clean(), "{:?}", store.open_report());
    assert_eq!(store.open_report().torn_bytes, 0);
    assert_eq!(store.open_report().log_records, 3, "two writes and a delete");
    compare(&store, "store.lines");
    store.compact().unwrap();
    compare(&store, "store.lines");
}

#[test]
fn a_torn_log_of_version_1_reads_the_same_for_ever() {
    let copy = copy_of("torn");
    let store = options().open(copy.path()).unwrap();
    assert!(store.open_report().is_clean(), "{:?}", store.open_report());
    assert!(store.open_report().torn_bytes > 0, "the last frame is cut");
    compare(&store, "torn.lines");
}

#[test]
fn an_archive_of_version_1_reads_the_same_for_ever() {
    let bytes = fs::read(home().join("batch_v1.bin")).unwrap();
    assert_eq!(
        text_of(&aligned(&bytes)),
        fs::read_to_string(home().join("batch_v1.lines")).unwrap()
    );
}

/// Offsets as the FORMAT.md files state them, looked up by hand.
#[test]
fn the_bytes_stand_where_the_specifications_say() {
    let root = home().join("store");
    let u32_at = |bytes: &[u8], at: usize| u32::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let u64_at = |bytes: &[u8], at: usize| u64::from_le_bytes(*bytes[at..].first_chunk().unwrap());
    let mut counts = (0, 0, 0);
    for path in files_under(&root) {
        let bytes = fs::read(&path).unwrap();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.ends_with(".tide") {
            counts.0 += 1;
            assert_eq!((&bytes[..8], u32_at(&bytes, 8)), (&b"TIDEGRP\0"[..], 1), "{name}");
            assert_eq!(u32_at(&bytes, 16), 2, "groups");
            assert_eq!(format!("{:016x}.tide", u64_at(&bytes, 24)), name);
            assert_eq!(u32_at(&bytes, 60), crc(&bytes[..60]));
            let footer = &bytes[bytes.len() - 48..];
            assert_eq!(
                (&footer[40..], u64_at(footer, 16)),
                (&b"TIDEEND\0"[..], bytes.len() as u64)
            );
            let (at, len) = (u64_at(footer, 0), u64::from(u32_at(footer, 8)));
            assert_eq!(at + len + 48, bytes.len() as u64, "the directory stands before the footer");
            let seeded = [&bytes[..60], &at.to_le_bytes(), &bytes[at as usize..][..len as usize]];
            assert_eq!(u32_at(footer, 12), crc(&seeded.concat()), "the directory's checksum");
            continue;
        }
        let magic = match name.as_str() {
            "LOCK" => continue,
            _ if name.ends_with(".wal") => {
                counts.1 += 1;
                assert_eq!(
                    format!("{:08x}-{:08x}.wal", u32_at(&bytes, 12), u32_at(&bytes, 16)),
                    name
                );
                b"TIDEWAL\0"
            }
            _ => {
                counts.2 += 1;
                assert_eq!(format!("MANIFEST-{:08x}", u32_at(&bytes, 12)), name);
                b"TIDEMAN\0"
            }
        };
        assert_eq!((&bytes[..8], u32_at(&bytes, 8)), (&magic[..], 1), "{name}");
        assert_eq!(u32_at(&bytes, 76), crc(&bytes[..76]));
        // The first frame.
        let frame = &bytes[80..];
        assert_eq!(&frame[..4], b"TLFR");
        let payload = &frame[48..][..u32_at(frame, 8) as usize];
        assert_eq!(payload.len() % 16, 0);
        assert_eq!(u32_at(frame, 12), crc(payload));
        assert_eq!(u64_at(frame, 32), u64_at(&bytes, 56) + 80, "its own log offset");
        assert_eq!(u32_at(frame, 44), crc(&[&bytes[76..80], &frame[..44]].concat()));
    }
    assert_eq!(counts, (8, 1, 2), "group files of rows and nodes, segments, generations");
}

/// CRC-32 (IEEE), bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

fn rows_of(store: &Store) -> String {
    let mut text = String::new();
    for name in COLLECTIONS {
        let name = CollectionName::parse(name).unwrap();
        for line in lines(store, &name, Query::new()).unwrap() {
            text.push_str(&format!("{name}: {line}\n"));
        }
    }
    text
}

fn compare(store: &Store, expected: &str) {
    assert_eq!(rows_of(store), fs::read_to_string(home().join(expected)).unwrap());
}

fn files_under(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_under(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}

fn copy_of(name: &str) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    let root = home().join(name);
    for path in files_under(&root) {
        let to = copy.path().join(path.strip_prefix(&root).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        fs::copy(path, to).unwrap();
    }
    copy
}

/// Archives are read where they stand, on a multiple of 16.
fn aligned(bytes: &[u8]) -> AlignedVec {
    let mut aligned = AlignedVec::new();
    aligned.extend_from_slice(bytes);
    aligned
}

fn text_of(archive: &[u8]) -> String {
    let sub = SubBatch::read(archive).unwrap();
    let mut text =
        format!("{} {:?} {:?} {:?}\n", sub.collection(), sub.leaf(), sub.group(), sub.version());
    for (device, rows) in sub.devices() {
        text.push_str(&format!("device {device} {rows}\n"));
    }
    let mut times = Vec::new();
    sub.times_into(&mut times);
    text.push_str(&format!("times {times:?}\n"));
    for field in sub.fields() {
        let present: Vec<bool> = (0..sub.rows()).map(|row| field.is_present(row)).collect();
        let mut values = Values::new(field.field_type());
        field.values_into(&mut values);
        text.push_str(&format!(
            "{} {:?} {present:?} {values:?}\n",
            field.name(),
            field.field_type()
        ));
    }
    text
}

fn batch(from: i64, rows: i64) -> Batch {
    let mut batch = Batch::new(COLLECTIONS[0]).unwrap();
    let odd = [f64::NAN, -0.0, f64::INFINITY, 1.5, f64::MIN_POSITIVE / 2.0];
    for (n, device) in ["pump_1", "pump_2", "../x", "cpu,host=a", "cpu,host=b"].iter().enumerate() {
        for row in from..from + rows {
            let mut values = vec![
                ("f64", Value::F64(if row % 9 == 0 { odd[n] } else { row as f64 / 10.0 })),
                ("i64", Value::I64((1 << 53) + row)),
            ];
            if row % 2 == 0 {
                values.push(("f32", Value::F32(row as f32 / 4.0)));
                values.push(("u64", Value::U64(u64::MAX - row as u64)));
                values.push(("bool", Value::Bool(row % 4 == 0)));
            }
            if row % 3 == 0 {
                values.push((
                    "string",
                    Value::String(["", "on", "温度"][row as usize / 3 % 3].into()),
                ));
                values.push(("bytes", Value::Bytes(vec![row as u8; n])));
            }
            let values = values.iter().map(|(name, value)| (*name, value.as_ref()));
            batch.push(device, row * SECOND, values).unwrap();
        }
    }
    batch
}

fn few(times: &[i64]) -> Batch {
    let mut batch = Batch::new(COLLECTIONS[1]).unwrap();
    for time in times {
        batch.push("pump_1", *time, [("level", *time)]).unwrap();
        batch.push("pump_2", *time, [("level", -(*time / 2))]).unwrap();
    }
    batch
}

fn delete(store: &Store, device: &str, from: i64, to: i64) {
    let range = TimeRange::new(Some(Timestamp(from * SECOND)), Some(Timestamp(to * SECOND)));
    let one = DeviceSelector::one(Device::parse(device).unwrap());
    let delete = Delete::collection(&CollectionName::parse(COLLECTIONS[0]).unwrap());
    store.delete(&delete.devices(one).range(range.unwrap())).unwrap();
}

/// A dense file per group that a tombstone was applied to, a fast file per group with versions of its
/// own, and what only the log holds.
fn fill(store: &Store) {
    store.write(&batch(0, 40), Durability::Sync).unwrap();
    store.write(&batch(30, 5), Durability::Sync).unwrap();
    store.write(&few(&[i64::MIN, -1, 0, 1, i64::MAX]), Durability::Sync).unwrap();
    delete(store, "pump_1", 3, 8);
    store.compact().unwrap();
    store.write(&batch(38, 4), Durability::Sync).unwrap();
    store.write(&few(&[0, 2]), Durability::Sync).unwrap();
    store.flush().unwrap();
    store.write(&batch(50, 3), Durability::Sync).unwrap();
    delete(store, "cpu,host=a", 20, 30);
    store.write(&few(&[3, 4]), Durability::Sync).unwrap();
}

/// What made the golden files makes the same answers today. Set `TIDELOG_WRITE_GOLDEN` to replace the
/// files themselves: only before a format's first release.
#[test]
fn what_wrote_the_golden_files_writes_the_same_rows_today() {
    if std::env::var_os("TIDELOG_WRITE_GOLDEN").is_some() {
        // Beside them stands a file that the engine's own tests write.
        for store in ["store", "torn"] {
            let _ = fs::remove_dir_all(home().join(store));
        }
        return write_golden_files(&home());
    }
    let dir = tempfile::tempdir().unwrap();
    write_golden_files(dir.path());
    for name in ["store.lines", "torn.lines", "batch_v1.lines", "batch_v1.bin"] {
        let (now, then) = (fs::read(dir.path().join(name)), fs::read(home().join(name)));
        assert!(now.unwrap() == then.unwrap(), "{name}");
    }
}

fn write_golden_files(home: &Path) {
    fs::create_dir_all(home).unwrap();
    let store = options().open(home.join("store")).unwrap();
    fill(&store);
    fs::write(home.join("store.lines"), rows_of(&store)).unwrap();
    store.close().unwrap();
    drop(store);
    let live = tempfile::tempdir().unwrap();
    let store = options().open(live.path()).unwrap();
    fill(&store);
    fs::write(home.join("torn.lines"), rows_of(&store)).unwrap();
    store.write(&batch(60, 3), Durability::Sync).unwrap();
    for path in files_under(live.path()) {
        let to = home.join("torn").join(path.strip_prefix(live.path()).unwrap());
        fs::create_dir_all(to.parent().unwrap()).unwrap();
        let bytes = fs::read(&path).unwrap();
        let cut = if path.extension().is_some_and(|end| end == "wal") { 21 } else { 0 };
        fs::write(to, &bytes[..bytes.len() - cut]).unwrap();
    }
    let version =
        Version { stamp: Stamp::from_millis(1_767_225_600_000), origin: StoreId([7; 16]) };
    let mut archives = Vec::new();
    batch(0, 6).cut(1, version, LeafWidth::default(), &mut Cutter::default(), |sub| {
        archives.push(sub.write_to(AlignedVec::new()));
    });
    fs::write(home.join("batch_v1.bin"), &archives[0]).unwrap();
    fs::write(home.join("batch_v1.lines"), text_of(&archives[0])).unwrap();
}
