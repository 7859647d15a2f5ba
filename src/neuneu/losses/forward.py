"""A causal language model's loss on each token of a text, without ever holding all its logits."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from neuneu.errors import InputError, check_known
from neuneu.losses.windows import Windows, make_batches, scored_mask

PRECISIONS = ("float32", "bfloat16")
_ROWS = 512
_COLUMNS = 4096


@torch.inference_mode()
def token_losses(
    model: Any,
    tokens: NDArray[Any],
    windows: Windows,
    *,
    bos_id: int | None = None,
    batch_tokens: int = 8192,
    precision: str = "float32",
    mask_id: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> NDArray[np.float32]:
    """Loss of each token in nats, (n_tokens,) float32; NaN where no window gives it one.

    model: a transformers causal language model with float32 weights, on its device. precision: bfloat16
    computes the layers in it and sums up the logits in float32. mask_id: a token that the model must not
    attend to (compatibility with published losses). progress is called with the tokens done so far. Peak
    memory is the layers' for batch_tokens, plus 512 × 4,096 logits. Raises InputError where a loss is not
    finite or a token is none of the model's.
    """
    check_known(precision, PRECISIONS, "precision", "unknown")
    size = model.get_input_embeddings().weight.shape[0]
    highest = max(int(tokens.max()), bos_id or 0)
    if highest >= size:
        raise InputError(f"the model knows token ids under {size}", field="token id", value=highest)
    device, model = model.device, model.eval()
    losses = np.full(len(tokens), np.nan, dtype=np.float32)
    plain: bool | None = None
    done = 0
    for batch in make_batches(tokens, windows, batch_tokens, bos_id):
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
            found = head_losses(hidden[where], head.weight, head.bias, targets)
        else:
            found = _whole_losses(model, ids, mask, where, targets, precision)
        losses[batch.positions] = found.cpu().numpy()
        done += len(targets)
        if progress is not None:
            progress(done)
    bad = int(np.count_nonzero(scored_mask(windows, len(tokens)) & ~np.isfinite(losses)))
    if bad:
        raise InputError(f"{bad} tokens have no finite loss: the model has diverged", field="losses")
    return losses


def head_losses(hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor) -> Tensor:
    """Cross-entropy of a linear head, (n,) float32, a tile of the logits at a time.

    hidden: (n, width); weight: (vocabulary, width); bias: (vocabulary,) or None; targets: (n,) ids. Equal to
    cross_entropy(hidden @ weight.T + bias, targets) up to rounding: log-sum-exp of the tiles' log-sum-exps.
    """
    rows, columns = (_ROWS, _COLUMNS) if hidden.device.type == "cpu" else (_ROWS, len(weight))
    hidden, weight = hidden.float(), weight.float()
    losses = torch.empty(len(hidden), dtype=torch.float32, device=hidden.device)
    for start in range(0, len(hidden), rows):
        part = hidden[start : start + rows]
        goal = targets[start : start + rows]
        sums = []
        for first in range(0, len(weight), columns):
            logits = part @ weight[first : first + columns].T
            if bias is not None:
                logits += bias[first : first + columns].float()
            sums.append(torch.logsumexp(logits, dim=1))
        score = (part * weight[goal]).sum(dim=1)
        if bias is not None:
            score += bias[goal].float()
        losses[start : start + rows] = torch.logsumexp(torch.stack(sums), dim=0) - score
    return losses.clamp_(min=0)


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


def _whole_losses(
    model: Any,
    ids: Tensor,
    mask: Tensor | None,
    where: tuple[Tensor, Tensor],
    targets: Tensor,
    precision: str,
) -> Tensor:
    """Losses through the model's own logits, one row at a time."""
    losses = torch.empty(len(targets), dtype=torch.float32, device=ids.device)
    for row in range(len(ids)):
        chosen = where[0] == row
        columns = where[1][chosen]
        length = int(columns.max()) + 1
        with torch.autocast(ids.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            row_mask = None if mask is None else mask[row : row + 1, :length]
            logits = model(ids[row : row + 1, :length], attention_mask=row_mask, use_cache=False).logits[0]
        goals = targets[chosen]
        parts = [
            torch.nn.functional.cross_entropy(logits[part].float(), goal, reduction="none")
            for part, goal in zip(torch.split(columns, _ROWS), torch.split(goals, _ROWS), strict=True)
        ]
        losses[chosen] = torch.cat(parts)
    return losses.clamp_(min=0)
