"""What an officer sees before they sign."""

from bastide.cli.approvals import _print


def test_each_line_of_an_action_is_a_line_and_no_other_text_makes_one(capsys):
    action = {"deed": "ReleaseTransfer", "does": "create the role r: \\nx\u202e\x1b[2J\ntag it"}
    _print({
        "kind": "transfer-release", "action": action, "standing": "pending", "requester": "o",
        "missing": [], "created": "", "expires": "", "digest": "", "wait_ms": 0, "signatures": [],
    })  # fmt: skip
    told = [line for line in capsys.readouterr().out.splitlines() if "does" in line]
    assert told == [r"  does: create the role r: \nx\u202e\x1b[2J", "  does: tag it"]
