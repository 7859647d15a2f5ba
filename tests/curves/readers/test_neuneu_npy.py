"""NeuNeu's .npy layout: in and out again, and files that only look like it."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curves.tables import rows
from neuneu.curves.readers.neuneu_npy import load_array, read_neuneu_npy, write_neuneu_npy
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError


@settings(max_examples=20)
@given(st.dictionaries(st.integers(0, 10**9), st.floats(0, 1, allow_nan=False), min_size=1, max_size=20))
def test_out_and_in_again(tmp_path_factory: pytest.TempPathFactory, points: dict[int, float]) -> None:
    folder = tmp_path_factory.mktemp("npy")
    table = CurveTable.from_frame(rows(len(points), step=list(points), value=list(points.values())))
    (path,) = write_neuneu_npy(table, folder)
    array = np.load(path, allow_pickle=False)
    assert (path, array.dtype, array.shape) == (folder / "a" / "arc_easy.npy", np.float64, (2, len(points)))
    again = read_neuneu_npy([folder], values_are="acc").table.frame
    told = ["run", "task", "metric", "step", "value"]
    assert again.select(told).equals(table.frame.select(told))


def test_a_model_folder_of_the_layout(tmp_path: Path) -> None:
    folder = tmp_path / "EleutherAI--pythia-70m"
    folder.mkdir()
    np.save(folder / "arc_easy.npy", np.array([[1000.0, 512.0], [0.3, 0.2]]))
    np.save(folder / "avg_losses_by_step.npy", np.zeros((2, 3)))
    (folder / "step512").mkdir()
    np.save(folder / "step512" / "word_losses_shard_0.npy", np.zeros(9, dtype=np.float32))
    result = read_neuneu_npy([tmp_path])
    frame = result.table.frame
    assert frame.select("step", "tokens", "metric", "family", "params").rows() == [
        (512, 512 * 2_097_152, "primary_metric", "pythia", 18_915_328),
        (1000, 1000 * 2_097_152, "primary_metric", "pythia", 18_915_328),
    ]
    assert {Path(what).name for what, _ in result.report.skipped} == {
        "avg_losses_by_step.npy",
        "word_losses_shard_0.npy",
    }


def test_mean_losses_are_a_curve_where_they_are_named(tmp_path: Path) -> None:
    folder = tmp_path / "DataDecide-c4-300M"
    folder.mkdir()
    np.save(folder / "arc_easy.npy", np.array([[1000.0, 2000.0], [0.3, 0.4]]))
    np.save(folder / "avg_losses_by_step.npy", np.array([[1000.0, 2000.0], [4.5, 3.75]]))
    frame = read_neuneu_npy([tmp_path], losses_as="validation").table.frame
    assert frame.select("task", "metric", "step", "value").rows() == [
        ("arc_easy", "primary_metric", 1000, 0.3), ("arc_easy", "primary_metric", 2000, 0.4),
        ("validation", "loss", 1000, 4.5), ("validation", "loss", 2000, 3.75),
    ]  # fmt: skip


def test_facts_from_the_name_of_a_datadecide_model(tmp_path: Path) -> None:
    folder = tmp_path / "DataDecide-dclm-baseline-qc-10p-300M"
    folder.mkdir()
    np.save(folder / "piqa.npy", np.array([[0.0], [0.5]]))
    row = read_neuneu_npy([folder]).table.frame.row(0, named=True)
    assert (row["family"], row["recipe"], row["params"]) == (
        "datadecide",
        "dclm-baseline-qc-10p",
        300_000_000,
    )


def header(shape: str, dtype: str = "<f8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "the file is empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 720\n", "git lfs pull"),
        (b"\x93NUMPY", "not a .npy array"),
        (b"hello, world, this is text", "not a .npy array"),
        (header("(2, 2)") + b"\0" * 31, "cut short"),
        (header("(2, 99999)") + b"\0" * 32, "cut short"),
        (header("(2, 99999999999999)") + b"\0" * 32, "cut short"),
        (header("(3, 1)") + b"\0" * 24, "must be (2, n)"),
        (header("(2, 0)"), "must be (2, n)"),
        (header("(2,)") + b"\0" * 16, "must have 2 axes"),
        (header("(2, 1)", "<i8") + b"\0" * 16, "must be an array of floats"),
        (header("(2, 1)", "|O") + b"\0" * 16, "must be an array of floats"),
        (header("(2, 1)") + np.array([1.0, np.nan]).tobytes(), "must be finite"),
        (header("(2, 1)") + np.array([1.5, 0.5]).tobytes(), "must be a whole number"),
        (header("(2, 1)") + np.array([-1.0, 0.5]).tobytes(), "must not be negative"),
        (header("(2, 1)") + np.array([1.0, 50.0]).tobytes(), "divide by 100"),
        (header("(2, 2)") + np.array([[1.0, 1.0], [0.5, 0.6]]).tobytes(), "two different values"),
    ],
)
def test_bad_files(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "arc_easy.npy"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_neuneu_npy([path])
    assert words in str(caught.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_array_or_an_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "x.npy"
    path.write_bytes(b"\x93NUMPY\x01\x00" + content)
    with pytest.raises(InputError):
        load_array(path)


def test_two_curves_of_one_file_are_refused_and_nothing_is_written(tmp_path: Path) -> None:
    table = CurveTable.from_frame(pl.concat([rows(n_shot=[0] * 4), rows(n_shot=[5] * 4)]))
    with pytest.raises(InputError, match="would be one file"):
        write_neuneu_npy(table, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert len(write_neuneu_npy(table.filter(n_shot=5), tmp_path)) == 1


def test_names_stay_inside_the_folder(tmp_path: Path) -> None:
    table = CurveTable.from_frame(rows(run=["/etc/my run"] * 4, task=["a/b"] * 4))
    (path,) = write_neuneu_npy(table, tmp_path)
    assert path == tmp_path / "--etc--my run" / "a--b.npy"
    for bad in (".", "é" * 200):
        with pytest.raises(InputError, match="cannot be a file name"):
            write_neuneu_npy(CurveTable.from_frame(rows(run=[bad] * 4)), tmp_path)


def test_files_that_exist_are_kept_unless_asked(tmp_path: Path) -> None:
    table = CurveTable.from_frame(rows())
    (path,) = write_neuneu_npy(table, tmp_path)
    before = path.read_bytes()
    with pytest.raises(InputError, match="exists already"):
        write_neuneu_npy(table, tmp_path)
    write_neuneu_npy(table, tmp_path, overwrite=True)
    assert path.read_bytes() == before
    with pytest.raises(InputError, match="metric = 'bpb': is not in the table"):
        write_neuneu_npy(table, tmp_path, metric="bpb")
