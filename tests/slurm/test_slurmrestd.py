"""What slurmrestd cannot do, on a real one: if a later release can, this test fails, and saf may use it."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from pathlib import Path

import pytest

from tests.cluster.requirements import unavailable, without_rest
from tests.cluster.slurm import SlurmCluster
from tests.cluster.tree import plant

VERSION = "26.05"
REASON = unavailable(1, VERSION) or without_rest(VERSION)
LIMITS = ("GrpJobs=40", "GrpTRES=cpu=900", "MaxWall=90", "Priority=7")
SHOWN = "format=Share,GrpJobs,GrpTRES,MaxWall,Priority"


@pytest.mark.slurm
@pytest.mark.every_version
@pytest.mark.skipif(REASON is not None, reason=str(REASON))
def test_a_write_of_shares_removes_the_limits_in_tres(tmp_path: Path) -> None:
    """A POST with shares alone removes GrpTRES. sacctmgr sets what it is told and no more."""
    tmp_path.chmod(0o755)
    with SlurmCluster(tmp_path / "cluster", nodes=1, version=VERSION, rest=True) as cluster:
        plant(cluster)
        where = ("where", "name=regional", "cluster=loop", "set")
        cluster.run("sacctmgr", "-i", "modify", "account", *where, *LIMITS)

        def row() -> str:
            return cluster.run(
                "sacctmgr", "-nP", "show", "assoc", "where", "account=regional", "user=", SHOWN
            )

        assert row() == "25|40|cpu=900|01:30:00|7\n"
        token = cluster.run("scontrol", "token", "lifespan=600").strip().removeprefix("SLURM_JWT=")
        key = {"account": "regional", "cluster": "loop", "user": "", "partition": ""}
        body = json.dumps({"associations": [key | {"shares_raw": 31}]})
        headers = {
            "X-SLURM-USER-NAME": "root",
            "X-SLURM-USER-TOKEN": token,
            "Content-Type": "application/json",
        }
        place = cluster.rest_urls[1].removeprefix("http://")
        with closing(http.client.HTTPConnection(place, timeout=120)) as asked:
            asked.request("POST", "/slurmdb/v0.0.45/associations/", body, headers)
            answer = asked.getresponse()
            answer.read()
        assert answer.status == http.client.OK
        assert row() == "31|40||01:30:00|7\n"
