"""lm-evaluation-harness results: made by the real harness, real old ones, and broken ones."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from neuneu.curves.readers.formats import read_format
from neuneu.curves.readers.lm_eval import read_lm_eval
from neuneu.curves.readers.lm_eval_samples import item_values
from neuneu.curves.readers.parsing import Given
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError

HARNESS = Path(__file__).with_name("run_harness.py")


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the real harness wrote: three checkpoints of a tiny random model on one task."""
    folder = tmp_path_factory.mktemp("harness")
    done = subprocess.run(
        [sys.executable, HARNESS, folder, "0", "1000", "200"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return folder


def results(folder: Path) -> dict[int, dict[str, Any]]:
    documents = {}
    for path in folder.rglob("results_*.json"):
        document = json.loads(path.read_text())
        documents[int(document["model_name"].rsplit("step", 1)[1])] = document
    return documents


def test_reads_what_the_real_harness_writes(harness: Path) -> None:
    result = read_lm_eval([harness / "out"])
    written = results(harness)
    frame = result.table.frame
    assert frame["run"].unique().to_list() == ["tiny-lm"]
    assert frame.filter(metric="acc")["step"].to_list() == [0, 200, 1000]
    for step, document in written.items():
        row = frame.filter(metric="acc_norm", step=step).row(0, named=True)
        assert row["value"] == document["results"]["tiny_choice"]["acc_norm,none"]
        assert (row["task"], row["n_shot"], row["variant"], row["n_items"]) == ("tiny_choice", 0, None, 7)
        assert row["params"] == document["config"]["model_num_parameters"]
    assert sum(result.report.read.values()) == 6
    assert result.report.notes == [
        "the clock is steps where tokens are not known; `tokens_per_step` gives them"
    ]


def test_samples_give_the_probability_and_the_bits_of_the_right_choice(harness: Path) -> None:
    frame = read_lm_eval([harness / "out"], samples="bpb,norm_correct_prob").table.frame
    assert sorted(frame["metric"].unique()) == ["acc", "acc_norm", "bpb", "norm_correct_prob"]
    for path in harness.rglob("samples_*.jsonl"):
        step = int(path.parent.parent.name.removeprefix("step"))
        items = [json.loads(line) for line in path.read_text().splitlines()]
        bits, probabilities = [], []
        for item in items:
            logs = np.array([float(answer[0]) for answer in item["filtered_resps"]])
            right = int(item["target"])
            choice = item["doc"]["choices"][right]
            bits.append(-logs[right] / np.log(2) / len(f" {choice}"))
            probabilities.append(np.exp(logs[right]) / np.exp(logs).sum())
        for metric, values in (("bpb", bits), ("norm_correct_prob", probabilities)):
            row = frame.filter(metric=metric, step=step).row(0, named=True)
            assert row["value"] == pytest.approx(np.mean(values))
            assert row["stderr"] == pytest.approx(np.std(values, ddof=1) / np.sqrt(7))
            assert (row["task"], row["n_shot"], row["n_items"]) == ("tiny_choice", 0, 7)
    same = read_lm_eval([harness / "out"]).table.frame
    assert frame.filter(pl.col("metric").str.starts_with("acc")).equals(same)


def sample(**changes: Any) -> dict[str, Any]:
    asked = {f"gen_args_{i}": {"arg_0": "q", "arg_1": f" {word}"} for i, word in enumerate(("yes", "no"))}
    answers = [[["-1.0", "False"]], [["-2.0", "True"]]]
    return {"doc_id": 0, "target": "1", "arguments": asked, "resps": answers, "filter": "none"} | changes


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"target": "7"}, "target"),
        ({"target": "maybe"}, "target"),
        ({"resps": [[["nan", "False"]], [["-2.0", "True"]]]}, "resps"),
        ({"resps": [[["0.5", "False"]], [["-2.0", "True"]]]}, "resps"),
    ],
)
def test_samples_that_cannot_be_are_refused_by_file_and_field(
    tmp_path: Path, changes: dict[str, Any], field: str
) -> None:
    path = tmp_path / "samples_piqa_2026.jsonl"
    path.write_text(json.dumps(sample()) + "\n" + json.dumps(sample(**changes)) + "\n")
    with pytest.raises(InputError, match=field) as caught:
        item_values(path)
    assert "samples_piqa_2026.jsonl:2" in str(caught.value)


def test_samples_by_the_text_of_the_target_under_several_filters_and_generated_ones(tmp_path: Path) -> None:
    path = tmp_path / "samples_piqa_2026.jsonl"
    lines = [sample(target="no"), sample(target="no", filter="other")]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    values = item_values(path)
    assert values is not None
    np.testing.assert_allclose(values["norm_correct_prob"], [np.exp(-2) / (np.exp(-1) + np.exp(-2))])
    np.testing.assert_allclose(values["bpb"], [2 / np.log(2) / len(" no")])
    path.write_text(json.dumps(sample(resps=[["an answer"], ["another"]])) + "\n")
    assert item_values(path) is None


def test_results_without_samples_say_so(tmp_path: Path, harness: Path) -> None:
    shutil.copytree(harness / "out", tmp_path / "out")
    for path in tmp_path.rglob("samples_*.jsonl"):
        path.unlink()
    result = read_lm_eval([tmp_path / "out"], samples="bpb")
    assert "bpb" not in result.table.metrics
    assert any("log_samples" in note for note in result.report.all_notes())
    with pytest.raises(InputError, match="must be of bpb, norm_correct_prob"):
        read_lm_eval([tmp_path / "out"], samples="perplexity")


def test_the_user_adds_what_the_files_do_not_know(harness: Path) -> None:
    given = Given(run="mine", family="tiny", recipe="none", tokens_per_step=1024, planned_tokens=10**6)
    (curve, _) = read_lm_eval([harness / "out"], given=given).table
    assert curve.key.run == "mine"
    assert (curve.clock_unit, curve.clock.tolist()) == ("tokens", [0, 204_800, 1_024_000])
    assert (curve.facts.family, curve.facts.planned_tokens) == ("tiny", 10**6)


def test_neither_names_nor_order_of_files_matter(harness: Path, tmp_path: Path) -> None:
    """Steps come from what the files say: shuffled and renamed, they read the same."""
    for place, path in enumerate(sorted((harness / "out").rglob("*.json"), reverse=True)):
        shutil.copy(path, tmp_path / f"{place}.json")
    expected = read_lm_eval([harness / "out"]).table.frame
    assert read_lm_eval([tmp_path]).table.frame.equals(expected)
    assert read_lm_eval(sorted(tmp_path.iterdir(), reverse=True)).table.frame.equals(expected)


def test_the_old_format_of_real_files(shared: Path) -> None:
    folder = shared / "data" / "raw" / "pythia" / "evals" / "pythia-v1" / "pythia-70m"
    ours = read_lm_eval([folder]).table.frame
    theirs = CurveTable.read(shared / "data" / "curves" / "pythia_v1.parquet")
    theirs = theirs.filter(run="pythia-v1/pythia-70m", n_shot=0).frame
    told = ["task", "metric", "n_shot", "step", "tokens", "value", "stderr", "n_items"]
    assert len(ours) > 4000
    assert ours.select(told).equals(theirs.select(told))


def document(step: int | None = 100, **metrics: Any) -> dict[str, Any]:
    name = "me/lm" if step is None else f"/ckpt/lm/step{step}"
    metrics = metrics or {"acc,none": 0.5, "acc_stderr,none": 0.01}
    return {
        "results": {"arc_easy": {"alias": "arc_easy", **metrics}},
        "versions": {"arc_easy": 1.0},
        "n-shot": {"arc_easy": 5},
        "config": {"model_args": f"pretrained={name}"},
        "model_name": name,
        "lm_eval_version": "0.4.9",
    }


def write(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("changes", "name", "step"),
    [
        ({"config": {"model_args": "pretrained=o/m,revision=step512-tokens1B"}}, "step9.json", 512),
        ({"config": {"model_args": {"pretrained": "o/m", "revision": "step64"}}}, "x.json", 64),
        ({"config": {"model_revision": "global_step7"}}, "x.json", 7),
        ({"config": {"model_args": "pretrained=/c/checkpoint-800"}}, "x.json", 800),
        ({"config": {}}, "step_33/results.json", 33),
        ({"config": {}}, "iter_0005000.json", 5000),
        ({"config": {}}, "steps12/footstep5/x.json", None),
    ],
)
def test_the_step_by_the_stated_rule(
    tmp_path: Path, changes: dict[str, Any], name: str, step: int | None
) -> None:
    path = write(tmp_path / "in" / name, document(None) | {"model_name": "o/m"} | changes)
    if step is None:
        with pytest.raises(InputError, match="`step_pattern`"):
            read_lm_eval([tmp_path / "in"])
    else:
        assert read_lm_eval([path]).table.frame["step"].to_list() == [step]


def test_a_step_pattern_replaces_the_rule(tmp_path: Path) -> None:
    write(tmp_path / "tok-5k.json", document(None))
    assert read_lm_eval([tmp_path], step_pattern=r"tok-(\d+)k").table.frame["step"].to_list() == [5000]
    for bad in ("(", "tok", "(a)(b)"):
        with pytest.raises(InputError, match="step-pattern"):
            read_lm_eval([tmp_path], step_pattern=bad)


def test_filters_become_variants_and_stderr_of_words_is_missing(tmp_path: Path) -> None:
    metrics = {"exact_match,strict-match": 0.25, "exact_match,flexible-extract": 0.5,
               "exact_match_stderr,strict-match": "N/A"}  # fmt: skip
    path = write(tmp_path / "a.json", document(1, **metrics))
    frame = read_lm_eval([path]).table.frame
    assert frame.select("variant", "value").rows() == [("flexible-extract", 0.5), ("strict-match", 0.25)]
    assert frame["stderr"].null_count() == 2


def test_what_is_no_number_is_skipped_and_said(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.json", document(1, **{"acc,none": 0.5, "x,none": "high", "y,none": float("nan")})
    )
    write(tmp_path / "b.json", {"results": 3})
    result = read_lm_eval([tmp_path])
    assert result.table.metrics == ["acc"]
    whys = {(Path(what).name, why) for what, why in result.report.skipped}
    assert whys == {
        (path.name, "arc_easy x,none is 'high', no finite number"),
        (path.name, "arc_easy y,none is nan, no finite number"),
        ("b.json", "no lm-eval results in it"),
    }


def test_a_change_of_the_questions_is_told(tmp_path: Path) -> None:
    write(tmp_path / "a.json", document(1))
    write(tmp_path / "b.json", document(2) | {"versions": {"arc_easy": 2.0}, "lm_eval_version": "0.4.2"})
    notes = read_lm_eval([tmp_path]).report.all_notes()
    assert "arc_easy: different versions of the task: 1 at step 1, 2 from step 2" in notes
    assert "arc_easy: different versions of lm-eval: 0.4.9 at step 1, 0.4.2 from step 2" in notes


def test_one_checkpoint_evaluated_twice(tmp_path: Path) -> None:
    write(tmp_path / "a.json", document(1) | {"date": 20.0})
    write(tmp_path / "b.json", document(1) | {"date": 10.0})
    assert len(read_lm_eval([tmp_path]).table) == 1
    write(tmp_path / "c.json", document(1, **{"acc,none": 0.6}) | {"date": 30.0})
    with pytest.raises(InputError, match=r"two different values in run 'lm'.*`keep`"):
        read_lm_eval([tmp_path])
    values = {keep: read_lm_eval([tmp_path], given=Given(keep=keep)) for keep in ("first", "last")}
    assert {keep: result.table.frame["value"].to_list() for keep, result in values.items()} == {
        "first": [0.5],
        "last": [0.6],
    }


def test_links_out_of_a_folder_are_skipped_and_loops_are_not_entered(tmp_path: Path) -> None:
    outside = write(tmp_path / "out" / "a.json", document(1))
    inside = tmp_path / "in"
    write(inside / "b.json", document(2))
    (inside / "link.json").symlink_to(outside)
    (inside / "loop").symlink_to(inside)
    result = read_lm_eval([inside])
    assert result.table.frame["step"].to_list() == [2]
    assert [Path(what).name for what, _ in result.report.skipped] == ["link.json"]
    assert read_lm_eval([inside / "link.json"]).table.frame["step"].to_list() == [1]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "the file is empty"),
        ("version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("{", "not JSON"),
        ('{"results": {"a": {}, "a": {}}}', "must not be given twice"),
        ('{"results": {"a": {"acc": 1e400}}}', "must be a finite number"),
        ("[" * 200_000, "nested too deep"),
        ("[]", "no lm-eval results in it"),
    ],
)
def test_bad_files(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "step1.json"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_lm_eval([path])
    assert words in str(caught.value)
    assert "step1.json" in str(caught.value)


WRONG = {
    "n-shot.arc_easy": ({"n-shot": {"arc_easy": "five"}}, "'five': must be a whole number"),
    "n-shot": ({"n-shot": 5}, "5: must be an object"),
    "configs": ({"configs": [1]}, "must be an object"),
    "configs.arc_easy.num_fewshot": (
        {"configs": {"arc_easy": {"num_fewshot": 2.5}}},
        "must be a whole number",
    ),
    "versions.arc_easy": ({"versions": {"arc_easy": [1]}}, "must be text or a number"),
    "higher_is_better.arc_easy.acc": ({"higher_is_better": {"arc_easy": {"acc": "yes"}}}, "must be true or"),
    "n-samples.arc_easy": ({"n-samples": {"arc_easy": 100}}, "must be an object"),
    "n-samples.arc_easy.effective": (
        {"n-samples": {"arc_easy": {"effective": "all"}}},
        "must be a whole number",
    ),
    "group_subtasks.arc": ({"group_subtasks": {"arc": "arc_easy"}}, "must be a list"),
    "group_subtasks.arc.0": ({"group_subtasks": {"arc": [1]}}, "must be text"),
    "groups.arc": ({"groups": {"arc": 1}}, "must be an object of the group's values, or a list"),
    "task_hashes.arc_easy": ({"task_hashes": {"arc_easy": 7}}, "must be text"),
    "config.limit": ({"config": {"limit": "100"}}, "must be a number"),
    "config.num_fewshot": ({"config": {"num_fewshot": True}}, "must be a whole number"),
    "config.model_args": ({"config": {"model_args": ["a=b"]}}, "must be text (a=b,c=d) or an object"),
    "config.model_num_parameters": ({"config": {"model_num_parameters": "1B"}}, "must be a whole number"),
    "results.arc_easy.sample_len": (
        {"results": {"arc_easy": {"acc": 0.5, "sample_len": "9"}}},
        "whole number",
    ),
    "date": ({"date": "2024-10-01"}, "must be a number"),
    "model_name": ({"model_name": {"a": 1}}, "must be text"),
}
"""Field of another kind than the harness writes → the document's part, and the rule."""


@pytest.mark.parametrize("field", WRONG)
def test_a_field_of_another_kind_is_refused_by_name_and_never_guessed(tmp_path: Path, field: str) -> None:
    part, rule = WRONG[field]
    path = write(tmp_path / "a.json", document(1) | part)
    with pytest.raises(InputError) as caught:
        read_lm_eval([path])
    assert (caught.value.where, caught.value.field) == (path, field)
    assert rule in str(caught.value)
    assert "correct it, or take it out of the file" in str(caught.value)


def test_what_the_harness_may_leave_open_is_read(tmp_path: Path) -> None:
    told = {
        "versions": {"arc_easy": "Yaml", "arc": None}, "n-shot": {"arc_easy": None},
        "configs": {"arc_easy": {}},
        "config": {"model_args": {"pretrained": "lm/step1"}, "limit": 100, "model_num_parameters": -1},
        "higher_is_better": {"arc_easy": {"acc": None}}, "groups": {"arc": ["arc_easy"]}, "date": 12,
        "n-samples": {"arc_easy": {"original": 2376, "effective": 100}}, "task_hashes": {},
    }  # fmt: skip
    frame = read_lm_eval([write(tmp_path / "a.json", document(1) | told)]).table.frame
    assert frame.select("n_shot", "n_items", "params").rows() == [(None, 100, None)]


@pytest.mark.parametrize("format_", ["lm-eval", "lighteval"])
def test_whoever_names_another_kind_of_file_is_told_what_it_is(tmp_path: Path, format_: str) -> None:
    sample = json.dumps({"doc_id": 0, "target": "1", "filtered_resps": [["-1", "False"]], "acc": 1.0})
    whole = json.dumps({"results": {"piqa": {"acc,none": 0.5}}})
    step = json.dumps({"global_step": 5, "piqa": {"acc,none": 0.5}})
    head = "|Tasks|Version|Filter|n-shot|Metric|Value|Stderr|\n|--|--|--|--|--|--|--|\n"
    kinds = {
        "samples_piqa.jsonl": (f"{sample}\n{sample}\n", "samples, a line a question; import the results_"),
        "all.jsonl": (f"{whole}\n{whole}\n", "a results file a line; write each line to a .json of its own"),
        "metrics.eval.jsonl": (f"{step}\n{step}\n", "it is of lingua; import it by that name"),
        "e.log": (f"{head}|piqa|1|none|0|acc|0.6|0.1|\n", "it is of harness-log; import it by that name"),
    }
    for name, (content, words) in kinds.items():
        (tmp_path / name).write_text(content)
        with pytest.raises(InputError) as caught:
            read_format(format_, [tmp_path / name])
        assert words in str(caught.value), name
        assert name in str(caught.value)
    for other in ("auto", "olmes"):
        with pytest.raises(InputError, match="samples, a line a question"):
            read_format(other, [tmp_path / "samples_piqa.jsonl"])


def test_percentages_and_paths_as_names_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.json", document(1, **{"acc,none": 51.0}))
    with pytest.raises(InputError, match="divide by 100"):
        read_lm_eval([path])
    bad = document(1)
    bad["results"] = {"../../x": {"acc": 0.5}}
    with pytest.raises(InputError, match="climb out"):
        read_lm_eval([write(path, bad)])


def test_one_name_for_several_runs_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.json", document(1))
    write(tmp_path / "b.json", document(1) | {"config": {"model_args": "pretrained=/ckpt/other/step1"}})
    assert read_lm_eval([tmp_path]).table.runs == ["lm", "other"]
    with pytest.raises(InputError, match="names one run, but there are several here: lm, other"):
        read_lm_eval([tmp_path], given=Given(run="mine"))


def test_empty_folders_and_no_paths(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no \.json file here"):
        read_lm_eval([tmp_path])
    with pytest.raises(InputError, match="at least one file"):
        read_lm_eval([])


def test_the_report_is_a_table(tmp_path: Path) -> None:
    write(tmp_path / "a.json", document(1))
    report = read_lm_eval([tmp_path]).report.to_frame()
    assert report["kind"].to_list() == ["read", "note"]
    assert report.schema == {"kind": pl.String, "what": pl.String, "why": pl.String, "count": pl.Int64,
                             "run": pl.String}  # fmt: skip


def test_more_values_than_a_harness_writes_are_refused_by_their_number(tmp_path: Path) -> None:
    measured = {f"m{i},none": 0.5 for i in range(1_001)}
    document = {"results": {f"task{i}": measured for i in range(100)}, "config": {}}
    (tmp_path / "results.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="results = '100,100 values': must hold at most 100,000 values"):
        read_lm_eval([tmp_path / "results.json"])
