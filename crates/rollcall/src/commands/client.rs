//! `rollcall client`: OAuth 2.0 clients of a tenant. A secret is shown once, when it is made; the store knows only its keyed hash.

use std::path::PathBuf;

use access::client::{CertificateName, ClientAuthentication, ClientRecord};
use clap::{Args, Subcommand};
use keys::signed_token::keys_from_text;
use serde_json::{Value, json};

use crate::commands::TenantArgument;
use crate::commands::permissions::{PermissionArguments, permissions_json, scopes_text};
use crate::configuration::Configuration;
use crate::failure::Failure;
use crate::output::{Output, instant};
use crate::wiring::{Missing, Rollcall};

/// `rollcall client ...`
#[derive(Subcommand, Debug)]
pub enum Command {
    /// Register a client; its secret is printed once, unless it shows who it is by a key or a certificate
    #[command(
        after_help = "Examples:\n  rollcall client add hr-system\n  rollcall client add hr-system --scope read --type User --public-key hr.pem\n  rollcall client add hr-system --tls-dns hr.example.com"
    )]
    Add(Add),
    /// List clients, never their secrets
    List(TenantArgument),
    /// Make a client and all of its tokens stop to work, at once
    Revoke {
        /// Its id, as `rollcall client list` shows it
        id: String,
        #[command(flatten)]
        tenant: TenantArgument,
    },
}

/// `rollcall client add`
#[derive(Args, Debug)]
pub struct Add {
    /// What people call it
    name: String,
    #[command(flatten)]
    tenant: TenantArgument,
    #[command(flatten)]
    permissions: PermissionArguments,
    #[command(flatten)]
    way: Way,
}

/// How a client shows who it is; without any of these, by a secret.
#[derive(Args, Debug)]
#[group(multiple = false)]
struct Way {
    /// A file with its public key: PEM, a JWK or a JWK set (private_key_jwt)
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
    /// The subject of its certificate, such as CN=hr,O=Acme (tls_client_auth)
    #[arg(long, value_name = "DN")]
    tls_subject: Option<String>,
    /// The DNS name in its certificate (tls_client_auth)
    #[arg(long, value_name = "NAME")]
    tls_dns: Option<String>,
    /// The URI in its certificate (tls_client_auth)
    #[arg(long, value_name = "URI")]
    tls_uri: Option<String>,
}

impl Way {
    /// `None`: by a secret.
    fn authentication(self) -> Result<Option<ClientAuthentication>, Failure> {
        if let Some(path) = self.public_key {
            let shown = path.display();
            let text = std::fs::read_to_string(&path)
                .map_err(|error| Failure::not_found(format!("{shown} cannot be read: {error}")))?;
            let keys = keys_from_text(&text)
                .map_err(|error| Failure::refused(format!("{shown}: {error}")))?;
            return Ok(Some(ClientAuthentication::PrivateKeyJwt { keys }));
        }
        let subject = self.tls_subject.map(CertificateName::SubjectDn);
        let name = subject
            .or_else(|| self.tls_dns.map(CertificateName::SanDns))
            .or_else(|| self.tls_uri.map(CertificateName::SanUri));
        Ok(name.map(|name| ClientAuthentication::TlsClientAuth { name }))
    }
}

/// Runs it.
pub async fn run(
    command: Command,
    configuration: &Configuration,
    output: Output,
) -> Result<(), Failure> {
    let rollcall = Rollcall::open(configuration, Missing::Refuse).await?;
    match command {
        Command::Add(arguments) => add(&rollcall, arguments, output).await,
        Command::List(argument) => {
            let tenant = rollcall.tenant(&argument.tenant).await?;
            let clients = rollcall.store.clients.list_clients(tenant.id).await?;
            let values = clients.iter().map(client_json).collect();
            let rows = clients.iter().map(row).collect();
            let headers = [
                "id",
                "name",
                "state",
                "shows itself by",
                "scopes",
                "created",
            ];
            output.table(
                &headers,
                rows,
                "No clients. Register one:\n  rollcall client add NAME",
                &Value::Array(values),
            );
            Ok(())
        }
        Command::Revoke { id, tenant } => {
            let tenant = rollcall.tenant(&tenant.tenant).await?;
            if !rollcall
                .store
                .clients
                .revoke_client(tenant.id, &id, rollcall.now())
                .await?
            {
                return Err(Failure::not_found(format!(
                    "tenant {} has no client {id}",
                    tenant.name
                ))
                .hint("`rollcall client list` shows the ids of all clients"));
            }
            output.say(
                format!("Client {id} is revoked, and its tokens with it."),
                &json!({ "id": id, "state": "revoked" }),
            );
            Ok(())
        }
    }
}

async fn add(rollcall: &Rollcall, arguments: Add, output: Output) -> Result<(), Failure> {
    let tenant = rollcall.tenant(&arguments.tenant.tenant).await?;
    let permissions = arguments.permissions.permissions(rollcall, &tenant).await?;
    let way = arguments.way.authentication()?;
    let (client, secret) = rollcall
        .add_client(tenant.id, &arguments.name, way, permissions)
        .await?;
    let mut value = client_json(&client);
    let mut text = format!(
        "Client {} of tenant {} is there.\n\n  client_id:     {}\n  token path:    /t/{}/oauth2/token\n",
        client.name, tenant.name, client.id, tenant.name
    );
    if let (Some(secret), Some(map)) = (secret, value.as_object_mut()) {
        map.insert("clientSecret".into(), secret.reveal().into());
        text = format!(
            "{text}  client_secret: {} (shown only now)\n",
            secret.reveal()
        );
    }
    output.say(text, &value);
    Ok(())
}

fn state(client: &ClientRecord) -> &'static str {
    if client.is_live() { "live" } else { "revoked" }
}

fn row(client: &ClientRecord) -> Vec<String> {
    vec![
        client.id.clone(),
        client.name.clone(),
        state(client).to_owned(),
        client.authentication.name().to_owned(),
        scopes_text(&client.permissions),
        instant(client.created),
    ]
}

fn client_json(client: &ClientRecord) -> Value {
    json!({
        "id": client.id,
        "name": client.name,
        "state": state(client),
        "authentication": client.authentication.name(),
        "created": client.created.to_string(),
        "permissions": permissions_json(&client.permissions),
    })
}
