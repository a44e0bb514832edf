"""All figures of DuckDB, through its Python wheel, in the form `peers` reports the other engines.

Ingest calls the C API that the wheel's library exports: its appender takes whole data chunks, which
the wheel's own appender does not. Both, and INSERT ... SELECT from numpy, are tried on a few batches
first, and the fastest is measured. Everything else is SQL. Each measurement runs in a process of
its own, so that memory peaks, caches and crashes are its own too.

Needs: pip install duckdb numpy, and the `peers` binary, which generates the workload.
"""

import argparse
import ctypes
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time

import _duckdb
import duckdb
import numpy as np

FIELDS = [
    "usage_user", "usage_system", "usage_idle", "usage_nice", "usage_iowait",
    "usage_irq", "usage_softirq", "usage_steal", "usage_guest", "usage_guest_nice",
]
SCHEMA = "CREATE TABLE IF NOT EXISTS cpu (host INTEGER, ts TIMESTAMP_MS, %s)" % ", ".join(
    f"{field} DOUBLE" for field in FIELDS
)
SETTINGS = (
    "cpu (host INTEGER, ts TIMESTAMP_MS, ten DOUBLE), no index, defaults. One batch is one committed "
    "transaction, always synced: there is no relaxed mode. Compacted by CHECKPOINT. Query times "
    "include parsing, planning and Python."
)
BATCH_ROWS = 1000
WRITERS = 8
RUNS = 21
TRIAL_BATCHES = 200
# date_trunc groups twice as fast as dividing epoch_ms.
Q = {
    "q1": "SELECT date_trunc('minute', ts) AS w, max(usage_user) AS v FROM cpu "
          "WHERE host = $device AND ts >= make_timestamp_ms($start) AND ts < make_timestamp_ms($end) "
          "GROUP BY w ORDER BY w",
    "q2": "SELECT host, date_trunc('minute', ts) AS w, avg(usage_user) AS v FROM cpu "
          "WHERE ts >= make_timestamp_ms($start) AND ts < make_timestamp_ms($end) GROUP BY host, w",
    "q3": "SELECT %s FROM cpu JOIN (SELECT host, max(ts) AS ts FROM cpu GROUP BY host) "
          "USING (host, ts)" % ", ".join(FIELDS),
    "q4": "SELECT host, date_trunc('hour', ts) AS w, avg(usage_user) AS v FROM cpu "
          "GROUP BY host, w",
    "q5": "SELECT %s FROM cpu WHERE host = $device ORDER BY ts" % ", ".join(FIELDS),
    "q6": "SELECT count(*) AS v FROM cpu WHERE usage_user > 90",
    "q7": "SELECT %s FROM cpu WHERE host = $device AND ts >= make_timestamp_ms($start) "
          "AND ts < make_timestamp_ms($end) ORDER BY ts" % ", ".join(FIELDS),
}


class Data:
    """The workload's column files, read batch by batch so that little of it is in memory."""

    def __init__(self, path):
        self.counts = np.fromfile(os.path.join(path, "batches.u32"), "<u4")
        self.files = [
            (open(os.path.join(path, name), "rb", buffering=0), kind)
            for name, kind in [("host.u32", "<i4"), ("ts_ms.i64", "<i8")]
            + [(f"{field}.f64", "<f8") for field in FIELDS]
        ]

    def batches(self):
        for count in self.counts:
            yield [np.fromfile(file, kind, int(count)) for file, kind in self.files]

    def whole(self):
        return [np.fromfile(file, kind) for file, kind in self.files]


# Writers -------------------------------------------------------------------------------------------

class ChunkWriter:
    """The C API's appender, fed with data chunks: one memmove per column."""

    CHUNK_ROWS = 2048
    INTEGER, DOUBLE, TIMESTAMP_MS = 4, 11, 21

    def __init__(self, store):
        self.c = store.c
        self.connection = ctypes.c_void_p()
        self.check(self.c.duckdb_connect(store.database, ctypes.byref(self.connection)))
        self.appender = ctypes.c_void_p()
        self.check(self.c.duckdb_appender_create(
            self.connection, None, b"cpu", ctypes.byref(self.appender)))
        kinds = [self.INTEGER, self.TIMESTAMP_MS] + [self.DOUBLE] * len(FIELDS)
        types = (ctypes.c_void_p * len(kinds))(
            *(self.c.duckdb_create_logical_type(kind) for kind in kinds))
        self.chunk = ctypes.c_void_p(self.c.duckdb_create_data_chunk(types, len(kinds)))

    def check(self, state):
        if state != 0:
            raise RuntimeError("a call of DuckDB's C API failed")

    def write(self, columns):
        c = self.c
        for at in range(0, len(columns[0]), self.CHUNK_ROWS):
            part = [column[at:at + self.CHUNK_ROWS] for column in columns]
            c.duckdb_data_chunk_reset(self.chunk)
            for i, column in enumerate(part):
                vector = c.duckdb_data_chunk_get_vector(self.chunk, i)
                ctypes.memmove(c.duckdb_vector_get_data(vector), column.ctypes.data, column.nbytes)
            c.duckdb_data_chunk_set_size(self.chunk, len(part[0]))
            self.check(c.duckdb_append_data_chunk(self.appender, self.chunk))
        self.check(c.duckdb_appender_flush(self.appender))


class ChunkStore:
    def __init__(self, path):
        self.c = c = ctypes.CDLL(_duckdb.__file__)
        c.duckdb_create_logical_type.restype = ctypes.c_void_p
        c.duckdb_create_data_chunk.restype = ctypes.c_void_p
        c.duckdb_create_data_chunk.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
        c.duckdb_data_chunk_get_vector.restype = ctypes.c_void_p
        c.duckdb_data_chunk_get_vector.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
        c.duckdb_vector_get_data.restype = ctypes.c_void_p
        c.duckdb_vector_get_data.argtypes = [ctypes.c_void_p]
        c.duckdb_data_chunk_set_size.argtypes = [ctypes.c_void_p, ctypes.c_uint64]
        self.database = ctypes.c_void_p()
        if c.duckdb_open(path.encode(), ctypes.byref(self.database)) != 0:
            raise RuntimeError(f"DuckDB's C API does not open {path}")
        self.first = ctypes.c_void_p()
        c.duckdb_connect(self.database, ctypes.byref(self.first))
        self.execute(SCHEMA)

    def execute(self, sql):
        if self.c.duckdb_query(self.first, sql.encode(), None) != 0:
            raise RuntimeError(f"DuckDB does not run: {sql}")

    def writer(self):
        return ChunkWriter(self)

    def checkpoint(self):
        self.execute("CHECKPOINT")

    def close(self):
        # Appenders left open would write on closing; all rows are flushed, so the process may end.
        self.c.duckdb_disconnect(ctypes.byref(self.first))


class PythonStore:
    def __init__(self, path):
        self.connection = duckdb.connect(path)
        self.connection.execute(SCHEMA)

    def writer(self):
        return self.WRITER(self.connection.cursor())

    def checkpoint(self):
        self.connection.execute("CHECKPOINT")

    def close(self):
        self.connection.close()


class AppenderWriter:
    """The wheel's appender, which takes rows."""

    def __init__(self, connection):
        self.appender = connection.appender("cpu")

    def write(self, columns):
        stamps = columns[1].astype("datetime64[ms]").tolist()
        lists = [columns[0].tolist(), stamps] + [column.tolist() for column in columns[2:]]
        self.appender.append_rows(zip(*lists))
        self.appender.flush()


class InsertWriter:
    """INSERT ... SELECT from numpy columns."""

    def __init__(self, connection):
        self.connection = connection

    def write(self, columns):
        batch = dict(zip(["host", "ts"] + FIELDS, columns))
        batch["ts"] = batch["ts"].astype("datetime64[ms]")
        self.connection.register("batch", batch)
        self.connection.execute("INSERT INTO cpu SELECT * FROM batch")
        self.connection.unregister("batch")


class AppenderStore(PythonStore):
    WRITER = AppenderWriter


class InsertStore(PythonStore):
    WRITER = InsertWriter


STORES = {"chunks": ChunkStore, "appender": AppenderStore, "insert": InsertStore}


# Steps, one process each ---------------------------------------------------------------------------

def database(args):
    return os.path.join(args.dir, "cpu.duckdb")


def step_ingest(args):
    store = STORES[args.method](database(args))
    writer = store.writer()
    rows, seconds = 0, []
    for i, batch in enumerate(Data(args.data).batches()):
        if i == args.batches:
            break
        started = time.perf_counter()
        writer.write(batch)
        seconds.append(time.perf_counter() - started)
        rows += len(batch[0])
    peak = peak_resident_bytes()
    started = time.perf_counter()
    store.checkpoint()
    flush = time.perf_counter() - started
    started = time.perf_counter()
    store.close()
    close = time.perf_counter() - started
    return {
        "rows_per_second": rows / sum(seconds),
        "seconds": [sum(seconds), flush, close],
        "batch_ms": [float(np.percentile(seconds, share)) * 1e3 for share in (50, 99, 100)],
        "peak_mb": peak / 1e6,
    }


def step_writers(args):
    columns = Data(args.data).whole()
    devices = int(columns[0].max()) + 1
    shares = []
    for i in range(WRITERS):
        mine = (columns[0] >= devices * i // WRITERS) & (columns[0] < devices * (i + 1) // WRITERS)
        rows = [column[mine] for column in columns]
        cuts = range(0, len(rows[0]), BATCH_ROWS)
        shares.append([[column[at:at + BATCH_ROWS] for column in rows] for at in cuts])
    store = STORES[args.method](database(args))
    writers = [store.writer() for _ in shares]
    failures = []

    def write(writer, share):
        try:
            for batch in share:
                writer.write(batch)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=write, args=pair) for pair in zip(writers, shares)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    if failures:
        raise failures[0]
    return {"seconds": [seconds]}


def step_queries(args):
    connection = duckdb.connect(database(args))
    report = {}
    for name in list(Q)[:6]:
        runs = []
        for run in range(RUNS + 1):
            started = time.perf_counter()
            result = ask(connection, name, args.parameters[name, run])
            runs.append((time.perf_counter() - started) * 1e3)
            if run == 0:
                report[f"{name}_answer"] = brief(result, name)
        report[name] = runs[1:]
    return report


def step_cold(args):
    for root, _, files in os.walk(args.dir):
        for file in files:
            with open(os.path.join(root, file), "rb") as opened:
                os.fdatasync(opened.fileno())
                os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    started = time.perf_counter()
    connection = duckdb.connect(database(args))
    opened = time.perf_counter()
    result = ask(connection, "q7", args.parameters["q7", args.run])
    answered = time.perf_counter()
    return {
        "open": (opened - started) * 1e3,
        "q7": (answered - opened) * 1e3,
        "q7_answer": brief(result, "q7"),
    }


def step_survive(args):
    writer = STORES[args.method](database(args)).writer()
    acknowledged = 0
    for batch in Data(args.data).batches():
        writer.write(batch)
        acknowledged += len(batch[0])
        print(acknowledged, flush=True)
    while True:
        time.sleep(1)


def step_reopen(args):
    started = time.perf_counter()
    connection = duckdb.connect(database(args))
    ask(connection, "q7", args.parameters["q7", 0])
    reopened = (time.perf_counter() - started) * 1e3
    found = connection.execute("SELECT count(*) FROM cpu").fetchone()[0]
    return {"reopen": reopened, "found": found}


STEPS = {
    "ingest": step_ingest, "writers": step_writers, "queries": step_queries,
    "cold": step_cold, "survive": step_survive, "reopen": step_reopen,
}


def ask(connection, name, parameters):
    used = {key: value for key, value in parameters.items() if f"${key}" in Q[name]}
    return connection.execute(Q[name], used).fetchnumpy()


def brief(result, name):
    values = [result[key] for key in result if key == "v" or key in FIELDS]
    return [len(values[0]), float(sum(np.sum(value) for value in values))]


def peak_resident_bytes():
    with open("/proc/self/status") as status:
        for line in status:
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024


# The suite -----------------------------------------------------------------------------------------

class Suite:
    def __init__(self, args):
        self.args = args
        self.dir = os.path.join(args.dir, "duckdb")
        self.rows = args.devices * args.ticks
        self.method = None

    def run(self):
        print(json.dumps(
            {"engine": "duckdb", "version": duckdb.__version__, "settings": SETTINGS}), flush=True)
        self.generate("dec2")
        wants = lambda part: not self.args.only or part in self.args.only
        self.choose_method()
        if wants("ingest"):
            self.ingest()
        if wants("writers"):
            rates = [self.rows / self.fresh("writers")["seconds"][0] for _ in range(self.args.runs)]
            self.figure("ingest_durable_8_writers", "rows/s", rates)
        if wants("kill"):
            self.kill()
        if wants("disk"):
            self.generate("int")
            self.disk("int")
        if wants("disk"):
            self.disk("dec2")
        elif wants("queries"):
            self.fresh("ingest")
        if wants("queries"):
            self.queries()
        shutil.rmtree(self.dir)
        shutil.rmtree(self.args.data)

    def generate(self, variant):
        subprocess.run(
            [self.args.peers, "generate", "--out", self.data(variant), *self.scale(variant)],
            check=True)

    def choose_method(self):
        """Takes the method with the best median of three short runs, taken in turn."""
        runs = {method: [] for method in STORES}
        for method in list(STORES) * 3:
            self.method = method
            try:
                report = self.fresh("ingest", "--batches", str(TRIAL_BATCHES))
                runs[method].append(report["rows_per_second"])
            except subprocess.CalledProcessError:
                print(f"DuckDB does not take rows by {method}", file=sys.stderr)
        rates = {method: statistics.median(rates) for method, rates in runs.items() if rates}
        self.method = max(rates, key=rates.get)
        tried = ", ".join(f"{method} {rate / 1e3:.0f} k" for method, rate in rates.items())
        self.note = f"by {self.method} (rows/s over {TRIAL_BATCHES} batches: {tried})"

    def ingest(self):
        reports = [self.fresh("ingest") for _ in range(self.args.runs)]
        name = "ingest_durable"
        for suffix, parts in [("", 1), ("_flushed", 2), ("_closed", 3)]:
            rates = [self.rows / sum(report["seconds"][:parts]) for report in reports]
            self.figure(name + suffix, "rows/s", rates, note=self.note)
        for i, share in enumerate(["p50", "p99", "max"]):
            batches = [report["batch_ms"][i] for report in reports]
            self.figure(f"{name}_batch_{share}", "ms", batches)
        note = "includes Python and numpy"
        self.figure(f"{name}_memory", "MB", [report["peak_mb"] for report in reports], note=note)

    def disk(self, variant):
        report = self.fresh("ingest", variant=variant)
        load = [self.rows / sum(report["seconds"])]
        self.figure("load", "rows/s", load, variant=variant, note="durable: no relaxed mode")
        apparent, allocated = disk_bytes(self.dir)
        self.figure("disk", "B", [apparent], variant=variant)
        self.figure("disk_allocated", "B", [allocated], variant=variant)
        self.figure("disk_per_value", "B", [apparent / (self.rows * len(FIELDS))], variant=variant)

    def queries(self):
        report = self.step("queries")
        for name in list(Q)[:6]:
            self.figure(name, "ms", report[name], answer=report[f"{name}_answer"])
        reports = [self.step("cold", "--run", str(run)) for run in range(RUNS + 1)]
        self.figure("open_cold", "ms", [report["open"] for report in reports[1:]])
        answer = reports[0]["q7_answer"]
        self.figure("q7", "ms", [report["q7"] for report in reports[1:]], answer=answer)

    def kill(self):
        self.clear()
        writer = subprocess.Popen(self.command("survive", "dec2"), stdout=subprocess.PIPE)
        acknowledged, killed = 0, False
        for line in writer.stdout:
            acknowledged = int(line)
            if not killed and acknowledged >= self.rows * 0.9:
                writer.send_signal(signal.SIGKILL)
                killed = True
        writer.wait()
        if not killed:
            raise RuntimeError("the writer ended by itself")
        report = self.step("reopen")
        note = f"{acknowledged} rows acknowledged, {report['found']} found"
        self.figure("reopen_killed_durable", "ms", [report["reopen"]], note=note,
                    lost=max(0, acknowledged - report["found"]))

    def data(self, variant):
        return os.path.join(self.args.data, variant)

    def scale(self, variant):
        return ["--devices", str(self.args.devices), "--ticks", str(self.args.ticks),
                "--late", str(self.args.late), "--variant", variant]

    def command(self, step, variant, *more):
        return [sys.executable, __file__, "--step", step, "--dir", self.dir,
                "--data", self.data(variant), "--peers", self.args.peers,
                "--method", self.method, *self.scale(variant)[:4], *more]

    def clear(self):
        shutil.rmtree(self.dir, ignore_errors=True)
        os.makedirs(self.dir)

    def fresh(self, step, *more, variant="dec2"):
        self.clear()
        return self.step(step, *more, variant=variant)

    def step(self, step, *more, variant="dec2"):
        command = self.command(step, variant, *more)
        output = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout
        return json.loads(output)

    def figure(self, figure, unit, runs, variant="dec2", answer=None, note=None, lost=None):
        if self.args.late:
            variant = f"{variant},late={self.args.late:g}"
        line = {
            "engine": "duckdb", "version": duckdb.__version__, "figure": figure, "variant": variant,
            "devices": self.args.devices, "ticks": self.args.ticks,
            "value": statistics.median(runs), "unit": unit, "min": min(runs),
            "median": statistics.median(runs), "max": max(runs), "runs": len(runs),
        }
        if answer:
            line["rows"], line["checksum"] = answer[0], round(answer[1], 2)
        if lost is not None:
            line["lost"] = lost
        if note:
            line["note"] = note
        print(json.dumps(line), flush=True)


def disk_bytes(path):
    """By length, as `du -sb`, and by blocks allocated."""
    paths = [path] + [os.path.join(root, name)
                      for root, below, files in os.walk(path) for name in below + files]
    stats = [os.lstat(path) for path in paths]
    return sum(stat.st_size for stat in stats), sum(stat.st_blocks * 512 for stat in stats)


def parameters(args):
    scale = ["--devices", str(args.devices), "--ticks", str(args.ticks)]
    lines = subprocess.run(
        [args.peers, "parameters", *scale], stdout=subprocess.PIPE, text=True, check=True).stdout
    known = {}
    for line in lines.splitlines():
        name, run, device, start, end = line.split()
        known[name, int(run)] = {"device": int(device), "start": int(start), "end": int(end)}
    return known


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dir", required=True, help="where stores are made")
    parser.add_argument("--data", required=True, help="where the workload is generated")
    parser.add_argument("--peers", required=True, help="the peers binary")
    parser.add_argument("--devices", type=int, default=1000)
    parser.add_argument("--ticks", type=int, default=3600)
    parser.add_argument("--late", type=float, default=0.0)
    parser.add_argument("--runs", type=int, default=3, help="runs of each ingest")
    parser.add_argument("--only", type=lambda parts: parts.split(","), default=[],
                        help="of ingest,writers,disk,queries,kill")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    parser.add_argument("--method", choices=STORES, help=argparse.SUPPRESS)
    parser.add_argument("--batches", type=int, default=-1, help=argparse.SUPPRESS)
    parser.add_argument("--run", type=int, default=0, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step is None:
        Suite(args).run()
        return
    if args.step in ("queries", "cold", "reopen"):
        args.parameters = parameters(args)
    print(json.dumps(STEPS[args.step](args)))


if __name__ == "__main__":
    main()
