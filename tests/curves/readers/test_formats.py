"""The formats by name and by what a file is: registration, options, folders of mixed formats."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from neuneu.curves.readers import reader as reader_module
from neuneu.curves.readers.formats import format_options, formats, read_format
from neuneu.curves.readers.reader import REGISTRY, Fit, Reader, reader
from neuneu.errors import InputError
from neuneu.files import read_json


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A folder with a harness file, a history, a NeuNeu array, a broken file and one of no format."""
    results = {"results": {"piqa": {"acc,none": 0.5}}, "versions": {"piqa": 1}, "n-shot": {"piqa": 0}}
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "step10.json").write_text(json.dumps({**results, "model_name": "me/lm"}))
    (tmp_path / "a" / "cut.json").write_text('{"results": {"piqa": {"acc,no')
    (tmp_path / "a" / "tokenizer.json").write_text('{"model": {}}')
    (tmp_path / "history.csv").write_text("_step,eval/piqa_acc,seen\n5,0.25,50\n")
    (tmp_path / "model").mkdir()
    np.save(tmp_path / "model" / "piqa.npy", np.array([[1.0, 2.0], [0.25, 0.5]]))
    return tmp_path


def test_a_folder_of_mixed_formats_is_read_in_one_go(mixed: Path) -> None:
    result = read_format("auto", [mixed])
    assert result.table.frame.select("run", "metric", "step", "value").rows() == [
        ("history", "acc", 5, 0.25),
        ("me/lm", "acc", 10, 0.5),
        ("model", "primary_metric", 1, 0.25),
        ("model", "primary_metric", 2, 0.5),
    ]
    skipped = {Path(what).name: why for what, why in result.report.skipped}
    assert skipped["tokenizer.json"] == "of no known format"
    assert "not JSON" in skipped["cut.json"]


def test_a_document_is_parsed_once_to_tell_its_format_and_to_be_read(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[Path] = []

    def counting(path: Path) -> Any:
        parsed.append(path)
        return read_json(path)

    monkeypatch.setattr(reader_module, "read_json", counting)
    table = read_format("auto", [mixed]).table
    assert sorted(parsed) == sorted(set(parsed))
    assert [path.name for path in parsed].count("step10.json") == 1
    monkeypatch.setattr(reader_module, "HANDED", 0)
    assert read_format("auto", [mixed]).table.frame.equals(table.frame)


def test_an_option_goes_to_the_formats_that_take_it(mixed: Path) -> None:
    frame = read_format("auto", [mixed], tokens_column="seen", values_are="acc_norm").table.frame
    assert frame.filter(run="history")["tokens"].to_list() == [50]
    assert frame.filter(run="model")["metric"].unique().to_list() == ["acc_norm"]
    with pytest.raises(InputError, match="no format that is here takes it"):
        read_format("auto", [mixed / "model"], tokens_column="seen")
    with pytest.raises(InputError, match="is no option of neuneu-npy"):
        read_format("neuneu-npy", [mixed / "model"], tokens_column="seen")


def test_nothing_known_is_refused_with_the_reasons(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text("[1]")
    with pytest.raises(InputError, match=r"a\.json: of no known format"):
        read_format("auto", [tmp_path])
    with pytest.raises(InputError, match=r"a\.json: of no known format"):
        read_format("auto", [tmp_path], values_are="acc")
    with pytest.raises(InputError, match="unknown; known: auto, "):
        read_format("no-such", [tmp_path])


def test_a_reader_registers_itself_with_name_options_and_mark(tmp_path: Path) -> None:
    def read(files: list[Path], *_: object, shout: str = "") -> pl.DataFrame:
        return pl.DataFrame(
            {
                "run": [file.stem + shout for file in files],
                "task": "t",
                "metric": "acc",
                "step": 1,
                "value": 0.5,
            }
        )

    known = dict(formats())
    made = reader(
        "mine", "my own", names=["*.mine"], options={"shout": "how loud."},
        recognise=lambda look: Fit.MARK if look.text.startswith("mine") else Fit.NO,
    )(read)  # fmt: skip
    try:
        (tmp_path / "a.mine").write_text("mine")
        assert isinstance(made, Reader)
        assert "mine: how loud." in format_options()["shout"]
        for name in ("mine", "auto"):
            assert read_format(name, [tmp_path], shout="!").table.runs == ["a!"]
        with pytest.raises(ValueError, match="two readers are named mine"):
            reader("mine", "", names=["*"], recognise=lambda _: Fit.NO)(lambda *_: pl.DataFrame())
    finally:
        del REGISTRY["mine"]
    assert dict(formats()) == known


def test_two_formats_that_fit_alike_ask_for_the_name(mixed: Path) -> None:
    again = formats()["wandb"]
    reader("again", "", names=again.names, recognise=again.recognise)(again.read_rows)
    try:
        why = {Path(what).name: why for what, why in read_format("auto", [mixed]).report.skipped}
        assert why["history.csv"] == "may be again or wandb: import it by the format's name"
    finally:
        del REGISTRY["again"]
