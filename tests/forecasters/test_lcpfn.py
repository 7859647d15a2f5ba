"""The prior-fitted network: forward in NumPy and PyTorch, training, the one that ships, published weights."""

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from neuneu.curves.curve import Curve, CurveKey, Floats
from neuneu.errors import InputError
from neuneu.evidence.evidence import Evidence
from neuneu.forecasters.base import LEVELS, Forecast, load_forecaster
from neuneu.forecasters.lcpfn.forecaster import LCPFN
from neuneu.forecasters.lcpfn.inference import PriorFitted, bar_quantiles
from neuneu.forecasters.lcpfn.layout import clock_features, normalised
from neuneu.forecasters.lcpfn.network import PFN, ContextBatch
from neuneu.forecasters.lcpfn.published import convert_pfn
from neuneu.forecasters.lcpfn.training import make_prior_data
from neuneu.forecasters.neuneu.config import PFNConfig, PFNRunConfig, PriorConfig, parse_run
from neuneu.forecasters.train import train_forecaster

SMALL = PFNConfig(width=16, n_layers=2, n_heads=2, feed_forward=24)


def make_curve(values: Floats, metric: str = "acc", high: float = 1.0) -> Curve:
    n = len(values)
    steps = 100 * np.arange(1, n + 1)
    key = CurveKey("run", "task", metric)
    return Curve(key, steps, steps * 1e6, "tokens", values, np.full(n, np.nan), high=high)


def shaken(network: PFN) -> PFN:
    """Weights that are not the fresh ones, of which some are zero."""
    rng = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=rng))
    return network.eval()


def arrays(network: nn.Module) -> dict[str, Any]:
    return {name: tensor.numpy() for name, tensor in network.state_dict().items()}


def test_numpy_is_what_pytorch_is() -> None:
    network = shaken(PFN(SMALL))
    rng = np.random.default_rng(0)
    x, y, at = rng.normal(size=(3, 5, 2)), rng.normal(size=(3, 5)), rng.normal(size=(3, 4, 2))
    there = np.arange(5) < np.array([5, 3, 1])[:, None]
    tensors = [torch.from_numpy(part).float() for part in (x, y, at)]
    asked = ContextBatch(*tensors[:2], torch.from_numpy(there), tensors[2], torch.arange(12))
    with torch.no_grad():
        expected = network(asked).reshape(3, 4, -1).numpy()
    ours = PriorFitted(arrays(network), SMALL.n_heads)(x, y, there, at)
    np.testing.assert_allclose(ours, expected, atol=2e-5)


def test_a_horizon_does_not_see_the_others_nor_padding() -> None:
    network = PriorFitted(arrays(shaken(PFN(SMALL))), SMALL.n_heads)
    rng = np.random.default_rng(0)
    x, y, at = rng.normal(size=(1, 5, 2)), rng.normal(size=(1, 5)), rng.normal(size=(1, 4, 2))
    there = np.array([[True, True, True, False, False]])
    together = network(x, y, there, at)
    alone = network(x[:, :3], y[:, :3], there[:, :3], at[:, 1:2])
    np.testing.assert_allclose(together[:, 1:2], alone, atol=1e-5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(-0.2, 0.2))
def test_a_shifted_context_is_the_same_question(values: list[float], shift: float) -> None:
    row = np.array([values])
    there = np.ones_like(row, dtype=bool)
    clock = np.sort(np.random.default_rng(0).uniform(-3, 0, row.shape))
    one, other = normalised(clock, row, there), normalised(clock, row + shift, there)
    np.testing.assert_allclose(one.values, other.values, atol=1e-6)
    np.testing.assert_allclose(other.centre - one.centre, shift, atol=1e-9)
    assert np.abs(one.values).max() <= 40


def test_bars_give_their_quantiles() -> None:
    borders = np.array([0.0, 0.5, 1.0, 3.0])
    logits = np.log(np.array([[0.25, 0.5, 0.25], [1e-9, 1.0, 1e-9]]))
    found = bar_quantiles(logits, borders, np.array([0.125, 0.5, 0.875]))
    np.testing.assert_allclose(found, [[0.25, 0.75, 2.0], [0.5625, 0.75, 0.9375]], atol=1e-6)


def test_what_ships_forecasts_rises_falls_and_flats() -> None:
    forecaster = load_forecaster("lc-pfn")
    t = np.arange(1, 31)
    curves = {
        "rise": 0.25 + 0.4 * (1 - t**-0.5), "fall": 0.6 - 0.3 * (1 - t**-0.5), "flat": np.full(30, 0.3),
    }  # fmt: skip
    for name, values in curves.items():
        curve = make_curve(values)
        horizons = curve.clock[8:]
        forecast = forecaster.forecast(Evidence(curve.until(curve.clock[7])), horizons)
        assert forecast.values.shape == (22, len(LEVELS))
        error = np.abs(forecast.median - values[8:]).mean()
        last = np.abs(values[7] - values[8:]).mean()
        assert error < {"rise": 0.3 * last, "fall": 0.8 * last, "flat": 0.005}[name], name
        assert not forecaster.sees_future


def test_many_questions_are_answered_as_one_by_one() -> None:
    forecaster = load_forecaster("lc-pfn")
    rng = np.random.default_rng(0)
    evidences = [Evidence(make_curve(rng.uniform(0.2, 0.6, n))) for n in (1, 2, 7, 40)]
    horizons = [np.array([1.5, 2.0, 9.0][: i + 1]) * e.end for i, e in enumerate(evidences[:3])]
    horizons.append(np.array([2.0]) * evidences[3].end)
    together = forecaster.forecast_many(evidences, horizons)
    for evidence, at, answer in zip(evidences, horizons, together, strict=True):
        assert isinstance(answer, Forecast)
        np.testing.assert_allclose(answer.values, forecaster.forecast(evidence, at).values, atol=1e-5)


def make_config(output: Path, **training: Any) -> PFNRunConfig:
    document = {
        "forecaster": "lc-pfn", "output": str(output), "model": SMALL.model_dump(),
        "samples": {"families": 3, "contexts": 1, "validation_share": 0.34},
        "training": {"max_steps": 6, "batch_size": 16, "log_every": 2, "device": "cpu", **training},
    }  # fmt: skip
    config = parse_run(document, "test")
    assert isinstance(config, PFNRunConfig)
    return config


def test_training_writes_what_is_loaded(tmp_path: Path) -> None:
    trained = train_forecaster(make_config(tmp_path / "one"))
    loaded = load_forecaster(tmp_path / "one")
    evidence = Evidence(make_curve(np.linspace(0.3, 0.4, 9)))
    horizons = [2 * evidence.end]
    first, second = (f.forecast(evidence, horizons).values for f in (trained, loaded))
    np.testing.assert_array_equal(first, second)
    train_forecaster(make_config(tmp_path / "two"))
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_made_up_families_are_not_split() -> None:
    train, held = make_prior_data(PriorConfig(families=4, contexts=1, validation_share=0.25), 0)
    assert set(held.family) == {3}
    assert set(train.family) == {0, 1, 2}
    asked, target = train.batch(np.array([0, 5]))
    assert len(target) == len(asked.cell) == train.asked[[0, 5]].sum()
    assert (train.at[train.asked] > 0).all()
    assert (train.clock <= 0).all()
    features = clock_features(train.at[:1].astype(np.float64))
    np.testing.assert_allclose(asked.at[0], features[0], rtol=1e-6)


def test_a_broken_folder_is_refused(tmp_path: Path) -> None:
    LCPFN().adopt(arrays(PFN(SMALL)), 2).save(tmp_path)
    weights = (tmp_path / "model.safetensors").read_bytes()
    (tmp_path / "model.safetensors").write_bytes(weights[:500])
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load_forecaster(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(weights)
    (tmp_path / "config.json").write_text('{"forecaster": "lc-pfn", "n_heads": 3}')
    with pytest.raises(InputError, match="n_heads"):
        load_forecaster(tmp_path)
    with pytest.raises(InputError, match="decoder"):
        LCPFN().adopt({n: a for n, a in arrays(PFN(SMALL)).items() if n != "decoder.2.bias"}, 2)


# What follows stands in for the classes that the published file was pickled with.


class Normalize(nn.Module):
    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return (x - self.mean) / self.std


class Bars(nn.Module):
    borders: torch.Tensor

    def __init__(self, borders: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("borders", borders)
        self.register_buffer("bucket_widths", borders.diff())


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        uniform = 12**-0.5
        layer = nn.TransformerEncoderLayer(256, 2, 32, dropout=0.0, activation="gelu")
        self.transformer_encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.encoder = nn.Sequential(Normalize(0.0, 101.0), Normalize(0.5, uniform), nn.Linear(1, 256))
        self.y_encoder = nn.Sequential(Normalize(0.5, uniform), nn.Linear(1, 256))
        self.decoder = nn.Sequential(nn.Linear(256, 32), nn.GELU(), nn.Linear(32, 20))
        self.criterion = Bars(torch.linspace(0, 1, 21))

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """x: (n, 1) steps, context first; y: (n_context, 1)."""
        n, k = len(x), len(y)
        context = self.encoder(x[:k]) + self.y_encoder(y)
        tokens = torch.cat([context, self.encoder(x[k:])])[:, None]
        closed = torch.ones(n, n, dtype=torch.bool)
        closed[:, :k] = False
        closed.fill_diagonal_(fill_value=False)
        out: torch.Tensor = self.decoder(self.transformer_encoder(tokens, closed)[k:, 0])
        return out


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Model]:
    """A whole pickled module under the published names, and the module; the names are gone afterwards."""
    model = Model().eval()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "lcpfn", types.ModuleType("lcpfn"))
        for name, kind in {"transformer": Model, "encoders": Normalize, "bar_distribution": Bars}.items():
            module = types.ModuleType(f"lcpfn.{name}")
            setattr(module, kind.__name__, kind)
            patch.setitem(sys.modules, f"lcpfn.{name}", module)
            patch.setattr(kind, "__module__", f"lcpfn.{name}")
        torch.save(model, tmp_path / "pfn.pt")
    return tmp_path / "pfn.pt", model


def test_published_weights_are_read_without_their_classes(
    published: tuple[Path, Model], tmp_path: Path
) -> None:
    path, model = published
    assert "lcpfn.transformer" not in sys.modules
    convert_pfn(path, tmp_path / "folder")
    forecaster = load_forecaster(tmp_path / "folder")
    values = np.linspace(0.2, 0.5, 10)
    context = make_curve(values)
    evidence = Evidence(context, planned_end=10 * context.clock[-1])
    horizons = np.array([2.0, 10.0]) * context.clock[-1]
    steps = np.concatenate([context.clock, horizons]) / (10 * context.clock[-1]) * 100
    with torch.no_grad():
        logits = model(torch.from_numpy(steps).float()[:, None], torch.from_numpy(values).float()[:, None])
    expected = bar_quantiles(logits.numpy(), np.linspace(0, 1, 21), np.array(LEVELS))
    np.testing.assert_allclose(forecaster.forecast(evidence, horizons).values, expected, atol=1e-4)
    torch.save(model.state_dict(), tmp_path / "state.pt")
    convert_pfn(tmp_path / "state.pt", tmp_path / "state")
    again = load_forecaster(tmp_path / "state").forecast(evidence, horizons).values
    np.testing.assert_array_equal(again, forecaster.forecast(evidence, horizons).values)


class Attack:
    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("code was run",))


@pytest.mark.parametrize("kind", ["code", "text", "absent", "other"])
def test_another_file_is_one_clear_error(
    published: tuple[Path, Model], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = published
    if kind == "code":
        torch.save({"weights": Attack()}, path)
    if kind == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1")
    if kind == "absent":
        path.unlink()
    if kind == "other":
        torch.save({"a": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"pfn\.pt") as error:
        convert_pfn(path, tmp_path / "folder")
    assert "\n" not in str(error.value)
    assert ("a network does not need" in str(error.value)) is (kind == "code")
    assert "code was run" not in capsys.readouterr().out
    assert not (tmp_path / "folder").exists()
