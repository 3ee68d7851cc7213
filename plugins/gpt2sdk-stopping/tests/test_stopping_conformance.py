"""Every component of the distribution keeps the promises of its role."""

from gpt2sdk.testing import parametrize_with_checks
from gpt2sdk_stopping.max_time import MaxTime
from gpt2sdk_stopping.stop import Stop
from gpt2sdk_stopping.stop_token_ids import StopTokenIds

COMPONENTS = [
    MaxTime(max_time=60.0),
    Stop(stop="aba"),
    Stop(stop=["b", "abc", "cab", "ca ca"]),
    StopTokenIds(stop_token_ids=[2, 13]),
]


@parametrize_with_checks(COMPONENTS)
def test_conformance(component, check):
    check(component)
