//! `tidelog import`: files into a store.
//!
//! Batches are submitted and waited for later, so that reading goes on while the log is synced; the
//! files end up in group files, because the import flushes at its end.

#[cfg(feature = "replication")]
use super::replica::Written;
use super::{bytes_on_disk, grouped, print};
use crate::arguments::{Opener, schema};
use crate::error::{CommandError, Outcome};
use crate::input::{
    BatchReader, Counts, CsvOptions, CsvPlan, Input, LineOptions, LineReader, SameTime, TypesError,
    parse_target, parse_types,
};
use crate::progress::Progress;
use crate::time::parse_duration;
use clap::{Args, ValueEnum};
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::time::{Instant, SystemTime};
use tidelog::{CollectionName, Durability, FieldType, Store, Ticket};

/// Import CSV or InfluxDB line protocol, plain, gzip or zstd. Bad lines are reported and left out.
///
/// The first line of CSV names the columns. Types are inferred from whole files; an empty field is
/// absent, "" is the empty string. Times are RFC 3339 or nanoseconds since 1970. A node that serves the store does the import.
#[derive(Args, Debug)]
pub(crate) struct Import {
    /// The store's directory; created when there is none.
    pub(super) store: PathBuf,
    /// The collection, as database.collection; of line protocol database.*, for each measurement is a
    /// collection.
    #[arg(value_name = "DB.COLLECTION")]
    target: String,
    /// Files, or - for stdin.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<String>,
    /// What the files are. [default: line for .lp and .line, also with .gz or .zst, else csv]
    #[arg(long)]
    format: Option<InputFormat>,
    /// The CSV column that names the device.
    #[arg(long, value_name = "NAME", default_value = "device")]
    device_column: String,
    /// The CSV column of times.
    #[arg(long, value_name = "NAME", default_value = "timestamp_ns")]
    time_column: String,
    /// Types of CSV columns, instead of what they look like: f64 f32 i64 u64 bool string bytes.
    #[arg(long, value_name = "F=TYPE,...", value_parser = parse_type_list)]
    types: Option<Types>,
    /// Rows of one device with the same time become one row in which the last value of each field
    /// stays, or are moved apart by nanoseconds.
    #[arg(long, value_name = "RULE", default_value = "last")]
    same_time: SameTime,
    /// Rows per write. Each write is kept whole or not at all.
    #[arg(long, value_name = "ROWS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..))]
    batch: u32,
    /// When a write counts as done: sync (after an fsync), interval:100ms or os.
    #[arg(long, default_value = "sync", value_parser = parse_durability)]
    durability: Durability,
    /// Stop at the first bad line.
    #[arg(long)]
    strict: bool,
    /// Print one JSON object: rows, values, rejected, seconds, bytes_on_disk.
    #[arg(long)]
    json: bool,
}

#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
enum InputFormat {
    Csv,
    Line,
}

/// Declared types. A type of its own, because to clap a map is no value.
#[derive(Clone, Debug)]
struct Types(HashMap<String, FieldType>);

impl Import {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let begun = Instant::now();
        // What the arguments get wrong must not leave an empty store behind.
        let destination = self.destination()?;
        let inputs = self.inputs()?;
        let store = opener.write(&self.store, true)?;
        let mut sink = Sink::new(&store, self.durability);
        let read = self.read(&destination, inputs, &mut sink);
        // What was submitted before a bad line or a damaged file is kept.
        sink.wait_for_all()?;
        sink.progress.turn_to("flushing");
        store.flush()?;
        sink.summarise_bad_lines();
        let counts = sink.counts;
        drop(sink);
        store.close()?;
        read?;
        print(&self.count_text(counts, begun)?)?;
        Ok(outcome(counts))
    }

    /// The same into a store that this process serves, with files named from a folder. Its node flushes when it is time.
    #[cfg(feature = "replication")]
    pub(super) fn run_served(
        mut self,
        store: &Store,
        folder: &std::path::Path,
    ) -> Result<Written, CommandError> {
        let begun = Instant::now();
        if self.files.iter().any(|file| file == "-") {
            return Err(CommandError::Usage(
                "a node serves the store, and it reads files and no stdin: name a file".to_owned(),
            ));
        }
        for file in &mut self.files {
            *file = folder.join(&*file).to_string_lossy().into_owned();
        }
        // What bytes_on_disk is asked of: where the node has the store, and not where the caller saw it.
        self.store = folder.join(&self.store);
        let destination = self.destination()?;
        let inputs = self.inputs()?;
        let mut sink = Sink::new(store, self.durability);
        sink.heard = Some(Vec::new());
        let read = self.read(&destination, inputs, &mut sink);
        sink.wait_for_all()?;
        sink.summarise_bad_lines();
        read?;
        let text = self.count_text(sink.counts, begun)?;
        let said = sink.heard.take().unwrap_or_default();
        Ok(Written { outcome: outcome(sink.counts), text, said })
    }

    fn destination(&self) -> Result<Destination, CommandError> {
        Ok(match self.format()? {
            InputFormat::Csv => Destination::Collection(CollectionName::parse(&self.target)?),
            InputFormat::Line => Destination::Database(
                parse_target(&self.target)
                    .map_err(|error| CommandError::Usage(error.to_string()))?,
            ),
        })
    }

    fn read(
        &self,
        destination: &Destination,
        inputs: Vec<Input>,
        sink: &mut Sink<'_>,
    ) -> Result<(), CommandError> {
        match destination {
            Destination::Collection(collection) => self.read_csv(collection, inputs, sink),
            Destination::Database(database) => self.read_lines(database, &inputs, sink),
        }
    }

    fn format(&self) -> Result<InputFormat, CommandError> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let lines = self.files.iter().filter(|file| is_line_protocol(file)).count();
        match lines {
            0 => Ok(InputFormat::Csv),
            all if all == self.files.len() => Ok(InputFormat::Line),
            _ => Err(CommandError::Usage(
                "some files look like line protocol, others do not: import them one format at a time, or say --format"
                    .to_owned(),
            )),
        }
    }

    fn inputs(&self) -> Result<Vec<Input>, CommandError> {
        if self.files.iter().filter(|file| *file == "-").count() > 1 {
            return Err(CommandError::Usage("stdin can be read once: write - once".to_owned()));
        }
        let inputs: Vec<Input> = self.files.iter().map(|file| Input::new(file)).collect();
        inputs.iter().try_for_each(Input::check)?;
        Ok(inputs)
    }

    fn read_csv(
        &self,
        collection: &CollectionName,
        inputs: Vec<Input>,
        sink: &mut Sink<'_>,
    ) -> Result<(), CommandError> {
        let known = schema(sink.store, collection)?.unwrap_or_default();
        let options = CsvOptions {
            device_column: self.device_column.clone(),
            time_column: self.time_column.clone(),
            types: self.types.as_ref().map_or_else(HashMap::new, |types| types.0.clone()),
            known_types: known.iter().map(|field| (field.name.clone(), field.kind)).collect(),
            same_time: self.same_time,
            batch_rows: self.batch as usize,
            strict: self.strict,
        };
        sink.progress.turn_to("scanning");
        let mut plan = CsvPlan::scan(collection.clone(), inputs, options, &mut |done, all| {
            sink.progress.set(done, all);
        })?;
        for (name, kind) in plan.fields() {
            if let Some(field) = known.iter().find(|f| f.name == name.as_str() && f.kind != kind) {
                return Err(CommandError::Usage(format!(
                    "field {:?} of {collection} is {}, not {kind}: leave it out of --types, or rename the column",
                    field.name, field.kind
                )));
            }
        }
        sink.progress.turn_to("importing");
        let all = plan.inputs().iter().filter_map(Input::bytes).sum();
        let mut done = 0;
        for input in 0..plan.inputs().len() {
            let mut reader = plan.read(input)?;
            sink.take(&mut reader, done, all)?;
            done += reader.bytes_read();
        }
        Ok(())
    }

    fn read_lines(
        &self,
        database: &tidelog::Name,
        inputs: &[Input],
        sink: &mut Sink<'_>,
    ) -> Result<(), CommandError> {
        let mut known_types = HashMap::new();
        for stats in sink.store.collections()? {
            if stats.name.database() == database {
                let fields = schema(sink.store, &stats.name)?.unwrap_or_default();
                let types = fields.into_iter().map(|field| (field.name.into(), field.kind));
                known_types.insert(stats.name.collection().as_str().into(), types.collect());
            }
        }
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let options = LineOptions {
            database: database.clone(),
            known_types,
            now: i64::try_from(now.as_nanos()).unwrap_or(i64::MAX),
            same_time: self.same_time,
            batch_rows: self.batch as usize,
            strict: self.strict,
        };
        sink.progress.turn_to("importing");
        let all = inputs.iter().filter_map(Input::bytes).sum();
        let mut done = 0;
        let mut reader: Option<LineReader> = None;
        for input in inputs {
            let reader = match &mut reader {
                Some(reader) => {
                    reader.open_next(input)?;
                    reader
                }
                none => none.insert(LineReader::open(input, options.clone())?),
            };
            sink.take(reader, done, all)?;
            done += reader.bytes_read();
        }
        Ok(())
    }

    fn count_text(&self, counts: Counts, begun: Instant) -> Result<String, CommandError> {
        let bytes = bytes_on_disk(&self.store)
            .map_err(|source| CommandError::File { path: self.store.clone(), source })?;
        let seconds = begun.elapsed().as_secs_f64();
        if self.json {
            let counts = serde_json::json!({
                "rows": counts.rows,
                "values": counts.values,
                "rejected": counts.rejected,
                "seconds": seconds,
                "bytes_on_disk": bytes,
            });
            return Ok(format!("{counts}\n"));
        }
        Ok(format!(
            "{} rows, {} values, {} rejected, {seconds:.2} s, {} bytes on disk\n",
            grouped(counts.rows),
            grouped(counts.values),
            grouped(counts.rejected),
            grouped(bytes)
        ))
    }
}

fn outcome(counts: Counts) -> Outcome {
    if counts.rejected == 0 { Outcome::Done } else { Outcome::Found }
}

/// Where rows go.
enum Destination {
    Collection(CollectionName),
    Database(tidelog::Name),
}

/// Rows on their way into the store.
struct Sink<'s> {
    store: &'s Store,
    durability: Durability,
    in_flight: VecDeque<Ticket>,
    counts: Counts,
    /// Bad lines that were shown.
    shown: u64,
    /// What is said, kept for whoever handed the command over.
    heard: Option<Vec<String>>,
    progress: Progress,
}

impl<'s> Sink<'s> {
    fn new(store: &'s Store, durability: Durability) -> Self {
        Sink {
            store,
            durability,
            in_flight: VecDeque::new(),
            counts: Counts::default(),
            shown: 0,
            heard: None,
            progress: Progress::new("reading"),
        }
    }

    /// Reads a text to its end. `done` of `all` bytes were read before it.
    fn take(
        &mut self,
        reader: &mut dyn BatchReader,
        done: u64,
        all: u64,
    ) -> Result<(), CommandError> {
        let before = reader.counts();
        let result = self.take_all(reader, done, all);
        // Readers of line protocol count on from one text to the next.
        let after = reader.counts();
        self.counts += Counts {
            rows: after.rows - before.rows,
            values: after.values - before.values,
            rejected: after.rejected - before.rejected,
        };
        result
    }

    fn take_all(
        &mut self,
        reader: &mut dyn BatchReader,
        done: u64,
        all: u64,
    ) -> Result<(), CommandError> {
        loop {
            let is_more = reader.read(&mut |line| {
                self.shown += 1;
                if self.shown <= BAD_LINES_SHOWN {
                    say(&mut self.heard, &self.progress, line.to_string());
                }
            })?;
            if !is_more {
                return Ok(());
            }
            for batch in reader.batches().iter().filter(|batch| !batch.is_empty()) {
                if self.in_flight.len() == IN_FLIGHT_MAX
                    && let Some(ticket) = self.in_flight.pop_front()
                {
                    ticket.wait()?;
                }
                self.in_flight.push_back(self.store.submit(batch, self.durability)?);
            }
            self.progress.set(done + reader.bytes_read(), all);
        }
    }

    fn wait_for_all(&mut self) -> Result<(), CommandError> {
        while let Some(ticket) = self.in_flight.pop_front() {
            ticket.wait()?;
        }
        Ok(())
    }

    fn summarise_bad_lines(&mut self) {
        if self.shown > BAD_LINES_SHOWN {
            let more = self.shown - BAD_LINES_SHOWN;
            let text = format!("… and {}", super::counted(more, "more bad line"));
            say(&mut self.heard, &self.progress, text);
        }
    }
}

fn say(heard: &mut Option<Vec<String>>, progress: &Progress, text: String) {
    match heard {
        Some(heard) => heard.push(text),
        None => progress.say(&text),
    }
}

fn is_line_protocol(file: &str) -> bool {
    let name = file.strip_suffix(".gz").or_else(|| file.strip_suffix(".zst")).unwrap_or(file);
    name.ends_with(".lp") || name.ends_with(".line")
}

fn parse_type_list(text: &str) -> Result<Types, TypesError> {
    parse_types(text).map(Types)
}

fn parse_durability(text: &str) -> Result<Durability, String> {
    match text {
        "sync" => Ok(Durability::Sync),
        "os" => Ok(Durability::Os),
        _ => text
            .strip_prefix("interval:")
            .and_then(|interval| parse_duration(interval).ok())
            .map(Durability::Interval)
            .ok_or_else(|| format!("{text:?} is no durability: write sync, interval:100ms or os")),
    }
}

/// Writes that wait for their fsync. Enough that one fsync covers many, few enough to bound memory.
const IN_FLIGHT_MAX: usize = 64;
const BAD_LINES_SHOWN: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn files_of_line_protocol_are_known_by_their_names() {
        for name in ["a.lp", "a.line", "x/a.lp.gz", "a.line.zst"] {
            assert!(is_line_protocol(name), "{name}");
        }
        for name in ["a.csv", "a.lp.csv", "lp", "-"] {
            assert!(!is_line_protocol(name), "{name}");
        }
    }

    #[test]
    fn durabilities_have_names() {
        let interval = Durability::Interval(Duration::from_millis(100));
        assert_eq!(parse_durability("interval:100ms"), Ok(interval));
        assert_eq!(parse_durability("os"), Ok(Durability::Os));
        assert!(parse_durability("interval:").is_err());
        assert!(parse_durability("fsync").is_err());
    }
}
