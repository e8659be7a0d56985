//! `rollcall client`: OAuth 2.0 clients of a tenant. A secret is shown once, when it is made; the store knows only its keyed hash.

use std::path::PathBuf;

use access::client::CertificateName;
use administration::clients::{Client, NewClient};
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::admin_client::{AdminClient, Destination};
use crate::commands::TenantArgument;
use crate::commands::permissions::{PermissionArguments, allowed_text};
use crate::failure::{Exit, Failure};
use crate::operations::{CREATE_CLIENT, LIST_CLIENTS, REVOKE_CLIENT};
use crate::output::{Output, instant};

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
    /// The public key, or the name in a certificate; neither: by a secret.
    fn parts(self) -> Result<(Option<Value>, Option<CertificateName>), Failure> {
        if let Some(path) = self.public_key {
            let shown = path.display();
            let text = std::fs::read_to_string(&path)
                .map_err(|error| Failure::not_found(format!("{shown} cannot be read: {error}")))?;
            return Ok((Some(text.into()), None));
        }
        let subject = self.tls_subject.map(CertificateName::SubjectDn);
        let name = subject
            .or_else(|| self.tls_dns.map(CertificateName::SanDns))
            .or_else(|| self.tls_uri.map(CertificateName::SanUri));
        Ok((None, name))
    }
}

/// Runs it.
pub async fn run(
    command: Command,
    destination: &Destination<'_>,
    output: Output,
) -> Result<(), Failure> {
    let client = destination.open().await?;
    match command {
        Command::Add(arguments) => add(&client, arguments, output).await,
        Command::List(argument) => list(&client, &argument.tenant, output).await,
        Command::Revoke { id, tenant } => {
            let request = client.request(&REVOKE_CLIENT, &[&tenant.tenant, &id]);
            request.done().await.map_err(|failure| match failure.exit {
                Exit::NotFound => {
                    failure.hint("`rollcall client list` shows the ids of all clients")
                }
                _ => failure,
            })?;
            output.say(
                format!("Client {id} is revoked, and its tokens with it."),
                &json!({ "id": id, "state": "revoked" }),
            );
            Ok(())
        }
    }
}

async fn list(client: &AdminClient, tenant: &str, output: Output) -> Result<(), Failure> {
    let clients: Vec<Client> = client.request(&LIST_CLIENTS, &[tenant]).answer().await?;
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

async fn add(client: &AdminClient, arguments: Add, output: Output) -> Result<(), Failure> {
    let tenant = &arguments.tenant.tenant;
    let (public_key, certificate) = arguments.way.parts()?;
    let new = NewClient {
        name: arguments.name,
        public_key,
        certificate,
        permissions: arguments.permissions.requested(),
    };
    let request = client.request(&CREATE_CLIENT, &[tenant]).body(&new);
    let made: Client = request.answer().await?;
    let mut text = format!(
        "Client {} of tenant {tenant} is there.\n\n  client_id:     {}\n  token path:    {}\n",
        made.name, made.id, made.token_path
    );
    if let Some(secret) = &made.secret {
        text = format!("{text}  client_secret: {secret} (shown only now)\n");
    }
    output.say(text, &client_json(&made));
    Ok(())
}

fn state(client: &Client) -> &'static str {
    if client.revoked.is_none() {
        "live"
    } else {
        "revoked"
    }
}

fn row(client: &Client) -> Vec<String> {
    vec![
        client.id.clone(),
        client.name.clone(),
        state(client).to_owned(),
        client.authentication.clone(),
        allowed_text(&client.permissions),
        instant(client.created),
    ]
}

fn client_json(client: &Client) -> Value {
    let mut value = json!({
        "id": client.id,
        "name": client.name,
        "state": state(client),
        "authentication": client.authentication,
        "created": client.created.to_string(),
        "permissions": client.permissions,
    });
    if let (Some(secret), Some(map)) = (&client.secret, value.as_object_mut()) {
        map.insert("clientSecret".into(), secret.clone().into());
    }
    value
}
