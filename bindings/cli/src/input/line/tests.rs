//! Line protocol texts and the rows they become.

use super::*;
use proptest::prelude::*;
use std::io::Write;

fn input(text: &[u8]) -> (tempfile::NamedTempFile, Input) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text).unwrap();
    let input = Input::new(file.path().to_str().unwrap());
    (file, input)
}

fn options() -> LineOptions {
    LineOptions {
        database: parse_target("db.*").unwrap(),
        known_types: HashMap::new(),
        now: 42,
        same_time: SameTime::Last,
        batch_rows: 3,
        strict: false,
    }
}

/// One text per row, `collection device time field=value …`, and the numbers of bad lines.
fn rows_with(text: &[u8], options: LineOptions) -> (Vec<String>, Vec<u64>, Counts) {
    let (_file, input) = input(text);
    let mut reader = LineReader::open(&input, options).unwrap();
    let (mut rows, mut bad) = (Vec::new(), Vec::new());
    while reader.read(&mut |line| bad.push(line.line)).unwrap() {
        for batch in reader.batches() {
            rows.extend(crate::input::csv::tests::rows_of(batch));
        }
    }
    let counts = reader.counts();
    assert_eq!(counts.rows as usize, rows.len());
    assert_eq!(counts.rejected as usize, bad.len());
    (rows, bad, counts)
}

fn rows(text: &str) -> (Vec<String>, Vec<u64>) {
    let (rows, bad, _) = rows_with(text.as_bytes(), options());
    (rows, bad)
}

#[test]
fn measurements_are_collections_and_series_are_devices() {
    let text = "cpu,region=b,host=a usage=1.5,n=-3i,u=18446744073709551615u,up=t,s=\"x y\" 7\n\
                mem free=1i 8\n\
                # a comment with a \" quote\n\
                \n\
                cpu,host=a,region=b usage=2\n";
    let (rows, bad) = rows(text);
    assert_eq!(bad, [0u64; 0]);
    assert_eq!(
        rows,
        [
            "db.cpu cpu,host=a,region=b 7 n=I64(-3) s=String(\"x y\") u=U64(18446744073709551615) up=Bool(true) usage=F64(1.5)",
            "db.cpu cpu,host=a,region=b 42 usage=F64(2.0)",
            "db.mem mem 8 free=I64(1)",
        ]
    );
}

#[test]
fn escapes_end_in_the_canonical_device() {
    let (rows, bad) = rows("a\\ b,k\\=1=v\\,2 f\\ 1=1i 1\n");
    assert_eq!(bad, [0u64; 0]);
    assert_eq!(rows, ["db.a b a\\ b,k\\=1=v\\,2 1 f 1=I64(1)"]);
}

#[test]
fn bad_lines_are_numbered_and_the_rest_goes_in() {
    let text = "m f=1i 1\r\nm f=1i x\r\nm f=2 2\r\nm\r\nm f=1i,g=1,g=2i 3\r\nm,t=1,t=2 f=1i 4\r\nm f=1e999 5\r\nm f=3i 6\r\nm g=\"text\" 7";
    let (rows, bad) = rows(text);
    // A refused line leaves no trace: `g` is still free to be text.
    assert_eq!(rows, ["db.m m 1 f=I64(1)", "db.m m 6 f=I64(3)", "db.m m 7 g=String(\"text\")"]);
    assert_eq!(bad, [2, 3, 4, 5, 6, 7]);
    let (_, bad, _) = rows_with(b"m f=1i 1\n\xff f=1 1\nm f=1i 2\n", options());
    assert_eq!(bad, [2]);
}

#[test]
fn strict_stops_at_the_first_bad_line() {
    let (file, input) = input(b"m f=1i 1\nnonsense\n");
    let mut reader = LineReader::open(&input, LineOptions { strict: true, ..options() }).unwrap();
    let error = reader.read(&mut |_| {}).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{}:2: ", file.path().display())), "{error}");
}

#[test]
fn strings_may_hold_line_ends() {
    let (rows, bad) = rows("m s=\"a\nb\\\"\nc\" 1\nm s=\"d\" 2\nm f=\n");
    assert_eq!(rows, ["db.m m 1 s=String(\"a\\nb\\\"\\nc\")", "db.m m 2 s=String(\"d\")"]);
    assert_eq!(bad, [5], "lines inside of strings count");
}

#[test]
fn one_quote_too_many_costs_one_line() {
    let mut text = "m s=\"open 1\n".to_string();
    (2..2000).for_each(|n| text += &format!("m s=\"v{n}\" {n}\n"));
    let (found, bad) = rows(&text);
    assert_eq!(bad, [1]);
    assert_eq!(found.len(), 1998);
    // The second bad line is met among lines that were read ahead for the first.
    let mut text = String::new();
    for n in 1..=600 {
        text += &match n {
            1 | 50 | 51 | 300 => format!("m s=\"open {n}\n"),
            _ => format!("m s=\"v{n}\" {n}\n"),
        };
    }
    let (found, bad) = rows(&text);
    assert_eq!(bad, [1, 50, 51, 300]);
    let times = found.iter().map(|row| row.split(' ').nth(2).unwrap().parse::<u64>().unwrap());
    assert!(times.eq((1..=600).filter(|n| !bad.contains(n))));
    let (found, bad) = rows("m f=1i 1\nm s=\"never closed 2\nm f=3i 3");
    assert_eq!((found.len(), bad), (2, vec![2]));
}

#[test]
fn a_line_without_end_does_not_fill_the_memory() {
    let text = [b"m f=1i 1\n".to_vec(), vec![b'x'; 2 * LINE_BYTES_MAX], b"\nm f=2i 2\n".to_vec()];
    let (found, bad, _) = rows_with(&text.concat(), options());
    assert_eq!((found.len(), bad), (2, vec![2]));
}

#[test]
fn equal_times_are_nudged_per_series_on_request() {
    let text = b"m f=1i 5\nn f=1i 5\nm f=2i 5\nm f=3i 4\nm f=4i 4\n";
    let nudge = LineOptions { same_time: SameTime::Nudge, ..options() };
    let (mut rows, _, _) = rows_with(text, nudge);
    rows.sort();
    assert_eq!(
        rows,
        [
            "db.m m 4 f=I64(3)",
            "db.m m 5 f=I64(1)",
            "db.m m 6 f=I64(2)",
            "db.m m 7 f=I64(4)",
            "db.n n 5 f=I64(1)"
        ]
    );
}

#[test]
fn the_target_is_all_collections_of_a_database() {
    assert_eq!(parse_target("plant.*").unwrap().as_str(), "plant");
    for text in ["plant", "plant.boiler", "*", ".*", "a.b.*", "plant*"] {
        assert!(parse_target(text).is_err(), "{text}");
    }
}

proptest! {
    #[test]
    fn no_text_panics_or_loses_count(text in "([m,= \"\\\\#f1i\n\r]|m f=1i 1\n|m s=\"x\" 2\n){0,40}") {
        let nudge = LineOptions { same_time: SameTime::Nudge, ..options() };
        let (_, _, counts) = rows_with(text.as_bytes(), nudge);
        prop_assert!(counts.rows + counts.rejected <= 1 + text.matches('\n').count() as u64);
    }
}
