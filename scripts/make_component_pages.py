"""Write `docs/reference/components.md` and a page for each component that ships.

    python scripts/make_component_pages.py           # write them
    python scripts/make_component_pages.py --check   # name those that are not up to date

All of a page comes from the component: its docstring, its fields, its formula in
`component_formulas.py`, the units of its options in `component_units.py`, what other programs call
it, and, for processors and samplers, what it makes of one real distribution.
"""

import inspect
import re
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path

import component_examples
from component_formulas import FORMULAS, WORDS
from component_units import UNITS
from distribution_picture import DRAWS, PROMPT, picture
from latex2mathml.converter import convert

from gpt2sdk import Component, LogitsProcessor, Sampler, Strategy
from gpt2sdk.elsewhere import PROGRAMS, Elsewhere
from gpt2sdk.options import OptionRecord, option_records
from gpt2sdk.options.decoding_words import DECODING_WORDS
from gpt2sdk.plugins.contract import role_name
from gpt2sdk.plugins.registry import Offer, Registry

REFERENCE = Path(__file__).resolve().parents[1] / "docs" / "reference"
INDEX = REFERENCE / "components.md"
PAGES = REFERENCE / "components"

ORDER = (
    *("strategy", "sampler", "logits processor", "stopping criterion", "text criterion"),
    *("drafter", "quantizer", "placement", "checkpoint format", "architecture", "model source"),
    *("runner", "detector"),
)
TITLES = {
    "strategy": "Strategies",
    "sampler": "Samplers",
    "logits processor": "Logits processors",
    "stopping criterion": "Stopping criteria",
    "text criterion": "Text criteria",
    "drafter": "Drafters",
    "quantizer": "Quantizers",
    "placement": "Placements",
    "checkpoint format": "File formats",
    "architecture": "Architectures",
    "model source": "Models",
    "runner": "Runners",
    "detector": "Detectors",
}
INTRODUCTION = """\
# Components

Here you find every component that ships; each has a page with its formula, its options, what other programs call it, and, for what reshapes a distribution, a picture. `gpt2sdk options NAME` prints the same for what is installed.

A field is an option; the first one turns a processor or criterion on. How to set them: [Options](../guides/options.md). What other programs call them: [Names](names.md).

Where a truncation draws its edge, one rule holds: a token that meets the limit stays, and so does the one that fills a mass; tokens of equal logits stay or go together; tokens that are out already count for nothing, neither in sums nor in entropies nor in deviations; the best token stays, and the `min_tokens_to_keep` best.
"""  # noqa: E501 - a paragraph is a line
POTENTIALS = """\
## Potentials

What `smc` and its kin steer by, in `gpt2sdk-steering`.

::: gpt2sdk_steering
    options:
      show_root_heading: false
      show_if_no_docstring: true
      show_labels: false
      show_root_toc_entry: false
      heading_level: 3
      show_submodules: true
      members_order: alphabetical
      filters: ["!^_", "!^(chains|outcome|particles|splice|steps|units)$", "!^(awrs|metropolis_hastings|particle_gibbs|power_sampling|smc)$", "!^gpt2sdk_components$", "!^(Direct|ConditionalParticles|Rejection|Search|SCHEMES|Selection|start)$", "!(Option|Limit|Resampling|Threshold|Factor|When|Accepts|Rejects|Moves|Iterations|Alpha|BlockSize|AncestorSampling|NumParticles)$"]
"""  # noqa: E501 - one value
SECTION = re.compile(r"^(Example|Examples|Raises|Attributes|Note):\n", re.MULTILINE)
NUMBER = re.compile(r"\bnumbers?\b|\b\d")
"""What the type of an option that has a unit says."""


def generated(registry: Registry | None = None) -> dict[Path, str]:
    """Return the text of every page, by its file."""
    registry = registry or Registry()
    offers = [offer for offer in registry.offers() if offer.origin.distribution]
    pages = {page_of(offer, offers): page(offer, registry) for offer in offers}
    return {INDEX: index(offers, registry), **pages}


def page_of(offer: Offer, offers: Sequence[Offer]) -> Path:
    """Return the file of a component's page; with its role where two have one name."""
    alike = sum(each.name == offer.name for each in offers) > 1
    role = role_name(offer.roles[0]).replace(" ", "-")
    return PAGES / (f"{offer.name}-{role}.md" if alike else f"{offer.name}.md")


def index(offers: Sequence[Offer], registry: Registry) -> str:
    """Return the page that lists all components."""
    parts = [INTRODUCTION, "## Every call\n", options_table(settings(registry)), ""]
    for role in ORDER:
        of_role = [each for each in offers if role_name(each.roles[0]) == role]
        if role == "logits processor":
            of_role.sort(key=_place)
        if not of_role:
            continue
        parts += [f"## {TITLES[role]}\n", _line(["name", "", "in"]), _line(["---"] * 3)]
        for offer in of_role:
            link = f"[`{offer.name}`](components/{page_of(offer, offers).name})"
            parts.append(_line([link, summary(offer.component), offer.origin.distribution]))
        parts.append("")
    return "\n".join([*parts, POTENTIALS])


def page(offer: Offer, registry: Registry) -> str:
    """Return the page of a component."""
    body, sections = docstring(offer.component)
    roles = " and ".join(map(role_name, offer.roles)).capitalize()
    about = [f"{roles} in `{offer.origin.distribution}`"]
    if issubclass(offer.component, LogitsProcessor):
        stage = offer.component.stage
        about.append(f"[stage](../../guides/compose-processors.md#by-option) `{stage.name}`")
    kind = "function" if issubclass(offer.component, Strategy) else "class"
    about.append(f"{kind} `{offer.component.__name__}`")
    parts = [f"# {offer.name}", ", ".join(about) + ".", body]
    formula = FORMULAS.get(offer.name) or FORMULAS.get(
        f"{role_name(offer.roles[0])} {offer.name}", ""
    )
    if formula:
        parts += ["## Formula", mathml(formula)]
        parts += [WORDS[offer.name]] if offer.name in WORDS else []
    records = [each for each in option_records(registry) if each.component == offer.name]
    names = set(offer.component.option_names())
    records = [each for each in records if each.role == role_of(offer) and each.name in names]
    if records:
        parts += ["## Options", options_table(records)]
    parts += list(_picture(offer))
    parts += list(_elsewhere(offer))
    for title, text in sections:
        parts += [f"## {title}", text]
    return "\n\n".join(parts) + "\n"


def role_of(offer: Offer) -> str:
    """Return what `option_records` calls a component's role."""
    return ", ".join(role_name(role) for role in offer.roles)


def settings(registry: Registry) -> list[OptionRecord]:
    """Return the options of every call."""
    return [each for each in option_records(registry) if not each.component]


def docstring(component: type[Component]) -> tuple[str, list[tuple[str, str]]]:
    """Return the text of a docstring, and its sections as Markdown, by title."""
    text = inspect.cleandoc(component.__doc__ or "")
    parts = SECTION.split(text)
    sections = []
    for title, inner in zip(parts[1::2], parts[2::2], strict=True):
        inside, behind = _indented(inner)
        if title == "Raises":
            sections.append(("Errors", _errors(inside)))
        else:
            sections.append((title.removesuffix("s"), doctests(inside)))
        if behind:
            sections.append(("More", doctests(behind)))
    return doctests(parts[0].strip()), sections


def _indented(text: str) -> tuple[str, str]:
    """Divide what belongs to a section from what stands behind it."""
    lines = text.splitlines()
    end = next((n for n, line in enumerate(lines) if line and not line.startswith(" ")), len(lines))
    return textwrap.dedent("\n".join(lines[:end])).strip(), "\n".join(lines[end:]).strip()


def _errors(text: str) -> str:
    """Return the errors of a docstring as a list."""
    joined = re.sub(r"\n +", " ", text)
    return "\n".join(f"- `{name}`: {why}" for name, why in re.findall(r"(\w+): (.*)", joined))


def doctests(text: str) -> str:
    """Put doctests into blocks of code, and leave everything else."""
    out: list[str] = []
    inside = fenced = False
    for line in text.splitlines():
        if line.startswith("```"):
            fenced = not fenced
        if not fenced and line.startswith(">>> ") and not inside:
            out, inside = [*out, "```pycon"], True
        elif inside and not line.strip():
            out, inside = [*out, "```"], False
        out.append(line)
    return "\n".join([*out, "```"] if inside else out)


def summary(component: type[Component]) -> str:
    """Return the first sentence of a docstring, without a full stop."""
    text = inspect.cleandoc(component.__doc__ or "").partition("\n\n")[0]
    return " ".join(text.split()).removesuffix(".").replace("|", "\\|")


def mathml(formula: str) -> str:
    """Return a formula as MathML, which browsers render without a script or a font of others.

    Its `alttext` is the formula as it was written: for readers that do not know MathML.
    """
    said = escape(" ".join(formula.split()))
    written = convert(formula, display="block").replace("<math ", f'<math alttext="{said}" ', 1)
    return re.sub(r"&#x(\w+);", lambda code: f"&#{int(code[1], 16)};", written)


def options_table(records: Sequence[OptionRecord]) -> str:
    """Return a table of options."""
    titles = ["option", "type", "default", "off value", "range", "unit", "per prompt", ""]
    rows = [
        [
            f"`{each.name}`",
            _cell(re.sub(r"\bany\b", "object", each.type)),
            "needed" if each.required else f"`{_value(each.default)}`",
            f"`{_value(each.default)}`" if each.switch and not each.required else "–",
            _cell(each.range.replace(f"{2.0**64:g}", "2 ** 64")) or "–",
            unit(each),
            "yes" if each.per_prompt else "no",
            _cell(each.description),
        ]
        for each in records
    ]
    return "\n".join(map(_line, [titles, ["---"] * len(titles), *rows]))


def unit(record: OptionRecord) -> str:
    """Return the unit of an option, as `component_units.py` states it; – for what is no number.

    Raises:
        KeyError: It has a number and no unit, or a unit and no number.
    """
    stated = UNITS.get(f"{record.component}.{record.name}", UNITS.get(record.name))
    if (stated is None) == bool(NUMBER.search(record.type)):
        what = "no unit" if stated is None else f"the unit {stated}"
        message = f"{record.component}.{record.name} is {record.type}: {what} in component_units.py"
        raise KeyError(message)
    return stated or "–"


def _picture(offer: Offer) -> Iterator[str]:
    """Yield the picture of what a component does to a distribution."""
    example = component_examples.example(offer.component)
    if example is None:
        return
    options = ", ".join(
        f"`{name}={_value(value)}`"
        for name, value in component_examples.EXAMPLES.get(offer.name, {}).items()
    )
    yield "## What it does"
    yield picture(example)
    with_ = f" with {options}" if options else ""
    made = f"in {DRAWS:,} draws" if issubclass(offer.component, Sampler) else "after it"
    yield (
        f"The storyteller's next token behind “{PROMPT}”: grey as the model has it, coloured "
        f"{made}{with_}. “All others” are the tokens not shown, together."
    )


def _elsewhere(offer: Offer) -> Iterator[str]:
    """Yield what other programs call a component and its options."""
    rows = list(_rows(offer))
    if not any(each.programs for each in rows):
        return
    yield "## Elsewhere"
    programs = [p for p in PROGRAMS.values() if any(p in each.programs for each in rows)]
    lines = [_line(["here", *programs]), _line(["---"] * (len(programs) + 1))]
    for each in rows:
        if each.programs:
            cells = [_codes(each.programs.get(program, ())) for program in programs]
            lines.append(_line([_codes(each.written), *cells]))
    differ = [f"- {_codes(each.written)}: {each.differs}." for each in rows if each.differs]
    yield "\n".join(lines)
    if differ:
        yield "\n".join(differ)


def _rows(offer: Offer) -> Iterator[Elsewhere]:
    """Yield the rows of the table of names that are about a component."""
    role = role_name(offer.roles[0])
    options = set(offer.component.option_names())
    for rows in DECODING_WORDS.values():
        for each in rows:
            named = f'{role}="{offer.name}"' in each.written
            about = named or (bool(each.here) and each.here[0] in options)
            if about and each.there:
                yield each


def _place(offer: Offer) -> tuple[int, int, str]:
    """Where a processor stands in the chain."""
    assert issubclass(offer.component, LogitsProcessor)  # noqa: S101 - for type checkers
    return offer.component.stage, offer.component.rank, offer.name


def _value(value: object) -> str:
    """Spell a value as Python does."""
    return repr(value).replace("|", "\\|").replace("`", "'")


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _codes(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "–"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def stale(pages: Mapping[Path, str]) -> list[str]:
    """Return the pages that are not as they ought to be, or ought not to be."""
    there = {file: file.read_text(encoding="utf-8") for file in [INDEX, *PAGES.glob("*.md")]}
    return sorted(
        file.name for file in pages.keys() | there.keys() if there.get(file) != pages.get(file)
    )


def main() -> None:
    """Write all pages, and remove those of components that are gone; or check them."""
    pages = generated()
    if "--check" in sys.argv:
        print(*stale(pages), sep="\n", end="")
        return
    PAGES.mkdir(exist_ok=True)
    for file in set(PAGES.glob("*.md")) - pages.keys():
        file.unlink()
    for file, text in pages.items():
        file.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
