//! `tidelog retain`: how long rows and rollups are kept.

use super::print;
use crate::arguments::{Opener, Target};
use crate::error::{CommandError, Outcome};
use clap::Args;
use tidelog::Retention;

/// Set how long rows and rollups of a collection are kept: whole days (UTC), or forever.
///
/// What is older is cut off at once and from then on. Where a coarser tier is kept longer, it answers in place of what was
/// cut off: with raw=30d,1h=1y rows are kept for 30 days, hourly rollups for a year, daily and coarser ones for ever.
#[derive(Args, Debug)]
pub(crate) struct Retain {
    #[command(flatten)]
    target: Target,
    /// TIER=TIME, several with commas: TIER is raw, 1h, 1d, 1mo, 1y or all, TIME is 30d, 8w, 1y (365 days) or forever.
    /// A tier that is not named is kept for ever.
    #[arg(value_name = "TIER=TIME,...")]
    keep: Retention,
}

impl Retain {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let store = opener.write(&self.target.store, false)?;
        store.set_retention(&self.target.collection, self.keep)?;
        store.close()?;
        let collection = &self.target.collection;
        print(&if self.keep == Retention::FOREVER {
            format!("{collection} keeps everything for ever\n")
        } else {
            format!(
                "{collection} keeps {}; `tidelog compact` frees the space of what is older\n",
                self.keep
            )
        })?;
        Ok(Outcome::Done)
    }
}
