"""Pictures hold the numbers they claim: bands, readings, truth; nothing is left in global state."""

from pathlib import Path

import numpy as np
import pytest

from rstime.errors import ConfigError
from rstime.plotting import plot_coverage, plot_forecast, plot_posterior
from rstime.types import Posterior, Series

HOURS = np.datetime64("2026-01-05", "ns") + np.arange(12) * np.timedelta64(1, "h")


def answer(calendar: bool = True, item: str = "p1") -> Posterior:
    rng = np.random.default_rng(0)
    risk = np.where(rng.random((12, 3)) < 0.4, np.inf, 0.5)
    time = HOURS if calendar else np.arange(12.0)
    series = Series(item, time, ("a_b", "c", "d"), rng.normal(size=(12, 3)), risk)
    return Posterior(series, rng.normal(size=(40, 12, 3)))


def line(axes: object, label: str) -> np.ndarray:
    found = [item for item in axes.get_lines() if item.get_label() == label]  # type: ignore[attr-defined]
    return np.concatenate([np.asarray(item.get_ydata()) for item in found])


def test_the_panels_show_median_bands_readings_and_truth() -> None:
    posterior = answer()
    truth = np.arange(36.0).reshape(12, 3)
    figure = plot_posterior(posterior, truth, units={"c": "mmHg"})
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["a b", "c [mmHg]", "d"]
    for column, axes in enumerate(figure.axes):
        np.testing.assert_allclose(line(axes, "median"), np.median(posterior.samples[:, :, column], axis=0))
        np.testing.assert_allclose(line(axes, "truth"), truth[:, column])
        for collection, share in zip(axes.collections[:2], (0.9, 0.5), strict=True):
            low, high = posterior.interval(share)
            drawn = collection.get_paths()[0].vertices[:, 1]
            assert drawn.min() == pytest.approx(low[:, column].min())
            assert drawn.max() == pytest.approx(high[:, column].max())
        dots, _, (bars,) = axes.containers[0]
        seen = posterior.series.observed[:, column]
        np.testing.assert_allclose(dots.get_ydata(), posterior.series.value[seen, column])
        lengths = [segment[1, 1] - segment[0, 1] for segment in bars.get_segments()]
        np.testing.assert_allclose(lengths, 2 * posterior.series.risk[seen, column])


def test_variables_are_chosen_by_name_and_order() -> None:
    figure = plot_posterior(answer(), variables=["d", "c"], title="two")
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["d", "c"]
    assert figure.get_suptitle() == "two"


def test_entries_that_were_not_asked_leave_gaps() -> None:
    posterior = answer(calendar=False)
    samples = posterior.samples.copy()
    samples[:, 3:5, 0] = np.nan
    (axes,) = plot_posterior(Posterior(posterior.series, samples), variables=["a_b"]).axes
    assert np.flatnonzero(np.isnan(line(axes, "median"))).tolist() == [3, 4]


def test_truth_with_gaps_is_drawn_as_crosses() -> None:
    truth = np.zeros((12, 3))
    truth[[1, 2, 4], 1] = np.nan
    styles = [
        next(line.get_marker() for line in axes.get_lines() if line.get_label() == "truth")
        for axes in plot_posterior(answer(), truth).axes
    ]
    assert styles == ["None", "x", "None"]


def test_a_forecast_joins_history_and_future() -> None:
    past = answer().series
    future = Series("p1", HOURS[-1] + np.arange(1, 5) * np.timedelta64(1, "h"), ("c", "d"), *np.full((2, 4, 2), np.inf))
    posterior = Posterior(future, np.random.default_rng(1).normal(size=(30, 4, 2)))
    figure = plot_forecast(past, posterior, np.ones((4, 2)), past_truth=np.zeros((12, 3)))
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["c", "d"]
    for column, axes in enumerate(figure.axes):
        np.testing.assert_array_equal(line(axes, "truth"), [0.0] * 12 + [1.0] * 4)
        np.testing.assert_allclose(line(axes, "median"), np.median(posterior.samples[:, :, column], axis=0))
        seen = past.observed[:, column + 1]
        np.testing.assert_allclose(axes.containers[0][0].get_ydata(), past.value[seen, column + 1])


def test_coverage_draws_one_panel_a_kind_and_one_line_a_method() -> None:
    levels = np.array([0.5, 0.9])
    figure = plot_coverage(
        {"missing": {"ours": [0.4, 0.8], "theirs": [0.1, 0.2]}, "noisy": {"ours": [0.5, 0.9]}}, levels
    )
    missing, noisy = figure.axes
    np.testing.assert_allclose(line(missing, "theirs"), [0.1, 0.2])
    np.testing.assert_allclose(line(noisy, "ours"), [0.5, 0.9])
    assert figure.legends[0].get_texts()[-1].get_text() == "theirs"


def test_files_are_written_without_pyplot(tmp_path: Path) -> None:
    import matplotlib.pyplot as plt

    plot_posterior(answer()).savefig(tmp_path / "a.png", dpi=40)
    assert (tmp_path / "a.png").read_bytes()[:4] == b"\x89PNG"
    assert plt.get_fignums() == []


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda: plot_posterior(answer(), variables=["nope"]), "variables"),
        (lambda: plot_posterior(answer(), np.zeros((2, 2))), "truth"),
        (lambda: plot_coverage({}, [0.5]), "curves"),
        (lambda: plot_coverage({"a": {"b": [0.1, 0.2]}}, [0.5]), "curves"),
    ],
)
def test_what_cannot_be_drawn_is_refused(call: object, field: str) -> None:
    with pytest.raises(ConfigError, match=field):
        call()  # type: ignore[operator]
