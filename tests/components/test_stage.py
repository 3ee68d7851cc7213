"""A processor's stage is one of `Stage`, said where its class is defined."""

import pytest

from gpt2sdk import LogitsProcessor, Stage


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("PENALTY", "stage is 'PENALTY', expected Stage.PENALTY$"),
        ("penalty", "expected Stage.PENALTY$"),
        ("PENALTIE", "expected Stage.PENALTY$"),
        (2, "stage is 2, expected Stage.GUIDANCE or Stage.BIAS or"),
    ],
)
def test_what_is_no_stage_is_refused_with_the_class(stage, expected):
    with pytest.raises(TypeError, match=f"^Mine: .*{expected}"):
        type(LogitsProcessor)("Mine", (LogitsProcessor,), {"__module__": __name__, "stage": stage})


def test_a_stage_is_taken():
    members = {"__module__": __name__, "stage": Stage.BIAS}

    assert Stage.BIAS is type(LogitsProcessor)("Mine", (LogitsProcessor,), members).stage
