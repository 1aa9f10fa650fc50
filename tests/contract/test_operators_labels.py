"""What operators see of labels: what was made of what, down to what nothing is known of."""

import pytest
from tests.identity_kit import FewAgencies

from bastide.db import derivation_records as records
from bastide.db.derivations import Thing
from bastide.kernel.errors import ServiceError
from bastide.operators.labels import LabelRoom

ONE, OTHER = "111122223333", "444455556666"
ENDPOINT, JOB = Thing("arn:e", "S"), Thing("arn:j", "S")
OUTPUT, DATA = Thing("arn:p:s3:::b/out/m", "S"), Thing("arn:p:s3:::b/in/", "U")


@pytest.fixture
def room(database):
    def put(made, *sources, account=ONE):
        database.write(lambda c: records.put(c, account, made, sources))

    put(ENDPOINT, Thing("arn:p:s3:::b/out/", ""))
    put(OUTPUT, JOB)
    put(JOB, DATA)
    put(Thing("arn:e", "U"), account=OTHER)
    marked = lambda account, arn: ["S"] if (account, arn) == (ONE, "arn:e") else []  # noqa: E731
    agencies = FewAgencies({"a": ONE, "b": OTHER})
    return LabelRoom(agencies=agencies, database=database, marked=marked, downgrades=None)


def test_a_thing_is_followed_to_what_it_was_made_of(room):
    found = room.graph("a", "arn:e")
    assert (found["labels"], found["whole"]) == (["S"], True)
    edges = [(edge["arn"], edge["from_arn"], edge["from_label"]) for edge in found["edges"]]
    prefix = "arn:p:s3:::b/out/"
    assert edges == [
        ("arn:e", prefix, ""),
        (prefix, OUTPUT.arn, "S"),
        (OUTPUT.arn, JOB.arn, "S"),
        (JOB.arn, DATA.arn, "U"),
    ]


def test_another_agencys_thing_and_no_thing_are_refused_alike(room):
    for agency, arn in (("b", "arn:e"), ("a", "arn:none")):
        with pytest.raises(ServiceError, match="Nothing of agency"):
            room.graph(agency, arn)
    with pytest.raises(ServiceError, match="no agency c"):
        room.graph("c", "arn:e")


def test_what_is_made_anew_is_made_of_something_else(room, database):
    database.write(lambda c: records.put(c, ONE, JOB, [Thing("arn:x", "S")]))
    assert [edge["from_arn"] for edge in room.graph("a", JOB.arn)["edges"]] == ["arn:x"]
