"""Other harnesses' results files and printed tables: what they wrote (record.py), and other layouts."""

import json
from pathlib import Path
from typing import Any

import pytest

from neuneu.curves.readers.every_eval_ever import read_every_eval_ever
from neuneu.curves.readers.formats import read_format
from neuneu.curves.readers.olmes import parse_alias
from neuneu.errors import InputError

RECORDED = Path(__file__).with_name("recorded")


def write(path: Path, document: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("name", ["lighteval", "auto"])
def test_lighteval_as_it_saves_results(name: str) -> None:
    result = read_format(name, [RECORDED / "lighteval" / "results"])
    frame = result.table.frame
    assert result.table.runs == ["org/tiny"]
    assert frame.filter(metric="acc").select("task", "n_shot", "step", "value").rows() == [
        ("hellaswag", 10, 1000, 0.25),
        ("hellaswag", 10, 2000, 0.375),
        ("mmlu_anatomy", 5, 1000, 0.375),
        ("mmlu_anatomy", 5, 2000, 0.5),
        ("mmlu_virology", 5, 1000, 0.5),
        ("mmlu_virology", 5, 2000, 0.625),
    ]
    assert frame["stderr"].null_count() == 0
    means = {what for what, why in result.report.skipped if why == "a mean of other tasks"}
    assert means == {"all", "mmlu:_average|5"}


def test_the_older_names_of_lighteval(tmp_path: Path) -> None:
    results = {
        "leaderboard|arc:challenge|25|0": {"acc": 0.25, "acc_stderr": float("nan")},
        "harness|hellaswag|10": {"acc_norm": 0.5},
        "all": {"acc": 0.3},
    }
    general = {"model_name": "ckpts/lm/step-2000", "model_config": {"model_name": "ckpts/lm/step-2000"}}
    write(tmp_path / "results_2024-05-02T10-00-00.json", {"config_general": general, "results": results})
    frame = read_format("lighteval", [tmp_path]).table.frame
    assert frame.select("run", "task", "n_shot", "step", "value", "stderr").rows() == [
        ("lm", "arc_challenge", 25, 2000, 0.25, None),
        ("lm", "hellaswag", 10, 2000, 0.5, None),
    ]


def test_files_of_other_harnesses_are_named_to_who_calls_them_lm_eval(tmp_path: Path) -> None:
    results = {"leaderboard|hellaswag|10": {"acc": 0.25}}
    path = write(tmp_path / "step1" / "r.json", {"config_general": {"model_name": "a/b"}, "results": results})
    with pytest.raises(InputError, match="it is of lighteval; import it by that name, or all with auto"):
        read_format("lm-eval", [path])


def test_bigcode_beside_lm_eval(tmp_path: Path) -> None:
    """P-29 and a second folder with more samples and harness files between."""
    for step in (1000, 2000):
        config = {"model": f"/x/m/step{step}", "n_samples": 20, "temperature": 0.2, "tasks": "humaneval"}
        document = {"humaneval": {"pass@1": step / 8000, "pass@10": step / 4000}, "config": config}
        write(tmp_path / f"step{step}" / "humaneval_pass@10.json", document)
        harness = {
            "results": {"piqa": {"acc,none": 0.5}},
            "lm_eval_version": "0.4.9",
            "model_name": f"/x/m/step{step}",
        }
        write(tmp_path / f"step{step}" / "results.json", harness)
    frame = read_format("bigcode", [tmp_path]).table.frame
    assert frame.select("run", "task", "metric", "variant", "step", "value").rows() == [
        ("m", "humaneval", "pass@1", "n20", 1000, 0.125),
        ("m", "humaneval", "pass@1", "n20", 2000, 0.25),
        ("m", "humaneval", "pass@10", "n20", 1000, 0.25),
        ("m", "humaneval", "pass@10", "n20", 2000, 0.5),
    ]
    both = read_format("auto", [tmp_path]).table
    assert both.runs == ["m"]
    assert both.tasks == ["humaneval", "piqa"]


METRICS = {
    "acc_raw": 0.25,
    "acc_per_char": 0.5,
    "primary_score": 0.5,
    "bits_per_byte_corr": 1.5,
    "extra": None,
    "predicted_index_raw": 1.25,
}
CONFIG = {"num_shots": 5, "primary_metric": "acc_per_char", "metadata": {"alias": "arc_easy:rc::olmes"}}
MODEL = {"model": "org/lm", "revision": "step1000-tokens4B", "max_length": 2048}
LAYOUTS = {
    "task-000-arc_easy-metrics.json": {
        "task_name": "arc_easy",
        "metrics": METRICS,
        "task_config": CONFIG,
        "model_config": MODEL,
        "num_instances": 2376,
    },
    "metrics.json": {
        "all_primary_scores": ["arc_easy:rc::olmes: 0.5"],
        "metrics": [{"task": "arc_easy", **METRICS, "num_instances": 2376, "task_config": CONFIG}],
        "model_config": MODEL,
    },
    "new/metrics.json": {
        "summary": {"arc_easy": {"acc_per_char": 0.5}},
        "tasks": [
            {"alias": "arc_easy:rc::olmes", "metrics": METRICS, "task_config": CONFIG, "num_instances": 2376}
        ],
        "model_config": MODEL,
    },
    "metrics-all.jsonl": {
        "task_name": "arc_easy",
        "metrics": METRICS,
        "task_config": CONFIG,
        "model_config": MODEL,
        "num_instances": 2376,
    },
}


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("name", ["olmes", "auto"])
def test_the_layouts_of_olmes(tmp_path: Path, layout: str, name: str) -> None:
    write(tmp_path / layout, LAYOUTS[layout])
    frame = read_format(name, [tmp_path]).table.frame
    assert frame.select("run", "task", "variant", "n_shot", "step", "n_items").unique().rows() == [
        ("org/lm", "arc_easy", "olmes_rc", 5, 1000, 2376)
    ]
    assert dict(frame.select("metric", "value").iter_rows()) == {
        "acc_raw": 0.25,
        "acc_per_char": 0.5,
        "primary_metric": 0.5,
        "bits_per_byte_corr": 1.5,
    }


def test_what_olmes_says_twice_is_one_value(tmp_path: Path) -> None:
    for layout in ("task-000-arc_easy-metrics.json", "metrics.json", "metrics-all.jsonl"):
        write(tmp_path / layout, LAYOUTS[layout])
    assert len(read_format("auto", [tmp_path]).table) == 4


@pytest.mark.parametrize(
    ("alias", "parts"),
    [
        ("arc_easy:rc::olmes", ("arc_easy", "olmes_rc")),
        ("hellaswag:mc::olmes:full", ("hellaswag", "olmes_full_mc")),
        ("gsm8k::tulu", ("gsm8k", "tulu")),
        ("codex_humaneval", ("codex_humaneval", None)),
    ],
)
def test_aliases_of_olmes(alias: str, parts: tuple[str, str | None]) -> None:
    assert parse_alias(alias) == parts


@pytest.mark.parametrize("name", ["every-eval-ever", "auto"])
def test_every_eval_ever_as_its_converter_writes_it(name: str) -> None:
    frame = read_format(name, [RECORDED / "every_eval_ever"]).table.frame
    told = ["run", "task", "metric", "variant", "n_shot", "step", "value", "stderr", "params"]
    assert frame.select(told).rows() == [
        ("org/lm", "gsm8k", "exact_match", "strict-match", 5, 1000, 0.125, 0.01, 1000),
        ("org/lm", "gsm8k", "exact_match", "strict-match", 5, 2000, 0.125, 0.01, 1000),
        ("org/lm", "piqa", "acc", None, None, 1000, 0.25, 0.01, 1000),
        ("org/lm", "piqa", "acc", None, None, 2000, 0.5, 0.01, 1000),
    ]


def test_percentages_and_display_names_of_every_eval_ever(tmp_path: Path) -> None:
    result = {
        "evaluation_name": "hellaswag",
        "metric_config": {"metric_name": "Accuracy", "metric_unit": "percent", "lower_is_better": False},
        "score_details": {"score": 25.0, "uncertainty": {"standard_error": {"value": 1.0}}},
    }
    document = {
        "schema_version": "0.2.1",
        "model_info": {"name": "a/b", "id": "a/b"},
        "evaluation_results": [result],
    }
    write(tmp_path / "step100" / "x.json", document)
    frame = read_every_eval_ever([tmp_path]).table.frame
    assert frame.select("metric", "value", "stderr", "step").rows() == [("acc", 0.25, 0.01, 100)]
    write(tmp_path / "step100" / "x.json", document | {"evaluation_results": [{"evaluation_name": "a"}]})
    with pytest.raises(InputError, match="a result without the name of its task or metric"):
        read_every_eval_ever([tmp_path])


@pytest.mark.parametrize("name", ["harness-log", "auto"])
def test_tables_that_the_harness_prints(name: str) -> None:
    frame = read_format(name, [RECORDED / "lm_eval" / "harness.log"]).table.frame
    told = ["run", "task", "metric", "variant", "n_shot", "value", "stderr"]
    assert frame.filter(step=1000).select(told).rows() == [
        ("org/lm", "gsm8k", "exact_match", "flexible-extract", 5, 0.25, None),
        ("org/lm", "gsm8k", "exact_match", "strict-match", 5, 0.125, 0.01),
        ("org/lm", "hellaswag", "acc", None, 0, 0.3, 0.02),
        ("org/lm", "hellaswag", "acc_norm", None, 0, 0.4, 0.03),
        ("org/lm", "mmlu", "acc", None, None, 0.25, 0.01),
        ("org/lm", "mmlu_humanities", "acc", None, None, 0.375, 0.02),
        ("org/lm", "mmlu_philosophy", "acc", None, 5, 0.5, 0.03),
    ]
    assert frame.filter(step=2000, task="hellaswag", metric="acc")["value"].to_list() == [0.15]


def test_tables_that_lighteval_prints() -> None:
    frame = read_format("harness-log", [RECORDED / "lighteval" / "lighteval-step2000.log"]).table.frame
    assert frame.filter(metric="acc").select("task", "n_shot", "step", "value", "stderr").rows() == [
        ("hellaswag", 10, 2000, 0.375, 0.183),
        ("mmlu_anatomy", 5, 2000, 0.5, 0.189),
        ("mmlu_virology", 5, 2000, 0.625, 0.183),
    ]


def test_the_oldest_tables_with_a_time_before_each_line(tmp_path: Path) -> None:
    lines = [
        "|    Task    |Version| Metric |Value |   |Stderr|",
        "|------------|------:|--------|-----:|---|-----:|",
        "|arc_easy    |      0|acc     |0.2500|±  |0.0100|",
        "|            |       |acc_norm|0.5000|±  |0.0100|",
        "|hellaswag   |      0|acc     |   nan|   |      |",
    ]
    path = tmp_path / "iter_0001000.out"
    path.write_text(
        "loading\n" + "\n".join("2024-01-01 10:00:00 " + line for line in lines) + "\n| not | a | row |\n"
    )
    result = read_format("harness-log", [path])
    assert result.table.frame.select("task", "metric", "step", "value").rows() == [
        ("arc_easy", "acc", 1000, 0.25),
        ("arc_easy", "acc_norm", 1000, 0.5),
    ]
    path.write_text("nothing")
    with pytest.raises(InputError, match="no table of a harness in it"):
        read_format("harness-log", [path])


def test_a_name_is_that_of_the_groups_it_stands_in(tmp_path: Path) -> None:
    """Anatomy stands in MMLU's group; what comes after the group has its own name again."""
    lines = [
        "|     Tasks      |Version|Filter|n-shot|Metric|   |Value|   |Stderr|",
        "|----------------|------:|------|-----:|------|---|----:|---|-----:|",
        "|mmlu            |      2|none  |      |acc   |↑  | 0.25|±  | 0.010|",
        "| - stem         |      2|none  |      |acc   |↑  | 0.50|±  | 0.010|",
        "|  - anatomy     |      2|none  |     0|acc   |↑  | 0.75|±  | 0.010|",
        "|blimp           |      2|none  |      |acc   |↑  | 0.25|±  | 0.010|",
        "| - anatomy      |      2|none  |     0|acc   |↑  | 0.50|±  | 0.010|",
        "|sociology       |      2|none  |     0|acc   |↑  | 0.75|±  | 0.010|",
    ]
    (tmp_path / "step10.log").write_text("\n".join(lines))
    frame = read_format("harness-log", [tmp_path]).table.frame
    assert sorted(frame["task"]) == ["anatomy", "blimp", "mmlu", "mmlu_anatomy", "mmlu_stem", "sociology"]
