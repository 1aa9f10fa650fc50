"""What officers of one region sign, and what is sent to one, another refuses, for every ordered
pair. The same people, with the same keys, are the officers of all three, and each trusts the
others: so it is the region alone that makes the difference.

Last in this folder: where officers are enrolled, an agency's first keys are handed out once.
"""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from tests.gate_live import Side, create, received
from tests.officers_kit import Person
from tests.officers_live import Desk
from tests.service.regions.test_service_three_refuse import PAIRS, alone, both
from tests.three import NAMES

from bastide.cli.control import CommandFailed, NotYetApproved
from bastide.cli.signing import say
from bastide.kernel.statements import Verdict
from bastide.policy.approval_model import Role

EVE = Person("eve", (Role.REVIEWER,))


@dataclass(frozen=True)
class Forwarding:
    """Signs as for one region, and hands it to another."""

    region: str
    post: Callable[..., Any]


@pytest.fixture(scope="module")
def sides(three, tmp_path_factory):
    folder, people = tmp_path_factory.mktemp("officers"), {}
    made = {
        name: Side(region, Desk(region, folder, people)) for name, region in three.regions.items()
    }
    for side in made.values():
        side.desk.enrol("ann", "security-officer", "releaser")
        side.desk.enrol("bob", "security-officer", "releaser")
    for one, other in PAIRS:
        made[one].trust(made[other])
    return made


def asked(side):
    """A request that waits in a region: the same wish in each."""
    body = {"name": "eve", "roles": ["reviewer"], "known_as": [], "officer": ""}
    body["public_key"] = EVE.pem
    with pytest.raises(NotYetApproved) as waits:
        side.region.control.post("/officers", body)
    return side.region.control.get(f"/approvals/{waits.value.request}")


def refusal(control, shown, desk):
    with pytest.raises(CommandFailed) as refused:
        say(control, shown, Verdict.APPROVE, officer="ann", key=desk.key("ann"))
    return str(refused.value)


@both
def test_an_approval(sides, one, other):
    there, desk = sides[other].region.control, sides[other].desk
    forwarding = Forwarding(one, there.post)
    assert "no request" in refusal(forwarding, asked(sides[one]), desk)
    shown = asked(sides[other])
    assert f"This is for the region {one}" in refusal(forwarding, shown, desk)
    assert there.get(f"/approvals/{shown['id']}")["standing"] == "pending"


@alone
def test_each_takes_its_own_officers_word(sides, one):
    shown, desk = asked(sides[one]), sides[one].desk
    own = Forwarding(one, sides[one].region.control.post)
    assert say(own, shown, Verdict.REJECT, officer="ann", key=desk.key("ann"))["standing"] == (
        "rejected"
    )


@pytest.fixture(scope="module")
def bundles(sides):
    """By region and addressee, a true one that the third region made."""
    made = {}
    for name, side in sides.items():
        s3 = side.region.s3("for-others", "courier")
        s3.put_object(Bucket="for-others", Key="a.txt", Body=b"a\n")
        for to in set(NAMES) - {name}:
            digest = create(side.region, to, "courier", "for-others")["bundle"]
            made[name, to] = side.region.folder / "transfer" / "bundles" / digest
    return made


def laid(region, bundle):
    """A spool that the region reads, with a bundle in it as if it was sent there."""
    spool = region.folder / "spool"
    shutil.rmtree(spool, ignore_errors=True)
    shutil.copytree(bundle, spool / region.name / bundle.name)
    owner = region.folder.stat()
    for path in (spool, *spool.rglob("*")):
        os.chown(path, owner.st_uid, owner.st_gid)
    return spool


@both
def test_a_bundle(sides, bundles, one, other):
    """Of the third region, for `one`, in what `other` reads."""
    (sender,) = set(NAMES) - {one, other}
    region = sides[other].region
    assert received(region, laid(region, bundles[sender, one])) == [
        ("refused", f"it is for region {one}")
    ]


@alone
def test_each_takes_what_is_for_it(sides, bundles, one):
    sender = next(name for name in NAMES if name != one)
    region = sides[one].region
    assert ("received", "") in received(region, laid(region, bundles[sender, one]))
