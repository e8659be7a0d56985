"""scim2-server, as published, with a memory that survives a restart.

Every write is appended to a journal before it is answered, and the journal is read again at the start, so that the process may be killed at any
time. scim2-server itself only keeps resources in memory.

usage: scim2_app.py PORT TOKEN JOURNAL
"""

import itertools
import json
import sys
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from scim2_server.memory import InMemoryStorage
from scim2_server.service import ScimService
from scim2_server.testserver.application import BEARER_TOKEN_SCHEME, BearerTokenApplication
from scim2_server.utils import load_default_provider


class JournalStorage(InMemoryStorage):
    def __init__(self, provider, path):
        super().__init__()
        versions = 1
        try:
            with open(path) as lines:
                for line in lines:
                    entry = json.loads(line)
                    resource = provider.model_for_endpoint(entry["endpoint"]).model_validate(entry["resource"])
                    if entry["gone"]:
                        super()._remove((resource.meta.resource_type, resource.id))
                    else:
                        super()._store(resource, self._values_of(resource))
                    versions += 1
        except FileNotFoundError:
            pass
        # A refused write takes a version without a line; skip far enough that no version is given twice.
        self.versions = itertools.count(versions * 10)
        self.journal = open(path, "a")

    def _write(self, resource, gone):
        line = {"endpoint": f"/{resource.meta.resource_type}s", "gone": gone, "resource": resource.model_dump()}
        self.journal.write(json.dumps(line) + "\n")
        self.journal.flush()

    def _store(self, resource, values):
        super()._store(resource, values)
        self._write(resource, False)

    def delete(self, resource_type, resource_id, *, expected_version=None):
        with self.lock:
            stored = self._stored(resource_type, resource_id)
            super().delete(resource_type, resource_id, expected_version=expected_version)
            self._write(stored, True)


class ThreadingServer(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    request_queue_size = 128


class QuietHandler(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def main():
    port, token, journal = int(sys.argv[1]), sys.argv[2], sys.argv[3]
    provider = load_default_provider()
    provider.config.authentication_schemes = [BEARER_TOKEN_SCHEME]
    service = ScimService(provider, secret="a secret for the cursors of a test")
    application = BearerTokenApplication(JournalStorage(provider, journal), provider, service=service, bearer_tokens=[token])
    with make_server("127.0.0.1", port, application, server_class=ThreadingServer, handler_class=QuietHandler) as server:
        print(f"listening on {server.server_port}", flush=True)
        server.serve_forever()


main()
