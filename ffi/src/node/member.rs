//! Replicas that are forgotten, groups that are given up, epochs that are behind.

use super::OpenNode;
use crate::block::Table;
use crate::fault::Fault;
use std::path::Path;
use tidelog_engine::FieldType::U64;
use tidelog_engine::{GroupId, Store, ValueRef};
use tidelog_replica::topology::FileTopology;

/// Forgets a replica where no node runs.
pub fn forget(store: &Store, config: &Path, who: &str) -> Result<[u8; 16], Fault> {
    Ok(tidelog_replica::forget(store, &FileTopology::load(config)?, who)?.0)
}

impl OpenNode {
    pub fn forget(&self, who: &str) -> Result<[u8; 16], Fault> {
        Ok(self.wait(async |node| node.forget(who).await)??.0)
    }

    /// Rows and bytes that were removed.
    pub fn drop_group(&self, group: u32) -> Result<(u64, u64), Fault> {
        let gone = self.wait(async |node| node.drop_group(GroupId(group)).await)??;
        Ok((gone.rows(), gone.bytes()))
    }

    pub fn behind(&self) -> Result<Table, Fault> {
        let mut table = Table::new(&[("group", U64), ("epoch", U64), ("seen", U64)]);
        for one in self.stands()?.behind {
            let number = |number: u64| Some(ValueRef::U64(number));
            table.push(&[number(one.group.0.into()), number(one.epoch.0), number(one.seen.0)]);
        }
        Ok(table)
    }
}
