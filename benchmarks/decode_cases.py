"""What `bench_decode.py` has engines do: prompts of random tokens, and how they go on."""

from dataclasses import dataclass, field

import torch

VOCABULARY = 50_000
ROWS, LONG, WINDOW = (1, 8, 32), 512, 1024
CONTEXTS = (1, 128, 512, 992)


@dataclass(frozen=True)
class DecodeCase:
    """One thing that engines do.

    Attributes:
        name: What it is called on the command line and in the record.
        prompts: How many tokens each prompt has.
        new: How many tokens each row writes.
        do: `greedy`, `sample` or `beam`.
        options: Of sampling and beams.
        processors: How many Python processors run.
        needs: What an engine must be able to do.
    """

    name: str
    prompts: tuple[int, ...]
    new: tuple[int, ...]
    do: str = "greedy"
    options: dict[str, object] = field(default_factory=dict)
    processors: int = 0
    needs: str = "greedy"

    @property
    def rows(self) -> int:
        """How many rows decode together, beams included."""
        return len(self.prompts) * int(str(self.options.get("num_beams", 1)))

    @property
    def steps(self) -> int:
        """How many steps follow the first token; 0 where rows have different lengths."""
        return self.new[0] - 1 if len(set(self.new)) == len(set(self.prompts)) == 1 else 0

    @property
    def length(self) -> int:
        """How many tokens a row holds halfway."""
        return self.prompts[0] + self.new[0] // 2

    def job(self, do: str = "", new: int | None = None) -> dict[str, object]:
        """Return what a worker is asked.

        Args:
            do: Something else to do with the same prompts.
            new: Another number of tokens for all rows.
        """
        generator = torch.Generator().manual_seed(len(self.prompts))
        prompts = [
            torch.randint(VOCABULARY, (length,), generator=generator).tolist()
            for length in self.prompts
        ]
        return {
            "do": do or self.do,
            "prompts": prompts,
            "new": list(self.new) if new is None else [new] * len(prompts),
            "options": self.options,
            "processors": self.processors,
        }


def even(name: str, rows: int, prompt: int, new: int, **more: object) -> DecodeCase:
    """Return a case whose rows are alike."""
    return DecodeCase(name, (prompt,) * rows, (new,) * rows, **more)


def ragged() -> DecodeCase:
    """Return 64 prompts of 16 to 256 tokens that get 16 to 128 new ones."""
    generator = torch.Generator().manual_seed(64)
    prompts = torch.randint(16, 257, (64,), generator=generator).tolist()
    new = torch.randint(16, 129, (64,), generator=generator).tolist()
    return DecodeCase("ragged", tuple(prompts), tuple(new), needs="ragged")


def all_cases() -> dict[str, DecodeCase]:
    """Return every case by name."""
    sampled = {"temperature": 0.8, "top_p": 0.95}
    cases = [
        *(even(f"rows-{rows}", rows, 32, 64) for rows in ROWS),
        even("first-token", 1, LONG, 1),
        even("top-p", 8, 32, 64, do="sample", options=sampled, needs="sample"),
        even("beam-4", 1, 32, 64, do="beam", options={"num_beams": 4}, needs="beam"),
        *(
            even(f"processors-{count}", 8, 32, 64, processors=count, needs="processors")
            for count in (0, 1, 3)
        ),
        *(even(f"context-{held}", 1, held, 32) for held in CONTEXTS),
        ragged(),
    ]
    return {case.name: case for case in cases}


DEFAULT = [name for name in all_cases() if not name.startswith(("context", "ragged"))]
