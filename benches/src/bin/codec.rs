//! Size and speed of the column codecs, one core.
//!
//! `codec` measures synthetic walks. `codec DIR` also encodes every `DIR/*.csv.zst` (columns
//! `device,timestamp_ns,field...`, an empty cell is an absent value) as compaction would: rows sorted by
//! device and time, the later of two equal times kept, chunks of 65,536 rows, pages of 1,024.
#![allow(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use tidelog_engine::codec::{self, ChunkDecoder, Effort, EncodedChunk, Page, Scratch};
use tidelog_model::{Values, VarBytes};

fn main() {
    synthetic();
    if let Some(dir) = std::env::args().nth(1) {
        corpus(Path::new(&dir));
    }
}

/// Random walks of unit steps within 0 and 100, as gauges report them.
fn synthetic() {
    println!(
        "{:22} {:>8} {:>12} {:>12} {:>12}",
        "walk", "B/value", "encode M/s", "decode M/s", "parse us"
    );
    for (name, scale) in [("int", 1.0), ("dec2", 100.0), ("full", 0.0)] {
        for (effort, chunk_len) in
            [(Effort::Fast, 720), (Effort::Dense, 3_600), (Effort::Dense, 64_800)]
        {
            let mut random = Random(42);
            let chunks: Vec<Vec<f64>> =
                (0..648_000 / chunk_len).map(|_| walk(&mut random, chunk_len, scale)).collect();
            let figures = measure(&chunks, effort);
            println!("{:22} {figures}", format!("{name} {effort:?} {chunk_len}"));
        }
    }
    let mut random = Random(7);
    let mut time = 1_700_000_000_000_000_000;
    let times: Vec<i64> = (0..65_536)
        .map(|_| {
            time += 10_000_000_000 + (random.next() % 2_000) as i64 * 1_000_000;
            time
        })
        .collect();
    let start = Instant::now();
    let chunk = codec::encode_i64s(&times, &page_lengths(times.len(), 1_024), Effort::Dense);
    let speed = times.len() as f64 / start.elapsed().as_secs_f64() / 1e6;
    println!(
        "{:22} {:>8.4} {speed:>12.1}",
        "jittered ms times",
        chunk.byte_len() as f64 / 65_536.0
    );
}

fn measure(chunks: &[Vec<f64>], effort: Effort) -> String {
    let lengths = page_lengths(chunks[0].len(), 720);
    let count: usize = chunks.iter().map(Vec::len).sum();
    let mut encoded: Vec<EncodedChunk> = Vec::new();
    let encode_time = best_of(3, || {
        encoded = chunks.iter().map(|chunk| codec::encode_f64s(chunk, &lengths, effort)).collect();
    });
    let mut decoders = Vec::new();
    let parse_time =
        best_of(3, || decoders = encoded.iter().map(|chunk| parse(chunk, &lengths)).collect());
    let mut scratch = Scratch::default();
    let mut out = Vec::new();
    let decode_time = best_of(9, || {
        for (chunk, decoder) in encoded.iter().zip(&decoders) {
            for (index, length) in lengths.iter().enumerate() {
                out.clear();
                let page = Page {
                    first: index * 720,
                    count: *length as usize,
                    bytes: chunk.page(index).expect("a page per length"),
                };
                decoder.decode_f64s(page, &mut out, &mut scratch).expect("our own bytes decode");
                black_box(&out);
            }
        }
    });
    let bytes: usize = encoded.iter().map(EncodedChunk::byte_len).sum();
    let speed = |time: Duration| count as f64 / time.as_secs_f64() / 1e6;
    format!(
        "{:>8.4} {:>12.1} {:>12.0} {:>12.2}",
        bytes as f64 / count as f64,
        speed(encode_time),
        speed(decode_time),
        parse_time.as_secs_f64() * 1e6 / chunks.len() as f64
    )
}

fn parse(chunk: &EncodedChunk, lengths: &[u32]) -> ChunkDecoder {
    let total = lengths.iter().sum::<u32>() as usize;
    ChunkDecoder::parse(&chunk.meta, tidelog_model::FieldType::F64, total)
        .expect("our own bytes parse")
}

fn best_of(rounds: usize, mut work: impl FnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..rounds {
        let start = Instant::now();
        work();
        best = best.min(start.elapsed());
    }
    best
}

fn page_lengths(count: usize, page: usize) -> Vec<u32> {
    (0..count).step_by(page).map(|start| page.min(count - start) as u32).collect()
}

/// splitmix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// About N(0, 1): the sum of four uniform draws.
    fn normal(&mut self) -> f64 {
        let bits = self.next();
        let sum: u64 = (0..4).map(|i| (bits >> (16 * i)) & 0xffff).sum();
        (sum as f64 / 65_536.0 - 2.0) * 3f64.sqrt()
    }
}

fn walk(random: &mut Random, count: usize, scale: f64) -> Vec<f64> {
    let mut value = (random.next() % 10_000) as f64 / 100.0;
    let step = |_| {
        value = (value + random.normal()).clamp(0.0, 100.0);
        if scale == 0.0 { value } else { (value * scale).round() / scale }
    };
    (0..count).map(step).collect()
}

/// Bytes by what they hold.
#[derive(Default)]
struct Tally(BTreeMap<&'static str, (usize, usize)>);

impl Tally {
    fn add(&mut self, kind: &'static str, values: usize, bytes: usize) {
        let entry = self.0.entry(kind).or_default();
        entry.0 += values;
        entry.1 += bytes;
    }

    fn bytes(&self) -> usize {
        self.0.values().map(|(_, bytes)| bytes).sum()
    }
}

fn corpus(dir: &Path) {
    let mut paths: Vec<_> = fs::read_dir(dir)
        .expect("the directory can be read")
        .map(|entry| entry.expect("the directory can be read").path())
        .filter(|path| path.to_string_lossy().ends_with(".csv.zst"))
        .collect();
    paths.sort();
    let mut total = [0usize; 2];
    let verbose = std::env::args().nth(2).is_some();
    println!(
        "\n{:22} {:>9} {:>9} {:>9}  dense bytes per value by kind",
        "set", "rows", "fast B", "dense B"
    );
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().replace(".csv.zst", "");
        let table = Table::read(&path);
        let mut sizes = [0; 2];
        let mut kinds = String::new();
        for (slot, effort) in [Effort::Fast, Effort::Dense].into_iter().enumerate() {
            let tally = table.encode(effort, verbose && effort == Effort::Dense);
            sizes[slot] = tally.bytes();
            total[slot] += tally.bytes();
            kinds = tally
                .0
                .iter()
                .map(|(kind, (n, bytes))| {
                    format!(" {kind} {:.4} ({bytes})", *bytes as f64 / *n as f64)
                })
                .collect();
        }
        println!("{name:22} {:>9} {:>9} {:>9} {kinds}", table.rows, sizes[0], sizes[1]);
    }
    println!("{:22} {:>9} {:>9} {:>9}", "total", "", total[0], total[1]);
}

/// A CSV file as series of rows in time order.
struct Table {
    fields: Vec<String>,
    rows: usize,
    series: BTreeMap<String, BTreeMap<i64, Vec<String>>>,
}

impl Table {
    fn read(path: &Path) -> Self {
        let packed = fs::read(path).expect("the file can be read");
        let text = zstd::decode_all(packed.as_slice()).expect("the file is zstd");
        let text = String::from_utf8(text).expect("the file is UTF-8");
        let mut records = Records(&text);
        let header = records.next().expect("the file has a header");
        let fields = header[2..].to_vec();
        let mut series: BTreeMap<String, BTreeMap<i64, Vec<String>>> = BTreeMap::new();
        let mut rows = 0;
        for mut record in records {
            rows += 1;
            let cells = record.split_off(2);
            let time = record[1].parse().expect("times are nanoseconds");
            series.entry(record.swap_remove(0)).or_default().insert(time, cells);
        }
        Table { fields, rows, series }
    }

    fn encode(&self, effort: Effort, verbose: bool) -> Tally {
        let mut tally = Tally::default();
        let kinds: Vec<Kind> = (0..self.fields.len()).map(|field| self.kind(field)).collect();
        let mut codecs: BTreeMap<(usize, u8), (usize, usize)> = BTreeMap::new();
        for rows in self.series.values() {
            let times: Vec<i64> = rows.keys().copied().collect();
            let rows: Vec<&Vec<String>> = rows.values().collect();
            for start in (0..rows.len()).step_by(65_536) {
                let end = rows.len().min(start + 65_536);
                let lengths = page_lengths(end - start, 1_024);
                let times = Values::I64(times[start..end].to_vec());
                let chunk = codec::encode(&times, &lengths, effort);
                assert_round_trip(&chunk, &times, &lengths);
                tally.add("time", end - start, chunk.byte_len());
                for (field, kind) in kinds.iter().enumerate() {
                    let cells: Vec<&str> =
                        rows[start..end].iter().map(|row| row[field].as_str()).collect();
                    let chunk = encode_cells(&cells, *kind, effort, &mut tally);
                    let entry = codecs
                        .entry((field, chunk.meta.first().copied().unwrap_or(0)))
                        .or_default();
                    entry.0 += cells.len();
                    entry.1 += chunk.byte_len();
                }
            }
        }
        if verbose {
            for ((field, id), (n, bytes)) in codecs {
                println!(
                    "    {:30} codec {id:2} {n:8} {bytes:8} {:.4}",
                    self.fields[field],
                    bytes as f64 / n as f64
                );
            }
        }
        tally
    }

    /// The narrowest type of all cells of a column.
    fn kind(&self, field: usize) -> Kind {
        let mut cells = self
            .series
            .values()
            .flat_map(BTreeMap::values)
            .map(|row| row[field].as_str())
            .filter(|cell| !cell.is_empty());
        if cells.clone().all(|cell| cell.parse::<i64>().is_ok()) {
            Kind::Int
        } else if cells.all(|cell| cell.parse::<f64>().is_ok()) {
            Kind::Float
        } else {
            Kind::Text
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Int,
    Float,
    Text,
}

fn encode_cells(cells: &[&str], kind: Kind, effort: Effort, tally: &mut Tally) -> EncodedChunk {
    let present: Vec<bool> = cells.iter().map(|cell| !cell.is_empty()).collect();
    let rows = page_lengths(cells.len(), 1_024);
    if present.contains(&false) {
        let present = Values::Bool(present.clone());
        let chunk = codec::encode(&present, &rows, effort);
        assert_round_trip(&chunk, &present, &rows);
        tally.add("presence", cells.len(), chunk.byte_len());
    }
    let lengths: Vec<u32> = present
        .chunks(1_024)
        .map(|page| page.iter().filter(|here| **here).count() as u32)
        .collect();
    let cells = cells.iter().filter(|cell| !cell.is_empty());
    let (name, values) = match kind {
        Kind::Int => {
            ("int", Values::I64(cells.map(|cell| cell.parse().expect("checked")).collect()))
        }
        Kind::Float => {
            ("float", Values::F64(cells.map(|cell| cell.parse().expect("checked")).collect()))
        }
        Kind::Text => {
            let mut text = VarBytes::new();
            cells.for_each(|cell| text.push(cell.as_bytes()));
            ("text", Values::String(text))
        }
    };
    let chunk = codec::encode(&values, &lengths, effort);
    assert_round_trip(&chunk, &values, &lengths);
    tally.add(name, values.len(), chunk.byte_len());
    chunk
}

fn assert_round_trip(chunk: &EncodedChunk, values: &Values, lengths: &[u32]) {
    let kind = values.field_type();
    let decoder =
        ChunkDecoder::parse(&chunk.meta, kind, values.len()).expect("our own bytes parse");
    let mut found = Values::new(kind);
    let mut scratch = Scratch::default();
    for (index, length) in lengths.iter().enumerate() {
        let bytes = chunk.page(index).expect("a page per length");
        let page = Page { first: found.len(), count: *length as usize, bytes };
        decoder.decode_page(page, &mut found, &mut scratch).expect("our own bytes decode");
    }
    assert!(found == *values, "a {kind} column comes back as it was");
}

/// Records of a CSV text, quotes understood.
struct Records<'a>(&'a str);

impl Iterator for Records<'_> {
    type Item = Vec<String>;

    fn next(&mut self) -> Option<Vec<String>> {
        if self.0.is_empty() {
            return None;
        }
        let mut cells = vec![String::new()];
        let mut quoted = false;
        let mut chars = self.0.char_indices().peekable();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' if quoted && chars.peek().is_some_and(|(_, next)| *next == '"') => {
                    chars.next();
                    cells.last_mut()?.push('"');
                }
                '"' => quoted = !quoted,
                ',' if !quoted => cells.push(String::new()),
                '\r' if !quoted => {}
                '\n' if !quoted => {
                    self.0 = &self.0[at + 1..];
                    return Some(cells);
                }
                c => cells.last_mut()?.push(c),
            }
        }
        self.0 = "";
        Some(cells)
    }
}
