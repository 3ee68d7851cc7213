"""What ships can be checked by `gpt2sdk plugins check`, without a network."""

import socket
from typing import Annotated

import pytest
from pydantic import Field

from gpt2sdk import (
    CALLER_ONLY_RULE,
    Detector,
    Drafter,
    LogitsProcessor,
    OptionError,
    Sampler,
    StoppingCriterion,
    Strategy,
    TextCriterion,
)
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.testing.conformance import checks_of, findings
from gpt2sdk.testing.examples import example_of
from gpt2sdk.testing.generation_checks import SEEDS, generate, suited

REGISTRY = Registry()
ACTING = (LogitsProcessor, Sampler, StoppingCriterion, TextCriterion, Drafter, Strategy)
SHIPPED = [
    offer
    for offer in REGISTRY.offers(*ACTING, Detector)
    if offer.origin.distribution.startswith("gpt2sdk")
]


@pytest.fixture
def no_network(monkeypatch):
    """Refuse sockets."""

    def refuse(*given):
        raise AssertionError(f"a socket is opened: {given}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize(
    "offer", SHIPPED, ids=lambda offer: f"{offer.name}-{offer.roles[0].__name__}"
)
def test_what_ships_has_an_example_that_can_be_checked(offer):
    component = example_of(offer.component, {})
    first, *_ = checks_of(component)

    first(component)
    if isinstance(component, ACTING):
        prompts = suited(component)
        assert generate(component, prompts[:1], SEEDS[:1]).completions


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("name", ["ensemble", "corpus"])
def test_what_needs_a_model_or_a_file_keeps_every_promise(name):
    (offer,) = REGISTRY.named(name)

    assert [] == [told for _, told, error in findings(example_of(offer.component, {})) if error]


def test_no_file_or_model_is_guessed():
    class Reads(Drafter):
        """Reads a file."""

        reads: Annotated[str, CALLER_ONLY_RULE, Field(description="A path.")]

    with pytest.raises(OptionError, match=r"reads\.reads: no value is known .* example_options"):
        example_of(Reads, {})
