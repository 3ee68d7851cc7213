"""Text metrics and few-shot prompts for gpt2sdk."""

from importlib import import_module
from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    import typer

    from gpt2sdk_evaluation.few_shot import FewShot
    from gpt2sdk_evaluation.generations import read_generations
    from gpt2sdk_evaluation.measurement import Measurement, measure
    from gpt2sdk_evaluation.metrics.bleu import Bleu, bleu
    from gpt2sdk_evaluation.metrics.distinct_n import distinct_n
    from gpt2sdk_evaluation.metrics.repetition import repetition
    from gpt2sdk_evaluation.metrics.self_bleu import self_bleu
    from gpt2sdk_evaluation.metrics.token_repetition import token_repetition

_HOMES = {
    "gpt2sdk_evaluation.metrics.bleu": ("Bleu", "bleu"),
    "gpt2sdk_evaluation.metrics.distinct_n": ("distinct_n",),
    "gpt2sdk_evaluation.few_shot": ("FewShot",),
    "gpt2sdk_evaluation.generations": ("read_generations",),
    "gpt2sdk_evaluation.measurement": ("Measurement", "measure"),
    "gpt2sdk_evaluation.metrics.repetition": ("repetition",),
    "gpt2sdk_evaluation.metrics.self_bleu": ("self_bleu",),
    "gpt2sdk_evaluation.metrics.token_repetition": ("token_repetition",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Bleu",
    "FewShot",
    "Measurement",
    "bleu",
    "distinct_n",
    "measure",
    "read_generations",
    "repetition",
    "self_bleu",
    "token_repetition",
]


@hookimpl
def gpt2sdk_cli(app: "typer.Typer") -> None:
    """Add `gpt2sdk measure`."""
    from gpt2sdk_evaluation.command import measure as command

    app.command("measure")(command)


def __getattr__(name: str) -> object:
    """Import a public name on first use, so that the entry module stays light.

    There is no `__dir__` beside it: who looks for hooks gets what that lists, and would import
    everything.
    """
    if name not in _HOME_OF:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    value = getattr(import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
