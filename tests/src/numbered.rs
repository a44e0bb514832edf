//! Numbered batches: what the worker process writes, and how to see afterwards what became of each.
//!
//! Batch `n` has a row for some devices at the times `n * 1000 ..`, and its values follow from `n`
//! alone. So whoever opens the store later can tell a whole batch from a part of one without having
//! been there, and the worker's lines (`ack 17`) say which must be there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use tidelog_engine::{
    Batch, CollectionName, Delete, Query, QueryError, Store, TimeRange, Timestamp, Value,
};

/// Times of one batch lie this close together.
const SPAN: i64 = 1000;
const COLLECTION: &str = "crash.numbered";

/// The collection of all batches.
///
/// # Panics
/// Never: the name is one.
#[must_use]
pub fn collection() -> CollectionName {
    CollectionName::parse(COLLECTION).expect("a name")
}

/// Rows of a batch: device, time, fields with their values.
type Rows = BTreeMap<(String, i64), BTreeMap<String, Value>>;

/// The rows of batch `n`: one to six devices, one or two rows each, now and then a field left out
/// and a string that makes the batch large.
#[must_use]
pub fn rows(n: u64) -> Rows {
    let mut rows = Rows::new();
    for k in 0..=n % 6 {
        for step in 0..=(n + k) % 2 {
            let time = n as i64 * SPAN + (2 * k + step) as i64;
            let mut cells = BTreeMap::from([
                ("n".to_owned(), Value::U64(n)),
                ("level".to_owned(), Value::F64((n * 10 + k) as f64 / 10.0)),
            ]);
            if !(n + k).is_multiple_of(3) {
                let len = if n.is_multiple_of(17) { 5000 } else { n % 40 };
                let text = char::from(b'a' + (n % 26) as u8).to_string().repeat(len as usize);
                cells.insert("text".to_owned(), Value::String(text));
            }
            rows.insert((format!("device_{}", (n + k) % 9), time), cells);
        }
    }
    rows
}

/// Batch `n`, to be written.
///
/// # Panics
/// Never: all of it is legal.
#[must_use]
pub fn batch(n: u64) -> Batch {
    let mut batch = Batch::new(COLLECTION).expect("a name");
    for ((device, time), cells) in rows(n) {
        let values = cells.iter().map(|(name, value)| (name.as_str(), value.as_ref()));
        batch.push(&device, time, values).expect("a legal row");
    }
    batch
}

/// The delete that hides batch `n` and nothing else.
///
/// # Panics
/// Never: the range is one.
#[must_use]
pub fn delete(n: u64) -> Delete {
    let from = n as i64 * SPAN;
    let range = TimeRange::new(Some(Timestamp(from)), Some(Timestamp(from + SPAN)));
    Delete::collection(&collection()).range(range.expect("not empty"))
}

/// What a worker has said, from its lines.
#[derive(Clone, Debug, Default)]
pub struct Said {
    /// Batches whose write was begun: they may be there.
    pub begun: BTreeSet<u64>,
    /// Batches that were acknowledged: they must be there.
    pub acknowledged: BTreeSet<u64>,
    /// Batches that were refused without leaving anything: they must not be there.
    pub refused: BTreeSet<u64>,
    /// Batches whose delete was begun: they may be gone.
    pub deleting: BTreeSet<u64>,
    /// Batches whose delete was acknowledged: they must be gone.
    pub deleted: BTreeSet<u64>,
    /// Other lines, such as errors and the worker's own findings.
    pub others: Vec<String>,
}

impl Said {
    /// Reads lines, the last of which may be cut.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let mut said = Said::default();
        said.hear(text);
        said
    }

    /// Goes on listening.
    pub fn hear(&mut self, text: &str) {
        // A line without its end may be half a number.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        for line in whole.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let (verb, n) = (words.next(), words.next().and_then(|n| n.parse::<u64>().ok()));
            let set = match (verb, n) {
                (Some("begin"), Some(_)) => &mut self.begun,
                (Some("ack"), Some(_)) => &mut self.acknowledged,
                (Some("refused"), Some(_)) => &mut self.refused,
                (Some("deleting"), Some(_)) => &mut self.deleting,
                (Some("deleted"), Some(_)) => &mut self.deleted,
                _ => {
                    self.others.push(line.to_owned());
                    continue;
                }
            };
            set.extend(n);
        }
    }

    /// The first number that was not begun.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.begun.last().map_or(0, |last| last + 1)
    }

    /// Compares a store with what was said: every acknowledged batch is there with its values, every
    /// other one is there whole or not at all, and nothing else is.
    ///
    /// # Errors
    /// The first thing that is not so.
    pub fn compare(&self, store: &Store) -> Result<Compared, Wrong> {
        let found = found(store)?;
        let mut compared = Compared::default();
        for (n, rows) in &found {
            if !self.begun.contains(n) {
                return Err(Wrong(format!("batch {n} is there and was never written")));
            }
            if *rows != self::rows(*n) {
                return Err(Wrong(format!("of batch {n} there is {rows:?}")));
            }
            if self.refused.contains(n) {
                return Err(Wrong(format!("batch {n} was refused and is there")));
            }
            if self.deleted.contains(n) {
                return Err(Wrong(format!("batch {n} was deleted and is there")));
            }
            compared.whole += 1;
            compared.unacknowledged += u64::from(!self.acknowledged.contains(n));
        }
        for n in self.acknowledged.iter().filter(|n| !self.deleting.contains(n)) {
            if !found.contains_key(n) {
                return Err(Wrong(format!("batch {n} was acknowledged and is lost")));
            }
        }
        compared.acknowledged = self.acknowledged.len() as u64;
        Ok(compared)
    }
}

/// What there is of each batch.
///
/// # Errors
/// When the store does not answer.
pub fn found(store: &Store) -> Result<BTreeMap<u64, Rows>, Wrong> {
    let mut found: BTreeMap<u64, Rows> = BTreeMap::new();
    let answer = match store.query(&collection(), Query::new()) {
        // Not a row was ever written.
        Err(QueryError::NoCollection { .. }) => return Ok(found),
        other => other?,
    };
    let fields: Vec<String> = answer.fields().iter().map(|field| field.name.clone()).collect();
    for batch in answer {
        let batch = batch?;
        for row in 0..batch.rows() {
            let device = batch.device(row).map(ToString::to_string).unwrap_or_default();
            let cells = fields
                .iter()
                .zip(&batch.columns)
                .filter_map(|(name, column)| Some((name.clone(), column.at(row)?.to_owned())));
            let n = u64::try_from(batch.times[row] / SPAN).unwrap_or(u64::MAX);
            let rows = found.entry(n).or_default();
            if rows.insert((device.clone(), batch.times[row]), cells.collect()).is_some() {
                return Err(Wrong(format!("{device} has {} twice", batch.times[row])));
            }
        }
    }
    Ok(found)
}

/// Figures of a comparison that held.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Compared {
    /// Batches that were acknowledged.
    pub acknowledged: u64,
    /// Batches that are there.
    pub whole: u64,
    /// Of those, the ones that were not acknowledged.
    pub unacknowledged: u64,
}

/// A promise that was broken.
#[derive(Clone, PartialEq, Eq)]
pub struct Wrong(String);

impl fmt::Debug for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<QueryError> for Wrong {
    fn from(error: QueryError) -> Self {
        Wrong(format!("the store does not answer: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_line_is_not_heard() {
        let said = Said::read("begin 1\nack 1\nbegin 12");
        assert_eq!((said.next(), said.acknowledged.len()), (2, 1));
    }

    #[test]
    fn a_comparison_notices_what_is_lost_and_what_is_foreign() {
        let disk = std::sync::Arc::new(crate::disk::SimDisk::new());
        let options = tidelog_engine::Options::new().upkeep(tidelog_engine::Upkeep::Caller);
        let store = options.open_on(disk).unwrap();
        for n in 0..20 {
            store.write(&batch(n), tidelog_engine::Durability::Os).unwrap();
        }
        store.delete(&delete(3)).unwrap();
        let mut said = Said { begun: (0..20).collect(), ..Said::default() };
        said.acknowledged.extend((0..20).filter(|n| *n != 7));
        said.deleting.insert(3);
        said.deleted.insert(3);
        let compared = said.compare(&store).unwrap();
        assert_eq!((compared.whole, compared.unacknowledged), (19, 1));
        for (set, n) in [(0, 5), (1, 21), (2, 3)] {
            let mut said = said.clone();
            match set {
                0 => said.begun.remove(&n),
                1 => said.acknowledged.insert(n),
                _ => said.deleting.remove(&n),
            };
            said.compare(&store).unwrap_err();
        }
    }
}
