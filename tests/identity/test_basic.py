import base64

import pytest

from outbounds.core.request import Credentials
from outbounds.identity.basic import MALFORMED, MAX_HEADER, parse_basic


def basic(raw: bytes, scheme: str = "Basic ") -> str:
    return scheme + base64.b64encode(raw).decode()


@pytest.mark.parametrize(("header", "name", "password"), [
    ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin", "open sesame"),  # RFC 7617 section 2
    ("Basic dGVzdDoxMjPCow==", "test", "123£"),                        # section 2.1, UTF-8
    (basic("test:123£".encode("latin-1")), "test", "123£"),            # what requests sends
    (basic(b"a:b:c:"), "a", "b:c:"),                                   # the first colon splits
    (basic(b"a:", "bAsIc "), "a", ""),                                 # scheme: any case
    (basic(b"a:b", "Basic    ") + " ", "a", "b"),                      # 1*SP
    (basic(b":b"), "", "b"),
])
def test_read(header: str, name: str, password: str) -> None:
    assert parse_basic(header) == Credentials(name, password)


@pytest.mark.parametrize("header", [
    "", "Basic", "Basic ", "Bearer QTpi", "BasicQTpi", "Basic\tQTpi",
    "Basic QTpi QTpi", "Basic QTp", "Basic QTpi=", "Basic QT pi", "Basic Q!pi", "Basic QTp_",
    "Basic Q===", "Basic QQ==QTpi", "Basic QTpi\n",
    basic(b"no colon"),
    basic(b"a\x00:b"), basic(b"a:b\n"), basic(b"a:b\x7f"), basic("a:b\u0085".encode()),
    basic(b"a:" + b"b" * MAX_HEADER),
])
def test_refused(header: str) -> None:
    assert parse_basic(header) is None


def test_malformed_is_not_no_credentials() -> None:
    assert MALFORMED is not None and MALFORMED.name == ""
