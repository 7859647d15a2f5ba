"""What is sent is read as `import` reads it: every format, several files, folders, hostile names."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.app.conftest import Ask, form, result

from neuneu.app.asked import Sent
from neuneu.app.sent_files import parts_of
from neuneu.curves.readers.formats import formats, read_format
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError

FILES = {
    f"results/one/step{1000 * k}/results_2026.json": result(1000 * k, piqa=0.6 + k / 100, sciq=0.7 + k / 100)
    for k in range(1, 6)
}


def test_a_folder_of_harness_results_becomes_a_table(ask: Ask, tmp_path: Path) -> None:
    body, kind = form({**FILES, "results/readme.json": b"{}", "results/notes.txt": b"hello"})
    info = ask("api/tables?tokens_per_step=1000&planned_tokens=9000000", body, Content_Type=kind).json
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    here = read_format("auto", [tmp_path / "results"]).table
    assert (info["n_values"], info["n_runs"], info["n_tasks"]) == (len(here), 1, 2)
    assert info["name"] == "results"
    (run,) = info["runs"]
    assert run["name"] == here.runs[0]
    assert (run["checkpoints"], run["clock"], run["clock_unit"], run["planned"]) == (5, 5e6, "tokens", 9e6)
    assert any("lm-eval" in line for line in info["read"])
    assert any("readme.json" in line for line in info["read"])
    forecast = ask(f"api/forecast?table={info['id']}").json
    assert {cell["clock"] for cell in forecast["cells"]} >= {9e6}


def test_files_that_have_one_name_are_all_read(ask: Ask) -> None:
    parts = [form({"results.json": content})[0].removesuffix(b"--edge--\r\n") for content in FILES.values()]
    body = b"".join([*parts, b"--edge--\r\n"])
    info = ask("api/tables", body, Content_Type="multipart/form-data; boundary=edge").json
    assert info["runs"][0]["checkpoints"] == 5


def test_one_file_and_a_form_with_it_are_the_same_table(ask: Ask, table: Path) -> None:
    body, kind = form({"curves.parquet": table.read_bytes()})
    assert ask("api/tables", body, Content_Type=kind).json == ask("api/tables", table.read_bytes()).json


def test_every_ending_of_a_curve_table_is_read(ask: Ask, table: Path) -> None:
    frame = CurveTable.read(table).frame
    for name, body in {
        "t.csv": frame.write_csv().encode(),
        "T.CSV": frame.write_csv().encode(),
        "t.json": frame.write_json().encode(),
    }.items():
        info = ask(f"api/tables?name={name}", body)
        assert (info.status, info.json.get("n_values")) == (200, len(frame)), info.json


def test_a_bad_curve_leaves_the_others_and_is_told(ask: Ask) -> None:
    rows = "".join(f"{run},t,acc,{k},{0.3 + k / 50}\n" for run in "ab" for k in range(1, 9))
    info = ask("api/tables?name=x.csv", f"run,task,metric,step,value\n{rows}b,t,acc,9,43.1\n".encode()).json
    assert [run["name"] for run in info["runs"]] == ["a"]
    assert any("run b" in line and "divide by 100" in line for line in info["read"])


def test_what_the_files_do_not_say_can_be_said(ask: Ask) -> None:
    two = {"a.json": result(1000, piqa=0.5), "b.json": result(1000, piqa=0.6)}
    body, kind = form(two)
    refused = ask("api/tables", body, Content_Type=kind)
    assert refused.status == 422
    assert "keep" in refused.json["error"]
    assert (
        ask("api/tables?keep=last&run_name=mine&format=lm-eval", body, Content_Type=kind).json["runs"][0][
            "name"
        ]
        == "mine"
    )


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (b"", "multipart/form-data; boundary=edge", "empty"),
        (b"--edge--\r\n", "multipart/form-data; boundary=edge", "no file"),
        (b"not a form", "multipart/form-data; boundary=edge", "no form"),
        (b"--edge\r\n\r\n", "multipart/form-data", "no form"),
        (form({"x.json": b"{" * 1000})[0], "multipart/form-data; boundary=edge", "x.json"),
        (form({"x.html": b"<p>"})[0], "multipart/form-data; boundary=edge", "x.html"),
    ],
)
def test_a_body_that_is_no_form_with_results_is_refused_in_one_line(
    ask: Ask, body: bytes, kind: str, words: str
) -> None:
    answer = ask("api/tables", body, Content_Type=kind)
    assert answer.status == 422
    assert words in answer.json["error"]
    assert "\n" not in answer.json["error"]
    assert "/tmp" not in answer.json["error"]


def test_deep_json_and_a_million_points_do_no_harm(ask: Ask) -> None:
    deep = ask("api/tables?name=deep.json", b"[" * 5_000_000 + b"]" * 5_000_000)
    assert deep.status in (413, 422)
    assert "deep.json" in deep.json["error"]
    n = 1_000_000
    frame = pl.select(
        run=pl.lit("r"), task=pl.lit("t"), metric=pl.lit("acc"), step=pl.int_range(1, n + 1),
        value=0.3 + pl.int_range(n) / (4 * n),
    )  # fmt: skip
    body = frame.write_csv().encode()
    sent = ask("api/tables?name=long.csv", body)
    assert sent.status == 200, sent.json
    assert sent.json["n_values"] == n
    report = ask(f"api/report?table={sent.json['id']}&forecaster=last-value")
    assert report.status in (200, 413), report.json
    assert len(report.body) < 5e6
    assert ask("api/forecast?context=0.32").status == 200


HOSTILE = "<img src=x onerror=alert(1)>\"'&</script>"


def test_names_that_hold_code_are_only_names(ask: Ask) -> None:
    rows = [
        {"run": HOSTILE + run, "task": HOSTILE, "metric": "acc", "step": 10 * k, "value": 0.3 + k / 50}
        for k in range(1, 9) for run in "ab"
    ]  # fmt: skip
    info = ask("api/tables?name=x.json", json.dumps(rows).encode()).json
    assert info["tasks"] == [HOSTILE]
    report = ask(f"api/report?table={info['id']}").body.decode()
    assert "<img src=x" not in report
    assert ask(f"api/rank?table={info['id']}").json["runs"][0]["run"].startswith(HOSTILE)


@given(st.text(max_size=400))
def test_a_name_never_leaves_its_folder(name: str) -> None:
    try:
        parts = parts_of(name)
    except InputError:
        return
    assert parts
    for part in parts:
        assert part not in ("", ".", "..")
        assert not part.startswith(".")
        assert not set(part) & set("/\\\0")
        assert len(part.encode()) <= 255
    folder = Path("/somewhere/in")
    assert folder.joinpath(*parts).resolve().is_relative_to(folder)


def test_formats_are_listed_with_the_names_of_their_files(ask: Ask) -> None:
    listed = {each["name"]: each["names"] for each in ask("api/formats").json}
    assert listed == {name: list(made.names) for name, made in formats().items()}


def test_sent_facts_are_those_of_import() -> None:
    given = Sent(run_name="r", params=5, tokens_per_step=7, planned_tokens=9, schedule="wsd:0.9", keep="last")
    from neuneu.app.sent_files import given_by

    made = given_by(given)
    assert (made.run, made.params, made.tokens_per_step, made.planned_tokens, made.keep) == (
        "r", 5, 7, 9, "last",
    )  # fmt: skip
    assert made.schedule == "wsd:0.9"
