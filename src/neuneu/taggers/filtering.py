"""Documents kept and removed by what was tagged of them: the repetition filter, and decontamination."""

import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import polars as pl

from neuneu.errors import InputError, how_many
from neuneu.files import atomic_path
from neuneu.files.parquet import read_note
from neuneu.files.tables import read_parquet
from neuneu.progress import counting
from neuneu.taggers.document_features import SOURCE, document_id, read_records, source_digest

CONTAMINATED = "contaminated"
"""Why a document is removed that shares too much with evaluation texts."""


def filter_documents(
    source: str | Path,
    kept: str | Path,
    removed: str | Path | None = None,
    *,
    repetition: str | Path | None = None,
    contamination: str | Path | None = None,
    most: float = 0.0,
) -> dict[str, int]:
    """Write the documents that stay, and those that go with `removed_because`, as JSONL; count by reason.

    repetition, contamination: what `tag` wrote of the same file; most: the greatest share of 13-grams (or
    whatever was tagged) that may be in evaluation texts. All fields of a document stay as they are. Raises
    InputError where neither is given, where a tagged file is of other documents, and where places collide.
    """
    if repetition is None and contamination is None:
        raise InputError("give repetition, contamination or both", field="repetition")
    if not 0 <= most < 1:
        raise InputError("must be from 0 to below 1", field="most", value=most)
    places = [Path(path) for path in (kept, removed) if path is not None]
    if len({path.resolve() for path in [*places, Path(source)]}) <= len(places):
        raise InputError("must be another file", field="removed", value=str(removed))
    for path in places:
        if path.suffix != ".jsonl":
            raise InputError("must end in .jsonl", field="output", value=str(path))
    reasons = _reasons(repetition, contamination, most)
    counts: dict[str, int] = {}
    with ExitStack() as stack:
        tell = stack.enter_context(counting("documents", len(reasons)))
        files = [stack.enter_context(_open(path)) for path in places]
        place = 0
        for records in read_records(source):
            for record in records:
                reason = _reason(reasons, place, document_id(record, place), source)
                place += 1
                counts[reason or "kept"] = counts.get(reason or "kept", 0) + 1
                if reason is None:
                    _write(files[0], record)
                elif removed is not None:
                    _write(files[1], {**record, "removed_because": reason})
            tell(place, "")
        if place != len(reasons):
            rule = f"has {how_many(place, 'document')}, not the {len(reasons)} that were tagged"
            raise InputError(rule, where=source)
        _check_version(source, [path for path in (repetition, contamination) if path is not None])
    return counts


def _check_version(source: str | Path, tagged: Sequence[str | Path]) -> None:
    """Raise InputError where a file tells that it is of another version of the documents."""
    known = {path: note for path in tagged if (note := read_note(path, SOURCE)) is not None}
    digest = source_digest(source) if known else None
    for path, note in known.items():
        if note != digest:
            rule = f"was tagged of another version of {source}, by its sha256; tag it again"
            raise InputError(rule, where=path)


def _reasons(
    repetition: str | Path | None, contamination: str | Path | None, most: float
) -> list[tuple[str, str | None]]:
    """(id, reason or None) of every tagged document; the repetition filter speaks first."""
    found: list[tuple[str, str | None]] = []
    if repetition is not None:
        found = _column(repetition, "removed_because").rows()
    if contamination is not None:
        shares = _column(contamination, "contamination")
        if found and [name for name, _ in found] != shares["id"].to_list():
            raise InputError("is of other documents than the repetition file", where=contamination)
        over = [CONTAMINATED if share > most else None for share in shares["contamination"]]
        first = [reason for _, reason in found] or [None] * len(over)
        found = list(zip(shares["id"], (a or b for a, b in zip(first, over, strict=True)), strict=True))
    return found


def _column(path: str | Path, name: str) -> pl.DataFrame:
    frame = read_parquet(path)
    for column in ("id", name):
        if column not in frame.columns:
            raise InputError("not a file that tag wrote", where=path, field="column", value=column)
    return frame.select("id", name)


def _reason(reasons: list[tuple[str, str | None]], place: int, name: str, source: str | Path) -> str | None:
    if place >= len(reasons) or reasons[place][0] != name:
        rule = "is not the document that was tagged in this place"
        raise InputError(rule, where=f"{source}, document {place + 1}", field="id", value=name)
    return reasons[place][1]


@contextmanager
def _open(path: Path) -> Iterator[IO[str]]:
    """A text file that appears when the block ends well."""
    with atomic_path(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        yield file


def _write(file: IO[str], record: Any) -> None:
    file.write(json.dumps(record, ensure_ascii=False) + "\n")


def write_records(path: str | Path, records: Iterator[Any]) -> int:
    """Records as JSONL, whole or not at all; returns how many."""
    count = 0
    with _open(Path(path)) as file:
        for record in records:
            _write(file, record)
            count += 1
    return count
