"""Pretraining of one run: resumable to the byte, each checkpoint evaluated at once.

A run's folder holds state.safetensors (weights, optimiser, step, random state), and per checkpoint
scores/STEP.json, items/STEP.safetensors, losses/STEP.npy and, if kept, weights/stepSTEP/ as
transformers saves and `neuneu score` reads.
"""

import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from neuneu.errors import InputError
from neuneu.files import (
    atomic_folder,
    atomic_path,
    check_file,
    read_json,
    refuse_library_errors,
    write_json,
)
from neuneu.progress import counting
from neuneu.suite.exam import Exam
from neuneu.suite.exam_scores import score_checkpoint
from neuneu.suite.mix import BlockOrder
from neuneu.suite.parallel import add_up, place
from neuneu.suite.prepare import suite_tokenizer
from neuneu.suite.small_models import build_model, count_parameters
from neuneu.suite.suite_config import Clock, Run, Schedule, SuiteConfig

SAVE_EVERY = 500
"""Optimiser steps between saved states, besides those at checkpoints."""


def checkpoint_steps(clock: Clock, schedule: Schedule) -> list[int]:
    """Steps at which a run is evaluated: log-spaced up to log_share of the run, then even, to the last."""
    total, per_step = schedule.steps, schedule.tokens_per_step
    first = max(1, round(clock.first_tokens / per_step))
    turn = max(first, round(total * clock.log_share))
    early = max(1, clock.count // 2)
    points = [*np.geomspace(first, turn, early), *np.linspace(turn, total, clock.count - early + 1)[1:]]
    return sorted({min(total, max(1, round(point))) for point in points})


def learning_rate(step: int, schedule: Schedule, peak: float) -> float:
    """The learning rate of a step (0-based): linear warm-up, then cosine or flat and linear decay."""
    total, warmup = schedule.steps, schedule.warmup_steps
    if step < warmup:
        return peak * (step + 1) / warmup
    if schedule.kind == "cosine":
        share = (step - warmup) / max(1, total - warmup)
        fall = (1 - math.cos(math.pi * share)) / 2
    else:
        start = total * (1 - schedule.decay)
        fall = max(0.0, (step - start) / (total - start))
    return peak * (1 - fall * (1 - schedule.minimum))


def train_run(config: SuiteConfig, run: Run, folder: Path, exam: Exam) -> None:
    """Train a run to its end from wherever it is, in `folder`/runs/NAME.

    Raises InputError where the folder was begun with other settings or questions.
    """
    home = folder / "runs" / run.name
    first = place()[0] == 0
    trainer = Pretrainer(config, run, folder)
    if first:
        _check_identity(trainer, exam, home)
    points = set(checkpoint_steps(config.checkpoints, config.schedule))
    trainer.restore(home / "state.safetensors")
    with counting("steps", config.schedule.steps) as tell:
        tell(trainer.step, "")
        while trainer.step < config.schedule.steps:
            trainer.advance()
            tell(trainer.step, f"loss {trainer.loss:.3f}")
            if trainer.step in points and first:
                _evaluate(trainer, exam, home)
            if first and (trainer.step in points or trainer.step % SAVE_EVERY == 0):
                trainer.save(home / "state.safetensors")


class Pretrainer:
    """A model, its optimiser and its place in the data; `advance` takes one optimiser step."""

    def __init__(self, config: SuiteConfig, run: Run, folder: Path) -> None:
        import torch

        self.config, self.run, self.schedule = config, run, config.schedule
        size = config.sizes[run.size]
        vocabulary = suite_tokenizer(folder).get_vocab_size()
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = build_model(run, size, config.schedule, vocabulary).to(self.device)
        self.peak = size.learning_rate or config.schedule.learning_rate
        self.micro_batch = size.micro_batch or config.schedule.micro_batch or config.schedule.batch
        self.bf16 = config.schedule.bf16 if size.bf16 is None else size.bf16
        decayed = [parameter for parameter in self.model.parameters() if parameter.ndim >= 2]
        others = [parameter for parameter in self.model.parameters() if parameter.ndim < 2]
        groups = [
            {"params": decayed, "weight_decay": config.schedule.weight_decay},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=self.peak, betas=config.schedule.betas, fused=True)
        self.order = BlockOrder(
            folder / "text",
            config.recipes[run.recipe],
            length=config.schedule.sequence,
            blocks=config.schedule.steps * config.schedule.batch,
            seed=run.seed,
        )
        self.step, self.loss = 0, float("nan")

    def advance(self) -> None:
        """One optimiser step on the next batch."""
        import torch

        batch = self.schedule.batch
        rows = torch.from_numpy(self.order.read(self.step * batch, (self.step + 1) * batch)).to(self.device)
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, self.schedule, self.peak)
        self.model.train()
        total = torch.zeros((), device=self.device)
        rank, world = place()
        for part in torch.split(rows[rank::world], self.micro_batch):
            with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
                hidden = self.model.base_model(input_ids=part, use_cache=False)[0][:, :-1]
                logits = self.model.get_output_embeddings()(hidden)
            loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1).float(), part[:, 1:].flatten())
            loss = loss * len(part) / len(rows)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.detach()
        add_up(self.model.parameters(), total)
        if not math.isfinite(total):
            raise InputError(
                "the loss is not finite; lower the learning rate",
                where=self.run.name,
                field="step",
                value=self.step,
            )
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.schedule.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.step, self.loss = self.step + 1, float(total)

    def save(self, path: Path) -> None:
        """Write everything that the rest of the run depends on."""
        import torch
        from safetensors.torch import save_file

        tensors = {f"model.{name}": value for name, value in self._weights().items()}
        for index, parameter in enumerate(self._parameters()):
            for name, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{index}.{name}"] = value
        tensors["step"] = torch.tensor(self.step)
        tensors["random"] = torch.get_rng_state()
        with atomic_path(path) as temporary:
            save_file({name: value.cpu().contiguous() for name, value in tensors.items()}, temporary)

    def restore(self, path: Path) -> None:
        """Go on from a saved state, if there is one."""
        import torch
        from safetensors.torch import load_file

        if not path.exists():
            return
        with refuse_library_errors(check_file(path), "a saved state; remove it to begin the run anew"):
            tensors = load_file(path)
        self.step = int(tensors["step"])
        torch.set_rng_state(tensors["random"])
        with torch.no_grad():
            for name, value in self._weights().items():
                value.copy_(tensors[f"model.{name}"])
        for index, parameter in enumerate(self._parameters()):
            names = ("step", "exp_avg", "exp_avg_sq")
            self.optimizer.state[parameter] = {
                name: tensors[f"optimizer.{index}.{name}"].to("cpu" if name == "step" else self.device)
                for name in names
                if f"optimizer.{index}.{name}" in tensors
            }

    def _weights(self) -> dict[str, Any]:
        """Weights and buffers by name, tied ones once."""
        seen: set[int] = set()
        weights = {}
        for name, value in self.model.state_dict().items():
            if value.data_ptr() not in seen:
                seen.add(value.data_ptr())
                weights[name] = value
        return weights

    def _parameters(self) -> list[Any]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


def _evaluate(trainer: Pretrainer, exam: Exam, home: Path) -> None:
    import torch
    from safetensors.numpy import save_file

    name = f"{trainer.step:08d}"
    with torch.autocast(trainer.device.type, torch.bfloat16, enabled=trainer.bf16):
        scores = score_checkpoint(trainer.model, exam)
    with atomic_path(home / "items" / f"{name}.safetensors") as path:
        save_file(scores.items, path)
    with atomic_path(home / "losses" / f"{name}.npy") as path:
        np.save(path, scores.losses.astype(np.float16))
    keep = trainer.config.checkpoints.keep_weights
    if keep == "all" or (keep == "final" and trainer.step == trainer.schedule.steps):
        _save_weights(trainer.model, home / "weights" / f"step{trainer.step}")
    tokens = trainer.step * trainer.schedule.tokens_per_step
    document = {"step": trainer.step, "tokens": tokens, "train_loss": trainer.loss, "rows": scores.rows}
    write_json(home / "scores" / f"{name}.json", document)


def _save_weights(model: Any, folder: Path) -> None:
    """As transformers reads it back; the folder appears whole or not at all."""
    if folder.exists():
        shutil.rmtree(folder)
    with atomic_folder(folder) as temporary:
        model.save_pretrained(temporary)


def _check_identity(trainer: Pretrainer, exam: Exam, home: Path) -> None:
    """Write what the run is, or check that it is the same run as before."""
    import torch
    import transformers

    facts, config = home / "run.json", trainer.config
    identity = {
        **trainer.run.model_dump(mode="json"),
        "suite": config.name,
        "config": config.fingerprint,
        "exam": exam.fingerprint,
        "planned_tokens": config.schedule.steps * config.schedule.tokens_per_step,
    }
    if not facts.exists():
        params, active = count_parameters(trainer.model)
        versions = {"torch": torch.__version__, "transformers": transformers.__version__}
        write_json(facts, {**identity, "params": params, "active_params": active, "versions": versions})
        return
    known = read_json(facts)
    for name, value in identity.items():
        if known.get(name) != value:
            rule = f"begun with {known.get(name)!r}; choose another folder"
            raise InputError(rule, where=home, field=name, value=value)
