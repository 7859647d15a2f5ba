"""The atlas: what models of a given size and token budget score on a benchmark, before any training.

The room can be called: `neuneu.atlas("hellaswag", params=7e9, tokens=2e12)`.
"""

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import polars as pl


class _Room(ModuleType):
    """A package has the name that its function goes by, so it answers calls itself."""

    def __call__(
        self, tasks: str | Sequence[str], params: float, tokens: float, **asked: Any
    ) -> "pl.DataFrame":
        """Quantiles of the score, a row a task, with what they rest on; `asked` as `ask_atlas` takes it."""
        from neuneu.atlas.ask import ask_atlas, scores_frame

        return scores_frame(ask_atlas([tasks] if isinstance(tasks, str) else tasks, params, tokens, **asked))


sys.modules[__name__].__class__ = _Room
