"""One checkpoint → its per-token losses of a corpus."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neuneu.errors import InputError
from neuneu.files import read_object
from neuneu.losses import conventions as compat
from neuneu.losses.checkpoints import Checkpoint, weights_digest
from neuneu.losses.corpus import Corpus, read_corpus
from neuneu.losses.devices import find_device
from neuneu.losses.models import load_model
from neuneu.losses.windows import plan_windows
from neuneu.losses.zarr_store import ZarrLossStore

_LENGTHS = ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len", "max_sequence_length")

ROUNDING = 0.05
"""Mean difference in nats that the same weights' losses stay well below, on other devices in bfloat16 too."""


@dataclass(frozen=True, slots=True)
class Scoring:
    """How losses are computed. What changes them by more than rounding is part of the store.

    window: longest stretch that the model reads, None = what the store has or the model was trained on (at
    most 2,048); stride: how far it goes on in a long document, None = half the window; bos: put the model's
    beginning-of-text token before a document, so that its first token has a loss; precision: float32 or
    bfloat16; batch_tokens: tokens a batch with padding, which bounds memory; device: None = a GPU if there
    is one; dtype: of the stored losses, float16 or float32; published: follow the conventions of NeuNeu's
    published files (`compat`); allow_bin: also read weights that are no safetensors.
    """

    window: int | None = None
    stride: int | None = None
    bos: bool = False
    precision: str = "float32"
    batch_tokens: int = 8192
    device: str | None = None
    dtype: str = "float16"
    published: bool = False
    allow_bin: bool = False
    statistics: tuple[str, ...] = ()

    @property
    def settings(self) -> dict[str, Any]:
        """What losses in one store must share."""
        shared = ("window", "stride", "bos", "precision", "published")
        return {name: value for name, value in asdict(self).items() if name in shared}


def statistic_path(store: str | Path, name: str) -> Path:
    """Where a statistic is kept: losses.zarr → losses.rank.zarr."""
    path = Path(store)
    return path.with_name(f"{path.stem}.{name}{path.suffix}")


@dataclass(frozen=True)
class ScoreStores:
    """The stores that one pass writes, "loss" first; a checkpoint is there when it is in all of them."""

    of: dict[str, ZarrLossStore]

    @property
    def losses(self) -> ZarrLossStore:
        """The store of the losses."""
        return self.of["loss"]

    def has(self, run: str, step: int) -> bool:
        """Whether this checkpoint is in every store."""
        return all(store.has(run, step) for store in self.of.values())

    def write(
        self, run: str, step: int, values: dict[str, NDArray[np.float32]], facts: dict[str, Any]
    ) -> None:
        """Write a checkpoint to every store that lacks it.

        Raises InputError where its losses are there already and differ by more than rounding.
        """
        if self.losses.has(run, step):
            apart = float(np.nanmean(np.abs(self.losses.read(run, step) - values["loss"])))
            if apart > ROUNDING:
                other = f"its step {step} was scored from other weights: losses differ by {apart:.2g} nats"
                rule = f"{other}; name the run with `run`"
                raise InputError(rule, where=self.losses.path, field="run", value=run)
        for name, store in self.of.items():
            store.write(run, step, values[name], facts)


@dataclass(frozen=True)
class Scorer:
    """A corpus and how it is scored; windows are planned once for all checkpoints."""

    corpus_path: str
    scoring: Scoring

    def __reduce__(self) -> tuple[Any, ...]:
        """Only the path and the settings travel to another process."""
        return Scorer, (self.corpus_path, self.scoring)

    @cached_property
    def corpus(self) -> Corpus:
        """The validation text."""
        return read_corpus(self.corpus_path)

    @cached_property
    def _windows(self) -> Any:
        window, stride = self.scoring.window, self.scoring.stride
        assert window is not None
        assert stride is not None
        if self.scoring.published:
            return compat.plan_published(self.corpus.bounds, window)
        return plan_windows(self.corpus.bounds, window, stride, bos=self.scoring.bos)

    def open_store(self, path: str | Path) -> "ScoreStores":
        """The store of these losses, made if absent, with those of the statistics asked for."""
        corpus, published = self.corpus, self.scoring.published
        n_published = int(compat.published_lengths(corpus.bounds, self.scoring.window or 0).sum())

        def made(place: Path, dtype: str, about: dict[str, Any]) -> ZarrLossStore:
            return ZarrLossStore.create(
                place,
                fingerprint=corpus.fingerprint,
                n_positions=n_published if published else len(corpus.tokens),
                settings=self.scoring.settings | about,
                dtype=dtype,
            )

        stores = {"loss": made(Path(path), "float32" if published else self.scoring.dtype, {})}
        for name in self.scoring.statistics:
            dtype = "float32" if name == "rank" else self.scoring.dtype
            stores[name] = made(statistic_path(path, name), dtype, {"statistic": name})
        return ScoreStores(stores)

    def lacking(self, path: str | Path, checkpoints: Iterable[Checkpoint]) -> list[Checkpoint]:
        """Those that are not in the stores here; makes none."""
        places = [Path(path), *(statistic_path(path, name) for name in self.scoring.statistics)]
        if not all((place / "zarr.json").exists() for place in places):
            return list(checkpoints)
        stores = self.open_store(path)
        return [checkpoint for checkpoint in checkpoints if not stores.has(checkpoint.run, checkpoint.step)]

    def score(self, checkpoint: Checkpoint) -> tuple[dict[str, NDArray[np.float32]], dict[str, Any]]:
        """Losses and statistics of one checkpoint by name, and the facts that are kept with them."""
        import torch
        import transformers

        from neuneu.losses.forward import token_values

        scoring = self.scoring
        device = str(find_device(scoring.device or "auto"))
        folder = checkpoint.fetch(allow_bin=scoring.allow_bin)
        self._check(folder)
        model = load_model(folder, allow_bin=scoring.allow_bin, device=device)
        bos = _bos_token(model, folder) if scoring.bos else None
        try:
            values = token_values(
                model,
                self.corpus.tokens,
                self._windows,
                bos_id=bos,
                statistics=scoring.statistics,
                batch_tokens=scoring.batch_tokens,
                precision=scoring.precision,
                mask_id=0 if scoring.published else None,
            )
        except InputError as error:
            raise InputError(error.rule, where=folder, field=error.field, value=error.value) from error
        if scoring.published:
            packed = compat.pack_published(
                values["loss"], self.corpus.tokens, self.corpus.bounds, scoring.window or 0
            )
            values = {"loss": packed}
        facts = {
            "model": type(model).__name__,
            "parameters": sum(parameter.numel() for parameter in model.parameters()),
            "source": Path(checkpoint.source).name if checkpoint.revision is None else checkpoint.source,
            "revision": checkpoint.revision,
            "weights": weights_digest(folder),
            "bos_id": bos,
            "device": device,
            "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        }
        return values, facts

    def _check(self, folder: Path) -> None:
        """Refuse a model that cannot read the window, or whose own tokenizer has another vocabulary."""
        longest = context_length(folder)
        if longest is not None and self.scoring.window is not None and self.scoring.window > longest:
            rule = f"the model reads at most {longest} tokens"
            raise InputError(rule, where=folder, field="window", value=self.scoring.window)
        if (folder / "tokenizer.json").is_file():
            from neuneu.losses.tokenizer import load_tokenizer, vocabulary_digest

            if vocabulary_digest(load_tokenizer(str(folder))) != self.corpus.facts["vocabulary_sha256"]:
                rule = "the checkpoint's tokenizer has another vocabulary than the corpus: tokenize with it"
                raise InputError(rule, where=folder, field="tokenizer", value=self.corpus.facts["tokenizer"])


def context_length(folder: Path) -> int | None:
    """Tokens that the model was trained to read at once; None where its configuration does not say."""
    config = read_object(folder / "config.json")
    lengths = [config[name] for name in _LENGTHS if isinstance(config.get(name), int)]
    return int(lengths[0]) if lengths else None


def _bos_token(model: Any, folder: Path) -> int:
    token = model.config.bos_token_id
    if isinstance(token, int):
        return token
    raise InputError("the model has none: leave `bos` out", where=folder, field="bos_token_id")
