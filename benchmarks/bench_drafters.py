"""Model calls and time that drafters save, and what a token more costs in a pass.

The storyteller, in float32, writes tales of 125 tokens: greedily, and drawn with temperature 1 and
0.7. Drafts come from the text itself, from files (here: what it wrote with other seeds), from its
own weights in eight bits, and from its first blocks. `greedy_int8` is the int8 draft that proposes
its likeliest token instead of racing with the numbers of the draws to come.

`calls` are passes of the target, `times_plain` the wall time of the call without a drafter over
that with one, both taking turns. The storyteller is so small that a pass of its draft takes about
as long as one of itself, and a model that drafts can hardly win; so the draft's cost is said to be
0.1, as that of a small draft beside a large target, and what counts of its rows is `accepted` and
`calls`, while `times_plain` is that of this pair.

A second table is what drafting's rule rests on: the time of a pass with more rows, and with more
tokens of a row, over that of one token, for the shapes of the storyteller's kind and of GPT-2 124M.

    python benchmarks/bench_drafters.py [--rounds 3] [--rows 1 8]
"""

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from record import interleave, save
from typing_extensions import override

from gpt2sdk import Drafter, DrafterRun, Generator, GPT2Config, Result, Session
from gpt2sdk.gpt2 import GPT2
from gpt2sdk_drafters.corpus import Corpus
from gpt2sdk_drafters.draft_model import DraftModel, TranslatedModel
from gpt2sdk_drafters.early_exit import EarlyExit

NEW, PAST = 125, 60
WAYS: Mapping[str, Mapping[str, Any]] = {
    "greedy": {"strategy": "greedy"},
    "temperature 1": {"temperature": 1.0},
    "temperature 0.7": {"temperature": 0.7, "top_p": 0.95},
}
SHAPES = {
    "14M": GPT2Config(vocab_size=8192, n_positions=512, n_embd=384, n_layer=6, n_head=6),
    "124M": GPT2Config(),
}
AT_ONCE = (1, 2, 4, 8, 16, 32, 64)
Row = dict[str, object]


class SameTokens:
    """Says tokens as they are: what drafts through it drafts greedily."""

    def there(self, tokens: Sequence[int]) -> list[int]:
        """Say them in the other vocabulary."""
        return list(tokens)

    def back(
        self, tokens: Sequence[int], theirs: Sequence[int], drafted: Sequence[int]
    ) -> list[int]:
        """Say in the rows' own tokens what was drafted."""
        return list(drafted)


class GreedyDraft(DraftModel):
    """The draft model without the numbers of the draws to come."""

    @override
    def start(self, session: Session) -> DrafterRun:
        model = self.found(session)[0]
        translation: Any = SameTokens()
        return TranslatedModel(model, translation, self.assistant_confidence_threshold)


def drafters(gen: Generator, folder: Path) -> dict[str, Drafter | str | None]:
    """Make each drafter, and none."""
    tales = gen.generate([f"The king number {n} said" for n in range(100, 164)], seed=1)
    (folder / "tales.txt").write_text("\n".join(tales.texts))
    draft = Generator.from_pretrained("storyteller", device="cpu", quantization="int8")
    cheap: dict[str, Any] = {"assistant_model": draft, "assistant_cost": 0.1}
    return {
        "plain": None,
        "prompt_lookup": "prompt_lookup",
        "suffix": "suffix",
        "corpus": Corpus(corpus=str(folder / "tales.txt")),
        "int8": DraftModel(**cheap),
        "int8, confident": DraftModel(**cheap, assistant_confidence_threshold=0.4),
        "greedy_int8": GreedyDraft(**cheap),
        "early_exit 3 of 6": EarlyExit(assistant_early_exit=3),
    }


def write(
    gen: Generator,
    prompts: Sequence[str],
    options: Mapping[str, Any],
    made: Mapping[str, Drafter | str | None],
    found: dict[str, Result],
    name: str,
) -> None:
    """Write the tales with a drafter, and keep what was found."""
    found[name] = gen.generate(prompts, drafter=made[name], max_new_tokens=NEW, seed=3, **options)


def tales(
    gen: Generator, made: Mapping[str, Drafter | str | None], rows: int, rounds: int
) -> Iterator[Row]:
    """Yield what each drafter saves, in each way to pick."""
    prompts = [f"The king number {number} said" for number in range(rows)]
    for way, options in WAYS.items():
        found: dict[str, Result] = {}

        run = partial(write, gen, prompts, options, made, found)
        seconds = interleave({name: partial(run, name) for name in made}, rounds)
        for name, result in found.items():
            usage = result.usage
            yield {
                "way": way,
                "rows": rows,
                "drafter": name,
                "calls": usage.model_calls,
                "tokens_fed": usage.tokens_fed,
                "drafted": usage.drafted,
                "accepted": usage.accepted,
                "times_plain": round(seconds["plain"] / seconds[name], 2),
                "same_texts": result.texts == found["plain"].texts,
            }


def passes(rounds: int) -> Iterator[Row]:
    """Yield what a pass takes with more rows, and with more tokens of one."""
    for shape, config in SHAPES.items():
        model = GPT2(config).eval()
        model.prepare()

        def score(slots: int, tokens: int, model: GPT2 = model) -> float:
            cache = model.make_cache(slots)
            model.score(cache, [list(range(PAST))] * slots, [0] * slots)

            def once() -> None:
                cache.rewind([PAST] * slots)
                model.score(cache, [list(range(tokens))] * slots, [tokens] * slots)

            return interleave({"": once}, rounds)[""]

        alone = score(1, 1)
        for count in AT_ONCE:
            yield {
                "shape": shape,
                "count": count,
                "rows_over_one": round(score(count, 1) / alone, 2),
                "tokens_over_one": round(score(1, count) / alone, 2),
            }


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8])
    arguments = parser.parse_args()
    gen = Generator.from_pretrained("storyteller", device="cpu")
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        made = drafters(gen, Path(folder))
        rows = [
            row for count in arguments.rows for row in tales(gen, made, count, arguments.rounds)
        ]
    save("drafters", rows)
    with torch.inference_mode():
        save("drafting_passes", list(passes(5 * arguments.rounds)))


if __name__ == "__main__":
    main()
