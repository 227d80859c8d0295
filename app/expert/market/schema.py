"""The marketplace's tables in Expert's database.

What is active is a generation: a set of packages with the choices between them. A change writes a
new generation and moves one pointer to it, in one transaction; going back moves the pointer.
"""

from expert.store.database import Migration, Schema

_INITIAL = (
    """
    CREATE TABLE publisher_key (
        publisher TEXT NOT NULL,
        key TEXT NOT NULL,          -- as a line of a .pub file
        state TEXT NOT NULL CHECK (state IN ('active', 'retired', 'revoked')),
        origin TEXT NOT NULL CHECK (origin IN ('first use', 'rotation', 'by hand')),
        reason TEXT NOT NULL DEFAULT '',
        since TEXT NOT NULL,
        PRIMARY KEY (publisher, key)
    ) STRICT
    """,
    "CREATE UNIQUE INDEX active_key ON publisher_key (publisher) WHERE state = 'active'",
    """
    CREATE TABLE package (
        id TEXT PRIMARY KEY,        -- SHA-256 of the manifest
        publisher TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        summary TEXT NOT NULL,
        size INTEGER NOT NULL,      -- bytes, unpacked
        manifest BLOB NOT NULL,
        signature BLOB,
        signer TEXT,                -- as a line of a .pub file
        trust TEXT NOT NULL CHECK (trust IN ('signed', 'unsigned', 'unvouched')),
        source TEXT NOT NULL,
        installed TEXT NOT NULL
    ) STRICT
    """,
    "CREATE UNIQUE INDEX package_version ON package (publisher, name, version)",
    """
    CREATE TABLE file (
        package TEXT NOT NULL REFERENCES package ON DELETE CASCADE,
        path TEXT NOT NULL,
        sha256 TEXT NOT NULL,
        size INTEGER NOT NULL,
        PRIMARY KEY (package, path)
    ) STRICT
    """,
    "CREATE INDEX file_blob ON file (sha256)",
    """
    CREATE TABLE blob_stamp (       -- the file system's view of a blob when it was last read whole
        sha256 TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        mtime_ns INTEGER NOT NULL,
        ctime_ns INTEGER NOT NULL,
        inode INTEGER NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE generation (
        number INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given to another state
        parent INTEGER,             -- what it was made from
        reason TEXT NOT NULL,
        created TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE member (
        generation INTEGER NOT NULL REFERENCES generation ON DELETE CASCADE,
        package TEXT NOT NULL REFERENCES package,
        requested INTEGER NOT NULL, -- by the user, not only by another expert
        selected INTEGER NOT NULL,  -- what the bare name means
        PRIMARY KEY (generation, package)
    ) STRICT
    """,
    "CREATE INDEX member_package ON member (package)",
    """
    CREATE TABLE edge (             -- which package answers another one's requirement
        generation INTEGER NOT NULL,
        package TEXT NOT NULL,
        requires TEXT NOT NULL,     -- qualified name
        target TEXT NOT NULL,
        PRIMARY KEY (generation, package, requires),
        FOREIGN KEY (generation, package) REFERENCES member ON DELETE CASCADE,
        FOREIGN KEY (generation, target) REFERENCES member (generation, package)
            ON DELETE CASCADE
    ) STRICT
    """,
    """
    CREATE TABLE active (           -- the one generation in force
        id INTEGER PRIMARY KEY CHECK (id = 1),
        generation INTEGER NOT NULL REFERENCES generation
    ) STRICT
    """,
    "INSERT INTO generation VALUES (0, NULL, 'empty', '')",
    "INSERT INTO active VALUES (1, 0)",
    """
    CREATE TABLE pin (
        name TEXT PRIMARY KEY,      -- qualified
        range TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TABLE lease (            -- packages in use by running processes; never removed
        pid INTEGER NOT NULL,
        started TEXT NOT NULL,
        package TEXT NOT NULL,
        PRIMARY KEY (pid, started, package)
    ) STRICT
    """,
    """
    CREATE TABLE event (            -- what was done, for ever
        id INTEGER PRIMARY KEY,
        time TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail TEXT NOT NULL
    ) STRICT
    """,
    """
    CREATE TRIGGER event_stays BEFORE UPDATE ON event
    BEGIN SELECT raise(ABORT, 'events are not changed'); END
    """,
    """
    CREATE TRIGGER event_is_kept BEFORE DELETE ON event
    BEGIN SELECT raise(ABORT, 'events are not removed'); END
    """,
    """
    CREATE TABLE source (
        name TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        location TEXT NOT NULL,
        stamp TEXT NOT NULL DEFAULT '',     -- the source's state when it was last read
        refreshed TEXT NOT NULL DEFAULT ''
    ) STRICT
    """,
    """
    CREATE TABLE offer (            -- what the sources have
        id INTEGER PRIMARY KEY,
        source TEXT NOT NULL REFERENCES source ON DELETE CASCADE,
        package TEXT NOT NULL,
        publisher TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        summary TEXT NOT NULL,
        manifest BLOB NOT NULL,
        signer TEXT,
        location TEXT NOT NULL,     -- where the source has it
        stamp TEXT NOT NULL,        -- changes when the package does
        size INTEGER NOT NULL,      -- bytes to fetch
        UNIQUE (source, publisher, name, version)
    ) STRICT
    """,
    "CREATE INDEX offer_name ON offer (publisher, name)",
    """
    CREATE TABLE statement (        -- what publishers say about their keys, found at sources
        source TEXT NOT NULL REFERENCES source ON DELETE CASCADE,
        data BLOB NOT NULL,
        PRIMARY KEY (source, data)
    ) STRICT
    """,
    """
    CREATE VIRTUAL TABLE offer_text USING fts5 (    -- its rowid is the offer's id
        name, publisher, summary, tags, examples,
        tokenize = 'unicode61 remove_diacritics 2', prefix = '2 3'
    )
    """,
)

MARKET = Schema("market", (Migration("001_initial", _INITIAL),))
