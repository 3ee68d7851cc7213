"""`gpt2sdk plugins check`: every component of a plugin, with a table and an exit code."""

import json
import re

import pytest

GOOD = '''
"""A good plugin."""

from gpt2sdk import hookimpl


@hookimpl
def gpt2sdk_components():
    """Return the components."""
    from typing import Annotated

    from pydantic import Field

    from gpt2sdk import LogitsProcessor

    class Cooler(LogitsProcessor):
        """Divides logits."""

        cooler: Annotated[float, Field(gt=0.0, description="By this; 1 is off.")] = 1.0

        def process(self, logits, rows):
            return logits / self.cooler

    return (Cooler,)
'''
BAD = '''
"""A plugin that couples rows, imports torch at once, and has one with a needed option."""

import torch
from typing import Annotated

from pydantic import Field

from gpt2sdk import LogitsProcessor, hookimpl


class Coupled(LogitsProcessor):
    """Subtracts the batch's mean."""

    coupled: Annotated[float, Field(description="How often.", examples=[2.0])] = 0.0

    def process(self, logits, rows):
        finite = logits.nan_to_num(0.0, 0.0, 0.0)
        return logits - self.coupled * finite.mean(0) if self.coupled else logits


class Needy(LogitsProcessor):
    """Needs a word."""

    needy: Annotated[str, Field(pattern="yes|no", description="Whether.")] = "no"

    def process(self, logits, rows):
        return logits / 2 if self.needy == "yes" else logits


@hookimpl
def gpt2sdk_components():
    """Return the components."""
    return (Coupled, Needy)
'''


def test_a_good_plugin_passes(invoke, installed):
    installed("good-acme", GOOD)

    ran = invoke("plugins", "check", "good-acme")

    assert (0, "") == (ran.exit_code, ran.stderr)
    assert re.search(r"^  good_acme +plugin +4 +0 +passes$", ran.stdout, re.MULTILINE)
    assert re.search(r"^  cooler +logits processor +\d\d +0 +passes$", ran.stdout, re.MULTILINE)


def test_what_a_plugin_breaks_is_told_with_an_exit_code(invoke, installed):
    installed("bad-acme", BAD)

    ran = invoke("plugins", "check", "bad_acme")

    assert 1 == ran.exit_code
    assert "bad_acme imports torch, pydantic: import components in" in ran.stdout
    assert "coupled  broken  a row alone is as in a batch" in ran.stdout
    assert 1 == ran.stdout.count("coupled  broken  a row alone")
    assert "coupled  broken  nothing is nan" not in ran.stdout
    assert "coupled  broken  a prompt alone is as among others" in ran.stdout
    assert "promised: A row's answer does not depend on its neighbours." in ran.stdout
    assert "to do: Take nothing over dimension 0" in ran.stdout
    assert "needy  not tried" in ran.stdout
    assert "-o needy.needy=" in ran.stdout


RIVAL = '''
"""A plugin with an option that another one has."""

from typing import Annotated

from pydantic import Field

from gpt2sdk import LogitsProcessor, hookimpl


class Rival(LogitsProcessor):
    """Subtracts in place, over all rows."""

    rival: Annotated[float, Field(description="How often; 0 is off.", examples=[2.0])] = 0.0
    top_p: Annotated[float, Field(description="A name that is taken.")] = 1.0
    seed: Annotated[int, Field(description="A name of every call.")] = 1

    def process(self, logits, rows):
        return logits.sub_(self.rival * logits.mean(0))


@hookimpl
def gpt2sdk_components():
    """Return the components."""
    return (Rival,)
'''


def test_options_that_others_have_and_all_that_is_broken_are_told(invoke, tmp_path):
    (tmp_path / "rival.py").write_text(RIVAL)

    ran = invoke("plugins", "check", "rival", "--plugin", str(tmp_path / "rival.py"), "--json")

    found = {each["check"]: each for each in json.loads(ran.stdout)}
    taken = found["its_options_are_its_own"]["message"]
    assert "rival.top_p is an option of the logits processor top_p of gpt2sdk-sampling" in taken
    assert "rival.seed is an option of every call" in taken
    broken = {name for name, each in found.items() if each["passed"] is False}
    assert broken >= {
        *("nothing_is_nan", "logits_are_not_changed_in_place", "a_row_alone_is_as_in_a_batch"),
        *("a_prompt_alone_is_as_among_others", "the_same_again"),
    } - {"the_same_again"}


def test_values_to_check_with_can_be_given(invoke, installed):
    installed("bad-acme", BAD)

    ran = invoke("plugins", "check", "bad-acme", "-o", "needy.needy=yes", "--json")

    found = json.loads(ran.stdout)
    assert {True} == {each["passed"] for each in found if each["subject"] == "needy"}


def test_a_plugin_in_one_file_is_checked(invoke, tmp_path):
    (tmp_path / "mine.py").write_text(GOOD)

    ran = invoke("plugins", "check", "mine", "--plugin", str(tmp_path / "mine.py"))

    assert 0 == ran.exit_code
    assert "cooler" in ran.stdout


def test_a_plugin_that_cannot_be_loaded_fails(invoke, installed):
    installed("broken-acme", "import acme_core")

    ran = invoke("plugins", "check", "broken-acme")

    assert 1 == ran.exit_code
    assert "No module named 'acme_core'" in ran.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "there is no plugin 'nothing': there are"),
        (["stoping"], "there is no plugin 'stoping': did you mean stopping?"),
        (["top_p"], "it is the logits processor top_p of gpt2sdk-sampling"),
        (["mine.py"], "check a file with --plugin mine.py"),
        (["stopping", "-o", "top_p=0.9"], "expected component.option=value"),
        (["stopping", "-o", "stop.what=3"], "expected component.option=value"),
        (["stopping", "-o", "top_p.top_p=0.9"], "gpt2sdk-stopping 0.1.0 has no component top_p"),
    ],
)
def test_what_is_not_there_is_said(invoke, arguments, message):
    ran = invoke("plugins", "check", *arguments)

    assert 2 == ran.exit_code
    assert message in ran.stderr


@pytest.mark.slow
def test_the_plugins_that_ship_pass(invoke):
    ran = invoke("plugins", "check", "stopping", "--json")

    assert 0 == ran.exit_code
    assert {True} == {each["passed"] for each in json.loads(ran.stdout)}
