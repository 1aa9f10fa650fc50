"""The operators' API: each noun's routes. What changes something is audited before it does.

Whoever can open the socket is the platform's operator: it is in a folder of mode 0700 and has
mode 0600. Operators manage agencies, keys, environments and models; no route reads an agency's
content.
"""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from aiohttp import web

from bastide.kernel.approvals import NotApproved
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.operators.agency_routes import AgencyRoutes
from bastide.operators.approval_routes import ApprovalRoutes
from bastide.operators.clearance_routes import ClearanceRoutes
from bastide.operators.duty_routes import DutyRoutes
from bastide.operators.environment_routes import EnvironmentRoutes
from bastide.operators.evidence_routes import EvidenceRoutes
from bastide.operators.key_routes import KeyRoutes
from bastide.operators.label_routes import LabelRoutes
from bastide.operators.model_routes import ModelRoutes
from bastide.operators.policy_routes import PolicyRoutes
from bastide.operators.region_routes import RegionRoutes
from bastide.operators.rule_routes import RuleRoutes
from bastide.operators.share_routes import ShareRoutes
from bastide.operators.transfer_routes import TransferRoutes

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Operators(NamedTuple):
    """All that operators may ask for."""

    region: RegionRoutes
    agencies: AgencyRoutes
    keys: KeyRoutes
    environments: EnvironmentRoutes
    models: ModelRoutes
    labels: LabelRoutes
    rules: RuleRoutes
    approvals: ApprovalRoutes
    clearances: ClearanceRoutes
    duties: DutyRoutes
    shares: ShareRoutes
    policies: PolicyRoutes
    transfers: TransferRoutes
    evidence: EvidenceRoutes

    def application(self) -> web.Application:
        app = web.Application(middlewares=[_errors])
        for routes in self:
            routes.add_to(app)
        return app


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except NotApproved as waits:
        facts = {"error": waits.message, "request": waits.request_id}
        return web.json_response(facts, status=409)
    except ServiceError as error:
        return web.json_response({"error": error.message}, status=400)
    except Unavailable as error:
        return web.json_response({"error": error.what}, status=503)
    except web.HTTPNotFound:
        return web.json_response({"error": f"There is no {request.path} here."}, status=404)
