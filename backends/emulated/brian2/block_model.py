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

from dataclasses import dataclass
from typing import Any

from hxloop.backends.emulated.brian2.block_parts import (
    OWN,
    BlockShape,
    axons,
    kernel,
    synapses,
    table_of,
)
from hxloop.backends.emulated.brian2.model import NEVER


@dataclass(frozen=True)
class BlockModel:
    """The Brian2 objects of one model; untyped because Brian2 is imported late.

    Its data goes by the names ``arrivals.values``, ``weights0.values``, ``layer0.th`` (and every
    one of ``OWN``), in a loop ``weights1.values``, ``late.values``, and with delay neurons there
    ``weights2.values``, ``carried.values``, ``axons.delay``.
    """

    network: Any
    inputs: Any
    layers: list[Any]
    weights: list[Any]
    recorder: Any


def build_block(shape: BlockShape) -> BlockModel:
    """Make the Brian2 objects on the device that is active now."""
    import brian2 as b2

    clock = b2.Clock(dt=shape.dt * b2.second, name="hxloop_clock")
    arrivals = table_of("arrivals", shape.arrivals + 1, shape.batch * shape.channels)
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
        late = table_of("late", shape.ranks + 1, shape.batch * shape.post)
        tables.append(late)
    layer = _layer(shape, late, clock)
    weights = table_of("weights0", shape.channels, shape.post)
    connections = [synapses(shape, inputs, layer, weights, shape.channels, "spike")]
    tables.append(weights)
    layers, sent = [layer], "leave" if shape.ranks else "spike"
    if shape.loop:
        inner = table_of("weights1", shape.post, shape.post)
        connections.append(synapses(shape, layer, layer, inner, shape.post, sent))
        tables.append(inner)
    if shape.senders:
        n = len(shape.senders)
        group, trigger, carried = axons(shape, layer, clock)
        through = table_of("weights2", n, shape.post)
        connections += [trigger, synapses(shape, group, layer, through, n, "leave")]
        tables += [carried, through]
        layers.append(group)
    recorder = b2.SpikeMonitor(
        layer, variables="at", record=True, when="recorded0", name="recorder"
    )
    layer.thresholder["spike"].when = "thresholds0"
    layer.resetter["spike"].when = "resets0"
    network = b2.Network(inputs, *layers, *connections, recorder)
    network.schedule = [
        "start", "groups", "releases", "thresholds", "resets", "leaves", "leaving", "synapses",
        "thresholds0", "resets0", "recorded0", "end",
    ]  # fmt: skip
    return BlockModel(network, inputs, layers, tables, recorder)


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
        equations += ["due : 1", "waiting : 1", "pushed : 1", "n : 1", "rank : 1", "rank_due : 1"]
        events["leave"] = f"waiting > 0 and (pushed > 0 or due < {end})"
        # One waits at a time: the next pushes it out, and is late rather than lost.
        reset += (
            "\npushed = fires*waiting"
            "\ntsp = due*int(pushed > 0) + tsp*int(pushed <= 0)"
            "\nrank = rank_due*int(pushed > 0) + rank*int(pushed <= 0)"
            "\nrank_due = n*int(fires > 0) + rank_due*int(fires <= 0)"
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
            "\nrank = rank*int(pushed > 0) + rank_due*int(pushed <= 0)"
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
        f"u = rest*exp(-x*rm) + ie*{kernel('x', 're')} + ii*{kernel('x', 'ri')}"
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
        f"reached = rest*exp(-y*rm) + cur_e*exp(y*re)*{kernel('y', 're')}"
        f" + cur_i*exp(y*ri)*{kernel('y', 'ri')}",
        "u = reached*int(fires > 0) + u*int(fires <= 0)",
    ]
    return "\n".join(lines)
