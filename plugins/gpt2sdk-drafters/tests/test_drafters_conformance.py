"""Every drafter of the distribution keeps the promises of its role."""

from gpt2sdk.testing import TableModel, parametrize_with_checks
from gpt2sdk.testing.field_checks import check_json
from gpt2sdk_drafters.corpus import Corpus
from gpt2sdk_drafters.draft_model import DraftModel
from gpt2sdk_drafters.early_exit import EarlyExit
from gpt2sdk_drafters.prompt_lookup import PromptLookup
from gpt2sdk_drafters.suffix import Suffix

COMPONENTS = [
    PromptLookup(),
    PromptLookup(max_matching_ngram_size=5, min_matching_ngram_size=2),
    Suffix(),
    Suffix(suffix_decoding_max_spec_factor=4.0, suffix_decoding_max_cached_requests=0),
    Corpus(**Corpus.example_options()),
    DraftModel(assistant_model=TableModel(29, seed=3)),
    DraftModel(assistant_model=TableModel(29, context_length=6), assistant_cost=0.1),
    DraftModel(assistant_model=TableModel(29), assistant_confidence_threshold=0.5),
    EarlyExit(assistant_early_exit=1),
]


@parametrize_with_checks(COMPONENTS)
def test_conformance(component, check):
    check(component)


def test_a_draft_model_with_a_name_is_json():
    check_json(DraftModel(assistant_model="storyteller"))
