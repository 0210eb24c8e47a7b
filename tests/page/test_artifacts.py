"""Artifacts: four formats there and back, whole or not at all, found where the builder says."""

import json
import os
import pickle
import re
import threading
import time

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pm_utils.page import artifacts
from pm_utils.page.artifacts import StoreError

FRAME = pd.DataFrame(
    {
        "spend": [1.5, np.nan, 3.25],
        "when": pd.to_datetime(["2017-01-01 10:30", None, "2017-12-31 00:00"]),
        "age": pd.Categorical(["19-24", None, "65+"], ["19-24", "25-34", "65+"], ordered=True),
        "name": ["café", "", "x"],
    },
    index=pd.Index([7, 3, 9], name="customer_id"),
)
TENSORS = {"weight": torch.arange(6.0).reshape(2, 3), "count": torch.tensor([2**40, -1])}
FACTS = {"rows": 3, "share": 0.1, "words": ["café", None, True], "inner": {"a": []}}
SAMPLES = {"a.parquet": FRAME, "a.safetensors": TENSORS, "a.json": FACTS}


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """An output directory of the test's own and no inputs."""
    monkeypatch.setenv("PM_OUTPUT", str(tmp_path / "out"))
    monkeypatch.setenv("PM_INPUTS", "")
    return tmp_path


def fitted() -> tuple[LogisticRegression, pd.DataFrame]:
    table = pd.DataFrame({"spend": [1.0, 2.0, 3.0, 4.0], "brand": list("abab")})
    columns = ColumnTransformer([("n", StandardScaler(), ["spend"]), ("c", OneHotEncoder(), [1])])
    return make_pipeline(columns, LogisticRegression()).fit(table, [0, 1, 0, 1]), table


def test_a_frame_comes_back_with_its_index_and_types():
    artifacts.save("a.parquet", FRAME)
    pd.testing.assert_frame_equal(artifacts.load("a.parquet"), FRAME)


def test_tensors_come_back_with_their_types():
    artifacts.save("a.safetensors", TENSORS)
    back = artifacts.load("a.safetensors")
    assert back.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)


def test_a_transposed_tensor_comes_back_transposed():
    artifacts.save("t.safetensors", {"w": TENSORS["weight"].T})
    assert torch.equal(artifacts.load("t.safetensors")["w"], TENSORS["weight"].T)


def test_json_comes_back_and_is_readable_text():
    path = artifacts.save("a.json", FACTS)
    assert artifacts.load("a.json") == FACTS
    assert "café" in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("key", [1, 1.5, True, None, ("a", "b")])
def test_a_key_that_would_come_back_as_a_text_is_refused(places, key):
    for value in ({key: 0}, {"rows": [{"a": ({key: 0},)}]}):
        with pytest.raises(StoreError, match=re.escape(f"{key!r} ({type(key).__name__})")):
            artifacts.save("a.json", value)
    assert list((places / "out").iterdir()) == []


def test_an_estimator_comes_back_with_the_same_predictions():
    model, table = fitted()
    artifacts.save("m.skops", model)
    np.testing.assert_array_equal(
        artifacts.load("m.skops").predict_proba(table), model.predict_proba(table)
    )


def test_no_format_goes_through_pickle(monkeypatch):
    model, _ = fitted()

    def refuse(*args, **kwargs):
        raise AssertionError("pickle was used")

    for name in ("dump", "dumps", "load", "loads", "Pickler", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    for name, value in (SAMPLES | {"m.skops": model}).items():
        artifacts.save(name, value)
        artifacts.load(name)


def test_a_file_that_would_run_foreign_code_is_not_read(places):
    import skops.io

    scaler = StandardScaler()
    scaler.custom = threading.Thread  # a type that nobody has vouched for
    (places / "out").mkdir()
    skops.io.dump(scaler, places / "out" / "m.skops")
    with pytest.raises(skops.io.exceptions.UntrustedTypesFoundException):
        artifacts.load("m.skops")


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("a.parquet", FRAME, pd.DataFrame({"x": [object()]})),
        ("a.safetensors", TENSORS, {"x": torch.ones(2).to_sparse()}),
        ("a.json", FACTS, {"loss": float("nan")}),
        ("a.json", FACTS, {"x": object()}),
        ("a.skops", StandardScaler(), (x for x in ())),
    ],
)
def test_a_failed_write_leaves_the_old_file_and_nothing_else(name, good, bad, places):
    path = artifacts.save(name, good)
    before = path.read_bytes()
    with pytest.raises(Exception):  # noqa: B017 - each format complains in its own words
        artifacts.save(name, bad)
    assert path.read_bytes() == before
    assert [file.name for file in (places / "out").iterdir()] == [name]


def test_a_write_that_is_cut_short_leaves_the_old_file(places, monkeypatch):
    path = artifacts.save("a.json", FACTS)

    def half(target, value):
        target.write_text('{"rows": ')
        raise OSError("disk full")

    monkeypatch.setitem(artifacts._FORMATS, ".json", (half, artifacts._read_json))
    with pytest.raises(OSError, match="disk full"):
        artifacts.save("a.json", {"rows": 4})
    assert json.loads(path.read_text()) == FACTS
    assert list((places / "out").iterdir()) == [path]


def test_a_reader_never_sees_half_a_file():
    values = [{"x": [n] * 4000} for n in (1, 2)]
    artifacts.save("a.json", values[0])
    stop = time.monotonic() + 0.3

    def write() -> None:
        while time.monotonic() < stop:
            for value in values:
                artifacts.save("a.json", value)

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert artifacts.load("a.json") in values
    writer.join()


def test_others_may_read_what_is_saved():
    assert artifacts.save("a.json", FACTS).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", ["a.pkl", "a.pickle", "a.csv", "a", ".json", "a.JSON"])
def test_a_name_without_a_known_suffix_is_refused(name, places):
    for attempt in (lambda: artifacts.save(name, FACTS), lambda: artifacts.load(name)):
        with pytest.raises(StoreError, match=r"\.parquet, \.safetensors, \.json, \.skops") as told:
            attempt()
        assert str(told.value).startswith(f"{name}: ")
    assert not (places / "out").exists()


def test_a_missing_artifact_is_told_by_name_place_and_command(places, monkeypatch):
    monkeypatch.setenv("PM_INPUTS", str(places / "needed"))
    with pytest.raises(StoreError) as told:
        artifacts.load("customer_profiles.parquet")
    for word in ("customer_profiles.parquet", str(places / "needed"), "pm run"):
        assert word in str(told.value)


def test_a_missing_artifact_names_its_chapter_in_one_line_and_no_place_twice(places, monkeypatch):
    monkeypatch.delenv("PM_INPUTS")
    monkeypatch.delenv("PM_OUTPUT")
    monkeypatch.setattr(artifacts, "ROOT", places)
    (places / "notebooks").mkdir()
    (places / "notebooks" / "02-broken.ipynb").write_text("{")
    metadata = {"metadata": {"pm": {"gives": ["x.json"]}}}
    (places / "notebooks" / "07-seven.ipynb").write_text(json.dumps(metadata))
    monkeypatch.setattr(artifacts.sys, "executable", str(places / ".venv" / "bin" / "python"))
    (places / ".venv" / "bin").mkdir(parents=True)
    (places / ".venv" / "bin" / "pm").write_text("")
    with pytest.raises(StoreError) as told:
        artifacts.load("x.json")
    command = os.path.join(".venv", "bin", "pm")
    assert str(told.value).startswith(f"x.json is missing: `{command} run 07` gives it")
    assert str(told.value).count(str(places / "_build" / "lab")) == 1
    assert told.value._render_traceback_() == [f"StoreError: {told.value}"]
    with pytest.raises(StoreError, match="no chapter gives it, check the name"):
        artifacts.load("y.json")


def test_the_output_directory_is_made_where_the_builder_says(places, monkeypatch):
    monkeypatch.setenv("PM_OUTPUT", str(places / "deep" / "run"))
    assert artifacts.save("a.json", FACTS) == places / "deep" / "run" / "a.json"
    assert (places / "deep" / "run" / "a.json").is_file()


def test_inputs_are_searched_in_order_and_before_the_output(places, monkeypatch):
    folders = [places / "first", places / "second"]
    monkeypatch.setenv("PM_INPUTS", ":".join(map(str, folders)))
    artifacts.save("a.json", "output")
    assert artifacts.load("a.json") == "output"
    for folder in reversed(folders):
        folder.mkdir()
        (folder / "a.json").write_text(f'"{folder.name}"')
        assert artifacts.load("a.json") == folder.name


def test_jupyterlab_writes_to_its_own_folder_and_reads_the_quick_build(places, monkeypatch):
    monkeypatch.delenv("PM_OUTPUT")
    monkeypatch.delenv("PM_INPUTS")
    monkeypatch.setattr(artifacts, "ROOT", places)
    runs = places / "_build" / "runs"
    for run in ("quick/02-two", "quick/01-one", "full/01-one"):
        (runs / run).mkdir(parents=True)
    lab = places / "_build" / "lab"
    assert artifacts.input_dirs() == [lab, runs / "quick" / "01-one", runs / "quick" / "02-two"]
    assert artifacts.save("a.json", FACTS) == lab / "a.json"
    (runs / "quick" / "02-two" / "b.json").write_text("2")
    assert artifacts.load("b.json") == 2


@pytest.mark.parametrize("newer", ["lab", "build"])
def test_jupyterlab_reads_what_was_written_last(places, monkeypatch, newer):
    monkeypatch.delenv("PM_OUTPUT")
    monkeypatch.delenv("PM_INPUTS")
    monkeypatch.setattr(artifacts, "ROOT", places)
    folders = {"lab": places / "_build" / "lab", "build": places / "_build/runs/quick/01-one"}
    for name, folder in folders.items():
        folder.mkdir(parents=True)
        (folder / "a.json").write_text(f'"{name}"')
        when = 2_000_000_000 if name == newer else 1_000_000_000
        os.utime(folder / "a.json", (when, when))
    assert artifacts.load("a.json") == newer


def test_named_inputs_replace_the_defaults(places, monkeypatch):
    monkeypatch.setattr(artifacts, "ROOT", places)
    (places / "_build" / "lab").mkdir(parents=True)
    (places / "_build" / "lab" / "a.json").write_text("1")
    with pytest.raises(StoreError):
        artifacts.load("a.json")


@pytest.mark.parametrize(
    "name", ["../x.json", "/elsewhere/x.json", "a/x.json", "a\\x.json", "..", "", "x\0.json", 3]
)
def test_a_name_with_a_directory_is_refused(places, name):
    for call in (lambda: artifacts.save(name, {}), lambda: artifacts.load(name)):
        with pytest.raises(StoreError, match="without directories|give a name that ends"):
            call()
    assert list(places.rglob("*.json")) == []


def test_a_name_of_the_builder_is_refused():
    with pytest.raises(StoreError, match="the builder writes a file of this name"):
        artifacts.save("record.json", {})


def test_inputs_whose_paths_hold_a_colon_are_found(places, monkeypatch):
    folder = places / "a:b"
    folder.mkdir()
    (folder / "x.json").write_text("3")
    monkeypatch.setenv("PM_INPUTS", f"{folder}\n")
    assert artifacts.load("x.json") == 3
