"""What is said below a figure: context, references, how methods were fitted, metric and setting."""

from collections.abc import Mapping, Sequence
from typing import Any

from neuneu.forecasters.fitted import WEIGHTS, WIDTHS, fitted_in_words
from neuneu.forecasts.cells import CurveForecast
from neuneu.forecasts.forecast import TableForecasts


def of_forecasts(found: TableForecasts, shown: Sequence[CurveForecast] | None = None) -> str:
    """Of forecasts of a table's curves. shown: those that are drawn, where not all are."""
    seen = "all that is known" if found.share == 1 else f"the first {_percent(found.share)} of the clock"
    parts = [f"context: {seen}", f"references: {found.references}", *_one_setting(shown or found.curves)]
    facts = {each.curve.key.run: each.curve.facts for each in found.curves}
    fitted = fitted_in_words(found.names, facts) or "Forecasters as they ship or were saved."
    return f"{'; '.join(parts)}. {fitted}"


def of_evaluation(document: Mapping[str, Any]) -> str:
    """Of an evaluation. document: leaderboard.json; empty where it tells nothing of this."""
    told = document.get("protocol") or {}
    if not told:
        return ""
    share = ", ".join(map(_percent, told.get("context", [])))
    parts = [
        f"context: {share} by {told.get('by')} ({told.get('kind')})",
        *_references_and_fit(told),
        f"metric: {in_setting(str(told.get('metric')), told.get('n_shot'), told.get('variant'))}",
    ]
    return "; ".join(parts) + _fitted_here(document)


def of_cells(document: Mapping[str, Any], shown: Sequence[CurveForecast]) -> str:
    """Of curves with evaluated forecasts. document: leaderboard.json; shown: what is drawn."""
    ends = [each.end / max([*each.curve.clock[-1:], *each.horizons[-1:]]) for each in shown]
    low, high = _percent(min(ends)), _percent(max(ends))
    context = low if low == high else f"{low} to {high}"
    told = document.get("protocol") or {}
    parts = [f"context: the first {context} of the clock", *(_references_and_fit(told) if told else [])]
    return "; ".join([*parts, *_one_setting(shown)]) + _fitted_here(document)


def _fitted_here(document: Mapping[str, Any]) -> str:
    """Which of the evaluated methods that ship were fitted on runs that are scored; "" where none was."""
    parts = []
    for what in (WEIGHTS, WIDTHS):
        names = [
            str(row["forecaster"]) for row in document.get("overall", []) if what in str(row.get("fitted"))
        ]
        if names:
            parts.append(f"the {what} of {' and '.join(names)}")
    if not parts:
        return ""
    text = f"{' and '.join(parts)} were fitted on some of these runs or their families"
    return f". {text[0].upper()}{text[1:]}: errors here are kinder than on runs of others."


def _references_and_fit(told: Mapping[str, Any]) -> list[str]:
    return [f"references: {told.get('references')}", f"fitted: {told.get('fitting')}"]


def _one_setting(shown: Sequence[CurveForecast]) -> list[str]:
    """The metric and setting of all that is shown; where there are several each panel names its own."""
    keys = {each.curve.key[2:] for each in shown}
    return [f"metric: {in_setting(*next(iter(keys)))}"] if len(keys) == 1 else []


def _percent(share: float) -> str:
    return f"{share:.0%}".replace("%", " %")


def in_setting(metric: str, n_shot: int | None, variant: str | None) -> str:
    """A metric with shots and variant where they are known: `acc, 5-shot, mc`."""
    parts = [metric, None if n_shot is None else f"{n_shot}-shot", variant]
    return ", ".join(part for part in parts if part)
