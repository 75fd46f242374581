"""What a result rests on: code that a family reaches in its own folder, and nothing that decides no number."""

from __future__ import annotations

import importlib
import inspect
import re
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import code_digest as identity
from bench.code_digest import reached, script, source_digest
from bench.registry import registry
from bench.testing import family_for

FAMILY = f"{family_for('image').origin.replace('.', '/')}.py"
FILES = {
    "run.py": "import helper\nfrom shapes import round_ones\nimport tools.deep\n",
    "helper.py": "def squash(x):\n    return x / 2\n",
    "shapes/__init__.py": "from shapes.other import unused\n",
    "shapes/round_ones.py": "from . import circle\nfrom .sub.area import area\n",
    "shapes/circle.py": "PI = 3\n",
    "shapes/other.py": "unused = 1\n",
    "shapes/sub/area.py": "import importlib\nlate = importlib.import_module('lazy')\ndef area():\n    import inside\n",
    "tools/__init__.py": "",
    "tools/deep.py": "",
    "lazy.py": "",
    "inside.py": "",
    "stranger.py": "",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def digest(path: Path) -> str:
    """As another process would find it."""
    identity._parsed.cache_clear()
    return source_digest(str(path))


def test_a_script_rests_on_all_it_imports_from_its_folder(folder: Path) -> None:
    names = {"run", "helper", "shapes.round_ones", "shapes.circle", "shapes.sub.area", "lazy", "inside"}
    assert set(reached(script(folder / "run.py"))) == names | {"tools", "tools.deep"}


@pytest.mark.parametrize("name", ["run.py", "helper.py", "shapes/circle.py", "shapes/sub/area.py", "inside.py"])
def test_a_change_of_any_of_them_is_another_identity(folder: Path, name: str) -> None:
    before = digest(folder / "run.py")
    (folder / name).write_text((folder / name).read_text() + "\nMORE = 1\n")
    assert digest(folder / "run.py") != before


@pytest.mark.parametrize("name", ["run.py", "helper.py"])
def test_a_file_that_is_edited_while_the_process_lives_is_read_again(folder: Path, name: str) -> None:
    """As in a notebook, where a module is edited and the same call made again."""
    before = source_digest(str(folder / "run.py"))
    assert source_digest(str(folder / "run.py")) == before
    (folder / name).write_text((folder / name).read_text() + "\nMORE = 1\n")
    assert source_digest(str(folder / "run.py")) != before


@pytest.mark.parametrize("name", ["stranger.py", "shapes/other.py", "shapes/__init__.py"])
def test_a_change_of_what_it_does_not_import_is_none(folder: Path, name: str) -> None:
    before = digest(folder / "run.py")
    (folder / name).write_text("CHANGED = 1\n")
    assert digest(folder / "run.py") == before


BASE = "import helper\ndef f(x: int = 1) -> int:\n    return x + 1\n"
SAME = {
    "a comment": BASE + "# done\n",
    "a docstring": f'"""What it is."""\n{BASE}'.replace("int:\n", 'int:\n    """More."""\n'),
    "brackets": BASE.replace("x + 1", "(x +\n        1)"),
    "what it does as the program": BASE + "\nif __name__ == '__main__':\n    import stranger\n",
}
DIFFERENT = {
    "a number": BASE.replace("= 1", "= 2"),
    "its type": BASE.replace("= 1", "= 1.0"),
    "an operator": BASE.replace("x + 1", "x - 1"),
    "None": BASE.replace("= 1", "= None"),
    "order": BASE.replace("import helper\n", "") + "import helper\n",
}


@pytest.mark.parametrize("change", [*SAME, *DIFFERENT])
def test_what_decides_no_number_is_no_change(folder: Path, change: str) -> None:
    path = folder / "run.py"
    path.write_text(BASE)
    before = digest(path)
    path.write_text({**SAME, **DIFFERENT}[change])
    assert (digest(path) == before) == (change in SAME)


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("import sys\nWIDTH = int(sys.argv[1])\n", True),
        (
            "def options():\n    return parser.parse_args()\ndef all():\n    return options()\nWIDTH = all().width\n",
            True,
        ),
        ("def main():\n    return parser.parse_args()\nif __name__ == '__main__':\n    main()\n", False),
    ],
)
def test_arguments_count_where_loading_reads_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str, reads: bool
) -> None:
    (folder / "run.py").write_text(text)
    found = []
    for width in "12":
        monkeypatch.setattr(sys, "argv", ["run.py", width])
        found.append(digest(folder / "run.py"))
    assert (found[0] != found[1]) == reads


PARSED = "from argparse import ArgumentParser\nargs = ArgumentParser().parse_args()\n"
SPLIT = {
    "in a module": ("from helper import args\n", PARSED),
    "in a function of a module": ("from helper import get\nargs = get()\n", "def get():\n    return p.parse_args()\n"),
    "under another name": ("from helper import get as g\nargs = g()\n", "def get():\n    return p.parse_args()\n"),
    "when a family is made": (
        "import helper\nclass Mine:\n    width = helper.get()\n",
        "def get():\n    return argv\n",
    ),
    "once": ("from helper import get\n", "@cache\ndef get():\n    return p.parse_args()\n"),
    "of a library": ("import helper\n", "import tyro\nargs = tyro.cli(Options)\n"),
}
SPLIT_BUT_UNREAD = {
    "by nobody": ("from helper import get\n", "def get():\n    return p.parse_args()\n"),
    "by the program": (
        "import helper\nif __name__ == '__main__':\n    helper.get()\n",
        "def get():\n    return argv\n",
    ),
}


@pytest.mark.parametrize("way", [*SPLIT, *SPLIT_BUT_UNREAD])
@pytest.mark.parametrize("module", [False, True])
def test_arguments_count_in_whatever_file_they_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, way: str, module: bool
) -> None:
    """Whether the family stands in the script or in a module of a name."""
    for name, text in zip(("run.py", "helper.py"), {**SPLIT, **SPLIT_BUT_UNREAD}[way], strict=True):
        (folder / name).write_text(text)
    monkeypatch.setitem(sys.modules, "run", SimpleNamespace(__file__=str(folder / "run.py")))
    found = set()
    for width in "12":
        monkeypatch.setattr(sys, "argv", ["run.py", width])
        found.add(source_digest("run" if module else str(folder / "run.py")))
    assert (len(found) == 2) == (way in SPLIT)


CALLS = {
    "import_module('.circle', __package__)": "shapes.circle",
    "import_module('.other', package='shapes')": "shapes.other",
    "import_module('..circle', 'shapes.sub')": "shapes.circle",
    "import_module(name='helper')": "helper",
    "__import__(name='helper')": "helper",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_module_that_is_called_for_by_name_is_reached(folder: Path, call: str) -> None:
    start = folder / "shapes" / "round_ones.py"
    start.write_text(f"from importlib import import_module\ndef late():\n    return {call}\n")
    assert set(reached(script(start))) == {"shapes.round_ones", CALLS[call]}


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("import torch\ntorch.set_default_dtype(torch.float64)\n", True),
        ("from shapes import circle\ncircle.PI = 4\n", True),
        ("from shapes.other import unused\nif unused:\n    import stranger\n", True),
        ("from shapes.other import unused\nUNIT = 1\n__all__ = list('ab')\ndef f(): ...\n", False),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import stranger\n", False),
    ],
)
def test_a_package_counts_where_it_does_more_than_collect(folder: Path, text: str, counts: bool) -> None:
    """It runs before each of its modules; one that only collects would let every family rest on all others."""
    (folder / "shapes" / "__init__.py").write_text(text)
    (folder / "tools" / "deep.py").write_text("import tools\nfrom shapes.sub.area import area\n")
    for start in ("run.py", "tools/deep.py", "shapes/circle.py"):
        found = reached(script(folder / start))
        assert ("shapes" in found) == counts
        assert ("shapes.other" in found) == (counts and "unused" in text)


def test_what_cannot_be_read_as_python_counts_byte_by_byte(folder: Path) -> None:
    (folder / "helper.py").write_text("print 'of old'\n")
    before = digest(folder / "run.py")
    (folder / "helper.py").write_text("print 'of  old'\n")
    assert digest(folder / "run.py") != before


def test_packages_installed_side_by_side_are_strangers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Or a family would rest on every line of numpy."""
    (folder / "acme.py").write_text("import helper\n")
    monkeypatch.syspath_prepend(str(folder))
    importlib.import_module("acme")
    try:
        assert "helper" in reached(identity._imported("acme") or script(folder))
        (folder / "acme-1.0.dist-info").mkdir()
        identity._is_installed.cache_clear()
        assert set(reached(identity._imported("acme") or script(folder))) == {"acme"}
    finally:
        for name in ("acme", "helper"):
            sys.modules.pop(name, None)
        identity._is_installed.cache_clear()


def test_our_own_rest_on_their_package_and_not_on_the_kernel() -> None:
    origins = {name: entry.origin for name, entry in registry.all("generators").items()}
    found = {name: set(reached(identity._imported(origin) or script(Path()))) for name, origin in origins.items()}
    for name, origin in origins.items():
        imported = re.findall(r"^from (generators\.\w+) import", inspect.getsource(sys.modules[origin]), re.MULTILINE)
        assert {origin, *imported} <= found[name], name
        assert all(module.startswith("generators.") for module in found[name]), name
    assert min(map(len, found.values())) == 1 and max(map(len, found.values())) > 3
    assert len({source_digest(origin) for origin in set(origins.values())}) == len(set(origins.values()))


class TestOurs:
    """What a change to our own files measures or trains anew."""

    @pytest.fixture
    def house(self, tmp_path: Path) -> Path:
        for package in ("generators", "metrics"):
            source = Path(str(importlib.import_module(package).__file__)).parent
            shutil.copytree(source, tmp_path / package, ignore=shutil.ignore_patterns("*.safetensors", "__pycache__"))
        return tmp_path

    @staticmethod
    def changed(house: Path, file: str, old: str, new: str) -> set[str]:
        """The registered files whose identity is another one when ``old`` in a file becomes ``new``."""
        files = [path for path in house.rglob("*.py") if not path.name.startswith("_")]
        before = {path: source_digest(str(path)) for path in files}
        text = (house / file).read_text()
        assert old in text
        (house / file).write_text(text.replace(old, new, 1))
        return {str(path.relative_to(house)) for path in files if source_digest(str(path)) != before[path]}

    def test_a_comment_in_a_family_trains_nothing_anew(self, house: Path) -> None:
        assert self.changed(house, FAMILY, "\nclass ", "\n# a thought\nclass ") == set()

    def test_a_docstring_in_a_metric_measures_nothing_anew(self, house: Path) -> None:
        assert self.changed(house, "metrics/features/kid.py", '"""', '"""Another word. ') == set()

    def test_a_family_s_own_line_is_its_own(self, house: Path) -> None:
        assert self.changed(house, FAMILY, "\nclass ", "\nCONSTANT = 1\nclass ") == {FAMILY}

    def test_a_constant_in_shared_work_trains_those_anew_that_import_it_and_no_others(self, house: Path) -> None:
        shared = house / "generators" / "_drawing.py"
        shared.write_text(f"{shared.read_text()}\nCONSTANT = 1\n")
        families, users, new = set(shared.parent.rglob("[!_]*.py")), set[Path](), {shared}
        while new:  # those that import it, or what imports it
            names = {f"from generators.{path.stem} import" for path in new}
            users |= new
            every = {path for path in shared.parent.rglob("*.py") if any(n in path.read_text() for n in names)}
            new = every - users
        named = {str(path.relative_to(house)) for path in users & families}
        assert 0 < len(named) < len(families)
        assert self.changed(house, "generators/_drawing.py", "CONSTANT = 1", "CONSTANT = 2") == named
