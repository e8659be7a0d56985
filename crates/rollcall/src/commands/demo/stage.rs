//! The demo's servers, and what was sent between them. Measures, prints and compares; the story is elsewhere.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use administration::operations::ADD_APPLICATION;
use directory::audit::Entry;
use directory::tenant::Tenant;
use provisioning::application::{ApplicationId, ApplicationSettings, Secret};
use provisioning::ledger::NewApplication;
use provisioning::provisioning_log::LogEntry;
use scim_client::paging::read_all;
use scim_client::{Client, Method, Request, Response, SendError};
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::time::Instant;

use super::portrait::Portrait;
use crate::configuration::{Configuration, Origin};
use crate::failure::Failure;
use crate::output::{Output, printable};
use crate::running::{self, Running};
use crate::wiring::{self, Missing, Rollcall};

const APPLICATIONS: [&str; 2] = ["chat", "wiki"];
/// How long the applications may take to become equal after a step.
const SETTLE_SECONDS_MAX: u64 = 20;
const LOG_LINES_MAX: usize = 10_000;
const REQUEST_WIDTH: usize = 58;

/// The folder in which the demo's databases are.
pub struct Folder {
    path: PathBuf,
    temporary: bool,
}

impl Folder {
    /// The given one, which must be empty, or a temporary one.
    pub fn new(given: Option<PathBuf>) -> Result<Self, Failure> {
        let temporary = given.is_none();
        let path = given.unwrap_or_else(|| {
            std::env::temp_dir().join(format!("rollcall-demo-{}", wiring::fresh_name()))
        });
        wiring::make_private_folder(&path)?;
        if std::fs::read_dir(&path)?.next().is_some() {
            return Err(
                Failure::usage(format!("the folder {} is not empty", path.display())).hint(
                    "the demo begins with nothing: name an empty folder, or leave --data out",
                ),
            );
        }
        Ok(Self { path, temporary })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if self.temporary {
            drop(std::fs::remove_dir_all(&self.path));
        }
    }
}

/// A running SCIM server.
pub struct Server {
    /// What it is called here.
    pub name: String,
    /// Where its SCIM API begins.
    pub base_url: String,
    /// Its bearer token.
    pub token: String,
    client: Client,
    rollcall: Rollcall,
    running: Running,
}

impl Server {
    async fn start(
        name: &str,
        folder: &Path,
        configuration: &Configuration,
        listen: &str,
    ) -> Result<Self, Failure> {
        let configuration = configuration.for_demo(folder.join(name));
        let rollcall = Rollcall::open(&configuration, Missing::Create).await?;
        let listener = TcpListener::bind(listen)
            .await
            .map_err(|error| Failure::failed(format!("cannot listen on {listen}: {error}")))?;
        let mut address = listener.local_addr()?;
        // One that listens on every address is reached by that of this machine.
        if address.ip().is_unspecified() {
            address.set_ip(if address.is_ipv4() {
                Ipv4Addr::LOCALHOST.into()
            } else {
                Ipv6Addr::LOCALHOST.into()
            });
        }
        let base_url = format!("http://{address}/scim/v2");
        let first = wiring::first_start(&rollcall, None).await?;
        let token = first
            .and_then(|first| first.token)
            .ok_or_else(|| Failure::failed("the first start gave no token"))?;
        let running = running::start(&rollcall, listener, None, None, &configuration);
        let client = rollcall.connector.client(&base_url, &token)?;
        Ok(Self {
            name: name.to_owned(),
            base_url,
            token,
            client,
            rollcall,
            running,
        })
    }

    async fn list(&self, endpoint: &str) -> Result<Vec<Map<String, Value>>, Failure> {
        let request = Request::new(Method::GET, &[endpoint]);
        let answer = accepted(&request, read_all(&self.client, &request).await)?;
        let resources = answer
            .body
            .as_ref()
            .and_then(|body| body.get("Resources"))
            .and_then(Value::as_array);
        Ok(resources
            .into_iter()
            .flatten()
            .filter_map(|resource| resource.as_object().cloned())
            .collect())
    }

    /// Everything it holds, over SCIM.
    async fn portrait(&self) -> Result<(Portrait, usize, usize), Failure> {
        let users = self.list("Users").await?;
        let groups = self.list("Groups").await?;
        Ok((Portrait::new(&users, &groups), users.len(), groups.len()))
    }
}

/// The directory, its applications, and the screen.
pub struct Stage {
    /// The directory.
    pub directory: Server,
    /// The applications.
    pub applications: Vec<Server>,
    names: Vec<(ApplicationId, String)>,
    tenant: Tenant,
    output: Output,
    parts: u32,
    lines_shown: usize,
}

impl Stage {
    /// Starts all servers and adds the applications to the directory.
    pub async fn build(
        folder: &Folder,
        configuration: &Configuration,
        output: Output,
    ) -> Result<Self, Failure> {
        let any_port = "127.0.0.1:0".to_owned();
        let listen = if configuration.listen.origin == Origin::Default {
            any_port.clone()
        } else {
            configuration.listen.value.to_string()
        };
        let directory = Server::start("directory", &folder.path, configuration, &listen).await?;
        let tenant = directory.rollcall.tenant("default").await?;
        let mut applications = Vec::new();
        let mut names = Vec::new();
        for name in APPLICATIONS {
            let server = Server::start(name, &folder.path, configuration, &any_port).await?;
            let new = NewApplication {
                name: name.to_owned(),
                base_url: server.base_url.clone(),
                token: Secret::new(server.token.clone()),
                settings: ApplicationSettings::default(),
                at: directory.rollcall.now(),
            };
            let entry = Entry::of_program(ADD_APPLICATION.name, name, new.at);
            let added = directory
                .rollcall
                .store
                .catalogue
                .add_application(tenant.id, new, entry)
                .await?;
            names.extend(added.map(|application| (application.id, application.name)));
            applications.push(server);
        }
        Ok(Self {
            directory,
            applications,
            names,
            tenant,
            output,
            parts: 0,
            lines_shown: 0,
        })
    }

    /// A sentence, or its JSON in one line.
    pub fn say(&self, text: impl AsRef<str>, value: &Value) {
        if self.output.is_json() {
            self.output.line(value.to_string());
        } else {
            self.output.line(text);
        }
    }

    /// Begins a part of the story.
    pub fn begin(&mut self, title: &str, sentence: &str) {
        self.parts = self.parts.saturating_add(1);
        self.say(
            format!("\n{}. {title}: {sentence}", self.parts),
            &json!({ "event": "part", "title": title, "sentence": sentence }),
        );
    }

    /// Sends a new resource to the directory, as an identity provider would; its id.
    pub async fn create(&self, endpoint: &str, body: Value) -> Result<String, Failure> {
        let made = self
            .send(Request::new(Method::POST, &[endpoint]).with_body(body))
            .await?;
        let id = made.get("id").and_then(Value::as_str);
        id.map(str::to_owned)
            .ok_or_else(|| Failure::failed(format!("the answer to POST /{endpoint} has no id")))
    }

    /// Sends a change to the directory.
    pub async fn patch(&self, endpoint: &str, id: &str, body: Value) -> Result<(), Failure> {
        self.send(Request::new(Method::PATCH, &[endpoint, id]).with_body(body))
            .await
            .map(drop)
    }

    /// Sends an end to the directory.
    pub async fn delete(&self, endpoint: &str, id: &str) -> Result<(), Failure> {
        self.send(Request::new(Method::DELETE, &[endpoint, id]))
            .await
            .map(drop)
    }

    /// Waits until nothing is on its way, shows what was sent, and compares every application with the directory, attribute by attribute.
    pub async fn settle(&mut self) -> Result<(), Failure> {
        let quiet = self.wait_until_quiet().await?;
        self.show_log().await?;
        let (expected, users, groups) = self.directory.portrait().await?;
        let mut differences = Vec::new();
        for application in &self.applications {
            let (found, ..) = application.portrait().await?;
            differences.extend(
                expected
                    .differences(&found)
                    .into_iter()
                    .map(|difference| format!("{}: {difference}", application.name)),
            );
        }
        if differences.is_empty() && quiet {
            let people = counted(users, "person", "people");
            let text = format!(
                "   equal: {people}, {}, {} values, in {}",
                counted(groups, "group", "groups"),
                expected.values(),
                APPLICATIONS.join(" and ")
            );
            self.say(text, &json!({ "event": "equal", "users": users, "groups": groups, "values": expected.values() }));
            return Ok(());
        }
        for difference in &differences {
            self.say(
                format!("   not equal: {}", printable(difference)),
                &json!({ "event": "difference", "difference": difference }),
            );
        }
        Err(Failure::failed(format!(
            "the applications were not equal to the directory after {SETTLE_SECONDS_MAX} seconds"
        )))
    }

    /// Ends all servers.
    pub async fn stop(self) -> Result<(), Failure> {
        self.directory.running.stop().await?;
        for application in self.applications {
            application.running.stop().await?;
        }
        Ok(())
    }

    /// Sends a request to the directory, shows it, and gives the resource that came back.
    async fn send(&self, request: Request) -> Result<Map<String, Value>, Failure> {
        let begun = Instant::now();
        let answer = accepted(&request, self.directory.client.send(&request).await)?;
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        let value = json!({ "event": "received", "request": request.describe(), "status": answer.status, "durationMilliseconds": milliseconds });
        self.say(
            line(
                "you",
                "directory",
                &request.describe(),
                &answer.status.to_string(),
                milliseconds,
            ),
            &value,
        );
        Ok(answer.body.unwrap_or_default())
    }

    async fn wait_until_quiet(&self) -> Result<bool, Failure> {
        let limit = Duration::from_secs(SETTLE_SECONDS_MAX);
        let quiet = async {
            while !self.is_quiet().await? {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Ok(true)
        };
        tokio::time::timeout(limit, quiet)
            .await
            .unwrap_or(Ok(false))
    }

    async fn is_quiet(&self) -> Result<bool, Failure> {
        let ledger = &self.directory.rollcall.store.ledger;
        if !ledger.tenants_with_changes().await?.is_empty() {
            return Ok(false);
        }
        for (id, _) in &self.names {
            let status = ledger.status(self.tenant.id, *id).await?;
            if status.waiting + status.retrying + status.held > 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn show_log(&mut self) -> Result<(), Failure> {
        let mut entries = self
            .directory
            .rollcall
            .store
            .ledger
            .read_log(self.tenant.id, None, None, LOG_LINES_MAX)
            .await?;
        entries.reverse();
        for entry in entries.iter().skip(self.lines_shown) {
            let name = self
                .names
                .iter()
                .find(|(id, _)| *id == entry.application)
                .map_or("-", |(_, name)| name.as_str());
            self.show_entry(name, entry);
        }
        self.lines_shown = entries.len();
        Ok(())
    }

    fn show_entry(&self, name: &str, entry: &LogEntry) {
        let status = entry
            .status
            .map_or_else(|| "-".to_owned(), |status| status.to_string());
        let mut value = json!(entry);
        if let Some(map) = value.as_object_mut() {
            map.insert("event".into(), "sent".into());
            map.insert("application".into(), name.into());
        }
        self.say(
            line(
                "directory",
                name,
                &entry.request,
                &status,
                entry.duration_milliseconds,
            ),
            &value,
        );
    }
}

fn line(from: &str, to: &str, request: &str, status: &str, milliseconds: u64) -> String {
    let mut request = printable(request);
    if request.chars().count() > REQUEST_WIDTH {
        request = request
            .chars()
            .take(REQUEST_WIDTH.saturating_sub(3))
            .chain("...".chars())
            .collect();
    }
    format!("   {from:>9} -> {to:<9}  {request:<REQUEST_WIDTH$}  {status:>3}  {milliseconds:>4} ms")
}

/// The answer, where it is a good one.
fn accepted(request: &Request, sent: Result<Response, SendError>) -> Result<Response, Failure> {
    match sent {
        Ok(answer) if answer.is_success() => Ok(answer),
        Ok(answer) => {
            let detail = answer
                .body
                .as_ref()
                .and_then(|body| body.get("detail"))
                .and_then(Value::as_str)
                .unwrap_or(&answer.text);
            Err(Failure::failed(format!(
                "{}: {} {}",
                request.describe(),
                answer.status,
                printable(detail)
            )))
        }
        Err(error) => Err(Failure::failed(format!("{}: {error}", request.describe()))),
    }
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
