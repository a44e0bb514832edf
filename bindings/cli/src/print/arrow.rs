//! Rows as an Arrow IPC stream: `device` (utf8), `timestamp_ns` (timestamp in nanoseconds, UTC),
//! then the fields, each with its own type and nullable.

use super::{Header, Printer, check};
use arrow_array::types::TimestampNanosecondType;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Float32Array, Float64Array, Int64Array, PrimitiveArray,
    RecordBatch, StringArray, UInt64Array,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use arrow_ipc::writer::StreamWriter;
use arrow_schema::{ArrowError, DataType, Field, Schema, TimeUnit};
use std::io::{self, BufWriter, Write};
use std::sync::Arc;
use std::time::Duration;
use tidelog::RowBatch;
use tidelog::model::{Column, FieldType, Values, VarBytes, device};

/// See the module.
pub(super) struct ArrowPrinter<W: Write> {
    header: Header,
    schema: Arc<Schema>,
    writer: StreamWriter<BufWriter<W>>,
    rows: u64,
}

impl<W: Write> ArrowPrinter<W> {
    pub(super) fn new(header: Header, out: W) -> io::Result<Self> {
        let device = header.has_devices.then(|| Field::new("device", DataType::Utf8, false));
        let time = Field::new("timestamp_ns", time_type(), false);
        let fields =
            header.fields.iter().map(|(name, kind)| Field::new(name, data_type(*kind), true));
        let schema =
            Schema::new(device.into_iter().chain([time]).chain(fields).collect::<Vec<_>>());
        let writer = StreamWriter::try_new(BufWriter::new(out), &schema).map_err(into_io)?;
        Ok(ArrowPrinter { header, schema: Arc::new(schema), writer, rows: 0 })
    }
}

impl<W: Write> Printer for ArrowPrinter<W> {
    fn print(&mut self, rows: &RowBatch) -> io::Result<()> {
        check(rows, &self.header);
        if rows.rows() == 0 {
            return Ok(());
        }
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        if self.header.has_devices {
            let names: Vec<_> = rows.devices.iter().map(|name| device::to_text(name)).collect();
            let texts = rows.row_devices.iter().map(|number| names[*number as usize].as_ref());
            arrays.push(Arc::new(StringArray::from_iter_values(texts)));
        }
        let times = ScalarBuffer::from(rows.times.clone());
        arrays.push(Arc::new(
            PrimitiveArray::<TimestampNanosecondType>::new(times, None).with_timezone("UTC"),
        ));
        for column in &rows.columns {
            arrays.push(array(column).map_err(into_io)?);
        }
        let batch = RecordBatch::try_new(self.schema.clone(), arrays).map_err(into_io)?;
        self.writer.write(&batch).map_err(into_io)?;
        self.rows += rows.rows() as u64;
        Ok(())
    }

    fn finish(&mut self, _: Option<Duration>) -> io::Result<u64> {
        self.writer.finish().map_err(into_io)?;
        self.writer.get_mut().flush()?;
        Ok(self.rows)
    }
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()))
}

fn data_type(kind: FieldType) -> DataType {
    match kind {
        FieldType::F64 => DataType::Float64,
        FieldType::F32 => DataType::Float32,
        FieldType::I64 => DataType::Int64,
        FieldType::U64 => DataType::UInt64,
        FieldType::Bool => DataType::Boolean,
        FieldType::String => DataType::Utf8,
        FieldType::Bytes => DataType::Binary,
    }
}

fn array(column: &Column) -> Result<ArrayRef, ArrowError> {
    let nulls = column
        .presence()
        .map(|bits| NullBuffer::new(BooleanBuffer::collect_bool(bits.len(), |row| bits.at(row))));
    Ok(match column.values() {
        Values::F64(v) => Arc::new(Float64Array::new(v.clone().into(), nulls)),
        Values::F32(v) => Arc::new(Float32Array::new(v.clone().into(), nulls)),
        Values::I64(v) => Arc::new(Int64Array::new(v.clone().into(), nulls)),
        Values::U64(v) => Arc::new(UInt64Array::new(v.clone().into(), nulls)),
        Values::Bool(v) => Arc::new(BooleanArray::new(BooleanBuffer::from(v.as_slice()), nulls)),
        Values::String(v) => Arc::new(StringArray::try_new(offsets(v)?, bytes(v), nulls)?),
        Values::Bytes(v) => Arc::new(BinaryArray::try_new(offsets(v)?, bytes(v), nulls)?),
    })
}

fn offsets(strings: &VarBytes) -> Result<OffsetBuffer<i32>, ArrowError> {
    let ends = strings
        .ends()
        .iter()
        .map(|end| i32::try_from(*end).map_err(|_| ArrowError::OffsetOverflowError(*end as usize)));
    let offsets: Vec<i32> = std::iter::once(Ok(0)).chain(ends).collect::<Result<_, _>>()?;
    Ok(OffsetBuffer::new(offsets.into()))
}

fn bytes(strings: &VarBytes) -> Buffer {
    Buffer::from(strings.bytes())
}

/// The error of the output itself, where that is what went wrong.
fn into_io(error: ArrowError) -> io::Error {
    match error {
        ArrowError::IoError(_, error) => error,
        error => io::Error::other(error),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Format;
    use super::super::tests::{column, edges, print};
    use super::*;
    use arrow_array::Array;
    use arrow_array::cast::AsArray;
    use arrow_array::types::{Float64Type, Int64Type, UInt64Type};
    use arrow_ipc::reader::StreamReader;

    #[test]
    fn a_reader_gets_every_type_back() {
        let (header, rows) = edges();
        let stream = print(Format::Arrow, &header, &[rows.clone(), rows]);
        let batches: Vec<RecordBatch> =
            StreamReader::try_new(&stream[..], None).unwrap().map(Result::unwrap).collect();
        assert_eq!(batches.len(), 2);
        let batch = &batches[1];
        let names: Vec<&String> = batch.schema_ref().fields().iter().map(|f| f.name()).collect();
        assert_eq!(names, ["device", "timestamp_ns", "f", "g", "i", "u", "b", "s, t", "x"]);
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "pump,a=1");
        assert_eq!(batch.column(0).as_string::<i32>().value(1), "two words");
        assert_eq!(batch.column(1).data_type(), &time_type());
        assert_eq!(batch.column(1).as_primitive::<TimestampNanosecondType>().value(0), i64::MIN);
        assert_eq!(batch.column(2).as_primitive::<Float64Type>().value(0).to_bits(), 1 << 63);
        assert_eq!(batch.column(4).as_primitive::<Int64Type>().value(0), 9_007_199_254_740_993);
        assert_eq!(batch.column(5).as_primitive::<UInt64Type>().value(0), u64::MAX);
        assert!(batch.column(6).as_boolean().value(0));
        assert_eq!(batch.column(7).as_string::<i32>().value(0), "a \"b\"\nc");
        assert_eq!(batch.column(8).as_binary::<i32>().value(0), [0, 0xff]);
        assert!((2..9).all(|index| batch.column(index).is_null(1)));
    }

    #[test]
    fn an_answer_without_rows_or_devices_is_a_stream_with_a_schema() {
        let (header, rows) = column(Values::Bool(vec![]));
        let stream = print(Format::Arrow, &header, &[rows]);
        let reader = StreamReader::try_new(&stream[..], None).unwrap();
        assert_eq!(reader.schema().fields().len(), 2);
        assert_eq!(reader.count(), 0);
    }
}
