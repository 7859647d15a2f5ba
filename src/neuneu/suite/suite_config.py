"""The configuration of a suite: texts, recipes, model sizes, schedule, checkpoints and evaluation."""

import hashlib
import json
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from neuneu.errors import InputError
from neuneu.files import check_document, read_yaml

Positive = Field(gt=0)
Family = Literal["llama", "gptneox", "mamba", "mixtral"]


class Section(BaseModel):
    """A part of the configuration: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TextSource(Section):
    """A body of text: where it lies on this machine or on the hub, how it is read, its licence."""

    kind: Literal["text", "html", "roff", "fortune", "python", "jsonl", "hub"]
    paths: tuple[str, ...] = Field(min_length=1)
    """Patterns of absolute paths, `stdlib:PATTERN` for Python's standard library, or a hub dataset's name."""
    licence: str
    package: str | None = None
    """The Debian package that brings the files."""
    field: str = "text"
    """The field that holds the text (jsonl and hub)."""
    subset: str | None = None
    max_bytes: int | None = Field(default=None, gt=0)
    """Text kept, in bytes of UTF-8; pieces are drawn evenly from all files."""


class TokenizerSettings(Section):
    """A byte-level BPE trained on the texts, or an existing tokenizer (folder or hub name)."""

    vocabulary: int = Field(default=4096, ge=300)
    sample_bytes: int = Field(default=4_000_000, gt=0)
    name: str | None = None


class Size(Section):
    """The shape of a model."""

    layers: int = Positive
    hidden: int = Positive
    heads: int = Positive
    intermediate: int = Positive
    kv_heads: int | None = Field(default=None, gt=0)
    """Key-value heads of llama and mixtral (grouped-query attention); as many as heads if absent."""
    experts: int = Field(default=4, gt=0)
    state: int = Field(default=16, gt=0)
    learning_rate: float | None = Field(default=None, gt=0)
    micro_batch: int | None = Field(default=None, gt=0)
    bf16: bool | None = None

    @model_validator(mode="after")
    def _heads_divide(self) -> Self:
        if self.hidden % (2 * self.heads):
            raise ValueError("hidden must be an even multiple of heads (rotary positions need pairs)")
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError("heads must be a multiple of kv_heads")
        return self


class Schedule(Section):
    """Optimisation: AdamW, warm-up, then cosine or warm-up-stable-decay."""

    tokens: int = Positive
    sequence: int = Field(default=128, ge=8)
    batch: int = Field(default=16, gt=0)
    """Sequences per optimiser step."""
    micro_batch: int | None = Field(default=None, gt=0)
    """Sequences per forward pass; the whole batch if absent."""
    learning_rate: float = Positive
    minimum: float = Field(default=0.1, ge=0, le=1)
    """Final learning rate as a share of the peak."""
    warmup_steps: int = Field(default=100, ge=0)
    kind: Literal["cosine", "wsd"] = "cosine"
    decay: float = Field(default=0.2, gt=0, le=1)
    """Share of the run that decays, for wsd."""
    weight_decay: float = Field(default=0.1, ge=0)
    betas: tuple[float, float] = (0.9, 0.95)
    clip: float = Field(default=1.0, gt=0)
    initializer_range: float = Field(default=0.02, gt=0)
    tied_embeddings: bool = True
    bf16: bool = False

    @model_validator(mode="after")
    def _micro_batch_divides(self) -> Self:
        if self.micro_batch is not None and self.batch % self.micro_batch:
            raise ValueError("micro_batch must divide batch")
        return self

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one optimiser step."""
        return self.batch * self.sequence

    @property
    def steps(self) -> int:
        """Optimiser steps: the token budget divided by tokens per step, rounded up."""
        return -(-self.tokens // self.tokens_per_step)


class Clock(Section):
    """Where checkpoints are kept: logarithmically spaced at first, evenly after."""

    count: int = Field(default=24, ge=2)
    first_tokens: int = Field(default=50_000, gt=0)
    log_share: float = Field(default=0.3, gt=0, lt=1)
    """Share of the token budget up to which the spacing is logarithmic."""
    keep_weights: Literal["none", "final", "all"] = "final"


class ExamSettings(Section):
    """What each checkpoint is asked; the folders of questions are options of the command."""

    blimp_pairs: int = Field(default=100, gt=0)
    request_tasks: tuple[str, ...] = ()
    """Task/format folders under the folder of requests, e.g. `sciq/rc_0shot`."""
    request_items: int = Field(default=150, gt=0)
    windows: int = Field(default=40, gt=0)
    """Held-out windows of `sequence` tokens per source: bits per byte, next-token accuracy, token losses."""
    items: int = Field(default=100, gt=0)
    """Questions per source of continuation and word order."""


class Grid(Section):
    """Runs to train: every combination, in order of seeds, then sizes, then recipes, then families."""

    families: tuple[Family, ...] = ("llama",)
    sizes: tuple[str, ...] = Field(min_length=1)
    recipes: tuple[str, ...] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)


class Run(Section):
    """One run of the grid."""

    family: Family
    size: str
    recipe: str
    seed: int

    @property
    def name(self) -> str:
        """The run's name, also its folder's."""
        return f"{self.family}-{self.size}-{self.recipe}-seed{self.seed}"


class SuiteConfig(Section):
    """A suite of small language models."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]*$")
    sources: dict[str, tuple[TextSource, ...]] = Field(min_length=1)
    recipes: dict[str, dict[str, float]] = Field(min_length=1)
    sizes: dict[str, Size] = Field(min_length=1)
    grids: tuple[Grid, ...] = Field(min_length=1)
    tokenizer: TokenizerSettings = TokenizerSettings()
    schedule: Schedule
    checkpoints: Clock = Clock()
    evaluation: ExamSettings = ExamSettings()
    held_out: float = Field(default=0.03, gt=0, lt=0.5)
    """Share of each source's pieces that no run sees."""

    @model_validator(mode="after")
    def _names_exist(self) -> Self:
        for recipe, weights in self.recipes.items():
            unknown = set(weights) - set(self.sources)
            if unknown:
                raise ValueError(f"recipes.{recipe} names unknown sources: {', '.join(sorted(unknown))}")
            if min(weights.values(), default=0) <= 0:
                raise ValueError(f"recipes.{recipe}: every weight must be positive")
        for grid in self.grids:
            for names, known, kind in (
                (grid.sizes, self.sizes, "sizes"),
                (grid.recipes, self.recipes, "recipes"),
            ):
                unknown = set(names) - set(known)
                if unknown:
                    raise ValueError(f"grids name unknown {kind}: {', '.join(sorted(unknown))}")
        return self

    @property
    def runs(self) -> list[Run]:
        """All runs in the order of training, each once."""
        runs = {
            (run := Run(family=family, size=size, recipe=recipe, seed=seed)).name: run
            for grid in self.grids
            for seed in grid.seeds
            for size in grid.sizes
            for recipe in grid.recipes
            for family in grid.families
        }
        return list(runs.values())

    @property
    def fingerprint(self) -> str:
        """Identifies everything but the grids: runs may be added to a suite, the rest may not change."""
        settings = self.model_dump(mode="json", exclude={"grids"})
        for size in settings["sizes"].values():
            if size["kv_heads"] is None:  # suites made before there were any keep their fingerprint
                del size["kv_heads"]
        return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def load_suite(path: str | Path) -> SuiteConfig:
    """Read and check a suite's YAML.

    Raises InputError that names the file, the field, the value and the rule.
    """
    document = read_yaml(path)
    if not isinstance(document, dict):
        raise InputError("must be a mapping of settings", where=path)
    return check_document(SuiteConfig, document, path)
