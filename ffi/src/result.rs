//! Results: a stream of blocks of one shape, from a query or made here.

use crate::block::{Block, Shape, Table};
use crate::fault::Fault;
use std::sync::Arc;
use tidelog_engine::{Answer, AnswerField, Canceller, Explain, RowBatch};

/// Rows that are drawn block by block.
#[derive(Debug)]
pub struct Rows {
    pub shape: Arc<Shape>,
    source: Source,
    /// What ended it too early: said again and again, so that nobody takes what came before for all.
    failed: Option<Fault>,
}

#[derive(Debug)]
enum Source {
    Answer(Box<Answer>),
    Ready(Option<Block>),
}

impl Rows {
    pub fn of_answer(answer: Answer, devices: bool) -> Self {
        let fields = answer.fields().to_vec();
        let shape = Arc::new(Shape { devices, times: true, fields });
        Rows { shape, source: Source::Answer(Box::new(answer)), failed: None }
    }

    /// All of them at once, by device and time.
    pub fn of_batch(fields: Vec<AnswerField>, batch: RowBatch) -> Self {
        let shape = Arc::new(Shape { devices: true, times: true, fields });
        Rows { shape, source: Source::Ready(Some(Block::of_answer(batch))), failed: None }
    }

    /// One block.
    pub fn of_block(shape: Shape, block: Block) -> Self {
        Rows { shape: Arc::new(shape), source: Source::Ready(Some(block)), failed: None }
    }

    pub fn of_table(table: Table) -> Self {
        let (shape, block) = table.into_parts();
        Rows { shape, source: Source::Ready(Some(block)), failed: None }
    }

    /// Nothing.
    pub fn none() -> Self {
        Rows::of_table(Table::new(&[]))
    }

    /// The next rows, at least one; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, Fault> {
        match &self.failed {
            Some(fault) => Err(fault.clone()),
            None => self.draw().inspect_err(|fault| self.failed = Some(fault.clone())),
        }
    }

    fn draw(&mut self) -> Result<Option<Block>, Fault> {
        loop {
            let block = match &mut self.source {
                Source::Answer(answer) => answer.next().transpose()?.map(Block::of_answer),
                Source::Ready(block) => block.take(),
            };
            match block {
                Some(block) if block.rows == 0 => {}
                other => return Ok(other),
            }
        }
    }

    pub fn canceller(&self) -> Option<Canceller> {
        match &self.source {
            Source::Answer(answer) => Some(answer.canceller()),
            Source::Ready(_) => None,
        }
    }

    pub fn explain(&self) -> Option<Explain> {
        match &self.source {
            Source::Answer(answer) => Some(answer.explain()),
            Source::Ready(_) => None,
        }
    }
}
