from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.errors import InputError
from neuneu.reports import style

UNITS = {"k": 1e3, "M": 1e6, "B": 1e9, "T": 1e12}


@given(st.floats(min_value=1, max_value=9e14))
def test_a_readable_number_is_the_number(number: float) -> None:
    text = style.readable(number)
    value = float(text[:-1]) * UNITS[text[-1]] if text[-1] in UNITS else float(text)
    assert value == pytest.approx(number, rel=0.006)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (10e9, "10B"), (300e6, "300M"), (1.5e12, "1.5T"), (999.6e6, "1B"), (1200, "1.2k"), (0, "0"),
        (1e19, "10¹⁹"), (2.5e20, "2.5×10²⁰"), (999.99e18, "10²¹"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_people_say_them(number: float, text: str) -> None:
    assert style.readable(number) == text


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.one_of(st.none(), st.floats(0, 1)),
)
def test_an_accuracy_axis_holds_its_values_and_does_not_magnify_noise(
    values: list[float], chance: float | None
) -> None:
    low, high = style.value_range(values, chance, percent=True)
    assert 0 <= low <= min(values)
    assert max(values) <= high <= 1
    assert high - low >= 0.02


def test_chance_is_on_the_axis_unless_it_is_far_away() -> None:
    assert style.value_range([0.3, 0.4], 0.25, percent=True)[0] <= 0.25
    assert style.value_range([0.8, 0.82], 0.25, percent=True)[0] > 0.7


@given(st.lists(st.text(min_size=1, max_size=8), max_size=6, unique=True))
def test_each_forecaster_has_a_colour_of_its_own_and_baselines_always_the_same(names: list[str]) -> None:
    found = style.colours(["last-value", *names, "power-law"])
    assert len(set(found.values())) == len(found)
    assert found["last-value"] == style.FIXED["last-value"]
    assert found["power-law"] == style.FIXED["power-law"]


@pytest.mark.parametrize("name", ["figure.pdf", "figure", "figure.PNG.exe"])
def test_other_formats_are_refused(name: str) -> None:
    with pytest.raises(InputError, match=r"\.png or \.svg"):
        style.check_format(Path(name))
