//! Which tables of a tenant travel, and which columns of them; which stay, and why. Reads and writes nothing.

use serde::{Deserialize, Serialize};

/// Rows whose key the database gives out, and to which other rows refer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Keys {
    /// `resources.resource`
    Resource,
    /// `applications.application`
    Application,
    /// `receivers.receiver`
    Receiver,
}

impl Keys {
    /// The table that gives them out, and its column.
    pub(crate) fn place(self) -> (&'static str, &'static str) {
        match self {
            Self::Resource => ("resources", "resource"),
            Self::Application => ("applications", "application"),
            Self::Receiver => ("receivers", "receiver"),
        }
    }
}

/// All of them.
pub(crate) const KEYS: [Keys; 3] = [Keys::Resource, Keys::Application, Keys::Receiver];

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Integer,
    Text,
    /// Text that is JSON, and stands in the file as such.
    Json,
    /// How a client shows who it is, as JSON; the hash of a secret stays behind.
    Authentication,
    Bytes,
    /// A key of a row, its own or another's.
    Key(Keys),
}

/// A column that travels.
#[derive(Debug)]
pub(crate) struct Column {
    pub name: &'static str,
    pub kind: Kind,
}

/// A table whose rows travel.
#[derive(Debug)]
pub(crate) struct Table {
    pub name: &'static str,
    pub columns: &'static [Column],
    /// The columns that say in which order rows leave.
    pub order: &'static str,
}

const fn integer(name: &'static str) -> Column {
    Column {
        name,
        kind: Kind::Integer,
    }
}
const fn text(name: &'static str) -> Column {
    Column {
        name,
        kind: Kind::Text,
    }
}
const fn json(name: &'static str) -> Column {
    Column {
        name,
        kind: Kind::Json,
    }
}
const fn bytes(name: &'static str) -> Column {
    Column {
        name,
        kind: Kind::Bytes,
    }
}
const fn key(name: &'static str, keys: Keys) -> Column {
    Column {
        name,
        kind: Kind::Key(keys),
    }
}

/// What travels, in this order. A test knows when a table or column of a tenant is neither here nor in `LEFT_OUT`.
pub(crate) const TABLES: &[Table] = &[
    Table {
        name: "tenants",
        columns: &[
            integer("created"),
            json("settings"),
            integer("last_sequence"),
            integer("types_revision"),
        ],
        order: "tenant",
    },
    Table {
        name: "type_documents",
        columns: &[
            text("kind"),
            text("key"),
            integer("version"),
            integer("at"),
            text("author"),
            json("document"),
        ],
        order: "kind, key, version",
    },
    Table {
        name: "resources",
        columns: &[
            key("resource", Keys::Resource),
            text("type"),
            text("id"),
            integer("version"),
            integer("created"),
            integer("modified"),
            text("display"),
            bytes("entries"),
            json("document"),
        ],
        order: "resource",
    },
    Table {
        name: "memberships",
        columns: &[
            key("group_resource", Keys::Resource),
            key("member_resource", Keys::Resource),
        ],
        order: "group_resource, member_resource",
    },
    Table {
        name: "change_log",
        columns: &[
            integer("sequence"),
            bytes("change_id"),
            text("type"),
            text("id"),
            integer("version"),
            integer("at"),
            integer("kind"),
            text("attributes"),
            text("credential"),
        ],
        order: "sequence",
    },
    Table {
        name: "applications",
        columns: &[
            key("application", Keys::Application),
            text("name"),
            text("base_url"),
            json("settings"),
            integer("created"),
        ],
        order: "application",
    },
    Table {
        name: "links",
        columns: &[
            key("application", Keys::Application),
            text("id"),
            text("type"),
            text("remote_id"),
            text("state"),
            json("acknowledged"),
            json("members"),
            integer("updated"),
        ],
        order: "application, id",
    },
    Table {
        name: "awaits",
        columns: &[
            key("application", Keys::Application),
            text("awaited"),
            text("id"),
            text("type"),
        ],
        order: "application, awaited, id",
    },
    Table {
        name: "history",
        columns: &[
            text("id"),
            integer("version"),
            text("type"),
            text("kind"),
            integer("at"),
            integer("since"),
            integer("created"),
            bytes("change_id"),
            text("credential"),
            json("document"),
        ],
        order: "id, version",
    },
    Table {
        name: "member_history",
        columns: &[
            text("group_id"),
            integer("version"),
            text("member_id"),
            integer("joined"),
        ],
        order: "group_id, version, member_id",
    },
    Table {
        name: "tombstones",
        columns: &[
            text("id"),
            text("type"),
            integer("version"),
            integer("created"),
            integer("at"),
            bytes("change_id"),
            text("credential"),
            text("display"),
            text("user_name"),
            text("external_id"),
        ],
        order: "id",
    },
    Table {
        name: "pending_references",
        columns: &[
            key("resource", Keys::Resource),
            text("path"),
            text("value"),
            text("folded"),
            integer("since"),
        ],
        order: "resource, path, value",
    },
    Table {
        name: "provisioning_log",
        columns: &[
            key("application", Keys::Application),
            text("id"),
            json("entry"),
        ],
        order: "line",
    },
    Table {
        name: "clients",
        columns: &[
            text("id"),
            text("name"),
            integer("created"),
            integer("revoked"),
            Column {
                name: "authentication",
                kind: Kind::Authentication,
            },
            json("permissions"),
        ],
        order: "created, id",
    },
    Table {
        name: "issuers",
        columns: &[text("name"), integer("created"), json("settings")],
        order: "name",
    },
    Table {
        name: "receivers",
        columns: &[
            key("receiver", Keys::Receiver),
            text("name"),
            text("kind"),
            text("url"),
            json("settings"),
            integer("created"),
            integer("position"),
            integer("last_delivered"),
        ],
        order: "receiver",
    },
    Table {
        name: "chosen_resources",
        columns: &[key("receiver", Keys::Receiver), text("id")],
        order: "receiver, id",
    },
    Table {
        name: "parcels",
        columns: &[
            key("receiver", Keys::Receiver),
            integer("sequence"),
            text("state"),
            integer("attempts"),
            integer("counted"),
            text("error"),
            json("event"),
        ],
        order: "receiver, sequence",
    },
    Table {
        name: "parked",
        columns: &[
            text("parked"),
            integer("at"),
            text("credential"),
            text("type"),
            text("id"),
            json("write"),
        ],
        order: "at, parked",
    },
];

/// Tables of tenants that do not travel, and why.
#[cfg(test)]
pub(crate) const LEFT_OUT: &[(&str, &str)] = &[
    (
        "tokens",
        "secrets: a hash is good only with the key file that made it",
    ),
    (
        "unique_values",
        "made again from the column `entries` of `resources`",
    ),
    (
        "index_values",
        "made again from the column `entries` of `resources`",
    ),
    ("outbox", "everything is marked out of date instead"),
    ("signing_keys", "secrets"),
    ("assertions", "of the moment"),
    (
        "requests",
        "what was asked of this server, not what the tenant is",
    ),
    ("quirk_uses", "of the request log"),
    (
        "audit_log",
        "what was done in this installation; `rollcall audit export` writes it",
    ),
    ("audit_heads", "of the audit log"),
    ("guard_counts", "of the moment"),
    ("guard_allowances", "of the moment"),
];

/// Columns of tables that travel which stay, as each database has its own.
#[cfg(test)]
pub(crate) const LEFT_OUT_COLUMNS: &[(&str, &str, &str)] = &[
    (
        "tenants",
        "name",
        "a restored tenant has the name it is given",
    ),
    (
        "tenants",
        "dispatched",
        "everything is marked out of date instead",
    ),
    (
        "tenants",
        "revision",
        "nothing may be remembered of another tenant of this name",
    ),
    ("applications", "token", "a secret"),
    ("applications", "state", "without a token it is paused"),
    ("applications", "paused_until", "of the moment"),
    ("applications", "unanswered", "of the moment"),
    ("applications", "claimed", "of the moment"),
    ("applications", "last_number", "of the outbox"),
    ("provisioning_log", "line", "the order of the lines is kept"),
    (
        "clients",
        "person",
        "made again from the column `permissions`",
    ),
    ("issuers", "person", "made again from the column `settings`"),
    ("receivers", "secrets", "secrets"),
    ("receivers", "state", "without a secret it is paused"),
    ("receivers", "attempts", "of the moment"),
    ("receivers", "due", "of the moment"),
    ("receivers", "fence", "of the moment"),
    ("receivers", "lease_until", "of the moment"),
    ("receivers", "last_error", "says that it was restored"),
];

/// Reads the rows of a table; `$1` is the tenant.
pub(crate) fn select(table: &Table) -> String {
    let columns: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    format!(
        "SELECT {} FROM {} WHERE tenant = $1 ORDER BY {}",
        columns.join(", "),
        table.name,
        table.order
    )
}

/// Writes a row with these columns, among which may be keys.
pub(crate) fn insert(table: &str, columns: &[&str]) -> String {
    let places: Vec<String> = (1..=columns.len())
        .map(|number| format!("${number}"))
        .collect();
    format!(
        "INSERT INTO {table} ({}) OVERRIDING SYSTEM VALUE VALUES ({})",
        columns.join(", "),
        places.join(", ")
    )
}

/// The smallest and the largest key of a tenant; `$1` is the tenant.
pub(crate) fn key_range(keys: Keys) -> String {
    let (table, column) = keys.place();
    format!("SELECT min({column}), max({column}) FROM {table} WHERE tenant = $1")
}
