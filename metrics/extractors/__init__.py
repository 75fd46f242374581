"""Networks that turn examples into features. One a file; each knows its weights' hash and its preprocessing."""

from metrics.extractors import clip, dinov2, inception, inception_clean, lenet, minilm, mobilenet, vgg16

__all__ = ["clip", "dinov2", "inception", "inception_clean", "lenet", "minilm", "mobilenet", "vgg16"]
