"""From a folder of files to `Settings`, or to every fault at once.

The order is what makes the faults complete: all files are read; the ids they define are collected
from whatever could be read; then each file is validated by itself against those ids. A fault in
one file neither hides nor causes one in another.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

from ..core.denylist import Denylist, Layers
from ..core.destination import Address
from ..core.hit import Matcher
from ..core.rules import Policy
from . import build
from .documents import Documents, ParseRules
from .evidence import Evidence
from .fields import Context
from .limits import LimitsFile
from .list_source import ListSource
from .messages import validate
from .problem import ABSENT, Problem, SettingsError
from .robots import ModeEntry, RobotsFile
from .rules import (
    Clause,
    ClausesFile,
    DestinationsFile,
    ExceptionEntry,
    ExceptionsFile,
    ForgedHeaders,
    ListEntry,
    NetworkGrant,
    PlansFile,
    ProtocolFile,
)
from .service import Identity, Service
from .source import read_yaml

FOREVER = float("inf")


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration that has been checked, whole and immutable.

    folder          where it was read from, as given
    service         outbounds.yaml: name, contact, listen, data, metrics, heads, dns, clients,
                    targets, store
    identity        identity.yaml: realm, accounts, htpasswd, cache, failures, networks
    robots          robots.yaml: engine, fetch, cache, snapshots, ownership (what decides is in
                    policy.robots)
    evidence        evidence.yaml: directory, collector, socket, ack_timeout, segment_size
    policy          everything that decides; its version is `Documents.version`
    forged_headers  action, names, clause of protocol.yaml
    clauses         the catalogue: clause id to Clause, over all policies
    lists           list id to its number of entries, of the lists that are held in memory
    sources         the lists that are compiled; `policy` knows nothing of them (`with_compiled`)
    files           every file that was read, absolute or below `folder`, for `fingerprint`
    warnings        what is allowed but idle, one sentence each
    stale_at        Unix time at which a dated network grant ends: load again then
    """

    folder: Path
    service: Service
    identity: Identity
    robots: RobotsFile
    evidence: Evidence
    policy: Policy
    forged_headers: ForgedHeaders
    clauses: Mapping[str, Clause]
    lists: Mapping[str, int]
    sources: tuple[ListSource, ...]
    files: tuple[Path, ...]
    warnings: tuple[str, ...]
    stale_at: float = FOREVER

    def with_own(self, own: Iterable[Address], ports: Iterable[int] = ()) -> Settings:
        """The same, knowing this machine's addresses, and ports that were given by the system.

        Which addresses those are is for the proxy to find out: it may change without any file
        changing. `ports` are added to the listeners' and the metrics port of the files.
        """
        old = self.policy.addresses
        addresses = replace(old, own=frozenset(own), own_ports=old.own_ports | frozenset(ports))
        return replace(self, policy=replace(self.policy, addresses=addresses))

    def with_compiled(self, compiled: Matcher | None, unusable: Iterable[str] = ()) -> Settings:
        """The same, with the compiled lists asked after those in memory; and with the ids of lists
        without which every request is refused."""
        denylist = self.policy.denylist if compiled is None else Layers(
            self.policy.denylist, compiled)
        return replace(self, policy=replace(
            self.policy, denylist=denylist, unusable_lists=tuple(unusable)))


def load_identity(config_dir: Path) -> Identity:
    """identity.yaml alone, for commands that must work at 3 a.m. beside a broken limits.yaml.

    Raises SettingsError with every fault of outbounds.yaml, which says where the data are, and of
    identity.yaml; references to what other files define are not checked.
    """
    need_folder(config_dir)
    first, second = (read_yaml(config_dir / name, str(config_dir / name))
                     for name in ("outbounds.yaml", "identity.yaml"))
    context = Context(config_dir, config_dir.absolute() / "var", {
        "plan": None, "limit": None, "list": None, "clause": None}, {})
    service = validate(first, Service, context)
    if service is not None:
        context = replace(context, data=service.data)
    identity = validate(second, Identity, context)
    problems = (*first.problems, *second.problems)
    if problems:
        raise SettingsError(problems, (first.path, second.path))
    assert identity
    return identity


def load_service(config_dir: Path) -> Service:
    """outbounds.yaml alone, for commands that must work at 3 a.m. beside a broken limits.yaml.

    Raises SettingsError with every fault of that file.
    """
    need_folder(config_dir)
    file = read_yaml(config_dir / "outbounds.yaml", str(config_dir / "outbounds.yaml"))
    service = validate(file, Service, Context(config_dir, config_dir.absolute() / "var", {
        "plan": None, "limit": None, "list": None, "clause": None}, {}))
    if file.problems:
        raise SettingsError(tuple(file.problems), (file.path,))
    assert service
    return service


def need_folder(config_dir: Path) -> None:
    if not config_dir.is_dir():
        raise SettingsError((Problem(str(config_dir), 0, (), ABSENT, "no such folder; name one "
                                     "with --config, or write one with `outbounds init DIR`"),))


def load(config_dir: Path, parse_rules: ParseRules, now: float | None = None) -> Settings:
    """Read and check every file of `config_dir`.

    `parse_rules` reads the text of a list; it is passed in because lists are above this layer.
    `now` is Unix time, this moment if None: it decides which dated network grants are in force.
    Raises SettingsError with every fault of every file.
    """
    if now is None:
        now = time.time()
    need_folder(config_dir)
    documents = Documents(config_dir, parse_rules)
    files = documents.files
    context = Context(config_dir, config_dir.absolute() / "var", {
        "plan": documents.ids("plans.yaml", "plans"),
        "limit": documents.ids("limits.yaml", "limits"),
        "list": documents.ids("destinations.yaml", "lists"),
        "clause": documents.clause_ids(),
    }, documents.lines())
    service = validate(files["outbounds.yaml"], Service, context)
    if service is not None:
        context = replace(context, data=service.data)
    identity = validate(files["identity.yaml"], Identity, context)
    plans = validate(files["plans.yaml"], PlansFile, context)
    limits = validate(files["limits.yaml"], LimitsFile, context)
    destinations = validate(files["destinations.yaml"], DestinationsFile, context)
    protocol = validate(files["protocol.yaml"], ProtocolFile, context)
    robots = validate(files["robots.yaml"], RobotsFile, context)
    evidence = validate(files["evidence.yaml"], Evidence, context)
    exceptions = validate(files["exceptions.yaml"], ExceptionsFile, context)
    catalogue = [validate(each, ClausesFile, context) for each in documents.clauses.values()]
    problems = documents.all_problems()
    if problems:
        raise SettingsError(problems, documents.paths())
    # no problem means that every file is there and valid; the type checker cannot know
    assert service and identity and plans and limits and destinations and protocol and robots
    assert evidence and exceptions

    built = {entry.id: build.limit(entry, limits.time_zone) for entry in limits.limits}
    own_ports = frozenset([service.metrics.port, *(each.port for each in service.listen)]) - {0}
    policy = Policy(
        version=documents.version(),
        plans=MappingProxyType(build.plans(plans, built.values())),
        limits=MappingProxyType(built),
        protocol=build.protocol(protocol),
        denylist=Denylist.build((build.terms(entry), documents.entries[entry.id])
                                for entry in destinations.lists if entry.id in documents.entries),
        addresses=build.address_rules(destinations, own_ports, now),
        robots=build.robots(robots),
        grants=build.exceptions(exceptions),
        queue=build.queue(limits),
        adaptive=build.adaptive(limits),
        identity_clause=identity.clause,
        suspended_clause=plans.standing.clause,
        drop_bad_addresses=destinations.mixed_answers == "drop",
    )
    clauses = {clause.id: clause for file in catalogue if file for clause in file.clauses}
    untils = [each.until for each in destinations.grants if each.until is not None]
    dated: list[ExceptionEntry | NetworkGrant | ListEntry | ModeEntry] = [
        *exceptions.exceptions, *destinations.grants, *destinations.lists, *robots.modes]
    return Settings(
        config_dir, service, identity, robots, evidence, policy, protocol.forged_headers,
        MappingProxyType(clauses),
        MappingProxyType({name: len(found) for name, found in documents.entries.items()}),
        tuple(build.list_source(entry) for entry in destinations.lists
              if entry.id in documents.compiled),
        documents.paths(),
        tuple(f"{each.id} has ended and does nothing; remove it"
              for each in dated if each.until is not None and each.until <= now),
        min((until for until in untils if until > now), default=FOREVER),
    )
