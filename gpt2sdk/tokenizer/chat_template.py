"""A chat template: Jinja in its sandbox, with what models' templates expect to find there.

What the template itself writes can be told from what it was given: special tokens in its own text
and in its own strings are replaced by stand-ins before it runs.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime

from jinja2 import TemplateError, TemplateSyntaxError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment
from typing_extensions import override

from gpt2sdk.errors import OptionError

# Methods whose arguments are looked for in a text, and not written.
_LOOKS = frozenset(
    {
        *(
            "split",
            "rsplit",
            "partition",
            "rpartition",
            "startswith",
            "endswith",
            "strip",
            "lstrip",
        ),
        *("rstrip", "replace", "find", "rfind", "index", "rindex", "count", "get"),
        *("removeprefix", "removesuffix"),
    }
)


class ChatTemplate:
    """A template that is read, and can be rendered any number of times.

    As in transformers, blocks take the line break behind them and the blanks before them, there
    are `break` and `continue`, `raise_exception`, `strftime_now`, a `tojson` that keeps `<` and
    `é` as they are, and the block `generation`, which does nothing here.
    """

    def __init__(self, source: str, put: Callable[[str], str]) -> None:
        """Read a template.

        Args:
            source: Its text.
            put: What puts stand-ins in place of special tokens.

        Raises:
            OptionError: It is no template.
        """
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _refuse
        environment.globals["strftime_now"] = _now
        try:
            tree = environment.parse(source)
            _mark(tree, put)
            self._template = environment.from_string(tree)
        except TemplateSyntaxError as error:
            message = f"the chat template cannot be read: line {error.lineno}: {error.message}"
            raise OptionError(message, name="chat_template") from None

    def render(self, variables: Mapping[str, object]) -> str:
        """Write a text.

        Args:
            variables: What the template is given.

        Raises:
            OptionError: The template refuses the messages, or fails on them.
        """
        try:
            return self._template.render(variables)
        except _RefusedError as error:
            message = f"the chat template refuses the messages: {error.message}"
            raise OptionError(message, name="messages") from None
        except Exception as error:
            # Whatever a template does wrong: a stranger wrote it.
            message = f"the chat template fails on the messages: {type(error).__name__}: {error}"
            raise OptionError(message, name="messages") from error


class _RefusedError(TemplateError):
    """What a template raises by itself."""


class _Generation(Extension):
    """`{% generation %}` … `{% endgeneration %}`, which marks what a model is trained on."""

    tags = {"generation"}  # noqa: RUF012 - as Jinja declares it

    @override
    def parse(self, parser: Parser) -> nodes.Node | list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _refuse(message: str) -> None:
    raise _RefusedError(message)


def _now(form: str) -> str:
    return datetime.now().astimezone().strftime(form)


def _to_json(
    value: object,
    *,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _mark(tree: nodes.Template, put: Callable[[str], str]) -> None:
    """Put stand-ins into what a template writes, and not into what it looks for."""
    kept = {id(each) for each in _looked_for(tree)}
    for data in tree.find_all(nodes.TemplateData):
        data.data = put(data.data)
    for const in tree.find_all(nodes.Const):
        if isinstance(const.value, str) and id(const) not in kept:
            const.value = put(const.value)


def _looked_for(tree: nodes.Template) -> Iterator[nodes.Const]:
    """Yield the strings that texts are compared with or searched for."""
    for asking in tree.find_all((nodes.Compare, nodes.Test)):
        yield from asking.find_all(nodes.Const)
    for item in tree.find_all(nodes.Getitem):
        if isinstance(item.arg, nodes.Const):
            yield item.arg
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Getattr) and call.node.attr in _LOOKS:
            yield from (each for each in call.args if isinstance(each, nodes.Const))
    for named in tree.find_all(nodes.Filter):
        if named.name == "replace":
            yield from (each for each in named.args if isinstance(each, nodes.Const))
