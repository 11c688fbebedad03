"""How the figures of an analysis look: colours, labels, and which states they show."""

from __future__ import annotations

import colorsys
from collections.abc import Mapping, Sequence
from typing import Any

from hxloop.page import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY, VERMILION, YELLOW

Analysis = Mapping[str, Any]

TRAINED, UNTRAINED, GREY = BLUE, VERMILION, "#8a8a8a"
UNIT = "τ_syn"
# As the published code draws its rasters.
MS_PER_TAU = 10.0
# Classes have no order: unlike colours (Okabe and Ito's, then some of Tol's), of which none comes
# twice; and unlike symbols, for those who see colours alike.
CLASS_COLOURS = (
    BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILION, BLACK, GREY,
    "#882255", "#999933", "#332288", "#44AA99",
)  # fmt: skip
CLASS_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x")
_GOLDEN = 0.6180339887498949
OTHERS = (GREEN, PURPLE, SKY, ORANGE, BLACK, YELLOW)
# The sequential map "cividis", for layers and epochs.
DEPTH_COLOURS = ("#00204D", "#31446B", "#666970", "#958F78", "#CBBA69", "#FFE945")


def class_colour(index: int) -> str:
    """The colour of a class, that of no other one; beyond the palette, hues far from each other."""
    if index < len(CLASS_COLOURS):
        return CLASS_COLOURS[index]
    beyond = index - len(CLASS_COLOURS)
    lightness, saturation = 0.3 + 0.12 * (beyond % 3), 0.9 - 0.2 * (beyond // 3 % 3)
    rgb = colorsys.hls_to_rgb(beyond * _GOLDEN % 1, lightness, saturation)
    return "#" + "".join(f"{round(255 * part):02X}" for part in rgb)


def class_symbol(index: int) -> str:
    """The symbol of a class."""
    return CLASS_SYMBOLS[index % len(CLASS_SYMBOLS)]


def class_label(names: Sequence[str], label: int) -> str:
    """What a class is called: its name where there is one, else its number."""
    return names[label] if 0 <= label < len(names) else f"class {label}"


def shown_states(analysis: Analysis) -> list[str]:
    """States that are drawn beside each other, the untrained one first.

    All of them, unless they are many or are epochs of a training: then those before and after it.
    """
    names = list(analysis["synchrony"])
    roles = analysis["roles"]
    chosen = [name for name in (roles["untrained"], roles["trained"]) if name is not None]
    if len(names) > 6 or is_training(analysis):
        return chosen
    return chosen + [name for name in names if name not in chosen]


def is_training(analysis: Analysis) -> bool:
    """Whether three or more states are epochs of one training."""
    epochs = [epoch for epoch in analysis["overview"]["epochs"] if epoch is not None]
    return len(set(epochs)) >= 3


def state_colours(analysis: Analysis) -> dict[str, str]:
    """A colour for every state."""
    roles = analysis["roles"]
    colours = {roles["trained"]: TRAINED, roles["untrained"]: UNTRAINED}
    others = [name for name in analysis["synchrony"] if name not in colours]
    colours.update({name: OTHERS[i % len(OTHERS)] for i, name in enumerate(others)})
    return {name: colours[name] for name in analysis["synchrony"]}


def depth_colour(layer: int, n_layers: int) -> str:
    """Colour of a layer, from dark (input) to bright (output), not too bright for white paper."""
    place = layer / max(1, n_layers - 1) * (len(DEPTH_COLOURS) - 1.6)
    below = int(place)
    part = place - below
    ends = [DEPTH_COLOURS[below], DEPTH_COLOURS[min(below + 1, len(DEPTH_COLOURS) - 1)]]
    mixed = [
        round((1 - part) * int(ends[0][i : i + 2], 16) + part * int(ends[1][i : i + 2], 16))
        for i in (1, 3, 5)
    ]
    return "#" + "".join(f"{value:02X}" for value in mixed)
