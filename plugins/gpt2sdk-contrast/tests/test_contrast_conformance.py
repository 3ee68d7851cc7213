"""Every component of the distribution keeps the promises of its role."""

from gpt2sdk.testing import TableModel, parametrize_with_checks
from gpt2sdk_contrast.context_aware import ContextAware
from gpt2sdk_contrast.contrastive_decoding import ContrastiveDecoding
from gpt2sdk_contrast.contrastive_search import contrastive_search
from gpt2sdk_contrast.dola_layers import DolaLayers
from gpt2sdk_contrast.ensemble import Ensemble

OTHER = TableModel(29, seed=5, context_length=4096)

COMPONENTS = [
    ContextAware(context_aware=0.5, context_free_prompt=[3, 4]),
    ContextAware(context_aware=2.0, context_free_prompt="no"),
    ContrastiveDecoding(amateur_model=OTHER),
    ContrastiveDecoding(amateur_model=OTHER, contrastive_alpha=0.3, contrastive_beta=2.0),
    ContrastiveDecoding(amateur_model=OTHER, amateur_temperature=0.5),
    DolaLayers(dola_layers=1),
    DolaLayers(dola_layers=[0, 1], dola_relative_top=0.3, dola_final_norm=True),
    DolaLayers(dola_layers="low"),
    contrastive_search.component(),
    contrastive_search.component(penalty_alpha=0.3, top_k=2),
    Ensemble(ensemble=[OTHER]),
    Ensemble(ensemble=[OTHER, OTHER], ensemble_op="mean", ensemble_weights=[2.0, 1.0, 0.5]),
]


@parametrize_with_checks(COMPONENTS)
def test_conformance(component, check):
    check(component)


def test_models_that_are_named_are_written_down():
    for component in (ContrastiveDecoding(amateur_model="a"), Ensemble(ensemble=["a", "b"])):
        assert type(component).model_validate_json(component.model_dump_json()) == component
