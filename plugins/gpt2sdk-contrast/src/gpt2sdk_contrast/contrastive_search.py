"""Contrastive search: a likely token whose hidden state is unlike all before it."""

from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, NamedTuple

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn.functional import normalize

from gpt2sdk import HiddenHistory, LayeredLM, Logits, OptionError, Session, Step, strategy

PenaltyAlpha = Annotated[
    float,
    Field(ge=0.0, le=1.0, description="Weight of the degeneration penalty; 0 takes the likeliest."),
]
TopK = Annotated[int, Field(ge=1, description="Likeliest tokens that are compared.")]


class NextTokens(NamedTuple):
    """What rows may take next: for each the row it continues, its token and its probability."""

    parents: list[int]
    tokens: list[int]
    probs: list[float]


def _rows(top_k: int) -> int:
    return top_k


@strategy(draws=False, wants=[-1], rows_per_prompt=_rows)
def contrastive_search(
    session: Session, *, penalty_alpha: PenaltyAlpha = 0.6, top_k: TopK = 4
) -> Iterator[Step]:
    """Take the token that is likely, and unlike what stands there.

    Of the `top_k` likeliest tokens it takes that with the largest
    `(1 - penalty_alpha) * p(v) - penalty_alpha * max_j cos(h_v, h_j)`: `p` is the processed
    distribution, and `h` are the last layer's hidden states behind the final norm, of the
    candidate `v` and of each position `j` before it, prompt included. On ties the likelier wins.

    Candidates are copies of their row, and all of a batch are read in one pass: `top_k` rows for
    each prompt, one of which goes on, already scored. So there is one pass for each token. Stop
    strings, end tokens and memories act on each copy as on any row.

    Tokens are those of transformers' contrastive search (`transformers-community/
    contrastive-search`), but for ruled-out tokens, which take part there where fewer than `top_k`
    are left. The last token of a full window cannot be read: there the likeliest is taken.

    Su et al., "A contrastive framework for neural text generation", 2022, arXiv:2202.06417.

    Raises:
        OptionError: Several completions are asked for, which would be the same, or the model
            cannot be asked what its hidden states stand for.
    """
    model = _model(session)
    history = session.hidden_history(-1)
    while session.running:
        logits = session.process(session.next_logits())
        found = candidates(logits, session.rows.finish_reason, top_k)
        growing = [at for at, token in enumerate(found.tokens) if token >= 0]
        context = _context(model, history, session, {found.parents[at] for at in growing})
        session.fork(found.parents)
        step = session.append(found.tokens)
        session.next_logits()
        lines = [context[found.parents[at]] for at in growing]
        found_penalties = penalties(_states(model, session, growing), lines)
        scores = [0.0] * len(found.tokens)
        for at, penalty in zip(growing, found_penalties, strict=True):
            scores[at] = (1 - penalty_alpha) * found.probs[at] - penalty_alpha * penalty
        session.fork(best(scores, found.parents))
        yield step


def candidates(logits: Logits, over: Sequence[str | None], top_k: int) -> NextTokens:
    """Return each row's likeliest tokens, likeliest first; a row that is over stays as it is.

    >>> logits = torch.tensor([[0.5, 0.2, 0.3], [0.6, 0.4, 0.0]]).log()
    >>> found = candidates(logits, [None, None], 3)
    >>> found.parents, found.tokens
    ([0, 0, 0, 1, 1], [0, 2, 1, 0, 1])
    """
    most = logits.topk(min(top_k, logits.shape[1]))
    counts = most.values.isfinite().sum(-1).tolist()
    probs = logits.softmax(-1).gather(1, most.indices).tolist()
    found = NextTokens([], [], [])
    for row, ids in enumerate(most.indices.tolist()):
        alive = over[row] is None
        found.parents.extend([row] * (counts[row] if alive else 1))
        found.tokens.extend(ids[: counts[row]] if alive else [-1])
        found.probs.extend(probs[row][: counts[row]] if alive else [0.0])
    return found


def penalties(
    states: Sequence[Float[Tensor, " embed"]], context: Sequence[Float[Tensor, "_ embed"]]
) -> list[float]:
    """Return each state's largest cosine with a line of its context; all have length 1.

    >>> context = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    >>> states = torch.tensor([[0.0, 1.0], [0.8, -0.6]])
    >>> [round(each, 2) for each in penalties(list(states), [context, context])]
    [0.8, 0.8]
    """
    found = [(lines @ state).amax() for state, lines in zip(states, context, strict=True)]
    return [float(each) for each in torch.stack(found).tolist()] if found else []


def best(scores: Sequence[float], parents: Sequence[int]) -> list[int]:
    """Return the place of each row's best candidate, the first of equals.

    >>> best([0.1, 0.4, 0.4, 0.2], [0, 0, 0, 1])
    [1, 3]
    """
    chosen: dict[int, int] = {}
    for at, parent in enumerate(parents):
        if parent not in chosen or scores[at] > scores[chosen[parent]]:
            chosen[parent] = at
    return list(chosen.values())


def _context(
    model: LayeredLM, history: HiddenHistory, session: Session, seats: AbstractSet[int]
) -> dict[int, Float[Tensor, "_ embed"]]:
    """Return what stands in each of these rows: a unit vector for each of its tokens."""
    if not seats:
        return {}
    chosen = sorted(seats)
    states = history[session.rows.select(chosen)]
    lines = torch.split(_units(model, torch.cat(states)), [len(each) for each in states])
    return dict(zip(chosen, lines, strict=True))


def _states(
    model: LayeredLM, session: Session, seats: Sequence[int]
) -> list[Float[Tensor, " embed"]]:
    """Return unit vectors of what these rows took last.

    The end of a full window is not read. Then candidates have their row's state, and one penalty.
    """
    if not seats:
        return []
    return list(_units(model, session.rows.select(seats).hidden_states(-1)))


def _units(model: LayeredLM, states: Float[Tensor, "lines embed"]) -> Float[Tensor, "lines embed"]:
    """Return hidden states behind the final norm, each of length 1."""
    return normalize(model.final_norm(states).float(), dim=-1)


def _model(session: Session) -> LayeredLM:
    if session.num_return_sequences > 1:
        raise OptionError(
            f"num_return_sequences is {session.num_return_sequences}, but contrastive_search draws "
            "nothing: all would be the same; expected 1",
            name="num_return_sequences",
            value=session.num_return_sequences,
            expected="1",
        )
    if not isinstance(session.model, LayeredLM):
        raise OptionError(
            f"contrastive_search compares states behind the final norm, and "
            f"{type(session.model).__name__} has none: expected a LayeredLM",
            name="strategy",
            expected="a LayeredLM",
        )
    return session.model
