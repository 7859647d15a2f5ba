"""A causal language model's loss on each token of a text, without ever holding all its logits.

What else the logits say of a token (`STATISTICS`) can be kept in the same pass.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuneu.errors import InputError, check_known, how_many
from neuneu.losses.statistics import TOP, check_statistics
from neuneu.losses.windows import WindowBatch, Windows, make_batches, scored_mask
from neuneu.progress import counting

PRECISIONS = ("float32", "bfloat16")
_ROWS = 512
_COLUMNS = 4096
Tiles = Iterator[tuple[int, Tensor]]
"""Logits of some rows, (n, width) each, and the id of the token that a tile begins with."""


def token_losses(
    model: Any,
    tokens: NDArray[Any],
    windows: Windows,
    **how: Any,
) -> NDArray[np.float32]:
    """Loss of each token in nats, (n_tokens,) float32; NaN where no window gives it one (`token_values`)."""
    return token_values(model, tokens, windows, **how)["loss"]


@torch.inference_mode()
def token_values(
    model: Any,
    tokens: NDArray[Any],
    windows: Windows,
    *,
    statistics: Sequence[str] = (),
    bos_id: int | None = None,
    batch_tokens: int = 8192,
    precision: str = "float32",
    mask_id: int | None = None,
) -> dict[str, NDArray[np.float32]]:
    """The "loss" of each token in nats and the statistics asked for, (n_tokens,) float32 each.

    NaN where no window gives a token one. statistics: of STATISTICS.
    model: a transformers causal language model with float32 weights, on its device. precision: bfloat16
    computes the layers in it and sums up the logits in float32. mask_id: a token that the model must not
    attend to (compatibility with published losses). Peak memory is the layers' for batch_tokens, plus
    512 × 4,096 logits. Raises InputError where a loss is not finite or a token is none of the model's.
    """
    check_statistics(statistics)
    check_known(precision, PRECISIONS, "precision", "unknown")
    size = model.get_input_embeddings().weight.shape[0]
    highest = max(int(tokens.max()), bos_id or 0)
    if highest >= size:
        raise InputError(f"the model knows token ids under {size}", field="token id", value=highest)
    device, model = model.device, model.eval()
    values = np.full((1 + len(statistics), len(tokens)), np.nan, dtype=np.float32)
    plain: bool | None = None
    for batch in _tokens_told(make_batches(tokens, windows, batch_tokens, bos_id), len(tokens)):
        ids = torch.from_numpy(batch.ids).to(device)
        where = torch.from_numpy(batch.rows).to(device), torch.from_numpy(batch.columns).to(device)
        targets = ids.new_tensor(tokens[batch.positions].astype(np.int64))
        mask = None if mask_id is None else (ids != mask_id).long()
        if plain is None:
            plain = _is_plain(model, ids[:1, :16])
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            if plain:
                hidden = model.base_model(ids, attention_mask=mask, use_cache=False).last_hidden_state
        if plain:
            head = model.get_output_embeddings()
            found = head_values(hidden[where], head.weight, head.bias, targets, statistics)
        else:
            found = _whole_values(model, ids, mask, where, targets, precision, statistics)
        values[:, batch.positions] = found.cpu().numpy()
    bad = int(np.count_nonzero(scored_mask(windows, len(tokens)) & ~np.isfinite(values[0])))
    if bad:
        raise InputError(
            f"{how_many(bad, 'token')} without a finite loss: the model has diverged", field="losses"
        )
    return dict(zip(("loss", *statistics), values, strict=True))


def _tokens_told(batches: Iterator[WindowBatch], n_tokens: int) -> Iterator[WindowBatch]:
    """The batches; whoever listens is told how many tokens are done."""
    done = 0
    with counting("tokens", n_tokens) as tell:
        for batch in batches:
            tell(done, "")
            yield batch
            done += len(batch.positions)


def head_losses(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Cross-entropy of a linear head, (n,) float32 (`head_values`)."""
    return head_values(hidden, weight, bias, targets)[0]


def head_values(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, statistics: Sequence[str] = ()
) -> Tensor:
    """Cross-entropy of a linear head and statistics, (1 + n_statistics, n) float32, a tile at a time.

    hidden: (n, width); weight: (vocabulary, width); bias: (vocabulary,) or None; targets: (n,) ids. Equal to
    cross_entropy(hidden @ weight.T + bias, targets) up to rounding: log-sum-exp of the tiles' log-sum-exps.
    """
    rows, columns = (_ROWS, _COLUMNS) if hidden.device.type == "cpu" else (_ROWS, len(weight))
    hidden, weight = hidden.float(), weight.float()
    values = torch.empty((1 + len(statistics), len(hidden)), dtype=torch.float32, device=hidden.device)

    def tiles(part: Tensor) -> Tiles:
        for first in range(0, len(weight), columns):
            logits = part @ weight[first : first + columns].T
            if bias is not None:
                logits += bias[first : first + columns].float()
            yield first, logits

    for start in range(0, len(hidden), rows):
        part = hidden[start : start + rows]
        goal = targets[start : start + rows]
        score = (part * weight[goal]).sum(dim=1)
        if bias is not None:
            score += bias[goal].float()
        values[:, start : start + rows] = _values_of(tiles(part), goal, score, statistics)
    return values


def _values_of(tiles: Tiles, goal: Tensor, score: Tensor, statistics: Sequence[str]) -> Tensor:
    """Loss and statistics of rows whose logits come tile by tile, (1 + n_statistics, n).

    goal, score: (n,) the right token and its logit. The entropy is log Σ eˡ − Σ p l, over tiles t with
    log-sum-exp Lₜ: L = log Σ e^Lₜ, Σ p l = Σₜ e^(Lₜ − L) (Σ p l within the tile).
    """
    sums, expected = [], []
    above = torch.zeros(len(goal), dtype=torch.int64, device=goal.device)
    top = score.new_empty((len(goal), 0))
    for first, logits in tiles:
        sums.append(torch.logsumexp(logits, dim=1))
        if "rank" in statistics:
            higher = logits > score[:, None]
            own = ((goal >= first) & (goal < first + logits.shape[1])).nonzero().squeeze(1)
            higher[own, goal[own] - first] = False  # its own logit, rounded otherwise
            above += higher.sum(dim=1)
        if "entropy" in statistics:
            share = torch.softmax(logits, dim=1)
            expected.append(torch.where(share > 0, share * logits, 0.0).sum(dim=1))
        if "top1" in statistics or "top10" in statistics:
            both = torch.cat([top, logits], dim=1)
            top = torch.topk(both, min(TOP, both.shape[1]), dim=1).values
    whole = torch.logsumexp(torch.stack(sums), dim=0)
    found = [(whole - score).clamp_(min=0)]
    for name in statistics:
        if name == "rank":
            found.append(above.float() + 1.0)
        elif name == "entropy":
            weights = torch.exp(torch.stack(sums) - whole)
            found.append((whole - (weights * torch.stack(expected)).sum(dim=0)).clamp_(min=0))
        else:
            likeliest = torch.exp(top - whole[:, None])
            found.append(likeliest[:, 0] if name == "top1" else likeliest.sum(dim=1).clamp_(max=1))
    return torch.stack(found)


def _is_plain(model: Any, ids: Tensor) -> bool:
    """Whether the model's logits are its body's output through its head, with nothing in between.

    Some architectures scale or cap their logits; these are scored through the model itself.
    """
    head = model.get_output_embeddings()
    if not isinstance(head, torch.nn.Linear) or model.base_model is model:
        return False
    whole = model(ids, use_cache=False).logits.float()
    parts = head(model.base_model(ids, use_cache=False).last_hidden_state).float()
    return whole.shape == parts.shape and torch.allclose(whole, parts, rtol=1e-4, atol=1e-4)


def _whole_values(
    model: Any,
    ids: Tensor,
    mask: Tensor | None,
    where: tuple[Tensor, Tensor],
    targets: Tensor,
    precision: str,
    statistics: Sequence[str],
) -> Tensor:
    """Losses and statistics through the model's own logits, one row at a time."""
    values = torch.empty((1 + len(statistics), len(targets)), dtype=torch.float32, device=ids.device)
    for row in range(len(ids)):
        chosen = where[0] == row
        columns = where[1][chosen]
        length = int(columns.max()) + 1
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            row_mask = None if mask is None else mask[row : row + 1, :length]
            logits = model(ids[row : row + 1, :length], attention_mask=row_mask, use_cache=False).logits[0]
        goals = targets[chosen]
        parts = []
        for part, goal in zip(torch.split(columns, _ROWS), torch.split(goals, _ROWS), strict=True):
            own = logits[part].float()
            score = own.gather(1, goal[:, None]).squeeze(1)
            parts.append(_values_of(iter([(0, own)]), goal, score, statistics))
        values[:, chosen] = torch.cat(parts, dim=1)
    return values
