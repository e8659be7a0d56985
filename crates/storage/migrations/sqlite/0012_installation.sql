-- What is known of the installation as a whole: one row.
CREATE TABLE installation (
    only_row       INTEGER PRIMARY KEY CHECK (only_row = 1),
    key_check      BLOB,             -- derived from the key file; NULL until the first opening
    trials         INTEGER NOT NULL, -- raised by whoever asks whether the database can be written
    journal_needed INTEGER NOT NULL  -- 1 in a file that lacks what stands in the journal beside it
) STRICT;

INSERT INTO installation (only_row, key_check, trials, journal_needed) VALUES (1, NULL, 0, 0);
