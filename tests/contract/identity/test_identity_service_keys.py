"""Keys that are issued to what a service runs: whose they are, at which label, and where."""

from tests.identity_kit import SERVICE, refused, trust

from bastide.identity.service_keys import ServiceKeys
from bastide.kernel.call import BEHIND


def test_a_services_keys_are_of_its_role_at_one_label_behind_one_door(site, admin):
    call = site.call(admin)
    role = {"RoleName": "R", "AssumeRolePolicyDocument": trust({"Service": SERVICE})}
    arn = site.roles.create_role(call, role)["Role"]["Arn"]
    keys = ServiceKeys(roles=site.service_roles, tokens=site.tokens)
    made = keys.issue(admin.account, arn, SERVICE, "U", "door-1")
    found = site.credentials.find(made["AccessKeyId"], made["Token"], site.clock.now())
    assert found.secret == made["SecretAccessKey"]
    who = found.principal
    assert (who.account, who.issuer_arn, who.session.text) == (admin.account, arn, "U")
    assert who.clearance == who.session  # no more than it works at
    assert who.facts[BEHIND] == "door-1"
    assert who.arn.endswith(":assumed-role/R/door-1")
    for asked in (
        (admin.account, arn, "other.amazonaws.com", "U"),
        (admin.account, arn, SERVICE, "S"),
        ("999999999999", arn, SERVICE, "U"),
        (admin.account, arn + "x", SERVICE, "U"),
    ):
        refused("ValidationException", keys.issue, *asked, "door-1")
    site.clock.advance(3600)
    assert site.credentials.find(made["AccessKeyId"], made["Token"], site.clock.now()) is None
