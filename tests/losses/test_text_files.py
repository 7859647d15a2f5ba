"""Texts are read the same from every format; what is broken is named."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from neuneu.errors import InputError
from neuneu.files import read_lines
from neuneu.losses.text_files import find_files, read_documents

TEXTS = ["one\ntwo", "", "drei é\u2028x", " \n", '"quoted" \\ \t']


def json_lines(texts: list[str]) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def test_all_formats_hold_the_same_texts(tmp_path: Path) -> None:
    data = json_lines(TEXTS)
    (tmp_path / "a.jsonl").write_bytes(data)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(data))
    halves = [zstandard.compress(part) for part in (data[:20], data[20:])]  # two frames, as zstd -T writes
    (tmp_path / "c.jsonl.zst").write_bytes(b"".join(halves))
    pl.DataFrame({"text": TEXTS, "id": range(5)}).write_parquet(tmp_path / "d.parquet", row_group_size=2)
    files = find_files([tmp_path])
    assert [file.name for file in files] == ["a.jsonl", "b.jsonl.gz", "c.jsonl.zst", "d.parquet"]
    assert list(read_documents(files)) == TEXTS * 4


@given(texts=st.lists(st.text(st.characters(exclude_categories=["Cs"]))))
def test_json_lines_come_back_as_they_went_in(
    texts: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.mktemp("json") / "a.jsonl"
    file.write_bytes(json_lines(texts))
    assert list(read_documents([file])) == texts


def test_plain_text_is_a_document_a_file_a_line_or_a_paragraph(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("one\ntwo\n\n \nthree\n")
    assert list(read_documents([file])) == ["one\ntwo\n\n \nthree\n"]
    assert list(read_documents([file], split="line")) == ["one", "two", "three"]
    assert list(read_documents([file], split="paragraph")) == ["one\ntwo\n", "three\n"]
    with pytest.raises(InputError, match="split = 'word'"):
        list(read_documents([file], split="word"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', r"a.jsonl:2: not JSON"),
        ("a.jsonl", b'{"text": "x"}\n\n["x"]\n', r"a.jsonl:3: must be a JSON object"),
        ("a.jsonl", b'{"body": "x"}\n', r"a.jsonl:1: text: is missing; there are body"),
        ("a.jsonl", b'{"text": 3}\n', r"a.jsonl:1: text = 3: must be text"),
        ("a.jsonl", b'{"text": null}\n', r"a.jsonl:1: text: must be text"),
        ("a.jsonl", b'{"text": "\\ud800"}\n', r"a.jsonl:1: holds half a surrogate pair"),
        ("a.jsonl", b'{"text": "\xff"}\n', r"a.jsonl:1: must be UTF-8"),
        ("a.jsonl", b"[" * 100_000, r"a.jsonl:1: nested too deep"),
        ("a.jsonl.zst", b"not zstd at all", r"a.jsonl.zst: cannot be read as a whole zst file"),
        ("a.jsonl.gz", b"not gzip at all", r"a.jsonl.gz: cannot be read"),
        ("a.parquet", b"not parquet at all", r"a.parquet: cannot be read as parquet"),
        ("a.txt", b"\xff\xfe", r"a.txt: must be UTF-8"),
    ],
)
def test_a_broken_file_is_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        list(read_documents(find_files([tmp_path / name])))


def test_a_truncated_zstd_file_is_no_shorter_text(tmp_path: Path) -> None:
    data = zstandard.compress(json_lines([str(i) * 50 for i in range(1000)]))
    file = tmp_path / "a.jsonl.zst"
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"a\.jsonl\.zst"):
        list(read_documents([file]))


def test_archives_with_a_long_window_are_read(tmp_path: Path) -> None:
    """As `zstd --long=31` writes them; documents that another reader takes are bounded as `zstd -d` is."""
    parameters = zstandard.ZstdCompressionParameters(window_log=28, compression_level=1)
    compressor = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    packed = compressor.compress(json_lines(["one", "two"])) + compressor.flush()
    (tmp_path / "a.jsonl.zst").write_bytes(packed)
    assert list(read_documents([tmp_path / "a.jsonl.zst"])) == ["one", "two"]
    with pytest.raises(InputError, match="zst"):
        list(read_lines(tmp_path / "a.jsonl.zst"))


def test_files_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.bin").touch()
    (tmp_path / "a.txt").touch()
    for sources, message in [
        ([tmp_path / "none.txt"], "no such file"),
        ([tmp_path / "a.bin"], "must end in one of"),
        ([tmp_path / "a.txt", tmp_path], "must not be given twice"),
        ([], "at least one file"),
    ]:
        with pytest.raises(InputError, match=message):
            find_files(sources)
