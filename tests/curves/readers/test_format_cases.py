"""The cases of formats and names that were not read (tests/cases/reading): each ends as it should."""

from pathlib import Path

import polars as pl
import pytest

from neuneu.curves.readers.formats import read_format
from neuneu.curves.readers.parsing import Given
from neuneu.errors import InputError

CASES = Path(__file__).resolve().parents[2] / "cases" / "reading"
STEPS = [1000, 2000, 3000, 4000]


def case(number: str) -> Path:
    (folder,) = CASES.glob(f"{number}-*")
    return folder


def values(frame: pl.DataFrame, **where: object) -> list[float]:
    return frame.filter(**where)["value"].to_list()  # type: ignore[arg-type]


def test_p17_another_axis_and_a_step_of_training_rows_only() -> None:
    history = read_format("wandb", [case("P-17") / "h.csv"])
    assert history.table.frame.select("step", "value").rows() == [
        (100, 0.32), (200, 0.34), (300, 0.36), (400, 0.38)
    ]  # fmt: skip
    assert any("4 rows without trainer/global_step" in note for note in history.report.notes)
    with pytest.raises(InputError, match="`step_column` NAME"):
        read_format("wandb", [case("P-17") / "ui.csv"])
    frame = read_format("wandb", [case("P-17") / "ui.csv"], step_column="throughput/total_tokens").table.frame
    assert frame["step"].to_list() == frame["tokens"].to_list() == [10**8 * n for n in (1, 2, 3, 4)]
    assert frame["run"].unique().to_list() == ["runA"]


def test_p19_names_of_olmo_core() -> None:
    frame = read_format("wandb", [case("P-19")]).table.frame
    assert values(frame, task="hellaswag", variant="rc", metric="len_norm") == [0.32, 0.34, 0.36, 0.38]
    assert values(frame, task="hellaswag", variant="rc_v2", metric="len_norm") == [0.33, 0.35, 0.37, 0.39]
    assert values(frame, task="arc_easy", variant="rc_test_v2", metric="bpb") == [0.98, 0.96, 0.94, 0.92]
    assert values(frame, task="mmlu_stem", variant="mc", metric="acc") == [0.25] * 4
    assert frame["n_shot"].unique().to_list() == [5]
    assert frame["tokens"].unique().sort().to_list() == [10**6 * step for step in STEPS]


def test_p20_names_of_llm_foundry() -> None:
    frame = read_format("wandb", [case("P-20")]).table.frame
    assert values(frame, task="hellaswag", n_shot=10, metric="acc") == [0.32, 0.34, 0.36, 0.38]
    assert values(frame, task="lambada_openai", n_shot=0, metric="acc") == [0.325, 0.35, 0.375, 0.4]
    assert frame.filter(task="hellaswag").select("step", "tokens").rows() == [(s, 10**6 * s) for s in STEPS]


@pytest.mark.parametrize("name", ["lingua", "wandb", "auto"])
def test_p22_lines_of_lingua(name: str) -> None:
    frame = read_format(name, [case("P-22")]).table.frame
    assert frame.filter(task="hellaswag").select("metric", "step", "value", "stderr").rows() == [
        ("acc", step, value, 0.004) for step, value in zip(STEPS, [0.32, 0.34, 0.36, 0.38], strict=True)
    ]
    assert values(frame, task="piqa") == [0.6] * 4


@pytest.mark.parametrize("name", ["bigcode", "auto"])
def test_p29_results_of_bigcode(name: str) -> None:
    frame = read_format(name, [case("P-29")]).table.frame
    assert frame.select("run", "task", "metric", "variant", "step", "value").rows() == [
        ("m", "humaneval", "pass@1", "n1", 1000, 0.01),
        ("m", "humaneval", "pass@1", "n1", 2000, 0.02),
    ]
    with pytest.raises(InputError, match="it is of bigcode; import it by that name, or all with auto"):
        read_format("lm-eval", [case("P-29")])


@pytest.mark.parametrize("name", ["table", "wandb", "auto"])
def test_p31_a_wide_table(name: str) -> None:
    given = Given(metrics=frozenset(["acc"]))
    frame = read_format(name, [case("P-31")], given=given, run_column="run_type").table.frame
    assert frame["run"].unique().to_list() == ["restart_v2"]
    assert frame.filter(task="mmlu").select("step", "value").rows() == [
        (5000, 0.235), (10000, 0.24), (20000, 0.25)
    ]  # fmt: skip
    assert sorted(frame["task"].unique()) == ["mmlu", "mmlu_other", "mmlu_stem"]


OLMO_EVAL = """
    piqa hellaswag_rc_0shot hellaswag_rc_5shot hellaswag_rc_5shot_bpb hellaswag_bpb_5shot mmlu_stem_mc_5shot
    mmlu_stem_mc_5shot_test mmlu_stem_var mmlu_stem_val_rc_var mmlu_stem_test_bpb_var
    arc_easy_test_mc_5shot_fast arc_easy_test_rc_5shot arc_easy_val_rc_5shot arc_easy_val_bpb_5shot
    basic_skills_coding_rc_5shot gsm8k_gold_bpb_5shot codex_humaneval_gold_bpb_3shot lambada_bpb_0shot
    medmcqa_rc_5shot
"""
"""Some of the tasks of ai2-olmo-eval 0.9.0, one of each kind of name."""


def test_the_names_that_olmo_core_makes_of_its_tasks() -> None:
    """With its words for metrics no two are one curve, but a task and itself cut to one metric."""
    from neuneu.curves.readers.labels import parse_column

    found = {}
    for label in OLMO_EVAL.split():
        for words in ("accuracy", "accuracy v2", "BPB", "BPB v2", "length-normalized accuracy"):
            parsed = parse_column(f"eval/downstream/{label} ({words})")
            assert parsed is not None, label
            found.setdefault(parsed[1], []).append((label, words))
    assert {names[0][0] for names in found.values() if len(names) > 1} <= {"hellaswag_rc_5shot"}
    tasks = {label.task for label in found}
    assert {"basic_skills_coding", "gsm8k", "codex_humaneval", "medmcqa", "mmlu_stem", "piqa"} <= tasks
