"""`gpt2sdk lm-eval`: the harness's own command, which then knows gpt2sdk models."""

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Final

import typer

from gpt2sdk import OptionError

SETTINGS: Final = {"ignore_unknown_options": True, "allow_extra_args": True}
"""What lets all arguments through."""

_HELP = frozenset({"-h", "--help"})
_REMEDY = "pip install 'gpt2sdk-lm-eval[harness]'"
_MODEL = ("--model", "-M")


def lm_eval(context: typer.Context) -> None:
    """Run lm-evaluation-harness; `--model gpt2sdk` is the default.

    All arguments are those of the command `lm_eval`, which says what there is with --help.
    """
    if not _HELP.isdisjoint(context.args) and find_spec("lm_eval") is None:
        typer.echo(context.get_help())
        typer.echo(f"\nThe harness, whose arguments these are, is not installed: {_REMEDY}")
        return
    run(context.args)


def run(arguments: Sequence[str]) -> None:
    """Run the harness's command with these arguments.

    Raises:
        OptionError: The harness is not installed.
    """
    try:
        from lm_eval.__main__ import cli_evaluate  # noqa: PLC0415 - the command's help needs none
    except ImportError as error:
        message = f"the harness is missing ({error}): {_REMEDY}"
        raise OptionError(message, name="lm_eval") from None
    from gpt2sdk_lm_eval.registration import add_model  # noqa: PLC0415 - likewise

    add_model()
    sys.argv = ["lm_eval", *with_model(arguments)]
    cli_evaluate()


def with_model(arguments: Sequence[str]) -> list[str]:
    """Return the harness's arguments, with our model where a run names none.

    >>> with_model(["--tasks", "tales"])
    ['run', '--model', 'gpt2sdk', '--tasks', 'tales']
    >>> with_model(["run", "--model=hf"]), with_model(["ls", "tasks"])
    (['run', '--model=hf'], ['ls', 'tasks'])
    """
    given = list(arguments)
    if given and given[0] == "run":
        given = given[1:]
    elif not given or not given[0].startswith("-") or given[0] in ("-h", "--help"):
        return given
    named = any(each.partition("=")[0] in (*_MODEL, "--config", "-C") for each in given)
    return ["run", *([] if named else ["--model", "gpt2sdk"]), *given]
