//! Single requests to Rollcall beside the same to the reference, in short turns.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::load::{Load, Measured, Request, count, request};
use super::population::{
    TOKEN, WRITE_CONNECTIONS, fill, get_of, ids_of, patch_of, post_from, scatter,
};
use super::server::{Server, free_address};
use crate::Failure;

const READ_CONNECTIONS: usize = 8;
/// Turns that the two servers take in one measurement.
const TURNS: usize = 10;

/// One line of the table.
pub struct Line {
    pub users: usize,
    pub operation: &'static str,
    pub measured: Measured,
    pub cpu_us: f64,
    pub reference: (Measured, f64),
}

impl Line {
    pub fn json(&self) -> Value {
        let one = |measured: &Measured, cpu_us: f64| json!({"per_second": measured.per_second().round(), "p50_ms": measured.percentile_ms(50), "p99_ms": measured.percentile_ms(99), "cpu_us": cpu_us});
        let reference = one(&self.reference.0, self.reference.1);
        json!({"users": self.users, "operation": self.operation, "rollcall": one(&self.measured, self.cpu_us), "reference": reference})
    }

    /// Rollcall's throughput as a part of the reference's.
    pub fn ratio(&self) -> f64 {
        self.measured.per_second() / self.reference.0.per_second()
    }
}

/// Both servers, started on empty folders, and what they were filled with.
pub struct Pair<'a> {
    release: &'a Path,
    data: tempfile::TempDir,
    address: String,
    rollcall: Option<Server>,
    reference: Server,
    /// Users in each at the end.
    users: usize,
    requests: usize,
}

impl<'a> Pair<'a> {
    /// Starts both.
    pub fn start(release: &'a Path, users: usize, requests: usize) -> Result<Self, Failure> {
        let data = tempfile::tempdir()?;
        let address = free_address()?;
        let reference_address = free_address()?;
        let mut command = Command::new(release.join("bench"));
        command.args([
            "reference",
            &data.path().display().to_string(),
            &reference_address,
        ]);
        let reference = Server::start(
            &mut command,
            &reference_address,
            "/",
            &data.path().join("reference.log"),
        )?;
        let mut pair = Self {
            release,
            data,
            address,
            rollcall: None,
            reference,
            users,
            requests,
        };
        pair.rollcall = Some(pair.start_rollcall()?);
        Ok(pair)
    }

    fn start_rollcall(&self) -> Result<Server, Failure> {
        let mut command = Command::new(self.release.join("rollcall"));
        command
            .args(["serve", "--listen", &self.address, "--data"])
            .arg(self.data.path().join("rollcall"))
            .env("ROLLCALL_BOOTSTRAP_TOKEN", TOKEN)
            .env("ROLLCALL_RATE_LIMIT_PER_SECOND", "0");
        Server::start(
            &mut command,
            &self.address,
            "/readyz",
            &self.data.path().join("rollcall.log"),
        )
    }

    /// Rollcall, which runs from `start` on.
    pub fn rollcall(&self) -> Result<&Server, Failure> {
        Ok(self.rollcall.as_ref().ok_or("rollcall does not run")?)
    }

    /// Ends Rollcall and starts it again.
    pub fn restart(&mut self) -> Result<&Server, Failure> {
        drop(self.rollcall.take());
        let again = self.start_rollcall()?;
        Ok(self.rollcall.insert(again))
    }

    /// What both hold in memory.
    pub fn rss_mib(&self) -> Result<(f64, f64), Failure> {
        Ok((self.rollcall()?.rss_mib()?, self.reference.rss_mib()?))
    }

    /// Fills both and measures each operation: the lines, and the ids of Rollcall's users.
    pub async fn measure(&self) -> Result<(Vec<Line>, Vec<String>), Failure> {
        let (users, requests) = (self.users, self.requests);
        println!("loading {users} users into each");
        let both = Both {
            rollcall: self.rollcall()?,
            reference: &self.reference,
            users,
            requests,
        };
        let (ids, reference_ids) = both.filled(users - requests.min(users)).await?;
        let posting = Both {
            requests: requests.min(users),
            ..both
        };
        let (first, first_of_reference) = (post_from(ids.len()), post_from(ids.len()));
        let post = posting
            .in_turns("POST", WRITE_CONNECTIONS, true, first, first_of_reference)
            .await?;
        let ids = [ids, ids_of(&post.measured)?].concat();
        let reference_ids = [reference_ids, ids_of(&post.reference.0)?].concat();
        let (get, get_of_reference) = (get_of(&ids), get_of(&reference_ids));
        let got = both
            .in_turns("GET by id", READ_CONNECTIONS, false, get, get_of_reference)
            .await?;
        let found = both
            .in_turns(
                "userName eq",
                READ_CONNECTIONS,
                false,
                find_among(users),
                find_among(users),
            )
            .await?;
        let (patch, patch_of_reference) = (patch_of(&ids), patch_of(&reference_ids));
        let patched = both
            .in_turns("PATCH", WRITE_CONNECTIONS, false, patch, patch_of_reference)
            .await?;
        Ok((vec![post, got, found, patched], ids))
    }
}

/// Searches for one user by name, scattered.
fn find_among(users: usize) -> impl Fn(usize) -> Request {
    move |number| {
        let path = format!(
            "/scim/v2/Users?filter=userName%20eq%20%22user{}%40example.com%22",
            scatter(number, users)
        );
        request("GET", &path, TOKEN, None)
    }
}

/// The two that are compared.
#[derive(Clone, Copy)]
struct Both<'a> {
    rollcall: &'a Server,
    reference: &'a Server,
    users: usize,
    /// Of each measurement, to each.
    requests: usize,
}

impl Both<'_> {
    /// Loads so many users into each; the ids they got.
    async fn filled(&self, users: usize) -> Result<(Vec<String>, Vec<String>), Failure> {
        Ok((
            fill(self.rollcall, users).await?,
            fill(self.reference, users).await?,
        ))
    }

    /// One operation on both, in short turns: a machine that is shared is not equally fast from one second to the next, and this way
    /// both meet the same.
    async fn in_turns(
        &self,
        operation: &'static str,
        connections: usize,
        keep_bodies: bool,
        rollcall: impl Fn(usize) -> Request,
        reference: impl Fn(usize) -> Request,
    ) -> Result<Line, Failure> {
        let (mut own, mut other) = ((Measured::default(), 0.0), (Measured::default(), 0.0));
        for turn in 0..TURNS {
            let (first, next) = (
                self.requests * turn / TURNS,
                self.requests * (turn + 1) / TURNS,
            );
            for (server, request, sum) in [
                (
                    self.rollcall,
                    &rollcall as &dyn Fn(usize) -> Request,
                    &mut own,
                ),
                (self.reference, &reference, &mut other),
            ] {
                let (measured, cpu_us) =
                    timed(server, connections, next - first, keep_bodies, |number| {
                        request(first + number)
                    })
                    .await?;
                sum.1 += cpu_us * count(measured.requests) / count(self.requests);
                sum.0.add(measured);
            }
        }
        Ok(Line {
            users: self.users,
            operation,
            measured: own.0,
            cpu_us: own.1,
            reference: other,
        })
    }
}

/// Runs a load and says how much processor time a request took, in microseconds.
async fn timed(
    server: &Server,
    connections: usize,
    requests: usize,
    keep_bodies: bool,
    make: impl Fn(usize) -> Request,
) -> Result<(Measured, f64), Failure> {
    let before = server.cpu()?;
    let measured = Load {
        address: server.address.clone(),
        connections,
        keep_bodies,
    }
    .run(requests, make)
    .await?;
    let spent = server.cpu()?.saturating_sub(before);
    Ok((measured, spent.as_secs_f64() * 1e6 / count(requests)))
}
