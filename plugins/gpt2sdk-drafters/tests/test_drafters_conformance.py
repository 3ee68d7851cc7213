"""Every drafter of the distribution keeps the promises of its role."""

from gpt2sdk.testing import parametrize_with_checks
from gpt2sdk_strategies.prompt_lookup import PromptLookup

COMPONENTS = [
    PromptLookup(),
    PromptLookup(max_matching_ngram_size=5, min_matching_ngram_size=2),
]


@parametrize_with_checks(COMPONENTS)
def test_conformance(component, check):
    check(component)
