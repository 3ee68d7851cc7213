"""Pictures of one real next-token distribution, before and after a component, as SVG.

The distribution is the storyteller's behind `PROMPT`. What a processor makes of it is computed in
an ordinary call; a sampler is asked again and again.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache
from html import escape

import torch

from gpt2sdk import Component, Generator, Sampler

PROMPT = "The king and the queen went to the wood, and the king said to the"
SHOWN = 12
DRAWS = 4000

_WIDTH, _HEIGHT, _TOP, _LEFT = 720, 250, 16, 44
_PLOT = 150
_HEAD = (
    f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="probabilities before and after" '
    'style="max-width:100%" font-family="sans-serif" font-size="12" fill="currentColor">'
)
_COLOURS = "#9aa0b5", "#4051b5"


@cache
def generator() -> Generator:
    """Return the storyteller."""
    torch.set_num_threads(1)
    return Generator.from_pretrained("storyteller", device="cpu", dtype="float32")


def distribution(**options: object) -> list[float]:
    """Return the probabilities of the next token behind the prompt, under some options."""
    seen: list[torch.Tensor] = []

    def look(logits: torch.Tensor, _: object) -> torch.Tensor:
        seen.append(logits[0].clone())
        return logits

    given = options.pop("processors", [])
    assert isinstance(given, list)  # noqa: S101 - for type checkers
    generator().generate(PROMPT, processors=[*given, look], max_new_tokens=1, seed=7, **options)
    found: list[float] = seen[0].double().softmax(-1).tolist()
    return found


def drawn(sampler: Sampler) -> list[float]:
    """Return the part of many draws that each token is."""
    result = generator().generate(
        PROMPT,
        sampler=sampler,
        max_new_tokens=1,
        num_return_sequences=DRAWS,
        batch_size=500,
        seed=7,
    )
    counts = Counter(each.tokens[0] for each in result.completions)
    return [counts[token] / DRAWS for token in range(generator().model.vocab_size)]


def picture(component: Component) -> str:
    """Return an SVG of the distribution before and after a processor or a sampler."""
    before = distribution()
    after = (
        drawn(component) if isinstance(component, Sampler) else distribution(processors=[component])
    )
    best = sorted(range(len(before)), key=lambda token: -before[token])[:SHOWN]
    # What rose into view is of interest, too.
    risen = [t for t in sorted(range(len(after)), key=lambda t: -after[t])[:3] if t not in best]
    shown = [*best[: SHOWN - len(risen)], *risen]
    labels = [generator().tokenizer.decode([token]) for token in shown]
    bars = {
        label: (before[token], after[token]) for label, token in zip(labels, shown, strict=True)
    }
    others = 1 - sum(before[t] for t in shown), 1 - sum(after[t] for t in shown)
    return svg({**bars, "all others": others})


def svg(bars: Mapping[str, tuple[float, float]]) -> str:
    """Return grouped bars as SVG: before in grey, after in colour.

    Args:
        bars: Two probabilities by label.
    """
    most = max(0.05, *(value for pair in bars.values() for value in pair))
    step = (_WIDTH - _LEFT) / len(bars)
    parts = [_HEAD]
    parts += _scale(most)
    for number, (label, pair) in enumerate(bars.items()):
        left = _LEFT + number * step
        for side, (value, colour) in enumerate(zip(pair, _COLOURS, strict=True)):
            height = max(0, round(_PLOT * max(value, 0.0) / most))
            x, y = round(left + step * (0.14 + 0.36 * side)), _TOP + _PLOT - height
            parts.append(
                f'<rect x="{x}" y="{y}" width="{round(step * 0.34)}" height="{height}" '
                f'fill="{colour}"><title>{max(value, 0.0):.1%}</title></rect>'
            )
        middle, base = round(left + step / 2), _TOP + _PLOT + 12
        parts.append(
            f'<text x="{middle}" y="{base}" text-anchor="end" '
            f'transform="rotate(-35 {middle} {base})">{escape(_visible(label))}</text>'
        )
    return "".join([*parts, "</svg>"])


def _scale(most: float) -> Sequence[str]:
    """Return the axis: nothing, half and the most, in percent."""
    lines = []
    for part in (0.0, 0.5, 1.0):
        y = round(_TOP + _PLOT * (1 - part))
        line = f'<line x1="{_LEFT}" x2="{_WIDTH}" y1="{y}" y2="{y}" '
        lines.append(line + 'stroke="currentColor" stroke-opacity="0.2"/>')
        text = f'<text x="{_LEFT - 6}" y="{y + 4}" text-anchor="end">'
        lines.append(f"{text}{part * most:.0%}</text>")
    return lines


def _visible(label: str) -> str:
    """Show a token: blanks and line breaks by signs."""
    return label.replace(" ", "\u00b7").replace("\n", "\u21b5") if label != "all others" else label
