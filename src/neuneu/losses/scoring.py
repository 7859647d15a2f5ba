"""Checkpoints → per-token losses of a corpus, in a Zarr store."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

from neuneu.errors import InputError
from neuneu.losses import conventions as compat
from neuneu.losses.checkpoints import Checkpoint, find_checkpoints
from neuneu.losses.cluster import score_on_ray
from neuneu.losses.devices import find_device
from neuneu.losses.scorer import Scorer, Scoring, context_length
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
    holds losses of another corpus or settings, where there is no such device or cluster, and where a
    checkpoint has no finite loss.
    """
    found = _as_checkpoints(checkpoints)
    number, of = shard
    if not 1 <= number <= of:
        raise InputError("must be i/n with 1 ≤ i ≤ n", field="shard", value=f"{number}/{of}")
    if ray in (None, "local"):  # other clusters have devices of their own
        find_device((scoring or Scoring()).device or "auto")
    scorer = Scorer(str(corpus), _resolve(scoring or Scoring(), found[0], Path(output)))
    todo = scorer.lacking(output, found[number - 1 :: of])
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
