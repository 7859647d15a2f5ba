import pytest

from neuneu.curves.table import CurveTable
from neuneu.decisions.outlook import (
    Horizon,
    brief,
    look_ahead,
    outlook_frame,
    read_context,
    read_references,
    ready_forecaster,
    select,
)
from neuneu.errors import CannotForecastError, InputError
from neuneu.evidence.evidence import finished_runs, smaller_finished_runs


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1x", "context end itself"),
        *((text, "past") for text in ("0.5x", "0x")),
        *((text, "negative") for text in ("-3", "-2x")),
        *((text, "finite") for text in ("nan", "inf", "1e400", "nanx")),
        *((text, "clock value") for text in ("soon", "", "x")),
    ],
)
def test_horizons_that_mean_nothing_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        Horizon.parse(text)


def test_horizons_are_clocks_or_multiples_of_the_context_end(table):
    curve = select(table, "strong", "piqa").curves[0]
    assert Horizon.parse("3e1").at(curve, 20) == 30
    assert Horizon.parse("3X").at(curve, 20) == 60
    for text, message in (("20", "context end itself"), ("5", "in the past"), ("0", "in the past")):
        with pytest.raises(InputError, match=message):
            Horizon.parse(text).at(curve, 20)
    with pytest.raises(InputError, match="overflows"):
        Horizon.parse("1e308x").at(curve, 20)


def test_unknown_names_are_answered_with_near_ones(table):
    for wrong, near in (
        ({"run": "stron"}, "strong"),
        ({"task": "hellasvag"}, "hellaswag"),
        ({"metric": "ac"}, "acc"),
    ):
        with pytest.raises(InputError, match=f"near: .*{near}"):
            select(table, **wrong)


def test_by_default_runs_in_flight_are_asked_up_to_their_planned_end(table, steady):
    (strong,) = look_ahead(table, select(table, "strong", "piqa"), steady)
    assert strong.horizons.tolist() == [40, 100]  # twice 20; five times is the end itself
    (small,) = look_ahead(table, select(table, "small", "piqa"), steady)
    assert small.horizons.tolist() == [80, 200, 400]  # it has reached its end


def test_a_context_cuts_the_run_and_every_other_task_of_it(table, steady):
    (outlook,) = look_ahead(table, select(table, "small", "piqa"), steady, context=0.5)
    assert outlook.end == 20
    assert outlook.horizons.tolist() == list(range(21, 41))
    (evidence,) = steady.seen
    assert evidence.context.clock[-1] == 20
    assert [curve.clock[-1] for curve in evidence.other_tasks] == [20]
    frame = outlook_frame([outlook], "steady")
    assert frame["value"].to_list() == pytest.approx([0.4 + 0.001 * k for k in range(21, 41)])


def test_references_are_those_allowed(table, steady):
    chosen = select(table, "strong", "piqa")
    look_ahead(table, chosen, steady)
    look_ahead(table, chosen, steady, references=smaller_finished_runs)
    alone = table.filter(run="strong")
    finished = table.filter(run=["small", "strong"])
    look_ahead(alone, chosen, steady, finished=finished)
    runs = [[curve.key.run for curve in evidence.references] for evidence in steady.seen]
    # `weak` is as large and still in flight
    assert runs == [[], ["small"], ["small"]]


def test_refusals_name_the_reason(table, decliner):
    outlooks = look_ahead(table, select(table, "strong"), decliner)
    frame = outlook_frame(outlooks, "steady")
    assert set(frame.filter(task="piqa")["refused"]) == {"not this task"}
    assert frame.filter(task="piqa")["q50"].null_count() == len(frame.filter(task="piqa"))
    assert frame.filter(task="hellaswag")["refused"].null_count() == len(frame.filter(task="hellaswag"))
    with pytest.raises(CannotForecastError, match="not this task"):
        look_ahead(table, select(table, "strong", "piqa"), decliner)


def test_the_brief_table_drops_what_is_the_same_everywhere(table, steady):
    frame = outlook_frame(look_ahead(table, select(table, "strong"), steady), "steady")
    assert brief(frame).columns == ["task", "clock", "q10", "q50", "q90"]
    both = outlook_frame(look_ahead(table, select(table, None, "piqa"), steady), "steady")
    assert brief(both).columns[0] == "run"


def test_contexts_that_leave_nothing_are_refused(table, steady):
    chosen = select(table, "small", "piqa")
    for context in (0.0, 1.0, -1.0, float("nan"), 0.001):
        with pytest.raises(InputError) as error:
            look_ahead(table, chosen, steady, context=context)
        assert error.value.field == "context"
    with pytest.raises(InputError):
        read_context("some")
    assert read_context("all") is None
    assert read_context("0.2") == 0.2


def test_reference_words(table, tmp_path):
    assert read_references("none") == (None, None)
    assert read_references("same-source") == (smaller_finished_runs, None)
    assert read_references("finished") == (finished_runs, None)
    table.write(tmp_path / "t.parquet")
    assert isinstance(read_references(str(tmp_path / "t.parquet"))[1], CurveTable)
    with pytest.raises(InputError, match="no such file"):
        read_references("nowhere.parquet")
    with pytest.raises(InputError, match="none, same-source, finished, or a curve table"):
        read_references("nonsense")


def test_an_unknown_forecaster_is_refused():
    with pytest.raises(InputError, match="oracle"):
        ready_forecaster("oracle")


def test_a_curve_at_clock_zero_needs_horizons(table, steady):
    start = CurveTable(table.frame.filter(table.frame["step"] == 0).with_columns(planned_tokens=None))
    with pytest.raises(InputError, match="clock 0"):
        look_ahead(start, start, steady)
    outlooks = look_ahead(start, start, steady, horizons=[Horizon(5.0)])
    assert {tuple(outlook.horizons) for outlook in outlooks} == {(5.0,)}
