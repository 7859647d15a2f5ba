"""Who is this run, which checkpoint is it: names of every kind, and two runs dealt into one folder."""

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuneu.curves.readers.formats import read_format
from neuneu.curves.readers.names import Pattern, read_name
from neuneu.curves.readers.parsing import Given
from neuneu.errors import InputError


@pytest.mark.parametrize(
    ("text", "step", "tokens", "rest"),
    [
        ("step_001000.pt", 1000, None, ""),
        ("checkpoint-1000", 1000, None, ""),
        ("global_step1000", 1000, None, ""),
        ("iter_0001000", 1000, None, ""),
        ("ckpt-1000", 1000, None, ""),
        ("hf_step1000", 1000, None, ""),
        ("step1000-unsharded-hf", 1000, None, ""),
        ("epoch=1-step=1000.ckpt", 1000, None, ""),
        ("ep0-ba1000-rank0.pt", 1000, None, ""),
        ("checkpoint_1_1000.pt", 1000, None, ""),
        ("ckpt-3-step-1000", 1000, None, ""),
        ("step-1000-ckpt-3", 1000, None, ""),
        ("gpt--val_loss=2.31-step=1000-consumed_samples=256000.0-last.ckpt", 1000, None, "gpt"),
        ("Tiny-1.1B-intermediate-step-1431k-3T", 1_431_000, 3 * 10**12, "Tiny-1.1B-intermediate"),
        ("step1000-tokens2B", 1000, 2 * 10**9, ""),
        ("5B-tokens", None, 5 * 10**9, ""),
        ("50k_steps", 50_000, None, ""),
        ("multiberts-seed_0-step_20k", 20_000, None, "multiberts-seed_0"),
        ("CrystalCoder_phase1_checkpoint_055500", 55_500, None, "CrystalCoder_phase1"),
        ("step-1.5M", 1_500_000, None, ""),
        # what is no step and what are no tokens of a checkpoint
        ("footstep5", None, None, "footstep5"),
        ("steps12", None, None, "steps12"),
        ("lr3e-4_max_steps_2000_seed1", None, None, "lr3e-4_max_steps_2000_seed1"),
        ("warmup-steps-2000", None, None, "warmup-steps-2000"),
        ("decay-from-step1000", None, None, "decay-from-step1000"),
        ("decay-from-step1000-step1100", 1100, None, "decay-from-step1000"),
        ("llama-7B", None, None, "llama-7B"),
        ("gpt2-fineweb-10BT", None, None, "gpt2-fineweb-10BT"),
        ("runA_100Btokens", None, None, "runA_100Btokens"),
        ("2B", None, None, "2B"),
    ],
)  # fmt: skip
def test_names_of_folders_and_files(text: str, step: int | None, tokens: int | None, rest: str) -> None:
    found = read_name(text)
    assert (found.step, found.tokens, found.rest) == (step, tokens, rest)


@pytest.mark.parametrize(
    ("text", "step", "tokens", "rest"),
    [
        ("stage1-step1000-tokens5B", 1000, 5 * 10**9, "stage1"),
        ("stage2-ingredient1-step11931-tokens50B", 11_931, 50 * 10**9, "stage2-ingredient1"),
        ("2B", None, 2 * 10**9, ""),
        ("1.3T", None, 1_300_000_000_000, ""),
        ("train_00220B", None, 220 * 10**9, ""),
        ("main", None, None, "main"),
    ],
)
def test_names_of_revisions(text: str, step: int | None, tokens: int | None, rest: str) -> None:
    found = read_name(text, revision=True)
    assert (found.step, found.tokens, found.rest) == (step, tokens, rest)


def test_numbers_with_units_and_numbers_too_large() -> None:
    pattern = Pattern.of("step", r"step-(\d+)k")
    said, _ = pattern.last("a-step-240k-503b") or ({}, None)
    assert pattern.amount(said["step"]) == 240_000
    both = Pattern.of("step", r"(?P<run>\w+)_(?P<step>\d+)")
    assert (both.last("a_5_100") or ({}, None))[0] == {"run": "a_5", "step": "100"}
    with pytest.raises(InputError, match="must be a whole number below"):
        read_name("step" + "9" * 19)
    with pytest.raises(InputError, match="matches 'x', which is no number"):
        pattern.amount("x")
    for bad in ("(", "tok", "(a)(b)", "(?P<other>a)(b)"):
        with pytest.raises(InputError, match="tokens-pattern"):
            Pattern.of("tokens", bad)


def write(folder: Path, file: str, value: float, task: str = "hellaswag", **arguments: str) -> None:
    """A results file of one value; no arguments: a file that does not name its model."""
    path = folder / file
    path.parent.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {"results": {task: {"acc,none": value}}, "config": {"model": "hf"}}
    if arguments:
        document["config"]["model_args"] = ",".join(f"{name}={text}" for name, text in arguments.items())
    path.write_text(json.dumps(document))


def read(folder: Path, **options: Any) -> dict[str, list[int]]:
    """Run → steps."""
    told = {name: options.pop(name) for name in ("run", "keep", "tokens_per_step") if name in options}
    frame = read_format("lm-eval", [folder], given=Given(**told), **options).table.frame
    return {str(run): sorted(some["step"]) for (run,), some in frame.group_by("run")}


FLAT = "{r}-{s}.json"
HUB = "/home/me/.cache/huggingface/hub/models--org--{r}/snapshots/abcdef{s:07d}"
NEMO = "/n/{r}/checkpoints/gpt--val_loss=2.{s}-step={s}-consumed_samples={s}.0.ckpt"
STYLES: dict[str, tuple[str, dict[str, str]]] = {
    "file in a folder": (FLAT, {"pretrained": "/x/{r}/step_{s:06d}.pt"}),
    "folder of weights": (FLAT, {"pretrained": "/x/{r}/checkpoint-{s}/model.safetensors"}),
    "started inside": ("{r}/checkpoint-{s}/r.json", {"pretrained": "./checkpoint-{s}"}),
    "revision": (FLAT, {"pretrained": "org/{r}", "revision": "step{s}"}),
    "run in the revision": (FLAT, {"pretrained": "org/m", "revision": "{r}-step{s}"}),
    "tokens in the revision": (FLAT, {"pretrained": "org/{r}", "revision": "{s}B"}),
    "one folder filled anew": ("{r}/step{s}/r.json", {"pretrained": "/tmp/hf_export"}),
    "one name on a hub": ("{r}/step{s}/r.json", {"pretrained": "org/m"}),
    "step above run": ("step{s}/{r}/r.json", {"pretrained": "org/m"}),
    "no model": ("{r}_step{s}.json", {}),
    "no model, folders": ("out/{r}/iter_{s:07d}/results.json", {}),
    "no model, bare numbers": ("{r}/checkpoints/{s}/results.json", {}),
    "reinforcement learning": (FLAT, {"pretrained": "/x/{r}/global_step_{s}/actor/huggingface"}),
    "relative, beside": (FLAT, {"pretrained": "./out/{r}_step{s}"}),
    "relative, alike": ("{r}/results/step-{s}.json", {"pretrained": "./llama/step-{s}"}),
    "adapter": (FLAT, {"pretrained": "meta/llama", "peft": "/o/{r}/checkpoint-{s}"}),
    "delta": (FLAT, {"pretrained": "meta/llama", "delta": "org/{r}-step{s}"}),
    "subfolder": (FLAT, {"pretrained": "/x/{r}", "subfolder": "checkpoint-{s}"}),
    "name on a hub": (FLAT, {"pretrained": "org/{r}-step{s}"}),
    "NeMo": (FLAT, {"pretrained": NEMO}),
    "Megatron": (FLAT, {"pretrained": "/n/{r}/iter_{s:07d}/mp_rank_00/model_optim_rng.pt"}),
    "Lightning": (FLAT, {"pretrained": "/n/{r}/checkpoints/epoch=1-step={s}.ckpt"}),
    "Composer": (FLAT, {"pretrained": "s3://b/{r}/ep0-ba{s}/"}),
    "hub cache": ("step{s}/r{r}.json", {"pretrained": HUB}),
    "output path": ("out/{r}/__x__{r}__checkpoint-{s}/r_{s}.json", {"pretrained": "/x/{r}/checkpoint-{s}"}),
    "converted": ("{r}/hf/step{s}-hf/r.json", {"pretrained": "/tmp/convert/step{s}"}),
    "thousands": (FLAT, {"pretrained": "org/{r}-step-{s}k-{s}b"}),
    "sweep": (FLAT, {"pretrained": "/w/sweep/{r}/train/ckpt/step{s}"}),
    "deeper sweep": (FLAT, {"pretrained": "/w/sweep/{r}/small/step{s}"}),
}


def put(folder: Path, style: str, run: str, step: int, value: float) -> None:
    """A results file of a checkpoint, named in a style."""
    file, arguments = STYLES[style]
    told = {name: text.format(r=run, s=step) for name, text in arguments.items()}
    write(folder, file.format(r=run, s=step), value, **told)


PAIRS = [
    ("runA", "runB"), ("lr1e-3", "lr3e-4"), ("seed1", "seed2"), ("fine_d512", "fine_d1024"), ("a", "b"),
    ("base", "base-long"), ("lr3e-4_seed1", "lr3e-4_seed2"), ("stage1", "stage2"), ("1b", "7b"),
    ("2024-05-01_x", "2024-05-02_x"), ("gpt2-fineweb-10BT", "gpt2-fineweb-100BT"), ("exp", "exp2"),
]  # fmt: skip


@settings(max_examples=250)
@given(
    st.sampled_from(sorted(STYLES)),
    st.sampled_from(PAIRS),
    st.lists(st.integers(1, 99), min_size=2, max_size=6, unique=True),
    st.data(),
)
def test_two_runs_in_one_folder_come_back_apart_or_are_refused(
    style: str, names: tuple[str, str], steps: list[int], data: st.DataObject
) -> None:
    """Values of the first run lie below 0.5, of the second above; no run of the table has both."""
    owners = data.draw(st.lists(st.sampled_from([0, 1, 2]), min_size=len(steps), max_size=len(steps)))
    with tempfile.TemporaryDirectory() as place:
        folder, n = Path(place, "results"), 0
        for step, owner in zip(steps, owners, strict=True):
            for one in (0, 1) if owner == 2 else (owner,):
                put(folder, style, names[one], 10 * step, 0.1 + 0.5 * one + step / 1000)
                n += 1
        try:
            result = read_format("lm-eval", [folder])
        except InputError:
            return
    frame = result.table.frame
    assert len(frame) + sum(result.report.skipped.values()) == n
    for _, some in frame.group_by("run"):
        assert (some["value"] < 0.5).all() or (some["value"] > 0.5).all(), some


@pytest.mark.parametrize("style", sorted(STYLES))
def test_every_style_is_read_as_two_runs_of_three_checkpoints(style: str, tmp_path: Path) -> None:
    for run, steps in (("runA", (10, 30, 50)), ("runB", (20, 40, 60))):
        for step in steps:
            put(tmp_path, style, run, step, 0.5)
    found = read(tmp_path)
    assert [len(steps) for steps in found.values()] == [3, 3]
    assert all("runA" in run or "runB" in run for run in found)


def test_parts_of_one_run_stay_one_run(tmp_path: Path) -> None:
    """Folders of tasks, shots, dates and jobs are no runs."""
    for step in (100, 200, 300):
        for task in ("hellaswag", "piqa"):
            write(tmp_path / "a", f"{task}/step{step}/r.json", 0.5, task, pretrained="org/m")
            write(
                tmp_path / "b",
                f"runA/{task}/checkpoint-{step}/r.json",
                0.5,
                task,
                pretrained=f"./checkpoint-{step}",
            )
        write(tmp_path / "c", f"5shot/step{step}/2024-05-0{step // 100}/r.json", 0.5, pretrained="org/m")
        write(tmp_path / "d", f"step{step}/job_{step + 7}/r.json", 0.5, pretrained="org/m")
        write(tmp_path / "e", f"out/runA_{step}/results.json", 0.5, pretrained=f"/x/runA/checkpoint-{step}")
        write(tmp_path / "f", f"{step}/r.json", 0.5, pretrained="org/m", revision=f"step{step}")
    expected = {"a": "org/m", "b": "runA", "c": "org/m", "d": "org/m", "e": "runA", "f": "org/m"}
    for name, run in expected.items():
        assert {run: sorted(set(steps)) for run, steps in read(tmp_path / name).items()} == {
            run: [100, 200, 300]
        }, name


def test_patterns_of_the_user(tmp_path: Path) -> None:
    for run in ("a", "b"):
        for amount in (2, 10):
            write(tmp_path, f"{run}/{amount}B/r.json", 0.5, pretrained="/tmp/hf")
    with pytest.raises(InputError, match=r"`tokens_pattern` '/\(\\d\+B\)/'"):
        read(tmp_path)
    found = read(tmp_path, tokens_pattern=r"/(\d+B)/")
    assert found == {run: [2 * 10**9, 10**10] for run in ("a", "b")}
    found = read(tmp_path, tokens_pattern=r"/(\d+B)/", tokens_per_step=10**6)
    assert found == {run: [2000, 10_000] for run in ("a", "b")}
    found = read(tmp_path, step_pattern=r"(?P<run>\w)/(?P<step>\d+)B/r")
    assert found == {run: [2, 10] for run in ("a", "b")}
    with pytest.raises(InputError, match="`run_pattern` matches neither"):
        read(tmp_path, run_pattern="(zzz)", step_pattern=r"(\d+)B")


def test_run_and_step_pattern_join_what_the_pattern_leaves(tmp_path: Path) -> None:
    for step in (235, 240, 250):
        write(
            tmp_path,
            f"{step}.json",
            step / 1000,
            pretrained=f"./out/clean_restart_step{step % 10}_{step}k_global",
        )
    result = read_format("lm-eval", [tmp_path])
    assert len(result.table.runs) == 3
    assert "runs of one checkpoint each" in " ".join(result.report.all_notes())
    assert read(tmp_path, step_pattern=r"_(\d+k)_", run="t5") == {"t5": [235_000, 240_000, 250_000]}
    with pytest.raises(InputError, match="names one run, but there are several here"):
        read(tmp_path, run="t5")


def test_a_run_of_which_nothing_is_read_comes_first(tmp_path: Path) -> None:
    for step in (1, 2):
        write(tmp_path, f"a{step}.json", 0.5, pretrained="org/a", revision=f"step{step}")
        write(tmp_path, f"b{step}.json", 0.5, pretrained="org/b", revision=f"epoch{step}")
    write(tmp_path, "main.json", 0.6, pretrained="org/a", revision="main")
    lines = read_format("lm-eval", [tmp_path]).report.lines()
    assert lines[0].startswith("nothing read of run org/b")
    assert "all 2 files skipped" in lines[0] or "epoch" in lines[0]
    assert lines[1].startswith("run org/a: 2 files, 2 checkpoints, steps 1 to 2")
    assert any("main.json: the final checkpoint (revision main): `final_step`" in line for line in lines)
    assert read(tmp_path, final_step="9")["org/a"] == [1, 2, 9]
    with pytest.raises(InputError, match="final-step = 'x': must be a whole number"):
        read(tmp_path, final_step="x")


def test_tokens_of_a_plan_are_no_clock(tmp_path: Path) -> None:
    for step in (100, 200):
        write(tmp_path, f"{step}.json", 0.5, pretrained=f"/x/step{step}-tokens300B")
    result = read_format("lm-eval", [tmp_path])
    assert result.table.frame["tokens"].null_count() == 2
    assert "the same tokens in the names of all checkpoints" in " ".join(result.report.all_notes())


def test_tokens_and_steps_of_one_run_are_not_mixed(tmp_path: Path) -> None:
    write(tmp_path, "a.json", 0.5, pretrained="org/m", revision="step1000")
    write(tmp_path, "b.json", 0.6, pretrained="org/m", revision="4B")
    result = read_format("lm-eval", [tmp_path])
    assert result.table.frame["step"].to_list() == [1000]
    assert "`tokens_per_step` puts them together" in " ".join(result.report.lines())
    assert read(tmp_path, tokens_per_step=2 * 10**6) == {"org/m": [1000, 2000]}


def test_a_probe_on_checkpoints_has_their_steps(tmp_path: Path) -> None:
    for step in (100, 200):
        write(tmp_path, f"{step}.json", 0.5, pretrained=f"/base/run/step{step}", peft="/probes/lora")
    assert read(tmp_path) == {"lora": [100, 200]}


@pytest.mark.parametrize(
    ("file", "model", "option"),
    [
        ("a/1000/r.json", "./model", r"`step_pattern` '/(\d+)/[^/]*$'"),
        ("a/r.json", "/x/run/epoch_1", r"`step_pattern` 'epoch[-_=]?(\d+)'"),
        ("r.json", "o/llama_preview_200bt", r"`tokens_pattern` '(\d+bt)'"),
        ("a/21B/r.json", "/tmp/hf", r"`tokens_pattern` '/(\d+B)/'"),
    ],
)
def test_the_option_that_is_offered_reads_the_file(
    tmp_path: Path, file: str, model: str, option: str
) -> None:
    write(tmp_path / "in", file, 0.5, pretrained=model)
    with pytest.raises(InputError) as caught:
        read(tmp_path / "in")
    assert option in str(caught.value)
    name, _, pattern = option.partition(" ")
    assert len(read(tmp_path / "in", **{name.strip("`"): pattern.strip("'")})) == 1


def test_names_are_the_nearest_folders_that_tell_runs_apart(tmp_path: Path) -> None:
    for place in ("a/small", "b/small", "c/large", "a/small/seed1"):
        for step in (100, 200):
            name = f"{place.replace('/', '-')}{step}.json"
            write(tmp_path, name, 0.5, pretrained=f"/w/{place}/checkpoints/step{step}")
    assert sorted(read(tmp_path)) == ["a/small", "b/small", "large", "small/seed1"]
