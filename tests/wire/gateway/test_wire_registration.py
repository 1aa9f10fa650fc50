"""Mistakes of handlers are found at start-up."""

import pytest

from bastide.kernel.operation import operation


class Misnamed:
    @operation()
    def list_bucketz(self, call, req): ...


class Unmarked:
    def list_buckets(self, call, req): ...


class Good:
    @operation("Prefix")
    def list_directory_buckets_(self, call, req): ...


class Twice:
    @operation()
    def list_buckets(self, call, req): ...


class Dishonest:
    @operation("Bucket", "Nonsense")
    def head_object(self, call, req): ...


class TooDeep:
    @operation("Bucket.Name")
    def head_object(self, call, req): ...


class Yields:
    @operation("Bucket", "Key")
    async def head_object(self, call, req):
        yield {}


class YieldsToo:
    @operation("Bucket", "Key")
    def head_object(self, call, req):
        yield {}


class Private:
    @operation("Bucket", "Key")
    def head_object(self, call, req): ...

    def _helper(self): ...


class Touchy:
    """Reading this attribute of an instance fails, as `__weakref__` does on Python 3.11.2."""

    @property
    def broken(self):
        raise TypeError("not of this object")

    @operation("Bucket", "Key")
    def head_object(self, call, req): ...


@pytest.mark.parametrize(
    ("made", "kind"),
    [(Misnamed, TypeError), (Unmarked, TypeError), (Good, TypeError), (Twice, TypeError),
     (Dishonest, ValueError), (TooDeep, ValueError), (Yields, TypeError), (YieldsToo, TypeError)],
)  # fmt: skip
def test_mistakes(world, made, kind):
    with pytest.raises(kind):
        world.gateway.register("s3", made())


def test_private_methods_are_none_of_its_business(world):
    world.gateway.register("s3", Private())
    assert "s3.HeadObject" in world.gateway.handlers


def test_only_methods_of_the_class_are_read(world):
    world.gateway.register("s3", Touchy())
    assert "s3.HeadObject" in world.gateway.handlers


def test_unknown_service(world):
    with pytest.raises(Exception, match="nosuch"):
        world.gateway.register("nosuch", Private())
