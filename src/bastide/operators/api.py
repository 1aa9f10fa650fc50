"""The routes of the operators' API. Each call that changes something is audited before it does.

Whoever can open the socket is the platform's operator: it is in a folder of mode 0700 and has
mode 0600. Operators manage agencies, keys, environments and models; no route reads an agency's
content.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiohttp import web

from bastide.kernel.approvals import NotApproved
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.keys.keyring import KeyState
from bastide.operators import progress
from bastide.operators.agencies import EnvAsked
from bastide.operators.approval_routes import ApprovalRoutes, requester
from bastide.operators.default_routes import DefaultRoutes
from bastide.operators.evidence_routes import EvidenceRoutes
from bastide.operators.fields import fields
from bastide.operators.keys import family
from bastide.operators.off_loop import answered, audited, off_loop
from bastide.operators.ports import (
    AgencyDesk,
    ClearanceDesk,
    DutyDesk,
    EnvironmentDesk,
    KeyDesk,
    LabelDesk,
    ModelDesk,
    PolicyDesk,
    Trail,
)
from bastide.operators.share_routes import ShareRoutes
from bastide.operators.transfer_routes import Transfers

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Operators:
    """`status` answers what `bastide status` prints; `stop` begins the end of the region."""

    agencies: AgencyDesk
    keys: KeyDesk
    environments: EnvironmentDesk
    models: ModelDesk
    labels: LabelDesk
    defaults: DefaultRoutes
    approvals: ApprovalRoutes
    clearances: ClearanceDesk
    duties: DutyDesk
    shares: ShareRoutes
    policies: PolicyDesk
    transfers: Transfers
    evidence: EvidenceRoutes
    trail: Trail
    status: Callable[[], Mapping[str, Any]]
    hosts_lines: Callable[[], list[str]]
    stop: Callable[[], None]
    executor: Executor

    def application(self) -> web.Application:
        app = web.Application(middlewares=[_errors])
        app.router.add_get("/status", self._plain(lambda request: self.status()))
        app.router.add_get("/dns", self._plain(lambda request: {"hosts": self.hosts_lines()}))
        app.router.add_post("/stop", self._stop)
        app.router.add_get("/agencies", self._plain(lambda request: self.agencies.rows()))
        app.router.add_post("/agencies", self._create_agency)
        app.router.add_post("/agencies-many", self._create_agencies)
        app.router.add_post("/agencies/{name}/client-env", self._client_env)
        app.router.add_get("/keys", self._plain(self._keys))
        app.router.add_post("/keys-all/rotate", self._rotate_all)
        app.router.add_post("/keys/{agency}/rotate", self._rotate)
        app.router.add_post("/keys/{agency}/destroy", self._destroy)
        app.router.add_get("/environments", self._plain(lambda request: self.environments.rows()))
        app.router.add_post("/environments/{name}/build", self._build)
        app.router.add_post("/environments-import", self._import)
        app.router.add_get("/models", self._plain(lambda request: self.models.rows()))
        app.router.add_post("/models/{name}/pull", self._pull)
        app.router.add_post("/models-add", self._add)
        app.router.add_post("/models-alias", self._alias)
        app.router.add_get("/labels/{agency}", self._plain(self._labels))
        app.router.add_post("/labels/{agency}/lower", self._lower)
        self.defaults.add_to(app, self.executor)
        self.approvals.add_to(app, self.executor)
        app.router.add_get("/clearances/{agency}", self._plain(self._clearances))
        app.router.add_post("/clearances/{agency}/grant", self._grant)
        app.router.add_post("/clearances/{agency}/revoke", self._revoke)
        app.router.add_get("/duties/{agency}", self._plain(self._duties))
        app.router.add_post("/duties/{agency}/grant", self._grant_duty)
        app.router.add_post("/duties/{agency}/remove", self._remove_duty)
        app.router.add_get("/policies/{agency}", self._plain(self._policies))
        app.router.add_post("/policies/{agency}/put", self._put_policy)
        app.router.add_post("/policies/{agency}/remove", self._remove_policy)
        app.router.add_post("/policies/{agency}/test", self._test_policy)
        app.router.add_post("/policies/{agency}/why", self._why)
        self.shares.add_to(app, self.executor)
        self.transfers.add_to(app, self.executor)
        self.evidence.add_to(app, self.executor)
        return app

    def _plain(self, answer: Callable[[web.Request], Any]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await answered(self.executor, lambda: answer(request))

        return handle

    async def _stop(self, request: web.Request) -> web.StreamResponse:
        await audited(self.trail, "StopRegion", {})
        self.stop()
        return web.json_response({"stopping": True})

    async def _create_agency(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, "name", "account_id")
        await audited(self.trail, "CreateAgency", {"name": str(body["name"])})
        return await answered(
            self.executor, lambda: self.agencies.create(str(body["name"]), body["account_id"])
        )

    async def _create_agencies(self, request: web.Request) -> web.StreamResponse:
        names = [str(name) for name in (await fields(request, "names"))["names"]]
        await audited(self.trail, "CreateAgencies", {"count": str(len(names))})
        made = await off_loop(self.executor, lambda: self.agencies.create_many(names))
        return web.json_response({"created": made})

    async def _client_env(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, keys=bool, bearer=bool, officer=str)
        asked = EnvAsked(
            agency=request.match_info["name"],
            keys=body["keys"],
            bearer=body["bearer"],
            requester=requester(body["officer"]),
        )
        facts = {"name": asked.agency, "bearer": str(asked.bearer)}

        def recorded() -> None:
            self.trail.operator("GetAdministratorKeys", facts).result()

        return await answered(self.executor, lambda: self.agencies.client_env(asked, recorded))

    def _labels(self, request: web.Request) -> Any:
        return self.labels.graph(request.match_info["agency"], request.query.get("arn", ""))

    async def _lower(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        body = await fields(request, "bucket", "key", "version", "from", "to", "officer")
        asks = requester(str(body.pop("officer")))
        thing = {name: str(text) for name, text in body.items()}
        await audited(self.trail, "LowerLabel", {"agency": agency, **thing})
        return await answered(self.executor, lambda: self.labels.lower(agency, thing, asks))

    def _keys(self, request: web.Request) -> Any:
        return self.keys.rows(request.query.get("agency", ""))

    async def _rotate(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        label = (await fields(request, "label"))["label"]
        keys = await off_loop(self.executor, lambda: self.keys.chosen(agency, label))
        for state in keys:
            await audited(self.trail, "RotateKey", _facts(state))
        return await progress.stream(request, self.executor, lambda: self.keys.rotate(keys))

    async def _rotate_all(self, request: web.Request) -> web.StreamResponse:
        await audited(self.trail, "RotateAllKeys", {})
        return await progress.stream(request, self.executor, self.keys.rotate_all)

    async def _destroy(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        body = await fields(request, "label", "confirm", "officer")
        keys = await off_loop(self.executor, lambda: self.keys.chosen(agency, body["label"]))
        confirm = str(body["confirm"])
        await off_loop(self.executor, lambda: self.keys.check_confirmed(agency, keys, confirm))
        asks, recorded = requester(str(body["officer"])), partial(self._record_destruction, keys)
        return await answered(self.executor, lambda: self.keys.destroy(keys, asks, recorded))

    def _record_destruction(self, keys: Sequence[KeyState]) -> None:
        for state in keys:
            self.trail.operator("DestroyKey", _facts(state)).result()

    def _clearances(self, request: web.Request) -> Any:
        return self.clearances.rows(request.match_info["agency"])

    async def _grant(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        body = await fields(request, "who", "label", "officer")
        who, label, asks = str(body["who"]), str(body["label"]), requester(str(body["officer"]))
        await audited(self.trail, "GrantClearance", {"agency": agency, "who": who, "label": label})
        return await answered(
            self.executor, lambda: self.clearances.grant(agency, who, label, asks)
        )

    async def _revoke(self, request: web.Request) -> web.StreamResponse:
        agency, who = request.match_info["agency"], (await fields(request, "who"))["who"]
        await audited(self.trail, "RevokeClearance", {"agency": agency, "who": str(who)})
        return await answered(self.executor, lambda: self.clearances.revoke(agency, str(who)))

    def _duties(self, request: web.Request) -> Any:
        return self.duties.rows(request.match_info["agency"])

    async def _grant_duty(self, request: web.Request) -> web.StreamResponse:
        agency, body = (
            request.match_info["agency"],
            await fields(request, who=str, duty=str, officer=str),
        )
        who, duty, asks = body["who"], body["duty"], requester(body["officer"])
        await audited(self.trail, "GrantDuty", {"agency": agency, "who": who, "duty": duty})
        return await answered(self.executor, lambda: self.duties.grant(agency, who, duty, asks))

    async def _remove_duty(self, request: web.Request) -> web.StreamResponse:
        agency, body = request.match_info["agency"], await fields(request, who=str, officer=str)
        who, asks = body["who"], requester(body["officer"])
        await audited(self.trail, "RemoveDuty", {"agency": agency, "who": who})
        return await answered(self.executor, lambda: self.duties.remove(agency, who, asks))

    async def _build(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        await audited(self.trail, "BuildEnvironment", {"name": name})
        return await progress.stream(request, self.executor, lambda: self.environments.build(name))

    async def _import(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, "tar", "name")
        await audited(self.trail, "ImportEnvironment", {"name": str(body["name"])})
        return await progress.stream(
            request,
            self.executor,
            lambda: self.environments.import_oci(str(body["tar"]), str(body["name"])),
        )

    async def _pull(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        await audited(self.trail, "PullModel", {"name": name})
        return await progress.stream(request, self.executor, lambda: self.models.pull(name))

    async def _add(self, request: web.Request) -> web.StreamResponse:
        body = await fields(
            request, "file", "model_id", "sha256", "licence", "context_tokens", "label"
        )
        await audited(self.trail, "AddModel", {"model_id": str(body["model_id"])})
        return await progress.stream(request, self.executor, lambda: self.models.add(body))

    async def _alias(self, request: web.Request) -> web.StreamResponse:
        body = await fields(request, "alias", "model")
        alias, model = str(body["alias"]), str(body["model"])
        await audited(self.trail, "AliasModel", {"alias": alias, "model": model})
        return await answered(self.executor, lambda: self.models.alias(alias, model))

    def _policies(self, request: web.Request) -> Any:
        return self.policies.rows(request.match_info["agency"])

    async def _put_policy(self, request: web.Request) -> web.StreamResponse:
        agency, body = request.match_info["agency"], await fields(request, "name", "text")
        name, text = str(body["name"]), str(body["text"])
        digest = hashlib.sha256(text.encode()).hexdigest()
        await audited(self.trail, "PutPolicy", {"agency": agency, "name": name, "sha256": digest})
        return await answered(self.executor, lambda: self.policies.put(agency, name, text))

    async def _remove_policy(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        name = str((await fields(request, "name"))["name"])
        await audited(self.trail, "RemovePolicy", {"agency": agency, "name": name})
        await off_loop(self.executor, lambda: self.policies.remove(agency, name))
        return web.json_response({"removed": name})

    async def _test_policy(self, request: web.Request) -> web.StreamResponse:
        agency, body = request.match_info["agency"], await fields(request, "name", "text", "cases")
        name, text, cases = str(body["name"]), str(body["text"]), body["cases"]
        return await answered(self.executor, lambda: self.policies.test(agency, name, text, cases))

    async def _why(self, request: web.Request) -> web.StreamResponse:
        agency = request.match_info["agency"]
        asked = await fields(request, "principal", "action", "resource", "session", "label")
        return await answered(self.executor, lambda: self.policies.why(agency, asked))


def _facts(state: KeyState) -> dict[str, str]:
    return {"account": state.account, "family": family(state)}


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
