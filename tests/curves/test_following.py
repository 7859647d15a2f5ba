"""A folder that grows, on real files: what is read when, and what is not read again."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given as drawn
from hypothesis import settings
from hypothesis import strategies as st

from neuneu.curves import following
from neuneu.curves.following import FollowedCurves, News
from neuneu.curves.readers.formats import read_format
from neuneu.curves.readers.parsing import NOTHING_GIVEN, Given
from neuneu.errors import InputError

RECORDED = Path(__file__).parent / "readers" / "recorded"


def result(folder: Path, run: str, step: int, value: float = 0.5) -> Path:
    """A harness result file of one checkpoint."""
    path = folder / run / f"step{step}" / "results.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    scores = {"piqa": {"acc,none": value, "acc_stderr,none": 0.01}}
    config = {"model_args": f"pretrained=/ckpt/{run}/step{step}"}
    path.write_text(json.dumps({"results": scores, "config": config}))
    return path


def values(news: News | None) -> dict[tuple[str, int], float]:
    assert news is not None
    assert news.table is not None
    return {(run, step): value for run, step, value in news.table.frame["run", "step", "value"].iter_rows()}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for run in ("one", "two"):
        for step in (1000, 2000, 3000):
            result(tmp_path / "r", run, step)
    return tmp_path / "r"


@pytest.fixture(params=["lm-eval", "auto"])
def followed(folder: Path, request: pytest.FixtureRequest) -> FollowedCurves:
    return FollowedCurves(folder, format=request.param)


def test_only_what_changed_is_parsed_again_and_only_its_run_is_named(
    followed: FollowedCurves, folder: Path
) -> None:
    assert followed.read().changed == {"one", "two"}  # type: ignore[union-attr]
    each = followed.memory.parsed // 6
    assert followed.read() is None
    result(folder, "one", 4000, 0.6)
    news = followed.read()
    assert news.changed == {"one"}  # type: ignore[union-attr]
    assert followed.memory.parsed == 7 * each
    assert values(news)["one", 4000] == 0.6
    whole = read_format(followed.format, [folder]).table
    assert news.table.frame.equals(whole.frame)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("name", "folder"),
    [("tensorboard", "tensorboard"), ("lighteval", "lighteval/results"), ("wandb", "lm_eval"),
     ("every-eval-ever", "every_eval_ever"), ("harness-log", "lm_eval")],
)  # fmt: skip
def test_files_of_other_formats_are_parsed_once_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, folder: str
) -> None:
    monkeypatch.setattr(following, "YOUNG", 0.0)
    place = tmp_path / "r"
    shutil.copytree(RECORDED / folder, place)
    given = Given(keep="last", run="r") if name == "every-eval-ever" else NOTHING_GIVEN
    options = {"step_pattern": r"(\d)"} if name in ("every-eval-ever", "harness-log") else {}
    followed = FollowedCurves(place, format=name, given=given, options=options)
    first = followed.read()
    whole = read_format(name, [place], given=given, **options)
    assert first is not None
    assert first.table is not None
    assert first.table.frame.equals(whole.table.frame)
    assert first.problems == whole.report.warnings()
    parsed = followed.memory.parsed
    file = sorted(path for path in place.rglob("*") if followed.memory.knows(str(path)))[0]
    os.utime(file, (1, 1))
    assert followed.read() is None, "the same values again"
    assert followed.memory.parsed == parsed + 1


def test_a_half_written_file_is_named_and_read_once_it_is_whole(
    followed: FollowedCurves, folder: Path
) -> None:
    path = result(folder, "one", 4000)
    whole = path.read_text()
    path.write_text(whole[:40])
    news = followed.read()
    assert any("step4000" in line and "not JSON" in line for line in news.problems)  # type: ignore[union-attr]
    assert len(values(news)) == 6
    path.write_text("")
    assert any("step4000" in line for line in followed.read().problems)  # type: ignore[union-attr]
    path.write_text(whole)
    assert ("one", 4000) in values(followed.read())


def test_files_that_change_and_vanish(followed: FollowedCurves, folder: Path) -> None:
    path = result(folder, "one", 4000, 0.6)
    followed.read()
    result(folder, "one", 4000, 0.7)
    assert values(followed.read())["one", 4000] == 0.7
    path.unlink()
    news = followed.read()
    assert news.changed == {"one"}  # type: ignore[union-attr]
    assert ("one", 4000) not in values(news)
    assert not followed.memory.knows(str(path))
    (folder / "one").rename(folder / "three")
    # the model still says /ckpt/one: the run keeps its name, the files are others
    assert {run for run, _ in values(followed.read() or FollowedCurves(folder).read())} == {"one", "two"}


def test_a_file_replaced_by_one_of_its_size_and_date(followed: FollowedCurves, folder: Path) -> None:
    path = result(folder, "one", 3000, 0.51)
    old = path.stat()
    followed.read()
    other = result(folder, "other", 3000, 0.52)
    other.write_text(path.read_text().replace("0.51", "0.52"))
    os.utime(other, ns=(old.st_atime_ns, old.st_mtime_ns))
    other.replace(path)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (old.st_size, old.st_mtime_ns)
    assert values(followed.read())["one", 3000] == 0.52


def test_a_young_file_is_told_by_its_checksum(
    followed: FollowedCurves, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file system whose clock does not move between two writings: nothing but the bytes tells."""
    stamps = following._stamps
    monkeypatch.setattr(
        following,
        "_stamps",
        lambda *a: ((path, (0, 0, 100, 0, time.time_ns() + 10**12)) for path, _ in stamps(*a)),
    )
    path = result(folder, "one", 3000, 0.51)
    followed.read()
    monkeypatch.setattr(
        following, "_stamps", lambda *a: ((path, known) for path, known in followed._looks.stamps.items())
    )
    path.write_text(path.read_text().replace("0.51", "0.52"))
    assert values(followed.read())["one", 3000] == 0.52


def test_clocks_that_go_back(followed: FollowedCurves, folder: Path) -> None:
    path = result(folder, "one", 3000, 0.6)
    followed.read()
    result(folder, "one", 3000, 0.7)
    os.utime(path, (1, 1))
    assert values(followed.read())["one", 3000] == 0.7
    result(folder, "one", 3000, 0.8)
    os.utime(path, (2**33, 2**33))
    assert values(followed.read())["one", 3000] == 0.8


def test_steps_that_go_back_leave_the_other_runs_alone(folder: Path) -> None:
    """A run restarted from step 1000 into another folder: nobody chose between two values."""
    followed = FollowedCurves(folder, format="lm-eval")
    followed.read()
    again = folder / "one" / "again" / "step2000" / "results.json"
    again.parent.mkdir(parents=True)
    again.write_text((folder / "one" / "step2000" / "results.json").read_text().replace("0.5", "0.4"))
    news = followed.read()
    assert {run for run, _ in values(news)} == {"two"}
    assert any("run one" in line and "`keep`" in line for line in news.problems)  # type: ignore[union-attr]
    kept = FollowedCurves(folder, format="lm-eval", given=Given(keep="last"))
    assert {run for run, _ in values(kept.read())} == {"one", "two"}


def test_half_a_line_is_not_taken_for_a_value(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "run.csv"
    head = "run,task,metric,step,value\n"
    path.write_text(head + "a,piqa,acc,1,0.5\n")
    followed = FollowedCurves(tmp_path)
    assert values(followed.read()) == {("a", 1): 0.5}
    with path.open("a") as stream:
        stream.write("a,piqa,acc,2,0.6")  # of 0.6125
    news = followed.read()
    assert news.waiting  # type: ignore[union-attr]
    assert values(news) == {("a", 1): 0.5}
    assert any("run.csv" in line and "last line" in line for line in news.problems)  # type: ignore[union-attr]
    with path.open("a") as stream:
        stream.write("125\n")
    assert values(followed.read()) == {("a", 1): 0.5, ("a", 2): 0.6125}
    path.write_text(head + "a,piqa,acc,1,0.5")  # an end that never comes
    assert followed.read().waiting  # type: ignore[union-attr]
    monkeypatch.setattr(following, "YOUNG", 0.0)
    assert values(followed.read()) == {("a", 1): 0.5}


def test_a_file_that_is_not_of_the_format_is_not_waited_for(folder: Path) -> None:
    (folder / "train.log").write_text("step 1 loss 2")
    news = FollowedCurves(folder, format="lm-eval").read()
    assert not news.waiting  # type: ignore[union-attr]
    assert not any("train.log" in line for line in news.problems)  # type: ignore[union-attr]


def test_one_table_is_followed_too(tmp_path: Path) -> None:
    path = tmp_path / "curves.parquet"
    rows = {"run": ["a"], "task": ["piqa"], "metric": ["acc"], "step": [1], "value": [0.5]}
    pl.DataFrame(rows).write_parquet(path)
    followed = FollowedCurves(path)
    assert values(followed.read()) == {("a", 1): 0.5}
    assert followed.read() is None
    whole = path.read_bytes()
    path.write_bytes(whole[:50])
    news = followed.read()
    assert news.table is None  # type: ignore[union-attr]
    assert "curves.parquet" in news.problems[0]  # type: ignore[union-attr]
    path.write_bytes(whole)
    assert values(followed.read()) == {("a", 1): 0.5}
    path.unlink()
    assert followed.read().table is None  # type: ignore[union-attr]


def test_one_file_of_any_format_is_followed_too(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    head = "step,tokens,eval/piqa/acc\n"
    path.write_text(head + "1,1000,0.5\n")
    followed = FollowedCurves(path)
    assert values(followed.read()) == {("history", 1): 0.5}
    with path.open("a") as stream:
        stream.write("2,2000,0.6\n")
    assert values(followed.read()) == {("history", 1): 0.5, ("history", 2): 0.6}
    shown = read_format("auto", [path]).table
    assert FollowedCurves(path).read().table.frame.equals(shown.frame)  # type: ignore[union-attr]


def test_what_is_said_of_a_followed_table_counts(tmp_path: Path) -> None:
    path = tmp_path / "curves.csv"
    path.write_text("run,task,metric,step,value\na,piqa,acc,1,0.5\n")
    news = FollowedCurves(path, given=Given(tokens_per_step=1000, planned_tokens=9000)).read()
    row = news.table.frame.row(0, named=True)  # type: ignore[union-attr]
    assert (row["tokens"], row["planned_tokens"]) == (1000, 9000)


def test_an_empty_folder_is_no_error_and_a_missing_one_is(tmp_path: Path) -> None:
    followed = FollowedCurves(tmp_path)
    news = followed.read()
    assert news.table is None  # type: ignore[union-attr]
    assert news.problems  # type: ignore[union-attr]
    assert followed.read() is None
    result(tmp_path, "one", 1000)
    assert len(values(followed.read())) == 1
    with pytest.raises(InputError, match="no such file or folder"):
        FollowedCurves(tmp_path / "none")
    with pytest.raises(InputError, match="unknown; known"):
        FollowedCurves(tmp_path, format="none")


def test_what_is_written_from_the_results_is_not_looked_at(folder: Path) -> None:
    status = folder / "status.json"
    followed = FollowedCurves(folder, without=[status])
    followed.read()
    status.write_text("{}")
    assert followed.read() is None
    assert not followed.memory.knows(str(status))


def test_memory_is_bounded_by_what_is_there(folder: Path) -> None:
    followed = FollowedCurves(folder, format="lm-eval")
    for step in range(4000, 44_000, 1000):
        path = result(folder, "one", step)
        assert followed.read() is not None
        path.unlink()
    followed.read()
    assert len(followed.memory) == len(followed._looks.stamps) == 6
    assert len(followed._looks.young) <= 6


@settings(max_examples=15)
@drawn(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(1, 4), st.sampled_from(["0.25", "0.5", "half", "gone"])),
        max_size=8,
    )
)
def test_after_any_changes_it_has_what_a_fresh_reading_has(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("r")
    result(folder, "a", 1000)
    followed = FollowedCurves(folder, format="lm-eval")
    last = followed.read()
    for run, step, what in changes:
        path = result(folder, run, 1000 * step, 0.5 if what in ("half", "gone") else float(what))
        if what == "half":
            path.write_text(path.read_text()[:30])
        elif what == "gone":
            path.unlink()
        last = followed.read() or last
    fresh = FollowedCurves(folder, format="lm-eval").read()
    assert fresh is not None
    assert last is not None
    assert fresh.problems == last.problems
    assert (fresh.table is None) == (last.table is None)
    assert fresh.table is None or fresh.table.frame.equals(last.table.frame)  # type: ignore[union-attr]


def test_a_killed_follower_writes_nothing_and_another_reads_the_same(folder: Path) -> None:
    program = (
        "from neuneu.curves.following import FollowedCurves\n"
        f"for news in FollowedCurves({str(folder)!r}).updates(): print(len(news.table), flush=True)"
    )
    before = set(folder.parent.rglob("*"))
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "6\n"
        path = result(folder, "one", 4000)
        assert process.stdout.readline() == "7\n"
        process.send_signal(signal.SIGKILL)
    assert set(folder.parent.rglob("*")) - before == {path.parent, path}
    assert len(values(FollowedCurves(folder).read())) == 7
