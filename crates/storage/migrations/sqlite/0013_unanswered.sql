-- How many requests to an application stayed without an answer since it last answered; more than 0: it is asked by one claim at a time.

ALTER TABLE applications ADD COLUMN unanswered INTEGER NOT NULL DEFAULT 0;
