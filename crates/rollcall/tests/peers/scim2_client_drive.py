"""Drives a SCIM server with scim2-client, a client that nobody here wrote: every operation, and what the answers hold.

Arguments: the base URL and a token. Ends with 0 and "every assertion held" where everything is as it should be.
"""

import sys

from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_models import (
    Error,
    PatchOp,
    PatchOperation,
    ResponseParameters,
    SearchRequest,
    ServiceProviderConfig,
)

base_url, token = sys.argv[1:]
http = Client(base_url=base_url, headers={"Authorization": f"Bearer {token}"}, timeout=30)
# Its models know no more of the configuration than RFC 7643 and RFC 9865 and refuse more, so what RFC 9967 adds is taken out.
config = http.get("/ServiceProviderConfig").raise_for_status().json()
assert all(config[name]["supported"] is True for name in ("patch", "bulk", "filter", "sort", "etag")), config
config.pop("securityEvents", None)

# Discovery: the client builds its models from what the server publishes.
scim = SyncSCIMClient(http, service_provider_config=ServiceProviderConfig.model_validate(config))
scim.discover(service_provider_config=False)
User, Group = scim.get_resource_model("User"), scim.get_resource_model("Group")
Email, Name = User.Emails, User.Name
Enterprise = next(iter(User.get_extension_models().values()))


def user(user_name, **more):
    return User(user_name=user_name, active=True, **more)


def refused(answer, status, scim_type=None):
    assert isinstance(answer, Error) and answer.status == status, answer
    assert answer.detail and answer.scim_type == scim_type, answer


# Create, with the extension; what comes back is what was sent.
ada = scim.create(
    user(
        "ada@example.com",
        name=Name(given_name="Ada", family_name="Lovelace"),
        emails=[Email(value="ada@example.com", type="work", primary=True)],
        external_id="E-1",
    )
)
assert (ada.user_name, ada.name.family_name, ada.external_id, ada.active) == ("ada@example.com", "Lovelace", "E-1", True), ada
assert [(email.value, email.type, email.primary) for email in ada.emails] == [("ada@example.com", "work", True)]
assert ada.meta.resource_type == "User" and str(ada.meta.location).endswith(f"/Users/{ada.id}") and ada.meta.version.startswith('W/"')
refused(scim.create(user("ADA@example.com"), raise_scim_errors=False), 409, "uniqueness")

# Read one, and a part of one.
assert scim.query(User, ada.id).model_dump() == ada.model_dump()
part = scim.query(User, ada.id, query_parameters=ResponseParameters(attributes=["userName"]))
assert part.user_name == "ada@example.com" and part.name is None and part.emails is None, part
refused(scim.query(User, "nobody", raise_scim_errors=False), 404)

# Replace: what is left out is gone.
ada.name.family_name, ada.nick_name, ada.external_id = "King", "Countess", None
ada = scim.replace(ada)
assert (ada.name.family_name, ada.nick_name, ada.external_id) == ("King", "Countess", None), ada

# PATCH: replace, remove, by a path with a filter.
operations = [
    PatchOperation(op="replace", path="name.givenName", value="Augusta"),
    PatchOperation(op="remove", path="nickName"),
    PatchOperation(op="replace", path='emails[type eq "work"].value', value="countess@example.com"),
    PatchOperation(op="replace", path="active", value=False),
]
scim.modify(User, ada.id, PatchOp[User](operations=operations))
ada = scim.query(User, ada.id)
assert (ada.name.given_name, ada.name.family_name, ada.nick_name, ada.active) == ("Augusta", "King", None, False), ada
assert [email.value for email in ada.emails] == ["countess@example.com"]

# Bulk: two people and a group of both, by reference.
operations = [
    ("/Users", "b", {"schemas": [str(User.__schema__)], "userName": "bob@example.com"}),
    ("/Users", "c", {"schemas": [str(User.__schema__)], "userName": "cleo@example.com"}),
    (
        "/Groups",
        "g",
        {
            "schemas": [str(Group.__schema__)],
            "displayName": "Engineers",
            "members": [{"value": "bulkId:b"}, {"value": "bulkId:c"}],
        },
    ),
]
answer = scim.bulk(
    {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "POST", "path": path, "bulkId": bulk_id, "data": data} for path, bulk_id, data in operations],
    }
)
done = answer if isinstance(answer, dict) else answer.model_dump()
results = done["Operations"]
assert [(result["bulkId"], str(result["status"])) for result in results] == [("b", "201"), ("c", "201"), ("g", "201")], done
bob, cleo, engineers = (str(result["location"]).rsplit("/", 1)[1] for result in results)
group = scim.query(Group, engineers)
assert group.display_name == "Engineers" and {member.value for member in group.members} == {bob, cleo}, group

# Members come and go.
change = PatchOp[Group](
    operations=[
        PatchOperation(op="add", path="members", value=[Group.Members(value=ada.id)]),
        PatchOperation(op="remove", path=f'members[value eq "{bob}"]'),
    ]
)
scim.modify(Group, engineers, change)
assert {member.value for member in scim.query(Group, engineers).members} == {cleo, ada.id}
assert [group.value for group in scim.query(User, ada.id).groups] == [engineers]
assert not scim.query(User, bob).groups

# Queries: filter, order, pages; by GET, by POST at a type, by POST at the root.
for number in range(25):
    scim.create(user(f"person-{number:02}@example.com", title="Clerk" if number % 2 else "Boss"))
seen, start = [], 1
while True:
    request = SearchRequest(filter='userName sw "person-"', sort_by="userName", sort_order="descending", start_index=start, count=10)
    page = scim.query(User, query_parameters=request)
    assert page.total_results == 25 and page.start_index == start, page
    seen += [resource.user_name for resource in page.resources or []]
    start += page.items_per_page
    if start > page.total_results:
        break
assert seen == [f"person-{number:02}@example.com" for number in reversed(range(25))], seen
clerks = scim.search(SearchRequest(filter='title eq "clerk" and active eq true', attributes=["userName"]))
assert clerks.total_results == 12 and all(clerk.title is None and clerk.user_name for clerk in clerks.resources), clerks
everything = scim.search(SearchRequest(filter=f'id eq "{engineers}" or id eq "{bob}"'))
assert {resource.meta.resource_type for resource in everything.resources} == {"User", "Group"}, everything
assert scim.query(User, query_parameters=SearchRequest(filter='userName eq "nobody"')).total_results == 0
refused(scim.query(User, query_parameters={"filter": "userName like 1"}, check_request_payload=False, raise_scim_errors=False), 400, "invalidFilter")

# Cursors (RFC 9865): every page once, in order; a cursor belongs to its query.
assert config["pagination"]["cursor"] is True, config
walked, cursor = [], ""
while cursor is not None:
    query = {"filter": 'userName sw "person-"', "sortBy": "userName", "count": 10, "cursor": cursor}
    page = scim.query(User, query_parameters=query, check_request_payload=False)
    walked += [resource.user_name for resource in page.resources or []]
    cursor = page.next_cursor
assert walked == [f"person-{number:02}@example.com" for number in range(25)], walked
wrong = {"filter": 'userName sw "other-"', "count": 10, "cursor": "nobody-gave-this-out"}
refused(scim.query(User, query_parameters=wrong, check_request_payload=False, raise_scim_errors=False), 400, "invalidCursor")

# What the client has no words for goes over the same connection: conditions, a dry run, memberships, a type that is made meanwhile.
path, current = f"/Users/{bob}", http.get(f"/Users/{bob}")
assert http.get(path, headers={"If-None-Match": current.headers["ETag"]}).status_code == 304
change = {
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [{"op": "replace", "path": "title", "value": "Dr."}],
}
stale = http.patch(path, json=change, headers={"If-Match": 'W/"99"'})
assert (stale.status_code, stale.json()["status"]) == (412, "412"), stale.text
tried = http.patch(path, json=change, headers={"Prefer": "handling=dry-run"})
assert (tried.status_code, tried.json()["title"]) == (200, "Dr."), tried.text
assert http.get(path).json() == current.json()
assert http.patch(path, json=change, headers={"If-Match": current.headers["ETag"]}).status_code == 200
membership = http.get("/GroupMembers", params={"filter": f'group.value eq "{engineers}"'}).json()
assert membership["totalResults"] == 2, membership
assert http.get("/Me").status_code == 501
admin = Client(base_url=base_url.replace("/scim/v2", "/t/default/admin/v1"), headers=dict(http.headers), timeout=30)
admin.post("/resource-types", json={"name": "Device"}).raise_for_status()
later = SyncSCIMClient(http, service_provider_config=ServiceProviderConfig.model_validate(config))
later.discover(service_provider_config=False)
Device = later.get_resource_model("Device")
device = later.create(Device(display_name="Sensor", active=True))
assert later.query(Device, device.id).display_name == "Sensor"
assert later.delete(Device, device.id) is None

# Delete: gone for everything, and out of the group.
assert scim.delete(User, cleo) is None
refused(scim.query(User, cleo, raise_scim_errors=False), 404)
refused(scim.delete(User, cleo, raise_scim_errors=False), 404)
assert {member.value for member in scim.query(Group, engineers).members} == {ada.id}
assert scim.create(user("cleo@example.com")).id != cleo

print("every assertion held")
