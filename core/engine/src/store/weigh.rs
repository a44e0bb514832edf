//! About how many rows there are in a part of a collection: what a repair would weigh.

use super::content::Content;
use crate::codec::Scratch;
use crate::ids::Tier;
use crate::pyramid::{Piece, Reading, StoredNode, cover};
use crate::query::QueryError;
use tidelog_model::TimeRange;

const COARSE_FIRST: [Tier; 4] = [Tier::Year, Tier::Month, Tier::Day, Tier::Hour];

impl Content {
    /// About how many rows devices have in a range; all of them when none is named. Stored nodes tell, and rows are read
    /// where there is none, until `rows_max` are counted: then there are so many at least. What changed since nodes were
    /// made may count as it was. Beside them about how many bytes they are: eight for the time and for each field.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub fn weigh(
        &mut self,
        range: TimeRange,
        devices: &[&str],
        rows_max: u64,
    ) -> Result<(u64, u64), QueryError> {
        let all = match devices {
            [] => self.devices(range)?,
            named => named.iter().map(|device| (*device).into()).collect(),
        };
        let mut rows = 0u64;
        for device in &all {
            if rows >= rows_max {
                break;
            }
            let (reading, scratch) = self.reading();
            rows += of_device(reading, scratch, device, range)?;
        }
        let (reading, _) = self.reading();
        let rows = rows.min(rows_max);
        Ok((rows, rows.saturating_mul(8 + 8 * reading.fields.len() as u64)))
    }
}

fn of_device(
    reading: &Reading,
    scratch: &mut Scratch,
    device: &str,
    range: TimeRange,
) -> Result<u64, QueryError> {
    let mut stored = |tier, part| reading.stored.nodes(tier, device, part, &[]);
    let pieces: Vec<Piece<StoredNode>> = cover(range, &COARSE_FIRST, &mut stored)?;
    let mut rows = 0u64;
    for piece in pieces {
        match piece {
            Piece::Node(_, node) => rows += node.rows,
            Piece::Rows(gap) => {
                let mut scan = reading.scan(device, gap)?;
                while let Some(some) = scan.next(&[], scratch)? {
                    rows += some.times.len() as u64;
                }
            }
        }
    }
    Ok(rows)
}
