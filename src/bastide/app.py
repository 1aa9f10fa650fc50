"""The composition root: the only file that knows everyone. `python -m bastide.app --region NAME`.

One region is one process: it opens its database, its keys and its audit log, puts every context
together, and then serves AWS's APIs over TLS and the operators' over a unix socket.
"""

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import web

from bastide import __version__
from bastide.audit.log import MerkleLog
from bastide.audit.signing import load_signer
from bastide.audit.trail import AuditTrail
from bastide.db import Database, durable
from bastide.db.migrate import migrate
from bastide.environments.catalogue import Environments
from bastide.evidence.events import Events
from bastide.identity.access_keys import AccessKeys, KeyMaker, ServiceSpecificCredentials
from bastide.identity.agencies import Agencies
from bastide.identity.credentials import KnownCredentials
from bastide.identity.directory import Directory
from bastide.identity.entities import Entities
from bastide.identity.policies import ManagedPolicies
from bastide.identity.roles import Roles
from bastide.identity.service_roles import ServiceRoles
from bastide.identity.sessions import Sessions
from bastide.identity.simulation import Simulation
from bastide.identity.tokens import SessionTokens
from bastide.identity.users import Users
from bastide.jobs import capacity, host
from bastide.jobs.local_executor import LocalExecutor
from bastide.jobs.runner import Runner
from bastide.jobs.uids import Uids
from bastide.kernel.clock import SystemClock
from bastide.kernel.ids import SystemIds
from bastide.keys.keyring import Keyring
from bastide.policy.authorizer import PolicyAuthorizer, PolicyChecks
from bastide.settings import RegionSettings, Site, load
from bastide.store.blobs import Blobs
from bastide.store.bucket_policy import BucketPolicies
from bastide.store.buckets import Buckets
from bastide.store.content import Buffers, Content
from bastide.store.copies import Copies
from bastide.store.listing import Listing
from bastide.store.multipart import Multipart
from bastide.store.objects import Objects
from bastide.store.objects_api import ObjectSpace
from bastide.store.requests import Doors
from bastide.store.shelf import Shelf
from bastide.store.tagging import Tagging
from bastide.store.upkeep import Upkeep
from bastide.store.versioning import Versioning
