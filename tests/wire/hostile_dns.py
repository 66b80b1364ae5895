"""What a name server sends that means no good: scripts for `dns_server`. None gives an address."""

from __future__ import annotations

import dns.message
import dns.rrset

from .dns_server import Query, Sent

ADDRESSES = ["127.0.0.1", "93.184.216.34", "2606:4700::1"]


def other_question(query: Query) -> list[Sent]:
    other = Query(dns.message.make_query("other.test.", query.kind), "other.test", query.kind, 0)
    answer = other.answer(["127.0.0.1", "::1"], 60)
    answer.id = query.message.id
    return [answer]


def other_id(query: Query) -> list[Sent]:
    answer = query.answer(["127.0.0.1", "::1"], 60)
    answer.id ^= 1
    return [answer]


def other_owner(query: Query) -> list[Sent]:
    """Records that nobody asked for, beside none that was."""
    answer = query.answer()
    answer.answer.append(dns.rrset.from_text("other.test.", 60, "IN", "A", "127.0.0.1"))
    answer.additional.append(dns.rrset.from_text("a.test.", 60, "IN", "A", "127.0.0.1"))
    return [answer]


def looping(query: Query) -> list[Sent]:
    return [query.answer(cnames=[("b.test", 60), (query.name, 60)])]


def endless(query: Query) -> list[Sent]:
    return [query.answer(ADDRESSES, 60, cnames=[(f"c{i}.test", 60) for i in range(40)])]


def many(query: Query) -> list[Sent]:
    return [query.answer([f"8.8.{i % 250}.{i // 250 + 1}" for i in range(500)])]


def flood(query: Query) -> list[Sent]:
    return [b"\x00" * 20] * 500


def empty(query: Query) -> list[Sent]:
    return [b""] * 3


def half(query: Query) -> list[Sent]:
    return [query.answer(ADDRESSES).to_wire()[:-3]]


def pointing_at_itself(query: Query) -> list[Sent]:
    wire = query.wire
    return [wire[:2] + b"\x85\x80" + wire[4:6] + b"\x00\x01" + bytes(4) + wire[12:]
            + b"\xff\xff\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x7f\x00\x00\x01"]


def question_back(query: Query) -> list[Sent]:
    return [query.wire]
