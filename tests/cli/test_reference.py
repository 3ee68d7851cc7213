"""The reference of the command line is complete, and its examples are what is printed."""

import re
from dataclasses import fields

import pytest
from typer.main import get_command

from gpt2sdk.cli.app import app
from gpt2sdk.components.records import Completion
from gpt2sdk.options import parse
from gpt2sdk.plugins.known import COMMANDS
from gpt2sdk.plugins.registry import default_registry

EXPLAINED = "$ gpt2sdk explain -o top_p=0.9 -o temperature=0.7 -o stop=END\n"


@pytest.fixture(scope="module")
def page(request):
    return (request.config.rootpath / "docs" / "reference" / "cli.md").read_text("utf-8")


def commands():
    """Return every command, the group itself among them."""
    group = get_command(app)
    below = {
        f"{name} {each}": command
        for name, inner in group.commands.items()
        for each, command in getattr(inner, "commands", {}).items()
    }
    return {"gpt2sdk": group, **group.commands, **below}


def undocumented(page):
    """Return the commands and options that the page does not name."""
    named = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", page))
    headings = set(re.findall(r"^##+ ([\w -]+)$", page, re.MULTILINE)) | {"gpt2sdk", "plugins list"}
    missing = [name for name in commands() if name not in headings]
    for command in commands().values():
        for parameter in command.params:
            missing += [o for o in parameter.opts if o.startswith("-") and o not in named]
    return missing


def test_every_command_and_option_is_on_the_page(page):
    assert [] == [name for name in undocumented(page) if name != "--show-completion"]


def untabled(page):
    """Return the commands, and those of known plugins, that the first table does not list."""
    rows = page.partition("| command |")[2].partition("\n\n")[0]
    listed = re.findall(r"^\| \[`([\w -]+)`\]\(#([\w-]+)\) \|", rows, re.MULTILINE)
    assert [name.replace(" ", "-") for name, _ in listed] == [place for _, place in listed]
    there = {*commands(), *COMMANDS} - {"gpt2sdk", "plugins list"}
    return sorted(there - {name for name, _ in listed})


def test_every_command_is_in_the_table_at_the_top(page):
    assert [] == untabled(page)


def test_a_command_that_the_table_lacks_is_found(page):
    assert ["choose"] == untabled(page.replace("| [`choose`](#choose) |", "| choose |", 1))
    assert ["measure"] == untabled(re.sub(r"\| \[`measure`\].*\n", "", page))


def test_tables_stand_apart_from_text(page):
    lines = page.splitlines()
    heads = [at for at, line in enumerate(lines) if re.fullmatch(r"\|( -+ \|)+", line)]

    assert [] == [lines[at - 1] for at in heads if lines[at - 2]]


def test_every_field_of_a_completion_is_on_the_page(page):
    row = re.search(r"^\| `completions` \| .*", page, re.MULTILINE).group()

    assert {field.name for field in fields(Completion)} <= set(re.findall(r"`(\w+)`", row))


def test_what_is_missing_is_found():
    assert {"generate", "--lines", "-n"} <= set(undocumented("## explain\n--json"))


def test_the_explanation_is_what_is_printed(invoke, page):
    block = page.partition(EXPLAINED)[2].partition("```")[0]

    ran = invoke("explain", *["-o", "top_p=0.9", "-o", "temperature=0.7", "-o", "stop=END"])

    assert block == ran.stdout


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("top_k=40", 40),
        ("stop=END", "END"),
        ("stop=5", "5"),
        ('stop=["\\n", "The end"]', ["\n", "The end"]),
        ('stop="\\n"', "\n"),
        ("stop_token_ids=13", [13]),
        ('logit_bias={"13": -5}', {"13": -5}),
        ("temperature=[0.2,1.0]", [0.2, 1.0]),
        ('stop={"each": [["a"], null]}', {"each": [["a"], None]}),
    ],
)
def test_values_mean_what_the_page_says(page, option, expected):
    name, _, text = option.partition("=")
    (offer,) = default_registry().having(name)

    assert option in page.replace("'", "")
    assert expected == parse(text, offer.component.model_fields[name])
