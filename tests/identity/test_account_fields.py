import pytest

from outbounds.core.robots_parse import product_token
from outbounds.identity import fields
from outbounds.identity.fields import AccountError

NOON = 1_700_000_000.0  # 2023-11-14 22:13 UTC


@pytest.mark.parametrize("name", ["a", "Ada.Lovelace@example.com", "böb", "x" * 128, "+-_"])
def test_names(name: str) -> None:
    assert fields.check_name(name) == name


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\n", "\x00", "a\x85", "x" * 129, "\udc80"])
def test_bad_names(name: str) -> None:
    assert not fields.is_name(name)
    with pytest.raises(AccountError):
        fields.check_name(name)


def test_networks_are_canonical_and_once() -> None:
    assert fields.check_networks(["192.0.2.7", "2001:DB8::/32", "192.0.2.7/32"]) == (
        "192.0.2.7/32", "2001:db8::/32")


@pytest.mark.parametrize(("text", "why"), [
    ("192.0.2.7/24", "did you mean 192.0.2.0/24"),
    ("2001:db8::1/32", "did you mean 2001:db8::/32"),
    ("192.0.2.0/33", "write an address or CIDR"),
    ("example.com", "write an address or CIDR"),
    ("0.0.0.0/0", "everybody"),
    ("::/0", "everybody"),
    ("::ffff:192.0.2.0/120", "write it as IPv4"),
])
def test_bad_networks(text: str, why: str) -> None:
    with pytest.raises(AccountError, match=why):
        fields.check_networks([text])


def test_inspection_needs_consent() -> None:
    with pytest.raises(AccountError, match="agreed"):
        fields.check_consent(True, "", NOON)
    assert fields.check_consent(False, "", NOON) == ""
    assert fields.check_consent(True, "2023-11-14", NOON) == "2023-11-14"
    assert fields.check_consent(False, "2020-02-29", NOON) == "2020-02-29"


@pytest.mark.parametrize("consent", ["2023-11-17", "yesterday", "2023-13-01", "14.11.2023"])
def test_bad_consent(consent: str) -> None:
    with pytest.raises(AccountError):
        fields.check_consent(True, consent, NOON)


@pytest.mark.parametrize("token", ["ExampleBot/1.0", "a b", "MJ12bot/v1.4.8", "é", "x" * 65])
def test_bad_crawler(token: str) -> None:
    with pytest.raises(AccountError, match="product token"):
        fields.check_crawler(token)


# RFC 9309 section 2.2.1; the digits are real crawlers', and robots.txt files are read with them
@pytest.mark.parametrize("token", ["", "Example-Bot", "a_b", "MJ12bot", "360Spider"])
def test_crawlers(token: str) -> None:
    assert fields.check_crawler(token) == token
    assert product_token(token) == token.lower()


def test_purposes_are_in_one_order_and_once() -> None:
    assert fields.check_purposes(["ai-train", "search", "ai-train"]) == ("search", "ai-train")
    assert fields.check_purposes([]) == ()


@pytest.mark.parametrize("purposes", [["train"], ["search", "Search"], [""], "search"])
def test_bad_purposes(purposes: list[str]) -> None:
    with pytest.raises(AccountError, match="use search, ai-input, ai-train"):
        fields.check_purposes(purposes)


def test_plan() -> None:
    assert fields.check_plan("big_1") == "big_1"
    with pytest.raises(AccountError, match="plan"):
        fields.check_plan("a plan")
