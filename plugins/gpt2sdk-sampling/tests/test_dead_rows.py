"""A row that is left no token before a processor sees it stays so, and disturbs no other."""

import pytest
import torch

from gpt2sdk import Stage
from gpt2sdk.testing import make_rows
from gpt2sdk.testing.trial import open_session
from gpt2sdk_sampling import gpt2sdk_components

OPTIONS = {
    "dynatemp": {"temperature": 0.7, "dynatemp_range": 0.5},
    "top_p_decay": {"top_p": 0.9, "top_p_decay": 0.9},
}
SWITCHES = {
    "epsilon_cutoff": 0.1,
    "eta_cutoff": 0.1,
    "min_k": True,
    "min_p": 0.1,
    "p_less": True,
    "renormalize_logits": True,
    "smoothing_factor": 0.3,
    "temperature": 0.7,
    "tfs": 0.9,
    "top_a": 0.3,
    "top_h": 0.5,
    "top_k": 3,
    "top_n_sigma": 1.0,
    "top_p": 0.9,
    "typical_p": 0.7,
    "xtc_probability": 1.0,
}
OPTIONS |= {switch: {switch: value} for switch, value in SWITCHES.items()}


def build(options):
    switch = next(iter(options))
    (component,) = [each for each in gpt2sdk_components() if each.switch() == switch]
    return component(**options)


def test_every_processor_behind_the_constraints_is_tried():
    late = {
        each.switch()
        for each in gpt2sdk_components()
        if getattr(each, "stage", Stage.GUIDANCE) > Stage.CONSTRAIN
    }

    assert late == set(SWITCHES)


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("width", [6, 5000])
def test_a_dead_row_stays_dead_and_its_neighbour_does_not_notice(name, width):
    rows = make_rows([[0], [1], [0]])
    session = open_session([row.prompt for row in rows.records], vocab_size=width)
    alive = torch.randn(1, width, generator=torch.Generator().manual_seed(5))
    logits = torch.cat([alive, torch.full((1, width), -torch.inf), alive])
    run = build(OPTIONS[name]).start(session)

    found = run.process(logits, session.rows.bound(name))
    alone = run.process(alive, session.rows.bound(name).select([0]))

    assert not found[1].isfinite().any()
    torch.testing.assert_close(alone, found[:1])
