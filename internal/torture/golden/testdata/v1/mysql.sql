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
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'4b6579207769746820002c20ff20616e64206120737061636520', 7, 0, 0, 1, x'403f31d4f958879618b4ac857fd13dfb', NULL, 1, NULL, NULL, NULL, 4920825599953312, NULL, 1767225599953312, 1767225599951524, 1767225599953312, x'7b224944223a2272656365697074206f66204b65792077697468205c75303030302c205c756666666420616e64206120737061636520227d', NULL, x'', x'', 1767225599951524, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'6162616e646f6e6564', 6, 0, 8, 1, x'00000000000000000000000000000000', NULL, 1, NULL, 1767225599986487, 1767225599986487, NULL, NULL, 1767225599985905, 1767225599903681, 1767225599907714, NULL, x'', x'', x'6e6f20616e73776572', 1767225599903681, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'6163636570746564', 4, 0, 0, 1, x'a1517a43f58b34d93c1699ea1de272e5', NULL, 1, NULL, 1767225599888616, 1767225599888616, NULL, NULL, 1767225599888616, 1767225599886238, 1767225599888616, NULL, x'7265662d31', x'', x'', 1767225599886238, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'63616e63656c6c6564', 9, 0, 32, 1, x'00000000000000000000000000000000', NULL, 0, NULL, NULL, NULL, 4920825599980117, NULL, 1767225599980117, NULL, NULL, NULL, x'', x'', x'', 1767225599974104, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'65787069726564', 7, 0, 512, 1, x'7d71483a8edcb828862205da50a5f0a5', NULL, 1, NULL, NULL, NULL, NULL, NULL, 1767225599958352, 1767225599955489, 1767225599958352, NULL, NULL, x'', x'', 1767225599955489, 1000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', NULL);
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'66726565', 1, 0, 0, 1, x'6ee0f45c84d7b77d5a53330c9cc7cf35', NULL, 1, NULL, 1767225599935782, NULL, 1767229199935782, NULL, 1767225599935782, NULL, NULL, NULL, NULL, x'', x'6e6f20776179207468657265', 1767225599931607, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'6c617465', 6, 0, 136, 1, x'00000000000000000000000000000000', NULL, 1, NULL, NULL, 4611686018427387904, NULL, NULL, 1767225599991827, 1767225599910152, 1767225599915807, x'7b224944223a2272656365697074206f66206c617465227d', x'', x'', x'', 1767225599910152, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'6f6d6974746564', 7, 0, 256, 1, x'70d4efc38b252b28cfe1833a70c2407f', NULL, 1, NULL, NULL, NULL, 4920825599942427, NULL, 1767225599942427, 1767225599939673, 1767225599942427, NULL, NULL, x'', x'6964656d706f74656e63793a207468652076616c756520686173203330392062797465732c206d6f7265207468616e2043616c6c2e4d6178427974657320323536', 1767225599939673, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'72656a6563746564', 8, 0, 0, 1, x'03aec95c1845d1417fce712deab502b9', NULL, 1, NULL, NULL, NULL, 4920825599928156, NULL, 1767225599928156, 1767225599923505, 1767225599928156, NULL, NULL, x'6465636c696e6564', x'6e6f206d6f6e6579', 1767225599923505, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'72756e6e696e67', 3, 1, 1, 1, x'0833c288208a9bba3471ee2d4710dd61', NULL, 0, 1767225629994684, 1767225629994684, 1767225629994684, NULL, NULL, 1767225599994684, 1767225599994684, NULL, NULL, NULL, NULL, NULL, 1767225599994684, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'7363686564756c6564', 2, 0, 32, 1, x'00000000000000000000000000000000', NULL, 0, NULL, 1767225599971583, 1767225599971583, NULL, NULL, 1767225599971583, NULL, NULL, NULL, NULL, NULL, NULL, 1767225599971583, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'737563636565646564', 7, 0, 0, 1, x'0750e77bf2ce049c503de59c04368d89', NULL, 1, NULL, NULL, NULL, 4920825599920873, NULL, 1767225599920873, 1767225599919750, 1767225599920873, x'7b224944223a2272656365697074206f6620737563636565646564227d', NULL, x'', x'', 1767225599919750, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'746f206e6f74696679', 7, 0, 64, 1, x'f51ccb74a3d1087d5dca0b697bf44e30', NULL, 1, 1767225599948845, 1767225599948845, 1767225599948845, NULL, NULL, 1767225599948799, 1767225599947595, 1767225599948799, x'7b224944223a2272656365697074206f6620746f206e6f74696679227d', NULL, x'', x'', 1767225599947595, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'746f6d6273746f6e65', 9, 0, 64, 1, x'00000000000000000000000000000000', NULL, 0, NULL, 1767225599984056, 1767225599984056, NULL, NULL, 1767225599984056, NULL, NULL, NULL, NULL, NULL, NULL, 1767225599984056, 3153600000000000, NULL, x'', x'');
INSERT INTO steadfast_calls (operation, scope, call_key, state, claimed_from, flags, fence, token, batch, attempts, lease_until, due, next_step, expires, give_up, changed, first_sent, last_sent, value, ref, code, message, created, retention, stub_for, fingerprint, request)
VALUES (x'636861726765', x'637573746f6d65722031', x'756e6b6e6f776e', 5, 0, 8, 1, x'8fd9e942ed791431ee29fbc36481f8fe', NULL, 1, NULL, 1767225599899582, 1767225599899582, NULL, NULL, 1767225599899497, 1767225599891604, 1767225599899497, NULL, NULL, x'', x'6e6f20616e73776572', 1767225599891604, 3153600000000000, NULL, x'016d3ecf88131b659b205090468de8bde337ea5aadd9afda7b4463d8f43f31670e', x'7b224974656d223a22626f6f6b222c2243656e7473223a343230307d');
