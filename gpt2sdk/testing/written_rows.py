"""Rows without a session, for trying a component on histories written by hand."""

from collections.abc import Sequence

from gpt2sdk.components.records import Prompt, Row
from gpt2sdk.components.rows import Rows, RowStore
from gpt2sdk.rng import derive


def make_rows(
    histories: Sequence[Sequence[int]],
    *,
    prompt_lengths: Sequence[int] | None = None,
    eos_token_ids: Sequence[int] = (),
    seed: int = 0,
    max_new_tokens: int = 128,
    purpose: str = "",
    cuts: Sequence[Sequence[int]] | None = None,
) -> Rows:
    """Return rows that have these tokens.

    Args:
        histories: Token ids of each row, its prompt included.
        prompt_lengths: How many of them are the prompt; the first token by default.
        eos_token_ids: The tokens that end a row.
        seed: Each row is a prompt of its own, seeded as prompt `i` of a call with this seed.
        max_new_tokens: How many tokens each row may grow by.
        purpose: What the rows' random numbers are keyed with.
        cuts: What was cut off each prompt; nothing by default.

    >>> make_rows([[5, 6, 7], [8]]).lengths.tolist()
    [3, 1]
    """
    store = RowStore()
    ends = frozenset(eos_token_ids)
    lengths = [1] * len(histories) if prompt_lengths is None else prompt_lengths
    cuts = [()] * len(histories) if cuts is None else cuts
    for number, (history, length, cut) in enumerate(zip(histories, lengths, cuts, strict=True)):
        tokens, row_seed = tuple(history[:length]), derive(seed, number)
        prompt = Prompt(
            number, tokens, row_seed, max_new_tokens, eos_token_ids=ends, cut=tuple(cut)
        )
        row = Row(prompt, lane=0, tokens=list(history), draws=len(history) - length)
        store.admit(number, row)
    return Rows(store, purpose=purpose)
