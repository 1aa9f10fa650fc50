"""What a thing with a label is: a node of the graph of what was made of what."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thing:
    """`label`: its marking; "" where nobody has looked at it yet."""

    arn: str
    label: str
