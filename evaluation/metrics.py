"""The scores of `rstime.scores`, where those who evaluate look for them."""

from rstime.scores import (
    LEVELS,
    autocovariance,
    coverage,
    crps_gaussian,
    crps_quantile,
    crps_samples,
    energy_score,
    gaussian_nll,
    mae,
    pit,
    quantile_loss,
    rmse,
    weighted_quantile_loss,
    width,
)

__all__ = [
    "LEVELS",
    "autocovariance",
    "coverage",
    "crps_gaussian",
    "crps_quantile",
    "crps_samples",
    "energy_score",
    "gaussian_nll",
    "mae",
    "pit",
    "quantile_loss",
    "rmse",
    "weighted_quantile_loss",
    "width",
]
