"""Checks of what each role answers: logits, a token, a mask, proposals."""

from dataclasses import replace

import torch

from gpt2sdk.components.component import neutral
from gpt2sdk.components.drafter import Drafter
from gpt2sdk.components.processor import LogitsProcessor, Stage
from gpt2sdk.components.sampler import Sampler
from gpt2sdk.components.stopping import StoppingCriterion
from gpt2sdk.testing.acting import PROPOSALS, alike, answer, begin
from gpt2sdk.testing.promise import promise
from gpt2sdk.testing.situations import VOCAB_SIZE, ordinary, situations
from gpt2sdk.testing.trial import open_session
from gpt2sdk.testing.written_rows import make_rows

_DRAWS, _MANY = 1000, 4000


def check_logits_come_out(processor: LogitsProcessor) -> None:
    """Shape and dtype are kept."""
    for situation in situations():
        found = answer(processor, situation)
        where = f"{processor!r} with {situation.name}"
        promise(found.shape == situation.logits.shape, f"{where}: shape {tuple(found.shape)}")
        promise(found.dtype == situation.logits.dtype, f"{where}: dtype {found.dtype}")


def check_nothing_is_nan(processor: LogitsProcessor) -> None:
    """No logit is NaN or plus infinity; `-inf` is a token that is out."""
    for situation in situations():
        found = answer(processor, situation)
        for what, wrong in (("NaN", found.isnan()), ("plus infinity", found.isposinf())):
            rows = wrong.any(-1).nonzero()[:, 0].tolist()
            promise(not rows, f"{processor!r} with {situation.name}: {what} in rows {rows}")


def check_tokens_ruled_out_stay_out(processor: LogitsProcessor) -> None:
    """`-inf` stays `-inf`: no processor behind guidance revives a token."""
    if processor.stage < Stage.BIAS:
        return
    for situation in situations():
        revived = situation.logits.isneginf() & ~answer(processor, situation).isneginf()
        where = f"{processor!r} with {situation.name}"
        rows = revived.any(-1).nonzero()[:, 0].tolist()
        promise(not rows, f"{where}: revives {int(revived.sum())} tokens, in rows {rows}")


def check_a_token_is_left(processor: LogitsProcessor) -> None:
    """Every row keeps a token.

    A processor that rules out tokens by name may empty a row that had only those left; those
    from temperature on have no such excuse.
    """
    for situation in situations():
        named = processor.stage <= Stage.CONSTRAIN
        if named and situation.logits.isneginf().any():
            continue
        emptied = answer(processor, situation).isneginf().all(-1)
        where = f"{processor!r} with {situation.name}"
        promise(not emptied.any(), f"{where}: no token left in rows {emptied.nonzero().tolist()}")


def check_a_row_without_tokens_stays_so(processor: LogitsProcessor) -> None:
    """A row that has lost all its tokens comes out without NaN and without one, its batch whole.

    Another processor may have emptied it; then it ends there, and no other row must notice.
    """
    situation = ordinary()
    empty = situation.logits.clone()
    empty[1] = -torch.inf
    whole = answer(processor, situation)
    found = answer(processor, replace(situation, name="an empty row", logits=empty))
    promise(not found.isnan().any(), f"{processor!r} with an empty row: NaN")
    others = [0, 2, 3, 4]
    message = "with an empty row: other rows get another answer"
    promise(alike(whole[others], found[others]), f"{processor!r} {message}")
    if processor.stage >= Stage.BIAS:
        promise(found[1].isneginf().all(), f"{processor!r} revives a token of an empty row")


def check_the_neutral_value_changes_nothing(processor: LogitsProcessor) -> None:
    """With the switch at its default the distribution is the one that came in."""
    switch = processor.switch()
    if switch is None:
        return
    off = type(processor)(**{switch: neutral(type(processor).model_fields[switch])})
    for situation in situations():
        same = alike(situation.logits.log_softmax(-1), answer(off, situation).log_softmax(-1))
        promise(same, f"{off!r} changes the distribution with {situation.name}: it must be off")


def check_tokens_come_out(sampler: Sampler) -> None:
    """One int64 token per row, and never one that is ruled out."""
    for situation in situations():
        found = answer(sampler, situation, role=Sampler)
        where = f"{sampler!r} with {situation.name}"
        promise(found.dtype == torch.int64, f"{where}: dtype {found.dtype}, expected int64")
        promise(found.shape == (len(situation.rows),), f"{where}: shape {tuple(found.shape)}")
        inside = ((found >= 0) & (found < VOCAB_SIZE)).all()
        promise(inside, f"{where}: tokens {found.tolist()} outside the vocabulary")
        chosen = situation.logits.gather(1, found[:, None])
        promise(not chosen.isneginf().any(), f"{where}: picks a token that is ruled out")


def check_noise_seldom_changes_the_token(sampler: Sampler) -> None:
    """Logits that differ by rounding give the same token, but about as seldom as they differ.

    In a race, noise of a thousandth of a nat changes one draw in some two thousand. Where
    probabilities are added up until they reach a number, all sums behind a token move with it, and
    it is one in some twenty.
    """
    generator = torch.Generator().manual_seed(13)
    logits = 3.0 * torch.randn(_DRAWS, _MANY, generator=generator)
    noise = 1e-3 * torch.randn(_DRAWS, _MANY, generator=generator)
    rows = make_rows([[0]] * _DRAWS, seed=7)
    session = open_session([row.prompt for row in rows.records], vocab_size=_MANY)
    act = begin(sampler, session, Sampler)
    bound = session.rows.bound(sampler.name)
    flips = int((act(logits, bound) != act(logits + noise, bound)).sum())
    message = f"noise of 0.001 nats changes {flips} of {_DRAWS} tokens: draw with rows.race()"
    promise(flips <= _DRAWS // 100, f"{sampler!r}: {message}")


def check_a_mask_comes_out(criterion: StoppingCriterion) -> None:
    """One yes or no per row, and a reason to go with it."""
    promise(criterion.reason, f"{criterion!r} has no reason")
    for situation in situations():
        found = answer(criterion, situation, role=StoppingCriterion)
        promise(found.dtype == torch.bool, f"{criterion!r}: dtype {found.dtype}, expected bool")
        promise(found.shape == (len(situation.rows),), f"{criterion!r}: shape {tuple(found.shape)}")


def check_the_neutral_value_ends_nothing(criterion: StoppingCriterion) -> None:
    """With the switch at its default no row ends."""
    switch = criterion.switch()
    if switch is None:
        return
    off = type(criterion)(**{switch: neutral(type(criterion).model_fields[switch])})
    ended = answer(off, ordinary(), role=StoppingCriterion)
    promise(not ended.any(), f"{off!r} ends rows {ended.nonzero().tolist()}: it must be off")


def check_proposals_come_out(drafter: Drafter) -> None:
    """As many int64 tokens per row as asked for, -1 from where there are no more."""
    for situation in situations():
        found = answer(drafter, situation, role=Drafter)
        where = f"{drafter!r} with {situation.name}"
        promise(found.dtype == torch.int64, f"{where}: dtype {found.dtype}, expected int64")
        expected = len(situation.rows), PROPOSALS
        promise(found.shape == expected, f"{where}: shape {tuple(found.shape)}, not {expected}")
        inside = ((found >= -1) & (found < VOCAB_SIZE)).all()
        promise(inside, f"{where}: tokens {found.tolist()} outside the vocabulary")
        gaps = (found[:, :-1] < 0) & (found[:, 1:] >= 0)
        promise(not gaps.any(), f"{where}: -1 in the middle of {found.tolist()}")
