"""A picture of how near each engine is to the rate at which memory is read."""

from collections.abc import Sequence
from html import escape

COLOURS = {"gpt2sdk": "#3f51b5", "ctranslate2": "#00897b", "llama.cpp": "#ef6c00"}
OTHER = "#9e9e9e"
LEFT, TOP, WIDTH, LINE = 210, 34, 380, 24


def draw(bars: Sequence[tuple[str, float]], title: str) -> str:
    """Return an SVG with a bar for each engine; its full width is the limit.

    >>> picture = draw([("gpt2sdk native int8", 0.5)], "1 row")
    >>> 'width="190.0"' in picture, "50 %" in picture
    (True, True)

    Args:
        bars: Engines, each with its share of the limit; more than 1 is drawn as 1.
        title: What stands above them.
    """
    height = TOP + LINE * len(bars) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDTH + 70} {height}">',
        '<g font-family="sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="white"/>',
        f'<text x="10" y="20" font-weight="bold">{escape(title)}</text>',
    ]
    for percent in (0, 25, 50, 75, 100):
        x = LEFT + WIDTH * percent / 100
        parts.append(f'<path d="M{x} {TOP}v{LINE * len(bars)}" stroke="#ddd"/>')
        y = TOP + LINE * len(bars) + 18
        parts.append(f'<text x="{x}" y="{y}" text-anchor="middle">{percent} %</text>')
    for number, (engine, share) in enumerate(bars):
        y, long = TOP + LINE * number, WIDTH * min(share, 1.0)
        colour = COLOURS.get(engine.split()[0], OTHER)
        parts.append(f'<text x="{LEFT - 8}" y="{y + 16}" text-anchor="end">{escape(engine)}</text>')
        parts.append(
            f'<rect x="{LEFT}" y="{y + 4}" width="{long:.1f}" height="{LINE - 8}" fill="{colour}"/>'
        )
        parts.append(f'<text x="{LEFT + long + 6:.1f}" y="{y + 16}">{100 * share:.0f} %</text>')
    return "\n".join([*parts, "</g>", "</svg>"])
