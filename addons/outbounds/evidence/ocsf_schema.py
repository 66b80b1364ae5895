"""What an exported OCSF event is made of, as JSON Schema: the attributes that version 1.3.0
requires of the three classes, and the values that an export uses. The whole schema is at
https://schema.ocsf.io/1.3.0.
"""

from __future__ import annotations

from typing import Any

from .ocsf import BASE, HTTP, NETWORK, VERSION

_BASE = ("activity_id", "category_uid", "class_uid", "metadata", "severity_id", "time", "type_uid")
_REQUEST = ("http_method", "url")


def ocsf_schema() -> dict[str, Any]:
    """The JSON Schema of one exported event."""
    text: dict[str, Any] = {"type": "string", "minLength": 1}
    port: dict[str, Any] = {"type": "integer", "minimum": 1, "maximum": 65535}
    count: dict[str, Any] = {"type": "integer", "minimum": 0}
    endpoint = {"type": "object", "minProperties": 1, "additionalProperties": False,
                "properties": {"ip": text, "port": port, "hostname": text, "uid": text}}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:outbounds:evidence:ocsf",
        "title": f"An event as exported to OCSF {VERSION}",
        "type": "object",
        "properties": {
            "activity_id": {"enum": [1, 2, 3, 4, 5, 6, 7, 8, 99]},
            "activity_name": text,
            "action_id": {"enum": [1, 2]},
            "actor": {"type": "object", "required": ["user"], "properties": {
                "user": {"type": "object", "required": ["uid"], "properties": {
                    "uid": text, "type_id": {"const": 1}}}}},
            "category_uid": {"enum": [BASE, NETWORK // 1000]},
            "class_uid": {"enum": [BASE, NETWORK, HTTP]},
            "connection_info": {"type": "object", "required": ["direction_id"]},
            "disposition_id": {"enum": [1, 2, 14, 26]},
            "dst_endpoint": endpoint,
            "duration": count,
            "end_time": count,
            "firewall_rule": {"type": "object"},
            "http_request": {"type": "object", "required": list(_REQUEST)},
            "http_response": {"type": "object", "required": ["code"]},
            "ja4_fingerprint_list": {"type": "array", "items": {
                "type": "object", "required": ["type_id", "value"]}},
            "metadata": {"type": "object", "required": ["product", "version"], "properties": {
                "version": {"const": VERSION}, "uid": text, "correlation_uid": text,
                "log_name": text, "profiles": {"type": "array", "items": text},
                "product": {"type": "object", "required": ["vendor_name", "name"]}}},
            "observables": {"type": "array", "items": {
                "type": "object", "required": ["name", "type_id"]}},
            "policy": {"type": "object"},
            "proxy_endpoint": endpoint,
            "severity_id": {"enum": [1, 2]},
            "src_endpoint": endpoint,
            "start_time": count,
            "status_code": text,
            "status_detail": text,
            "status_id": {"enum": [0, 1, 2]},
            "time": count,
            "tls": {"type": "object", "required": ["version"]},
            "traffic": {"type": "object", "required": ["bytes"]},
            "type_uid": count,
            "unmapped": {"type": "object"},
        },
        "required": list(_BASE),
        "additionalProperties": False,
        "allOf": [
            {"if": {"properties": {"class_uid": {"const": NETWORK}}},
             "then": {"anyOf": [{"required": ["dst_endpoint"]}, {"required": ["src_endpoint"]}]}},
            {"if": {"properties": {"class_uid": {"const": HTTP}}},
             "then": {"required": ["http_request"]}},
        ],
    }
