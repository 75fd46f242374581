"""Reference implementations: one family a file, readable from top to bottom. Imported here, they are registered."""

from generators import controls, dcgan, gpt, lstm, vae

__all__ = ["controls", "dcgan", "gpt", "lstm", "vae"]
