//! Digests by the engine's code, by `digest.py`, which knows the specification only, and as they were
//! written down: all three are one.

use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tidelog_model::digest::{Bucket, Buckets, Entry, LeafHasher, TreeHasher};
use tidelog_model::{CollectionName, Column, Digest, FieldType, LeafWidth, Level, Placer, Value};

/// Changing these files breaks the agreement of replicas: they are written by hand, once.
#[test]
fn the_golden_rows_have_the_golden_digests() {
    let rows = read("digest.json");
    let lines = read("digest.lines");
    assert_eq!(digests(&serde_json::from_str(&rows).unwrap()), lines);
    if let Some(answer) = python(&rows) {
        assert_eq!(answer, lines);
    }
}

/// More than a block in a leaf, and more than a device in a bucket.
#[test]
fn many_rows_have_the_digests_that_the_specification_gives() {
    let row = |n: i64| match n % 5 {
        0 => json!({"time": n * 7, "a": ["f64", n as f64 / 8.0], "flag": ["bool", n % 2 == 0]}),
        1 => json!({"time": n * 7, "a": ["i64", -n], "text": ["string", format!("é{n}")]}),
        _ => json!({"time": n * 7, "a": ["f64", -0.5]}),
    };
    let mut devices = serde_json::Map::new();
    for rows in [4_096, 4_097, 9_000] {
        devices.insert(format!("long_{rows}"), (0..rows).map(row).collect());
    }
    let days = 86_400_000_000_000;
    for n in 0..600i64 {
        let time = (n % 2 * 400 - 200) * days + n % 3 * 40 * days;
        devices.insert(format!("host_{n}"), json!([{"time": time, "n": ["u64", n]}]));
    }
    let given = json!({"collection": ["d", "c"], "leaf_minutes": 60, "devices": devices});
    if let Some(answer) = python(&given.to_string()) {
        assert_eq!(digests(&given), answer);
    }
}

fn home() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("golden")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(home().join(name)).unwrap()
}

/// What `digest.py` says; `None` where it cannot run.
fn python(rows: &str) -> Option<String> {
    let has_blake3 = Command::new("python3").args(["-c", "import blake3"]).output();
    if !has_blake3.is_ok_and(|output| output.status.success()) {
        note("skipped: python3 with BLAKE3 (pip install blake3) is not here");
        return None;
    }
    let mut child = Command::new("python3")
        .arg(home().join("digest.py"))
        .env("PYTHONIOENCODING", "utf-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(rows.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "digest.py failed");
    Some(String::from_utf8(output.stdout).unwrap())
}

#[expect(clippy::print_stderr, reason = "tests have no other way to say why they skip")]
fn note(text: &str) {
    eprintln!("{text}");
}

type Rows = BTreeMap<i64, Vec<(String, Value)>>;

/// The same lines as `digest.py` prints, by the code that replicas use.
fn digests(given: &Json) -> String {
    let names: Vec<&str> =
        given["collection"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let placer = Placer::new(&CollectionName::new(names[0], names[1]).unwrap());
    let minutes = given["leaf_minutes"].as_u64().unwrap() as u8;
    let width = LeafWidth::from_minutes(minutes).unwrap();
    let mut leaves: BTreeMap<i64, BTreeMap<&str, Digest>> = BTreeMap::new();
    for (device, rows) in given["devices"].as_object().unwrap() {
        let mut windows: BTreeMap<i64, Rows> = BTreeMap::new();
        for row in rows.as_array().unwrap() {
            let time = row["time"].as_i64().unwrap();
            let start = Level::Window.window_of(time, width).first();
            windows.entry(start).or_default().insert(time, cells(row));
        }
        for (start, rows) in windows {
            leaves.entry(start).or_default().insert(device, leaf(&rows));
        }
    }
    let (mut text, mut hasher, mut nodes) = (String::new(), TreeHasher::new(), Vec::new());
    for (start, own) in &leaves {
        for (device, digest) in own {
            text.push_str(&format!("leaf {start} {digest} {device}\n"));
        }
        let entries = own.iter().map(|(device, digest)| Entry {
            bucket: Bucket::of(placer.place(device)),
            device,
            digest: *digest,
        });
        nodes.push((*start, Buckets::new(entries).window(&mut hasher).unwrap()));
    }
    for level in [Level::Day, Level::Month, Level::Year, Level::Root] {
        let start = |time: i64| level.window_of(time, width).first();
        let parents = nodes.chunk_by(|a, b| start(a.0) == start(b.0));
        nodes = parents.map(|own| (start(own[0].0), hasher.parent(level, own).unwrap())).collect();
    }
    text + &format!("root {}\n", nodes[0].1)
}

fn leaf(rows: &Rows) -> Digest {
    let times: Vec<i64> = rows.keys().copied().collect();
    let mut fields: BTreeMap<(&str, FieldType), Column> = BTreeMap::new();
    for (row, cells) in rows.values().enumerate() {
        for (name, value) in cells {
            let kind = value.field_type();
            let column = fields.entry((name, kind)).or_insert_with(|| Column::new(kind));
            column.pad(row);
            column.push(value.as_ref());
        }
    }
    fields.values_mut().for_each(|column| column.pad(times.len()));
    let fields = fields.iter().map(|((name, _), column)| (*name, column));
    LeafHasher::new().whole(&times, 0..times.len(), fields).unwrap()
}

fn cells(row: &Json) -> Vec<(String, Value)> {
    let cells = row.as_object().unwrap().iter().filter(|(name, _)| *name != "time");
    cells.map(|(name, cell)| (name.clone(), value(&cell[0], &cell[1]))).collect()
}

fn value(kind: &Json, value: &Json) -> Value {
    let bits = value.as_str().and_then(|text| u64::from_str_radix(text, 16).ok());
    match FieldType::from_name(kind.as_str().unwrap()).unwrap() {
        FieldType::F64 => Value::F64(bits.map_or_else(|| value.as_f64().unwrap(), f64::from_bits)),
        FieldType::F32 => Value::F32(match bits {
            Some(bits) => f32::from_bits(bits as u32),
            None => value.as_f64().unwrap() as f32,
        }),
        FieldType::I64 => Value::I64(value.as_i64().unwrap()),
        FieldType::U64 => Value::U64(value.as_u64().unwrap()),
        FieldType::Bool => Value::Bool(value.as_bool().unwrap()),
        FieldType::String => Value::String(value.as_str().unwrap().into()),
        FieldType::Bytes => {
            let digits = value.as_str().unwrap().as_bytes().chunks(2);
            let digits = digits.map(|pair| str::from_utf8(pair).unwrap());
            Value::Bytes(digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect())
        }
    }
}
