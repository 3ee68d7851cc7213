"""When rows end, and with which reason where several hold at once."""

from collections.abc import Mapping, Sequence
from functools import partial

from torch import Tensor

from gpt2sdk.components.records import Failure, FinishReason
from gpt2sdk.components.rows import Row, Rows
from gpt2sdk.components.stopping import CriterionRun
from gpt2sdk.errors import PluginContractError
from gpt2sdk.pipeline import Started, one_by_one, raising
from gpt2sdk.streaming import Transcript


class Ending:
    """Ends rows by, in this order: end token, constraint, text, other criteria, length.

    Attributes:
        acting: The criterion that is at work, or was when something raised.
        transcript: Where text criteria find their matches; `None` where there are none.
    """

    def __init__(
        self, criteria: Sequence[tuple[Started[CriterionRun], str]], eos_token_ids: frozenset[int]
    ) -> None:
        self.acting = ""
        self.transcript: Transcript | None = None
        self._criteria = tuple(criteria)
        self._eos_token_ids = eos_token_ids

    def settle(self, rows: Rows, tokens: Sequence[int]) -> Mapping[int, Failure]:
        """Give a finish reason to each row that its last token ended.

        Returns:
            The rows that a criterion raises for, by their places.
        """
        found: dict[int, FinishReason] = {}
        failures: dict[int, Failure] = {}
        if self._criteria:
            self._check(rows, tokens, found, failures)
        for place, (row, token) in enumerate(zip(rows.records, tokens, strict=True)):
            if token >= 0:
                row.finish_reason = self._reason(row, place, token, found.get(place))
        return failures

    def _check(
        self,
        rows: Rows,
        tokens: Sequence[int],
        found: dict[int, FinishReason],
        failures: dict[int, Failure],
    ) -> None:
        """Note the first reason of the token criteria for each row that grew."""
        grown = [place for place, token in enumerate(tokens) if token >= 0]
        for started, reason in self._criteria:
            self.acting = started.purpose
            some = rows.select(grown).bound(started.purpose)
            for run, index in started.groups(some):
                part = some if index is None else some.select(index)
                check = partial(self._ended, started.runs[run])
                try:
                    ended = check(0, part)
                except Exception as error:  # noqa: BLE001 - goes on if it is not a single row's
                    made, raised = one_by_one(part, error, check)
                    ended = [any(made.get(at, [])) for at in range(len(part))]
                    for at, each in raised.items():
                        failures[part.index[at]] = raising(started.purpose, each)
                for place, over in zip(part.index, ended, strict=True):
                    if over:
                        found.setdefault(place, reason)
        self.acting = ""

    def _ended(self, run: CriterionRun, _place: int, rows: Rows) -> list[bool]:
        mask = run.check(rows)
        if not isinstance(mask, Tensor) or mask.shape != (len(rows),):
            message = (
                f"{self.acting} returned {mask!r:.60}, expected a truth value for "
                f"each of {len(rows)} rows"
            )
            raise PluginContractError(message, plugin=self.acting)
        ended: list[bool] = mask.tolist()
        return ended

    def _reason(
        self, row: Row, place: int, token: int, found: FinishReason | None
    ) -> FinishReason | None:
        if token in self._eos_token_ids:
            return "end_token"
        if found is not None and found.startswith("constraint"):
            return found
        if self.transcript is not None:
            end = self.transcript.rows[place].end
            if end is not None:
                return end[1]
        if found is None and row.grown >= row.prompt.max_new_tokens:
            return "length"
        return found
