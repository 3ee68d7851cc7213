"""Requests of every kind, each with what the same call in process gives."""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from gpt2sdk import Generator, Result

PROMPTS = (
    "Once upon a time",
    "The king",
    "The old witch said",
    "In the forest there was",
    "Then the youngest brother",
    "Far away, where the swallows fly",
)
KINDS: tuple[Mapping[str, object], ...] = (
    {},
    {"temperature": 0.7, "top_p": 0.9},
    {"min_p": 0.05, "repetition_penalty": 1.2},
    {"strategy": "greedy"},
    {"strategy": "beam", "num_beams": 3},
    {"strategy": "diverse_beam", "num_beams": 4, "num_beam_groups": 2},
    {"strategy": "contrastive_search", "penalty_alpha": 0.6, "top_k": 4},
    {"num_return_sequences": 3, "top_k": 20},
    {"stop": [".", " and"]},
    {"drafter": "prompt_lookup", "temperature": 0.5},
    {"sampler": "mirostat"},
    {"strategy": "best_of_n", "best_of": 3},
    {"strategy": "metropolis_hastings", "num_moves": 4},
    {"strategy": "smc", "num_particles": 4},
    {"choice": ["a wolf", "a king", "nobody"]},
    {"frequency_penalty": 0.5, "presence_penalty": 0.25},
    {"typical_p": 0.8},
    {"no_repeat_ngram_size": 3},
    {"guidance_scale": 1.5, "negative_prompt": "The"},
)
_FIELDS = {
    "max_new_tokens": "max_tokens",
    "num_return_sequences": "n",
    "frequency_penalty": "frequency_penalty",
    "presence_penalty": "presence_penalty",
    "temperature": "temperature",
    "top_p": "top_p",
    "seed": "seed",
    "stop": "stop",
}


@dataclass(frozen=True)
class ServeCase:
    """A request, and the call that it stands for.

    Attributes:
        prompt: What is continued.
        options: How, in our words.
        stream: Whether it is read as it comes.
        cut: After how many events its client hangs up; `None` for never.
    """

    prompt: str
    options: Mapping[str, object]
    stream: bool
    cut: int | None

    @property
    def body(self) -> dict[str, object]:
        """What a client sends."""
        fields = {_FIELDS[name]: value for name, value in self.options.items() if name in _FIELDS}
        own = {name: value for name, value in self.options.items() if name not in _FIELDS}
        more = {"gpt2sdk": own} if own else {}
        return {"prompt": self.prompt, "stream": self.stream, **fields, **more}

    def expected(self, generator: Generator) -> Result:
        """What the call gives in process."""
        return generator.generate(self.prompt, config=self.options)


def serve_case(number: int, most: int = 24) -> ServeCase:
    """Draw a request; the same one for the same number.

    Args:
        number: Which one.
        most: Tokens it may write.
    """
    drawn = random.Random(number)  # noqa: S311 - cases, no secrets
    options = {**drawn.choice(KINDS), "seed": number, "max_new_tokens": drawn.randint(4, most)}
    prompt = " ".join(drawn.sample(PROMPTS, drawn.randint(1, 3)))
    stream = drawn.random() < 0.7
    cut = drawn.randint(1, 6) if stream and drawn.random() < 0.25 else None
    return ServeCase(prompt, options, stream, cut)
