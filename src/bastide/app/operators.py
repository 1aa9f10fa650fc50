"""What operators may ask of a region: a room for each noun, over the contexts that it is about."""

from collections.abc import Mapping
from dataclasses import dataclass

from bastide.app.approvals import TwoPersons
from bastide.app.bedrock import Bedrock
from bastide.app.core import Core
from bastide.app.evidence import Evidence
from bastide.app.identity import Identity
from bastide.app.learning import MachineLearning
from bastide.app.markings import open_markings
from bastide.app.store import Store
from bastide.app.workshop import Workshop
from bastide.operators.agencies import AgencyRoom
from bastide.operators.agency_labels import AgencyLabelRoom
from bastide.operators.agency_routes import AgencyRoutes
from bastide.operators.api import Operators
from bastide.operators.approval_routes import ApprovalRoutes
from bastide.operators.clearance_routes import ClearanceRoutes
from bastide.operators.clearances import ClearanceRoom
from bastide.operators.door import Door
from bastide.operators.duties import DutyRoom
from bastide.operators.duty_routes import DutyRoutes
from bastide.operators.environment_routes import EnvironmentRoutes
from bastide.operators.environments import EnvironmentRoom
from bastide.operators.evidence_routes import EvidenceRoutes
from bastide.operators.key_routes import KeyRoutes
from bastide.operators.keys import KeyRoom
from bastide.operators.label_routes import LabelRoutes
from bastide.operators.labels import LabelRoom
from bastide.operators.model_routes import ModelRoutes
from bastide.operators.policies import PolicyRoom
from bastide.operators.policy_routes import PolicyRoutes
from bastide.operators.region_labels import RegionLabelRoom
from bastide.operators.region_routes import RegionRoutes
from bastide.operators.rule_routes import RuleRoutes
from bastide.operators.rules import RuleRoom
from bastide.operators.share_routes import ShareRoutes
from bastide.operators.shares import ShareRoom
from bastide.operators.transfer import TransferRoom
from bastide.operators.transfer_routes import TransferRoutes


@dataclass(frozen=True, slots=True, kw_only=True)
class Manageable:
    """The contexts of a region that operators manage."""

    core: Core
    approvals: TwoPersons
    identity: Identity
    store: Store
    workshop: Workshop
    learning: MachineLearning
    bedrock: Bedrock
    evidence: Evidence
    transfers: TransferRoom


def open_operators(
    of: Manageable, region: RegionRoutes, connection: Mapping[str, str], door: Door
) -> Operators:
    rooms = _Rooms(of)
    return Operators(
        region=region,
        agencies=AgencyRoutes(desk=rooms.agencies(connection), door=door),
        keys=KeyRoutes(desk=rooms.keys(), door=door),
        environments=EnvironmentRoutes(desk=EnvironmentRoom(of.workshop.environments), door=door),
        models=ModelRoutes(desk=of.bedrock.models, door=door),
        labels=LabelRoutes(
            things=rooms.labels(),
            agencies=rooms.agency_labels(),
            region=rooms.region_labels(),
            door=door,
        ),
        rules=RuleRoutes(desk=rooms.rules(), door=door),
        approvals=ApprovalRoutes(desk=of.approvals.room, door=door),
        clearances=ClearanceRoutes(desk=rooms.clearances(), door=door),
        duties=DutyRoutes(desk=rooms.duties(), door=door),
        shares=ShareRoutes(desk=rooms.shares(), door=door),
        policies=PolicyRoutes(desk=rooms.policies(), door=door),
        transfers=TransferRoutes(desk=of.transfers, door=door),
        evidence=EvidenceRoutes(
            receipts=of.evidence.proofs,
            retirements=of.evidence.retirements,
            rotation=of.evidence.rotation,
            deliver=of.evidence.deliver,
            door=door,
        ),
    )


@dataclass(frozen=True, slots=True)
class _Rooms:
    of: Manageable

    def agencies(self, connection: Mapping[str, str]) -> AgencyRoom:
        return AgencyRoom(
            agencies=self.of.identity.agencies,
            region=self.of.core.region,
            connection=connection,
            approvals=self.of.approvals.book,
            has_officers=self.of.approvals.officers.can_sign,
        )

    def keys(self) -> KeyRoom:
        return KeyRoom(
            agencies=self.of.identity.agencies,
            keyring=self.of.core.keyring,
            upkeep=self.of.store.upkeep,
            approvals=self.of.approvals.book,
            shred=self.of.bedrock.imports.work.shred,
        )

    def labels(self) -> LabelRoom:
        markings = open_markings(self.of.core, self.of.store, self.of.learning, self.of.bedrock)
        return LabelRoom(
            agencies=self.of.identity.agencies,
            database=self.of.core.database,
            marked=markings.of,
            downgrades=self.of.store.downgrades,
        )

    def agency_labels(self) -> AgencyLabelRoom:
        return AgencyLabelRoom(
            agencies=self.of.identity.agencies,
            labelling=self.of.identity.labelling,
            approvals=self.of.approvals.book,
            changed=self.of.identity.clearances.changed,
        )

    def region_labels(self) -> RegionLabelRoom:
        return RegionLabelRoom(
            settings=self.of.core.label_settings,
            now=self.of.core.labelling,
            approvals=self.of.approvals.book,
        )

    def rules(self) -> RuleRoom:
        core = self.of.core
        return RuleRoom(now=core.rules, database=core.database, approvals=self.of.approvals.book)

    def clearances(self) -> ClearanceRoom:
        return ClearanceRoom(
            agencies=self.of.identity.agencies,
            clearances=self.of.identity.clearances,
            approvals=self.of.approvals.book,
        )

    def duties(self) -> DutyRoom:
        return DutyRoom(
            agencies=self.of.identity.agencies,
            directory=self.of.identity.directory,
            approvals=self.of.approvals.book,
        )

    def shares(self) -> ShareRoom:
        return ShareRoom(
            agencies=self.of.identity.agencies,
            shares=self.of.store.shares,
            approvals=self.of.approvals.book,
        )

    def policies(self) -> PolicyRoom:
        return PolicyRoom(
            agencies=self.of.identity.agencies,
            directory=self.of.identity.directory,
            clearances=self.of.identity.clearances,
            policies=self.of.identity.agency_policies,
            explainer=self.of.identity.explainer,
        )
