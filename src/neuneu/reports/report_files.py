"""Curve tables in, an HTML report out."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from neuneu.curves.table import CurveTable
from neuneu.errors import InputError
from neuneu.evidence.select import Selection
from neuneu.files import sha256_of, write_text
from neuneu.reports.answer import ask
from neuneu.reports.html import MAX_CHARTS, ReportOrigin, render_report


def report_files(
    curves: Sequence[Path],
    output: Path,
    *,
    forecasters: Sequence[str] = (),
    context: float = 0.2,
    beyond: float | None = None,
    selection: Selection | None = None,
    references: str = "none",
    losses: Path | None = None,
    title: str | None = None,
    max_charts: int = MAX_CHARTS,
) -> str:
    """Forecast the curves of these files and write the report; returns a line for people."""
    if output.suffix not in (".html", ".htm"):
        raise InputError("must end in .html", field="output", value=str(output))
    answer = ask(  # the table is held by no name: of millions of rows, it goes before the scores are made
        CurveTable.read_sound(*curves), forecasters, selection=selection, context=context, beyond=beyond,
        references=references, losses=losses,
    )  # fmt: skip
    command = ["neuneu", "report", *(path.name for path in curves), "--context", f"{context:g}"]
    command += ["--forecaster", ",".join(Path(name).name for name in forecasters)] if forecasters else []
    command += ["--beyond", f"{beyond:g}"] if beyond is not None else []
    command += [part for name, value in (selection or Selection()).named() for part in (f"--{name}", value)]
    command += ["--references", _plain_name(references)] if references != "none" else []
    command += ["--losses", losses.name] if losses is not None else []
    origin = ReportOrigin(
        title=title or "Forecasts of training runs",
        command=shlex.join(command),
        data="; ".join(f"{path.name}, sha256 {_fingerprint(path)}" for path in curves),
    )
    write_text(output, render_report(answer, origin, max_charts))
    return f"{len(answer.panels)} curves → {output}"


def _plain_name(references: str) -> str:
    """A rule as it is, of a file its name alone, so that a page says the same wherever it was made."""
    return Path(references).name


def _fingerprint(path: Path) -> str:
    return sha256_of(path)[:16]
