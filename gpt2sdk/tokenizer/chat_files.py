"""Where a tokenizer's files have chat templates: in settings, in a file of its own, in a folder."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from gpt2sdk.errors import TokenizerError

DEFAULT = "default"
"""The template that is taken where none is named."""
_OF_TOOLS = "tool_use"


def read_templates(settings: Mapping[str, object], files: Mapping[str, bytes]) -> dict[str, str]:
    """Gather chat templates by name; a file goes before what the settings say.

    Args:
        settings: What `tokenizer_config.json` holds; `chat_template` is one template, or a list of
            named ones.
        files: `chat_template.jinja`, and those of the folder of the others, which are named by
            their files.

    Raises:
        TokenizerError: If a file is not UTF-8.

    Example:
        >>> named = [{"name": "default", "template": "a"}, {"name": "tool_use", "template": "b"}]
        >>> read_templates({"chat_template": named}, {"chat_template.jinja": b"c"})
        {'default': 'c', 'tool_use': 'b'}
    """
    found = dict(_of_settings(settings.get("chat_template")))
    for path, content in files.items():
        file = PurePosixPath(path)
        name = DEFAULT if file.parent == PurePosixPath() else file.stem
        try:
            found[name] = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise TokenizerError(f"{path}: cannot be read as UTF-8 text: {error}") from error
    return found


def chosen_name(wanted: str | None, templates: Mapping[str, str], *, tools: bool) -> str | None:
    """Return the name of the template that a call wants; `None` where there is none of it.

    Args:
        wanted: The name that was given, if one was.
        templates: Those there are.
        tools: Whether the call has tools, for which there may be a template of its own.
    """
    if wanted is not None:
        return wanted if wanted in templates else None
    names = ((_OF_TOOLS,) if tools else ()) + (DEFAULT,)
    return next((name for name in names if name in templates), None)


def _of_settings(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield DEFAULT, value
    for each in value if isinstance(value, list) else ():
        if isinstance(each, dict):
            name, template = each.get("name"), each.get("template")
            if isinstance(name, str) and isinstance(template, str):
                yield name, template
