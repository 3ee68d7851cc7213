"""What `/v1/chat/completions` answers: as a whole, or chunk by chunk."""

from collections.abc import Iterator
from typing import Any

from gpt2sdk import Completion, Delta, Result
from gpt2sdk_serve.answer import Frame, TextAnswer, of_completion
from gpt2sdk_serve.chat_fields import ChatFields
from gpt2sdk_serve.finish import finish_reason
from gpt2sdk_serve.logprobs import Told, chat_logprobs
from gpt2sdk_serve.text_job import TextJob


class ChatAnswer(TextAnswer):
    """Writes what a chat is answered with."""

    def __init__(self, frame: Frame, fields: ChatFields, job: TextJob) -> None:
        """Take what it is made of.

        Args:
            frame: What all its parts have.
            fields: The request.
            job: The request on its way.
        """
        super().__init__(frame, fields, job)
        self._count = fields.n or 1
        self._logprobs = bool(fields.logprobs)

    def body(self, result: Result) -> dict[str, Any]:
        """Return the whole answer."""
        return self._of_all([self._whole(each) for each in result.completions], result)

    def first_chunks(self) -> Iterator[dict[str, Any]]:
        """Yield for each answer who speaks."""
        for index in range(self._count):
            yield self._said(index, {"role": "assistant", "content": ""})

    def chunks(self, delta: Delta) -> Iterator[dict[str, Any]]:
        """Yield what is sent of a delta: its text, and why the answer ended if it has."""
        index = delta.sample_index
        if delta.text or delta.tokens:
            logprobs = self._told(delta)
            said: dict[str, Any] = {"content": delta.text}
            yield self._said(index, said, logprobs=logprobs, tokens=delta.tokens)
        if delta.completion is not None:
            chunk = self._said(index, {}, reason=finish_reason(delta.finish_reason))
            chunk["choices"][0]["gpt2sdk"] = of_completion(self._job, delta.completion)
            yield chunk

    def _whole(self, completion: Completion) -> dict[str, Any]:
        choice: dict[str, Any] = {
            "index": completion.sample_index,
            "message": {"role": "assistant", "content": completion.text, "refusal": None},
            "logprobs": self._told(completion),
            "finish_reason": finish_reason(completion.finish_reason),
        }
        if self._with_ids:
            choice["token_ids"] = list(completion.tokens)
            choice["prompt_token_ids"] = list(self._job.prompts.tokens[0])
        return {**choice, "gpt2sdk": of_completion(self._job, completion)}

    def _said(
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
        if self._with_ids:
            choice["token_ids"] = list(tokens)
        return self._chunk(choice, len(tokens))

    def _told(self, made: Completion | Delta) -> dict[str, Any] | None:
        return chat_logprobs(Told.of(made), self._job.served.words) if self._logprobs else None
