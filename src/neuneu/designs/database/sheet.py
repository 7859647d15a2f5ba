"""Many models at once by a spreadsheet: facts out to a CSV, and the filled-in CSV back."""

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from neuneu.designs.database.records import NewRows, read_text_csv, source_row, typed_rows
from neuneu.designs.database.schema import DATASETS, MODELS
from neuneu.designs.database.store import DesignStore
from neuneu.designs.database.views import facts
from neuneu.errors import InputError

COLUMNS = (
    "id",
    *(column.name for column in MODELS.values),
    *(column.name for column in DATASETS.values if column.name != "metadata"),
)
"""The columns of a sheet: a row a model, with its architecture and its data."""


def sheet(store: DesignStore, ids: Sequence[str] = ()) -> pl.DataFrame:
    """The facts of models, a row each, empty where unknown: of these ids, by default of all; sorted.

    Ids that the database does not have get an empty row, to be filled in.
    """
    frame = facts(store).select(COLUMNS)
    if not ids:
        return frame
    wanted = pl.DataFrame({"id": sorted({store.aliases.model(name) for name in ids})})
    return wanted.join(frame, on="id", how="left")


def read_sheet(path: str | Path) -> NewRows:
    """A filled-in sheet: id and any other of COLUMNS. Empty cells say nothing; rows without facts are left
    out.

    Raises InputError on another column, and on a sheet without one besides id.
    """
    path = Path(path)
    text = read_text_csv(path)
    for name in text.columns:
        if name not in COLUMNS:
            raise InputError("no column of a sheet", where=path, field="column", value=name)
    if text.width < 2:
        raise InputError("must have a column besides id", where=path)
    source = source_row(path, "sheet")
    tables = {}
    for table in (MODELS, DATASETS):
        names = [column.name for column in table.values if column.name in text.columns]
        if names:
            rows = typed_rows(table, text.select("id", *names), path, source["source"][0])
            tables[table.name] = rows.filter(~pl.all_horizontal(pl.col(names).is_null()))
    return NewRows(tables, source)
