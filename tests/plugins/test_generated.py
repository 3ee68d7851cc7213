"""What is generated from the first-party plugins is what they offer now."""

import importlib.util
import re
from pathlib import Path

import pytest

from gpt2sdk.plugins.known import COMMANDS, KNOWN
from gpt2sdk.plugins.registry import Registry

ROOT = Path(__file__).resolve().parents[2]


def load(name):
    path = ROOT / "scripts" / f"{name}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def script():
    """Return the script that writes the generated files."""
    return load("make_component_stub")


def test_generated_files_are_up_to_date(script):
    stale = [path.name for path, text in script.generated().items() if path.read_text() != text]

    assert [] == stale, "run scripts/make_component_stub.py"


def test_the_page_of_names_is_up_to_date():
    script = load("make_names_page")

    assert script.page() == script.PAGE.read_text(encoding="utf-8"), "run scripts/make_names_page"


def test_the_page_of_support_is_up_to_date():
    script = load("make_support_page")

    assert script.page() == script.PAGE.read_text(encoding="utf-8"), "run scripts/make_support_page"


def test_the_page_of_support_has_every_component_of_decoding():
    lines = load("make_support_page").page().splitlines()

    assert "| `min_p` | ✓ | ✓ | ✓ | ✓ | ✓ | ✓ | ✓ | – |" in lines
    assert "| `smc` | – | – | – | – | – | – | – | ✓ |" in lines
    assert "| `draft_model` | ✓ | ✓ | ✓ | ✓ | ✓ | ✓ | ✓ | – |" in lines
    assert "| `dry_multiplier` | – | – | – | ✓ | ✓ | – | ✓ | – |" in lines
    assert "| `prompt_lookup` | ✓ | ✓ | ✓ | ✓ | ✓ | – | – | – |" in lines


def test_the_page_of_support_says_what_is_not_here():
    lacking = load("make_support_page").page().partition("## What is not here")[2]

    assert "- `infill` of llama.cpp: there is no built-in sampler for filling in" in lacking
    assert "- `lz_penalty`: there is no built-in penalty" in lacking


def test_the_page_of_names_has_every_option_of_decoding():
    page = load("make_names_page").page()
    roles = [role for kinds in load("make_support_page").ROLES.values() for role in kinds]
    options = {
        option
        for offer in Registry().offers()
        if issubclass(offer.component, tuple(roles))
        and offer.origin.distribution.startswith("gpt2sdk-")
        for option in offer.component.option_names()
    }

    first = {
        name
        for line in page.splitlines()
        if line.startswith("| `")
        for name in re.findall(r"`(\w+)`", line.split("|")[1])
    }
    assert {"top_p", "max_accepts", "repetition_detection_min_count"} <= options
    assert [] == sorted(options - first)


def test_the_page_of_names_has_what_programs_call_an_option():
    page = load("make_names_page").page()

    assert "| `top_h` | `top_h` | – | – | – | – |" in page
    assert "| `encoder_no_repeat_ngram_size` | `encoder_no_repeat_ngram_size` |" in page
    assert "`temp` (mlx-lm)" in page
    assert "greedy_search" not in page


def test_a_new_component_makes_them_stale(script):
    offers = script.first_party()

    assert script.stub(offers) != script.stub(offers[:-1] + offers[:1])
    assert script.known(offers, {}) != script.known(
        [offer for offer in offers if offer.origin.distribution != "gpt2sdk-sampling"], {}
    )


def test_a_new_command_makes_them_stale(script):
    found = script.commands(script.own_registry())

    assert found == COMMANDS
    assert script.known((), found) != script.known((), {**found, "new": "gpt2sdk-train"})


def test_every_known_name_says_what_to_install():
    registry = Registry(discover=False)

    for distribution, names in KNOWN.items():
        for name in names.split():
            owners = {d for d, words in KNOWN.items() if name in words.split()}
            assert any(f"pip install {owner}" in registry.remedy(name) for owner in owners)
            assert distribution in owners


def test_the_core_installs_nothing_for_its_own_names():
    registry = Registry(discover=False)

    assert "" == registry.remedy("greedy")
