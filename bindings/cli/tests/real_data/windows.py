#!/usr/bin/env python3
"""Holds windows of local clocks and calendars against a computation with Python's zoneinfo.

    windows.py TIDELOG STORE [COLLECTION...]

For each collection of the store (all unless named): mean, count, min, max, first and last of every numeric field by
hour, day, month and year in four zones, from the rows that `export` gives.
Exits 1 at the first window that differs. Needs Python 3.9.
"""

import datetime
import json
import math
import subprocess
import sys
import zoneinfo

NS = 1_000_000_000
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)
ZONES = ("UTC", "Asia/Tokyo", "America/St_Johns", "Australia/Lord_Howe")
UNITS = ("1h", "1d", "1mo", "1y")


def run(*call):
    return subprocess.run(call, check=True, stdout=subprocess.PIPE).stdout.decode()


def table(text):
    """Cells of a CSV without quoted line breaks; an empty cell is None."""
    import csv
    import io
    rows = list(csv.reader(io.StringIO(text)))
    return rows[0], [[cell if cell else None for cell in row] for row in rows[1:]]


class Clock:
    """Where the windows of a unit start in a zone, worked out second by second around changes."""

    def __init__(self, name, unit):
        self.zone, self.unit, self.starts = zoneinfo.ZoneInfo(name), unit, {}

    def local(self, second):
        return (EPOCH + datetime.timedelta(seconds=second)).astimezone(self.zone)

    def offset(self, second):
        return self.local(second).utcoffset()

    def at(self, local):
        """The instant of a local midnight: the first, where it comes twice."""
        return int((local.replace(tzinfo=self.zone, fold=0) - EPOCH).total_seconds())

    def start(self, time):
        second = time // NS
        slot = second // 60
        if slot not in self.starts:
            self.starts[slot] = self.find(slot * 60)
        return self.starts[slot]

    def find(self, second):
        local = self.local(second)
        midnight = dict(hour=0, minute=0, second=0, microsecond=0)
        if self.unit == "1h":
            start = second - local.minute * 60 - local.second
            # A change of the clock begins a window of its own.
            while self.offset(start) != self.offset(second):
                start += 60
            return start * NS
        if self.unit == "1mo":
            midnight["day"] = 1
        if self.unit == "1y":
            midnight.update(month=1, day=1)
        first = local.replace(tzinfo=None, **midnight)
        # Clocks that are set back over midnight show the date again when the next day has begun.
        days = {"1d": 1, "1mo": 32, "1y": 367}[self.unit]
        following = (first + datetime.timedelta(days=days)).replace(**{**midnight, "day": midnight.get("day", (first + datetime.timedelta(days=days)).day)})
        return (self.at(following) if self.at(following) <= second else self.at(first)) * NS


def folded(rows, types, clock):
    windows = {}
    for device, time, cells in rows:
        start = clock.start(time)
        for column, (kind, cell) in enumerate(zip(types, cells)):
            if kind and cell is not None:
                windows.setdefault((device, start, column), []).append(cell)
    return windows


def check(out, header, names, types, windows):
    place = {name: header.index(name) for name in header}
    left = dict(windows)
    for row in out:
        for column, (name, kind) in enumerate(zip(names, types)):
            if not kind:
                continue
            values = left.pop((row[0], int(row[1]), column), None)
            cell = lambda what: row[place[f"{name}_{what}"]]
            if values is None:
                assert cell("count") in (None, "0"), row
                continue
            assert int(cell("count")) == len(values), row
            assert kind(cell("first")) == values[0] and kind(cell("last")) == values[-1], row
            assert kind(cell("min")) == min(values) and kind(cell("max")) == max(values), row
            slack = 1e-12 * math.fsum(map(abs, values)) / len(values)
            assert abs(float(cell("mean")) - math.fsum(values) / len(values)) <= slack, row
    assert not left, f"{len(left)} windows are missing, as {next(iter(left))}"


def main():
    tidelog, store, *only = sys.argv[1:]
    known = json.loads(run(tidelog, "info", store, "--json"))["collections"]
    for collection in only or [one["name"] for one in known]:
        header, rows = table(run(tidelog, "export", store, collection))
        names = header[2:]
        fields = next(one["fields"] for one in known if one["name"] == collection)
        kinds = {"f64": float, "f32": float, "i64": int, "u64": int}
        types = [kinds.get(fields[name]) for name in names]
        read = lambda kind, cell: kind(cell) if kind and cell is not None else cell
        rows = [(row[0], int(row[1]), [read(*cell) for cell in zip(types, row[2:])]) for row in rows]
        asked = [part for name, kind in zip(names, types) if kind for part in ("--field", name)]
        compared = 0
        if not asked:
            continue
        for zone in ZONES:
            for unit in UNITS:
                windows = folded(rows, types, Clock(zone, unit))
                query = ("--every", unit, "--tz", zone, "--agg", "mean,count,min,max,first,last", "--format", "csv")
                out_header, out = table(run(tidelog, "query", store, collection, *asked, *query))
                check(out, out_header, names, types, windows)
                compared += len(windows)
        print(f"{collection:30} {len(rows):>8} rows, {compared:>8} windows of fields in {len(ZONES)} zones: equal", flush=True)


main()
