"""Models that others trained, and what others sampled: exported networks, callables, and files of samples."""

from __future__ import annotations

import importlib
import io
import os
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import bench
from bench import Batch, DataError, DataSpec, GenbenchError, SuiteError, Trial, TrialError, Unsupported
from bench.engine.plan import plan_trials
from bench.engine.suite import check_suite
from bench.engine.worker import run_trial
from bench.registry import GeneratorEntry, registry
from bench.streams import stream
from bench.testing._models import make, same, sampled, trained
from bench.testing.made_up import made_up

CPU = torch.device("cpu")
IMAGE = DataSpec("image", (1, 8, 8), "continuous", classes=10)
DATA = made_up(IMAGE)
KINDS = ("onnx", "torchscript", "export")
pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")


class Decoder(nn.Module):
    """What of a VAE of ours makes images of noise."""

    def __init__(self, vae: Any) -> None:
        super().__init__()
        self.vae = vae

    def forward(self, z: Tensor) -> Tensor:
        images: Tensor = self.vae.pixels.mean(self.vae.decoder(z, None))
        return images


class Labelled(Decoder):
    def forward(self, z: Tensor, label: Tensor) -> Tensor:  # type: ignore[override]
        images: Tensor = self.vae.pixels.mean(self.vae.decoder(z, label))
        return images


def family(name: str) -> GeneratorEntry:
    found: GeneratorEntry = registry.get("generators", name)
    return found


def save_onnx(net: nn.Module, given: tuple[Tensor, ...], path: Path) -> None:
    with warnings.catch_warnings():  # of the exporter's own
        warnings.simplefilter("ignore")
        names = ["z", "label"][: len(given)]
        free = tuple({0: torch.export.Dim("n")} for _ in given)
        torch.onnx.export(net, given, str(path), input_names=names, dynamic_shapes=free, dynamo=True, verbose=False)


def save_script(net: nn.Module, given: tuple[Tensor, ...], path: Path) -> None:
    torch.jit.trace(net, given).save(str(path))


def save_export(net: nn.Module, given: tuple[Tensor, ...], path: Path) -> None:
    n = torch.export.Dim("n")
    torch.export.save(torch.export.export(net, given, dynamic_shapes=(tuple({0: n} for _ in given),)[0]), str(path))


SAVE: dict[str, Callable[[nn.Module, tuple[Tensor, ...], Path], None]] = {
    "onnx": save_onnx,
    "torchscript": save_script,
    "export": save_export,
}


@pytest.mark.parametrize(("kind", "labelled"), [*((kind, True) for kind in KINDS), ("export", False)])
def test_an_exported_net_makes_what_the_model_makes(kind: str, labelled: bool, tmp_path: Path) -> None:
    model = trained(family("cvae" if labelled else "vae"), DATA)
    latent = model.prior.means.shape[-1]
    given = torch.zeros(2, latent), torch.tensor([0, 1])
    net = (Labelled if labelled else Decoder)(model).eval()
    SAVE[kind](net, given[: 1 + labelled], tmp_path / "net.bin")
    options: dict[str, Any] = {"noise": [latent], "labelled": labelled} if kind == "torchscript" else {}
    loaded = make(family(f"{kind}:{tmp_path / 'net.bin'}"), DATA, **options)
    loaded.eval()  # as a trial does before it samples
    labels = torch.arange(7) if labelled else None
    whole = sampled(loaded, [7], labels=labels)
    rows = bench.Rows(stream(0, "sample"), 7)
    label = [rows.labels(10, labels)] if labelled else []
    with torch.no_grad():
        torch.testing.assert_close(whole.data, net(rows.normal(latent), *label), atol=1e-4, rtol=1e-4)
    assert same(whole, sampled(loaded, [1, 4, 2], labels=labels), atol=1e-5, rtol=1e-4)
    assert len(Trial(loaded, DATA, seed=0, n_samples=5, batch_size=3, device=CPU).drawn) == 5


@pytest.mark.parametrize("kind", KINDS)
class TestExported:
    def test_a_file_that_is_none_is_named(self, kind: str, tmp_path: Path) -> None:
        path = tmp_path / "no.bin"
        with pytest.raises(DataError, match=r"no\.bin"):
            make(family(f"{kind}:{path}"), DATA)
        path.write_bytes(b"no network")
        with pytest.raises(DataError, match=r"no\.bin holds no"):
            make(family(f"{kind}:{path}"), DATA)

    def test_what_it_makes_must_be_the_data(self, kind: str, tmp_path: Path) -> None:
        net = nn.Sequential(nn.Linear(3, 4)).eval()
        SAVE[kind](net, (torch.zeros(2, 3),), tmp_path / "net.bin")
        options: dict[str, Any] = {"noise": [3]} if kind == "torchscript" else {}
        loaded = make(family(f"{kind}:{tmp_path / 'net.bin'}"), DATA, **options)
        with pytest.raises(TrialError, match=r"of 2 draws the net makes \(2, 4\), and the data is \(1, 8, 8\)"):
            sampled(loaded, [2])

    def test_it_is_tried_before_anything_is_trained(self, kind: str, tmp_path: Path) -> None:
        """What a trial is skipped for is not told then, but by the trial."""
        net = nn.Sequential(nn.Linear(3, 64), nn.Tanh(), nn.Unflatten(1, (1, 8, 8))).eval()
        SAVE[kind](net, (torch.zeros(2, 3),), tmp_path / "net.bin")
        options: dict[str, Any] = {"noise": [3]} if kind == "torchscript" else {}
        fits = family(f"{kind}:{tmp_path / 'net.bin'}").fits
        fits(IMAGE, **options)
        with pytest.raises(DataError, match=r"the net makes \(3, 1, 8, 8\), and the data is \(3, 8, 8\)"):
            fits(DataSpec("image", (3, 8, 8), "continuous"), **options)


def test_an_exported_program_is_never_unpickled(tmp_path: Path) -> None:
    """Its weights are replaced by what would run code, as torch reads it where it is let."""
    path, ran = tmp_path / "net.pt2", tmp_path / "ran"
    save_export(nn.Linear(3, 64), (torch.zeros(2, 3),), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    torch.save(Hostile(ran), held := io.BytesIO())
    changed = {name: held.getvalue() if content[:2] == b"PK" else content for name, content in parts.items()}
    assert changed != parts
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in changed.items():
            archive.writestr(name, content)
    with pytest.raises(DataError, match=r"net\.pt2 holds no exported program"):
        family(f"export:{path}").fits(DataSpec("vector", (64,), "continuous"))
    assert not ran.exists()


def test_values_out_of_range_are_told_before_anything_is_trained(tmp_path: Path) -> None:
    class Levels(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return 255 * z.sigmoid()[:, None, None, None].expand(-1, 1, 8, 8)

    save_script(Levels(), (torch.zeros(2),), tmp_path / "net.pt")
    fits = family(f"torchscript:{tmp_path / 'net.pt'}").fits
    with pytest.raises(DataError, match=r"net\.pt, taken as values = '-1\.\.1': pixels must lie in \[-1, 1\]"):
        fits(IMAGE, noise=[])
    fits(IMAGE, noise=[], values="0..255")


def test_weights_alone_are_no_network(tmp_path: Path) -> None:
    torch.save(nn.Linear(3, 4).state_dict(), tmp_path / "net.pt")
    with pytest.raises(DataError, match=r"net\.pt holds weights alone: torch\.jit\.script\(model\)\.save"):
        family(f"torchscript:{tmp_path / 'net.pt'}").fits(IMAGE, noise=[3])


@pytest.mark.parametrize(("kind", "what"), [("onnx", "no ONNX file"), ("torchscript", "no file of TorchScript")])
def test_a_file_that_is_damaged_is_told_in_our_words(kind: str, what: str, tmp_path: Path) -> None:
    path = tmp_path / "net.bin"
    SAVE[kind](nn.Linear(3, 64), (torch.zeros(2, 3),), path)
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:-10], np.random.default_rng(0).bytes(3000), b""):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=rf"net\.bin holds no .*: it is damaged, cut off, or {what}: copy it again"):
            family(f"{kind}:{path}").fits(IMAGE)


def test_weights_beside_an_onnx_file_that_are_cut_off_or_gone_are_told(tmp_path: Path) -> None:
    path, weights = tmp_path / "net.onnx", tmp_path / "net.onnx.data"
    save_onnx(nn.Linear(3, 64), (torch.zeros(2, 3),), path)
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(
        DataError, match=r"net\.onnx .*: the file of its weights is damaged or cut off: copy both again"
    ):
        family(f"onnx:{path}").fits(IMAGE)
    weights.unlink()
    with pytest.raises(DataError, match=r"net\.onnx .*: the file of its weights is not beside it: copy both"):
        family(f"onnx:{path}").fits(IMAGE)


class Hostile:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class TestScript:
    """Its file does not say what goes in."""

    def test_without_noise_it_says_what_to_set(self, tmp_path: Path) -> None:
        save_script(nn.Linear(3, 64), (torch.zeros(2, 3),), tmp_path / "net.pt")
        fits = family(f"torchscript:{tmp_path / 'net.pt'}").fits
        with pytest.raises(DataError, match=r"net\.pt does not say what noise it takes: set noise = \[8\]"):
            fits(IMAGE)
        with pytest.raises(DataError, match=r"given noise \(3, 5\), the net fails: .*shapes cannot be multiplied"):
            fits(IMAGE, noise=[5])
        fits(DataSpec("vector", (64,), "continuous"), noise=[3], labelled=True)  # which is skipped: it has no labels


def test_weights_beside_an_onnx_file_are_part_of_it(tmp_path: Path) -> None:
    """Where it keeps them, as the exporter does of large ones."""
    save_onnx(nn.Linear(3, 4), (torch.zeros(2, 3),), tmp_path / "net.onnx")
    (tmp_path / "net.onnx.data").write_bytes(b"1")
    (tmp_path / "other.onnx").write_bytes(b"another")
    before = family(f"onnx:{tmp_path / 'net.onnx'}").content()
    (tmp_path / "other.onnx").write_bytes(b"changed")
    assert family(f"onnx:{tmp_path / 'net.onnx'}").content() == before
    (tmp_path / "net.onnx.data").write_bytes(b"2")
    assert family(f"onnx:{tmp_path / 'net.onnx'}").content() != before


class Fixed(nn.Module):
    """Its forward writes the size of the batch that it was made with."""

    def __init__(self, batch: int, kept: bool = False) -> None:
        super().__init__()
        self.batch, self.kept = batch, kept

    def forward(self, z: Tensor) -> Tensor:
        return z.tanh()[: self.batch].unflatten(1, (1, 8, 8)) if self.kept else z.tanh().reshape(self.batch, 1, 8, 8)


@pytest.mark.parametrize(("batch", "kept"), [(1, False), (2, False), (4, False), (64, False), (1, True), (2, True)])
def test_a_script_of_one_size_of_batch_is_told_which_and_how_to_export_it(
    batch: int, kept: bool, tmp_path: Path
) -> None:
    """One that fails of others, and one that cuts them off."""
    save_script(Fixed(batch, kept), (torch.zeros(batch, 64),), tmp_path / "net.pt")
    first = r"of 3 draws the net makes" if kept else r"given noise \(3, 64\), the net fails:"
    told = rf"it takes batches of {batch} alone, .* export it with a dynamic batch axis \(torch\.jit\.script"
    with pytest.raises(DataError, match=rf"net\.pt: {first}.* {told}"):
        family(f"torchscript:{tmp_path / 'net.pt'}").fits(IMAGE, noise=[64])


@pytest.mark.parametrize("kind", ["onnx", "export"])
def test_a_graph_of_one_size_of_batch_is_told_which_and_how_to_export_it(kind: str, tmp_path: Path) -> None:
    net, given, path = nn.Linear(64, 64).eval(), (torch.zeros(4, 64),), tmp_path / "net.pt2"
    with warnings.catch_warnings():  # of the exporter's own
        warnings.simplefilter("ignore")
        if kind == "onnx":
            torch.onnx.export(net, given, str(path), dynamo=True, verbose=False)
        else:
            torch.export.save(torch.export.export(net, given), str(path))
    told = rf"it takes batches of 4 alone, .* export it with a dynamic batch axis \(torch\.{kind}.*dynamic_shapes="
    with pytest.raises(DataError, match=rf"net\.pt2 takes [\[(]4, 64[\])]: {told}"):
        family(f"{kind}:{path}").fits(DataSpec("vector", (64,), "continuous"))


def test_a_net_that_takes_labels_needs_some(tmp_path: Path) -> None:
    save_script(nn.Linear(3, 4), (torch.zeros(2, 3),), tmp_path / "net.pt")
    with pytest.raises(Unsupported, match="takes a label"):
        make(
            family(f"torchscript:{tmp_path / 'net.pt'}"),
            made_up(DataSpec("vector", (4,), "continuous")),
            noise=[3],
            labelled=True,
        )


@pytest.mark.parametrize(("values", "low", "high"), [("-1..1", -1, 1), ("0..1", 0, 1), ("0..255", 0, 255)])
def test_values_are_brought_to_the_range_of_data(values: str, low: int, high: int, tmp_path: Path) -> None:
    class Ends(nn.Module):
        def forward(self, z: Tensor) -> Tensor:
            return torch.stack([z.new_full(z.shape, low), z.new_full(z.shape, high)], 1)

    save_script(Ends(), (torch.zeros(2),), tmp_path / "net.pt")
    spec = DataSpec("vector", (2,), "continuous")
    loaded = make(family(f"torchscript:{tmp_path / 'net.pt'}"), made_up(spec), noise=[], values=values)
    assert sampled(loaded, [3]).data.tolist() == [[-1, 1]] * 3


def made(spec: DataSpec, scale: float = 0.5) -> Any:
    """A factory that is called with the data's form."""

    class Known:
        def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
            return scale * bench.normal(rng, n, *spec.shape).tanh()

        def example_loss(self, batch: Batch) -> Tensor:
            return batch.data.flatten(1).square().sum(1)

    return Known()


class Plain:
    """Of somebody who never heard of genbench."""

    def sample(self, n: int) -> np.ndarray:
        return np.tanh(np.random.standard_normal((n, 1, 8, 8))).astype(np.float32)


class Unlabelled:
    """Of somebody who takes the stream and has no labels."""

    def sample(self, n: int, rng: torch.Generator) -> Tensor:
        return torch.rand(n, 1, 8, 8, generator=rng) * 2 - 1


def nothing() -> int:
    return 3


def needs(spec: DataSpec, weights: str) -> Plain:
    return Plain()


def breaks() -> int:
    return int("no number")


class TestPython:
    def test_what_knows_genbench_is_taken_as_it_is(self) -> None:
        model = make(family(f"python:{__name__}:made"), DATA, arguments={"scale": 0.25})
        assert isinstance(model, bench.protocols.ExampleLoss) and sampled(model, [9]).data.abs().max() <= 0.25
        assert same(sampled(model, [7]), sampled(model, [1, 4, 2]))

    @pytest.mark.parametrize("factory", ["Plain", "Unlabelled"])
    def test_what_does_not_is_seeded(self, factory: str) -> None:
        model = make(family(f"python:{__name__}:{factory}"), DATA)
        first, other, again = (sampled(model, [4], seed) for seed in (0, 1, 0))
        assert same(first, again) and not same(first, other)

    @pytest.mark.parametrize(
        ("target", "words"),
        [
            ("made", r"write python:package\.module:factory"),
            ("no_such_module:made", "No module named 'no_such_module'"),
            (f"{__name__}:unmade", "unmade"),
            (f"{__name__}:DATA", "which cannot be called"),
            (f"{__name__}:nothing", r"returned int, which has no sample\(\)"),
            (f"{__name__}.py:made", rf"write python:{__name__}:made"),
            (f"{__name__}:needs", r"needs: missing a required argument: 'weights': arguments = \{ \.\.\. \} holds"),
            (f"{__name__}:breaks", r"test_loaders:breaks failed: ValueError: .*no number.* \(test_loaders\.py, line "),
        ],
    )
    def test_what_is_wrong_is_said(self, target: str, words: str) -> None:
        with pytest.raises(GenbenchError, match=words):
            make(family(f"python:{target}"), DATA)

    def test_a_name_that_its_text_has_not_is_told_before_it_is_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.syspath_prepend(tmp_path)
        for name, text in (
            ("runs_never", "raise SystemExit\ndef factory(): ...\n"),
            ("has_all", "from x import *\n"),
            ("has_none", ""),
            ("is_no_python", "def (\n"),
        ):
            (tmp_path / f"{name}.py").write_text(text)
        family("python:runs_never:factory.made").fits(IMAGE)
        family("python:has_all:factory").fits(IMAGE)
        with pytest.raises(DataError, match="runs_never has no facotry; did you mean 'factory'"):
            family("python:runs_never:facotry").fits(IMAGE)
        with pytest.raises(DataError, match="has_none has no factory; there is none"):
            family("python:has_none:factory").fits(IMAGE)
        with pytest.raises(DataError, match=r"is_no_python\.py: "):
            family("python:is_no_python:factory").fits(IMAGE)

    def test_its_code_is_part_of_its_identity(self) -> None:
        known = family(f"python:{__name__}:made")
        assert len(known.content(arguments=None)) == 64

    def test_one_in_the_current_folder_is_found_and_another_text_is_another_model(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As a command is run, which Python lets see no folder."""
        monkeypatch.setattr("sys.path", [path for path in sys.path if path])
        monkeypatch.chdir(tmp_path)
        known = family("python:only_here:load")
        with pytest.raises(GenbenchError, match=r"there is no module 'only_here' in this folder or installed"):
            known.content()
        (tmp_path / "only_here.py").write_text(f"from {__name__} import Plain as load\n")
        importlib.invalidate_caches()  # of a folder that was looked into a moment ago
        before = known.content()
        assert sampled(make(known, DATA), [3]).data.shape == (3, 1, 8, 8)
        (tmp_path / "only_here.py").write_text(f"from {__name__} import Plain as load\nx = 1\n")
        assert known.content() != before
        with pytest.raises(GenbenchError, match=r"python:only_here\.too:load: ModuleNotFoundError"):
            family("python:only_here.too:load").content()


class TestSamples:
    PIXELS = np.random.default_rng(0).integers(0, 256, (30, 1, 8, 8), np.uint8)

    def dealt(self, path: Path, data: Any = DATA, n: int = 12) -> Batch:
        return sampled(make(family(f"samples:{path}"), data), [n - 5, 5])

    def test_an_array_of_images(self, tmp_path: Path) -> None:
        """Each at most once, and as they were to the last level."""
        np.savez(tmp_path / "made.npz", images=self.PIXELS)
        found = bench.modality_of(IMAGE).quantise(self.dealt(tmp_path / "made.npz", n=30).data, IMAGE).numpy()
        assert sorted(x.tobytes() for x in found) == sorted(x.tobytes() for x in self.PIXELS)

    def test_a_folder_of_pictures(self, tmp_path: Path) -> None:
        for i, pixels in enumerate(self.PIXELS[:8]):
            Image.fromarray(pixels[0]).save(tmp_path / f"{i}.png")
        assert self.dealt(tmp_path, n=8).data.shape == (8, 1, 8, 8)

    def test_vectors_as_they_are(self, tmp_path: Path) -> None:
        rows = np.random.default_rng(0).standard_normal((20, 4)).astype(np.float32)
        np.save(tmp_path / "made.npy", 9 * rows)
        found = self.dealt(tmp_path / "made.npy", made_up(DataSpec("vector", (4,), "continuous")), 20)
        assert found.data.sum().item() == pytest.approx(9 * rows.sum(), rel=1e-4)

    def test_texts_are_spelled_in_the_data_s_tokens(self, tmp_path: Path) -> None:
        data = registry.get("datasets", "kjv").make()
        lines = [f"And God said, Let there be {i} lights" for i in range(10)]
        (tmp_path / "made.txt").write_text("\n".join([*lines, "x" * 2000]))
        found = self.dealt(tmp_path / "made.txt", data, 11)
        assert found.lengths is not None
        told = {data.decode(x[None, :n])[0] for x, n in zip(found.data, found.lengths.tolist(), strict=True)}
        assert told == {*lines, "x" * data.spec.shape[0]}

    def test_more_than_there_are_is_refused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "made.npz", images=self.PIXELS)
        with pytest.raises(GenbenchError, match=r"holds only 30 samples: lower budget\.samples"):
            self.dealt(tmp_path / "made.npz", n=31)

    @pytest.mark.parametrize("form", ["array", "folder", "texts"])
    def test_more_than_there_are_is_told_with_the_plan(self, form: str, tmp_path: Path) -> None:
        """Where they need not be read to be counted."""
        if form == "array":
            np.savez(path := tmp_path / "x.npz", images=self.PIXELS)
        elif form == "folder":
            path = tmp_path
            for i in range(3):
                Image.fromarray(self.PIXELS[i, 0]).save(path / f"{i}.png")
        else:
            (path := tmp_path / "x.txt").write_text("one\ntwo\n")
        assert family(f"samples:{path}").holds() == {"array": 30, "folder": 3, "texts": None}[form]
        if form == "array":
            table = {
                "controls": False, "budget": {"samples": 31}, "datasets": {"digits": {}},
                "generators": {"theirs": {"family": f"samples:{path}"}},
            }  # fmt: skip
            words = r"generators\.theirs\.family: it has 30 samples, and budget\.samples = 31: set it to 30 or less"
            with pytest.raises(SuiteError, match=words):
                plan_trials(check_suite(table, "test"), "cpu")

    def test_another_kind_and_none_are_told_with_the_plan(self, tmp_path: Path) -> None:
        (tmp_path / "notes.md").write_text("no sample")
        with pytest.raises(DataError, match="holds no pictures"):
            family(f"samples:{tmp_path}").fits(DataSpec("text", (16,), "tokens", vocab=256))
        Image.fromarray(self.PIXELS[0, 0]).save(tmp_path / "0.png")
        with pytest.raises(DataError, match="holds image, and the data is text"):
            family(f"samples:{tmp_path}").fits(DataSpec("text", (16,), "tokens", vocab=256))

    def test_another_shape_is_refused(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "made.npz", images=np.zeros((4, 3, 9, 9), np.uint8) + np.arange(9, dtype=np.uint8))
        with pytest.raises(DataError, match=r"samples are \(3, 9, 9\), the data is \(1, 8, 8\)"):
            self.dealt(tmp_path / "made.npz")

    def test_another_shape_is_told_with_the_plan_and_no_sample_but_the_first_is_opened(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        np.savez(tmp_path / "wide.npz", images=np.full((4, 3, 9, 9), 7, np.uint8))
        np.save(tmp_path / "long.npy", np.full((4, 9, 9), 7, np.uint8))
        (tmp_path / "pictures").mkdir()
        Image.new("RGB", (9, 7), "red").save(tmp_path / "pictures" / "0.png")
        (tmp_path / "pictures" / "1.png").write_bytes(b"no picture")
        shapes = {"wide.npz": (3, 9, 9), "long.npy": (9, 9), "pictures": (3, 7, 9)}
        monkeypatch.setattr("generators.loaders.samples.examples_in", None)  # which reads all
        table = {
            "metrics": ["kid_lenet"], "controls": False, "budget": {"samples": 4}, "datasets": {"digits": {}},
            "generators": {name.partition(".")[0]: {"family": f"samples:{tmp_path / name}"} for name in shapes},
        }  # fmt: skip
        with pytest.raises(SuiteError) as caught:
            plan_trials(check_suite(table, "test"), "cpu")
        assert len(caught.value.problems) == 3
        for problem, (name, shape) in zip(caught.value.problems, shapes.items(), strict=True):
            assert (
                problem.startswith(f"generators.{name.partition('.')[0]}.family: ") and "bring both to one" in problem
            )
            assert f"samples are {shape}, the data is (1, 8, 8)" in problem

    @pytest.mark.parametrize("form", ["channels first", "channels last", "grey", "turned", "grey before RGB"])
    def test_what_may_be_of_the_data_s_shape_is_planned(self, form: str, tmp_path: Path) -> None:
        wanted = (1, 8, 8) if form == "grey" else (3, 6, 8)
        if form in ("turned", "grey before RGB"):
            tag = Image.Exif()
            tag[0x0112] = 6 if form == "turned" else 1  # to be seen with its height along its width, or as it lies
            first = Image.new("RGB", (6, 8)) if form == "turned" else Image.new("L", (8, 6))
            first.save(tmp_path / "0.png", exif=tag)
            path = tmp_path
        else:
            shape = {"channels first": wanted, "channels last": (6, 8, 3), "grey": (8, 8)}[form]
            np.savez(path := tmp_path / "x.npz", images=np.full((4, *shape), 7, np.uint8))
        family(f"samples:{path}").fits(DataSpec("image", wanted, "continuous"))
        with pytest.raises(DataError, match="bring both to one shape"):
            family(f"samples:{path}").fits(DataSpec("image", (3, 5, 5), "continuous"))

    def test_they_stand_on_a_board_with_their_quality_and_no_costs(self, tmp_path: Path) -> None:
        """Another file of that name is another generator."""
        digits = registry.get("datasets", "digits").make()
        np.savez(tmp_path / "made.npz", images=digits.train.pixels[:200].numpy())
        metrics = ["kid_lenet", "sample_throughput"]
        table = {
            "metrics": metrics, "controls": False, "budget": {"samples": 100}, "datasets": {"digits": {}},
            "generators": {"theirs": {"family": f"samples:{tmp_path / 'made.npz'}"}},
        }  # fmt: skip
        (plan,) = plan_trials(check_suite(table, "test"), "cpu")
        found = run_trial(plan, tmp_path)
        assert [m.metric for m in found.measurements] == ["kid_lenet"] and found.measurements[0].value < 1
        assert not {"train", "load"} & {*found.phases}
        assert found.omitted["sample_throughput"].startswith("the samples were made elsewhere")
        table["generators"] = {"theirs": {"family": f"samples:{tmp_path / 'none.npz'}"}}
        with pytest.raises(GenbenchError, match=r"^generators\.theirs\.family: there is no .*none\.npz"):
            plan_trials(check_suite(table, "test"), "cpu")
        before = family(f"samples:{tmp_path / 'made.npz'}").content()
        np.savez(tmp_path / "made.npz", images=digits.train.pixels[200:400].numpy())
        assert family(f"samples:{tmp_path / 'made.npz'}").content() != before
