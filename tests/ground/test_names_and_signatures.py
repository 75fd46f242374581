"""Names with a rest, in any case; what the type of a metric's first parameter says; work that is done once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch

from bench import (
    Comparison,
    Dataset,
    DataSpec,
    Estimate,
    GenbenchError,
    Likelihood,
    Reconstructor,
    Space,
    Trial,
    UnknownName,
    dataset,
    generator,
    metric,
)
from bench.datasets.digits import digits
from bench.engine.suite import check_suite
from bench.errors import DuplicateName, SuiteError
from bench.measure.names import check_name, find_metric, separated
from bench.parameters import resolve
from bench.registry import MetricEntry, registry
from tests.suites import IMAGE_FAMILY


@pytest.fixture(autouse=True)
def own_tables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What a test registers is gone after it."""
    for kind in ("metrics", "datasets", "generators"):
        registry.all(kind)
        monkeypatch.setitem(registry.tables, kind, dict(registry.tables[kind]))
    yield


class TestRests:
    def test_a_source_is_handed_the_rest_and_its_options(self) -> None:
        seen: list[tuple[str, int]] = []

        @dataset("test/box:", modality="image")
        def box(path: str, *, size: int = 3) -> Dataset:
            """A box."""
            seen.append((path, size))
            return digits()

        entry = registry.get("datasets", "test/box:C:/a b")
        assert entry.name == "test/box:C:/a b"
        assert resolve(entry.make, {"size": 4}, "x") == ({"size": 4}, [])
        entry.make(size=4)
        assert seen == [("C:/a b", 4)]

    def test_what_lies_there_may_decide_the_modality(self) -> None:
        @dataset("test/any:", modality=lambda rest: "text" if rest == "words" else "vector")
        def anything(path: str) -> Dataset:
            """Anything."""
            raise AssertionError("a suite is checked before data is read")

        assert registry.get("datasets", "test/any:words").modality == "text"
        assert registry.get("datasets", "test/any:rows").modality == "vector"

    def test_a_loader_is_handed_it_behind_the_spec(self) -> None:
        @generator("test/from:", modalities={"image"})
        class From:
            """A model of others."""

            def __init__(self, spec: DataSpec, name: str, *, depth: int = 1) -> None:
                self.told = (spec, name, depth)

            def sample(self, n: int, rng: torch.Generator, condition: torch.Tensor | None = None) -> torch.Tensor:
                raise NotImplementedError

        spec = digits().spec
        entry = registry.get("generators", "test/FROM:gpt2")
        assert entry.make(spec, depth=2).told == (spec, "gpt2", 2)
        assert entry.name == "test/from:gpt2"

    def test_a_metric_is_handed_it_behind_what_it_looks_at(self) -> None:
        @metric("test/says:", aspect="realism", unit="1", better="none")
        def says(c: Comparison, word: str) -> Estimate:
            """Says how long the word is."""
            return Estimate(value=len(word), n=1)

        nothing: Any = None
        assert find_metric("test/says:hello").compute(nothing).value == 5

    def test_an_entry_without_its_rest_is_no_member_of_any_sweep(self) -> None:
        assert "evaluate:" not in registry.all("metrics")
        assert "evaluate:" in registry.all("metrics", with_rest=True)

    @pytest.mark.parametrize("name", ["evaluate:", "evaluate: "])
    def test_a_name_that_ends_at_its_colon_is_refused(self, name: str) -> None:
        with pytest.raises(GenbenchError, match="names nothing behind its colon"):
            registry.get("metrics", name)

    def test_a_wrong_head_is_answered_with_the_right_one(self) -> None:
        with pytest.raises(UnknownName, match="did you mean 'evaluate:'"):
            registry.get("metrics", "evalute:")


class TestCase:
    @pytest.mark.parametrize(
        ("written", "name"),
        [("FID", "fid"), ("KID", "kid"), ("Precision", "precision"), ("FD_LeNet", "fd_lenet"), ("Rep_4", "rep_4")],
    )
    def test_a_metric_is_found_in_any(self, written: str, name: str) -> None:
        assert check_name(written).name == name

    def test_two_names_may_not_differ_in_it_alone(self) -> None:
        with pytest.raises(DuplicateName):

            @metric("FD", aspect="realism", unit="1", better="none")
            def again(space: Space) -> Estimate:
                raise NotImplementedError

    def test_a_suite_keeps_the_registered_names(self) -> None:
        suite = check_suite(
            {
                "metrics": "FID, precision fd_LeNet",
                "without": ["KID"],
                "extractors": ["LeNet"],
                "datasets": {"MNIST5k": {}},
                "generators": {"mine": {"family": IMAGE_FAMILY.upper()}},
            },
            "x",
        )
        assert (suite.metrics, suite.without) == (("fid", "precision", "fd_lenet"), ("kid",))
        assert suite.extractors == ("lenet",)
        assert (suite.datasets[0].label, suite.datasets[0].source) == ("MNIST5k", "mnist5k")
        assert (suite.generators[0].label, suite.generators[0].family) == ("mine", IMAGE_FAMILY)

    def test_a_wrong_name_among_them_is_told(self) -> None:
        table = {"metrics": "fid, precisoin", "datasets": {"mnist5k": {}}, "generators": {IMAGE_FAMILY: {}}}
        with pytest.raises(SuiteError, match="did you mean 'precision'"):
            check_suite(table, "x")

    @pytest.mark.parametrize("text", ["fd,kid", "fd kid", " fd ,  kid, fd ", "fd\nkid"])
    def test_commas_or_spaces_separate(self, text: str) -> None:
        assert separated(text) == ["fd", "kid"]

    def test_a_list_is_taken_as_it_is(self) -> None:
        assert separated(["evaluate:my folder/brevity", "fd"]) == ["evaluate:my folder/brevity", "fd"]


def registered(compute: Callable[..., Estimate]) -> MetricEntry:
    metric("test/signature", aspect="realism", unit="1", better="none")(compute)
    entry: MetricEntry = registry.get("metrics", "test/signature")
    return entry


def of_trial(trial: Trial) -> Estimate:
    raise NotImplementedError


def of_likelihood(trial: Trial[Likelihood]) -> Estimate:
    raise NotImplementedError


def of_comparison(c: Comparison) -> Estimate:
    raise NotImplementedError


def of_space(space: Space) -> Estimate:
    raise NotImplementedError


class TestSignatures:
    @pytest.mark.parametrize(
        ("compute", "of", "needs", "sides"),
        [
            (of_trial, "model", "Generator", ()),
            (of_likelihood, "model", "Likelihood", ()),
            (of_comparison, "samples", "Generator", ("samples",)),
            (of_space, "features", "Generator", ("samples", "reference")),
        ],
    )
    def test_the_first_parameter_says_all(
        self, compute: Callable[..., Estimate], of: str, needs: str, sides: tuple[str, ...]
    ) -> None:
        entry = registered(compute)
        assert (entry.of, entry.needs.__name__, entry.sides) == (of, needs, sides)
        assert len(entry.on) == 6  # every modality, where none is named

    def test_types_that_are_no_strings_are_taken_too(self) -> None:
        def compute(trial: Any) -> Estimate:
            raise NotImplementedError

        compute.__annotations__["trial"] = Trial[Reconstructor]
        assert registered(compute).needs is Reconstructor

    @pytest.mark.parametrize("kind", ["", "int", "Trial[int, int]", "Trail", "Trial[Any]", "Likelihood"])
    def test_a_wrong_one_is_told_when_it_is_registered(self, kind: str) -> None:
        def compute(x: Any) -> Estimate:
            raise NotImplementedError

        compute.__annotations__["x"] = kind
        if not kind:
            del compute.__annotations__["x"]
        with pytest.raises(GenbenchError, match=r"must be Trial, Trial.Likelihood., Comparison or Space; ") as caught:
            registered(compute)
        assert "test/signature" in str(caught.value) and "test/signature" not in registry.tables["metrics"]

    def test_one_without_parameters_is_told(self) -> None:
        with pytest.raises(GenbenchError, match="it has none"):
            registered(lambda: Estimate(value=0, n=1))


class Few(Comparison):
    def __init__(self) -> None:
        super().__init__("vector", seed=0, device=torch.device("cpu"))
        self.calls: list[object] = []

    def _stored(self, side: Any) -> torch.Tensor:
        return torch.eye(2)


def work(c: Few, side: str) -> object:
    c.calls.append(side)
    return object()


def other_work(c: Few, side: str) -> object:
    c.calls.append(side)
    return object()


class TestOnce:
    def test_it_is_kept_by_the_function_and_what_it_is_given(self) -> None:
        c = Few()
        first = c.once(work, "samples")
        assert c.once(work, "samples") is first
        assert c.once(work, "train") is not first and c.once(other_work, "samples") is not first
        assert c.calls == ["samples", "train", "samples"]

    def test_two_spaces_keep_their_own(self) -> None:
        c = Few()
        one, two = Space(c, None), Space(c, None)
        assert one.once(Space.of, "samples") is one.once(Space.of, "samples")
        assert one.once(Space.of, "samples") is not two.once(Space.of, "samples")

    def test_a_function_that_is_made_anew_shares_nothing_and_is_refused(self) -> None:
        with pytest.raises(GenbenchError, match=r"define .* at the top of its module"):
            Few().once(lambda c: 1)
