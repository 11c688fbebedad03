"""Training in the loop: the network on a substrate, losses, the trainer and what it keeps."""

from hxloop.training.trainer import VALIDATION_TRIAL, Trainer

__all__ = ["VALIDATION_TRIAL", "Trainer"]
