"""Names to addresses: asked of name servers on the event loop, remembered, bounded.

`resolver` remembers and lets one look-up a name fly; `lookup` is one look-up: the machine's own
files first, then both address families in parallel; `texts` is one of TXT records. `name_servers`
asks one question, `transport` are the sockets, `system_files` the files, `order` which family is
tried first. The messages themselves, retries and servers in turn are dnspython's.
"""

from .found import Found, Outcome
from .lookup import Lookup
from .resolver import Answer, Resolver
from .texts import Texts, look_up_texts

__all__ = ["Answer", "Found", "Lookup", "Outcome", "Resolver", "Texts", "look_up_texts"]
