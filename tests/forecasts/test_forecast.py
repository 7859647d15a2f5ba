import polars as pl
import pytest
from tests.steady import Steady

from neuneu.curves.table import CurveTable
from neuneu.errors import CannotForecastError, InputError
from neuneu.evidence.select import Selection
from neuneu.forecasts.forecast import by_label, forecast, ready_forecaster
from neuneu.forecasts.horizons import Horizon, given, read_horizons

STRONG = Selection(["strong"], ["piqa"])
SMALL = Selection(["small"], ["piqa"])


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


@pytest.mark.parametrize("horizons", [1e11, "2x", None, 3])
def test_a_horizon_in_place_of_a_list_is_told_what_to_pass(horizons):
    with pytest.raises(InputError, match="list of clock values") as error:
        read_horizons(horizons)
    assert error.value.field == "horizons"


def test_horizons_are_clocks_or_multiples_of_the_context_end(table):
    curve = STRONG.of(table).curves[0]
    assert Horizon.parse("3e1").at(curve, 20) == 30
    assert Horizon.parse("3X").at(curve, 20) == 60
    for text, message in (("20", "context end itself"), ("5", "in the past"), ("0", "in the past")):
        with pytest.raises(InputError, match=message):
            Horizon.parse(text).at(curve, 20)
    with pytest.raises(InputError, match="overflows"):
        Horizon.parse("1e308x").at(curve, 20)


def test_by_default_runs_in_flight_are_asked_up_to_their_planned_end(table, steady):
    (strong,) = forecast(table, [steady], selection=STRONG).curves
    assert strong.horizons.tolist() == [40, 100]  # twice 20; five times is the end itself
    (small,) = forecast(table, [steady], selection=SMALL).curves
    assert small.horizons.tolist() == [80, 200, 400]  # it has reached its end


def test_a_context_cuts_the_run_and_every_other_task_of_it(table, steady):
    found = forecast(table, [steady], selection=SMALL, context=0.5)
    (one,) = found.curves
    assert one.end == 20
    assert one.horizons.tolist() == list(range(21, 41))
    (evidence,) = steady.seen
    assert evidence.context.clock[-1] == 20
    assert [curve.clock[-1] for curve in evidence.other_tasks] == [20]
    assert found.cells["value"].to_list() == pytest.approx([0.4 + 0.001 * k for k in range(21, 41)])
    assert found.cells["step"].to_list() == list(range(21, 41))


def test_references_are_those_allowed_by_rule_or_brought_by_a_table(table, steady, tmp_path):
    alone, finished = table.filter(run="strong"), table.filter(run=["small", "strong"])
    finished.write(tmp_path / "old.parquet")
    forecast(table, [steady], selection=STRONG)
    for rule in ("smaller", "same-source", "finished"):
        forecast(table, [steady], selection=STRONG, references=rule)
    for brought in (finished, finished.frame, tmp_path / "old.parquet", str(tmp_path / "old.parquet")):
        forecast(alone, [steady], selection=STRONG, references=brought)
    runs = [[curve.key.run for curve in evidence.references] for evidence in steady.seen]
    # `weak` is as large and still in flight
    assert runs == [[], *[["small"]] * 7]


@pytest.mark.parametrize(
    ("references", "message"),
    [
        ("nowhere.parquet", "no such file"),
        ("nonsense", "known: none, smaller, finished"),
        (3, "table"),
    ],
)
def test_references_that_are_nothing_are_refused(table, steady, references, message):
    with pytest.raises(InputError, match=message):
        forecast(table, [steady], references=references)


def test_a_rule_where_losses_belong_is_told_where_it_belongs(table, steady):
    with pytest.raises(InputError, match="references") as error:
        forecast(table, [steady], losses=lambda one, other: True)
    assert error.value.field == "losses"


def test_refusals_name_the_reason(table, decliner):
    found = forecast(table, [decliner], selection=Selection(["strong"]))
    declined = found.cells.filter(task="piqa")
    assert set(declined["reason"]) == {"not this task"}
    assert declined["refused"].all()
    assert declined["q50"].null_count() == len(declined)
    assert not found.cells.filter(task="hellaswag")["refused"].any()
    with pytest.raises(CannotForecastError, match="not this task"):
        forecast(table, [decliner], selection=STRONG)


@pytest.mark.parametrize("context", [0.0, -1.0, 1.5, float("nan"), True, "0.2"])
def test_contexts_that_are_no_share_are_refused(table, steady, context):
    with pytest.raises(InputError) as error:
        forecast(table, [steady], context=context)
    assert error.value.field == "context"


def test_curves_that_leave_nothing_to_see_do_not_block_the_others(table, steady):
    late = table.frame.filter((pl.col("run") != "weak") | (pl.col("step") > 30))
    found = forecast(CurveTable.from_frame(late), [steady], context=0.5)
    assert {key.run for key in found.left_out} == {"weak"}
    assert "leaves no checkpoint" in next(iter(found.left_out.values()))
    assert set(found.runs) == {"strong", "small"}
    with pytest.raises(InputError, match="leaves no checkpoint"):
        forecast(table, [steady], selection=SMALL, context=0.001)


def test_a_horizon_that_is_past_for_some_does_not_block_the_others(table, steady):
    found = forecast(table, [steady], plan=given([Horizon(30.0)]))
    assert found.runs == ["strong"]
    assert {key.run for key in found.left_out} == {"weak", "small"}
    assert all("in the past" in why for why in found.left_out.values())


def test_a_curve_at_clock_zero_needs_horizons(table, steady):
    start = CurveTable(table.frame.filter(table.frame["step"] == 0).with_columns(planned_tokens=None))
    with pytest.raises(InputError, match="clock 0"):
        forecast(start, [steady])
    found = forecast(start, [steady], plan=given([Horizon(5.0)]))
    assert {tuple(each.horizons) for each in found.curves} == {(5.0,)}


def test_several_forecasters_answer_the_same_questions(table, steady):
    found = forecast(table, [steady, "last-value", "last-value"], context=0.5)
    assert list(found.names) == ["steady", "last-value"]
    counts = found.cells.group_by("forecaster").len()["len"]
    assert counts.n_unique() == 1
    with pytest.raises(InputError, match="another `name`"):
        by_label([Steady(), Steady()])


def test_a_forecaster_is_taken_as_it_is_and_an_unknown_name_refused(steady):
    assert ready_forecaster(steady) is steady
    with pytest.raises(InputError, match="oracle"):
        ready_forecaster("oracle")
    with pytest.raises(InputError, match="`references`"):
        ready_forecaster("neuneu-noloss")
