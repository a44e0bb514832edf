//! What a step tells the suite: a name and its numbers to a line of standard output.

use std::collections::HashMap;
use std::error::Error;
use std::time::{Duration, Instant};

pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The numbers of a step, by name.
pub(crate) type Report = HashMap<String, Vec<f64>>;

pub(crate) fn report(name: &str, numbers: &[f64]) {
    let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
    println!("{name} {}", numbers.join(" "));
}

pub(crate) fn parse(lines: &str) -> Result<Report> {
    let parse_line = |line: &str| {
        let (name, numbers) = line.split_once(' ').ok_or("a report has numbers")?;
        let numbers: std::result::Result<_, _> = numbers.split(' ').map(str::parse).collect();
        Ok((name.to_owned(), numbers?))
    };
    lines.lines().map(parse_line).collect()
}

pub(crate) fn seconds(act: impl FnOnce() -> Result<()>) -> Result<f64> {
    let started = Instant::now();
    act()?;
    Ok(started.elapsed().as_secs_f64())
}

pub(crate) fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}
