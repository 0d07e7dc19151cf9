"""One file for several clusters: what each gets of it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.config import (
    Config,
    load_clusters,
    parse_clusters,
    parse_config,
    shown_values,
    sound,
    with_rules_of,
)
from slurm_ai_factory.core import windows
from slurm_ai_factory.errors import ConfigError

FILE = "/etc/saf.toml"
SHARED = """
[promise]
target_share = 0.3
margin = 0.02
[slurm]
timeout = "30s"
[daemon]
listen = ":9000"
[[rule]]
name = "region"
beneficiary = "regional"
account_subtree = "regional"
"""
GPU = """
[[cluster]]
name = "gpu"
[cluster.slurm]
conf = "/etc/slurm/gpu.conf"
[cluster.control]
account = "hub"
[cluster.daemon]
period = "1m"
[[cluster.rule]]
name = "hub"
beneficiary = "regional"
account = "hub"
"""
CPU = """
[[cluster]]
name = "cpu"
[cluster.promise]
margin = 0.05
resource = "cpu"
"""


def parsed(text: str) -> dict[str, Config]:
    return {config.cluster.name: config for config in sound(parse_clusters(text, FILE))}


def refused(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        sound(parse_clusters(text, FILE))
    return str(caught.value)


def test_a_cluster_has_what_is_shared_and_its_own_instead() -> None:
    clusters = parsed(SHARED + GPU + CPU)
    gpu, cpu = clusters["gpu"], clusters["cpu"]
    assert list(clusters) == ["gpu", "cpu"]
    assert (gpu.promise.target_share, gpu.promise.margin, gpu.promise.resource.name) == (0.3, 0.02, "billing")
    assert (cpu.promise.target_share, cpu.promise.margin, cpu.promise.resource.name) == (0.3, 0.05, "cpu")
    assert (gpu.slurm.timeout, gpu.slurm.conf) == (30, Path("/etc/slurm/gpu.conf"))
    assert (cpu.slurm.timeout, cpu.slurm.conf) == (30, None)
    assert (gpu.control.account, cpu.control.account) == (("hub",), ("regional",))
    assert (gpu.daemon.period, cpu.daemon.period, gpu.daemon.listen) == (60, 300, ":9000")
    assert [[rule.name for rule in config.rules] for config in (gpu, cpu)] == [["hub"], ["region"]]


def test_each_value_says_where_it_stands() -> None:
    gpu = parsed(SHARED + GPU + CPU)["gpu"]
    origins = {f"{section}.{key}": origin for section, key, _, origin in shown_values(gpu)}
    own = f"{FILE}, cluster gpu"
    assert {key for key, origin in origins.items() if origin == own} == {
        "cluster.name", "slurm.conf", "control.account", "daemon.period"
    }  # fmt: skip
    assert origins["promise.margin"] == origins["slurm.timeout"] == FILE
    assert origins["control.mode"] == "default"


@given(st.sampled_from([0.05, 0.1, 0.2]), st.sampled_from([None, 0.3]), st.booleans())
def test_one_cluster_of_a_list_is_the_one_of_the_file(margin: float, share: float | None, own: bool) -> None:
    """Wherever its keys stand."""
    keys = f"margin = {margin}\n" + (f"target_share = {share}\n" if share else "")
    alone = parse_config(f'[cluster]\nname = "c"\n[promise]\n{keys}', FILE)
    if own:
        [listed] = parsed(f'[[cluster]]\nname = "c"\n[cluster.promise]\n{keys}').values()
    else:
        [listed] = parsed(f'[promise]\n{keys}[[cluster]]\nname = "c"\n').values()
    for section in ("cluster", "promise", "slurm", "control", "daemon", "ledger"):
        assert getattr(listed, section) == getattr(alone, section)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("cluster = []", "cluster is an empty list; write [[cluster]] with a name"),
        ("cluster = [3]", "[[cluster]] 1 has no name of letters"),
        ("[[cluster]]\nnam = 'x'", "[[cluster]] 1 has no name of letters"),
        ("[[cluster]]\nname = 'a,b'", "[[cluster]] 1 has no name of letters"),
        ("[[cluster]]\nname = 'all'", "other than all"),
        ("[[cluster]]\nname = '../x'", "[[cluster]] 1 has no name of letters"),
        ("[[cluster]]\nname = 'a'\n[[cluster]]\nname = 'A'", "two [[cluster]] are named a"),
        (GPU + "[cluster.slrum]\n", f"cluster gpu: {FILE}: no section [slrum]; did you mean 'slurm'?"),
        (GPU + "[cluster.promise]\nmargn = 1\n", f"cluster gpu: {FILE}: [promise] has no key 'margn'"),
        (GPU + "[cluster.ledger]\nurl = 'x'\n", "cluster gpu: /etc/saf.toml: [ledger] is of all clusters"),
        (
            "[[cluster]]\nname = 'a'\n[cluster.daemon]\nlisten = ':1'\n",
            "[daemon] listen and web_config_file is of all clusters; write it outside [[cluster]]",
        ),
        (
            "[[cluster]]\nname = 'a'\n[[cluster]]\nname = 'b'\n",
            "clusters a and b have the same slurm.conf, which is of one cluster; set conf in [cluster.slurm]",
        ),
        (
            "[slurm]\nsource = 'slurmrestd'\n" + GPU + "[[cluster]]\nname = 'b'\n",
            "clusters gpu and b have the same slurmrestd",
        ),
        (
            "[control]\nlever = 'qos'\nqos = 'hub'\nraised = 10\n" + GPU + "[[cluster]]\nname = 'b'\n",
            "clusters gpu and b both steer QOS hub, whose Priority is the same on every cluster",
        ),
        ("[promise]\nmargin = 2\n" + GPU, f"cluster gpu: {FILE}: [promise] margin = 2"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_name(text: str, said: str) -> None:
    assert said in refused(text)


def test_partitions_of_one_name_are_of_two_clusters() -> None:
    lever = "[control]\nlever = 'partition'\npartition = 'hub'\nraised = 10\n"
    assert list(parsed(lever + GPU + CPU)) == ["gpu", "cpu"]


def test_a_fault_of_one_cluster_is_its_own() -> None:
    clusters = parse_clusters(SHARED + GPU + CPU + "[cluster.grid]\nmode = 'on'\n", FILE)
    assert isinstance(clusters["gpu"], Config)
    assert str(clusters["cpu"]).startswith(f"cluster cpu: {FILE}: [grid] mode = 'on'")


def test_rules_are_tried_on_the_cluster_of_the_same_name(tmp_path: Path) -> None:
    file = tmp_path / "saf.toml"
    file.write_text(SHARED + GPU + CPU)
    gpu, cpu = sound(load_clusters(file))
    other = tmp_path / "other.toml"
    other.write_text(file.read_text().replace('"hub"\nbeneficiary', '"spoke"\nbeneficiary'))
    assert [rule.name for rule in with_rules_of(gpu, other).rules] == ["spoke"]
    assert with_rules_of(cpu, other).rules == cpu.rules
    other.write_text(SHARED + GPU.replace('"gpu"', '"a"') + CPU.replace('"cpu"', '"b"'))
    with pytest.raises(ConfigError, match=r"other.toml has no cluster gpu; it has a, b"):
        with_rules_of(gpu, other)
    alone = tmp_path / "rules.toml"
    alone.write_text("[[rule]]\nbeneficiary = 'regional'\naccount = 'a'\nsince = 2027-01-01\n")
    assert windows.iso(with_rules_of(cpu, alone).rules[0].since) == "2027-01-01T00:00:00Z"
