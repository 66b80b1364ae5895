-- The accounts file as schema 1 made it, kept as it was.
CREATE TABLE accounts (
    id            TEXT PRIMARY KEY NOT NULL,
    name          TEXT NOT NULL UNIQUE,
    password_hash TEXT NOT NULL,
    plan          TEXT NOT NULL,
    standing      TEXT NOT NULL CHECK (standing IN ('good', 'warned', 'suspended', 'terminated')),
    reason        TEXT NOT NULL DEFAULT '',
    inspect       INTEGER NOT NULL DEFAULT 0 CHECK (inspect IN (0, 1)),
    consent       TEXT NOT NULL DEFAULT '',
    crawler       TEXT NOT NULL DEFAULT '',
    networks      TEXT NOT NULL DEFAULT '[]',
    revision      INTEGER NOT NULL DEFAULT 1,
    created       INTEGER NOT NULL,
    updated       INTEGER NOT NULL,
    CHECK (inspect = 0 OR consent <> '')
);
CREATE TABLE networks (
    network    BLOB PRIMARY KEY NOT NULL,
    account_id TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX networks_of_account ON networks (account_id);
CREATE TABLE changes (
    counter    INTEGER PRIMARY KEY AUTOINCREMENT,
    account_id TEXT NOT NULL
);
CREATE TRIGGER changes_trimmed AFTER INSERT ON changes BEGIN
    DELETE FROM changes WHERE counter <= NEW.counter - 10000;
END;
CREATE TRIGGER account_added AFTER INSERT ON accounts BEGIN
    INSERT INTO changes (account_id) VALUES (NEW.id);
END;
CREATE TRIGGER account_changed AFTER UPDATE ON accounts BEGIN
    UPDATE accounts SET revision = OLD.revision + 1 WHERE id = NEW.id;
    INSERT INTO changes (account_id) VALUES (NEW.id);
END;
CREATE TRIGGER account_removed AFTER DELETE ON accounts BEGIN
    DELETE FROM networks WHERE account_id = OLD.id;
    INSERT INTO changes (account_id) VALUES (OLD.id);
END;
CREATE TRIGGER account_id_is_fixed BEFORE UPDATE OF id ON accounts WHEN NEW.id <> OLD.id BEGIN
    SELECT RAISE(ABORT, 'the id of an account never changes: records name it');
END;
PRAGMA user_version = 1;
