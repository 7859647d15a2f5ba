"""What is collected: leaderboard and hub by a stand-in server, spreadsheets, records, own checkpoints."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from tests.hub import serve

from neuneu.designs import DesignStore
from neuneu.designs.database.collect import fetch_metadata, fetch_scores
from neuneu.designs.database.dataset_records import Domain, check_type, read_record, record_template, shares
from neuneu.designs.database.harvest import harvest_hub
from neuneu.designs.database.home import home_batch, open_store
from neuneu.designs.database.metadata import read_metadata
from neuneu.designs.database.readers import read_lm_eval, read_scores_json
from neuneu.designs.database.records import rename_models
from neuneu.designs.database.sheet import COLUMNS, read_sheet, sheet
from neuneu.errors import InputError

CONFIG = {"model_type": "gpt_neox", "hidden_size": 512, "num_attention_heads": 8, "num_hidden_layers": 6}
PAGE = {
    "author": "org",
    "createdAt": "2023-02-13T14:54:51.000Z",
    "lastModified": "2023-11-21T19:04:09.000Z",
    "tags": ["pytorch", "license:apache-2.0"],
    "pipeline_tag": "text-generation",
    "private": False,
    "safetensors": {"parameters": {"F16": 95_592_496}, "total": 95_592_496},
}


@pytest.fixture
def hub(tmp_path: Path) -> Path:
    """A hub with one model and two leaderboard runs of it."""
    root = tmp_path / "hub"
    model = root / "models/org/tiny/main"
    model.mkdir(parents=True)
    (model / "config.json").write_text(json.dumps(CONFIG))
    (model / "pytorch_model.bin").write_bytes(b"not fetched")
    (root / "pages/org").mkdir(parents=True)
    (root / "pages/org/tiny.json").write_text(json.dumps(PAGE))
    for repository, place in (("open-llm-leaderboard-old/results", "org/tiny"), ("lb/details_org__tiny", "")):
        folder = root / "datasets" / repository / "main" / place
        folder.mkdir(parents=True)
        for date, arc, extra in (("2023-07-19T14:01:01", 0.2, {"harness|gsm8k|5": {"acc": 0.01}}),
                                 ("2023-08-01T00:00:00", 0.22, {})):  # fmt: skip
            results = {
                "harness|arc:challenge|25": {"acc": arc, "acc_stderr": 0.01},
                "all": {"acc": 0.5},
                **extra,
            }
            (folder / f"results_{date}.json").write_text(json.dumps({"results": results}))
    return root


def test_the_newest_leaderboard_scores_reach_the_database(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(hub) as served:
        served.use(monkeypatch, tmp_path / "home")
        files, without = fetch_scores(["org/tiny", "org/none"], tmp_path / "scores")
        assert [file.name for file in files] == ["results_org__tiny.json"]
        assert without == ["org/none"]
        own, _ = fetch_scores(["org/tiny"], tmp_path / "own", repository="lb/details_{org}__{name}")
        assert own[0].read_text() == files[0].read_text()
        with pytest.raises(InputError, match="org/name"):
            fetch_scores(["tiny"], tmp_path / "x")
        with pytest.raises(InputError, match="does not give it"):
            fetch_scores(["org/tiny"], tmp_path / "x", repository="nobody/nothing")
    rows = read_scores_json(tmp_path / "scores").tables["evaluation_results"]
    found = rows.select("id", "benchmark", "setting", "metric_value").sort("benchmark").rows()
    assert found == [("org/tiny", "arc:challenge", "25-shot", 0.22), ("org/tiny", "gsm8k", "5-shot", 0.01)]


def test_what_the_hub_knows_of_a_model_reaches_the_database(
    hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(hub) as served:
        served.use(monkeypatch, tmp_path / "home")
        (file,) = fetch_metadata(["org/tiny"], tmp_path / "hubbed")
        facts = harvest_hub("org/tiny")
        with pytest.raises(InputError, match="does not give it"):
            fetch_metadata(["org/missing"], tmp_path / "hubbed")
        assert not any("pytorch_model" in name for name in served.sent)
    document = json.loads(file.read_text())
    assert document["license"] == "apache-2.0"
    assert document["created_at"].startswith("2023-02-13")
    row = read_metadata(tmp_path / "hubbed").tables["model_annotations"].row(0, named=True)
    assert (row["total_params"], row["released"], row["dimension"]) == (95_592_496, "2023-02-13", 512)
    assert facts["total_params"] == 95_592_496


def test_a_sheet_goes_out_and_comes_back(tmp_path: Path) -> None:
    with open_store("home") as store:
        frame = sheet(store, ["me/new-1b", "home/llama-50k-prose-seed0"])
    assert frame.columns == list(COLUMNS)
    path = tmp_path / "sheet.csv"
    frame.with_columns(
        total_params=pl.when(pl.col("id") == "me/new-1b").then(10**9).otherwise(pl.col("total_params"))
    ).write_csv(path)
    batch = read_sheet(path)
    assert len(batch.tables["model_annotations"]) == 2
    assert batch.tables["dataset_info"]["id"].to_list() == ["home/llama-50k-prose-seed0"]
    store = DesignStore.in_memory()
    store.apply(home_batch())
    changes = store.apply(batch)
    assert set(changes["kind"]) == {"added"}
    path.write_text("id,colour\na,red\n")
    with pytest.raises(InputError, match="no column of a sheet"):
        read_sheet(path)
    path.write_text("id,dimension\na,many\n")
    with pytest.raises(InputError, match=r"record 1: dimension = 'many'"):
        read_sheet(path)


def test_records_add_up_their_domains_in_the_taxonomy(tmp_path: Path) -> None:
    path = tmp_path / "mix.yaml"
    path.write_text(
        "total_tokens_billions:\ndomains:\n"
        "  - {name: pages, doc_type: [web/news, web/forums], tokens_billions: 60}\n"
        "  - {name: papers, doc_type: [academic/sciences], tokens_billions: 10}\n"
        "  - {name: both, doc_type: [code/source_code, media], tokens_billions: 30}\n"
    )
    found = read_record(path)
    assert found["summary"] == {
        "percentage_web": 60, "percentage_code": 15, "percentage_books": 0, "percentage_reference": 15,
        "percentage_academic": 10, "total_tokens_billions": 100,
    }  # fmt: skip
    assert found["domains"][0]["doc_type"] == ["web/news", "web/forums"]
    (tmp_path / "template.yaml").write_text(record_template())
    assert read_record(tmp_path / "template.yaml")["summary"]["percentage_web"] == 100
    published = tmp_path / "published.json"
    parts = [
        {"file_pointer": "./stack.json"},
        {"name": "w", "doc_type": ["web", "forums"], "tokens_billions": 1},
    ]
    published.write_text(json.dumps({"domains": parts, "summary": {"total_tokens_billions": 4}}))
    stack = [{"name": "stack", "doc_type": ["code", "source_code"], "tokens_billions": 3}]
    (tmp_path / "stack.json").write_text(
        json.dumps({"domains": stack, "summary": {"total_tokens_billions": 3}})
    )
    both = read_record(published)
    assert both["summary"]["percentage_code"] == 75
    assert both["domains"][1]["doc_type"] == ["web/forums"]
    (tmp_path / "stack.json").write_text(json.dumps({"domains": [{"file_pointer": "published.json"}]}))
    with pytest.raises(InputError, match="point to each other"):
        read_record(published)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("domains: []", "list of domains"),
        ("domains: [{name: a, doc_type: [moon]}]", "domain 1: doc_type = 'moon': unknown; known: web"),
        ("domains: [{name: a, doc_type: [web/patents]}]", "known: social_media"),
        ("domains: [{name: a, doc_type: [web], tokens_billions: -1}]", "finite number from 0"),
        ("domains: [{name: a, doc_type: [web]}]", "total_tokens_billions: must be given"),
        ("colour: red", "unknown"),
    ],
)
def test_bad_records_are_refused_by_domain_and_field(tmp_path: Path, text: str, rule: str) -> None:
    path = tmp_path / "mix.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=rule):
        read_record(path)


def test_topics_are_taken_below_specific_datasets_only() -> None:
    assert check_type("specific_datasets/chemistry") == "specific_datasets/chemistry"
    assert shares([Domain("a", ("specific_datasets/x",), 1), Domain("b", ("web",), 3)])["web"] == 75


def suite_file(folder: Path, run: str, step: int, value: float) -> None:
    place = folder / run / f"step{step}.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    document: dict[str, Any] = {
        "asked": {"version": 1}, "items": {}, "n-shot": {"piqa": 0}, "params": 5, "lm_eval_version": "0.4",
        "results": {"piqa": {"acc,none": value, "acc_stderr,none": 0.01, "alias": "piqa"}},
    }  # fmt: skip
    place.write_text(json.dumps(document))


def test_the_suites_harness_is_read_by_its_last_step_under_an_own_name(tmp_path: Path) -> None:
    suite_file(tmp_path, "runs%2Fweb-300M", 200, 0.5)
    suite_file(tmp_path, "runs%2Fweb-300M", 1000, 0.6)
    batch = read_lm_eval(tmp_path)
    (row,) = batch.tables["evaluation_results"].to_dicts()
    assert (row["id"], row["benchmark"], row["setting"], row["metric"]) == (
        "runs/web-300M", "piqa", "0-shot", "accuracy",
    )  # fmt: skip
    assert row["metric_value"] == 0.6
    named = rename_models(batch, {"runs/web-300M": "me/web-300m"})
    assert named.tables["evaluation_results"]["id"].to_list() == ["me/web-300m"]
    with pytest.raises(InputError, match="no model of these files"):
        rename_models(batch, {"other": "me/x"})


def test_the_harness_names_models_by_the_place_of_their_weights(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results = {"results": {"piqa": {"acc,none": 0.5}}, "n-shot": {"piqa": 0}}
    path.write_text(
        json.dumps({**results, "config": {"model": "hf", "model_args": "pretrained=/ckpt/a,dtype=float"}})
    )
    assert read_lm_eval(path).tables["evaluation_results"]["id"].to_list() == ["/ckpt/a"]


def test_the_home_suite_is_a_database() -> None:
    with open_store("home") as store:
        assert len(store.table("model")) == len(store.table("dataset")) == 42
        assert store.table("evaluation")["id"].n_unique() == 42
        row = store.query("SELECT * FROM dataset_info WHERE id = 'home/llama-200k-code-seed1'").row(
            0, named=True
        )
    assert row["pretraining_summary_percentage_code"] == 90
    assert json.loads(row["metadata"])["recipe"] == "code"
