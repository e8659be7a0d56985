//! What a restored row has beside what the file says: whose it is, what each database has of its own, and what stands where a secret was. Writes nothing.

use access::client::ClientAuthentication;
use access::credential::TokenHash;
use access::issuer::IssuerSettings;
use directory::access::Permissions;
use directory::store::Fault;
use directory::tenant::TenantId;
use events::receiver::Secrets;
use serde_json::{Map, Value};

use crate::event_rows::seal_secrets;
use crate::rows::{from_json, json_text};
use crate::secrets::{MasterKey, application_context};
use crate::tenant_tables::Table;
use crate::transfer::{Cell, Row, integer_of, text_of};

/// What a restored receiver says of itself until something is delivered.
const RESTORED: &str =
    "restored without its secret, and paused: give it a new secret, then resume it";

/// What a restored tenant has of its own.
pub(crate) struct Own<'a> {
    pub name: &'a str,
    pub tenant: i64,
    /// When it is restored, and its first revision.
    pub revision: i64,
    /// Seals what takes the place of secrets.
    pub key: &'a MasterKey,
}

/// The columns of a restored row beside those of the file; changes those that cannot stay as they are.
pub(crate) fn further(
    table: &Table,
    row: &mut Row,
    own: &Own<'_>,
) -> Result<Vec<(&'static str, Cell)>, Fault> {
    if table.name == "tenants" {
        change(row, "settings", resumed)?;
        let dispatched = Cell::Integer(integer_of(row, "last_sequence"));
        return Ok(vec![
            ("name", Cell::Text(own.name.into())),
            ("revision", Cell::Integer(own.revision)),
            ("dispatched", dispatched),
        ]);
    }
    let (tenant, name) = (TenantId(own.tenant), text_of(row, "name"));
    let mut further = vec![("tenant", Cell::Integer(own.tenant))];
    match table.name {
        "applications" => {
            further.push((
                "token",
                Cell::Bytes(own.key.seal(&application_context(tenant, name), "")?),
            ));
            further.push(("state", Cell::Text("paused".into())));
        }
        "receivers" => {
            further.push((
                "secrets",
                Cell::Bytes(seal_secrets(own.key, tenant, name, &Secrets::new(None))?),
            ));
            further.push(("state", Cell::Text("paused".into())));
            further.push(("last_error", Cell::Text(RESTORED.into())));
        }
        "issuers" => {
            let settings: IssuerSettings = from_json(text_of(row, "settings"))?;
            further.push(("person", person(settings.permissions)));
        }
        "clients" => {
            further.push(("person", person(from_json(text_of(row, "permissions"))?)));
            if has_lost_its_secret(row)? {
                change(row, "authentication", |_| {
                    json_text(&ClientAuthentication::ClientSecret {
                        hash: TokenHash([0; 32]),
                    })
                })?;
                if !row.iter().any(|(column, _)| column.name == "revoked") {
                    further.push(("revoked", Cell::Integer(own.revision)));
                }
            }
        }
        _ => {}
    }
    Ok(further)
}

/// The person whom a credential with these permissions stands for.
fn person(permissions: Permissions) -> Cell {
    permissions.user.map_or(Cell::Null, Cell::Text)
}

fn change(
    row: &mut Row,
    name: &str,
    to: impl Fn(&str) -> Result<String, Fault>,
) -> Result<(), Fault> {
    for (column, cell) in row {
        if let Cell::Text(text) = cell
            && column.name == name
        {
            *text = to(text)?;
        }
    }
    Ok(())
}

fn resumed(settings: &str) -> Result<String, Fault> {
    let mut map: Map<String, Value> = from_json(settings)?;
    if let Some(suspended) = map.get_mut("suspended") {
        *suspended = Value::Bool(false);
    }
    json_text(&map)
}

/// A client cannot be given another secret, so without the one it had it is revoked, and is not mistaken for one that works.
fn has_lost_its_secret(row: &Row) -> Result<bool, Fault> {
    let authentication: Map<String, Value> = from_json(text_of(row, "authentication"))?;
    Ok(authentication
        .get("method")
        .is_some_and(|method| method == "client_secret"))
}
