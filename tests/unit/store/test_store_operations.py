"""The handlers against the service model: each method an operation, each member its own."""

import inspect

import botocore.session
import pytest
from botocore import xform_name

from bastide.kernel.operation import honours_of
from bastide.store.bucket_policy import BucketPolicies
from bastide.store.buckets import Buckets
from bastide.store.copies import Copies
from bastide.store.listing import Listing
from bastide.store.multipart import Multipart
from bastide.store.objects import Objects
from bastide.store.tagging import Tagging
from bastide.store.versioning import Versioning

MODEL = botocore.session.get_session().get_service_model("s3")
OPERATIONS = {xform_name(name): MODEL.operation_model(name) for name in MODEL.operation_names}
METHODS = [
    (name, method)
    for noun in (Buckets, Objects, Copies, Multipart, Listing, Tagging, BucketPolicies, Versioning)
    for name, method in inspect.getmembers(noun, inspect.isfunction)
    if not name.startswith("_")
]


@pytest.mark.parametrize(("name", "method"), METHODS, ids=[name for name, _ in METHODS])
def test_members_are_the_models(name, method):
    honours = honours_of(method)
    for path in [*honours.members, *honours.accepted]:
        shape = OPERATIONS[name].input_shape
        for step in path.split("."):
            while shape.type_name == "list":
                shape = shape.member
            assert step in shape.members, path
            shape = shape.members[step]
