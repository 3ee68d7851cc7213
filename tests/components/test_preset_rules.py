"""What regular expressions of presets may be."""

import re

import pytest

from gpt2sdk.components.preset_rules import check_patterns


@pytest.mark.parametrize(
    "pattern",
    [
        r"\n\d+\.",
        r"\s*(?:END|FIN|STOP)\s*",
        r"(?i)the end",
        r"[.!?]\s",
        r"(?<=a)b(?!c)",
        r"\d{1,4}-\d{1,2}",
        r"^#+ ",
        "x" * 256,
        "(?:abc){40}",
        "(",
        3,
    ],
    ids=lambda value: str(value)[:20],
)
def test_plain_expressions_pass(pattern):
    assert None is check_patterns(pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(?:ab?)*", "repeats what may match in several ways"),
        ("(?:a+b)+", "repeats what may match in several ways"),
        ("(?:ab|cd)*", "repeats what may match in several ways"),
        ("(?:ab?){20}", "repeats what may match in several ways"),
        (r"(a)\1", "refers to a group"),
        ("a*b*c*", "has 3 loops, a preset may have 2"),
        ("a{0,99}b{5,99}c+", "has 3 loops"),
        ("a?b?c?d?e?f?g?", "has 128 choices, a preset may have 100"),
        ("x" * 1001, "has a regular expression of 1001 characters, a preset may have 1000"),
        (["a"] * 17, "has 17 regular expressions, a preset may have 16"),
    ],
    ids=lambda value: str(value)[:20],
)
def test_expressions_with_too_many_ways_to_match_are_refused(pattern, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        check_patterns(pattern)
