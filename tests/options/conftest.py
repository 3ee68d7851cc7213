"""Compositions of options, for a module's own `COMPONENTS`."""

from types import ModuleType

import pytest

from gpt2sdk import hookimpl
from gpt2sdk.errors import OptionError
from gpt2sdk.options import compose
from gpt2sdk.plugins.registry import Registry


def _plugin(*components, name="acme"):
    """Return a module that offers these components."""
    module = ModuleType(name)

    @hookimpl
    def gpt2sdk_components():
        return components

    module.gpt2sdk_components = gpt2sdk_components
    return module


@pytest.fixture(scope="session")
def plugin():
    """Return what makes a plugin of components."""
    return _plugin


@pytest.fixture(scope="module")
def registry(request):
    """Return a registry of the core's components and the test module's."""
    return Registry([_plugin(*request.module.COMPONENTS)], discover=False)


@pytest.fixture(scope="module")
def composed(registry):
    """Return what composes options; a double underscore stands for a dot."""
    own = registry

    def composed(prompts=1, registry=own, **options):
        named = {name.replace("__", "."): value for name, value in options.items()}
        return compose(named, registry=registry, prompts=prompts).ending_at([50256])

    return composed


@pytest.fixture(scope="module")
def refusal(composed):
    """Return what says how options are refused: in one line."""

    def refusal(error=OptionError, /, prompts=1, **options):
        with pytest.raises(error) as caught:
            composed(prompts, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return refusal


@pytest.fixture(scope="session")
def chain():
    """Return what lists the processors of a composition by purpose."""
    return lambda composed: {link.purpose: link.components for link in composed.processors}
