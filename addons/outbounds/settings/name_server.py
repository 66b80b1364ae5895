"""Where names are asked, as an operator writes it."""

from __future__ import annotations

import ipaddress
from typing import Annotated

from pydantic import AfterValidator


def _name_server(value: str) -> str:
    address, _, port = value.rpartition(":") if value.count(":") == 1 or "]:" in value else (
        value, "", "53")
    try:
        ip = ipaddress.ip_address(address.removeprefix("[").removesuffix("]"))
        if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
            raise ValueError
    except ValueError:
        raise ValueError("not a name server; write its address, such as 192.0.2.53, with the port "
                         "if it is not 53: 127.0.0.1:5353 or [::1]:5353") from None
    return f"[{ip}]:{int(port)}" if ip.version == 6 else f"{ip}:{int(port)}"


NameServer = Annotated[str, AfterValidator(_name_server)]
