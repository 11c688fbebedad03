"""Networks larger than a chip: in which runs, one after another, a chip can play them.

The rules are those of the vendor's partitioned execution (arXiv 2401.16840): a neuron of ``n``
inputs takes ``c = ceil(n/128)`` circuits with a common membrane, so ``floor(512/c)`` of them fit
into one run; what does not fit takes several; populations that follow one another and fit together
share one; a loop stays together. The host keeps all spikes of a run and plays them into the next
ones (``hxloop.chip.hop``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from hxloop.chip.placement import fan_in
from hxloop.chip.run_plan import Limits, Part, Plan
from hxloop.errors import CapacityError
from hxloop.network import LayerSpec, NetworkSpec, Population, Projection
from hxloop.network.neuron import INPUT


def partition(network: NetworkSpec, limits: Limits | None = None) -> Plan:
    """Cut a network into runs that fit on a chip.

    Args:
        network: any without delays.
        limits: of the chip; None: those of BrainScaleS-2.

    Raises:
        CapacityError: delays; a neuron with more inputs than all circuits of a chip have; a loop
            that does not fit on one chip at once.

    Example:
        >>> print(partition(NetworkSpec.feed_forward(784, 256, 10)).describe())
        784-256-10 in 5 runs of at most 512 circuits, 71% of them used
        run  stage  inputs  neurons  circuits  used  populations
          0      0     784       73       511  100%  hidden[0:73]
          1      0     784       73       511  100%  hidden[73:146]
          2      0     784       73       511  100%  hidden[146:219]
          3      0     784       37       259   51%  hidden[219:256]
          4      1     256       10        20    4%  output
    """
    limits = Limits() if limits is None else limits
    if any(projection.delays for projection in network.all_projections):
        raise CapacityError(
            f"network {network}: delays between runs are not offered; expected projections "
            "without delays, or a chip that the whole network fits on"
        )
    _check_fan_in(network, limits)
    ready: dict[int, int] = {}
    parts: list[Part] = []
    for blocks in _together(network, limits):
        group = tuple(index for block in blocks for index in block)
        sources = _sources(network, group)
        stage = max((ready[source] + 1 for source in sources if source >= 0), default=0)
        parts += _runs_of(network, group, sources, stage, limits)
        ready |= dict.fromkeys(group, stage)
    parts.sort(key=lambda part: part.stage)  # stable
    numbered = tuple(replace(part, number=number) for number, part in enumerate(parts))
    return Plan(network=network, limits=limits, parts=numbered)


def _check_fan_in(network: NetworkSpec, limits: Limits) -> None:
    for population, inputs in zip(network.populations, fan_in(network), strict=True):
        merged = limits.merged(inputs)
        if merged > limits.circuits:
            raise CapacityError(
                f"network {network}: a neuron of population {population.name!r} has {inputs} "
                f"inputs and takes {merged} circuits (one for each {limits.inputs}); the chip has "
                f"{limits.circuits}. No partition makes a neuron smaller: give it fewer inputs"
            )
        if limits.max_fan_in is not None and inputs > limits.max_fan_in:
            raise CapacityError(
                f"network {network}: a neuron of population {population.name!r} has {inputs} "
                f"inputs; the substrate takes at most {limits.max_fan_in}. No partition makes a "
                "neuron smaller: give it fewer inputs"
            )


Blocks = tuple[tuple[int, ...], ...]


def _together(network: NetworkSpec, limits: Limits) -> Iterator[Blocks]:
    """The blocks in topological order, those together that share a run.

    A block joins the one before if nothing but that feeds it, and feeds nothing else: then no spike
    is needed both on the chip and, later by a hop, in another run.
    """
    group: Blocks = ()
    for block in network.blocks:
        joined = (*group, block)
        if group and not (_joins(network, group, block) and _fits(network, joined, limits)):
            yield group
            joined = (block,)
        group = joined
    yield group


def _joins(network: NetworkSpec, group: Blocks, block: tuple[int, ...]) -> bool:
    inside = {index for each in group for index in each}
    feeding = {pre for pre, post in network.ends if post in block and pre not in block}
    fed = {post for pre, post in network.ends if pre in feeding}
    return feeding <= inside and fed <= inside | set(block)


def _fits(network: NetworkSpec, blocks: Blocks, limits: Limits) -> bool:
    group = tuple(index for block in blocks for index in block)
    part = _part_network(network, group, _sources(network, group))
    return limits.circuits_of(part) <= limits.circuits


def _sources(network: NetworkSpec, group: tuple[int, ...]) -> tuple[int, ...]:
    """What feeds a group from outside, the input (-1) first."""
    return tuple(sorted({pre for pre, post in network.ends if post in group} - set(group)))


def _runs_of(
    network: NetworkSpec,
    group: tuple[int, ...],
    sources: tuple[int, ...],
    stage: int,
    limits: Limits,
) -> Iterator[Part]:
    whole = Part(
        number=0,
        network=_part_network(network, group, sources),
        populations=group,
        first=0,
        sources=sources,
        projections=tuple(i for i, (_, post) in enumerate(network.ends) if post in group),
        stage=stage,
        circuits=0,
    )
    needed = limits.circuits_of(whole.network)
    if needed <= limits.circuits:
        yield replace(whole, circuits=needed)
        return
    names = ", ".join(repr(network.populations[index].name) for index in group)
    if len(group) > 1 or any(pre == post for pre, post in network.ends if post in group):
        raise CapacityError(
            f"network {network}: the loop of {names} needs {needed} circuits at once; the chip has "
            f"{limits.circuits}. A loop cannot be played in several runs: make it smaller"
        )
    size, layer = network.layers[group[0]].n_neurons, whole.network.layers[0]
    merged = needed // size
    at_once = limits.circuits // merged
    for first in range(0, size, at_once):
        few = min(at_once, size - first)
        cut = replace(whole.network, layers=(replace(layer, n_neurons=few),))
        yield replace(whole, network=cut, first=first, circuits=few * merged)


def _part_network(
    network: NetworkSpec, group: tuple[int, ...], sources: tuple[int, ...]
) -> NetworkSpec:
    """The populations of a group; their inputs are the channels of all sources.

    Populations of their own have no names, so that parts of equal shape are equal networks, which
    share a session. Dale's law is a matter of the whole network.
    """
    n_inputs = sum(network.sizes[1 + source] for source in sources)
    if len(group) == 1 and not any(pre == post == group[0] for pre, post in network.ends):
        layer = network.layers[group[0]]
        alone = LayerSpec(layer.n_neurons, layer.neuron)
        return NetworkSpec(n_inputs, (alone,), network.t_window)
    chosen = [network.populations[index] for index in group]
    pairs = dict.fromkeys(
        (INPUT if pre in sources else network.populations[pre].name, network.populations[post].name)
        for pre, post in network.ends
        if post in group
    )
    decides = network.output_index
    return NetworkSpec(
        n_inputs,
        tuple(Population(each.name, each.n_neurons, each.neuron) for each in chosen),
        network.t_window,
        projections=tuple(Projection(pre, post) for pre, post in pairs),
        output=network.populations[decides].name if decides in group else "",
    )
