"""The group of all commands: turns errors into exit codes, and asks plugins for theirs."""

import errno
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup
from typing_extensions import override

from gpt2sdk.cli.exit_codes import FAILED, INTERRUPTED, UNREAD, WRONG_USE
from gpt2sdk.cli.flags import flag
from gpt2sdk.cli.logs import shown_as_warnings
from gpt2sdk.cli.terminal import fail, remark, secure_streams
from gpt2sdk.errors import GenerationError, GPT2SDKError
from gpt2sdk.mention import spelled_as

# What a full or broken disk says of a file that is open.
_OUTPUT_LOST = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
# The base of what the parser raises; typer has no public name for it.
_UsageError: type[Exception] = typer.BadParameter.__bases__[0]


class Commands(TyperGroup):
    """Runs one command; what goes wrong is one line on standard error and an exit code.

    Plugins are asked for commands where all are listed, or one is called that is not built in, so
    that no plugin slows the others down.
    """

    @override
    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        secure_streams()
        try:
            with shown_as_warnings():
                code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except _UsageError as error:
            code = _explain_usage(error, sys.argv[1:] if args is None else args)
        except BrokenPipeError:
            code = _stop_printing()
        except OSError as error:
            # Help, or the last of a result, could not be printed.
            code = _explain(error)
            _stop_printing()
        if standalone_mode:
            sys.exit(code or 0)
        return code

    @override
    def invoke(self, ctx: Any) -> Any:
        try:
            with spelled_as(flag):
                return super().invoke(ctx)
        except (_UsageError, typer.Exit):
            raise
        except KeyboardInterrupt:
            remark("cancelled")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            raise typer.Exit(_stop_printing()) from None
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            raise typer.Exit(_explain(error)) from None

    @override
    def list_commands(self, ctx: Any) -> list[str]:
        return list(dict.fromkeys([*super().list_commands(ctx), *_added(ctx.meta)]))

    @override
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        return super().get_command(ctx, cmd_name) or _added(ctx.meta).get(cmd_name)

    @override
    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if self.get_command(ctx, args[0]) is None and (hint := _remedy(args[0])):
            raise _UsageError(f"There is no command {args[0]!r}: {hint}", ctx)
        return super().resolve_command(ctx, args)


def _remedy(command: str) -> str:
    """Say how to get a command that a known plugin adds."""
    from gpt2sdk.plugins.host import default_host
    from gpt2sdk.plugins.unused import command_remedy

    return command_remedy(command, default_host().records())


def _added(meta: dict[str, Any]) -> dict[str, Any]:
    """Return the commands of plugins, by name; a context's `meta` keeps them."""
    from gpt2sdk.cli.plugin_commands import plugin_commands
    from gpt2sdk.plugins.host import default_host

    added: dict[str, Any] = meta.setdefault("gpt2sdk.commands", {})
    if not added:
        added.update(plugin_commands(default_host()))
    return added


def _explain(error: Exception) -> int:
    """Print an error that a command raised, and return the exit code."""
    if isinstance(error, GenerationError):
        fail(str(error))
        return FAILED
    if isinstance(error, GPT2SDKError):
        fail(str(error))
        return WRONG_USE
    if isinstance(error, OSError):
        fail(_explain_system(error))
        return WRONG_USE
    fail(f"{type(error).__name__}: {error} (gpt2sdk --debug shows where)")
    return FAILED


def _explain_system(error: OSError) -> str:
    """Say which file is the matter; of none, it is where the output goes."""
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if error.errno in _OUTPUT_LOST:
        return f"the output cannot be written as a whole: {error.strerror}"
    return str(error)


def _explain_usage(error: Exception, args: Sequence[str]) -> int:
    """Print what the parser did not understand, and where help is."""
    context = getattr(error, "ctx", None)
    message = error.format_message() if hasattr(error, "format_message") else str(error)
    hint = f" ({context.command_path} --help says more)" if context is not None else ""
    fail(f"{(_unknown_flag(error, args) or message).rstrip('.')}{hint}")
    return WRONG_USE


def _unknown_flag(error: Exception, args: Sequence[str]) -> str:
    """Say how what was meant by a flag that there is not is written; empty where nobody knows."""
    context, written = getattr(error, "ctx", None), getattr(error, "option_name", "")
    if context is None or not hasattr(error, "possibilities"):
        return ""
    from gpt2sdk.cli.unknown_flags import advice

    flags = {name for each in context.command.params for name in each.opts}
    try:
        return advice(written, context.command.name, flags, args)
    except GPT2SDKError:
        # Plugins that cannot be asked are no matter of this mistake.
        return ""


def _stop_printing() -> int:
    """Let nothing more be printed, not even while Python ends; return the exit code."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return UNREAD
