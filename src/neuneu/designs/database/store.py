"""The design database: a DuckDB file of models with their architecture, data, evaluations and provenance."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, get_args

import polars as pl

from neuneu.designs.database.aliases import MODEL_ALIASES as DEFAULT_MODELS
from neuneu.designs.database.aliases import NO_ALIASES, TASK_ALIASES, Aliases, TaskAlias
from neuneu.designs.database.changes import DIFF_SCHEMA, Policy, check_policy, diff, merge
from neuneu.designs.database.records import NewRows, check_names, empty_rows
from neuneu.designs.database.schema import (
    ALIAS_TABLES,
    EVALUATIONS,
    PROVENANCE,
    SOURCES,
    TABLES,
    VERSION,
    Table,
    find_table,
    migrations,
)
from neuneu.designs.database.trying import try_opening
from neuneu.errors import InputError, MissingExtraError, check_known
from neuneu.files import atomic_path, check_file, check_place, refusing_place
from neuneu.files.reading import near_files
from neuneu.files.writing import refusal_of_system

Format = Literal["polars", "arrow", "pandas"]

_SETTINGS = {
    "enable_external_access": "false",
    "autoload_known_extensions": "false",
    "autoinstall_known_extensions": "false",
    "allow_community_extensions": "false",
    "memory_limit": "1GB",
    "threads": "2",
    "lock_configuration": "true",
}


MADE_BY = (
    "`neuneu designs import` makes one from files, and the `store` home is the packaged suite (in Python: "
    "DesignStore.create, open_store)"
)
"""What to do where there is no database."""


class DesignStore:
    """A design database. Read-only unless opened with `write=True`; opening one never changes its rows.

    The connection reaches no other file, loads no extension and is held to 1 GB of memory. Raises
    InputError if the file is missing, not a design database, made by a newer version, or (read-only) needs
    a migration.
    """

    def __init__(self, path: str | Path, *, write: bool = False) -> None:
        self.path: Path | None = Path(path)
        self.writable = write
        self._place = ExitStack()
        if write:
            check_place(path, changed=True)
        if not os.path.lexists(path):
            raise InputError(f"no such design database{near_files(path)}; {MADE_BY}", where=self.path)
        try_opening(check_file(path))
        self._connection = _connect(self.path, read_only=not write)
        version = 0 if write and self._is_blank() else self._version()
        if version > VERSION:
            raise InputError(f"made by a newer version of neuneu (schema {version} > {VERSION})", where=path)
        if version < VERSION and not write:
            raise InputError(f"has schema {version}; migrate it to {VERSION} first", where=path)
        with self._whole():
            self._migrate(version)
            self._check_tables()

    @classmethod
    def create(cls, path: str | Path) -> Self:
        """A new, empty database open for writing; InputError if the path is taken.

        It is made beside its path and moved there when it is closed, or when the `with` block ends well.
        """
        if os.path.lexists(path):
            raise InputError("already exists; a new design database needs a free path", where=path)
        with ExitStack() as place:
            with refusing_place(path):
                store = cls._blank(place.enter_context(atomic_path(path)), Path(path))
            place.push(store._settle)
            store._migrate(0)
            store._place = place.pop_all()
        return store

    @classmethod
    def in_memory(cls) -> Self:
        """A new, empty database that lives as long as the object."""
        store = cls._blank(None)
        store._migrate(0)
        return store

    @classmethod
    def from_export(cls, folder: str | Path) -> Self:
        """An in-memory database holding a published or own export (counterpart of `from_existing`)."""
        from neuneu.designs.database.readers import read_export

        store = cls.in_memory()
        store.apply(read_export(folder))
        return store

    @classmethod
    def _blank(cls, path: Path | None, name: Path | None = None) -> Self:
        """A database at `path`, in memory where None; errors speak of `name`."""
        store = cls.__new__(cls)
        store.path, store.writable, store._place = name, True, ExitStack()
        store._connection = _connect(path, read_only=False, name=name)
        return store

    def close(self) -> None:
        """Close the connection; a new database moves to its place."""
        try:
            self._place.close()
        finally:
            self._disconnect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._place.__exit__(kind, error, trace)
        finally:
            self._disconnect()

    # Reading

    def query(self, sql: str, parameters: Sequence[object] = (), *, as_: Format = "polars") -> Any:
        """The result of one SELECT as a Polars frame, an Arrow table or a pandas frame.

        Values go in as `?` parameters. Raises InputError on SQL that DuckDB refuses, and on any other
        statement.
        """
        import duckdb

        check_known(as_, get_args(Format), "as_", "unknown")
        try:
            statements = self._connection.extract_statements(sql)
            if len(statements) != 1 or "SELECT" not in str(statements[0].type):
                raise InputError("must be one SELECT", field="sql", value=sql)
            table = _arrow(self._connection.execute(statements[0], list(parameters)))
        except (duckdb.IOException, duckdb.FatalException, duckdb.SerializationException) as error:
            raise InputError(f"cannot be read: {str(error).splitlines()[0]}", where=self.path) from error
        except duckdb.Error as error:
            tables = f"; tables: {', '.join(TABLES)}" if isinstance(error, duckdb.CatalogException) else ""
            rule = str(error).splitlines()[0].rstrip("!") + tables
            raise InputError(rule, where=self.path, field="sql", value=sql) from error
        return _convert(pl.DataFrame(pl.from_arrow(table)), as_)

    def table(self, name: str, *, metric: str | None = None) -> pl.DataFrame:
        """All rows of a table (model, dataset, evaluation, features), sorted by key, with provenance.

        metric: only this metric's evaluations.
        """
        table = find_table(name)
        columns = ", ".join([column.name for column in (*table.columns, *PROVENANCE)])
        where, parameters = "", []
        if metric is not None:
            table.column("metric")
            where, parameters = " WHERE metric = ?", [metric]
        keys = ", ".join(table.key)
        frame = self.query(f"SELECT {columns} FROM {table.name}{where} ORDER BY {keys}", parameters)
        return pl.DataFrame(frame).cast(table.polars_schema)  # type: ignore[arg-type]

    @property
    def aliases(self) -> Aliases:
        """The aliases that this database holds."""
        models = dict(self.query("SELECT alias, id FROM model_aliases ORDER BY alias").iter_rows())
        tasks = self.query("SELECT * FROM task_aliases ORDER BY benchmark, metric").iter_rows()
        return Aliases(models, tuple(TaskAlias(*row) for row in tasks))

    @property
    def sources(self) -> pl.DataFrame:
        """Where rows come from: source, kind, sha256, revision, date."""
        return pl.DataFrame(self.query("SELECT * FROM sources ORDER BY source"))

    def stats(self) -> pl.DataFrame:
        """Rows, and distinct values of the key columns, per table (counterpart of `verify_data`)."""
        rows = []
        for table in TABLES.values():
            frame = self.table(table.name)
            rows += [(table.name, "rows", len(frame))]
            rows += [(table.name, f"distinct {name}", frame[name].n_unique()) for name in table.key]
        return pl.DataFrame(
            rows, schema={"table": pl.String, "what": pl.String, "count": pl.Int64}, orient="row"
        )

    # Writing

    def diff(self, batch: NewRows, *, policy: str = "error") -> pl.DataFrame:
        """What `apply` would add, fill or change, cell by cell; changes nothing
        (`neuneu.designs.database.changes.diff`). Of the policy error, the cells that it refuses."""
        chosen, frames = check_policy(policy), []
        for name, new in batch.tables.items():
            table, old = TABLES[name], self.table(name)
            frames.append(diff(table, old, new if chosen == "error" else merge(table, old, new, chosen)))
        return pl.concat([pl.DataFrame(schema=DIFF_SCHEMA), *frames])

    def compare(self, other: "DesignStore") -> pl.DataFrame:
        """What is added, filled, changed and removed on the way from `other` to this database."""
        frames = [
            diff(table, other.table(name), self.table(name), removed=True) for name, table in TABLES.items()
        ]
        return pl.concat(frames)

    def apply(self, batch: NewRows, *, policy: str = "error") -> pl.DataFrame:
        """Put a batch in, all of it or nothing; returns what changed, as `diff` tells it.

        Where a stored value and a new one differ the policy decides: error, keep, replace, larger, smaller.
        Aliases of an export are added; stored ones stay, but for the policy replace.
        """
        chosen = check_policy(policy)
        self._need_write()
        changes = self.diff(batch, policy=chosen)
        merged = {
            name: merge(TABLES[name], self.table(name), new, chosen) for name, new in batch.tables.items()
        }
        with self._transaction():
            self._insert("sources", batch.sources.select(SOURCES), ("source",))
            for name, rows in merged.items():
                self._insert(name, rows, TABLES[name].key)
            for name, rows in batch.aliases.items():
                self._insert_aliases(name, rows, replace=chosen == "replace")
        return changes

    def alias_model(self, alias: str, name: str) -> None:
        """Say that `alias` is another id of the model `name`; `name` itself must be no alias."""
        self._need_write()
        rows = pl.DataFrame({"id": [alias, name]})
        check_names(rows, "id")
        if name in self.aliases.models or alias == name:
            raise InputError("is an alias itself", field="model", value=name)
        with self._transaction():
            self._insert("model_aliases", pl.DataFrame({"alias": [alias], "id": [name]}), ("alias",))

    # Inside

    def _settle(self, kind: type[BaseException] | None, *_: object) -> None:
        """Before a new database moves: all rows into its file, which closing may fail to do unheard."""
        try:
            if kind is None:
                with refusing_place(self.path or "memory"):
                    self._connection.execute("CHECKPOINT")
        finally:
            self._connection.close()

    def _disconnect(self) -> None:
        """Close the connection; a log of changes in which nothing could be written goes too.

        DuckDB drops it where it opens the file the next time, and nobody else may: another may write by now.
        """
        self._connection.close()
        log = Path(f"{self.path}.wal")
        if self.writable and log.is_file() and not log.stat().st_size and Path(str(self.path)).is_file():
            with suppress(InputError):
                _connect(self.path, read_only=False).close()

    def _is_blank(self) -> bool:
        """Whether no table was ever made: what a writer of an older neuneu left when it was killed."""
        with self._whole():
            return not self.query("SELECT count(*) FROM information_schema.tables").item()

    def _version(self) -> int:
        with self._whole():
            versions = self.query("SELECT version FROM schema_version")["version"].to_list()
            if len(versions) != 1 or not isinstance(versions[0], int) or versions[0] < 1:
                raise InputError("must hold one version", field="schema_version", value=versions[:3])
        return versions[0]

    def _check_tables(self) -> None:
        found = self.query(
            "SELECT table_name, column_name FROM information_schema.columns "
            "JOIN information_schema.tables USING (table_catalog, table_schema, table_name) "
            "WHERE table_type = 'BASE TABLE'"
        ).rows()
        needed = {(t.name, c.name) for t in TABLES.values() for c in (*t.columns, *PROVENANCE)}
        needed |= {("sources", name) for name in SOURCES}
        needed |= {(name, column) for name, (columns, _) in ALIAS_TABLES.items() for column in columns}
        for name in sorted(needed - set(found)):
            raise InputError("is missing", field="column", value=".".join(name))

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What goes wrong here says that the file is no design database; the connection is closed."""
        import duckdb

        try:
            yield
        except (InputError, duckdb.Error) as error:
            self.close()
            problem = str(error).splitlines()[0]
            raise InputError(f"not a design database: {problem}", where=self.path) from error

    def _migrate(self, version: int) -> None:
        if version == VERSION:
            return
        with self._transaction():
            for number, statements in migrations().items():
                for statement in statements if number > version else ():
                    self._connection.execute(statement)
            if version == 0:
                names = {"alias": list(DEFAULT_MODELS), "id": list(DEFAULT_MODELS.values())}
                self._insert("model_aliases", pl.DataFrame(names), ("alias",))
                self._insert("task_aliases", _alias_frame(TASK_ALIASES), ("benchmark", "metric"))

    def _insert(self, name: str, rows: pl.DataFrame, key: Sequence[str]) -> None:
        """Replace the rows of these keys. `name` and columns come from the schema, never from data."""
        if rows.is_empty():
            return
        self._connection.register("incoming", rows.to_arrow())
        same = " AND ".join(f"{name}.{column} = incoming.{column}" for column in key)
        columns = ", ".join(rows.columns)
        self._connection.execute(f"DELETE FROM {name} USING incoming WHERE {same}")
        self._connection.execute(f"INSERT INTO {name} ({columns}) SELECT {columns} FROM incoming")
        self._connection.unregister("incoming")

    def _insert_aliases(self, name: str, rows: pl.DataFrame, *, replace: bool) -> None:
        """Add aliases; one that is stored and says otherwise stays, unless it is to be replaced."""
        columns, count = ALIAS_TABLES[name]
        stored = pl.DataFrame(self.query(f"SELECT {', '.join(columns)} FROM {name}"))
        new = rows if replace else rows.join(stored, on=list(columns[:count]), how="anti")
        self._insert(name, new, columns[:count])

    def _need_write(self) -> None:
        if not self.writable:
            raise InputError("opened read-only; open it with write=True to change it", where=self.path)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with refusing_place(self.path or "memory"):
            self._connection.execute("BEGIN")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(Exception):  # a database that failed for good has no transaction to end
                    self._connection.execute("ROLLBACK")
                raise


def _connect(path: Path | None, *, read_only: bool, name: Path | None = None) -> Any:
    try:
        import duckdb
    except ImportError as error:
        raise MissingExtraError("duckdb", "designs") from error
    try:
        return duckdb.connect(str(path or ":memory:"), read_only=read_only, config=_SETTINGS)
    except duckdb.Error as error:
        system = None if read_only else refusal_of_system(error)
        rule = f"cannot be written: {system}" if system else f"cannot be opened: {str(error).splitlines()[0]}"
        raise InputError(rule, where=name or path) from error


def _arrow(result: Any) -> Any:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return result.to_arrow_table() if hasattr(result, "to_arrow_table") else result.fetch_arrow_table()


def _convert(frame: pl.DataFrame, as_: Format) -> Any:
    if as_ == "arrow":
        return frame.to_arrow()
    if as_ == "pandas":
        return frame.to_pandas()
    return frame


def _alias_frame(aliases: Sequence[TaskAlias]) -> pl.DataFrame:
    names = ("benchmark", "metric", "to_benchmark", "to_metric")
    return pl.DataFrame({name: [getattr(alias, name) for alias in aliases] for name in names})


def canonical(store: DesignStore, frame: pl.DataFrame, aliases: Aliases | None = None) -> pl.DataFrame:
    """Rows with their ids (and benchmark, metric, if there) replaced by the canonical ones."""
    aliases = store.aliases if aliases is None else aliases
    if aliases == NO_ALIASES:
        return frame
    known = set(store.query("SELECT id FROM model_annotations")["id"])
    ids = {name: aliases.model(name, known) for name in frame["id"].unique()}
    frame = frame.with_columns(pl.col("id").replace_strict(ids, return_dtype=pl.String))
    if "benchmark" not in frame.columns:
        return frame
    pairs = frame.select("benchmark", "metric").unique()
    tasks: Mapping[str, list[str]] = {
        "to_benchmark": [aliases.task(*pair)[0] for pair in pairs.iter_rows()],
        "to_metric": [aliases.task(*pair)[1] for pair in pairs.iter_rows()],
    }
    joined = frame.join(
        pairs.with_columns(**{k: pl.Series(v, dtype=pl.String) for k, v in tasks.items()}),
        on=["benchmark", "metric"],
    )
    renamed = joined.with_columns(benchmark=pl.col("to_benchmark"), metric=pl.col("to_metric"))
    return renamed.select(frame.columns)


__all__ = ["EVALUATIONS", "DesignStore", "Policy", "Table", "canonical", "empty_rows"]
