"""What `/v1/chat/completions` answers: as a whole, or chunk by chunk."""

from collections.abc import Iterator
from typing import Any

from gpt2sdk import Completion, Delta, Result
from gpt2sdk_serve.answer import Frame, extension, of_completion, usage_of
from gpt2sdk_serve.chat_fields import ChatFields
from gpt2sdk_serve.finish import finish_reason
from gpt2sdk_serve.job import Job
from gpt2sdk_serve.logprobs import Told, chat_logprobs


class ChatAnswer:
    """Writes what a chat is answered with."""

    def __init__(self, frame: Frame, fields: ChatFields, job: Job) -> None:
        """Take what it is made of.

        Args:
            frame: What all its parts have.
            fields: The request.
            job: The request on its way.
        """
        self._frame = frame
        self._fields = fields
        self._job = job

    def body(self, result: Result) -> dict[str, Any]:
        """Return the whole answer."""
        usage = usage_of(self._job.prompts.count, result.usage.new_tokens)
        more = extension(self._job, result, record=bool(self._fields.return_record))
        choices = [self._whole(each) for each in result.completions]
        return self._frame.of(choices, usage=usage, gpt2sdk=more)

    def first_chunks(self) -> Iterator[dict[str, Any]]:
        """Yield for each answer who speaks."""
        for index in range(self._fields.n or 1):
            chunk = self._chunk(index, {"role": "assistant", "content": ""})
            # Who stops a stream has no last chunk to read it from.
            yield {**chunk, "gpt2sdk": {"seed": self._job.options.seed}}

    def chunks(self, delta: Delta) -> Iterator[dict[str, Any]]:
        """Yield what is sent of a delta: its text, and why the answer ended if it has."""
        index = delta.sample_index
        if delta.text or delta.tokens:
            logprobs = self._logprobs(delta)
            said: dict[str, Any] = {"content": delta.text}
            yield self._chunk(index, said, logprobs=logprobs, tokens=delta.tokens)
        if delta.completion is not None:
            chunk = self._chunk(index, {}, reason=finish_reason(delta.finish_reason))
            chunk["choices"][0]["gpt2sdk"] = of_completion(self._job, delta.completion)
            yield chunk

    @property
    def has_last_chunk(self) -> bool:
        """Whether a chunk without choices is asked for."""
        options = self._fields.stream_options
        return bool((options and options.include_usage) or self._fields.return_record)

    def last_chunk(self, result: Result) -> dict[str, Any]:
        """Return the chunk without choices, which has the usage of all."""
        usage = usage_of(self._job.prompts.count, result.usage.new_tokens)
        more = extension(self._job, result, record=bool(self._fields.return_record))
        return self._frame.of([], usage=usage, gpt2sdk=more)

    def _whole(self, completion: Completion) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": completion.sample_index,
            "message": {"role": "assistant", "content": completion.text, "refusal": None},
            "logprobs": self._logprobs(completion),
            "finish_reason": finish_reason(completion.finish_reason),
        }
        if self._fields.return_token_ids:
            choice["token_ids"] = list(completion.tokens)
            choice["prompt_token_ids"] = list(self._job.prompts.tokens[0])
        return {**choice, "gpt2sdk": of_completion(self._job, completion)}

    def _chunk(
        self,
        index: int,
        said: dict[str, Any],
        *,
        reason: str | None = None,
        logprobs: dict[str, Any] | None = None,
        tokens: tuple[int, ...] = (),
    ) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": index,
            "delta": said,
            "logprobs": logprobs,
            "finish_reason": reason,
        }
        if self._fields.return_token_ids:
            choice["token_ids"] = list(tokens)
        return self._frame.of([choice])

    def _logprobs(self, made: Completion | Delta) -> dict[str, Any] | None:
        if not self._fields.logprobs:
            return None
        return chat_logprobs(Told.of(made), self._job.served.words)
