//! Points and lengths of time as users write them, and as tables show them.

use jiff::Timestamp;

/// Why a text is no time.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum TimeError {
    #[error(
        "{text:?} is no time: write nanoseconds since 1970 or RFC 3339, as 2026-01-31T12:00:00Z"
    )]
    Form { text: String },
    #[error(
        "{text:?} lies outside of 1677-09-21 to 2262-04-11, the times that 64-bit nanoseconds hold"
    )]
    Range { text: String },
}

/// Reads integer nanoseconds since 1970, any `i64`, or RFC 3339.
///
/// # Errors
/// When the text is neither, or the time does not fit.
pub(crate) fn parse_time(text: &str) -> Result<i64, TimeError> {
    if let Ok(nanoseconds) = text.parse() {
        return Ok(nanoseconds);
    }
    let shown = || text.chars().take(40).collect();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(TimeError::Range { text: shown() });
    }
    let time: Timestamp = text.parse().map_err(|_| TimeError::Form { text: shown() })?;
    i64::try_from(time.as_nanosecond()).map_err(|_| TimeError::Range { text: shown() })
}

/// RFC 3339 in UTC, always with nine digits of a second, so that columns of times align.
pub(crate) fn print_time(nanoseconds: i64) -> String {
    let time = Timestamp::from_nanosecond(i128::from(nanoseconds))
        .expect("jiff covers the years -9999 to 9999, an i64 of nanoseconds 1677 to 2262");
    format!("{time:.9}")
}

/// RFC 3339 in UTC, with no more digits of a second than there are.
pub(crate) fn print_time_shortly(nanoseconds: i64) -> String {
    let shown = print_time(nanoseconds);
    let seconds = shown.trim_end_matches('Z').trim_end_matches('0').trim_end_matches('.');
    format!("{seconds}Z")
}

/// How wide windows are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Every {
    /// So many nanoseconds, at least one.
    Nanoseconds(i64),
    /// So many calendar units, at least one: their length depends on the zone and the date.
    Calendar(u32, CalendarUnit),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CalendarUnit {
    Day,
    /// Seven days from a Monday.
    Week,
    Month,
    Quarter,
    Year,
}

impl Every {
    /// The width where every day has 24 hours, as in UTC; `None` for months and longer.
    pub(crate) fn in_utc(self) -> Option<i64> {
        match self {
            Every::Nanoseconds(width) => Some(width),
            Every::Calendar(count, CalendarUnit::Day) => i64::from(count).checked_mul(DAY),
            Every::Calendar(count, CalendarUnit::Week) => i64::from(count).checked_mul(7 * DAY),
            Every::Calendar(..) => None,
        }
    }
}

/// Why a text is no width of windows.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{text:?} is no width of windows: write a whole number above 0 and one of ns us ms s m h d w mo q y, as 15m or 1mo"
)]
pub(crate) struct EveryError {
    text: String,
}

/// Reads `500ms`, `10s`, `15m`, `1h`; `1d`, `1w`, `1mo`, `1q`, `1y` are calendar units.
///
/// # Errors
/// When the text is no such width, or too wide for 64-bit nanoseconds.
pub(crate) fn parse_every(text: &str) -> Result<Every, EveryError> {
    let refuse = || EveryError { text: text.chars().take(40).collect() };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (count, unit) = text.split_at(digits);
    let count: i64 = count.parse().ok().filter(|count| *count > 0).ok_or_else(refuse)?;
    let fixed = |unit: i64| count.checked_mul(unit).map(Every::Nanoseconds);
    let calendar = |unit| Some(Every::Calendar(u32::try_from(count).ok()?, unit));
    let every = match unit {
        "ns" => fixed(1),
        "us" | "µs" => fixed(1_000),
        "ms" => fixed(1_000_000),
        "s" => fixed(SECOND),
        "m" | "min" => fixed(60 * SECOND),
        "h" => fixed(3_600 * SECOND),
        "d" => calendar(CalendarUnit::Day),
        "w" => calendar(CalendarUnit::Week),
        "mo" => calendar(CalendarUnit::Month),
        "q" => calendar(CalendarUnit::Quarter),
        "y" => calendar(CalendarUnit::Year),
        _ => None,
    };
    every.ok_or_else(refuse)
}

/// Reads a length of time, as of `--durability interval:100ms`: a width without calendar units
/// longer than a week, a day being 24 hours.
///
/// # Errors
/// As [`parse_every`].
pub(crate) fn parse_duration(text: &str) -> Result<std::time::Duration, EveryError> {
    let width = parse_every(text)?.in_utc().and_then(|width| u64::try_from(width).ok());
    width.map(std::time::Duration::from_nanos).ok_or_else(|| EveryError { text: text.to_string() })
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400 * SECOND;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn times_are_nanoseconds_or_rfc_3339() {
        let cases = [
            ("0", 0),
            ("-1", -1),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("1970-01-01T00:00:00Z", 0),
            ("1970-01-01T00:00:00.000000001Z", 1),
            ("1970-01-01T01:00:00+01:00", 0),
            ("1969-12-31T23:59:59.5Z", -SECOND / 2),
            ("2262-04-11T23:47:16.854775807Z", i64::MAX),
        ];
        for (text, time) in cases {
            assert_eq!(parse_time(text), Ok(time), "{text}");
        }
    }

    #[test]
    fn whole_seconds_are_printed_without_a_fraction() {
        assert_eq!(print_time_shortly(600 * SECOND), "1970-01-01T00:10:00Z");
        assert_eq!(print_time_shortly(SECOND / 2), "1970-01-01T00:00:00.5Z");
    }

    #[test]
    fn what_is_no_time_says_whether_form_or_range_is_wrong() {
        for text in [
            "9223372036854775808",
            "-9223372036854775809",
            "2262-04-11T23:47:16.9Z",
            "1500-01-01T00:00:00Z",
        ] {
            assert!(matches!(parse_time(text), Err(TimeError::Range { .. })), "{text}");
        }
        // Without an offset a time of day is not a point in time.
        for text in [
            "",
            "-",
            "x",
            "1.5",
            "1e9",
            "2026-01-31",
            "2026-01-31T12:00:00",
            "2026-02-30T00:00:00Z",
        ] {
            assert!(matches!(parse_time(text), Err(TimeError::Form { .. })), "{text}");
        }
    }

    #[test]
    fn widths_know_fixed_and_calendar_units() {
        use CalendarUnit::*;
        let cases = [
            ("1ns", Every::Nanoseconds(1)),
            ("500ms", Every::Nanoseconds(SECOND / 2)),
            ("10s", Every::Nanoseconds(10 * SECOND)),
            ("15m", Every::Nanoseconds(900 * SECOND)),
            ("30m", Every::Nanoseconds(1_800 * SECOND)),
            ("1h", Every::Nanoseconds(3_600 * SECOND)),
            ("1d", Every::Calendar(1, Day)),
            ("2w", Every::Calendar(2, Week)),
            ("1mo", Every::Calendar(1, Month)),
            ("1q", Every::Calendar(1, Quarter)),
            ("1y", Every::Calendar(1, Year)),
        ];
        for (text, every) in cases {
            assert_eq!(parse_every(text), Ok(every), "{text}");
        }
        for text in [
            "",
            "h",
            "1",
            "0h",
            "-1h",
            "1.5h",
            "1 h",
            "1H",
            "1M",
            "10000000000h",
            "99999999999999999999s",
            "5000000000d",
        ] {
            assert!(parse_every(text).is_err(), "{text}");
        }
        assert_eq!(Every::Calendar(2, Week).in_utc(), Some(14 * DAY));
        assert_eq!(Every::Calendar(1, Month).in_utc(), None);
        assert_eq!(parse_duration("100ms"), Ok(std::time::Duration::from_millis(100)));
        assert!(parse_duration("1mo").is_err());
    }

    proptest! {
        #[test]
        fn every_time_comes_back_from_its_text(time: i64) {
            let text = print_time(time);
            prop_assert_eq!(text.len(), "2026-01-31T12:00:00.000000000Z".len());
            prop_assert_eq!(parse_time(&text), Ok(time));
            prop_assert_eq!(parse_time(&print_time_shortly(time)), Ok(time));
        }
    }
}
