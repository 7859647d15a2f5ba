"""Network of neuneu-2: how much each candidate forecast is to be trusted; NumPy to use, torch to train."""

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from neuneu.curves.curve import Floats
from neuneu.errors import InputError, MissingExtraError
from neuneu.forecasters.neural.candidates import CANDIDATES, FACTS, Candidates

if TYPE_CHECKING:
    import torch

KNOTS = 33
"""Facts are put on a common scale by so many quantiles of the training questions."""
REACH = 1.5
FLAGS = ("above_chance", "jump", "nearest_by_clock", "nearest_by_plan", "of_plan")
"""Facts whose absence the network is told."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """Networks that turn facts and candidates into weights of candidates.

    knots: (n_facts, KNOTS) quantiles of each fact in training. Layers hold a matrix for each member of
    the ensemble: weights[i]: (n_members, n_in, n_out), biases[i]: (n_members, n_out); GELU between them.
    """

    knots: Floats
    weights: list[Floats]
    biases: list[Floats]

    def point(self, candidates: Candidates, level: Floats, size: Floats) -> Floats:
        """Weighted candidates, (n_cells,): the mean over members. level, size: (n_cells,)."""
        inputs = network_inputs(candidates, self.knots, level, size)
        present = ~np.isnan(candidates.values)
        values = np.where(present, candidates.values, 0.0)
        total = np.zeros(len(inputs))
        members = len(self.weights[0])
        for member in range(members):
            hidden = inputs
            for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
                hidden = hidden @ weight[member] + bias[member]
                if layer < len(self.weights) - 1:
                    hidden = _gelu(hidden)
            logits = np.where(present, hidden, -np.inf)
            shares = np.exp(logits - logits.max(axis=1, keepdims=True))
            total += (shares * values).sum(axis=1) / shares.sum(axis=1)
        return np.asarray(total / members, dtype=np.float64)

    def tensors(self) -> dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]:
        """Arrays by name, float32, as they are stored."""
        arrays = {"knots": self.knots}
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            arrays |= {f"layers.{i}.weight": weight, f"layers.{i}.bias": bias}
        return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}

    @classmethod
    def from_tensors(
        cls, tensors: dict[str, "np.ndarray[tuple[int, ...], np.dtype[np.float32]]"]
    ) -> "Mixture":
        """What `tensors` gave. Raises InputError where arrays are missing or do not fit this version."""
        layers = sum(name.endswith(".weight") for name in tensors)
        names = {"knots"} | {f"layers.{i}.{kind}" for i in range(layers) for kind in ("weight", "bias")}
        if set(tensors) != names or not layers:
            raise InputError("must hold knots and layers", field="tensors", value=sorted(tensors))
        if tensors["knots"].shape[0] != len(FACTS) or tensors[f"layers.{layers - 1}.bias"].shape[1] != len(
            CANDIDATES
        ):
            raise InputError("made for other facts or candidates: train again", field="tensors")
        arrays = {name: array.astype(np.float64) for name, array in tensors.items()}
        return cls(
            arrays["knots"],
            [arrays[f"layers.{i}.weight"] for i in range(layers)],
            [arrays[f"layers.{i}.bias"] for i in range(layers)],
        )


def network_inputs(candidates: Candidates, knots: Floats, level: Floats, size: Floats) -> Floats:
    """Facts on their common scale, which are absent, and how far candidates are from the level."""
    scale = np.linspace(-REACH, REACH, KNOTS)
    facts = np.stack(
        [np.interp(column, own, scale) for column, own in zip(candidates.facts.T, knots, strict=True)], axis=1
    )
    absent = np.isnan(candidates.facts[:, [FACTS.index(name) for name in FLAGS]]).astype(np.float64)
    away = np.arcsinh((candidates.values - level[:, None]) / size[:, None]) / 2
    return np.concatenate([np.nan_to_num(facts), absent, np.nan_to_num(np.clip(away, -3.0, 3.0))], axis=1)


def fact_knots(facts: Floats) -> Floats:
    """Quantiles of each fact, (n_facts, KNOTS), strictly increasing."""
    levels = np.linspace(0.0, 1.0, KNOTS)
    knots = []
    for column in facts.T:
        known = column[~np.isnan(column)]
        own = np.quantile(known, levels) if len(known) else levels
        knots.append(own + 1e-6 * (1 + np.abs(own).max()) * levels)
    return np.array(knots, dtype=np.float32).astype(np.float64)  # as they are stored


@dataclass(frozen=True)
class TrainingSettings:
    """How the networks are trained: members of the ensemble, optimiser steps, cells a step, learning rate.

    families: synthetic ones to train on beside the real runs; without_references, without_loss: shares of
    cells that this evidence is hidden from.
    """

    families: int = 36
    members: int = 3
    hidden: int = 48
    steps: int = 2500
    batch_size: int = 512
    learning_rate: float = 2e-3
    weight_decay: float = 0.1
    dropout: float = 0.25
    without_references: float = 0.35
    without_loss: float = 0.5


def train_mixture(
    candidates: Candidates,
    level: Floats,
    size: Floats,
    truth: Floats,
    weight: Floats,
    seed: int,
    settings: TrainingSettings | None = None,
) -> Mixture:
    """Train on cells with known answers: least absolute error in units of the square root of noise.

    level, size, truth, weight: (n_cells,). Kinds of evidence are dropped at random, so that any may
    be absent.
    """
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", "train") from error
    settings = settings or TrainingSettings()
    knots = fact_knots(candidates.facts)
    generator = torch.Generator().manual_seed(seed)
    columns = _columns(candidates, knots, level, size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # networks this small only lose by a second thread, and sums keep their order
    try:
        members = [
            _train_member(columns, truth, size, weight, settings, np.random.default_rng([seed, i]), generator)
            for i in range(settings.members)
        ]
    finally:
        torch.set_num_threads(threads)
    layers = len(members[0]) // 2
    return Mixture(
        knots,
        [np.stack([member[2 * i] for member in members]) for i in range(layers)],
        [np.stack([member[2 * i + 1] for member in members]) for i in range(layers)],
    )


@dataclass(frozen=True)
class _Columns:
    """Inputs with all evidence and, per kind of evidence, which input and candidate columns it fills."""

    inputs: "torch.Tensor"
    values: "torch.Tensor"
    present: "torch.Tensor"
    reference_inputs: list[int]
    reference_flags: list[int]
    reference_candidates: list[int]
    loss_candidate: int
    away: int


def _columns(candidates: Candidates, knots: Floats, level: Floats, size: Floats) -> _Columns:
    import torch

    references = [i for i, name in enumerate(CANDIDATES) if name.endswith(("_by_clock", "_by_plan"))]
    facts = [i for i, name in enumerate(FACTS) if name.endswith(("_by_clock", "_by_plan"))]
    flags = [len(FACTS) + i for i, name in enumerate(FLAGS) if name.endswith(("_by_clock", "_by_plan"))]
    away = len(FACTS) + len(FLAGS)
    inputs = network_inputs(candidates, knots, level, size)
    present = ~np.isnan(candidates.values)
    return _Columns(
        torch.from_numpy(inputs.astype(np.float32)),
        torch.from_numpy(np.where(present, candidates.values, 0.0).astype(np.float32)),
        torch.from_numpy(present),
        facts + [away + i for i in references],
        flags,
        references,
        CANDIDATES.index("loss_rise"),
        away,
    )


def _train_member(
    columns: _Columns,
    truth: Floats,
    size: Floats,
    weight: Floats,
    settings: TrainingSettings,
    rng: np.random.Generator,
    generator: "torch.Generator",
) -> list[Floats]:
    import torch

    network = _network(columns.inputs.shape[1], settings, generator)
    optimiser = torch.optim.AdamW(
        [p for layer in network for p in layer.parameters()],
        lr=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, settings.learning_rate, settings.steps, pct_start=0.1
    )
    target = torch.from_numpy(truth.astype(np.float32))
    importance = torch.from_numpy((1.0 / np.sqrt(size)).astype(np.float32))
    drawn = rng.choice(len(truth), size=(settings.steps, settings.batch_size), p=weight / weight.sum())
    for step in range(settings.steps):
        rows = torch.from_numpy(drawn[step])
        inputs, present = _drop_evidence(columns, rows, settings, generator)
        hidden = inputs
        for layer in network[:-1]:
            hidden = torch.nn.functional.gelu(layer(hidden), approximate="tanh")
            keep = torch.rand(hidden.shape, generator=generator) >= settings.dropout
            hidden = hidden * keep / (1 - settings.dropout)
        shares = network[-1](hidden).masked_fill(~present, -torch.inf).softmax(dim=1)
        point = (shares * columns.values[rows]).sum(dim=1)
        loss = ((point - target[rows]).abs() * importance[rows]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    arrays = []
    for layer in network:
        arrays += [
            layer.weight.detach().numpy().T.astype(np.float64),
            layer.bias.detach().numpy().astype(np.float64),
        ]
    return arrays


def _network(
    n_inputs: int, settings: TrainingSettings, generator: "torch.Generator"
) -> "list[torch.nn.Linear]":
    """Linear layers; the last one starts at zero, so that training starts from equal shares."""
    import torch

    sizes = [n_inputs, settings.hidden, settings.hidden, len(CANDIDATES)]
    layers = [torch.nn.Linear(a, b) for a, b in pairwise(sizes)]
    with torch.no_grad():
        for layer in layers:
            bound = layer.in_features**-0.5
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.zero_()
        layers[-1].weight.zero_()
    return layers


def _drop_evidence(
    columns: _Columns, rows: "torch.Tensor", settings: TrainingSettings, generator: "torch.Generator"
) -> tuple["torch.Tensor", "torch.Tensor"]:
    import torch

    inputs, present = columns.inputs[rows], columns.present[rows]
    bare = torch.rand(len(rows), generator=generator) < settings.without_references
    for column in columns.reference_inputs:
        inputs[bare, column] = 0.0
    for column in columns.reference_flags:
        inputs[bare, column] = 1.0
    for column in columns.reference_candidates:
        present[bare, column] = False
    bare = torch.rand(len(rows), generator=generator) < settings.without_loss
    inputs[bare, columns.away + columns.loss_candidate] = 0.0
    present[bare, columns.loss_candidate] = False
    return inputs, present


def _gelu(x: Floats) -> Floats:
    return np.asarray(0.5 * x * (1 + np.tanh(0.7978845608028654 * (x + 0.044715 * x**3))), dtype=np.float64)
