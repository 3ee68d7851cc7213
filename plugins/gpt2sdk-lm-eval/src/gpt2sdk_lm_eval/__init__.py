"""Runs lm-evaluation-harness on gpt2sdk models."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    import typer

    from gpt2sdk_lm_eval.model import GPT2SDKLM

__all__ = ["GPT2SDKLM", "register"]


def register() -> None:
    """Let the harness know the model `gpt2sdk`, for `--model gpt2sdk` and `simple_evaluate`.

    It asks no entry points, so somebody has to call this. To call it again changes nothing.

    Raises:
        ImportError: The harness is not installed.
    """
    from gpt2sdk_lm_eval.registration import add_model

    add_model()


@hookimpl
def gpt2sdk_cli(app: "typer.Typer") -> None:
    """Add `gpt2sdk lm-eval`."""
    from gpt2sdk_lm_eval.command import SETTINGS, lm_eval

    app.command("lm-eval", context_settings=SETTINGS, add_help_option=False)(lm_eval)


def __getattr__(name: str) -> object:
    """Import the model on first use, so that the entry module stays light."""
    if name != "GPT2SDKLM":
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    from gpt2sdk_lm_eval.model import GPT2SDKLM

    globals()[name] = GPT2SDKLM
    return GPT2SDKLM
