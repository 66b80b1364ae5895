"""Cases: which records an investigation is about, who did what with them, what must be kept, and
the bundle that goes to a court.

    DATA/cases/ID/custody.jsonl      what was done, one entry a line, each with the hash of the one
                                     before it: from this everything else follows (`custody`)
                 items-0003.jsonl    which records entry 3 added (`items`)
                 key.pem             the case's own key (Ed25519), mode 0600
                 captured/           see `captures`

    custody   the entries, their chain, what one of them can hold
    items     which records
    store     cases on disk: read, changed under a lock
    desk      what a person does to a case, on record in the evidence log before it is done
    material  what of a case goes into a bundle: of one account, and no one else's
    statement the scope and count that the log itself vouches for
    bundle    writing it; `container` folders, zip and tar, `readme` what it tells a stranger
    report    the page for people; `chart` its timeline, `wording` custody entries
    check     verifying a bundle, with nothing but the bundle (`check_records`, `check_acts`,
              `check_witness`, `findings`)

A case is its custody log: there is no second file that could say something else.
"""
