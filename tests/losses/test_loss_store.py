"""Losses come back from disk as they went in; half-written ones never do."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neuneu.errors import InputError
from neuneu.losses import zarr_store
from neuneu.losses.open import open_losses
from neuneu.losses.zarr_store import ZarrLossStore


def make(path: Path, **changes: object) -> ZarrLossStore:
    return ZarrLossStore.create(path, **{"fingerprint": "abc", "n_positions": 4, **changes})  # type: ignore[arg-type]


@settings(max_examples=15)
@given(
    names=st.lists(
        st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20), min_size=1, unique=True
    ),
    steps=st.lists(st.integers(0, 10**12), min_size=1, max_size=4, unique=True),
)
def test_any_run_name_and_step(
    names: list[str], steps: list[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    store = make(tmp_path_factory.mktemp("store") / "s", dtype="float32")
    for name in names:
        for step in steps:
            store.write(name, step, np.array([len(name), step % 97, np.nan, 0.1]), {"note": name})
    opened = open_losses(store.path)
    assert opened.runs == sorted(names)
    for name in names:
        assert opened.steps(name).tolist() == sorted(steps)
        for step in steps:
            found = opened.read(name, step)
            np.testing.assert_allclose(found, [len(name), step % 97, np.nan, 0.1], rtol=1e-6)
            assert store.facts(name, step) == {"run": name, "step": step, "note": name}


def test_half_precision_is_close_and_says_what_it_cannot_hold(tmp_path: Path) -> None:
    store = make(tmp_path / "s")
    losses = np.array([0.001, 3.3333, 15.999, np.nan])
    store.write("run", 1, losses)
    np.testing.assert_allclose(store.read("run", 1), losses, atol=0.004)
    for bad in ([1.0, 2.0, 3.0, 1e6], [1.0, 2.0, np.inf, 4.0], [np.nan] * 4):
        with pytest.raises(InputError, match="must be finite"):
            store.write("run", 2, np.array(bad))
    with pytest.raises(InputError, match="shape"):
        store.write("run", 2, np.ones(3))
    assert store.steps("run").tolist() == [1]


def test_another_validation_set_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "s", settings={"window": 8})
    make(tmp_path / "s", settings={"window": 8})
    for changes in (
        {"fingerprint": "xyz"},
        {"n_positions": 5},
        {"settings": {"window": 9}},
        {"unit": "word"},
    ):
        with pytest.raises(InputError, match="another validation set"):
            make(tmp_path / "s", **{"settings": {"window": 8}, **changes})


def test_groups_label_positions(tmp_path: Path) -> None:
    make(tmp_path / "s", groups=["b", "a", "a", "ü"])
    opened = open_losses(tmp_path / "s")
    assert opened.groups == ["b", "a", "a", "ü"]
    assert opened.runs == []
    with pytest.raises(InputError, match="groups"):
        make(tmp_path / "t", groups=["a"])


def test_a_checkpoint_is_there_only_when_it_is_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the write after every file: the checkpoint is absent, and a rerun gives the same bytes."""
    whole = make(tmp_path / "whole")
    whole.write("run", 1, np.arange(4.0))
    expected = {str(f.relative_to(whole.path)): f.read_bytes() for f in whole.path.rglob("*") if f.is_file()}
    replace, allowed = Path.replace, 0

    def limited(self: Path, target: Path) -> Path:
        nonlocal left
        if left == 0:
            raise KeyboardInterrupt
        left -= 1
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", limited)
    path = tmp_path / "torn"
    for allowed in range(10):
        left = allowed
        try:
            store = make(path)
            store.write("run", 1, np.arange(4.0))
            break
        except KeyboardInterrupt:
            for partial in path.rglob("*.partial"):  # as a process that is gone left it
                partial.rename(partial.with_name(partial.name.replace(str(os.getpid()), "99999999")))
            if (path / "zarr.json").exists():
                assert ZarrLossStore(path).runs == []
                assert not ZarrLossStore(path).has("run", 1)
    assert allowed > 1
    assert {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()} == expected


def test_what_killed_writers_left_goes_when_the_store_is_opened_to_write(tmp_path: Path) -> None:
    path = tmp_path / "store"
    ZarrLossStore.create(path, fingerprint="a", n_positions=3).write("run", 1, np.ones(3))
    left = path / "run" / "step1" / ".zarr.json.abc.partial"
    left.mkdir()
    (left / ".lock").touch()
    assert ZarrLossStore.create(path, fingerprint="a", n_positions=3).has("run", 1)
    assert not left.exists()


def test_a_checkpoint_is_never_overwritten(tmp_path: Path) -> None:
    store = make(tmp_path / "s")
    store.write("run", 1, np.zeros(4))
    store.write("run", 1, np.ones(4))
    assert store.read("run", 1).tolist() == [0, 0, 0, 0]


def test_a_damaged_checkpoint_is_refused_not_read_as_missing_losses(tmp_path: Path) -> None:
    store = make(tmp_path / "s")
    store.write("run", 1, np.zeros(4))
    chunk = store.path / "run/step1/c/0"
    chunk.write_bytes(chunk.read_bytes()[:-3])
    with pytest.raises(InputError, match="is damaged"):
        store.read("run", 1)
    chunk.unlink()
    with pytest.raises(InputError, match="its chunk is missing"):
        store.read("run", 1)


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    for path, message in [(tmp_path / "none", "no such folder"), (tmp_path, "word_losses")]:
        with pytest.raises(InputError, match=message):
            open_losses(path)
    (tmp_path / "zarr.json").write_text('{"attributes": {"format": "other"}}')
    with pytest.raises(InputError, match="format = 'other'"):
        open_losses(tmp_path)
    store = make(tmp_path / "s")
    with pytest.raises(InputError, match="checkpoint = 'run step 3'"):
        store.read("run", 3)
    with pytest.raises(InputError, match="run: must not be empty"):
        store.write("", 1, np.zeros(4))
    assert zarr_store.FORMAT in (tmp_path / "s/zarr.json").read_text()


def test_what_zarr_opens_by_itself_is_looked_at_first(tmp_path: Path) -> None:
    store = make(tmp_path / "l.zarr")
    store.write("run", 1, np.array([0.5, 1.5, np.nan, 3.0]))
    (chunk,) = (tmp_path / "l.zarr" / "run" / "step1" / "c").rglob("*")
    content = chunk.read_bytes()
    chunk.unlink()
    os.mkfifo(chunk)
    with pytest.raises(InputError, match="is no regular file"):  # and no reader that waits for ever
        store.read("run", 1)
    chunk.unlink()
    chunk.write_bytes(content)
    assert store.read("run", 1)[0] == 0.5
    about = tmp_path / "l.zarr" / "run" / "step1" / "zarr.json"
    about.write_text(about.read_text().replace('"zstd"', '"blosc"'))
    with pytest.raises(InputError, match=r"zarr\.json: codecs = 'blosc': must be one of bytes, zstd"):
        store.read("run", 1)
