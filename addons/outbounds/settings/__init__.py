"""The configuration: YAML files become frozen `Settings`, or every error at once.

    problem     one fault as `file:line: key: value: problem; fix`, and the error that holds all
    source      YAML text to plain data with lines; no duplicate keys, no aliases, no odd types
    quantity    600/min, 5s, 64KiB, 2027-01-31, 8000-8099
    fields      the kinds of value a file may hold
    service     the files that say how the service runs
    limits, robots, rules   the files that decide: the policy
    messages    pydantic's errors in our words
    documents   all files of the folder together: their ids, their lists, the version
    list_source a list that is compiled, as configured
    build       from the files' words to core.rules
    loader      the order of it all
    watch       has anything changed on disk?

Use what is exported here.
"""

from .documents import ParseRules
from .evidence import Evidence
from .list_source import ListSource
from .loader import Settings, load, load_identity, load_service
from .problem import Problem, SettingsError
from .robots import RobotsFile
from .rules import Clause, Feed, ForgedHeaders
from .service import (
    Dns,
    Failures,
    Heads,
    Htpasswd,
    Identity,
    Listen,
    Metrics,
    Networks,
    Service,
)
from .watch import Fingerprint, fingerprint

__all__ = [
    "Clause", "Dns", "Evidence", "Failures", "Feed", "Fingerprint", "ForgedHeaders", "Heads",
    "Htpasswd", "Identity", "ListSource", "Listen", "Metrics", "Networks", "ParseRules", "Problem",
    "RobotsFile", "Service", "Settings", "SettingsError", "fingerprint", "load",
    "load_identity", "load_service",
]
