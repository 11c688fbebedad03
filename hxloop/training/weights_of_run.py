"""Initial weights that another training ended with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hxloop import checks
from hxloop.errors import ConfigError
from hxloop.network import NetworkSpec, Parameters
from hxloop.network.weights_file import FILE_NAME, load_weights


@dataclass(frozen=True)
class FromRunInitialisation:
    """The weights, and delays and neurons, that another training ended with.

    To go on in the loop with what was trained in software, or with other data.

    Args:
        run: its folder, or a file ``weights.safetensors``.

    Raises:
        ConfigError: it is not said which.
    """

    run: str = ""

    def __post_init__(self) -> None:
        if not isinstance(self.run, str) or not self.run:
            raise ConfigError(
                "initialisation.run: expected the folder of a run, whose weights 'from-run' begins "
                f"with; got {checks.shown(self.run)}"
            )

    def __call__(self, network: NetworkSpec, input_times: Any, seed: int) -> Parameters:
        """All of that network's parameters.

        Raises:
            FileFormatError: there are none, they are damaged, or of another network.
        """
        path = checks.path("initialisation.run", self.run)
        return load_weights(path / FILE_NAME if path.is_dir() else path, network)
