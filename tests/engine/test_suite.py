"""A suite is checked whole before anything runs: each mistake has its own clear message."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, model_validator

from bench import DataError, GenbenchError, SuiteError, UnknownName, cache_folder
from bench.engine.plan import plan_trials
from bench.engine.suite import apply_override, check_suite, find_suite, read_suite
from bench.parameters import check
from tests.suites import IMAGE_FAMILY, OURS, SMALL, TEXT_FAMILY, TEXT_MAKES

pytestmark = pytest.mark.usefixtures("mixture")

GOOD = "[datasets.digits]\n[generators.mixture]\n"

# What is written, and what the answer must say.
MISTAKES = {
    "seed = [0]": "unknown key 'seed'; did you mean 'seeds'?",
    "seeds = []": "seeds = []",
    "seeds = [1, 1]": "different whole numbers",
    "seeds = [true]": "seeds = [True]",
    "metrics = ['fd_lenett']": "unknown metric 'fd_lenett'; did you mean 'fd_lenet'?",
    "metrics = []": "leave it out for all that apply",
    "controls = 3": "controls = 3: should be a truth value",
    "budget = 3": "budget = 3: should be a table",
    "budget.train_step = 3": "unknown parameter 'train_step'; did you mean 'train_steps'?",
    "budget.train_steps = 0": "budget.train_steps = 0: input should be greater than 0 (default 1000)",
    "budget.time_limit = 0": "budget.time_limit = 0: input should be greater than 0 (left out by default)",
    "budget.curve_metrics = ['fd']": "budget: curve_metrics belongs at the top of the suite, not in [budget]",
    "keep = 'fd_lenet'": "keep belongs in [budget], not at the top of the suite",
    "latent = 3": "unknown key 'latent'",
    "generators.mixture.samples = 3": "generators.mixture: samples belongs in [budget], not in [generators.mixture]",
    "budget.source = 'x'": "budget: source belongs in the table of a dataset, such as [datasets.mine], not in [budget]",
    "budget.samples = 1.5": "budget.samples = 1.5: input should be a valid integer",
    "generators.mixture.latent = 'abc'": "input should be a valid integer (default 20)",
    "generators.mixture.latent = -1": "generators.mixture.latent = -1: input should be greater than 0",
    "generators.mixture.latnt = 3": "generators.mixture: unknown parameter 'latnt'; did you mean 'latent'?",
    "generators.mixture.decoder = 'bernouli'": "input should be 'bernoulli' or 'gaussian'",
    "generators.mixture.preset = 'huge'": "unknown preset 'huge'; there is paper, test, tiny",
    "generators.mixture.load = 'no.safetensors'": "there is no checkpoint no.safetensors",
    "generators.mixtrue.latent = 3": "unknown generator 'mixtrue'; did you mean 'mixture'?",
    "generators.mixture.lr = inf": "generators.mixture.lr = inf: input should be a finite number",
    "generators.mixture.lr = nan": "input should be a finite number",
    "budget.time_limit = inf": "input should be a finite number",
    "generators.mixture.latent = 1979-05-27": "input should be a valid integer",
    "generators.mixture.preset = [1]": "unknown preset [1]",
    "generators.real.family = 'mixture'": "has the name of a control",
    "metrics = ['perplexity']": "metrics: perplexity is for text, but the suite's data is image",
    "name = '../x'": "should be letters",
    "datasets = 3": "datasets = 3: should be a table",
    "generators.x = 3": "generators.x = 3: should be a table",
    "datasets.mnist6k = {}": "unknown dataset 'mnist6k'; did you mean 'mnist5k'?",
    "datasets.digits.root = 'x'": "datasets.digits: unknown parameter 'root'",
    f"generators.{TEXT_FAMILY} = {{}}": f"generators.{TEXT_FAMILY} makes {TEXT_MAKES}, but the suite's data is image",
    "datasets.kjv = {}": "datasets.kjv is text, which no generator of the suite makes: name one that does (",
    "generators.mixture.load = 3": "generators.mixture.load = 3: should be a string",
    "generators.mixture.budget = 3": "generators.mixture.budget = 3: should be a table",
    "generators.mixture.latent = 9223372036854775808": "generators.mixture.latent is a number beyond 64 bits",
    "budget.samples = 1000000000000000000000": "budget.samples is a number beyond 64 bits",
    f"generators.mixture.latent = {'[' * 99}{']' * 99}": "is nested more than 16 deep",
    f"generators.mixture.preset = '{'x' * 5000}'": "should be at most 4096 characters",
    'datasets.digits.root = "a\\u0000b"': "none of them null",
    "name = 'é" + 150 * "é" + "'": "should be letters",
    "seeds = [1979-05-27]": "seeds = [datetime.date(1979, 5, 27)]: should be",
}


@pytest.mark.parametrize(("mistake", "answer"), MISTAKES.items(), ids=MISTAKES)
def test_each_mistake_is_answered(mistake: str, answer: str) -> None:
    table = tomllib.loads(GOOD)
    key, _, value = mistake.partition(" = ")
    apply_raw(table, key, tomllib.loads(f"v = {value}")["v"])
    with pytest.raises(SuiteError) as caught:
        check_suite(table, "test")
    assert answer in str(caught.value)


def test_a_long_or_unprintable_value_is_shown_short_and_escaped() -> None:
    table = tomllib.loads(GOOD + 'preset = "\\u001b[31m' + "x" * 3000 + '"\nload = "a\\u0007b"')
    table |= {f"key{i}" + "y" * 100: 1 for i in range(1000)}
    with pytest.raises(SuiteError) as caught:
        check_suite(table, "test")
    assert len(caught.value.problems) == 1001 and len(str(caught.value)) < 5000
    assert str(caught.value).endswith(" problems more")
    assert all(line.isprintable() for line in str(caught.value).splitlines())
    assert "a\\x07b" in caught.value.problems[-1]


@pytest.mark.parametrize("key", [1, None, ("a",), "k" * 5000])
def test_a_key_is_a_string_of_some_length(key: Any) -> None:
    tables: list[dict[Any, Any]] = [{key: 1}, {"generators": {key: {}}}, {"generators": {"mixture": {key: 1}}}]
    for table in tables:
        with pytest.raises(SuiteError, match="has the key"):
            check_suite(table, "test")


def test_what_concerns_all_parameters_has_no_place_of_its_own() -> None:
    class Whole(BaseModel):
        a: int = 0

        @model_validator(mode="after")
        def _never(self) -> Whole:
            raise ValueError("a and b do not go together")

    assert check(Whole, {}, "here") == (None, ["here: a and b do not go together"])


def apply_raw(table: dict[str, object], key: str, value: object) -> None:
    *parents, last = key.split(".")
    for parent in parents:
        table = table.setdefault(parent, {})  # type: ignore[assignment]
    table[last] = value


@pytest.mark.parametrize("label", ["", " ", "a\x1bb"])
def test_a_label_can_be_read(label: str) -> None:
    with pytest.raises(SuiteError, match="letters that can be printed"):
        check_suite({**tomllib.loads(GOOD), "generators": {label: {"family": "mixture"}}}, "test")


def test_all_mistakes_are_told_at_once() -> None:
    table = tomllib.loads(GOOD + "latent = 'abc'\nwidth = 0\n[budget]\nsamples = 0")
    with pytest.raises(SuiteError) as caught:
        check_suite(table, "test")
    assert len(caught.value.problems) == 3


def test_of_very_many_mistakes_the_first_are_told_and_the_others_counted() -> None:
    with pytest.raises(SuiteError) as caught:
        check_suite({**tomllib.loads(GOOD), **{f"k{i}": 1 for i in range(5000)}}, "test")
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("unknown key 'k0'") and lines[-1] == f"and {5000 - len(lines) + 1} problems more"
    assert len(caught.value.problems) == 5000 and len(lines) <= 21


@pytest.mark.parametrize(
    ("given", "answer"),
    [
        ({"load": "a\n"}, r"generators\.mixture\.load: there is no checkpoint a\\n"),
        ({"load": ""}, r"generators\.mixture\.load: an empty path: is a variable not set"),
        ({"load": " "}, r"generators\.mixture\.load: an empty path: is a variable not set"),
        ({"x": {"a\nb": 2**70}}, r"generators\.mixture\.x\.a\\nb is a number beyond 64 bits"),
    ],
)
def test_what_is_empty_or_of_two_lines_is_answered_in_one(given: dict[str, Any], answer: str) -> None:
    table = tomllib.loads(GOOD)
    with pytest.raises(SuiteError, match=f"^{answer}[^\n]*$"):
        check_suite({**table, "generators": {"mixture": given}}, "test")


@pytest.mark.parametrize("name", ["", " ", "\n"])
def test_an_empty_name_is_no_folder(name: str) -> None:
    with pytest.raises(SuiteError, match=r"^suite: an empty path: is a variable not set"):
        find_suite(name)


def test_a_name_of_two_lines_is_told_in_one(tmp_path: Path) -> None:
    with pytest.raises(
        SuiteError, match=r"^there is no suite file a\\nb.toml \(looked for at /[^\n]*/a\\nb.toml\); [^\n]*$"
    ):
        find_suite("a\nb.toml")
    with pytest.raises(SuiteError, match=r"^--set [^\n]*no generators\.a\\nb[^\n]*$"):
        apply_override(tomllib.loads(GOOD), "generators.a\nb.x=1")


@pytest.mark.parametrize("text", ["", "[datasets.digits]", "[generators.mixture]"])
def test_an_empty_suite_is_refused(text: str) -> None:
    with pytest.raises(SuiteError, match="the suite has no"):
        check_suite(tomllib.loads(text), "test")


def test_defaults_presets_and_own_values_are_laid_over_each_other() -> None:
    text = GOOD + "preset = 'tiny'\nlatent = 7\nbudget = { train_steps = 5 }\n[budget]\nbatch_size = 9"
    mixture = check_suite(tomllib.loads(text), "test").generators[0]
    assert mixture.params == {"latent": 7, "width": 256, "decoder": "bernoulli", "lr": 2e-3}
    assert (mixture.budget.train_steps, mixture.budget.batch_size, mixture.budget.samples) == (5, 9, 1000)


def test_a_family_can_stand_twice() -> None:
    table = tomllib.loads(GOOD + "[generators.mixture-wide]\nfamily = 'mixture'\nwidth = 9")
    suite = check_suite(table, "test")
    assert [(g.label, g.family, g.params["width"]) for g in suite.generators] == [
        ("mixture", "mixture", 500),
        ("mixture-wide", "mixture", 9),
    ]


def test_a_whole_number_is_a_number() -> None:
    assert check_suite(tomllib.loads(GOOD + "lr = 1"), "test").generators[0].params["lr"] == 1.0


class TestOverrides:
    def override(self, text: str) -> dict[str, object]:
        table = tomllib.loads(SMALL)
        apply_override(table, text)
        return table

    def test_a_value_is_toml(self) -> None:
        assert self.override("generators.ours.lr=0.5")["generators"] == tomllib.loads(f"{OURS}lr = 0.5")["generators"]
        assert self.override("seeds=[1, 2]")["seeds"] == [1, 2]

    def test_what_is_not_toml_is_a_string(self) -> None:
        assert self.override("generators.ours.preset=tiny")["generators"]["ours"]["preset"] == "tiny"  # type: ignore[index]

    def test_a_misspelt_label_is_no_new_entry(self) -> None:
        with pytest.raises(SuiteError, match=r"no generators\.outs; did you mean 'ours'"):
            self.override("generators.outs.lr=3")

    @pytest.mark.parametrize(
        "text",
        [
            *("latent", "=3", "generators..latent=3", "budget.train_steps.x=3", "x." * 99 + "y=3", "a\x1b" * 99),
            *(f"generators.ours.lr={value}" for value in ("9" * 5000, "[" * 9999 + "]" * 9999)),
        ],
        ids=lambda text: text[:30].encode("unicode_escape").decode(),
    )
    def test_a_malformed_one_is_refused(self, text: str) -> None:
        with pytest.raises(SuiteError, match="--set") as caught:
            self.override(text)
        assert len(str(caught.value)) < 500 and str(caught.value).isprintable()

    def test_where_there_is_no_table_it_makes_none(self) -> None:
        with pytest.raises(SuiteError, match="'datasets' is a value, not a table"):
            apply_override({"datasets": 3}, "datasets.digits.window=3")

    def test_two_lines_are_a_string(self) -> None:
        assert self.override("name=1\nseeds=[7]")["name"] == "1\nseeds=[7]"


def test_a_wrong_file_is_told_apart_from_a_wrong_name(tmp_path: Path) -> None:
    with pytest.raises(SuiteError, match="there is no suite file"):
        find_suite(tmp_path / "no.toml")
    with pytest.raises(SuiteError, match="is a folder: name the TOML file"):
        find_suite(tmp_path)
    with pytest.raises(UnknownName, match=r"unknown suite 'dem'; did you mean 'demo'\?.*the path of its TOML file"):
        find_suite("dem")


def test_a_suite_that_is_not_there_says_where_it_was_looked_for_and_what_is_near(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(GOOD)
    for asked, told in (
        ("mien.toml", f"(looked for at {tmp_path}/mien.toml); did you mean 'mine.toml'?"),
        ("demo.toml", "did you mean the suite 'demo', which comes with genbench?"),
        ("demoo.toml", "did you mean the suite 'demo'?"),
        ("mine", "its TOML file, such as mine.toml;"),
        ("nosuch", f"none is here (looked for at {tmp_path}/nosuch.toml)"),
        (str(tmp_path / "sub" / "no.toml"), f"there is no suite file {tmp_path}/sub/no.toml; `genbench"),
    ):
        with pytest.raises(GenbenchError) as caught:
            find_suite(asked)
        assert told in str(caught.value) and "`genbench list suites`" in str(caught.value), asked


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"generators": {"mixture": {"load": "no.safetensors"}}}, "no.safetensors"),
        ({"generators": {"theirs": {"family": "samples:no.npz"}}}, "no.npz"),
        ({"datasets": {"kjv": {}}, "generators": {"theirs": {"family": "hf:./no"}}}, "no"),
        ({"datasets": {"kjv": {}}, "generators": {"theirs": {"family": "hf:no"}}}, "no"),
        ({"datasets": {"mine": {"source": "folder:no"}}}, "no"),
        ({"datasets": {"mine": {"source": "hf:no"}}}, "no"),
        ({"datasets": {"mine": {"source": "text:no.txt"}}, "generators": {TEXT_FAMILY: {}}}, "no.txt"),
    ],
)
def test_a_path_that_leads_nowhere_is_told_with_the_folder_it_starts_from(
    changes: dict[str, Any], path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(GenbenchError, match=re.escape(f"(looked for at {tmp_path / path})")):
        plan_trials(check_suite({**tomllib.loads(GOOD), "controls": False, **changes}, "test"), "cpu")


UNREADABLE = [b"x = ", b"\xff\xfe", GOOD.encode("utf-16"), b"x = " + b"9" * 5000, b"x = \0"]
UNREADABLE += [b"x = " + b"[" * 20_000 + b"]" * 20_000, b"x = " + b"{a = " * 5000 + b"1" + b"}" * 5000]


@pytest.mark.parametrize("content", UNREADABLE, ids=range(len(UNREADABLE)))
def test_an_unreadable_file_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(content)
    with pytest.raises(SuiteError, match=r"bad\.toml is (not valid TOML|nested too deep)"):
        read_suite(path)


def test_a_line_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_bytes(b"seeds = [0]\n# caf\xe9\n")
    with pytest.raises(SuiteError, match=r"bad\.toml is not valid TOML: line 2 is not UTF-8"):
        read_suite(tmp_path / "bad.toml")


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    path = tmp_path / "marked.toml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert read_suite(path).name == "marked"


def test_a_user_without_a_home_can_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr("pwd.getpwuid", nobody)
    for name in ("HOME", "XDG_CACHE_HOME", "GENBENCH_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert cache_folder().parent == tmp_path
    table: dict[str, Any] = {"datasets": {"mnist5k": {}}, "generators": {IMAGE_FAMILY: {}}}
    assert len(plan_trials(check_suite(table, "test"), "cpu")) == 5  # with four controls
    table["datasets"] = {"mnist": {"root": "~/data"}}
    with pytest.raises(DataError, match=r"datasets.mnist: there is no '~/data'"):
        plan_trials(check_suite(table, "test"), "cpu")


@pytest.mark.parametrize("root", ["~nosuchuser/x", "x" * 300, "/dev/null"])
def test_data_in_a_place_that_cannot_be_is_told(root: str) -> None:
    suite = check_suite({"datasets": {"mnist": {"root": root}}, "generators": {"mixture": {}}}, "test")
    with pytest.raises(DataError, match=r"there is no '~nosuch|cannot look for MNIST|no MNIST"):
        plan_trials(suite, "cpu")
