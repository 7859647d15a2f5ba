"""Clock, schedule, and a state that brings a run back exactly."""

from itertools import pairwise
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from neuneu.suite.prepare import prepare_texts
from neuneu.suite.pretrain import Pretrainer, checkpoint_steps, learning_rate
from neuneu.suite.small_models import build_model, count_parameters
from neuneu.suite.suite_config import Clock, Run, Schedule, load_suite


@given(st.integers(2, 60), st.integers(1, 10**7), st.floats(0.01, 0.9), st.integers(10**3, 10**7))
def test_checkpoints_are_in_order_in_range_and_end_with_the_run(
    count: int, first: int, share: float, tokens: int
) -> None:
    schedule = Schedule(tokens=tokens, learning_rate=1)
    steps = checkpoint_steps(Clock(count=count, first_tokens=first, log_share=share), schedule)
    assert steps == sorted(set(steps))
    assert steps[0] >= 1
    assert steps[-1] == schedule.steps
    assert len(steps) <= count


def test_checkpoints_are_logarithmic_then_even() -> None:
    schedule = Schedule(tokens=2_048_000, sequence=128, batch=16, learning_rate=1)
    steps = checkpoint_steps(Clock(count=20, first_tokens=20_480, log_share=0.4), schedule)
    assert (steps[0], steps[9], steps[-1]) == (10, 400, 1000)
    assert {b - a for a, b in pairwise(steps[9:])} == {60}


@pytest.mark.parametrize("kind", ["cosine", "wsd"])
def test_learning_rate_warms_up_peaks_and_falls_to_its_minimum(kind: str) -> None:
    schedule = Schedule(
        tokens=2_048 * 100, learning_rate=1, warmup_steps=10, kind=kind, minimum=0.1, decay=0.2
    )
    rates = [learning_rate(step, schedule, 2.0) for step in range(101)]
    assert rates[0] == pytest.approx(0.2)
    assert max(rates) == pytest.approx(2.0)
    assert rates[100] == pytest.approx(0.2)
    assert all(b <= a for a, b in pairwise(rates[10:]))
    if kind == "wsd":
        assert rates[10:81] == [pytest.approx(2.0)] * 71


def test_a_mixture_counts_two_of_its_experts() -> None:
    config = load_suite(Path(__file__).parents[2] / "configs" / "suite" / "home.yaml")
    run = Run(family="mixtral", size="200k", recipe="prose", seed=0)
    params, active = count_parameters(build_model(run, config.sizes["200k"], config.schedule, 4096))
    size = config.sizes["200k"]
    experts = size.layers * size.experts * 3 * size.hidden * size.intermediate
    assert params - active == experts // 2
    dense, same = count_parameters(
        build_model(run.model_copy(update={"family": "llama"}), size, config.schedule, 4096)
    )
    assert dense == same
    grouped = size.model_copy(update={"kv_heads": 1})
    less, _ = count_parameters(
        build_model(run.model_copy(update={"family": "llama"}), grouped, config.schedule, 4096)
    )
    assert dense - less == size.layers * 2 * (size.heads - 1) * size.hidden * size.hidden // size.heads
    assert 180_000 < dense < 280_000


@pytest.mark.parametrize("family", ["llama", "gptneox", "mixtral", "mamba"])
def test_a_saved_state_brings_the_run_back_to_the_same_bytes(
    tiny_root: Path, tmp_path: Path, family: str
) -> None:
    torch.set_num_threads(1)
    config = load_suite(tiny_root / "tiny.yaml")
    folder = tiny_root / "prepared"
    prepare_texts(config, folder, tiny_root)
    run = Run.model_validate({"family": family, "size": "s", "recipe": "even", "seed": 3})
    straight = Pretrainer(config, run, folder)
    for _ in range(6):
        straight.advance()
    straight.save(tmp_path / "straight.safetensors")
    first = Pretrainer(config, run, folder)
    for _ in range(2):
        first.advance()
    first.save(tmp_path / "state.safetensors")
    second = Pretrainer(config, run, folder)
    second.restore(tmp_path / "state.safetensors")
    assert second.step == 2
    for _ in range(4):
        second.advance()
    second.save(tmp_path / "resumed.safetensors")
    assert (tmp_path / "resumed.safetensors").read_bytes() == (tmp_path / "straight.safetensors").read_bytes()


def test_training_lowers_the_loss(tiny_root: Path) -> None:
    torch.set_num_threads(1)
    config = load_suite(tiny_root / "tiny.yaml")
    folder = tiny_root / "prepared"
    prepare_texts(config, folder, tiny_root)
    trainer = Pretrainer(config, config.runs[0], folder)
    trainer.advance()
    first = trainer.loss
    while trainer.step < config.schedule.steps:
        trainer.advance()
    assert trainer.loss < first - 0.5
