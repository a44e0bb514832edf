//! Writing W: one writer, several, or one with many batches in flight.

use std::collections::VecDeque;

use tidelog_benches::figure::percentile;
use tidelog_benches::process::{disk_bytes, peak_resident_bytes};
use tidelog_benches::workload::{Columns, Options, Workload};
use tidelog_engine::{Store, Ticket};

use crate::engine::{Writer, open};
use crate::report::{Result, report, seconds};
use crate::steps::StepArgs;

/// One writer that waits for each batch. Each call is timed, generating is not.
pub(crate) fn ingest(args: &StepArgs) -> Result<()> {
    let store = open(&args.dir)?;
    let batch_seconds = write_all(&store, args)?;
    let flush_seconds = seconds(|| Ok(store.flush()?))?;
    report("peak_mb", &[peak_resident_bytes()? as f64 / 1e6]);
    let before = store.stats();
    let close_seconds = seconds(|| Ok(store.compact()?))?;
    let stats = store.stats();
    store.close()?;
    let mut sorted = batch_seconds.clone();
    sorted.sort_by(f64::total_cmp);
    report("batch_ms", &[0.5, 0.99, 1.0].map(|share| percentile(&sorted, share) * 1e3));
    report("seconds", &[batch_seconds.iter().sum(), flush_seconds, close_seconds]);
    let written = stats.log_bytes_written + stats.flushed_bytes + stats.compacted_bytes;
    report("log", &[stats.log_bytes_written as f64]);
    report("flushed", &[stats.flushed_bytes as f64]);
    report("compacted", &[before.compacted_bytes as f64, stats.compacted_bytes as f64]);
    report("files", &[before.file_bytes as f64, stats.file_bytes as f64]);
    report("kernel", &[written_by_process()?]);
    report(
        "amplification",
        &[
            written as f64 / stats.file_bytes as f64,
            before.write_amplification,
            stats.write_amplification,
        ],
    );
    report("waits", &[stats.waits_for_room as f64]);
    report("flushes", &[stats.flushes as f64, stats.flush_nanos as f64 / 1e9]);
    report("syncs", &[stats.log_syncs as f64]);
    Ok(())
}

/// Writes W in the configuration that is queried, compacts and closes.
pub(crate) fn load(args: &StepArgs) -> Result<()> {
    let store = open(&args.dir)?;
    let written: f64 = write_all(&store, args)?.iter().sum();
    let closed = seconds(|| {
        store.compact()?;
        Ok(store.close()?)
    })?;
    report("seconds", &[written + closed]);
    report("disk", &[disk_bytes(&args.dir)?.apparent as f64]);
    Ok(())
}

fn write_all(store: &Store, args: &StepArgs) -> Result<Vec<f64>> {
    let mut writer = Writer::new(store, args.durability.into(), args.workload.devices)?;
    let mut workload = Workload::new(args.workload.options());
    let mut batch_seconds = Vec::new();
    while let Some(batch) = workload.next_batch() {
        batch_seconds.push(seconds(|| writer.write(batch))?);
    }
    Ok(batch_seconds)
}

/// Every writer has devices of its own, as connections of a server would, and so many batches in
/// flight. Batches are made before the clock starts, which then stands for all that the machine did.
pub(crate) fn ingest_prepared(args: &StepArgs) -> Result<()> {
    let store = open(&args.dir)?;
    let prepared: Vec<Vec<Columns>> = (0..args.writers)
        .map(|index| batches(Options { shard: (index, args.writers), ..args.workload.options() }))
        .collect();
    let write_seconds = seconds(|| {
        std::thread::scope(|scope| {
            let write = |batches| {
                let store = &store;
                scope.spawn(move || write_batches(store, args, batches))
            };
            let writers: Vec<_> = prepared.iter().map(Vec::as_slice).map(write).collect();
            writers.into_iter().try_for_each(|writer| writer.join().expect("a writer panicked"))
        })
    })?;
    let flush_seconds = seconds(|| Ok(store.flush()?))?;
    report("seconds", &[write_seconds, flush_seconds]);
    report("syncs", &[store.stats().log_syncs as f64]);
    store.close()?;
    Ok(())
}

fn batches(workload: Options) -> Vec<Columns> {
    let mut workload = Workload::new(workload);
    let mut batches = Vec::new();
    while let Some(batch) = workload.next_batch() {
        let mut columns = Columns::with_capacity(batch.len());
        columns.extend(batch);
        batches.push(columns);
    }
    batches
}

fn write_batches(store: &Store, args: &StepArgs, batches: &[Columns]) -> Result<()> {
    let mut writer = Writer::new(store, args.durability.into(), args.workload.devices)?;
    let mut in_flight: VecDeque<Ticket> = VecDeque::with_capacity(args.in_flight);
    for batch in batches {
        if in_flight.len() == args.in_flight
            && let Some(oldest) = in_flight.pop_front()
        {
            oldest.wait()?;
        }
        if args.in_flight == 0 {
            writer.write(batch.as_batch())?;
        } else {
            in_flight.push_back(writer.submit(batch.as_batch())?);
        }
    }
    for ticket in in_flight {
        ticket.wait()?;
    }
    Ok(())
}

/// Bytes this process caused to be sent to the disk.
fn written_by_process() -> Result<f64> {
    let io = std::fs::read_to_string("/proc/self/io")?;
    let bytes = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    Ok(bytes.ok_or("the kernel counts bytes")?.trim().parse()?)
}
