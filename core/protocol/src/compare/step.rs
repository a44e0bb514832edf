//! One step of a comparison: what the other side said, held against what is here, gives what is said in return.
//!
//! Both sides follow the same rules and keep nothing between steps, so a step may be repeated, and either side may
//! begin anew. The descent is that of range-based set reconciliation (Meyer, "Range-Based Set Reconciliation", 2023)
//! along a tree that is kept anyway.

use super::difference::Difference;
use super::item::{CollectionClaim, Item, LeftOut, Print, Scope, Short};
use super::source::{CollectionRoot, More, Pack, Source, Taken};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use tidelog_model::digest::{Bucket, Buckets, Entry, FANOUT, TreeHasher};
use tidelog_model::{Digest, GroupId, LeafWidth, Level, TimeRange};

/// Up to so many days are compared at once; a longer history by years and months first.
const DAYS_AT_ONCE: usize = 400;
/// Up to so many series are named instead of being divided into buckets.
const SERIES_AT_ONCE: usize = 20;
/// Up to so many rows are printed instead of being divided into parts, while a turn says less than the bytes beside
/// it: the more a turn says, the less one turn more costs. The first line is only for when round trips cost more than bytes.
const PRINTS_AT_ONCE: [(usize, usize); 3] = [(8 << 10, 512), (128 << 10, 48), (usize::MAX, 16)];
/// Of so few days that differ all leaf windows are described at once when round trips cost more than bytes.
const DAYS_EAGERLY: usize = 2;
/// Of so few collections of a group all days are said with their roots.
const COLLECTIONS_AT_ONCE: usize = 4;

/// How a step goes about it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pace {
    /// How differences are met.
    pub look: Look,
    /// Says more than is asked for, to save round trips.
    pub eager: bool,
    /// About so much is said.
    pub bytes_max: usize,
}

/// How differences are met.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Look {
    /// They are noted: rows may still be on their way.
    First,
    /// They are repaired.
    Second,
    /// They are told, and nothing is sent for them.
    Tell,
}

impl Look {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Look::First, Look::Second, Look::Tell].into_iter().find(|look| *look as u8 == number)
    }
}

/// What a step came to.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Step {
    /// To be said to the other side.
    pub out: Vec<Item>,
    /// Not done yet, for `out` is full: to be stepped again, first.
    pub rest: VecDeque<Item>,
    /// What happened.
    pub counts: Counts,
}

/// What a comparison has done so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Digests that were held against others.
    pub digests: u64,
    /// Leaf windows of series, or whole windows, that differ.
    pub leaves: u64,
    /// Rows that were sent.
    pub rows_sent: u64,
    /// Bytes of them, as archives.
    pub row_bytes_sent: u64,
    /// Rows that were taken.
    pub rows_taken: u64,
    /// Of those, rows before a cut.
    pub below_cut: u64,
    /// Rows and parts of the state that were not taken, for their stamps are too far ahead.
    pub ahead: u64,
}

impl Counts {
    /// Adds what another step did.
    pub fn add(&mut self, other: &Counts) {
        self.digests += other.digests;
        self.leaves += other.leaves;
        self.rows_sent += other.rows_sent;
        self.row_bytes_sent += other.row_bytes_sent;
        self.rows_taken += other.rows_taken;
        self.below_cut += other.below_cut;
        self.ahead += other.ahead;
    }
}

/// Steps items, until about `bytes_max` bytes are to be said.
///
/// # Errors
/// What the source says; nothing is known of what was done then, and doing it again is harmless.
pub fn step<S: Source>(
    source: &mut S,
    items: impl IntoIterator<Item = Item>,
    pace: Pace,
) -> Result<Step, S::Error> {
    let Pace { look, eager, bytes_max } = pace;
    let mut stepper = Stepper {
        source,
        look,
        eager,
        hasher: TreeHasher::new(),
        step: Step { rest: items.into_iter().collect(), ..Step::default() },
        bytes: 0,
        bytes_max,
    };
    stepper.take_rows()?;
    while stepper.bytes < bytes_max {
        let Some(item) = stepper.step.rest.pop_front() else { break };
        stepper.item(item)?;
    }
    Ok(stepper.step)
}

/// What a group holds, to be said first: its collections, and of few of them the days.
///
/// # Errors
/// What the source says.
pub fn collections<S: Source>(source: &mut S, group: GroupId) -> Result<Vec<Item>, S::Error> {
    let entries = claims(source.collections(group)?);
    let claimed =
        entries.len() <= COLLECTIONS_AT_ONCE && entries.iter().all(|entry| entry.cut == i64::MIN);
    let names: Vec<_> = entries.iter().map(|entry| entry.name.clone()).collect();
    let mut items = alloc::vec![Item::Collections { group, entries, claimed }];
    for collection in names.into_iter().filter(|_| claimed) {
        items.push(days(source, Scope { group, collection }, TimeRange::ALL)?);
    }
    Ok(items)
}

/// Which days there are, or which years when that are too many.
fn days<S: Source>(source: &mut S, scope: Scope, range: TimeRange) -> Result<Item, S::Error> {
    let years = source.windows(&scope, Level::Year, range)?;
    if years.len() <= 2 {
        let days = source.windows(&scope, Level::Day, range)?;
        if days.len() <= DAYS_AT_ONCE {
            return Ok(claim(scope, range, Level::Day, &days));
        }
    }
    Ok(claim(scope, range, Level::Year, &years))
}

fn claim(scope: Scope, range: TimeRange, level: Level, windows: &[(TimeRange, Digest)]) -> Item {
    let entries = windows.iter().map(|(window, digest)| (window.first(), short(digest)));
    Item::Windows { scope, range, level, entries: entries.collect() }
}

fn claims(roots: Vec<CollectionRoot>) -> Vec<CollectionClaim> {
    let claim = |root: CollectionRoot| {
        let digest = root.root?;
        Some(CollectionClaim {
            name: root.name,
            leaf: root.leaf,
            cut: root.cut,
            root: short(&digest),
        })
    };
    roots.into_iter().filter_map(claim).collect()
}

/// The first eight bytes of a digest; never 0, which stands for nothing.
fn short(digest: &Digest) -> Short {
    u64::from_le_bytes(digest.0.first_chunk().copied().unwrap_or_default()).max(1)
}

struct Stepper<'s, S: Source> {
    source: &'s mut S,
    look: Look,
    eager: bool,
    hasher: TreeHasher,
    step: Step,
    bytes: usize,
    bytes_max: usize,
}

impl<S: Source> Stepper<'_, S> {
    fn say(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.step.out.push(item);
    }

    /// Rows first, all in one: one fsync serves them.
    fn take_rows(&mut self) -> Result<(), S::Error> {
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
            self.send(false, back);
        }
        Ok(())
    }

    fn send(&mut self, contested: bool, packed: super::source::Packed) {
        if packed.archives.is_empty() {
            return;
        }
        self.step.counts.rows_sent += packed.rows;
        self.step.counts.row_bytes_sent +=
            packed.archives.iter().map(|archive| archive.len() as u64).sum::<u64>();
        self.say(Item::Rows { contested, archives: packed.archives });
    }

    fn item(&mut self, item: Item) -> Result<(), S::Error> {
        match item {
            Item::Collections { group, entries, claimed } => {
                self.collections(group, &entries, claimed)
            }
            Item::Windows { scope, range, level, entries } => {
                self.windows(scope, range, level, &entries)
            }
            Item::Buckets { scope, window, outer, entries } => {
                self.buckets(scope, window, outer, &entries)
            }
            Item::Series { scope, window, buckets, entries, partial } => {
                self.series(scope, window, buckets, entries, partial)
            }
            Item::Parts { scope, device, range, entries } => {
                self.parts(scope, device, range, &entries)
            }
            Item::Prints { scope, device, range, rows } => self.prints(scope, device, range, &rows),
            Item::WantRange { scope, device, range, .. } if self.look == Look::Tell => {
                self.tell_all(&scope, device.as_deref(), range)
            }
            want @ (Item::WantRange { .. } | Item::WantTimes { .. }) => self.give(want),
            Item::Suspects { scope, range, devices } => self.suspects(scope, range, devices),
            // Counted by whoever counts a session; rows were taken before.
            Item::LeftOut { .. } | Item::Rows { .. } | Item::Difference(_) => Ok(()),
        }
    }

    fn collections(
        &mut self,
        group: GroupId,
        theirs: &[CollectionClaim],
        claimed: bool,
    ) -> Result<(), S::Error> {
        let roots = self.source.collections(group)?;
        let leaves: BTreeMap<_, _> =
            roots.iter().map(|root| (root.name.clone(), (root.leaf, root.cut))).collect();
        let ours: BTreeMap<_, _> =
            claims(roots).into_iter().map(|claim| (claim.name.clone(), claim)).collect();
        let theirs: BTreeMap<_, _> =
            theirs.iter().map(|claim| (claim.name.clone(), claim)).collect();
        let names: BTreeSet<_> = ours.keys().chain(theirs.keys()).cloned().collect();
        self.step.counts.digests += (ours.len() + theirs.len()) as u64;
        for name in names {
            let (own, other) = (ours.get(&name), theirs.get(&name).copied());
            if own.map(|own| own.root) == other.map(|other| other.root) {
                continue;
            }
            let scope = Scope { group, collection: name.clone() };
            if !self.source.shares(&scope) {
                self.say(Item::LeftOut { scope, why: LeftOut::Forbidden, windows: 1 });
                continue;
            }
            let known = leaves.get(&name).copied();
            if let (Some((leaf, _)), Some(other)) = (known, other)
                && leaf != other.leaf
            {
                self.say(Item::LeftOut { scope, why: LeftOut::LeafWidth, windows: 1 });
                continue;
            }
            if claimed && other.is_some() && known.is_none_or(|(_, cut)| cut == i64::MIN) {
                // Its days were said beside it.
                continue;
            }
            let cut = known.map_or(i64::MIN, |(_, cut)| cut);
            let cut = cut.max(other.map_or(i64::MIN, |other| other.cut));
            // Where rows are gone on either side there is nothing to hold against each other row by row.
            let Some(range) = TimeRange::inclusive(cut, i64::MAX) else { continue };
            if cut > i64::MIN {
                self.say(Item::LeftOut { scope: scope.clone(), why: LeftOut::Settled, windows: 1 });
            }
            self.claim_windows(scope, range)?;
        }
        Ok(())
    }

    /// Says which days there are, or which years when that are too many.
    fn claim_windows(&mut self, scope: Scope, range: TimeRange) -> Result<(), S::Error> {
        let item = days(self.source, scope, range)?;
        self.say(item);
        Ok(())
    }

    fn windows(
        &mut self,
        scope: Scope,
        range: TimeRange,
        level: Level,
        theirs: &[(i64, Short)],
    ) -> Result<(), S::Error> {
        let windows = self.source.windows(&scope, level, range)?;
        let ours: BTreeMap<i64, (TimeRange, Short)> = windows
            .iter()
            .map(|(window, digest)| (window.first(), (*window, short(digest))))
            .collect();
        let theirs: BTreeMap<i64, Short> = theirs.iter().copied().collect();
        self.step.counts.digests += (ours.len() + theirs.len()) as u64;
        let starts: BTreeSet<i64> = ours.keys().chain(theirs.keys()).copied().collect();
        let mut wanted: Vec<TimeRange> = Vec::new();
        let mut given: Vec<TimeRange> = Vec::new();
        let mut differing: Vec<TimeRange> = Vec::new();
        let width = self.source.leaf(&scope)?;
        for start in starts {
            let window = level.window_of(start, width);
            let Some(window) = window.intersection(range) else { continue };
            match (ours.get(&start), theirs.get(&start)) {
                (Some((_, own)), Some(other)) if own == other => {}
                (Some(_), Some(_)) => differing.push(window),
                (Some(_), None) => join(&mut given, window),
                (None, Some(_)) => join(&mut wanted, window),
                (None, None) => {}
            }
        }
        let at_once = self.eager && level == Level::Day && differing.len() <= DAYS_EAGERLY;
        for window in differing {
            if at_once {
                self.claim_leaves(&scope, window, width)?;
            } else {
                self.descend(&scope, window, level)?;
            }
        }
        for range in wanted {
            self.lack(&scope, range, None);
        }
        for range in given {
            self.have_alone(&scope, range, None);
        }
        Ok(())
    }

    /// The other side has something where nothing is here.
    fn lack(&mut self, scope: &Scope, range: TimeRange, device: Option<String>) {
        self.step.counts.leaves += 1;
        if self.look == Look::First {
            let devices = device.map(|device| (device, false)).into_iter().collect();
            self.say(Item::Suspects { scope: scope.clone(), range, devices });
        } else {
            self.say(Item::WantRange { scope: scope.clone(), device, range, after: None });
        }
    }

    /// Something is here where the other side has nothing: as if it had asked for it.
    fn have_alone(&mut self, scope: &Scope, range: TimeRange, device: Option<String>) {
        self.step.counts.leaves += 1;
        if self.look == Look::First {
            let devices = device.map(|device| (device, false)).into_iter().collect();
            self.say(Item::Suspects { scope: scope.clone(), range, devices });
        } else {
            let want = Item::WantRange { scope: scope.clone(), device, range, after: None };
            self.step.rest.push_back(want);
        }
    }

    fn descend(&mut self, scope: &Scope, window: TimeRange, level: Level) -> Result<(), S::Error> {
        if level == Level::Window {
            return self.claim_series(scope, window.first(), None);
        }
        let Some(below) = level.child() else { return Ok(()) };
        let windows = self.source.windows(scope, below, window)?;
        self.say(claim(scope.clone(), window, below, &windows));
        Ok(())
    }

    /// Describes all leaf windows of a day, those without anything too: what a side has alone is seen by that.
    fn claim_leaves(
        &mut self,
        scope: &Scope,
        day: TimeRange,
        width: LeafWidth,
    ) -> Result<(), S::Error> {
        let mut at = Some(day.first());
        while let Some(first) = at.filter(|first| *first <= day.last()) {
            self.claim_series(scope, first, None)?;
            at = Level::Window.window_of(first, width).last().checked_add(1);
        }
        Ok(())
    }

    /// Says which series a leaf window has, or one of its outer buckets; by buckets when that are many.
    fn claim_series(
        &mut self,
        scope: &Scope,
        window: i64,
        outer: Option<u8>,
    ) -> Result<(), S::Error> {
        let span = outer.map_or((0, 255), |outer| (outer * 16, outer * 16 + 15));
        let series = self.source.series(scope, window)?;
        let inside: Vec<_> =
            series.into_iter().filter(|one| (span.0..=span.1).contains(&one.1.0)).collect();
        if inside.len() <= SERIES_AT_ONCE {
            let entries = entries_of(inside);
            let scope = scope.clone();
            self.say(Item::Series { scope, window, buckets: span, entries, partial: false });
            return Ok(());
        }
        let digests = self.bucket_digests(&inside, outer);
        self.say(Item::Buckets { scope: scope.clone(), window, outer, entries: digests });
        Ok(())
    }

    fn bucket_digests(
        &mut self,
        series: &[(String, Bucket, Digest)],
        outer: Option<u8>,
    ) -> [Short; FANOUT] {
        let entries = series.iter().map(|(device, bucket, digest)| Entry {
            bucket: *bucket,
            device,
            digest: *digest,
        });
        let buckets = Buckets::new(entries);
        let digests = match outer {
            None => buckets.outer(&mut self.hasher),
            Some(outer) => buckets.inner(&mut self.hasher, usize::from(outer)),
        };
        digests.map(|digest| digest.map_or(0, |digest| short(&digest)))
    }

    fn buckets(
        &mut self,
        scope: Scope,
        window: i64,
        outer: Option<u8>,
        theirs: &[Short; FANOUT],
    ) -> Result<(), S::Error> {
        let series = self.source.series(&scope, window)?;
        let ours = self.bucket_digests(&series, outer);
        let count = |all: &[Short]| all.iter().filter(|one| **one != 0).count() as u64;
        self.step.counts.digests += count(&ours) + count(theirs);
        for at in (0..FANOUT).filter(|at| ours[*at] != theirs[*at]) {
            let at = at as u8;
            match outer {
                None => self.claim_series(&scope, window, Some(at))?,
                Some(outer) => {
                    let bucket = outer * 16 + at;
                    let inside = series.iter().filter(|one| one.1.0 == bucket).cloned().collect();
                    self.say(Item::Series {
                        scope: scope.clone(),
                        window,
                        buckets: (bucket, bucket),
                        entries: entries_of(inside),
                        partial: false,
                    });
                }
            }
        }
        Ok(())
    }

    fn series(
        &mut self,
        scope: Scope,
        window: i64,
        buckets: (u8, u8),
        theirs: Vec<(String, Short)>,
        partial: bool,
    ) -> Result<(), S::Error> {
        let width = self.source.leaf(&scope)?;
        let range = Level::Window.window_of(window, width);
        let series = self.source.series(&scope, window)?;
        let meant = |device: &String, bucket: Bucket| {
            let inside = (buckets.0..=buckets.1).contains(&bucket.0);
            inside && (!partial || theirs.iter().any(|(other, _)| other == device))
        };
        let ours: BTreeMap<String, Short> = series
            .into_iter()
            .filter(|(device, bucket, _)| meant(device, *bucket))
            .map(|(device, _, digest)| (device, short(&digest)))
            .collect();
        let theirs: BTreeMap<String, Short> =
            theirs.into_iter().filter(|(_, digest)| *digest != 0).collect();
        self.step.counts.digests += (ours.len() + theirs.len()) as u64;
        let devices: BTreeSet<String> = ours.keys().chain(theirs.keys()).cloned().collect();
        let mut suspects = Vec::new();
        for device in devices {
            match (ours.get(&device), theirs.get(&device)) {
                (Some(own), Some(other)) if own == other => {}
                (Some(_), Some(_)) if self.look == Look::First => {
                    self.step.counts.leaves += 1;
                    suspects.push((device, true));
                }
                (Some(_), Some(_)) => {
                    self.step.counts.leaves += 1;
                    self.claim_rows(&scope, device, range, false)?;
                }
                (Some(_), None) => self.have_alone(&scope, range, Some(device)),
                (None, _) => self.lack(&scope, range, Some(device)),
            }
        }
        if !suspects.is_empty() {
            self.say(Item::Suspects { scope, range, devices: suspects });
        }
        Ok(())
    }

    /// Says which rows a series has in a range, in part or by prints. Where differences are dense, dividing saves nothing.
    fn claim_rows(
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

    fn parts(
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
            if own == 0 {
                let (scope, device) = (scope.clone(), Some(device.clone()));
                self.say(Item::WantRange { scope, device, range: part, after: None });
            } else if theirs[at] == 0 {
                let (scope, device) = (scope.clone(), Some(device.clone()));
                let want = Item::WantRange { scope, device, range: part, after: None };
                self.step.rest.push_back(want);
            } else {
                self.claim_rows(&scope, device.clone(), part, dense)?;
            }
        }
        Ok(())
    }

    fn prints(
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
        let times: BTreeSet<i64> = ours.keys().chain(theirs.keys()).copied().collect();
        if self.look == Look::Tell {
            let both = ours.iter().filter_map(|(time, own)| Some((own, theirs.get(time)?)));
            let mismatched = both.filter(|(own, other)| own.print != other.print).count() as u64;
            let rows = (ours.len() as u64, theirs.len() as u64);
            let (missing, extra) = (times.len() as u64 - rows.0, times.len() as u64 - rows.1);
            let one = Difference { scope, device, range, rows, missing, extra, mismatched };
            self.say(Item::Difference(one));
            return Ok(());
        }
        // What is wanted and what is given, each where only one side has a row and where both have.
        let mut want: [Vec<i64>; 2] = [vec![], vec![]];
        let mut give: [Vec<i64>; 2] = [vec![], vec![]];
        for time in times {
            match (ours.get(&time), theirs.get(&time)) {
                (Some(own), Some(other)) if own.print == other.print => {}
                // The row that was written last goes to the other side; what wins over it there comes back.
                (Some(own), Some(other)) if own.stamp >= other.stamp => give[1].push(time),
                (Some(_), Some(_)) => want[1].push(time),
                (Some(_), None) => give[0].push(time),
                (None, _) => want[0].push(time),
            }
        }
        for (contested, times) in [false, true].into_iter().zip(want) {
            if !times.is_empty() {
                let (scope, device) = (scope.clone(), device.clone());
                self.say(Item::WantTimes { scope, device, times, contested });
            }
        }
        for (contested, times) in [false, true].into_iter().zip(give) {
            if !times.is_empty() {
                let (scope, device) = (scope.clone(), device.clone());
                let item = Item::WantTimes { scope, device, times, contested };
                self.step.rest.push_back(item);
            }
        }
        Ok(())
    }

    /// Tells of all rows of a range, for the other side has none there.
    fn tell_all(
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
                let rows = self.source.prints(scope, &device, part)?.len() as u64;
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
    fn give(&mut self, first: Item) -> Result<(), S::Error> {
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

    /// Claims again what differed at the first look.
    fn suspects(
        &mut self,
        scope: Scope,
        range: TimeRange,
        devices: Vec<(String, bool)>,
    ) -> Result<(), S::Error> {
        if devices.is_empty() {
            let windows = self.source.windows(&scope, Level::Window, range)?;
            if windows.len() <= DAYS_AT_ONCE {
                self.say(claim(scope, range, Level::Window, &windows));
            } else {
                self.claim_windows(scope, range)?;
            }
            return Ok(());
        }
        let ours: BTreeMap<String, Short> = self
            .source
            .series(&scope, range.first())?
            .into_iter()
            .map(|(device, _, digest)| (device, short(&digest)))
            .collect();
        let devices: BTreeMap<String, bool> = devices.into_iter().collect();
        let mut entries = Vec::new();
        for (device, both) in devices {
            match ours.get(&device) {
                // The other side tells from the rows whether they differ still.
                Some(_) if both => self.claim_rows(&scope, device, range, false)?,
                own => entries.push((device, own.copied().unwrap_or(0))),
            }
        }
        if entries.is_empty() {
            return Ok(());
        }
        let window = range.first();
        self.say(Item::Series { scope, window, buckets: (0, 255), entries, partial: true });
        Ok(())
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

fn entries_of(series: Vec<(String, Bucket, Digest)>) -> Vec<(String, Short)> {
    let mut entries: Vec<(String, Short)> = series
        .into_iter()
        .map(|(device, _, digest)| (device.to_string(), short(&digest)))
        .collect();
    entries.sort_unstable();
    entries
}

/// Adds a range to a list, in one with the last where they touch.
fn join(ranges: &mut Vec<TimeRange>, range: TimeRange) {
    match ranges.last_mut() {
        Some(last) if last.last().checked_add(1) == Some(range.first()) => *last = last.hull(range),
        _ => ranges.push(range),
    }
}

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
    let mut sums = [0u64; 16];
    for (print, whole) in rows {
        let at = (print.time.abs_diff(range.first()) / width) as usize;
        sums[at.min(15)] = sums[at.min(15)].wrapping_add(*whole);
    }
    let counts = rows.iter().fold([0u64; 16], |mut counts, (print, _)| {
        counts[((print.time.abs_diff(range.first()) / width) as usize).min(15)] += 1;
        counts
    });
    for (at, (_, digest)) in parts.iter_mut().enumerate() {
        if counts[at] > 0 {
            *digest = ((sums[at] >> 32) as u32).max(1);
        }
    }
    parts
}
