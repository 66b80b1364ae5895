"""Who is this? Credentials or a source network become an account, or nobody.

`basic` reads what the client sent, `verifier` answers the policy's question `WhoIs` with the help
of `passwords` and `attempts`; accounts come from `accounts_file` and `htpasswd`, which are both a
`directory`. This package may read the clock.
"""
