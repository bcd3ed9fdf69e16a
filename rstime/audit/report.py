"""What an audit found: scores of each set of windows between two references, levels, the index, text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import gmean

from rstime.audit.trust import GROUPS, levels, trust_index
from rstime.report import text_table
from rstime.types import Floats

REAL, WHITE, CONSTANT = "real", "white noise", "constant"
"""References: the windows that were learned from; no memory; no spread. Measured as the others."""

CLEAR = 2.0
"""A score counts where its references are this many of their sd apart."""

UNLIKE = 0.01
ALIKE = "\nThe real windows learned from and held out differ themselves (p = {:.3f}): no model can be like both.\n"

COPIES, CHANCE = 1.0, 0.5
"""Privacy scores of copies of the training windows, and of windows that know nothing, but for chance."""


@dataclass(frozen=True)
class Score:
    """What a column of numbers is: group, name, and the sd of the noise that was added to all readings."""

    group: str
    name: str
    noise: float = 0.0


@dataclass(frozen=True, eq=False)
class Audit:
    """Scores of sets of windows on the same random halves of the real ones.

    Attributes
    ----------
    scores
        What was measured.
    halves
        Set -> (H, K) each score on each half; the references REAL, WHITE and CONSTANT are among the sets.
    p
        Set -> share of random labels whose MMD from the held-out windows is as large; windows count as independent.
    counts
        Windows learned from, windows held out.
    """

    scores: tuple[Score, ...]
    halves: Mapping[str, Floats]
    p: Mapping[str, float]
    counts: tuple[int, int]

    @property
    def candidates(self) -> tuple[str, ...]:
        """Sets that are no reference."""
        return tuple(name for name in self.halves if name not in (REAL, WHITE, CONSTANT))

    def mean(self, name: str) -> Floats:
        """(K,) scores of a set, means over the halves."""
        return np.asarray(self.halves[name].mean(0))

    def spread(self, name: str) -> Floats:
        """(K,) standard deviation over the halves: the standard error of the score on all windows.

        A half of n windows taken without return has, about their mean, the variance that n windows have about the
        truth (delete-half jackknife, Shao and Wu 1989).
        """
        return np.asarray(self.halves[name].std(0, ddof=1))

    @property
    def references(self) -> tuple[Floats, Floats]:
        """(K,) best and worst of each score; NaN for both where they are too close together to tell anything.

        Best: real windows that were learned from, beside those held out. Worst: white noise or a constant, whichever
        is farther from that. Of privacy: white noise, which knows nothing of anybody, or .5 if that is more; copies.
        """
        best, white, constant = (self.mean(name) for name in (REAL, WHITE, CONSTANT))
        told = np.array([score.name == "discriminative" for score in self.scores])
        best = np.where(told, np.maximum(best, CHANCE), best)  # items that balance each other push it below
        chosen = np.abs(white - best) >= np.abs(constant - best)
        worst = np.where(chosen, white, constant)
        noise = np.hypot(self.spread(REAL), np.where(chosen, self.spread(WHITE), self.spread(CONSTANT)))
        clear = np.abs(worst - best) > CLEAR * noise
        private = np.array([score.group == "privacy" for score in self.scores])
        best = np.where(private, np.maximum(white, CHANCE), np.where(clear, best, np.nan))
        return best, np.where(private, COPIES, worst)

    def levels(self, name: str) -> Floats:
        """(K,) place of each score between worst, 0, and best, 1."""
        return levels(self.mean(name), *self.references)

    def groups(self, name: str) -> dict[str, float]:
        """Level of each group: the geometric mean of its scores' levels, so that others cannot make up for one at 0.

        Robustness is that of all scores under added noise; NaN where nothing was measured.
        """
        return self._groups(self.levels(name))

    def _groups(self, level: Floats) -> dict[str, float]:
        found = {}
        for group in GROUPS:
            places = [
                k
                for k, score in enumerate(self.scores)
                if (score.noise > 0 if group == "robustness" else score.group == group and score.noise == 0)
            ]
            told = level[places][~np.isnan(level[places])]
            found[group] = float(gmean(told)) if len(told) else float("nan")
        return found

    def index(self, name: str, weights: Mapping[str, float] | None = None) -> tuple[float, float]:
        """Trust index of a set (`rstime.audit.trust.trust_index`), and its standard deviation over the halves."""
        best, worst = self.references
        each = [trust_index(self._groups(levels(row, best, worst)), weights) for row in self.halves[name]]
        return trust_index(self.groups(name), weights), float(np.std(each, ddof=1))

    def table(self) -> pd.DataFrame:
        """Return a row a score and set: group, score, noise, set, value, sd, level."""
        rows = []
        for name in self.halves:
            numbers = zip(self.scores, self.mean(name), self.spread(name), self.levels(name), strict=True)
            for score, value, spread, level in numbers:
                rows.append(
                    {
                        "group": score.group,
                        "score": score.name,
                        "noise": score.noise,
                        "set": name,
                        "value": value,
                        "sd": spread,
                        "level": level,
                    }
                )
        return pd.DataFrame(rows)

    def text(self, weights: Mapping[str, float] | None = None) -> str:
        """Return the scores without added noise, and groups and index of each set, as text."""
        shown = [REAL, *self.candidates, WHITE, CONSTANT]
        lines = []
        for k, score in enumerate(self.scores):
            if score.noise == 0:
                cells = {name: f"{self.mean(name)[k]:.3f} ± {self.spread(name)[k]:.3f}" for name in shown}
                lines.append({"group": score.group, "score": score.name, **cells})
        trust = []
        for name in (REAL, *self.candidates):
            value, spread = self.index(name, weights)
            cells = {"p of MMD": f"{self.p[name]:.3f}", "trust index": f"{value:.2f} ± {spread:.2f}"}
            trust.append({"set": name, **self.groups(name), **cells})
        head = f"{self.counts[0]} windows learned from, {self.counts[1]} held out; mean ± standard error"
        tables = text_table(pd.DataFrame(lines), group=("group",)), text_table(pd.DataFrame(trust), digits=2)
        note = ALIKE.format(self.p[REAL]) if self.p[REAL] <= UNLIKE else ""
        return f"{head}\n\n{tables[0]}\n\n{tables[1]}\n{note}"
