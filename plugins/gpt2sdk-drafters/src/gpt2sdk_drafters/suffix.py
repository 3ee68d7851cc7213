"""Suffix decoding: what most often followed the last tokens, in this text and finished ones."""

from collections import deque
from collections.abc import Sequence
from typing import Annotated

from jaxtyping import Int
from pydantic import Field
from torch import Tensor
from typing_extensions import override

from gpt2sdk import Drafter, DrafterRun, Rows, Session
from gpt2sdk_drafters.drafting_model import padded
from gpt2sdk_drafters.written_text import RUNS, WrittenText, follow

_PLACES = 256
"""From so many places on, older texts are not looked at."""


class Suffix(Drafter):
    """Proposes what most often followed a row's last tokens, in its text or in finished ones.

    The longest run of last tokens that stands anywhere else counts. The latest 64 occurrences in
    each text are looked at, and some 256 in all, first in the row's own text. Of what follows
    them, the most frequent token is proposed, then the one that most often follows that, and so
    on. A proposal has at most `suffix_decoding_max_spec_factor` times as many tokens as the run,
    and ends where less than `suffix_decoding_min_token_prob` of the occurrences goes on so.

    Finished texts are those of rows whose seats others took over, in calls with equal strategy,
    sampler and drafter on one engine: a long list of prompts, many samples, a server. What they
    say changes the speed only. Rows at work are not looked at by others. It costs no model; a
    token takes about 170 bytes, so 256 texts of 1,000 tokens 44 MB.

    Oliaro et al., "SuffixDecoding: extreme speculative decoding for emerging AI applications",
    2024, arXiv:2411.04975. The options are vLLM's. There trees of all suffixes are kept, here the
    places of runs; and a path must keep its part of all occurrences, not of those with the token
    before.

    Example:
        After `1 2` stood `3` twice, and `4` once; after `1 2 3` once `1`, and `0` later. Two
        tokens were found again, so two are proposed.

        >>> from gpt2sdk.testing import make_rows
        >>> run = SuffixRun(Suffix())
        >>> run.propose(make_rows([[1, 2, 3, 1, 2, 4, 1, 2, 3, 0, 1, 2]]), 3).tolist()
        [[3, 0, -1]]
    """

    suffix_decoding_max_tree_depth: Annotated[
        int, Field(ge=1, description="Most last tokens that are looked for.")
    ] = 24
    suffix_decoding_max_cached_requests: Annotated[
        int, Field(ge=0, description="How many finished texts are looked at, the latest ones.")
    ] = 256
    suffix_decoding_max_spec_factor: Annotated[
        float, Field(gt=0.0, description="Proposed tokens for each one that was found again.")
    ] = 1.0
    suffix_decoding_min_token_prob: Annotated[
        float, Field(ge=0.0, le=1.0, description="Least part of the occurrences that goes on so.")
    ] = 0.1

    @override
    def start(self, session: Session) -> DrafterRun:
        return SuffixRun(self)


class SuffixRun:
    """The texts of a session: of each seat, and finished ones."""

    def __init__(self, options: Suffix) -> None:
        """Start with nothing.

        Args:
            options: How it looks.
        """
        self._options = options
        self._own: dict[int, tuple[object, WrittenText]] = {}
        self._finished: deque[WrittenText] = deque(
            maxlen=options.suffix_decoding_max_cached_requests
        )

    def propose(self, rows: Rows, k: int) -> Int[Tensor, "rows k"]:
        """Return up to `k` next tokens for each of these rows, padded with -1."""
        texts = [
            self._text(seat, (row.prompt, row.lane), row.tokens)
            for seat, row in zip(rows.index, rows.records, strict=True)
        ]
        return padded([self._follow(text, k) for text in texts], k, rows)

    def _text(self, seat: int, owner: object, history: Sequence[int]) -> WrittenText:
        """The text of the row that sits there now; a former one's is finished."""
        before, text = self._own.get(seat, (owner, None))
        if text is not None and before != owner:
            self._finished.append(text)
            text = None
        text = text or WrittenText()
        text.agree(history)
        self._own[seat] = owner, text
        return text

    def _follow(self, text: WrittenText, count: int) -> list[int]:
        options, longest = self._options, 0
        found: list[tuple[Sequence[int], int]] = []
        for each, place in self._candidates(text):
            size = each.agreeing(text.tokens, place, options.suffix_decoding_max_tree_depth)
            if size > longest:
                longest, found = size, []
            if size == longest:
                found.append((each.tokens, place))
        most = min(count, int(longest * options.suffix_decoding_max_spec_factor))
        return follow(found, most, options.suffix_decoding_min_token_prob)

    def _candidates(self, text: WrittenText) -> list[tuple[WrittenText, int]]:
        """Places behind the last tokens, the nearest at the end: by three, or else by one."""
        for size in RUNS:
            found: list[tuple[WrittenText, int]] = []
            for each in (text, *reversed(self._finished)):
                found = [*((each, place) for place in each.places(text.tokens, size)), *found]
                if len(found) >= _PLACES:
                    break
            if found:
                return found
        return []
