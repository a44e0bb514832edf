//! The store against its oracle: whatever is done to it, its whole answers are those of a `BTreeMap`.
//!
//! - `operations`: random sequences of writes, deletes, flushes, compactions, reopenings and deaths.
//! - `ask`: random questions, and what their answers are, computed the slow way.
//! - `large`: many devices, many fields, many rows.
//! - `regressions`: what was found once, told as a story.
//!
//! `PROPTEST_CASES` sets how many sequences are tried; `TIDELOG_LONG=1` tries many more.

mod ask;
mod large;
mod operations;
mod regressions;

/// Is the long run asked for?
fn long() -> bool {
    std::env::var_os("TIDELOG_LONG").is_some()
}

/// How many random sequences are tried.
fn cases(usual: u32) -> u32 {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok());
    asked.unwrap_or(if long() { usual * 50 } else { usual })
}
