#!/usr/bin/env python3
"""Merges the figures of several engines, one line of JSON each, into one table side by side.

    compare.py --disk DIR --out RESULTS.md tidelog.jsonl sqlite.jsonl ... reference.jsonl

Every answer is held against the reference's for the same workload. Exits with 1, the table written
all the same, when one differs or a synced row was lost.
"""

import argparse
import json
import os
import platform
import subprocess
import sys

# Figure, heading, unit shown, what to divide the reported unit by, and whether more is better.
ROWS = [
    ("ingest_durable", "ingest, every batch synced", "k rows/s", 1e3, True),
    ("ingest_durable_flushed", "... with the final flush", "k rows/s", 1e3, True),
    ("ingest_durable_closed", "... with compaction and close", "k rows/s", 1e3, True),
    ("ingest_durable_batch_p50", "a batch, median", "ms", 1, False),
    ("ingest_durable_batch_p99", "a batch, 99 %", "ms", 1, False),
    ("ingest_durable_batch_max", "a batch, longest", "ms", 1, False),
    ("ingest_durable_memory", "peak memory", "MB", 1, False),
    ("ingest_durable_8_writers", "eight writers", "k rows/s", 1e3, True),
    ("ingest_relaxed", "ingest, not synced", "k rows/s", 1e3, True),
    ("ingest_relaxed_flushed", "... with the final flush", "k rows/s", 1e3, True),
    ("ingest_relaxed_closed", "... with compaction and close", "k rows/s", 1e3, True),
    ("ingest_relaxed_batch_p50", "a batch, median", "ms", 1, False),
    ("ingest_relaxed_batch_p99", "a batch, 99 %", "ms", 1, False),
    ("ingest_relaxed_batch_max", "a batch, longest", "ms", 1, False),
    ("ingest_relaxed_memory", "peak memory", "MB", 1, False),
    ("ingest_relaxed_8_writers", "eight writers", "k rows/s", 1e3, True),
    ("ingest_relaxed_prepared", "batches made before, not synced", "k rows/s", 1e3, True),
    ("ingest_relaxed_prepared_flushed", "... with the final flush", "k rows/s", 1e3, True),
    ("ingest_durable_prepared", "batches made before, synced", "k rows/s", 1e3, True),
    ("ingest_durable_prepared_flushed", "... with the final flush", "k rows/s", 1e3, True),
    ("ingest_relaxed_8_writers_flushed", "eight writers, not synced, flushed", "k rows/s", 1e3, True),
    ("ingest_durable_8_writers_flushed", "eight writers, synced, flushed", "k rows/s", 1e3, True),
    ("ingest_durable_8_tickets", "one writer, 8 batches in flight, synced", "k rows/s", 1e3, True),
    ("ingest_durable_8_tickets_flushed", "... with the final flush", "k rows/s", 1e3, True),
    ("ingest_durable_32_tickets", "one writer, 32 batches in flight, synced", "k rows/s", 1e3, True),
    ("ingest_durable_32_tickets_flushed", "... with the final flush", "k rows/s", 1e3, True),
    ("amplification", "log, flush and compaction written per byte kept", "x", 1, False),
    ("amplification_files", "flush and compaction written per byte flushed", "x", 1, False),
    ("amplification_files_closed", "... compacted to the end", "x", 1, False),
    ("load", "load as queried, compacted", "k rows/s", 1e3, True),
    ("disk", "on disk, compacted", "MB", 1e6, False),
    ("disk_allocated", "... blocks allocated", "MB", 1e6, False),
    ("disk_per_value", "on disk per value", "B", 1, False),
    ("q1", "Q1 one device, 1 h, max per minute", "ms", 1, False),
    ("q2", "Q2 all devices, 1 h, mean per minute", "ms", 1, False),
    ("q3", "Q3 last row of every device", "ms", 1, False),
    ("q4", "Q4 mean per device and hour, all", "ms", 1, False),
    ("q5", "Q5 all rows of one device", "ms", 1, False),
    ("q6", "Q6 count above 90", "ms", 1, False),
    ("q7", "Q7 100 rows of one device, cold", "ms", 1, False),
    ("q7_cached", "... files in the page cache", "ms", 1, False),
    ("q7_again", "... cold files, in a process that has asked before", "ms", 1, False),
    ("q7_again_cached", "... files in the page cache", "ms", 1, False),
    ("open_cold", "open, cold", "ms", 1, False),
    ("open_cold_cached", "... files in the page cache", "ms", 1, False),
    ("scan", "read all rows and fields", "ms", 1, False),
    ("scan_memory", "... peak memory", "MB", 1, False),
    ("reopen_killed_durable", "reopen after SIGKILL, synced", "ms", 1, False),
    ("reopen_killed_durable_open", "... until open", "ms", 1, False),
    ("reopen_killed_relaxed", "reopen after SIGKILL, not synced", "ms", 1, False),
    ("reopen_killed_relaxed_open", "... until open", "ms", 1, False),
    ("reopen_64mib", "reopen after SIGKILL, 64 MiB of log", "ms", 1, False),
    ("reopen_64mib_open", "... until open", "ms", 1, False),
]
ORDER = {figure: i for i, (figure, *_) in enumerate(ROWS)}
REFERENCE = "reference"


class Footnotes:
    def __init__(self):
        self.texts = []

    def mark(self, text):
        if text not in self.texts:
            self.texts.append(text)
        return f"[{self.texts.index(text) + 1}]"

    def lines(self):
        return [f"{i}. {text}" for i, text in enumerate(self.texts, 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--disk", default=".", help="a path on the disk that was measured")
    parser.add_argument("--out", help="where the table goes; standard output if absent")
    parser.add_argument("files", nargs="+")
    args = parser.parse_args()

    lines = [json.loads(line) for path in args.files for line in open(path) if line.strip()]
    reference = {key(line): line for line in lines if line["engine"] == REFERENCE}
    setups = [line for line in lines if "settings" in line]
    figures = [line for line in lines if "figure" in line and line["engine"] != REFERENCE]
    if not figures:
        sys.exit("no figures in the files given")
    wrong = [line for line in figures if not right(line, reference)]
    broken = [
        line for line in figures
        if line.get("lost") and line["figure"] == "reopen_killed_durable"]

    text = document(figures, setups, reference, wrong, args.disk)
    if args.out:
        with open(args.out, "w") as out:
            out.write(text)
    else:
        sys.stdout.write(text)
    for line in wrong:
        print("wrong answer: %(engine)s %(figure)s %(rows)s/%(checksum)s" % line, file=sys.stderr)
    for line in broken:
        print("lost %(lost)d synced rows: %(engine)s" % line, file=sys.stderr)
    sys.exit(1 if wrong or broken else 0)


def key(line):
    # Late delivery changes no answer.
    variant = line["variant"].split(",")[0]
    return line["figure"], variant, line["devices"], line["ticks"]


def right(line, reference):
    known = reference.get(key(line))
    if "checksum" not in line or known is None:
        return True
    # Engines sum in different orders.
    return line["rows"] == known["rows"] and abs(line["checksum"] - known["checksum"]) < 0.011


def document(figures, setups, reference, wrong, disk):
    engines = list(dict.fromkeys(line["engine"] for line in figures))
    engines.sort(key=lambda engine: engine != "tidelog")
    scale = max((line["devices"] * line["ticks"], line["devices"], line["ticks"]) for line in figures)
    rows, devices, ticks = scale
    notes = Footnotes()
    table = table_lines(figures, engines, (devices, ticks), notes)
    answers = [line for line in figures if "checksum" in line]
    checked = [line for line in answers if key(line) in reference]
    verdict = (
        "No reference lines were given: answers were checked by the engines' own programs only."
        if not reference else
        "%d of %d answers checked against a naive pass over the workload: %s." % (
            len(checked), len(answers),
            "all agree" if not wrong else "**wrong: %s**" % ", ".join(
                f"{line['engine']} {line['figure']}" for line in wrong)))
    out = [
        "# Results",
        "",
        "Written by `benches/run`; the raw lines carry every figure with its spread.",
        "",
        f"Workload W: {devices:,} devices x 10 f64 fields, one row per 10 s, {ticks:,} ticks = "
        f"{rows:,} rows; `dec2` has two decimals, `int` none. Batches of 1,000 rows.",
        "Cells are medians with (least-greatest) of their runs; the best of a row is bold.",
        verdict,
        "",
        *machine_lines(disk),
        "",
        *table,
        "",
        *notes.lines(),
        "",
        "## Versions and settings",
        "",
    ]
    seen = set()
    for setup in setups:
        if setup["engine"] not in seen:
            seen.add(setup["engine"])
            out.append("* **%(engine)s %(version)s**: %(settings)s" % setup)
    return "\n".join(out) + "\n"


def table_lines(figures, engines, scale, notes):
    cells = {(line["figure"], line["variant"], line["engine"]): line for line in figures}
    variants = {(line["figure"], line["variant"]) for line in figures}
    rows = sorted(variants, key=lambda row: (ORDER.get(row[0], len(ROWS)), row[0], row[1]))
    out = ["| | variant | unit | %s |" % " | ".join(engines), "|---|---|---|" + "---|" * len(engines)]
    for figure, variant in rows:
        lines = [cells.get((figure, variant, engine)) for engine in engines]
        unit = next(line["unit"] for line in lines if line)
        known = [row for row in ROWS if row[0] == figure]
        heading, unit, divisor, more = known[0][1:] if known else (figure, unit, 1, None)
        comparable = [line["median"] for line in lines if line and comparable_at(line, scale)]
        best = {True: max, False: min}[more](comparable) if known and len(comparable) > 1 else None
        shown = [cell(line, divisor, best, scale, notes) for line in lines]
        out.append(f"| {heading} | {variant} | {unit} | {' | '.join(shown)} |")
    return out


def cell(line, divisor, best, scale, notes):
    if line is None:
        return "-"
    median, least, greatest = (number(line[name] / divisor) for name in ("median", "min", "max"))
    bold = comparable_at(line, scale) and line["median"] == best
    text = f"**{median}**" if bold else median
    if line["runs"] > 1:
        text += f" ({least}-{greatest})"
    if line.get("lost"):
        text += " **rows lost**"
    if (line["devices"], line["ticks"]) != scale:
        text += " " + notes.mark(
            "%s on %d devices x %d ticks only; not compared" % (
                line["engine"], line["devices"], line["ticks"]))
    if "note" in line:
        text += " " + notes.mark(f"{line['engine']}: {line['note']}")
    return text


def comparable_at(line, scale):
    return (line["devices"], line["ticks"]) == scale and not line.get("lost")


def number(value):
    """Three significant digits, without an exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}" if abs(value) >= 1 else f"{value:.3f}"


def machine_lines(disk):
    lines = [
        f"* CPU: {cpu_model()}, {os.cpu_count()} cores",
        f"* Memory: {os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        f"* Kernel: {platform.system()} {platform.release()}",
        f"* File system: {file_system(disk)}",
    ]
    return ["## Machine", "", *lines, "", "## Figures"]


def cpu_model():
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.machine()


def file_system(path):
    command = ["df", "--output=fstype,source", path]
    found = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if found.returncode != 0:
        return "unknown"
    return " on ".join(found.stdout.splitlines()[-1].split())


if __name__ == "__main__":
    main()
