//! One step of a comparison: what the other side said, held against what is here, gives what is said in return.
//!
//! Both sides follow the same rules and keep nothing between steps, so a step may be repeated, and either side may
//! begin anew. The descent is that of range-based set reconciliation (Meyer, "Range-Based Set Reconciliation", 2023)
//! along a tree that is kept anyway.

mod nodes;
mod rows;

use crate::compare::item::{CollectionClaim, Item, LeftOut, Scope, Short};
use crate::compare::source::{CollectionRoot, Source};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use tidelog_model::digest::{Bucket, Buckets, Entry, FANOUT, TreeHasher};
use tidelog_model::{Digest, GroupId, LeafWidth, Level, TimeRange};

/// Up to so many days are compared at once; a longer history by years and months first.
const DAYS_AT_ONCE: usize = 400;
/// Up to so many series are named instead of being divided into buckets.
const SERIES_AT_ONCE: usize = 20;
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
    /// Collections that differ are compared from this time on.
    pub from: i64,
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
    /// Rows that this side lacks come, and none go.
    Pull,
    /// Rows that the other side lacks go, and none come.
    Push,
}

impl Look {
    pub(crate) fn from_number(number: u8) -> Option<Self> {
        let all = [Look::First, Look::Second, Look::Tell, Look::Pull, Look::Push];
        all.into_iter().find(|look| *look as u8 == number)
    }

    /// The same, as the other side sees it.
    #[must_use]
    pub fn turned(self) -> Self {
        match self {
            Look::Pull => Look::Push,
            Look::Push => Look::Pull,
            look => look,
        }
    }

    /// Are rows sent for differences?
    pub(crate) fn repairs(self) -> bool {
        matches!(self, Look::Second | Look::Pull | Look::Push)
    }

    fn takes(self) -> bool {
        self != Look::Push
    }

    fn gives(self) -> bool {
        self != Look::Pull
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
    /// Settled nodes and rollups that were sent.
    pub nodes_sent: u64,
    /// Settled nodes that were taken.
    pub nodes_taken: u64,
    /// Rollups that were borrowed.
    pub nodes_borrowed: u64,
    /// Rows and parts of the state that were not taken, for their stamps are too far ahead.
    pub ahead: u64,
}

impl Counts {
    /// What went from one store to the other.
    #[must_use]
    pub fn moved(&self) -> u64 {
        self.rows_sent + self.rows_taken + self.nodes_sent + self.nodes_taken + self.nodes_borrowed
    }

    /// Adds what another step did.
    pub fn add(&mut self, other: &Counts) {
        self.digests += other.digests;
        self.leaves += other.leaves;
        self.rows_sent += other.rows_sent;
        self.row_bytes_sent += other.row_bytes_sent;
        self.rows_taken += other.rows_taken;
        self.below_cut += other.below_cut;
        self.nodes_sent += other.nodes_sent;
        self.nodes_taken += other.nodes_taken;
        self.nodes_borrowed += other.nodes_borrowed;
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
    let Pace { look, eager, bytes_max, from } = pace;
    let mut stepper = Stepper {
        source,
        look,
        eager,
        hasher: TreeHasher::new(),
        step: Step { rest: items.into_iter().collect(), ..Step::default() },
        bytes: 0,
        bytes_max,
        from,
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
    from: i64,
}

impl<S: Source> Stepper<'_, S> {
    fn say(&mut self, item: Item) {
        self.bytes += item.bytes();
        self.step.out.push(item);
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
            Item::Nodes { scope, nodes } => self.nodes(scope, nodes),
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
            // Where rows are gone on either side rollups are the data, and are held against each other.
            let from = cut.max(self.from);
            let Some(range) = TimeRange::inclusive(from, i64::MAX) else { continue };
            if cut > i64::MIN {
                self.claim_settled(scope.clone(), None)?;
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
        } else if self.look.takes() {
            self.say(Item::WantRange { scope: scope.clone(), device, range, after: None });
        }
    }

    /// Something is here where the other side has nothing: as if it had asked for it.
    fn have_alone(&mut self, scope: &Scope, range: TimeRange, device: Option<String>) {
        self.step.counts.leaves += 1;
        if self.look == Look::First {
            let devices = device.map(|device| (device, false)).into_iter().collect();
            self.say(Item::Suspects { scope: scope.clone(), range, devices });
        } else if self.look.gives() {
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
