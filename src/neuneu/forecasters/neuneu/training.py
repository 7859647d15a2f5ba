"""The training loop of NeuNeu (NeuNeu, section 5.2): resumable at any step to the same bytes.

All randomness is a function of (seed, step): the order of samples of (seed, epoch), dropped context points
and dropout of (seed, step). So a checkpoint of weights and optimizer at a step is the whole state.
"""

import json
import math
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from neuneu.curves.curve import Integers
from neuneu.errors import InputError
from neuneu.files import remove_leftovers, write_text
from neuneu.forecasters.neuneu.config import RunConfig, TrainingConfig
from neuneu.forecasters.neuneu.network import Outputs, metrics, objective
from neuneu.forecasters.neuneu.samples import grouped_order
from neuneu.forecasters.neuneu.weights import load_tensors, save_tensors
from neuneu.losses.devices import find_device
from neuneu.progress import Tell, counting

STATE = "state.safetensors"
LOG = "metrics.jsonl"
SILENT: "Report" = lambda _record: None  # noqa: E731
Report = Callable[[dict[str, float]], None]


class Data(Protocol):
    """What a model is trained on: questions and targets by index."""

    def __len__(self) -> int: ...

    def groups(self) -> Integers:
        """What each sample shows, (n,), which batches share."""
        ...

    def batch(self, index: Integers, drop_with: np.random.Generator | None = None) -> tuple[Any, Tensor]:
        """Questions, as the model's forward takes them, and targets; dropped points by `drop_with`."""
        ...


def learning_rate(step: int, total: int, config: TrainingConfig) -> float:
    """Linear warm-up from a tenth of the rate, then a cosine to a hundredth of it."""
    warmup = int(config.warmup * total)
    if step < warmup:
        return config.learning_rate * (0.1 + 0.9 * step / warmup)
    done = (step - warmup) / max(total - warmup, 1)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * done)))


@dataclass(frozen=True)
class Workers:
    """This process among those that torchrun started; alone without it."""

    rank: int = 0
    world: int = 1

    @classmethod
    def from_environment(cls) -> "Workers":
        """Join the process group that torchrun describes."""
        world = int(os.environ.get("WORLD_SIZE", "1"))
        if world == 1:
            return cls()
        from torch import distributed

        if not distributed.is_initialized():
            distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return cls(distributed.get_rank(), world)


@dataclass
class Trainer:
    """Trains one model on one set of data.

    folder: where state and metrics are written, nowhere if None; report: called with every logged record;
    content: digests of what it is trained on, by which a state knows its data; None where the configuration
    says it all.
    """

    model: nn.Module
    config: RunConfig
    train: Data
    validation: Data
    folder: Path | None = None
    report: Report = SILENT
    workers: Workers = field(default_factory=Workers)
    content: Mapping[str, str | None] | None = None
    step: int = 0
    best: float = math.inf

    def __post_init__(self) -> None:
        """Settle device, schedule and optimizer; read the state to resume from, if there is one."""
        training = self.config.training
        self.device = find_device(training.device, "training.device", several=self.workers.world > 1)
        self.model.to(self.device)
        size = training.batch_size
        if size % self.workers.world:
            raise InputError(
                f"must be a multiple of the {self.workers.world} processes",
                field="training.batch_size",
                value=size,
            )
        # A data set smaller than a batch is one batch.
        self.batch_size = min(size, len(self.train))
        self.per_epoch = len(self.train) // self.batch_size // training.accumulate
        if not self.per_epoch:
            raise InputError(
                f"there are only {len(self.train) // self.batch_size} batches of {self.batch_size} samples",
                field="training.accumulate",
                value=training.accumulate,
            )
        planned = self.per_epoch * training.epochs
        self.total = min(planned, training.max_steps or planned)
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
        )
        if training.precision == "fp16" and self.device.type != "cuda":
            raise InputError(
                "needs a CUDA device; use bf16 or float32", field="training.precision", value="fp16"
            )
        self.scaler = torch.amp.GradScaler("cuda", enabled=training.precision == "fp16")
        self.forward: nn.Module = self.model
        if self.workers.world > 1:
            self.forward = nn.parallel.DistributedDataParallel(self.model)
        self._groups = self.train.groups()
        self._epoch, self._order = -1, np.empty(0, dtype=np.int64)
        if self.folder is not None and (self.folder / STATE).is_file():
            self._resume(self.folder / STATE)
        if self.folder is not None and self.workers.rank == 0:
            remove_leftovers(self.folder)
            _cut_log(self.folder / LOG, self.step)
        self.began = self.step

    def run(self) -> nn.Module:
        """Train to the end of the schedule; the best weights on validation, else the last, are kept."""
        with counting("steps", self.total) as tell:
            tell(self.step, "")
            self._run(tell)
        self.model.eval()
        if self._best is not None:
            self.model.load_state_dict(self._best)
        return self.model

    def _run(self, tell: Tell) -> None:
        training = self.config.training
        began, since = perf_counter(), self.step
        evaluate_every, save_every = (
            self.per_epoch if every is None else every
            for every in (training.evaluate_every, training.save_every)
        )
        now = ""
        while self.step < self.total:
            record = self._step()
            now = in_words(record) or now
            tell(self.step, now)
            if self.step % training.log_every == 0 or self.step == self.total:
                rate = (
                    (self.step - since)
                    * self.batch_size
                    * training.accumulate
                    / max(perf_counter() - began, 1e-9)
                )
                self._log(record, rate)
            if self.step % evaluate_every == 0 or self.step == self.total:
                self._validate()
            if self.step % save_every == 0 or self.step == self.total:
                self._save()

    _best: dict[str, Tensor] | None = None

    def _step(self) -> dict[str, float]:
        training = self.config.training
        self.model.train()
        torch.manual_seed(_seed(training.seed, 2, self.step, self.workers.rank))
        at = self.step if training.schedule == "step" else self.step - self.step % self.per_epoch
        rate = learning_rate(at, self.total, training)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        wanted = (self.step + 1) % training.log_every == 0 or self.step + 1 == self.total
        scores: dict[str, float] = {}
        self.optimizer.zero_grad(set_to_none=True)
        for part in range(training.accumulate):
            questions, target = self._batch(self.step, part)
            with self._autocast():
                output = self.forward(questions)
                loss = objective(self.config.model, output.float(), target) / training.accumulate
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            if wanted:  # reading numbers back would wait for the device
                for name, value in metrics(self.config.model, output.detach().float(), target).items():
                    scores[name] = scores.get(name, 0.0) + value / training.accumulate
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), training.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.step += 1
        return {**scores, "learning_rate": rate, "gradient_norm": float(norm)} if wanted else {}

    def _batch(self, step: int, part: int) -> tuple[Any, Tensor]:
        training = self.config.training
        epoch, place = divmod(step, self.per_epoch)
        if epoch != self._epoch:
            rng = np.random.default_rng([training.seed, 3, epoch])
            order = grouped_order(self._groups, training.checkpoints_per_group, rng)
            # Batches of like samples, in a random order; a rest that fills no step sits out this epoch.
            n_batches = len(order) // self.batch_size
            rows = order[: n_batches * self.batch_size].reshape(n_batches, -1)
            self._epoch, self._order = epoch, rows[rng.permutation(n_batches)]
        index = self._order[place * training.accumulate + part][self.workers.rank :: self.workers.world]
        drop_with = np.random.default_rng(
            [training.seed, 4, step * training.accumulate + part, self.workers.rank]
        )
        questions, target = self.train.batch(index, drop_with)
        return questions.to(self.device), target.to(self.device)

    def _autocast(self) -> Any:
        kinds = {"bf16": torch.bfloat16, "fp16": torch.float16}
        kind = kinds.get(self.config.training.precision)
        return nullcontext() if kind is None else torch.autocast(self.device.type, kind)

    def _validate(self) -> None:
        if not len(self.validation):
            return
        scores = self.score()
        self._log({f"validation_{name}": value for name, value in scores.items()})
        if scores["loss"] < self.best:
            self.best = scores["loss"]
            self._best = {
                name: tensor.detach().cpu().clone() for name, tensor in self.model.state_dict().items()
            }

    def score(self) -> dict[str, float]:
        """Loss and mean absolute error on the validation data, at most `max_validation` samples of it."""
        limit = self.config.training.max_validation
        return score(self.model, self.config.model, self.validation, limit, self.device)

    def _log(self, record: dict[str, float], rate: float | None = None) -> None:
        if self.workers.rank != 0 or not record:
            return
        line = {"step": float(self.step), **record}
        if self.folder is not None:
            # Speed is left out, so that the same seed gives the same bytes.
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / LOG).open("a", encoding="utf-8") as file:
                file.write(json.dumps({**line, "step": self.step}) + "\n")
        self.report({**line, "total": float(self.total), **({} if rate is None else {"samples/s": rate})})

    def _save(self) -> None:
        if self.folder is None or self.workers.rank != 0:
            return
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"best.{name}": tensor for name, tensor in (self._best or {}).items()}
        for index, moments in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{index}.{name}": value for name, value in moments.items()}
        document = {
            "step": self.step,
            "best": None if math.isinf(self.best) else self.best,
            "scaler": self.scaler.state_dict(),
            "about": self._about(),
        }
        save_tensors(self.folder / STATE, tensors, {"neuneu": json.dumps(document, sort_keys=True)})

    def _about(self) -> dict[str, Any]:
        """What a state belongs to: resuming under another configuration or data would be another run."""
        config = self.config.model_dump(mode="json", exclude={"output", "data", "calibrate", "training"})
        training = self.config.training.model_dump(mode="json")
        for name in ("log_every", "save_every", "device", "tracker", "tracker_project", "tracker_run"):
            training.pop(name)
        about = {**config, "training": training, "n_samples": len(self.train), "world": self.workers.world}
        return about if self.content is None else {**about, "data": dict(self.content)}

    def _resume(self, path: Path) -> None:
        tensors, metadata = load_tensors(path)
        try:
            document = json.loads(metadata["neuneu"])
            self.step, about = int(document["step"]), document["about"]
            self.best = math.inf if document["best"] is None else float(document["best"])
        except (KeyError, ValueError, TypeError) as error:
            raise InputError("not a training state of neuneu", where=path) from error
        if about != json.loads(json.dumps(self._about())):
            made = "was made with another configuration or data"
            if self.content is not None and isinstance(about, dict) and "data" not in about:
                made = "an earlier version wrote it, which did not note the data that it was made with"
            raise InputError(f"{made}; choose another output folder or remove it", where=path)
        self.model.load_state_dict(_part(tensors, "model."))
        self._best = _part(tensors, "best.") or None
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in _part(tensors, "optimizer.").items():
            index, moment = name.split(".", 1)
            state.setdefault(int(index), {})[moment] = tensor
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state, "param_groups": groups})
        if document["scaler"]:
            self.scaler.load_state_dict(document["scaler"])


def in_words(record: dict[str, float]) -> str:
    """Loss and mean absolute error of a step, for people; nothing where they were not read back."""
    shown = {"loss": "loss", "mae": "MAE"}
    return ", ".join(f"{label} {record[name]:.4f}" for name, label in shown.items() if name in record)


def score(
    model: nn.Module, outputs: Outputs, data: Data, limit: int, device: torch.device, batch: int = 1024
) -> dict[str, float]:
    """Loss and mean absolute error over at most `limit` samples, evenly spread."""
    model.eval()
    chosen = np.unique(np.linspace(0, len(data) - 1, min(limit, len(data))).round().astype(np.int64))
    totals: dict[str, float] = {}
    for start in range(0, len(chosen), batch):
        part = chosen[start : start + batch]
        questions, target = data.batch(part)
        with torch.inference_mode():
            output = model(questions.to(device))
        for name, value in metrics(outputs, output, target.to(device)).items():
            totals[name] = totals.get(name, 0.0) + value * len(part) / len(chosen)
    return totals


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {n.removeprefix(prefix): tensor for n, tensor in tensors.items() if n.startswith(prefix)}


def _cut_log(path: Path, step: int) -> None:
    """Forget what was logged after the step that is gone on from. InputError where it is no such log."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            break  # the line that was being written when the process was killed
        if not isinstance(record, dict) or not isinstance(record.get("step"), int):
            rule = "is no log of a training: choose another output folder or remove it"
            raise InputError(rule, where=path)
        if record["step"] <= step:
            kept.append(line + "\n")
    write_text(path, "".join(kept))


def _seed(*parts: int) -> int:
    return int(np.random.SeedSequence(parts).generate_state(1)[0])
