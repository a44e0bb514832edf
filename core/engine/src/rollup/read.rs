//! Rollups from bytes that may be anything: what `bytes.rs` writes.

use super::sound::wrong_with;
use super::{Number, Numbers, Rollup, States};
use crate::format::{Malformed, Reader};
use crate::rows::FieldKey;
use ethnum::U256;
use tidelog_model::{FieldType, Name, TimeRange, Value};

/// What is kept of a device in a window: its rows, and the rollups of the fields that have values.
pub(super) type Kept = (u64, Vec<FieldKey>, Vec<Rollup>);

/// The least that a field takes: a name of a byte, and two flags.
const FIELD_BYTES_MIN: usize = 5 + 1 + 8 + 2 * (1 + 8) + 8;

/// Reads what is kept of a device in a window, and nothing that no rows can give.
pub(super) fn read_rollups(reader: &mut Reader<'_>, window: TimeRange) -> Result<Kept, Malformed> {
    let rows = reader.u64()?;
    // Rows of a device have a time each.
    if rows == 0 || rows - 1 > window.last().abs_diff(window.first()) {
        return Err(Malformed("a node has no rows, or more than times"));
    }
    let count = reader.u32()? as usize;
    if count > reader.remaining() / FIELD_BYTES_MIN {
        return Err(Malformed("a node has more fields than bytes"));
    }
    let mut fields: Vec<FieldKey> = Vec::with_capacity(count);
    let mut rollups = Vec::with_capacity(count);
    for _ in 0..count {
        let field = read_field(reader)?;
        if fields.last().is_some_and(|last| *last >= field) {
            return Err(Malformed("the fields of a node are not in order"));
        }
        let rollup = read_rollup(reader, field.kind)?;
        if rollup.is_empty() || rollup.count() > rows {
            return Err(Malformed("a field has no values, or more than there are rows"));
        }
        if let Some(what) = wrong_with(&rollup, window) {
            return Err(Malformed(what));
        }
        fields.push(field);
        rollups.push(rollup);
    }
    Ok((rows, fields, rollups))
}

fn read_field(reader: &mut Reader<'_>) -> Result<FieldKey, Malformed> {
    let len = reader.u32()? as usize;
    let name = std::str::from_utf8(reader.raw(len)?).ok();
    let name = name.and_then(|name| Name::new("field", name).ok());
    let name = name.ok_or(Malformed("a field's name is none"))?;
    let kind = FieldType::from_number(reader.u8()?).ok_or(Malformed("a type is unknown"))?;
    Ok(FieldKey { name, kind })
}

fn read_rollup(reader: &mut Reader<'_>, kind: FieldType) -> Result<Rollup, Malformed> {
    Ok(match kind {
        FieldType::F64 => Rollup::F64(read_numbers(reader)?),
        FieldType::F32 => Rollup::F32(read_numbers(reader)?),
        FieldType::I64 => Rollup::I64(read_numbers(reader)?),
        FieldType::U64 => Rollup::U64(read_numbers(reader)?),
        FieldType::Bool | FieldType::String | FieldType::Bytes => {
            Rollup::States(kind, read_states(reader, kind)?)
        }
    })
}

/// What is fixed in length.
trait Fixed: Sized {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed>;
}

macro_rules! fixed {
    ($($type:ty => $read:expr),*) => {$(
        impl Fixed for $type {
            fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
                let read: fn(&mut Reader<'_>) -> Result<Self, Malformed> = $read;
                read(reader)
            }
        }
    )*};
}

fixed! {
    f64 => |reader| Ok(f64::from_bits(reader.u64()?)),
    f32 => |reader| Ok(f32::from_bits(reader.u32()?)),
    i64 => |reader| reader.i64(),
    u64 => |reader| reader.u64(),
    i128 => |reader| Ok(i128::from_le_bytes(reader.array()?)),
    U256 => |reader| Ok(U256::from_le_bytes(reader.array()?))
}

fn read_numbers<T>(reader: &mut Reader<'_>) -> Result<Numbers<T>, Malformed>
where
    T: Number<Sum: Fixed, Spread: Fixed> + Fixed,
{
    let mut numbers = Numbers::<T>::new();
    numbers.count = reader.u64()?;
    let dated = |reader: &mut Reader<'_>| Ok::<_, Malformed>((T::read(reader)?, reader.i64()?));
    let (first, last) = (dated(reader)?, dated(reader)?);
    (numbers.first, numbers.last) = (Some((first.1, first.0)), Some((last.1, last.0)));
    numbers.sum = T::Sum::read(reader)?;
    numbers.spread = T::Spread::read(reader)?;
    if read_flag(reader)? {
        numbers.least = Some(dated(reader)?);
        numbers.greatest = Some(dated(reader)?);
    }
    numbers.falls = reader.u64()?;
    numbers.dropped = if read_flag(reader)? { Some(T::Sum::read(reader)?) } else { None };
    Ok(numbers)
}

fn read_states(reader: &mut Reader<'_>, kind: FieldType) -> Result<States, Malformed> {
    let count = reader.u64()?;
    let mut dated = || {
        let value = read_value(reader, kind)?;
        Ok::<_, Malformed>(Some((reader.i64()?, value)))
    };
    let (first, last) = (dated()?, dated()?);
    Ok(States { count, first, last, changes: reader.u64()? })
}

fn read_value(reader: &mut Reader<'_>, kind: FieldType) -> Result<Value, Malformed> {
    if kind == FieldType::Bool {
        return Ok(Value::Bool(read_flag(reader)?));
    }
    let len = usize::try_from(reader.u64()?).map_err(|_| Malformed("a value is too long"))?;
    let bytes = reader.raw(len)?;
    if kind == FieldType::Bytes {
        return Ok(Value::Bytes(bytes.into()));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Malformed("a text is not UTF-8"))?;
    Ok(Value::String(text.into()))
}

fn read_flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed("a flag is neither 0 nor 1")),
    }
}
