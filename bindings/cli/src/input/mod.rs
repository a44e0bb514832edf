//! Reading what `tidelog import` is given: files and stdin, compressed or not, as batches of rows.
//!
//! [`Input`] names a source and opens it; [`CsvPlan`] and [`LineReader`] turn its text into
//! [`Batch`]es; both are read through [`BatchReader`]. A line that cannot be stored is a
//! [`BadLine`]: reported, counted, and left out, while the rest goes in.

mod cell;
mod csv;
mod devices;
mod infer;
mod line;
mod nudge;
mod record;
mod source;

pub(crate) use csv::{CsvOptions, CsvPlan, TypesError, parse_types};
pub(crate) use line::{LineOptions, LineReader, parse_target};
pub(crate) use nudge::SameTime;
pub(crate) use source::Input;

use std::io;
use std::sync::Arc;
use tidelog::model::{Batch, BatchError};

/// Rows out of a text, some at a time.
pub(crate) trait BatchReader {
    /// Replaces [`Self::batches`] by the next rows; `false` when there are none left. `report` is
    /// called for each bad line met on the way.
    ///
    /// # Errors
    /// When the input cannot be read, and at the first bad line when the reader is strict.
    fn read(&mut self, report: &mut dyn FnMut(&BadLine)) -> Result<bool, InputError>;

    /// What the last [`Self::read`] brought, in at most one batch per collection. Batches may be
    /// empty: skip those.
    fn batches(&self) -> &[Batch];

    /// What was read so far.
    fn counts(&self) -> Counts;

    /// Bytes of the input consumed so far, compressed where the input is: to be compared with
    /// [`Input::bytes`].
    fn bytes_read(&self) -> u64;
}

/// What a reader met.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counts {
    /// Rows handed out.
    pub(crate) rows: u64,
    /// Values in these rows, absent ones not counted.
    pub(crate) values: u64,
    /// Lines left out because they were bad.
    pub(crate) rejected: u64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Counts) {
        self.rows += other.rows;
        self.values += other.values;
        self.rejected += other.rejected;
    }
}

/// A line that cannot be stored. Its text says where, what and what to do.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{input}:{line}: {why}")]
pub(crate) struct BadLine {
    /// The file's name, or `stdin`.
    pub(crate) input: Arc<str>,
    /// The line's number, from 1.
    pub(crate) line: u64,
    /// What is wrong with it.
    pub(crate) why: String,
}

/// Why reading stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum InputError {
    /// The file cannot be opened.
    #[error("cannot open {name}: check the path and its permissions")]
    Open {
        /// The file.
        name: Arc<str>,
        #[source]
        source: io::Error,
    },
    /// The file cannot be read on.
    #[error("cannot read {name}: check the disk, and whether the file is whole and not damaged")]
    Read {
        /// The file.
        name: Arc<str>,
        #[source]
        source: io::Error,
    },
    /// Input that can be read once only could not be kept for a second reading.
    #[error("cannot keep {name} in a temporary file: free space in {directory} or set TMPDIR")]
    Spool {
        /// The input.
        name: Arc<str>,
        /// Where temporary files go.
        directory: String,
        #[source]
        source: io::Error,
    },
    /// The first line does not name the columns as it should.
    #[error("{name}:{line}: {why}")]
    Header {
        /// The file.
        name: Arc<str>,
        /// The header's line.
        line: u64,
        /// What is wrong with it.
        why: String,
    },
    /// A declared type is for a column that no file has.
    #[error("--types names {field:?}, but no file has that column: the columns are {columns}")]
    NoSuchColumn {
        /// The field.
        field: String,
        /// What there is.
        columns: String,
    },
    /// A bad line, and the reader is strict.
    #[error("{0} (--strict stops here; without it this line is left out)")]
    Strict(BadLine),
    /// A batch refused what was checked before.
    #[error("{name}:{line}: the row cannot be stored")]
    Batch {
        /// The file.
        name: Arc<str>,
        /// The line.
        line: u64,
        #[source]
        source: BatchError,
    },
}
