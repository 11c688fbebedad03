"""What a training is: enough to notice that what is resumed or evaluated is something else.

``identity.json`` in a run folder tells it as it was when the training began: the configuration,
and digests of what it came to, which the parts given to ``train_prepared`` may have replaced.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from hxloop.activity.log.schema import network_to_json
from hxloop.errors import ConfigError, FileFormatError
from hxloop.files import sha256_of
from hxloop.runs.config import ExperimentConfig
from hxloop.runs.config_paths import PATH_KEYS
from hxloop.runs.plan import Prepared
from hxloop.runs.toml_text import without_none
from hxloop.training import identity as training_identity
from hxloop.training.identity import (
    Difference,
    describe_data,
    describe_loss,
    describe_weights,
    listed,
    setting_differences,
)
from hxloop.training.notes import Note

SCHEMA = 1
SPLITS = ("train", "validation", "test")
# What may be other in a resumed training: nothing here changes what a step does. Tables as well.
MAY_CHANGE = (
    "name", "description", "activity", "dataset.test_size", "study",
    *(f"training.{key}" for key in training_identity.MAY_CHANGE), *PATH_KEYS,
)  # fmt: skip
# What a trained network is evaluated by; the rest was of its training, or is free to choose.
OF_EVALUATION = ("dataset.name", "encoding", "network", "loss")


def identity_of(
    prepared: Prepared, splits: Sequence[str] = SPLITS, *, initial: bool = True
) -> dict[str, Any]:
    """The content of ``identity.json``.

    Args:
        prepared: of the training.
        splits: that are described; others are not read for it.
        initial: whether the initial weights are, and the delays after them.
    """
    calibration = prepared.calibration
    arrays = prepared.initial.named().values() if initial else ()
    return {
        "schema": SCHEMA,
        "config": _plain(prepared.config),
        "network": json.loads(network_to_json(prepared.network)),
        "loss": describe_loss(prepared.loss),
        "data": {
            split: {
                "name": prepared.data_name,
                **describe_data(prepared.data[split], prepared.digests[split]),
                **_scaling_of(prepared, split),
            }
            for split in splits
            if split in prepared.data
        },
        "initial_weights": [describe_weights(array) for array in arrays],
        "calibration": None if calibration is None else calibration.digest,
    }


def _scaling_of(prepared: Prepared, split: str) -> dict[str, Any]:
    """How the values of a user's own files were brought to [0, 1]."""
    if prepared.config.dataset.path is None or split not in prepared.datasets:
        return {}
    scaling = prepared.datasets[split].scaling
    return {} if scaling is None else {"scaling": asdict(scaling)}


def check_resumed(
    then: Mapping[str, Any], prepared: Prepared, where: str, *, started: bool
) -> list[Difference]:
    """Refuse to go on with something else than was begun.

    Args:
        then: ``identity.json``.
        prepared: what is to be gone on with.
        where: the run, for messages.
        started: whether there is a checkpoint; without one the initial weights count.

    Returns:
        What differs and may.

    Raises:
        ConfigError: what differs and may not.
    """
    now = identity_of(prepared)
    changed = _config_differences(then, now)
    refused = [d for d in changed if not _below(d.key, MAY_CHANGE)]
    if refused:
        raise ConfigError(
            f"{where}: resume goes on with the training that was begun; {listed(refused)}. "
            "Put that back in its config.toml, or train anew into another folder. What may be "
            "other: " + ", ".join(key for key in MAY_CHANGE if key not in PATH_KEYS)
        )
    sizes = {d.key for d in changed}
    splits = [s for s in SPLITS if f"dataset.{s}_size" not in sizes]
    _check_parts(then, now, where, splits, initial=not started, calibration=True)
    return [d for d in changed if d.key not in PATH_KEYS]


def check_evaluated(then: Mapping[str, Any], config: ExperimentConfig, where: str) -> None:
    """Refuse to evaluate a network in another setting than it was trained in.

    Another backend is none: that is for whoever evaluates to choose.

    Args:
        then: ``identity.json``.
        config: to evaluate with.
        where: the run, for messages.

    Raises:
        ConfigError: it is not that of the training.
    """
    refused = [d for d in _changed(then, config) if _below(d.key, OF_EVALUATION)]
    if refused:
        raise ConfigError(
            f"{where}: a network is evaluated as it was trained, but {listed(refused)}. Put that "
            "back in its config.toml, or train anew with it"
        )


def check_evaluated_parts(then: Mapping[str, Any], prepared: Prepared, where: str) -> None:
    """``check_evaluated`` of what the configuration comes to; of the data, the test split alone.

    Raises:
        ConfigError: network, loss or test split are not those of the training.
    """
    now = identity_of(prepared, ("test",), initial=False)
    other_size = "dataset.test_size" in {d.key for d in _changed(then, prepared.config)}
    splits = [] if other_size else ["test"]
    _check_parts(then, now, where, splits, initial=False, calibration=False)


def _changed(then: Mapping[str, Any], config: ExperimentConfig) -> list[Difference]:
    return _config_differences(then, {"config": _plain(config)})


def _plain(config: ExperimentConfig) -> Any:
    return json.loads(json.dumps(without_none(config.model_dump())))


def change_notes(changes: Sequence[Difference]) -> tuple[Note, ...]:
    """That a training goes on with other settings, for whoever reads its results.

    Of another number of epochs the trainer tells itself.
    """
    told = [d for d in changes if d.key != "training.epochs"]
    if not told:
        return ()
    return (
        Note(
            "resumed-with-changes",
            f"The training goes on with other settings than it was begun with: {listed(told)}.",
            {"changes": [{"key": d.key, "then": d.then, "now": d.now} for d in told]},
        ),
    )


def run_digest(identity: Mapping[str, Any]) -> str:
    """Which training weights are of, also after it was made longer: its network, loss, data."""
    parts = {key: identity.get(key) for key in ("network", "loss", "data")}
    parts["data"] = {k: v for k, v in dict(parts["data"] or {}).items() if k != "test"}
    return sha256_of(json.dumps(parts, sort_keys=True))[:16]


def _check_parts(
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    where: str,
    splits: Sequence[str],
    *,
    initial: bool,
    calibration: bool,
) -> None:
    """The parts that are made of the settings, where the settings themselves are the same."""
    advice = (
        "It was begun in Python with parts of its own. Give them again: "
        "hxloop.runs.resume_prepared(prepared, run_dir) goes on with it, "
        "evaluate_prepared(prepared, weights, run_dir) evaluates it"
    )
    try:
        for split in splits:
            before, after = then["data"][split], now["data"][split]
            if before["digest"] != after["digest"]:
                path = now["config"]["dataset"].get("path")
                raise ConfigError(
                    f"{where}: its {split} data were {_data_in_words(before)}; these are "
                    f"{_data_in_words(after)}. "
                    + (f"Was {path} changed since? Put it back, or train anew" if path else advice)
                )
        for key in ("network", "loss"):
            if changed := setting_differences({key: then[key]}, {key: now[key]}):
                raise ConfigError(f"{where}: {listed(changed)}. {advice}")
        if initial and not _alike(then["initial_weights"], now["initial_weights"]):
            raise ConfigError(
                f"{where}: was begun with other initial weights than its config.toml gives. "
                + advice
            )
        if calibration and then["calibration"] != now["calibration"]:
            raise ConfigError(
                f"{where}: was begun with the calibration of digest {then['calibration']}; "
                f"backend.calibration is now one of {now['calibration']}. Put the file back, or "
                "train anew"
            )
    except (KeyError, TypeError) as error:
        raise FileFormatError(f"{where}/identity.json: damaged: {error!r}") from error


def _config_differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[Difference]:
    try:
        # With the defaults of what this version has in addition.
        before = ExperimentConfig.from_mapping(then["config"], "identity.json").model_dump()
    except (ConfigError, KeyError):
        before = dict(then.get("config", {}))
    plain = json.loads(json.dumps(without_none(before), default=str))
    return setting_differences(plain, now["config"])


def _alike(then: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> bool:
    return len(then) == len(now) and all(
        a["shape"] == b["shape"]
        and math.isclose(a["mean"], b["mean"], rel_tol=1e-9, abs_tol=1e-9 * a["std"])
        and math.isclose(a["std"], b["std"], rel_tol=1e-9)
        for a, b in zip(then, now, strict=True)
    )


def _data_in_words(data: Mapping[str, Any]) -> str:
    return (
        f"{data['name']!r}, {data['samples']} samples of {data['channels']} channels "
        f"(digest {data['digest'][:12]})"
    )


def _below(key: str, tables: Iterable[str]) -> bool:
    return any(key == table or key.startswith(table + ".") for table in tables)
