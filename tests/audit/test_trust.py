"""The algebra of levels and of the index."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rstime.audit.trust import GROUPS, check_weights, levels, trust_index
from rstime.errors import ConfigError

UNIT = st.floats(0.01, 1)
FOUR = st.lists(UNIT, min_size=4, max_size=4)


def test_levels_between_the_references_whichever_is_larger() -> None:
    np.testing.assert_allclose(levels([0.1, 0.3, 0.5, 0.9], 0.1, 0.5), [1, 0.5, 0, 0])
    np.testing.assert_allclose(levels([0.9, 0.5, 1.2], 0.9, 0.1), [1, 0.5, 1])
    assert np.isnan(levels(0.3, 0.5, 0.5))
    assert np.isnan(levels(0.3, np.nan, 0.5))


@given(FOUR, FOUR, st.floats(0.1, 10))
def test_the_index_is_a_mean_that_knows_no_unit_of_weight(
    found: list[float], weights: list[float], unit: float
) -> None:
    groups, share = dict(zip(GROUPS, found, strict=True)), dict(zip(GROUPS, weights, strict=True))
    value = trust_index(groups, share)
    assert min(found) - 1e-9 <= value <= max(found) + 1e-9
    assert trust_index(groups, {name: unit * weight for name, weight in share.items()}) == pytest.approx(value)
    assert value == pytest.approx(np.prod(np.power(found, weights)) ** (1 / sum(weights)))
    assert trust_index(dict.fromkeys(GROUPS, found[0]), share) == pytest.approx(found[0])


def test_weights_choose_and_a_group_that_fails_is_not_made_up_for() -> None:
    groups = {"fidelity": 0.25, "utility": 1.0, "privacy": 0.0, "robustness": float("nan")}
    assert trust_index(groups) == 0
    assert trust_index(groups, {"fidelity": 1, "utility": 1, "robustness": 5}) == pytest.approx(0.5)
    assert trust_index(groups, {"fidelity": 1, "utility": 3, "privacy": 0}) == pytest.approx(0.25**0.25)


@pytest.mark.parametrize(
    ("weights", "text"),
    [
        ({"beauty": 1}, "'beauty' is unknown. Groups: fidelity, utility, privacy, robustness."),
        ({"privacy": -1}, "privacy=-1. Give 0 or more."),
        ({"robustness": 1}, "Give a measured group a weight: fidelity."),
    ],
)
def test_weights_that_do_not_work_are_refused(weights: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        trust_index({"fidelity": 0.5, "robustness": float("nan")}, weights)


def test_checked_weights_are_what_was_given() -> None:
    assert check_weights({"privacy": 2.0}) == {"privacy": 2.0}
