"""The command line: `gpt2sdk`, or `python -m gpt2sdk`. Nothing else in the package prints."""

import sys


def main() -> None:
    """Run the command that `sys.argv` holds, and exit with its code."""
    try:
        from gpt2sdk.cli.app import app

        app(prog_name="gpt2sdk")
    except KeyboardInterrupt:
        # Before there was a command to be interrupted.
        from gpt2sdk.cli.exit_codes import INTERRUPTED

        sys.stderr.write("cancelled\n")
        sys.exit(INTERRUPTED)
