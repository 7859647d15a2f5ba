"""The formats by name, and the one call that reads any of them: every module of this package that has one."""

import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path

import polars as pl

from neuneu.curves import readers
from neuneu.curves.readers.bulk import Progress
from neuneu.curves.readers.finishing import ReadResult, finish
from neuneu.curves.readers.parsing import NOTHING_GIVEN, Given, ReadReport, walk
from neuneu.curves.readers.reader import (
    REGISTRY,
    Fit,
    Look,
    Reader,
    handing_over,
    no_evaluations,
    place_of,
    stack,
)
from neuneu.curves.table import KEY
from neuneu.errors import InputError, check_known, how_many

FORMAT = "format"
AUTO = "auto"
"""The name of no format: each file is read by what it is."""
TABLE = "table"
"""The format of curve tables, and of what has its columns by other names."""


def formats() -> dict[str, Reader]:
    """Format → its reader, by name: those of this package, and what has been registered besides."""
    _load()
    return dict(sorted(REGISTRY.items()))


@cache
def _load() -> None:
    for module in pkgutil.iter_modules(readers.__path__):
        import_module(f"{readers.__name__}.{module.name}")


def format_options() -> dict[str, str]:
    """Every option that only some formats take → its help, with the formats that take it."""
    helps: dict[str, str] = {}
    takers: dict[str, list[str]] = {}
    for name, reader in formats().items():
        for option, text in reader.options.items():
            helps.setdefault(option, text)
            takers.setdefault(option, []).append(name)
    return {option: f"{', '.join(takers[option])}: {text}" for option, text in helps.items()}


def read_format(
    name: str, paths: Sequence[str | Path], *, given: Given = NOTHING_GIVEN, **options: str | None
) -> ReadResult:
    """Read files of a named format, or of mixed ones with "auto".

    options: those of the reader; None is not given.
    Raises InputError on an unknown format and on an option that the format does not take.
    """
    if name == AUTO:
        return read_auto(paths, given=given, **options)
    patterns_of(name)
    return formats()[name](paths, given=given, **options)


def read_auto(
    paths: Sequence[str | Path], *, given: Given = NOTHING_GIVEN, **options: str | None
) -> ReadResult:
    """Read a folder of mixed formats, each file by what it is.

    An option goes to the formats that take it. What no format knows, or two know equally well, is skipped and
    said; so is what is broken. Raises InputError where nothing is left, and where no format that is here
    takes an option.
    """
    report = ReadReport()
    files = walk(paths, patterns_of(AUTO), report)
    rows = rows_of(AUTO, files, report, given=given, place=place_of(paths), **options)
    return finish(rows, given, report, place_of(paths))


def patterns_of(name: str) -> list[str]:
    """The patterns of names by which folders are searched for files of a format, or of any.

    Raises InputError on an unknown format.
    """
    check_known(name, [AUTO, *formats()], "format", "unknown")
    readers = formats().values() if name == AUTO else [formats()[name]]
    return sorted({pattern for reader in readers for pattern in reader.names})


def rows_of(
    name: str,
    files: Sequence[Path],
    report: ReadReport,
    *,
    given: Given = NOTHING_GIVEN,
    place: str,
    **options: str | None,
) -> pl.DataFrame:
    """The rows of these very files, of a format or of mixed ones, not yet checked as a curve table.

    place: names them in errors, which are those of `read_format`.
    """
    if name != AUTO:
        return formats()[name].rows_of(files, report, given=given, place=place, **options)
    with handing_over() as keep:
        found: dict[str, list[Path]] = {}
        for path in Progress(files, None):
            memory = given.memory
            if memory is None:
                own = recognise(path, report, keep)
            else:
                own = memory.recall(AUTO, path, recognise, report)
            if own is not None:
                found.setdefault(own, []).append(path)
        return _rows_by_format(found, report, given, options)


def _rows_by_format(
    found: Mapping[str, list[Path]], report: ReadReport, given: Given, options: Mapping[str, str | None]
) -> pl.DataFrame:
    """The rows of files of several formats, each with the options that its format takes."""
    said = {option: value for option, value in options.items() if value is not None}
    for option, value in said.items():
        if found and not any(option in formats()[name].options for name in found):
            rule = f"no format that is here takes it (here: {', '.join(found)})"
            raise InputError(rule, field=option.replace("_", "-"), value=value)
    frames: list[pl.DataFrame] = []
    for known, its_files in sorted(found.items()):
        reader = formats()[known]
        its = {option: value for option, value in said.items() if option in reader.options}
        report.notes.append(f"{how_many(len(its_files), 'file')} read as {known}")
        rows = reader.rows_of(its_files, report, given=given, place=place_of(its_files), **its)
        if len(rows):
            frames.append(rows.with_columns(pl.lit(known).alias(FORMAT)))
    return _part(stack(frames), report)


def _part(rows: pl.DataFrame, report: ReadReport) -> pl.DataFrame:
    """Runs of two formats that have one name and the same curve, not with the same values, get names of two.

    One may be another run of that name, or the same with other conditions: nothing says that they are one.
    """
    if len(rows) == 0 or rows[FORMAT].n_unique() == 1:
        return rows.drop(FORMAT, strict=False)
    present = [name for name in KEY if name in rows.columns]
    curves = rows.group_by(present, maintain_order=True).agg(
        pl.col(FORMAT).n_unique().alias("formats"),
        pl.struct("step", "value").n_unique().alias("points"),
        pl.struct(FORMAT, "step", "value").n_unique().alias("all_points"),
    )
    apart = (pl.col("formats") > 1) & (pl.col("all_points") < pl.col("formats") * pl.col("points"))
    runs = curves.filter(apart)["run"].unique().sort()
    for run in runs:
        names = rows.filter(run=run)[FORMAT].unique().sort()
        report.notes.append(
            f"{run} stands in files of {' and '.join(names)} with other values: read as runs apart"
        )
    named = pl.format("{} ({})", "run", FORMAT)
    return rows.with_columns(
        pl.when(pl.col("run").is_in(runs.to_list())).then(named).otherwise("run").alias("run")
    ).drop(FORMAT)


def is_curve_table(path: Path) -> bool:
    """Whether a file is a curve table as it is, by its columns; not what its reader could make one of."""
    try:
        return formats()[TABLE].recognise(Look(path)) == Fit.MARK
    except InputError:
        return False  # what is wrong with it, its reader says


def recognise(path: Path, report: ReadReport, keep: Callable[[Look], None] | None = None) -> str | None:
    """The format that a file fits best; None, and the reason in the report, where none or several do.

    keep: told of a file that has one, with what was parsed of it.
    """
    readers = formats()
    try:
        if path.stat().st_size == 0:
            raise InputError("the file is empty", where=path)
        look = Look(path)
        named = [name for name, reader in readers.items() if reader.takes(path)]
        fits = {name: readers[name].recognise(look) for name in named or readers}
    except InputError as error:
        report.skip(path, error.rule)
        return None
    best = max(fits.values())
    names = [name for name, fit in fits.items() if fit == best]
    if best == Fit.NO:
        report.skip(path, f"of no known format{no_evaluations(look)}")
        return None
    if len(names) > 1:
        report.skip(path, f"may be {' or '.join(names)}: import it by the format's name")
        return None
    if keep is not None:
        keep(look)
    return names[0]
