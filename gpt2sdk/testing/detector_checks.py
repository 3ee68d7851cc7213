"""Checks of detectors: p-values that mean what they say."""

import random

from gpt2sdk.components.detector import Detection, Detector
from gpt2sdk.testing.promise import promise

_TEXTS, _TOKENS, _VOCAB_SIZE = 300, 60, 50257
_LEVELS = 0.2, 0.05


def check_detections_come_out(detector: Detector) -> None:
    """Detections with a p-value in [0, 1], counts that fit the text, and 1 for no text."""
    for text in ([], [5], [5, 6, 7] * 9, _texts()[0]):
        found: object = detector.detect(text)
        where = f"{detector!r} of {len(text)} tokens"
        promise(isinstance(found, Detection), f"{where}: {found!r:.60}, expected a Detection")
        assert isinstance(found, Detection)
        promise(0.0 <= found.p_value <= 1.0, f"{where}: a p-value of {found.p_value}")
        promise(found.token_count == len(text), f"{where}: token_count is {found.token_count}")
        promise(0 <= found.count <= len(text), f"{where}: {found.count} tokens were judged")
        promise(found.count or found.p_value == 1.0, f"{where}: found in no judged token")


def check_texts_without_a_mark_are_seldom_found(detector: Detector) -> None:
    """Of random texts about a share `a`, and not many more, has a p-value of `a` or less."""
    found = [detector.detect(text).p_value for text in _texts()]
    for level in _LEVELS:
        share = sum(each <= level for each in found) / len(found)
        most = level + 4.0 * (level * (1.0 - level) / len(found)) ** 0.5
        message = f"{detector!r} finds a mark in {share:.0%} of random texts at p <= {level}"
        promise(share <= most, message)


def check_what_stood_before_is_not_judged(detector: Detector) -> None:
    """Tokens before `start` are context: none of them are counted."""
    text = _texts()[0]
    for start in (0, 7, len(text)):
        found = detector.detect(text, start)
        most = len(text) - start
        where = f"{detector!r} with start={start}"
        promise(found.token_count == most, f"{where}: token_count is {found.token_count}")
        promise(found.count <= most, f"{where}: {found.count} tokens were judged")


def check_the_same_detection_again(detector: Detector) -> None:
    """A text is judged alike whatever was judged before, as a list or a tuple."""
    first, other, *_ = _texts()
    found = detector.detect(first)
    detector.detect(other)
    promise(detector.detect(tuple(first)) == found, f"{detector!r} judges a text in two ways")


def _texts() -> list[list[int]]:
    """Random texts, always the same ones."""
    draw = random.Random(11)  # noqa: S311 - no secret
    return [[draw.randrange(_VOCAB_SIZE) for _ in range(_TOKENS)] for _ in range(_TEXTS)]
