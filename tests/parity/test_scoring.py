"""A text costs what transformers' loss says, and what gpt2sdk-train measures."""

import pytest
import torch

TOLERANCE = 1e-5
SEPARATED = ("abcd efgh ijkl, mnop! " * 9, "q", "rstu vwxy z " * 3)


def their_losses(twins, tokens, ignored):
    """Return transformers' mean loss over all but the first so many tokens."""
    labels = torch.tensor([tokens])
    labels[0, :ignored] = -100
    with torch.no_grad():
        return twins.theirs(torch.tensor([tokens]), labels=labels).loss.item()


def test_a_text_costs_what_transformers_loss_says(twins):
    for prompt in twins.prompts:
        score = twins.ours.score(prompt)
        loss = their_losses(twins, [*score.context, *prompt], 0)

        assert score.nats / score.token_count == pytest.approx(loss, abs=TOLERANCE)


@pytest.mark.parametrize("stride", [1, 5, 32, 64])
def test_strided_windows_cost_what_transformers_does(twins, stride):
    tokens = [token for prompt in twins.prompts[:20] for token in prompt]
    score = twins.ours.score(tokens, stride=stride)
    sequence, done, nats = [*score.context, *tokens], 0, 0.0
    while done < len(tokens):
        stop = min(done + (stride if done else 64), len(tokens))
        start = max(0, stop - 64)
        # Predicting the token at `stop` needs one position more than they have: it is fed last.
        with torch.no_grad():
            logits = twins.theirs(torch.tensor([sequence[start:stop]])).logits[0, done - start :]
        targets = torch.tensor(sequence[done + 1 : stop + 1])
        nats += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()
        done = stop

    assert score.nats / len(tokens) == pytest.approx(nats / len(tokens), abs=TOLERANCE)


@pytest.mark.parametrize(("size", "stride"), [(64, 64), (64, 32), (16, 3)])
def test_the_same_windows_cost_the_same_after_training(twins, size, stride):
    train = pytest.importorskip("gpt2sdk_train")
    packed = train.PackedTokens.encode(SEPARATED, twins.ours.tokenizer)
    theirs = train.score(train.Objective(twins.ours.model), packed, size=size, stride=stride)

    ours = twins.ours.score(packed.tokens.tolist(), window=size, stride=stride)

    assert (ours.token_count, ours.nbytes) == (theirs.tokens, theirs.nbytes)
    assert ours.bits_per_byte == pytest.approx(theirs.bits_per_byte, abs=TOLERANCE)
