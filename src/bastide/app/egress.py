"""What a region that may reach out lets out: the site's settings as upstreams and rules."""

import ssl
from pathlib import Path

from bastide.app.core import Core
from bastide.inference.upstream.model import ANY, Egress, EgressRule, Kind, Upstream
from bastide.kernel.labels.scheme import MarkingError
from bastide.models import naming
from bastide.settings import SettingsError, UpstreamSettings


def egress_of(core: Core) -> Egress:
    """What is wrong with it is said at the start. Raises SettingsError."""
    settings = core.settings
    upstreams = {model_id: _upstream(model_id, one) for model_id, one in settings.upstreams.items()}
    if both := settings.upstreams.keys() & settings.engines.urls.keys():
        raise SettingsError(f"{sorted(both)[0]} is an upstream and an engine's URL at once.")
    rules = []
    for rule in settings.egress:
        if strangers := set(rule.models) - {ANY, *upstreams}:
            raise SettingsError(f"egress: there is no upstream {sorted(strangers)[0]}.")
        try:
            up_to = core.labelling.scheme.parse(rule.up_to)
        except MarkingError as error:
            raise SettingsError(f"egress: {error}") from error
        rules.append(EgressRule(agency=rule.agency, up_to=up_to, models=tuple(rule.models)))
    return Egress(upstreams=upstreams, rules=rules)


def _upstream(model_id: str, one: UpstreamSettings) -> Upstream:
    if not naming.is_model_id(model_id):
        raise SettingsError(f"upstreams: {model_id} does not look like a model id.")
    try:
        key = Path(one.key_file).read_text().strip()
        if one.ca_file:
            ssl.create_default_context(cafile=one.ca_file)
    except OSError as error:  # an SSLError is one
        raise SettingsError(f"The upstream {model_id}: {error}") from error
    words = len(key.split())
    if one.kind == "bedrock" and (words not in (2, 3) or not one.region):
        raise SettingsError(
            f"The upstream {model_id} needs a region, and in {one.key_file} two lines: "
            "an access key id and its secret access key."
        )
    if one.kind == "anthropic" and words != 1:
        raise SettingsError(f"The upstream {model_id} needs one key in {one.key_file}.")
    return Upstream(
        kind=Kind(one.kind),
        url=one.url,
        model=one.model,
        key=key,
        region=one.region,
        ca_file=one.ca_file,
    )
