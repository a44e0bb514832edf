//! Results: rows on their way out, each block where it stands.

use crate::failure::{Failure, run};
use crate::own::Own;
use crate::plain::{ArrowArrayStream, Block, Column, Explain};
use tidelog_ffi::inside::{self, Fault, OpenResult, tidelog_explain};

pub struct Rows(Own<OpenResult>);

impl Rows {
    pub(crate) fn boxed(rows: inside::Rows) -> Box<Self> {
        Box::new(Rows(Own::new(OpenResult::new(rows))))
    }

    /// Is there another block? Its values are not copied, and stand until the next call.
    pub fn next(&self, block: &mut Block) -> Result<bool, Failure> {
        run("tidelog::Result::next", || {
            let next = self.0.next()?;
            Ok(next.map(|next| block.0 = next).is_some())
        })
    }

    pub fn columns(&self) -> Result<&[Column], Failure> {
        run("tidelog::Result::columns", || {
            let (first, count) = self.0.columns()?;
            // SAFETY: so many, and they stand unchanged as long as the result; the type is transparent.
            Ok::<_, Fault>(unsafe { std::slice::from_raw_parts(first.cast::<Column>(), count) })
        })
    }

    pub fn cancel(&self) {
        // Where it cannot be, in a forked child, nobody waits for rows either.
        let _ = run("tidelog::Result::cancel", || {
            self.0.cancel();
            Ok::<_, Fault>(())
        });
    }

    pub fn explain(&self) -> Result<Explain, Failure> {
        run("tidelog::Result::explain", || {
            Ok(Explain(self.0.explain()?.unwrap_or(tidelog_explain {
                struct_size: 0,
                has_rows_from: 0,
                rows: 0,
                leaves: 0,
                days: 0,
                months: 0,
                years: 0,
                nearest: 0,
                rows_from_ns: 0,
            })))
        })
    }

    pub fn stream(&self) -> Result<ArrowArrayStream, Failure> {
        run("tidelog::Result::to_arrow", || Ok::<_, Fault>(ArrowArrayStream(self.0.stream()?)))
    }
}
