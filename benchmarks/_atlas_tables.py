"""Tables of finished models as curve tables: what settings, families and parameters their columns mean."""

import re
from typing import Any

import polars as pl

from neuneu.curves.table import CurveTable
from neuneu.curves.tasks import find_task

STATIC = {
    "mlfoundations_scaling": "MIT",
    "dclm_database": "MIT",
    "sloth_data_v2": "MIT",
}
"""Sources of static.parquet that are openly licensed, hold scores of downstream tasks, and are read."""

CODE_MODELS = ("codegen", "codellama", "starcoder", "starcoder2", "deepseek-coder")
"""Families trained mostly on code: what they score on other tasks says nothing of other models."""

FAMILIES = {"olmo": "olmo_ladder"}
"""Families that go by another name in the curves: left out together."""

OPEN_LM: dict[str, tuple[str, int]] = {
    "hellaswag_zeroshot": ("hellaswag", 0), "hellaswag": ("hellaswag", 10), "arc_easy": ("arc_easy", 10),
    "arc_challenge": ("arc_challenge", 10), "mmlu_zeroshot": ("mmlu", 0), "mmlu": ("mmlu", 5),
    "mmlu_fewshot": ("mmlu", 5), "piqa": ("piqa", 10), "boolq": ("boolq", 10), "copa": ("copa", 0),
    "openbook_qa": ("openbookqa", 0), "winogrande": ("winogrande", 0), "winograd": ("wsc273", 0),
    "lambada_openai": ("lambada_openai", 0), "commonsense_qa": ("csqa", 10), "siqa": ("socialiqa", 10),
    "math_qa": ("mathqa", 10), "logi_qa": ("logiqa", 10), "triviaqa_sm_sub": ("triviaqa", 3),
    "gsm8k": ("gsm8k", 3),
}  # fmt: skip
"""Task and shots of the names in mlfoundations/scaling and DCLM (Li et al. 2024, appendix G)."""

LISTED = ("mmlu", "csqa", "socialiqa")
"""Tasks that open_lm's evaluation asks by letters of listed choices: at chance up to 1e9 parameters."""

WRITTEN = (
    "lambada_openai",
    "triviaqa",
    "gsm8k",
    "squad",
    "coqa",
    "jeopardy",
    "svamp",
    "bigbench_qa_wikidata",
)
"""Tasks whose answer is written there."""

LEADERBOARD: dict[str, tuple[str, str, int, str]] = {
    "ARC": ("arc_challenge", "rc", 25, "acc_norm"), "HellaSwag": ("hellaswag", "rc", 10, "acc_norm"),
    "MMLU": ("mmlu", "mc", 5, "acc"), "Winogrande": ("winogrande", "rc", 5, "acc"),
    "GSM8K": ("gsm8k", "gen", 5, "acc"), "TruthfulQA": ("truthfulqa_mc2", "rc", 0, "score"),
}  # fmt: skip
"""Task, format, shots and metric of the Open LLM Leaderboard's first six columns, as its page stated them."""

DCLM_BASELINE = re.compile(r"(?!mix).*(openhermes_reddit|oh)_r?eli5_vs_rw_v2_bigram_200k_train_0\.1")
"""Recipes of DCLM's database that are DCLM-baseline or passed its filter: RefinedWeb's rules, then fastText
for OpenHermes and ELI5 (Li et al. 2024, section 4)."""

NOT_TASKS = "CI_above|ggregated|centered|^rw_small|^Core|^Extended|MTBench|Elo|cot$|truthfulqa_gen"
"""Columns of the tables that are means over tasks, or that judges gave."""


def finished_models(static: pl.DataFrame) -> CurveTable:
    """The models of the open sources of static.parquet, none tuned to instructions, as runs of one step."""
    rows = static.filter(
        pl.col("source").is_in(list(STATIC)),
        pl.col("metric").is_in(["acc", "score"]),
        pl.col("params") > 0,
        pl.col("tokens") > 0,
        pl.col("value").is_between(0, 1),
        ~pl.col("features_json").fill_null("").str.contains('"instruct": true'),
        ~pl.col("task").str.contains(NOT_TASKS),
        ~pl.col("family").is_in(CODE_MODELS),
    )
    found = [_row(row) for row in rows.iter_rows(named=True)]
    frame = pl.DataFrame(found).with_columns(pl.col("n_shot").cast(pl.Int64))
    keys = ["source", "run", "task", "metric", "n_shot", "variant", "step"]
    return CurveTable.from_frame(frame.unique(keys, keep="first", maintain_order=True), "static tables")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    task, form, shots, metric = _setting(row["source"], row["task"])
    recipe = str(row["data_recipe"] or "")
    return {
        "run": f"{row['source']}/{row['model']}",
        "task": task,
        "metric": metric,
        "n_shot": shots,
        "variant": form,
        "step": 0,
        "value": row["value"],
        "tokens": int(row["tokens"]),
        "params": int(row["params"]),
        "source": row["source"],
        "family": "open_lm"
        if row["source"] != "sloth_data_v2"
        else FAMILIES.get(row["family"], row["family"]),
        "recipe": "dclm-baseline" if DCLM_BASELINE.match(recipe.lower()) else recipe or None,
    }


def _setting(source: str, name: str) -> tuple[str, str, int | None, str]:
    """Task, format, shots and metric of a column of a source."""
    if source != "sloth_data_v2":
        task, shots = OPEN_LM.get(name, (find_task(name).name, None))
        form = "mc" if task in LISTED else "gen" if task in WRITTEN else "rc"
        return task, form, shots, "acc_norm" if form == "rc" else "acc"
    if name in LEADERBOARD:
        return LEADERBOARD[name]
    task = find_task(name.lower().replace(" ", "_").replace("-", "_")).name
    written = task.startswith(("math_", "ifeval", "humaneval"))
    return task, "gen" if written else "mc", 5 if task.startswith("mmlu_") else None, "acc"
