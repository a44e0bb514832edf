#![doc = include_str!("ROLLUP.md")]

mod blocks;
mod bytes;
mod numbers;
mod parcel;
mod read;
mod sound;
mod states;
mod tree;

pub(crate) use blocks::{BlockSink, Blocks, kept};
pub(crate) use numbers::{Number, Numbers, Wants};
pub(crate) use parcel::{Parcel, digest_of};
pub(crate) use sound::wrong_with;
pub(crate) use states::States;
pub(crate) use tree::{TreeFold, window_of};

use std::ops::Range;
use tidelog_model::{Column, FieldType, Values};

/// Rows of a block: longer stretches are cut into blocks and merged in order. The same number as for
/// digests, so that a leaf is walked once for both.
pub(crate) const BLOCK_ROWS: usize = 4096;

/// What is known of the values of one field in some stretch of time.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum Rollup {
    F64(Numbers<f64>),
    F32(Numbers<f32>),
    I64(Numbers<i64>),
    U64(Numbers<u64>),
    /// Of bool, string and bytes.
    States(FieldType, States),
}

/// Runs the same code for whatever numbers a rollup is of, and other code for states.
macro_rules! each {
    ($rollup:expr, $numbers:ident => $of_numbers:expr, $states:ident => $of_states:expr) => {
        match $rollup {
            Rollup::F64($numbers) => $of_numbers,
            Rollup::F32($numbers) => $of_numbers,
            Rollup::I64($numbers) => $of_numbers,
            Rollup::U64($numbers) => $of_numbers,
            Rollup::States(_, $states) => $of_states,
        }
    };
}

/// Runs the same code for two rollups of one type.
macro_rules! both {
    ($a:expr, $b:expr, $x:ident, $y:ident => $code:expr) => {
        match ($a, $b) {
            (Rollup::F64($x), Rollup::F64($y)) => $code,
            (Rollup::F32($x), Rollup::F32($y)) => $code,
            (Rollup::I64($x), Rollup::I64($y)) => $code,
            (Rollup::U64($x), Rollup::U64($y)) => $code,
            (Rollup::States(_, $x), Rollup::States(_, $y)) => $code,
            // Fields are keyed by name and type, so the types agree.
            _ => debug_assert!(false, "a rollup meets another type"),
        }
    };
}

impl Rollup {
    /// Of nothing.
    pub(crate) fn new(kind: FieldType) -> Self {
        match kind {
            FieldType::F64 => Rollup::F64(Numbers::new()),
            FieldType::F32 => Rollup::F32(Numbers::new()),
            FieldType::I64 => Rollup::I64(Numbers::new()),
            FieldType::U64 => Rollup::U64(Numbers::new()),
            FieldType::Bool | FieldType::String | FieldType::Bytes => {
                Rollup::States(kind, States::default())
            }
        }
    }

    /// The type of the values.
    pub(crate) fn kind(&self) -> FieldType {
        match self {
            Rollup::F64(_) => FieldType::F64,
            Rollup::F32(_) => FieldType::F32,
            Rollup::I64(_) => FieldType::I64,
            Rollup::U64(_) => FieldType::U64,
            Rollup::States(kind, _) => *kind,
        }
    }

    /// Of the rows of one block; those without a value do not count.
    pub(crate) fn of_block(
        times: &[i64],
        column: &Column,
        rows: Range<usize>,
        wants: Wants,
    ) -> Self {
        debug_assert!(rows.len() <= BLOCK_ROWS, "a block is cut before it is folded");
        macro_rules! numbers {
            ($values:expr) => {
                if column.presence().is_none() {
                    Numbers::of_block(&times[rows.clone()], &$values[rows], wants)
                } else {
                    let rows = rows.filter(|row| column.is_present(*row));
                    let (times, values): (Vec<i64>, Vec<_>) =
                        rows.map(|row| (times[row], $values[row])).unzip();
                    Numbers::of_block(&times, &values, wants)
                }
            };
        }
        match column.values() {
            Values::F64(values) => Rollup::F64(numbers!(values)),
            Values::F32(values) => Rollup::F32(numbers!(values)),
            Values::I64(values) => Rollup::I64(numbers!(values)),
            Values::U64(values) => Rollup::U64(numbers!(values)),
            values => {
                let mut states = States::default();
                for row in rows.filter(|row| column.is_present(*row)) {
                    states.push(times[row], values.at(row));
                }
                Rollup::States(column.field_type(), states)
            }
        }
    }

    /// Takes in what comes later in time.
    pub(crate) fn merge(&mut self, next: &Rollup) {
        both!(self, next, a, b => a.merge(b));
    }

    /// Takes in what comes later in time: by value, which spares a copy where nothing came before.
    pub(crate) fn merge_owned(&mut self, next: Rollup) {
        if self.is_empty() {
            *self = next;
        } else {
            self.merge(&next);
        }
    }

    /// Takes in what another device has in the same time.
    pub(crate) fn merge_beside(&mut self, other: &Rollup) {
        both!(self, other, a, b => a.merge_beside(b));
    }

    /// How many values there are, NaN included.
    pub(crate) fn count(&self) -> u64 {
        each!(self, numbers => numbers.count, states => states.count)
    }

    /// The time of the earliest value.
    pub(crate) fn first_time(&self) -> Option<i64> {
        each!(self, numbers => numbers.first.map(|(time, _)| time),
            states => states.first.as_ref().map(|(time, _)| *time))
    }

    /// Is it known by how much a counter went up?
    pub(crate) fn knows_increase(&self) -> bool {
        each!(self, numbers => numbers.count == 0 || numbers.dropped.is_some(), _states => true)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count() == 0
    }
}

#[cfg(test)]
mod tests;
