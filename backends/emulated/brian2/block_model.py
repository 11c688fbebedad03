"""All spikes of a block of a network as a Brian2 model; see ``hxloop.engine.blocks``.

As ``hxloop.backends.emulated.brian2.model``: steps that propagate membranes exactly, arrivals at
their exact times, crossings found within the step. A neuron that spikes at T is at its reset until
``held = T + t_refractory``, while its currents go on, and is free from there, to the exact time.

What comes late, by a step or more (a spike within the block, a second one of a channel in one
step), adds what it has come to by then: from there on the membrane is as if it had come in time.
So what the grid costs is less than a step for every spike, and a neuron that is released in the
very step of its spike spikes at most once a step.

A ``spike`` event of a neuron only marks a candidate; its reset code decides.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from hxloop.backends.emulated.brian2.model import CONSTANTS, NEVER

# Of a neuron, beyond what neurons that spike once have: its reset from leak, its refractory time.
OWN = (*CONSTANTS, "rest", "hold")


@dataclass(frozen=True)
class BlockShape:
    """All that a compiled model depends on; parameters, weights and arrivals are data.

    Attributes:
        channels: through how many rows spikes come from outside.
        arrivals: how many of one channel there may be in a sample.
        post: number of neurons.
        batch: samples integrated side by side.
        dt: time step, model time.
        t_window: how long is integrated, model time.
        loop: whether the neurons feed each other.
        ranks: for how many spikes of a neuron it is given how late they leave; 0: none is late.
    """

    channels: int
    arrivals: int
    post: int
    batch: int
    dt: float
    t_window: float
    loop: bool = False
    ranks: int = 0

    @property
    def sizes(self) -> tuple[int, int]:
        """What feeds, and what is fed."""
        return self.channels, self.post

    @property
    def n_steps(self) -> int:
        """Steps that cover the window."""
        return math.ceil(self.t_window / self.dt - 1e-9)

    @property
    def n_synapses(self) -> int:
        """Of one sample."""
        return self.post * (self.channels + (self.post if self.loop else 0))

    @property
    def n_bytes(self) -> int:
        """What one run writes, but for its spikes: parameters, weights, arrivals."""
        neurons = self.batch * self.post * (len(OWN) + 1 + self.ranks)
        return 8 * (neurons + self.batch * self.channels * (self.arrivals + 1) + self.n_synapses)


@dataclass(frozen=True)
class BlockModel:
    """The Brian2 objects of one model; untyped because Brian2 is imported late.

    Its data goes by the names ``arrivals.values``, ``weights0.values``, ``layer0.th`` (and every
    one of ``OWN``), and in a loop ``weights1.values``, ``late.values``.
    """

    network: Any
    inputs: Any
    layers: list[Any]
    weights: list[Any]
    recorder: Any


# Against leak, ``x`` after a start: what a current that is 1 at its end has come to (see ``psp``).
def _kernel(x: str, rate: str, of: str = "") -> str:
    rm = f"rm{of}"
    return f"{x}*exp(-{x}*clip({rm}, 0, {rate}))*exprel(-{x}*abs({rm} - {rate}))"


def build_block(shape: BlockShape) -> BlockModel:
    """Make the Brian2 objects on the device that is active now."""
    import brian2 as b2

    clock = b2.Clock(dt=shape.dt * b2.second, name="hxloop_clock")
    arrivals = _table("arrivals", shape.arrivals + 1, shape.batch * shape.channels)
    inputs = b2.NeuronGroup(
        shape.batch * shape.channels,
        "n : 1\ntsp : 1\nt_in = arrivals(n*second, i) : 1",
        # The next one, in the first step that ends after it.
        threshold=f"t_in < t/second + {shape.dt!r}",
        reset="tsp = arrivals(n*second, i)\nn = n + 1",
        namespace={"arrivals": arrivals},
        clock=clock,
        name="inputs",
    )
    inputs.tsp = NEVER
    tables = [arrivals]
    late = None
    if shape.ranks:
        late = _table("late", shape.ranks + 1, shape.batch * shape.post)
        tables.append(late)
    layer = _layer(shape, late, clock)
    weights = _table("weights0", shape.channels, shape.post)
    connections = [_synapses(shape, inputs, layer, weights, shape.channels, clock)]
    tables.append(weights)
    if shape.loop:
        inner = _table("weights1", shape.post, shape.post)
        connections.append(_synapses(shape, layer, layer, inner, shape.post, clock))
        tables.append(inner)
    recorder = b2.SpikeMonitor(
        layer, variables="at", record=True, when="recorded0", name="recorder"
    )
    layer.thresholder["spike"].when = "thresholds0"
    layer.resetter["spike"].when = "resets0"
    network = b2.Network(inputs, layer, *connections, recorder)
    network.schedule = [
        "start", "groups", "releases", "thresholds", "resets", "leaves", "leaving", "synapses",
        "thresholds0", "resets0", "recorded0", "end",
    ]  # fmt: skip
    return BlockModel(network, inputs, [layer], tables, recorder)


def _table(name: str, rows: int, columns: int) -> Any:
    import brian2 as b2
    import numpy as np

    return b2.TimedArray(np.zeros((rows, columns)), dt=1 * b2.second, name=name)


def _layer(shape: BlockShape, late: Any, clock: Any) -> Any:
    import brian2 as b2

    h = shape.dt
    end = f"(t/second + {h!r})"
    equations = ["u : 1", "je : 1", "ji : 1", "th : 1", "tsp : 1", "at : 1", "held : 1"]
    equations += [f"{name} : 1 (constant)" for name in OWN]
    events = {"release": f"held > t/second and held < {end}"}
    reset = _crossing(h, end) + (
        f"\nat = T*int(fires > 0) + {NEVER!r}*int(fires <= 0)"
        "\nheld = (T + hold)*int(fires > 0) + held*int(fires <= 0)"
    )
    if shape.ranks:
        equations += ["due : 1", "waiting : 1", "pushed : 1", "n : 1"]
        events["leave"] = f"waiting > 0 and (pushed > 0 or due < {end})"
        # One waits at a time: the next pushes it out, and is late rather than lost.
        reset += (
            "\npushed = fires*waiting"
            "\ntsp = due*int(pushed > 0) + tsp*int(pushed <= 0)"
            f"\ndue = clip(T + late(n*second, i), 0, {NEVER!r})*int(fires > 0)"
            " + due*int(fires <= 0)"
            "\nwaiting = clip(waiting + fires, 0, 1)\nn = n + fires"
        )
    else:
        reset += "\ntsp = at"
    layer = b2.NeuronGroup(
        shape.batch * shape.post,
        "\n".join(equations),
        threshold=f"(u >= th or 3*u - 2*(u*em + je + ji) >= th) and held < {end}",
        reset=reset,
        events=events,
        namespace={} if late is None else {"late": late},
        clock=clock,
        name="layer0",
    )
    layer.run_regularly(
        "u = (u*em + je + ji)*int(held <= t/second) + rest*int(held > t/second)"
        "\nje *= ee\nji *= ei",
        when="groups",
        clock=clock,
    )
    layer.set_event_schedule("release", when="releases")
    layer.run_on_event("release", f"x = clip({end} - held, 0, {h!r})\n{_released()}",
                       when="releases", order=1)  # fmt: skip
    if shape.ranks:
        layer.set_event_schedule("leave", when="leaves")
        layer.run_on_event(
            "leave",
            "tsp = tsp*int(pushed > 0) + due*int(pushed <= 0)"
            "\nwaiting = int(pushed > 0)\npushed = 0",
            when="leaving",
        )
    layer.tsp = NEVER
    layer.at = NEVER
    layer.held = -1.0
    return layer


def _released() -> str:
    """Code for a membrane that was let go ``x`` before the end of the step."""
    return (
        "ie = je/ke*exp(x*re)\nii = ji/ki*exp(x*ri)\n"
        f"u = rest*exp(-x*rm) + ie*{_kernel('x', 're')} + ii*{_kernel('x', 'ri')}"
    )


def _crossing(h: float, end: str) -> str:
    """Code for whether a candidate crossed (``fires``), when (``T``), and where it then is.

    As for neurons that spike once, but that a step is as long as its neuron was free in it
    (``span``), and that a membrane may be above threshold where it begins.
    """
    lines = [
        f"span = clip({end} - held, 0, {h!r})",
        "cur_e = je/ke",
        "cur_i = ji/ki",
        "se = clip(rm, 0, re)",
        "si = clip(rm, 0, ri)",
        "ae = abs(rm - re)",
        "ai = abs(rm - ri)",
        "d = cur_e + cur_i - u*rm",
        "dd = -d*rm - re*cur_e - ri*cur_i",
        "falling = int(d < 0)*int(dd < 0)",
        "p0 = clip(-falling*d/clip(dd, -1e300, -1e-30), -2*span, 0)",
    ]

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
            f"p{i + 1} = clip(p{i} - falling*sp{i}/clip(cp{i}, -1e300, -1e-30), -2*span, 0)"
        )
    lines += state("p2", "p2")
    lines += [
        "fires = clip(int(u >= th) + falling*int(p2 > -span)*int(vp2 >= th), 0, 1)*int(span > 0)",
        "root = clip(sp2, 0, 1e300) + sqrt(clip(sp2*sp2 - 2*cp2*(vp2 - th), 0, 1e300)) + 1e-30",
        "x0 = clip(p2 - 2*(vp2 - th)/root, -span, 0)",
    ]
    for i in range(4):
        lines += state(f"x{i}", f"x{i}")[:2]
        lines.append(f"x{i + 1} = clip(x{i} - (vx{i} - th)/(sx{i} + 1e-30), -span, 0)")
    lines.append("first = -span")
    lines += state("first", "b")[:1]
    lines += [
        f"T = clip({end} + first*int(vb >= th) + x4*int(vb < th), 0, 1e300)",
        f"y = clip({end} - T - hold, 0, {h!r})",
        f"reached = rest*exp(-y*rm) + cur_e*exp(y*re)*{_kernel('y', 're')}"
        f" + cur_i*exp(y*ri)*{_kernel('y', 'ri')}",
        "u = reached*int(fires > 0) + u*int(fires <= 0)",
    ]
    return "\n".join(lines)


def _synapses(shape: BlockShape, source: Any, layer: Any, table: Any, pre: int, clock: Any) -> Any:
    """What brings a layer the spikes of its inputs, or its own of the step before."""
    import brian2 as b2

    end, post = f"(t/second + {shape.dt!r})", shape.post
    event = "leave" if shape.ranks and source is layer else "spike"
    connection = b2.Synapses(
        source,
        layer,
        model=f"table = {table.name}((i % {pre})*second, j % {post}) : 1",
        # xx: since it was sent, below 0 if it was pushed out, to come out right when it is due;
        # xf: of that the time in which the membrane was free.
        on_pre=f"""
        w = table*int(tsp_pre < {NEVER!r})
        xx = clip({end} - tsp_pre, -10, 1e3)
        xf = clip({end} - held_post, 0, clip(xx, 0, 1e3)) + clip(xx, -10, 0)*int(held_post < {end})
        rs = re_post*int(w > 0) + ri_post*int(w <= 0)
        cur = w*exp(-xx*rs)
        u_post += w*exp(-(xx - xf)*rs)*{_kernel("xf", "rs", "_post")}
        je_post += cur*ke_post*int(w > 0)
        ji_post += cur*ki_post*int(w <= 0)
        """,
        on_event={"pre": event},
        delay=0 * b2.second,
        namespace={table.name: table},
        clock=clock,
        name="synapses_" + table.name,
    )
    connection.connect(j=f"q for q in range((i//{pre})*{post}, (i//{pre} + 1)*{post})")
    connection.pre.when = "synapses"
    return connection
