"""A schedule is read off a table of learning rates, and only where the table tells one."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu import api as nn
from neuneu.curves.readers.learning_rates import read_schedule
from neuneu.curves.schedules import decay_start
from neuneu.errors import InputError
from neuneu.suite.pretrain import learning_rate
from neuneu.suite.suite_config import Schedule


def table(path: Path, rate: np.ndarray, clock: str = "step") -> str:
    frame = pl.DataFrame({clock: np.arange(len(rate)) * 100, "learning_rate": rate})
    frame.write_csv(path)
    return str(path)


def rates(kind: str, decay: float = 0.2, points: int = 200) -> np.ndarray:
    """What the package's own training uses, with a warm-up."""
    schedule = Schedule(
        tokens=8 * points, sequence=8, batch=1, learning_rate=1e-3, warmup_steps=4, kind=kind, decay=decay
    )
    return np.array([learning_rate(step, schedule, 1e-3) for step in range(points)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rates")


@pytest.mark.parametrize("told", [None, "constant", "cosine", "linear", "wsd:0.8"])
def test_names_stay_as_they_are(told: str | None) -> None:
    assert read_schedule(told) == told


@given(decay=st.floats(0.05, 0.8), clock=st.sampled_from(["step", "tokens"]))
def test_a_late_fall_is_found_where_it_starts(folder: Path, decay: float, clock: str) -> None:
    found = read_schedule(table(folder / "rates.csv", rates("wsd", decay), clock))
    assert found is not None
    assert decay_start(found) == pytest.approx(1.0 - decay, abs=0.02)


def test_cosine_linear_and_constant_are_told_apart(folder: Path) -> None:
    assert read_schedule(table(folder / "c.csv", rates("cosine"))) == "cosine"
    line = np.concatenate([np.linspace(0, 1, 10), np.linspace(1, 0.1, 190)])
    assert read_schedule(table(folder / "l.csv", line)) == "linear"
    assert read_schedule(table(folder / "k.csv", np.minimum(np.arange(100) / 5, 1.0))) == "constant"


def test_a_fall_in_the_last_step_alone_is_none(folder: Path) -> None:
    assert read_schedule(table(folder / "z.csv", np.append(np.ones(40_000), 0.0))) == "constant"


@pytest.mark.parametrize(
    ("rate", "rule"),
    [
        (np.tile(np.linspace(1, 0, 20), 3), "fall once"),
        (np.concatenate([np.linspace(1, 0.2, 20), np.full(5, 0.6)]), "fall once"),
        (np.array([0.0, 1.0]), "3 rows"),
        (np.zeros(10), "some above it"),
        (np.array([1.0, np.nan, 0.5]), "numbers of 0 or more"),
        (np.array([1.0, -0.1, 0.5]), "numbers of 0 or more"),
    ],
)
def test_rates_that_tell_no_schedule_are_refused(folder: Path, rate: np.ndarray, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        read_schedule(table(folder / "bad.csv", rate))


def test_other_columns_and_names_are_refused(folder: Path) -> None:
    pl.DataFrame({"step": [0, 1, 2]}).write_csv(folder / "none.csv")
    with pytest.raises(InputError, match="learning_rate"):
        read_schedule(str(folder / "none.csv"))
    pl.DataFrame({"step": [0, 1, 1], "learning_rate": [1.0, 1.0, 0.0]}).write_csv(folder / "twice.csv")
    with pytest.raises(InputError, match="each once"):
        read_schedule(str(folder / "twice.csv"))
    with pytest.raises(InputError, match=r"wsd:0\.8; or a table of step and learning_rate"):
        read_schedule("cyclic")


def test_results_are_read_with_it(folder: Path) -> None:
    told = table(folder / "plan.csv", rates("wsd", 0.2))
    results = Path(__file__).parents[2] / "examples" / "results"
    curves = nn.read_results(results, tokens_per_step=2**21, schedule=Path(told))
    schedule = curves.curves[0].facts.schedule
    assert schedule is not None
    assert decay_start(schedule) == pytest.approx(0.8, abs=0.01)
