//! Windows that a policy is asked about, and what becomes of its plan: parts of the comparison, one after the other.

use crate::compare::{Item, Look, Nodes, Scope};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use tidelog_model::policy::{Action, Checked, Side, WINDOWS_MAX};
use tidelog_model::{Level, TimeRange};

/// So many windows are repaired before the budget is looked at again.
const BATCH_WINDOWS: usize = 32;
/// A stretch of which one side has nothing is planned by days, or by thirty days when it is longer than that many days.
const DAYS_MAX: i64 = 366;
/// Of so few devices each is weighed for itself; of more, all that there are in the window.
const DEVICES_WEIGHED_MAX: usize = 32;
const DAY: i64 = 86_400_000_000_000;

/// A window that differed at the first look.
#[derive(Clone, Debug)]
pub(crate) struct Window {
    pub(crate) scope: Scope,
    pub(crate) range: TimeRange,
    /// The devices that differ, and whether both sides have something of them; none: all of the range.
    devices: Vec<(String, bool)>,
    pub(crate) ours: Side,
    pub(crate) theirs: Side,
}

impl Window {
    /// So many devices differ; 0: it is not known how many.
    pub(crate) fn devices(&self) -> u32 {
        self.devices.len() as u32
    }

    /// Asks for rollups: of whole days by day, else by leaf windows.
    pub(crate) fn borrow(self) -> Item {
        let Window { scope, range, .. } = self;
        let days = range.first().rem_euclid(DAY) == 0 && range.last().wrapping_add(1) % DAY == 0;
        let level = if days { Level::Day } else { Level::Window };
        Item::Nodes { scope, nodes: Nodes::Borrow { level, range, after: None } }
    }

    fn item(self) -> Item {
        let Window { scope, range, devices, .. } = self;
        Item::Suspects { scope, range, devices }
    }
}

/// Windows on their way to a policy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Pending {
    pub(crate) windows: Vec<Window>,
}

/// A part of a plan.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) look: Look,
    pub(crate) items: Vec<Item>,
    /// It is repaired whatever the budget says.
    pub(crate) overdue: bool,
}

/// What a plan comes to.
#[derive(Debug, Default)]
pub(crate) struct Decided {
    pub(crate) batches: VecDeque<Batch>,
    /// Windows whose rollups are borrowed.
    pub(crate) borrow: Vec<Window>,
    /// Windows in which something may be left.
    pub(crate) left: u64,
    /// When the first of them is to be looked at again, in milliseconds since the Unix epoch, as the plan says.
    pub(crate) until: Option<u64>,
    /// Peers that windows are left to.
    pub(crate) elsewhere: BTreeSet<u32>,
}

impl Pending {
    /// Takes as many windows as a policy is asked about at once, in order; the others stay.
    pub(crate) fn take(suspects: &mut Vec<Item>) -> Self {
        let mut windows: BTreeMap<(Scope, i64, i64), Window> = BTreeMap::new();
        let mut rest = Vec::new();
        for item in suspects.drain(..).flat_map(by_days) {
            let Item::Suspects { scope, range, devices } = item else { continue };
            let key = (scope.clone(), range.first(), range.last());
            if windows.len() == WINDOWS_MAX && !windows.contains_key(&key) {
                put_back(&mut rest, scope, range, devices);
                continue;
            }
            let (ours, theirs) = (Side::default(), Side::default());
            let all = devices.is_empty();
            let empty = Window { scope, range, devices: Vec::new(), ours, theirs };
            let is_new = !windows.contains_key(&key);
            let window = windows.entry(key).or_insert(empty);
            if all || !is_new && window.devices.is_empty() {
                window.devices.clear();
            } else {
                window.devices.extend(devices);
            }
        }
        *suspects = rest;
        Pending { windows: windows.into_values().collect() }
    }

    /// What is to be weighed.
    pub(crate) fn items(&self) -> Vec<Item> {
        let item = |window: &Window| {
            let few = window.devices.len() <= DEVICES_WEIGHED_MAX;
            let devices = if few { window.devices.clone() } else { Vec::new() };
            Item::Suspects { scope: window.scope.clone(), range: window.range, devices }
        };
        self.windows.iter().map(item).collect()
    }

    /// Carries out a plan that was checked, in a comparison with the peer `here` of its round.
    pub(crate) fn decide(self, checked: &Checked, here: u32) -> Decided {
        let mut decided = Decided::default();
        let mut windows: Vec<Option<Window>> = self.windows.into_iter().map(Some).collect();
        for (at, step) in checked.steps.iter().enumerate() {
            let window = windows.get_mut(step.window as usize).and_then(Option::take);
            let Some(window) = window else { continue };
            let overdue = at < checked.overdue;
            if step.peer != here {
                decided.elsewhere.insert(step.peer);
                decided.left += 1;
                continue;
            }
            match step.action {
                Action::Both => decided.push(Look::Second, window, overdue),
                Action::Pull => decided.push(Look::Pull, window, overdue),
                Action::Push => decided.push(Look::Push, window, overdue),
                Action::Rollups => decided.borrow.push(window),
                Action::Defer(until) => {
                    let known = decided.until.unwrap_or(u64::MAX);
                    decided.until = Some(known.min(until));
                }
                Action::Skip => {}
            }
            // The other direction may differ, too.
            decided.left += u64::from(step.action != Action::Both);
        }
        decided.left += windows.iter().flatten().count() as u64;
        decided
    }
}

impl Decided {
    fn push(&mut self, look: Look, window: Window, overdue: bool) {
        match self.batches.back_mut() {
            Some(last)
                if last.look == look
                    && last.overdue == overdue
                    && last.items.len() < BATCH_WINDOWS =>
            {
                last.items.push(window.item());
            }
            _ => {
                let items = alloc::vec![window.item()];
                self.batches.push_back(Batch { look, items, overdue });
            }
        }
    }
}

/// What waits for the next round; parts of one stretch together, as they were.
fn put_back(rest: &mut Vec<Item>, scope: Scope, part: TimeRange, devices: Vec<(String, bool)>) {
    if let Some(Item::Suspects { scope: own, range, devices: none }) = rest.last_mut()
        && *own == scope
        && none.is_empty()
        && devices.is_empty()
        && range.last().checked_add(1) == Some(part.first())
    {
        *range = range.hull(part);
        return;
    }
    rest.push(Item::Suspects { scope, range: part, devices });
}

/// A long stretch in parts that begin and end with UTC days.
fn by_days(item: Item) -> Vec<Item> {
    let Item::Suspects { scope, range, devices } = item else { return Vec::new() };
    let days = range.last().div_euclid(DAY) - range.first().div_euclid(DAY) + 1;
    if days <= 1 || !devices.is_empty() || days > DAYS_MAX * 100 {
        return alloc::vec![Item::Suspects { scope, range, devices }];
    }
    let width = if days > DAYS_MAX { 30 * DAY } else { DAY };
    let mut parts = Vec::new();
    let mut first = range.first();
    loop {
        let next = (first.div_euclid(width) + 1).checked_mul(width);
        let last = next.map_or(i64::MAX, |next| next - 1).min(range.last());
        if let Some(range) = TimeRange::inclusive(first, last) {
            parts.push(Item::Suspects { scope: scope.clone(), range, devices: Vec::new() });
        }
        if last == range.last() {
            return parts;
        }
        first = last + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec;
    use tidelog_model::{CollectionName, GroupId};

    fn stretch(first: i64, last: i64) -> Item {
        let collection = CollectionName::parse("plant.air").unwrap();
        let range = TimeRange::inclusive(first, last).unwrap();
        Item::Suspects { scope: Scope { group: GroupId(0), collection }, range, devices: vec![] }
    }

    #[test]
    fn long_stretches_are_planned_in_parts_that_cover_them_once() {
        for (first, last) in [
            (5 * DAY + 7, 9 * DAY),
            (-3 * DAY, 400 * DAY - 1),
            (i64::MAX - 40 * DAY, i64::MAX),
            (i64::MAX - 2 * DAY, i64::MAX - 1),
            (i64::MIN, i64::MIN + 40 * DAY),
            (i64::MIN, i64::MAX),
            (8, 8),
        ] {
            let mut next = Some(first);
            for part in by_days(stretch(first, last)) {
                let Item::Suspects { range, .. } = part else { panic!("{part:?}") };
                assert_eq!(Some(range.first()), next);
                next = range.last().checked_add(1);
            }
            assert_eq!(next, last.checked_add(1));
        }
    }

    #[test]
    fn a_round_takes_a_thousand_windows_and_leaves_the_others() {
        let mut suspects: Vec<Item> = vec![stretch(0, 1_200 * 30 * DAY - 1), stretch(-DAY, -1)];
        let (mut rounds, mut planned) = (Vec::new(), Vec::new());
        while !suspects.is_empty() {
            let pending = Pending::take(&mut suspects);
            rounds.push(pending.windows.len());
            planned.extend(pending.windows.iter().map(|window| window.range));
        }
        assert_eq!(rounds, [WINDOWS_MAX, 201]);
        planned.sort_by_key(|range| range.first());
        let touch = |pair: &[TimeRange]| pair[0].last() + 1 == pair[1].first();
        assert!(planned.windows(2).all(touch), "each once");
        assert_eq!(planned[0].hull(planned[1_200]).first(), -DAY);
    }
}
