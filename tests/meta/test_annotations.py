"""Shapes and types of annotations are checked while the tests run."""

import pytest
import torch
from jaxtyping import TypeCheckError

from gpt2sdk import errors, shapes


def test_annotations_are_checked():
    with pytest.raises(TypeCheckError):
        errors.listing(3)


def test_a_wrong_rank_is_not_an_instance():
    assert isinstance(torch.zeros(2, 3), shapes.Logits)
    assert not isinstance(torch.zeros(3), shapes.Logits)
