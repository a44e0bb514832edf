//! What a policy may use, and the meter that holds it to its memory.

use std::time::Duration;
use wasmtime::{Error, ResourceLimiter};

/// The largest answer of a policy, and the largest text of one call of its log, in bytes. A plan for
/// [`WINDOWS_MAX`](tidelog_model::policy::WINDOWS_MAX) windows has 32,000.
pub const ANSWER_BYTES_MAX: usize = 256 << 10;

/// Memory comes in pages of so many bytes.
pub(crate) const PAGE: usize = 64 << 10;

/// Tables hold functions: so many entries in all.
pub(crate) const TABLE_ENTRIES_MAX: usize = 10_000;

/// What a policy may use for a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of memory, a multiple of 64 KiB: what the component is born with counts.
    pub memory_bytes: usize,
    /// From the start of its instance until its answer.
    pub deadline: Duration,
}

impl Default for Limits {
    /// 4 MiB and 50 ms.
    fn default() -> Self {
        Limits { memory_bytes: 4 << 20, deadline: Duration::from_millis(50) }
    }
}

/// Counts the memory of one instance. What goes over the limit ends the call: a policy that is told that it gets no more
/// could go on with an address that it does not have.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_left: usize,
    entries_left: usize,
    /// What it wanted and did not get.
    pub(crate) refused: Option<&'static str>,
}

impl Meter {
    pub(crate) fn new(limits: Limits) -> Self {
        Meter { memory_left: limits.memory_bytes, entries_left: TABLE_ENTRIES_MAX, refused: None }
    }

    fn take(&mut self, wanted: usize, what: &'static str) -> Result<bool, Error> {
        let left = match what {
            MEMORY => &mut self.memory_left,
            _ => &mut self.entries_left,
        };
        match left.checked_sub(wanted) {
            Some(rest) => {
                *left = rest;
                Ok(true)
            }
            None => {
                self.refused = Some(what);
                Err(Error::msg(what))
            }
        }
    }
}

const MEMORY: &str = "it wanted more memory than its limit";
const ENTRIES: &str = "it wanted larger tables than policies may have";

impl ResourceLimiter for Meter {
    // Growth of all memories counts together, so that many small ones do not get around the limit.
    fn memory_growing(
        &mut self,
        now: usize,
        wanted: usize,
        _: Option<usize>,
    ) -> Result<bool, Error> {
        self.take(wanted.saturating_sub(now), MEMORY)
    }

    fn table_growing(
        &mut self,
        now: usize,
        wanted: usize,
        _: Option<usize>,
    ) -> Result<bool, Error> {
        self.take(wanted.saturating_sub(now), ENTRIES)
    }

    fn instances(&self) -> usize {
        16
    }

    fn memories(&self) -> usize {
        4
    }

    fn tables(&self) -> usize {
        16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_counted_to_the_byte_and_over_all_memories() {
        let limits = Limits { memory_bytes: 3 * PAGE, ..Limits::default() };
        let mut meter = Meter::new(limits);
        assert!(meter.memory_growing(0, PAGE, None).unwrap());
        assert!(meter.memory_growing(0, PAGE, None).unwrap(), "a second memory");
        assert!(meter.memory_growing(PAGE, 2 * PAGE, None).unwrap());
        assert_eq!(meter.refused, None);
        assert!(meter.memory_growing(PAGE, PAGE + 1, None).is_err());
        assert_eq!(meter.refused, Some(MEMORY));
        assert!(meter.table_growing(0, TABLE_ENTRIES_MAX, None).unwrap());
        assert!(meter.table_growing(0, 1, None).is_err());
    }
}
