//! W as raw little-endian column files, for harnesses in other languages: `host.u32`, `ts_ms.i64`,
//! `<field>.f64`, and `batches.u32` with the rows of each batch in the order of delivery.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use tidelog_benches::workload::{FIELDS, Options, Workload};

use crate::peer::{Result, millis};

pub(crate) fn generate(dir: &Path, workload: Options) -> Result<()> {
    std::fs::create_dir_all(dir)?;
    let create = |name: String| File::create(dir.join(name)).map(BufWriter::new);
    let mut batches = create("batches.u32".to_owned())?;
    let mut hosts = create("host.u32".to_owned())?;
    let mut timestamps = create("ts_ms.i64".to_owned())?;
    let mut fields: Vec<_> = FIELDS
        .iter()
        .map(|field| create(format!("{field}.f64")))
        .collect::<std::io::Result<_>>()?;
    let mut workload = Workload::new(workload);
    while let Some(batch) = workload.next_batch() {
        batches.write_all(&u32::try_from(batch.len())?.to_le_bytes())?;
        for row in 0..batch.len() {
            hosts.write_all(&batch.devices[row].to_le_bytes())?;
            timestamps.write_all(&millis(batch.timestamps[row]).to_le_bytes())?;
        }
        for (file, values) in fields.iter_mut().zip(batch.fields) {
            values.iter().try_for_each(|value| file.write_all(&value.to_le_bytes()))?;
        }
    }
    fields
        .iter_mut()
        .chain([&mut batches, &mut hosts, &mut timestamps])
        .try_for_each(Write::flush)?;
    Ok(())
}
