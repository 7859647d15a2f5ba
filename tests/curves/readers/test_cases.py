"""Inputs that people had in hand and that were read wrongly: what is right for each, and for others alike.

tests/cases/reading holds the first of each kind; the tests are named after it.
"""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from neuneu.curves.accuracies import without_accuracy
from neuneu.curves.groups import benchmarks_of, members_in
from neuneu.curves.inspect import problems
from neuneu.curves.readers.finishing import ReadResult
from neuneu.curves.readers.formats import read_format
from neuneu.curves.readers.parsing import Given, read_batches
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.select import Selection

CASES = Path(__file__).resolve().parents[2] / "cases" / "reading"


def case(name: str) -> Path:
    (found,) = CASES.glob(f"{name}-*")
    return found


def read(format_: str, *paths: Path, metric: str | None = None, **options: Any) -> ReadResult:
    facts = {
        name: options.pop(name) for name in ("run", "keep", "tokens_per_step", "batches") if name in options
    }
    metrics = frozenset([metric] if metric else [])
    return read_format(format_, paths, given=Given(**facts, metrics=metrics), **options)


def points(result: ReadResult, column: str = "step") -> dict[str, list[Any]]:
    """Run → a column of its rows, by step."""
    frame = result.table.frame.sort("run", "step")
    return {str(run): some[column].to_list() for (run,), some in frame.group_by("run", maintain_order=True)}


def notes(result: ReadResult) -> str:
    return "\n".join(result.report.all_notes())


def harness(path: Path, results: dict[str, Any], model: str = "org/m", **document: Any) -> None:
    """A results file of lm-evaluation-harness."""
    path.parent.mkdir(parents=True, exist_ok=True)
    config = {"model": "hf", "model_args": f"pretrained={model}", **document.pop("config", {})}
    path.write_text(json.dumps({"results": results, "config": config, **document}))


def table(path: Path, *rows: str) -> Path:
    path.write_text("\n".join(rows) + "\n")
    return path


def test_p01_a_stage_in_the_revision_is_a_run_of_its_own() -> None:
    result = read("lm-eval", case("P-01"))
    first, second = "allenai/OLMo-2-1124-7B stage1", "allenai/OLMo-2-1124-7B stage2-ingredient1"
    assert points(result) == {first: [1000, 10_000, 100_000], second: [1500, 11_931]}
    assert points(result, "tokens")[first] == [5 * 10**9, 42 * 10**9, 420 * 10**9]
    assert [curve.clock_unit for curve in result.table] == ["tokens", "tokens"]


def test_p01_stages_as_folders(tmp_path: Path) -> None:
    for stage, steps in (("stage1", (100, 900)), ("stage2", (200, 400)), ("anneal/ingredient3", (300,))):
        for step in steps:
            model = f"/runs/olmo/{stage}/step{step}-unsharded"
            harness(tmp_path / f"{stage[-1]}{step}.json", {"piqa": {"acc,none": 0.5}}, model)
    assert points(read("lm-eval", tmp_path)) == {
        "olmo/stage1": [100, 900], "olmo/stage2": [200, 400], "anneal/ingredient3": [300],
    }  # fmt: skip


def test_p03_the_folder_above_the_checkpoint_names_the_run() -> None:
    assert points(read("lm-eval", case("P-03"))) == {
        "fine_d1024": [2000, 4000], "fine_d512": [1000, 3000], "runA": [1000, 3000], "runB": [2000, 4000],
    }  # fmt: skip


def test_p04_where_the_model_says_only_the_step_the_folder_names_the_run() -> None:
    result = read("lm-eval", case("P-04"))
    assert points(result) == {"runA": [100, 300], "runB": [200, 400]}
    assert points(result, "value") == {"runA": [0.3, 0.3], "runB": [0.4, 0.4]}


def test_p06_a_restart_is_seen_and_asked_about() -> None:
    with pytest.raises(InputError, match=r"steps go back after row 4 \(1000 → 500\).*`keep` last"):
        read("wandb", case("P-06") / "h.csv")
    assert points(read("wandb", case("P-06") / "h.csv", keep="last")) == {
        "h": [100, 400, 500, 800, 1100, 1400]
    }
    assert points(read("wandb", case("P-06") / "h.csv", keep="first")) == {"h": [100, 400, 700, 1000]}


def test_p06_a_token_clock_that_resets_is_said(tmp_path: Path) -> None:
    path = table(
        tmp_path / "h.csv", "_step,global_step,train/tokens,piqa/acc",
        "1,100,1000,.3", "2,200,2000,.4", "3,300,500,.5", "4,400,1500,.6",
    )  # fmt: skip
    result = read("wandb", path)
    assert "tokens do not grow with the steps" in notes(result)
    assert "h at step 300 (2,000 before, 500 there)" in notes(result)
    assert [curve.clock_unit for curve in result.table] == ["step"]


def test_p06_a_counter_that_goes_back_is_two_logs_and_newest_first_is_none(tmp_path: Path) -> None:
    path = table(tmp_path / "h.csv", "_step,piqa/acc", "10,.3", "20,.4", "15,.5", "25,.6")
    with pytest.raises(InputError, match=r"steps go back after row 2 \(20 → 15\)"):
        read("wandb", path)
    table(path, "_step,piqa/acc", "30,.3", "20,.4", "10,.5")
    assert points(read("wandb", path)) == {"h": [10, 20, 30]}


def test_p07_another_name_and_generation_of_a_task_are_noted() -> None:
    result = read("lm-eval", case("P-07"))
    assert points(result) == {"org/model": [1000, 2000, 3000, 4000]}
    names = "hendrycksTest-anatomy until step 2000, mmlu_anatomy from step 3000"
    assert f"mmlu_anatomy: evaluated under different names: {names}" in notes(result)
    assert 'before 0.4 (plain "acc" keys) until step 2000' in notes(result)
    found = problems(result.table.frame).filter(problem="conditions change")
    assert found["step"].to_list() == [3000, 3000]
    assert names in " ".join(found["detail"])


def test_p07_other_versions_and_model_arguments(tmp_path: Path) -> None:
    for step, version, dtype in ((1, 1, "bfloat16"), (2, 1.0, "bfloat16"), (3, 2, "float32")):
        harness(
            tmp_path / f"step{step}.json", {"piqa": {"acc,none": 0.5}}, f"org/m,dtype={dtype}",
            versions={"piqa": version}, lm_eval_version="0.4.9", task_hashes={"piqa": "ab" * 20},
        )  # fmt: skip
    assert sorted(line for line in read("lm-eval", tmp_path).report.all_notes() if "clock" not in line) == [
        "piqa: different versions of the task: 1 until step 2, 2 from step 3",
        "piqa: dtype bfloat16 until step 2, float32 from step 3",
    ]


def test_p08_known_percent_is_divided_with_a_note() -> None:
    result = read("lm-eval", case("P-08"))
    values = {
        (t, m, s): v for t, m, s, v in result.table.frame.select("task", "metric", "step", "value").rows()
    }
    assert values["squad2", "f1", 1000] == pytest.approx(0.0061)
    assert values["squad2", "HasAns_f1", 2000] == pytest.approx(0.499)
    assert values["hellaswag", "acc", 1000] == 0.31
    assert "squad2" in notes(result)
    assert "divided by 100" in notes(result)
    alone = read("lm-eval", case("P-08") / "step-1000").table.frame.filter(task="squad2", metric="exact")
    assert alone["value"].to_list() == pytest.approx([0.0061])


def test_p08_unknown_percent_is_refused_by_name_and_blocks_nothing(tmp_path: Path) -> None:
    for step, value in ((1, 0.61), (2, 28.1), (3, 30.0)):
        results = {"piqa": {"acc,none": 0.5}, "ours": {"f1,none": value}, "mine": {"acc,none": 0.4}}
        harness(tmp_path / f"step{step}.json", results)
    result = read("lm-eval", tmp_path)
    assert result.table.tasks == ["mine", "piqa"]
    (why,) = [why for (what, why) in result.report.skipped if what == "ours f1"]
    assert "if these are percentages, divide by 100: 2 of 3 values are not (in " in why
    assert "step2.json" in why


def test_p09_lighteval_is_read_as_such() -> None:
    for format_ in ("lighteval", "auto"):
        result = read(format_, case("P-09") / "org")
        assert points(result)["model-a"] == [1000, 2000] * 3 or sorted(points(result)["model-a"]) == [
            1000, 1000, 1000, 2000, 2000, 2000,
        ]  # fmt: skip
        frame = result.table.frame.filter(run="model-b", step=2000)
        assert frame.select("task", "n_shot", "value").rows() == [
            ("arc_challenge", 25, 0.3), ("hellaswag", 10, 0.37), ("mmlu_anatomy", 5, 0.3),
        ]  # fmt: skip
        assert "a mean of other tasks" in " ".join(result.report.lines())
        assert "1000 items at most at every step (`limit`)" in notes(result)
    with pytest.raises(InputError, match="it is of lighteval"):
        read("lm-eval", case("P-09") / "org")


def test_p10_revisions_that_count_tokens() -> None:
    result = read("lm-eval", case("P-10"))
    assert points(result, "tokens") == {
        "org/stepped": [None, None], "org/tok": [2 * 10**9, 10 * 10**9, 40 * 10**9],
    }  # fmt: skip
    assert points(result, "value")["org/tok"] == [0.3, 0.35, 0.41]
    lines = " ".join(result.report.lines())
    assert "main/r.json: the final checkpoint (revision main): `final_step` gives its step" in lines
    stepped = read("lm-eval", case("P-10") / "a", final_step="9000")
    assert points(stepped) == {"org/stepped": [1000, 6000, 9000]}
    assert points(read("lm-eval", case("P-10") / "b", tokens_per_step=2 * 10**6))["org/tok"] == [
        1000,
        5000,
        20_000,
    ]


def test_p11_steps_in_thousands() -> None:
    tiny = case("P-11") / "tiny"
    assert points(read("lm-eval", tiny, step_pattern=r"step-(\d+)k", run="tiny")) == {
        "tiny": [50_000, 240_000, 1_431_000]
    }
    assert points(read("lm-eval", tiny), "tokens") == {
        "org/Tiny-1.1B-intermediate": [105 * 10**9, 503 * 10**9, 3 * 10**12]
    }
    result = read("lm-eval", case("P-11") / "t5")
    assert "runs of one checkpoint each: if they are one run, `run` NAME with `step_pattern`" in notes(result)
    joined = read("lm-eval", case("P-11") / "t5", step_pattern=r"_(\d+)k_", run="t5")
    assert points(joined) == {"t5": [235_000, 240_000, 250_000]}


def test_p11_joined_runs_whose_steps_collide_are_refused_with_both_files(tmp_path: Path) -> None:
    for name, value in (("a", 0.3), ("b", 0.6)):
        harness(tmp_path / f"{name}.json", {"piqa": {"acc,none": value}}, f"./out/{name}_10k_x")
    with pytest.raises(InputError) as caught:
        read("lm-eval", tmp_path, step_pattern=r"_(\d+)k", run="one")
    text = str(caught.value)
    assert f"0.3 in {tmp_path / 'a.json'} and 0.6 in {tmp_path / 'b.json'}" in text
    assert text.index("`run_pattern`") < text.index("`keep`")


def test_p13_groups_and_members_count_once() -> None:
    result = read("lm-eval", case("P-13"), tokens_per_step=10**6)
    frame = result.table.frame
    once = benchmarks_of(result.table.tasks, members_in(frame))
    assert once.parts == {"arc_challenge": ("arc_challenge",), "arc_easy": ("arc_easy",), "mmlu": ("mmlu",)}
    last = {
        (run, task): value
        for run, task, value in frame.filter(step=8000).select("run", "task", "value").rows()
    }
    gain = sum(w * (last["org/b", task] - last["org/a", task]) for task, w in once.weights().items())
    assert gain == pytest.approx(0.04 / 3)
    assert "a mean over tasks is one over 3 benchmarks" in notes(result)


def test_p13_groups_that_only_the_files_know(tmp_path: Path) -> None:
    for step in (1, 2):
        harness(
            tmp_path / f"step{step}.json",
            {"suite": {"acc,none": 0.5}, "piqa": {"acc,none": 0.4}, "boolq": {"acc,none": 0.6},
             "average": {"acc,none": 0.5}},
            group_subtasks={"suite": ["piqa", "boolq"], "piqa": []},
        )  # fmt: skip
    result = read("lm-eval", tmp_path)
    again = tmp_path / "t.csv"
    result.table.write(again)
    frame = CurveTable.read(again).frame
    assert list(benchmarks_of(frame["task"], members_in(frame)).parts) == ["boolq", "piqa"]


def test_p15_infinity_is_skipped_and_what_is_not_asked_for_is_not_parsed() -> None:
    result = read("wandb", case("P-15") / "h.jsonl", metric="acc")
    assert points(result) == {"h": [100, 200, 300, 400, 500]}
    whole = read("wandb", case("P-15") / "h.jsonl")
    assert whole.table.frame.filter(metric="ppl")["step"].to_list() == [300, 400, 500]
    assert "'Infinity' must be finite (row 1)" in " ".join(whole.report.lines())


def test_p15_infinity_in_harness_files(tmp_path: Path) -> None:
    harness(tmp_path / "step1.json", {"lambada_openai": {"acc,none": 0.5, "perplexity,none": float("inf")}})
    harness(tmp_path / "step2.json", {"lambada_openai": {"acc,none": 0.6, "perplexity,none": "N/A"}})
    result = read("lm-eval", tmp_path)
    assert result.table.metrics == ["acc"]
    assert "perplexity,none is 'N/A', no finite number" in " ".join(result.report.lines())


def test_p16_tokens_logged_in_other_rows_are_carried_forward() -> None:
    result = read("wandb", case("P-16") / "h.csv", tokens_column="train/tokens")
    assert points(result, "tokens") == {"h": [n * 10**6 for n in range(1, 9)]}
    assert [curve.clock_unit for curve in result.table] == ["tokens"]


def test_p16_a_column_that_tells_no_tokens_is_named(tmp_path: Path) -> None:
    path = table(tmp_path / "h.csv", "_step,train/tokens,piqa/acc", "1,,.3", "2,,.4", "3,90,", "4,,.5")
    result = read("wandb", path, tokens_column="train/tokens")
    assert points(result, "tokens") == {"h": [None, None, 90]}
    assert "train/tokens tells no tokens of 2 of 3 rows with values" in notes(result)
    table(path, "_step,train/tokens,piqa/acc", "1,,.3", "2,,.4")
    assert "train/tokens tells no tokens of 2 of 2 rows" in notes(read("wandb", path))


def test_p16_a_batch_size_that_grows(tmp_path: Path) -> None:
    schedule = table(tmp_path / "schedule.csv", "step,tokens_per_step", "0,1000", "10,2000", "20,4000")
    path = table(tmp_path / "h.csv", "_step,piqa/acc", "5,.3", "10,.4", "15,.5", "25,.6")
    result = read("wandb", path, batches=read_batches(schedule))
    assert points(result, "tokens") == {"h": [5000, 10_000, 20_000, 50_000]}
    for bad in ("1,1000", "0,0", "0,x"):
        with pytest.raises(InputError, match=r"schedule\.csv"):
            read_batches(table(schedule, "step,tokens_per_step", bad))


def test_p17_a_step_column_by_name_and_steps_of_other_rows() -> None:
    named = read("wandb", case("P-17") / "ui.csv", step_column="throughput/total_tokens")
    assert points(named) == {"runA": [10**8, 2 * 10**8, 3 * 10**8, 4 * 10**8]}
    with pytest.raises(InputError, match="`step_column` NAME"):
        read("wandb", case("P-17") / "ui.csv")
    carried = read("wandb", case("P-17") / "h.csv")
    assert points(carried) == {"h": [100, 200, 300, 400]}
    assert "4 rows without trainer/global_step take the last one logged before" in notes(carried)


def test_p19_names_of_olmo_core() -> None:
    frame = read("wandb", case("P-19") / "h.csv").table.frame.filter(step=1000)
    named = frame.select("task", "metric", "n_shot", "variant", "value", "tokens").sort("value")
    assert named.rows() == [
        ("mmlu_stem", "acc", 5, "mc", 0.25, 10**9), ("hellaswag", "len_norm", 5, "rc", 0.32, 10**9),
        ("hellaswag", "len_norm", 5, "rc_v2", 0.33, 10**9), ("arc_easy", "bpb", 5, "rc_test_v2", 0.98, 10**9),
    ]  # fmt: skip


def test_p20_names_of_llm_foundry() -> None:
    frame = read("wandb", case("P-20") / "h.csv").table.frame.filter(step=2000)
    assert frame.select("task", "metric", "n_shot", "value", "tokens").rows() == [
        ("hellaswag", "acc", 10, 0.34, 2 * 10**9), ("lambada_openai", "acc", 0, 0.35, 2 * 10**9),
    ]  # fmt: skip


@pytest.mark.parametrize("format_", ["wandb", "lingua", "auto"])
def test_p22_evaluation_lines_of_lingua(format_: str) -> None:
    frame = read(format_, case("P-22") / "metrics.eval.jsonl").table.frame
    assert frame.filter(task="hellaswag")["value"].to_list() == [0.32, 0.34, 0.36, 0.38]
    assert frame.filter(task="piqa")["step"].to_list() == [1000, 2000, 3000, 4000]


def test_p23_words_for_missing_in_an_optional_column() -> None:
    frame = CurveTable.read(case("P-23") / "t.csv").frame
    assert frame["stderr"].to_list() == [0.004, None, 0.004, 0.004]


def test_p24_a_repeat_elsewhere_blocks_nothing_and_says_the_way_on() -> None:
    path = case("P-24") / "t.csv"
    read_sound = CurveTable.read_sound(path)
    assert len(Selection(tasks=["hellaswag"]).of(read_sound)) == 8
    with pytest.raises(InputError, match=r"given twice .*import table.* with `keep` last"):
        Selection().of(read_sound)
    kept = read("table", path, keep="last").table.frame.filter(task="boolq", step=8000)
    assert kept["value"].to_list() == [0.61]


def test_p27_limit_and_template_are_noted() -> None:
    result = read("lm-eval", case("P-27"))
    assert "hellaswag: 100 of 10,042 items at step 1000 (`limit`)" in notes(result)
    assert "hellaswag: chat template from step 3000" in notes(result)
    found = problems(result.table.frame).filter(problem="conditions change")
    assert found["step"].to_list() == [2000, 3000]


def test_p27_other_templates_and_a_limit_throughout(tmp_path: Path) -> None:
    for step, template in ((1, "a"), (2, "a"), (3, "b")):
        harness(
            tmp_path / f"step{step}.json", {"piqa": {"acc,none": 0.5}}, config={"limit": 50},
            chat_template_sha=template * 8, system_instruction="x" if step == 2 else None,
        )  # fmt: skip
    told = notes(read("lm-eval", tmp_path))
    assert "piqa: 50 items at every step (`limit`)" in told
    assert "until step 2, " in told
    assert "piqa: system prompt at step 2" in told


def test_p27_another_seed_of_examples_and_another_engine(tmp_path: Path) -> None:
    for step, config in ((1, {"fewshot_seed": 1234}), (2, {"fewshot_seed": 7}), (3, {"model": "vllm"})):
        harness(tmp_path / f"step{step}.json", {"piqa": {"acc,none": 0.5}}, config=config)
    told = notes(read("lm-eval", tmp_path))
    assert "piqa: fewshot seed 7 at step 2" in told
    assert "piqa: scored through vllm from step 3" in told


def test_p28_a_known_and_an_unknown_accuracy(tmp_path: Path) -> None:
    result = read("lm-eval", case("P-28"))
    assert Selection().of(result.table).tasks == ["bigbench_analogies", "hellaswag"]
    harness(tmp_path / "step1.json", {"ours": {"strict_match_rate": 0.4, "loss": 2.0}, "piqa": {"acc": 0.5}})
    other = read("lm-eval", tmp_path)
    assert without_accuracy(other.table.frame) == {"ours": ["strict_match_rate"]}
    assert "ours (strict_match_rate): no metric that is known as an accuracy" in notes(other)
    assert "`metric` NAME takes one" in notes(other)
    (row,) = problems(other.table.frame).filter(problem="no known accuracy").iter_rows(named=True)
    assert row["task"] == "ours"


def test_p29_bigcode_beside_lm_eval(tmp_path: Path) -> None:
    for format_ in ("bigcode", "auto"):
        frame = read(format_, case("P-29")).table.frame
        assert frame.select("run", "task", "metric", "variant", "step", "value").rows() == [
            ("m", "humaneval", "pass@1", "n1", 1000, 0.01), ("m", "humaneval", "pass@1", "n1", 2000, 0.02),
        ]  # fmt: skip


@pytest.mark.parametrize("format_", ["wandb", "table"])
def test_p31_a_wide_table_of_a_paper(format_: str) -> None:
    result = read(format_, case("P-31") / "t.csv", run_column="run_type", metric="acc")
    frame = result.table.frame
    assert frame.filter(task="mmlu_stem")["value"].to_list() == [0.215, 0.22, 0.25 - 0.02 + 0.0]
    assert frame["run"].unique().to_list() == ["restart_v2"]
    assert len(frame) == 9


def test_p32_shots_that_change_part_the_curve_and_are_noted() -> None:
    result = read("lm-eval", case("P-32"), tokens_per_step=10**6)
    assert "hellaswag of org/b: 5-shot until step 3000, 0-shot from step 4000: two curves" in notes(result)
    assert [len(curve) for curve in result.table] == [8, 5, 3]
    (row,) = problems(result.table.frame).filter(problem="setting changes").iter_rows(named=True)
    assert (row["run"], row["task"], row["step"]) == ("org/b", "hellaswag", 4000)


def test_p32_two_settings_side_by_side_are_no_change(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        for shots in (0, 5):
            results = {"piqa": {"acc,none": 0.5, "exact_match,strict": 0.1, "exact_match,flexible": 0.2}}
            harness(tmp_path / f"{shots}shot" / f"step{step}.json", results, **{"n-shot": {"piqa": shots}})
    assert "two curves" not in notes(read("lm-eval", tmp_path))


def test_files_of_one_name_in_several_folders_are_several_runs(tmp_path: Path) -> None:
    for run, first in (("runA", 100), ("runB", 200)):
        (tmp_path / run).mkdir()
        with (tmp_path / run / "history.csv").open("w") as stream:
            writer = csv.writer(stream)
            writer.writerow(["_step", "piqa/acc"])
            writer.writerows([[first, 0.5], [first + 200, 0.6]])
    assert points(read("wandb", tmp_path)) == {"runA": [100, 300], "runB": [200, 400]}


def test_a_long_reading_tells_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("neuneu.curves.readers.bulk.PATIENCE", 0.0)
    for step in (1, 2, 3):
        harness(tmp_path / f"step{step}.json", {"piqa": {"acc,none": 0.5}})
    told: list[str] = []
    read_format("lm-eval", [tmp_path], given=Given(tell=told.append))
    assert "read 2 of 3 files" in told


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ([0.31, 0.32, 1.7, 0.34], [0.31, 0.32, 0.34]),  # one odd value
        ([0.3, 0.61, 28.1], []),  # a task in percent from its beginning on
        ([30.0, 31.0, 32.0, 33.0], []),
    ],
)
def test_one_odd_value_is_skipped_and_a_task_in_other_units_is_refused(
    tmp_path: Path, values: list[float], kept: list[float]
) -> None:
    for step, value in enumerate(values, 1):
        harness(tmp_path / f"step{step}.json", {"ours": {"acc,none": value}, "piqa": {"acc,none": 0.5}})
    result = read("lm-eval", tmp_path)
    assert result.table.frame.filter(task="ours")["value"].to_list() == kept
    assert len(result.table.frame.filter(task="piqa")) == len(values)
    (line,) = [line for line in result.report.lines() if "must be in [0, 1]" in line]
    if kept:
        assert "step3.json: ours acc = 1.7 at step 3 of run org/m" in line
    else:
        assert line.startswith("skipped ours acc")
        assert "divide by 100" in line


def test_warnings_are_the_report_without_the_runs_that_were_read() -> None:
    report = read("lm-eval", case("P-10")).report
    assert [line for line in report.lines() if not line.startswith("run ")] == report.warnings()
    assert any("main/r.json" in line for line in report.warnings())


@pytest.mark.parametrize("format_", ["wandb", "table"])
def test_several_runs_in_one_file_are_asked_about(tmp_path: Path, format_: str) -> None:
    rows = ["run_name,step,piqa", "a,100,.3", "b,200,.6", "a,300,.4", "b,400,.7"]
    path = table(tmp_path / "t.csv", *rows)
    with pytest.raises(InputError, match=r"run_name: tells several runs \(a, b\): `run_column` run_name"):
        read(format_, path, metric="acc")
    apart = read(format_, path, metric="acc", run_column="run_name")
    assert points(apart) == {"a": [100, 300], "b": [200, 400]}
    assert points(read(format_, path, metric="acc", run="one")) == {"one": [100, 200, 300, 400]}
