"""Every component of the distribution keeps the promises of its role."""

from gpt2sdk.testing import parametrize_with_checks
from gpt2sdk_stopping.max_time import MaxTime
from gpt2sdk_stopping.repetition_detection import RepetitionDetection
from gpt2sdk_stopping.stop import Stop
from gpt2sdk_stopping.stop_regex import StopRegex
from gpt2sdk_stopping.stop_token_ids import StopTokenIds

COMPONENTS = [
    MaxTime(max_time=60.0),
    RepetitionDetection(repetition_detection=4, repetition_detection_min_count=2),
    RepetitionDetection(repetition_detection=3, repetition_detection_min_pattern_size=2),
    Stop(stop="aba"),
    Stop(stop=["b", "abc", "cab", "ca ca"]),
    StopRegex(stop_regex="ab?c|[d-f]{2}x"),
    StopRegex(stop_regex=["ab+a", r"\bca\b", "x(?=a)|yz"], stop_regex_max_length=6),
    StopRegex(stop_regex="(?i)AB.C", stop_regex_include=True),
    StopTokenIds(stop_token_ids=[2, 13]),
]


@parametrize_with_checks(COMPONENTS)
def test_conformance(component, check):
    check(component)
