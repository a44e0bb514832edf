//! Cutting rows that come in slices into the blocks that are folded and hashed: whole leaves, and
//! longer ones in blocks of [`BLOCK_ROWS`]. Where slices end never shows.

use super::BLOCK_ROWS;
use crate::rows::{Cells, SeriesRows, Versions};
use std::ops::Range;
use tidelog_model::{Bitmap, Column};

/// Gets blocks in order of time.
pub(crate) trait BlockSink {
    /// Some rows of the stretch that is open.
    fn block(&mut self, times: &[i64], columns: &[Option<Cells>], rows: Range<usize>);
}

/// Holds back rows of a stretch until they make a block, or the stretch is over.
#[derive(Debug, Default)]
pub(crate) struct Blocks {
    held: Option<SeriesRows>,
    /// Memory of what was held before.
    spare: Option<SeriesRows>,
}

impl Blocks {
    /// Adds rows of the open stretch. `ends` says that no more will come, which spares a copy.
    pub(crate) fn push(
        &mut self,
        rows: &SeriesRows,
        mut range: Range<usize>,
        ends: bool,
        sink: &mut impl BlockSink,
    ) {
        if let Some(held) = &mut self.held {
            let room = (BLOCK_ROWS - held.len()).min(range.len());
            append(held, rows, range.start..range.start + room);
            range.start += room;
            if held.len() < BLOCK_ROWS && !ends {
                return;
            }
            sink.block(&held.times, &held.columns, 0..held.len());
            self.spare = self.held.take();
        }
        while range.len() >= BLOCK_ROWS || (ends && !range.is_empty()) {
            let end = range.end.min(range.start + BLOCK_ROWS);
            sink.block(&rows.times, &rows.columns, range.start..end);
            range.start = end;
        }
        if !range.is_empty() {
            let mut held = self.empty(rows);
            append(&mut held, rows, range);
            self.held = Some(held);
        }
    }

    /// The stretch is over: what is held is its last block.
    pub(crate) fn end(&mut self, sink: &mut impl BlockSink) {
        if let Some(held) = self.held.take() {
            sink.block(&held.times, &held.columns, 0..held.len());
            self.spare = Some(held);
        }
    }

    /// No rows, with the same columns as these.
    fn empty(&mut self, like: &SeriesRows) -> SeriesRows {
        let kind = |cells: &Option<Cells>| cells.as_ref().map(|cells| cells.column.field_type());
        let fits = |spare: &SeriesRows| {
            let columns = spare.columns.iter().map(kind);
            spare.columns.len() == like.columns.len() && columns.eq(like.columns.iter().map(kind))
        };
        match self.spare.take().filter(fits) {
            Some(mut spare) => {
                spare.times.clear();
                spare.columns.iter_mut().flatten().for_each(|cells| cells.column.clear());
                spare
            }
            None => SeriesRows {
                times: Vec::new(),
                versions: Versions::One(tidelog_model::Version::default()),
                columns: vec![None; like.columns.len()],
            },
        }
    }
}

/// Appends rows without their versions.
fn append(held: &mut SeriesRows, rows: &SeriesRows, range: Range<usize>) {
    let before = held.times.len();
    held.times.extend_from_slice(&rows.times[range.clone()]);
    for (mine, theirs) in held.columns.iter_mut().zip(&rows.columns) {
        match (&mut *mine, theirs) {
            (Some(cells), Some(more)) => {
                cells.column.extend_from(&more.column, range.start, range.end);
            }
            (Some(cells), None) => cells.column.pad(held.times.len()),
            (None, Some(more)) => {
                let mut column = Column::new(more.column.field_type());
                column.pad(before);
                column.extend_from(&more.column, range.start, range.end);
                *mine = Some(Cells { column, versions: None });
            }
            (None, None) => {}
        }
    }
}

/// The rows that a filter keeps, without their versions.
pub(crate) fn kept(rows: &SeriesRows, keep: &Bitmap) -> SeriesRows {
    let order: Vec<usize> = (0..rows.len()).filter(|row| keep.at(*row)).collect();
    let pick = |cells: &Cells| {
        let mut column = Column::new(cells.column.field_type());
        for row in &order {
            match cells.column.at(*row) {
                Some(value) => {
                    column.push(value);
                }
                None => column.push_absent(),
            }
        }
        Cells { column, versions: None }
    };
    SeriesRows {
        times: order.iter().map(|row| rows.times[*row]).collect(),
        versions: Versions::One(tidelog_model::Version::default()),
        columns: rows.columns.iter().map(|cells| cells.as_ref().map(pick)).collect(),
    }
}
