#!/usr/bin/env python3
"""Leaf digests and the content root of rows given as JSON, by core/model/src/digest/FORMAT.md alone.

    python3 digest.py < rows.json       needs BLAKE3: pip install blake3

{"collection": ["plant", "boiler"], "leaf_minutes": 60,
 "devices": {"host_1": [{"time": 0, "a": ["f64", 1.5], "b": ["bytes", "00ff"]}]}}

A float may also be text, its bits in hexadecimal; bytes are hexadecimal.
"""
import datetime, json, struct, sys
try:
    from blake3 import blake3
except ImportError:
    sys.exit("digest.py needs BLAKE3: pip install blake3")

TYPES = {"f64": (1, "<d"), "f32": (2, "<f"), "i64": (3, "<q"), "u64": (4, "<Q"), "bool": (5, "<?"), "string": (6, ""), "bytes": (7, "")}
FIRST, DAY = -2**63, 86_400 * 10**9
u32, u64, i64 = (struct.Struct(code).pack for code in ("<I", "<Q", "<q"))

def node(kind, data):
    return blake3(data, derive_key_context=f"tidelog 2026-11 {kind} v1").digest()

def text(string):
    return u32(len(string.encode())) + string.encode()

def canonical(kind, value):
    if kind in ("string", "bytes"):
        data = value.encode() if kind == "string" else bytes.fromhex(value)
        return u64(len(data)) + data
    if isinstance(value, str):
        return bytes.fromhex(value)[::-1]
    return struct.pack(TYPES[kind][1], value)

def block(rows):
    cells = [{(name.encode(), TYPES[cell[0]][0]): canonical(*cell) for name, cell in row.items() if name != "time"} for row in rows]
    fields = sorted(set().union(*cells))
    out = u64(len(rows)) + b"".join(i64(row["time"]) for row in rows) + u32(len(fields))
    for field in fields:
        bits = sum(1 << row for row, own in enumerate(cells) if field in own)
        count, whole = bits.bit_count(), bits == (1 << len(rows)) - 1
        out += u32(len(field[0])) + field[0] + bytes([field[1]]) + u64(count)
        out += b"\1" if whole else b"\0" + bits.to_bytes((len(rows) + 7) // 8, "little")
        out += b"".join(own[field] for own in cells if field in own)
    return node("block", out + bytes(-len(out) % 8192 if len(out) > 4096 else 0))

def leaf(rows):
    blocks = [block(rows[at:at + 4096]) for at in range(0, len(rows), 4096)]
    return blocks[0] if len(blocks) == 1 else node("leaf", u64(len(blocks)) + b"".join(blocks))

def split(items, key):
    parts = {}
    for item in items:
        parts.setdefault(key(item), []).append(item)
    return sorted(parts.items())

def window(leaves, names):
    def bucket(device):
        return node("placement", text(names[0]) + text(names[1]) + text(device))[7]
    def fan(kind, of):
        children = [of(number) for number in range(16)]
        return node(kind, b"".join(children)) if any(map(any, children)) else bytes(32)
    def inner(number):
        own = sorted((device.encode(), digest) for _, device, digest in leaves if bucket(device) == number)
        return node("inner", u32(len(own)) + b"".join(u32(len(d)) + d + digest for d, digest in own)) if own else bytes(32)
    return fan("window", lambda high: fan("outer", lambda low: inner(16 * high + low)))

def start(level, time):
    date = datetime.date(1970, 1, 1) + datetime.timedelta(days=time // DAY)
    date = {"day": date, "month": date.replace(day=1), "year": date.replace(day=1, month=1)}.get(level)
    return FIRST if date is None else max(FIRST, (date - datetime.date(1970, 1, 1)).days * DAY)

def main():
    given = json.load(sys.stdin)
    width, leaves = given["leaf_minutes"] * 60 * 10**9, []
    for device, rows in given["devices"].items():
        rows = sorted(rows, key=lambda row: row["time"])
        for first, own in split(rows, lambda row: max(FIRST, row["time"] // width * width)):
            leaves.append((first, device, leaf(own)))
    for first, device, digest in sorted(leaves):
        print("leaf", first, digest.hex(), device)
    nodes = [(first, window(own, given["collection"])) for first, own in split(leaves, lambda leaf: leaf[0])]
    for level in ("day", "month", "year", "root"):
        parts = split(nodes, lambda child: start(level, child[0]))
        nodes = [(first, node(level, u32(len(own)) + b"".join(i64(at) + digest for at, digest in own))) for first, own in parts]
    print("root", nodes[0][1].hex() if nodes else "-")

main()
