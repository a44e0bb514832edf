//! Bytes of messages: what the words of the model do not write themselves.

use alloc::vec::Vec;
use tidelog_model::{CollectionName, Incarnation, Position, StoreId};

pub use tidelog_model::format::Malformed;
pub(crate) use tidelog_model::format::{Reader, Writer};

/// A `varint` count, the exponent of a power of ten that divides all steps, the first time as it is, then the steps
/// divided. Times ascend.
pub(crate) fn write_times(writer: &mut Writer, times: &[i64]) {
    writer.varint(times.len() as u64);
    let Some(first) = times.first() else { return };
    let steps = || times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]).cast_unsigned());
    let mut exponent = 0;
    let mut unit = 1u64;
    // Beyond 18 digits no unit fits an `i64`.
    while exponent < 18 && steps().all(|step| step.is_multiple_of(unit * 10)) && times.len() > 1 {
        exponent += 1;
        unit *= 10;
    }
    writer.u8(exponent).i64(*first);
    for step in steps() {
        writer.varint(step / unit);
    }
}

/// Reads what [`write_times`] wrote, where each time has at least `more` bytes behind it.
pub(crate) fn read_times(reader: &mut Reader<'_>, more: usize) -> Result<Vec<i64>, Malformed> {
    let count = reader.count(1 + more)?;
    if count == 0 {
        return Ok(Vec::new());
    }
    let exponent = u32::from(reader.u8()?);
    let unit = 10u64.checked_pow(exponent).ok_or(Malformed("no such unit of time"))?;
    let mut time = reader.i64()?;
    let mut times = Vec::with_capacity(count);
    times.push(time);
    for _ in 1..count {
        let step = reader.varint()?.checked_mul(unit).filter(|step| *step > 0);
        let next = step.and_then(|step| time.checked_add_unsigned(step));
        time = next.ok_or(Malformed("times do not ascend"))?;
        times.push(time);
    }
    Ok(times)
}

pub(crate) fn read_collection(reader: &mut Reader<'_>) -> Result<CollectionName, Malformed> {
    let (database, collection) = (reader.text()?, reader.text()?);
    CollectionName::new(database, collection).map_err(|_| Malformed("not a collection's name"))
}

pub(crate) fn write_position(writer: &mut Writer, position: Position) {
    writer.raw(&position.incarnation.0).varint(position.offset);
}

pub(crate) fn read_position(reader: &mut Reader<'_>) -> Result<Position, Malformed> {
    Ok(Position { incarnation: Incarnation(reader.array()?), offset: reader.varint()? })
}

pub(crate) fn read_store(reader: &mut Reader<'_>) -> Result<StoreId, Malformed> {
    Ok(StoreId(reader.array()?))
}
