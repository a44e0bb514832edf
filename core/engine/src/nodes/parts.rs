//! A rollup in parts, and back: what each column of a node block holds.

use super::numbers::{Plain, Stored, spread_at, sum_at};
use crate::group::ReadError;
use crate::rollup::{Numbers, Rollup, States, Wants};
use tidelog_model::{FieldType, ValueRef, Values};

/// What a column holds. Numbers are part of the format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[repr(u8)]
pub(super) enum Part {
    Series = 0,
    Start = 1,
    Rows = 2,
    /// Has the node values of the field?
    Present = 3,
    /// Rows without a value.
    Absent = 4,
    First = 5,
    FirstTime = 6,
    Last = 7,
    LastTime = 8,
    Sum = 9,
    SumMore = 10,
    Spread = 11,
    SpreadMore = 12,
    Spread2 = 13,
    Spread3 = 14,
    /// Is there a least and a greatest? Not when all values are NaN.
    Ordered = 15,
    Least = 16,
    LeastTime = 17,
    Greatest = 18,
    GreatestTime = 19,
    Falls = 20,
    /// Is the sum of the values before a fall known?
    Counter = 21,
    Dropped = 22,
    DroppedMore = 23,
    Changes = 24,
}

pub(super) const PARTS: usize = 25;

impl Part {
    pub(super) const ALL: [Part; PARTS] = [
        Part::Series,
        Part::Start,
        Part::Rows,
        Part::Present,
        Part::Absent,
        Part::First,
        Part::FirstTime,
        Part::Last,
        Part::LastTime,
        Part::Sum,
        Part::SumMore,
        Part::Spread,
        Part::SpreadMore,
        Part::Spread2,
        Part::Spread3,
        Part::Ordered,
        Part::Least,
        Part::LeastTime,
        Part::Greatest,
        Part::GreatestTime,
        Part::Falls,
        Part::Counter,
        Part::Dropped,
        Part::DroppedMore,
        Part::Changes,
    ];
    /// Of the spread of whole numbers, the lowest first.
    pub(super) const LIMBS: [Part; 4] =
        [Part::Spread, Part::SpreadMore, Part::Spread2, Part::Spread3];

    pub(super) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The type its codec works on; `None` when a field of this type has no such part. Without a field: the
    /// columns of the nodes themselves.
    pub(super) fn kind(self, field: Option<FieldType>) -> Option<FieldType> {
        use FieldType as T;
        let Some(field) = field else {
            return match self {
                Part::Series | Part::Rows => Some(T::U64),
                Part::Start => Some(T::I64),
                _ => None,
            };
        };
        let float = matches!(field, T::F64 | T::F32);
        let whole = matches!(field, T::I64 | T::U64);
        match self {
            Part::Present => Some(T::Bool),
            Part::Absent | Part::FirstTime | Part::LastTime => Some(T::U64),
            Part::First => Some(field),
            Part::Last => Some(if whole { T::I64 } else { field }),
            Part::Changes => (!float && !whole).then_some(T::U64),
            _ if !float && !whole => None,
            Part::Sum | Part::Dropped => Some(if float { T::F64 } else { T::I64 }),
            Part::SumMore | Part::DroppedMore => Some(T::I64),
            Part::Spread => Some(if float { T::F64 } else { T::U64 }),
            Part::SpreadMore => Some(if float { T::I64 } else { T::U64 }),
            Part::Spread2 | Part::Spread3 => whole.then_some(T::U64),
            Part::Ordered | Part::Counter => Some(T::Bool),
            Part::Least | Part::Greatest => Some(if whole { T::U64 } else { field }),
            Part::LeastTime | Part::GreatestTime | Part::Falls => Some(T::U64),
            Part::Series | Part::Start | Part::Rows => None,
        }
    }

    /// Which nodes the column has a value for.
    pub(super) fn scope(self) -> Scope {
        match self {
            Part::Series | Part::Start | Part::Rows | Part::Present => Scope::All,
            Part::Least | Part::LeastTime | Part::Greatest | Part::GreatestTime => Scope::Ordered,
            Part::Dropped | Part::DroppedMore => Scope::Counters,
            _ => Scope::Present,
        }
    }
}

/// Some nodes of a block.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scope {
    All,
    /// Those with values of the field.
    Present,
    /// Those of them with a least and a greatest.
    Ordered,
    /// Those of them whose `dropped` is known.
    Counters,
}

/// Takes the parts of one rollup.
pub(super) trait Sink {
    fn put(&mut self, part: Part, value: ValueRef<'_>);
}

/// Gives the columns of one field, decoded.
pub(super) trait Source {
    /// `None` when it was left out: all zero, or all true.
    fn column(&self, part: Part) -> Result<Option<&Values>, ReadError>;
    fn damaged(&self, what: &'static str) -> ReadError;
}

/// Where a node's values stand in the columns of a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot {
    pub(super) start: i64,
    pub(super) rows: u64,
    pub(super) present: usize,
    pub(super) ordered: Option<usize>,
    pub(super) counter: Option<usize>,
}

/// Hands the parts of a rollup that is not empty to `sink`.
///
/// # Panics
/// When it has more values than the window has rows, or lacks what every fold gives: bugs of ours.
pub(super) fn split(rollup: &Rollup, start: i64, rows: u64, sink: &mut impl Sink) {
    let absent = rows.checked_sub(rollup.count()).expect("there are no more values than rows");
    sink.put(Part::Absent, ValueRef::U64(absent));
    match rollup {
        Rollup::F64(numbers) => split_numbers(numbers, start, sink),
        Rollup::F32(numbers) => split_numbers(numbers, start, sink),
        Rollup::I64(numbers) => split_numbers(numbers, start, sink),
        Rollup::U64(numbers) => split_numbers(numbers, start, sink),
        Rollup::States(_, states) => {
            let (Some(first), Some(last)) = (&states.first, &states.last) else {
                panic!("what has values has a first and a last");
            };
            sink.put(Part::First, first.1.as_ref());
            sink.put(Part::Last, last.1.as_ref());
            put_time(Part::FirstTime, first.0, start, sink);
            put_time(Part::LastTime, last.0, start, sink);
            sink.put(Part::Changes, ValueRef::U64(states.changes));
        }
    }
}

fn split_numbers<T: Stored>(numbers: &Numbers<T>, start: i64, sink: &mut impl Sink) {
    let (Some(first), Some(last)) = (numbers.first, numbers.last) else {
        panic!("what has values has a first and a last");
    };
    sink.put(Part::First, first.1.value());
    last.1.put_beside(first.1, Part::Last, sink);
    put_time(Part::FirstTime, first.0, start, sink);
    put_time(Part::LastTime, last.0, start, sink);
    T::put_sum(numbers.sum, [Part::Sum, Part::SumMore], sink);
    T::put_spread(numbers.part(), sink);
    assert!(numbers.least.is_some() == numbers.greatest.is_some(), "a least has a greatest");
    sink.put(Part::Ordered, ValueRef::Bool(numbers.least.is_some()));
    if let (Some(least), Some(greatest)) = (numbers.least, numbers.greatest) {
        least.0.put_beside(first.1, Part::Least, sink);
        greatest.0.put_beside(first.1, Part::Greatest, sink);
        put_time(Part::LeastTime, least.1, start, sink);
        put_time(Part::GreatestTime, greatest.1, start, sink);
    }
    sink.put(Part::Falls, ValueRef::U64(numbers.falls));
    sink.put(Part::Counter, ValueRef::Bool(numbers.dropped.is_some()));
    if let Some(dropped) = numbers.dropped {
        T::put_sum(dropped, [Part::Dropped, Part::DroppedMore], sink);
    }
}

fn put_time(part: Part, time: i64, start: i64, sink: &mut impl Sink) {
    assert!(time >= start, "what a window holds is not before it");
    sink.put(part, ValueRef::U64(time.wrapping_sub(start) as u64));
}

/// The rollup of a node that has values; parts that are not wanted are as in the rollup of nothing.
pub(super) fn join(
    kind: FieldType,
    source: &impl Source,
    slot: Slot,
    wants: Wants,
) -> Result<Rollup, ReadError> {
    Ok(match kind {
        FieldType::F64 => Rollup::F64(join_numbers(source, slot, wants)?),
        FieldType::F32 => Rollup::F32(join_numbers(source, slot, wants)?),
        FieldType::I64 => Rollup::I64(join_numbers(source, slot, wants)?),
        FieldType::U64 => Rollup::U64(join_numbers(source, slot, wants)?),
        FieldType::Bool | FieldType::String | FieldType::Bytes => {
            let value = |part| {
                let column = source.column(part)?;
                let column = column.filter(|values| slot.present < values.len());
                let value = column.map(|values| values.at(slot.present).to_owned());
                value.ok_or_else(|| source.damaged("a column of nodes is missing"))
            };
            let first = (time(source, Part::FirstTime, slot.present, slot)?, value(Part::First)?);
            let last = (time(source, Part::LastTime, slot.present, slot)?, value(Part::Last)?);
            let states = States {
                count: count(source, slot)?,
                first: Some(first),
                last: Some(last),
                changes: at::<u64>(source, Part::Changes, slot.present)?,
            };
            Rollup::States(kind, states)
        }
    })
}

fn join_numbers<T: Stored>(
    source: &impl Source,
    slot: Slot,
    wants: Wants,
) -> Result<Numbers<T>, ReadError> {
    let first: T = at(source, Part::First, slot.present)?;
    let last = T::beside(source, (Part::Last, slot.present), first)?;
    let times = (
        time(source, Part::FirstTime, slot.present, slot)?,
        time(source, Part::LastTime, slot.present, slot)?,
    );
    let mut out = Numbers::counted(count(source, slot)?, (times.0, first), (times.1, last));
    if wants.sum || wants.spread {
        out.sum = sum_at::<T>(source, [Part::Sum, Part::SumMore], slot.present)?;
    }
    if wants.spread {
        out.spread = spread_at::<T>(source, slot.present, (out.count, out.sum))?;
    }
    if let (true, Some(ordered)) = (wants.extremes, slot.ordered) {
        let value = |part| T::beside(source, (part, ordered), first);
        let time = |part| time(source, part, ordered, slot);
        out.least = Some((value(Part::Least)?, time(Part::LeastTime)?));
        out.greatest = Some((value(Part::Greatest)?, time(Part::GreatestTime)?));
    }
    if wants.falls {
        out.falls = at(source, Part::Falls, slot.present)?;
        let parts = [Part::Dropped, Part::DroppedMore];
        out.dropped = slot.counter.map(|at| sum_at::<T>(source, parts, at)).transpose()?;
    }
    Ok(out)
}

/// How many values a node has that has some.
fn count(source: &impl Source, slot: Slot) -> Result<u64, ReadError> {
    let absent: u64 = at(source, Part::Absent, slot.present)?;
    let count = slot.rows.checked_sub(absent).filter(|count| *count > 0);
    count.ok_or_else(|| source.damaged("a node has more values than rows, or none"))
}

fn time(source: &impl Source, part: Part, place: usize, slot: Slot) -> Result<i64, ReadError> {
    let offset: u64 = at(source, part, place)?;
    let time = slot.start.checked_add_unsigned(offset);
    time.ok_or_else(|| source.damaged("a time is beyond the last there is"))
}

/// A number of a column; zero when the column was left out.
pub(super) fn at<T: Plain>(source: &impl Source, part: Part, place: usize) -> Result<T, ReadError> {
    let Some(values) = source.column(part)? else { return Ok(T::default()) };
    let value = T::slice(values).and_then(|slice| slice.get(place)).copied();
    value.ok_or_else(|| source.damaged("a column of nodes is too short"))
}
