//! Windows in every zone of the database, as `tests/golden/windows.py` works them out from its own definition.
//!
//! Where the tz database here has other rules for a zone than the one that the file was made with, the zone is passed
//! over: the years are past and settled, so few are.

use super::spec::{Every, Unit};
use super::window::Windows;
use jiff::Timestamp;
use jiff::tz::TimeZone;

const FILE: &str = include_str!("../../../../tests/golden/windows.lines");
const CLOCK: [Unit; 3] = [Unit::QuarterHour, Unit::HalfHour, Unit::Hour];
const CALENDAR: [Unit; 5] = [Unit::Day, Unit::Week, Unit::Month, Unit::Quarter, Unit::Year];
const SIX_HOURS: i64 = 6 * 3600;

/// As the file's: the upper half of a hash over numbers.
struct Hash(u64);

impl Hash {
    fn new() -> Self {
        Hash(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, number: i64) {
        self.0 = (self.0 ^ number.cast_unsigned()).wrapping_mul(0x100_0000_01b3);
    }

    fn text(&self) -> String {
        format!("{:08x}", self.0 >> 32)
    }
}

fn second(year: i64) -> i64 {
    let start: Timestamp = format!("{year}-01-01T00:00:00Z").parse().unwrap();
    start.as_second()
}

/// Where the offset of a zone changes in a stretch, and what it is then.
fn changes(zone: &TimeZone, from: i64, to: i64) -> Vec<(i64, i64)> {
    let at = |second| Timestamp::from_second(second).unwrap();
    let offset = |second| i64::from(zone.to_offset(at(second)).seconds());
    let following = zone.following(at(from)).map(|set| set.timestamp().as_second());
    let inside = following.take_while(|set| *set < to);
    inside.filter(|set| offset(*set) != offset(set - 1)).map(|set| (set, offset(set))).collect()
}

/// Starts from the window that holds a second, to another.
fn add_starts(hash: &mut Hash, windows: &Windows, from: i64, to: i64) {
    let mut window = windows.at(from * 1_000_000_000);
    while window.first() < to * 1_000_000_000 {
        assert_eq!(window.first() % 1_000_000_000, 0, "{window:?}");
        hash.add(window.first() / 1_000_000_000);
        window = windows.after(window).unwrap();
    }
}

/// The hashes of a line of the file.
fn hashes(name: &str, zone: &TimeZone, years: &[i64]) -> (String, Vec<String>) {
    let spans: Vec<_> = years.iter().map(|year| (second(*year), second(year + 1))).collect();
    let mut rules = Hash::new();
    for (from, to) in &spans {
        rules.add(zone.to_offset(Timestamp::from_second(*from).unwrap()).seconds().into());
        for (at, offset) in changes(zone, *from, *to) {
            rules.add(at);
            rules.add(offset);
        }
    }
    let starts = |unit: Unit| {
        let zoned = Every::Calendar { unit, zone: Some(name.to_owned()) };
        let windows = Windows::new(Some(&zoned), tidelog_model::TimeRange::ALL).unwrap();
        let mut hash = Hash::new();
        for (from, to) in &spans {
            if CALENDAR.contains(&unit) {
                add_starts(&mut hash, &windows, *from, *to);
                for (at, _) in changes(zone, *from, *to) {
                    let asked = (-12..12).map(|step| (at + step * 600) * 1_000_000_000);
                    asked.for_each(|time| hash.add(windows.at(time).first() / 1_000_000_000));
                }
                continue;
            }
            add_starts(&mut hash, &windows, *from, from + SIX_HOURS);
            for (at, _) in changes(zone, *from, *to) {
                add_starts(&mut hash, &windows, at - SIX_HOURS, at + SIX_HOURS);
            }
        }
        hash.text()
    };
    (rules.text(), CLOCK.into_iter().chain(CALENDAR).map(starts).collect())
}

#[test]
fn windows_of_every_zone_start_where_another_computation_says() {
    let (mut years, mut same, mut other, mut wrong) = (Vec::new(), 0, Vec::new(), Vec::new());
    for line in FILE.lines() {
        if let Some(list) = line.strip_prefix("# years ") {
            years = list.split(' ').map(|year| year.parse().unwrap()).collect();
        }
        if line.starts_with('#') {
            continue;
        }
        let (expected, names) = line.split_at(9 * 9);
        let (rules, expected) = expected.trim_end().split_once(' ').unwrap();
        for name in names.split(' ') {
            let Ok(zone) = TimeZone::get(name) else {
                other.push(name);
                continue;
            };
            let found = hashes(name, &zone, &years);
            if found.0 != rules {
                other.push(name);
            } else if found.1.join(" ") != expected {
                wrong.push(format!("{name}: {} for {expected}", found.1.join(" ")));
            } else {
                same += 1;
            }
        }
    }
    assert!(wrong.is_empty(), "15m 30m 1h 1d 1w 1mo 1q 1y\n{}", wrong.join("\n"));
    assert!(same > 400, "only {same} zones were compared; other rules or none here: {other:?}");
}
