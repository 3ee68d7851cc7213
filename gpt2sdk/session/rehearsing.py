"""Rehearsing: what the chain and the sampler would pick, had the rows gone on."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from typing_extensions import override

from gpt2sdk.components.causal_lm import CausalLM
from gpt2sdk.components.processor import LogitsProcessor
from gpt2sdk.components.records import Row
from gpt2sdk.components.rows import Rows, RowStore
from gpt2sdk.components.session import Rehearsal
from gpt2sdk.session.chain import Chain
from gpt2sdk.shapes import Logits, Tokens


class ImaginedRows(Rehearsal):
    """Copies of some rows, in seats of the same numbers, so that columns are found for them."""

    def __init__(self, chain: Chain, model: CausalLM, rows: Rows) -> None:
        """Copy the rows.

        Args:
            chain: What acts on them.
            model: What reads them; here it does not, so what wants its hidden states is left out.
            rows: From where they go on.
        """
        self._chain = chain
        self._model = model
        self._store = RowStore(rows.device)
        originals = dict(zip(rows.index, rows.records, strict=True))
        # A seat that is not asked for stays empty, so that nothing of it is written down.
        for seat in range(max(originals, default=-1) + 1):
            row = originals.get(seat)
            self._store.rows.append(
                Row(next(iter(originals.values())).prompt, 0)
                if row is None
                else replace(row, tokens=list(row.tokens), written=0)
            )
        self.rows = Rows(self._store, rows.index)

    @override
    def choose(self, logits: Logits, index: Sequence[int] | None = None) -> Tokens:
        nothing = torch.full((len(logits),), -1, dtype=torch.int64, device=logits.device)
        try:
            found = self._choose(logits, self.rows if index is None else self.rows.select(index))
        except Exception:  # noqa: BLE001 - who raises here is asked in earnest soon, and named then
            return nothing
        return found.where(found >= 0, nothing) if found.shape == nothing.shape else nothing

    @override
    def append(self, tokens: Sequence[int]) -> None:
        whole = [-1] * len(self._store.rows)
        for seat, token in zip(self.rows.index, tokens, strict=True):
            whole[seat] = token
        self._store.append(whole)

    def _choose(self, logits: Logits, some: Rows) -> Tokens:
        for station in self._chain.processors:
            rows = some.bound(station.purpose)
            for started, index in station.groups(rows):
                component = started.component
                reads = isinstance(component, LogitsProcessor) and [*component.wants(self._model)]
                if started.entourage.followers or reads:
                    continue
                if index is None:
                    logits = started.run.process(logits, rows)
                    continue
                at = torch.tensor(index, device=logits.device)
                part = started.run.process(logits[at], rows.select(index))
                logits = logits.index_copy(0, at, part)
        fine = torch.isfinite(logits.amax(-1, keepdim=True))
        sampler = self._chain.sampler
        rows = some.bound(sampler.component.name)
        return sampler.run.choose(logits.where(fine, 0.0), rows).where(fine[:, 0], -1)
