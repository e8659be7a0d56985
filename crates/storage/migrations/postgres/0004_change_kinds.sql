-- What a change did, so that nobody who is told of it has to guess.

-- 0: not known (older than this column). 1 create, 2 patch, 3 replace, 4 delete; 16 more: activated, 32 more: deactivated.
ALTER TABLE change_log ADD COLUMN kind BIGINT NOT NULL DEFAULT 0;
-- Names of the attributes that changed, with commas between.
ALTER TABLE change_log ADD COLUMN attributes TEXT NOT NULL DEFAULT '';
