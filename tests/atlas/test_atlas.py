import numpy as np
import polars as pl
import pytest

import neuneu as nn
from neuneu.atlas.ask import ask_atlas, certainty, scores_frame
from neuneu.atlas.atlas import Atlas, laws_of, shipped_atlas
from neuneu.atlas.combine import combine
from neuneu.atlas.family_laws import KNOTS, capability, fit_law
from neuneu.atlas.setting import Setting
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError

RC = Setting("rc", 5, True)


def family(name, offset=0.0, low=-0.8, high=0.8, setting=RC, runs=4):
    """A family whose score is a logistic of capability, shifted."""
    x = np.linspace(low, high, 40)
    return fit_law(name, setting, runs, x, truth(x + offset))


def truth(x):
    return 0.25 + 0.5 / (1 + np.exp(-4 * x))


def finished(family="mine", values=(0.4, 0.5, 0.6), **more):
    rows = [
        {"run": f"{family}-{i}", "task": "hellaswag", "metric": "acc_norm", "n_shot": 10, "step": 1,
         "value": value, "tokens": 10 ** (10 + i), "params": 10**9, "family": family} | more
        for i, value in enumerate(values)
    ]  # fmt: skip
    return CurveTable.from_frame(pl.DataFrame(rows))


def test_families_make_a_distribution_around_what_they_share():
    law = combine([family("a", -0.1), family("b", 0.0), family("c", 0.1)], RC)
    inside = np.abs(KNOTS) < 0.6
    assert np.abs(law.values[inside, 3] - truth(KNOTS[inside])).max() < 0.03
    assert (np.diff(law.values, axis=1) >= 0).all()
    assert law.families == ("a", "b", "c")
    assert law.values.min() >= 0
    assert law.values.max() <= 1


def test_spread_follows_families_and_grows_where_they_are_few_or_far():
    apart = combine([family("a", -0.4), family("b", 0.4)], RC)
    alike = combine([family("a", -0.05), family("b", 0.05)], RC)
    many = combine([family(name, 0.0) for name in "abcdef"], RC)
    middle = len(KNOTS) // 2
    assert apart.deviation[middle] > alike.deviation[middle] > many.deviation[middle]
    assert many.relatives[middle] > 2 * alike.relatives[middle]
    assert many.relatives[-1] < 0.5 * many.relatives[middle]


def test_beyond_its_models_a_family_follows_the_shape_of_the_others():
    small, whole = family("small", 0.0, high=-0.4), family("whole", 0.0)
    law = combine([small, whole], RC)
    at = int(np.argmin(np.abs(KNOTS - 0.5)))
    assert law.mean[at] == pytest.approx(truth(0.5), abs=0.03)


def test_another_format_says_nothing_and_another_setting_less():
    listed = Setting("mc", 5, True)
    assert combine([family("a", setting=listed)], RC) is None
    same = combine([family("a", 0.0), family("b", -0.6)], RC)
    other = combine([family("a", 0.0), family("b", -0.6, setting=Setting("rc", 0, False))], RC)
    middle = len(KNOTS) // 2
    assert other.mean[middle] > same.mean[middle]


def test_a_task_at_chance_has_a_tail_where_some_families_take_off():
    flat = [fit_law(name, RC, 4, np.linspace(-1, 1, 30), np.full(30, 0.25)) for name in "abcd"]
    early = family("early", 0.5)
    middle = int(np.argmin(np.abs(KNOTS - 0.2)))
    quiet, tail = (combine(laws, RC).values[middle] for laws in (flat, [*flat, early]))
    assert quiet[-1] - 0.25 < 0.05
    assert tail[-1] - 0.25 > 0.2
    assert abs(tail[3] - 0.25) < 0.03


def test_an_atlas_comes_back_from_its_file(tmp_path):
    atlas = Atlas(laws_of(finished()))
    atlas.write(tmp_path / "atlas.parquet")
    again = Atlas.read(tmp_path / "atlas.parquet")
    setting = Setting("rc", 10, True)
    one, two = (a.scores("hellaswag", 1e9, 1e11, setting) for a in (atlas, again))
    assert two.values == pytest.approx(one.values, abs=1e-4)
    assert again.families == ["mine"]


@pytest.mark.parametrize(
    "frame",
    [
        pl.DataFrame({"task": ["a"]}),
        pl.DataFrame(
            {"task": ["a"] * 2, "format": ["rc"] * 2, "n_shot": [0] * 2, "normalised": [True] * 2,
             "family": ["f"] * 2, "runs": [1] * 2, "knot": [3, 7], "value": [1] * 2, "spread": [1] * 2}
        ),
    ],
)  # fmt: skip
def test_a_file_that_is_no_atlas_is_refused(tmp_path, frame):
    path = tmp_path / "other.parquet"
    frame.write_parquet(path)
    with pytest.raises(InputError, match="not an atlas"):
        Atlas.read(path)


def test_what_ships_is_small_and_knows_common_benchmarks():
    scores = ask_atlas(["hellaswag", "arc_easy", "mmlu"], 7e9, 2e12)
    medians = {one.task: one.values[3] for one in scores}
    assert 0.74 < medians["hellaswag"] < 0.84
    assert 0.7 < medians["arc_easy"] < 0.85
    assert 0.3 < medians["mmlu"] < 0.7
    assert [certainty(one) for one in scores] == ["good", "fair", "good"]
    tiny = ask_atlas(["mmlu"], 1e8, 1e10)[0]
    assert abs(tiny.values[3] - 0.25) < 0.02
    assert tiny.above_chance < 0.1
    assert scores[2].above_chance > 0.5


def test_scores_rise_with_size_and_tokens():
    small, large = (ask_atlas(["piqa"], params, 1e12)[0].values[3] for params in (1e8, 7e9))
    short, long = (ask_atlas(["piqa"], 1e9, tokens)[0].values[3] for tokens in (1e10, 1e12))
    assert small < large
    assert short < long


def test_own_runs_extend_the_atlas_and_move_it_only_near_them():
    strong = finished("strong", (0.7, 0.8, 0.9))
    plain, extended = (ask_atlas(["hellaswag"], 1e9, 1e11, finished=own)[0] for own in (None, strong))
    assert extended.mean > plain.mean
    assert extended.families == plain.families + 1
    new = finished("strong", (0.3, 0.4, 0.5), task="my-benchmark")
    mine = ask_atlas(["my-benchmark"], 1e9, 1e11, finished=new, n_shot=10)[0]
    assert certainty(mine) == "poor"
    assert 0.3 < mine.mean < 0.5


def test_a_family_that_is_left_out_is_not_read():
    gone = shipped_atlas().law("hellaswag", RC, frozenset({"pythia", "opt"}))
    assert not {"pythia", "opt"} & set(gone.families)
    fewer = ask_atlas(["hellaswag"], 1e9, 1e11, without=["pythia", "opt"])[0]
    assert fewer.mean > ask_atlas(["hellaswag"], 1e9, 1e11)[0].mean  # both are below what is usual today


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"tasks": ["hellaswg"]}, "hellaswg.*not in the atlas of .*did you mean hellaswag"),
        ({"params": 0.0}, "params = 0.0: must be a finite number above 0"),
        ({"tokens": float("nan")}, "tokens = nan: must be a finite number above 0"),
        ({"form": "cloze"}, "format = 'cloze': unknown"),
        ({"form": "gen"}, "in other formats only"),
        ({"metric": "bpb"}, "metric = 'bpb': unknown; known: acc"),
        ({"without": ["gpt-9"]}, "without = 'gpt-9': is no family of the atlas"),
        ({"tasks": []}, "tasks: name at least one task"),
    ],
)
def test_bad_questions_are_refused(asked, message):
    question = {"tasks": ["hellaswag"], "params": 1e9, "tokens": 1e11} | asked
    with pytest.raises(InputError, match=message):
        ask_atlas(**question)


def test_runs_of_unknown_size_make_no_law():
    with pytest.raises(InputError, match="params and tokens are known"):
        laws_of(finished(params=None))


def test_one_frame_holds_all_answers():
    frame = scores_frame(ask_atlas(["hellaswag", "bbh"], 7e9, 2e12, n_shot=10, metric="acc_norm"))
    assert frame["task"].to_list() == ["hellaswag", "bbh"]
    assert frame["format"].to_list() == ["rc", "mc"]
    assert (frame["q10"] <= frame["q90"]).all()
    assert frame["chance"].to_list() == [0.25, None]


def test_the_front_door_answers_for_one_task_or_several() -> None:
    one = nn.atlas("hellaswag", params=7e9, tokens=2e12)
    two = nn.atlas(["hellaswag", "mmlu"], params=7e9, tokens=2e12, n_shot=5, form="mc", without=["opt"])
    assert one["task"].to_list() == ["hellaswag"]
    assert two["format"].to_list() == ["mc", "mc"]


def test_a_run_rises_as_families_do_that_stand_where_it_does():
    law = combine([family("early", 0.5), family("late", -0.5)], RC)
    start, later = 0.0, np.array([0.0, 0.4, 0.8])
    as_early, as_late = (law.rise(truth(start + shift), start, later) for shift in (0.5, -0.5))
    assert as_early.mean == pytest.approx(truth(later + 0.5) - truth(start + 0.5), abs=0.06)
    assert as_late.mean == pytest.approx(truth(later - 0.5) - truth(start - 0.5), abs=0.06)
    assert as_late.mean[0] == 0
    assert (np.diff(as_late.taking_off) >= 0).all()
    assert as_late.taking_off[-1] > 0.9


def test_a_family_that_is_asked_about_outweighs_the_others_near_its_models():
    laws = [family(name) for name in "abc"] + [family("own", 0.4, low=-0.2, high=0.2)]
    plain, own = combine(laws, RC), combine(laws, RC, "own")
    middle = len(KNOTS) // 2
    assert abs(own.mean[middle] - truth(0.4)) < 0.03 < abs(plain.mean[middle] - truth(0.4))
    assert own.deviation[middle] < plain.deviation[middle]


def test_capability_of_runs_places_them_in_their_law():
    law = laws_of(finished())["hellaswag"][0]
    reached = KNOTS[law.knots]
    assert reached[0] == pytest.approx(capability(1e9, 1e10), abs=0.06)
    assert reached[-1] == pytest.approx(capability(1e9, 1e12), abs=0.06)
