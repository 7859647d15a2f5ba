from dataclasses import replace

import numpy as np
import polars as pl
import pytest

import neuneu as nn
from neuneu.curves.table import CurveTable
from neuneu.decisions.choices import advise, compare_runs, pairs, rank
from neuneu.decisions.shared import shared_curves, shared_settings
from neuneu.decisions.today import measured
from neuneu.errors import CannotForecastError, InputError
from neuneu.evidence.select import Selection
from neuneu.forecasters.base import LEVELS

PIQA = Selection(tasks=["piqa"])


def by_run(found):
    return {run.run: run for run in found.runs}


def test_runs_are_compared_at_the_farthest_planned_end_and_finished_ones_at_their_own(table, steady):
    found = compare_runs(table, steady)
    assert found.at == 100
    runs = by_run(found)
    assert sorted(runs) == ["small", "strong", "weak"]
    assert {name: run.at for name, run in runs.items()} == {"small": 40, "strong": 100, "weak": 100}
    assert runs["small"].finished
    assert not runs["strong"].finished
    # finished at 40: what was measured there, not a forecast beyond its end
    assert runs["small"].quantile(0.5) == pytest.approx(0.44)


def test_a_measured_value_is_known_up_to_the_noise_between_checkpoints(table, steady):
    rng = np.random.default_rng(0)
    curve = PIQA.of(table).filter(run="small").curves[0]
    from dataclasses import replace

    noisy = replace(curve, values=0.4 + rng.normal(0, 0.01, len(curve)))
    width = np.diff(measured(noisy)[[LEVELS.index(0.1), LEVELS.index(0.9)]])[0]
    assert width == pytest.approx(2 * 1.2816 * 0.01, rel=0.5)
    sure = replace(curve, values=np.full(len(curve), 0.4))
    assert np.ptp(measured(sure)) == 0
    told = replace(sure, stderr=np.full(len(curve), 0.02))
    assert np.ptp(measured(told)) > 0.05


def test_two_finished_runs_within_their_noise_are_not_told_apart(table, steady):
    rng = np.random.default_rng(1)
    rows = [
        {
            "run": run, "task": "piqa", "metric": "acc", "step": k, "tokens": k, "planned_tokens": 40,
            "value": level + rng.normal(0, 0.02),
        }
        for run, level in (("a", 0.5), ("b", 0.501)) for k in range(41)
    ]  # fmt: skip
    found = compare_runs(CurveTable.from_frame(pl.DataFrame(rows)), steady)
    assert 0.05 < rank(found)["p_best"][1] < 0.5


def test_the_run_ahead_is_likeliest_to_win(table, steady):
    frame = rank(compare_runs(table, steady))
    assert frame["run"].to_list() == ["strong", "weak", "small"]
    assert frame["p_best"].sum() == pytest.approx(1)
    assert frame["p_beats_favourite"][0] is None
    wins = pairs(compare_runs(table, steady))
    both = wins.filter(run="strong", other="weak")["p_run_wins"][0], wins.filter(run="weak", other="strong")
    assert both[0] + both[1]["p_run_wins"][0] == pytest.approx(1)


def test_where_lower_is_better_the_lower_run_wins_and_values_keep_their_sign(table, steady):
    losses = CurveTable(table.frame.with_columns(metric=pl.lit("bpb")))
    found = compare_runs(losses, steady, selection=Selection(metric="bpb"))
    frame = rank(found)
    assert frame["run"][0] == "small"
    assert (frame["q10"] <= frame["q90"]).all()
    assert (frame["q50"] > 0).all()
    sure = advise(found, target=0.9)
    assert set(sure["advice"]) == {"go on"}  # all are below 0.9


def test_tasks_of_a_run_are_fully_dependent(table, steady):
    one = by_run(compare_runs(table, steady, selection=PIQA))
    two = by_run(compare_runs(table, steady))
    # two equal tasks: a mean of independent ones would be narrower
    for name, run in one.items():
        np.testing.assert_allclose(run.points, two[name].points)


def in_settings(table, *settings):
    """The table's piqa in several settings: (metric, shots, added to the value)."""
    piqa = table.filter(task="piqa").frame
    parts = [
        piqa.with_columns(
            metric=pl.lit(metric), n_shot=pl.lit(shots, pl.Int64), value=pl.col("value") + added
        )
        for metric, shots, added in settings
    ]
    return CurveTable.from_frame(pl.concat(parts))


def test_settings_of_a_task_are_not_averaged_but_one_is_taken_and_told(table, steady):
    several = in_settings(table, ("acc", 5, -0.2), ("len_norm", 5, 0.1), ("len_norm", 0, 0.0))
    found = compare_runs(several, steady)
    assert found.shared.settings == [("piqa", "len_norm", 0, None)]
    assert found.shared.in_words == "piqa len_norm 0-shot"
    alone = compare_runs(several, steady, selection=Selection(metric="len_norm", n_shot=0))
    assert rank(found).equals(rank(alone))
    chosen = compare_runs(several, steady, selection=Selection(metric="acc"))
    assert chosen.shared.settings == [("piqa", "acc", 5, None)]
    both = advise(found, target=0.5), advise(alone, target=0.5)
    assert both[0].equals(both[1])


def test_a_benchmark_counts_once_however_many_parts_it_has(table, steady):
    piqa = table.filter(task="piqa").frame
    parts = [piqa]
    for name, added in (("mmlu", 0.1), ("mmlu_anatomy", 0.3), ("mmlu_virology", 0.3)):
        parts.append(piqa.with_columns(task=pl.lit(name), value=pl.col("value") + added))
    found = compare_runs(CurveTable.from_frame(pl.concat(parts)), steady)
    assert {setting[0] for setting in found.shared.settings} == {"piqa", "mmlu"}
    assert set(found.shared.weights.values()) == {0.5}
    assert "mmlu_anatomy" in found.shared.lacking
    assert by_run(found)["small"].quantile(0.5) == pytest.approx(0.44 + 0.05)


def test_runs_that_share_nothing_say_who_lacks_what(table, steady):
    shots = pl.when(pl.col("run") == "weak").then(5).otherwise(0)
    apart = CurveTable.from_frame(table.frame.with_columns(n_shot=shots))
    found = compare_runs(apart, steady)
    assert sorted(by_run(found)) == ["small", "strong"]
    assert found.shared.lacking["weak"].startswith("no ")
    with pytest.raises(InputError, match="strong has not got it"):
        compare_runs(apart, steady, selection=Selection(["weak", "strong"]))


def held(**settings: str) -> dict[str, set[tuple[str, str, int | None, str | None]]]:
    """Run → its tasks in 0 shots, written as one letter each."""
    return {run: {(task, "acc", 0, None) for task in tasks} for run, tasks in settings.items()}


def test_runs_that_share_nothing_are_compared_where_they_have_most_curves():
    found = shared_settings(held(a="xyz", b="xyz", c="xyz", d="xw", e="w", f="w", g="w"))
    assert list(found.runs) == ["a", "b", "c"]  # 9 curves; w alone would be 4, x alone 4
    assert [setting[0] for setting in found.settings] == ["x", "y", "z"]
    assert found.lacking["d"] == "no y acc 0-shot, z acc 0-shot"
    assert found.left_out_in_words == [
        "left out: d: no y acc 0-shot, z acc 0-shot",
        "left out: 3 (e, f, g): no x acc 0-shot, y acc 0-shot, z acc 0-shot",
        "`runs` and `tasks` choose what is compared",
    ]
    assert list(shared_settings(held(a="xy", b="x", c="x")).runs) == ["a", "b", "c"]  # all share x: all stay
    with pytest.raises(InputError, match="share no task"):
        shared_settings(held(a="x", b="y"))


def test_what_is_left_out_is_told_in_a_few_lines(table, steady):
    lacking = {f"a-very-long-name-of-a-run-{'x' * 60}-{i}": f"no task{i % 9} acc" for i in range(40)}
    found = replace(compare_runs(table, steady).shared, lacking=lacking)
    lines = found.left_out_in_words
    assert len(lines) == 7
    assert lines[0].startswith("left out: 5 (a-very-long-name-of-a-run-xxx…")
    assert lines[5].startswith("left out: 16 more")
    assert all(len(line) < 300 for line in lines)


def test_the_runs_of_open_sci_ref_are_ranked_over_what_most_of_them_have(shared):
    chosen = Selection().of(CurveTable.read(shared / "data" / "curves" / "open_sci_ref.parquet"))
    found, of_run = shared_curves(chosen, named=False)
    assert (len(found.runs), len(found.settings)) == (38, 11)
    assert len(found.left_out_in_words) <= 7
    assert all(len(curves) == 11 for curves in of_run.values())


def test_looking_back_cuts_every_run_at_the_share(table, steady):
    found = compare_runs(table, steady, context=0.5, horizon=15)
    assert {run.run: run.end for run in found.runs} == {"small": 20, "strong": 10, "weak": 20}
    assert all(evidence.end == 10 for evidence in steady.seen)  # the others are past 15 by then


def test_advice_follows_the_threshold_and_states_its_regret(table, steady):
    found = compare_runs(table, steady)
    sure = advise(found, target=0.3)
    assert set(sure["advice"]) == {"go on"}
    assert (sure["p_success"] == 1).all()
    hopeless = advise(found, target=0.9)
    assert set(hopeless["advice"]) == {"stop"}
    assert sorted(hopeless["run"]) == ["strong", "weak"]  # nothing is left to stop of the third
    assert (hopeless["regret"] == 0).all()
    strong = hopeless.filter(run="strong").row(0, named=True)
    assert strong["compute_saved"] == pytest.approx(0.8)
    assert strong["flops_saved"] == 6 * 200 * 80
    between = advise(found, target=0.63, threshold=0.5).filter(run="strong").row(0, named=True)
    assert between["advice"] == ("stop" if between["p_success"] < 0.5 else "go on")
    assert 0 < between["regret"] < 0.05


def test_a_rival_is_the_bar(table, steady):
    found = compare_runs(table, steady)
    against = advise(found, rival="strong")
    assert "strong" not in against["run"].to_list()
    wins = pairs(found).filter(run="weak", other="strong")["p_run_wins"][0]
    assert against.filter(run="weak")["p_success"][0] == pytest.approx(wins, abs=0.01)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({}, "one of the two"),
        ({"target": 0.5, "rival": "weak"}, "one of the two"),
        ({"rival": "week"}, "did you mean weak"),
        ({"target": 0.5, "threshold": 0.0}, "between 0 and 1"),
        ({"target": 60}, "write 0.6"),
        ({"target": float("nan")}, r"in \[0, 1\]"),
    ],
)
def test_what_cannot_be_advised_is_an_error(table, steady, wrong, message):
    with pytest.raises(InputError, match=message):
        advise(compare_runs(table, steady), **wrong)


def test_what_cannot_be_decided_is_an_error(table, steady, decliner):
    with pytest.raises(InputError, match="nothing left to stop"):
        advise(compare_runs(table, steady, horizon=10), target=0.5)
    alone = rank(compare_runs(table, steady, selection=Selection(["weak"])))
    assert alone["p_best"].to_list() == [1.0]
    for horizon in (-1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="positive and finite"):
            compare_runs(table, steady, horizon=horizon)
    with pytest.raises(CannotForecastError, match="not this task"):
        compare_runs(table, decliner)


def with_seeds(table, *levels, others=()):
    """The table's runs as the recipe `x` in seeds at these levels, beside other runs at theirs."""
    piqa = table.filter(task="piqa", run="strong").frame
    named = [(f"x-seed{k}", level) for k, level in enumerate(levels)] + list(others)
    flat = [piqa.with_columns(run=pl.lit(name), value=pl.lit(level)) for name, level in named]
    return CurveTable.from_frame(pl.concat(flat))


def test_seeds_count_as_one_run_and_their_spread_enters_every_probability(table, steady):
    near, far = (
        compare_runs(with_seeds(table, 0.5 - d, 0.5 + d, others=[("y", 0.51)]), steady, seeds="band")
        for d in (0.001, 0.02)
    )
    for found, d in ((near, 0.001), (far, 0.02)):
        assert [(run.run, run.seeds) for run in found.runs] == [("x", 2), ("y", 1)]
        assert found.between_seeds == pytest.approx(d * np.sqrt(2))
        alone = by_run(compare_runs(with_seeds(table, 0.5, others=[("y", 0.51)]), steady))
        x, y = found.runs
        assert x.quantile(0.5) == pytest.approx(0.5)
        assert x.deviation == pytest.approx(np.hypot(alone["x-seed0"].deviation, d))
        assert y.deviation == pytest.approx(np.hypot(alone["y"].deviation, d * np.sqrt(2)))
    wins = [pairs(found).filter(run="y")["p_run_wins"][0] for found in (near, far)]
    assert 0.5 < wins[1] < wins[0]
    assert rank(far).columns[-1] == "seeds"


def test_more_seeds_make_surer(table, steady):
    spread = [0.48, 0.52] * 4
    wins = [
        pairs(compare_runs(with_seeds(table, *spread[:n], others=[("y", 0.51)]), steady, seeds="band"))
        .filter(run="y")["p_run_wins"][0]
        for n in (2, 8)
    ]  # fmt: skip
    assert 0.5 < wins[0] < wins[1]


def test_finished_seeds_are_compared_with_their_spread(table, steady):
    ended = with_seeds(table, 0.49, 0.51, others=[("y", 0.5001)]).frame
    ended = ended.with_columns(planned_tokens=pl.col("tokens").max())
    found = compare_runs(CurveTable.from_frame(ended), steady, seeds="band")
    assert all(run.finished for run in found.runs)
    assert 0.5 < pairs(found).filter(run="y")["p_run_wins"][0] < 0.51


def test_seeds_are_an_error_where_none_of_the_compared_runs_has_any(table, steady):
    several = with_seeds(table, 0.5, 0.51, others=[("y", 0.5), ("z", 0.4)])
    with pytest.raises(InputError, match="none of the compared runs"):
        compare_runs(several, steady, seeds="band", selection=Selection(["y", "z"]))
    with pytest.raises(InputError, match="no two runs"):
        compare_runs(table, steady, seeds="band")
    named = compare_runs(several, steady, seeds="band", selection=Selection(["x-seed1", "y"]))
    assert sorted(by_run(named)) == ["x", "y"]


def test_rank_says_that_a_curve_ends_early_and_why(tmp_path, steady):
    """Case P-32: a task that is 5-shot in the first checkpoints of one run and 0-shot in the others."""
    rows = [
        {
            "run": run, "task": "hellaswag", "metric": "acc", "step": k, "tokens": 1000 * k,
            "n_shot": 5 if run == "a" or k <= 3 else 0, "value": 0.4 + k / 100 + (run == "b") / 10,
        }
        for run in ("a", "b") for k in range(1, 9)
    ]  # fmt: skip
    table = CurveTable.from_frame(pl.DataFrame(rows))
    found = compare_runs(table, steady)
    (told,) = [line for line in found.notes if "ends at" in line]
    assert told.startswith("b, hellaswag acc 5-shot ends at clock 3000, other curves of this run go on")
    assert "5-shot until step 3, 0-shot from step 4" in told
    with pytest.warns(UserWarning, match="ends at clock 3000"):
        nn.rank(table, forecaster=steady)
    whole = CurveTable.from_frame(pl.DataFrame(rows).with_columns(n_shot=pl.lit(5)))
    assert not compare_runs(whole, steady).notes[1:]


def test_rank_says_which_run_is_forecast_where_others_have_been_measured(table, steady):
    """small has ended by its plan; weak and strong are in flight, strong at half of weak's clock."""
    (told,) = compare_runs(table, steady).notes
    assert told.startswith("strong ends well before clock 40")


def test_runs_of_unknown_size_are_said_not_to_inform_each_other(table, steady):
    unknown = CurveTable.from_frame(table.frame.with_columns(params=pl.lit(None, pl.Int64)))
    found = compare_runs(unknown, steady)
    assert any("2 runs of unknown size" in line for line in found.notes)
    assert all(run.peers == -1 for run in found.runs)


def in_flight(**values):
    """Runs of one size and budget in flight: run → its values on piqa at clocks 1, 2, …, planned to 100."""
    rows = [
        {"run": run, "step": k, "tokens": k, "value": value}
        for run, own in values.items() for k, value in enumerate(own, start=1)
    ]  # fmt: skip
    frame = pl.DataFrame(rows).with_columns(
        task=pl.lit("piqa"), metric=pl.lit("acc"), params=1, planned_tokens=100
    )
    return CurveTable.from_frame(frame)


def test_peers_are_compared_at_the_clock_that_all_of_them_have_reached(steady):
    rising = [0.3 + k / 100 for k in range(24)]
    found = compare_runs(in_flight(a=rising[:20], b=rising, c=rising[:10]), steady)
    runs = by_run(found)
    assert runs["a"].peers == runs["b"].peers >= 0
    assert runs["c"].peers == -1  # too far behind to be compared by what it shows today
    assert runs["a"].level == pytest.approx(runs["b"].level)
    assert runs["a"].level == pytest.approx(np.mean(rising[15:20]))


def test_a_run_that_was_first_measured_after_the_common_clock_is_no_peer(steady):
    """What it shows at that clock is unknown, which took the probabilities of all its peers with it."""
    table = in_flight(a=np.full(20, 0.5), b=np.full(24, 0.6), c=np.full(24, 0.4))
    late = table.frame.filter((pl.col("run") != "c") | (pl.col("step") > 21))
    found = compare_runs(CurveTable.from_frame(late), steady)
    runs = by_run(found)
    assert runs["a"].peers == runs["b"].peers >= 0
    assert runs["c"].peers == -1
    assert np.isfinite(found.points).all()
    assert rank(found)["run"][0] == "b"


def test_ended_runs_are_no_peers_of_those_in_flight(steady):
    """What a run shows halfway is not held against what another shows at its end."""
    half, whole = [0.4] * 50, [0.4] * 100
    alone = pairs(compare_runs(in_flight(a=half, b=[0.42] * 50), steady))
    beside = pairs(compare_runs(in_flight(a=half, b=[0.42] * 50, done=whole), steady))
    same = beside.filter(run="a", other="b")["p_run_wins"][0]
    assert same == pytest.approx(alone.filter(run="a", other="b")["p_run_wins"][0])
    done = by_run(compare_runs(in_flight(a=half, b=[0.42] * 50, done=whole), steady))["done"]
    assert done.finished
    assert done.peers == -1


def test_how_far_peers_are_apart_is_told_by_all_their_tasks(steady):
    random = np.random.default_rng(0)
    levels = {run: 0.4 + 0.02 * i for i, run in enumerate("abcd")}
    noisy = in_flight(**{run: level + random.normal(0, 0.02, 40) for run, level in levels.items()})
    clear = in_flight(**{run: level + random.normal(0, 0.001, 40) for run, level in levels.items()}).frame
    tasks = [noisy.frame, *(clear.with_columns(task=pl.lit(name)) for name in ("boolq", "copa", "sciq"))]
    alone = compare_runs(noisy, steady)
    among = compare_runs(CurveTable.from_frame(pl.concat(tasks)), steady, selection=PIQA)
    assert alone.runs[0].apart > 1
    assert among.runs[0].apart > 2 * alone.runs[0].apart


def test_runs_without_a_checkpoint_in_the_context_are_left_out_and_told(table, steady):
    late = table.frame.filter(pl.col("run") == "weak", pl.col("step") > 10).with_columns(run=pl.lit("late"))
    every = CurveTable.from_frame(pl.concat([table.frame, late]))
    found = compare_runs(every, steady, context=0.2)
    assert sorted(by_run(found)) == ["small", "strong", "weak"]
    assert found.shared.lacking["late"] == "no checkpoint in the context"
    with pytest.raises(InputError, match="before the first checkpoint"):
        compare_runs(every, steady, context=0.2, selection=Selection(["late", "weak"]))
