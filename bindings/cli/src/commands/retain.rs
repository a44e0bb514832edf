//! `tidelog retain`: how long rows are kept.

use super::print;
use crate::arguments::{Opener, Target};
use crate::error::{CommandError, Outcome};
use clap::Args;
use tidelog::Retention;

/// Set how long the rows of a collection are kept: whole days (UTC), or forever.
#[derive(Args, Debug)]
pub(crate) struct Retain {
    #[command(flatten)]
    target: Target,
    /// `raw=30d` or `raw=forever`.
    #[arg(value_name = "TIER=DAYS", value_parser = parse_retention)]
    keep: Keep,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Keep(Retention);

impl Retain {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let store = opener.write(&self.target.store, false)?;
        store.set_retention(&self.target.collection, self.keep.0)?;
        store.close()?;
        let collection = &self.target.collection;
        print(&match self.keep.0 {
            Retention::Forever => format!("{collection} keeps its rows for ever\n"),
            Retention::Days(days) => format!(
                "{collection} keeps its rows for {days} days; `tidelog compact` frees the space of older ones\n"
            ),
        })?;
        Ok(Outcome::Done)
    }
}

fn parse_retention(text: &str) -> Result<Keep, String> {
    let refuse = || format!("{text:?} is no retention: write raw=30d (whole days) or raw=forever");
    let keep = text.strip_prefix("raw=").ok_or_else(refuse)?;
    if keep == "forever" {
        return Ok(Keep(Retention::Forever));
    }
    let days = keep.strip_suffix('d').and_then(|days| days.parse().ok()).filter(|days| *days > 0);
    days.map(|days| Keep(Retention::Days(days))).ok_or_else(refuse)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retention_is_in_days() {
        assert_eq!(parse_retention("raw=30d"), Ok(Keep(Retention::Days(30))));
        assert_eq!(parse_retention("raw=forever"), Ok(Keep(Retention::Forever)));
        for text in ["30d", "raw=0d", "raw=1y", "1h=1d", "raw="] {
            assert!(parse_retention(text).is_err(), "{text}");
        }
    }
}
