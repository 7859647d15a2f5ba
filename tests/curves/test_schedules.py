"""How a schedule is written, and when it lets the learning rate fall."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.schedules import RULE, decay_start
from neuneu.errors import InputError


@given(st.integers(1, 9999))
def test_a_share_is_read_as_it_is_written(part: int) -> None:
    text = f"{part / 10_000:.4f}"
    assert decay_start(f"wsd:{text}") == decay_start(f"wsd:{text[1:]}") == part / 10_000


@pytest.mark.parametrize("name", ["constant", "cosine", "linear"])
def test_other_schedules_have_no_late_fall(name: str) -> None:
    assert decay_start(name) is None


@pytest.mark.parametrize(
    "text",
    ["", "WSD", "wsd", "wsd:", "wsd:0", "wsd:0.00", "wsd:1", "wsd:1.5", "wsd:-0.2", "wsd:0.8\n", "cosine "],
)
def test_whatever_else_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(InputError, match=r"^schedule = ") as refused:
        decay_start(text)
    assert RULE in str(refused.value)
