"""The command that says how a chip would play a network, without playing it."""

from __future__ import annotations

from hxloop.cli import output as output
from hxloop.cli.app import BackendName, Experiment, Json, Settings, app


@app.command()
def plan(
    experiment: Experiment,
    backend: BackendName = None,
    settings: Settings = None,
    json_: Json = False,
) -> None:
    """Say in which runs a chip would play a network: circuits, how full it is, how long it takes.

    Nothing is run. Several chips and other sizes: backend "partitioned" and its options.
    """
    from hxloop.chip.planned import planned
    from hxloop.experiments.registry import load_experiment
    from hxloop.runs.plan import plan as described

    chosen = [] if backend is None else [f'backend.name="{backend}"']
    made = described(load_experiment(experiment, [*chosen, *(settings or [])]))
    found = planned(made.backend, made.network, made.calibration)
    samples = len(made.datasets["train"].labels)
    seconds = found.seconds(samples)
    if json_:
        whole = {"samples": samples, "seconds_an_epoch": seconds}
        output.json_object(
            {"experiment": made.config.name, "backend": made.backend.name} | found.as_dict() | whole
        )
        return
    output.line(found.plan.describe())
    chips = "a chip" if found.chips == 1 else f"{found.chips} chips side by side"
    output.line(
        f"On {chips}: about {seconds:.3g} s for the {samples} samples of an epoch, in slots of "
        f"{found.slot_us:.0f} us (an estimate from published figures), without the host's work"
    )
    if found.remark:
        output.note(f"note: {found.remark}")
