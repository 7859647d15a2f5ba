"""The order of training blocks: proportions, epochs, seeds."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.errors import InputError
from neuneu.suite.mix import BlockOrder, share_out


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source a: tokens 0…99, source b: tokens 1000…1499."""
    folder = tmp_path_factory.mktemp("text")
    np.save(folder / "a.npy", np.arange(100, dtype=np.uint16))
    np.save(folder / "b.npy", np.arange(1000, 1500, dtype=np.uint16))
    return folder


@given(st.lists(st.floats(0.01, 100), min_size=1, max_size=6), st.integers(0, 10_000))
def test_shares_add_up_and_are_within_one_of_exact(weights: list[float], total: int) -> None:
    array = np.array(weights)
    counts = share_out(array, total)
    assert counts.sum() == total
    assert np.all(np.abs(counts - array / array.sum() * total) < 1 + 1e-6)


def test_the_recipe_decides_shares_and_each_epoch_reads_a_block_once(text: Path) -> None:
    blocks = BlockOrder(text, {"a": 1, "b": 3}, length=10, blocks=80, seed=0).read(0, 80)
    from_a = blocks[blocks[:, 0] < 1000]
    assert len(from_a) == 20  # two epochs of ten blocks
    assert sorted(from_a[:, 0].tolist()) == sorted([*range(0, 100, 10)] * 2)
    from_b = blocks[blocks[:, 0] >= 1000]
    assert np.unique(from_b[:, 0], return_counts=True)[1].max() == 2
    assert np.all(np.diff(blocks, axis=1) == 1)


def test_any_part_can_be_read_alone_and_the_seed_decides_the_order(text: Path) -> None:
    def order(seed: int) -> BlockOrder:
        return BlockOrder(text, {"a": 1, "b": 1}, length=10, blocks=60, seed=seed)

    whole = order(0).read(0, 60)
    assert np.array_equal(np.concatenate([order(0).read(0, 7), order(0).read(7, 60)]), whole)
    assert not np.array_equal(order(1).read(0, 60), whole)


def test_a_source_shorter_than_a_block_is_refused(text: Path) -> None:
    with pytest.raises(InputError, match="less than one block"):
        BlockOrder(text, {"a": 1}, length=101, blocks=2, seed=0)
