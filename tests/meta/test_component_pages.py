"""The reference of components is what the components say now."""

import importlib
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from gpt2sdk import LogitsProcessor, Sampler
from gpt2sdk.plugins.registry import Registry


@pytest.fixture(scope="module")
def script(root):
    """Return the script that writes the pages."""
    sys.path.insert(0, str(root / "scripts"))
    try:
        yield importlib.import_module("make_component_pages")
    finally:
        sys.path.remove(str(root / "scripts"))


@pytest.fixture(scope="module")
def pages(script):
    """Return every page by its name."""
    files = [script.INDEX, *script.PAGES.glob("*.md")]
    return {file.name: file.read_text(encoding="utf-8") for file in files}


@pytest.mark.slow
def test_the_pages_are_up_to_date(root):
    # In a process of its own: annotations need not be checked for pictures.
    command = [sys.executable, root / "scripts" / "make_component_pages.py", "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (0, "") == (run.returncode, run.stdout), "run scripts/make_component_pages.py"


def test_a_page_that_is_not_up_to_date_is_found(script, monkeypatch, tmp_path):
    monkeypatch.setattr(script, "INDEX", tmp_path / "components.md")
    monkeypatch.setattr(script, "PAGES", tmp_path / "components")
    script.PAGES.mkdir()
    script.INDEX.write_text("index")
    (script.PAGES / "old.md").write_text("old")
    (script.PAGES / "gone.md").write_text("gone")
    pages = {script.INDEX: "index", script.PAGES / "old.md": "new", script.PAGES / "b.md": ""}

    assert ["b.md", "gone.md", "old.md"] == script.stale(pages)


def test_every_component_is_on_the_index(pages):
    linked = set(re.findall(r"\(components/([\w-]+\.md)\)", pages["components.md"]))

    assert pages.keys() - {"components.md"} == linked


def test_every_processor_and_sampler_has_a_formula(script):
    offers = Registry().offers(LogitsProcessor, Sampler)

    assert [] == [
        offer.name
        for offer in offers
        if not {offer.name, f"sampler {offer.name}"} & script.FORMULAS.keys()
    ]


def test_no_formula_is_of_a_component_that_is_gone(script):
    names = {offer.name for offer in Registry().offers()}

    assert [] == [each for each in script.FORMULAS if each.split()[-1] not in names]


def test_a_page_has_all_that_is_said_of_a_component(pages):
    page = pages["min_p.md"]

    assert re.findall("^## (.*)$", page, re.MULTILINE) == [
        *("Formula", "Options", "What it does", "Elsewhere", "Example")
    ]
    assert "<math" in page
    assert "<svg" in page
    assert (
        "| `min_p` | number | `0.0` | `0.0` | ≥ 0, ≤ 1 | share | yes | "
        "Least probability, as a part of the best token's. |" in page
    )
    assert "```pycon\n>>> from gpt2sdk.testing import reweigh\n" in page
    assert "http" not in page.replace("http://www.w3.org/1998/Math/MathML", "")


def test_no_page_prints_source(pages):
    source = re.compile(r"Annotated\[|\bany or\b|\| any \||e\+\d\d \|")

    assert [] == [name for name, text in pages.items() if source.search(text)]


def test_a_strategy_is_called_a_function(pages):
    assert "function `beam`." in pages["beam.md"]
    assert "class `TopP`." in pages["top_p.md"]


@pytest.mark.parametrize(
    ("page", "option", "unit"),
    [
        ("max_time", "max_time", "seconds"),
        ("mirostat", "mirostat_tau", "bits"),
        ("presence_penalty", "presence_penalty", "nats"),
        ("sequence_bias", "sequence_bias", "nats"),
        ("expiring_bias", "expiring_bias", "nats, tokens"),
        ("top_p", "top_p", "probability"),
        ("top_h", "top_h", "share"),
        ("gumbel_watermark", "second_key", "–"),
        ("smoothing_factor", "smoothing_factor", "1 / nat"),
        ("forced_eos_token_id", "forced_eos_token_id", "token id"),
        ("tree_search", "num_simulations", "count"),
        ("json_schema", "json_digits", "digits"),
        ("power_sampling", "block_size", "tokens"),
        ("bnb_nf4", "block_size", "count"),
        ("top_n_sigma", "top_n_sigma", "standard deviations"),
        ("stop", "stop", "–"),
    ],
)
def test_tables_have_the_stated_units(pages, page, option, unit):
    row, *_ = re.findall(rf"^\| `{option}` \| .*$", pages[f"{page}.md"], re.MULTILINE)

    assert unit == row.split(" | ")[5]


def test_every_unit_is_that_of_an_option(script):
    records = script.option_records(Registry())
    known = {record.name for record in records}
    known |= {f"{record.component}.{record.name}" for record in records}

    assert set() == script.UNITS.keys() - known


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "speed"}, "min_p.speed is number: no unit"),
        ({"type": "text"}, "min_p.min_p is text: the unit share"),
    ],
)
def test_a_number_without_a_unit_is_found_and_a_unit_without_a_number(script, change, message):
    (record, *_) = script.option_records(Registry(), "min_p")

    assert "share" == script.unit(record)
    with pytest.raises(KeyError, match=message):
        script.unit(replace(record, **change))


def test_no_unit_comes_from_a_description(script):
    (record, *_) = script.option_records(Registry(), "min_p")

    assert "share" == script.unit(replace(record, description="So many seconds, in nats."))


def test_an_empty_list_is_written_one_way(root, pages):
    readmes = {str(file): file.read_text() for file in root.glob("plugins/*/README.md")}
    tables = [
        (name, line)
        for name, text in (pages | readmes).items()
        for line in text.splitlines()
        if line.startswith("|") and re.search(r"(?<![\w\]])\(\)", line)
    ]

    assert [] == tables


def test_a_formula_says_itself_to_readers_without_mathml(script, pages):
    formulas = [
        (name, found)
        for name, text in pages.items()
        for found in re.findall(r"<math ([^>]*)>", text)
    ]

    assert [] == [name for name, found in formulas if not re.search('alttext="[^"]{3,}"', found)]
    assert len(formulas) > 50
    assert 'alttext="a &lt; b &amp; &quot;c&quot;"' in script.mathml('a < b\n  & "c"')


def test_doctests_become_blocks(script):
    text = "Before.\n\n>>> 1 + 1\n2\n\nAfter.\n\n```text\n>>> no\n```"

    assert "Before.\n\n```pycon\n>>> 1 + 1\n2\n```\n\nAfter.\n\n```text\n>>> no\n```" == (
        script.doctests(text)
    )


def test_a_picture_shows_both_distributions(root, script):
    picture = importlib.import_module("distribution_picture")

    drawn = picture.svg({" a": (0.5, 0.25), "<b>": (0.0, 0.75)})

    assert ["50.0%", "25.0%", "0.0%", "75.0%"] == re.findall("<title>(.*?)</title>", drawn)
    assert ["100", "50", "0", "150"] == re.findall(r'<rect [^>]*height="(\d+)"', drawn)
    assert "&lt;b&gt;" in drawn
