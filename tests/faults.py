"""A port with somebody in between: every call of a method goes through `around(name, call)`,
which may refuse it, let it take effect and then fail, count it, or leave it alone."""

from functools import partial


class Between:
    """Stands for `target`; what is no method is passed through."""

    def __init__(self, target, around, name=""):
        self._target, self._around = target, around
        self._name = name or type(target).__name__

    def __getattr__(self, name):
        found = getattr(self._target, name)
        if not callable(found):
            return found
        return lambda *args, **options: self._around(
            f"{self._name}.{name}", partial(found, *args, **options)
        )
