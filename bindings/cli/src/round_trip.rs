//! What import takes, export gives back: CSV text to batches to CSV text and again, bit for bit.

use crate::input::{BatchReader, CsvOptions, CsvPlan, Input, SameTime};
use crate::print::{Format, Header, printer};
use crate::test_rows::{answer_of, header_of};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use tidelog::model::{CollectionName, FieldType, Value};

/// Reads a file, and prints what was read as CSV: the header first, then the rows in the order of
/// batches. Also the number of rows, and of bad lines.
fn import_and_print(input: Input, same_time: SameTime) -> (Header, Vec<u8>, u64, u64) {
    let collection = CollectionName::parse("db.c").unwrap();
    let options = CsvOptions { same_time, ..CsvOptions::default() };
    let mut plan = CsvPlan::scan(collection, vec![input], options, &mut |_, _| {}).unwrap();
    let fields = plan.fields().map(|(name, kind)| (name.to_string(), kind)).collect();
    let header = Header { has_devices: true, fields };
    let mut reader = plan.read(0).unwrap();
    let mut text = Vec::new();
    let mut printer = printer(Format::Csv, header.clone(), &mut text).unwrap();
    while reader.read(&mut |_| {}).unwrap() {
        let batch = &reader.batches()[0];
        assert_eq!(header_of(batch), header);
        printer.print(&answer_of(batch)).unwrap();
    }
    printer.finish(None).unwrap();
    drop(printer);
    (header, text, reader.counts().rows, reader.counts().rejected)
}

fn input(text: &[u8]) -> (tempfile::NamedTempFile, Input) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    let input = Input::new(file.path().to_str().unwrap());
    (file, input)
}

fn sorted_lines(text: &[u8]) -> Vec<&[u8]> {
    let mut lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
    lines.sort_unstable();
    lines
}

/// A value or its absence, as text of a CSV field.
fn arb_field(kind: FieldType) -> BoxedStrategy<String> {
    let quoted = |text: String| format!("\"{}\"", text.replace('"', "\"\""));
    let value = match kind {
        FieldType::F64 => any::<f64>().prop_map(|v| format!("{v:?}")).boxed(),
        FieldType::I64 => any::<i64>().prop_map(|v| v.to_string()).boxed(),
        FieldType::U64 => (1 << 63..=u64::MAX).prop_map(|v| v.to_string()).boxed(),
        FieldType::Bool => any::<bool>().prop_map(|v| v.to_string()).boxed(),
        _ => "[a-z0-9,\"\r\n é\u{1F30A}]{0,5}".prop_map(quoted).boxed(),
    };
    prop_oneof![3 => value, 1 => Just(String::new())].boxed()
}

const KINDS: [FieldType; 5] =
    [FieldType::F64, FieldType::I64, FieldType::U64, FieldType::Bool, FieldType::String];

fn arb_row() -> impl Strategy<Value = (i64, Vec<String>)> {
    (any::<i64>(), KINDS.iter().map(|kind| arb_field(*kind)).collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn values_come_back_through_text(rows in prop::collection::btree_map(any::<i64>(), arb_row().prop_map(|row| row.1), 1..12)) {
        let mut text = "device,timestamp_ns,f,i,u,b,s\n".to_string();
        for (time, fields) in &rows {
            text += &format!("\"pump a,x=1\",{time},{}\n", fields.join(","));
        }
        let (_file, first) = input(text.as_bytes());
        let (header, printed, count, rejected) = import_and_print(first, SameTime::Last);
        prop_assert_eq!((count as usize, rejected), (rows.len(), 0));
        let (_file, second) = input(&printed);
        let (header_again, printed_again, _, _) = import_and_print(second, SameTime::Last);
        prop_assert_eq!(&header, &header_again);
        prop_assert_eq!(String::from_utf8(printed.clone()), String::from_utf8(printed_again));
        // Against the source: every field is there, and absent only where it was empty.
        let read = read_naively(&printed);
        for (time, fields) in &rows {
            for (name, field) in ["f", "i", "u", "b", "s"].iter().zip(fields) {
                let found = read.get(&(*time, name.to_string()));
                let kind = header.fields.iter().find(|(other, _)| other == name).map(|f| f.1);
                match (field.as_str(), kind) {
                    ("", _) => prop_assert_eq!(found, None),
                    (text, Some(FieldType::F64)) => {
                        let (a, b): (f64, f64) = (text.parse().unwrap(), found.unwrap().parse().unwrap());
                        prop_assert_eq!(Value::F64(a), Value::F64(b));
                    }
                    (text, _) => {
                        let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
                        prop_assert_eq!(found, Some(&text.replace("\"\"", "\"")));
                    }
                }
            }
        }
    }
}

/// A reader of its own, character by character: fields by time and name; absent ones are left out.
fn read_naively(text: &[u8]) -> BTreeMap<(i64, String), String> {
    let text = std::str::from_utf8(text).unwrap();
    let (mut records, mut record, mut field) = (Vec::new(), Vec::new(), String::new());
    let (mut inside, mut quoted) = (false, false);
    let mut characters = text.chars().peekable();
    while let Some(c) = characters.next() {
        match c {
            '"' if inside && characters.peek() == Some(&'"') => field.extend(characters.next()),
            '"' => (inside, quoted) = (!inside, true),
            ',' | '\n' if !inside => {
                let field = std::mem::take(&mut field);
                record.push((quoted || !field.is_empty()).then_some(field));
                quoted = false;
                if c == '\n' {
                    records.push(std::mem::take(&mut record));
                }
            }
            c => field.push(c),
        }
    }
    let header = records.remove(0);
    let mut fields = BTreeMap::new();
    for record in records {
        let time: i64 = record[1].clone().unwrap().parse().unwrap();
        for (name, value) in header.iter().zip(record).skip(2) {
            if let Some(value) = value {
                fields.insert((time, name.clone().unwrap()), value);
            }
        }
    }
    fields
}

/// `TIDELOG_TEST_DATA`, or `../shared/data` beside the workspace.
fn data_directory() -> Option<PathBuf> {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let places = [
        std::env::var_os("TIDELOG_TEST_DATA").map(PathBuf::from),
        Some(workspace.join("../shared/data")),
    ];
    places.into_iter().flatten().find(|place| place.join("MANIFEST.md").exists())
}

/// Types by column, as a person would give them.
const SETS: [(&str, u64, &str); 17] = [
    ("apache_logs", 9_999, "string string string string i64 i64 string string"),
    ("azure_vm_noise", 146_064, "f64 f64 i64"),
    ("bdg_weather", 148_355, "string f64 string f64 f64 f64 f64 f64 f64 string f64 f64"),
    ("beijing_pm25", 43_824, "i64 i64 f64 f64 string f64 i64 i64"),
    (
        "cmapss_fd001",
        20_631,
        "f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 f64 i64 i64 f64 f64 f64",
    ),
    ("comma_can", 135_468, "i64 i64 string"),
    ("comma_imu", 12_512, "f64 f64 f64"),
    ("comma_wheel", 4_974, "f64 f64 f64 f64"),
    ("ecg_mitbih", 650_000, "i64 i64"),
    ("geolife_gps", 5_908, "f64 f64 i64"),
    ("gusb_visits", 194_046, "f64 f64 f64"),
    ("nab_cloudwatch", 67_740, "f64"),
    ("nab_known_cause", 69_561, "f64"),
    ("pv_module_temp", 140_256, "f64"),
    (
        "px4_sensor_combined",
        17_070,
        "f64 f64 f64 f64 i64 f64 f64 f64 f64 i64 f64 f64 f64 i64 f64 f64",
    ),
    ("tide_gauge", 17_520, "f64"),
    ("yosemite_temps", 18_721, "f64"),
];

#[test]
fn real_data_has_sensible_types_and_comes_back() {
    let Some(directory) = data_directory() else {
        #[expect(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: no real data; set TIDELOG_TEST_DATA to a directory that has it");
        }
        return;
    };
    for (name, rows, types) in SETS {
        let path = directory.join(format!("{name}.csv.zst"));
        let source = Input::new(path.to_str().unwrap());
        let (header, printed, count, rejected) = import_and_print(source, SameTime::Nudge);
        assert_eq!((count, rejected), (rows, 0), "{name}");
        let found: Vec<&str> = header.fields.iter().map(|(_, kind)| kind.name()).collect();
        assert_eq!(found.join(" "), types, "{name}");
        if let Some(out) = std::env::var_os("TIDELOG_TEST_PRINTED") {
            std::fs::write(Path::new(&out).join(format!("{name}.csv")), &printed).unwrap();
        }
        let (_file, again) = input(&printed);
        let (header_again, printed_again, count_again, _) = import_and_print(again, SameTime::Last);
        assert_eq!((&header, count), (&header_again, count_again), "{name}");
        assert_eq!(printed.len(), printed_again.len(), "{name}");
        assert!(sorted_lines(&printed) == sorted_lines(&printed_again), "{name}");
    }
}
