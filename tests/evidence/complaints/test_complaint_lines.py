"""One line each: the logs, and the sentences, in which one of our addresses is named.

Formats: Apache's LogFormat directive and nginx's log_format; RFC 3164 and RFC 5424 syslog around
OpenSSH's, Postfix's and netfilter's messages; ArcSight CEF; Cisco's %ASA-6-302013; tcpdump;
Squid's native format; HAProxy's httplog; ECS, Caddy and ModSecurity in JSON.
"""

from __future__ import annotations

import pytest
from complaint_reading import line, read

LINES: list[tuple[str, list[str]]] = [
    ('192.0.2.7:51234 - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1',
     ['192.0.2.7 51234 | 12:03:07 | - - | GET / 200']),
    ('192.0.2.7 51234 - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1',
     ['192.0.2.7 51234 | 12:03:07 | - - | GET / 200']),
    ('[2001:db8::7]:51234 - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1',
     ['2001:db8::7 51234 | 12:03:07 | - - | GET / 200']),
    ('2001:db8::7 - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1',
     ['2001:db8::7 - | 12:03:07 | - - | GET / 200']),
    ('www.example.org:443 192.0.2.7 - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200'
     ' 1 "-" "-"',
     ['192.0.2.7 - | 12:03:07 | www.example.org 443 | GET / 200']),
    ('192.0.2.7 - alice [21/Nov/2026:12:03:07 +0000] "\\x16\\x03\\x01" 400 0',
     ['192.0.2.7 - | 12:03:07 | - - | - - 400']),
    ('192.0.2.7 - - [21/Nov/2026:12:03:07 +0000] "GET /a\\"b HTTP/1.1" 200 1 "http://ref/"'
     ' "UA \\"x\\"" port=51234',
     ['192.0.2.7 51234 | 12:03:07 | - - | GET /a\\"b 200']),
    ('192.0.2.7 - - [21/Nov/2026:12:03:07 +0000] "CONNECT mail.example.org:443 HTTP/1.1" 200 1',
     ['192.0.2.7 - | 12:03:07 | mail.example.org 443 | CONNECT - 200']),
    ('192.0.2.7 - - [21/Nov/2026:12:03:07 +0000] "GET http://www.example.org/x?y HTTP/1.1'
     '" 200 1',
     ['192.0.2.7 - | 12:03:07 | www.example.org - | GET /x 200']),
    ('2026/11/21 12:03:07 [error] 7#7: *9 open() "/x" failed (2: No such file), client: 1'
     '92.0.2.7, server: example.org, request: "GET /x HTTP/1.1", host: "www.example.org"',
     ['192.0.2.7 - | 2026-11-20 22:03:07 .. 2026-11-22 00:03:07 | www.example.org - | GET /x -']),
    ('Nov 21 12:03:07 fw kernel: [1234.5] DROP IN=eth0 OUT= MAC=aa:bb:cc:dd:ee:ff SRC=192'
     '.0.2.7 DST=198.51.100.9 LEN=60 PROTO=TCP SPT=51234 DPT=443 WINDOW=64240',
     ['192.0.2.7 51234 | 2026-11-20 22:03:07 .. 2026-11-22 00:03:07 | 198.51.100.9 443 | - - -']),
    ('2026-11-21T12:03:07.123456+00:00 web1 sshd[1]: Connection closed by 192.0.2.7 port '
     '51234 [preauth]',
     ['192.0.2.7 51234 | 12:03:07.123456 | - - | - - -']),
    ('12:03:07.123456 IP 192.0.2.7.51234 > 198.51.100.9.443: Flags [S], seq 1',
     ['192.0.2.7 51234 | - | 198.51.100.9 443 | - - -']),
    ('2026-11-21 12:03:07.123456 IP 192.0.2.7.51234 > 198.51.100.9.443: Flags [S], seq 1',
     ['192.0.2.7 51234 | 2026-11-20 22:03:07.123456 .. 2026-11-22 00:03:07.123456 | 198.5'
      '1.100.9 443 | - - -']),
    ('Nov 21 2026 12:03:07 asa : %ASA-6-302013: Built inbound TCP connection 1 for outsid'
     'e:192.0.2.7/51234 (192.0.2.7/51234) to inside:198.51.100.9/443',
     ['192.0.2.7 51234 | 2026-11-20 22:03:07 .. 2026-11-22 00:03:07 | 198.51.100.9 443 | - - -']),
    ('date=2026-11-21 time=12:03:07 tz="+0000" srcip=192.0.2.7 srcport=51234 dstip=198.51'
     '.100.9 dstport=443',
     ['192.0.2.7 51234 | 12:03:07 | 198.51.100.9 443 | - - -']),
    ('CEF:0|A|B|1|1|x|5|src=192.0.2.7 spt=51234 dst=198.51.100.9 dpt=443 rt=1795262587123',
     ['192.0.2.7 51234 | 12:03:07.123000 .. 12:03:07.123999 | 198.51.100.9 443 | - - -']),
    ('1795262587.250    120 192.0.2.7 TCP_MISS/200 512 GET http://www.example.org/ - HIER'
     '_DIRECT/198.51.100.9 text/html',
     ['192.0.2.7 - | 12:03:07.250000 .. 12:03:07.250999 | www.example.org - | - / -']),
    ('Your address 192.0.2.7:51234 attacked us at 12:03:07 UTC on 2026-11-21.',
     ['192.0.2.7 51234 | 12:03:07 | - - | - - -']),
    ('2026-11-21 12:03:07 UTC: 192.0.2.7:51234 -> 198.51.100.9:443',
     ['192.0.2.7 51234 | 12:03:07 | 198.51.100.9 443 | - - -']),
    ('2026-11-21 12:03:07 UTC 198.51.100.9:443 was hit from 192.0.2.7:51234',
     ['192.0.2.7 51234 | 12:03:07 | - - | - - -']),
    ('192[.]0[.]2[.]7 2026-11-21T12:03:07Z',
     ['192.0.2.7 - | 12:03:07 | - - | - - -']),
    ('::192.0.2.7 - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1',
     ['192.0.2.7 - | 12:03:07 | - - | GET / 200']),
    ('::ffff:192.0.2.7 - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1',
     ['192.0.2.7 - | 12:03:07 | - - | GET / 200']),
    ('192.000.002.007 - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1',
     ['192.0.2.7 - | 12:03:07 | - - | GET / 200']),
    ('{"time":"2026-11-21T12:03:07+00:00","remote_addr":"192.0.2.7","remote_port":"51234"'
     ',"host":"www.example.org","request":"GET /a?b HTTP/1.1","status":"200"}',
     ['192.0.2.7 51234 | 12:03:07 | www.example.org - | GET /a 200']),
    ('{"@timestamp":"2026-11-21T12:03:07.123Z","source":{"ip":"192.0.2.7","port":51234},"'
     'destination":{"domain":"www.example.org","port":443},"url":{"path":"/a"},"http":{"r'
     'equest":{"method":"GET"},"response":{"status_code":200}}}',
     ['192.0.2.7 51234 | 12:03:07.123000 .. 12:03:07.123999 | www.example.org 443 | GET /a 200']),
    ('{"transaction":{"client_ip":"192.0.2.7","time_stamp":"Sat Nov 21 12:03:07 2026","cl'
     'ient_port":51234,"host_ip":"198.51.100.9","host_port":80,"request":{"method":"GET",'
     '"uri":"/x","headers":{"Host":"www.example.org"}}}}',
     ['192.0.2.7 51234 | 2026-11-20 22:03:07 .. 2026-11-22 00:03:07 | www.example.org - |'
      ' GET /x -']),
    ('between 2026-11-21 12:00 UTC and 2026-11-21 13:00 UTC your host 192.0.2.7 scanned w'
     'ww.example.org',
     ['192.0.2.7 - | 12:00:00 .. 13:00:59 | - - | - - -']),
    ('time=2026-11-21T12:03:07Z level=info client=192.0.2.7:51234 method=GET path=/x stat'
     'us=200 host=www.example.org',
     ['192.0.2.7 51234 | 12:03:07 | www.example.org - | GET /x 200']),
    ('03/04/2026 12:03:07 PM UTC 192.0.2.7',
     ['192.0.2.7 - | 2026-04-03 12:03:07, 2026-03-04 12:03:07 | - - | - - -']),
    ('Dec 31 23:59:60 host sshd[1]: Failed password for root from 192.0.2.7 port 51234 ssh2',
     ['192.0.2.7 51234 | 2025-12-31 09:59:59 .. 2026-01-01 12:00:01 | - - | - - -']),
    ('host.isp.example - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1',
     []),
    ('192.0.2.300 - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1',
     []),
    ('nothing here',
     []),
    ('192.0.2.7',
     ['192.0.2.7 - | - | - - | - - -']),
    ('2026-11-21 12:03:07 UTC',
     []),
    ('Nov 21 12:03:07 mail postfix/smtpd[9]: connect from unknown[192.0.2.7]:51234',
     ['192.0.2.7 51234 | 2026-11-20 22:03:07 .. 2026-11-22 00:03:07 | - - | - - -']),
    ('2026-11-21 12:03:07,250 fail2ban.actions [1]: NOTICE [sshd] Ban 192.0.2.7',
     ['192.0.2.7 - | 2026-11-20 22:03:07.250000 .. 2026-11-22 00:03:07.250999 | - - | - - -']),
    ('Nov 21 12:03:07 h haproxy[1]: 192.0.2.7:51234 [21/Nov/2026:12:03:07.123] fe~ be/s1 '
     '0/0/0/1/1 200 1 - - ---- 1/1/0/0/0 0/0 "GET /x HTTP/1.1"',
     ['192.0.2.7 51234 | 2026-11-20 22:03:07.123000 .. 2026-11-22 00:03:07.123999 | - - |'
      ' GET /x 200']),
    ('192.0.2.7, 203.0.113.9 - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1',
     ['192.0.2.7 - | 12:03:07 | - - | GET / 200']),
    ('203.0.113.9 - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1 "-" "-" "192.0.2.7"',
     ['203.0.113.9 - | 12:03:07 | - - | GET / 200']),
]


@pytest.mark.parametrize(("text", "expected"), LINES)
def test_a_line_is_read(text: str, expected: list[str]) -> None:
    assert [line(each) for each in read(text).sightings] == expected


@pytest.mark.parametrize(("text", "expected"), LINES)
def test_it_reads_the_same_in_a_letter(text: str, expected: list[str]) -> None:
    """Quoted, and with Windows line ends: a line that says it all by itself does not change."""
    if len(expected) == 1 and "| - | -" not in expected[0]:
        letter = f"Dear colleagues,\r\n\r\n> {text}\r\n\r\nRegards\r\n"
        assert [line(each) for each in read(letter).sightings] == expected


NOT_READ = [
    ('host.isp.example - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1', "a name"),
    ('192.0.2.300 - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1', "a name"),
    ('192.0.2.7 - - [31/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1', "no such date"),
    ('192.0.2.7 - - [21/Nov/2026:12:63:07 +0000] "GET / HTTP/1.1" 200 1', "no time of day"),
    ("2026-11-21 12:03:07 UTC", "a time, and no address"),
    ('{"time":"2026-11-21T12:03:07Z","status":200}', "no field names the address"),
    ('{"client_ip":"gw.isp.example","time":"2026-11-21T12:03:07Z"}', "names are not looked up"),
    ("x" * 9000, "longer than 8,192 characters"),
]


@pytest.mark.parametrize(("text", "why"), NOT_READ)
def test_what_cannot_be_read_is_said_with_its_place(text: str, why: str) -> None:
    found = read(f"first\n{text}\nlast")
    assert not found.sightings
    assert [each.source for each in found.unread] == ["line 2"]
    assert why in found.unread[0].why
    assert found.unread[0].text == " ".join(text[:200].split())


ASSUMED = [
    ("IP: 192.0.2.7\nPort: 443\nTime: 2026-11-21 12:03:07 UTC", None, 443,
     "port 443 is taken for the port of the service that was reached"),
    ("IP: 192.0.2.7\nPort: 51234\nTime: 2026-11-21 12:03:07 UTC", 51234, None,
     "port 51234 is taken for the source's"),
    ("IP: 192.0.2.7\nSource-Port: many\nTime: 2026-11-21 12:03:07 UTC", None, None,
     "Source-Port: 'many' is no port"),
    ("2026-11-21 12:03:07 UTC (+/- 5 minutes) 192.0.2.7", None, None,
     "the complaint itself says +/- 5 minutes"),
    ("192.0.2.7 2026-11-21 12:03:07 UTC 2026-11-21 12:04:07 UTC", None, None,
     "the line holds 2 times; each was looked for"),
]


@pytest.mark.parametrize(("text", "port", "target_port", "note"), ASSUMED)
def test_what_was_assumed_is_said(text: str, port: int | None, target_port: int | None,
                                  note: str) -> None:
    [found] = read(text).sightings
    assert (found.port, found.target_port) == (port, target_port)
    assert note in found.notes


def test_addresses_that_the_complaint_is_not_about_are_left_alone() -> None:
    text = "\n".join(f'{each} - - [21/Nov/2026:12:03:07 +0000] "GET / HTTP/1.1" 200 1'
                     for each in ("192.0.2.7", "198.51.100.4", "192.0.2.7"))
    assert [each.address for each in read(text).sightings] == ["192.0.2.7", "198.51.100.4"]
    found = read(text, ours=frozenset({"192.0.2.7"}))
    assert [each.address for each in found.sightings] == ["192.0.2.7"]
    assert found.sightings[0].notes == ("said 2 times",)
    assert found.notes == ("lines that hold nothing a search could use: 1",)
