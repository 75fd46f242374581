"""The suites that come with genbench: each TOML file beside this one, named after the file."""

import tomllib
from pathlib import Path

from bench.registry import register_suite

for _path in sorted(Path(__file__).parent.glob("*.toml")):
    register_suite(_path, tomllib.loads(_path.read_text(encoding="utf-8")).get("about", ""), __name__)
