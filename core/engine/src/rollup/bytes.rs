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
pub(super) fn write_rollups(
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::Wants;
    use tidelog_model::{Column, FieldType, Name, Value};

    fn rollup(kind: FieldType, values: &[Value]) -> Rollup {
        let mut column = Column::new(kind);
        values.iter().for_each(|value| assert!(column.push(value.as_ref())));
        let times: Vec<i64> = (1..=values.len() as i64).collect();
        Rollup::of_block(&times, &column, 0..values.len(), Wants::ALL)
    }

    fn field(name: &str, kind: FieldType) -> FieldKey {
        FieldKey { name: Name::new("field", name).unwrap(), kind }
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Replicas that settled the same rows agree for ever: a change here would part them.
    #[test]
    fn the_bytes_of_rollups_are_frozen() {
        let fields = [
            field("f", FieldType::F64),
            field("i", FieldType::I64),
            field("n", FieldType::F32),
            field("s", FieldType::String),
        ];
        let rollups = [
            rollup(FieldType::F64, &[Value::F64(1.5), Value::F64(f64::NAN)]),
            rollup(FieldType::I64, &[Value::I64(-2), Value::I64(-3)]),
            rollup(FieldType::F32, &[]),
            rollup(FieldType::String, &[Value::String("on".into()), Value::String(String::new())]),
        ];
        let mut writer = Writer::default();
        write_rollups(&mut writer, 3, &fields, &rollups);
        #[rustfmt::skip]
        let expected = [
            "0300000000000000", // rows
            "03000000",         // fields with values
            "0100000066", "01", "0200000000000000", // f
            "000000000000f83f", "0100000000000000", "000000000000f87f", "0200000000000000",
            "000000000000f87f", "000000000000f87f", // sum, spread
            "01", "000000000000f83f", "0100000000000000", "000000000000f83f", "0100000000000000",
            "0000000000000000", "01", "0000000000000000", // falls, dropped
            "0100000069", "03", "0200000000000000", // i
            "feffffffffffffff", "0100000000000000", "fdffffffffffffff", "0200000000000000",
            "fbffffffffffffffffffffffffffffff",
            "0d00000000000000000000000000000000000000000000000000000000000000",
            "01", "fdffffffffffffff", "0200000000000000", "feffffffffffffff", "0100000000000000",
            "0100000000000000", "01", "feffffffffffffffffffffffffffffff",
            "0100000073", "06", "0200000000000000", // s
            "0200000000000000", "6f6e", "0100000000000000", "0000000000000000", "0200000000000000",
            "0100000000000000",
        ];
        assert_eq!(hex(&writer.bytes), expected.concat());
    }
}
