"""Files that point elsewhere, or claim to be larger than they are."""

from __future__ import annotations

import gzip
import hashlib
import io
import re
import struct
import tracemalloc
import zipfile
import zlib
from dataclasses import replace

import h5py
import numpy as np
import pytest
from safetensors import SafetensorError, safe_open

from hxloop.activity import ActivityWriter, read_activity
from hxloop.activity.formats.export import export_activity
from hxloop.calibration import load_calibration
from hxloop.data import mnist_files as mnist
from hxloop.errors import ConfigError, FileFormatError, HxloopError
from hxloop.experiments.registry import load_experiment
from hxloop.files.json_text import parse_json
from hxloop.runs.folder import RunDirectory, load_weights
from hxloop.substrate.recording.file import SessionFile
from tests.activity.activity_examples import NETWORK, run
from tests.files.test_damaged_files import make_calibration, make_log, make_session

HDF5 = {
    "log": (make_log, read_activity, "states/trained/layers/0/first_spike_times"),
    "session": (make_session, SessionFile, "arrays/0"),
    "calibration": (make_calibration, load_calibration, "before/v_leak"),
}


def external(file, name, old, secret):
    file.create_dataset(name, (3,), "u1", external=[(str(secret), 0, 3)])


def external_link(file, name, old, secret):
    file[name] = h5py.ExternalLink(str(secret), "/secret")


def soft_link(file, name, old, secret):
    file[name] = h5py.SoftLink("/elsewhere")


def virtual(file, name, old, secret):
    layout = h5py.VirtualLayout((3,), "u1")
    layout[:] = h5py.VirtualSource(str(secret), "secret", (3,))
    file.create_virtual_dataset(name, layout)


def named_type(file, name, old, secret):
    file[name] = np.dtype("f8")


def hollow(file, name, old, secret):
    file.create_dataset(name, (1 << 40,), "f8")


def hollow_chunks(file, name, old, secret):
    file.create_dataset(name, (1 << 40,), "f8", chunks=(1 << 20,), compression="gzip")


def bomb(file, name, old, secret):
    chunk, n = 1 << 24, 40
    dataset = file.create_dataset(name, (n * chunk,), "u1", chunks=(chunk,), compression="gzip")
    packed = zlib.compress(bytes(chunk), 9)
    for index in range(n):
        dataset.id.write_direct_chunk((index * chunk,), packed)


ATTACKS = {
    external: "lies in another file .*what points elsewhere is not read",
    external_link: "is an external link to .*what points elsewhere is not read",
    soft_link: "is a link to '/elsewhere'; what points elsewhere is not read",
    virtual: "is put together from other data",
    named_type: "neither a group nor a dataset",
    hollow: r"declares \d+ bytes; 0 are there",
    hollow_chunks: r"declares \d+ chunks; 0 are there",
    bomb: r"it claims to hold 6\d\d MB in a file of .* MB",
}


def peak_of(read, path):
    tracemalloc.start()
    try:
        with pytest.raises(FileFormatError) as caught:
            read(path)
        return str(caught.value), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
@pytest.mark.parametrize("kind", HDF5)
def test_hdf5_that_points_elsewhere_or_is_hollow_is_refused(tmp_path, kind, attack):
    make, read, name = HDF5[kind]
    path, secret = tmp_path / "a.h5", tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["secret"] = np.arange(3, dtype="u1")
    make(path)
    with h5py.File(path, "r+") as file:
        old = file.pop(name, None)
        attack(file, name, old, secret)
    told, peak = peak_of(read, path)
    assert told.startswith(f"{path}: ") or str(path) in told
    assert re.search(ATTACKS[attack], told)
    assert peak < 30e6


def test_an_export_does_not_carry_out_the_bytes_of_another_file(tmp_path):
    path, secret = tmp_path / "a.h5", tmp_path / "secret"
    secret.write_bytes(b"the first bytes of a file of the system")
    make_log(path)
    with h5py.File(path, "r+") as file:
        group = file["states/trained"]
        shape = group["input_times"].shape
        del group["input_times"]
        group.create_dataset("input_times", shape, "f8", external=[(str(secret), 0, 8 * 280)])
    with pytest.raises(FileFormatError, match="lies in another file"):
        export_activity(path, tmp_path / "out.npz", "npz")
    assert not (tmp_path / "out.npz").exists()


def test_a_log_with_a_link_is_not_added_to(tmp_path):
    path = tmp_path / "a.h5"
    make_log(path)
    with h5py.File(path, "r+") as file:
        file["states/more"] = h5py.ExternalLink("other.h5", "/")
    before = path.read_bytes()
    with pytest.raises(FileFormatError, match="external link"):
        ActivityWriter(path, NETWORK)
    assert path.read_bytes() == before


# --- npz --------------------------------------------------------------------------------------


def npy(shape, data=b"", descr="<f8", version=(1, 0)):
    head = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}".encode()
    size = struct.pack("<H" if version == (1, 0) else "<I", len(head))
    return b"\x93NUMPY" + bytes(version) + size + head + data


def zipped(path, entries, how=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", how) as file:
        for name, content in entries.items():
            file.writestr(name, content)


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"output.npy": npy("(1000000000,)")}, "declares 8000000000 bytes"),
        ({"output.npy": npy("(2, 3)", bytes(40))}, "declares 48 bytes .*; 40 are there"),
        ({"output.npy": npy("(-2, -3)", bytes(48))}, "declares 48 bytes"),
        ({"output.npy": npy("(1, 4)", bytes(32), version=(3, 0))}, "format version"),
        ({"output.npy": npy("(2,)", bytes(16), "|O")}, "allow_pickle"),
        ({"output.npy": npy("()", b"", "<U0")}, "output"),
        ({"output.npy": bytes(200_000_000)}, "it claims to hold 200 MB in a file of"),
    ],
)
def test_npz_that_claims_more_than_it_holds(tmp_path, entries, told):
    zipped(tmp_path / "a.npz", entries)
    text, peak = peak_of(read_activity, tmp_path / "a.npz")
    assert re.search(told, text) and text.startswith(str(tmp_path / "a.npz"))
    assert peak < 30e6


def test_npz_packed_otherwise_is_refused(tmp_path):
    zipped(tmp_path / "a.npz", {"output.npy": npy("(2,)", bytes(16))}, zipfile.ZIP_LZMA)
    with pytest.raises(FileFormatError, match="not compressed as numpy does"):
        read_activity(tmp_path / "a.npz")


def test_silent_layers_of_a_real_file_are_believed(tmp_path):
    # All inf packs to a thousandth; the input times of the same file do not.
    n = 2000
    rng = np.random.default_rng(0)
    content = io.BytesIO()
    np.savez_compressed(
        content, input=rng.random((n, 50)), hidden=np.full((4, n, 400), np.inf),
        output=np.full((n, 10), np.inf), label=np.zeros(n, int),
    )  # fmt: skip
    (tmp_path / "a.npz").write_bytes(content.getvalue())
    assert len(read_activity(tmp_path / "a.npz")["recorded"]) == n


# --- IDX and safetensors ----------------------------------------------------------------------


def test_idx_that_claims_more_than_it_holds(tmp_path, monkeypatch):
    path = tmp_path / "t10k-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(bytes(100_000_000), 6))
    text, peak = peak_of(mnist.read_images, path)
    assert "more than the 64 MB" in text and peak < 200e6
    for content in (struct.pack(">IIII", 2051, 1 << 30, 28, 28) + bytes(784), b"", b"\0\0"):
        path.write_bytes(gzip.compress(content))
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        monkeypatch.setitem(mnist.FILES, "t10k-images-idx3-ubyte", digest)
        with pytest.raises(FileFormatError, match="MNIST file"):
            mnist.read_images(path)
        monkeypatch.setitem(mnist.FILES, "t10k-labels-idx1-ubyte", digest)
        labels = tmp_path / "t10k-labels-idx1-ubyte.gz"
        labels.write_bytes(path.read_bytes())
        with pytest.raises(FileFormatError, match="MNIST file"):
            mnist.read_labels(labels)


def test_safetensors_that_claim_more_than_they_hold(tmp_path):
    for head in (
        b'{"layer.0":{"dtype":"F64","shape":[1000000000],"data_offsets":[0,8000000000]}}',
        b'{"layer.0":{"dtype":"F64","shape":[1000000000],"data_offsets":[0,8]}}',
    ):
        path = tmp_path / "weights.safetensors"
        path.write_bytes(struct.pack("<Q", len(head)) + head + bytes(8))
        with pytest.raises(SafetensorError), safe_open(path, framework="numpy"):
            pass  # the library itself sees to it
        text, peak = peak_of(lambda path: load_weights(path, NETWORK), path)
        assert "truncated or corrupt" in text and peak < 30e6
    path.write_bytes(struct.pack("<Q", 1 << 62) + b"{}")
    with pytest.raises(FileFormatError, match="truncated or corrupt"):
        load_weights(path, NETWORK)


def test_what_is_written_is_believed(tmp_path):
    # A state of nothing but silence, in a log of its own.
    path = tmp_path / "a.h5"
    activity, labels, decisions = run(0)
    silent = replace(
        activity,
        input_times=np.full_like(activity.input_times, np.inf),
        first_spike_times=tuple(np.full_like(t, np.inf) for t in activity.first_spike_times),
    )
    with ActivityWriter(path, NETWORK) as log, log.state("trained") as state:
        for _ in range(100):
            state.append(silent, labels, decisions)
    assert len(read_activity(path)["trained"]) == 2000


DEEP = "[" * 100_000


def test_nesting_without_end_is_a_value_error_and_what_is_json_is_read():
    """Regression: Python's RecursionError came out, raw, of every damaged JSON file."""
    assert parse_json('{"a": [1, null]}') == {"a": [1, None]}
    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(DEEP)
    with pytest.raises(ValueError, match="Expecting"):
        parse_json(b"{")


@pytest.mark.parametrize("name", ["identity.json", "provenance.json", "config.toml"])
def test_files_of_a_run_may_be_nested_without_end(tmp_path, name):
    run = RunDirectory.create(tmp_path / "run")
    run.write_config(load_experiment("yin-yang"))
    path = run.path / name
    path.write_text(f"a = {DEEP}" if name.endswith("toml") else DEEP, encoding="utf-8")
    with pytest.raises(HxloopError, match=f"{name}.*nested too deeply"):
        run.config() if name.endswith("toml") else run.read_json(name)


def test_a_setting_may_be_nested_without_end():
    with pytest.raises(ConfigError, match=r"--set network.hidden: nested too deeply"):
        load_experiment("yin-yang", [f"network.hidden={DEEP}"])
