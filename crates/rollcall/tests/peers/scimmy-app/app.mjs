// A minimal application that takes SCIM in through scimmy-routers and remembers in a journal, so that it may be killed at any time.
//
// usage: node app.mjs PORT TOKEN JOURNAL
import {appendFileSync, existsSync, readFileSync} from "node:fs";
import {randomUUID} from "node:crypto";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const [port, token, journal] = process.argv.slice(2);
const tables = {User: new Map(), Group: new Map()};

if (existsSync(journal)) {
    for (const line of readFileSync(journal, "utf8").split("\n").filter(Boolean)) {
        const {type, id, document} = JSON.parse(line);
        document === null ? tables[type].delete(id) : tables[type].set(id, document);
    }
}

function remember(type, id, document) {
    document === null ? tables[type].delete(id) : tables[type].set(id, document);
    appendFileSync(journal, JSON.stringify({type, id, document}) + "\n");
}

const notFound = id => new SCIMMY.Types.Error(404, null, `Resource ${id} not found`);

// What an application of its own would write: unique names, a new id, the whole document replaced.
function handlers(type, unique) {
    const table = tables[type];
    return {
        egress(resource) {
            if (resource.id !== undefined) {
                if (!table.has(resource.id)) throw notFound(resource.id);
                return table.get(resource.id);
            }
            const all = [...table.values()];
            return resource.filter ? resource.filter.match(all) : all;
        },
        ingress(resource, data) {
            if (resource.id !== undefined && !table.has(resource.id)) throw notFound(resource.id);
            const document = JSON.parse(JSON.stringify(data));
            const id = resource.id ?? randomUUID();
            const name = String(document[unique]).toLowerCase();
            for (const other of table.values()) {
                if (other.id !== id && String(other[unique]).toLowerCase() === name)
                    throw new SCIMMY.Types.Error(409, "uniqueness", `${unique} is taken`);
            }
            // A membership is a row of a table with a key, as in most applications: adding it twice leaves one.
            if (document.members) document.members = [...new Map(document.members.map(member => [member.value, member])).values()];
            const now = new Date().toISOString();
            document.id = id;
            document.meta = {resourceType: type, created: table.get(id)?.meta?.created ?? now, lastModified: now};
            remember(type, id, document);
            return document;
        },
        degress(resource) {
            if (!table.has(resource.id)) throw notFound(resource.id);
            remember(type, resource.id, null);
        },
    };
}

SCIMMY.Resources.declare(SCIMMY.Resources.User, handlers("User", "userName"));
SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser);
SCIMMY.Resources.declare(SCIMMY.Resources.Group, handlers("Group", "displayName"));

const app = express();
app.use("/scim", new SCIMMYRouters({
    type: "bearer",
    handler(request) {
        if (request.header("Authorization") !== `Bearer ${token}`) throw new Error("the token is not known");
        return "somebody";
    },
}));
const server = app.listen(Number(port), "127.0.0.1", () => console.log(`listening on ${server.address().port}`));
