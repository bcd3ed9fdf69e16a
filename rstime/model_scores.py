"""Likelihood and anomaly scores of a fitted model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from rstime.answers import anomaly_frame
from rstime.errors import ConfigError
from rstime.likelihood import likelihood_items, log_units, score_items
from rstime.model_state import ModelState, scaled_items
from rstime.types import Series


class ScoringModel(ModelState):
    """A model that says how likely measurements are."""

    def log_likelihood(
        self,
        data: pd.DataFrame | Sequence[Series],
        *,
        probes: int | None = None,
        seed: int = 0,
        static: pd.DataFrame | None = None,
        known: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Return log p(asked measurements | those not asked) of each item, in nats per measurement.

        It is the density of the noisy measurements themselves, in the units of the variables. Measurements of less
        risk than `support` are beyond what training teaches: there the prior and the network's smoothness decide.
        Exact ones count as of risk .02 sd; items longer than a window go by the chain rule over half-window pasts.

        Parameters
        ----------
        data
            Long table, whose measurements are all asked, or Series.
        probes, seed
            Random signs that estimate the trace of the network's Jacobian; None for the exact trace. The seed is theirs
            and that of draws of errors that last, of which a network takes 16: as many times the work.
        static, known
            As for `impute`; so are the errors, and ConfigError if there are fewer than 1 probes.

        Returns
        -------
        pandas.DataFrame
            Columns item (by its name in the data), measurements, log_likelihood (NaN without a measurement).
        """
        if probes is not None and probes < 1:
            raise ConfigError("probes", str(probes), "Give at least 1, or None for the exact trace.")
        scaler, axis, denoiser = self._fitted()
        series = self._questions(data, static, known)
        items = scaled_items(series, scaler, axis)
        nats, counts = likelihood_items(denoiser, items, self.config.window, probes, seed)
        nats += [log_units(scaler, one, item) for one, item in zip(series, items, strict=True)]
        each = np.divide(nats, counts, out=np.full(len(nats), np.nan), where=counts > 0)
        names = [one.item_id for one in series]
        return pd.DataFrame({self.columns.item_id: names, "measurements": counts, "log_likelihood": each})

    def anomaly(
        self,
        data: pd.DataFrame | Sequence[Series],
        *,
        folds: int = 8,
        block: int = 1,
        static: pd.DataFrame | None = None,
        known: pd.DataFrame | None = None,
    ) -> pd.DataFrame:
        """Return how far out, and how unlikely, each asked measurement is in what the others of its window say of it.

        p is the chance of a reading at least as far out on either side, its known noise included: uniform on [0, 1]
        where model and risks are right, tiny for faults. Of 1000 good readings one has p below .001. `surprise` is
        -log p(measurement | others) in nats, the density per sd that readings of its risk have in the variable: 1.4
        on average where the others tell nothing, less where they foretell it. Rank by surprise: it also finds readings
        between the likely values, which lie in no tail. Alarm by p, whose rate of false alarms is known.

        Parameters
        ----------
        data
            Long table or Series.
        folds, block
            Every `folds`-th block of stamps of a variable is left out together. A block as long as the faults that are
            expected sees past them; one stamp sees most of the context.
        static, known
            As for `impute`; so are the errors, and ConfigError if there are fewer than 2 folds or 1 stamp a block.

        Returns
        -------
        pandas.DataFrame
            A row for each measurement: item, stamp, variable, value, sd, score (normal: below 0 is too low), p,
            surprise.
        """
        if folds < 2:
            raise ConfigError("folds", str(folds), "Give at least 2.")
        if block < 1:
            raise ConfigError("block", str(block), "Give at least 1.")
        scaler, axis, denoiser = self._fitted()
        series = self._questions(data, static, known)
        scores = score_items(denoiser, scaled_items(series, scaler, axis), self.config.window, folds, block)
        places = [[scaler.variables.index(name) for name in one.variables] for one in series]
        own = [score[..., place] for score, place in zip(scores, places, strict=True)]
        return anomaly_frame(series, own, self.columns)
