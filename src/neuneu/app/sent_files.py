"""What is sent → a curve table on disk and what there is to choose from: the work of a reader's process."""

import hashlib
import itertools
import re
import time
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import polars as pl

from neuneu.app.asked import (
    AT_ONCE,
    MOST_NAMES,
    Followed,
    FormatInfo,
    RunInfo,
    Sent,
    SettingInfo,
    TableInfo,
)
from neuneu.curves.following import FollowedCurves
from neuneu.curves.readers.finishing import ReadResult
from neuneu.curves.readers.formats import formats, is_curve_table, read_format
from neuneu.curves.readers.parsing import Given
from neuneu.curves.readers.report import ReadReport
from neuneu.curves.table import CurveTable
from neuneu.errors import InputError, MissingExtraError, NeuneuError, TooLargeError
from neuneu.evidence.finished import read_references
from neuneu.files import check_file, sha256_of
from neuneu.files.tables import TableLimits, tables_within

TABLE = TableLimits(rows=2_000_000, unpacked=256 * 2**20, cell=10_000, text=128 * 2**20)
"""What an upload may unpack to: two million rows of names of sixty characters."""

MOST_FILES = 20_000
"""Files of one upload: a hundred runs of two hundred checkpoints."""

MOST_LINES = 60
"""Lines on what was read."""

MOST_CHANGED = 20
"""Runs that a change names."""

DEEPEST, LONGEST = 30, 150
"""Folders that lie in each other, and characters of the name of each."""

ID = 32
"""Characters of a table's id, which is made of its bytes and its name."""

SETTING = ("metric", "n_shot", "variant")
_CHUNK = 2**20


def read_sent(body: Path, content_type: str, sent: Sent, table: Path) -> TableInfo:
    """Read a body (one file, or several as multipart/form-data) and write its curve table to `table`.

    Errors speak of files by the names that they were sent with.
    """
    folder = body.with_name(body.name + "-files")
    folder.mkdir()
    if content_type.split(";", maxsplit=1)[0].strip().lower() == "multipart/form-data":
        name = unpack(body, content_type, folder)
    else:
        name = parts_of(sent.name)[-1]
        body.replace(folder / name)
    result = _naming(folder, lambda: read(folder, sent))
    return _written(result, table, name, folder)


def check_references(value: str) -> None:
    """Raise InputError where `references` is neither a rule nor a curve table."""
    read_references(value)


def follow(connection: Connection, place: Path, sent: Sent, folder: Path) -> None:
    """Follow a table or folder of this machine for ever: write each new table to `folder`, and tell of it."""
    try:
        if not place.is_dir():
            check_file(place, empty=True)
        followed = FollowedCurves(place, format=sent.format, given=given_by(sent))
    except InputError as error:
        connection.send(("error", NeuneuError(str(error))))
        return
    for number in itertools.count():
        while (news := followed.read()) is None:
            time.sleep(followed.pause)
        info, table = None, folder / f"served-{number}.parquet"
        if news.table is not None:
            news.table.write(table)
            info = _described(news.table, table, place.resolve().name, news.problems)
        changed = sorted(news.changed)
        told = Followed(info, table, changed[:MOST_CHANGED], len(changed), news.problems[:MOST_LINES])
        connection.send(("done", told))


def read(folder: Path, sent: Sent) -> ReadResult:
    """The curve table of files in a folder, as `neuneu import` reads them.

    One that is a curve table already is taken as it is, as the command line takes it, unless something is
    said of it.
    """
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    with tables_within(TABLE):
        if len(files) == 1 and sent.says_nothing and is_curve_table(files[0]):
            return _as_it_is(files[0])
        return read_format(sent.format, files[:1] if len(files) == 1 else [folder], given=given_by(sent))


def _as_it_is(path: Path) -> ReadResult:
    """A curve table; where some curves break a rule of rows, the others, and those are told."""
    report = ReadReport()
    report.notes.append("a curve table")
    try:
        return ReadResult(CurveTable.read(path), report)
    except TooLargeError:
        raise
    except InputError:
        table = CurveTable.read_sound(path)
    for key, error in table.broken:
        report.skip(f"{key.task} {key.metric} of run {key.run}", f"{error.field}: {error.rule}")
    return ReadResult(table, report)


def given_by(sent: Sent) -> Given:
    """What a person says of the files."""
    return Given(
        run=sent.run_name, params=sent.params, planned_tokens=sent.planned_tokens,
        schedule=sent.schedule, tokens_per_step=sent.tokens_per_step, keep=sent.keep,
    )  # fmt: skip


def parts_of(name: str) -> list[str]:
    """A file's name as folders and a name that can do no harm: none climbs, none is hidden, none is long.

    The ending is kept, in small letters. An empty name is called upload.
    """
    parts = [re.sub(r"[\x00-\x1f\x7f:*?\"<>|]", "_", part).strip() for part in re.split(r"[/\\]", name)]
    parts = [part.lstrip(".") for part in parts if part.strip(". ")]
    if not parts:
        return ["upload"]
    if len(parts) > DEEPEST:
        raise InputError(f"lies in more than {DEEPEST} folders", field="name", value=name)
    *folders, last = [_short(part) for part in parts]
    return [*folders, Path(last).stem + Path(last).suffix.lower()]


def _short(part: str) -> str:
    """A name in as many bytes as file systems take, with its ending."""
    if len(part.encode("utf-8", "replace")) <= LONGEST:
        return part.encode("utf-8", "replace").decode()
    ending = Path(part).suffix[:20]
    kept = part.encode("utf-8", "replace")[: LONGEST - len(ending.encode())]
    return kept.decode("utf-8", "ignore") + ending


def unpack(body: Path, content_type: str, folder: Path) -> str:
    """Lay the files of a form into a folder, by their names; returns a name for all of them.

    A name that is given twice is laid into a folder of its own. Raises InputError where it is no form, or has
    no file.
    """
    try:
        from python_multipart import FormParser
        from python_multipart.multipart import parse_options_header
    except ImportError as error:
        raise MissingExtraError("python_multipart", "app") from error

    names: list[str] = []

    def keep(file: Any) -> None:
        if len(names) >= MOST_FILES:
            raise TooLargeError(f"holds more than {MOST_FILES:,} files", where="the upload")
        parts = parts_of((file.file_name or b"").decode("utf-8", "replace"))
        place = folder.joinpath(*parts)
        if place.exists():
            place = folder.joinpath(f"{len(names) + 1}", *parts)
        place.parent.mkdir(parents=True, exist_ok=True)
        file.file_object.seek(0)
        with place.open("wb") as out:
            while part := file.file_object.read(_CHUNK):
                out.write(part)
        file.close()
        names.append("/".join(parts))

    kind, options = parse_options_header(content_type)
    try:
        parser = FormParser(kind.decode(), lambda field: None, keep, boundary=options.get(b"boundary"))
        with body.open("rb") as stream:
            while part := stream.read(_CHUNK):
                parser.write(part)
        parser.finalize()
    except (InputError, OSError):
        raise
    except Exception as error:
        raise InputError(f"is no form with files: {error}", field="body") from error
    body.unlink()
    if not names:
        raise InputError("holds no file", field="body")
    if len(names) == 1:
        return names[0].rpartition("/")[2]
    tops = {name.partition("/")[0] for name in names}
    return tops.pop() if len(tops) == 1 else f"{len(names)} files"


def _naming(folder: Path, read: Any) -> ReadResult:
    """Errors and reports name files as they were sent."""
    try:
        result: ReadResult = read()
    except InputError as error:
        where = None if error.where is None else _shown(str(error.where), folder)
        rule = _shown(error.rule, folder)
        raise type(error)(rule, where=where, field=error.field, value=error.value) from error
    return result


def _shown(text: str, folder: Path) -> str:
    return text.replace(f"{folder}/", "").replace(str(folder), "the upload")


def _written(result: ReadResult, table: Path, name: str, folder: Path) -> TableInfo:
    result.table.write(table)
    return _described(result.table, table, name, [_shown(line, folder) for line in result.report.lines()])


def _described(curves: CurveTable, table: Path, name: str, lines: Sequence[str]) -> TableInfo:
    if len(lines) > MOST_LINES:
        lines = [*lines[:MOST_LINES], f"and {len(lines) - MOST_LINES} more lines"]
    own = hashlib.sha256(f"{sha256_of(table)} {name}".encode()).hexdigest()[:ID]
    return describe(curves, own, name, lines)


def describe(table: CurveTable, own: str, name: str, read: Sequence[str] = ()) -> TableInfo:
    """What a table holds and what there is to choose from; own: its id."""
    frame = table.frame
    asked = table.one_metric().frame
    curves = asked.select("run", "task", "n_shot", "variant").unique()
    return TableInfo(
        id=own,
        name=name,
        n_values=len(frame),
        n_runs=frame["run"].n_unique(),
        n_tasks=frame["task"].n_unique(),
        n_curves=len(curves),
        read=list(read),
        runs=_runs(frame),
        tasks=frame["task"].unique().sort().head(MOST_NAMES).to_list(),
        settings=_settings(frame),
        suggested=_suggested(curves, frame),
    )


def _runs(frame: pl.DataFrame) -> list[RunInfo]:
    clock = pl.coalesce(
        pl.col("tokens").cast(pl.Float64).max(), pl.col("flops").max(), pl.col("step").cast(pl.Float64).max()
    )
    unit = (
        pl.when(pl.col("tokens").is_not_null().any()).then(pl.lit("tokens"))
        .when(pl.col("flops").is_not_null().any()).then(pl.lit("FLOPs"))
        .otherwise(pl.lit("steps"))
    )  # fmt: skip
    rows = (
        frame.group_by("run")
        .agg(
            pl.col("task").n_unique().alias("tasks"),
            pl.col("step").n_unique().alias("checkpoints"),
            clock.alias("clock"),
            unit.alias("clock_unit"),
            pl.col("planned_tokens").max().cast(pl.Float64).alias("planned"),
        )
        .sort("run")
        .head(MOST_NAMES)
    )
    return [RunInfo(name=row.pop("run"), **row) for row in rows.iter_rows(named=True)]


def _settings(frame: pl.DataFrame) -> list[SettingInfo]:
    rows = (
        frame.group_by(SETTING)
        .agg(
            pl.struct("run", "task").n_unique().alias("curves"),
            pl.col("task").n_unique().alias("tasks"),
        )
        .sort("curves", *SETTING, descending=[True, False, False, False], nulls_last=False)
        .head(MOST_NAMES)
    )
    return [SettingInfo(**row) for row in rows.iter_rows(named=True)]


def _suggested(curves: pl.DataFrame, frame: pl.DataFrame) -> dict[str, list[str]]:
    """All curves where they are few; else the run with the farthest clock, and of it what fits."""
    if len(curves) <= AT_ONCE or not len(curves):
        return {}
    far = frame.filter(pl.col("run").is_in(curves["run"].unique().to_list())).sort(
        pl.col("params").fill_null(0), pl.coalesce("tokens", "step"), "run", descending=True
    )
    run = str(far["run"][0])
    own = curves.filter(pl.col("run") == run)
    if len(own) <= AT_ONCE:
        return {"run": [run]}
    return {"run": [run], "task": own["task"].unique().sort().head(AT_ONCE // 10).to_list()}


def format_infos() -> list[FormatInfo]:
    """The formats that are read."""
    return [
        FormatInfo(name=name, about=made.about, names=list(made.names)) for name, made in formats().items()
    ]
