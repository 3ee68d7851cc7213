"""A plugin in one file: a processor with an option and a memory, used as if it were installed.

Run it: python examples/05_plugin_in_one_file.py [MODEL]
"""

import sys
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field

from gpt2sdk import Generator, Logits, LogitsProcessor, PerRow, Rows, Session, Stage, hookimpl


class Pace(LogitsProcessor):
    """Makes a full stop likelier with every token since the last one."""

    stage: ClassVar[Stage] = Stage.BIAS
    pace: Annotated[float, Field(ge=0.0, description="Nats per token; 0 is off.")] = 0.0

    def start(self, session: Session) -> "PaceRun":
        """Ask the session for a memory: it follows forks, rewinds and refilled rows."""
        (stop,) = session.vocabulary.encode(".")
        waited = session.per_row(
            lambda prompt: 0,  # of a fresh row; then with every token it takes:
            lambda waited, token, logits: 0 if token == stop else waited + 1,
        )
        return PaceRun(self.pace, stop, waited)


class PaceRun(NamedTuple):
    """The processor at work in one session."""

    pace: float
    stop: int
    waited: PerRow[int]

    def process(self, logits: Logits, rows: Rows) -> Logits:
        """Return the logits with the full stop's raised."""
        raised = logits.clone()
        raised[:, self.stop] += self.pace * logits.new_tensor(self.waited[rows])
        return raised


@hookimpl
def gpt2sdk_components() -> tuple[type[Pace]]:
    """Return what this plugin offers."""
    return (Pace,)


gen = Generator.from_pretrained(*sys.argv[1:] or ["storyteller"], plugins=[sys.modules[__name__]])

for pace in (0.0, 0.5, 2.0):
    text = gen.generate("Once upon a time", pace=pace, max_new_tokens=40, seed=7).text
    print(f"pace={pace}: {text.count('.')} full stops in {text!r}")
