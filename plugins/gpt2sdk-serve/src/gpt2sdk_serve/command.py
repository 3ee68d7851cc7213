"""`gpt2sdk serve`: serve models over HTTP."""

from typing import Annotated

import typer


def serve(model: Annotated[list[str], typer.Argument(metavar="MODEL…")], port: int = 8000) -> None:
    """Serve models over HTTP to OpenAI's clients."""
    import uvicorn  # noqa: PLC0415

    from gpt2sdk import Generator  # noqa: PLC0415
    from gpt2sdk_serve.app import make_app  # noqa: PLC0415
    from gpt2sdk_serve.settings import ServeSettings  # noqa: PLC0415

    settings = ServeSettings(port=port)
    served = {name: Generator.from_pretrained(name) for name in model}
    uvicorn.run(make_app(served, settings), host=settings.host, port=settings.port)
