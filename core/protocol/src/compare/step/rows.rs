//! The rows of one series: which are printed, which are wanted, which go.

use super::{Look, Stepper};
use crate::compare::difference::Difference;
use crate::compare::item::{Item, Print, Scope};
use crate::compare::source::{More, Pack, Packed, Source, Taken};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use tidelog_model::{Level, TimeRange};

/// Up to so many rows are printed instead of being divided into parts, while a turn says less than the bytes beside
/// it: the more a turn says, the less one turn more costs. The first line is only for when round trips cost more than bytes.
const PRINTS_AT_ONCE: [(usize, usize); 3] = [(8 << 10, 512), (128 << 10, 48), (usize::MAX, 16)];

impl<S: Source> Stepper<'_, S> {
    /// Rows first, all in one: one fsync serves them.
    pub(super) fn take_rows(&mut self) -> Result<(), S::Error> {
        for contested in [false, true] {
            let mut all = Vec::new();
            self.step.rest.retain_mut(|item| match item {
                Item::Rows { contested: own, archives } if *own == contested => {
                    all.append(archives);
                    false
                }
                _ => true,
            });
            if all.is_empty() {
                continue;
            }
            let (Taken { rows, below_cut, ahead }, back) = self.source.take(&all, contested)?;
            self.step.counts.rows_taken += rows;
            self.step.counts.below_cut += below_cut;
            self.step.counts.ahead += ahead;
            if self.look.gives() {
                self.send(false, back);
            }
        }
        Ok(())
    }

    pub(super) fn send(&mut self, contested: bool, packed: Packed) {
        if packed.archives.is_empty() {
            return;
        }
        self.step.counts.rows_sent += packed.rows;
        self.step.counts.row_bytes_sent +=
            packed.archives.iter().map(|archive| archive.len() as u64).sum::<u64>();
        self.say(Item::Rows { contested, archives: packed.archives });
    }

    /// Says which rows a series has in a range, in part or by prints. Where differences are dense, dividing saves nothing.
    pub(super) fn claim_rows(
        &mut self,
        scope: &Scope,
        device: String,
        range: TimeRange,
        dense: bool,
    ) -> Result<(), S::Error> {
        let rows = self.source.prints(scope, &device, range)?;
        let scope = scope.clone();
        let mut limits = PRINTS_AT_ONCE.iter().skip(usize::from(!self.eager));
        let limit = limits.find(|(bytes, _)| dense || self.bytes < *bytes);
        let at_once = limit.map_or(0, |(_, rows)| *rows);
        let at_once = if self.look == Look::Tell { usize::MAX } else { at_once };
        if rows.len() <= at_once || range.first() == range.last() {
            let rows = rows.into_iter().map(|(print, _)| print).collect();
            self.say(Item::Prints { scope, device, range, rows });
        } else {
            let entries = parts_of(range, &rows).map(|part| part.1);
            self.say(Item::Parts { scope, device, range, entries });
        }
        Ok(())
    }

    pub(super) fn parts(
        &mut self,
        scope: Scope,
        device: String,
        range: TimeRange,
        theirs: &[u32; 16],
    ) -> Result<(), S::Error> {
        let rows = self.source.prints(&scope, &device, range)?;
        let ours = parts_of(range, &rows);
        let differing = ours.iter().zip(theirs).filter(|((_, own), other)| own != *other).count();
        let dense = differing > theirs.len() / 2;
        for (at, (part, own)) in ours.into_iter().enumerate() {
            if own == theirs[at] {
                continue;
            }
            let Some(part) = part else { continue };
            if own.max(theirs[at]) == HIDDEN {
                continue;
            }
            if own == 0 || theirs[at] == 0 {
                let (scope, device) = (scope.clone(), Some(device.clone()));
                let want = Item::WantRange { scope, device, range: part, after: None };
                match own == 0 {
                    true if self.look.takes() => self.say(want),
                    false if self.look.gives() => self.step.rest.push_back(want),
                    _ => {}
                }
            } else {
                self.claim_rows(&scope, device.clone(), part, dense)?;
            }
        }
        Ok(())
    }

    pub(super) fn prints(
        &mut self,
        scope: Scope,
        device: String,
        range: TimeRange,
        theirs: &[Print],
    ) -> Result<(), S::Error> {
        let ours: BTreeMap<i64, Print> = self
            .source
            .prints(&scope, &device, range)?
            .into_iter()
            .map(|(print, _)| (print.time, print))
            .collect();
        let theirs: BTreeMap<i64, Print> =
            theirs.iter().map(|print| (print.time, *print)).collect();
        if self.look == Look::Tell {
            let one = difference(scope, device, range, &ours, &theirs);
            self.say(Item::Difference(one));
            return Ok(());
        }
        let times: BTreeSet<i64> = ours.keys().chain(theirs.keys()).copied().collect();
        // What is wanted and what is given, each where only one side has a row and where both have.
        let mut want: [Vec<i64>; 2] = [vec![], vec![]];
        let mut give: [Vec<i64>; 2] = [vec![], vec![]];
        for time in times {
            match (ours.get(&time), theirs.get(&time)) {
                (Some(own), Some(other)) if own.print == other.print => {}
                (Some(own), Some(other)) if own.is_overtaken() || other.is_overtaken() => {}
                // The row that was written last goes to the other side; what wins over it there comes back.
                (Some(own), Some(other)) if own.stamp >= other.stamp => give[1].push(time),
                (Some(_), Some(_)) => want[1].push(time),
                (Some(own), None) if !own.is_hidden() => give[0].push(time),
                (None, Some(other)) if !other.is_hidden() => want[0].push(time),
                _ => {}
            }
        }
        for (contested, times) in [false, true].into_iter().zip(want) {
            if !times.is_empty() && self.look.takes() {
                let (scope, device) = (scope.clone(), device.clone());
                self.say(Item::WantTimes { scope, device, times, contested });
            }
        }
        for (contested, times) in [false, true].into_iter().zip(give) {
            if !times.is_empty() && self.look.gives() {
                let (scope, device) = (scope.clone(), device.clone());
                let item = Item::WantTimes { scope, device, times, contested };
                self.step.rest.push_back(item);
            }
        }
        Ok(())
    }

    /// Tells of all rows of a range, for the other side has none there.
    pub(super) fn tell_all(
        &mut self,
        scope: &Scope,
        only: Option<&str>,
        range: TimeRange,
    ) -> Result<(), S::Error> {
        let width = self.source.leaf(scope)?;
        for (window, _) in self.source.windows(scope, Level::Window, range)? {
            let series = self.source.series(scope, window.first())?;
            let whole = Level::Window.window_of(window.first(), width);
            let Some(part) = whole.intersection(range) else { continue };
            for (device, ..) in series {
                if only.is_some_and(|only| only != device) {
                    continue;
                }
                let rows = self.source.prints(scope, &device, part)?;
                let rows = rows.iter().filter(|(print, _)| !print.is_hidden()).count() as u64;
                let (scope, rows, extra) = (scope.clone(), (rows, 0), rows);
                let one = Difference {
                    scope,
                    device,
                    range: part,
                    rows,
                    missing: 0,
                    extra,
                    mismatched: 0,
                };
                self.say(Item::Difference(one));
            }
        }
        Ok(())
    }

    /// Sends rows that are wanted. Wishes for one tree that follow each other are granted together: rows of one write
    /// then take one archive.
    pub(super) fn give(&mut self, first: Item) -> Result<(), S::Error> {
        let Some(scope) = first.scope().cloned() else { return Ok(()) };
        let contested = is_contested(&first);
        let mut wants = alloc::vec![first];
        while let Some(next) = self.step.rest.front()
            && next.scope() == Some(&scope)
            && matches!(next, Item::WantRange { .. } | Item::WantTimes { .. })
            && is_contested(next) == contested
        {
            wants.extend(self.step.rest.pop_front());
        }
        let room = self.bytes_max.saturating_sub(self.bytes);
        let packs: Vec<Pack<'_>> = wants.iter().filter_map(pack_of).collect();
        let (packed, begun) = self.source.pack(&scope, &packs, room)?;
        let mut rest: Vec<Item> = wants.split_off(begun.min(wants.len()));
        if let (Some(more), Some(last)) = (&packed.more, wants.pop()) {
            rest.splice(0..0, rest_of(last, more));
        }
        rest.into_iter().rev().for_each(|item| self.step.rest.push_front(item));
        self.send(contested, packed);
        Ok(())
    }
}

/// How many rows differ. Of those that were overtaken nobody knows.
fn difference(
    scope: Scope,
    device: String,
    range: TimeRange,
    ours: &BTreeMap<i64, Print>,
    theirs: &BTreeMap<i64, Print>,
) -> Difference {
    let seen = |rows: &BTreeMap<i64, Print>| rows.values().filter(|row| !row.is_hidden()).count();
    let lacks = |rows: &BTreeMap<i64, Print>, other: &BTreeMap<i64, Print>| {
        other.values().filter(|row| !row.is_hidden() && !rows.contains_key(&row.time)).count()
    };
    let both = ours.iter().filter_map(|(time, own)| Some((own, theirs.get(time)?)));
    let known = both.filter(|(own, other)| !own.is_overtaken() && !other.is_overtaken());
    Difference {
        scope,
        device,
        range,
        rows: (seen(ours) as u64, seen(theirs) as u64),
        missing: lacks(ours, theirs) as u64,
        extra: lacks(theirs, ours) as u64,
        mismatched: known.filter(|(own, other)| own.print != other.print).count() as u64,
    }
}

fn is_contested(want: &Item) -> bool {
    matches!(want, Item::WantTimes { contested: true, .. })
}

fn pack_of(want: &Item) -> Option<Pack<'_>> {
    match want {
        Item::WantRange { device, range, after, .. } => Some(Pack::Range {
            device: device.as_deref(),
            range: *range,
            after: after.as_ref().map(|(device, time)| (device.as_str(), *time)),
        }),
        Item::WantTimes { device, times, .. } => Some(Pack::Times { device, times }),
        _ => None,
    }
}

/// What is left of a wish.
fn rest_of(want: Item, more: &More) -> Option<Item> {
    match want {
        Item::WantRange { scope, device, range, .. } => {
            let range = TimeRange::inclusive(more.from.max(range.first()), range.last())?;
            Some(Item::WantRange { scope, device, range, after: more.behind.clone() })
        }
        Item::WantTimes { scope, device, mut times, contested } => {
            times.retain(|time| *time >= more.from);
            Some(Item::WantTimes { scope, device, times, contested })
        }
        _ => None,
    }
}

/// The digest of a part of which nothing is seen up to the horizon; others are greater.
const HIDDEN: u32 = 1;

/// The 16 parts of a range and the digest of the prints in each; 0 where there is none.
///
/// The digest of a part is a sum of prints, which are salted hashes: it finds what differs by chance, not by design
/// of an enemy, who would only hide rows of his own.
fn parts_of(range: TimeRange, rows: &[(Print, u64)]) -> [(Option<TimeRange>, u32); 16] {
    let span = range.last().abs_diff(range.first());
    let width = (span / 16).saturating_add(1);
    let mut parts = core::array::from_fn(|at| {
        let first = range.first().checked_add_unsigned(width.saturating_mul(at as u64));
        let first = first.filter(|first| *first <= range.last());
        let last = first.map(|first| first.saturating_add_unsigned(width - 1).min(range.last()));
        (first.zip(last).and_then(|(first, last)| TimeRange::inclusive(first, last)), 0u32)
    });
    let mut sums = [None; 16];
    for (print, whole) in rows {
        let at = ((print.time.abs_diff(range.first()) / width) as usize).min(15);
        let sum = sums[at].get_or_insert((0u64, HIDDEN));
        let least = if print.is_hidden() { HIDDEN } else { HIDDEN + 1 };
        *sum = (sum.0.wrapping_add(*whole), sum.1.max(least));
    }
    for ((_, digest), sum) in parts.iter_mut().zip(sums) {
        *digest =
            sum.map_or(
                0,
                |(sum, least)| {
                    if least == HIDDEN { HIDDEN } else { ((sum >> 32) as u32).max(least) }
                },
            );
    }
    parts
}
