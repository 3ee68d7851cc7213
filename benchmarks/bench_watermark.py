"""How often each watermark is found, by length: true positives where 1 in 100 is a false one.

Texts of the storyteller, drawn at temperature 1, are judged by what they begin with. A text is
found where its p-value is at most 0.01. `alone`: rows one at a time. `drafted`: 32 rows at a time,
with prompt lookup as drafter. `false`: the same detector on texts without a mark.

    python benchmarks/bench_watermark.py [--texts 100] [--plot docs/guides/watermarks.svg]
    python benchmarks/bench_watermark.py --keys 40 --texts 300

With `--keys` it is only said how many of the texts without a mark each key finds, at 100 tokens.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, median

from record import save

from gpt2sdk import Detector, Generator, LogitsProcessor, Sampler
from gpt2sdk_watermark.gumbel_watermark import GumbelWatermark
from gpt2sdk_watermark.kgw_watermark import KgwWatermark
from gpt2sdk_watermark.synthid_watermark import SynthidWatermark
from gpt2sdk_watermark.unigram_watermark import UnigramWatermark

KEY = 0x5EEDF00D
LENGTHS = tuple(range(25, 201, 25))
LEVEL = 0.01
KEYED_LENGTH = 100
MARKS: Mapping[str, Detector] = {
    "kgw lefthash": KgwWatermark(kgw_bias=2.0, hashing_key=KEY),
    "kgw selfhash": KgwWatermark(
        kgw_bias=2.0, hashing_key=KEY, seeding_scheme="selfhash", context_width=4
    ),
    "unigram": UnigramWatermark(unigram_bias=2.0, hashing_key=KEY),
    "synthid": SynthidWatermark(hashing_key=KEY),
    "gumbel": GumbelWatermark(hashing_key=KEY),
}
OPENINGS = ("Once upon a time there was a {}", "The {} said", "One day the {}", "In winter a {}")
HEROES = [
    "king",
    "queen",
    "witch",
    "fox",
    "wolf",
    "miller",
    "tailor",
    "soldier",
    "fisherman",
    "princess",
    "shepherd",
    "raven",
    "bear",
    "giant",
    "dwarf",
    "merchant",
    "huntsman",
    "goose",
    "girl",
    "cat",
    "old",
    "woman",
    "beggar",
    "sailor",
    "blacksmith",
    "dragon",
]
COLOURS = ("#0b6e99", "#d9730d", "#0f7b6c", "#6940a5", "#ad1a72")


def written(
    generator: Generator, prompts: Sequence[str], mark: Detector | None, *, drafted: bool
) -> list[tuple[int, ...]]:
    """Return the tokens that continue each prompt."""
    options: dict[str, object] = (
        {"batch_size": 32, "drafter": "prompt_lookup"} if drafted else {"batch_size": 1}
    )
    if isinstance(mark, LogitsProcessor):
        options["processors"] = [mark]
    elif isinstance(mark, Sampler):
        options["sampler"] = mark
    result = generator.generate(
        list(prompts), max_new_tokens=LENGTHS[-1], eos_token_id=None, seed=7, **options
    )
    return [each.tokens for each in result.completions]


def found(mark: Detector, texts: Sequence[tuple[int, ...]], length: int) -> float:
    """Return the share of texts whose beginning is found."""
    return sum(mark.detect(text[:length]).p_value <= LEVEL for text in texts) / len(texts)


def by_key(
    generator: Generator, prompts: Sequence[str], texts: int, keys: int
) -> list[dict[str, object]]:
    """Return how many texts without a mark each scheme finds: over all keys, and by key."""
    copies = -(-texts // len(prompts))
    result = generator.generate(
        list(prompts),
        max_new_tokens=KEYED_LENGTH,
        num_return_sequences=copies,
        eos_token_id=None,
        seed=7,
    )
    plain = [each.tokens for each in result.completions][:texts]
    rows: list[dict[str, object]] = []
    for name, mark in MARKS.items():
        marks = [mark.model_copy(update={"hashing_key": KEY + key}) for key in range(keys)]
        shares = sorted(found(each, plain, KEYED_LENGTH) for each in marks)
        rows.append(
            {
                "scheme": name,
                "texts": len(plain),
                "keys": keys,
                "mean": round(mean(shares), 5),
                "median": median(shares),
                "least": shares[0],
                "most": shares[-1],
            }
        )
        print(rows[-1], flush=True)
    return rows


def plot(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Draw the rates as an SVG: solid for rows alone, dots for rows in batches with a drafter."""
    left, top, width, height = 60, 20, 420, 240
    x = {length: left + width * (length - 25) / 175 for length in LENGTHS}
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 {top + height + 50}">',
        '<g font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    for percent in (0, 25, 50, 75, 100):
        y = top + height * (1 - percent / 100)
        parts.append(f'<path d="M{left} {y}h{width}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{percent} %</text>')
    for length, place in x.items():
        parts.append(
            f'<text x="{place}" y="{top + height + 18}" text-anchor="middle">{length}</text>'
        )
    middle = left + width / 2
    parts.append(f'<text x="{middle}" y="{top + height + 40}" text-anchor="middle">tokens</text>')
    for number, (name, colour) in enumerate(zip(MARKS, COLOURS, strict=True)):
        mine = [row for row in rows if row["scheme"] == name]
        spots = [
            [
                (x[int(str(row["length"]))], top + height * (1 - float(str(row[how]))))
                for row in mine
            ]
            for how in ("alone", "drafted")
        ]
        line = " ".join(f"{across:.1f},{down:.1f}" for across, down in spots[0])
        parts.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a:.1f}" cy="{d:.1f}" r="4" fill="{colour}"/>' for a, d in spots[1]]
        y = top + 20 + 20 * number
        parts.append(f'<path d="M500 {y - 4}h20" stroke="{colour}" stroke-width="2"/>')
        parts.append(f'<text x="528" y="{y}">{name}</text>')
    note = top + 40 + 20 * len(MARKS)
    parts.append(f'<text x="500" y="{note}">line: rows alone</text>')
    parts.append(f'<text x="500" y="{note + 18}">dots: 32 rows, drafted</text>')
    path.write_text("\n".join([*parts, "</g>", "</svg>"]) + "\n")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=100)
    parser.add_argument("--plot", type=Path)
    parser.add_argument("--keys", type=int, default=0)
    arguments = parser.parse_args()
    generator = Generator.from_pretrained("storyteller")
    prompts = [opening.format(hero) for hero in HEROES for opening in OPENINGS][: arguments.texts]
    if arguments.keys:
        save("watermark_keys", by_key(generator, prompts, arguments.texts, arguments.keys))
        return
    plain = written(generator, prompts, None, drafted=True)
    rows: list[dict[str, object]] = []
    for name, mark in MARKS.items():
        alone = written(generator, prompts, mark, drafted=False)
        drafted = written(generator, prompts, mark, drafted=True)
        equal = sum(one == other for one, other in zip(alone, drafted, strict=True)) / len(prompts)
        rows += [
            {
                "scheme": name,
                "length": length,
                "texts": len(prompts),
                "alone": found(mark, alone, length),
                "drafted": found(mark, drafted, length),
                "false": found(mark, plain, length),
                "equal_texts": equal,
            }
            for length in LENGTHS
        ]
        print(name, rows[-1], flush=True)
    save("watermark", rows)
    if arguments.plot:
        plot(rows, arguments.plot)


if __name__ == "__main__":
    main()
