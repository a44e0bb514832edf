//! The names in one directory: what the process sees, what surely survives, what is in between.
//!
//! Any subset of the un-synced changes may survive, as long as the directory stays one: a change of
//! a name survives only with the earlier changes of the same name. So a rename happened or did not,
//! and no file loses its name to one that was made after it was moved away.

use super::journal::{Fate, Journal, Pending, Sequence};
use std::collections::BTreeMap;

/// A file or directory, whatever its name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct NodeId(pub(super) u64);

pub(super) type Entries = BTreeMap<String, NodeId>;

/// One change of a directory, and the changes without which it does not survive.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) effect: Effect,
    pub(super) needs: Vec<(NodeId, Sequence)>,
}

#[derive(Clone, Debug)]
pub(super) enum Effect {
    /// A name for a node: created, or moved here from another directory.
    Add { name: String, node: NodeId },
    /// A name less: removed, or moved to another directory.
    Drop { name: String },
    /// Another name for a node; what had it before is gone.
    Move { from: String, to: String, node: NodeId },
}

impl Effect {
    fn touches(&self, name: &str) -> bool {
        match self {
            Effect::Add { name: own, .. } | Effect::Drop { name: own } => own == name,
            Effect::Move { from, to, .. } => from == name || to == name,
        }
    }

    fn apply(&self, entries: &mut Entries) {
        match self {
            Effect::Add { name, node } => {
                entries.insert(name.clone(), *node);
            }
            Effect::Drop { name } => {
                entries.remove(name);
            }
            Effect::Move { from, to, node } => {
                entries.remove(from);
                entries.insert(to.clone(), *node);
            }
        }
    }
}

/// The names of a directory.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    pub(super) live: Entries,
    durable: Entries,
    pub(super) changes: Journal<Change>,
}

impl Directory {
    /// A directory that is durable as it is.
    pub(super) fn settled(entries: Entries) -> Self {
        Directory { live: entries.clone(), durable: entries, changes: Journal::new() }
    }

    /// Makes a change, which also needs `other` (of another directory) to survive.
    pub(super) fn change(
        &mut self,
        own: NodeId,
        sequence: Sequence,
        effect: Effect,
        other: Option<(NodeId, Sequence)>,
    ) {
        let names = match &effect {
            Effect::Add { name, .. } | Effect::Drop { name } => vec![name],
            Effect::Move { from, to, .. } => vec![from, to],
        };
        let earlier = names.into_iter().filter_map(|name| {
            self.changes.iter().rev().find(|pending| pending.op.effect.touches(name))
        });
        let needs = earlier.map(|pending| (own, pending.sequence)).chain(other).collect();
        effect.apply(&mut self.live);
        self.changes.push(sequence, Change { effect, needs });
    }

    /// Applies the leading changes that survive for sure.
    pub(super) fn collapse(&mut self) {
        for pending in self.changes.take_certain() {
            pending.op.effect.apply(&mut self.durable);
        }
    }

    /// The names after a crash.
    pub(super) fn after_crash(&self, survives: impl Fn(&Pending<Change>) -> bool) -> Entries {
        let mut entries = self.durable.clone();
        for pending in self.changes.iter() {
            if pending.fate == Fate::Certain || survives(pending) {
                pending.op.effect.apply(&mut entries);
            }
        }
        entries
    }

    /// Every node that any crash state, or the process, may find here.
    pub(super) fn all_nodes(&self) -> impl Iterator<Item = NodeId> + '_ {
        let pending = self.changes.iter().filter_map(|pending| match &pending.op.effect {
            Effect::Add { node, .. } | Effect::Move { node, .. } => Some(*node),
            Effect::Drop { .. } => None,
        });
        self.live.values().chain(self.durable.values()).copied().chain(pending)
    }
}
