"""What genbench promises its users, asked of this package."""

from bench.testing import DatasetPromises, GeneratorPromises, MetricPromises


class TestMean(GeneratorPromises):
    family = "acme/mean"


class TestBrightness(MetricPromises):
    metric = "acme/brightness"


class TestStripes(DatasetPromises):
    dataset = "acme/stripes"
