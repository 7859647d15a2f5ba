"""What counts as the same output."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.documents.compare import difference, same_line

SAME = [
    ("run   q50\nmix-a 0.64", "run    q50  \nmix-a  0.64\n"),
    ("0.6439", "0.6438"),
    ("3.17 (2.87–3.48)", "3.18 (2.87–3.47)"),
    ("4e-07", "4e-07"),
    ("1.5e-07", "1.6e-07"),
    ("0.93428", "0.934279"),  # Polars shows no zero at the end
    ("−0.50", "−0.51"),
    ("begin\n…\nend", "begin\n1\n2\nend"),
    ("begin\n…\nend", "begin\nend"),
    ("…", "whatever\nthere is"),
    ("…\n12 losses → x", "3 s\n12 losses → x"),
    ("written at … to x", "written at 12:00 to x"),
    ("a\n…\nb\n…\nc", "a\nb\n1\nb\n2\nc"),
]
OTHER = [
    ("0.6439", "0.6436"),
    ("0.64", "0.66"),
    ("16 checkpoints", "17 checkpoints"),
    ("mix-a 0.64", "mix-b 0.64"),
    ("0.64", "-0.64"),
    ("1.5e-07", "1.5e-06"),
    ("a b", "ab"),
    ("a", "a\nb"),
    ("a\nb", "a"),
    ("", "a"),
    ("a", ""),
    ("begin\n…\nend", "begin\n1\n2"),
    ("…\n16 checkpoints → x", "3 s\n17 checkpoints → x"),
    ("at … to 0.64", "at 12:00 to 0.65"),
    ("a\n…\nb\nc", "a\nb\nd"),
    ("version 1.2.3", "version 1.2.4"),
]


@pytest.mark.parametrize(("shown", "printed"), SAME)
def test_the_same(shown: str, printed: str) -> None:
    assert difference(shown, printed) is None


@pytest.mark.parametrize(("shown", "printed"), OTHER)
def test_not_the_same(shown: str, printed: str) -> None:
    assert difference(shown, printed) is not None


def test_what_differs_is_told() -> None:
    assert difference("a\nb", "a\nc") == "shown:   'b'\nprinted: 'c'"
    assert difference("a", "a\nc") == "printed but not shown: 'c'"
    assert difference("a\nb", "a") == "shown but not printed: 'b'"


@given(st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs")), max_size=30))
def test_every_line_is_itself(line: str) -> None:
    assert same_line(line, line)


@given(st.decimals(-99, 99, places=2), st.integers(-5, 5))
def test_a_number_may_be_off_by_one_in_its_last_digit(number: object, off: int) -> None:
    shown = f"{number:.2f}"
    printed = f"{float(shown) + off / 100:.2f}"
    alike = (float(shown) < 0) == (float(printed) < 0)  # a sign is part of what is shown
    assert same_line(shown, printed) is (abs(off) <= 1) or not alike
