"""What `/v1/completions` answers: as a whole, or chunk by chunk."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from gpt2sdk import Completion, Delta, Result
from gpt2sdk_serve.answer import Frame, TextAnswer, of_completion
from gpt2sdk_serve.completion_fields import CompletionFields
from gpt2sdk_serve.echo import Echo
from gpt2sdk_serve.finish import finish_reason
from gpt2sdk_serve.logprobs import Told, completion_logprobs
from gpt2sdk_serve.text_job import TextJob
from gpt2sdk_serve.token_words import OffsetMeter


class CompletionAnswer(TextAnswer):
    """Writes what a request is answered with."""

    def __init__(
        self, frame: Frame, fields: CompletionFields, job: TextJob, echoes: Sequence[Echo]
    ) -> None:
        """Take what it is made of.

        Args:
            frame: What all its parts have.
            fields: The request.
            job: The request on its way.
            echoes: What stands before each prompt's completions; empty for nothing.
        """
        super().__init__(frame, fields, job)
        self._logprobs = fields.logprobs is not None
        self._echoes = echoes
        self._count = fields.n or 1
        self._meters: dict[int, OffsetMeter] = {}

    def body(self, result: Result) -> dict[str, Any]:
        """Return the whole answer."""
        chosen = self._chosen(result.completions)
        return self._of_all([self._whole(each) for each in chosen], result)

    def chunk(self, delta: Delta) -> dict[str, Any]:
        """Return what is sent of a delta."""
        index = delta.prompt_index * self._count + delta.sample_index
        echo = None
        if index not in self._meters:
            self._meters[index] = self._meter(delta.prompt_index)
            echo = self._echoes[delta.prompt_index] if self._echoes else None
        choice = self._choice(index, delta, echo, self._meters[index])
        if delta.completion is not None:
            choice["gpt2sdk"] = of_completion(self._job, delta.completion)
        return self._chunk(choice, len(delta.tokens))

    def _chosen(self, completions: Sequence[Completion]) -> list[Completion]:
        """Return the likeliest of each prompt's completions, where there are more than wanted."""
        if self._job.options.count == self._count:
            return list(completions)
        chosen: list[Completion] = []
        for prompt in range(len(self._job.prompts.tokens)):
            mine = [each for each in completions if each.prompt_index == prompt]
            mine.sort(key=lambda each: -_mean(each))
            chosen += [replace(one, sample_index=at) for at, one in enumerate(mine[: self._count])]
        return chosen

    def _whole(self, completion: Completion) -> dict[str, Any]:
        prompt = completion.prompt_index
        index = prompt * self._count + completion.sample_index
        echo = self._echoes[prompt] if self._echoes else None
        choice = self._choice(index, completion, echo, self._meter(prompt))
        if self._with_ids:
            choice["prompt_token_ids"] = list(self._job.prompts.tokens[prompt])
        return {**choice, "gpt2sdk": of_completion(self._job, completion)}

    def _choice(
        self, index: int, made: Completion | Delta, echo: Echo | None, meter: OffsetMeter
    ) -> dict[str, Any]:
        logprobs = None
        if self._logprobs:
            logprobs = completion_logprobs(Told.of(made), self._job.served.words, meter)
            logprobs = logprobs if echo is None else echo.before(logprobs)
        choice: dict[str, Any] = {
            "index": index,
            "text": made.text if echo is None else echo.text + made.text,
            "logprobs": logprobs,
            "finish_reason": finish_reason(made.finish_reason),
        }
        if self._with_ids:
            choice["token_ids"] = list(made.tokens)
        return choice

    def _meter(self, prompt: int) -> OffsetMeter:
        return self._job.served.words.meter(len(self._echoes[prompt].text) if self._echoes else 0)


def _mean(completion: Completion) -> float:
    """The mean log-probability of a completion's tokens."""
    numbers = completion.logprobs or ()
    return sum(numbers) / len(numbers) if numbers else 0.0
