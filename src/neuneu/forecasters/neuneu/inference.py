"""Asking a trained NeuNeu: one encoding a checkpoint, one transformer call for many tasks and horizons."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from weakref import WeakKeyDictionary

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuneu.curves.curve import Curve, Floats, Integers
from neuneu.evidence.evidence import LossView
from neuneu.forecasters.neuneu.config import LossConfig, SampleConfig
from neuneu.forecasters.neuneu.data import task_codes
from neuneu.forecasters.neuneu.inputs import check_validation_set, prepare_inputs
from neuneu.forecasters.neuneu.network import NetworkInput, NeuNeu
from neuneu.forecasters.neuneu.samples import gaps_between
from neuneu.forecasters.neuneu.weights import fingerprint_of
from neuneu.losses.loss_store import LossStore, own_items

TOKENS = {"cpu": 2_048}
"""Tokens in one transformer call, which bounds memory: on a processor few enough for its cache."""
TOKENS_ELSEWHERE = 65_536

ENCODE_AT_ONCE = 16
SPACINGS = 3
"""The size of one checkpoint gap is the median of so many last distances of the context."""

Key = tuple[str, str, tuple[int, ...], str]
"""What an encoding depends on besides the store: encoder weights, run, steps, task whose items are masked."""


@dataclass(frozen=True)
class CurveQuestion:
    """One curve's context and the clocks at which its value is asked.

    losses: what may be seen of the run's losses; needed by models with an encoder. The histogram encoder
    looks at the target's own checkpoint, so it has to be given the future as well.
    """

    context: Curve
    horizons: Floats
    losses: LossView | None = None


@dataclass
class Predictor:
    """A trained network with everything that its inputs depend on.

    fingerprint: the validation set it was trained on, None where that is not known; precision: of the
    transformer; folder: where it was loaded from; the encodings of checkpoints are kept for as long as their
    loss store lives.
    """

    model: NeuNeu
    losses: LossConfig
    samples: SampleConfig
    fingerprint: str | None = None
    precision: Literal["float32", "bf16"] = "float32"
    device: str = "cpu"
    folder: Path | None = None
    _encodings: "WeakKeyDictionary[LossStore, dict[Key, Tensor]]" = field(default_factory=WeakKeyDictionary)

    def __post_init__(self) -> None:
        """Put the network where it works and name its weights."""
        self.model.to(self.device).eval()
        encoder = self.model.encoder
        self._weights = "" if encoder is None else fingerprint_of(encoder)

    def move(self, device: str) -> None:
        """Work on another device from now on."""
        self.device = device
        self.model.to(device)
        self._encodings.clear()

    def quantiles(self, asked: Sequence[CurveQuestion]) -> list[Floats]:
        """Raw quantiles for each question, (n_horizons, n_levels) each: they may cross and leave [0, 1].

        Raises InputError where losses are of another validation set or of another length.
        """
        contexts = [_usable(question.context) for question in asked]
        counts = np.array([len(question.horizons) for question in asked], dtype=np.int64)
        owner = np.repeat(np.arange(len(asked)), counts)
        if not len(owner):
            return [np.empty((0, self.model.config.n_outputs)) for _ in asked]
        prompts, prompt_of = self._prompts(asked, counts)
        lengths = np.array([len(context) for context in contexts], dtype=np.int64)
        goals = np.concatenate(
            [self._goal(c, np.asarray(q.horizons)) for c, q in zip(contexts, asked, strict=True)]
        )
        output = np.empty((len(owner), self.model.config.n_outputs))
        # Questions of like length side by side: little padding.
        order = np.argsort(lengths[owner], kind="stable")
        start = 0
        while start < len(order):
            stop = _chunk_end(lengths[owner[order]], start, TOKENS.get(self.device, TOKENS_ELSEWHERE))
            part = order[start:stop]
            questions = self._questions([contexts[i] for i in owner[part]], goals[part])
            prompt = None if prompts is None else prompts[torch.from_numpy(prompt_of[part])]
            output[part] = self._answer(questions, prompt)
            start = stop
        output *= np.array([self._scale(context) for context in contexts])[owner, None]
        return np.split(output, np.cumsum(counts)[:-1])

    def _answer(self, questions: NetworkInput, prompt: Tensor | None) -> NDArray[np.float64]:
        autocast: Any = nullcontext()
        if self.precision == "bf16":
            autocast = torch.autocast(torch.device(self.device).type, torch.bfloat16)
        with torch.inference_mode(), autocast:
            answer = self.model.answer(questions.to(self.device), prompt)
        return answer.double().cpu().numpy()

    def _scale(self, context: Curve) -> float:
        """What values are divided by: losses by the largest of the context."""
        return float(context.values.max()) if self.samples.target == "loss" else 1.0

    def _goal(self, context: Curve, horizons: Floats) -> Floats:
        """Positions of the horizons on the axis that gaps are measured on."""
        if self.samples.gaps == "log":
            return np.asarray(np.log(horizons), dtype=np.float64)
        last = context.clock[-1]
        distances = np.diff(context.clock)[-SPACINGS:]
        spacing = float(np.median(distances)) if len(distances) else float(last)
        return np.asarray(len(context) - 1 + (horizons - last) / spacing, dtype=np.float64)

    def _questions(self, contexts: Sequence[Curve], goals: Floats) -> NetworkInput:
        lengths = np.array([len(context) for context in contexts])
        mask = np.arange(lengths.max()) < lengths[:, None]
        values = np.zeros(mask.shape)
        values[mask] = np.concatenate([c.values / self._scale(c) for c in contexts])
        places = np.zeros(mask.shape)
        if self.samples.gaps == "log":
            places[mask] = np.log(np.concatenate([context.clock for context in contexts]))
        else:
            places = np.broadcast_to(np.arange(mask.shape[1], dtype=np.float64), mask.shape)
        tasks = task_codes([context.key.task for context in contexts], self.model.config.tasks)
        return NetworkInput(
            torch.from_numpy(values.astype(np.float32)),
            torch.from_numpy(gaps_between(places, mask, goals)),
            torch.from_numpy(mask),
            task=None if tasks is None else torch.from_numpy(tasks),
        )

    def _prompts(self, asked: Sequence[CurveQuestion], counts: Integers) -> tuple[Tensor | None, Integers]:
        """Encodings, each distinct one once, and which one each horizon shows."""
        if self.model.encoder is None:
            return None, np.empty(0, dtype=np.int64)
        keys: list[tuple[LossStore, Key]] = []
        for question, count in zip(asked, counts, strict=True):
            keys += self._keys(question, int(count))
        distinct = {(id(store), key): (store, key) for store, key in keys}
        self._encode([pair for pair in distinct.values() if pair[1] not in self._encoded(pair[0])])
        place = {name: row for row, name in enumerate(distinct)}
        prompts = torch.stack([self._encoded(store)[key] for store, key in distinct.values()])
        return prompts, np.array([place[id(store), key] for store, key in keys], dtype=np.int64)

    def _encoded(self, store: LossStore) -> dict[Key, Tensor]:
        return self._encodings.setdefault(store, {})

    def _keys(self, question: CurveQuestion, count: int) -> list[tuple[LossStore, Key]]:
        """What is encoded for each horizon: run, steps, masked positions."""
        view = question.losses
        if view is None:
            raise ValueError("a model with an encoder needs losses")
        store = view.store
        check_validation_set(store, self.fingerprint, self.folder)
        seen = view.steps[view.steps <= question.context.steps[-1]]
        task = question.context.key.task
        owned = own_items(store.groups, task) if self.losses.exclude_own_items else None
        masked = "" if owned is None else task
        if self.model.config.encoder == "diffhist":
            return [
                (store, (self._weights, view.run, (int(seen[-1]), target), masked))
                for target in target_steps(question, view.steps)
            ]
        steps = tuple(seen.tolist()) if self.model.config.encoder == "average" else (int(seen[-1]),)
        return [(store, (self._weights, view.run, steps, masked))] * count

    def _encode(self, wanted: Sequence[tuple[LossStore, Key]]) -> None:
        for start in range(0, len(wanted), ENCODE_AT_ONCE):
            part = wanted[start : start + ENCODE_AT_ONCE]
            inputs = torch.cat([self._input(store, key) for store, key in part])
            with torch.inference_mode():
                encoded = self.model.encode(inputs.to(self.device))
            for (store, key), row in zip(part, encoded, strict=True):
                self._encoded(store)[key] = row

    def _input(self, store: LossStore, key: Key) -> Tensor:
        _, run, steps, task = key
        wanted = {run: np.unique(np.array(steps, dtype=np.int64))}
        inputs = prepare_inputs(store, [run], [task], self.model.config, self.losses, steps=wanted)
        first, last = (inputs.checkpoints[run, step] for step in (steps[0], steps[-1]))
        # The histogram goes from the context end to the target; the others stand at the last checkpoint.
        context = first if self.model.config.encoder == "diffhist" else last
        exclusion = inputs.of_task[task]
        return inputs.gather(np.array([context]), np.array([last]), np.array([exclusion]))


def _usable(context: Curve) -> Curve:
    """The context without step 0, which the network never saw."""
    usable = context.after(0.0)
    return usable if usable.steps[0] > 0 else usable.after(float(usable.clock[0]))


def _chunk_end(lengths: Integers, start: int, budget: int) -> int:
    """As many questions as fit the token budget, at least one; lengths do not fall."""
    ahead = lengths[start:] + 2
    fits = ahead * np.arange(1, len(ahead) + 1) <= budget
    return start + max(int(fits.argmin()) if not fits.all() else len(ahead), 1)


def target_steps(question: CurveQuestion, known: Integers) -> list[int]:
    """The checkpoint with losses nearest to each horizon; the clock runs as it did at the context end."""
    context = question.context
    steps = np.asarray(question.horizons) * (context.steps[-1] / context.clock[-1])
    after = np.clip(np.searchsorted(known, steps), 1, len(known) - 1)
    nearer = np.where(steps - known[after - 1] <= known[after] - steps, after - 1, after)
    return [int(step) for step in known[nearer]]
