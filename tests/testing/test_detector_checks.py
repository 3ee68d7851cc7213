"""The checks of detectors find what is wrong with them."""

from typing import Annotated

import pytest
from pydantic import Field
from typing_extensions import override

from gpt2sdk import Detection, Detector
from gpt2sdk.testing import check_detector


class Even(Detector):
    """Finds texts of even tokens only, by a fair coin for each distinct one."""

    even: Annotated[bool, Field(description="Nothing but the switch.")] = False

    @override
    def detect(self, tokens, start=0):
        judged = set(tokens[start:])
        odd = sum(token % 2 for token in judged)
        log_p = 0.0 if odd else -0.6931471805599453 * len(judged)
        return Detection(
            log_p, float(not odd), 0.5, 0.5 if judged else 0.0, len(judged), len(tokens) - start
        )


class Eager(Even):
    """Finds every text."""

    name = "eager"

    @override
    def detect(self, tokens, start=0):
        return Detection(-5.0, 1.0, 0.0, 1.0, len(tokens) - start, len(tokens) - start)


class Blind(Even):
    """Judges what stood before."""

    name = "blind"

    @override
    def detect(self, tokens, start=0):
        return super().detect(tokens)


def test_a_sound_detector_passes():
    check_detector(Even(even=True))


@pytest.mark.parametrize(
    ("detector", "said"),
    [(Eager(even=True), "found in no judged token"), (Blind(even=True), "start=7")],
)
def test_broken_promises_are_found(detector, said):
    with pytest.raises(AssertionError, match=said):
        check_detector(detector)
