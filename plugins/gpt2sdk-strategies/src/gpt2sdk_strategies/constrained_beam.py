"""Constrained beam search: beams that have to say certain words, wherever they fit best."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from gpt2sdk import OneOrMore, OptionError, Session, Step, strategy
from gpt2sdk_strategies.constraints import Entry, Progress, constraints_of
from gpt2sdk_strategies.hypotheses import (
    EarlyStopping,
    LengthPenalty,
    NumBeams,
    first,
    may_improve,
    seats,
)
from gpt2sdk_strategies.wanted import check_wanted

ForceWords = Annotated[
    tuple[Entry, ...],
    OneOrMore,
    Field(
        description="What each completion says: texts or lists of token ids; a list of several "
        "of these stands for one of them. The blank before a word is part of its text."
    ),
]


@strategy(hold=None, rewinds=False, draws=False)
def constrained_beam(
    session: Session,
    *,
    force_words: ForceWords = (),
    num_beams: NumBeams = 4,
    length_penalty: LengthPenalty = 1.0,
    early_stopping: EarlyStopping = False,
) -> Iterator[Step]:
    """Follow the likeliest continuations that say all of `force_words`.

    A text is said where its tokens stand one after another among the new ones; so write the blank
    before a word. Of a list of alternatives one is enough. What is said in the prompt does not
    count.

    It is `beam` with other candidates and other beams. Candidates are the likeliest extensions of
    all beams; the likeliest of each beam; and every token that begins, or goes on with, what a beam
    has still to say. Those that go on are sorted into banks by how many tokens they have still to
    say, and the next beams are the best of each bank, then the second best of each, and so on, the
    emptiest banks first: dynamic beam allocation. What has more to say than there is room for goes
    on only if nothing else does. A row that has something to say takes no end token. Of the first
    `num_beams` candidates that have said everything, those that end are completions; scores,
    `length_penalty` and `early_stopping` are those of `beam`.

    Where processors or stop strings leave no way to say everything, the likeliest row that ended
    last is returned, or else the likeliest one as it stands.

    Hokamp and Liu, 2017, arXiv:1704.07138; Post and Vilar, 2018, arXiv:1804.06609. We differ from
    the latter, and from `force_words_ids` of transformers 4, in this: constraints may overlap, a
    broken phrase may begin anew with the token that broke it, and the words need not come at once
    after they have begun.

    Raises:
        OptionError: A word has no tokens, or the words have more than a prompt may grow by; or
            more completions are asked for than there are beams.
    """
    check_wanted(session, num_beams, "num_beams", "beams are followed")
    start = Progress(constraints_of(force_words, session))
    _check_room(session, start)
    progress = session.per_row(lambda prompt: start, lambda before, token, _: before.take(token))
    prompts, length = len(session.rows), 0
    count = max(2, 1 + session.rows.eos_token_ids.shape[1]) * num_beams
    running = torch.zeros(prompts, 1, device=session.device)
    best = torch.full((prompts, num_beams), -torch.inf, device=session.device)
    while session.running:
        length += 1
        logprobs = session.process(session.next_logits().log_softmax(-1))
        here = progress[session.rows]
        logprobs = logprobs.masked_fill(_too_early(session, here, logprobs.shape[1]), -torch.inf)
        totals = running[:, :, None] + logprobs.view(*running.shape, -1)
        wanted = _wanted(totals, here, count)
        width = max(1, int(wanted.flatten(1).sum(1).amax()))
        narrowed = totals.masked_fill(~wanted, -torch.inf)
        _, scores, parents, tokens = first(narrowed, narrowed, width)
        session.fork(parents.flatten())
        step = session.append(tokens.flatten())

        here = progress[session.rows]
        missing = torch.tensor([each.missing for each in here]).to(parents).view_as(parents)
        over = session.rows.finished.view_as(scores)
        said = (missing == 0) & scores.isfinite()
        counts = over & said & (said.cumsum(1) <= num_beams)
        ended = (scores / length**length_penalty).where(counts, -torch.inf)
        best = torch.cat([best, ended], 1).topk(num_beams).values
        rest = _likeliest_of_the_rest(scores, running.flatten()[parents], over, length)
        room = session.rows.max_new_tokens.view_as(missing) - length
        going = scores.masked_fill(over, -torch.inf)
        order = _by_banks(going, missing, room, num_beams)
        running = going.gather(1, order)
        unsettled = may_improve(
            running.amax(1),
            best[:, -1],
            length,
            (room + length)[:, 0].double(),
            length_penalty=length_penalty,
            early_stopping=early_stopping,
        )
        # A prompt that ends without any completion hands in the likeliest of what it has.
        ended = ended.where(unsettled[:, None] | best[:, :1].isfinite(), rest)
        _submit(session, ended)
        session.fork(seats(order, scores.shape[1])[unsettled].flatten())
        running, best = running[unsettled], best[unsettled]
        yield step


def _check_room(session: Session, start: Progress) -> None:
    """Refuse words that do not fit.

    Raises:
        OptionError: They have more tokens than a prompt may grow by.
    """
    for row in session.rows.records:
        if start.missing > row.prompt.max_new_tokens:
            raise OptionError(
                f"force_words takes {start.missing} tokens, but prompt {row.prompt.index} may grow "
                f"by {row.prompt.max_new_tokens}: raise max_new_tokens, or ask for less",
                name="force_words",
                expected=f"up to {row.prompt.max_new_tokens} tokens",
            )


def _too_early(
    session: Session, here: Sequence[Progress], vocab: int
) -> Bool[Tensor, "rows vocab"]:
    """Return the tokens that would end a row that has something to say."""
    places = [
        (row, token)
        for row, (record, each) in enumerate(zip(session.rows.records, here, strict=True))
        if each.missing
        for token in record.prompt.eos_token_ids
    ]
    early = torch.zeros(len(here), vocab, dtype=torch.bool)
    if places:
        early[tuple(zip(*places, strict=True))] = True
    return early.to(session.device)


def _wanted(
    totals: Float[Tensor, "prompts beams vocab"], here: Sequence[Progress], count: int
) -> Bool[Tensor, "prompts beams vocab"]:
    """Return the candidates: the best of all, the best of each beam, and what helps a beam."""
    wanted = torch.zeros_like(totals, dtype=torch.bool)
    flat = totals.flatten(1)
    wanted.view_as(flat).scatter_(1, flat.topk(min(count, flat.shape[1])).indices, value=True)
    wanted.scatter_(2, totals.argmax(-1, keepdim=True), value=True)
    places = [(row, token) for row, each in enumerate(here) for token in sorted(each.helpful)]
    if places:
        rows, tokens = torch.tensor(places, device=totals.device).unbind(1)
        wanted.view(-1, totals.shape[2])[rows, tokens] = True
    return wanted & totals.isfinite()


def _by_banks(
    going: Float[Tensor, "prompts count"],
    missing: Int[Tensor, "prompts count"],
    room: Int[Tensor, "prompts count"],
    num_beams: int,
) -> Int[Tensor, "prompts beams"]:
    """Choose the next beams of candidates that are in descending order, bank by bank.

    Four candidates, of which the third and the fourth have said everything:

    >>> scores, missing = torch.tensor([[-1.0, -2.0, -3.0, -4.0]]), torch.tensor([[2, 2, 0, 0]])
    >>> _by_banks(scores, missing, torch.full((1, 4), 9), 3).tolist()
    [[2, 0, 3]]
    """
    count = going.shape[1]
    dead, late = going.isinf(), missing > room
    same = (missing[:, :, None] == missing[:, None, :]) & ~dead[:, :, None]
    ranks = same.triu(1).sum(1)
    base = int(missing.amax()) + count + 1
    keys = ((dead * 2 + late) * base + ranks) * base + missing
    return keys.argsort(dim=1, stable=True)[:, :num_beams]


def _likeliest_of_the_rest(
    scores: Float[Tensor, "prompts count"],
    before: Float[Tensor, "prompts count"],
    over: Bool[Tensor, "prompts count"],
    length: int,
) -> Float[Tensor, "prompts count"]:
    """Score one of each prompt's rows that have something to say; the others get `-inf`.

    Args:
        scores: The candidates' log-probabilities.
        before: Those of their parents, of which rows without a token are copies.
        over: Which rows ended.
        length: How many tokens those have that took one.
    """
    ended = scores.masked_fill(~over, -torch.inf)
    standing = before.masked_fill(over, -torch.inf) / max(length - 1, 1)
    rest = torch.where(ended.isfinite().any(1, keepdim=True), ended / length, standing)
    found, place = rest.max(1, keepdim=True)
    return torch.full_like(rest, -torch.inf).scatter(1, place, found)


def _submit(session: Session, ended: Float[Tensor, "prompts count"]) -> None:
    """Hand in the rows that have a score."""
    found = ended.isfinite()
    session.submit(found.flatten().nonzero()[:, 0].tolist(), ended[found].tolist())
