"""Write `docs/reference/names.md`: what each decoding option is called elsewhere.

    python scripts/make_names_page.py

It is made of the rows that also answer who writes another program's option in a call.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from gpt2sdk.elsewhere import PROGRAMS, Elsewhere
from gpt2sdk.options.decoding_words import DECODING_WORDS

PAGE = Path(__file__).resolve().parents[1] / "docs" / "reference" / "names.md"
COLUMNS = ("transformers", "llama.cpp", "vLLM", "text-generation-webui")
OTHERS = [program for program in PROGRAMS.values() if program not in COLUMNS]

INTRODUCTION = """\
# Names

Here you find what each option of decoding is called in other programs. A call that has one of
their names is answered with ours.

Options are named as in transformers; where it has none, as in llama.cpp, then as in
text-generation-webui, then as in vLLM, then as in the paper. Five are exceptions:
`bad_words` and `force_words` take texts as well as ids, for which transformers' `_ids` would be
wrong; `stop` is the word of llama.cpp, vLLM and OpenAI's API; `tfs` is text-generation-webui's,
since llama.cpp has removed its own; and `thinking_budget` is SGLang's. A `–` means that a program
has nothing of the kind. Below each table is where the same name means something else.

Looked at were transformers 5.23 (`GenerationConfig`, `generate` and the processors' arguments),
llama.cpp's server and command line, vLLM's `SamplingParams` and `BeamSearchParams`,
text-generation-webui's sliders, SGLang 0.5.23, exllamav3 1.4, mlx-lm 0.32, koboldcpp's and
TensorRT-LLM's requests, all as of 2026."""

GUMBEL = """\
There is no sampler of its own for Gumbel-max sampling (exllamav3's `GumbelSampler`): every draw
is one. A race is run with a Gumbel number for each token, as
[Randomness](../explanation/randomness.md) shows."""

CACHE = """\
## Prompts that were read before

`prefix_cache` of `Generator.from_pretrained` and of `gen.engine()` is what vLLM calls
`enable_prefix_caching`, llama.cpp's server `cache_prompt` and transformers' continuous batching
`allow_block_sharing`, and what SGLang turns off with `disable_radix_cache`. Here it takes a size:
see [many calls](../guides/many-calls.md#prompts-that-begin-alike)."""


def page() -> str:
    """Return the text of the page."""
    sections = [
        "\n".join(_section(title, [each for each in rows if _shown(each)]))
        for title, rows in DECODING_WORDS.items()
    ]
    return (
        "\n\n".join(
            [
                " ".join(part.split("\n")) if not part.startswith("#") else part
                for part in INTRODUCTION.split("\n\n")
            ]
            + sections
            + [" ".join(part.split("\n")) for part in CACHE.split("\n\n")]
        )
        + "\n"
    )


def _shown(each: Elsewhere) -> bool:
    """Whether a row has something to compare: not where only habits have another name."""
    return bool(each.programs or not each.names) and bool(each.here or not each.there)


def _section(title: str, rows: Sequence[Elsewhere]) -> Iterator[str]:
    yield f"## {title}"
    yield ""
    yield _line(["gpt2sdk", *COLUMNS, "others"])
    yield _line(["---"] * (len(COLUMNS) + 2))
    for each in rows:
        yield _line([_ours(each), *(_code(each.programs.get(c, ())) for c in COLUMNS), _rest(each)])
    differing = [each for each in rows if each.differs]
    if differing:
        yield ""
        for each in differing:
            yield f"- {_code(each.written)}: {each.differs}."
    if title == "Samplers":
        yield ""
        yield " ".join(GUMBEL.split("\n"))


def _ours(each: Elsewhere) -> str:
    """What is written here; what is nearest where there is nothing."""
    if each.there:
        return _code(each.written)
    return "no built-in" + (f"; {_code(each.written)}" if each.here else "")


def _rest(each: Elsewhere) -> str:
    """The names of programs without a column, those that are alike together."""
    by_names: dict[tuple[str, ...], list[str]] = {}
    for program in OTHERS:
        if program in each.programs:
            by_names.setdefault(each.programs[program], []).append(program)
    return "; ".join(f"{_code(names)} {_listed(found)}" for names, found in by_names.items()) or "–"


def _listed(programs: Sequence[str]) -> str:
    return f"({', '.join(programs)})"


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names) or "–"


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
