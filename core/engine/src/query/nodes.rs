//! Which stored nodes may answer for one device: those that no row or delete has overtaken.

use super::plan::{Context, QueryError};
use super::spec::{Every, Unit};
use crate::ids::Tier;
use crate::manifest::union;
use crate::pyramid::{Run, Stored, StoredNode};
use crate::rollup::window_of;
use crate::rows::FieldKey;
use tidelog_model::TimeRange;

/// The nodes of one device.
pub(super) struct Nodes<'a> {
    context: &'a Context,
    stored: &'a Stored,
    device: &'a str,
    /// Where rows and deletes are that stored nodes do not count: sorted, apart from each other.
    stale: Vec<TimeRange>,
}

impl<'a> Nodes<'a> {
    /// `None` when rows have to be read everywhere.
    pub(super) fn of(
        context: &'a Context,
        device: &'a str,
        range: TimeRange,
    ) -> Result<Option<Self>, QueryError> {
        if context.tiers.is_empty() {
            return Ok(None);
        }
        let group = context.group_of(device);
        let stored = context.stored(group)?;
        if stored.is_empty() {
            return Ok(None);
        }
        let mut stale = Vec::new();
        let snapshot = &context.snapshot;
        let around = |time: i64| window_of(Tier::Hour, time, context.leaf);
        for open in snapshot.files_of(&context.name, group, range) {
            if !open.entry.uncounted.iter().any(|uncounted| uncounted.overlaps(range)) {
                continue;
            }
            let file = open.readable()?;
            let Some(section) = file.section(&context.name) else { continue };
            let Some(series) = file.find(section, device)? else { continue };
            let index = context.cache.index(file, &series)?;
            for uncounted in &open.entry.uncounted {
                let Some(within) = uncounted.intersection(range) else { continue };
                let within = around(within.first()).hull(around(within.last()));
                for page in index.pages(within) {
                    let page = around(page.first).hull(around(page.last));
                    stale.extend(page.intersection(within));
                }
            }
        }
        // Nodes may have been made without the rows that cannot be read.
        let aside = snapshot.files.aside(group).iter();
        let aside = aside.filter(|open| open.entry.collections.contains(&context.name));
        let aside = aside.filter_map(|open| open.entry.range.intersection(range));
        stale.extend(aside.map(|within| around(within.first()).hull(around(within.last()))));
        for table in &snapshot.memory.tables {
            let Some(rows) = table.rows(device, range, &[]) else { continue };
            let mut last: Option<TimeRange> = None;
            for time in &rows.times {
                if !last.is_some_and(|window| window.contains(*time)) {
                    stale.extend(last.replace(around(*time)));
                }
            }
            stale.extend(last);
        }
        let state = &snapshot.files.state;
        for tombstone in &snapshot.tombstones {
            let counted =
                state.tombstones.contains(tombstone) && !state.not_rolled_up.contains(tombstone);
            if !counted && tombstone.devices.matches(device) {
                stale.push(tombstone.range);
            }
        }
        let stale = union(stale);
        Ok(Some(Nodes { context, stored, device, stale }))
    }

    /// What stands for windows without rows is not in stored nodes either.
    pub(super) fn overtaken_by(&mut self, windows: impl Iterator<Item = TimeRange>) {
        self.stale.extend(windows);
        self.stale = union(std::mem::take(&mut self.stale));
    }

    /// Has no row or delete overtaken any of them?
    pub(super) fn are_all_fresh(&self) -> bool {
        self.stale.is_empty()
    }

    /// The nodes of a tier in a range as they stand in blocks.
    pub(super) fn run(
        &self,
        tier: Tier,
        range: TimeRange,
        fields: &[FieldKey],
    ) -> Result<Option<Run>, QueryError> {
        Ok(self.stored.run(tier, self.device, range, fields)?)
    }

    /// The nodes of a tier that may stand for their rows in a range.
    pub(super) fn inside(
        &self,
        tier: Tier,
        range: TimeRange,
    ) -> Result<Vec<StoredNode>, QueryError> {
        let fields = &self.context.read[..self.context.asked];
        let mut nodes = self.stored.nodes(tier, self.device, range, fields)?;
        let mut window: Option<TimeRange> = None;
        nodes.retain(|node| {
            let first = node.window.first();
            let whole = match window {
                Some(window) if window.contains(first) => window,
                _ => *window.insert(self.context.windows.at(first)),
            };
            whole.covers(node.window)
                && self.context.cuts.remembers(tier, node.window)
                && !self.is_stale(node.window)
        });
        if self.context.wants.falls {
            // Of what looked like no counter nodes do not know the increase; rows do.
            let mut known = Vec::with_capacity(nodes.len());
            for node in nodes {
                let rollups = node.rollups(fields, self.context.wants)?;
                if rollups.iter().all(crate::rollup::Rollup::knows_increase) {
                    known.push(node);
                }
            }
            return Ok(known);
        }
        Ok(nodes)
    }

    fn is_stale(&self, window: TimeRange) -> bool {
        let at = self.stale.partition_point(|stale| stale.last() < window.first());
        self.stale.get(at).is_some_and(|stale| stale.overlaps(window))
    }
}

/// The tiers of which a window can lie in one of these, coarse to fine.
pub(super) fn tiers_of(every: Option<&Every>, leaf: tidelog_model::LeafWidth) -> Vec<Tier> {
    const DAY: u128 = 86_400_000_000_000;
    let nanos = match every {
        None => u128::MAX,
        Some(Every::Duration(width)) => width.as_nanos(),
        Some(Every::Calendar { unit, .. }) => match unit {
            Unit::QuarterHour => DAY / 96,
            Unit::HalfHour => DAY / 48,
            Unit::Hour => DAY / 24,
            // The longest there are.
            Unit::Day => 2 * DAY,
            Unit::Week => 8 * DAY,
            Unit::Month => 32 * DAY,
            Unit::Quarter => 93 * DAY,
            Unit::Year => 367 * DAY,
        },
    };
    let fits = |tier: &Tier| {
        nanos
            >= match tier {
                Tier::Year => 365 * DAY,
                Tier::Month => 28 * DAY,
                Tier::Day => DAY,
                Tier::Raw | Tier::Hour => u128::from(leaf.nanoseconds().unsigned_abs()),
            }
    };
    [Tier::Year, Tier::Month, Tier::Day, Tier::Hour].into_iter().filter(fits).collect()
}
