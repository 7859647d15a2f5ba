"""Scoring spread over a Ray cluster: workers compute, the driver writes each result once."""

from typing import Any

from neuneu.errors import InputError, MissingExtraError
from neuneu.losses.checkpoints import Checkpoint
from neuneu.losses.scorer import Scorer, ScoreStores
from neuneu.progress import counted

RETRIES = 5


def score_on_ray(
    address: str,
    scorer: Scorer,
    checkpoints: list[Checkpoint],
    stores: ScoreStores,
    *,
    gpus: float = 0.0,
) -> None:
    """Score each checkpoint as a task of a Ray cluster and write its losses as it comes in.

    address: as `ray.init` takes it ("auto", "local", host:port, ray://…); the corpus and local checkpoints
    must be at the same paths on every node (a shared file system). gpus: of one, for each checkpoint, e.g.
    0.25. A task whose worker is lost runs again elsewhere, five times at most; bad input is not tried again.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "cluster") from error
    started = not ray.is_initialized()
    if started:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    try:
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_score)
        shared = ray.put(scorer)
        waiting = {task.remote(shared, checkpoint): checkpoint for checkpoint in checkpoints}
        for _ in counted(range(len(checkpoints)), "checkpoints"):
            (done, *_), _ = ray.wait(list(waiting))
            checkpoint = waiting.pop(done)
            try:
                values, facts = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, InputError):
                    raise error.cause from error
                raise
            stores.write(checkpoint.run, checkpoint.step, values, facts)
            del values, done
    finally:
        if started:
            ray.shutdown()


def _score(scorer: Scorer, checkpoint: Checkpoint) -> tuple[Any, dict[str, Any]]:
    return scorer.score(checkpoint)
