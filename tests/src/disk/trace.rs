//! The calls a simulated disk has seen, for printing when a test fails.

use super::fault::{Call, Fault};
use std::collections::VecDeque;
use std::fmt;

/// Older calls are forgotten, so that a long run does not fill the memory.
const KEPT: usize = 4096;

/// One call.
#[derive(Clone, Debug)]
pub struct Traced {
    /// Its number among all calls of the disk, from 1.
    pub number: u64,
    /// Its kind.
    pub call: Call,
    /// The file or directory.
    pub path: String,
    /// What is to be known besides: the new name, or offset and length.
    pub detail: Detail,
    /// The fault that met it.
    pub fault: Option<Fault>,
    /// The error it returned.
    pub error: Option<String>,
}

/// What is to be known of a call besides its path.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Detail {
    /// Nothing.
    None,
    /// The new name of a rename.
    To(String),
    /// Offset and length of a write or read.
    Span(u64, usize),
    /// A new length.
    Len(u64),
}

impl fmt::Display for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{} {:?} {}", self.number, self.call, self.path)?;
        match &self.detail {
            Detail::None => {}
            Detail::To(to) => write!(f, " -> {to}")?,
            Detail::Span(offset, len) => write!(f, " {offset}+{len}")?,
            Detail::Len(len) => write!(f, " to {len}")?,
        }
        if let Some(fault) = self.fault {
            write!(f, " [{fault:?}]")?;
        }
        self.error.iter().try_for_each(|error| write!(f, " = {error}"))
    }
}

/// The latest calls, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Trace(VecDeque<Traced>);

impl Trace {
    pub(super) fn push(&mut self, traced: Traced) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(traced);
    }

    /// The calls, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Traced> + '_ {
        self.0.iter()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|traced| writeln!(f, "{traced}"))
    }
}
