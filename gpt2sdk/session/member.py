"""A member of an engine: a session, and how far its strategy has got."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpt2sdk.components.session import Step
from gpt2sdk.session.course import Course
from gpt2sdk.session.decoding import DecodingSession
from gpt2sdk.session.request import Request


@dataclass(eq=False, slots=True)
class Member:
    """A session, and its strategy where it stands; `None` before it has begun."""

    session: DecodingSession
    course: Course
    steps: Iterator[Step] | None = None

    @property
    def independent(self) -> bool:
        """Whether its rows may come and go."""
        return self.course.lead.strategy.rows_independent


def grouped(requests: Sequence[Request], batch_size: int) -> list[Sequence[Request]]:
    """Return requests in groups that become rows of one session.

    Args:
        requests: Those of a call.
        batch_size: How many are in one group where a strategy compares rows.
    """
    by_lead: dict[object, list[Request]] = {}
    for request in requests:
        by_lead.setdefault(request.lead.identity, []).append(request)
    groups: list[Sequence[Request]] = []
    for group in by_lead.values():
        size = len(group) if group[0].lead.strategy.rows_independent else batch_size
        groups += [group[at : at + size] for at in range(0, len(group), size)]
    return groups
