//! `tidelog latest`: the last row of each device.

use super::shown_time;
use crate::arguments::{Devices, Opener, Range, Target};
use crate::error::{CommandError, Outcome};
use crate::print::{Format, Header, printer};
use clap::Args;
use std::time::Instant;
use tidelog::Query;

/// Print the latest row of each device.
#[derive(Args, Debug)]
pub(crate) struct Latest {
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    devices: Devices,
    /// Only this field; the latest row is then the latest that has a value in one of them.
    #[arg(long = "field", value_name = "F")]
    fields: Vec<String>,
    #[command(flatten)]
    range: Range,
    /// How rows look.
    #[arg(long, default_value = "table")]
    format: Format,
}

impl Latest {
    pub(super) fn run(self, opener: &Opener) -> Result<Outcome, CommandError> {
        let begun = Instant::now();
        let store = opener.read(&self.target.store)?;
        let mut query = Query::new().devices(self.devices.selector());
        if !self.fields.is_empty() {
            query = query.fields(self.fields);
        }
        if !self.range.is_open() {
            self.range.time_range()?;
            query = query.range(self.range.from, self.range.to);
        }
        let (fields, rows) = store.latest(&self.target.collection, query)?;
        let header = Header::new(true, &fields);
        let mut printer =
            printer(self.format, header, std::io::stdout().lock()).map_err(CommandError::Output)?;
        printer.print(&rows).map_err(CommandError::Output)?;
        printer.finish(shown_time(begun)).map_err(CommandError::Output)?;
        Ok(Outcome::Done)
    }
}
