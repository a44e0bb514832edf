//! What a peer may do: a right, for a group, in a database.

use super::Selection;
use std::collections::BTreeSet;
use tidelog_model::GroupId;

/// Something that a peer may be let do.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum Right {
    /// Send us its log, and be sent ours.
    Replicate,
    /// Be given whole files.
    Snapshot,
    /// Compare, and send and be sent what differs.
    Repair,
}

impl Right {
    /// Every one.
    pub const ALL: [Right; 3] = [Right::Replicate, Right::Snapshot, Right::Repair];

    /// As configuration spells it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Right::Replicate => "replicate",
            Right::Snapshot => "snapshot",
            Right::Repair => "repair",
        }
    }
}

/// What one peer may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Rights {
    /// Which acts.
    pub rights: BTreeSet<Right>,
    /// In which groups.
    pub groups: Selection<GroupId>,
    /// In which databases.
    pub databases: Selection<String>,
}

impl Rights {
    /// Everything, everywhere.
    #[must_use]
    pub fn all() -> Self {
        Rights { rights: Right::ALL.into(), groups: Selection::All, databases: Selection::All }
    }

    /// May the peer do this, for this group, in this database? What is not listed is not allowed.
    #[must_use]
    pub fn allows(&self, right: Right, group: GroupId, database: &str) -> bool {
        self.rights.contains(&right)
            && self.groups.contains(&group)
            && self.databases.contains(database)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_needs_the_act_the_group_and_the_database() {
        let rights = Rights {
            rights: [Right::Repair].into(),
            groups: Selection::Only([GroupId(1)].into()),
            databases: Selection::Only(["plant".to_owned()].into()),
        };
        for right in Right::ALL {
            for group in 0..3 {
                for database in ["plant", "plan", "plants", ""] {
                    let one = right == Right::Repair && group == 1 && database == "plant";
                    assert_eq!(rights.allows(right, GroupId(group), database), one);
                    assert!(Rights::all().allows(right, GroupId(group), database));
                }
            }
        }
        let none = Rights { rights: BTreeSet::new(), ..Rights::all() };
        assert!(!none.allows(Right::Replicate, GroupId(0), "plant"));
    }
}
