"""Extractors against the libraries and recipes they stand for, on random weights of the right shapes.

Published weights are no part of the tests (but for LeNet's, which are shipped, and MobileNet's, marked `shared`).
"""

from __future__ import annotations

import pickle
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torchvision
from cleanfid.inception_torchscript import InceptionV3W
from cleanfid.resize import build_resizer
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor, nn
from torch_fidelity.feature_extractor_clip import CLIPVisual, FeatureExtractorCLIP
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3
from torch_fidelity.feature_extractor_vgg16 import FeatureExtractorVGG16
from torchvision import transforms
from torchvision.models import MobileNet_V2_Weights

from bench import DataError, DataSpec, Features, GenbenchError, Omitted
from bench.datasets.mnist import mnist5k
from bench.files import sha256
from bench.modalities._pictures import see_each_size
from bench.registry import registry
from bench.streams import normal
from metrics.extractors import clip, dinov2, inception, mobilenet, vgg16
from metrics.extractors._image import CHUNK, ImageExtractor, exact_arithmetic
from metrics.extractors._resize import centre_square, resize
from metrics.extractors._weights import Weights, tensors
from metrics.extractors.clip import CLIPExtractor
from metrics.extractors.dinov2 import Block, DINOv2Extractor, VisionTransformer
from metrics.extractors.inception import InceptionExtractor
from metrics.extractors.inception_clean import CleanInceptionExtractor, clean_resize
from metrics.extractors.lenet import SHA256, WEIGHTS, LeNetExtractor
from metrics.extractors.mobilenet import MobileNetExtractor
from metrics.extractors.vgg16 import VGG16Extractor

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Named:
    """What is known of one extractor: the class, its published weights, a file of random ones to stand for them."""

    make: Callable[[Path, Weights], ImageExtractor]
    weights: Weights
    width: int
    classes: int | None
    random: Callable[[Path], None]


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pictures(n: int = 3, height: int = 32, width: int = 32, channels: int = 3, seed: int = 0) -> Tensor:
    return torch.randint(256, (n, channels, height, width), dtype=torch.uint8, generator=rng(seed))


def pil(x: Tensor) -> list[Image.Image]:
    return [Image.fromarray(picture.permute(1, 2, 0).numpy()) for picture in x]


def random_inception(path: Path) -> None:
    class Blank(FeatureExtractorInceptionV3):  # type: ignore[misc]
        def load_state_dict(self, state_dict: Any, **_: Any) -> None:
            """Keep the random weights."""

    torch.save({}, path)
    torch.manual_seed(0)
    net = Blank("blank", ["2048"], feature_extractor_weights_path=str(path))
    for layer in net.modules():
        if isinstance(layer, nn.Conv2d):  # so that what differs in the picture differs in the features
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save(nn.Module.state_dict(net), path)


def random_vgg16(path: Path) -> None:
    """138 million weights, cut from overlapping places of one small table: quick to draw and a small file."""
    with torch.device("meta"):
        shapes = {name: tuple(t.shape) for name, t in torchvision.models.vgg16().state_dict().items()}
    table = normal(rng(), 1, 40_000)[0]
    strides = {1: (1,), 2: (1, 1), 4: (7, 5, 3, 1)}
    scaled = {
        name: (table / (np.prod(shape[1:]) or 1) ** 0.5).as_strided(shape, strides[len(shape)])
        for name, shape in shapes.items()
    }
    torch.save(scaled, path)


def random_mobilenet(path: Path) -> None:
    """Its batch normalisations have seen noise: without, random layers lose the picture on the way."""
    torch.manual_seed(0)
    net = torchvision.models.mobilenet_v2(norm_layer=partial(nn.BatchNorm2d, momentum=1.0)).train()
    with torch.no_grad():
        net(normal(rng(), 8, 3, 64, 64))
    torch.save(net.state_dict(), path)


def random_dinov2(path: Path, width: int = 128, depth: int = 2, positions: int = 1 + 37 * 37) -> None:
    net = VisionTransformer(width, depth, 14, positions)
    state = {name: 0.1 * normal(rng(i), *t.shape) for i, (name, t) in enumerate(net.state_dict().items())}
    torch.save(state, path)


def random_clip(path: Path, side: int = 42, patch: int = 14, width: int = 128, depth: int = 2, out: int = 32) -> None:
    """TorchScript with OpenAI's names: both towers, the text side a stump."""
    torch.manual_seed(0)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visual = CLIPVisual(out, side, depth, width, patch).visual
            self.text_projection = nn.Parameter(torch.zeros(8, out))
            self.logit_scale = nn.Parameter(torch.zeros(()))

        def forward(self, x: Tensor) -> Tensor:
            return x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and what OpenAI published
        torch.jit.save(torch.jit.trace(Both(), torch.zeros(1)), path)


NAMED = {
    "inception": Named(InceptionExtractor, inception.WEIGHTS, 2048, 1008, random_inception),
    "inception-clean": Named(CleanInceptionExtractor, inception.WEIGHTS, 2048, 1008, random_inception),
    "dinov2": Named(DINOv2Extractor, dinov2.WEIGHTS, 128, None, random_dinov2),
    "clip": Named(CLIPExtractor, clip.WEIGHTS, 32, None, random_clip),
    "vgg16": Named(VGG16Extractor, vgg16.WEIGHTS, 4096, None, random_vgg16),
    "mobilenet": Named(MobileNetExtractor, mobilenet.WEIGHTS, 1280, 1000, random_mobilenet),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The path of a file of random weights for an extractor of this name."""
    folder = tmp_path_factory.mktemp("weights")

    def file(name: str) -> Path:
        named = NAMED[name]
        path = folder / named.weights.file
        if not path.exists():
            named.random(path)
        return path

    return file


@pytest.fixture(scope="module")
def load(files: Callable[[str], Path]) -> Callable[[str], ImageExtractor]:
    """An extractor of this name over random weights, that takes them for the right ones."""
    made: dict[str, ImageExtractor] = {}

    def one(name: str) -> ImageExtractor:
        if name not in made:
            named, path = NAMED[name], files(name)
            made[name] = named.make(path, replace(named.weights, sha256=sha256(path)))
        return made[name]

    return one


Load = Callable[[str], ImageExtractor]
Files = Callable[[str], Path]


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without weights, where nobody said that they may be fetched. The folder they would be in."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    for variable in ("GENBENCH_DOWNLOAD", *(f"GENBENCH_WEIGHTS_{n.weights.name.upper()}" for n in NAMED.values())):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("metrics.extractors._weights._failed", {})
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.mark.parametrize("name", NAMED)
class TestEvery:
    def test_it_gives_one_row_of_floats_a_picture(self, name: str, load: Load) -> None:
        found = load(name)(pictures(2))
        assert (found.features.shape, found.features.dtype) == ((2, NAMED[name].width), torch.float32)
        assert not torch.equal(found.features[0], found.features[1])
        classes = None if found.logits is None else found.logits.shape[1]
        assert classes == NAMED[name].classes

    def test_a_row_depends_on_its_picture_alone(self, name: str, load: Load) -> None:
        """Neither on its neighbours nor on its place; other batch shapes may round differently, by 1e-5 at most."""
        x, extract = pictures(3), load(name)
        whole = extract(x).features
        scale = whole.abs().max()
        apart = torch.cat([extract(x[2:]).features, extract(x[:2].flip(0)).features]).flip(0)
        torch.testing.assert_close(apart / scale, whole / scale, rtol=0, atol=1e-5)

    def test_each_of_several_sizes_is_resized_by_its_rule(self, name: str, load: Load) -> None:
        mixed, extract = [pictures(1, 32, 48)[0], pictures(1, 40, 32)[0]], load(name)
        found, alone = (
            see_each_size(extract, mixed, CPU).features,
            torch.cat([extract(x[None]).features for x in mixed]),
        )
        torch.testing.assert_close(found / alone.abs().max(), alone / alone.abs().max(), rtol=0, atol=1e-5)
        assert "resize" in extract.protocol

    def test_grey_is_the_same_three_times(self, name: str, load: Load) -> None:
        grey = pictures(2, channels=1)
        found = load(name)(grey).features
        assert torch.equal(found, load(name)(grey.repeat(1, 3, 1, 1)).features)

    def test_other_channels_are_a_reason(self, name: str, load: Load) -> None:
        with pytest.raises(Omitted, match="4 channels"):
            load(name)(pictures(2, channels=4))
        fits = registry.get("extractors", name).fits
        shapes = [(1, 8, 8), (3, 8, 8), (4, 8, 8), (2, 8, 8)]
        assert [fits(DataSpec("image", shape, "continuous")) for shape in shapes] == [True, True, False, False]

    def test_the_protocol_names_weights_and_preprocessing(self, name: str, load: Load, files: Files) -> None:
        protocol = load(name).protocol
        assert protocol["weights"] == f"sha256:{sha256(files(name))}"
        assert protocol["resize"].split("-")[0] in ("tf1", "pil", "centre")
        assert all(isinstance(value, str) for value in protocol.values())

    def test_nothing_is_trained_or_random(self, name: str, load: Load) -> None:
        extract = load(name)
        assert not any(p.requires_grad for p in extract.parameters())
        assert not any(m.training for m in extract.modules() if isinstance(m, nn.BatchNorm2d | nn.Dropout))
        assert {p.dtype for p in extract.parameters()} == {torch.float32}
        x = pictures(1)
        assert torch.equal(extract(x).features, extract(x).features)

    def test_absent_weights_are_a_reason_that_says_where_to_get_them(self, name: str, nowhere: Path) -> None:
        entry, weights = registry.get("extractors", name), NAMED[name].weights
        message = f"(?s)not at .*{weights.file}; download https://.* or set GENBENCH_DOWNLOAD={weights.name}$"
        with pytest.raises(DataError, match=message):
            entry.locate()
        with pytest.raises(Omitted, match=message):
            entry.make()

    def test_another_file_is_refused_before_it_can_run_anything(
        self, name: str, nowhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Bomb:
            def __reduce__(self) -> tuple[Any, ...]:
                return Path.touch, (tmp_path / "exploded",)

        path = tmp_path / "weights.pth"
        path.write_bytes(pickle.dumps(Bomb()))
        monkeypatch.setenv(f"GENBENCH_WEIGHTS_{NAMED[name].weights.name.upper()}", str(path))
        with pytest.raises(Omitted, match="not the weights that"):
            registry.get("extractors", name).make()
        assert not (tmp_path / "exploded").exists()

    def test_the_hash_is_whole_and_the_file_name_agrees(self, name: str) -> None:
        weights = NAMED[name].weights
        assert len(weights.sha256) == 64
        carried = weights.file.rpartition(".")[0].rpartition("-")[2]
        assert name == "dinov2" or weights.sha256.startswith(carried)
        assert carried in weights.url or name == "dinov2"


class TestWeights:
    def weights(self, tmp_path: Path) -> Weights:
        """Some weights, published under a file's address."""
        published = tmp_path / "published.pth"
        torch.save({"a": torch.ones(2)}, published)
        return Weights("some-net", "net.pth", published.as_uri(), sha256(published))

    def test_they_are_found_where_torch_hub_keeps_them(self, tmp_path: Path, nowhere: Path) -> None:
        weights = self.weights(tmp_path)
        nowhere.mkdir(parents=True)
        (tmp_path / "published.pth").rename(nowhere / "net.pth")
        assert weights.locate() == str(nowhere / "net.pth")
        assert weights.verify(weights.found()) == f"sha256:{weights.sha256}"

    def test_a_variable_goes_first(self, tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        weights = self.weights(tmp_path)
        monkeypatch.setenv("GENBENCH_WEIGHTS_SOME_NET", str(tmp_path / "published.pth"))
        assert weights.locate() == str(tmp_path / "published.pth")
        monkeypatch.setenv("GENBENCH_WEIGHTS_SOME_NET", str(tmp_path / "nothing"))
        monkeypatch.setenv("GENBENCH_DOWNLOAD", "1")
        with pytest.raises(DataError, match=r"GENBENCH_WEIGHTS_SOME_NET is .*nothing, where no file is"):
            weights.locate()
        monkeypatch.setenv("GENBENCH_WEIGHTS_SOME_NET", "a" * 5000)
        with pytest.raises(DataError, match=r"GENBENCH_WEIGHTS_SOME_NET is a*\.\.\.a*, where no file is"):
            weights.locate()

    @pytest.mark.parametrize("said", ["", "0", "other", "some"])
    def test_nothing_is_fetched_unasked(
        self, said: str, tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GENBENCH_DOWNLOAD", said)
        with pytest.raises(DataError, match="or set GENBENCH_DOWNLOAD=some-net"):
            self.weights(tmp_path).locate()
        assert not nowhere.exists()

    @pytest.mark.parametrize("said", ["1", "some-net", "other,some-net"])
    def test_they_are_fetched_when_asked(
        self, said: str, tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GENBENCH_DOWNLOAD", said)
        weights = self.weights(tmp_path)
        assert torch.equal(tensors(weights.found())["a"], torch.ones(2))
        assert [file.name for file in nowhere.iterdir()] == ["net.pth"]

    def test_another_file_at_that_address_is_not_kept(
        self, tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GENBENCH_DOWNLOAD", "1")
        with pytest.raises(DataError, match=r"could not be downloaded .*invalid hash"):
            replace(self.weights(tmp_path), sha256="0" * 64).locate()
        assert not list(nowhere.iterdir())

    def test_a_download_that_failed_is_not_tried_again_and_again(
        self, tmp_path: Path, nowhere: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("GENBENCH_DOWNLOAD", "1")
        weights = replace(self.weights(tmp_path), url=(tmp_path / "later.pth").as_uri())
        for _ in range(2):
            with pytest.raises(DataError, match="could not be downloaded"):
                weights.locate()
            shutil.copy(tmp_path / "published.pth", tmp_path / "later.pth")  # too late

    def test_a_state_dict_that_wants_to_run_something_is_refused(self, tmp_path: Path) -> None:
        torch.save({"a": torch.nn.Linear(1, 1)}, tmp_path / "x.pth")
        with pytest.raises(pickle.UnpicklingError):
            tensors(tmp_path / "x.pth")


class Probe(ImageExtractor):
    """Notes how it is called; the feature is the first pixel."""

    def __init__(self) -> None:
        super().__init__({})
        self.sizes: list[int] = []
        self.exact: list[bool] = []

    def see(self, x: Tensor) -> Features:
        self.sizes.append(len(x))
        coarse = torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
        self.exact.append(not coarse and not torch.is_autocast_enabled("cpu") and not torch.is_grad_enabled())
        return Features(x[:, 0, 0, :1].float(), x[:, 0, 0].float())


class TestImageExtractor:
    def test_many_pictures_come_back_in_order(self) -> None:
        x, probe = pictures(2 * CHUNK + 1, 2, 2), Probe()
        found = probe(x)
        assert torch.equal(found.features, x[:, 0, 0, :1].float())
        assert found.logits is not None and torch.equal(found.logits, x[:, 0, 0].float())
        assert probe.sizes == [CHUNK, CHUNK, 1]

    def test_of_large_pictures_fewer_are_seen_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("metrics.extractors._image.MOST_PIXELS", 100)
        probe = Probe()
        probe(pictures(5, 7, 7))
        probe(pictures(2, 20, 20))
        assert probe.sizes == [2, 2, 1, 1, 1]

    def test_arithmetic_is_exact_inside_and_untouched_outside(self) -> None:
        probe, before = Probe(), torch.backends.cudnn.allow_tf32
        torch.set_float32_matmul_precision("high")
        try:
            with torch.autocast("cpu"):
                probe(pictures(1))
                assert torch.is_autocast_enabled("cpu")
            assert torch.get_float32_matmul_precision() == "high"
        finally:
            torch.set_float32_matmul_precision("highest")
        assert torch.backends.cudnn.allow_tf32 == before
        assert probe.exact == [True]

    def test_arithmetic_is_put_back_after_an_error(self) -> None:
        torch.set_float32_matmul_precision("high")
        try:
            with pytest.raises(ZeroDivisionError), exact_arithmetic(CPU):
                _ = 1 / 0
            assert torch.get_float32_matmul_precision() == "high"
        finally:
            torch.set_float32_matmul_precision("highest")


class TestResize:
    @pytest.mark.parametrize("side", [1, 8, 32, 299, 500])
    @pytest.mark.parametrize("kernel", ["bicubic", "bilinear"])
    def test_bytes_are_pillows(self, side: int, kernel: Any) -> None:
        x = pictures(2, side, side)
        for size in (224, 299):
            theirs = [p.resize((size, size), Image.Resampling[kernel.upper()]) for p in pil(x)]
            expected = torch.stack([torch.from_numpy(np.array(p)) for p in theirs]).permute(0, 3, 1, 2)
            assert torch.equal(resize(x, (size, size), kernel), expected)

    def test_rows_come_first_whatever_the_version_of_pillow(self) -> None:
        """A tall picture, which Pillow 13 would begin with its columns."""
        (x,) = pictures(1, 60, 20, channels=1)
        once = Image.fromarray(x[0].numpy()).resize((24, 60), Image.Resampling.BICUBIC)
        twice = np.array(once.resize((24, 24), Image.Resampling.BICUBIC))
        assert torch.equal(resize(x, (24, 24), "bicubic")[0], torch.from_numpy(twice))

    @pytest.mark.parametrize("shape", [(32, 32), (8, 8), (299, 299), (300, 400), (512, 300)])
    def test_the_clean_resizer_is_clean_fids(self, shape: tuple[int, int]) -> None:
        """To the last bit for squares; within float rounding where Pillow 13 begins with the columns."""
        x = pictures(2, *shape)
        theirs = [build_resizer("clean")(p.permute(1, 2, 0).numpy()) for p in x]
        expected = torch.from_numpy(np.stack(theirs)).permute(0, 3, 1, 2)
        atol = 0 if shape[0] == shape[1] else 1e-4
        torch.testing.assert_close(clean_resize(x), expected, rtol=0, atol=atol)

    def test_threads_change_nothing(self) -> None:
        x, threads = pictures(5, 20, 20), torch.get_num_threads()
        one = resize(x, (30, 30), "bicubic")
        try:
            torch.set_num_threads(3)
            assert torch.equal(resize(x, (30, 30), "bicubic"), one)
        finally:
            torch.set_num_threads(threads)

    def test_other_types_are_refused(self) -> None:
        with pytest.raises(GenbenchError, match=r"must be uint8 or float32, got torch\.float64"):
            resize(torch.zeros(1, 4, 4).double(), (2, 2), "bicubic")

    @pytest.mark.parametrize("shape", [(5, 8), (8, 5), (4, 9), (7, 7)])
    def test_the_square_in_the_middle(self, shape: tuple[int, int]) -> None:
        """As CMMD cuts it: whole pixels, the smaller margin above and to the left."""
        x, (height, width) = pictures(1, *shape), shape
        side = min(shape)
        left, top = (width - side) // 2, (height - side) // 2
        expected = np.array(pil(x)[0].crop((left, top, left + side, top + side)))
        assert torch.equal(centre_square(x)[0].permute(1, 2, 0), torch.from_numpy(expected))


class TestInception:
    def test_features_are_torch_fidelitys(self, load: Load, files: Files) -> None:
        x = pictures(2)
        theirs = FeatureExtractorInceptionV3(
            "t", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(files("inception"))
        )(x)
        ours = load("inception")(x)
        assert torch.equal(ours.features, theirs[0])
        assert ours.logits is not None and torch.equal(ours.logits, theirs[1])


class TestCleanInception:
    def test_of_pictures_of_its_own_size_it_is_the_same_network(self, load: Load) -> None:
        """Neither resizer touches 299 x 299."""
        x = pictures(1, 299, 299)
        clean, legacy = load("inception-clean")(x), load("inception")(x)
        assert torch.equal(clean.features, legacy.features)
        assert clean.logits is not None and legacy.logits is not None
        torch.testing.assert_close(clean.logits, legacy.logits)

    def test_preprocessing_is_clean_fids(self, load: Load) -> None:
        """Its resizer, then its own wrapper around the same layers."""

        class Wrapper(InceptionV3W):  # type: ignore[misc]
            def __init__(self, layers: nn.Module) -> None:
                nn.Module.__init__(self)
                self.layers, self.resize_inside = layers, False

        x, ours = pictures(2), load("inception-clean")
        assert isinstance(ours, CleanInceptionExtractor)
        resized = [build_resizer("clean")(p.permute(1, 2, 0).numpy()).transpose(2, 0, 1) for p in x]
        theirs = Wrapper(ours.body)(torch.from_numpy(np.ascontiguousarray(np.stack(resized))))
        assert torch.equal(ours(x).features, theirs)

    def test_antialiasing_makes_another_number(self, load: Load) -> None:
        x = pictures(1, 400, 400)
        assert not torch.allclose(load("inception-clean")(x).features, load("inception")(x).features, rtol=1e-2)


def stein(x: Tensor) -> Tensor:
    """What Stein et al. feed DINOv2, by torchvision on Pillow pictures."""
    recipe = transforms.Compose(
        [
            transforms.Resize((224, 224), transforms.InterpolationMode.BICUBIC),
            transforms.ToTensor(),
            transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]),
        ]
    )
    return torch.stack([recipe(p) for p in pil(x)]).contiguous()


class TestDINOv2:
    @pytest.mark.parametrize("shape", [(32, 32), (40, 64), (256, 256)])
    def test_preprocessing_is_that_of_stein_et_al(self, load: Load, shape: tuple[int, int]) -> None:
        """Whatever the proportions; of wide pictures too, where every version of Pillow begins with the rows."""
        x, ours = pictures(2, *shape), load("dinov2")
        assert isinstance(ours, DINOv2Extractor)
        assert torch.equal(ours(x).features, ours.net(stein(x)))

    def test_a_block_is_torchs_encoder_layer(self) -> None:
        """With the scales folded into the last layer of each branch."""
        ours, n, width = Block(128), 9, 128
        for i, p in enumerate(ours.parameters()):
            p.data = 0.2 * normal(rng(i), *p.shape)
        theirs = nn.TransformerEncoderLayer(width, 2, 4 * width, 0.0, "gelu", 1e-6, True, norm_first=True).eval()
        own = dict(ours.named_parameters())
        attend, feed = own["ls1.gamma"], own["ls2.gamma"]
        folded = {
            "self_attn.in_proj_weight": own["attn.qkv.weight"],
            "self_attn.in_proj_bias": own["attn.qkv.bias"],
            "self_attn.out_proj.weight": attend[:, None] * own["attn.proj.weight"],
            "self_attn.out_proj.bias": attend * own["attn.proj.bias"],
            "linear1.weight": own["mlp.fc1.weight"],
            "linear1.bias": own["mlp.fc1.bias"],
            "linear2.weight": feed[:, None] * own["mlp.fc2.weight"],
            "linear2.bias": feed * own["mlp.fc2.bias"],
        } | {f"norm{i}.{part}": own[f"norm{i}.{part}"] for i in (1, 2) for part in ("weight", "bias")}
        theirs.load_state_dict(folded)
        x = normal(rng(99), 2, n, width)
        with torch.no_grad():
            torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-4)

    def test_the_published_file_fits(self) -> None:
        """ViT-L/14: 343 tensors of 304,368,640 numbers, four bytes each: the file less its table of contents."""
        with torch.device("meta"):
            state = VisionTransformer(1024, 24, 14, 1 + 37 * 37).state_dict()
        assert (len(state), sum(t.numel() for t in state.values())) == (343, 304_368_640)
        assert {"cls_token", "pos_embed", "mask_token", "patch_embed.proj.weight", "norm.weight"} < set(state)
        assert {"blocks.0.ls1.gamma", "blocks.0.mlp.fc2.weight", "blocks.23.attn.qkv.bias"} < set(state)

    def test_positions_are_resized_as_published(self) -> None:
        """From 37 x 37 to 16 x 16; the numbers are those of the published code on this table."""
        net = VisionTransformer(64, 1, 14, 1 + 37 * 37)
        i, j = torch.arange(1 + 37 * 37, dtype=torch.float64)[:, None], torch.arange(64, dtype=torch.float64)
        net.pos_embed.data = torch.sin(i * i * 0.001 * (1 + j * 0.1)).float()[None]
        found = net._positions(16, 16)[0].detach()
        assert found.shape == (257, 64)
        assert found[0].tolist() == net.pos_embed[0, 0].tolist()
        assert found[100, :3].tolist() == pytest.approx([0.2138018, -0.4952793, -0.4746301], abs=1e-5)
        assert found[256, :3].tolist() == pytest.approx([-0.2643012, 0.6253206, 0.8760822], abs=1e-5)

    def test_positions_of_the_learned_grid_are_taken_as_they_are(self) -> None:
        net = VisionTransformer(64, 1, 14, 1 + 16 * 16)
        net.pos_embed.data = normal(rng(), *net.pos_embed.shape)
        assert torch.equal(net._positions(16, 16), net.pos_embed)

    def test_the_network_is_its_blocks_on_patches_and_a_class_token(self, tmp_path: Path) -> None:
        random_dinov2(tmp_path / "x.pth", positions=1 + 4)
        net = VisionTransformer.of(tensors(tmp_path / "x.pth"))
        x = normal(rng(), 2, 3, 28, 28)
        patches = x.unfold(2, 14, 14).unfold(3, 14, 14).permute(0, 2, 3, 1, 4, 5).reshape(2, 4, 3 * 14 * 14)
        weight, bias = (net.get_parameter(f"patch_embed.proj.{part}") for part in ("weight", "bias"))
        embedded = patches @ weight.flatten(1).T + bias
        tokens = torch.cat([net.cls_token.expand(2, -1, -1), embedded], 1) + net.pos_embed
        for block in net.blocks:
            tokens = block(tokens)
        expected = F.layer_norm(tokens[:, 0], (128,), net.norm.weight, net.norm.bias, 1e-6)
        torch.testing.assert_close(net(x), expected, rtol=1e-4, atol=1e-4)


class TestCLIP:
    @pytest.mark.parametrize("shape", [(32, 32), (30, 47), (47, 30), (100, 100)])
    def test_it_is_torch_fidelitys_network_behind_cmmds_preprocessing(
        self, load: Load, files: Files, shape: tuple[int, int]
    ) -> None:
        x = pictures(2, *shape)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated
            theirs = FeatureExtractorCLIP(clip.MODEL, ["clip"], feature_extractor_weights_path=str(files("clip")))
        side = min(shape)
        left, top = (shape[1] - side) // 2, (shape[0] - side) // 2
        square = [p.crop((left, top, left + side, top + side)) for p in pil(x)]
        resized = [np.asarray(p.resize((42, 42), Image.Resampling.BICUBIC)) for p in square]
        unit = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float().contiguous() / 255
        scaled = transforms.functional.normalize(
            unit, [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]
        )
        assert torch.equal(load("clip")(x).features, theirs.model.visual(scaled))

    def test_embeddings_keep_their_length(self, load: Load) -> None:
        lengths = load("clip")(pictures(3)).features.norm(dim=1)
        assert (lengths - 1).abs().min() > 1e-3


class TestVGG16:
    def test_features_are_torch_fidelitys(self, load: Load, files: Files) -> None:
        x = pictures(2)
        theirs = FeatureExtractorVGG16("t", ["fc2_relu"], feature_extractor_weights_path=str(files("vgg16")))
        assert torch.equal(load("vgg16")(x).features, theirs(x)[0])


class TestMobileNet:
    @pytest.mark.parametrize("shape", [(32, 32), (48, 80), (300, 300)])
    def test_it_is_torchvisions_behind_the_official_preprocessing(
        self, load: Load, files: Files, shape: tuple[int, int]
    ) -> None:
        x = pictures(2, *shape)
        net = torchvision.models.mobilenet_v2()
        net.load_state_dict(tensors(files("mobilenet")))
        official = MobileNet_V2_Weights.IMAGENET1K_V1.transforms()
        prepared = torch.stack([official(p) for p in pil(x)])
        with torch.no_grad():
            logits = net.eval()(prepared)
            pooled = net.features(prepared).mean((2, 3))
        found = load("mobilenet")(x)
        assert found.logits is not None
        torch.testing.assert_close(found.logits, logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(found.features, pooled, rtol=1e-4, atol=1e-4)


class TestLeNet:
    def test_the_shipped_weights_are_the_ones_meant(self) -> None:
        assert sha256(WEIGHTS) == SHA256
        assert sum(t.numel() for t in load_file(WEIGHTS).values()) == 61_706

    def test_it_knows_digits_it_has_not_seen(self) -> None:
        split = mnist5k().test
        found = LeNetExtractor()(split.pixels).logits
        assert found is not None
        assert (found.argmax(1) == split.labels).float().mean() > 0.985

    def test_colour_is_refused(self) -> None:
        with pytest.raises(Omitted, match="3 channels"):
            LeNetExtractor()(torch.zeros(2, 3, 28, 28, dtype=torch.uint8))
        fits = registry.get("extractors", "lenet").fits
        assert [fits(DataSpec("image", (c, 28, 28), "continuous")) for c in (1, 3)] == [True, False]

    def test_features_do_not_depend_on_the_batch(self) -> None:
        x = mnist5k().test.pixels[:50]
        extract = LeNetExtractor()
        parts = torch.cat([extract(chunk).features for chunk in (x[:1], x[1:20], x[20:])])
        torch.testing.assert_close(extract(x).features, parts, atol=1e-4, rtol=1e-4)


@pytest.mark.shared
class TestShared:
    """The published MobileNetV2, under GENBENCH_DATA/torch-home."""

    def test_its_features_tell_photographs_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """CIFAR-10 by the nearest of 500 neighbours: right half as often again as by pixels."""
        from bench.datasets._content import data_root
        from bench.datasets.cifar10 import cifar10

        monkeypatch.setenv("TORCH_HOME", str(data_root("") / "torch-home"))
        extract = registry.get("extractors", "mobilenet").make()
        index = torch.arange(600)
        split = cifar10().test.batch(index)
        labels = split.condition
        assert labels is not None
        x = ((split.data + 1) * 127.5).round().to(torch.uint8)

        def right(points: Tensor) -> float:
            nearest = torch.cdist(points[500:], points[:500]).argmin(1)
            return (labels[nearest] == labels[500:]).float().mean().item()

        by_features, by_pixels = right(extract(x).features), right(x.flatten(1).float())
        assert by_features > 1.5 * by_pixels > 0.3, (by_features, by_pixels)
