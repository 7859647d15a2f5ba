"""Experiment trackers: what TensorBoard, trackio, MLflow and others wrote (record.py), and broken logs."""

import contextlib
import gzip
import json
import shutil
import struct
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.readers.formats import read_format
from neuneu.curves.readers.parsing import Given
from neuneu.curves.readers.tfevents import Scalar, crc32c, masked, read_scalars
from neuneu.errors import InputError

RECORDED = Path(__file__).with_name("recorded")
PIQA = [(1000, 1_024_000, 0.25), (2000, 2_048_000, 0.5)]


def points(frame: pl.DataFrame, run: str, task: str = "piqa") -> list[tuple[object, ...]]:
    return frame.filter(run=run, task=task).select("step", "tokens", "value").rows()


@pytest.mark.parametrize("name", ["tensorboard", "auto"])
def test_tensorboard_as_torch_and_tensorflow_write_it(name: str) -> None:
    frame = read_format(name, [RECORDED / "tensorboard"]).table.frame
    assert points(frame, "torch-run") == PIQA
    assert points(frame, "tf2-run") == [(1000, None, 0.25), (2000, None, 0.5)]
    assert points(frame, "tf2-run", "boolq") == [(1000, None, 0.125), (2000, None, 0.25)]
    assert "copa" not in frame["task"]  # a tensor of two numbers is no value


def test_checksums_against_a_known_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283  # the check value of CRC-32C (RFC 3720, appendix B.4)


def record(event: bytes) -> bytes:
    head = struct.pack("<Q", len(event))
    return head + struct.pack("<I", masked(crc32c(head))) + event + struct.pack("<I", masked(crc32c(event)))


def event(step: int, tag: str, value: float) -> bytes:
    name = tag.encode()
    body = b"\x0a" + bytes([len(name)]) + name + b"\x15" + struct.pack("<f", value)
    summary = b"\x0a" + bytes([len(body)]) + body
    return b"\x10" + varint(step) + b"\x2a" + bytes([len(summary)]) + summary


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


VERSION = b"\x1a\x0dbrain.Event:2"


def write_events(folder: Path, *events: bytes, name: str = "events.out.tfevents.1.host") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_bytes(b"".join(map(record, (VERSION, *events))))
    return path


@given(
    st.lists(st.tuples(st.integers(0, 2**40), st.text("ab/_", min_size=1, max_size=20), st.floats(width=32)))
)
def test_every_scalar_comes_back(tmp_path_factory: pytest.TempPathFactory, logged: list[Scalar]) -> None:
    path = write_events(tmp_path_factory.mktemp("tb"), *(event(*scalar) for scalar in logged))
    found = list(read_scalars(path))
    assert [repr(tuple(scalar)) for scalar in found] == [repr(scalar) for scalar in logged]


def test_a_log_that_goes_on_ends_at_its_last_whole_record(tmp_path: Path) -> None:
    path = write_events(tmp_path, event(1, "piqa/acc", 0.25), event(2, "piqa/acc", 0.5))
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    assert [scalar.step for scalar in read_scalars(path)] == [1]


@pytest.mark.parametrize(("place", "words"), [(-6, "its checksum is wrong"), (-40, "is wrong")])
def test_a_damaged_record_is_refused(tmp_path: Path, place: int, words: str) -> None:
    path = write_events(tmp_path, event(1, "piqa/acc", 0.25), event(2, "piqa/acc", 0.5))
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    with pytest.raises(InputError, match=rf"record \d: .*{words}"):
        list(read_scalars(path))


def test_an_event_that_is_no_protocol_buffer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="record 1: is no event"):
        list(read_scalars(write_events(tmp_path, b"\x2a\xff")))


def test_a_tensor_of_whole_numbers_is_no_value(tmp_path: Path) -> None:
    tensor = b"\x08\x09\x22\x08" + struct.pack("<q", 4_598_175_219_545_276_416)  # DT_INT64: 0.25 as a double
    value = b"\x0a\x08piqa/acc\x42" + bytes([len(tensor)]) + tensor
    summary = b"\x0a" + bytes([len(value)]) + value
    path = write_events(tmp_path, b"\x10\x01\x2a" + bytes([len(summary)]) + summary)
    assert not list(read_scalars(path))


def test_a_restarted_run_is_read_in_the_order_of_its_files(tmp_path: Path) -> None:
    write_events(
        tmp_path / "a", event(1, "piqa/acc", 0.25), event(2, "piqa/acc", 0.5), name="events.out.tfevents.1"
    )
    write_events(tmp_path / "a", event(2, "piqa/acc", 0.75), name="events.out.tfevents.2")
    with pytest.raises(InputError, match="`keep`"):
        read_format("tensorboard", [tmp_path])
    frame = read_format("tensorboard", [tmp_path], given=Given(keep="last")).table.frame
    assert frame.select("step", "value").rows() == [(1, 0.25), (2, 0.75)]


def test_folders_of_one_name_are_runs_of_their_own(tmp_path: Path) -> None:
    for run, value in (("a", 0.25), ("b", 0.5)):
        write_events(tmp_path / run / "tb", event(1, "piqa/acc", value))
    frame = read_format("tensorboard", [tmp_path]).table.frame
    assert frame.select("run", "value").rows() == [("a/tb", 0.25), ("b/tb", 0.5)]


def test_numbers_that_are_none_are_skipped_and_said(tmp_path: Path) -> None:
    write_events(tmp_path / "r", event(1, "piqa/acc", 0.25), event(2, "piqa/acc", float("nan")))
    result = read_format("tensorboard", [tmp_path])
    assert result.table.frame["step"].to_list() == [1]
    assert any("piqa/acc is nan, no finite number" in why for _, why in result.report.skipped)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    path = tmp_path / "proj.db"
    path.write_bytes(gzip.decompress((RECORDED / "trackio" / "proj.db.gz").read_bytes()))
    return path


@pytest.mark.parametrize("name", ["trackio", "auto"])
def test_trackio_projects_and_exports(project: Path, name: str) -> None:
    for path in (project, RECORDED / "trackio" / "proj.parquet"):
        frame = read_format(name, [path]).table.frame
        assert points(frame, "run-a") == PIQA
        assert points(frame, "run-b") == [(1000, 1_024_000, 0.375), (2000, 2_048_000, 0.625)]
    assert not list(project.parent.glob("proj.db-*"))  # nothing is written beside it


def test_two_trackio_runs_of_one_name_are_two(project: Path) -> None:
    import sqlite3

    with sqlite3.connect(project) as connection:
        connection.execute("UPDATE metrics SET run_name = 'same'")
    runs = read_format("trackio", [project]).table.runs
    assert len(runs) == 2
    assert all(run.startswith("same-") for run in runs)


def test_other_databases_and_broken_rows_are_refused(project: Path, tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(project) as connection:
        connection.execute("UPDATE metrics SET metrics = '[1]'")
    with pytest.raises(InputError, match=r"metrics = .*must be an object"):
        read_format("trackio", [project])
    with sqlite3.connect(tmp_path / "other.db") as connection:
        connection.execute("CREATE TABLE a (b)")
    with pytest.raises(InputError, match="no project of trackio"):
        read_format("trackio", [tmp_path / "other.db"])
    (tmp_path / "text.db").write_text("no database, though it is long enough" * 100)
    with pytest.raises(InputError, match="cannot be read as an SQLite database"):
        read_format("trackio", [tmp_path / "text.db"])


@pytest.mark.parametrize("name", ["mlflow", "auto"])
def test_mlflow_stores(name: str) -> None:
    result = read_format(name, [RECORDED / "mlflow"])
    frame = result.table.frame
    assert points(frame, "run-a") == PIQA
    twice = [run for run in result.table.runs if run.startswith("run-b-")]
    assert sorted(points(frame, run)[0][2] for run in twice) == [0.375, 0.5]
    assert len(result.table.runs) == 3
    assert "a deleted run" in {why for _, why in result.report.skipped}


@pytest.mark.parametrize("line", ["1 0.5", "1 0.5 7 name digest"])
def test_the_other_lines_of_mlflow(tmp_path: Path, line: str) -> None:
    """Two parts of the oldest stores, five where a data set was named."""
    write_mlflow(tmp_path, line)
    assert read_format("mlflow", [tmp_path]).table.frame["value"].to_list() == [0.5]


@pytest.mark.parametrize("line", ["1 half 7", "1", "1 0.5 7 8"])
def test_lines_that_are_none_are_refused(tmp_path: Path, line: str) -> None:
    write_mlflow(tmp_path, line)
    with pytest.raises(InputError, match=r"line 1 = .*must be a time, a value and a step"):
        read_format("mlflow", [tmp_path])


def write_mlflow(folder: Path, line: str) -> None:
    (folder / "metrics" / "piqa").mkdir(parents=True)
    (folder / "meta.yaml").write_text("run_id: abc\nexperiment_id: '0'\n")
    (folder / "metrics" / "piqa" / "acc").write_text(line + "\n")


def test_what_the_harness_logs_to_wandb(tmp_path: Path) -> None:
    path = RECORDED / "lm_eval" / "lm-eval-wandb.jsonl"
    frame = read_format("wandb", [path]).table.frame
    logged = json.loads(path.read_text())
    found = {
        (task, metric, variant): (value, error)
        for task, metric, variant, value, error in frame.select(
            "task", "metric", "variant", "value", "stderr"
        ).iter_rows()
    }
    assert found["mmlu_philosophy", "acc", None] == (logged["mmlu_philosophy/acc"], 0.03)
    assert found["gsm8k", "exact_match", "strict-match"] == (0.125, 0.01)
    assert found["gsm8k", "exact_match", "flexible-extract"] == (0.25, None)
    assert len(found) == 7


def test_lingua_takes_its_tokens_from_the_training_log(tmp_path: Path) -> None:
    """P-22, and a second folder that has the log of its training beside it."""
    run = tmp_path / "my-run"
    run.mkdir()
    lines = [
        {
            "created_at": "2024-10-01T00:00:00",
            "global_step": step,
            "piqa": {"alias": "piqa", "acc,none": step / 4000},
        }
        for step in (1000, 2000)
    ]
    (run / "metrics.eval.jsonl").write_text("\n".join(map(json.dumps, lines)))
    for name in ("lingua", "auto"):
        frame = read_format(name, [tmp_path]).table.frame
        assert points(frame, "my-run") == [(1000, None, 0.25), (2000, None, 0.5)]
    training = [{"global_step": step, "optim/total_tokens": 1024 * step} for step in range(0, 2001, 500)]
    (run / "metrics.jsonl").write_text("\n".join(map(json.dumps, training)))
    assert points(read_format("lingua", [tmp_path]).table.frame, "my-run") == PIQA


def test_runs_of_one_name_in_two_formats_are_parted_where_they_differ(tmp_path: Path) -> None:
    """Another run, or the same evaluated otherwise: never one curve of both."""
    write_events(tmp_path / "run", event(1, "piqa/acc", 0.25), event(3, "piqa/acc", 0.5))
    (tmp_path / "run.csv").write_text("_step,piqa/acc,boolq/acc\n2,0.75,0.5\n")
    result = read_format("auto", [tmp_path])
    assert result.table.runs == ["run (tensorboard)", "run (wandb)"]
    assert any("run stands in files of tensorboard and wandb" in note for note in result.report.notes)
    (tmp_path / "run.csv").write_text("_step,boolq/acc\n2,0.75\n")
    assert read_format("auto", [tmp_path]).table.runs == ["run"]
    (tmp_path / "run.csv").write_text("_step,piqa/acc\n1,0.25\n3,0.5\n")
    assert read_format("auto", [tmp_path]).table.runs == ["run"]
    shutil.rmtree(tmp_path / "run")


def test_wide_tables_of_papers(tmp_path: Path) -> None:
    """P-31 and a second one, by the tokens, with a task that is not known."""
    path = tmp_path / "t.csv"
    path.write_text("run_type,step,ppl,mmlu_overall,mmlu_stem\nv2,5000,,0.25,0.125\nv2,10000,,0.5,0.25\n")
    with pytest.raises(InputError, match="`values_are` acc"):
        read_format("table", [path], run_column="run_type")
    for options, given_ in (({}, Given(metrics=frozenset(["acc"]))), ({"values_are": "acc"}, Given())):
        for name in ("table", "auto"):
            frame = read_format(name, [path], given=given_, run_column="run_type", **options).table.frame
            assert frame.select("run", "task", "metric", "step", "value").rows() == [
                ("v2", "mmlu", "acc", 5000, 0.25),
                ("v2", "mmlu", "acc", 10000, 0.5),
                ("v2", "mmlu_stem", "acc", 5000, 0.125),
                ("v2", "mmlu_stem", "acc", 10000, 0.25),
            ]
    path.write_text("Tokens,ARC-E,HellaSwag,Mystery\n1000,0.25,0.5,0.75\n")
    result = read_format("table", [path], step_column="Tokens", tokens_column="Tokens", values_are="acc_norm")
    assert result.table.frame.select("run", "task", "step", "tokens").rows() == [
        ("t", "arc_easy", 1000, 1000),
        ("t", "hellaswag", 1000, 1000),
    ]
    assert ("Mystery", "no task and known metric in its name") in result.report.skipped


def test_two_runs_in_one_folder_of_events_are_not_mixed(tmp_path: Path) -> None:
    """Their steps go back where the second file begins: asked about, never sorted into one curve."""
    write_events(
        tmp_path, event(100, "piqa/acc", 0.25), event(300, "piqa/acc", 0.5), name="events.out.tfevents.1"
    )
    write_events(
        tmp_path, event(200, "piqa/acc", 0.75), event(400, "piqa/acc", 0.5), name="events.out.tfevents.2"
    )
    with pytest.raises(InputError, match="`keep`"):
        read_format("tensorboard", [tmp_path])


@given(st.integers(0, 10**6), st.integers(1, 255))
def test_no_changed_byte_gives_another_number(
    tmp_path_factory: pytest.TempPathFactory, place: int, flip: int
) -> None:
    (path,) = (RECORDED / "tensorboard" / "torch-run").iterdir()
    data = bytearray(path.read_bytes())
    whole = list(read_scalars(path))
    data[place % len(data)] ^= flip
    changed = tmp_path_factory.mktemp("tb") / path.name
    changed.write_bytes(data)
    found = []
    with contextlib.suppress(InputError):
        found += read_scalars(changed)
    assert found == whole[: len(found)]


@pytest.mark.parametrize("format_", ["lingua", "wandb", "auto"])
@pytest.mark.parametrize(
    ("places", "runs"),
    [
        (["dumps/my-run/metrics.eval.jsonl"], ["my-run"]),
        (["my-run/evals/0000001000/metrics.eval.jsonl"], ["my-run"]),
        ([f"{run}/evals/{n:010}/metrics.eval.jsonl" for run in ("a", "b") for n in (1, 2)], ["a", "b"]),
        (["logs/base.eval.jsonl", "logs/wide.eval.jsonl"], ["base", "wide"]),
        (["sweep/1/metrics.eval.jsonl", "sweep/2/metrics.eval.jsonl"], ["1", "2"]),
    ],
)
def test_a_log_of_lingua_alone_or_in_a_folder_of_its_step_names_its_run(
    tmp_path: Path, places: list[str], runs: list[str], format_: str
) -> None:
    for number, place in enumerate(places):
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        line = {"global_step": 1 + number, "piqa": {"acc,none": 0.5}}
        (tmp_path / place).write_text(json.dumps(line))
    table = read_format(format_, [tmp_path / place for place in places]).table
    assert table.runs == runs
    assert len(table) == len(places)
