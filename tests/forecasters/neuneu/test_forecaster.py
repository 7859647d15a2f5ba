"""NeuNeu as a forecaster: the published protocol, calibration, what it may see, refusals."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.forecasters.neuneu.small import make_config, make_losses, make_table
from tests.forecasters.neuneu.test_goldens import build

from neuneu.curves.curve import Curve, CurveKey
from neuneu.errors import InputError
from neuneu.evidence.evidence import EvidenceBuilder, LossView
from neuneu.forecasters.base import LEVELS, Refusal, load_forecaster, make_forecaster
from neuneu.forecasters.neuneu.config import LossConfig, SampleConfig
from neuneu.forecasters.neuneu.conformal import Conformal
from neuneu.forecasters.neuneu.forecaster import NeuNeuForecaster, to_levels
from neuneu.forecasters.neuneu.inference import CurveQuestion, Predictor
from neuneu.forecasters.neuneu.network import NetworkInput, NeuNeu
from neuneu.losses.loss_store import MemoryLossStore

VARIANTS = [
    "neuneu", "neuneu-average", "neuneu-diffhist", "neuneu-noloss", "neuneu-sequential", "neuneu-levels",
    "neuneu-residual",
]  # fmt: skip
REPAIRED = {
    "model": {"residual": True, "tasks": None},
    "samples": {"gaps": "log", "max_gap": None, "validation_share": 0.0},
}
"""Sections of the configuration of neuneu-levels and its ablation."""


@pytest.fixture(scope="session")
def goldens(shared: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((shared / "goldens" / "neuneu.json").read_text())
    return loaded


@pytest.mark.parametrize("mode", ["anchored", "sequential", "sequential_real"])
@pytest.mark.parametrize("name", ["baseline", "avg_loss"])
def test_published_evaluation_protocol(goldens: dict[str, Any], name: str, mode: str) -> None:
    golden = goldens["eval_protocol"]
    steps, values = np.array(golden["steps"]), np.array(golden["acc"])
    cut = golden["ctx_end"] + 1
    n = len(steps)
    losses = MemoryLossStore({"run": (steps, np.array(golden["avg_losses"])[:, None])}, "mean loss")
    model = build(name, goldens[name]["names"])
    predictor = Predictor(model, LossConfig(), SampleConfig())
    curve = Curve(
        CurveKey("run", "task", "acc"), steps, steps.astype(float), "step", values, np.full(n, np.nan)
    )
    view = LossView(losses, "run")
    if mode == "anchored":
        found = predictor.quantiles([CurveQuestion(curve.until(steps[cut - 1]), curve.clock[cut:], view)])[0]
    else:
        told, rows = list(values[:cut]), []
        for at in range(cut, n):
            context = replace(curve.until(steps[at - 1]), values=np.array(told))
            rows.append(predictor.quantiles([CurveQuestion(context, curve.clock[at : at + 1], view)])[0][0])
            told.append(values[at] if mode == "sequential_real" else rows[-1][2])
        found = np.array(rows)
    expected = [[row[q] for q in ("q10", "q25", "median", "q75", "q90")] for row in golden[f"{name}_{mode}"]]
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert np.abs(found[:, 2] - values[cut:]).mean() == pytest.approx(golden[f"{name}_{mode}_mae"], abs=1e-5)


@pytest.fixture(scope="module", params=VARIANTS)
def fitted(request: pytest.FixtureRequest) -> NeuNeuForecaster:
    """Each variant, trained on a few runs for a few steps."""
    example = make_forecaster(request.param)
    assert isinstance(example, NeuNeuForecaster)
    repaired = example.config.model.residual
    sections = REPAIRED if repaired else {"samples": {"validation_share": 0.0}}
    forecaster = type(example)(make_config(example.config.forecaster, **sections))
    return forecaster.fit(make_table(), make_losses(groups=["arc_easy"] * 300 + ["other"] * 300))


def ask(
    forecaster: NeuNeuForecaster, run: str = "run-0", end: int = 3000
) -> tuple[list[Any], list[np.ndarray]]:
    builder = EvidenceBuilder(make_table(), make_losses(groups=["arc_easy"] * 300 + ["other"] * 300))
    curves = [c for c in builder.table if c.key.run == run]
    evidences = [builder.at(c, end, sees_future=forecaster.sees_future) for c in curves]
    return evidences, [c.after(end).clock for c in curves]


def test_forecasts_are_quantiles(fitted: NeuNeuForecaster) -> None:
    evidences, horizons = ask(fitted)
    for forecast, asked in zip(fitted.forecast_many(evidences, horizons), horizons, strict=True):
        assert not isinstance(forecast, Refusal)
        assert forecast.values.shape == (len(asked), len(LEVELS))
        assert (forecast.values >= 0).all()
        assert (forecast.values <= 1).all()


def test_one_call_equals_one_call_a_cell(fitted: NeuNeuForecaster) -> None:
    evidences, horizons = ask(fitted)
    together = fitted.forecast_many(evidences, horizons)
    for evidence, asked, forecast in zip(evidences, horizons, together, strict=True):
        assert not isinstance(forecast, Refusal)
        alone = [fitted.forecast(evidence, [at]).values[0] for at in asked]
        np.testing.assert_allclose(forecast.values, alone, atol=1e-5)


def test_the_future_is_not_looked_at(fitted: NeuNeuForecaster) -> None:
    """Losses after the context end change only the variants that are labelled."""
    if fitted.sees_future:
        pytest.skip("labelled")
    evidences, horizons = ask(fitted)
    before = fitted.forecast_many(evidences, horizons)
    original = make_losses(groups=["arc_easy"] * 300 + ["other"] * 300)
    arrays = {}
    for run in original.runs:
        losses = np.stack([original.read(run, s) for s in original.steps(run)])
        losses[original.steps(run) > 300] = 7.0
        arrays[run] = original.steps(run), losses
    changed = MemoryLossStore(arrays, original.fingerprint, original.groups)
    builder = EvidenceBuilder(make_table(), changed)
    again = [builder.at(c, 3000) for c in builder.table if c.key.run == "run-0"]
    for first, second in zip(before, fitted.forecast_many(again, horizons), strict=True):
        assert not isinstance(first, Refusal)
        assert not isinstance(second, Refusal)
        np.testing.assert_array_equal(first.values, second.values)


def test_saved_and_loaded_gives_the_same(fitted: NeuNeuForecaster, tmp_path: Path) -> None:
    fitted.save(tmp_path)
    loaded = load_forecaster(tmp_path)
    assert type(loaded) is type(fitted)
    evidences, horizons = ask(fitted)
    for first, second in zip(
        fitted.forecast_many(evidences, horizons), loaded.forecast_many(evidences, horizons), strict=True
    ):
        assert not isinstance(first, Refusal)
        assert not isinstance(second, Refusal)
        np.testing.assert_array_equal(first.values, second.values)


def test_a_new_task_is_forecast(fitted: NeuNeuForecaster) -> None:
    evidences, horizons = ask(fitted)
    context = evidences[0].context
    other = replace(evidences[0], context=replace(context, key=context.key._replace(task="new")))
    assert not isinstance(fitted.forecast_many([other], horizons[:1])[0], Refusal)


def test_differences_start_at_the_last_accuracy() -> None:
    """Where accuracies are read as differences, a network that has learnt nothing says: no change."""
    model = NeuNeu(make_config("neuneu-residual", model={"residual": True}).model)
    values, mask = torch.rand(4, 5), torch.arange(5) < torch.tensor([[1], [2], [4], [5]])
    with torch.no_grad():
        output = model(NetworkInput(values, mask.float(), mask))
    last = values.gather(1, mask.sum(dim=1, keepdim=True) - 1)[:, 0]
    torch.testing.assert_close(output[:, 2], last)
    assert (output.diff(dim=1) > 0).all()


def test_refusals(fitted: NeuNeuForecaster) -> None:
    evidences, horizons = ask(fitted)
    no_losses = replace(evidences[0], losses=None, future_losses=None)
    answer = fitted.forecast_many([no_losses], horizons[:1])[0]
    assert isinstance(answer, Refusal) is fitted.reads_losses
    no_accuracy = replace(evidences[0], context=replace(evidences[0].context, low=float("-inf")))
    assert isinstance(fitted.forecast_many([no_accuracy], horizons[:1])[0], Refusal)
    only_start = replace(evidences[0], context=evidences[0].context.until(0.0))
    assert isinstance(fitted.forecast_many([only_start], horizons[:1])[0], Refusal)


def test_another_validation_set_is_refused(fitted: NeuNeuForecaster) -> None:
    if not fitted.reads_losses:
        pytest.skip("reads no losses")
    evidences, horizons = ask(fitted)
    assert evidences[0].losses is not None
    store = make_losses()
    store.fingerprint = "another"
    view = LossView(store, "run-0", 300)
    other = replace(evidences[0], losses=view, future_losses=LossView(store, "run-0"))
    with pytest.raises(InputError, match="over validation set another, the model was trained on made-up-"):
        fitted.forecast_many([other], horizons[:1])


def test_each_checkpoint_is_encoded_once() -> None:
    config = make_config(samples={"validation_share": 0.0})
    forecaster = NeuNeuForecaster(config, calibrated=False).fit(make_table(), make_losses())
    builder = EvidenceBuilder(make_table(), make_losses())
    evidences = [builder.at(c, 3000) for c in builder.table if c.key.run in ("run-0", "run-1")]
    horizons = [np.array([4000.0, 5000.0, 9000.0])] * len(evidences)
    assert forecaster.predictor is not None
    encoded: list[int] = []
    encoder = forecaster.predictor.model.encoder
    assert encoder is not None
    encoder.register_forward_hook(lambda _module, inputs, _output: encoded.append(len(inputs[0])))
    forecaster.forecast_many(evidences, horizons)
    assert sum(encoded) == 2  # 2 runs x 3 tasks x 3 horizons ask for 2 checkpoints
    forecaster.forecast_many(evidences, horizons)
    assert sum(encoded) == 2


def test_an_unfitted_forecaster_says_so() -> None:
    evidences, horizons = ask(NeuNeuForecaster())
    with pytest.raises(InputError, match="no weights"):
        NeuNeuForecaster().forecast_many(evidences, horizons)


def test_same_seed_same_forecast() -> None:
    config = make_config("neuneu-noloss", samples={"validation_share": 0.0})
    kind = type(make_forecaster("neuneu-noloss"))
    assert issubclass(kind, NeuNeuForecaster)
    models = [kind(config).fit(make_table(), seed=seed).predictor for seed in (3, 3, 4)]
    heads = [p.model.head.weight for p in models if p is not None]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])


@given(
    st.lists(st.lists(st.floats(-0.5, 1.5), min_size=5, max_size=5), min_size=1, max_size=8),
)
def test_any_output_becomes_quantiles(rows: list[list[float]]) -> None:
    values = to_levels(np.array(rows), (0.1, 0.25, 0.5, 0.75, 0.9))
    assert (np.diff(values, axis=1) >= 0).all()
    assert (values >= 0).all()
    assert (values <= 1).all()


def test_levels_in_common_are_kept() -> None:
    values = to_levels(np.array([[0.2, 0.3, 0.4, 0.5, 0.6]]), (0.1, 0.25, 0.5, 0.75, 0.9))
    np.testing.assert_allclose(values[0, 1:-1], [0.2, 0.3, 0.4, 0.5, 0.6])
    assert values[0, 0] == pytest.approx(0.4 - 0.2 * 1.644854 / 1.281552, abs=1e-5)


@given(st.integers(0, 100), st.floats(0.001, 0.1), st.floats(-0.05, 0.05))
def test_conformal_quantiles_hold_the_truth_as_they_say(seed: int, noise: float, bias: float) -> None:
    rng = np.random.default_rng(seed)
    levels = (0.1, 0.5, 0.9)
    truth = 0.5 + noise * rng.standard_normal(4000)
    predicted = np.full((4000, 3), 0.5 + bias)
    ratio = rng.uniform(0, 3, 4000)
    weight = np.ones(4000)
    conformal = Conformal.fit(predicted[:2000], truth[:2000], ratio[:2000], weight[:2000], levels)
    moved = conformal.apply(predicted[2000:], ratio[2000:])
    below = (truth[2000:, None] <= moved).mean(axis=0)
    np.testing.assert_allclose(below, levels, atol=0.06)
    assert Conformal.from_document(json.loads(json.dumps(conformal.to_document()))) == conformal
