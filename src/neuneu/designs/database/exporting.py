"""A design database → a folder of CSVs with schema.sql and load.sql that DuckDB's IMPORT DATABASE reads."""

import os
from pathlib import Path

import polars as pl

from neuneu.designs.database.schema import OTHER_TABLES, SOURCES, TABLES, create_statements
from neuneu.designs.database.store import DesignStore
from neuneu.errors import InputError
from neuneu.files import atomic_folder

_OTHERS: dict[str, tuple[str, ...]] = {
    "sources": ("source",),
    "model_aliases": ("alias",),
    "task_aliases": ("benchmark", "metric"),
    "schema_version": ("version",),
}


def export(store: DesignStore, folder: str | Path) -> Path:
    """Write all tables, sorted by key, with relative paths in load.sql: the same rows give the same bytes.

    The folder appears whole or not at all. Raises InputError if it exists.
    """
    target = Path(folder)
    if os.path.lexists(target):
        raise InputError("already exists; an export needs a free path", where=target)
    with atomic_folder(target) as temporary:
        keys = {name: table.key for name, table in TABLES.items()} | _OTHERS
        for name, key in keys.items():
            frame = store.table(name) if name in TABLES else _other(store, name, key)
            frame.write_csv(temporary / f"{name}.csv", null_value="", quote_style="necessary")
        schema = [create_statements(table) for table in TABLES.values()] + list(OTHER_TABLES)
        (temporary / "schema.sql").write_text("\n".join(schema) + "\n", encoding="utf-8")
        (temporary / "load.sql").write_text("".join(_copy(*item) for item in keys.items()), encoding="utf-8")
    return target


def _other(store: DesignStore, name: str, key: tuple[str, ...]) -> pl.DataFrame:
    columns = ", ".join(SOURCES) if name == "sources" else "*"
    return pl.DataFrame(store.query(f"SELECT {columns} FROM {name} ORDER BY {', '.join(key)}"))


def _copy(name: str, key: tuple[str, ...]) -> str:
    texts = [column for column in key if column != "version"]
    options = "FORMAT csv, header 1, quote '\"', delimiter ','"
    if texts:
        options += f", force_not_null ({', '.join(texts)})"
    return f"COPY {name} FROM '{name}.csv' ({options});\n"
