"""Measures of pictures themselves, and of pictures beside their prompts."""

from bench import discover

discover(__name__)
