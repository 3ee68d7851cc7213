"""What the checks of a plugin found, as a table; and the values they are made with."""

from collections.abc import Sequence

from rich.text import Text

from gpt2sdk.cli.given_options import take_apart
from gpt2sdk.cli.tables import heading, indented, show, table
from gpt2sdk.errors import OptionError
from gpt2sdk.options import parse
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing.plugin_checks import CheckOutcome


def component_values(
    written: Sequence[str] | None, registry: Registry
) -> dict[str, dict[str, object]]:
    """Read `component.option=value` texts, by component and option.

    Raises:
        OptionError: One is not written like that, or names nothing that there is.
    """
    values: dict[str, dict[str, object]] = {}
    for name, text in take_apart(written or ()).items():
        owner, _, option = name.replace("-", "_").rpartition(".")
        fields = [
            offer.component.model_fields[option]
            for offer in registry.named(owner)
            if option in offer.component.model_fields
        ]
        if not owner or not fields:
            message = f"-o {name}: expected component.option=value, of a component that there is"
            raise OptionError(message, name=name, value=text)
        values.setdefault(owner, {})[option] = parse(text, fields[0])
    return values


def show_outcomes(found: Sequence[CheckOutcome]) -> None:
    """Print a line for each component, then what is wrong."""
    subjects = list(dict.fromkeys((each.role, each.subject) for each in found))
    show(
        heading("checks"),
        table(
            [
                (
                    subject,
                    role,
                    *_counts([e for e in found if (e.role, e.subject) == (role, subject)]),
                )
                for role, subject in subjects
            ],
            ("", "role", "kept", "broken", ""),
        ),
    )
    for each in found:
        if each.passed is True:
            continue
        mark = ("not tried", "yellow") if each.passed is None else ("broken", "red")
        title = "" if each.check == "all" else each.check.replace("_", " ")
        show("", Text.assemble((each.subject, "bold"), "  ", mark, "  ", title))
        show(indented(each.message, 2))


def _counts(found: Sequence[CheckOutcome]) -> tuple[str, str, Text]:
    """How many promises are kept and broken, and what that means."""
    kept = sum(each.passed is True for each in found)
    broken = sum(each.passed is False for each in found)
    if any(each.passed is None for each in found):
        verdict = Text("not tried", style="yellow")
    else:
        verdict = Text("fails", style="red") if broken else Text("passes", style="green")
    return str(kept), str(broken), verdict
