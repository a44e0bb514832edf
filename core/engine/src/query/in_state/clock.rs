//! How long a state held, cut into windows. Pure.

use super::super::plan::QueryError;
use super::super::window::Windows;
use tidelog_model::TimeRange;

/// Adds up the time of one state of one device, from its values in order of time.
pub(super) struct Clock<'a> {
    windows: &'a Windows,
    since: Option<Since>,
    held: Vec<Held>,
}

/// Values in a row that are all the state, or all another.
#[derive(Clone, Copy)]
struct Since {
    first: i64,
    last: i64,
    holds: bool,
}

/// A window in which it is known at some time whether the state held.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Held {
    pub(super) window: TimeRange,
    /// The first time in it at which that is known.
    pub(super) first: i64,
    pub(super) nanoseconds: i128,
}

/// A state can hold over years of short windows: more than these would fill the memory.
const WINDOWS_MAX: usize = 1_000_000;

impl<'a> Clock<'a> {
    pub(super) fn new(windows: &'a Windows) -> Self {
        Clock { windows, since: None, held: Vec::new() }
    }

    /// Adds values from the time of the first to that of the last, all the state or all another. Values that were
    /// added before may come again.
    pub(super) fn run(&mut self, first: i64, last: i64, holds: bool) -> Result<(), QueryError> {
        match &mut self.since {
            Some(since) if since.holds == holds => since.last = since.last.max(last),
            since => {
                if let Some(before) = since.replace(Since { first, last, holds }) {
                    self.cut(before.first, first, before.holds)?;
                }
            }
        }
        Ok(())
    }

    /// The windows in order. The last value holds to the end of the range, or where that is open, to its own time.
    pub(super) fn finish(mut self, end: Option<i64>) -> Result<Vec<Held>, QueryError> {
        if let Some(Since { first, last, holds }) = self.since.take() {
            self.cut(first, end.unwrap_or(last), holds)?;
            if end.is_none() {
                // Its window knows of it, even one that begins at that very time.
                self.add(self.windows.at(last), last, 0)?;
            }
        }
        Ok(self.held)
    }

    /// Divides the time from `from` to before `to` among its windows.
    fn cut(&mut self, from: i64, to: i64, holds: bool) -> Result<(), QueryError> {
        let mut next = (from < to).then(|| self.windows.at(from));
        while let Some(window) = next.filter(|window| window.first() < to) {
            let start = window.first().max(from);
            let end = (i128::from(window.last()) + 1).min(i128::from(to));
            self.add(window, start, if holds { end - i128::from(start) } else { 0 })?;
            next = self.windows.after(window);
        }
        Ok(())
    }

    fn add(&mut self, window: TimeRange, first: i64, nanoseconds: i128) -> Result<(), QueryError> {
        match self.held.last_mut() {
            Some(last) if last.window == window => last.nanoseconds += nanoseconds,
            _ => self.held.push(Held { window, first, nanoseconds }),
        }
        if self.held.len() > WINDOWS_MAX {
            return Err(QueryError::TooManyWindows { max: WINDOWS_MAX as u64 });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::spec::Every;
    use super::*;
    use std::time::Duration;

    fn tens() -> Windows {
        Windows::new(Some(&Every::Duration(Duration::from_nanos(10))), TimeRange::ALL).unwrap()
    }

    fn held(runs: &[(i64, i64, bool)], end: Option<i64>) -> Vec<(i64, i64, i128)> {
        let windows = tens();
        let mut clock = Clock::new(&windows);
        runs.iter().for_each(|(first, last, holds)| clock.run(*first, *last, *holds).unwrap());
        let held = clock.finish(end).unwrap();
        held.iter().map(|held| (held.window.first(), held.first, held.nanoseconds)).collect()
    }

    #[test]
    fn a_value_holds_until_the_next_and_is_cut_where_windows_begin() {
        let runs = [(3, 3, false), (7, 7, true), (28, 28, false), (29, 29, true)];
        assert_eq!(
            held(&runs, Some(45)),
            [(0, 3, 3), (10, 10, 10), (20, 20, 9), (30, 30, 10), (40, 40, 5)]
        );
        assert_eq!(held(&runs, None), [(0, 3, 3), (10, 10, 10), (20, 20, 8)]);
        assert_eq!(held(&[(20, 20, true)], None), [(20, 20, 0)]);
        assert_eq!(held(&[], Some(45)), []);
    }

    #[test]
    fn values_at_the_borders_of_windows_are_known_there_and_not_before() {
        assert_eq!(held(&[(0, 10, true)], None), [(0, 0, 10), (10, 10, 0)]);
        assert_eq!(held(&[(0, 0, true), (10, 10, false)], Some(11)), [(0, 0, 10), (10, 10, 0)]);
        assert_eq!(held(&[(0, 0, true)], Some(10)), [(0, 0, 10)]);
        // A run that comes again, as rows under a node do, changes nothing.
        assert_eq!(held(&[(0, 8, true), (4, 4, true)], None), [(0, 0, 8)]);
    }

    #[test]
    fn more_windows_than_fit_are_refused_and_not_made() {
        let windows = tens();
        let mut clock = Clock::new(&windows);
        clock.run(0, 0, true).unwrap();
        let error = clock.finish(Some(i64::MAX)).unwrap_err();
        assert!(matches!(error, QueryError::TooManyWindows { max: 1_000_000 }), "{error}");
    }
}
