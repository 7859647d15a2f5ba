"""Readers of public repositories' own tables against the same runs prepared apart from them."""

import json
import zipfile
from pathlib import Path

import polars as pl
import pytest

from neuneu.curves.groups import members_text
from neuneu.curves.readers import gemstones, multisynt, open_sci_ref, physicslm4, pythia
from neuneu.curves.readers.formats import read_format
from neuneu.curves.readers.parsing import ReadReport
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError

KEY = ["run", "task", "metric", "n_shot", "variant", "step"]
FACTS = ["tokens", "flops", "family", "params", "recipe", "seed", "source"]


@pytest.mark.parametrize(
    ("name", "prepared", "n_rows"),
    [
        ("gemstones", "curves/gemstones", 630),
        ("open-sci-ref", "curves/open_sci_ref", 1788),
        ("physicslm4", "more_curves/physicslm4", 2520),
        ("multisynt", "more_curves/multisynt", 110),
    ],
)
def test_raw_files_give_the_prepared_values(shared: Path, name: str, prepared: str, n_rows: int) -> None:
    ours = read_format(name, [shared / "data" / "raw" / name.replace("-", "_")]).table.frame
    theirs = CurveTable.read(shared / "data" / f"{prepared}.parquet")
    both = ours.join(theirs.frame, on=KEY, how="inner", nulls_equal=True)
    assert len(both) == len(ours) == n_rows
    assert both.filter((pl.col("value") - pl.col("value_right")).abs() > 1e-15).height == 0
    wrong = {fact: both.filter(pl.col(fact).ne_missing(pl.col(f"{fact}_right"))).height for fact in FACTS}
    assert wrong == dict.fromkeys(FACTS, 0)


def test_facts_of_every_run_that_is_known(shared: Path) -> None:
    """Names and paths of the whole collections, not only of the few runs that are here in their format."""
    tables = {name: pl.read_parquet(shared / "data" / f"{name}.parquet") for name in PREPARED}
    for run, params, recipe, tokens in _distinct(
        tables["curves/open_sci_ref"], "data_recipe", "tokens", "step"
    ):
        facts = open_sci_ref._facts_of(run)
        assert (facts["params"], facts["recipe"], facts["step_tokens"]) == (params, recipe, tokens), run
    for run, params in tables["curves/gemstones"].select("run", "params").unique().iter_rows():
        width, depth = run.removeprefix("gemstone/").split("x")
        assert gemstones.count_params(int(width), int(depth)) == params
    for run, params, recipe, family in (
        tables["more_curves/physicslm4"].select("run", "params", "data_recipe", "family").unique().iter_rows()
    ):
        facts = physicslm4._facts_of(run.removeprefix("physicslm4/"))
        assert (facts["params"], facts["recipe"], facts["family"]) == (params, recipe, family)
    places = tables["curves/pythia_v1"].select("origin", "run", "step", "n_shot", "tokens").unique()
    for origin, *told in places.iter_rows():
        facts = pythia._facts_of(Path("/clone", origin), ReadReport()) or {}
        config = {"num_fewshot": told[2]}
        shots = pythia._shots_of(config, facts, Path(origin), ReadReport())
        assert [facts["run"], facts["step"], shots, facts["tokens"]] == told
    places = tables["more_curves/multisynt"].select("origin", "run", "step", "n_shot", "tokens").unique()
    for origin, *told in places.iter_rows():
        facts = multisynt._facts_of(Path("/clone", origin), ReadReport()) or {}
        assert [facts[name] for name in ("run", "step", "n_shot", "tokens")] == told


PREPARED = (
    "curves/pythia_v1",
    "curves/open_sci_ref",
    "curves/gemstones",
    "more_curves/physicslm4",
    "more_curves/multisynt",
)


def _distinct(frame: pl.DataFrame, recipe: str, tokens: str, step: str) -> list[tuple[str, int, str, int]]:
    return frame.select("run", "params", recipe, pl.col(tokens) // pl.col(step)).unique().rows()


def test_a_checkpoint_evaluated_twice_takes_the_latest(tmp_path: Path) -> None:
    place = tmp_path / "results" / "Finnish" / "new_5shot_checkpoints" / "10B" / "copa_fi" / "p1" / "model"
    place.mkdir(parents=True)
    for date, value in ((30.0, 0.75), (10.0, 0.25)):
        results = {"copa_fi_p1": {"acc,none": value, "exact_match,strict": 0.5}}
        groups = {"copa_fi_p1": ["copa_fi_easy_p1", "copa_fi_hard_p1"]}
        document = {"results": results, "date": date, "group_subtasks": groups}
        (place / f"results_{1000 - date}.json").write_text(json.dumps(document))
    (place / "samples_copa_fi.json").write_text("[]")
    for name in ("multisynt", "auto"):
        frame = read_format(name, [tmp_path]).table.frame
        assert frame.select(
            "run", "task", "metric", "variant", "n_shot", "step", "tokens", "value"
        ).rows() == [
            ("multisynt/finnish-new", "copa_fi", "acc", "p1", 5, 4768, 10**10, 0.75),
            ("multisynt/finnish-new", "copa_fi", "exact_match:strict", "p1", 5, 4768, 10**10, 0.5),
        ]
        assert frame["members"].unique().to_list() == [
            members_text("copa_fi", ["copa_fi_easy", "copa_fi_hard"])
        ]


def test_shots_that_are_not_said_stay_so_unless_a_row_says_them(tmp_path: Path) -> None:
    name = "open-sci-ref_model-0.4b_data-c4_tokenizer-X_samples-300B_global_bs-1000_context-4096_schedule-WSD"
    rows = [
        ("arc_easy", 0.5, ""),
        ("arc_easy", 0.5, "10.0"),
        ("social_iqa", 0.25, ""),
        ("arc_easy", 0.75, "10.0"),
    ]
    lines = [f"{name},/c/{name}/hf/iter_0002000,{task},acc,{value},{shots}" for task, value, shots in rows]
    lines.append("other/model,/c/other,arc_easy,acc,0.5,10.0")
    text = "model_name,model_path,benchmark,metric,value,n_few_shot\n" + "\n".join(lines)
    with zipfile.ZipFile(tmp_path / "results-01-07.csv.zip", "w") as archive:
        archive.writestr("results-01-07.csv", text)
    result = read_format("auto", [tmp_path])
    assert result.table.frame.select("task", "n_shot", "step", "tokens", "value").rows() == [
        ("arc_easy", 10, 2000, 2000 * 4_096_000, 0.75),
        ("socialiqa", None, 2000, 2000 * 4_096_000, 0.25),
    ]
    whys = {why for _, why in result.report.skipped}
    assert whys == {
        "rows of other models, or without step or value",
        "values without shots beside the same with shots",
        "a value given twice: the last counts",
    }


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(open_sci_ref, "MAX_BYTES", 1000)
    path = tmp_path / "results-01-07.csv.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.csv", "x" * 5000)
    with pytest.raises(InputError, match="unpacks to more than 1000 bytes"):
        read_format("open-sci-ref", [path])
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="a zip archive of one"):
        read_format("open-sci-ref", [path])


def test_a_page_with_steps_of_its_recipe(tmp_path: Path) -> None:
    """Mamba2 is no run of the samples; its recipe has other words in other places."""
    (tmp_path / "canon_linear_results").mkdir()
    (tmp_path / "canon_linear_recipes").mkdir()
    for recipe, steps in (("Mamba2Canon-1B-Nemo-1T-lr0.002", 1000), ("GLA5-1B-Nemo-1T-lr0.002", 2000)):
        (tmp_path / "canon_linear_recipes" / f"{recipe}.yaml").write_text(f"steps: {steps}")
    trace = [
        {"name": "1.3B-Mamba2Canon-Nemo-1.0T-lr0.002", "x": [10, 20, 40], "y": [0.25, None, 0.5]},
        {"name": "8.0B-Other-Nemo-1.0T-lr0.002", "x": [10], "y": [0.5]},
    ]
    layout = {"title": {"text": "Task: social_iqa (acc)"}}
    text = f'<html>Plotly.newPlot( "id", {json.dumps(trace)}, {json.dumps(layout)}, {{}} )</html>'
    path = tmp_path / "canon_linear_results" / "training-curves-interactive-linear.html"
    path.write_text(text)
    result = read_format("auto", [tmp_path])
    assert result.table.frame.select("run", "family", "task", "step", "tokens", "value").rows() == [
        ("physicslm4/1.3B-Mamba2Canon-Nemo-1.0T-lr0.002", "physicslm4-mamba2", "socialiqa", 250, 10, 0.25),
        ("physicslm4/1.3B-Mamba2Canon-Nemo-1.0T-lr0.002", "physicslm4-mamba2", "socialiqa", 1000, 40, 0.5),
    ]
    assert "no recipe says its steps" in {why for _, why in result.report.skipped}


@pytest.mark.parametrize(
    ("plot", "words"),
    [
        ('[{"name": "a"', "are no JSON"),
        ('[{"x": [1], "y": [1]}]', "must be a trace with a name"),
        ('[{"name": "Llama-1B-Nemo-1T-lr1", "x": [1, 2], "y": [1]}]', "lists of one length"),
        ('[{"name": "Llama-1B-Nemo-1T-lr1", "x": [1], "y": ["a"]}]', "must be a number"),
    ],
)
def test_broken_pages_are_refused(tmp_path: Path, plot: str, words: str) -> None:
    (tmp_path / "a_results").mkdir()
    (tmp_path / "a_recipes").mkdir()
    (tmp_path / "a_recipes" / "Llama-1B-Nemo-1T-lr1.yaml").write_text("steps: 10")
    path = tmp_path / "a_results" / "training-curves.html"
    path.write_text(f'Plotly.newPlot("id", {plot}, {{"title": {{"text": "Task: piqa (acc)"}}}})')
    with pytest.raises(InputError, match=words):
        read_format("physicslm4", [path])


def test_a_page_without_plots_and_one_whose_plots_are_no_tasks(tmp_path: Path) -> None:
    path = tmp_path / "training-curves.html"
    for text, words in (
        ("<html></html>", "no Plotly plot in it"),
        ('Plotly.newPlot("id", [], {"title": "Loss"})', "a plot whose title is not"),
    ):
        path.write_text(text)
        with pytest.raises(InputError, match=words):
            read_format("physicslm4", [path])


@pytest.mark.parametrize(
    "name",
    [
        "LlamaCanon-1.3B-Nemo-1.0T-lr0.003",
        "LlamaCanon-1B-Nemo-1T-lr0.003",
        "1.3B-LlamaCanon-Nemo-1T-lr0.003",
        "LlamaCanon(1.3B)_Nemo_1T_lr0.003",
    ],
)
def test_a_trace_and_its_recipe_are_one_whatever_the_order(name: str) -> None:
    assert physicslm4.parse_name(name) == ("llamacanon", 1, 1.0, "0.003")
