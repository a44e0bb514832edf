#!/usr/bin/env python3
"""Where windows of local clocks and calendars start, in every zone, by Python's zoneinfo and the definition below.

    python3 windows.py > windows.lines        needs Python 3.9 and the system's zoneinfo

A zone is taken as stretches of one UTC offset. A window of the clock (15m, 30m, 1h) starts where the local clock
shows a multiple of its width, and where the offset changes: so an hour that is passed twice is two windows. A window
of the calendar (1d, 1w from Monday, 1mo, 1q, 1y) starts at the first instant at which the local clock shows its first
midnight or anything later: so where midnight is skipped it starts after the gap, a day that is skipped whole has no
window, and a date that comes back when clocks are set back over midnight belongs to the day that has begun.

A line: the hash of the changes of offset, those of the starts by unit, and the zones that have them. A list is of
seconds since 1970: for each year the offset and changes in it; the starts from the window that holds its first second
(UTC) to its end; for windows of the clock from six hours before each change to six hours after, and the first six
hours of the year; for those of the calendar also the start of the window that holds each tenth minute from two hours
before a change to two hours after. The hash is h = (h ^ number) * 0x100000001b3 mod 2**64 from 0xcbf29ce484222325, its upper 32 bits.
The years are past, have odd changes, and their rules are settled; where another tz database has other rules for a zone,
the first hash says so.
"""
import bisect, datetime, pathlib, zoneinfo

YEARS = (1986, 1995, 2011, 2021, 2023)
CLOCK, CALENDAR = {"15m": 900, "30m": 1800, "1h": 3600}, ("1d", "1w", "1mo", "1q", "1y")
HOUR, DAY = 3600, 86400
UTC = datetime.timezone.utc
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=UTC)

def seconds(year, month=1, day=1):
    return int((datetime.datetime(year, month, day, tzinfo=UTC) - EPOCH).total_seconds())

def offset(zone, second):
    return int((EPOCH + datetime.timedelta(seconds=second)).astimezone(zone).utcoffset().total_seconds())

def stretches(zone, first, last):
    """(start, offset) of each stretch, by looking every six hours and halving what lies between."""
    found = [(first, offset(zone, first))]
    for end in range(first + 6 * HOUR, last + 1, 6 * HOUR):
        if offset(zone, end) != found[-1][1]:
            low, high = end - 6 * HOUR, end
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (middle, high) if offset(zone, middle) == found[-1][1] else (low, middle)
            found.append((high, offset(zone, high)))
    return found

def clock(parts, width):
    starts = set()
    for (start, shift), (end, _) in zip(parts, parts[1:] + [(parts[-1][0] + 800 * DAY, 0)]):
        starts.update({start}, range(start + -(start + shift) % width, end, width))
    return sorted(starts)

def calendar(parts, year):
    """Starts by unit around a year."""
    ends = [start for start, _ in parts[1:]] + [2**62]
    starts = {unit: set() for unit in CALENDAR}
    for day in range(seconds(year - 1), seconds(year + 1) + 3 * DAY, DAY):
        date = (EPOCH + datetime.timedelta(seconds=day)).date()
        shown = (max(start, day - shift) for (start, shift), end in zip(parts, ends) if day - shift < end)
        starts["1d"].add(at := next(shown))
        first = date.day == 1
        begun = (date.weekday() == 0, first, first and date.month % 3 == 1, first and date.month == 1)
        for unit, begins in zip(CALENDAR[1:], begun):
            starts[unit].update({at} if begins else ())
    return {unit: sorted(all) for unit, all in starts.items()}

def between(starts, first, end):
    return starts[bisect.bisect_right(starts, first) - 1:bisect.bisect_left(starts, end)]

def hashed(numbers):
    h = 0xCBF29CE484222325
    for number in numbers:
        h = (h ^ (number % 2**64)) * 0x100000001B3 % 2**64
    return f"{h >> 32:08x}"

def line(name):
    zone, rules = zoneinfo.ZoneInfo(name), []
    lists = {unit: [] for unit in (*CLOCK, *CALENDAR)}
    for year in YEARS:
        first, end = seconds(year), seconds(year + 1)
        parts = stretches(zone, seconds(year - 1) - 3 * DAY, end + 3 * DAY)
        changes = [part for part in parts if first < part[0] < end]
        rules += [offset(zone, first), *(number for part in changes for number in part)]
        for unit, starts in calendar(parts, year).items():
            lists[unit] += between(starts, first, end)
            for at, _ in changes:
                lists[unit] += (starts[bisect.bisect_right(starts, asked) - 1] for asked in range(at - 2 * HOUR, at + 2 * HOUR, 600))
        for unit, width in CLOCK.items():
            starts = clock(parts, width)
            lists[unit] += between(starts, first, first + 6 * HOUR)
            for at, _ in changes:
                lists[unit] += between(starts, at - 6 * HOUR, at + 6 * HOUR)
    return " ".join(map(hashed, (rules, *lists.values())))

zones = {}
for name in sorted(zoneinfo.available_timezones() - {"localtime", "posixrules", "Factory"}):
    zones.setdefault(line(name), []).append(name)
version = pathlib.Path("/usr/share/zoneinfo/tzdata.zi").read_text().split("\n")[0].removeprefix("# version ")
print("# tzdata", version)
print("# years", *YEARS)
print("# rules", *CLOCK, *CALENDAR)
for hashes, names in sorted(zones.items(), key=lambda item: item[1]):
    print(hashes, *names)
