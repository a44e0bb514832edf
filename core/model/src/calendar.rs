//! The UTC calendar of the pyramid: which leaf window, day, month and year a time is in.
//!
//! The proleptic Gregorian calendar without leap seconds, by the algorithms of Howard Hinnant,
//! "chrono-Compatible Low-Level Date Algorithms" (`days_from_civil`, `civil_from_days`). They count
//! years from 1 March, so that the leap day is the last of a year, and eras of 400 years, which all
//! have the same number of days.
//!
//! Every `i64` is a time. The first and the last window of each kind are cut where time ends, so
//! windows tile all of it.

use crate::time::{LeafWidth, MINUTE_NS, TimeRange};

/// Nanoseconds in a UTC day.
pub const DAY_NS: i64 = 24 * 60 * MINUTE_NS;

/// A date of the proleptic Gregorian calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Date {
    /// The year; 0 is 1 BC.
    pub year: i64,
    /// The month, 1 to 12.
    pub month: u8,
    /// The day of the month, from 1.
    pub day: u8,
}

impl Date {
    /// The UTC date of a time.
    #[must_use]
    pub fn of(time: i64) -> Self {
        Self::from_days(time.div_euclid(DAY_NS))
    }

    /// The date so many days after 1970-01-01.
    fn from_days(days: i64) -> Self {
        let days = days + DAYS_TO_EPOCH;
        let era = days.div_euclid(ERA_DAYS);
        let of_era = days.rem_euclid(ERA_DAYS);
        let year_of_era =
            (of_era - of_era / 1_460 + of_era / 36_524 - of_era / (ERA_DAYS - 1)) / 365;
        let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = era * 400 + year_of_era + i64::from(month <= 2);
        // Months are at most 12 and days at most 31, so the casts cut nothing.
        Date { year, month: month as u8, day: day as u8 }
    }

    /// How many days after 1970-01-01 the date is.
    fn to_days(self) -> i64 {
        let month = i64::from(self.month);
        let year = self.year - i64::from(month <= 2);
        let year_of_era = year.rem_euclid(400);
        let from_march = if month > 2 { month - 3 } else { month + 9 };
        let of_year = (153 * from_march + 2) / 5 + i64::from(self.day) - 1;
        let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
        year.div_euclid(400) * ERA_DAYS + of_era - DAYS_TO_EPOCH
    }
}

/// The leaf window that holds a time.
#[must_use]
pub fn leaf_window(time: i64, width: LeafWidth) -> TimeRange {
    let leaf = width.leaf_of(time);
    between(leaf, leaf + 1, width.nanoseconds())
}

/// The UTC day that holds a time.
#[must_use]
pub fn day_window(time: i64) -> TimeRange {
    let day = time.div_euclid(DAY_NS);
    between(day, day + 1, DAY_NS)
}

/// The UTC month that holds a time.
#[must_use]
pub fn month_window(time: i64) -> TimeRange {
    let Date { year, month, .. } = Date::of(time);
    let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    between(first_day(year, month), first_day(next.0, next.1), DAY_NS)
}

/// The UTC year that holds a time.
#[must_use]
pub fn year_window(time: i64) -> TimeRange {
    let year = Date::of(time).year;
    between(first_day(year, 1), first_day(year + 1, 1), DAY_NS)
}

fn first_day(year: i64, month: u8) -> i64 {
    Date { year, month, day: 1 }.to_days()
}

/// From unit `first` to before unit `next`, cut where time ends: a product that does not fit lies
/// beyond the end on its own side, because some time of the window does fit.
fn between(first: i64, next: i64, unit: i64) -> TimeRange {
    let first = first.checked_mul(unit).unwrap_or(i64::MIN);
    let last = next.checked_mul(unit).map_or(i64::MAX, |next| next - 1);
    TimeRange::inclusive(first, last).expect("a window holds the time it was asked for")
}

/// Days in 400 years.
const ERA_DAYS: i64 = 146_097;
/// Days from 0000-03-01, where an era begins, to 1970-01-01.
const DAYS_TO_EPOCH: i64 = 719_468;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::level::Level;
    use jiff::civil;
    use proptest::prelude::*;

    fn time() -> impl Strategy<Value = i64> {
        prop_oneof![
            4 => any::<i64>(),
            1 => (0..2 * DAY_NS).prop_map(|after| i64::MIN + after),
            1 => (0..2 * DAY_NS).prop_map(|before| i64::MAX - before),
            // At the edges of days, where an error by one shows.
            2 => (-106_751i64..=106_751, -1i64..=1).prop_map(|(day, off)| day * DAY_NS + off),
        ]
    }

    fn width() -> impl Strategy<Value = LeafWidth> {
        proptest::sample::select(&[LeafWidth::Hour, LeafWidth::HalfHour, LeafWidth::QuarterHour])
    }

    const TIMED: [Level; 5] = [Level::Root, Level::Year, Level::Month, Level::Day, Level::Window];

    /// What jiff says the window is, cut to what an `i64` holds.
    fn by_jiff(time: i64, level: Level) -> TimeRange {
        let utc = jiff::tz::TimeZone::UTC;
        let at = jiff::Timestamp::from_nanosecond(i128::from(time)).unwrap();
        let date = at.to_zoned(utc.clone()).date();
        let (first, span) = match level {
            Level::Year => (date.first_of_year(), jiff::Span::new().years(1)),
            Level::Month => (date.first_of_month(), jiff::Span::new().months(1)),
            _ => (date, jiff::Span::new().days(1)),
        };
        let midnight =
            |date: civil::Date| date.to_zoned(utc.clone()).unwrap().timestamp().as_nanosecond();
        let last = midnight(first.checked_add(span).unwrap()) - 1;
        let first = i64::try_from(midnight(first)).unwrap_or(i64::MIN);
        TimeRange::inclusive(first, i64::try_from(last).unwrap_or(i64::MAX)).unwrap()
    }

    proptest! {
        #[test]
        fn windows_tile_all_of_time(time in time(), width in width()) {
            for level in TIMED {
                let window = level.window_of(time, width);
                prop_assert!(window.contains(time));
                for inside in [window.first(), window.last()] {
                    prop_assert_eq!(level.window_of(inside, width), window);
                }
                if let Some(after) = window.last().checked_add(1) {
                    prop_assert_eq!(level.window_of(after, width).first(), after);
                }
                if let Some(before) = window.first().checked_sub(1) {
                    prop_assert_eq!(level.window_of(before, width).last(), before);
                }
            }
        }

        #[test]
        fn windows_nest_in_those_of_the_level_above(time in time(), width in width()) {
            for level in TIMED {
                let Some(parent) = level.parent() else { continue };
                let (window, above) = (level.window_of(time, width), parent.window_of(time, width));
                prop_assert!(above.covers(window), "{level} {window} in {parent} {above}");
            }
        }

        #[test]
        fn days_months_and_years_are_those_of_jiff(time in time()) {
            for level in [Level::Year, Level::Month, Level::Day] {
                prop_assert_eq!(level.window_of(time, LeafWidth::Hour), by_jiff(time, level));
            }
        }

        #[test]
        fn a_date_and_its_number_of_days_are_one(days in -4_000_000_000i64..4_000_000_000) {
            let date = Date::from_days(days);
            prop_assert_eq!(date.to_days(), days);
            prop_assert!(date < Date::from_days(days + 1));
            prop_assert!((1..=12).contains(&date.month) && (1..=31).contains(&date.day));
        }
    }

    #[test]
    fn the_windows_at_both_ends_of_time_are_cut_there() {
        for level in TIMED {
            assert_eq!(level.window_of(i64::MIN, LeafWidth::Hour).first(), i64::MIN);
            assert_eq!(level.window_of(i64::MAX, LeafWidth::Hour).last(), i64::MAX);
        }
        assert_eq!(Date::of(i64::MIN), Date { year: 1677, month: 9, day: 21 });
        assert_eq!(Date::of(i64::MAX), Date { year: 2262, month: 4, day: 11 });
        assert_eq!(Date::of(-1), Date { year: 1969, month: 12, day: 31 });
    }

    #[test]
    fn leap_days_are_where_gregory_put_them() {
        for (year, days) in [(1900, 28), (1970, 28), (2000, 29), (2024, 29), (2100, 28)] {
            let february = Date { year, month: 2, day: 1 }.to_days() * DAY_NS;
            let window = month_window(february);
            assert_eq!((window.last() - window.first() + 1) / DAY_NS, days, "{year}");
        }
    }
}
