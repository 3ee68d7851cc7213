"""What the server has done so far, in the text format of Prometheus."""

import bisect
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Labels = tuple[tuple[str, str], ...]

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(slots=True)
class Counter:
    """A number that grows, for each combination of labels."""

    name: str
    description: str
    values: dict[Labels, int] = field(default_factory=dict)

    def add(self, amount: int = 1, **labels: str) -> None:
        """Let it grow."""
        key = tuple(sorted(labels.items()))
        self.values[key] = self.values.get(key, 0) + amount

    def lines(self) -> Iterable[str]:
        """Yield its lines."""
        return exposed(self.name, "counter", self.description, self.values)


@dataclass(slots=True)
class Histogram:
    """How often something took how long, for each combination of labels."""

    name: str
    description: str
    bounds: Sequence[float] = _SECONDS
    _counts: dict[Labels, list[int]] = field(default_factory=dict)
    _sums: dict[Labels, float] = field(default_factory=dict)

    def note(self, seconds: float, **labels: str) -> None:
        """Count one more."""
        key = tuple(sorted(labels.items()))
        counts = self._counts.setdefault(key, [0] * (len(self.bounds) + 1))
        counts[bisect.bisect_left(self.bounds, seconds)] += 1
        self._sums[key] = self._sums.get(key, 0.0) + seconds

    def mean(self) -> float:
        """How long it took on average; 0 where it never happened."""
        times = sum(map(sum, self._counts.values()))
        return sum(self._sums.values()) / times if times else 0.0

    def lines(self) -> Iterable[str]:
        """Yield its lines."""
        yield f"# HELP {self.name} {self.description}"
        yield f"# TYPE {self.name} histogram"
        for key, counts in self._counts.items():
            below = 0
            for bound, count in zip((*self.bounds, "+Inf"), counts, strict=True):
                below += count
                yield f"{self.name}_bucket{written((*key, ('le', str(bound))))} {below}"
            yield f"{self.name}_sum{written(key)} {self._sums[key]:.6f}"
            yield f"{self.name}_count{written(key)} {below}"


def exposed(name: str, kind: str, description: str, values: Mapping[Labels, int]) -> Iterable[str]:
    """Yield the lines of a number for each combination of labels."""
    yield f"# HELP {name} {description}"
    yield f"# TYPE {name} {kind}"
    for key, value in (values or {(): 0}).items():
        yield f"{name}{written(key)} {value}"


def written(labels: Labels) -> str:
    r"""Return labels as they stand behind a name.

    >>> written((("model", 'a "b"'),)), written(())
    ('{model="a \\"b\\""}', '')
    """
    if not labels:
        return ""
    escaped = (
        (key, value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n"))
        for key, value in labels
    )
    return "{" + ",".join(f'{key}="{value}"' for key, value in escaped) + "}"


class ServerMetrics:
    """All that is counted."""

    def __init__(self) -> None:
        self.requests = Counter("gpt2sdk_requests_total", "Requests by path and status.")
        self.prompt_tokens = Counter("gpt2sdk_prompt_tokens_total", "Tokens of prompts.")
        self.new_tokens = Counter("gpt2sdk_generated_tokens_total", "Tokens that were written.")
        self.drafted = Counter("gpt2sdk_drafted_tokens_total", "Tokens that were scored ahead.")
        self.accepted = Counter("gpt2sdk_accepted_tokens_total", "Those of them that were picked.")
        self.cancelled = Counter(
            "gpt2sdk_cancelled_requests_total", "Requests that ended early, and why."
        )
        self.first_token = Histogram(
            "gpt2sdk_time_to_first_token_seconds", "From a request to its first token."
        )
        self.duration = Histogram(
            "gpt2sdk_request_seconds", "From a request to the end of its answer."
        )

    def lines(self) -> Iterable[str]:
        """Yield all lines."""
        for each in (
            self.requests,
            self.prompt_tokens,
            self.new_tokens,
            self.drafted,
            self.accepted,
            self.cancelled,
            self.first_token,
            self.duration,
        ):
            yield from each.lines()
