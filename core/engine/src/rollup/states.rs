//! Rollups of what has no arithmetic: bool, string and bytes.

use tidelog_model::{Value, ValueRef};

/// What is known of some values, in the order of their times.
#[derive(Clone, Default, PartialEq, Debug)]
pub(crate) struct States {
    pub(crate) count: u64,
    pub(crate) first: Option<(i64, Value)>,
    pub(crate) last: Option<(i64, Value)>,
    /// How often a value differs from the one before.
    pub(crate) changes: u64,
}

impl States {
    /// Adds a value that comes later in time.
    pub(crate) fn push(&mut self, time: i64, value: ValueRef<'_>) {
        self.count += 1;
        match &mut self.last {
            Some((at, last)) => {
                *at = time;
                if last.as_ref() != value {
                    self.changes += 1;
                    *last = value.to_owned();
                }
            }
            None => {
                self.first = Some((time, value.to_owned()));
                self.last = Some((time, value.to_owned()));
            }
        }
    }

    /// Takes in what comes later in time.
    pub(crate) fn merge(&mut self, next: &Self) {
        if let (Some((_, last)), Some((_, first))) = (&self.last, &next.first) {
            self.changes += u64::from(last != first);
        }
        self.changes += next.changes;
        self.count += next.count;
        if self.first.is_none() {
            self.first.clone_from(&next.first);
        }
        if next.last.is_some() {
            self.last.clone_from(&next.last);
        }
    }

    /// Takes in what another device has in the same time. Where times are equal the earlier device stays.
    pub(crate) fn merge_beside(&mut self, other: &Self) {
        self.count += other.count;
        self.changes += other.changes;
        if let Some(first) = &other.first
            && self.first.as_ref().is_none_or(|held| first.0 < held.0)
        {
            self.first = Some(first.clone());
        }
        if let Some(last) = &other.last
            && self.last.as_ref().is_none_or(|held| last.0 > held.0)
        {
            self.last = Some(last.clone());
        }
    }
}
