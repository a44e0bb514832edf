//! A writer to be killed, and the opening after.

use std::time::{Duration, Instant};

use tidelog_benches::query::Query;
use tidelog_benches::workload::Workload;
use tidelog_engine::Options;

use crate::answers::{answer, scan};
use crate::engine::{Writer, open};
use crate::report::{Result, millis, report};
use crate::steps::StepArgs;

/// Writes until killed, reporting every acknowledged batch. When the log is to grow to some size, memory
/// is given room for it, so that no flush shortens it.
pub(crate) fn survive(args: &StepArgs) -> Result<()> {
    let store = match args.log_bytes {
        0 => open(&args.dir)?,
        bytes => Options::new().memory_budget(bytes.saturating_mul(8)).open(&args.dir)?,
    };
    let mut writer = Writer::new(&store, args.durability.into(), args.workload.devices)?;
    let mut workload = Workload::new(args.workload.options());
    let mut acknowledged = 0;
    while let Some(batch) = workload.next_batch() {
        writer.write(batch)?;
        acknowledged += batch.len();
        let log_bytes = match args.log_bytes {
            0 => 0,
            _ => store.stats().log_bytes_written,
        };
        report("acknowledged", &[log_bytes as f64, acknowledged as f64]);
    }
    loop {
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// From opening to the first answer, and the opening alone.
pub(crate) fn reopen(args: &StepArgs) -> Result<()> {
    let started = Instant::now();
    let store = open(&args.dir)?;
    let opened = started.elapsed();
    answer(&store, &Query::nth(7, 0, &args.workload.options()))?;
    report("reopen", &[millis(started.elapsed())]);
    report("open", &[millis(opened)]);
    let found = store.open_report();
    report("replayed", &[found.log_bytes as f64, found.log_records as f64]);
    report("damage", &[found.damage.len() as f64]);
    report("found", &[scan(&store)?.rows as f64]);
    Ok(())
}
