"""The emulated chip as a Brian2 model: equations, detection of crossings, schedule.

Membrane of a current-based neuron (``u`` = membrane minus leak, model time, capacitance 1):
``u' = -u/tau_mem + Ie + Ii``, ``Ie' = -Ie/tau_syn_exc``, ``Ii' = -Ii/tau_syn_inh``. Each step
of length ``h`` propagates it exactly; currents are held as ``je = Ie*k(h)``, ``ji = Ii*k(h)``,
so that a step is ``u <- u*em + je + ji``.

Order within a step: all neurons advance; then, layer by layer, the spikes of the previous
layer are delivered with their exact times, and the layer is tested for a crossing within the
step. A network of any depth so takes no delay from the grid. What the grid costs: if further
input arrives in the very step in which a neuron crosses, the crossing is computed as if that
input had acted in the whole step: its time is off by less than a step, and a crossing that
inhibition undoes before the step ends is missed (seen for 1 spike in 10,000 at ``h`` = 1/200).

Jitter may shift a spike to before the moment at which its neuron crossed. So that it is delivered
in the step in which it belongs all the same, every layer then runs some steps behind the layer
before it (``ModelShape.lag``): its clock shows less.

A ``spike`` event of a layer only marks a candidate; its reset code decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

# Stands for "never": Brian2 compares finite numbers only, arithmetic with inf gives NaN.
NEVER = 1e200

# Per-neuron data of a layer: decay factors of a step, k(step), rates.
CONSTANTS = ("em", "ee", "ei", "ke", "ki", "rm", "re", "ri")


@dataclass(frozen=True)
class ModelShape:
    """All that a compiled model depends on; parameters and weights are data.

    Attributes:
        sizes: number of inputs, then of the neurons of every layer.
        batch: samples integrated side by side.
        dt: time step, model time.
        t_window: how long is integrated, model time.
        jitter: whether spike times are shifted before they are delivered.
        lag: by how much a layer runs behind the one before it, and so the largest shift of a
            spike to earlier, model time.
    """

    sizes: tuple[int, ...]
    batch: int
    dt: float
    t_window: float
    jitter: bool
    lag: float = 0.0

    @property
    def n_layers(self) -> int:
        """Number of layers without the inputs."""
        return len(self.sizes) - 1

    @property
    def n_steps(self) -> int:
        """Steps that cover the window in every layer."""
        return math.ceil((self.t_window + self.behind(self.n_layers - 1)) / self.dt - 1e-9)

    @property
    def n_synapses(self) -> int:
        """Of one sample."""
        return sum(pre * post for pre, post in pairwise(self.sizes))

    @property
    def n_bytes(self) -> int:
        """What one run writes: parameters of neurons (thresholds, shifts, spikes too), weights."""
        per_neuron = len(CONSTANTS) + 3
        neurons = self.batch * (self.sizes[0] + per_neuron * sum(self.sizes[1:]))
        return 8 * (neurons + self.n_synapses)

    def behind(self, layer: int) -> float:
        """By how much a layer runs behind the inputs: a whole number of steps."""
        return layer * math.ceil(self.lag / self.dt - 1e-9) * self.dt


@dataclass(frozen=True)
class Brian2Model:
    """The Brian2 objects of one model; untyped because Brian2 is imported late.

    Its data goes by the names ``inputs.t_in``, ``layer0.th`` (and ``.shift``, and every one
    of ``CONSTANTS``), ``weights0.values``.
    """

    network: Any
    inputs: Any
    layers: list[Any]
    weights: list[Any]


# A superset of the neurons that crossed within the step, from the few arrays that the update
# has just touched: at the threshold now, or falling so fast that a peak inside the step may
# have reached it (the next step's fall, doubled, exceeds what a concave membrane can have lost
# since its peak). The exact test runs for these candidates only.
_CANDIDATE = "u >= th or 3*u - 2*(u*em + je + ji) >= th"


def _crossing(h: float, behind: float) -> str:
    """Code for whether a candidate crossed (``fires``) and when (``T``); its layer runs behind.

    ``x`` <= 0 is time after the end of the step; ``v``, ``s`` and ``c`` are the exact membrane
    and its first and second derivative there. A membrane that is falling and concave has its
    peak before the end: Newton on ``s`` finds it. From there (or from the end) the parabola's
    rising root starts Newton on ``v - th``.
    """
    lines = [
        "cur_e = je/ke",
        "cur_i = ji/ki",
        "se = clip(rm, 0, re)",
        "si = clip(rm, 0, ri)",
        "ae = abs(rm - re)",
        "ai = abs(rm - ri)",
        "d = cur_e + cur_i - u*rm",
        "dd = -d*rm - re*cur_e - ri*cur_i",
        "falling = int(d < 0)*int(dd < 0)",
        f"p0 = clip(-falling*d/clip(dd, -1e300, -1e-30), {-2 * h!r}, 0)",
    ]

    # A new name for every value: Brian2's code blocks do not follow reassignment safely.
    def state(x: str, tag: str) -> list[str]:
        return [
            f"v{tag} = u*exp(-{x}*rm) + cur_e*{x}*exp(-{x}*se)*exprel(-ae*{x})"
            f" + cur_i*{x}*exp(-{x}*si)*exprel(-ai*{x})",
            f"s{tag} = cur_e*exp(-{x}*re) + cur_i*exp(-{x}*ri) - v{tag}*rm",
            f"c{tag} = -s{tag}*rm - re*cur_e*exp(-{x}*re) - ri*cur_i*exp(-{x}*ri)",
        ]

    for i in range(2):
        lines += state(f"p{i}", f"p{i}")
        lines.append(
            f"p{i + 1} = clip(p{i} - falling*sp{i}/clip(cp{i}, -1e300, -1e-30), {-2 * h!r}, 0)"
        )
    lines += state("p2", "p2")
    lines += [
        f"fires = clip(int(u >= th) + falling*int(p2 > {-h!r})*int(vp2 >= th), 0, 1)",
        "root = clip(sp2, 0, 1e300) + sqrt(clip(sp2*sp2 - 2*cp2*(vp2 - th), 0, 1e300)) + 1e-30",
        f"x0 = clip(p2 - 2*(vp2 - th)/root, {-h!r}, 0)",
    ]
    for i in range(4):
        lines += state(f"x{i}", f"x{i}")[:2]
        lines.append(f"x{i + 1} = clip(x{i} - (vx{i} - th)/(sx{i} + 1e-30), {-h!r}, 0)")
    # A threshold of -NEVER marks a neuron that fires at once.
    lines.append(f"T = clip(t/second + {h - behind!r} + x4, 0, 1e300)*int(th > {-NEVER / 2!r})")
    return "\n".join(lines)


def build_model(shape: ModelShape) -> Brian2Model:
    """Make the Brian2 objects on the device that is active now."""
    import brian2 as b2

    clock = b2.Clock(dt=shape.dt * b2.second, name="hxloop_clock")
    schedule = ["start", "groups", "thresholds", "resets", "synapses"]
    inputs = _inputs(shape, clock)
    layers: list[Any] = []
    weights: list[Any] = []
    synapses: list[Any] = []
    previous, event = inputs, "spike"
    for index in range(shape.n_layers):
        layer = _layer(shape, index, clock)
        table, connection = _synapses(shape, index, previous, layer, event, clock)
        event = "emit" if shape.jitter else "spike"
        schedule += _scheduled(shape, index, layer, connection)
        layers.append(layer)
        weights.append(table)
        synapses.append(connection)
        previous = layer
    network = b2.Network(inputs, *layers, *synapses)
    network.schedule = [*schedule, "end"]
    return Brian2Model(network, inputs, layers, weights)


def _inputs(shape: ModelShape, clock: Any) -> Any:
    import brian2 as b2

    inputs = b2.NeuronGroup(
        shape.batch * shape.sizes[0],
        "t_in : 1\ntsp : 1",
        # Fires once, in the first step that ends after the spike: no rounding of the clock
        # can lose or double an input.
        threshold=f"t_in < t/second + {shape.dt!r} and tsp >= {NEVER!r}",
        reset="tsp = t_in",
        clock=clock,
        name="inputs",
    )
    inputs.tsp = NEVER
    return inputs


def _synapses(
    shape: ModelShape, index: int, previous: Any, layer: Any, event: str, clock: Any
) -> tuple[Any, Any]:
    """The table of a layer's weights, and what brings it the spikes of the layer before."""
    import brian2 as b2

    h, pre, post = shape.dt, shape.sizes[index], shape.sizes[index + 1]
    table = b2.TimedArray(_zeros(pre, post), dt=1 * b2.second, name=f"weights{index}")
    connection = b2.Synapses(
        previous,
        layer,
        model=f"table = weights{index}((i % {pre})*second, j % {post}) : 1",
        on_pre=f"""
        w = table*int(tsp_pre < {NEVER!r})
        xx = clip(t/second + {h - shape.behind(index)!r} - tsp_pre, 0, 1e3)
        rs = re_post*int(w > 0) + ri_post*int(w <= 0)
        cur = w*exp(-xx*rs)
        u_post += w*xx*exp(-xx*clip(rm_post, 0, rs))*exprel(-xx*abs(rm_post - rs))
        je_post += cur*ke_post*int(w > 0)
        ji_post += cur*ki_post*int(w <= 0)
        """,
        on_event={"pre": event},
        delay=0 * b2.second,
        namespace={f"weights{index}": table},
        clock=clock,
        name=f"synapses{index}",
    )
    connection.connect(
        j=f"q for q in range((i//{pre})*{post}, (i//{pre} + 1)*{post})",
    )
    return table, connection


def _scheduled(shape: ModelShape, index: int, layer: Any, connection: Any) -> list[str]:
    """Give a layer its slots in a step, one after another; their names."""
    slots = [f"{kind}{index}" for kind in ("synapses", "thresholds", "resets")]
    connection.pre.when = slots[0]
    layer.thresholder["spike"].when = slots[1]
    layer.resetter["spike"].when = slots[2]
    if shape.jitter:
        slots += [f"emits{index}", f"emitted{index}"]
        layer.set_event_schedule("emit", when=slots[3])
        layer.run_on_event("emit", "waiting = 0", when=slots[4])
    return slots


def _layer(shape: ModelShape, index: int, clock: Any) -> Any:
    import brian2 as b2

    h = shape.dt
    equations = ["u : 1", "je : 1", "ji : 1", "th : 1", "tsp : 1"]
    equations += [f"{name} : 1 (constant)" for name in CONSTANTS]
    events = {}
    if shape.jitter:
        equations += ["shift : 1 (constant)", "waiting : 1"]
        next_end = h - shape.behind(index + 1)  # of a step, by the clock of the next layer
        events = {"emit": f"waiting > 0 and tsp < t/second + {next_end!r}"}
        reset = _crossing(h, shape.behind(index)) + (
            f"\nemits = fires*int(T <= {shape.t_window!r})"
            f"\ntsp = clip(T + shift, 0, 1e300)*int(emits > 0) + {NEVER!r}*int(emits <= 0)"
            "\nwaiting = emits"
        )
    else:
        reset = _crossing(h, 0.0) + f"\ntsp = T*int(fires > 0) + {NEVER!r}*int(fires <= 0)"
    layer = b2.NeuronGroup(
        shape.batch * shape.sizes[index + 1],
        "\n".join(equations),
        threshold=_CANDIDATE,
        # Never again: no refractory test in the loop over all neurons.
        reset=reset + f"\nth += fires*{3 * NEVER!r}",
        events=events,
        clock=clock,
        name=f"layer{index}",
    )
    layer.run_regularly("u = u*em + je + ji\nje *= ee\nji *= ei", when="groups", clock=clock)
    layer.tsp = NEVER
    return layer


def _zeros(rows: int, columns: int) -> Any:
    import numpy as np

    return np.zeros((rows, columns))
