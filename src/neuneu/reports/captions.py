"""What is said below a figure: context, references, how methods were fitted, metric and setting."""

from collections.abc import Mapping
from typing import Any

from neuneu.forecasters.fitted import fitted_in_words
from neuneu.forecasts.forecast import TableForecasts


def of_forecasts(found: TableForecasts) -> str:
    """Of forecasts of a table's curves."""
    keys = {each.curve.key[2:] for each in found.curves}
    seen = "all that is known" if found.share == 1 else f"the first {found.share:.0%} of the clock"
    parts = [
        f"context: {seen}",
        f"references: {found.references}",
        *([f"metric: {in_setting(*next(iter(keys)))}"] if len(keys) == 1 else []),
    ]
    facts = {each.curve.key.run: each.curve.facts for each in found.curves}
    fitted = fitted_in_words(found.names, facts) or "Forecasters as they ship or were saved."
    return f"{'; '.join(parts)}. {fitted}"


def of_evaluation(document: Mapping[str, Any]) -> str:
    """Of an evaluation. document: leaderboard.json; empty where it tells nothing of this."""
    told = document.get("protocol") or {}
    if not told:
        return ""
    share = ", ".join(f"{origin:.0%}" for origin in told.get("context", []))
    parts = [
        f"context: {share} by {told.get('by')} ({told.get('kind')})",
        f"references: {told.get('references')}",
        f"fitted: {told.get('fitting')}",
        f"metric: {in_setting(str(told.get('metric')), told.get('n_shot'), told.get('variant'))}",
    ]
    return "; ".join(parts)


def in_setting(metric: str, n_shot: int | None, variant: str | None) -> str:
    """A metric with shots and variant where they are known: `acc, 5-shot, mc`."""
    parts = [metric, None if n_shot is None else f"{n_shot}-shot", variant]
    return ", ".join(part for part in parts if part)
