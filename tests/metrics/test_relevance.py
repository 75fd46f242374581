"""Whether samples are what was asked for: class accuracy and CLIPScore."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor

from bench import Comparison, DataSpec, Estimate, GenbenchError, Omitted, Trial, bounded_interval
from bench.datasets.digits import digits
from bench.datasets.mnist import mnist5k
from bench.modalities._examples import Examples
from bench.modalities._pictures import Pictures
from bench.streams import normal
from generators.controls import Real
from metrics.extractors._digits import DIGITS, are_digits
from metrics.features.class_accuracy import class_accuracy, class_accuracy_of
from metrics.image.clip_score import PairEncoder, clip_score, clip_score_of

CPU = torch.device("cpu")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def rows(n: int, d: int, seed: int = 0) -> Tensor:
    return normal(rng(seed), n, d)


class Given(Comparison):
    """Samples, labels and prompts from anywhere."""

    def __init__(
        self,
        samples: Examples,
        labels: Tensor | None = None,
        prompts: list[str] | None = None,
        spec: DataSpec | None = None,
    ) -> None:
        super().__init__("image", seed=0, device=CPU)
        self._samples, self._labels, self._prompts, self._spec = samples, labels, prompts, spec

    @property
    def spec(self) -> DataSpec | None:
        return self._spec

    def _stored(self, side: Any) -> Examples:
        return self._samples

    @property
    def labels(self) -> Tensor:
        return super().labels if self._labels is None else self._labels

    @property
    def prompts(self) -> list[str]:
        return super().prompts if self._prompts is None else self._prompts


class TestClassAccuracy:
    def test_it_is_the_share_of_right_answers(self) -> None:
        logits = torch.tensor([[3.0, 1, 2], [0, 5, 1], [1, 0, 0], [0, 0, 1]])
        found = class_accuracy(logits, torch.tensor([0, 1, 2, 2]))
        assert (found.value, found.n, found.protocol) == (0.75, 4, {"classes": 3})

    def test_the_interval_is_wilsons(self) -> None:
        """8 of 10, by Wilson's formula written out."""
        logits, labels = torch.eye(2)[torch.tensor([0] * 7 + [1] * 3)], torch.tensor([0] * 9 + [1])
        found = class_accuracy(logits, labels)
        p, n, z = found.value, 10, stats.norm.ppf(0.975)
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        reach = z / (1 + z**2 / n) * (p * (1 - p) / n + z**2 / (4 * n**2)) ** 0.5
        assert found.interval is not None
        assert (found.value, found.interval.method) == (0.8, "Wilson")
        assert (found.interval.lo, found.interval.hi) == pytest.approx((middle - reach, middle + reach))

    def test_the_interval_covers(self) -> None:
        draw, covered = np.random.default_rng(0), 0
        for _ in range(300):
            right = draw.random(60) < 0.7
            labels = np.arange(60) % 2
            found = class_accuracy(np.eye(2)[np.where(right, labels, 1 - labels)], labels).interval
            covered += found is not None and found.lo <= 0.7 <= found.hi
        assert 0.90 <= covered / 300 <= 0.98

    def test_a_model_that_does_not_listen_is_right_by_chance(self) -> None:
        """One picture for everything: one class in ten is right."""
        found = class_accuracy(rows(1, 10).expand(1000, -1), torch.arange(1000) % 10)
        assert found.value == 0.1

    def test_order_does_not_matter(self) -> None:
        logits, labels, turn = rows(50, 4), torch.arange(50) % 4, torch.randperm(50, generator=rng(1))
        assert class_accuracy(logits, labels) == class_accuracy(logits[turn].numpy(), labels[turn].numpy())

    @pytest.mark.parametrize(
        ("logits", "labels", "says"),
        [
            (torch.zeros(4), torch.zeros(4, dtype=torch.int64), r"logits must be \(n, classes\)"),
            (torch.zeros(4, 2), torch.zeros(3, dtype=torch.int64), r"labels \(n,\), got \(4, 2\) and \(3,\)"),
            (torch.zeros(0, 2), torch.zeros(0, dtype=torch.int64), "logits must be"),
            (torch.zeros(4, 2), torch.zeros(4), r"must be integers, got torch\.float32"),
            (torch.full((2, 2), torch.nan), torch.tensor([0, 1]), "NaN or infinity"),
            (torch.zeros(4, 1), torch.zeros(4, dtype=torch.int64), "one class alone is nothing to tell apart"),
            (torch.zeros(4, 3), torch.ones(4, dtype=torch.int64), "one class alone is nothing to tell apart"),
            (torch.zeros(2, 2), torch.tensor([0, 2]), r"labels must lie in \[0, 2\)"),
            (torch.zeros(2, 2), torch.tensor([-1, 1]), r"labels must lie in \[0, 2\)"),
        ],
    )
    def test_what_is_no_answer_is_refused(self, logits: Tensor, labels: Tensor, says: str) -> None:
        with pytest.raises(GenbenchError, match=says):
            class_accuracy(logits, labels)


class TestClassAccuracyOfSamples:
    def test_real_digits_are_what_their_labels_say(self) -> None:
        test = mnist5k().test
        found = class_accuracy_of(Given(test.pixels, test.labels).space("lenet"))
        assert found.value > 0.985
        wrong = class_accuracy_of(Given(test.pixels, (test.labels + 1) % 10).space("lenet"))
        assert wrong.value < 0.015

    def test_without_labels_there_is_a_reason(self) -> None:
        with pytest.raises(Omitted, match="made for given labels"):
            class_accuracy_of(Given(mnist5k().test.pixels[:10]).space("lenet"))

    def test_other_classes_than_the_classifiers_are_a_reason(self) -> None:
        x = mnist5k().test.pixels[:10]
        with pytest.raises(Omitted, match="lenet knows 10 classes, and samples were asked for of 5"):
            class_accuracy_of(Given(x, torch.arange(10) % 5).space("lenet"))

    def test_as_many_classes_that_are_others_are_a_reason(self, caplog: pytest.LogCaptureFixture) -> None:
        """Ten kinds of clothes are no digits; classes that nobody named are taken for them, and that is told."""
        x, labels = mnist5k().test.pixels[:10], torch.arange(10)
        spec = DataSpec("image", (1, 28, 28), "continuous", classes=10)
        clothes = replace(spec, captions=("shirt", "shoe", *(f"{i} sandals" for i in range(8))))
        with pytest.raises(Omitted, match="lenet tells other classes apart than those that this data has"):
            class_accuracy_of(Given(x, labels, spec=clothes).space("lenet"))
        with caplog.at_level("WARNING", logger="genbench"):
            class_accuracy_of(Given(x, labels, spec=spec).space("lenet"))
        assert [record.getMessage() for record in caplog.records] == [
            "on lenet: the classes of the data have no names: its first was taken for the classifier's, and so on"
        ]

    @pytest.mark.parametrize(
        ("names", "are"),
        [
            (digits().spec.captions, True),
            ([f"{i} - {name}" for i, name in enumerate(DIGITS)], True),
            ([f"class_{i}" for i in range(10)], True),
            (list(reversed(DIGITS)), False),
            (DIGITS[:9], False),
            (["airplane", *DIGITS[1:]], False),
            (None, True),
        ],
    )
    def test_digits_are_known_by_their_names(self, names: Sequence[str] | None, are: bool) -> None:
        captions = None if names is None else tuple(names)
        count = 10 if captions is None else len(captions)
        assert are_digits(DataSpec("image", (1, 8, 8), "continuous", classes=count, captions=captions)) is are

    def test_a_network_that_is_no_classifier_is_a_reason(self) -> None:
        plain: Any = SimpleNamespace(
            labels=torch.arange(4) % 2, name="dinov2", of=lambda side: SimpleNamespace(logits=None)
        )
        with pytest.raises(Omitted, match="dinov2 is no classifier"):
            class_accuracy_of(plain)


class TestCLIPScore:
    def test_what_it_is_at_known_angles(self) -> None:
        """0, 60, 90 and 180 degrees: 100, 50, 0 and, cut, 0. Lengths do not matter."""
        angles = torch.deg2rad(torch.tensor([0.0, 60, 90, 180], dtype=torch.float64))
        texts = 7 * torch.stack([angles.cos(), angles.sin()], 1)
        images = 0.1 * torch.tensor([[1.0, 0]], dtype=torch.float64).expand(4, 2)
        found = clip_score(images, texts)
        assert found.value == pytest.approx(37.5)
        assert found.n == 4
        assert clip_score(images[:1], texts[:1]).value == pytest.approx(100)
        assert clip_score(images[3:], texts[3:]).value == 0

    def test_it_is_the_papers_times_forty(self) -> None:
        """Hessel et al.: w max(cos, 0) with w = 2.5, averaged."""
        x, y = rows(40, 8, 0), rows(40, 8, 1)
        paper = 2.5 * torch.cosine_similarity(x, y).clamp(min=0).mean().item()
        assert clip_score(x, y).value == pytest.approx(40 * paper, rel=1e-5)

    def test_it_is_torchmetrics(self) -> None:
        """Their scores from the same embeddings, handed to them as if by CLIP; no pair points apart."""
        from torchmetrics.functional.multimodal.clip_score import clip_score as theirs

        x, y = rows(30, 16, 0), rows(30, 16, 0) + 0.7 * rows(30, 16, 1)
        assert torch.cosine_similarity(x, y).min() > 0

        class Model(torch.nn.Module):
            config = SimpleNamespace()

            def get_image_features(self, pixels: Tensor) -> Tensor:
                return x

            def get_text_features(self, ids: Tensor, mask: Tensor) -> Tensor:
                return y

        def processor(**said: Any) -> dict[str, Tensor]:
            return {name: torch.zeros(30, 1) for name in ("pixel_values", "input_ids", "attention_mask")}

        pictures: Any = list(torch.zeros(30, 3, 4, 4, dtype=torch.uint8))
        expected = theirs(pictures, ["a"] * 30, lambda: (Model(), processor)).item()  # type: ignore[arg-type, return-value]
        assert clip_score(x, y).value == pytest.approx(expected, rel=1e-5)

    def test_the_interval_is_of_the_mean_over_pairs(self) -> None:
        x, y = rows(50, 8, 0), rows(50, 8, 1) + rows(50, 8, 0)
        scores = 100 * torch.cosine_similarity(x.double(), y.double()).clamp(min=0)
        found = clip_score(x, y)
        expected = bounded_interval(scores.mean().item(), scores.std().item() / 50**0.5, 50, "", hi=100)
        assert found.interval is not None
        assert (found.interval.lo, found.interval.hi) == pytest.approx((expected.lo, expected.hi), rel=1e-9)

    def test_pairs_that_all_score_0_do_not_make_it_sure(self) -> None:
        x = rows(50, 8, 0)
        found = clip_score(x, -x).interval
        assert found is not None and (found.lo, found.hi) == pytest.approx((0, 100 * 3.8415 / 53.8415), abs=1e-3)

    def test_the_interval_covers(self) -> None:
        """True mean by a large draw from the same law."""

        def draw(n: int, seed: int) -> Estimate:
            x = rows(n, 8, 2 * seed)
            return clip_score(x, x + rows(n, 8, 2 * seed + 1))

        truth = draw(100_000, 10_000).value
        intervals = [draw(60, seed).interval for seed in range(300)]
        assert 0.90 <= sum(i is not None and i.lo <= truth <= i.hi for i in intervals) / 300 <= 0.98

    def test_one_pair_has_no_interval(self) -> None:
        assert clip_score(rows(1, 4), rows(1, 4)).interval is None

    def test_one_prompt_for_all_is_allowed(self) -> None:
        x, y = rows(20, 8, 0), rows(1, 8, 1).expand(20, -1)
        assert clip_score(x, y).value == pytest.approx(clip_score(y.numpy(), x.numpy()).value)

    @pytest.mark.parametrize(
        ("images", "texts", "says"),
        [
            (torch.ones(3, 4), torch.ones(2, 4), "each image needs its text"),
            (torch.ones(3, 4), torch.ones(3, 5), "each image needs its text"),
            (torch.ones(3), torch.ones(3), r"image embeddings must be \(n, D\)"),
            (torch.ones(0, 4), torch.ones(0, 4), r"image embeddings must be \(n, D\)"),
            (torch.ones(3, 4), torch.zeros(3, 4), "text embeddings hold NaN, infinity or a row of zeros"),
            (torch.full((3, 4), torch.inf), torch.ones(3, 4), "image embeddings hold NaN, infinity"),
        ],
    )
    def test_what_has_no_direction_is_refused(self, images: Tensor, texts: Tensor, says: str) -> None:
        with pytest.raises(GenbenchError, match=says):
            clip_score(images, texts)


WORDS = ["[PAD]", "[EOS]", "[UNK]", "a", "photo", "of", "cat", "dog", "red", "blue"]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny random CLIP, as transformers saves one."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace
    from tokenizers.processors import TemplateProcessing
    from transformers import CLIPConfig, CLIPModel, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("clip")
    layers = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = {**layers, "vocab_size": len(WORDS), "max_position_embeddings": 8, "eos_token_id": 1, "pad_token_id": 0}
    config = CLIPConfig(
        text_config={**text, "bos_token_id": 1},
        vision_config={**layers, "image_size": 28, "patch_size": 14},
        projection_dim=16,
    )
    torch.manual_seed(0)
    CLIPModel(config).save_pretrained(folder)
    words = Tokenizer(WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    words.pre_tokenizer = Whitespace()
    words.post_processor = TemplateProcessing(single="$A [EOS]", special_tokens=[("[EOS]", 1)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="[PAD]", eos_token="[EOS]", unk_token="[UNK]")
    tokenizer.save_pretrained(folder)
    return folder


PROMPTS = ["a photo of a cat", "red dog", "a blue photo of a red cat of a dog of a cat", "dog"]


def pictures(n: int = 4, height: int = 32, width: int = 40, channels: int = 3) -> Tensor:
    return torch.randint(256, (n, channels, height, width), dtype=torch.uint8, generator=rng())


class TestPairEncoder:
    @pytest.mark.parametrize("shape", [(32, 32), (32, 41), (28, 60), (100, 100)])
    def test_pictures_are_prepared_as_openai_does(self, clip: Path, shape: tuple[int, int]) -> None:
        """Its published recipe, by torchvision on Pillow pictures."""
        from torchvision import transforms

        recipe = transforms.Compose(
            [
                transforms.Resize(28, transforms.InterpolationMode.BICUBIC),
                transforms.CenterCrop(28),
                transforms.ToTensor(),
                transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
            ]
        )
        x = pictures(2, *shape)
        expected = torch.stack([recipe(Image.fromarray(p.permute(1, 2, 0).numpy())) for p in x])
        assert torch.equal(PairEncoder(clip, CPU).pixels(x), expected)

    def test_the_folder_may_say_another_mean(self, clip: Path, tmp_path: Path) -> None:
        for file in clip.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / "preprocessor_config.json").write_text(
            json.dumps({"image_mean": [0, 0, 0], "image_std": [1, 1, 1]})
        )
        x = pictures(1, 28, 28)
        ours = PairEncoder(tmp_path, CPU)
        assert torch.equal(ours.pixels(x), x.float() / 255)
        assert ours.protocol["clip"] != PairEncoder(clip, CPU).protocol["clip"]

    def test_embeddings_are_transformers_one_by_one(self, clip: Path) -> None:
        """Each pair alone and without padding, through the towers' own parts; long prompts are cut to 8 tokens."""
        from transformers import AutoTokenizer, CLIPModel

        model, x = CLIPModel.from_pretrained(clip).eval(), pictures()
        tokenizer = AutoTokenizer.from_pretrained(clip)
        ours = PairEncoder(clip, CPU)
        images, texts = ours.encode(x, PROMPTS)
        for i, prompt in enumerate(PROMPTS):
            ids = tokenizer(prompt, return_tensors="pt")["input_ids"]
            cut = torch.cat([ids[:, :7], torch.tensor([[1]])], 1) if ids.shape[1] > 8 else ids
            with torch.no_grad():
                seen = model.visual_projection(model.vision_model(ours.pixels(x[i : i + 1])).pooler_output)
                read = model.text_projection(model.text_model(cut).pooler_output)
            for found, expected in ((images[i], seen[0]), (texts[i], read[0])):
                assert torch.cosine_similarity(found, expected, dim=0).item() == pytest.approx(1, abs=1e-5)

    def test_many_pairs_come_back_in_order(self, clip: Path) -> None:
        x, ours = pictures(120), PairEncoder(clip, CPU)
        prompts = [PROMPTS[i % 4] for i in range(120)]
        whole, some = ours.encode(x, prompts), ours.encode(x[100:], prompts[100:])
        for side in (0, 1):
            torch.testing.assert_close(whole[side][100:], some[side], rtol=1e-4, atol=1e-5)


class TestCLIPScoreOfSamples:
    @pytest.fixture
    def here(self, clip: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("GENBENCH_CLIP", str(clip))
        return clip

    def test_it_is_the_score_of_the_embeddings(self, here: Path) -> None:
        x = pictures()
        found = clip_score_of(Given(x, prompts=PROMPTS))
        expected = clip_score(*PairEncoder(here, CPU).encode(x, PROMPTS))
        assert (found.value, found.interval, found.n) == (expected.value, expected.interval, 4)

    def test_of_a_model_it_is_of_what_was_made_for_captions(self, here: Path) -> None:
        dataset = digits()
        trial = Trial(Real(dataset), dataset, seed=0, n_samples=20, batch_size=20, device=CPU)
        made = trial.images("conditional")
        assert clip_score_of(trial).value == clip_score_of(Given(made, prompts=trial.prompts)).value

    def test_the_protocol_says_which_clip(self, here: Path) -> None:
        protocol = clip_score_of(Given(pictures(), prompts=PROMPTS)).protocol
        assert str(protocol["clip"]).startswith("sha256:") and len(str(protocol["clip"])) == 7 + 64
        expected = {"scale": 100, "cut_at_0": "each pair", "resize": "pil-bicubic-28 centre-crop-28", "tokens": 8}
        assert expected.items() <= protocol.items()

    def test_grey_pictures_are_read_as_rgb(self, here: Path) -> None:
        grey = pictures(channels=1)
        one = clip_score_of(Given(grey, prompts=PROMPTS))
        assert one.value == clip_score_of(Given(grey.repeat(1, 3, 1, 1), prompts=PROMPTS)).value
        with pytest.raises(Omitted, match="4 channels"):
            clip_score_of(Given(pictures(channels=4), prompts=PROMPTS))

    def test_without_prompts_there_is_a_reason(self, here: Path) -> None:
        with pytest.raises(Omitted, match="needs the prompts"):
            clip_score_of(Given(pictures()))

    def test_a_prompt_too_few_is_an_error(self, here: Path) -> None:
        with pytest.raises(GenbenchError, match="4 images, 3 prompts"):
            clip_score_of(Given(pictures(), prompts=PROMPTS[:3]))

    @pytest.mark.parametrize("spoil", [lambda folder: None, lambda folder: (folder / "config.json").write_text("{}")])
    def test_without_clip_there_is_a_reason(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], Any]
    ) -> None:
        spoil(tmp_path)
        for given in ("", str(tmp_path / "nowhere"), str(tmp_path)):
            monkeypatch.setenv("GENBENCH_CLIP", given)
            with pytest.raises(GenbenchError, match=r"set GENBENCH_CLIP to a folder|cannot read CLIP in"):
                clip_score_of(Given(pictures(), prompts=PROMPTS))

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("model.safetensors", b"\xff" * 100),
            ("config.json", b"["),
            ("config.json", b"[" * 100_000),
            ("tokenizer.json", b"{}"),
            ("preprocessor_config.json", b"[]"),
            ("preprocessor_config.json", b'{"image_mean": "grey"}'),
            ("preprocessor_config.json", b'{"image_mean": [0]}'),
        ],
    )
    def test_a_damaged_clip_is_one_line(
        self, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
    ) -> None:
        for file in clip.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        (tmp_path / name).write_bytes(content)
        monkeypatch.setenv("GENBENCH_CLIP", str(tmp_path))
        with pytest.raises(GenbenchError, match=r"cannot read|must give three") as caught:
            clip_score_of(Given(pictures(), prompts=PROMPTS))
        assert str(caught.value).isprintable()

    def test_pictures_of_several_sizes_are_each_resized_from_their_own(self, here: Path) -> None:
        several = [picture.numpy() for size in (28, 40) for picture in pictures(2, size, 28)]
        found = Pictures([str(i) for i in range(4)], lambda i: several[i])
        pairs = zip(several, PROMPTS, strict=True)
        alone = [clip_score_of(Given(torch.from_numpy(x)[None], prompts=[text])) for x, text in pairs]
        together = clip_score_of(Given(found, prompts=PROMPTS))
        assert together.value == pytest.approx(np.mean([one.value for one in alone]), rel=1e-5)

    def test_without_transformers_there_is_a_reason(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "transformers", None)
        with pytest.raises(Omitted, match="needs transformers; pip install"):
            clip_score_of(Given(pictures(), prompts=PROMPTS))
