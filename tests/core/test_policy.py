"""The decision as a whole: its order, that each answer is final, and that every fault refuses."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address
from typing import Any

import pytest
from driving import (
    ACCOUNT,
    NOW,
    PER_HOST,
    POLICY,
    PUBLIC,
    denylist,
    drive,
    entries,
    grant,
    request,
    robots,
    tunnel,
)
from hypothesis import given
from hypothesis import strategies as st

from outbounds.core import policy
from outbounds.core.account import Standing, Unidentified
from outbounds.core.case import Case
from outbounds.core.denylist import Denylist
from outbounds.core.limits import Exceeded, Taken
from outbounds.core.policy import CONTROLS
from outbounds.core.questions import (
    AddressesOf,
    JudgeRobots,
    NoSuchHost,
    RobotsOf,
    Take,
    TargetCharges,
    WhoIs,
)
from outbounds.core.verdict import RateLimit, Result

ORDER = ("identity", "standing", "protocol", "destination", "robots", "limits")
EXCEEDED = Exceeded(PER_HOST, 2.5, RateLimit("per-host", 60, 60.0, 0, 3.0))


def test_the_order_of_the_controls() -> None:
    assert tuple(name for name, _ in CONTROLS) == ORDER


def test_an_allowed_request_passes_every_control_and_asks_each_question_once() -> None:
    driven = drive()
    assert driven.case.verdict.result is Result.ALLOW
    assert driven.case.trail == [(name, None) for name in ORDER]
    assert driven.kinds == [WhoIs, AddressesOf, RobotsOf, JudgeRobots, TargetCharges, Take]


# one thing wrong for each control, in the order of the controls
WRONG: list[tuple[str, dict[type, Any], dict[str, Any], list[type]]] = [
    ("identity", {WhoIs: Unidentified("nobody")}, {}, [WhoIs]),
    ("standing", {WhoIs: replace(ACCOUNT, standing=Standing.SUSPENDED)}, {}, [WhoIs]),
    ("protocol", {}, {"method": "TRACE"}, [WhoIs]),
    ("destination", {AddressesOf: NoSuchHost("gone")}, {}, [WhoIs, AddressesOf]),
    ("robots", {RobotsOf: robots("User-agent: *\nDisallow: /")}, {},
     [WhoIs, AddressesOf, RobotsOf, JudgeRobots]),
    ("limits", {Take: EXCEEDED}, {}, [WhoIs, AddressesOf, RobotsOf, JudgeRobots,
                                     TargetCharges, Take]),
]


@pytest.mark.parametrize("first", range(len(WRONG)))
def test_the_first_refusal_is_final_and_nothing_is_asked_after_it(first: int) -> None:
    """Whatever is wrong further down: nobody looks at it, and nothing is charged for it."""
    answers: dict[type, Any] = {}
    fields: dict[str, Any] = {}
    for _, wrong, field, _ in reversed(WRONG[first:]):
        answers |= wrong
        fields |= field
    control, _, _, asked = WRONG[first]
    driven = drive(replace(request(), **fields), answers=answers)
    assert driven.case.verdict.control == control
    assert driven.kinds == asked
    assert [name for name, _ in driven.case.trail] == list(ORDER[: first + 1])
    assert driven.case.trail[-1] == (control, driven.case.verdict)
    assert all(verdict is None for _, verdict in driven.case.trail[:-1])


def test_a_denied_name_is_not_resolved() -> None:
    driven = drive(policy=replace(POLICY, denylist=denylist(("domain", "site.example"))))
    assert driven.outcome == ("destination", "blocked:1", 403)
    assert driven.kinds == [WhoIs]


# --- fails closed -------------------------------------------------------------------------------

ASKERS = {WhoIs: "identity", AddressesOf: "destination", RobotsOf: "robots",
          JudgeRobots: "robots", TargetCharges: "limits", Take: "limits"}


@pytest.mark.parametrize("question", ASKERS)
@pytest.mark.parametrize("fault", [RuntimeError("x"), OSError("x"), KeyError("x"), AssertionError(),
                                   TimeoutError(), StopAsyncIteration(), MemoryError()],
                         ids=lambda fault: type(fault).__name__)
def test_a_question_that_cannot_be_answered_refuses_in_the_name_of_who_asked(
        question: type, fault: Exception) -> None:
    driven = drive(answers={question: fault})
    assert driven.outcome == (ASKERS[question], "fault", 503)
    assert driven.case.fault is fault
    assert driven.case.verdict.retry_after == 1.0
    assert driven.kinds[-1] is question


@pytest.mark.parametrize("question", ASKERS)
@pytest.mark.parametrize("nonsense", [None, "yes", True, 7, ()], ids=repr)
def test_an_answer_of_the_wrong_kind_is_no_permission(question: type, nonsense: Any) -> None:
    """A part that forgets to answer, or answers with less than was asked, lets nothing through."""
    if (question, nonsense) == (TargetCharges, ()):
        return  # nothing is known against the target
    assert drive(answers={question: nonsense}).outcome == (ASKERS[question], "fault", 503)


@pytest.mark.parametrize("name", ORDER)
def test_an_exception_inside_a_control_refuses_in_its_name(
        name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(case: Case) -> Iterator[Any]:
        raise ZeroDivisionError(name)
        yield

    table = tuple((each, broken if each == name else control) for each, control in CONTROLS)
    monkeypatch.setattr(policy, "CONTROLS", table)
    driven = drive()
    assert driven.outcome == (name, "fault", 503)
    assert isinstance(driven.case.fault, ZeroDivisionError)
    assert [each for each, _ in driven.case.trail] == list(ORDER[: ORDER.index(name) + 1])


@pytest.mark.parametrize(("broken", "control"), [
    ({"plans": {}}, "limits"),  # a plan that is gone means no permission, not "no limits"
    ({"limits": {}}, "limits"),
    ({"denylist": None}, "destination"),
    ({"addresses": None}, "destination"),
    ({"protocol": None}, "protocol"),
    ({"robots": None}, "robots"),
    ({"grants": None, "denylist": denylist(("domain", "site.example"))}, "destination"),
])
def test_a_policy_with_a_hole_in_it_refuses(broken: dict[str, Any], control: str) -> None:
    driven = drive(policy=replace(POLICY, **broken))
    assert driven.outcome == (control, "fault", 503)


def test_the_faults_own_words_do_not_reach_the_customer() -> None:
    driven = drive(answers={RobotsOf: RuntimeError("password=hunter2")})
    assert "hunter2" not in driven.case.verdict.detail


def test_what_ends_the_process_is_not_swallowed() -> None:
    """A cancelled request must end, not be answered: only an Exception becomes a refusal."""
    asking = policy.decide(request(), POLICY, NOW)
    next(asking)
    with pytest.raises(KeyboardInterrupt):
        asking.throw(KeyboardInterrupt())


# --- a second look ------------------------------------------------------------------------------


def test_without_charge_the_limits_are_left_out_and_only_they() -> None:
    driven = drive(charge=False, answers={Take: EXCEEDED})
    assert driven.outcome == ("", "", None)
    assert driven.kinds == [WhoIs, AddressesOf, RobotsOf, JudgeRobots]
    assert driven.case.charges == () and driven.case.taken is None
    assert [name for name, _ in driven.case.trail] == list(ORDER[:-1])


def test_without_charge_everything_else_still_refuses() -> None:
    listed = replace(POLICY, denylist=denylist(("domain", "site.example")))
    assert drive(policy=listed, charge=False).outcome == ("destination", "blocked:1", 403)


# --- what an allow says -------------------------------------------------------------------------


@pytest.mark.parametrize(("taken", "result", "rule", "wait"), [
    (Taken(), Result.ALLOW, "", 0.0),
    (Taken(0.0, PER_HOST), Result.ALLOW, "", 0.0),
    (Taken(1.5, PER_HOST), Result.PACE, "per-host", 1.5),
    (Taken(1.5, None), Result.PACE, "", 1.5),
])
def test_pacing(taken: Taken, result: Result, rule: str, wait: float) -> None:
    verdict = drive(answers={Take: taken}).case.verdict
    assert (verdict.result, verdict.rule, verdict.wait) == (result, rule, wait)
    assert verdict.allowed and verdict.kind is None


# --- laws ---------------------------------------------------------------------------------------

NAMES = ["site.example", "www.site.example", "example.org", "other.test"]
LINES = st.one_of(
    st.tuples(st.just("domain"), st.sampled_from(NAMES)),
    st.tuples(st.just("host"), st.sampled_from(NAMES)),
    st.tuples(st.just("network"), st.sampled_from(
        ["93.184.216.0/24", "198.51.100.0/24", "10.0.0.0/8", "2001:db8::/32"])),
    st.tuples(st.just("port"), st.sampled_from(["80", "443", "8080"])),
    st.tuples(st.just("url"), st.sampled_from(["http://site.example/page", "example.org/a/"])),
)
REQUESTS = st.one_of(
    st.builds(lambda host, path, port: request(f"http://{host}:{port}{path}"),
              st.sampled_from([*NAMES, "93.184.216.34", "10.1.2.3"]),
              st.sampled_from(["/", "/page", "/a/b", "/robots.txt"]),
              st.sampled_from([80, 8080, 25])),
    st.builds(tunnel, st.sampled_from([*NAMES, "93.184.216.34"]), st.sampled_from([443, 80])),
)
GRANTS = st.lists(st.builds(
    grant, st.sampled_from(["blocked", "blocked:1", "blocked:2", "port", "port/25", "robots",
                            "special-purpose"]),
    until=st.sampled_from([NOW - 1, NOW + 1]), host=st.sampled_from(["", "site.example"])),
    max_size=3)
ADDRESSES = st.lists(
    st.sampled_from([*PUBLIC, ip_address("198.51.100.7"), ip_address("10.0.0.1")]), min_size=1,
    max_size=3).map(tuple)
RULES = st.sampled_from(["", "User-agent: *\nDisallow: /page", "User-agent: *\nDisallow: /\n"])


@given(REQUESTS, st.lists(LINES, max_size=4), LINES, GRANTS, ADDRESSES, RULES)
def test_one_more_entry_never_turns_a_refusal_into_an_allow(
        what: Any, lines: list[tuple[str, str]], more: tuple[str, str], grants: list[Any],
        addresses: Any, rules: str) -> None:
    """Deny wins: with more on the lists, the answer is the same or a refusal."""
    answers = {AddressesOf: addresses, RobotsOf: robots(rules)}
    before = replace(POLICY, denylist=Denylist.build([entries(*lines)]), grants=tuple(grants))
    # on a list of its own, so that no exception for a line of the first can lift it
    after = replace(before, denylist=Denylist.build(
        [entries(*lines), entries(more, list_id="second")]))
    if not drive(what, before, answers).case.verdict.allowed:
        assert not drive(what, after, answers).case.verdict.allowed


@given(REQUESTS, st.lists(LINES, max_size=4), GRANTS, ADDRESSES, RULES)
def test_the_same_question_has_the_same_answer(
        what: Any, lines: list[tuple[str, str]], grants: list[Any], addresses: Any,
        rules: str) -> None:
    policy = replace(POLICY, denylist=Denylist.build([entries(*lines)]), grants=tuple(grants))
    answers = {AddressesOf: addresses, RobotsOf: robots(rules)}
    first, second = (drive(what, policy, answers) for _ in range(2))
    assert first.case.verdict == second.case.verdict
    assert first.asked == second.asked
    assert (first.case.lifted, first.case.trail) == (second.case.lifted, second.case.trail)


@given(REQUESTS, st.lists(LINES, max_size=4), GRANTS, ADDRESSES, RULES)
def test_no_exceptions_never_allow_more(
        what: Any, lines: list[tuple[str, str]], grants: list[Any], addresses: Any,
        rules: str) -> None:
    """An exception can only lift; taking all of them away can only refuse more."""
    policy = replace(POLICY, denylist=Denylist.build([entries(*lines)]), grants=tuple(grants))
    answers = {AddressesOf: addresses, RobotsOf: robots(rules)}
    if not drive(what, policy, answers).case.verdict.allowed:
        assert not drive(what, replace(policy, grants=()), answers).case.verdict.allowed


_FAULTS = st.sampled_from([*ASKERS])


@given(REQUESTS, _FAULTS)
def test_a_fault_never_turns_a_refusal_into_an_allow(what: Any, question: type) -> None:
    plain = drive(what)
    broken = drive(what, answers={question: RuntimeError()})
    if question in plain.kinds:
        assert broken.outcome[2] is not None
    else:
        assert broken.outcome == plain.outcome


def test_a_policy_is_frozen() -> None:
    """Nothing that decides on one request can change what decides on the next."""
    with pytest.raises(AttributeError):
        POLICY.grants = ()  # type: ignore[misc]
