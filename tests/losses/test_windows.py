"""Windows cover every token once, with the context they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from neuneu.errors import InputError
from neuneu.losses.windows import make_batches, plan_windows, scored_mask

Lengths = st.lists(st.integers(0, 60), min_size=1, max_size=8)


def bounds_of(lengths: list[int]) -> np.ndarray:
    ends = np.cumsum(lengths)
    return np.stack([ends - lengths, ends], axis=1)


@given(lengths=Lengths, window=st.integers(2, 20), data=st.data(), bos=st.booleans())
def test_each_token_but_the_first_is_scored_once_with_enough_context(
    lengths: list[int], window: int, data: st.DataObject, bos: bool
) -> None:
    stride = data.draw(st.integers(1, window - 1))
    bounds = bounds_of(lengths)
    windows = plan_windows(bounds, window, stride, bos=bos)
    times = np.zeros(sum(lengths), dtype=int)
    for begin, end, scored, lead in zip(*windows, strict=True):
        assert end - begin + lead <= window
        first = bounds[(bounds[:, 0] <= begin) & (begin < bounds[:, 1]), 0][0]
        assert lead == (bos and begin == first and scored == first)
        for position in range(scored, end):
            times[position] += 1
            context = position - begin + lead
            assert context >= min(window - stride, position - first + bos)
            assert context >= 1
    expected = np.ones(sum(lengths), dtype=int)
    if not bos:
        expected[[begin for begin, end in bounds if end > begin]] = 0
    np.testing.assert_array_equal(times, expected)
    np.testing.assert_array_equal(scored_mask(windows, sum(lengths)), expected == 1)


@given(lengths=Lengths, batch_tokens=st.integers(1, 200), bos=st.booleans())
def test_batches_hold_every_scored_token_behind_its_context(
    lengths: list[int], batch_tokens: int, bos: bool
) -> None:
    tokens = np.arange(100, 100 + sum(lengths))
    windows = plan_windows(bounds_of(lengths), 16, 8, bos=bos)
    seen = []
    for batch in make_batches(tokens, windows, batch_tokens, 7 if bos else None):
        assert batch.ids.size <= max(batch_tokens, batch.ids.shape[1])
        before = batch.ids[batch.rows, batch.columns]
        opening = before == 7
        np.testing.assert_array_equal(before[~opening] + 1, tokens[batch.positions[~opening]])
        assert not opening.any() or bos
        seen.append(batch.positions)
    positions = np.concatenate([np.empty(0, dtype=int), *seen])
    np.testing.assert_array_equal(np.sort(positions), np.flatnonzero(scored_mask(windows, len(tokens))))


@pytest.mark.parametrize(("window", "stride"), [(1, 1), (8, 8), (8, 0), (8, 9)])
def test_a_window_without_context_is_refused(window: int, stride: int) -> None:
    with pytest.raises(InputError, match=r"window|stride"):
        plan_windows(bounds_of([3]), window, stride)
