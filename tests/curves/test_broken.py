"""Tables made by hand: words for missing values, one broken curve that blocks no other, --keep."""

from pathlib import Path

import pytest

from neuneu.curves.columns import normalise
from neuneu.curves.frames import read_frame
from neuneu.curves.inspect import problems
from neuneu.curves.readers.formats import read_format
from neuneu.curves.readers.parsing import Given
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.select import Selection

HEADER = "run,task,metric,step,value,stderr,seed\n"


def table(folder: Path, *rows: str) -> Path:
    path = folder / "t.csv"
    path.write_text(HEADER + "\n".join(rows) + "\n")
    return path


@pytest.mark.parametrize("word", ["N/A", "NA", "nan", "NaN", "null", "None", "-", "n/a", "#N/A", " "])
def test_the_usual_words_for_missing_in_optional_columns(tmp_path: Path, word: str) -> None:
    path = table(tmp_path, f"r,piqa,acc,1,0.5,{word},1", "r,piqa,acc,2,0.6,0.01,1")
    assert CurveTable.read(path).frame["stderr"].to_list() == [None, 0.01]


def test_other_text_for_a_number_is_refused_with_its_row(tmp_path: Path) -> None:
    path = table(tmp_path, "r,piqa,acc,1,0.5,0.1,1", "r,piqa,acc,2,0.6,big,1")
    with pytest.raises(InputError, match=r"stderr = 'big': must be a number \(row 2\)"):
        CurveTable.read(path)
    path = table(tmp_path, "r,piqa,acc,1,0.5,0.1,1", "r,piqa,acc,1.5,0.6,0.1,1")
    with pytest.raises(InputError, match=r"step = '1.5': must be a whole number \(row 2\)"):
        CurveTable.read(path)


FAULTS = {
    "given twice": ["r,boolq,acc,1,0.5,,", "r,boolq,acc,1,0.6,,"],
    "a value is missing": ["r,boolq,acc,1,N/A,,"],
    "a value is not finite": ["r,boolq,acc,1,inf,,"],
    "if these are percentages": ["r,boolq,acc,1,50.0,,"],
    "a step is negative": ["r,boolq,acc,-1,0.5,,"],
}


@pytest.mark.parametrize("words", FAULTS)
def test_a_curve_that_nobody_asked_for_blocks_nothing(tmp_path: Path, words: str) -> None:
    path = table(tmp_path, "r,piqa,acc,1,0.5,,", "r,piqa,acc,2,0.6,,", *FAULTS[words])
    read = CurveTable.read_sound(path)
    assert read.tasks == ["piqa"]
    assert [key.task for key, _ in read.broken] == ["boolq"]
    assert Selection(tasks=["piqa"]).of(read).tasks == ["piqa"]
    for asked in (Selection(), Selection(tasks=["boolq"])):
        with pytest.raises(InputError, match=words):
            asked.of(read)
    assert len(problems(normalise(read_frame(path), path, lenient=True))) >= 1
    with pytest.raises(InputError):
        CurveTable.read(path)
    with pytest.raises(InputError, match=words):
        CurveTable.read_sound(table(tmp_path, *FAULTS[words]))


def test_tables_have_keep_too(tmp_path: Path) -> None:
    path = table(tmp_path, "r,piqa,acc,1,0.5,,a", "r,piqa,acc,2,0.6,,a", "r,piqa,acc,2,0.7,,b")
    with pytest.raises(InputError, match=r"0.6 in .*t.csv and 0.7 in .*`run_column`"):
        read_format("table", [path])
    for keep, value in (("first", 0.6), ("last", 0.7)):
        kept = read_format("table", [path], given=Given(keep=keep)).table  # type: ignore[arg-type]
        assert kept.frame["value"].to_list() == [0.5, value]
    assert read_format("table", [path], run_column="seed").table.runs == ["a", "b"]
    with pytest.raises(InputError, match="column = 'sed': `run_column` names no such column"):
        read_format("table", [path], run_column="sed")
