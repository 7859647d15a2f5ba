"""DataDecide results: both layouts, and the hub's own client against a server that speaks its protocol."""

import json
import shutil
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.hub import Served

import neuneu.hub
from neuneu.curves.readers.datadecide import read_datadecide
from neuneu.curves.readers.parsing import Given
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError


def long(metrics: list[Any]) -> pl.DataFrame:
    n = len(metrics)
    return pl.DataFrame(
        {
            "params": ["150M"] * n, "data": ["C4"] * n, "task": ["arc_easy"] * n, "seed": ["small aux 2"] * n,
            "step": [float(1250 * i) for i in range(n)], "metrics": metrics,
        },
        strict=False,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["object", "json", "python"])
def test_the_long_layout(tmp_path: Path, kind: str) -> None:
    metrics = [{"acc_raw": 0.25, "correct_prob": 0.1}, {"acc_raw": 0.5, "correct_prob": 0.2}]
    texts = {
        "object": list,
        "json": lambda all_: list(map(json.dumps, all_)),
        "python": lambda all_: list(map(repr, all_)),
    }
    long(texts[kind](metrics)).write_parquet(tmp_path / "a.parquet")
    frame = read_datadecide([tmp_path]).table.frame
    assert frame["run"].unique().to_list() == ["datadecide/C4-150M-seed1"]
    assert frame.filter(metric="acc_raw").select("step", "value", "params").rows() == [
        (0, 0.25, 150_000_000),
        (1250, 0.5, 150_000_000),
    ]
    assert frame.select("n_shot", "variant", "recipe").unique().row(0) == (5, "olmes_rc", "C4")


@pytest.mark.parametrize(
    "bad", ["__import__('os').system('true')", "[1]", "{", "(" * 5000, "{'a': 1" + "0" * 30_000]
)
def test_metrics_that_are_no_object_are_refused_and_never_run(tmp_path: Path, bad: str) -> None:
    long([bad]).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match=r"metrics = .*must be an object of numbers"):
        read_datadecide([tmp_path])


def test_only_the_metrics_asked_for(shared: Path) -> None:
    given = Given(metrics=frozenset(["primary_metric"]))
    table = read_datadecide([shared / "data" / "raw" / "datadecide"], given=given).table
    assert table.metrics == ["primary_metric"]
    assert len(table.runs) == 4


def test_other_parquet_files_are_skipped_with_the_reason(tmp_path: Path) -> None:
    pl.DataFrame({"a": [1]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(InputError, match="it has no column params"):
        read_datadecide([tmp_path])


SAMPLE = "data/raw/datadecide/pretrain_metrics_sample.parquet"


def test_from_the_hub(hub: Served, neuneu: Any, tmp_path: Path, shared: Path) -> None:
    data = hub.root / "datasets/o/d/main/data"
    data.mkdir(parents=True)
    shutil.copy(shared / SAMPLE, data / "train-00000-of-00001.parquet")
    environment = hub.environment(tmp_path)
    output = tmp_path / "out.parquet"
    arguments = ["import", "datadecide", "hf://o/d", "--metric", "primary_metric", "-o", output]
    done = neuneu(*arguments, env=environment)
    assert done.returncode == 0, done.stderr
    local = read_datadecide(
        [shared / "data" / "raw" / "datadecide"], given=Given(metrics=frozenset(["primary_metric"]))
    )
    assert CurveTable.read(output).frame.equals(local.table.frame)
    absent = neuneu("import", "datadecide", "hf://o/none", "-o", tmp_path / "no.parquet", env=environment)
    assert absent.returncode == 2
    assert "the hub does not give it" in absent.stderr
    assert not (tmp_path / "no.parquet").exists()


def served_results(hub: Served) -> Path:
    """A data set of two seeds and two sizes, a row group each, as the published one is laid out."""
    data = hub.root / "datasets/o/d/main/data"
    data.mkdir(parents=True)
    metrics = [json.dumps({"acc_raw": 0.25, "noise": "x" * 2000, "n": number}) for number in range(40)]
    groups = [
        long(metrics).with_columns(pl.lit(size).alias("params"), pl.lit(seed).alias("seed"))
        for size in ("150M", "1B")
        for seed in ("default", "small aux 2")
    ]
    pl.concat(groups).write_parquet(data / "train.parquet", row_group_size=40, compression="uncompressed")
    return data / "train.parquet"


def test_rows_are_chosen_before_they_are_fetched(
    hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = served_results(hub)
    hub.use(monkeypatch, tmp_path)
    looked_at: list[int] = []
    matching = neuneu.hub._matching
    monkeypatch.setattr(neuneu.hub, "_matching", lambda *a: looked_at.append(a[1]) or matching(*a))
    found = read_datadecide(["hf://o/d?params=150M&seed=default"]).table
    assert found.runs == ["datadecide/C4-150M-seed0"]
    local = read_datadecide([file]).table
    assert found.frame.equals(local.filter(run="datadecide/C4-150M-seed0").frame)
    assert looked_at == [0]  # statistics rule out the other row groups
    sent = sum(hub.sent.values())
    assert 0 < sent < 0.5 * file.stat().st_size  # one of four row groups, and the columns that tell
    both = read_datadecide(["hf://o/d?params=150M,1B&seed=default"]).table
    assert both.runs == ["datadecide/C4-150M-seed0", "datadecide/C4-1B-seed0"]


def test_recipes_may_be_named_as_the_models_are(
    hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = hub.root / "datasets/o/d/main/data"
    data.mkdir(parents=True)
    names = ["C4", "DCLM-Baseline (QC 7%, FW2)", "Falcon+CC", "DCLM-Baseline 50% / Dolma 50%", "Falcon"]
    metrics = [json.dumps({"acc_raw": 0.25})]
    pl.concat([long(metrics).with_columns(pl.lit(name).alias("data")) for name in names]).write_parquet(
        data / "train.parquet"
    )
    hub.use(monkeypatch, tmp_path)
    for query in (
        "data=c4,dclm-baseline-qc-7p-fw2,falcon-and-cc,dclm-baseline-50p-dolma1.7-50p",
        "data=" + ",".join(names[:4]),
    ):
        assert sorted(read_datadecide([f"hf://o/d?{query}"]).table.frame["recipe"]) == sorted(names[:4])


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("seed=large aux 9", "no row matches"),
        ("params=7B", "no row matches"),
        ("size=150M", "column = 'size': is no column"),
        ("150M", "NAME=VALUE"),
    ],
)
def test_a_choice_that_leaves_nothing_is_refused(
    hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, query: str, message: str
) -> None:
    served_results(hub)
    hub.use(monkeypatch, tmp_path)
    with pytest.raises(InputError, match=message):
        read_datadecide([f"hf://o/d?{query}"])
