"""Prompts that stand before their completions, with what the model thinks of them."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gpt2sdk import Score
from gpt2sdk_serve.job import ServedJob
from gpt2sdk_serve.logprobs import Told, completion_logprobs
from gpt2sdk_serve.prompts import Prompts
from gpt2sdk_serve.served_model import ServedModel


@dataclass(frozen=True, slots=True)
class Echo:
    """A prompt that stands before its completions.

    Attributes:
        text: The prompt.
        said: What is told of its tokens; `None` where nothing is.
    """

    text: str
    said: dict[str, list[Any]] | None = None

    def before(self, found: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """Put what is told of the prompt before what is told of its completion."""
        if self.said is None:
            return found
        return {name: [*self.said[name], *values] for name, values in found.items()}


async def read_echoes(job: ServedJob, logprobs: int | None) -> list[Echo]:
    """Return the prompts as they stand before their completions.

    Args:
        job: The request that has the prompts, under way where their tokens are told of.
        logprobs: How many of the likeliest tokens are told of each; `None` for nothing.

    Raises:
        RequestError: The job ended before.
        GenerationError: The model's logits are no numbers.
    """
    prompts, served = job.prompts, job.served
    texts = [
        one if isinstance(one, str) else served.generator.tokenizer.decode(one)
        for one in prompts.written
    ]
    if logprobs is None:
        return [Echo(text) for text in texts]
    told = await job.read(lambda cancel: _judged(prompts, served, logprobs, cancel))
    words = served.words
    echoes = []
    for one, text, each in zip(prompts.written, texts, told, strict=True):
        meter = words.meter(special=not isinstance(one, str))
        said = completion_logprobs(each, words, meter)
        # Of the first token nobody can say how likely it is.
        said["token_logprobs"][0] = said["top_logprobs"][0] = None
        echoes.append(Echo(text, said))
    return echoes


def _judged(
    prompts: Prompts, served: ServedModel, top: int, cancel: threading.Event
) -> Sequence[Told]:
    """Score all tokens but the first of each prompt."""
    longer = [list(tokens) for tokens in prompts.tokens if len(tokens) > 1]
    scores: list[Score] = []
    if longer:
        scores = served.generator.score(longer, bos=False, top=top, cancel=cancel)
    found = iter(scores)
    told = []
    for tokens in prompts.tokens:
        score = next(found) if len(tokens) > 1 else None
        logprobs = score.logprobs if score else ()
        tops = (score.top_logprobs if score else ()) or ((),) * len(logprobs)
        told.append(Told(tokens, (0.0, *logprobs), ((), *tops)))
    return told
