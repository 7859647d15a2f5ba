"""Aliases bring measurements together; conflicts between them are shown and settled by a named choice."""

from pathlib import Path

import polars as pl
import pytest

from neuneu.designs import DesignStore
from neuneu.designs.database import views
from neuneu.designs.database.aliases import PUBLISHED_ALIASES, TASK_ALIASES, Aliases, standard_id
from neuneu.errors import InputError


def test_aliases_lead_to_one_name() -> None:
    aliases = Aliases()
    assert aliases.model("gpt2") == "openai-community/gpt2"
    assert aliases.model("cerebras/Cerebras-GPT-13B") != aliases.model("cerebras/Cerebras-GPT-1.3B")
    assert aliases.task("hendrycksTest-anatomy", "accuracy") == ("mmlu_anatomy", "accuracy")
    assert aliases.task("arc:challenge", "acc_norm") == ("arc_challenge", "acc_norm")
    assert aliases.task("truthfulqa:mc", "mc2") == ("truthfulqa_mc2", "accuracy")
    assert aliases.task("hellaswag", "accuracy") == ("hellaswag", "accuracy")
    assert Aliases(paths=True).model("/x/y/mine", {"mine"}) == "mine"
    assert aliases.model("/x/y/mine", {"mine"}) == "/x/y/mine"
    assert standard_id("org__name") == "org/name"
    chain = Aliases(models={"a": "b", "b": "c", "x": "y", "y": "x"})
    assert [chain.model(name) for name in ("a", "b", "c")] == ["c"] * 3
    assert chain.model("x") in ("x", "y")  # a circle ends


@pytest.mark.parametrize(
    ("choice", "value"),
    [("first", 0.31), ("last", 0.30), ("largest", 0.31), ("smallest", 0.30), ("mean", 0.305)],
)
def test_one_value_a_measurement(store: DesignStore, choice: views.Choice, value: float) -> None:
    frame = views.evaluations(store, choice=choice)
    arc = frame.filter(id="org/a", benchmark="arc_challenge")
    assert arc["metric_value"].item() == pytest.approx(value)
    assert frame.filter(benchmark="truthfulqa_mc2", metric="accuracy")["id"].to_list() == ["org/a", "org/b"]


def test_conflicts_are_shown(store: DesignStore) -> None:
    row = views.conflicts(store).row(0, named=True)
    assert (row["id"], row["benchmark"], row["values"]) == ("org/a", "arc_challenge", [0.31, 0.30])


def test_profiles_gaps_and_wide_tables(store: DesignStore) -> None:
    assert len(views.profile(store, "org/a")["evaluation"]) == 3
    with pytest.raises(InputError, match="nothing is known"):
        views.profile(store, "who/knows")
    with pytest.raises(InputError, match="did you mean org/a or org/b"):
        views.profile(store, "orgs/a")
    gaps = views.missing_evaluations(store, least=1)
    assert ("solo", "arc_challenge", "25-shot", "accuracy") in list(gaps.iter_rows())
    assert views.analysis_data(store, "wide")["arc_challenge_25-shot_accuracy"].to_list() == [
        0.31,
        None,
        None,
    ]
    assert set(views.analysis_data(store)["id"]) == {"org/a", "org/b"}
    assert views.missing_facts(store)["missing"].max() == 3


def test_aliases_give_truthfulqa_to_all_models_of_the_analysis_set(published_store: DesignStore) -> None:
    facts = views.facts(published_store).filter(
        pl.col("total_params").is_not_null()
        & pl.col("pretraining_summary_total_tokens_billions").is_not_null()
        & ~pl.col("is_instruction_tuned").fill_null(False)
    )
    assert len(facts) == 94
    counts = {}
    for name, aliases in (("published", PUBLISHED_ALIASES), ("ours", Aliases(tasks=TASK_ALIASES))):
        rows = views.evaluations(published_store, aliases=aliases).filter(metric="accuracy")
        rows = rows.filter(pl.col("id").is_in(facts["id"].to_list()))
        assert rows["id"].n_unique() == 92
        counts[name] = rows.filter(pl.col("benchmark").is_in(["truthfulqa_mc1", "truthfulqa_mc2"]))[
            "id"
        ].n_unique()
    assert counts == {"published": 69, "ours": 92}


def test_published_sources_disagree_as_counted(published_store: DesignStore, published: Path) -> None:
    clashes = views.conflicts(published_store, aliases=Aliases(models={}))
    arc = clashes.filter((pl.col("benchmark") == "arc_challenge") & (pl.col("metric") == "accuracy"))
    assert len(arc) == 30
    assert arc["difference"].max() == pytest.approx(0.25, abs=0.005)


def test_aliases_are_added_to_a_database_and_never_in_circles(store: DesignStore) -> None:
    store.alias_model("other/b", "org/b")
    assert len(views.profile(store, "other/b")["evaluation"]) == 2
    for alias, name in (("org/b", "other/b"), ("x", "x"), ("", "org/a"), ("a\nb", "org/a")):
        with pytest.raises(InputError):
            store.alias_model(alias, name)
