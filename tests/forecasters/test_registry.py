"""Forecasters by name, by class, by entry point; saved ones come back to the last bit."""

import json
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from tests.forecasters.forecaster_cases import family, make_curve
from tests.forecasters.neuneu.small import make_losses, make_table
from tests.forecasters.neuneu.test_probe_forecasters import short

from neuneu.curves.curve import Floats
from neuneu.errors import InputError
from neuneu.evidence.evidence import Evidence, EvidenceBuilder
from neuneu.evidence.finished import smaller_finished_runs
from neuneu.evidence.loss_curves import stored_loss
from neuneu.forecasters.base import (
    REGISTRY,
    Forecast,
    Forecaster,
    Refusal,
    forecaster_names,
    load_forecaster,
    make_forecaster,
    register,
    resolve_forecaster,
)
from neuneu.forecasters.ladder import Ladder
from neuneu.forecasters.neuneu2.model import Neuneu2, TrainingSettings
from neuneu.losses.loss_store import MemoryLossStore

LEARNED = [name for name in REGISTRY if not name.startswith(("neuneu", "probe", "loss-law"))]
EXTRAS = {
    "lightgbm": "lightgbm",
    "damped-holt": "statsforecast",
    "dot": "statsforecast",
    "neuneu-2": "lightgbm",
}
TABLE = family()


class Mine(Forecaster):
    """The last value, give or take a tenth."""

    def forecast_many(self, evidences, horizons):
        width = np.array([-0.1, -0.1, -0.05, 0.0, 0.05, 0.1, 0.1])
        return [
            Forecast(np.asarray(at), np.tile(e.context.values[-1] + width, (len(at), 1)))
            for e, at in zip(evidences, horizons, strict=True)
        ]


class Small(Neuneu2):
    """Trains in seconds."""

    settings = TrainingSettings(families=3, process_steps=4, trees=8)


@cache
def fitted(name: str) -> Forecaster:
    if name in EXTRAS:
        pytest.importorskip(EXTRAS[name])
    if name.startswith("probe"):
        return short(name, 5).fit(make_table(), make_losses())
    fresh = Small() if name == "neuneu-2" else make_forecaster(name)
    return fresh.fit(TABLE, references=smaller_finished_runs)


def answers(forecaster: Forecaster, *, losses: bool) -> list[Floats]:
    table, store = (make_table(), make_losses()) if losses else (TABLE, None)
    builder = EvidenceBuilder(table, store, smaller_finished_runs)
    curves = [curve for curve in table.one_metric() if len(curve) > 10]
    asked = [builder.at(c, float(c.clock[len(c) // 2]), sees_future=forecaster.sees_future) for c in curves]
    found = forecaster.forecast_many(asked, [c.clock[len(c) // 2 + 1 :] for c in curves])
    assert any(isinstance(answer, Forecast) for answer in found)
    return [np.empty(0) if isinstance(answer, Refusal) else answer.values for answer in found]


@pytest.mark.parametrize("name", [*LEARNED, "neuneu-2", "probe-cnn", "probe-kl-delta", "probe-average"])
def test_what_was_fitted_comes_back_from_its_folder_to_the_last_bit(name: str, tmp_path: Path) -> None:
    forecaster = fitted(name)
    forecaster.save(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["forecaster"] == name
    for loaded in (load_forecaster(tmp_path), make_forecaster(name).load(tmp_path)):
        before, after = (answers(f, losses=name.startswith("probe")) for f in (forecaster, loaded))
        for one, two in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, two)


def test_a_saved_forecaster_is_not_the_shipped_one(tmp_path: Path) -> None:
    fitted("power-law").save(tmp_path)
    shipped, saved = (answers(load_forecaster(name), losses=False) for name in ("power-law", tmp_path))
    assert np.abs(np.concatenate(shipped) - np.concatenate(saved)).max() > 1e-3


@pytest.mark.parametrize("name", ["power-law", "neuneu", "probe-cnn", "lightgbm", "neuneu-2"])
def test_what_was_not_fitted_has_nothing_to_save(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="fit"):
        make_forecaster(name).save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_what_learns_nothing_says_so(tmp_path: Path) -> None:
    assert Mine().load_shipped().name == "Mine"
    for act in (Mine().save, Mine().load):
        with pytest.raises(InputError, match="learns nothing"):
            act(tmp_path)
    with pytest.raises(InputError, match="nothing ships"):
        load_forecaster("neuneu")


@pytest.mark.parametrize(
    "config",
    [
        {"forecaster": "power-law"},
        {"forecaster": "power-law", "calibration": {"noise": [0.0], "trend": [0.0], "power": 1.0}},
        {
            "forecaster": "power-law",
            "calibration": {"noise": ["x"], "trend": [0], "power": 1, "quantiles": [0]},
        },
        {"forecaster": "logistic", "calibration": {}, "laws": 3},
        {"forecaster": "json:JSONDecoder"},
        {"forecaster": f"{__name__}:Mine"},
        {"forecaster": None},
        ["power-law"],
    ],
)
def test_folders_that_are_not_what_save_wrote_are_refused(config: object, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"config\.json"):
        load_forecaster(tmp_path)


def test_a_folder_of_another_forecaster_is_refused(tmp_path: Path) -> None:
    fitted("power-law").save(tmp_path)
    with pytest.raises(InputError, match="must be log-linear"):
        make_forecaster("log-linear").load(tmp_path)


def test_a_registered_class_is_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Mine, "name", "Mine")
    monkeypatch.setitem(REGISTRY, "mine", Mine)
    assert register("mine")(Mine) is Mine
    assert Mine.name == "mine"
    assert isinstance(load_forecaster("mine"), Mine)
    assert "mine" in forecaster_names()
    with pytest.raises(InputError, match="another forecaster"):
        register("power-law")(Mine)


def test_another_package_brings_a_forecaster(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A distribution on the path, as pip installs it, with an entry point of the group."""
    (tmp_path / "elsewhere.py").write_text(
        "from neuneu.forecasters.laws import PowerLaw\nclass Theirs(PowerLaw):\n    name = 'theirs'\n"
    )
    made = tmp_path / "elsewhere-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: elsewhere\nVersion: 1.0\n")
    (made / "entry_points.txt").write_text("[neuneu.forecasters]\ntheirs = elsewhere:Theirs\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert forecaster_names()[-1] == "theirs"
    theirs = make_forecaster("theirs").fit(TABLE)
    assert type(theirs).__module__ == "elsewhere"
    theirs.save(tmp_path / "saved")
    assert type(load_forecaster(tmp_path / "saved")) is type(theirs)
    assert type(make_forecaster("elsewhere:Theirs")) is type(theirs)


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("powerlaw", "did you mean power-law"),
        ("no_such_module:Mine", "cannot be imported"),
        ("neuneu.forecasters.laws:NoLaw", "cannot be imported"),
        ("neuneu.forecasters.laws:PowerLawFit", "not a class of forecasters"),
        ("neuneu.forecasters.calibration:CalibratedForecaster", "without arguments"),
        (":", "cannot be imported"),
    ],
)
def test_names_of_no_forecaster_are_refused(name: str, rule: str) -> None:
    with pytest.raises(InputError, match=rule):
        make_forecaster(name)


def test_an_instance_stands_for_itself() -> None:
    mine = Mine()
    assert resolve_forecaster(mine) is mine
    assert resolve_forecaster("power-law").name == "power-law"
    sys.modules.setdefault("neuneu_test_registry", sys.modules[__name__])
    assert type(resolve_forecaster("neuneu_test_registry:Mine")) is Mine


def test_an_own_class_is_named_for_itself_and_a_changed_one_for_what_it_changes() -> None:
    class Yours(Mine):
        pass

    assert (Mine.name, Yours.name, Small.name) == ("Mine", "Yours", "neuneu-2")


@pytest.mark.parametrize("name", ["last-value", "power-law", "reference-shift", "lightgbm", "neuneu-2"])
def test_what_a_forecaster_does_not_read_changes_nothing(name: str) -> None:
    """`reads` is the truth: evidence of another kind may be given, and is of no consequence."""
    forecaster = fitted(name)
    table, store = make_table(), make_losses()
    whole = EvidenceBuilder(table, store, smaller_finished_runs)
    curve = next(iter(table.one_metric()))
    shown = whole.at(curve, float(curve.clock[8]))
    kept = {"references": shown.references, "reference_metrics": shown.reference_metrics}
    bare = Evidence(
        shown.context,
        run_curves=shown.run_curves if "run" in forecaster.reads else (),
        planned_end=shown.planned_end,
        **(kept if "references" in forecaster.reads else {}),
    )
    assert "losses" not in forecaster.reads
    one, two = forecaster.forecast_many([shown, bare], [curve.clock[9:]] * 2)
    if isinstance(one, Refusal):
        assert one == two
    else:
        assert isinstance(two, Forecast)
        np.testing.assert_array_equal(one.values, two.values)


def test_losses_of_checkpoints_added_later_are_seen() -> None:
    class Growing(MemoryLossStore):
        def add(self, step: int, losses: Floats) -> None:
            steps, old = self._arrays["run"]
            self._arrays["run"] = np.append(steps, step), np.concatenate([old, losses[None]])

    store = Growing({"run": (np.array([1, 2]), np.array([[4.0, 2.0], [2.0, 2.0]]))}, "fingerprint")
    curve = make_curve(np.arange(1.0, 5.0), np.linspace(0.2, 0.5, 4))
    before = stored_loss(curve, store, "run")
    store.add(3, np.array([1.0, 1.5]))
    after = stored_loss(curve, store, "run")
    assert before is not None
    assert after is not None
    assert (before.loss.tolist(), after.loss.tolist()) == ([3.0, 2.0], [3.0, 2.0, 1.25])


def test_the_ladder_keeps_nothing_between_calls() -> None:
    ladder = fitted("ladder")
    assert isinstance(ladder, Ladder)
    answers(ladder, losses=False)
    assert not ladder._steps
