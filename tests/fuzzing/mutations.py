"""Ways to spoil a file: blindly by bytes, and knowingly by what its ending says it is."""

import io
import json
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl

HOSTILE: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**400, 0.5, -0.5, 1e308, 1e-320,
    float("nan"), float("inf"), "", " ", "x", "nan", "1e999", "=cmd|calc", "../../etc/passwd", "a\0b", "\ud800",
    "é" * 300, "9" * 5000, "x" * 70_000, [], [1], [[]], {}, {"a": 1}, [None] * 3, {"": ""}, "2026-99-99",
    "step99999999999999999999", "\u202e", "a\nb", "-", "+1", "@SUM(1)",
]  # fmt: skip
"""Values that no field should take without a look."""

Random = random.Random


def mutate(data: bytes, ending: str, rng: Random, others: list[bytes]) -> bytes:
    """The content of a file spoilt in one to three ways."""
    for number in range(rng.choice((1, 1, 1, 2, 3))):
        known = STRUCTURED.get(ending)
        if (
            number and ending == ".parquet"
        ):  # what is spoilt may end the process that unpacks it: not this one
            known = None
        if known is not None and rng.random() < 0.6:
            try:
                data = known(data, rng)
                continue
            except KeyboardInterrupt:
                raise
            except BaseException:  # what is spoilt already has no structure left; a panic is no Exception
                pass
        data = rng.choice(BLIND)(data, rng, others)
    return data


def _flip(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    spoilt = bytearray(data)
    for _i in range(rng.choice((1, 1, 2, 4, 16))):
        if spoilt:
            spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def _overwrite(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    spoilt = bytearray(data)
    if spoilt:
        at = rng.randrange(len(spoilt))
        part = rng.choice(
            (b"\0", b"\xff", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0" * 8, b"\x80\0\0\0")
        )
        spoilt[at : at + len(part)] = part
    return bytes(spoilt)


def _cut(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    return data[: rng.randrange(len(data) + 1)]


def _drop(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    start = rng.randrange(len(data) + 1)
    return data[:start] + data[start + rng.choice((1, 4, 64, 1024)) :]


def _repeat(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    start = rng.randrange(len(data) + 1)
    part = data[start : start + rng.choice((1, 8, 100, 1000))]
    return data[:start] + part * rng.choice((2, 3, 50)) + data[start:]


def _insert(data: bytes, rng: Random, _: list[bytes]) -> bytes:
    start = rng.randrange(len(data) + 1)
    part = rng.choice((
        b"\0", b"\xff\xfe", b"\xef\xbb\xbf", b"[" * 3000, b"{" * 3000, b'"', b",", b"\n", b"\r", b"9" * 400, b"1e999",
        b"NaN", b"-", b"\xed\xa0\x80", b"<x>", b"*a", b"&a ", b"!!python/name:os.system ", b"null", b"\x1f\x8b",
        b"version https://git-lfs.github.com/spec/v1\n",
    ))  # fmt: skip
    return data[:start] + part + data[start:]


def _splice(data: bytes, rng: Random, others: list[bytes]) -> bytes:
    other = rng.choice(others) if others else b""
    return data[: rng.randrange(len(data) + 1)] + other[rng.randrange(len(other) + 1) :]


def _nothing(_data: bytes, rng: Random, others: list[bytes]) -> bytes:
    return rng.choice([b"", b"\n", b"{}", b"[]", b"null", b"0", *others[:3]])


BLIND: list[Callable[[bytes, Random, list[bytes]], bytes]] = [
    _flip, _flip, _flip, _overwrite, _overwrite, _cut, _drop, _repeat, _insert, _insert, _splice, _nothing,
]  # fmt: skip


def spoil_document(document: Any, rng: Random) -> Any:
    """One value, key or item of a document replaced, removed, repeated or put elsewhere."""
    places: list[tuple[Any, Any]] = []
    waiting = [document]
    while waiting:
        node = waiting.pop()
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, value in items:
            places.append((node, key))
            if isinstance(value, dict | list):
                waiting.append(value)
    if not places:
        return rng.choice(HOSTILE)
    node, key = rng.choice(places)
    way = rng.randrange(6)
    if way == 0:
        del node[key]
    elif way == 1 and isinstance(node, dict):
        node[str(rng.choice(HOSTILE))] = node.pop(key)
    elif way == 2 and isinstance(node, list):
        node.insert(key, node[key])
    elif way == 3:
        other, name = rng.choice(places)
        if name in other if isinstance(other, dict) else name < len(other):
            node[key] = json.loads(json.dumps(other[name]))
    else:
        node[key] = rng.choice(HOSTILE)
    return document


def _json(data: bytes, rng: Random) -> bytes:
    return json.dumps(spoil_document(json.loads(data), rng)).encode("utf-8", "surrogatepass")


def _json_lines(data: bytes, rng: Random) -> bytes:
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at] = _json(lines[at], rng)
    return b"\n".join(lines)


def _yaml(data: bytes, rng: Random) -> bytes:
    import yaml

    document = spoil_document(yaml.safe_load(data), rng)
    return yaml.safe_dump(document, allow_unicode=True).encode("utf-8", "surrogatepass")


def _csv(data: bytes, rng: Random) -> bytes:
    lines = data.decode().split("\n")
    at = rng.randrange(len(lines))
    cells = lines[at].split(",")
    value = str(rng.choice(HOSTILE))
    cells[rng.randrange(len(cells))] = value if rng.random() < 0.8 else f'"{value}'
    lines[at] = ",".join(cells)
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _parquet(data: bytes, rng: Random) -> bytes:
    frame = pl.read_parquet(io.BytesIO(data))
    if rng.random() < 0.5:
        return _parquet_pages(frame, rng)
    name = rng.choice(frame.columns)
    column = frame[name]
    ways: list[Callable[[], pl.DataFrame]] = [
        lambda: frame.drop(name),
        lambda: frame.with_columns(pl.struct(a=pl.col(name)).alias(name)),
        lambda: frame.with_columns(pl.concat_list(pl.col(name)).alias(name)),
        lambda: frame.with_columns(column.cast(pl.String).cast(pl.Binary).alias(name)),
        lambda: frame.with_columns(column.cast(pl.String).alias(name)),
        lambda: frame.with_columns(column.cast(pl.Categorical).alias(name)),
        lambda: frame.with_columns(pl.lit(None).alias(name)),
        lambda: frame.with_columns(pl.lit(rng.choice((0, -1, 1, 2**40))).cast(pl.Datetime).alias(name)),
        lambda: frame.with_columns(pl.lit(rng.choice((-1.5, 1e300, float("nan"), float("inf")))).alias(name)),
        lambda: frame.with_columns(pl.lit(rng.choice((True, False))).alias(name)),
        lambda: frame.with_columns(pl.lit(str(rng.choice(HOSTILE[17:25]))).alias(name)),
        lambda: frame.head(rng.choice((0, 1))),
        lambda: pl.concat([frame, frame]),
        lambda: frame.rename({name: rng.choice(("run", "step", "value", "x", ""))}),
    ]
    stream = io.BytesIO()
    rng.choice(ways)().write_parquet(stream)
    return stream.getvalue()


def _parquet_pages(frame: pl.DataFrame, rng: Random) -> bytes:
    """The table in another encoding and compression, bytes of its pages spoilt under a footer that is whole."""
    import pyarrow.parquet

    frame = (
        frame.with_columns(pl.when(pl.int_range(pl.len()) != 1).then(pl.all()))
        if rng.random() < 0.5
        else frame
    )
    table = frame.to_arrow(compat_level=pl.CompatLevel.oldest())
    encodings = {
        name: rng.choice(_ENCODINGS[kind])
        for name, dtype in frame.schema.items()
        if (kind := "text" if dtype == pl.String else "whole" if dtype.is_integer() else "real")
    }
    dictionary = rng.random() < 0.3
    stream = io.BytesIO()
    pyarrow.parquet.write_table(
        table, stream, compression=rng.choice(("none", "none", "none", "snappy", "zstd", "gzip", "lz4")),
        data_page_version=rng.choice(("1.0", "2.0")), use_dictionary=dictionary,
        column_encoding=None if dictionary else encodings, version="2.6",
    )  # fmt: skip
    spoilt = bytearray(stream.getvalue())
    end = len(spoilt) - 8 - int.from_bytes(spoilt[-8:-4], "little")
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(4, end)
        if rng.random() < 0.5:
            spoilt[at] ^= 1 << rng.randrange(8)
        else:
            part = rng.choice(_LENGTHS)[: end - at]
            spoilt[at : at + len(part)] = part
    return bytes(spoilt)


_ENCODINGS = {
    "text": ("PLAIN", "DELTA_BYTE_ARRAY", "DELTA_LENGTH_BYTE_ARRAY"),
    "whole": ("PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"),
    "real": ("PLAIN", "BYTE_STREAM_SPLIT"),
}
_LENGTHS = (
    b"\xff" * 9 + b"\x01", b"\xff\xff\xff\xff\x0f", b"\xfe\xff\xff\xff\x07", b"\x80\x80\x80\x80\x80\x80\x80\x80\x40",
    b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\0", b"\xff", b"\x80\x80\x80\x80\x20",
)  # fmt: skip
"""Whole numbers of the largest kind, as pages write lengths: in groups of seven bits, and in four bytes."""


def _npy(data: bytes, rng: Random) -> bytes:
    array = np.load(io.BytesIO(data))
    ways: list[Callable[[], Any]] = [
        lambda: array.astype(str), lambda: array.astype(complex), lambda: array.astype(">f8"), lambda: array[:0],
        lambda: array[None], lambda: array.astype(np.int64), lambda: np.array(rng.choice((0, 1e300))),
        lambda: np.full_like(array, rng.choice((np.nan, np.inf, -1))), lambda: array.astype("S8"),
        lambda: array.astype([("a", array.dtype)]), lambda: array.astype("M8[s]"),
    ]  # fmt: skip
    stream = io.BytesIO()
    np.save(stream, rng.choice(ways)(), allow_pickle=False)
    return stream.getvalue()


def _npz(data: bytes, rng: Random) -> bytes:
    with np.load(io.BytesIO(data)) as held:
        arrays = {name: held[name] for name in held.files}
    name = rng.choice(list(arrays))
    stream = io.BytesIO()
    np.save(stream, arrays[name])
    if rng.random() < 0.2:
        del arrays[name]
    else:
        arrays[name] = np.load(io.BytesIO(_npy(stream.getvalue(), rng)))
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _safetensors(data: bytes, rng: Random) -> bytes:
    from safetensors.numpy import load, save

    tensors = load(data)
    name = rng.choice(list(tensors))
    if rng.random() < 0.3:
        del tensors[name]
    else:
        stream = io.BytesIO()
        np.save(stream, tensors[name])
        tensors[name] = np.load(io.BytesIO(_npy(stream.getvalue(), rng)))
    return bytes(save(tensors))


STRUCTURED: dict[str, Callable[[bytes, Random], bytes]] = {
    ".json": _json, ".jsonl": _json_lines, ".ndjson": _json_lines, ".yaml": _yaml, ".yml": _yaml, ".csv": _csv,
    ".parquet": _parquet, ".npy": _npy, ".npz": _npz, ".safetensors": _safetensors,
}  # fmt: skip
