-- The request log has a file of its own on SQLite: see migrations/sqlite_requests.
SELECT 1;
