"""The opened task: the divided table, the network, and its losses."""

import math

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from evoweights import Task
from evoweights_wine.tables import KINDS, MEASUREMENTS, divided, wines


class WineTask(Task):
    """Measurements in units of their deviation, in three parts: ``train``, ``fitness``, ``test``."""

    unit = "rows"

    def __init__(self, settings, place):
        self.settings, self.place = settings, place
        self.tokens_per_batch = settings.batch
        table, kinds = wines()
        shares = (settings.fitness_share, settings.test_share)
        rows = divided(kinds, shares, place.noise.at("division"))
        self.rows = dict(zip(("fitness", "test", "train"), rows, strict=True))
        # What nobody may see does not decide what a unit is either.
        seen = table[torch.cat([self.rows["train"], self.rows["fitness"]])]
        scaled = (table - seen.mean(0)) / seen.std(0)
        self.parts = {
            name: (scaled[rows].to(place.device), kinds[rows].to(place.device)) for name, rows in self.rows.items()
        }
        self.evaluation_batches = len(self.rows["fitness"]) / settings.batch

    def build(self):
        """A perceptron with one hidden layer."""
        width = self.settings.hidden
        return nn.Sequential(nn.Linear(MEASUREMENTS, width), nn.Tanh(), nn.Linear(width, KINDS))

    def batch(self, index):
        """Rows to train on, drawn with replacement: a function of the index alone."""
        measured, kinds = self.parts["train"]
        generator = self.place.noise.at("batch", index).generator()
        chosen = torch.randint(len(kinds), (self.settings.batch,), generator=generator).to(kinds.device)
        return measured[chosen], kinds[chosen]

    def loss(self, module, batch):
        """Mean cross-entropy in nats."""
        measured, kinds = batch
        return cross_entropy(self._logits(module, measured), kinds)

    @torch.no_grad()
    def evaluate(self, module):
        """Mean cross-entropy of the rows that fitness is measured on, in nats."""
        return self.loss(module, self.parts["fitness"]).item()

    @torch.no_grad()
    def sample(self, module):
        """How well the rows are told that nobody has seen."""
        measured, kinds = self.parts["test"]
        right = int((self._logits(module, measured).argmax(1) == kinds).sum())
        loss = self.loss(module, (measured, kinds)).item()
        return f"{right} of {len(kinds)} wines that nobody had seen are told right, loss {loss:.4f}"

    def references(self):
        """The loss of knowing nothing, and of knowing only how frequent the kinds are."""
        counts = torch.bincount(self.parts["fitness"][1], minlength=KINDS).double()
        shares = counts / counts.sum()
        return {"uniform_guess": math.log(KINDS), "frequencies": -float((shares * shares.log()).sum())}

    def _logits(self, module, measured):
        return module(measured.to(next(module.parameters()).dtype)).float()
