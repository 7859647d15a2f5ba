"""Texts from the hub: single files, and WebOrganizer's shards by id, split and share."""

import json
from pathlib import Path

import numpy as np
import pytest
import zstandard
from tests.hub import Served

from neuneu.errors import InputError
from neuneu.losses.hub_texts import DATASET, SPLITS, choose_shards, fetch_texts, shard_id
from neuneu.losses.text_files import read_documents

NAMES = [f"documents/CC_shard_{number:08d}_processed.jsonl.zst" for number in range(400)]


def test_splits_are_the_published_shuffle_s() -> None:
    order = NAMES.copy()
    np.random.seed(42)
    order = np.random.permutation(sorted(order)).tolist()
    assert choose_shards(NAMES, "cooldown") == order[200:280]
    assert choose_shards(NAMES[::-1], "0.50-0.51") == order[200:204]  # what the released script takes
    whole = [name for split in SPLITS for name in choose_shards(NAMES, split)]
    assert sorted(whole) == NAMES  # every shard once


def test_a_shard_by_its_id() -> None:
    assert choose_shards(NAMES, "00000141") == [NAMES[141]]
    assert shard_id(NAMES[141]) == "00000141"
    for asked, message in [("141", "none of 400 shards"), ("0.9-0.1", "must rise"), ("a-b", "share")]:
        with pytest.raises(InputError, match=message):
            choose_shards(NAMES, asked)


def test_only_the_files_asked_for_are_fetched(
    hub: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = hub.root / "datasets" / DATASET / "main/documents"
    folder.mkdir(parents=True)
    for number in range(20):
        line = json.dumps({"text": f"shard {number}"}).encode() + b"\n"
        name = f"CC_shard_{number:08d}_processed.jsonl.zst"
        (folder / name).write_bytes(zstandard.ZstdCompressor().compress(line))
    hub.use(monkeypatch, tmp_path)
    (file,) = fetch_texts(["weborganizer:00000007"], hub=True)
    assert list(read_documents([file])) == ["shard 7"]
    assert [Path(name).name for name in hub.sent] == ["CC_shard_00000007_processed.jsonl.zst"]
    (other,) = fetch_texts([f"hf://{DATASET}/documents/CC_shard_00000003_processed.jsonl.zst"], hub=True)
    assert list(read_documents([other])) == ["shard 3"]
    assert len(fetch_texts(["weborganizer:val"], hub=True)) == 3
    for source, message in [
        ("weborganizer:00000099", "none of 20 shards"),
        (f"hf://{DATASET}/none.jsonl", "no such file"),
        (f"hf://{DATASET}", "hf://OWNER/NAME/FILE"),
    ]:
        with pytest.raises(InputError, match=message):
            fetch_texts([source], hub=True)


def test_nothing_is_fetched_unasked(tmp_path: Path) -> None:
    assert fetch_texts([tmp_path / "a.txt"], hub=False) == [tmp_path / "a.txt"]
    for source in ("weborganizer:val", "hf://o/n/f.jsonl"):
        with pytest.raises(InputError, match="`hub` fetches it"):
            fetch_texts([source], hub=False)
