"""Who acts: what a process says of itself is believed as far as the system does not contradict it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slurm_ai_factory.core.programme.persons import Signs, actor, person_of

SERVICE, ALICE = 998, 1000

WHO: list[tuple[Signs, str, str]] = [
    (Signs(SERVICE, "saf"), "", "saf@h"),
    (Signs(SERVICE, "saf", login="saf"), "", "saf@h"),
    (Signs(SERVICE, "saf", sudo="alice"), "", "alice as saf@h"),
    (Signs(0, "root", sudo="alice"), "", "alice as root@h"),
    (Signs(SERVICE, "saf", login="alice", sudo="alice"), "", "alice as saf@h"),
    (Signs(SERVICE, "saf", login="alice", sudo="bob"), "", "alice as saf@h"),
    (Signs(SERVICE, "saf", login="alice", sudo="root"), "", "alice as saf@h"),
    (Signs(SERVICE, "saf", login="alice"), "", "alice as saf@h"),
    (Signs(ALICE, "alice", login="alice"), "", "alice@h"),
    (Signs(ALICE, "alice", sudo="bob"), "", "alice@h"),
    (Signs(ALICE, "alice", login="bob", sudo="carol"), "", "bob as alice@h"),
    (Signs(SERVICE, "saf", login="www-data"), "alice", "alice as saf@h"),
    (Signs(0, "root", login="DOMAIN user as x"), "", "DOMAIN_user_as_x as root@h"),
]


@pytest.mark.parametrize(("signs", "claimed", "expected"), WHO)
def test_the_person_is(signs: Signs, claimed: str, expected: str) -> None:
    assert actor(signs, "h", claimed) == expected


NAMES = st.text("aé.@_- \n\x1b", min_size=1)


@given(user=NAMES, login=NAMES, host=st.text("ab.-", min_size=1))
def test_the_person_is_told_again_from_the_text(user: str, login: str, host: str) -> None:
    assert person_of(actor(Signs(0, user, login), host)) == login.replace(" ", "_")
