//! The fuzz targets on a stable compiler: golden files, mutated at random from a seed, through every
//! decoder. `TIDELOG_FUZZ_SECONDS` says for how long (5 unless set), `TIDELOG_FUZZ_SEED` from where.
//!
//! libFuzzer finds more: `cargo +nightly fuzz run manifest` in this directory.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tidelog_engine::fuzzing;
use tidelog_model::{
    CollectionName, Digest, GroupEpoch, GroupId, Horizon, Incarnation, Level, Position, Stamp,
    StoreId, TimeRange,
};
use tidelog_protocol::compare::{Item, Look, Print, Scope};
use tidelog_protocol::message::{
    CANONICAL, Control, Hello, Pulse, Roots, SessionMessage, TailBatch, VERSION,
};
use tidelog_protocol::snapshot::{FileOffer, SnapshotMessage};
use tidelog_protocol::{Refusal, RefusalKind};

type Target = (&'static str, fn(&[u8]));
const TARGETS: [Target; 10] = [
    ("wal_frame", fuzzing::wal_frame),
    ("batch_v1", fuzzing::batch_v1),
    ("manifest", fuzzing::manifest),
    ("group_file", fuzzing::group_file),
    ("node_file", fuzzing::node_file),
    ("parcel", fuzzing::parcel),
    ("control", control),
    ("tail_batch", tail_batch),
    ("session_message", session_message),
    ("snapshot_message", snapshot_message),
];

fn control(bytes: &[u8]) {
    if let Ok(message) = Control::decode(bytes) {
        assert_eq!(Control::decode(&message.encode()), Ok(message));
    }
}

fn tail_batch(bytes: &[u8]) {
    if let Ok(message) = TailBatch::decode(bytes) {
        assert_eq!(TailBatch::decode(&message.encode()), Ok(message));
    }
}

fn session_message(bytes: &[u8]) {
    if let Ok(message) = SessionMessage::decode(bytes) {
        assert_eq!(SessionMessage::decode(&message.encode()), Ok(message));
    }
}

fn snapshot_message(bytes: &[u8]) {
    if let Ok(message) = SnapshotMessage::decode(bytes) {
        assert_eq!(SnapshotMessage::decode(&message.encode()), Ok(message));
    }
}

/// Messages of each channel, to begin with.
fn messages() -> Vec<Vec<u8>> {
    let at = |offset| Position { incarnation: Incarnation([7; 16]), offset };
    let known = vec![(StoreId([1; 16]), Stamp(9 << 16))];
    let horizon = Horizon::new(known.clone());
    let pulse = Pulse { closed: Stamp(5), position: at(900), known };
    let hello = Hello {
        version: VERSION,
        canonical: CANONICAL,
        store: StoreId([1; 16]),
        incarnation: Incarnation([7; 16]),
        groups: 8,
        cursor: Some(at(5)),
        closed: Stamp(5),
        wall: 6,
        once: false,
        held: 900,
        epochs: vec![(GroupId(0), GroupEpoch(2)), (GroupId(3), GroupEpoch(300))],
        policy: 7,
    };
    let refusal = Refusal { kind: RefusalKind::Epoch, text: "raise it".to_owned() };
    let (tombstones, batches) = (vec![vec![1; 9]], vec![vec![2; 300]]);
    let tail = TailBatch { from: at(5), next: at(900), floor: None, tombstones, batches };
    let roots = Roots { store: None, state: None, groups: Some(vec![(GroupId(1), 77)]) };
    let scope =
        Scope { group: GroupId(1), collection: CollectionName::parse("plant.boiler").unwrap() };
    let device = "cpu,host=a".to_owned();
    let range = TimeRange::inclusive(0, 3_600_000_000_000 - 1).unwrap();
    let print = |time| Print { time, print: 3, stamp: Stamp(77 << 16 | 1) };
    let items = vec![
        Item::Windows {
            scope: scope.clone(),
            range: TimeRange::ALL,
            level: Level::Day,
            entries: vec![(0, 1), (86_400_000_000_000, 2)],
        },
        Item::Parts { scope: scope.clone(), device: device.clone(), range, entries: [4; 16] },
        Item::Prints { scope, device, range, rows: (0..20).map(|at| print(at * 1000)).collect() },
        Item::Rows { contested: true, archives: vec![vec![3; 100]] },
    ];
    let groups = vec![GroupId(0), GroupId(1)];
    let turn = SessionMessage::Turn { turn: 1, epoch: 2, look: Look::Second, items };
    let file = Digest([5; 32]);
    let files = [0, 1].map(|group| FileOffer { group: GroupId(group), len: 3 << 20, digest: file });
    let held = vec![(GroupId(0), 900), (GroupId(1), 0)];
    vec![
        SnapshotMessage::Request { held }.encode(),
        SnapshotMessage::Offer { files: files.into() }.encode(),
        SnapshotMessage::Sums { file, from: 1, sums: vec![[6; 32]; 3] }.encode(),
        SnapshotMessage::Piece { file, piece: 2, bytes: vec![7; 200] }.encode(),
        Control::Hello(hello).encode(),
        Control::Goodbye(refusal).encode(),
        Control::Pulse(pulse).encode(),
        Control::Resend(Some(at(9))).encode(),
        tail.encode(),
        SessionMessage::Open { epoch: 0, eager: true, horizon, salt: 8, groups, roots }.encode(),
        turn.encode(),
    ]
}

#[test]
fn mutated_golden_files_never_panic() {
    let number = |name: &str, otherwise: u64| {
        std::env::var(name).map_or(otherwise, |text| text.parse().expect("a number"))
    };
    let seconds = Duration::from_secs(number("TIDELOG_FUZZ_SECONDS", 5));
    let seed = number("TIDELOG_FUZZ_SEED", 1);
    let files = files_under(&Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/v1"));
    let mut seeds: Vec<Vec<u8>> = files.iter().map(|path| fs::read(path).unwrap()).collect();
    // Payloads too, so that mutations reach what checksums protect.
    for at in 0..seeds.len() {
        let from = [b"TIDEWAL\0", b"TIDEMAN\0"].iter().any(|magic| seeds[at].starts_with(*magic));
        if from && seeds[at].len() > 128 {
            let len = u32::from_le_bytes(*seeds[at][88..].first_chunk().unwrap()) as usize;
            seeds.push(seeds[at][128..128 + len].to_vec());
        }
    }
    seeds.extend(messages());
    seeds.push(fuzzing::parcel_seed());
    let (started, mut runs, mut random) = (Instant::now(), 0u64, seed);
    while started.elapsed() < seconds {
        for _ in 0..100 {
            let bytes = mutate(&seeds, &mut random);
            for (name, target) in TARGETS {
                let outcome = catch_unwind(|| target(&bytes));
                assert!(outcome.is_ok(), "{name}, seed {seed}, run {runs}: {bytes:02x?}");
            }
            runs += 1;
        }
    }
    note(&format!("{runs} inputs through {} decoders each from seed {seed}", TARGETS.len()));
}

fn mutate(seeds: &[Vec<u8>], random: &mut u64) -> Vec<u8> {
    let mut bytes = seeds[draw(random) % seeds.len()].clone();
    for _ in 0..=draw(random) % 4 {
        let len = bytes.len();
        if len == 0 {
            break;
        }
        let at = draw(random) % len;
        match draw(random) % 6 {
            0 => bytes[at] ^= 1 << (draw(random) % 8),
            1 => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][draw(random) % 5],
            2 => bytes.truncate(at),
            3 => bytes.drain(..at).for_each(drop),
            4 => {
                let other = &seeds[draw(random) % seeds.len()];
                let from = draw(random) % (other.len() + 1);
                bytes.splice(at..at, other[from..].iter().take(64).copied());
            }
            _ => {
                let end = (at + draw(random) % 9).min(len);
                bytes[at..end].iter_mut().for_each(|byte| *byte = draw(random) as u8);
            }
        }
    }
    bytes
}

/// SplitMix64.
fn draw(state: &mut u64) -> usize {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*state ^ (*state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 1) as usize
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

#[expect(clippy::print_stderr, reason = "figures of a run")]
fn note(text: &str) {
    eprintln!("{text}");
}
