"""Write `docs/reference/support.md`: which methods of decoding are in which program.

    python scripts/make_support_page.py

Ours are those of the installed components, others' those they have a name for in the rows that
also answer who writes another program's option in a call.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from gpt2sdk.components.component import Component
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion, TextCriterion
from gpt2sdk.components.strategy import Strategy
from gpt2sdk.elsewhere import Elsewhere
from gpt2sdk.options.decoding_words import DECODING_WORDS
from gpt2sdk.plugins.registry import Registry, default_registry

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "support.md"
PROGRAMS = (
    "transformers",
    "vLLM",
    "SGLang",
    "llama.cpp",
    "exllamav3",
    "mlx-lm",
    "text-generation-webui",
    "genlm-control",
)
ROLES: dict[str, tuple[type[Component], ...]] = {
    "Strategies": (Strategy,),
    "Drafters": (Drafter,),
    "Samplers": (Sampler,),
    "Processors": (LogitsProcessor,),
    "Stopping criteria": (StoppingCriterion, TextCriterion),
}
SETTINGS = {"Strategies": "strategy", "Drafters": "drafter", "Samplers": "sampler"}
# What has no name of its own in these programs: a default, another option's value, a mode.
UNNAMED = {
    "sample": PROGRAMS[:-1],
    "greedy": PROGRAMS[:-1],
    "multinomial": PROGRAMS,
    "beam_sample": ("transformers",),
    "mirostat_v1": ("llama.cpp", "text-generation-webui"),
    "prompt_lookup": ("transformers", "vLLM", "SGLang", "llama.cpp", "exllamav3"),
    "corpus": ("SGLang",),
    "gumbel_watermark": ("SGLang",),
    "synthid_watermark": ("transformers",),
}

INTRODUCTION = """\
# Support

Here you find which methods of decoding are in which program: ✓ where it has an option or a class
for it, as [Names](names.md) lists them. A mode counts too: what is another option's value or the
default there, such as sampling in beams, which transformers does with `do_sample`, has no name of
its own and a `–` in Names. transformers counts what version 5 loads as remote code.

Everything in the first column goes with everything else in it, as far as one call can have both:
with beams, batches, prompts that have options of their own, drafters and guidance.
`tests/test_everything.py` draws such combinations at random, and compares with a reference that
replays each row from its beginning."""


def page() -> str:
    """Return the text of the page."""
    parts = [
        " ".join(part.split("\n")) if part[0] != "#" else part
        for part in INTRODUCTION.split("\n\n")
    ]
    registry = default_registry()
    parts += ["\n".join(_section(title, registry)) for title in ROLES]
    parts.append("\n".join(_lacking()))
    return "\n\n".join(parts) + "\n"


def _section(title: str, registry: Registry) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield _line(["gpt2sdk", *PROGRAMS])
    yield _line(["---"] * (len(PROGRAMS) + 1))
    for offer in sorted(registry.offers(), key=lambda offer: offer.name):
        if issubclass(offer.component, ROLES[title]):
            having = _having(offer.name, offer.component, SETTINGS.get(title))
            yield _line([f"`{offer.name}`", *("✓" if each in having else "–" for each in PROGRAMS)])


def _lacking() -> Iterator[str]:
    yield "## What is not here"
    yield ""
    rows = [each for rows in DECODING_WORDS.values() for each in rows]
    for each in rows:
        if not each.there:
            names = ", ".join(f"`{name}`" for name in each.names)
            programs = f" of {', '.join(each.programs)}" if each.programs else ""
            yield f"- {names}{programs}: {each.hint}."


def _having(name: str, component: type[Component], setting: str | None) -> set[str]:
    """The programs that have a name for a component."""
    if name in UNNAMED:
        return set(UNNAMED[name])
    wanted = f'{setting}="{name}"' if setting else component.switch()
    return {program for each in _rows() if wanted in each.written[:1] for program in each.programs}


def _rows() -> Iterator[Elsewhere]:
    for rows in DECODING_WORDS.values():
        yield from (each for each in rows if each.there)


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
