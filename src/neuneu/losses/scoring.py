"""Checkpoints → per-token losses of a corpus, in a Zarr store."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from neuneu.errors import InputError
from neuneu.losses import conventions as compat
from neuneu.losses.checkpoints import Checkpoint, find_checkpoints, weights_digest
from neuneu.losses.cluster import score_on_ray
from neuneu.losses.devices import find_device
from neuneu.losses.scorer import Scorer, Scoring, context_length, statistic_path
from neuneu.losses.statistics import check_statistics
from neuneu.losses.zarr_store import ZarrLossStore
from neuneu.progress import counted

LONGEST_WINDOW = 2048


def score_checkpoints(
    checkpoints: Sequence[Checkpoint] | Iterable[str | Path],
    corpus: str | Path,
    output: str | Path,
    scoring: Scoring | None = None,
    *,
    shard: tuple[int, int] = (1, 1),
    ray: str | None = None,
    gpus: float = 0.0,
) -> ZarrLossStore:
    """Score checkpoints on a corpus; what the store has already is not scored again.

    checkpoints: found ones, or folders (`find_checkpoints`); corpus: a folder of `tokenize_corpus`; output:
    the store, made if absent. shard (i, n): only every n-th checkpoint from the i-th, for n independent
    processes; ray: address of a Ray cluster to spread over, `gpus` of one for each checkpoint. Each
    checkpoint's losses are written whole or not at all. Raises InputError on bad input, where the store
    holds losses of another corpus or settings, or of other weights under a checkpoint's run and step, where
    there is no such device or cluster, and where a checkpoint has no finite loss.
    """
    found = _as_checkpoints(checkpoints)
    number, of = shard
    if not 1 <= number <= of:
        raise InputError("must be i/n with 1 ≤ i ≤ n", field="shard", value=f"{number}/{of}")
    if ray in (None, "local"):  # other clusters have devices of their own
        find_device((scoring or Scoring()).device or "auto")
    scorer = Scorer(str(corpus), _resolve(scoring or Scoring(), found[0], Path(output)))
    share = found[number - 1 :: of]
    _check_sources(share, Path(output), scorer.scoring)
    todo = scorer.lacking(output, share)
    if ray is not None and todo:
        return score_on_ray(ray, scorer, todo, output, gpus=gpus).losses
    stores = scorer.open_store(output)
    for checkpoint in counted(todo, "checkpoints"):
        values, facts = scorer.score(checkpoint)
        stores.write(checkpoint.run, checkpoint.step, values, facts)
    return stores.losses


def _as_checkpoints(checkpoints: Sequence[Checkpoint] | Iterable[str | Path]) -> list[Checkpoint]:
    items = list(checkpoints)
    found = [item for item in items if isinstance(item, Checkpoint)]
    sources = [item for item in items if not isinstance(item, Checkpoint)]
    return found + (find_checkpoints(sources) if sources or not found else [])


def _check_sources(checkpoints: Sequence[Checkpoint], path: Path, scoring: Scoring) -> None:
    """Refuse a checkpoint whose run and step stand in one of the stores already, of other weights."""
    places = [path, *(statistic_path(path, name) for name in scoring.statistics)]
    for store in [ZarrLossStore(place) for place in places if (place / "zarr.json").is_file()]:
        for checkpoint in checkpoints:
            run, step = checkpoint.run, checkpoint.step
            if store.has(run, step) and _is_other(checkpoint, store.facts(run, step), scoring):
                place = f"{checkpoint.source} {checkpoint.revision or ''}".strip()
                rule = f"its step {step} was scored from other weights than {place}: name the run with `run`"
                raise InputError(rule, where=store.path, field="run", value=run)


def _is_other(checkpoint: Checkpoint, facts: dict[str, Any], scoring: Scoring) -> bool:
    """Whether the facts of stored losses are of other weights; no where either does not say.

    Weights are told apart by what is in their files, so that a folder may have moved; revisions of the hub by
    name, which fetches nothing.
    """
    if checkpoint.revision is not None and facts.get("revision") is not None:
        return (checkpoint.source, checkpoint.revision) != (facts.get("source"), facts["revision"])
    if facts.get("weights") is None:
        return False
    here = weights_digest(checkpoint.fetch(allow_bin=scoring.allow_bin))
    return here is not None and here != facts["weights"]


def _resolve(scoring: Scoring, first: Checkpoint, store: Path) -> Scoring:
    """Fill in window and stride: from the store if there is one, else from the first checkpoint."""
    values = asdict(scoring)
    check_statistics(scoring.statistics)
    if scoring.published and scoring.statistics:
        raise InputError("are not kept under the published conventions", field="statistics")
    if scoring.published:
        values["window"] = values["window"] or compat.PUBLISHED_WINDOW
        values["stride"] = values["window"]
        if scoring.bos or scoring.stride not in (None, values["stride"]):
            raise InputError("the published files have neither", field="bos or stride")
    elif (store / "zarr.json").is_file():
        there = ZarrLossStore(store).settings
        values["window"] = values["window"] or there.get("window")
        if values["window"] == there.get("window"):
            values["stride"] = values["stride"] or there.get("stride")
    if values["window"] is None:
        trained = context_length(first.fetch(allow_bin=scoring.allow_bin))
        values["window"] = min(trained or LONGEST_WINDOW, LONGEST_WINDOW)
    values["stride"] = values["stride"] or max(1, values["window"] // 2)
    return Scoring(**values)
