"""The loop: forward on a substrate, gradient on the host."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hxloop import checks
from hxloop.activity import Activity, Spikes
from hxloop.checks.tensors import values_of
from hxloop.chip.placement import PlacedLayer
from hxloop.engine import GradientCounts, recorded_spike_times
from hxloop.errors import NetworkError
from hxloop.network import Parameters
from hxloop.substrate import Session, check_stream
from hxloop.substrate.checks import check_takes_neurons
from hxloop.substrate.optional import network_of
from hxloop.training.constraints import KeepsBounds
from hxloop.training.own_neurons import by_population, chosen_keys, trained_neurons
from hxloop.training.readout import FIRST, READS, SPIKES, peaks_of_membranes
from hxloop.training.runner import Runner, RunsBatches
from hxloop.training.trains import (
    SpikeTrain,
    following,
    follows,
    recorded_spike_trains,
    with_delays,
)
from hxloop.training.twin import TwinOfRun, checked_twin, model_of_layer


class LoopNetwork(RunsBatches, KeepsBounds, nn.Module):
    """A network whose forward pass runs on a substrate and whose gradient is exact.

    ``forward`` runs the batch once on the session, then attaches the gradient of the nominal
    model to the recorded spike times, layer by layer, at the weights the substrate held.
    With a session of the ideal backend the same code trains purely in software.

    It is a module like any other, with any optimizer, other layers before and after it, and on any
    device. For ``torch.compile`` set ``network.forward = torch.compiler.disable(network.forward)``.

    Args:
        session: an open session.
        weights: initial weights, one matrix ``(pre, post)`` for each projection, of any kind that
            ``hxloop.checks.real_array`` takes, or ``Parameters`` where there are delays, or
            neurons with parameters of their own; copied.
        max_dw_norm: gradient cap, see ``recorded_spike_times``.
        retries: how often a run is repeated after a transient fault.
        twin: what the neurons of each layer are measured to be (``digital_twin``); the gradient
            is then that of this model instead of the nominal one.
        time_limit: seconds after which a run counts as hung; None: as the substrate says (its
            ``Capabilities.time_limit``), ``inf``: never.
        train_neurons: which parameters of neurons are trained, too, each neuron's for itself:
            "tau_mem", "tau_syn", "v_threshold", "v_reset" of all populations that have a use for
            them, or "memory/tau_mem" of one. They start nominal, or as ``weights`` have them.

    Raises:
        NetworkError: no open session, weights or a twin that do not fit the session's network.
        CapacityError: neurons with parameters of their own on a substrate that takes none.
        ConfigError: no such parameter to be trained.

    Attributes:
        weights: the trained weights, float64.
        delays: the trained delays, float64, of the projections that have any.
        neurons: what neurons have each for itself, by "population/parameter"; what is not trained
            has ``requires_grad = False``.
        gradient_counts: what the backward passes met since its last reset.
    """

    def __init__(
        self,
        session: Session,
        weights: Sequence[ArrayLike],
        *,
        max_dw_norm: float | None = None,
        retries: int = 0,
        twin: Sequence[PlacedLayer] | None = None,
        time_limit: float | None = None,
        train_neurons: Sequence[str] = (),
    ) -> None:
        super().__init__()
        network = network_of(session)
        if network is None:
            raise NetworkError(
                "LoopNetwork: session: expected an open session (get_backend(...).open(network)); "
                f"got {checks.shown(session)}"
            )
        where = "LoopNetwork: "
        try:
            given = Parameters.of(network, weights, where=where, error=NetworkError)
        except NetworkError as error:
            shapes = f"Network {network} has weights of shapes {network.shapes}"
            raise NetworkError(f"{error}. {shapes}") from error
        if max_dw_norm is not None:
            max_dw_norm = checks.number(f"{where}max_dw_norm", max_dw_norm, above=0, finite=False)
        if time_limit is not None:
            time_limit = checks.number(f"{where}time_limit", time_limit, above=0, finite=False)
        self.twin = None if twin is None else checked_twin(f"{where}twin", twin, network)
        self.session = session
        self.weights = nn.ParameterList([nn.Parameter(torch.tensor(matrix)) for matrix in given])
        delays = [nn.Parameter(torch.tensor(each)) for each in given.delays if each is not None]
        self.delays = nn.ParameterList(delays)
        keys = chosen_keys(network, train_neurons, f"{where}train_neurons")
        self.neurons = trained_neurons(network, given, keys)
        check_takes_neurons(list(self.neurons), session.capabilities, "LoopNetwork")
        if self.neurons and twin is not None:
            raise NetworkError(f"{where}twin: expected none beside neurons with own parameters")
        self.max_dw_norm = max_dw_norm
        retries = checks.whole(f"{where}retries", retries, low=0)
        self._runner = Runner(retries, time_limit)
        self.gradient_counts = GradientCounts()

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy with weights of its own on the same session: there is one substrate."""
        memo[id(self.session)] = self.session
        other = type(self).__new__(type(self))
        memo[id(self)] = other
        other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return other

    def forward(self, input_times: ArrayLike, trial: int | None = None) -> tuple[Tensor, Activity]:
        """Run a batch.

        Args:
            input_times: ``(batch, n_inputs)``, model time, ``inf`` = no spike. A tensor that
                requires a gradient gets one, that of the times as delivered.
            trial: stream of trial noise, see ``Session.run``.

        Returns:
            First spike times of the output ``(batch, n_outputs)`` with gradient, and the whole
            activity.

        Raises:
            RunFailed: the substrate failed for good, or returned something impossible.
            RunInputError: input that does not fit the network.
        """
        network = self.session.network
        if self._needs_trains(input_times):
            return self.output(input_times, trial)
        asked = checks.spike_times("input_times", input_times, shape=("batch", network.n_inputs))
        activity = self._run(asked, trial)
        times = following(activity.input_times, input_times)
        for index, recorded in enumerate(activity.first_spike_times):
            neuron, weights, used = model_of_layer(
                network.layers[index].neuron,
                None if self.twin is None else self.twin[index],
                self.weights[index],
                activity.weights_used[index],
            )
            times = recorded_spike_times(
                times, weights, torch.tensor(recorded), neuron, weights_used=used,
                max_dw_norm=self.max_dw_norm, counts=self.gradient_counts,
            )  # fmt: skip
        return times, activity

    def trains(
        self, inputs: ArrayLike | Spikes, trial: int | None = None
    ) -> tuple[tuple[SpikeTrain, ...], Activity]:
        """Run a batch of any network; all spikes.

        Args:
            inputs: as for ``forward``, or ``Spikes`` with any number of spikes of a channel.
            trial: stream of trial noise, see ``Session.run``.

        Returns:
            The spikes of each population with gradient, and the whole activity.

        Raises:
            RunFailed: the substrate failed for good, or returned something impossible.
            RunInputError: input that does not fit the network.
        """
        network = self.session.network
        plain = inputs.detach() if isinstance(inputs, Tensor) else inputs
        asked = Spikes.of(plain, network.n_inputs, where="input_times")
        activity = self._run(asked, trial)
        trains = recorded_spike_trains(
            network,
            activity,
            list(self.weights),
            list(self.delays),
            dict(self.neurons),
            input_times=following(activity.input_times, inputs) if follows(inputs) else None,
            max_dw_norm=self.max_dw_norm,
            counts=self.gradient_counts,
            twin=TwinOfRun.of(network, activity.parameters, self.twin) if self.twin else None,
        )
        return trains, activity

    def output(
        self,
        inputs: ArrayLike | Spikes,
        trial: int | None = None,
        *,
        reads: str = FIRST,
        begin: float = 0.0,
    ) -> tuple[Any, Activity]:
        """Run a batch of any network; what a loss reads of the population that decides.

        Args:
            inputs: as for ``trains``.
            trial: stream of trial noise, see ``Session.run``.
            reads: "first": first spike times ``(batch, n_outputs)``; "spikes": a ``SpikeTrain``;
                "membrane": the highest membranes of a leaky read-out ``(batch, n_outputs)``,
                above leak, computed by the host from the recorded spikes.
            begin: from when on membranes are read, model time.

        Returns:
            That, with gradient, and the whole activity.

        Raises:
            ConfigError: another word for ``reads``.
            NetworkError: a membrane is to be read of a population that spikes, or after the end.
            RunFailed, RunInputError: as ``trains``.
        """
        checks.choice("reads", reads, READS)
        if reads == FIRST and not self._needs_trains(inputs):
            return self.forward(inputs, trial)
        trains, activity = self.trains(inputs, trial)
        return self.read(trains, activity, inputs, reads, begin), activity

    def read(
        self,
        trains: Sequence[SpikeTrain],
        activity: Activity,
        inputs: ArrayLike | Spikes,
        reads: str = FIRST,
        begin: float = 0.0,
    ) -> Any:
        """What a loss reads (see ``output``) of what ``trains`` gave for some inputs."""
        network = self.session.network
        own = trains[network.output_index]
        if reads in (FIRST, SPIKES):
            return own.first if reads == FIRST else own
        given = following(activity.input_times, inputs) if follows(inputs) else None
        parameters = list(self.weights), list(self.delays), given, dict(self.neurons)
        # Of nominal neurons, with a twin as well: a read-out is the host's, on no circuit.
        return peaks_of_membranes(network, activity, trains, *parameters, begin=begin)

    def _needs_trains(self, inputs: ArrayLike | Spikes) -> bool:
        """Whether it is more than a chain of nominal neurons and inputs that spike once."""
        several = self.session.network.features or isinstance(inputs, Spikes)
        return bool(several or self.neurons)

    def parameters_held(self) -> Parameters:
        """The weights, delays and neurons, to look at only: views of what is trained."""
        arrays = [values_of(f"weights[{i}]", each) for i, each in enumerate(self.weights)]
        arrays += [values_of(f"delays[{i}]", each) for i, each in enumerate(self.delays)]
        n, own = len(self.weights), self.neurons.items()
        neurons = by_population((key, values_of(key, each)) for key, each in own)
        return with_delays(self.session.network, arrays[:n], arrays[n:], neurons).read_only()

    @torch.no_grad()
    def hold(self, parameters: Sequence[ArrayLike]) -> None:
        """Take weights, delays and neurons, copied, in the place of its own.

        Args:
            parameters: as ``parameters_held`` gives them, or weights alone without the others.

        Raises:
            NetworkError: they do not fit the network, or other neurons have parameters of their
                own than here.
        """
        where, network = "LoopNetwork.hold: ", self.session.network
        given = Parameters.of(network, parameters, where=where, error=NetworkError)
        new, held = given.named(), self.parameters_held().named()
        if new.keys() != held.keys():
            raise NetworkError(f"{where}expected {', '.join(held)}; got {', '.join(new)}")
        every = (*self.weights, *self.delays, *self.neurons.values())
        for own, array in zip(every, new.values(), strict=True):
            own.copy_(torch.tensor(array))

    def _run(self, inputs: NDArray[np.float64] | Spikes, trial: int | None) -> Activity:
        held = self.parameters_held()
        return self._runner.run(self.session, inputs, held, check_stream("trial", trial))

    def weight_arrays(self) -> tuple[NDArray[np.float64], ...]:
        """Copies of the weights, one ``(pre, post)`` array for each layer."""
        return tuple(values.copy() for values in self.parameters_held().weights)

    def with_session(self, session: Session) -> LoopNetwork:
        """The same weights on another substrate (copied), without a twin.

        Raises:
            NetworkError: the other session was opened with a network of another shape.
        """
        return LoopNetwork(
            session,
            self.parameters_held().copy(),
            max_dw_norm=self.max_dw_norm,
            retries=self.retries,
            time_limit=self.time_limit,
            train_neurons=[key for key, each in self.neurons.items() if each.requires_grad],
        )
