"""A token embedding whose pretrained rows are frozen and whose added rows are trained."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn


class Grown(nn.Module):
    """Rows of `weight`, `(known, width)`, frozen, and after them those of `rows`, `(added, width)`."""

    def __init__(self, weight: nn.Parameter, rows: Tensor) -> None:
        super().__init__()
        self.weight = weight
        self.rows = nn.Parameter(rows)

    @classmethod
    def split(cls, words: nn.Module, added: int) -> Grown:
        """An embedding whose last `added` rows are apart from the others."""
        weight = words.weight
        assert isinstance(weight, Tensor)
        known = nn.Parameter(weight.detach()[:-added], requires_grad=False)
        return cls(known, weight.detach()[-added:].clone())

    @classmethod
    def over(cls, words: nn.Module, added: int) -> Grown:
        """An embedding with `added` rows more, still 0; the known ones stay where they are in memory."""
        weight = words.weight
        assert isinstance(weight, nn.Parameter)
        return cls(weight, weight.new_zeros(added, weight.shape[1]))

    @property
    def num_embeddings(self) -> int:
        """All rows."""
        return len(self.weight) + len(self.rows)

    def forward(self, ids: Tensor) -> Tensor:
        """`(...)` to `(..., width)`."""
        known = len(self.weight)
        found = F.embedding(ids.clamp(max=known - 1), self.weight)
        fresh = ids >= known
        if bool(fresh.any()):
            found = found.index_put((fresh,), F.embedding(ids[fresh] - known, self.rows))
        return found

    def whole(self) -> nn.Embedding:
        """A plain embedding with all rows."""
        joined = torch.cat([self.weight.detach(), self.rows.detach()])
        return nn.Embedding(len(joined), joined.shape[1], _weight=joined)
