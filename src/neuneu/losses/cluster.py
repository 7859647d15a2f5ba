"""Scoring spread over a Ray cluster: workers compute, the driver writes each result once."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from neuneu.errors import InputError, MissingExtraError
from neuneu.losses.checkpoints import Checkpoint
from neuneu.losses.scorer import Scorer, ScoreStores
from neuneu.progress import counting

RETRIES = 5

PATIENCE = 30.0
"""Seconds in which a cluster's port must answer; Ray itself tries for minutes, and then ends the process."""

START = "start one with `ray start --head`"


def score_on_ray(
    address: str,
    scorer: Scorer,
    checkpoints: list[Checkpoint],
    output: str | Path,
    *,
    gpus: float = 0.0,
) -> ScoreStores:
    """Score each checkpoint as a task of a Ray cluster and write its losses as it comes in.

    address: as `ray.init` takes it ("auto", "local", host:port, ray://…); the corpus and local checkpoints
    must be at the same paths on every node (a shared file system). output: the stores, made once the cluster
    has answered. gpus: of one, for each checkpoint, e.g. 0.25. A task whose worker is lost runs again
    elsewhere, five times at most; bad input is not tried again. Raises InputError where no cluster answers,
    or one of our own has not as many GPUs.
    """
    _ = scorer.corpus  # a bad one is refused before a cluster is started for it
    with _joined(address, gpus) as ray:
        stores = scorer.open_store(output)
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(_score)
        shared = ray.put(scorer)
        waiting = {task.remote(shared, checkpoint): checkpoint for checkpoint in checkpoints}
        with counting("checkpoints", len(checkpoints)) as tell:
            tell(0, "" if _gpus_of(ray) >= gpus else "waits for a GPU: the cluster has too few by now")
            for done in range(1, len(checkpoints) + 1):
                (finished, *_), _ = ray.wait(list(waiting))
                checkpoint = waiting.pop(finished)
                try:
                    values, facts = ray.get(finished)
                except ray.exceptions.RayTaskError as error:
                    if isinstance(error.cause, InputError):
                        raise error.cause from error
                    raise
                stores.write(checkpoint.run, checkpoint.step, values, facts)
                del values, finished
                tell(done, "")
    return stores


@contextmanager
def _joined(address: str, gpus: float) -> Iterator[Any]:
    """The library, in a cluster: the caller's if it has joined one, else that of `address` for the block."""
    try:
        import ray
    except ImportError as error:
        raise MissingExtraError("ray", "cluster") from error
    if ray.is_initialized():
        yield ray
        return
    _check_address(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="error")
    except (ConnectionError, RuntimeError, ValueError) as error:
        rule = f"cannot be joined: {error}"
        if address == "auto" and isinstance(error, ConnectionError):
            rule = f"no Ray cluster runs here: {START}, or use `ray` local"
        raise InputError(rule, field="ray", value=address) from error
    try:
        # A cluster of our own is this machine and stays so; others may grow when a task asks for a GPU
        # (KubeRay, the autoscaler), so that a refusal could be wrong: there it is told and waited for.
        if address == "local" and gpus > (there := _gpus_of(ray)):
            has = f"{there:g} of them" if there else "no GPU"
            rule = f"this Ray cluster has {has}: leave `gpus` out, or name with `ray` a cluster that has more"
            raise InputError(rule, field="gpus", value=gpus)
        yield ray
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """InputError where an address is none, or nothing answers at its port in PATIENCE seconds."""
    given = (os.environ.get("RAY_ADDRESS") or address) if address == "auto" else address
    place = given.removeprefix("ray://")
    if given in ("auto", "local") or "://" in place:  # Ray finds these by itself, or refuses them at once
        return
    host, _, port = place.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65_535:
        raise InputError("must be auto, local or host:port, such as head:6379", field="ray", value=given)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=PATIENCE).close()
    except OSError as error:
        rule = f"no Ray cluster answers there ({error.strerror or error}): {START}, or use `ray` local"
        raise InputError(rule, field="ray", value=given) from error


def _gpus_of(ray: Any) -> float:
    return float(ray.cluster_resources().get("GPU", 0.0))


def _score(scorer: Scorer, checkpoint: Checkpoint) -> tuple[Any, dict[str, Any]]:
    return scorer.score(checkpoint)
