//! Windows of time: which one holds a time, and where the next begins.

use super::spec::{Every, Unit};
use crate::ids::Tier;
use crate::rollup::window_of;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use tidelog_model::{LeafWidth, TimeRange};

/// Why windows cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WindowError {
    /// The width is zero or beyond 292 years.
    #[error("a window must be at least a nanosecond and at most 292 years wide")]
    Width,
    /// The zone is not in the time zone database.
    #[error(
        "time zone {zone:?} is not known here: use an IANA name such as Europe/Berlin, and check that the system's zoneinfo is installed"
    )]
    Zone {
        /// What was asked for.
        zone: String,
    },
}

/// Divides time into windows.
#[derive(Clone, Debug)]
pub(crate) enum Windows {
    /// All of the range is one window.
    Whole(TimeRange),
    Fixed(i64),
    /// UTC days, months or years: those of the pyramid.
    Utc(Tier),
    Calendar(Unit, TimeZone),
}

impl Windows {
    pub(crate) fn new(every: Option<&Every>, range: TimeRange) -> Result<Self, WindowError> {
        match every {
            None => Ok(Windows::Whole(range)),
            Some(Every::Duration(width)) => {
                let width = i64::try_from(width.as_nanos()).map_err(|_| WindowError::Width)?;
                if width == 0 { Err(WindowError::Width) } else { Ok(Windows::Fixed(width)) }
            }
            Some(Every::Calendar { unit: Unit::Day, zone: None }) => Ok(Windows::Utc(Tier::Day)),
            Some(Every::Calendar { unit: Unit::Month, zone: None }) => {
                Ok(Windows::Utc(Tier::Month))
            }
            Some(Every::Calendar { unit: Unit::Year, zone: None }) => Ok(Windows::Utc(Tier::Year)),
            Some(Every::Calendar { unit, zone }) => {
                let zone = match zone {
                    None => TimeZone::UTC,
                    Some(name) => {
                        TimeZone::get(name).map_err(|_| WindowError::Zone { zone: name.clone() })?
                    }
                };
                Ok(Windows::Calendar(*unit, zone))
            }
        }
    }

    /// The window that holds a time.
    pub(crate) fn at(&self, time: i64) -> TimeRange {
        let (start, end) = match self {
            Windows::Whole(range) => return *range,
            Windows::Utc(tier) => return window_of(*tier, time, LeafWidth::Hour),
            Windows::Fixed(width) => {
                let start = i128::from(time.div_euclid(*width)) * i128::from(*width);
                (start, start + i128::from(*width))
            }
            Windows::Calendar(unit, zone) => calendar(*unit, zone, time),
        };
        // Only the first and the last window of all time are cut by the range of i64.
        let first = i64::try_from(start).unwrap_or(i64::MIN);
        let last = i64::try_from(end - 1).unwrap_or(i64::MAX);
        // A zone database is a file like any other: whatever it says, a window holds the time it was asked for.
        TimeRange::inclusive(first.min(time), last.max(time)).unwrap_or(TimeRange::ALL)
    }

    /// The window after this one; `None` after the last of all time.
    pub(crate) fn after(&self, window: TimeRange) -> Option<TimeRange> {
        if matches!(self, Windows::Whole(_)) {
            return None;
        }
        window.last().checked_add(1).map(|time| self.at(time))
    }

    /// The name of a window: its start; of the whole range, the first time that is given or seen.
    pub(crate) fn name(&self, window: TimeRange, first_seen: i64) -> i64 {
        match self {
            Windows::Whole(range) if range.first() == i64::MIN => first_seen,
            _ => window.first(),
        }
    }
}

fn calendar(unit: Unit, zone: &TimeZone, time: i64) -> (i128, i128) {
    let instant =
        jiff::Timestamp::from_nanosecond(i128::from(time)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    if let Some(minutes) = minutes_of(unit) {
        return clock(minutes, zone, instant);
    }
    let start = start_of(unit, zone.to_datetime(instant).date());
    // A day begins at its first midnight, or where the zone says when midnight is skipped. Where clocks are set back
    // over midnight the date comes back after the next day has begun, and belongs to that one.
    let at = |date: Date| {
        zone.to_ambiguous_zoned(date.at(0, 0, 0, 0))
            .compatible()
            .map_or(i128::from(time), |zoned| zoned.timestamp().as_nanosecond())
    };
    let (first, mut next) = (at(start), next_start(unit, start));
    if at(next) > i128::from(time) {
        return (first, at(next));
    }
    let second = at(next);
    next = next_start(unit, next);
    (second, at(next))
}

fn minutes_of(unit: Unit) -> Option<i128> {
    match unit {
        Unit::QuarterHour => Some(15),
        Unit::HalfHour => Some(30),
        Unit::Hour => Some(60),
        _ => None,
    }
}

/// Windows of the zone's clock. Where the clock is set, one ends and another begins: an hour that is passed twice
/// is two windows, and a shift of half an hour makes two short ones.
fn clock(minutes: i128, zone: &TimeZone, instant: jiff::Timestamp) -> (i128, i128) {
    let time = instant.as_nanosecond();
    let width = minutes * 60_000_000_000;
    let offset = i128::from(zone.to_offset(instant).seconds()) * 1_000_000_000;
    let start = (time + offset).div_euclid(width) * width - offset;
    let set = |transition: Option<jiff::tz::TimeZoneTransition<'_>>| {
        transition.map(|transition| transition.timestamp().as_nanosecond())
    };
    // A transition at this very instant began the window.
    let next = instant.checked_add(jiff::Span::new().nanoseconds(1)).unwrap_or(instant);
    let before = set(zone.preceding(next).next()).filter(|at| *at <= time);
    let after = set(zone.following(instant).next());
    let start = before.map_or(start, |at| at.max(start));
    let end = (time + offset).div_euclid(width) * width - offset + width;
    (start, after.map_or(end, |at| at.min(end)))
}

fn start_of(unit: Unit, date: Date) -> Date {
    match unit {
        // The last three are windows of the clock, not of the calendar.
        Unit::Day | Unit::QuarterHour | Unit::HalfHour | Unit::Hour => date,
        Unit::Week => {
            let back = i64::from(date.weekday().to_monday_zero_offset());
            date.saturating_sub(jiff::Span::new().days(back))
        }
        Unit::Month => date.first_of_month(),
        Unit::Quarter => {
            let month = (date.month() - 1) / 3 * 3 + 1;
            Date::new(date.year(), month, 1).unwrap_or(date)
        }
        Unit::Year => date.first_of_year(),
    }
}

fn next_start(unit: Unit, start: Date) -> Date {
    let step = match unit {
        Unit::Day | Unit::QuarterHour | Unit::HalfHour | Unit::Hour => jiff::Span::new().days(1),
        Unit::Week => jiff::Span::new().weeks(1),
        Unit::Month => jiff::Span::new().months(1),
        Unit::Quarter => jiff::Span::new().months(3),
        Unit::Year => jiff::Span::new().years(1),
    };
    start.saturating_add(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tidelog_model::Timestamp;

    fn seconds(n: i64) -> Timestamp {
        Timestamp(n * 1_000_000_000)
    }

    fn windows(every: Every) -> Windows {
        Windows::new(Some(&every), TimeRange::ALL).unwrap()
    }

    fn bounds(windows: &Windows, time: &str) -> (String, String) {
        let time: jiff::Timestamp = time.parse().unwrap();
        let window = windows.at(i64::try_from(time.as_nanosecond()).unwrap());
        let text = |ns: i64| jiff::Timestamp::from_nanosecond(i128::from(ns)).unwrap().to_string();
        (text(window.first()), text(window.last() + 1))
    }

    #[test]
    fn fixed_windows_are_aligned_to_the_epoch_on_both_sides_of_it() {
        let minute = windows(Every::Duration(Duration::from_secs(60)));
        assert_eq!(minute.at(seconds(61).0).first(), seconds(60).0);
        assert_eq!(minute.at(-1).first(), seconds(-60).0);
        assert_eq!(minute.at(i64::MIN).first(), i64::MIN);
        assert_eq!(minute.at(i64::MAX).last(), i64::MAX);
        assert!(minute.after(minute.at(i64::MAX)).is_none());
    }

    #[test]
    fn local_days_are_23_and_25_hours_long_when_clocks_change() {
        let zone = Some("Europe/Berlin".to_owned());
        let day = windows(Every::Calendar { unit: Unit::Day, zone });
        let spring = bounds(&day, "2026-03-29T12:00:00Z");
        assert_eq!(spring, ("2026-03-28T23:00:00Z".into(), "2026-03-29T22:00:00Z".into()));
        let autumn = bounds(&day, "2026-10-25T12:00:00Z");
        assert_eq!(autumn, ("2026-10-24T22:00:00Z".into(), "2026-10-25T23:00:00Z".into()));
    }

    #[test]
    fn hours_of_a_clock_end_where_it_is_set() {
        let unit =
            |unit, zone: &str| windows(Every::Calendar { unit, zone: Some(zone.to_owned()) });
        let delhi = unit(Unit::Hour, "Asia/Kolkata");
        let found = bounds(&delhi, "2026-11-21T10:00:00Z");
        assert_eq!(found, ("2026-11-21T09:30:00Z".into(), "2026-11-21T10:30:00Z".into()));
        // At 02:00 of 5 April 2026 Lord Howe's clocks went back to 01:30: the hour from 01:00 is 60 minutes, ended by
        // the change, and 30 more minutes lead to 02:00.
        let howe = unit(Unit::Hour, "Australia/Lord_Howe");
        let found = bounds(&howe, "2026-04-04T14:59:00Z");
        assert_eq!(found, ("2026-04-04T14:00:00Z".into(), "2026-04-04T15:00:00Z".into()));
        let found = bounds(&howe, "2026-04-04T15:00:00Z");
        assert_eq!(found, ("2026-04-04T15:00:00Z".into(), "2026-04-04T15:30:00Z".into()));
        // On 4 October they went from 02:00 to 02:30.
        let found = bounds(&howe, "2026-10-03T15:40:00Z");
        assert_eq!(found, ("2026-10-03T15:30:00Z".into(), "2026-10-03T16:00:00Z".into()));
        let berlin = unit(Unit::Hour, "Europe/Berlin");
        let twice =
            [bounds(&berlin, "2026-10-25T00:30:00Z"), bounds(&berlin, "2026-10-25T01:30:00Z")];
        assert_eq!(twice[0].1, twice[1].0, "02:00 comes twice, as two windows");
    }

    #[test]
    fn windows_of_every_zone_tile_time_across_its_changes() {
        let units = [Unit::QuarterHour, Unit::Hour, Unit::Day, Unit::Week, Unit::Month];
        for zone in jiff::tz::db().available() {
            let zone = zone.to_string();
            for unit in units {
                let windows = windows(Every::Calendar { unit, zone: Some(zone.clone()) });
                let mut times: Vec<i64> = Vec::new();
                let tz = TimeZone::get(&zone).unwrap();
                let from: jiff::Timestamp = "1995-01-01T00:00:00Z".parse().unwrap();
                for set in tz.following(from).take(24) {
                    let at = i64::try_from(set.timestamp().as_nanosecond()).unwrap();
                    times.extend([
                        at - 1,
                        at,
                        at + 1,
                        at - 3_600_000_000_000,
                        at + 3_600_000_000_000,
                    ]);
                }
                for time in times {
                    let window = windows.at(time);
                    assert!(window.contains(time), "{zone} {unit:?} {time}");
                    for inside in [window.first(), window.last()] {
                        assert_eq!(windows.at(inside), window, "{zone} {unit:?} {time}");
                    }
                    assert_eq!(windows.at(window.last() + 1).first(), window.last() + 1);
                }
            }
        }
    }

    #[test]
    fn utc_windows_are_those_that_the_zone_utc_has() {
        for unit in [Unit::Day, Unit::Month, Unit::Year] {
            let plain = windows(Every::Calendar { unit, zone: None });
            let named = windows(Every::Calendar { unit, zone: Some("UTC".to_owned()) });
            for step in -2000..2000i64 {
                let time = step * 4_000_037_000_000_000 + step;
                assert_eq!(plain.at(time), named.at(time), "{unit:?} {time}");
            }
        }
    }

    #[test]
    fn calendar_units_begin_where_people_say() {
        let start =
            |unit| bounds(&windows(Every::Calendar { unit, zone: None }), "2026-11-21T10:00:00Z").0;
        assert_eq!(start(Unit::Week), "2026-11-16T00:00:00Z");
        assert_eq!(start(Unit::Month), "2026-11-01T00:00:00Z");
        assert_eq!(start(Unit::Quarter), "2026-10-01T00:00:00Z");
        assert_eq!(start(Unit::Year), "2026-01-01T00:00:00Z");
    }

    #[test]
    fn widths_and_zones_that_are_none_are_refused() {
        let none = Windows::new(Some(&Every::Duration(Duration::ZERO)), TimeRange::ALL);
        assert_eq!(none.unwrap_err(), WindowError::Width);
        let zone = Some("Mars/Olympus".to_owned());
        let every = Every::Calendar { unit: Unit::Day, zone };
        assert!(matches!(
            Windows::new(Some(&every), TimeRange::ALL),
            Err(WindowError::Zone { .. })
        ));
    }
}
