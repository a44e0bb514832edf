//! What a peer may see and send.

use std::sync::Arc;
use tidelog_model::GroupId;

/// Asked for a group, which what concerns a whole database does not have, and a database.
type Rule = dyn Fn(Option<GroupId>, &str) -> bool + Send + Sync;

/// See the module documentation.
#[derive(Clone)]
pub enum Access {
    /// Everything.
    All,
    /// Every database in some groups.
    Groups(Arc<dyn Fn(GroupId) -> bool + Send + Sync>),
    /// Some databases in some groups. Deletes, schemas and options have no group.
    Databases(Arc<Rule>),
}

impl Access {
    /// May it see and send this database in a group, or what of a database has no group?
    #[must_use]
    pub fn allows(&self, group: Option<GroupId>, database: &str) -> bool {
        match self {
            Access::All => true,
            Access::Groups(allowed) => group.is_none_or(|group| allowed(group)),
            Access::Databases(allowed) => allowed(group, database),
        }
    }

    /// The same for every database of a group, where that does not depend on the database.
    pub(super) fn of_group(&self, group: GroupId) -> Option<bool> {
        match self {
            Access::All => Some(true),
            Access::Groups(allowed) => Some(allowed(group)),
            Access::Databases(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::{Bridge, PinBudget};
    use tidelog_engine::{Batch, CollectionName, Delete, Durability, Store};
    use tidelog_model::{Horizon, Position, StoreId};
    use tidelog_protocol::compare::{Item, Look, Pace, Scope};
    use tidelog_protocol::{Answer, Ask, FailureKind, Portion, View};

    const MINE: &str = "plant.boiler";
    const OTHER: &str = "secret.boiler";

    /// A store with a row and a delete in each of two databases.
    fn store(directory: &tempfile::TempDir) -> (Store, Position) {
        let store = Store::open(directory.path()).unwrap();
        let begin = store.position().unwrap();
        for name in [MINE, OTHER] {
            let mut batch = Batch::new(name).unwrap();
            batch.push("d", 1_000, [("level", 1.0)]).unwrap();
            store.write(&batch, Durability::Sync).unwrap();
            let name = CollectionName::parse(name).unwrap();
            store.delete(&Delete::collection(&name)).unwrap();
            store.write(&batch, Durability::Sync).unwrap();
        }
        (store, begin)
    }

    fn view() -> View {
        let (peer, horizon) = (StoreId([7; 16]), Horizon::default());
        View { peer, session: 0, epoch: 0, horizon, salt: 1 }
    }

    fn bridge(store: &Store, access: Access) -> Bridge {
        Bridge::new(store.clone(), PinBudget::default()).allowing(access)
    }

    fn plant_only() -> Access {
        Access::Databases(Arc::new(|_, database| database == "plant"))
    }

    fn tail_of(bridge: &mut Bridge, from: Position) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let groups = (0..64).map(GroupId).collect();
        let portion = Portion::default();
        let ask = Ask::Tail { peer: view().peer, from, groups, portion };
        match bridge.answer(ask) {
            Some(Answer::Tail { tombstones, batches, .. }) => (tombstones, batches),
            other => panic!("{other:?}"),
        }
    }

    fn is_refused(answer: Option<Answer>) -> bool {
        matches!(answer, Some(Answer::Failed(failure)) if failure.kind == FailureKind::Peer)
    }

    #[test]
    fn a_peer_sees_and_sends_only_what_it_may() {
        let places = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let ((here, begin), (there, begun)) = (store(&places[0]), store(&places[1]));
        let (mut all, mut some) = (bridge(&here, Access::All), bridge(&here, plant_only()));
        let (deletes, rows) = tail_of(&mut all, begin);
        assert_eq!((deletes.len(), rows.len()), (2, 4));
        let (deletes, rows) = tail_of(&mut some, begin);
        assert_eq!((deletes.len(), rows.len()), (1, 2));
        let parts_of = |bridge: &mut Bridge| match bridge
            .answer(Ask::State { peer: view().peer, horizon: Horizon::default() })
        {
            Some(Answer::State(parts)) => parts,
            other => panic!("{other:?}"),
        };
        let parts = parts_of(&mut all);
        assert_eq!(parts_of(&mut some).len() * 2, parts.len());
        let summary = |bridge: &mut Bridge| {
            let groups = (0..here.group_count()).map(GroupId).collect();
            bridge.answer(Ask::Summary { view: view(), groups })
        };
        assert_ne!(summary(&mut all), summary(&mut some));
        // What it may not send comes in by no way.
        let (deletes, rows) = tail_of(&mut bridge(&there, Access::All), begun);
        let mut gate = bridge(&here, plant_only());
        let apply = |tombstones: &[Vec<u8>], batches: &[Vec<u8>]| Ask::Apply {
            peer: view().peer,
            cursor: None,
            tombstones: tombstones.to_vec(),
            batches: batches.to_vec(),
        };
        assert!(is_refused(gate.answer(apply(&[], &rows))));
        assert!(is_refused(gate.answer(apply(&deletes, &[]))));
        assert!(is_refused(gate.answer(Ask::TakeState { peer: view().peer, parts })));
        let (look, bytes_max) = (Look::Second, 1 << 20);
        let pace = Pace { look, eager: false, bytes_max, from: i64::MIN };
        let items = vec![Item::Rows { contested: false, archives: rows.clone() }];
        assert!(is_refused(gate.answer(Ask::Step { view: view(), pace, items })));
        let applied = here.stats().rows_applied;
        assert_eq!(applied, 0);
        let may: Vec<Vec<u8>> = tail_of(&mut bridge(&there, plant_only()), begun).1;
        assert!(matches!(gate.answer(apply(&[], &may)), Some(Answer::Applied { rows: 2 })));
        // Of a group that is not shared nothing comes in either.
        let none = Access::Groups(Arc::new(|_| false));
        assert!(is_refused(bridge(&here, none).answer(apply(&[], &may))));
        let name = CollectionName::parse(OTHER).unwrap();
        let want = |group| Item::WantRange {
            scope: Scope { group: GroupId(group), collection: name.clone() },
            device: None,
            range: tidelog_model::TimeRange::ALL,
            after: None,
        };
        let items: Vec<Item> = (0..here.group_count()).map(want).collect();
        let ask = Ask::Step { view: view(), pace, items };
        let given = bridge(&here, Access::All).answer(ask.clone());
        assert!(matches!(given, Some(Answer::Stepped(step)) if step.counts.rows_sent == 1));
        assert!(is_refused(bridge(&here, plant_only()).answer(ask)));
    }
}
