//! Asking: warm, right after opening, and for all of it.

use std::time::Instant;

use tidelog_benches::evict::evict;
use tidelog_benches::process::peak_resident_bytes;
use tidelog_benches::query::{NAMES, Query};

use crate::answers::{answer, scan};
use crate::engine::open;
use crate::report::{Result, millis, report, seconds};
use crate::steps::StepArgs;

/// Asks the queries named, warm: once to check, then timed with other devices and hours.
pub(crate) fn queries(args: &StepArgs) -> Result<()> {
    let store = open(&args.dir)?;
    let workload = args.workload.options();
    for (number, name) in (1..=6).zip(NAMES) {
        if !args.query.iter().any(|asked| asked == name) {
            continue;
        }
        let first = answer(&store, &Query::nth(number, 0, &workload))?;
        report(&format!("{name}_answer"), &[first.rows as f64, first.checksum]);
        let runs: Result<Vec<f64>> = (1..=args.rounds)
            .map(|run| Query::nth(number, run, &workload))
            .map(|query| Ok(seconds(|| answer(&store, &query).map(drop))? * 1e3))
            .collect();
        report(name, &runs?);
    }
    Ok(())
}

/// Opens and asks Q7 once, in a process that has read nothing, and once more after opening anew, when files and
/// indexes are cold but the program's own pages are not; with nothing in the page cache either, unless
/// that is asked for.
pub(crate) fn cold(args: &StepArgs) -> Result<()> {
    let query = Query::nth(7, args.run, &args.workload.options());
    for suffix in ["", "_again"] {
        if !args.cached {
            evict(&args.dir)?;
        }
        let started = Instant::now();
        let store = open(&args.dir)?;
        let opened = started.elapsed();
        let answer = answer(&store, &query)?;
        let answered = started.elapsed();
        report(&format!("open{suffix}"), &[millis(opened)]);
        report(&format!("q7{suffix}"), &[millis(answered - opened)]);
        report(&format!("q7{suffix}_answer"), &[answer.rows as f64, answer.checksum]);
    }
    Ok(())
}

/// Reads every row and field, and tells the memory that took.
pub(crate) fn scan_all(args: &StepArgs) -> Result<()> {
    let store = open(&args.dir)?;
    let before = peak_resident_bytes()?;
    let started = Instant::now();
    let answer = scan(&store)?;
    report("scan", &[millis(started.elapsed())]);
    report("peak_mb", &[before as f64 / 1e6, peak_resident_bytes()? as f64 / 1e6]);
    report("scan_answer", &[answer.rows as f64, answer.checksum]);
    Ok(())
}
