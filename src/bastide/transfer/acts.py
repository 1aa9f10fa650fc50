"""What a receipt says of an act at the gate, as the gate knows it when the act is done."""

from bastide.kernel.labels.scheme import MarkingError, Scheme
from bastide.kernel.receipts import Transfer
from bastide.transfer.bundles import Bundle
from bastide.transfer.gate import Gate
from bastide.transfer.model import Item, Refused
from bastide.transfer.ports import Consent

NO_FILTERS = "absent: it went through no filter here"
NOT_ASKED = "absent: nobody had to approve it"
NOT_BELIEVED = "absent: its sender is not believed"
NOBODY = Consent(people=(), approval="")


def act(
    gate: Gate, bundle: Bundle, consent: Consent = NOBODY, place: str = "", refused: str = ""
) -> Transfer:
    """Of a bundle whose signatures held."""
    predicate = bundle.statement.predicate
    spoken = gate.line.spoken(bundle.digest)
    versions = sorted({one.version for one in spoken if one.version})
    return Transfer(
        bundle=bundle.digest,
        sender=predicate.origin.region,
        receiver=predicate.to,
        direction=_direction(gate, bundle),
        agency=predicate.origin.agency or "absent: no agency's",
        label=_label(gate.site.scheme, predicate.items),
        items=len(predicate.items),
        size=predicate.size,
        filters=tuple(f"{one.name} sha256:{one.digest}" for one in spoken) or (NO_FILTERS,),
        filter_versions=tuple(versions),
        officers=tuple(consent.people),
        approval=consent.approval or NOT_ASKED,
        place=place,
        refused=refused,
    )


def refusal(gate: Gate, digest: str, why: str) -> Transfer:
    """Of what was refused: nothing that a bundle says is told unless its signatures held."""
    try:
        return act(gate, gate.named(digest), refused=why)
    except Refused:
        return Transfer(
            bundle=digest,
            sender=NOT_BELIEVED,
            receiver=gate.region,
            direction=NOT_BELIEVED,
            agency=NOT_BELIEVED,
            label=NOT_BELIEVED,
            items=None,
            size=None,
            filters=(NO_FILTERS,),
            filter_versions=(),
            officers=(),
            approval=NOT_ASKED,
            refused=why,
        )


def _direction(gate: Gate, bundle: Bundle) -> str:
    try:
        return "down" if gate.goes_down(bundle) else "up"
    except Refused as error:
        return f"absent: {error}"


def _label(scheme: Scheme, items: list[Item]) -> str:
    """All of them together: what a medium that carries the bundle is."""
    try:
        labels = [scheme.parse(text) for text in sorted({item.label for item in items})]
    except MarkingError:
        return "absent: a label in it is none of this region's scheme"
    if not labels:
        return "absent: it is empty"
    joined = labels[0]
    for one in labels[1:]:
        joined = joined.join(one)
    return joined.text
