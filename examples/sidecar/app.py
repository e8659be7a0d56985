"""A time sheet behind Rollcall: the identity provider speaks SCIM to Rollcall, and Rollcall tells this program by signed webhooks who is there.

Nothing but Python's standard library. Arguments: the port and a file for the database. WEBHOOK_SECRET is what `rollcall receiver add` printed.

    GET  /people            who is known, and who may come in
    POST /hours?login=ada   hours worked, if ada may come in
    POST /hooks             Rollcall
"""

import base64
import hashlib
import hmac
import json
import os
import sqlite3
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

AGE_SECONDS_MAX = 300
BODY_BYTES_MAX = 4 * 1024 * 1024

KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
port, path = sys.argv[1:]
database = sqlite3.connect(path, isolation_level=None)
database.executescript(
    """CREATE TABLE IF NOT EXISTS people (id TEXT PRIMARY KEY, login TEXT, name TEXT, active INTEGER);
    CREATE TABLE IF NOT EXISTS handled (event TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS hours (login TEXT);"""
)


def is_signed(headers, body):
    """Whether Rollcall sent it, and not long ago (https://www.standardwebhooks.com)."""
    identity, sent = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not sent.isdigit() or abs(time.time() - int(sent)) > AGE_SECONDS_MAX:
        return False
    expected = hmac.new(KEY, f"{identity}.{sent}.".encode() + body, hashlib.sha256).digest()
    # While a secret is changed there are two signatures.
    given = [one.removeprefix("v1,") for one in headers.get("webhook-signature", "").split() if one.startswith("v1,")]
    return any(hmac.compare_digest(base64.b64encode(expected).decode(), one) for one in given)


def handle(event):
    """An event may come twice; its id says so. What it tells is how the person is now, so an older one does no harm."""
    if event["resourceType"] != "User":
        return
    if database.execute("INSERT OR IGNORE INTO handled VALUES (?)", [event["id"]]).rowcount == 0:
        return
    person = event.get("resource")
    if person is None:
        database.execute("DELETE FROM people WHERE id = ?", [event["resourceId"]])
        return
    name = person.get("displayName") or person["userName"]
    row = [event["resourceId"], person["userName"].lower(), name, person.get("active", True)]
    database.execute("INSERT OR REPLACE INTO people VALUES (?, ?, ?, ?)", row)


class Handler(BaseHTTPRequestHandler):
    # One connection at a time is served, so none may stay open: who keeps one would keep Rollcall out.
    protocol_version = "HTTP/1.0"

    def answer(self, status, value=None):
        body = b"" if value is None else json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        if urlsplit(self.path).path != "/people":
            return self.answer(404)
        rows = database.execute("SELECT login, name, active FROM people ORDER BY login")
        self.answer(200, [{"login": login, "name": name, "active": bool(active)} for login, name, active in rows])

    def do_POST(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_BYTES_MAX:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(length)
        url = urlsplit(self.path)
        if url.path == "/hours":
            login = parse_qs(url.query).get("login", [""])[0].lower()
            known = database.execute("SELECT 1 FROM people WHERE login = ? AND active", [login]).fetchone()
            if known is None:
                return self.answer(403)
            database.execute("INSERT INTO hours VALUES (?)", [login])
            return self.answer(201)
        if url.path != "/hooks":
            return self.answer(404)
        if not is_signed(self.headers, body):
            return self.answer(401)
        message = json.loads(body)
        database.execute("BEGIN IMMEDIATE")
        for event in message.get("data", {}).get("events", []):
            handle(event)
        # Only what is kept is taken: where this fails, Rollcall sends it again.
        database.execute("COMMIT")
        self.answer(204)

    def log_message(self, *_):
        pass


HTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()
