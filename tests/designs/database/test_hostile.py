"""Files made to break the readers are refused in one line that names them; none ends in a traceback."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.designs.database import trying
from neuneu.designs.database.contribute import read_contribution
from neuneu.designs.database.metadata import read_metadata
from neuneu.designs.database.readers import read_features_csv, read_lm_eval, read_scores_json, read_table_csv
from neuneu.designs.database.records import NewRows
from neuneu.designs.database.schema import MODELS
from neuneu.designs.database.store import DesignStore
from neuneu.errors import InputError

ARC = '"results": {"arc": {"acc,none": 0.5}}'
SHOTS = '{"25-shot": {"acc": 0.5}}'
LM_EVAL = [
    ('{"results": {"arc": {"acc,none": 0.5, "acc,none": 0.6}}, "model_name": "m"}', "twice"),
    ('{"results": {"arc": {"acc,none": 1e400}}, "model_name": "m"}', "finite"),
    ('{"results": {"arc": {"acc,none": "1e400"}}, "model_name": "m"}', "finite"),
    ('{"results": {"arc": {"acc,none": Infinity}}, "model_name": "m"}', "finite"),
    ('{"results": {"arc": {"acc,none": %s}}, "model_name": "m"}' % ("9" * 400), "finite"),
    ('{"results": {"arc": {"acc,none": %s}}, "model_name": "m"}' % ("9" * 5000), "must be a finite number"),
    ('{"results": {"arc": {"acc,none": 5}}, "model_name": "m"}', "from 0 to 1"),
    ("{ARC}", "model_name"),
    ('{ARC, "config": "x"}', "must be an object"),
    ('{ARC, "model_name": "m", "configs": [1]}', "must be an object"),
    ('{ARC, "model_name": "m", "configs": {"arc": "x"}}', "must be an object"),
    ('{ARC, "model_name": "m", "groups": 5}', "must be an object"),
    ('{ARC, "model_name": "m", "n-shot": {"arc": -1}}', "n-shot.arc = -1: .*or equal to 0"),
    ('{ARC, "model_name": "\\ud800"}', "surrogate"),
    ("[" * 100_000, "nested too deep"),
]
SCORES = [
    ('{"results": {"h": {"arc_challenge": SHOTS}}}', "model_name"),
    ('{"model_name": {"a": 1}, "results": {"h": {"arc_challenge": SHOTS}}}', "model_name"),
    ('{"model_name": "m", "results": {"h": {"arc_challenge": {"25-shot": [1]}}}}', "must be an object"),
    ('{"model_name": "m", "results": {"h": [1]}}', "must be an object"),
]
YAML = [
    ("model: a\narchitecture: {dimension: 99999999999999999999999999}", "dimension"),
    ("model: a\ndata: {percentage_web: 1e400}", "number"),
    ("model: a\ndata: {percentage_web: .nan}", "number"),
    ('model: "\\ud800"', "invalid Unicode"),
    ('model: "a\\0b"', "control"),
    ("model: a\n---\nmodel: b", "single document"),
    ("model: a\nevaluations: [{benchmark: x, shots: 1, metric: y, value: %s}]" % ("9" * 400), "finite"),
    ("[" * 5_000, "not YAML"),
]


def _text(read: Callable[[Path], NewRows], suffix: str) -> Callable[[Path, str], NewRows]:
    def run(folder: Path, text: str) -> NewRows:
        path = folder / f"x{suffix}"
        path.write_text(text.replace("ARC", ARC).replace("SHOTS", SHOTS))
        return read(path)

    return run


CASES = [
    *((_text(read_lm_eval, ".json"), *case) for case in LM_EVAL),
    *((_text(read_scores_json, ".json"), *case) for case in SCORES),
    *((_text(read_contribution, ".yaml"), *case) for case in YAML),
    (_text(read_features_csv, ".csv"), "id\nm\n", "besides id"),
    (_text(read_features_csv, ".csv"), "id,a\nm,1e400\n", "finite"),
    (_text(read_features_csv, ".csv"), "id,a\n,1\n,2\n", "must not be empty"),
    (_text(lambda path: read_table_csv(path, MODELS), ".csv"), '"i\nd",dimension\nm,1\n', "line breaks"),
    *(
        (_text(lambda path: read_table_csv(path, MODELS), ".csv"), text, rule)
        for text, rule in (
            ("id,dimension\nm,1152921504606846977\n", "whole"),
            ("id,dimension\nm,5\nn\n", "record 2: has 1 fields, not 2"),
            ("id,dimension\nm,5,6\n", "record 1: has 3 fields, not 2"),
            ('id,dimension\n"m,5\n', "record 1: not a CSV table"),
            ("id,dimension\nm\0,5\n", "control"),
            (f"id,dimension\n{'a' * 200_000},5\n", "record 1: not a CSV table: field larger"),
            ("id,released\nm,yesterday\n", "record 1: released = 'yesterday': must be an ISO date"),
            ("id,released\nm,2023-13-01\n", "ISO date"),
        )
    ),
]


@pytest.mark.parametrize(("read", "text", "rule"), CASES)
def test_hostile_files_are_refused_by_name(
    tmp_path: Path, read: Callable[[Path, str], NewRows], text: str, rule: str
) -> None:
    with pytest.raises(InputError, match=rule) as error:
        read(tmp_path, text)
    assert str(tmp_path / "x.") in str(error.value)
    assert "\n" not in str(error.value)


def _ids(read: Callable[[], NewRows], name: str) -> list[str]:
    """The models that a file describes; none where it is refused by name."""
    problem, batch = "", None
    try:
        batch = read()
    except InputError as error:
        problem = str(error)
    assert name in problem or batch is not None
    return batch.tables["model_annotations"]["id"].to_list() if batch is not None else []


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
MODEL_KEYS = ("config", "safetensors", "training_stages", "created_at", "sha", "dimension", "biases", "id")
CONFIG_KEYS = ("hidden_size", "num_attention_heads", "num_key_value_heads", "model_type", "alibi", "n_inner")


@given(
    st.dictionaries(st.sampled_from(MODEL_KEYS), VALUES),
    st.dictionaries(st.sampled_from(CONFIG_KEYS), VALUES),
)
def test_any_metadata_becomes_rows_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any], config: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("metadata")
    (folder / "model_metadata").mkdir()
    whole = {"id": "m", "config": config} | document
    (folder / "model_metadata" / "m.json").write_text(json.dumps(whole))
    assert _ids(lambda: read_metadata(folder), "m.json") in ([whole["id"]], [])


SECTIONS = ("model", "reference", "architecture", "data", "training_stages", "evaluations")


@given(st.dictionaries(st.sampled_from(SECTIONS), VALUES))
def test_any_contribution_becomes_rows_or_one_error(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    path = tmp_path_factory.mktemp("contribution") / "new.json"
    path.write_text(json.dumps({"model": "m"} | document))
    assert _ids(lambda: read_contribution(path), "new.json") in ([document.get("model", "m")], [])


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("while True: pass", "opening it does not end"),
        ("import os; os.abort()", "ends its process (SIGABRT)"),
    ],
)
def test_a_database_that_does_not_open_in_another_process_is_not_opened_in_this_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, does: str, words: str
) -> None:
    path = tmp_path / "d.duckdb"
    DesignStore.create(path).close()
    monkeypatch.setattr(trying, "SECONDS", 1)
    monkeypatch.setattr(trying, "_PROGRAM", trying._PROGRAM.replace("import duckdb\n", does + "\n"))
    with pytest.raises(InputError, match=re.escape(words)) as caught:
        DesignStore(path)
    assert str(path) in str(caught.value)
    monkeypatch.undo()
    DesignStore(path).close()
    monkeypatch.setattr(trying, "_PROGRAM", does)  # what was tried once is not tried again
    DesignStore(path).close()
