import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import polars as pl
import pytest

from neuneu.curves.table import CurveTable
from neuneu.decisions.ledger import enter, ledger_record, read_ledger, settle, track_record
from neuneu.decisions.stopping import should_stop
from neuneu.errors import InputError
from neuneu.evidence.select import Selection
from neuneu.forecasts.forecast import forecast
from neuneu.forecasts.horizons import Horizon, given
from neuneu.reports.former import read_former

THEN = datetime(2026, 1, 1, tzinfo=UTC)


def until(table, step):
    return CurveTable.from_frame(table.frame.filter(pl.col("step") <= step))


@pytest.fixture
def entered(table, tmp_path):
    """A ledger with a forecast of clock 30, made at 10."""
    found = forecast(until(table, 10), ["last-value"], plan=given([Horizon(30.0)]))
    assert enter(found, tmp_path / "l.jsonl", now=THEN) == len(found.curves)
    return tmp_path / "l.jsonl"


def test_what_came_settles_what_was_said(table, entered):
    ledger = read_ledger(entered)
    settled = settle(ledger, table)
    # strong has not come to 30 yet; the other two have
    assert set(settled["run"]) == {"small", "weak"}
    assert settled["value"].to_list() == pytest.approx([0.43, 0.43, 0.53, 0.53])
    np.testing.assert_allclose(settled["bias"], settled["q50"] - settled["value"])
    np.testing.assert_allclose(settled["mae"], settled["bias"].abs())
    record = track_record(settled, ["forecaster", "horizon"]).row(0, named=True)
    assert record["forecasts"] == 4
    assert record["horizon"] == "1.5x to 3x"
    assert record["coverage80"] == pytest.approx(
        ((settled["q10"] <= settled["value"]) & (settled["value"] <= settled["q90"])).mean()
    )
    assert len(settle(ledger, until(table, 20))) == 0


def test_a_page_gets_what_became_of_a_ledger_in_one_piece(table, entered):
    found = ledger_record(entered, table)
    assert (found.entered, found.settled) == (6, 4)
    assert found.title == "4 of 6 forecasts settled"
    assert found.table["task"].to_list() == ["hellaswag", "piqa"]
    assert found.table["forecasts"].to_list() == [2, 2]
    assert found.overall["forecasts"].to_list() == [4]
    settled = settle(read_ledger(entered), table)
    assert found.overall["mae"][0] == pytest.approx(settled["mae"].mean())
    assert found.brief["bias"][0] == pytest.approx(100 * found.table["bias"][0], abs=0.01)
    early = ledger_record(entered, until(table, 20))
    assert (early.settled, len(early.table), len(early.overall)) == (0, 0, 0)


def test_a_killed_writer_loses_nothing_that_was_entered_and_the_next_goes_on(table, tmp_path):
    """Killed at any time, a reader sees whole lines and every forecast that `enter` said it had added."""
    until(table, 15).write(tmp_path / "c.parquet")
    program = (
        "from neuneu.curves.table import read_curves; from neuneu.decisions.ledger import enter;"
        "from neuneu.forecasts.forecast import forecast;"
        "from neuneu.forecasts.horizons import Horizon, given;"
        "t = read_curves('c.parquet');"
        "[print(enter(forecast(t, ['last-value'], plan=given([Horizon(20.0 + k)])), 'l.jsonl'), flush=True)"
        " for k in range(10**6)]"
    )
    entered = 0
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", program], cwd=tmp_path, stdout=subprocess.PIPE, text=True
        ) as process:
            said = [int(process.stdout.readline()) for _ in range(5)]
            process.kill()
            said += [int(line) for line in process.stdout.read().split()]
        entered += sum(said)
        ledger = read_ledger(tmp_path / "l.jsonl")
        assert len(ledger) >= entered
        assert len(ledger) % 6 == 0 or not (tmp_path / "l.jsonl").read_bytes().endswith(b"\n")
        assert len(ledger.unique(["task", "run", "clock"])) == len(ledger)
        entered = len(ledger)


def test_the_same_forecast_is_entered_once_and_a_grown_curve_again(table, entered):
    same = forecast(until(table, 10), ["last-value"], plan=given([Horizon(30.0)]))
    assert enter(same, entered) == 0
    grown = forecast(until(table, 12), ["last-value"], plan=given([Horizon(30.0)]))
    assert enter(grown, entered) == len(grown.curves)
    assert len(read_ledger(entered)) == len(same.curves) + len(grown.curves)


def test_a_forecast_on_other_evidence_is_entered_beside_the_first(table, entered):
    """The same curves, asked the same: what references or weights make another is not lost."""
    first = forecast(until(table, 10), ["last-value"], plan=given([Horizon(30.0)]))
    other = replace(
        first,
        curves=[
            replace(one, forecasts={"last-value": replace(answer, values=answer.values + 0.01)})
            for one in first.curves
            for answer in one.forecasts.values()
        ],
    )
    assert enter(other, entered, now=THEN) == len(other.curves)
    assert enter(other, entered) == enter(first, entered) == 0
    ledger = read_ledger(entered)
    assert len(settle(ledger, table)) == 8
    latest = read_former(entered, "last-value").forecasts
    answers = {one.curve.key: one.forecasts["last-value"] for one in other.curves}
    assert {key: one.quantile(0.5)[0] for key, one in latest.items()} == pytest.approx(
        {key: one.quantile(0.5)[0] for key, one in answers.items()}
    )


def test_half_a_line_of_a_killed_writer_is_closed_off_and_nothing_is_lost(table, entered):
    before = read_ledger(entered)
    with entered.open("ab") as stream:
        stream.write(b'{"made": "2026-01-')
    assert read_ledger(entered).equals(before)
    grown = forecast(until(table, 12), ["last-value"], plan=given([Horizon(30.0)]))
    enter(grown, entered)
    assert len(read_ledger(entered)) == len(before) + len(grown.curves)


def test_two_writers_at_once_keep_each_others_lines(table, tmp_path):
    until(table, 15).write(tmp_path / "c.parquet")
    program = (
        "import sys; from neuneu.curves.table import read_curves; from neuneu.decisions.ledger import enter;"
        "from neuneu.forecasts.forecast import forecast;"
        "from neuneu.forecasts.horizons import Horizon, given;"
        "t = read_curves('c.parquet');"
        "[enter(forecast(t, [sys.argv[1]], plan=given([Horizon(20.0 + k)])), 'l.jsonl') for k in range(15)]"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, name], cwd=tmp_path)
        for name in ("last-value", "mean-k")
    ]
    assert [process.wait() for process in running] == [0, 0]
    ledger = read_ledger(tmp_path / "l.jsonl")
    assert len(ledger) == 2 * 15 * 6
    assert dict(ledger["forecaster"].value_counts().iter_rows()) == {"last-value": 90, "mean-k": 90}


@pytest.mark.parametrize("text", ['{"made": 1}\n', "[1]\n"])
def test_a_file_that_is_no_ledger_is_refused(tmp_path, text):
    (tmp_path / "l.jsonl").write_text(text)
    with pytest.raises(InputError, match="no line of a ledger"):
        read_ledger(tmp_path / "l.jsonl")


def test_half_a_character_in_a_line_is_refused_by_its_number(table, entered):
    text = entered.read_text()
    first, *rest = text.splitlines(keepends=True)
    entered.write_text(first + "".join(rest).replace('"task": "', '"task": "\\ud800', 1))
    with pytest.raises(InputError, match=f"{entered.name}:2: holds half a surrogate pair"):
        read_ledger(entered)


def test_a_verdict_gives_its_reason_in_a_sentence(table, steady):
    piqa = Selection(tasks=["piqa"])
    stop = should_stop(table, "strong", target=0.9, selection=piqa, forecaster=steady)
    assert stop
    assert stop.chance == 0
    assert "strong is less than 0.1% likely to reach 0.9 at clock 100" in stop.reason
    assert not should_stop(table, "strong", target=0.3, selection=piqa, forecaster=steady)
    against = should_stop(table, "weak", rival="strong", selection=piqa, forecaster=steady)
    assert "to beat strong" in against.reason


def test_there_is_no_verdict_from_few_checkpoints_nor_after_the_end(table, steady):
    early = should_stop(until(table, 1), "strong", target=0.9, forecaster=steady)
    assert not early
    assert "2 checkpoints" in early.reason
    ended = should_stop(table, "small", target=0.9, forecaster=steady)
    assert not ended
    assert "reached its end" in ended.reason
    with pytest.raises(InputError, match="did you mean strong"):
        should_stop(table, "strnog", target=0.9)
    with pytest.raises(InputError, match="one of the two"):
        should_stop(table, "strong")


def test_the_commands_enter_and_settle(table, tmp_path, neuneu):
    until(table, 10).write(tmp_path / "now.parquet")
    table.write(tmp_path / "later.parquet")
    ledger = tmp_path / "l.jsonl"
    done = neuneu(
        "forecast", tmp_path / "now.parquet", "--horizon", "30", "--ledger", ledger, "-f", "last-value"
    )
    assert "6 forecasts entered" in done.stderr, done.stderr
    done = neuneu("settle", ledger, tmp_path / "later.parquet", "--by", "task", "--json")
    assert done.returncode == 0, done.stderr
    assert '"forecasts": 2' in done.stdout
