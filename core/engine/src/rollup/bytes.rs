#![doc = include_str!("FORMAT.md")]

use super::{Numbers, Rollup, States};
use crate::format::Writer;
use crate::rows::FieldKey;
use ethnum::U256;
use tidelog_model::ValueRef;

/// What is fixed in length: sums and spreads.
trait Fixed {
    fn put(&self, writer: &mut Writer);
}

impl Fixed for f64 {
    fn put(&self, writer: &mut Writer) {
        writer.u64(self.to_bits());
    }
}

impl Fixed for i128 {
    fn put(&self, writer: &mut Writer) {
        writer.raw(&self.to_le_bytes());
    }
}

impl Fixed for U256 {
    fn put(&self, writer: &mut Writer) {
        writer.raw(&self.to_le_bytes());
    }
}

/// Writes what is kept of a device in a window: its rows, and a rollup for each field that has values.
pub(crate) fn write_rollups(
    writer: &mut Writer,
    rows: u64,
    fields: &[FieldKey],
    rollups: &[Rollup],
) {
    let there = || fields.iter().zip(rollups).filter(|(_, rollup)| !rollup.is_empty());
    writer.u64(rows);
    writer.u32(u32::try_from(there().count()).unwrap_or(u32::MAX));
    for (field, rollup) in there() {
        put_text(writer, field.name.as_bytes());
        writer.u8(field.kind as u8);
        match rollup {
            Rollup::F64(numbers) => put_numbers(writer, numbers, ValueRef::F64),
            Rollup::F32(numbers) => put_numbers(writer, numbers, ValueRef::F32),
            Rollup::I64(numbers) => put_numbers(writer, numbers, ValueRef::I64),
            Rollup::U64(numbers) => put_numbers(writer, numbers, ValueRef::U64),
            Rollup::States(_, states) => put_states(writer, states),
        }
    }
}

fn put_numbers<T>(writer: &mut Writer, numbers: &Numbers<T>, value: fn(T) -> ValueRef<'static>)
where
    T: super::Number<Sum: Fixed, Spread: Fixed>,
{
    writer.u64(numbers.count);
    for (time, one) in [numbers.first, numbers.last].into_iter().flatten() {
        put_value(writer, value(one));
        writer.i64(time);
    }
    numbers.sum.put(writer);
    numbers.spread.put(writer);
    let extremes = numbers.least.zip(numbers.greatest);
    writer.u8(u8::from(extremes.is_some()));
    for (one, time) in extremes.into_iter().flat_map(|(least, greatest)| [least, greatest]) {
        put_value(writer, value(one));
        writer.i64(time);
    }
    writer.u64(numbers.falls);
    writer.u8(u8::from(numbers.dropped.is_some()));
    if let Some(dropped) = numbers.dropped {
        dropped.put(writer);
    }
}

fn put_states(writer: &mut Writer, states: &States) {
    writer.u64(states.count);
    for (time, value) in [&states.first, &states.last].into_iter().flatten() {
        put_value(writer, value.as_ref());
        writer.i64(*time);
    }
    writer.u64(states.changes);
}

fn put_value(writer: &mut Writer, value: ValueRef<'_>) {
    match value {
        ValueRef::F64(value) => writer.u64(value.to_bits()),
        ValueRef::F32(value) => writer.u32(value.to_bits()),
        ValueRef::I64(value) => writer.i64(value),
        ValueRef::U64(value) => writer.u64(value),
        ValueRef::Bool(value) => writer.u8(u8::from(value)),
        ValueRef::String(value) => put_long(writer, value.as_bytes()),
        ValueRef::Bytes(value) => put_long(writer, value),
    };
}

fn put_text(writer: &mut Writer, text: &[u8]) {
    writer.u32(u32::try_from(text.len()).unwrap_or(u32::MAX)).raw(text);
}

fn put_long<'a>(writer: &'a mut Writer, bytes: &[u8]) -> &'a mut Writer {
    writer.u64(bytes.len() as u64).raw(bytes)
}
