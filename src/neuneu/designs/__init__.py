"""Scores from design decisions, before a run starts."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neuneu.designs.database.store import DesignStore

__all__ = ["DesignStore"]


def __getattr__(name: str) -> Any:
    if name == "DesignStore":
        from neuneu.designs.database.store import DesignStore

        return DesignStore
    raise AttributeError(name)
