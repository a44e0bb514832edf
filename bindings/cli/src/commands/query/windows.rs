//! Widths of windows as the engine knows them.

use crate::error::CommandError;
use crate::time::{CalendarUnit, Every};
use std::time::Duration;
use tidelog::Unit;

/// The windows of `--every` and `--tz`.
///
/// With a zone, 15m, 30m and 1h are windows of its clock. Other widths are aligned to UTC, so that a zone with
/// them is refused: it would promise something else.
pub(super) fn windows(every: Every, zone: Option<&str>) -> Result<tidelog::Every, CommandError> {
    let (count, unit) = match (every, zone) {
        (Every::Nanoseconds(width), None) => {
            return Ok(tidelog::Every::Duration(Duration::from_nanos(width.unsigned_abs())));
        }
        (Every::Nanoseconds(width), Some(zone)) => {
            let unit = match width / 60_000_000_000 {
                15 => Some(Unit::QuarterHour),
                30 => Some(Unit::HalfHour),
                60 => Some(Unit::Hour),
                _ => None,
            };
            if let Some(unit) = unit.filter(|_| width % 60_000_000_000 == 0) {
                return Ok(tidelog::Every::Calendar { unit, zone: Some(zone.to_owned()) });
            }
            return Err(CommandError::Usage(format!(
                "--tz {zone} is for windows of the clock and the calendar (15m 30m 1h 1d 1w 1mo 1q 1y): others are aligned to UTC, leave --tz out"
            )));
        }
        (Every::Calendar(count, unit), _) => (count, unit),
    };
    if count != 1 {
        return Err(CommandError::Usage(several(count, unit)));
    }
    let unit = match unit {
        CalendarUnit::Day => Unit::Day,
        CalendarUnit::Week => Unit::Week,
        CalendarUnit::Month => Unit::Month,
        CalendarUnit::Quarter => Unit::Quarter,
        CalendarUnit::Year => Unit::Year,
    };
    Ok(tidelog::Every::Calendar { unit, zone: zone.map(str::to_owned) })
}

/// Several calendar units have no natural beginning; what to ask for instead.
fn several(count: u32, unit: CalendarUnit) -> String {
    let instead = match (count, unit) {
        (_, CalendarUnit::Day) => {
            format!("1d, or {}h for windows aligned to 1970-01-01 UTC", u64::from(count) * 24)
        }
        (_, CalendarUnit::Week) => {
            format!("1w, or {}h for windows aligned to 1970-01-01 UTC", u64::from(count) * 168)
        }
        (3, CalendarUnit::Month) => "1q".to_owned(),
        (12, CalendarUnit::Month) => "1y".to_owned(),
        (4, CalendarUnit::Quarter) => "1y".to_owned(),
        (_, CalendarUnit::Month) => "1mo, 1q or 1y".to_owned(),
        (_, CalendarUnit::Quarter) => "1q or 1y".to_owned(),
        (_, CalendarUnit::Year) => "1y".to_owned(),
    };
    format!("windows are one calendar unit wide, not {count}: write --every {instead}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::parse_every;

    fn asked(every: &str, zone: Option<&str>) -> Result<tidelog::Every, String> {
        windows(parse_every(every).unwrap(), zone).map_err(|error| error.to_string())
    }

    #[test]
    fn widths_are_durations_or_one_calendar_unit() {
        let hour = tidelog::Every::Duration(Duration::from_secs(3600));
        assert_eq!(asked("1h", None), Ok(hour));
        let zone = Some("Europe/Berlin".to_owned());
        let day = tidelog::Every::Calendar { unit: Unit::Day, zone };
        assert_eq!(asked("1d", Some("Europe/Berlin")), Ok(day));
        let zone = Some("Asia/Kolkata".to_owned());
        let hour = tidelog::Every::Calendar { unit: Unit::Hour, zone };
        assert_eq!(asked("1h", Some("Asia/Kolkata")), Ok(hour.clone()));
        assert_eq!(asked("60m", Some("Asia/Kolkata")), Ok(hour));
        assert!(asked("2mo", None).unwrap_err().ends_with("write --every 1mo, 1q or 1y"));
        assert!(asked("3mo", None).unwrap_err().ends_with("write --every 1q"));
        assert!(asked("2d", None).unwrap_err().contains("48h"));
        assert!(asked("6h", Some("UTC")).unwrap_err().contains("leave --tz out"));
    }
}
