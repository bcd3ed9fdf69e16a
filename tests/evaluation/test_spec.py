"""Frozen protocols: JSON there and back, every bad field named, the definitions of the named ones."""

import doctest
import json
from dataclasses import asdict, replace

import pytest

from rstime.errors import ConfigError
from rstime.evaluation import spec
from rstime.evaluation.spec import NAMED, Protocol, find_protocol


def test_examples_of_the_docstrings():
    assert doctest.testmod(spec).failed == 0


@pytest.mark.parametrize("protocol", NAMED.values(), ids=NAMED)
def test_json_there_and_back_is_the_same_protocol_with_the_same_digest(protocol, tmp_path):
    path = tmp_path / "p.json"
    path.write_text(protocol.to_json())
    read = find_protocol(str(path))
    assert read == protocol
    assert read.digest == protocol.digest


def test_the_digest_changes_with_the_data_and_not_with_the_name():
    one = NAMED["exchange-half"]
    assert replace(one, name="other", seeds=(7,), samples=9).digest == one.digest
    stays = NAMED["physionet-10-clean"]
    assert (stays.transforms, NAMED["physionet-10-noisy"].transforms) == ("auto", "none")
    assert replace(stays, transforms="none").digest == stays.digest
    assert replace(one, high=0.6).digest != one.digest
    assert len({protocol.digest for protocol in NAMED.values()}) == len(NAMED)


def test_definitions_of_the_noise():
    half, graded = NAMED["exchange-half"], NAMED["exchange-graded"]
    assert (half.grade, half.low, half.high) == ("half", 0.5, 0.5)
    assert (graded.grade, graded.low, graded.high) == ("graded", 0.02 * 0.5, 0.5)
    assert (half.horizon, half.origins) == (30, 5)
    assert (NAMED["m4-hourly-half"].horizon, NAMED["m4-hourly-half"].season) == (48, 24)
    assert [NAMED[f"physionet-{share}-noisy"].hidden for share in (10, 50, 90)] == [0.1, 0.5, 0.9]
    assert NAMED["etth1-noisy"].seeds[0] == 2026


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": "a b"}, "name: 'a b'. Use letters, digits"),
        ({"data": "weather"}, "data: 'weather' is unknown here. Choose one of exchange_rate, m4_hourly, etth1"),
        ({"task": "impute"}, "task: 'impute' is unknown here. Choose one of forecast."),
        ({"horizon": 0}, "horizon: 0. Give at least 1."),
        ({"pattern": "given"}, "pattern: 'given' is unknown here."),
        ({"hidden": 1}, "hidden: 1.0 outside [0, 1)."),
        ({"noise": "pink"}, "noise: 'pink' is unknown here. Choose one of gaussian, laplace"),
        ({"grade": "sensor"}, "grade: 'sensor' is unknown here. Choose one of none, half, graded."),
        ({"low": 2}, "low, high: 2.0, 0.5. Give 0 < low <= high."),
        ({"told": "lies"}, "told: 'lies' is unknown here. Choose one of true, scaled, constant, none."),
        ({"transforms": "auto"}, "transforms: 'auto' is unknown here. Choose one of none."),
        ({"factor": 2}, "factor: 2.0 beside told='true'. Set told to \"scaled\"."),
        ({"seeds": []}, "seeds: []. Give whole numbers from 0, each once."),
        ({"seeds": [1, 1]}, "seeds: [1, 1]. Give whole numbers"),
        ({"seeds": 1}, "seeds: 1. Give a list."),
        ({"samples": "many"}, "samples: 'many'. Give a whole number."),
        ({"split": [0.5, 0.5]}, "split: [0.5, 0.5]. Give no positive parts for exchange_rate."),
        (
            {"test_noise": [0.5, 0.5]},
            "test_noise: [0.5, 0.5] for exchange_rate. Give low and high, or none,",
        ),
        ({"horizn": 3}, "field: 'horizn' is unknown here. Choose one of name, data"),
    ],
)
def test_bad_fields_are_named_with_value_and_remedy(change, text):
    given = {**json.loads(NAMED["exchange-half"].to_json()), **change}
    with pytest.raises(ConfigError) as error:
        Protocol.from_json(json.dumps(given))
    assert str(error.value).startswith(text)


@pytest.mark.parametrize("noise", [(1.0,), (1.0, 0.5), (0.0, 0.5), (-1.0, 1.0), (1.0, float("inf"))])
def test_noise_of_the_test_part_has_a_low_and_a_high(noise):
    with pytest.raises(ConfigError, match="test_noise"):
        replace(NAMED["etth1-noisy"], test_noise=noise)


def test_absent_fields_no_json_and_unknown_names_are_refused(tmp_path):
    for text, message in (
        ("{", "protocol: no JSON"),
        ("[]", "protocol: a JSON list. Give an object"),
        ("{}", "name: absent. Give it."),
    ):
        with pytest.raises(ConfigError) as error:
            Protocol.from_json(text)
        assert str(error.value).startswith(message)
    with pytest.raises(ConfigError, match="protocol: 'exchange' is unknown"):
        find_protocol("exchange")
    with pytest.raises(ConfigError, match="there is no file"):
        find_protocol(str(tmp_path / "none.json"))


def test_fields_left_out_of_json_have_their_defaults():
    one = NAMED["m4-hourly-clean"]
    few = {name: asdict(one)[name] for name in ("name", "data", "task", "window", "horizon", "season")}
    assert Protocol.from_json(json.dumps(few)) == one
