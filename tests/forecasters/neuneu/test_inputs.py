"""Losses → encoder input: transform, masks, refusals."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.forecasters.neuneu.small import make_losses

from neuneu.errors import InputError
from neuneu.forecasters.neuneu.config import LossConfig, ModelConfig
from neuneu.forecasters.neuneu.encoders import LEVEL_QUANTILES
from neuneu.forecasters.neuneu.inputs import (
    NO_CHECKPOINT,
    check_validation_set,
    histogram,
    levels_of,
    prepare_inputs,
    to_input,
)
from neuneu.losses.loss_store import MemoryLossStore, own_items

CNN = ModelConfig(encoder="cnn")
GROUPS = ["arc_easy"] * 200 + ["hellaswag"] * 200 + ["mmlu_anatomy"] * 200


def test_probability_is_clipped_and_missing_is_never_one() -> None:
    losses = np.array([0.0, 1.0, 30.0, np.nan, -1e-9])
    np.testing.assert_allclose(
        to_input(losses, LossConfig(), "here"), [1, np.exp(-1), np.exp(-20), np.nan, 1], rtol=1e-6
    )
    np.testing.assert_allclose(
        to_input(losses, LossConfig(transform="loss"), "here"), [0, 1, 20, np.nan, 0], rtol=1e-6
    )


@pytest.mark.parametrize("losses", [[np.nan, np.nan, 1.0], [np.inf, 1.0, 1.0], []])
def test_unusable_losses_are_refused(losses: list[float]) -> None:
    with pytest.raises(InputError, match="run-1 step 5"):
        to_input(np.array(losses), LossConfig(), "run-1 step 5")


def test_own_items() -> None:
    mine = own_items(GROUPS, "mmlu")
    assert mine is not None
    assert mine.sum() == 200
    assert own_items(GROUPS, "piqa") is None
    assert own_items(None, "mmlu") is None


def test_own_items_do_not_reach_the_encoder() -> None:
    store = make_losses(groups=GROUPS)
    changed = {
        run: (store.steps(run), np.stack([store.read(run, s) for s in store.steps(run)]))
        for run in store.runs
    }
    for _, losses in changed.values():
        losses[:, 200:400] = 9.0
    other = MemoryLossStore(changed, store.fingerprint, GROUPS)
    for encoder in ("cnn", "average", "diffhist", "levels"):
        model = ModelConfig(encoder=encoder)  # type: ignore[arg-type]
        first, second = (
            prepare_inputs(s, ["run-0"], ["hellaswag", "piqa"], model, LossConfig()) for s in (store, other)
        )
        rows = np.arange(1, 5)
        for task, same in (("hellaswag", True), ("piqa", False)):
            exclusion = np.full(4, first.of_task[task])
            seen = [inputs.gather(rows - 1, rows, exclusion) for inputs in (first, second)]
            assert bool((seen[0] == seen[1]).all()) is same


def test_masked_and_missing_positions_take_the_mean_of_the_others() -> None:
    losses = np.array([[0.5, 1.5, np.nan, 2.5]])
    store = MemoryLossStore({"r": (np.array([10]), losses)}, "f", ["a", "b", "b", "c"])
    inputs = prepare_inputs(store, ["r"], ["a", "z"], CNN, LossConfig())
    zero = np.array([0])
    shown = inputs.gather(zero, zero, np.array([inputs.of_task["a"]]))[0].numpy()
    p = np.exp(-losses[0])
    mean = (p[1] + p[3]) / 2
    np.testing.assert_allclose(shown, [mean, p[1], mean, p[3]], atol=1e-3)


def test_average_is_the_mean_over_the_context_of_what_is_not_masked() -> None:
    store = make_losses(groups=GROUPS)
    inputs = prepare_inputs(store, ["run-2"], ["hellaswag"], ModelConfig(encoder="average"), LossConfig())
    at = np.array([inputs.checkpoint("run-2", 500)])
    shown = inputs.gather(at, at, np.array([inputs.of_task["hellaswag"]]))
    kept = np.r_[0:200, 400:600]
    expected = np.mean([store.read("run-2", step)[kept].mean() for step in (100, 200, 300, 400, 500)])
    assert shown.item() == pytest.approx(expected, rel=1e-5)


def test_histogram_counts_what_is_there() -> None:
    shares = histogram(np.array([0.0, 0.1, 0.99, 1.0, 7.0, np.nan, np.inf]), 4, 0.0, 1.0)
    np.testing.assert_allclose(shares, [0.4, 0, 0, 0.6])


@given(st.integers(0, 1000), st.integers(20, 60))
def test_levels_are_mean_and_quantiles_wherever_losses_stand(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.random(n)
    values[:3] = np.nan
    masks = np.stack([np.zeros(n, dtype=bool), np.arange(n) % 3 == 0])
    order = rng.permutation(n)
    found = levels_of(values, masks)
    np.testing.assert_allclose(found, levels_of(values[order], masks[:, order]), atol=1e-6)
    for row, mask in zip(found, masks, strict=True):
        kept = values[~mask & ~np.isnan(values)]
        expected = [kept.mean(), *np.quantile(kept, LEVEL_QUANTILES, method="nearest")]
        np.testing.assert_allclose(row, expected, atol=1e-6)


def test_checkpoint_is_the_last_one_that_has_losses() -> None:
    inputs = prepare_inputs(make_losses(), ["run-0"], [], CNN, LossConfig())
    assert inputs.checkpoint("run-0", 99) == NO_CHECKPOINT
    assert inputs.checkpoint("elsewhere", 500) == NO_CHECKPOINT
    assert inputs.checkpoint("run-0", 250) == inputs.checkpoint("run-0", 200) == 1


def test_memory_mapped_rows_equal_those_in_memory(tmp_path: Path) -> None:
    store = make_losses()
    memory = prepare_inputs(store, store.runs, ["piqa"], CNN, LossConfig())
    for _ in range(2):  # written, then found
        mapped = prepare_inputs(store, store.runs, ["piqa"], CNN, LossConfig(), tmp_path)
        assert isinstance(mapped.rows, np.memmap)
        np.testing.assert_array_equal(memory.rows, mapped.rows)
    assert len(list(tmp_path.iterdir())) == 1
    prepare_inputs(store, store.runs, ["piqa"], CNN, LossConfig(transform="loss"), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_too_short_losses_are_refused() -> None:
    with pytest.raises(
        InputError, match=r"600 positions; the model reads the first 601: .* model.input_length = 600"
    ):
        prepare_inputs(make_losses(), ["run-0"], [], ModelConfig(input_length=601), LossConfig())


def test_wrong_length_is_refused() -> None:
    store = make_losses()
    store.n_positions = 599
    with pytest.raises(InputError, match=r"run-0 step 100.*length = 600.*must have 599"):
        prepare_inputs(store, ["run-0"], [], CNN, LossConfig())


def test_another_validation_set_is_refused() -> None:
    check_validation_set(make_losses(), "made-up-validation-set")
    check_validation_set(make_losses(), None)
    store = make_losses()
    store.path = Path("others.zarr")
    told = r"model: losses = 'others\.zarr': are over validation set made-up-, .* trained on another-:"
    with pytest.raises(InputError, match=told + " give the losses that it was trained on"):
        check_validation_set(store, "another-" + "0" * 56, Path("model"))
    with pytest.raises(
        InputError, match=r"set made-up-validation-set, the model .* made-up-validation-set-2:"
    ):
        check_validation_set(store, "made-up-validation-set-2", Path("model"))


def test_runs_without_losses_are_refused() -> None:
    with pytest.raises(InputError, match="none of these runs"):
        prepare_inputs(make_losses(), ["elsewhere"], [], CNN, LossConfig())


def test_kept_rows_are_those_of_every_checkpoint(tmp_path: Path) -> None:
    """Losses of the first run remade: the last checkpoint says nothing of them."""
    model = ModelConfig(encoder="cnn", input_length=600)
    before, remade = make_losses(), make_losses(seed=2)
    arrays = {
        run: (store.steps(run), np.stack([store.read(run, int(step)) for step in store.steps(run)]))
        for run, store in {run: remade if run == "run-0" else before for run in before.runs}.items()
    }
    after = MemoryLossStore(arrays, before.fingerprint)
    for store in (before, after, before):
        kept = prepare_inputs(store, store.runs, [], model, LossConfig(), tmp_path)
        plain = prepare_inputs(store, store.runs, [], model, LossConfig())
        np.testing.assert_array_equal(kept.rows, plain.rows)
    assert len(list(tmp_path.glob("losses-*.npy"))) == 2
