//! CSV texts and the rows they become.

use super::*;
use crate::input::nudge::SameTime;
use crate::input::{BatchReader, Counts};
use std::io::Write;
use tidelog::model::Batch;

pub(crate) fn input(text: &[u8]) -> (tempfile::NamedTempFile, Input) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    let input = Input::new(file.path().to_str().unwrap());
    (file, input)
}

/// One text per row, `collection device time field=value …` with fields by name, in the order of
/// the batch. A batch shows its rows only where it is cut, and that sorts them by device and time.
pub(crate) fn rows_of(batch: &Batch) -> Vec<String> {
    crate::test_rows::cut_rows(batch)
        .into_iter()
        .map(|row| {
            let mut values: Vec<String> =
                row.values.iter().map(|(name, value)| format!(" {name}={value:?}")).collect();
            values.sort();
            format!("{} {} {}{}", batch.collection(), row.device, row.time, values.concat())
        })
        .collect()
}

fn collection() -> CollectionName {
    CollectionName::parse("db.c").unwrap()
}

fn read_all(texts: &[&[u8]], options: CsvOptions) -> (Vec<String>, Vec<u64>, Counts) {
    let files: Vec<_> = texts.iter().map(|text| input(text)).collect();
    let (_files, inputs): (Vec<_>, Vec<_>) = files.into_iter().unzip();
    let mut plan = CsvPlan::scan(collection(), inputs, options, &mut |_, _| {}).unwrap();
    let (mut rows, mut bad, mut counts) = (Vec::new(), Vec::new(), Counts::default());
    for file in 0..texts.len() {
        let bytes = plan.inputs()[file].bytes();
        let mut reader = plan.read(file).unwrap();
        while reader.read(&mut |line| bad.push(line.line)).unwrap() {
            rows.extend(rows_of(&reader.batches()[0]));
        }
        assert_eq!(Some(reader.bytes_read()), bytes);
        counts += reader.counts();
    }
    assert_eq!(counts.rejected as usize, bad.len());
    (rows, bad, counts)
}

fn rows(text: &str, options: CsvOptions) -> (Vec<String>, Vec<u64>) {
    let (rows, bad, _) = read_all(&[text.as_bytes()], options);
    (rows, bad)
}

fn why(text: &str, options: CsvOptions) -> String {
    let (_file, input) = input(text.as_bytes());
    let mut reported = String::new();
    let result = CsvPlan::scan(collection(), vec![input], options, &mut |_, _| {})
        .and_then(|mut plan| plan.read(0)?.read(&mut |bad| reported += &bad.why));
    result.err().map_or(reported, |error| error.to_string())
}

#[test]
fn rows_have_the_types_of_their_columns() {
    let text = "a,timestamp_ns,device,b,c,d,e\r\n\
                1,7,x,007,0.5,true,\r\n\
                ,-8,y z,,,,\r\n\
                -2,1970-01-01T00:00:00.000000009Z,x,\"8\n\",1,false,\r\n";
    let (rows, bad) = rows(text, CsvOptions::default());
    assert_eq!(bad, [0u64; 0]);
    assert_eq!(
        rows,
        [
            "db.c x 7 a=I64(1) b=String(\"007\") c=F64(0.5) d=Bool(true)",
            "db.c x 9 a=I64(-2) b=String(\"8\\n\") c=F64(1.0) d=Bool(false)",
            "db.c y\\ z -8",
        ]
    );
}

#[test]
fn absent_and_empty_stay_apart() {
    let text = "device,timestamp_ns,s,n\nx,1,,\nx,2,\"\",\nx,3,a,\"1\"\n";
    let (found, _) = rows(text, CsvOptions::default());
    assert_eq!(found, ["db.c x 1", "db.c x 2 s=String(\"\")", "db.c x 3 n=I64(1) s=String(\"a\")"]);
}

#[test]
fn bad_lines_are_numbered_and_do_not_change_types() {
    let text = "device,timestamp_ns,a\nx,1,1\nx,2\nx,2,1,1\nx,now,1.5\n,4,text\nx,5,2\n\"x\ny\",6,text\nx,\"7\"x,1\nx,8,3\n";
    let (found, bad) = rows(text, CsvOptions::default());
    assert_eq!(found, ["db.c x 1 a=I64(1)", "db.c x 5 a=I64(2)", "db.c x 8 a=I64(3)"]);
    assert_eq!(bad, [3, 4, 5, 6, 8, 10]);
}

#[test]
fn declared_types_win_and_what_does_not_fit_is_a_bad_line() {
    let types = parse_types("a=f64,b=string,c=bytes,d=f32").unwrap();
    let options = CsvOptions { types, ..CsvOptions::default() };
    let text =
        "device,timestamp_ns,a,b,c,d,e\nx,1,1,2,0x0aff,3,1\nx,2,no,2,,,text\nx,3,,,\"\",,2\n";
    let (found, bad) = rows(text, options.clone());
    assert_eq!(
        found,
        [
            "db.c x 1 a=F64(1.0) b=String(\"2\") c=Bytes([10, 255]) d=F32(3.0) e=I64(1)",
            "db.c x 3 c=Bytes([]) e=I64(2)"
        ]
    );
    assert_eq!(bad, [3]);
    let strict = CsvOptions { strict: true, ..options };
    assert!(why(text, strict).contains(":3: a: \"no\" is no f64"));
    let known =
        CsvOptions { known_types: parse_types("a=f64,zz=i64").unwrap(), ..CsvOptions::default() };
    assert_eq!(rows("device,timestamp_ns,a\nx,1,1\n", known).0, ["db.c x 1 a=F64(1.0)"]);
}

#[test]
fn files_of_one_import_share_types() {
    let texts: [&[u8]; 2] =
        [b"device,timestamp_ns,a,b\nx,1,1,1\n", b"timestamp_ns,c,device,a\n2,t,x,0.5\n"];
    let (found, _, counts) = read_all(&texts, CsvOptions::default());
    assert_eq!(found, ["db.c x 1 a=F64(1.0) b=I64(1)", "db.c x 2 a=F64(0.5) c=String(\"t\")"]);
    assert_eq!(counts, Counts { rows: 2, values: 4, rejected: 0 });
}

#[test]
fn headers_that_do_not_fit_say_what_to_do() {
    let cases = [
        ("", ":1: there is no header line"),
        (
            "a,timestamp_ns\n",
            "no column is named \"device\": name one of a, timestamp_ns with --device-column",
        ),
        ("device,ts\n", "with --time-column"),
        ("device,timestamp_ns,a,a\n", "two columns are named \"a\""),
        ("device,timestamp_ns,\n", "column 3 cannot be a field"),
    ];
    for (text, part) in cases {
        let message = why(text, CsvOptions::default());
        assert!(message.contains(part), "{text:?}: {message}");
    }
    let types = parse_types("zz=f64").unwrap();
    let message = why("device,timestamp_ns,a\n", CsvOptions { types, ..CsvOptions::default() });
    assert_eq!(message, "--types names \"zz\", but no file has that column: the columns are a");
}

#[test]
fn types_are_read_from_the_command_line() {
    let types = parse_types("a=f64,b=c=u64").unwrap();
    assert_eq!((types["a"], types["b=c"]), (FieldType::F64, FieldType::U64));
    for text in ["", "a", "a=f16", "a=f64,", "=f64", "a=f64,a=i64"] {
        assert!(parse_types(text).is_err(), "{text}");
    }
}

#[test]
fn nudged_rows_all_come_back_across_batches_and_files() {
    let options =
        || CsvOptions { same_time: SameTime::Nudge, batch_rows: 2, ..CsvOptions::default() };
    let one = b"device,timestamp_ns,a\nx,5,1\nx,5,2\ny,5,3\nx,bad,9\nx,5,4\n";
    let two = b"device,timestamp_ns,a\nx,6,5\nx,4,6\nx,4,7\ny,5,8\n";
    let (mut found, bad, _) = read_all(&[one, two], options());
    found.sort();
    assert_eq!(bad, [5]);
    assert_eq!(
        found,
        [
            "db.c x 4 a=I64(6)",
            "db.c x 5 a=I64(1)",
            "db.c x 6 a=I64(2)",
            "db.c x 7 a=I64(4)",
            "db.c x 8 a=I64(5)",
            "db.c x 9 a=I64(7)",
            "db.c y 5 a=I64(3)",
            "db.c y 6 a=I64(8)",
        ]
    );
}

#[test]
fn the_end_of_time_is_a_bad_line_when_it_is_taken() {
    let text = format!("device,timestamp_ns\nx,{0}\nx,{0}\n", i64::MAX);
    let options = CsvOptions { same_time: SameTime::Nudge, ..CsvOptions::default() };
    let (found, bad) = rows(&text, options);
    assert_eq!((found.len(), bad), (1, vec![3]));
}

#[test]
fn batches_have_the_rows_asked_for_and_forget_devices_in_the_end() {
    let mut text = "device,timestamp_ns,a\n".to_string();
    (0..40_000).for_each(|n| text += &format!("d{n},{n},1\n"));
    let (_file, input) = input(text.as_bytes());
    let options = CsvOptions { batch_rows: 1000, ..CsvOptions::default() };
    let inputs = vec![input];
    let mut plan = CsvPlan::scan(collection(), inputs, options, &mut |_, _| {}).unwrap();
    let mut reader = plan.read(0).unwrap();
    let mut batches = 0;
    while reader.read(&mut |_| {}).unwrap() {
        assert_eq!(reader.batches()[0].rows(), 1000);
        assert!(reader.devices_in_batch() <= 17_384);
        batches += 1;
    }
    assert_eq!(batches, 40);
}

#[test]
fn large_values_end_a_batch_early() {
    let mut text = b"device,timestamp_ns,a\n".to_vec();
    for n in 0..5 {
        text.extend(format!("x,{n},\"").into_bytes());
        text.extend(vec![b'v'; tidelog::model::VALUE_BYTES_MAX + usize::from(n == 4)]);
        text.extend(b"\"\n");
    }
    let (_file, input) = input(&text);
    let inputs = vec![input];
    let mut plan =
        CsvPlan::scan(collection(), inputs, CsvOptions::default(), &mut |_, _| {}).unwrap();
    let mut reader = plan.read(0).unwrap();
    let (mut rows, mut bad) = (0, 0);
    while reader.read(&mut |_| bad += 1).unwrap() {
        rows += reader.batches()[0].rows();
    }
    assert_eq!((rows, bad), (4, 1));
}
