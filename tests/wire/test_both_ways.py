"""The same enforcement however the proxy is run: `mitmdump -s` and `outbounds serve`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from .harness import PASSWORD, Proxy, wait_until
from .origin import Origin

NAMES = {"site.test": ["127.0.0.1"], "other.test": ["127.0.0.1"]}


@pytest.fixture
def running(config: Path, mode: str, trust: dict[str, str]) -> Iterator[Proxy]:
    with Proxy(config, mode, names=NAMES, options=trust) as proxy:
        yield proxy


def get(proxy: Proxy, url: str, name: str = "alice", password: str = "",
        verify: Path | None = None) -> requests.Response:
    proxies = dict.fromkeys(("http", "https"), proxy.url_for(name, password))
    # closing: a connection that requests keeps is a tunnel whose record stays open
    return requests.get(url, proxies=proxies, verify=str(verify or proxy.ca), timeout=10,
                        headers={"Connection": "close"})


def test_allowed_refused_and_recorded(running: Proxy, origin: Origin, tls_origin: Origin,
                                      trust: dict[str, str]) -> None:
    plain, tls = f"http://site.test:{origin.port}", f"https://site.test:{tls_origin.port}"
    assert get(running, f"{plain}/page?q=secret").text == "hello from /page\n"
    assert get(running, f"{tls}/inside").text == "hello from /inside\n"
    origin_ca = Path(trust["ssl_verify_upstream_trusted_ca"])
    assert get(running, f"{tls}/unseen", "bob", verify=origin_ca).text == "hello from /unseen\n"
    assert get(running, plain, "alice", "wrong-password").status_code == 407

    assert origin.paths() == ["/page?q=secret"]
    assert tls_origin.paths() == ["/inside", "/unseen"]
    for seen in (*origin.seen, *tls_origin.seen):
        assert "proxy-authorization" not in {name.lower() for name, _ in seen.headers}

    wait_until(lambda: all(end for _, end in running.pairs()))
    made = running.pairs(event_action="request", outbounds_verdict="allow")
    assert [start["url.path"] for start, _ in made] == ["/page", "/inside"]
    assert [end["http.response.status_code"] for _, end in made if end] == [200, 200]
    tunnels = running.pairs(event_action="tunnel")
    assert [start["outbounds.visibility"] for start, _ in tunnels] == ["full", "tunnel"]
    assert running.pairs(outbounds_verdict="refuse", rule_ruleset="identity")

    disk = b"".join(path.read_bytes() for path in running.data.glob("evidence/**/*.jsonl"))
    assert b"secret" not in disk  # a query value
    for password in (PASSWORD, "wrong-password"):
        assert password.encode() not in disk
        assert password not in running.log
