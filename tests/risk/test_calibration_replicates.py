"""Risk without a reference: replicates, two sensors, data-sheet figures."""

from collections.abc import Callable

import numpy as np
import pytest

from rstime.errors import ConfigError, DataError, RstimeWarning
from rstime.risk.replicates import (
    from_arms,
    from_bound,
    from_limit95,
    from_replicates,
    from_resolution,
    from_two_sensors,
)


def test_replicates_pool_groups_of_different_size() -> None:
    values = np.array([[1.0, 3.0, np.nan], [10.0, 13.0, 16.0], [5.0, np.nan, np.nan], [np.nan] * 3])
    found = from_replicates(values)
    assert found.sd == pytest.approx(np.sqrt((2 + 18) / 3))  # squares 1 + 1 and 9 + 0 + 9 over 1 + 2 degrees of freedom
    np.testing.assert_allclose(found.mean, [2, 13, 5, np.nan])
    np.testing.assert_allclose(found.mean_sd, [found.sd / np.sqrt(2), found.sd / np.sqrt(3), found.sd, np.inf])


def test_the_axis_is_that_of_the_replicates() -> None:
    values = np.random.default_rng(0).normal(size=(5, 3))
    assert from_replicates(values, axis=0).sd == pytest.approx(np.sqrt(values.var(0, ddof=1).mean()))
    assert from_replicates(values[:, 0]).sd == pytest.approx(values[:, 0].std(ddof=1))


def test_the_interval_holds_the_sd_in_95_percent() -> None:
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        found = from_replicates(rng.normal(0, 2, (4, 3)))
        inside += found.low <= 2 <= found.high
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


def test_one_reading_is_no_replicate() -> None:
    with pytest.raises(DataError, match=r"values: 1 reading a group.*two readings"):
        from_replicates([[1.0], [2.0]])
    with pytest.raises(DataError, match="values: 1 reading a group"):
        from_replicates(5.0)
    with pytest.raises(DataError, match="an infinite reading"):
        from_replicates([1.0, np.inf])


def test_two_sensors_give_the_noise_of_one_and_miss_what_they_share() -> None:
    rng = np.random.default_rng(2)
    truth, shared = rng.normal(0, 10, 5000), rng.normal(0, 3, 5000)
    a, b = (truth + shared + rng.normal(0, 2, 5000) + offset for offset in (0, 7))
    with pytest.warns(RstimeWarning, match="too low where they share errors"):
        assert from_two_sensors(a, b) == pytest.approx(2, rel=0.03)  # each is in truth off by sqrt(13)
    with pytest.raises(DataError, match="a: 19 pairs"):
        from_two_sensors(a[:19], b[:19])
    with pytest.raises(DataError, match=r"b: shape \(1,\)"):
        from_two_sensors(a, b[:1])


def test_resolution_is_the_error_of_rounding() -> None:
    signal = np.random.default_rng(3).normal(0, 10, 20_000)
    assert np.std(np.round(signal / 0.5) * 0.5 - signal) == pytest.approx(from_resolution(0.5), rel=0.01)


def test_data_sheet_figures() -> None:
    assert from_bound(3.0) == pytest.approx(np.random.default_rng(4).uniform(-3, 3, 100_000).std(), rel=0.01)
    assert np.mean(np.abs(np.random.default_rng(5).normal(0, from_limit95(4.0), 100_000)) <= 4) == pytest.approx(
        0.95, abs=0.003
    )
    assert from_arms(5.0) == 5.0
    assert from_arms(5.0, bias=-3.0) == 4.0


@pytest.mark.parametrize("rule", [from_resolution, from_bound, from_limit95, from_arms])
@pytest.mark.parametrize("figure", [0.0, -1.0, np.nan, np.inf])
def test_a_figure_that_is_not_positive_is_refused(rule: Callable[[float], float], figure: float) -> None:
    with pytest.raises(ConfigError, match="Give a positive number"):
        rule(figure)


def test_a_bias_beyond_the_arms_is_refused() -> None:
    with pytest.raises(ConfigError, match="bias"):
        from_arms(2.0, bias=2.0)
