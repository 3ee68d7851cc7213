"""A trial: one component at work in a real session, on histories and logits of one's choice."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from typing_extensions import override

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.component import Component
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.records import Prompt
from gpt2sdk.components.rows import Rows
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.session import Session, Step
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.defaults import Greedy
from gpt2sdk.errors import PluginContractError
from gpt2sdk.session.decoding import DecodingSession
from gpt2sdk.session.reader import Reader
from gpt2sdk.session.request import Lead, Link, Request
from gpt2sdk.shapes import Logits, Mask, Tokens
from gpt2sdk.testing.letters import Letters
from gpt2sdk.testing.table_model import TableModel
from gpt2sdk.testing.written_rows import make_rows


class ByHand(Strategy):
    """Does nothing: the verbs are called from outside, and may take everything back."""

    @override
    def wants(self, model: CausalLM) -> Iterable[int]:
        return range(model.layers + 1)

    @override
    def hold(self) -> None:
        return None

    @override
    def decode(self, session: Session) -> Iterator[Step]:
        yield from ()


def open_session(
    prompts: Sequence[Prompt],
    component: Component | None = None,
    *,
    vocab_size: int,
    eos_token_ids: Sequence[int] = (),
    device: torch.device | str = "cpu",
) -> DecodingSession:
    """Open a session on a `TableModel`, with one row per prompt.

    Args:
        prompts: What the rows begin with.
        component: A processor, sampler, criterion or text criterion that acts in it.
        vocab_size: Of the model.
        eos_token_ids: The tokens that end a row.
        device: Where its tensors are.
    """
    acting = () if component is None else (component,)
    sampler = component if isinstance(component, Sampler) else Greedy()
    requests = [
        Request(
            replace(prompt, index=number, eos_token_ids=frozenset(eos_token_ids)),
            Lead(ByHand(), sampler),
            processors=tuple(
                Link(each.name, each) for each in acting if isinstance(each, LogitsProcessor)
            ),
            criteria=tuple(
                Link(each.name, each) for each in acting if isinstance(each, StoppingCriterion)
            ),
            text_criteria=tuple(
                Link(each.name, each) for each in acting if isinstance(each, TextCriterion)
            ),
        )
        for number, prompt in enumerate(prompts)
    ]
    model = TableModel(vocab_size, context_length=4096, device=device)
    letters = Letters()
    session = DecodingSession(Reader(model), letters, letters, requests)
    session.course.refill(len(requests))
    return session


def grow(session: Session, tokens: Sequence[Sequence[int]]) -> None:
    """Append each row's tokens, one after another; rows may take different numbers of them."""
    for step in range(max((len(each) for each in tokens), default=0)):
        session.append([each[step] if step < len(each) else -1 for each in tokens])


def process(
    processor: LogitsProcessor,
    logits: Tensor | Sequence[Sequence[float]],
    rows: Rows | None = None,
) -> Logits:
    """Return what a processor makes of these logits.

    Args:
        processor: It is started in a fresh session that has these rows.
        logits: One list per row.
        rows: Their histories, from `make_rows`; by default each row has the one token 0.

    Raises:
        PluginContractError: It left a row no token, or returned NaN or a wrong shape.
        ValueError: A row is over with its history: it has an end token, or grew too long.
    """
    given = torch.as_tensor(logits)
    session = _session(processor, given, rows)
    session.next_logits()  # so that there are hidden states, for who wants them
    return _sound(session, session.process(given))


def choose(
    sampler: Sampler, logits: Tensor | Sequence[Sequence[float]], rows: Rows | None = None
) -> Tokens:
    """Return the tokens that a sampler picks; see `process`."""
    given = torch.as_tensor(logits)
    session = _session(sampler, given, rows)
    return _sound(session, session.choose(given))


def ends(criterion: StoppingCriterion, rows: Rows, *, vocab_size: int = 50257) -> Mask:
    """Return which of these rows a criterion ends; see `process`."""
    session = open_session([row.prompt for row in rows.records], vocab_size=vocab_size)
    run = criterion.start(session)
    _retrace(session, rows)
    ended = run.check(session.rows)
    if isinstance(ended, list):
        return torch.tensor([reason is not None for reason in ended], dtype=torch.bool)
    return ended


def reweigh(processor: LogitsProcessor, probabilities: Sequence[float]) -> list[float]:
    """Return the distribution that a processor makes of this one, to four digits.

    >>> class Sharpen(LogitsProcessor):
    ...     def process(self, logits, rows):
    ...         return logits * 2
    >>> reweigh(Sharpen(), [0.75, 0.25])
    [0.9, 0.1]
    """
    logits = torch.tensor([probabilities]).log()
    shares = process(processor, logits).softmax(-1)[0]
    return [round(share, 4) for share in shares.tolist()]


def _sound(session: Session, answer: Tensor) -> Tensor:
    """Return an answer, or raise what was wrong with it for some row."""
    for row in session.rows.records:
        if row.failure is not None:
            raise row.failure.cause or PluginContractError(
                f"prompt {row.prompt.index}: {row.failure.what}", plugin=row.failure.component
            )
    return answer


def _session(component: Component, logits: Logits, rows: Rows | None) -> DecodingSession:
    rows = make_rows([[0]] * len(logits)) if rows is None else rows
    session = open_session(
        [row.prompt for row in rows.records],
        component,
        vocab_size=logits.shape[1],
        eos_token_ids=sorted({token for row in rows.records for token in row.prompt.eos_token_ids}),
    )
    _retrace(session, rows)
    return session


def _retrace(session: Session, rows: Rows) -> None:
    """Give the rows of a session the histories of these."""
    grow(session, [row.new_tokens for row in rows.records])
    over = {number: why for number, why in enumerate(session.rows.finish_reason) if why}
    if over:
        message = f"rows end with the history they are given: {over}"
        raise ValueError(message)
