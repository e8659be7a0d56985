-- What is known of the installation as a whole: one row.
CREATE TABLE installation (
    only_row  INTEGER PRIMARY KEY CHECK (only_row = 1),
    key_check BYTEA,          -- derived from the key file; NULL until the first opening
    trials    BIGINT NOT NULL -- raised by whoever asks whether the database can be written
);

INSERT INTO installation (only_row, key_check, trials) VALUES (1, NULL, 0);
