"""Public runs by name: from clones at hand and from GitHub, served as it serves."""

import json
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from tests.hub import Served

from neuneu import hub as client
from neuneu.curves.public import (
    CATALOG,
    fetch_public,
    find_public,
    ladder_runs,
    newest_open_sci_ref,
    read_public,
)
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError

PLACE = ["run", "task", "metric", "n_shot", "variant", "step"]


@pytest.mark.parametrize(
    ("name", "prepared", "n_rows"),
    [
        ("gemstones", "curves/gemstones", 630),
        ("multisynt", "more_curves/multisynt", 110),
        ("olmo-ladder", "curves/olmo_ladder_moreeval", 38_720),
        ("open-sci-ref", "curves/open_sci_ref", 1788),
        ("physicslm4", "more_curves/physicslm4", 2520),
        ("pythia", "curves/pythia_v1", 15_852),
    ],
)
def test_a_part_of_a_clone_gives_the_prepared_values(
    shared: Path, name: str, prepared: str, n_rows: int
) -> None:
    ours = read_public(find_public(name), shared / "data" / "raw" / name.replace("-", "_")).table.frame
    theirs = CurveTable.read(shared / "data" / f"{prepared}.parquet").filter(
        run=ours["run"].unique().to_list()
    )
    both = ours.join(theirs.frame, on=PLACE, how="inner", nulls_equal=True)
    assert len(ours) == len(both) == n_rows
    assert both.filter((pl.col("value") - pl.col("value_right")).abs() > 1e-15).height == 0
    steps = ours.select("run", "n_shot", "step", "task", "variant").unique()
    left = theirs.frame.join(steps, on=steps.columns, how="semi", nulls_equal=True)
    assert len(left) == n_rows  # nothing of these places is left out


@pytest.mark.parametrize(
    ("paths", "wanted"),
    [
        (["a/ladder-runs/1B-1xC.csv", "b/peteish-moreeval/1B-1xC.csv", "c/peteish-seed-1/1B-1xC.csv"], [0]),
        (["d/peteish-moreeval/190M-0.5xC.csv", "d/peteish-moreeval-const/190M-1xC.csv"], [0]),
        (
            ["a/ladder-runs/7B-4T.csv", "a/ladder-runs/3B-1xC-rerun.csv", "a/ladder-runs/peteish7_eval.csv"],
            [1],
        ),
        (["190M-1xC.csv", "README.md"], [0]),
        (["a/190M-1xC.csv", "b/190M-1xC.csv"], []),
    ],
)
def test_which_runs_of_the_ladder(paths: Sequence[str], wanted: list[int]) -> None:
    assert ladder_runs(paths) == [paths[place] for place in wanted]


def test_the_newest_of_the_dated_tables() -> None:
    paths = [f"a/results-{date}.csv.zip" for date in ("04-06", "27-06", "24-06", "baselines")]
    assert newest_open_sci_ref([*paths, "a/results-03-07.csv", "results.csv.zip"]) == [
        "a/results-27-06.csv.zip"
    ]
    assert newest_open_sci_ref(["a/results-baselines.csv.zip"]) == []


def test_every_file_of_the_whole_repositories_is_found(shared: Path) -> None:
    for name, prepared in (("pythia", "curves/pythia_v1"), ("multisynt", "more_curves/multisynt")):
        origins = pl.read_parquet(shared / "data" / f"{prepared}.parquet")["origin"].unique().sort().to_list()
        others = ["evals/pythia-v0/a/zero-shot/a_step1.json", "results/x.json", "docs/data.json"]
        assert find_public(name).select([*origins, *others]) == origins


def test_a_folder_without_the_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none of the files of gemstones here: is it a clone of"):
        read_public(CATALOG["gemstones"], tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        read_public(CATALOG["gemstones"], tmp_path / "no")
    with pytest.raises(InputError, match=r"did you mean gemstones\? known: gemstones, multisynt"):
        find_public("gems")


@pytest.fixture
def pythia(hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Served:
    """A repository with two results files, one of them deep, and others that are not wanted."""
    root = hub.root / "github/EleutherAI/pythia"
    for step in (1000, 3000):
        document = {"results": {"piqa": {"acc": 0.5 + step / 1e5}}, "config": {"num_fewshot": 0}}
        path = root / f"evals/pythia-v1/pythia-70m/zero-shot/70m_step{step}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
    (root / "README.md").write_text("not wanted")
    hub.use(monkeypatch, tmp_path)
    return hub


def test_files_are_fetched_once_and_checked(pythia: Served, tmp_path: Path) -> None:
    told: list[str] = []
    folder = fetch_public(CATALOG["pythia"], told.append)
    assert read_public(CATALOG["pythia"], folder).table.frame["step"].to_list() == [1000, 3000]
    assert told[0].startswith("2 files, ")
    assert folder.is_relative_to(tmp_path)
    assert not any("README" in name for name in pythia.sent)
    sent = dict(pythia.sent)
    fetch_public(CATALOG["pythia"], told.append)
    assert pythia.sent == sent  # what is there is not fetched again
    broken = next(folder.rglob("70m_step1000.json"))
    broken.write_text(broken.read_text().replace("0.51", "0.61"))
    fetch_public(CATALOG["pythia"], told.append)
    assert pythia.sent != sent  # unless it is not what its object id says
    assert "0.51" in broken.read_text()


def test_a_file_that_is_not_what_its_id_says_is_refused(
    pythia: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = [blob._replace(sha="0" * 40) for blob in client.list_tree("EleutherAI/pythia", "a19")]
    with pytest.raises(InputError, match="is not the file of the commit: its git object id is not 0000"):
        client.fetch_blobs("EleutherAI/pythia", "a19", listed, tmp_path / "to", lambda _: None)
    assert not list((tmp_path / "to").rglob("*.json"))
    away = [listed[0]._replace(path="../away.json")]
    with pytest.raises(InputError, match="leads out of the folder"):
        client.fetch_blobs("EleutherAI/pythia", "a19", away, tmp_path / "to", lambda _: None)
    with pytest.raises(InputError, match="GitHub does not give it: 404"):
        client.list_tree("EleutherAI/none", "a19")


def test_git_itself_gives_the_same_ids() -> None:
    assert client.blob_sha(b"") == "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert client.blob_sha(b"hello\n") == "ce013625030ba8dba906f756967f9e9ca394464a"
