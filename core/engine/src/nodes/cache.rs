//! Blocks of nodes, kept while they fit a budget.

use super::block::{Columns, NodeBlock};
use super::reader::NodeFile;
use crate::group::{Cache, ReadError};
use std::sync::Arc;

/// By file, section and number of the block. It holds no file open.
pub(crate) type NodeCache = Cache<Columns>;

impl NodeCache {
    /// A block, read from the file if it is not here.
    pub(crate) fn block(
        &self,
        file: &Arc<NodeFile>,
        section: u32,
        number: u32,
    ) -> Result<NodeBlock, ReadError> {
        let columns = self.get((file.id(), section, number), || file.columns(section, number))?;
        Ok(NodeBlock { file: Arc::clone(file), section, columns })
    }
}
