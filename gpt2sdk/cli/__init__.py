"""The command line: `gpt2sdk`, or `python -m gpt2sdk`. Nothing else in the package prints."""


def main() -> None:
    """Run the command that `sys.argv` holds, and exit with its code."""
    from gpt2sdk.cli.app import app

    app(prog_name="gpt2sdk")
