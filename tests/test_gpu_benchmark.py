"""`python -m benchmarks.gpu`: skips without a GPU; its checks work where both devices are the processor."""

import json
from pathlib import Path

import pytest
import torch
from benchmarks import gpu


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU: run the benchmark itself")
def test_without_a_gpu_it_says_that_it_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--output", str(tmp_path / "gpu.json")])
    assert capsys.readouterr().out == "gpu: skipped, there is no CUDA device here\n"
    assert json.loads((tmp_path / "gpu.json").read_text()) == {"skipped": "there is no CUDA device here"}


def test_the_processor_equals_itself_and_half_precision_nearly() -> None:
    checks = [
        *(gpu.check_forecasts(gpu.TINY, precision, "cpu") for precision in ("float32", "bf16")),
        *(gpu.check_scoring(gpu.TINY, precision, "cpu") for precision in ("float32", "bfloat16")),
        *(gpu.check_training(gpu.TINY, precision, "cpu") for precision in ("float32", "bf16", "fp16")),
    ]
    assert [check.ok for check in checks] == [True] * 7
    differences = [check.difference for check in checks]
    assert [differences[i] for i in (0, 2, 4)] == [0, 0, 0]
    assert all((differences[i] or 0) > 0 for i in (1, 3, 5))  # another precision was really used
    assert checks[6].skipped == "fp16 needs a CUDA device"
    assert "equal, off by 0" in gpu.show(checks[0])


@pytest.mark.slow
def test_two_processes_train_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(gpu.__file__).parent.parent)
    check = gpu.check_two_devices(gpu.TINY, "cpu")
    assert check.ok
    assert check.difference is not None


def test_a_difference_beyond_its_tolerance_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = [
        gpu.Check("forecast float32", 0.3, 0.1, "cells/s", 1.0, 2.0),
        gpu.Check("x", None, 0.1, "", skipped="y"),
    ]
    monkeypatch.setattr(gpu, "run_checks", lambda *_: found)
    with pytest.raises(SystemExit, match="1"):
        gpu.main(["--device", "cpu"])
    assert "forecast float32: DIFFERENT, off by 0.3 of 0.1 allowed" in capsys.readouterr().out
    assert found[1].ok
    assert not gpu.Check("x", float("nan"), 0.1, "").ok
