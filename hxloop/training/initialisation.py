"""Initial weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hxloop import checks
from hxloop.activity import Spikes
from hxloop.checks.random_streams import entropy
from hxloop.engine.compiled.interface import first_spike_times_cpu
from hxloop.errors import ConfigError
from hxloop.network import NetworkSpec, NeuronParameters
from hxloop.registry import Registry
from hxloop.training.balanced_populations import balanced
from hxloop.training.drawn_weights import drawn_weights, obey_dale
from hxloop.training.weights_of_run import FromRunInitialisation

Inputs = NDArray[np.floating] | Spikes


@runtime_checkable
class Initialisation(Protocol):
    """What draws initial weights.

    Another package's is a dataclass whose fields are its options, in the entry points
    ``hxloop.initialisations``.
    """

    def __call__(self, network: NetworkSpec, input_times: Inputs, seed: int) -> Sequence[ArrayLike]:
        """One ``(pre, post)`` matrix for each projection; or ``Parameters``, delays with them.

        Args:
            network: whose weights.
            input_times: ``(n, n_inputs)`` of the samples to be trained with; or ``Spikes``, which
                are as good as such an array where no channel spikes more than once.
            seed: of the draw; the same seed, the same weights.
        """
        ...


def initial_weights(
    network: NetworkSpec, means: Sequence[float], stdevs: Sequence[float], seed: int
) -> tuple[NDArray[np.float64], ...]:
    """Normally distributed weights, with a mean and a standard deviation for each projection.

    Where Dale's law holds (``LayerSpec.n_inhibitory``), the outgoing weights of the layer have
    the magnitudes that are drawn, and the sign of their neuron.

    Args:
        network: whose weights.
        means: one for each projection, in units of the threshold.
        stdevs: one for each projection.
        seed: of the draw.

    Returns:
        One ``(pre, post)`` array for each projection.

    Raises:
        ConfigError: not one mean and one standard deviation for each of them, or a negative one.
    """
    means = checks.numbers("initialisation: means", means)
    stdevs = checks.numbers("initialisation: stdevs", stdevs, low=0)
    seed = checks.whole("initialisation: seed", seed, low=0)
    n = len(network.shapes)
    if len(means) != n or len(stdevs) != n:
        raise ConfigError(
            f"initialisation: expected {n} means and {n} stdevs, one for each layer of {network}; "
            f"got {len(means)} and {len(stdevs)}"
        )
    drawn = tuple(
        np.random.default_rng(entropy(seed, 0, index)).normal(mean, stdev, shape)
        for index, (shape, mean, stdev) in enumerate(
            zip(network.shapes, means, stdevs, strict=True)
        )
    )
    for (pre, _), weights in zip(network.ends, drawn, strict=True):
        if pre >= 0:
            obey_dale(weights, network.layers[pre].n_inhibitory)
    return drawn


def initial_delays(
    network: NetworkSpec, shortest: float, longest: float, seed: int
) -> tuple[NDArray[np.float64] | None, ...]:
    """Delays drawn evenly from an interval, beyond the ``min_delay`` of their projection.

    Args:
        network: whose delays.
        shortest, longest: ends of the interval, model time.
        seed: of the draw.

    Returns:
        For each projection an array of the shape of its delays; None where it has none.

    Raises:
        ConfigError: an end that is negative, or the wrong way round.
    """
    low, high = checks.numbers("initialisation: delays", (shortest, longest), low=0)
    if low > high:
        raise ConfigError(
            f"initialisation: delays: expected [shortest, longest]; got [{low:g}, {high:g}]"
        )
    return tuple(
        None
        if shape is None
        else projection.min_delay
        + np.random.default_rng(entropy(seed, _DELAYS, index)).uniform(low, high, shape)
        for index, (projection, shape) in enumerate(
            zip(network.all_projections, network.delay_shapes, strict=True)
        )
    )


# Stream of the training seed that delays are drawn from; see ``hxloop.training.inputs``.
_DELAYS = 4
SAMPLES = 200


def balanced_weights(
    network: NetworkSpec,
    input_times: Inputs,
    spread: float,
    active: float,
    seed: int,
) -> tuple[NDArray[np.float64], ...]:
    """Weights at which every layer is active, whatever its width, depth or input.

    The weights of a layer are drawn with a fixed shape and an open scale: normal, with a
    standard deviation such that the drive of a neuron (the sum of its weights) varies from
    neuron to neuron by ``spread`` times its mean. Where Dale's law holds, magnitudes are
    exponentially distributed, and inhibition adds up to 0.7 of the excitation. The scale is
    then found by bisection, layer after layer from the input: the smallest at which, over 200
    samples, the fraction ``active`` of the neurons spikes, on the ideal substrate. (The idea
    is that of layer-sequential initialisation, Mishkin and Matas 2016, with activity in the
    place of variance.) Networks with features, and inputs that spike more than once:
    ``balanced_populations``.

    Args:
        network: whose weights.
        input_times: ``(n, n_inputs)``, samples to balance with; the first 200 are used.
        spread: of the drive, relative to its mean.
        active: fraction of (sample, neuron) pairs with a spike, between 0 and 1.
        seed: of the draw.

    Returns:
        One ``(pre, post)`` array for each layer.

    Raises:
        ConfigError: ``spread`` or ``active`` out of range, a layer of inhibitory neurons only
            (nothing after it ever spikes), or input so sparse that no scale makes a layer active.
    """
    spread, active, seed = _checked(spread, active, seed)
    times = np.asarray(_samples(network, input_times), dtype=np.float64)
    result = []
    law = 0
    for index, ((pre, post), layer) in enumerate(zip(network.shapes, network.layers, strict=True)):
        if law == pre:
            raise ConfigError(
                f"initialisation: all {pre} neurons of layer {index - 1} of {network} are "
                "inhibitory, so by Dale's law nothing excites the layer after it and no weights "
                f"make it spike; expected n_inhibitory below {pre}, or method = 'normal'"
            )
        shape = drawn_weights(
            np.random.default_rng(entropy(seed, 0, index)), pre, post, spread, law
        )
        neurons = NeuronParameters.uniform(layer.neuron, post)

        def run(
            scale: float,
            times: NDArray[np.float64] = times,
            shape: NDArray[np.float64] = shape,
            neurons: NeuronParameters = neurons,
        ) -> NDArray[np.float64]:
            return first_spike_times_cpu(times, scale * shape, neurons, network.t_window)

        low, high = 0.0, 1.0
        while np.isfinite(run(high)).mean() < active:
            low, high = high, 2 * high
            if high > 1e6:
                raise ConfigError(
                    f"initialisation: no weights make layer {index} of {network} spike in "
                    f"{100 * active:g} % of the cases; is its input silent?"
                )
        for _ in range(20):
            middle = 0.5 * (low + high)
            if np.isfinite(run(middle)).mean() >= active:
                high = middle
            else:
                low = middle
        result.append(high * shape)
        times = run(high)
        law = layer.n_inhibitory
    return tuple(result)


def _checked(spread: float, active: float, seed: int) -> tuple[float, float, int]:
    spread = checks.number("initialisation: spread", spread, finite=False)
    active = checks.number("initialisation: active", active, finite=False)
    if not 0 <= spread <= 1e3 or not 0 < active < 1:
        raise ConfigError(
            "initialisation: expected spread >= 0 and active between 0 and 1 (spread at most "
            f"1000); got {spread} and {active}"
        )
    return spread, active, checks.whole("initialisation: seed", seed, low=0)


def _samples(network: NetworkSpec, input_times: Inputs) -> Spikes:
    where = "initialisation: input_times"
    return Spikes.of(input_times, network.n_inputs, where=where).select(slice(SAMPLES))


def balanced_populations(
    network: NetworkSpec,
    input_times: Inputs,
    spread: float,
    active: float,
    seed: int,
) -> tuple[NDArray[np.float64], ...]:
    """``balanced_weights`` for a network of any shape.

    Arguments, result and errors as there; how: ``hxloop.training.balanced_populations``.
    """
    spread, active, seed = _checked(spread, active, seed)
    return balanced(network, _samples(network, input_times), spread, active, seed)


@dataclass(frozen=True)
class NormalInitialisation:
    """``initial_weights`` with these means and standard deviations."""

    means: tuple[float, ...] = (1.5, 0.5)
    stdevs: tuple[float, ...] = (0.8, 0.8)

    def __call__(
        self, network: NetworkSpec, input_times: Inputs, seed: int
    ) -> tuple[NDArray[np.float64], ...]:
        """One matrix for each layer; see ``initial_weights``."""
        return initial_weights(network, self.means, self.stdevs, seed)


@dataclass(frozen=True)
class BalancedInitialisation:
    """``balanced_weights`` with this spread and activity."""

    spread: float = 0.5
    active: float = 0.9

    def __call__(
        self, network: NetworkSpec, input_times: Inputs, seed: int
    ) -> tuple[NDArray[np.float64], ...]:
        """One matrix for each projection; see ``balanced_weights``."""
        if network.features or isinstance(input_times, Spikes):
            return balanced_populations(network, input_times, self.spread, self.active, seed)
        return balanced_weights(network, input_times, self.spread, self.active, seed)


INITIALISATIONS: dict[str, type[Any]] = {
    "balanced": BalancedInitialisation,
    "from-run": FromRunInitialisation,
    "normal": NormalInitialisation,
}
REGISTRY = Registry("initialisation.method", "hxloop.initialisations", INITIALISATIONS)


def initialisation_names() -> tuple[str, ...]:
    """Names that ``get_initialisation`` knows, those of other packages among them."""
    return REGISTRY.names()


def get_initialisation(name: str, **options: Any) -> Initialisation:
    """An initialisation by name.

    Raises:
        UnknownNameError: no such one or option; the message lists the known ones.
        MissingDependencyError: another package's needs one that is not installed.
        ConfigError: an option out of range, or what is registered draws no weights.
    """
    asked = "hxloop.training.initialisation.Initialisation asks for (a call)"
    drawn_by: Initialisation = REGISTRY.make(name, options, Initialisation, asked)
    return drawn_by
