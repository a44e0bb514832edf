//! Sums of floats from the columns of a block at once, without a rollup for each node.

use super::block::NodeBlock;
use super::numbers::{LeftOut, stepped};
use super::parts::Part;
use crate::group::ReadError;
use std::ops::Range;
use tidelog_model::{FieldType, Values};

impl NodeBlock {
    /// The sum of a field of `f64` in each of some nodes, and of how many values; `None` unless each of them has rows
    /// and values.
    pub(crate) fn float_sums(
        &self,
        field: u32,
        nodes: Range<usize>,
    ) -> Result<Option<Vec<(f64, u64)>>, ReadError> {
        let Some(source) = self.source(field).filter(|s| s.field.kind == FieldType::F64) else {
            return Ok(None);
        };
        if !source.is_everywhere()? {
            return Ok(None);
        }
        let columns: LeftOut<'_, 2> =
            [source.own_column(Part::Sum)?, source.own_column(Part::SumMore)?];
        let absent = source.own_column(Part::Absent)?;
        // A column that was left out is all zero.
        let [sum, more] = columns;
        let floats = match sum {
            Some(Values::F64(values)) => Some(values.as_slice()),
            _ => None,
        };
        let steps = match more {
            Some(Values::I64(values)) => Some(values.as_slice()),
            _ => None,
        };
        let absent = match absent {
            Some(Values::U64(values)) => Some(values.as_slice()),
            _ => None,
        };
        let mut sums = Vec::with_capacity(nodes.len());
        for node in nodes {
            let at = |column: Option<&[u64]>| column.map_or(0, |values| values[node]);
            let count = self.rows(node).saturating_sub(at(absent));
            if count == 0 {
                return Ok(None);
            }
            let value = floats.map_or(0.0, |values| values[node]);
            sums.push((stepped(value, steps.map_or(0, |values| values[node])), count));
        }
        Ok(Some(sums))
    }
}
