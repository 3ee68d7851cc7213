"""Replay: given continuations are written token by token, and judged as if they had been drawn."""

from collections.abc import Iterator
from typing import Annotated

import torch
from pydantic import BeforeValidator, Field

from gpt2sdk import OptionError, Prompt, Session, Step, strategy, tokens_of

Written = str | tuple[int, ...]


def _several(written: object) -> object:
    """One continuation stands for itself; a list of ids is one."""
    one = isinstance(written, str) or (
        isinstance(written, tuple) and all(isinstance(token, int) for token in written)
    )
    return (written,) if one else written


Continuations = Annotated[
    tuple[Written, ...],
    BeforeValidator(_several),
    Field(
        min_length=1,
        description="What is written: a text or token ids, the same for each prompt; or a list of "
        "these, one for each prompt.",
    ),
]


@strategy(rows_independent=True, draws=False)
def replay(session: Session, *, continuation: Continuations) -> Iterator[Step]:
    """Write what is given.

    Of a list each prompt takes the entry at its place; entries beyond the last prompt are left
    over, unseen. What is longer than `max_new_tokens` is cut there, with the reason `"length"`.

    With `logprobs=0` each token comes with the model's own log-probability, and with that under
    the call's processors. Criteria act, so a row may end before all is written; one that has
    written everything ends with the reason `"strategy"`. A token that a processor rules out is not
    written: the row ends before it with the reason `"ruled_out"`.

    A text is cut into tokens by itself, without the prompt, so a word wants the blank before it;
    special tokens in it are the tokens they name. A drafter may guess ahead, as always.

    Raises:
        OptionError: There are several continuations, but not one for each prompt; or a token that
            the model does not have.
    """
    written: dict[int, tuple[int, ...]] = {}

    def script(prompt: Prompt) -> tuple[int, ...]:
        place = prompt.index if len(continuation) > 1 else 0
        if place not in written:
            written[place] = _tokens(session, continuation, place)
        return written[place]

    scripts = session.per_row(script, lambda tokens, token, logits: tokens)
    while session.running:
        logits = session.process(session.next_logits())
        tokens = [
            each[row.grown] if row.grown < len(each) else -1
            for row, each in zip(session.rows.records, scripts[session.rows], strict=True)
        ]
        places = torch.tensor(tokens, device=logits.device)[:, None]
        out = logits.gather(1, places.clamp(min=0)).isneginf() & (places >= 0)
        session.finish(out[:, 0].nonzero()[:, 0], "ruled_out")
        step = session.append(tokens)
        rows = zip(session.rows.records, scripts[session.rows], strict=True)
        session.finish([seat for seat, (row, each) in enumerate(rows) if row.grown >= len(each)])
        yield step


def _tokens(session: Session, continuation: tuple[Written, ...], place: int) -> tuple[int, ...]:
    """Return the tokens of a continuation.

    Raises:
        OptionError: There is none at this place, or it has a token that the model does not have.
    """
    if place >= len(continuation):
        raise OptionError(
            f"continuation has {len(continuation)} entries, but there is a prompt {place}: "
            "expected one for each prompt, or one for all",
            name="continuation",
            expected="an entry for each prompt",
        )
    written = continuation[place]
    # Nothing is a continuation, too.
    return tokens_of(written, session, "continuation") if written else ()
