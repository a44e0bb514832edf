//! Rounds and plans of the model as the records of the WIT package, and back.

use crate::bindings::exports::tidelog::policy::repair::PolicyError as WitError;
use crate::bindings::tidelog::policy::types::{self as wit, Action as WitAction};
use crate::log::one_line;
use crate::windows::{Told, Window};
use std::collections::HashMap;
use tidelog_model::policy::{
    Action, Cost, Divergence, PeerFacts, PolicyError, PolicyErrorKind, Round, Side, Step,
};
use tidelog_model::{CollectionName, StoreId};

/// What a policy is told. Names of collections stand once each: a text costs more than the rest of a window.
pub(crate) fn round(round: &Round) -> Told {
    let mut names = Names::default();
    let windows = round.windows.iter().map(|one| Window::new(&window(one, &mut names))).collect();
    Told {
        now: round.now,
        peer: round.peer,
        budget: round.budget,
        max_deferral: round.max_deferral,
        collections: names.list,
        peers: round.peers.iter().map(peer).collect(),
        windows,
    }
}

/// The same as a record of the WIT package throughout.
#[cfg(test)]
pub(crate) fn record(round: &Round) -> crate::bindings::exports::tidelog::policy::repair::Round {
    let mut names = Names::default();
    let windows = round.windows.iter().map(|one| window(one, &mut names)).collect();
    let Told { now, peer, budget, max_deferral, collections, peers, .. } = self::round(round);
    wit::Round { now, peer, budget, max_deferral, collections, peers, windows }
}

/// What it says.
pub(crate) fn steps(plan: Vec<wit::Step>) -> Vec<Step> {
    let action = |action| match action {
        WitAction::Pull => Action::Pull,
        WitAction::Push => Action::Push,
        WitAction::Both => Action::Both,
        WitAction::Rollups => Action::Rollups,
        WitAction::Defer(until) => Action::Defer(until),
        WitAction::Skip => Action::Skip,
    };
    plan.into_iter()
        .map(|step| Step { window: step.window, action: action(step.action), peer: step.peer })
        .collect()
}

/// Why it says nothing.
pub(crate) fn error(error: WitError) -> PolicyError {
    let (kind, text) = match error {
        WitError::Unsupported(text) => (PolicyErrorKind::Unsupported, text),
        WitError::InvalidInput(text) => (PolicyErrorKind::InvalidInput, text),
        WitError::Internal(text) => (PolicyErrorKind::Internal, text),
    };
    PolicyError::new(kind, one_line(&text))
}

#[derive(Default)]
struct Names<'a> {
    list: Vec<String>,
    known: HashMap<&'a CollectionName, u32>,
    last: Option<(&'a CollectionName, u32)>,
}

impl<'a> Names<'a> {
    fn index(&mut self, name: &'a CollectionName) -> u32 {
        // Windows come in order of their collections.
        if let Some((_, index)) = self.last.filter(|(last, _)| *last == name) {
            return index;
        }
        let list = &mut self.list;
        let index = *self.known.entry(name).or_insert_with(|| {
            list.push(name.to_string());
            list.len() as u32 - 1
        });
        self.last = Some((name, index));
        index
    }
}

fn window<'a>(one: &'a Divergence, names: &mut Names<'a>) -> wit::Divergence {
    let side = |Side { rows, bytes }| wit::Side { rows, bytes };
    wit::Divergence {
        group: one.group.0,
        collection: names.index(&one.collection),
        first: one.range.first(),
        last: one.range.last(),
        devices: one.devices,
        ours: side(one.ours),
        theirs: side(one.theirs),
        age: one.age,
        borrowed: one.borrowed,
    }
}

fn peer(one: &PeerFacts) -> wit::PeerFacts {
    wit::PeerFacts {
        store: store_id(one.store),
        up: one.up,
        cost: match one.cost {
            Cost::Free => wit::Cost::Free,
            Cost::Metered => wit::Cost::Metered,
        },
        rtt: one.rtt,
        lag: one.lag,
        agreed: one.agreed,
    }
}

fn store_id(StoreId(bytes): StoreId) -> wit::StoreId {
    let number = u128::from_be_bytes(bytes);
    wit::StoreId { high: (number >> 64) as u64, low: number as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_model::{GroupId, TimeRange};

    fn window_of(collection: &str) -> Divergence {
        Divergence {
            group: GroupId(3),
            collection: CollectionName::parse(collection).unwrap(),
            range: TimeRange::inclusive(-5, 9).unwrap(),
            devices: 7,
            ours: Side { rows: 1, bytes: 2 },
            theirs: Side { rows: 3, bytes: 4 },
            age: 6,
            borrowed: true,
        }
    }

    #[test]
    fn each_name_stands_once_and_every_window_finds_its_own() {
        let names = ["a.b", "a.b", "a.c", "a.b", "a.d.e"];
        let windows = names.iter().map(|name| window_of(name)).collect();
        let wit = record(&Round { windows, ..Round::default() });
        assert_eq!(wit.collections, ["a.b", "a.c", "a.d.e"]);
        let found = wit.windows.iter().map(|one| wit.collections[one.collection as usize].as_str());
        assert_eq!(found.collect::<Vec<_>>(), names);
        let one = &wit.windows[0];
        assert_eq!((one.group, one.first, one.last, one.devices), (3, -5, 9, 7));
        assert_eq!(
            (one.ours.rows, one.ours.bytes, one.theirs.rows, one.theirs.bytes),
            (1, 2, 3, 4)
        );
        assert_eq!((one.age, one.borrowed), (6, true));
    }

    #[test]
    fn a_store_id_is_two_big_endian_numbers() {
        let mut bytes = [0; 16];
        bytes[..9].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 9]);
        let id = store_id(StoreId(bytes));
        assert_eq!((id.high, id.low), (0x0102_0304_0506_0708, 0x0900_0000_0000_0000));
    }
}
