"""Curve tables in, an HTML report out."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from neuneu.curves.broken import broken_in_words
from neuneu.curves.seeds import Seeds
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.select import Selection
from neuneu.files import sha256_of, write_text
from neuneu.forecasters.base import DEFAULT_FORECASTER
from neuneu.forecasts.forecast import label_of
from neuneu.reports.answer import ask
from neuneu.reports.former import read_former
from neuneu.reports.html import ReportOrigin, render_report
from neuneu.reports.report_tables import plural


def report_files(
    curves: Sequence[Path],
    output: Path,
    *,
    forecasters: Sequence[str] = (),
    context: float | None = None,
    beyond: float | None = None,
    selection: Selection | None = None,
    references: str = "none",
    losses: Path | None = None,
    title: str | None = None,
    seeds: str = Seeds.each,
    since: Path | None = None,
) -> str:
    """Forecast the curves of these files and write the report; returns lines for people.

    context: share of each clock that may be seen, to look back; None for runs in flight; since: an earlier
    report or a ledger, to tell what has changed (see `read_former`); the rest as `ask` takes it.
    """
    if output.suffix not in (".html", ".htm"):
        raise InputError("must end in .html", field="output", value=str(output))
    label = label_of(forecasters[0]) if forecasters else DEFAULT_FORECASTER
    former = read_former(since, label) if since is not None else None  # may be the file that is written
    answer = ask(  # the table is held by no name: of millions of rows, it goes before the scores are made
        CurveTable.read_sound(*curves), forecasters, selection=selection, context=context, beyond=beyond,
        references=references, losses=losses, seeds=seeds,
    )  # fmt: skip
    command = ["neuneu", "report", *(path.name for path in curves)]
    command += ["--context", f"{context:g}"] if context is not None else []
    command += ["--forecaster", ",".join(Path(name).name for name in forecasters)] if forecasters else []
    command += ["--beyond", f"{beyond:g}"] if beyond is not None else []
    command += [part for name, value in (selection or Selection()).named() for part in (f"--{name}", value)]
    command += ["--references", _plain_name(references)] if references != "none" else []
    command += ["--losses", losses.name] if losses is not None else []
    command += ["--seeds", seeds] if seeds != Seeds.each else []
    command += ["--since", since.name] if since is not None else []
    origin = ReportOrigin(
        title=title or "Forecasts of training runs",
        command=shlex.join(command),
        data="; ".join(f"{path.name}, sha256 {_fingerprint(path)}" for path in curves),
    )
    write_text(output, render_report(answer, origin, former))
    nothing = "" if answer.panels else "; all runs have ended: look back with --context 0.2"
    written = f"{plural(answer.n_curves, 'curve')} → {output}{nothing}"
    return "\n".join([*broken_in_words(answer.broken), written])


def _plain_name(references: str) -> str:
    """A rule as it is, of a file its name alone, so that a page says the same wherever it was made."""
    return Path(references).name


def _fingerprint(path: Path) -> str:
    return sha256_of(path)[:16]
