"""lm-evaluation-harness asks the server, and has the numbers of the process."""

import math

import pytest

PAIRS = (
    ("The king", " was a good man"),
    ("Once upon a", " time there was a poor woman"),
    ("The cat sat", " on the"),
    ("", "The king was old"),
)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_local_completions_has_the_scores_of_the_process(site, storyteller, monkeypatch):
    for name in ("lm_eval", "aiohttp", "tenacity"):
        pytest.importorskip(name, reason="needs lm_eval and what asks servers")
    from lm_eval.api.instance import Instance
    from lm_eval.models.openai_completions import LocalCompletionsAPI

    monkeypatch.setenv("OPENAI_API_KEY", "none")
    model = LocalCompletionsAPI(
        base_url=f"{site.url}/v1/completions",
        model="storyteller",
        max_length=512,
        batch_size=2,
        num_concurrent=1,
    )
    asked = [Instance("loglikelihood", {}, pair, n) for n, pair in enumerate(PAIRS)]
    found = model.loglikelihood(asked, disable_tqdm=True)

    assert "remote" == model.tokenizer_backend
    bos = storyteller.tokenizer.bos_token_id
    for (context, text), (number, greedy) in zip(PAIRS, found, strict=True):
        known = storyteller.tokenizer.encode(context) or [bos]
        score = storyteller.score(storyteller.tokenizer.encode(text), context=known, bos=False)
        assert score.greedy == greedy
        assert math.isclose(math.fsum(score.logprobs), number, rel_tol=1e-12)
