import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import neuneu as nn
from neuneu.atlas.ask import ask_atlas
from neuneu.atlas.atlas import laws_of, shipped_atlas
from neuneu.atlas.corpora import NAMES, Corpora, Effect, find_corpus, fit_corpora, shipped_corpora
from neuneu.atlas.family_laws import capability
from neuneu.atlas.setting import Setting
from neuneu.curves.curve import CurveKey, Facts
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.evidence import unstarted
from neuneu.forecasters.base import make_forecaster


def table(families, tasks=("hellaswag", "arc_easy")):
    """Five runs a family, whose scores are a logistic of capability, shifted by what its data are worth."""
    rows = []
    for family, (recipe, shift) in families.items():
        for i, tokens in enumerate((1e9, 4e9, 2e10, 1e11, 5e11)):
            x = capability(3e8, tokens) + shift
            rows += [
                {"run": f"{family}-{i}", "task": task, "metric": "acc_norm", "n_shot": 0, "step": 1,
                 "value": float(0.25 + 0.5 / (1 + np.exp(-3 * x))), "tokens": int(tokens),
                 "params": int(3e8), "family": family, "recipe": recipe}
                for task in tasks
            ]  # fmt: skip
    return CurveTable.from_frame(pl.DataFrame(rows))


@pytest.mark.parametrize(
    ("recipe", "corpus"),
    [
        ("C4", "c4"),
        ("c4_original", "c4"),
        ("FineWeb-Edu", "fineweb-edu"),
        ("fineweb_edu_sample_350BT", "fineweb-edu"),
        ("nemotron-cc-hq 1.0T lr0.002", "nemotron-cc-hq"),
        ("olmo-mix-1124 (peteish)", "dclm-baseline"),
        ("pile-deduped", "pile"),
        ("c4 + code", None),
        ("half pile, half c4", None),
        ("pile-of-law", None),
        ("french: HPLT v3", None),
        ("fineweb", None),
        ("dolma-v2", None),
        ("", None),
        (None, None),
    ],
)
def test_a_recipe_names_a_corpus_only_where_it_names_nothing_else(recipe, corpus):
    assert find_corpus(recipe) == corpus


@given(st.text(max_size=40))
def test_any_recipe_is_a_known_corpus_or_none(recipe):
    assert find_corpus(recipe) in {None, *NAMES}


@given(corpus=st.sampled_from(sorted(NAMES)), sign=st.sampled_from("-_ /."))
def test_signs_and_case_do_not_count(corpus, sign):
    assert find_corpus(corpus.upper().replace("-", sign if sign != "." else "-")) == corpus


def test_what_a_corpus_is_worth_is_found_again():
    told = {
        "a": ("c4", 0.0),
        "b": ("mine", 0.0),
        "c": (None, 0.0),
        "good": ("dclm", 0.3),
        "old": ("pile", -0.2),
    }
    curves = table(told)
    found = {e.corpus: e for e in fit_corpora(curves, laws_of(curves)).effects}
    assert set(found) == {"c4", "dclm-baseline", "pile"}
    assert found["dclm-baseline"].shift == pytest.approx(0.3, abs=0.1)
    assert found["pile"].shift == pytest.approx(-0.2, abs=0.1)
    assert abs(found["c4"].shift) < 0.1
    assert (found["pile"].family, found["pile"].runs) == ("old", 5)


def test_an_effect_is_believed_the_more_the_more_families_show_it():
    corpora = Corpora([Effect("pile", name, -0.2, 4) for name in "ab"] + [Effect("c4", "a", 0.1, 4)])
    assert corpora.shift("pile") == pytest.approx(-0.4 / 3)
    assert corpora.shift("pile", ["a"]) == pytest.approx(-0.1)
    assert corpora.shift("pile", ["a", "b"]) is None
    assert corpora.shift("dolma") is None
    assert corpora.shift(None) is None


def test_families_that_cannot_be_compared_tell_nothing():
    alone = table({"a": ("c4", 0.0)})
    assert fit_corpora(alone, laws_of(alone)).effects == ()


def test_what_ships_says_what_the_field_knows():
    shift = {name: shipped_corpora().shift(name) for name in shipped_corpora().names}
    assert shift["dclm-baseline"] > shift["refinedweb"] > shift["pile"]
    assert shift["fineweb-edu"] > shift["c4"] > shift["redpajama"]
    assert max(abs(value) for value in shift.values()) < 0.3


def test_the_atlas_is_asked_for_a_corpus():
    plain, good, old = (
        ask_atlas(["hellaswag"], 1e9, 1e11, data=data)[0] for data in (None, "DCLM-baseline", "the pile")
    )
    assert old.mean < plain.mean < good.mean
    assert (plain.shift, good.shift) == (None, shipped_corpora().shift("dclm-baseline"))
    spans = [one.values[5] - one.values[1] for one in (plain, good)]
    assert spans[1] < spans[0]
    frame = nn.atlas("hellaswag", 1e9, 1e11, data="pile", without=["pythia"])
    assert frame["data_shift"].to_list() == [shipped_corpora().shift("pile", ["pythia"])]
    with pytest.raises(InputError, match=r"data = 'fineweb-ed': is no corpus.*did you mean fineweb-edu"):
        ask_atlas(["hellaswag"], 1e9, 1e11, data="fineweb-ed")


def test_known_data_leave_a_tenth_less_open():
    law = shipped_atlas().law("hellaswag", Setting("rc", 0, True))
    known, unknown = (law.quantiles(np.array([0.5]), shift)[0] for shift in (0.0, None))
    assert known - known[3] == pytest.approx(0.9 * (unknown - unknown[3]))


def test_a_run_that_has_not_started_is_forecast_from_its_data():
    horizons = np.array([1e11])
    found = {}
    for recipe in ("pile", "c4 and more", "dclm"):
        facts = Facts(params=10**9, recipe=recipe, family="new")
        question = unstarted(CurveKey("run", "hellaswag", "acc_norm", 0), facts)
        found[recipe] = make_forecaster("neuneu-2").forecast_many([question], [horizons])[0].median[0]
    assert found["pile"] < found["c4 and more"] < found["dclm"]


def test_recipes_of_finished_runs_tell_what_a_new_run_of_one_scores():
    finished = table({"good": ("ours, filtered", 0.25), "plain": ("ours", 0.0), "old": ("older", -0.1)})
    references = [curve for curve in finished.curves if curve.key.task == "hellaswag"]
    horizons, found = np.array([6e10]), {}
    for recipe in ("ours, filtered", "ours", None):
        facts = Facts(params=3 * 10**8, recipe=recipe, family="new")
        question = unstarted(CurveKey("run", "hellaswag", "acc_norm", 0), facts, references)
        found[recipe] = make_forecaster("neuneu-2").forecast_many([question], [horizons])[0].median[0]
    true = 0.25 + 0.5 / (1 + np.exp(-3 * (capability(3e8, 6e10) + 0.25)))
    assert found["ours, filtered"] - found["ours"] > 0.03
    assert found["ours, filtered"] == pytest.approx(true, abs=0.008)
    assert found["ours"] <= found[None] <= found["ours, filtered"]
