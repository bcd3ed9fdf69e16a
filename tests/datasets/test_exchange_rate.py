"""Exchange rates: numbers of the provenance, business days."""

import re

import numpy as np

from oracles import provenance
from rstime.datasets import exchange_rate


def test_rates_have_the_numbers_of_the_provenance(shared_data):
    item = exchange_rate.load(shared_data)
    assert item.value.shape == (7588, 8)
    assert np.all(item.risk == 0)
    provenance.check(shared_data / "exchange_rate", {f"col{i}": one for i, one in enumerate(item.value.T)})
    text = provenance.read(shared_data / "exchange_rate")
    returns = np.diff(np.log(item.value), axis=0).std(axis=0, ddof=1)
    assert re.search(r"log-return sd by column: (.*)$", text, flags=re.M)[1] == ", ".join(f"{x:.4f}" for x in returns)


def test_stamps_are_the_business_days_that_gluonts_has(shared_data):
    item = exchange_rate.load(shared_data)
    assert item.time[0] == np.datetime64("1990-01-01")
    days = item.time.astype("datetime64[D]")
    assert np.all(np.is_busday(days))
    assert np.busday_count(days[0], days[-1]) == 7587
    assert item.variables[5] == "Japan"
    assert item.value[:, 5].max() < 0.02
