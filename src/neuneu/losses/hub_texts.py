"""Texts that are fetched when asked: files of hub data sets, WebOrganizer's shards as NeuNeu split them."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from neuneu.errors import InputError
from neuneu.hub import HUB, fetch_files, list_files

WEBORGANIZER = "weborganizer:"
"""Begins the name of shards: weborganizer:00000141, weborganizer:val, weborganizer:0.5-0.51."""

DATASET = "WebOrganizer/Corpus-200B"
SHARDS = "documents/*.jsonl.zst"
SPLITS = {"train": (0.0, 0.5), "cooldown": (0.5, 0.7), "val": (0.7, 0.85), "test": (0.85, 1.0)}
"""Part of the shuffled shards that each split takes."""

SEED = 42
"""Of the published shuffle."""


def is_remote(source: str) -> bool:
    """Whether a source is fetched from the hub."""
    return source.startswith((WEBORGANIZER, HUB))


def fetch_texts(sources: Iterable[str | Path], *, hub: bool) -> list[Path]:
    """The sources with those on the hub fetched: hf://OWNER/NAME/path/to/file, weborganizer:SHARDS.

    Others are left as they are. Raises InputError where one is on the hub and `hub` is not set, and where the
    hub does not have it.
    """
    found: list[Path] = []
    for source in map(str, sources):
        if not is_remote(source):
            found.append(Path(source))
        elif not hub:
            raise InputError("is on the hub: `hub` fetches it", field="source", value=source)
        elif source.startswith(HUB):
            parts = source.removeprefix(HUB).removeprefix("datasets/").split("/", 2)
            if len(parts) < 3:
                raise InputError("must be hf://OWNER/NAME/FILE", field="source", value=source)
            found += _fetch("/".join(parts[:2]), list_files("/".join(parts[:2]), parts[2]), source)
        else:
            names = choose_shards(list_files(DATASET, SHARDS), source.removeprefix(WEBORGANIZER))
            found += _fetch(DATASET, names, source)
    return found


def choose_shards(names: Sequence[str], asked: str) -> list[str]:
    """The shards that are asked for, of all shards' paths.

    asked: a shard's id, the third part of its name (CC_shard_00000141_processed); a split; or a share of the
    shuffled shards like 0.5-0.51. Splits are as published: names sorted, shuffled with NumPy's legacy
    generator of seed 42. Raises InputError where none is meant.
    """
    if asked in SPLITS or "-" in asked:
        low, high = SPLITS[asked] if asked in SPLITS else _share(asked)
        shuffled = np.random.RandomState(SEED).permutation(sorted(names))
        chosen = list(map(str, shuffled[int(low * len(names)) : int(high * len(names))]))
    else:
        chosen = [name for name in names if shard_id(name) == asked]
    if not chosen:
        rule = f"names none of {len(names)} shards: give an id, {', '.join(SPLITS)}, or a share like 0.5-0.51"
        raise InputError(rule, field="weborganizer", value=asked)
    return chosen


def shard_id(name: str) -> str:
    """The id of a shard: the third of the parts of its file's name."""
    parts = Path(name).name.split("_")
    return parts[2].split(".")[0] if len(parts) > 2 else ""


def _share(text: str) -> tuple[float, float]:
    low, _, high = text.partition("-")
    try:
        share = float(low), float(high)
    except ValueError as error:
        raise InputError("must be a share like 0.5-0.51", field="weborganizer", value=text) from error
    if not 0 <= share[0] < share[1] <= 1:
        raise InputError("must rise within 0 and 1", field="weborganizer", value=text)
    return share


def _fetch(repository: str, names: Sequence[str], source: str) -> list[Path]:
    if not names:
        raise InputError("the data set has no such file", field="source", value=source)
    folder = fetch_files(repository, names, kind="dataset")
    return [folder / name for name in names]
