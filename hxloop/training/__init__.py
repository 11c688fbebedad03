"""Training in the loop: the network on a substrate, losses, the trainer and what it keeps."""

from typing import TYPE_CHECKING

from hxloop import late

if TYPE_CHECKING:
    from hxloop.training.trainer import VALIDATION_TRIAL, Trainer
else:
    __getattr__, __dir__ = late.names(__name__)

__all__ = ["VALIDATION_TRIAL", "Trainer"]
