"""The picture of calibration shows the numbers of the coverage table."""

from pathlib import Path

import numpy as np
import pytest

from rstime.errors import ConfigError
from rstime.plotting_risk import plot_risk
from rstime.risk.coverage import coverage, pit


def test_points_are_the_coverage_and_steps_the_pit(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    claimed = rng.uniform(1, 3, 1000)
    claims = {"right": (claimed * rng.normal(size=1000), claimed), "half": (2 * rng.normal(size=1000), np.ones(1000))}
    hour = np.arange(1000.0)
    figure = plot_risk(
        {"cuff": claims, "line": claims}, bins=4, by={"cuff": hour, "line": hour}, label="hours", title="Risk"
    )
    left, right = figure.axes[0], figure.axes[1]
    lines = {container.get_label(): container.lines[0] for container in left.containers}
    for name, claim in claims.items():
        table = coverage(*claim, bins=4, by=hour)
        np.testing.assert_allclose(lines[name].get_ydata(), table.coverage)
        np.testing.assert_allclose(lines[name].get_xdata(), [124.5, 374.5, 624.5, 874.5])
    steps = right.patches[0].get_data().values
    np.testing.assert_allclose(steps, np.histogram(pit(*claims["right"]), 20, (0, 1))[0] / 50)
    assert left.get_title(loc="left") == "cuff: share inside 90 % intervals"
    assert figure.axes[2].get_xlabel() == "hours"
    figure.savefig(tmp_path / "risk.png")
    assert (tmp_path / "risk.png").stat().st_size > 10_000


def test_nothing_to_draw_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to draw"):
        plot_risk({})
