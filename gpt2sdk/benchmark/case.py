"""What is timed: rows of so many tokens that write so many more, with a model of a generator."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch

from gpt2sdk.benchmark.turns import timed
from gpt2sdk.errors import OptionError
from gpt2sdk.generator.generator import Generator

GREEDY: Mapping[str, object] = {"strategy": "greedy"}


@dataclass(frozen=True, slots=True)
class TimedCase:
    """Rows with prompts of one length, all of which write the same number of tokens.

    Attributes:
        rows: How many there are.
        prompt: How many tokens each prompt has.
        new: How many tokens each row writes.
    """

    rows: int
    prompt: int
    new: int

    def check(self, context_length: int) -> None:
        """Make sure that a row fits the window.

        Raises:
            OptionError: It does not.
        """
        if self.prompt + self.new > context_length:
            raise OptionError(
                f"a prompt of {self.prompt} tokens and {self.new} new ones do not fit the context "
                f"of {context_length}: expected fewer",
                name="prompt",
                value=self.prompt,
            )

    def prompts(self, vocabulary: int) -> list[list[int]]:
        """Return random tokens, the same for the same case and vocabulary.

        >>> [len(prompt) for prompt in TimedCase(rows=2, prompt=3, new=1).prompts(10)]
        [3, 3]
        """
        generator = torch.Generator().manual_seed(self.rows)
        drawn: list[list[int]] = torch.randint(
            vocabulary, (self.rows, self.prompt), generator=generator
        ).tolist()
        return drawn

    def passes(self, generator: Generator) -> tuple[float, float]:
        """Run the model alone, taking the likeliest tokens, and return what that takes in seconds.

        Returns:
            The first pass, which reads the prompts, and each later one, on average; 0 for none.
        """
        model = generator.model
        cache, keep = model.make_cache(self.rows), [1] * self.rows
        tokens = self.prompts(model.vocab_size)

        def run() -> None:
            nonlocal tokens
            best = model.score(cache, tokens, keep).logits.argmax(dim=-1)
            tokens = [[token] for token in best.tolist()]

        first, others = timed(run), [timed(run) for _ in range(self.new - 1)]
        return first, sum(others) / max(1, len(others))

    def call(self, generator: Generator, options: Mapping[str, object] = GREEDY) -> float:
        """Return the seconds of a whole call that no end token ends.

        Args:
            generator: What is called.
            options: Of the call.
        """
        prompts = self.prompts(generator.model.vocab_size)
        settings = {"max_new_tokens": self.new, "eos_token_id": None, "seed": 0, **options}
        return timed(
            lambda: generator.generate(prompts, cancel=None, engine=None, config=None, **settings)
        )
