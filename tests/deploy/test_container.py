"""The container file: what it copies is made, and what it runs is what the package and its unit have."""

from __future__ import annotations

import fnmatch
import json
import re
import shlex

from slurm_ai_factory.config import parse_config
from tests.docs.markdown import ROOT

PLACE = ROOT / "deploy" / "container"
TEXT = (PLACE / "Containerfile").read_text()
STEPS = re.findall(r"^([A-Z]+) (.*)$", TEXT.replace("\\\n", " "), re.M)
UNIT = (ROOT / "deploy" / "systemd" / "saf.service").read_text()
PACKAGE = "build/packages/now/slurm-ai-factory_0.1.0_amd64.deb"


def of(instruction: str) -> list[str]:
    """The arguments of an instruction, wherever it is given."""
    return [rest for name, rest in STEPS if name == instruction]


def test_what_is_copied_is_what_make_deb_makes_and_all_that_the_context_has() -> None:
    (copied,) = of("COPY")
    pattern, target = copied.split()
    assert fnmatch.fnmatch(PACKAGE, pattern)
    assert f"sh deploy/deb.sh {PACKAGE.rpartition('/')[0]}\n" in (ROOT / "Makefile").read_text()
    ignored = (PLACE / "Containerfile.dockerignore").read_text().split()
    assert ignored == ["*", f"!{pattern}"]
    assert f"{target}*.deb" in of("RUN")[0]


def test_it_runs_what_the_unit_runs_as_the_same_user() -> None:
    (entry,), (command,) = map(json.loads, of("ENTRYPOINT")), map(json.loads, of("CMD"))
    assert f"ExecStart={shlex.join([*entry, *command])}\n" in UNIT
    assert f"User={of('USER')[0]}\n" in UNIT
    assert (
        f'ln -s ../lib/slurm-ai-factory/bin/saf "$out{entry[0]}"'
        in (ROOT / "deploy" / "bundle.sh").read_text()
    )


def test_its_port_home_and_user_are_those_of_the_product() -> None:
    (port,) = of("EXPOSE")
    assert parse_config('[cluster]\nname = "c"\n', "saf.toml").daemon.listen.endswith(f":{port}")
    user = (ROOT / "deploy" / "systemd" / "sysusers.conf").read_text()
    assert f"u {of('USER')[0]} - " in user
    assert of("WORKDIR")[0] in user
    assert f"--home-dir {of('WORKDIR')[0]} " in of("RUN")[0]


def test_every_step_is_one_that_docker_and_podman_know_and_stops_where_a_command_fails() -> None:
    assert {name for name, _ in STEPS} <= {
        "ARG", "FROM", "COPY", "RUN", "USER", "WORKDIR", "EXPOSE", "ENTRYPOINT", "CMD",
    }  # fmt: skip
    (run,) = of("RUN")
    assert [part.split()[0] for part in run.split("&&")] == ["useradd", "apt-get", "apt-get", "rm"]
    assert {name.partition("=")[0] for name in of("ARG")} == {"DEBIAN", "SAF_UID"}
    assert re.search(r"slurm-client /tmp/\*\.deb", run)
