"""What requests and answers held: only inside a case, for a time, and readable by nobody here.

    DATA/captures.json                       which accounts, for which case, until when (`orders`)
    DATA/captured/CASE/RECORD-ID.age         one exchange (`sealing`)

Each exchange is a WARC 1.1 file (ISO 28500) of request and response, encrypted to the case's
recipient with age (age-encryption.org/v1). The private part, the identity, is given to whoever
opened the capture and is never on this machine's disk: so neither the operator nor whoever breaks
in can read what was captured, and what is in memory is there for the length of the exchange.

Only what the proxy sees is captured: HTTP in the clear and inspected tunnels, no bodies of
WebSockets and nothing of tunnels that are not inspected. Our own credentials are not in it, they
never reach the target; what the customer sends to the target is, with cookies and all. That is
what it is for, and why it needs a case, an end, and an access record.
"""
