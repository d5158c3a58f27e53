-- steadfast, schema version 1, MySQL 8 and MariaDB 10.6 and newer.
-- Migrate runs this file as it is, with the configured names in the place of steadfast_calls.
-- All times are microseconds since 1970, UTC, by the clock of this server; NULL means never, or not claimed.
-- Operation, scope, call_key, ref, code and message are bytes: CONVERT(message USING utf8mb4) reads one.
CREATE TABLE IF NOT EXISTS steadfast_calls (
    operation    varbinary(255) NOT NULL,
    scope        varbinary(255) NOT NULL,
    call_key     varbinary(255) NOT NULL,
    state        tinyint        NOT NULL, -- 1 free 2 scheduled 3 running 4 accepted 5 unknown 6 abandoned 7 succeeded 8 rejected 9 cancelled
    claimed_from tinyint        NOT NULL, -- the state that a running call was claimed from
    flags        int            NOT NULL, -- 1 sending 2 cancel wanted 4 cancel notifies 8 ambiguous 16 replayed error 32 started
                                          -- 64 notify 128 late 256 omitted 512 expired
    fence        bigint         NOT NULL,
    token        binary(16)     NOT NULL, -- of the last claim
    batch        binary(16),              -- the same, while a claim of AcquireDue is held
    attempts     int            NOT NULL,
    lease_until  bigint,
    due          bigint,                  -- the next step
    next_step    bigint,                  -- when AcquireDue may take it; beyond 2^62 for an open call that waits for somebody
    expires      bigint,                  -- when Purge has something to do
    give_up      bigint,
    changed      bigint         NOT NULL, -- when it came into its state at rest
    first_sent   bigint,
    last_sent    bigint,
    value        longblob,
    ref          mediumblob,
    code         mediumblob,
    message      mediumblob,
    created      bigint         NOT NULL,
    retention    bigint,                  -- how long value and request are kept, in microseconds; NULL: for ever
    stub_for     bigint,                  -- how long the stub is kept after that
    fingerprint  mediumblob,
    request      longblob,
    PRIMARY KEY (operation, scope, call_key),
    KEY steadfast_calls_due_idx (operation, next_step),
    KEY steadfast_calls_expires_idx (expires),
    KEY steadfast_calls_batch_idx (batch)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC;
CREATE TABLE IF NOT EXISTS steadfast_calls_version (version int NOT NULL PRIMARY KEY) ENGINE = InnoDB;
INSERT IGNORE INTO steadfast_calls_version (version) VALUES (1);
