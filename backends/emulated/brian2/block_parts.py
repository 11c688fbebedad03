"""What a Brian2 model of a block is made of besides its neurons: its shape, synapses, axons."""

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
        senders: of every delay neuron within the block, the neuron whose spikes it takes.
    """

    channels: int
    arrivals: int
    post: int
    batch: int
    dt: float
    t_window: float
    loop: bool = False
    ranks: int = 0
    senders: tuple[int, ...] = ()

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
        return self.post * (self.channels + len(self.senders) + (self.post if self.loop else 0))

    @property
    def n_bytes(self) -> int:
        """What one run writes, but for its spikes: parameters, weights, arrivals."""
        neurons = self.batch * self.post * (len(OWN) + 1 + self.ranks)
        neurons += self.batch * len(self.senders) * (self.ranks + 2)
        return 8 * (neurons + self.batch * self.channels * (self.arrivals + 1) + self.n_synapses)


def kernel(x: str, rate: str, of: str = "") -> str:
    """Code for what a current of 1 has come to on the membrane ``x`` later; see ``engine.psp``.

    Args:
        x: the time.
        rate: of the current's decay.
        of: ends the name of the membrane's rate: "_post".
    """
    rm = f"rm{of}"
    return f"{x}*exp(-{x}*clip({rm}, 0, {rate}))*exprel(-{x}*abs({rm} - {rate}))"


def table_of(name: str, rows: int, columns: int) -> Any:
    """A table whose values are given for each run, by its name."""
    import brian2 as b2
    import numpy as np

    return b2.TimedArray(np.zeros((rows, columns)), dt=1 * b2.second, name=name)


def synapses(shape: BlockShape, source: Any, layer: Any, table: Any, pre: int, event: str) -> Any:
    """What brings a layer the spikes of its inputs, or its own of the step before."""
    import brian2 as b2

    end, post = f"(t/second + {shape.dt!r})", shape.post
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
        u_post += w*exp(-(xx - xf)*rs)*{kernel("xf", "rs", "_post")}
        je_post += cur*ke_post*int(w > 0)
        ji_post += cur*ki_post*int(w <= 0)
        """,
        on_event={"pre": event},
        delay=0 * b2.second,
        namespace={table.name: table},
        clock=layer.clock,
        name="synapses_" + table.name,
    )
    connection.connect(j=f"q for q in range((i//{pre})*{post}, (i//{pre} + 1)*{post})")
    connection.pre.when = "synapses"
    return connection


def axons(shape: BlockShape, layer: Any, clock: Any) -> tuple[Any, Any, Any]:
    """Delay neurons within a loop: of one spike each, which they pass on when its delay is over.

    Returns:
        They, what triggers them, and the table of how much later than by their delay they fire.
    """
    import brian2 as b2
    import numpy as np

    n, post = len(shape.senders), shape.post
    end = f"(t/second + {shape.dt!r})"
    late = table_of("carried", shape.ranks + 1, shape.batch * n)
    group = b2.NeuronGroup(
        shape.batch * n,
        "delay : 1 (constant)\ndue : 1\nwaiting : 1\ntsp : 1",
        events={"leave": f"waiting > 0 and due < {end}"},
        clock=clock,
        name="axons",
    )
    group.set_event_schedule("leave", when="leaves")
    group.run_on_event("leave", "tsp = due\nwaiting = 0", when="leaving")
    group.tsp = NEVER
    group.due = -1.0
    trigger = b2.Synapses(
        layer,
        group,
        # Busy until what it carries has arrived.
        on_pre=f"""
        take = int(tsp_pre < {NEVER!r})*int(tsp_pre >= due_post)
        fired = tsp_pre*take + delay_post + carried(rank_pre*second, j)
        due_post = fired*take + due_post*(1 - take)
        waiting_post = clip(waiting_post + take, 0, 1)
        """,
        on_event={"pre": "leave"},
        delay=0 * b2.second,
        namespace={"carried": late},
        clock=clock,
        name="triggers",
    )
    samples, senders = np.repeat(np.arange(shape.batch), n), np.tile(shape.senders, shape.batch)
    trigger.connect(i=samples * post + senders, j=np.arange(shape.batch * n))
    trigger.pre.when = "synapses"
    return group, trigger, late
