"""What rows have said so far, as places to look up in their logits."""

from typing import Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gpt2sdk import History, Logits, Rows

Scope = Literal["all", "output"]
"""`all`: prompt and output; `output`: what was appended to the prompt."""


def said(
    rows: Rows, scope: Scope | Literal["prompt"], last: int = -1
) -> tuple[History, Bool[Tensor, "rows time"]]:
    """Return the rows' tokens and which places are in the scope; others hold token 0.

    Args:
        rows: The rows.
        scope: Which of their tokens count.
        last: Of these only such as are among the row's so many last ones; -1 for all.

    >>> from gpt2sdk.testing import make_rows
    >>> said(make_rows([[5, 6, 7], [8]]), "output")
    (tensor([[0, 6, 7],
            [0, 0, 0]]), tensor([[False,  True,  True],
            [False, False, False]]))
    >>> said(make_rows([[5, 6, 7], [8]]), "all", 2)[1]
    tensor([[False,  True,  True],
            [ True, False, False]])
    """
    tokens = rows.tokens
    time = torch.arange(tokens.shape[1], device=tokens.device)
    inside = time < rows.lengths[:, None]
    if scope == "output":
        inside &= time >= rows.prompt_lengths[:, None]
    elif scope == "prompt":
        inside = time < rows.prompt_lengths[:, None]
    if last >= 0:
        inside &= time >= rows.lengths[:, None] - last
    return tokens.where(inside, 0), inside


def uniform(rows: Rows, scope: Scope | Literal["prompt"], last: int = -1) -> History | None:
    """Return the tokens in the scope where all rows have them at the same places, else `None`.

    The arguments are those of `said`.

    >>> from gpt2sdk.testing import make_rows
    >>> uniform(make_rows([[5, 6, 7], [8, 9, 9]]), "output")
    tensor([[6, 7],
            [9, 9]])
    >>> uniform(make_rows([[5, 6, 7], [8, 9, 9]]), "output", 1)
    tensor([[7],
            [9]])
    >>> uniform(make_rows([[5, 6, 7], [8]]), "all") is None
    True
    """
    spans = {
        (
            max(
                len(row.prompt.tokens) if scope == "output" else 0,
                len(row.tokens) - last if last >= 0 else 0,
            ),
            len(row.prompt.tokens) if scope == "prompt" else len(row.tokens),
        )
        for row in rows.records
    }
    if len(spans) != 1:
        return None
    ((start, end),) = spans
    return rows.tokens[:, start:end]


def put(
    logits: Logits,
    tokens: Int[Tensor, "rows places"],
    values: Float[Tensor, "rows places"],
    where: Bool[Tensor, "rows places"],
    *,
    lower: bool,
) -> Logits:
    """Give tokens these logits where the mask says so.

    The values must all be lower (or all higher) than the present logits, and equal for equal
    tokens: then the order of writing is of no account, on any device.

    >>> logits, tokens = torch.tensor([[1.0, 2.0]]), torch.tensor([[1, 1]])
    >>> put(logits, tokens, torch.tensor([[0.5, 9.0]]), torch.tensor([[True, False]]), lower=True)
    tensor([[1.0000, 0.5000]])
    """
    nothing, reduce = (torch.inf, "amin") if lower else (-torch.inf, "amax")
    return logits.scatter_reduce(1, tokens, values.where(where, nothing), reduce)


def rule_out(
    logits: Logits, tokens: Int[Tensor, "rows places"], where: Bool[Tensor, "rows places"]
) -> Logits:
    """Give tokens the logit `-inf` where the mask says so.

    >>> rule_out(torch.ones(1, 3), torch.tensor([[0, 2]]), torch.tensor([[False, True]]))
    tensor([[1., 1., -inf]])
    """
    if logits.device.type == "cpu":  # where nothing waits to learn how many there are
        rows, places = where.nonzero(as_tuple=True)
        if not len(rows):
            return logits
        banned = logits.clone()
        banned[rows, tokens[rows, places]] = -torch.inf
        return banned
    values = torch.full(tokens.shape, -torch.inf, dtype=logits.dtype, device=logits.device)
    return put(logits, tokens, values, where, lower=True)
