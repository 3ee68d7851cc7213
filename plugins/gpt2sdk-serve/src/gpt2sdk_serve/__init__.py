"""Serves models over HTTP to the clients people have."""

from typing import TYPE_CHECKING

from gpt2sdk import hookimpl

if TYPE_CHECKING:
    import typer

    from gpt2sdk_serve.app import make_app
    from gpt2sdk_serve.settings import ServeSettings

__all__ = ["ServeSettings", "make_app"]


@hookimpl
def gpt2sdk_cli(app: "typer.Typer") -> None:
    """Add `gpt2sdk serve`."""
    from gpt2sdk_serve.command import serve

    app.command("serve")(serve)


def __getattr__(name: str) -> object:
    """Import what is public on first use, so that the entry module stays light."""
    if name == "ServeSettings":
        from gpt2sdk_serve.settings import ServeSettings

        return ServeSettings
    if name == "make_app":
        from gpt2sdk_serve.app import make_app

        return make_app
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
