//! How long each tier is kept, and from where on: pure.
//!
//! Each tier has a *cut*, a time before which it is gone. Cuts only move up, in whole days, and none passes that of
//! a finer tier. Between the cut of a tier and that of the next finer one the tier is all there is: its nodes are
//! *settled*, which means that they are data and no longer a memory of rows.

use crate::ids::Tier;
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use tidelog_model::{LeafWidth, TimeRange, calendar};

const DAY: i64 = 86_400_000_000_000;
/// What settles in one step is at most about so long, so that a step has a bound on memory.
const STEP_DAYS: i64 = 32;

/// How long each tier is kept: a number of whole days (UTC), or for ever.
///
/// Coarser tiers are kept at least as long as finer ones. `raw=30d,1h=1y` keeps rows for 30 days, rollups by leaf
/// window for a year, and those by day, month and year for ever.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Retention {
    /// Days by tier; none: for ever.
    days: [Option<u32>; 5],
}

/// Text that is no retention.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RetentionError {
    /// It is not written as one.
    #[error(
        "{part:?} is no retention: write TIER=TIME, TIER being raw, 1h, 1d, 1mo, 1y or all, and TIME 30d, 8w, 1y (365 days) or forever"
    )]
    Malformed {
        /// The part that is not understood.
        part: String,
    },
    /// A finer tier would be kept longer than a coarser one.
    #[error(
        "{finer} would be kept longer than {coarser}, which is made of it: keep {finer} for as long at most"
    )]
    Order {
        /// The finer tier.
        finer: &'static str,
        /// The coarser tier.
        coarser: &'static str,
    },
}

impl Retention {
    /// All tiers for ever.
    pub const FOREVER: Retention = Retention { days: [None; 5] };

    /// Rows for so many days (at least one), rollups for ever.
    #[must_use]
    pub fn rows(days: u32) -> Self {
        let mut all = [None; 5];
        all[0] = Some(days.max(1));
        Retention { days: all }
    }

    /// Rows and rollups for so many days (at least one): what is older is gone.
    #[must_use]
    pub fn all(days: u32) -> Self {
        Retention { days: [Some(days.max(1)); 5] }
    }

    /// How many days a tier is kept, by the name of its directory (`raw`, `1h`, `1d`, `1mo`, `1y`); `None`: for ever.
    #[must_use]
    pub fn days(&self, tier: &str) -> Option<u32> {
        let at = Tier::ALL.iter().position(|known| known.directory() == tier)?;
        self.days[at]
    }

    pub(crate) fn of_tiers(tiers: &[(Tier, u32)]) -> Self {
        let mut days = [None; 5];
        for (tier, kept) in tiers {
            days[*tier as usize] = Some(*kept);
        }
        Retention { days }
    }

    /// The tiers that are not kept for ever.
    pub(crate) fn tiers(&self) -> Vec<(Tier, u32)> {
        Tier::ALL.iter().filter_map(|tier| Some((*tier, self.days[*tier as usize]?))).collect()
    }

    /// Does a coarser tier outlive this one?
    fn is_outlived(&self, tier: Tier) -> bool {
        let at = tier as usize;
        self.days[at]
            .is_some_and(|own| self.days[at + 1..].iter().any(|d| d.is_none_or(|d| d > own)))
    }

    fn check(self) -> Result<Self, RetentionError> {
        for pair in Tier::ALL.windows(2) {
            let (finer, coarser) = (self.days[pair[0] as usize], self.days[pair[1] as usize]);
            if coarser.is_some_and(|coarser| finer.is_none_or(|finer| finer > coarser)) {
                let (finer, coarser) = (pair[0].directory(), pair[1].directory());
                return Err(RetentionError::Order { finer, coarser });
            }
        }
        Ok(self)
    }
}

/// As `raw=30d,1h=1y,1d=forever`. A tier that is not named is kept for ever; `all` names each that was not named
/// before it.
impl FromStr for Retention {
    type Err = RetentionError;

    fn from_str(text: &str) -> Result<Self, RetentionError> {
        let mut days: [Option<Option<u32>>; 5] = [None; 5];
        for part in text.split(',') {
            let malformed = || RetentionError::Malformed { part: part.to_owned() };
            let (tier, kept) = part.trim().split_once('=').ok_or_else(malformed)?;
            let kept = parse_days(kept).ok_or_else(malformed)?;
            if tier == "all" {
                days.iter_mut().for_each(|slot| *slot = slot.or(Some(kept)));
                continue;
            }
            let at = Tier::ALL.iter().position(|known| known.directory() == tier);
            let slot = &mut days[at.ok_or_else(malformed)?];
            if slot.replace(kept).is_some() {
                return Err(malformed());
            }
        }
        Retention { days: days.map(Option::flatten) }.check()
    }
}

fn parse_days(text: &str) -> Option<Option<u32>> {
    if text == "forever" {
        return Some(None);
    }
    let unit = text.find(|c: char| !c.is_ascii_digit())?;
    let factor = match &text[unit..] {
        "d" => 1,
        "w" => 7,
        "y" => 365,
        _ => return None,
    };
    let days = text[..unit].parse::<u32>().ok()?.checked_mul(factor)?;
    (days > 0).then_some(Some(days))
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, tier) in Tier::ALL.iter().enumerate() {
            let comma = if number > 0 { "," } else { "" };
            match self.days[number] {
                Some(days) => write!(f, "{comma}{}={days}d", tier.directory())?,
                None => write!(f, "{comma}{}=forever", tier.directory())?,
            }
        }
        Ok(())
    }
}

/// Before which time each tier is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cuts([i64; 5]);

impl Cuts {
    pub(crate) const NONE: Cuts = Cuts([i64::MIN; 5]);

    pub(crate) fn new(cuts: &BTreeMap<Tier, i64>) -> Self {
        Cuts(Tier::ALL.map(|tier| cuts.get(&tier).copied().unwrap_or(i64::MIN)))
    }

    pub(crate) fn of(&self, tier: Tier) -> i64 {
        self.0[tier as usize]
    }

    /// The same where nothing is left before a time.
    pub(crate) fn at_least(self, time: i64) -> Self {
        Cuts(self.0.map(|cut| cut.max(time)))
    }

    /// The same with rows from a later time on.
    pub(crate) fn with_rows_from(mut self, time: i64) -> Self {
        self.0[0] = self.0[0].max(time);
        self
    }

    /// Where rows are.
    pub(crate) fn rows(&self) -> TimeRange {
        from(self.of(Tier::Raw))
    }

    /// Where anything is.
    pub(crate) fn kept(&self) -> TimeRange {
        from(self.of(Tier::Year))
    }

    /// Where the nodes of a tier are all there is.
    pub(crate) fn settled(&self, tier: Tier) -> Option<TimeRange> {
        let finer = self.finer(tier);
        TimeRange::inclusive(self.of(tier), finer.checked_sub(1)?)
    }

    /// May a node that is a memory of what is below it stand for it? Not where it is settled itself.
    pub(crate) fn remembers(&self, tier: Tier, window: TimeRange) -> bool {
        window.first() >= self.finer(tier) && self.kept().covers(window)
    }

    /// The finest tier that is kept at a time; `None` where all is gone.
    pub(crate) fn finest(&self, time: i64) -> Option<Tier> {
        Tier::ALL.into_iter().find(|tier| time >= self.of(*tier))
    }

    /// The cut of the next finer tier.
    fn finer(&self, tier: Tier) -> i64 {
        self.0[(tier as usize).saturating_sub(1)]
    }

    /// Are they as they can be: none above that of a finer tier?
    pub(crate) fn is_sound(&self) -> bool {
        self.0.is_sorted_by(|finer, coarser| finer >= coarser)
    }

    /// The widest range inside of a range that deletes can hide: settled nodes are hidden whole or not at all.
    /// Outside of it the windows that are cut through are given.
    pub(crate) fn whole(&self, range: TimeRange, leaf: LeafWidth) -> TimeRange {
        let around = |time: i64| match self.finest(time) {
            Some(Tier::Raw) | None => TimeRange::inclusive(time, time),
            Some(tier) => Some(window_of(tier, time, leaf)),
        };
        let (first, last) = (around(range.first()), around(range.last()));
        first.zip(last).map_or(range, |(first, last)| first.hull(last))
    }
}

fn from(cut: i64) -> TimeRange {
    TimeRange::inclusive(cut, i64::MAX).unwrap_or(TimeRange::ALL)
}

fn window_of(tier: Tier, time: i64, leaf: LeafWidth) -> TimeRange {
    match tier {
        Tier::Raw | Tier::Hour => calendar::leaf_window(time, leaf),
        Tier::Day => calendar::day_window(time),
        Tier::Month => calendar::month_window(time),
        Tier::Year => calendar::year_window(time),
    }
}

/// One move of cuts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Step {
    /// The tier whose cut moves.
    pub(crate) tier: Tier,
    pub(crate) to: i64,
    /// The tier that stands for it from now on; `None`: nothing does, and the cuts of all coarser tiers move too.
    pub(crate) into: Option<Tier>,
}

impl Step {
    /// What is cut off.
    pub(crate) fn range(&self, cuts: &Cuts) -> Option<TimeRange> {
        TimeRange::inclusive(cuts.of(self.tier), self.to.checked_sub(1)?)
    }

    /// When its last window became too old: milliseconds since the Unix epoch.
    pub(crate) fn due(&self, retention: &Retention) -> u64 {
        let days = i64::from(retention.days[self.tier as usize].unwrap_or(1));
        let due = self.to.saturating_add((days - 1).saturating_mul(DAY));
        u64::try_from(due / 1_000_000).unwrap_or(0)
    }

    /// The cuts after it.
    pub(crate) fn after(&self, cuts: &Cuts) -> Cuts {
        let mut next = *cuts;
        let moved = if self.into.is_some() { 1 } else { Tier::ALL.len() };
        for cut in next.0.iter_mut().skip(self.tier as usize).take(moved) {
            *cut = self.to;
        }
        next
    }

    /// As far as one step goes when the first thing to settle is at this time; `None`: there is nothing.
    pub(crate) fn up_to(mut self, first: Option<i64>, leaf: LeafWidth) -> Self {
        if let (Some(into), Some(first)) = (self.into, first) {
            let far = first.saturating_add(STEP_DAYS * DAY);
            // Whole windows of what it settles into, and of days at least; one of them if it has to be.
            let step = window_of(into.max(Tier::Day), far, leaf).first();
            let least = window_of(into.max(Tier::Day), first, leaf).last().saturating_add(1);
            self.to = self.to.min(step.max(least));
        }
        self
    }
}

/// The next cut to move on a day (days since 1970), if one has to.
pub(crate) fn next_step(retention: &Retention, today: i64, cuts: &Cuts) -> Option<Step> {
    for tier in Tier::ALL {
        let Some(days) = retention.days[tier as usize] else { continue };
        let target = today.saturating_sub(i64::from(days) - 1).saturating_mul(DAY);
        let mut to = if tier == Tier::Raw { target } else { target.min(cuts.finer(tier)) };
        let into = if retention.is_outlived(tier) {
            Tier::ALL.get(tier as usize + 1).copied()
        } else {
            None
        };
        if let Some(into) = into.filter(|into| *into > Tier::Hour) {
            // What is cut off has to be whole windows of what stands for it.
            to = window_of(into, to, LeafWidth::Hour).first();
        }
        if to > cuts.of(tier) {
            return Some(Step { tier, to, into });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Retention {
        text.parse().unwrap()
    }

    #[test]
    fn retention_is_read_as_it_is_written() {
        assert_eq!(parse("raw=30d"), Retention::rows(30));
        assert_eq!(parse("all=4w"), Retention::all(28));
        assert_eq!(
            parse("raw=30d,1h=1y,1d=forever").to_string(),
            "raw=30d,1h=365d,1d=forever,1mo=forever,1y=forever"
        );
        assert_eq!(parse("raw=1d,all=9d").to_string(), "raw=1d,1h=9d,1d=9d,1mo=9d,1y=9d");
        assert_eq!(parse(&parse("raw=3d,1h=4d").to_string()), parse("raw=3d,1h=4d"));
        for text in [
            "",
            "30d",
            "raw=0d",
            "raw=",
            "raw=1",
            "raw=1h",
            "2h=1d",
            "raw=1d,raw=2d",
            "raw=99999999999d",
        ] {
            assert!(
                matches!(text.parse::<Retention>(), Err(RetentionError::Malformed { .. })),
                "{text}"
            );
        }
        for text in ["1h=3d", "raw=4d,1h=3d", "raw=1d,1d=4d"] {
            assert!(
                matches!(text.parse::<Retention>(), Err(RetentionError::Order { .. })),
                "{text}"
            );
        }
    }

    /// Moves cuts until none has to; the steps, in days.
    fn steps(retention: &str, today: i64, cuts: &mut Cuts) -> Vec<(Tier, i64, Option<Tier>)> {
        let mut steps = Vec::new();
        while let Some(step) = next_step(&parse(retention), today, cuts) {
            *cuts = step.after(cuts);
            assert!(cuts.is_sound(), "{cuts:?}");
            steps.push((step.tier, step.to / DAY, step.into));
            assert!(steps.len() < 20, "no end");
        }
        steps
    }

    #[test]
    fn cuts_follow_the_days_from_fine_to_coarse() {
        let mut cuts = Cuts::NONE;
        let plan = "raw=2d,1h=40d,1d=400d";
        assert_eq!(
            steps(plan, 1000, &mut cuts),
            [
                (Tier::Raw, 999, Some(Tier::Hour)),
                (Tier::Hour, 961, Some(Tier::Day)),
                // 601 is in August 1971, and months are kept: their first day.
                (Tier::Day, 577, Some(Tier::Month)),
            ]
        );
        assert_eq!(steps(plan, 1000, &mut cuts), []);
        assert_eq!(steps(plan, 1001, &mut cuts).len(), 2, "no month is full yet");
        assert_eq!(cuts.finest(1000 * DAY), Some(Tier::Raw));
        assert_eq!(cuts.finest(990 * DAY), Some(Tier::Hour));
        assert_eq!(cuts.finest(0), Some(Tier::Month));
    }

    #[test]
    fn what_nothing_outlives_goes_without_a_trace() {
        let mut cuts = Cuts::NONE;
        assert_eq!(steps("all=5d", 100, &mut cuts), [(Tier::Raw, 96, None)]);
        assert_eq!((cuts.finest(95 * DAY), cuts.finest(96 * DAY)), (None, Some(Tier::Raw)));
        let mut cuts = Cuts::NONE;
        let all = steps("raw=5d,all=9d", 100, &mut cuts);
        assert_eq!(all, [(Tier::Raw, 96, Some(Tier::Hour)), (Tier::Hour, 92, None)]);
        assert_eq!((cuts.finest(91 * DAY), cuts.finest(92 * DAY)), (None, Some(Tier::Hour)));
    }

    #[test]
    fn a_tier_of_equal_age_is_passed_through() {
        let mut cuts = Cuts::NONE;
        let all = steps("raw=5d,1h=5d", 100, &mut cuts);
        assert_eq!(all, [(Tier::Raw, 96, Some(Tier::Hour)), (Tier::Hour, 96, Some(Tier::Day))]);
        assert_eq!((cuts.settled(Tier::Hour), cuts.finest(95 * DAY)), (None, Some(Tier::Day)));
    }

    #[test]
    fn a_long_history_settles_in_short_steps() {
        let step = Step { tier: Tier::Raw, to: 1000 * DAY, into: Some(Tier::Hour) };
        assert_eq!(step.up_to(Some(10 * DAY + 5), LeafWidth::Hour).to, 42 * DAY);
        assert_eq!(step.up_to(Some(990 * DAY), LeafWidth::Hour).to, 1000 * DAY);
        assert_eq!(step.up_to(None, LeafWidth::Hour).to, 1000 * DAY);
        let years = Step { tier: Tier::Month, to: 3652 * DAY, into: Some(Tier::Year) };
        assert_eq!(years.up_to(Some(0), LeafWidth::Hour).to, 365 * DAY, "one year at least");
    }
}
