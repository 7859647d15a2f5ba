"""The database never loses rows, never runs what it reads, and exports the same bytes every time."""

from pathlib import Path

import duckdb
import polars as pl
import pytest
from polars.testing import assert_frame_equal

from neuneu.designs import DesignStore
from neuneu.designs.database.exporting import export
from neuneu.designs.database.readers import read_export, read_table_csv
from neuneu.designs.database.schema import MODELS, TABLES, VERSION, migrations
from neuneu.designs.database.store import _connect
from neuneu.designs.database.views import evaluations
from neuneu.errors import InputError


def test_minus_one_is_missing_and_every_row_says_where_it_is_from(store: DesignStore) -> None:
    models = store.table("model")
    assert models["dimension"].to_list() == [512, None, 1024]
    assert models["mlp_ratio"].to_list() == [4.0, None, 2.667]
    assert store.table("dataset")["pretraining_summary_percentage_code"].to_list() == [None, 12.5]
    for name in ("model", "dataset", "evaluation"):
        assert store.table(name).select("source", "line").null_count().sum_horizontal()[0] == 0
    assert models.filter(id="org/b")["line"].item() == 2
    assert set(models["source"]) <= set(store.sources["source"])


def test_opening_never_changes_a_database(tmp_path: Path, export_folder: Path) -> None:
    path = tmp_path / "designs.duckdb"
    with DesignStore.create(path) as made:
        made.apply(read_export(export_folder))
        before = made.table("evaluation")
    with DesignStore(path) as opened, pytest.raises(InputError, match="read-only"):
        opened.apply(read_export(export_folder))
    with DesignStore(path, write=True) as opened:
        assert_frame_equal(opened.table("evaluation"), before)
    with pytest.raises(InputError, match="already exists"):
        DesignStore.create(path)
    with DesignStore(path) as opened:
        assert_frame_equal(opened.table("evaluation"), before)


def test_what_is_not_a_design_database_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "notes.duckdb"
    text.write_text("my only copy")
    with pytest.raises(InputError, match=r"notes\.duckdb"):
        DesignStore(text, write=True)
    assert text.read_text() == "my only copy"
    other = tmp_path / "other.duckdb"
    connection = duckdb.connect(str(other))
    connection.execute("CREATE TABLE mine AS SELECT 1 AS x")
    connection.close()
    with pytest.raises(InputError, match="not a design database"):
        DesignStore(other, write=True)
    connection = duckdb.connect(str(other))
    assert connection.execute("SELECT x FROM mine").fetchall() == [(1,)]
    connection.close()
    with pytest.raises(InputError, match="no such"):
        DesignStore(tmp_path / "absent.duckdb", write=True)
    assert not (tmp_path / "absent.duckdb").exists()


@pytest.mark.parametrize(
    "statements",
    [
        ("CREATE TABLE schema_version (version VARCHAR)", "INSERT INTO schema_version VALUES ('x')"),
        ("CREATE TABLE schema_version (version INTEGER)", "INSERT INTO schema_version VALUES (NULL)"),
        ("CREATE TABLE schema_version (version INTEGER)", "INSERT INTO schema_version VALUES (0)"),
        ("CREATE TABLE schema_version (version INTEGER)", "INSERT INTO schema_version VALUES (1)"),
        ("CREATE TABLE schema_version (version INTEGER)", f"INSERT INTO schema_version VALUES ({VERSION})"),
        (
            f"CREATE VIEW schema_version AS SELECT {VERSION} AS version",
            "CREATE VIEW model_annotations AS SELECT 1 AS id",
        ),
    ],
)
def test_what_only_looks_like_a_design_database_is_refused(
    tmp_path: Path, statements: tuple[str, ...]
) -> None:
    path = tmp_path / "like.duckdb"
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
    before = path.read_bytes()
    for write in (True, False):
        with pytest.raises(InputError, match=r"like\.duckdb: (not a design database|has schema 1)"):
            DesignStore(path, write=write)
    assert path.read_bytes() == before


def test_a_truncated_database_is_named(tmp_path: Path, export_folder: Path) -> None:
    path = tmp_path / "half.duckdb"
    with DesignStore.create(path) as made:
        made.apply(read_export(export_folder))
    whole = path.read_bytes()
    for length in (0, 100, len(whole) // 8, len(whole) // 4):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"half\.duckdb"), DesignStore(path) as opened:
            opened.stats()


def test_places_that_cannot_be_written_are_named(tmp_path: Path, store: DesignStore) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for call in (DesignStore.create, lambda path: export(store, path)):
        with pytest.raises(InputError, match="cannot be written"):
            call(tmp_path / "file" / "x")
        with pytest.raises(InputError, match="already exists"):
            call(tmp_path / "link")
    assert not (tmp_path / "nowhere").exists()


def test_an_older_schema_is_migrated_with_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "old.duckdb"
    connection = _connect(path, read_only=False)
    for statement in migrations()[1]:
        connection.execute(statement)
    connection.execute("INSERT INTO model_annotations (id, dimension, source, line) VALUES ('m', 8, 's', 1)")
    connection.close()
    with pytest.raises(InputError, match=f"migrate it to {VERSION}"):
        DesignStore(path)
    with DesignStore(path, write=True):
        pass
    with DesignStore(path) as opened:
        row = opened.table("model").row(0, named=True)
    assert (row["id"], row["dimension"], row["num_layers"]) == ("m", 8, None)


def test_queries_read_only_one_select_and_reach_no_file(tmp_path: Path, store: DesignStore) -> None:
    assert store.query("SELECT count(*) AS n FROM model_annotations")["n"].item() == 3
    name = "x'; DROP TABLE model_annotations; --"
    assert store.query("SELECT id FROM model_annotations WHERE id = ?", [name]).is_empty()
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n")
    for sql in (
        "DROP TABLE model_annotations",
        "DELETE FROM model_annotations",
        "SELECT 1; DROP TABLE model_annotations",
        f"SELECT * FROM read_csv('{secret}')",
        f"COPY model_annotations TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/other.duckdb'",
        "SET memory_limit = '64GB'",
        "INSTALL httpfs",
        "SELECT",
    ):
        with pytest.raises(InputError):
            store.query(sql)
    assert len(store.table("model")) == 3
    assert not (tmp_path / "out.csv").exists()


def test_queries_give_polars_arrow_or_pandas(store: DesignStore) -> None:
    sql = "SELECT id, dimension FROM model_annotations ORDER BY id"
    frame = store.query(sql)
    assert isinstance(frame, pl.DataFrame)
    assert store.query(sql, as_="arrow").column("id").to_pylist() == frame["id"].to_list()
    assert store.query(sql, as_="pandas")["id"].tolist() == frame["id"].to_list()
    with pytest.raises(InputError, match="known: polars, arrow, pandas"):
        store.query(sql, as_="excel")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("policy", "value", "stderr"),
    [("keep", 0.30, 0.01), ("replace", 0.25, 0.02), ("larger", 0.30, 0.01), ("smaller", 0.25, 0.02)],
)
def test_conflicts_are_refused_or_settled_by_policy(
    tmp_path: Path, store: DesignStore, policy: str, value: float, stderr: float
) -> None:
    path = tmp_path / "again.csv"
    path.write_text(
        "id,benchmark,setting,metric,metric_value,metric_stderr\norg/a,arc_challenge,25-shot,accuracy,0.25,0.02\n"
    )
    batch = read_table_csv(path, TABLES["evaluation_results"])
    with pytest.raises(InputError, match="differs from the stored"):
        store.apply(batch)
    changes = store.diff(batch)
    assert changes["kind"].unique().to_list() == ["changed"]
    told = store.diff(batch, policy=policy)
    assert_frame_equal(store.apply(batch, policy=policy), told)
    assert set(told["new"]) == ({str(value), str(stderr)} if value == 0.25 else set())
    row = store.table("evaluation").filter(id="org/a", benchmark="arc_challenge").row(0, named=True)
    assert (row["metric_value"], row["metric_stderr"]) == (value, stderr)
    assert row["source"].startswith("again.csv@") == (value == 0.25)
    assert len(store.table("evaluation")) == 5


def test_missing_cells_are_filled_and_never_erase(tmp_path: Path, store: DesignStore) -> None:
    path = tmp_path / "more.csv"
    path.write_text("id,dimension,num_layers,activation\norg/b,2048,24,\nnew/c,64,2,relu\n")
    kinds = store.apply(read_table_csv(path, MODELS))["kind"].value_counts(sort=True)
    assert dict(kinds.iter_rows()) == {"added": 3, "filled": 2}
    row = store.table("model").filter(id="org/b").row(0, named=True)
    assert (row["dimension"], row["num_layers"], row["activation"], row["num_heads"]) == (
        2048,
        24,
        "silu",
        16,
    )


def test_a_failing_batch_leaves_nothing_behind(tmp_path: Path, store: DesignStore) -> None:
    path = tmp_path / "half.csv"
    path.write_text("id,dimension\nnew/c,64\norg/a,777\n")
    before = store.table("model")
    with pytest.raises(InputError, match="dimension"):
        store.apply(read_table_csv(path, MODELS))
    assert_frame_equal(store.table("model"), before)


def test_exports_are_the_same_bytes_and_duckdb_reads_them(tmp_path: Path, store: DesignStore) -> None:
    one, two = export(store, tmp_path / "one"), export(store, tmp_path / "two")
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes()
    connection = duckdb.connect()
    connection.execute(f"IMPORT DATABASE '{one}'")
    assert connection.execute("SELECT count(*) FROM evaluation_results").fetchone() == (5,)
    assert connection.execute(
        "SELECT count(*) FROM model_annotations WHERE mlp_ratio IS NULL"
    ).fetchone() == (1,)
    again = DesignStore.from_export(one)
    assert again.compare(store).is_empty()
    with pytest.raises(InputError, match="already exists"):
        export(store, one)


def test_an_own_export_keeps_provenance_and_aliases(tmp_path: Path, store: DesignStore) -> None:
    store.alias_model("mine", "org/a")
    one = export(store, tmp_path / "one")
    again = DesignStore.from_export(one)
    two = export(again, tmp_path / "two")
    for file in one.iterdir():
        assert file.read_bytes() == (two / file.name).read_bytes()
    assert_frame_equal(evaluations(again), evaluations(store))  # the same row of two that disagree
    again.alias_model("mine", "org/b")
    for policy, model in (("keep", "org/b"), ("replace", "org/a")):
        again.apply(read_export(one), policy=policy)
        assert again.aliases.models["mine"] == model


@pytest.mark.parametrize(
    ("file", "old", "new", "rule"),
    [
        ("model_annotations", ",1\n", ",0\n", "record 1: line = 0: must be at least 1"),
        ("model_annotations", ",1\n", ",one\n", "whole number|finite"),
        ("model_annotations", "model_annotations.csv@", "elsewhere.csv@", "record 1: source = .*sources.csv"),
        ("sources", "kind", "cause", "columns must be source, kind"),
        ("model_aliases", "gpt2,", ",", "record [0-9]+: alias: must not be empty"),
        ("model_aliases", "gpt2-xl,", "gpt2,", "alias = 'gpt2': must not be given twice"),
    ],
)
def test_provenance_and_aliases_are_checked(
    tmp_path: Path, store: DesignStore, file: str, old: str, new: str, rule: str
) -> None:
    path = export(store, tmp_path / "one") / f"{file}.csv"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(InputError, match=rule) as error:
        read_export(tmp_path / "one")
    assert str(path) in str(error.value)


def test_comparing_names_what_went_missing(store: DesignStore) -> None:
    empty = DesignStore.in_memory()
    assert set(empty.compare(store)["kind"]) == {"removed"}
    assert set(store.compare(empty)["kind"]) == {"added"}


def test_published_export_has_its_counts(published_store: DesignStore) -> None:
    counts = {
        (row["table"], row["what"]): row["count"] for row in published_store.stats().iter_rows(named=True)
    }
    assert counts["model_annotations", "rows"] == 121
    assert counts["dataset_info", "rows"] == 124
    assert counts["evaluation_results", "rows"] == 27_150
    found = [counts["evaluation_results", f"distinct {n}"] for n in ("id", "benchmark", "metric", "setting")]
    assert found == [153, 174, 20, 5]
    assert counts["generation_features", "distinct id"] == 102
