"""Holds `tidelog` against real series: imports every file, and compares with a computation of its own.

    compare.py TIDELOG DATA_DIRECTORY WORK_DIRECTORY [--only NAME,...]

For each DATA_DIRECTORY/*.csv.zst, all in one store: the number of rows after merging, `export` (values bit
for bit, absent and empty apart), and hourly UTC means; then once more with --same-time nudge, where every
source row comes back. Exits 1 at the first file that differs. Needs Python 3.9 and zstd.
"""

import json
import math
import os
import re
import struct
import subprocess
import sys

HOUR = 3_600_000_000_000
WHOLE = re.compile(r"[+-]?(0|[1-9][0-9]*)")
NUMBER = re.compile(r"[+-]?(0|[1-9][0-9]*)(\.[0-9]*)?([eE][+-]?[0-9]+)?|\.[0-9]+")


def split(line):
    """The cells of a line: None is absent, "" is the empty string."""
    if '"' not in line:
        return [cell or None for cell in line.split(",")]
    cells, at = [], 0
    while True:
        if line[at : at + 1] == '"':
            end = at + 1
            while True:
                end = line.index('"', end)
                if line[end + 1 : end + 2] != '"':
                    break
                end += 2
            cells.append(line[at + 1 : end].replace('""', '"'))
            end += 1
        else:
            end = line.find(",", at)
            end = len(line) if end < 0 else end
            cells.append(line[at:end] or None)
        if end == len(line):
            return cells
        assert line[end] == ",", line
        at = end + 1


def table(text):
    lines = text.split("\n")
    assert lines[-1] == "", "the last line ends"
    return split(lines[0]), [split(line) for line in lines[1:-1]]


def kinds(header, rows):
    """int, float or str of each column after device and time; None where it has no values."""
    found = []
    for column in range(2, len(header)):
        texts = {row[column] for row in rows} - {None}
        if not texts:
            found.append(None)
        elif all(WHOLE.fullmatch(text) for text in texts):
            found.append(int)
        elif all(NUMBER.fullmatch(text) for text in texts):
            found.append(float)
        else:
            found.append(str)
    return found


def key(kind, text):
    """What must be equal: of floats the bits."""
    if text is None or kind is None:
        return None
    return struct.pack("<d", float(text)) if kind is float else kind(text)


def merge(rows):
    """By device and time; of rows with both equal, the later wins cell by cell."""
    merged = {}
    for row in rows:
        place = (row[0], int(row[1]))
        known = merged.get(place)
        if known is None:
            merged[place] = row[2:]
        else:
            merged[place] = [old if new is None else new for old, new in zip(known, row[2:])]
    return merged


def nudge(rows):
    """Moves rows with equal device and time apart, in order, to the next free nanosecond."""
    used = {}
    for row in rows:
        taken = used.setdefault(row[0], set())
        time = int(row[1])
        while time in taken:
            time += 1
        taken.add(time)
        yield [row[0], str(time), *row[2:]]


def hourly(merged, types):
    sums = {}
    for (device, time), cells in merged.items():
        for column, (kind, text) in enumerate(zip(types, cells)):
            if kind in (int, float) and text is not None:
                sums.setdefault((device, time // HOUR * HOUR, column), []).append(kind(text))
    return sums


class Store:
    def __init__(self, tidelog, path):
        self.tidelog, self.path = tidelog, path

    def run(self, command, *arguments):
        call = [self.tidelog, command, self.path, *arguments]
        return subprocess.run(call, check=True, stdout=subprocess.PIPE).stdout.decode()


def compare_rows(store, collection, header, merged, types):
    out_header, out = table(store.run("export", collection))
    names = [name for name, kind in zip(header[2:], types) if kind]
    assert sorted(out_header[2:]) == sorted(names), (out_header, names)
    columns = [out_header.index(name) if kind else None for name, kind in zip(header[2:], types)]
    assert len(out) == len(merged), f"{len(out)} rows, not {len(merged)}"
    before = None
    for row in out:
        place = (row[0], int(row[1]))
        assert before is None or place[0] != before[0] or place > before, f"{place} is out of order"
        before = place
        for kind, column, text in zip(types, columns, merged.pop(place)):
            found = row[column] if kind else None
            assert key(kind, found) == key(kind, text), (place, text, found)
    assert not merged
    return len(out)


def compare_means(store, collection, header, types, sums):
    fields = [(column, name) for column, name in enumerate(header[2:]) if types[column] in (int, float)]
    arguments = [part for _, name in fields for part in ("--field", name)]
    query = ("--every", "1h", "--agg", "mean,count", "--format", "csv")
    out_header, out = table(store.run("query", collection, *arguments, *query))
    place = {column: out_header.index(f"{name}_mean") for column, name in fields}
    count = {column: out_header.index(f"{name}_count") for column, name in fields}
    compared = 0
    for row in out:
        for column, _ in fields:
            values = sums.pop((row[0], int(row[1]), column), None)
            if values is None:
                assert row[place[column]] is None, row
                continue
            assert int(row[count[column]]) == len(values), row
            mean = math.fsum(values) / len(values)
            # Sums of floats may be taken in any order: the last bits differ.
            slack = 1e-12 * math.fsum(map(abs, values)) / len(values)
            assert abs(float(row[place[column]]) - mean) <= slack, (row, mean)
            compared += 1
    assert not sums, f"{len(sums)} means are missing"
    return compared


def main():
    tidelog, data, work = sys.argv[1:4]
    only = sys.argv[5].split(",") if sys.argv[4:5] == ["--only"] else None
    names = sorted(name[:-8] for name in os.listdir(data) if name.endswith(".csv.zst"))
    names = [name for name in names if only is None or name in only]
    for rule in ("last", "nudge"):
        store = Store(tidelog, os.path.join(work, rule))
        for name in names:
            path = os.path.join(data, f"{name}.csv.zst")
            printed = json.loads(store.run("import", f"data.{name}", path, "--same-time", rule, "--json"))
            assert printed["rejected"] == 0, (name, printed)
        compacted = json.loads(store.run("compact", "--json"))
        assert json.loads(store.run("verify", "--json"))["clean"]
        total = 0
        for name in names:
            path = os.path.join(data, f"{name}.csv.zst")
            text = subprocess.run(["zstd", "-dcq", path], check=True, stdout=subprocess.PIPE).stdout
            header, rows = table(text.decode())
            types = kinds(header, rows)
            source = len(rows)
            merged = merge(nudge(rows) if rule == "nudge" else rows)
            assert rule == "last" or len(merged) == source
            sums = hourly(merged, types)
            means = compare_means(store, f"data.{name}", header, types, sums)
            kept = compare_rows(store, f"data.{name}", header, merged, types)
            total += kept
            print(f"{rule:5} {name:20} {source:>7} rows, {kept:>7} kept, {means:>7} hourly means: equal", flush=True)
        print(f"{rule:5} {total} rows, {compacted['bytes_on_disk']} bytes on disk", flush=True)
        windows = os.path.join(os.path.dirname(os.path.abspath(__file__)), "windows.py")
        if rule == "last":
            subprocess.run([sys.executable, windows, tidelog, store.path], check=True)


main()
