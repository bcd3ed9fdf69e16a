"""Running protocols: results at once on disk, nothing twice, nothing mixed; ranking with paired intervals."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from rstime.errors import ConfigError, DataError
from rstime.evaluation import methods, run
from rstime.evaluation.classics import carried, interpolated
from rstime.evaluation.leaderboard import as_markdown, leaderboard, ranking
from rstime.evaluation.methods import METHODS, Method
from rstime.evaluation.protocol import score
from rstime.evaluation.run import Result, evaluate, read_runs
from rstime.evaluation.spec import NAMED
from rstime.evaluation.tasks import build
from rstime.evaluation.treatments import treat

NOISY = replace(NAMED["etth1-noisy"], name="tiny", split=(2000, 500, 1000), seeds=(1, 2), samples=20)


@pytest.fixture
def out(tmp_path, shared_data):
    def go(*names, protocol=NOISY, **options):
        return evaluate(protocol, names, tmp_path / "out", root=shared_data, quiet=True, **options)

    go.path = tmp_path / "out"
    return go


def test_every_treatment_and_seed_is_a_row_a_metric_and_equals_the_score_of_the_task(out, shared_data):
    found = out("linear", "locf", command="rstime evaluate tiny")
    assert len(found) == 2 * 2 * 2
    table = pd.read_parquet(out.path / "results.parquet")
    assert len(table) == 8 * 12
    assert set(table["treatment"]) == {"keep", "drop"}
    assert set(table["command"]) == {"rstime evaluate tiny"}
    assert table["versions"].str.contains("numpy 2").all()
    assert table["minutes"].isna().all()
    one = table[(table.method == "linear") & (table.treatment == "drop") & (table.seed == 2)].set_index("metric")[
        "value"
    ]
    task = build(NOISY, 2, shared_data)
    settings = run.Settings(seed=2, samples=20)
    expected = score(task, interpolated(treat(task, "drop"), settings))
    assert one["wql"] == pytest.approx(expected["crps"], rel=1e-12)
    assert one["denoise_mae"] == pytest.approx(expected["denoise_mae"], rel=1e-12)
    text = pd.read_csv(out.path / "results.csv")
    pd.testing.assert_series_equal(text["value"], table["value"])


def test_what_is_there_is_not_run_again_and_a_stopped_run_goes_on(out, monkeypatch):
    calls = []

    def counted(task, settings):
        calls.append(settings.seed)
        if settings.seed == 2 and len(calls) == 2:
            raise KeyboardInterrupt
        return carried(task, settings)

    chosen = {**METHODS, "counted": Method(("impute",), {"keep": counted})}
    for module in (methods, run):
        monkeypatch.setattr(module, "METHODS", chosen)
    with pytest.raises(KeyboardInterrupt):
        out("counted")
    assert len(read_runs(out.path)) == 1
    assert set(pd.read_csv(out.path / "results.csv")["seed"]) == {1}
    out("counted")
    out("counted")
    assert calls == [1, 2, 2]
    assert [one.facts["seed"] for one in read_runs(out.path)] == [1, 2]
    assert not list(out.path.rglob(".rstime-*"))


def test_exact_data_and_untold_risk_have_one_treatment(out):
    clean = replace(NOISY, name="exact", grade="none", seeds=(1,))
    assert [one.facts["treatment"] for one in out("linear", "local-level", protocol=clean)] == ["clean", "clean"]
    untold = replace(NOISY, name="untold", told="none", seeds=(1,))
    assert [one.facts["treatment"] for one in out("linear", protocol=untold)] == ["keep"]
    kept = out("linear", treatments=["keep"], seeds=[1])
    assert kept[0].tally.metrics() == out("linear", protocol=untold)[0].tally.metrics()


def test_wrong_names_other_protocols_and_other_budgets_are_refused(out):
    with pytest.raises(ConfigError, match="methods: 'magic' is unknown"):
        out("magic")
    with pytest.raises(ConfigError, match=r"methods: 'naive' cannot impute\. Choose from diffusion, gaussian"):
        out("naive")
    with pytest.raises(ConfigError, match="treatments: 'pray' is unknown"):
        out("linear", treatments=["pray"])
    with pytest.raises(ConfigError, match="minutes: 0"):
        out("linear", minutes=0)
    out("linear", seeds=[1])
    with pytest.raises(ConfigError, match="is another protocol of the name 'tiny'"):
        out("linear", protocol=replace(NOISY, hidden=0.3))
    path = next((out.path / "runs").glob("*keep*"))
    record = json.loads(path.read_text())
    trained = path.with_name("tiny--gaussian--keep--1.json")
    trained.write_text(json.dumps({**record, "facts": {**record["facts"], "method": "gaussian", "minutes": 2.0}}))
    with pytest.raises(ConfigError, match=r"--minutes: 1, but .* had 2"):
        out("gaussian", seeds=[1], treatments=["keep"])
    path.write_text("{")
    with pytest.raises(DataError, match="Delete it: it is then run again"):
        read_runs(out.path)


def test_a_folder_without_runs_is_refused(tmp_path):
    with pytest.raises(DataError, match="no runs in"):
        read_runs(tmp_path)


def test_the_ranking_is_by_the_mean_with_paired_intervals(out):
    found = out("linear", "locf", "local-level")
    table = ranking(found)
    assert table["method"].tolist()[0] == "local-level"
    assert table["treatment"].tolist()[0] == "known"
    assert table["rank"].tolist() == list(range(1, 8))
    assert (table["wql"].diff().dropna() >= 0).all()
    assert np.isnan(table["behind"][0])
    np.testing.assert_allclose(table["behind"][1:], table["wql"][1:] - table["wql"][0], rtol=1e-9)
    assert (table["low"][1:] < table["behind"][1:]).all()
    assert (table["behind"][1:] < table["high"][1:]).all()
    other = ranking(found, "denoise_mae")
    assert other["denoise_mae"].is_monotonic_increasing
    with pytest.raises(ConfigError, match="metric: 'score' is unknown"):
        ranking(found, "score")


def test_the_leaderboard_is_written_as_text_markdown_and_table(out):
    out("linear", seeds=[1])
    text = leaderboard(out.path)
    assert (out.path / "leaderboard.txt").read_text() == text
    assert text.splitlines()[2].split()[:5] == ["tiny", "1", "linear", "drop", "1"]
    page = (out.path / "leaderboard.md").read_text()
    assert page.startswith("### tiny\n\n| rank | method | treatment | seeds | wql |")
    table = pd.read_csv(out.path / "leaderboard.csv")
    assert f"| 1 | linear | drop | 1 | {table['wql'][0]:.5f} |" in page
    assert as_markdown(table).count("\n| ") == 4


def test_a_result_there_and_back(out, tmp_path):
    (one, *_) = out("linear", seeds=[1])
    path = tmp_path / "copy.json"
    path.write_text(one.to_json())
    copy = Result.read(path)
    pd.testing.assert_frame_equal(pd.DataFrame(copy.rows()), pd.DataFrame(one.rows()))
    assert copy.tally.metrics() == one.tally.metrics()
