"""What is installed: entry points of the group `gpt2sdk`, without importing any of them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, EntryPoint, distributions

from packaging.requirements import InvalidRequirement, Requirement

from gpt2sdk.plugins.origin import Origin

GROUP = "gpt2sdk"
ALLOW_LIST = "GPT2SDK_PLUGINS"


@dataclass(frozen=True, slots=True)
class Candidate:
    """An installed entry point.

    Attributes:
        origin: Where it comes from.
        entry_point: What loads it.
        requires: The requirements of its distribution, one `Requires-Dist` each.
    """

    origin: Origin
    entry_point: EntryPoint
    requires: tuple[str, ...]

    @property
    def key(self) -> str:
        """What tells it from every other plugin."""
        return f"{self.origin.distribution}:{self.origin.plugin}"

    def rivals(self, other: "Candidate") -> bool:
        """Whether both claim one name."""
        return self.origin.plugin == other.origin.plugin and self.origin != other.origin


def installed() -> list[Candidate]:
    """Return the entry points, by distribution and name whatever the order on disk.

    A distribution that is found twice (`lib` and `lib64`, leftovers of an editable install)
    counts once, the first on `sys.path`; so does a target that two distributions name alike.
    """
    found: dict[str, list[Candidate]] = {}
    for distribution in distributions():
        candidates = _candidates(distribution)
        if candidates:
            found.setdefault(candidates[0].origin.distribution, candidates)
    by_target: dict[tuple[str, str], Candidate] = {}
    for _, candidates in sorted(found.items()):
        for candidate in sorted(candidates, key=lambda each: each.entry_point.name):
            by_target.setdefault((candidate.origin.plugin, candidate.origin.target), candidate)
    return list(by_target.values())


def normalized(distribution: str) -> str:
    """Spell a distribution's name as package indexes compare it.

    >>> normalized("GPT2SDK_Sampling")
    'gpt2sdk-sampling'
    """
    return re.sub(r"[-_.]+", "-", distribution).lower()


def unmet(requires: Iterable[str], version: str) -> str | None:
    """Return the requirement on gpt2sdk that this version does not meet.

    >>> unmet(["torch>=2", "gpt2sdk>=0.1,<0.2"], "0.2.0")
    'gpt2sdk<0.2,>=0.1'
    """
    for text in requires:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        if normalized(requirement.name) != GROUP:
            continue
        applies = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
        if applies and not requirement.specifier.contains(version, prereleases=True):
            return str(requirement)
    return None


def allow_list(environment: Mapping[str, str]) -> frozenset[str] | None:
    """Return the plugins that `GPT2SDK_PLUGINS` allows; `None` where it is not set.

    >>> sorted(allow_list({"GPT2SDK_PLUGINS": "sampling, gpt2sdk_acme"}))
    ['gpt2sdk-acme', 'sampling']
    """
    names = environment.get(ALLOW_LIST)
    if names is None:
        return None
    return frozenset(normalized(name.strip()) for name in names.split(",") if name.strip())


def matches(origin: Origin, names: frozenset[str]) -> frozenset[str]:
    """Return which of these names mean this plugin: its own or its distribution's."""
    return names & {normalized(origin.plugin), normalized(origin.distribution)}


def _candidates(distribution: Distribution) -> list[Candidate]:
    """Return the entry points of one distribution; what a stranger's left broken has none."""
    try:
        points = list(distribution.entry_points.select(group=GROUP))
        if not points:
            return []
        name, version = normalized(distribution.metadata["Name"]), distribution.version
        requires = tuple(distribution.requires or ())
    except Exception:  # noqa: BLE001 - whatever lies in site-packages must not stop us
        return []
    return [
        Candidate(Origin(point.name, name, version, point.value), point, requires)
        for point in points
    ]
