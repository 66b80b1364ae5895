"""How what was recorded is removed again: by its age, or because it was somebody's right.

    due        what becomes of a record, and when; a table and a few comparisons
    ends       when events were over whose records lie in several segments
    facts      what the two look at in a record
    rewriting  a sealed segment without some of its details or records, whatever crashes
    memory     what a pass knows about the next one
    passing    the keeper's task "retention"
    erasure    `outbounds evidence erase`: the details of one account

Removing takes nothing from the log's proof. A detail leaves its hash in the record, and a record
its leaf in a placeholder (`line`); the salt goes with the detail, or is in the record that goes, so
that nobody can try guesses against the hash that stays. Each removal is on record in the log before
it happens, with how many it takes. A hold of a case keeps what it covers; a hold that cannot be
read stops everything.

A file that is removed is unlinked. Its octets may stay on the disk until it needs the room: a disk
with personal data on it is to be encrypted, and thrown away by its key.
"""
