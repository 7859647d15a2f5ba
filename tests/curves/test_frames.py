"""Files that are not what their names say: each gives one clear line."""

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.curves.frames import read_frame
from neuneu.curves.readers.formats import read_format
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError

from .tables import rows

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
HEADER = "run,task,metric,step,value\n"


def refusal(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        CurveTable.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    return message


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.parquet", "", "the file is empty"),
        ("a.csv", "", "the file is empty"),
        ("a.parquet", LFS, "Git LFS pointer"),
        ("a.csv", LFS, "Git LFS pointer"),
        ("a.json", LFS, "Git LFS pointer"),
        ("a.parquet", "PAR1 is not enough", "cannot be read as parquet"),
        ("a.txt", HEADER, "end in .parquet, .csv, .tsv or .json"),
        ("a.csv", HEADER, "no rows"),
        ("a.csv", HEADER + "a,piqa,acc,1,1e400\n", "must be finite"),
        ("a.csv", HEADER + "a,piqa,acc,1,nan\n", "must be finite"),
        ("a.csv", HEADER + "a,piqa,acc,1,50%\n", "must be a number (row 1)"),
        ("a.csv", HEADER + "a,piqa,acc,x,0.5\n", "must be"),
        ("a.csv", HEADER + "a,piqa,acc,1,0.5,9,9\n", "cannot be read as csv"),
        ("a.csv", "run,run,task,metric,step,value\na,a,piqa,acc,1,0.5\n", "given twice"),
        ("a.json", '[{"run": "a", "run": "b"}]', "must not be given twice"),
        ("a.json", '[{"value": 1e400}]', "must be a finite number"),
        ("a.json", "[" * 100_000, "nested too deep"),
        ("a.json", "[1" + "0" * 5000 + "]", "must be a finite number"),
        ("a.json", '{"run": "a"}', "must be a list of objects"),
        ("a.json", "[1, 2]", "must be a list of objects"),
        ("a.json", "[", "not JSON"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, content: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(content)
    assert words in refusal(path)


def test_a_table_between_tabs_is_read_as_one_between_commas(tmp_path: Path) -> None:
    table = HEADER + "a, b,piqa,acc,1,0.5\n".replace("a, b", '"a, b"')
    (tmp_path / "t.csv").write_text(table)
    (tmp_path / "t.tsv").write_text(table.replace('"a, b"', "a; b").replace(",", "\t").replace(";", ","))
    assert CurveTable.read(tmp_path / "t.tsv").frame.equals(CurveTable.read(tmp_path / "t.csv").frame)
    for name in ("table", "auto"):
        assert read_format(name, [tmp_path / "t.tsv"]).table.runs == ["a, b"]
    (tmp_path / "h.tsv").write_text("step\tpiqa/acc\n1\t0.5\n2\t0.6\n")
    assert read_format("auto", [tmp_path / "h.tsv"]).table.frame["value"].to_list() == [0.5, 0.6]
    (tmp_path / "bad.tsv").write_text(HEADER + "a,piqa,acc,1,0.5\n")
    assert "the column is missing" in refusal(tmp_path / "bad.tsv")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    assert "no such file" in refusal(tmp_path / "none.parquet")
    folder = tmp_path / "folder.parquet"
    folder.mkdir()
    assert "is a folder" in refusal(folder)


@given(st.data())
def test_a_parquet_file_cut_or_damaged_anywhere_is_refused_or_read_whole(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("cut") / "a.parquet"
    table = CurveTable.from_frame(rows(20))
    table.write(path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        CurveTable.read(path)


def test_a_path_with_wildcards_is_one_file(tmp_path: Path) -> None:
    for name in ("a1.csv", "a2.csv", "a[12].csv"):
        (tmp_path / name).write_text(HEADER + f"{name},piqa,acc,1,0.5\n")
    assert CurveTable.read(tmp_path / "a[12].csv").runs == ["a[12].csv"]
    assert "no such file" in refusal(tmp_path / "a*.csv")


def test_csv_keeps_text_as_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("run,task,metric,step,value,seed,tokens\n007,piqa,acc,1,0.5,001,1e9\n")
    frame = CurveTable.read(path).frame
    assert frame.select("run", "seed", "tokens").row(0) == ("007", "001", 10**9)
    assert read_frame(path).schema["step"] == read_frame(path).schema["run"]


def test_a_link_named_by_the_user_is_followed(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "a,piqa,acc,1,0.5\n")
    (tmp_path / "b.csv").symlink_to(tmp_path / "a.csv")
    assert len(CurveTable.read(tmp_path / "b.csv")) == 1
