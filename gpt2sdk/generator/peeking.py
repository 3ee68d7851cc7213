"""The distribution of the next token, as a strategy that looks at it and writes one token."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final

import torch
from typing_extensions import override

from gpt2sdk.components.answers import NextToken
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.session import Session, Step
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.asking_words import PEEK_WORDS
from gpt2sdk.generator.beginning import Runtime, begin
from gpt2sdk.generator.prompts import PromptInput, encode_prompts
from gpt2sdk.generator.scored_text import listed
from gpt2sdk.options import Composition, compose, spelled
from gpt2sdk.session.logprobs import likeliest, possible
from gpt2sdk.shapes import Logits
from gpt2sdk.summation import row_sums

_REFUSED: Final = (
    "strategy",
    "sampler",
    "drafter",
    "max_new_tokens",
    "num_return_sequences",
    "stopping",
)


class Peek(Strategy):
    """Shows each prompt's processed logits to a function; the likeliest token ends the row.

    The rows have the room that they have in any call, since there are processors that ask how long
    a text may get.

    Attributes:
        show: Told the index of each prompt, and their logits.
    """

    rows_independent: ClassVar[bool] = True
    chooses: ClassVar[bool] = False

    show: Callable[[list[int], Logits], None]

    @override
    def decode(self, session: Session) -> Iterator[Step]:
        while session.running:
            logits = session.process(session.next_logits())
            seats = [
                seat for seat, row in enumerate(session.rows.records) if row.finish_reason is None
            ]
            if seats:
                prompts = [session.rows.records[seat].prompt.index for seat in seats]
                self.show(prompts, logits[torch.tensor(seats, device=logits.device)])
            step = session.append(logits.argmax(-1))
            session.finish(seats)
            yield step


def peek(
    runtime: Runtime, prompt: PromptInput, count: int, options: Mapping[str, object]
) -> NextToken | list[NextToken]:
    """Return the distribution of each prompt's next token: see `Generator.next_token`."""
    check_options(options, count)
    _, single = listed(prompt, "prompt")
    found: dict[int, NextToken] = {}
    shown = Peek(
        show=lambda prompts, logits: found.update(
            distributions(logits, count, prompts, runtime.tokenizer.decode)
        )
    )
    encoded = encode_prompts(prompt, runtime.tokenizer, runtime.model.vocab_size)
    asked = {**options, "strategy": shown}
    composition = compose(asked, registry=runtime.registry, prompts=len(encoded))
    check_chain(composition)
    call = begin(
        runtime, encoded, composition, engine=None, streaming=False, cancelled=lambda: False
    )
    deque(call.submit().deltas(), maxlen=0)
    ordered = [found[index] for index in range(len(encoded))]
    return ordered[0] if single else ordered


def distributions(
    logits: Logits, count: int, prompts: list[int], decode: Callable[[list[int]], str]
) -> dict[int, NextToken]:
    """Return the distributions that logits stand for, by prompt.

    Args:
        logits: A line for each prompt.
        count: How many of the likeliest tokens to name.
        prompts: The prompts' indices.
        decode: Tokens to text.

    >>> row = torch.tensor([[0.5, 0.0, 0.5]]).log()
    >>> found = distributions(row, 3, [4], lambda tokens: "abc"[tokens[0]])[4]
    >>> found.tokens, found.support, round(found.entropy, 4)
    ((0, 2), 2, 0.6931)
    """
    values, ids = likeliest(logits, count)
    logprobs = logits.log_softmax(-1)
    entropies = -row_sums((logprobs.exp() * logprobs).nan_to_num(0.0))[:, 0]
    supports = (logits > -torch.inf).sum(-1)
    columns = (ids.tolist(), values.tolist(), supports.tolist(), entropies.tolist())
    found = {}
    for prompt, row, numbers, support, entropy in zip(prompts, *columns, strict=True):
        pairs = possible(row, numbers, count)
        tokens = tuple(token for token, _ in pairs)
        texts = tuple(decode([token]) for token in tokens)
        found[prompt] = NextToken(
            tokens, texts, tuple(value for _, value in pairs), support, entropy, prompt
        )
    return found


def check_options(options: Mapping[str, object], count: object) -> None:
    """Refuse what has no part in the distribution of one token.

    Raises:
        OptionError: An option is of that kind, or the count is none.
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        message = f"n is {count!r:.60}, expected how many tokens to name: 1 or more"
        raise OptionError(message, name="n", value=count)
    for name in options:
        known = PEEK_WORDS.get(spelled(name))
        if known is not None or spelled(name) in _REFUSED:
            hint = known.hint if known else "it takes what acts on logits"
            message = f"{name} is no option of next_token: {hint}"
            raise OptionError(message, name=name, value=options[name])


def check_chain(composition: Composition) -> None:
    """Refuse criteria, which would never be asked.

    Raises:
        OptionError: There is one that does not act on logits.
    """
    for entry in composition.entries:
        if not isinstance(entry.component, LogitsProcessor):
            name = entry.component.name if entry.component else entry.why
            message = f"{name} is no option of next_token: it ends rows, and none is written"
            raise OptionError(message, name=name)
