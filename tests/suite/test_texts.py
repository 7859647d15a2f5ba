"""Text out of HTML, manuals, quotations; pieces lose nothing."""

import gzip
import hashlib
import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.errors import InputError
from neuneu.suite.suite_config import TextSource
from neuneu.suite.texts import (
    draw_pieces,
    read_pieces,
    split_pieces,
    text_of_fortunes,
    text_of_html,
    text_of_roff,
)


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="\r"), max_size=300), max_size=12))
def test_pieces_keep_every_character_in_order(blocks: list[str]) -> None:
    document = ("long enough to be kept as a piece of its own, at least. " * 2) + "\n\n".join(blocks)
    pieces = list(split_pieces(document, limit=200))
    assert all(len(piece) <= 202 for piece in pieces)
    kept, rest = re.sub(r"[\x00-\x1f\x7f\s]", "", "".join(pieces)), re.sub(r"[\x00-\x1f\x7f\s]", "", document)
    # Only pieces under 40 characters may go.
    position = 0
    for character in kept:
        position = rest.index(character, position) + 1
    assert len(rest) - len(kept) <= 40 * (len(pieces) + len(blocks) + 5)


def test_a_long_line_is_cut_and_nothing_lost() -> None:
    document = "x" * 1_000
    assert "".join(split_pieces(document, limit=300)) == document


def test_html_keeps_what_a_reader_sees() -> None:
    page = (
        "<html><head><title>T</title></head><body><nav>menu</nav><p>A &amp; B<br>next</p>"
        "<script>var x</script><pre>a  b\n  c</pre><p>spread\n   out</p></body></html>"
    )
    text = text_of_html(page)
    assert "A & B\nnext" in text
    assert "a  b\n  c" in text
    assert "spread out" in text
    assert "menu" not in text
    assert "var" not in text
    assert "T" not in text


def test_roff_loses_requests_and_fonts() -> None:
    page = '.\\" comment\n.TH LS 1\n.SH NAME\nls \\- list \\fBdirectory\\fP contents\n.PP\n'
    page += "It\\(aqs \\fIhere\\fR.\n"
    assert " ".join(text_of_roff(page).split()) == "NAME ls - list directory contents It's here."


def test_fortunes_are_parted_by_blank_lines() -> None:
    assert text_of_fortunes("one\n%\ntwo\n%\nthree") == "one\n\ntwo\n\nthree"


def test_gzip_is_read_repetitions_dropped_and_the_limit_kept(tmp_path: Path) -> None:
    text = "".join(f"Sentence number {i} of a text that is long enough to be kept.\n\n" for i in range(500))
    (tmp_path / "a.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "b.txt").write_text(text, encoding="utf-8")
    everything = TextSource(kind="text", paths=("/*",), licence="none")
    pieces = list(read_pieces(everything, tmp_path))
    assert len(pieces) == len(set(pieces))
    assert sum(map(len, pieces)) < 1.1 * len(text)
    some = list(read_pieces(everything.model_copy(update={"max_bytes": 10_000}), tmp_path))
    assert sum(len(piece.encode()) for piece in some) <= 10_000
    assert set(some) < set(pieces)
    assert some == [piece for piece in pieces if piece in set(some)]


@given(
    st.lists(st.text("ab", min_size=1, max_size=6), max_size=30, unique=True),
    st.integers(0, 60),
    st.randoms(),
)
def test_drawn_pieces_are_the_smallest_hashes_in_any_order(
    pieces: list[str], room: int, source: random.Random
) -> None:
    expected: list[str] = []
    for piece in sorted(pieces, key=lambda text: hashlib.sha256(text.encode()).digest()):
        if sum(map(len, expected)) + len(piece) > room:
            break
        expected.append(piece)
    shuffled = source.sample(pieces, len(pieces))
    assert draw_pieces(shuffled, room) == [piece for piece in shuffled if piece in expected]


def test_no_text_names_the_package_to_install(tmp_path: Path) -> None:
    source = TextSource(kind="text", paths=("/nothing/*",), licence="none", package="dict-wn")
    with pytest.raises(InputError, match=f"no text found below {tmp_path}; install dict-wn"):
        list(read_pieces(source, tmp_path))


def test_a_dataset_is_streamed_until_twice_the_limit(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    rows = [
        json.dumps({"content": f"Document {i} of a data set, long enough to be kept."}) for i in range(50)
    ]
    (tmp_path / "train.jsonl").write_text("\n".join(rows), encoding="utf-8")
    source = TextSource(kind="hub", paths=(str(tmp_path),), field="content", licence="none")
    pieces = list(read_pieces(source, tmp_path))
    assert [piece.split()[1] for piece in pieces] == [str(i) for i in range(50)]
    some = list(read_pieces(source.model_copy(update={"max_bytes": 500}), tmp_path))
    assert 0 < sum(map(len, some)) <= 500
    assert set(some) < set(pieces[:25])


def test_a_dataset_without_the_field_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("datasets")
    (tmp_path / "train.jsonl").write_text('{"content": "x"}\n', encoding="utf-8")
    source = TextSource(kind="hub", paths=(str(tmp_path),), licence="none")
    with pytest.raises(InputError, match="text"):
        list(read_pieces(source, tmp_path))


def test_json_lines_without_the_field_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "fine and long enough to be kept here."}\n{"t": 1}\n')
    with pytest.raises(InputError, match="line 2"):
        list(read_pieces(TextSource(kind="jsonl", paths=("/*.jsonl",), licence="none"), tmp_path))
