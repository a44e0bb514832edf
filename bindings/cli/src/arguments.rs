//! What several commands take: the store, devices, ranges of time.

use crate::commands::Command;
use crate::error::{CommandError, EXIT_CODES, say};
use crate::time::parse_time;
use clap::{Args, Parser, ValueEnum};
use std::path::{Path, PathBuf};
use tidelog::{
    AnswerField, CollectionName, Device, DeviceSelector, Options, Query, QueryError, Store,
    TimeRange, Timestamp,
};
use tracing::level_filters::LevelFilter;

/// Keeps time series in a directory through any crash, and answers from them.
#[derive(Parser, Debug)]
#[command(name = "tidelog", version, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    /// What the engine tells about its work, on stderr.
    #[arg(long, global = true, value_name = "LEVEL", default_value = "warn")]
    pub(crate) log: LogLevel,
    /// Memory for rows that are not in files yet, as 64MiB. [default: 128MiB]
    #[arg(long, global = true, value_name = "SIZE", value_parser = parse_size)]
    pub(crate) memory: Option<usize>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Levels of the engine's own messages.
#[derive(ValueEnum, Clone, Copy, Debug)]
pub(crate) enum LogLevel {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub(crate) fn filter(self) -> LevelFilter {
        match self {
            LogLevel::Off => LevelFilter::OFF,
            LogLevel::Error => LevelFilter::ERROR,
            LogLevel::Warn => LevelFilter::WARN,
            LogLevel::Info => LevelFilter::INFO,
            LogLevel::Debug => LevelFilter::DEBUG,
            LogLevel::Trace => LevelFilter::TRACE,
        }
    }
}

/// How stores are opened.
#[derive(Clone, Debug)]
pub(crate) struct Opener {
    options: Options,
}

impl Opener {
    pub(crate) fn new(memory: Option<usize>) -> Self {
        let options = Options::new();
        let options = match memory {
            Some(bytes) => options.memory_budget(bytes),
            None => options,
        };
        Opener { options }
    }

    /// For writing; `create` makes one where there is none.
    pub(crate) fn write(&self, path: &Path, create: bool) -> Result<Store, CommandError> {
        Self::open(self.options.clone().create(create), path).inspect(|store| warn(store, path))
    }

    /// For reading, beside a writer if there is one.
    pub(crate) fn read(&self, path: &Path) -> Result<Store, CommandError> {
        self.read_quietly(path).inspect(|store| warn(store, path))
    }

    /// [`Self::read`] by a command that tells of damage itself.
    pub(crate) fn read_quietly(&self, path: &Path) -> Result<Store, CommandError> {
        Self::open(self.options.clone().read_only(true), path)
    }

    fn open(options: Options, path: &Path) -> Result<Store, CommandError> {
        Ok(options.open(path)?)
    }
}

/// Tells of damage that was met when the store was opened.
fn warn(store: &Store, path: &Path) {
    for (file, what) in &store.open_report().damage {
        let path = path.display();
        say(&format!("warning: {file} is damaged ({what}): run `tidelog verify {path}`"));
    }
}

/// A store and one of its collections.
#[derive(Args, Debug)]
pub(crate) struct Target {
    /// The store's directory.
    pub(crate) store: PathBuf,
    /// The collection, as database.collection.
    #[arg(value_name = "DB.COLLECTION", value_parser = parse_collection)]
    pub(crate) collection: CollectionName,
}

/// Which devices are meant; conditions of different kinds must all hold.
#[derive(Args, Debug)]
pub(crate) struct Devices {
    /// This device, as `name` or `name,label=value`. Several are joined.
    #[arg(long = "device", value_name = "D", value_parser = parse_device)]
    devices: Vec<Device>,
    /// Devices whose name begins so.
    #[arg(long = "device-prefix", value_name = "P")]
    prefix: Option<String>,
    /// Devices with this label. Several must all hold.
    #[arg(long = "label", value_name = "K=V", value_parser = parse_label)]
    labels: Vec<(String, String)>,
}

impl Devices {
    pub(crate) fn selector(&self) -> DeviceSelector {
        DeviceSelector {
            devices: (!self.devices.is_empty()).then(|| self.devices.clone()),
            prefix: self.prefix.clone(),
            labels: self.labels.clone(),
        }
    }
}

/// A half-open range of time.
#[derive(Args, Debug)]
pub(crate) struct Range {
    /// From this time on, it included: RFC 3339 or nanoseconds since 1970.
    #[arg(long, value_name = "T", value_parser = parse_timestamp, allow_hyphen_values = true)]
    pub(crate) from: Option<Timestamp>,
    /// Up to this time, it excluded.
    #[arg(long, value_name = "T", value_parser = parse_timestamp, allow_hyphen_values = true)]
    pub(crate) to: Option<Timestamp>,
}

impl Range {
    pub(crate) fn is_open(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }

    /// As a range that holds something.
    pub(crate) fn time_range(&self) -> Result<TimeRange, CommandError> {
        TimeRange::new(self.from, self.to).ok_or_else(|| {
            CommandError::Usage("--from must be before --to: this range holds no time".to_owned())
        })
    }
}

/// The fields of a collection as queries see them; `None` when there is no such collection.
pub(crate) fn schema(
    store: &Store,
    collection: &CollectionName,
) -> Result<Option<Vec<AnswerField>>, QueryError> {
    match store.query(collection, Query::new().limit(0)) {
        Ok(answer) => Ok(Some(answer.fields().to_vec())),
        Err(QueryError::NoCollection { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn parse_collection(text: &str) -> Result<CollectionName, tidelog::NameError> {
    CollectionName::parse(text)
}

pub(crate) fn parse_device(text: &str) -> Result<Device, tidelog::NameError> {
    Device::parse(text)
}

fn parse_label(text: &str) -> Result<(String, String), String> {
    let refuse = || format!("{text:?} is no label: write key=value");
    let (key, value) = text.split_once('=').ok_or_else(refuse)?;
    if key.is_empty() || value.is_empty() {
        return Err(refuse());
    }
    Ok((key.to_owned(), value.to_owned()))
}

fn parse_timestamp(text: &str) -> Result<Timestamp, crate::time::TimeError> {
    parse_time(text).map(Timestamp)
}

/// Reads `64MiB`, `64M` (both binary), `64MB` (decimal) or bytes.
fn parse_size(text: &str) -> Result<usize, String> {
    let refuse = || format!("{text:?} is no size: write a whole number and KiB, MiB or GiB");
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let unit = match unit {
        "" | "B" => 1,
        "K" | "KiB" => 1 << 10,
        "M" | "MiB" => 1 << 20,
        "G" | "GiB" => 1 << 30,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        _ => return Err(refuse()),
    };
    let count: usize = count.parse().map_err(|_| refuse())?;
    count.checked_mul(unit).filter(|bytes| *bytes > 0).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("64MiB"), Ok(64 << 20));
        assert_eq!(parse_size("64M"), Ok(64 << 20));
        assert_eq!(parse_size("2MB"), Ok(2_000_000));
        assert_eq!(parse_size("17"), Ok(17));
        for text in ["", "MiB", "1 MiB", "-1", "1.5GiB", "0", "99999999999G"] {
            assert!(parse_size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn labels_are_pairs() {
        assert_eq!(parse_label("k=a=b"), Ok(("k".into(), "a=b".into())));
        assert!(parse_label("k").is_err() && parse_label("=v").is_err());
    }
}
