"""Families in a user's own files: the process of a trial finds them again, or planning says why it cannot."""

from __future__ import annotations

import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from bench.doors import Door
from bench.engine.plan import TrialPlan
from bench.engine.worker import _open_doors
from bench.results import store

FAMILY = '''
import torch
from bench import generator

@generator("{name}", modalities={{"image"}})
class Mine(torch.nn.Module):
    """Mine."""

    def __init__(self, spec, *, shade: float = {shade}):
        super().__init__()
        self.shade, self.shape = shade, spec.shape
        self.weight = torch.nn.Parameter(torch.zeros(int({size})))

    def train_step(self, batch, rng):
        return {{"loss": 0.0}}

    def sample(self, n, rng, condition=None):
        return torch.full((n, *self.shape), self.shade)
'''
SUITE = """
metrics = ["parameters"]
controls = false
budget = { train_steps = 1, samples = 10 }
[datasets.digits]
"""
RUN = "\nimport bench\nbench.run({suite!r}, out={out!r}, device='cpu')\n"
GUARD = '\nif __name__ == "__main__":\n    '


def python(*words: Any, **options: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, timeout=300, **options)


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(SUITE + "[generators.mine]\n")
    return path


def sizes(out: Path) -> dict[str, float]:
    records, _ = store.read_records(out)
    assert all(record.status == "ok" for record in records), [record.error for record in records]
    return {record.plan.generator: record.measurements[0].value for record in records}


@pytest.mark.slow
def test_a_module_beside_the_script_and_a_script_with_arguments_are_found(suite: Path, out: Path) -> None:
    """The script asks for its arguments while it is loaded, and needs no guard for what the module registers."""
    folder = suite.parent / "project"
    (folder / "families").mkdir(parents=True)
    (folder / "helper.py").write_text("SIZE = 7\n")
    model = FAMILY.format(name="mine", shade=0.1, size="SIZE")
    (folder / "families" / "mymodels.py").write_text("from helper import SIZE\n" + model)
    head = "import argparse\nimport families.mymodels\nparser = argparse.ArgumentParser()\n"
    head += "parser.add_argument('--size', required=True)\noptions = parser.parse_args()\n"
    family = FAMILY.format(name="scripted", shade=0.2, size="options.size").replace("class Mine", "class Scripted")
    call = "run()\n\ndef run():\n    " + RUN.format(suite=str(suite), out=str(out)).strip().replace("\n", "\n    ")
    body = call.removeprefix("run()\n")
    (folder / "run.py").write_text(head + family + body + "\n" + GUARD + "run()\n")
    suite.write_text(SUITE + "[generators.mine]\n[generators.scripted]\n")
    done = python(folder / "run.py", "--size", 3)
    assert done.returncode == 0, done.stderr
    assert sizes(out) == {"mine": 7, "scripted": 3}
    commands = {record.plan.command for record in store.read_records(out)[0]}
    assert f"python {folder / 'run.py'} --size 3" in commands

    (folder / "helper.py").write_text("SIZE = 8\n")  # what it rests on has changed, and so has the number
    suite.write_text(SUITE + "[generators.mine]\n")
    assert python(folder / "run.py", "--size", 3).returncode == 0
    records = store.read_records(out)[0]
    assert sorted(r.measurements[0].value for r in records if r.plan.generator == "mine") == [7, 8]


@pytest.mark.parametrize(
    ("program", "answer"),
    {
        "standard input": (
            "{family}{run}",
            "the generator 'mine', which the process of a trial cannot find, is defined in a notebook cell, at a "
            "prompt or on standard input: write it to a file",
        ),
        "guarded.py": (
            "def register():{indented}\n{guard}register(){run_indented}",
            "is defined under `if __name__ == \"__main__\":`: move it out",
        ),
        "bare.py": ("{family}{run}", 'a script that calls bench.run must do so under: if __name__ == "__main__":'),
    }.items(),
    ids=["standard input", "under the guard", "without a guard"],
)  # fmt: skip
def test_what_a_trial_would_not_find_is_said_before_anything_runs(
    suite: Path, out: Path, program: str, answer: tuple[str, str]
) -> None:
    text, said = answer
    family, run = FAMILY.format(name="mine", shade=0.1, size=1), RUN.format(suite=str(suite), out=str(out))
    indented, run_indented = (part.replace("\n", "\n    ") for part in (family, run))
    code = text.format(family=family, run=run, guard=GUARD, indented=indented, run_indented=run_indented)
    if program == "standard input":
        done = python("-", input=code)
    else:
        (suite.parent / program).write_text(code)
        done = python(suite.parent / program)
    assert done.returncode == 1 and said in done.stderr.splitlines()[-1]
    assert not out.exists()


def test_a_script_that_is_edited_while_the_process_lives_is_read_again(tmp_path: Path) -> None:
    """As in a notebook that runs it, edits it and runs it again."""
    call = "from bench.doors import door\n{}found = door().problem\n"
    for text, problem in (
        ("", False),
        ('if __name__ == "__main__":\n    ', True),
        ("", False),
        ("if True:\n    ", False),
    ):
        (tmp_path / "mine.py").write_text(call.format(text))
        told = runpy.run_path(str(tmp_path / "mine.py"), run_name="__main__")["found"]
        assert ("is defined under" in told) == problem


def test_a_script_that_cannot_be_loaded_again_is_a_failure_that_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["worker"])
    monkeypatch.setattr(sys, "path", list(sys.path))
    script = tmp_path / "moody.py"
    script.write_text("import sys\nif __name__ != '__main__':\n    sys.exit(f'not today, {sys.argv[1]}')\n")
    plan = SimpleNamespace(doors=(Door(str(script), again=True),), argv=("moody.py", "friend"))
    failure = _open_doors(cast(TrialPlan, plan))
    assert failure is not None
    assert failure.message == f"{script} could not be loaded: SystemExit: not today, friend"
