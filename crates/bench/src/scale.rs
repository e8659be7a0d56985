//! What must hold at any size: filters, far pages, members of large groups, bulk, and memory while a large group is sent. Each figure beside its bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use super::figure::Figure;
use super::load::{Load, Measured, Request, count, request};
use super::population::{TOKEN, WRITE_CONNECTIONS, get_of, nth, post_from, user};
use super::server::Server;
use crate::Failure;

/// Requests for one percentile; enough that a median means something.
const REQUESTS: usize = 300;
/// Searches that are each preceded by a write.
const SEARCHES_AFTER_WRITES: usize = 40;
/// How long the server lets a request take.
const REQUEST_MILLISECONDS_MAX: f64 = 30_000.0;
const SMALL_GROUP: usize = 10;
const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// Few clients send bulks; these are enough to keep both sides of the server busy, as the single requests do with theirs.
const BULK_CONNECTIONS: usize = 4;
const CREATES_IN_BULK: usize = 1_000;
/// Turns of what is compared, as a machine that is shared is not equally fast from one second to the next.
const TURNS: usize = 5;
/// Bulks of one turn over several connections: so many that the first and the last of each, when not all have something to do, weigh little.
const BULKS: usize = 16;
/// Members sent in one request: a body must not be larger than the server takes.
const MEMBERS_IN_REQUEST: usize = 100_000;
/// Single creates of one turn that are compared with others.
const CREATES_COMPARED: usize = 3_000;
const READ_CONNECTIONS: usize = 8;
/// How often memory is looked at while it is under load.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Two groups: one of everybody, and a small one.
pub struct Groups {
    large: String,
    small: String,
}

pub async fn groups(server: &Server, ids: &[String]) -> Result<Groups, Failure> {
    let make = async |name: &str, ids: &[String]| {
        let (first, more) = ids.split_at(ids.len().min(MEMBERS_IN_REQUEST));
        let body =
            json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": name, "members": members(first)}).to_string();
        let path = "/scim/v2/Groups?excludedAttributes=members";
        let made = load(server, 1, true)
            .run(1, |_| request("POST", path, TOKEN, Some(&body)))
            .await?;
        let document: Value =
            serde_json::from_slice(made.bodies.first().ok_or("a group without an answer")?)?;
        let id = document
            .get("id")
            .and_then(Value::as_str)
            .ok_or("a group without an id")?
            .to_owned();
        for part in more.chunks(MEMBERS_IN_REQUEST) {
            let (path, body) = (
                format!("/scim/v2/Groups/{id}"),
                patch(&json!({"op": "add", "path": "members", "value": members(part)})),
            );
            load(server, 1, false)
                .run(1, |_| request("PATCH", &path, TOKEN, Some(&body)))
                .await?;
        }
        Ok::<_, Failure>(id)
    };
    // The last user is in neither, so that there is somebody to add.
    let all = ids.split_last().map(|(_, all)| all).unwrap_or_default();
    Ok(Groups {
        large: make("large", all).await?,
        small: make("small", all.get(..SMALL_GROUP).unwrap_or_default()).await?,
    })
}

fn members(ids: &[String]) -> Value {
    ids.iter().map(|id| json!({"value": id})).collect()
}

fn load(server: &Server, connections: usize, keep_bodies: bool) -> Load {
    Load {
        address: server.address.clone(),
        connections,
        keep_bodies,
    }
}

/// Everything, on a server that has just been started.
pub async fn measure(
    server: &Server,
    ids: &[String],
    groups: &Groups,
) -> Result<Vec<Figure>, Failure> {
    let users = ids.len();
    let mut figures = vec![Figure::at_most(
        users,
        "memory while reading, with a group of everybody sent",
        memory(server, ids, groups).await?,
        160.0,
        "MiB",
    )];
    figures.extend(of_pages(server, ids).await?);
    figures.extend(of_groups(server, ids, groups).await?);
    let mut first = users;
    figures.push(Figure::at_least(
        users,
        "creates with the request log, beside those without",
        with_request_log(server, &mut first).await?,
        0.75,
    ));
    figures.push(Figure::at_most(
        users,
        "an attribute that everybody has gets an index",
        index_everybody(server).await?.percentile_ms(50),
        REQUEST_MILLISECONDS_MAX,
        "ms",
    ));
    figures.extend(of_bulks(server, users, &mut first).await?);
    Ok(figures)
}

/// Pages of what clients search for, and a far one of all.
async fn of_pages(server: &Server, ids: &[String]) -> Result<Vec<Figure>, Failure> {
    let (users, far) = (ids.len(), ids.len() * 9 / 10);
    let filters = filters(server, ids).await?.into_iter();
    let pages = filters.map(|(name, filter)| {
        (
            format!("{name}, first page of 100"),
            format!("/Users?count=100&filter={}", encoded(&filter)),
        )
    });
    let far = (
        format!("startIndex={far}&count=100"),
        format!("/Users?startIndex={far}&count=100"),
    );
    let mut figures = Vec::new();
    for (name, path) in pages.chain([far]) {
        let found = get(server, &path).await?;
        let name_alone = format!("{name}, p50");
        let p50 = found.percentile_ms(50);
        figures.push(Figure::at_most(users, &name_alone, p50, 10.0, "ms"));
        let found = get_after_writes(server, &path, ids).await?;
        let name_after = format!("{name}, after a write each time, p50");
        let p50 = found.percentile_ms(50);
        figures.push(Figure::at_most(users, &name_after, p50, 10.0, "ms"));
    }
    Ok(figures)
}

/// What one member costs in a large group, and the group as a whole.
async fn of_groups(
    server: &Server,
    ids: &[String],
    groups: &Groups,
) -> Result<Vec<Figure>, Failure> {
    let users = ids.len();
    let last = ids.last().ok_or("no users")?;
    let (small, large) = (
        member(server, &groups.small, last).await?,
        member(server, &groups.large, last).await?,
    );
    let ratio = large.percentile_ms(50) / small.percentile_ms(50).max(1e-9);
    let name = format!("add or remove one of {users} members, beside one of {SMALL_GROUP}, p50");
    let mut figures = vec![Figure::at_most(users, &name, ratio, 1.3, "times")];
    if users <= MEMBERS_IN_REQUEST {
        let put = put_all_but_one(server, &groups.large, ids).await?;
        figures.push(Figure::at_most(
            users,
            &format!("PUT of a group of {users} less one, p50"),
            put.percentile_ms(50),
            REQUEST_MILLISECONDS_MAX,
            "ms",
        ));
    }
    Ok(figures)
}

/// Creates in bulks beside single ones: over several connections, and over one.
async fn of_bulks(
    server: &Server,
    users: usize,
    first: &mut usize,
) -> Result<Vec<Figure>, Failure> {
    let of = |requests, connections| Creates {
        requests,
        connections,
    };
    let pairs = [
        (
            of(BULKS, BULK_CONNECTIONS),
            of(CREATES_COMPARED, WRITE_CONNECTIONS),
        ),
        (of(1, 1), of(REQUESTS, 1)),
    ];
    let mut figures = Vec::new();
    for (bulk, single) in pairs {
        let name = format!(
            "creates in bulks of {CREATES_IN_BULK}, {} at a time, beside single ones, {} at a time",
            bulk.connections, single.connections
        );
        let times = bulk_beside_single(server, first, bulk, single).await?;
        figures.push(Figure::at_least(users, &name, times, 2.0));
    }
    Ok(figures)
}

/// Creates per second while requests are written down, as a part of those while they are not; in turns. They are numbered from `first` on.
async fn with_request_log(server: &Server, first: &mut usize) -> Result<f64, Failure> {
    let keep = async |days: u32| {
        let body = json!({"settings": {"request_log_days": days}}).to_string();
        load(server, 1, false)
            .run(1, |_| {
                request("PATCH", "/admin/v1/tenants/default", TOKEN, Some(&body))
            })
            .await
    };
    let writers = load(server, WRITE_CONNECTIONS, false);
    let (mut with, mut without) = (Measured::default(), Measured::default());
    for _ in 0..TURNS {
        for (days, sum) in [(0, &mut without), (30, &mut with)] {
            keep(days).await?;
            sum.add(writers.run(CREATES_COMPARED, post_from(*first)).await?);
            *first += CREATES_COMPARED;
        }
    }
    Ok(with.per_second() / without.per_second())
}

/// A constraint that lets `name.formatted` be searched by an index: all resources are read again, and each gets a row. It is taken back afterwards.
async fn index_everybody(server: &Server) -> Result<Measured, Failure> {
    let attributes = json!([{"name": "name", "type": "complex", "subAttributes": [{"name": "formatted", "x-indexed": true}]}]);
    let body = json!({"id": USER, "attributes": attributes}).to_string();
    let indexed = load(server, 1, false)
        .run(1, |_| {
            request("POST", "/t/default/admin/v1/schemas", TOKEN, Some(&body))
        })
        .await?;
    load(server, 1, false)
        .run(1, |_| {
            request(
                "DELETE",
                &format!("/t/default/admin/v1/schemas/{USER}"),
                TOKEN,
                None,
            )
        })
        .await?;
    Ok(indexed)
}

/// The filters that clients send, by name. That an index answers them, and which one, is tested in `storage` (`query_plans.rs`).
async fn filters(server: &Server, ids: &[String]) -> Result<Vec<(&'static str, String)>, Failure> {
    let path = format!("/scim/v2/Users/{}", nth(ids, ids.len() / 2));
    let one = load(server, 1, true)
        .run(1, |_| request("GET", &path, TOKEN, None))
        .await?;
    let document: Value = serde_json::from_slice(one.bodies.first().ok_or("no user")?)?;
    let modified = document
        .pointer("/meta/lastModified")
        .and_then(Value::as_str)
        .ok_or("a user without lastModified")?
        .to_owned();
    Ok(vec![
        (
            "emails.value eq",
            format!("emails.value eq \"user{}@example.com\"", ids.len() / 3),
        ),
        (
            "name.familyName sw and active eq",
            "name.familyName sw \"Sm\" and active eq true".to_owned(),
        ),
        (
            "meta.lastModified gt",
            format!("meta.lastModified gt \"{modified}\""),
        ),
        ("title co", "title co \"lead\"".to_owned()),
    ])
}

async fn get(server: &Server, path: &str) -> Result<Measured, Failure> {
    let path = format!("/scim/v2{path}");
    load(server, 1, false)
        .run(REQUESTS, |_| request("GET", &path, TOKEN, None))
        .await
}

/// The same right after a write, so that nothing that was remembered is of that moment.
async fn get_after_writes(
    server: &Server,
    path: &str,
    ids: &[String],
) -> Result<Measured, Failure> {
    let mut all = Measured::default();
    for number in 0..SEARCHES_AFTER_WRITES {
        let (written, path) = (
            format!("/scim/v2/Users/{}", nth(ids, number)),
            format!("/scim/v2{path}"),
        );
        let body = patch(
            &json!({"op": "replace", "path": "nickName", "value": format!("Nick {number} of {path}")}),
        );
        load(server, 1, false)
            .run(1, |_| request("PATCH", &written, TOKEN, Some(&body)))
            .await?;
        let found = load(server, 1, false)
            .run(1, |_| request("GET", &path, TOKEN, None))
            .await?;
        all.latencies.extend(found.latencies);
    }
    all.latencies.sort_unstable();
    Ok(all)
}

fn patch(operation: &Value) -> String {
    json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]})
        .to_string()
}

/// Puts a large group in the place of itself, with another one of its members left out each time.
async fn put_all_but_one(
    server: &Server,
    group: &str,
    ids: &[String],
) -> Result<Measured, Failure> {
    let path = format!("/scim/v2/Groups/{group}?excludedAttributes=members");
    let put = |number: usize| {
        let members = ids
            .iter()
            .enumerate()
            .filter(|(place, _)| *place != number)
            .map(|(_, id)| json!({"value": id}));
        let body = json!({"schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"], "displayName": "large", "members": members.collect::<Value>()});
        request("PUT", &path, TOKEN, Some(&body.to_string()))
    };
    load(server, 1, false).run(5, put).await
}

/// Adds somebody and removes them again, over and over.
async fn member(server: &Server, group: &str, id: &str) -> Result<Measured, Failure> {
    let path = format!("/scim/v2/Groups/{group}");
    let change = |number: usize| {
        let operation = if number.is_multiple_of(2) {
            json!({"op": "add", "path": "members", "value": [{"value": id}]})
        } else {
            json!({"op": "remove", "path": format!("members[value eq \"{id}\"]")})
        };
        request("PATCH", &path, TOKEN, Some(&patch(&operation)))
    };
    load(server, 1, false).run(REQUESTS, change).await
}

/// Requests of one turn.
#[derive(Clone, Copy)]
struct Creates {
    requests: usize,
    connections: usize,
}

/// How many times as many users are created in the same time by bulks. They are numbered from `first` on, which is where the next may begin afterwards.
async fn bulk_beside_single(
    server: &Server,
    first: &mut usize,
    bulk: Creates,
    single: Creates,
) -> Result<f64, Failure> {
    let (mut bulks, mut singles) = (Measured::default(), Measured::default());
    for _ in 0..TURNS {
        bulks.add(
            load(server, bulk.connections, true)
                .run(bulk.requests, bulks_from(*first))
                .await?,
        );
        *first += bulk.requests * CREATES_IN_BULK;
        singles.add(
            load(server, single.connections, false)
                .run(single.requests, post_from(*first))
                .await?,
        );
        *first += single.requests;
    }
    let made = |body: &Vec<u8>| {
        String::from_utf8_lossy(body)
            .matches("\"status\":\"201\"")
            .count()
            == CREATES_IN_BULK
    };
    if !bulks.bodies.iter().all(made) {
        return Err("a bulk did not create".into());
    }
    Ok(bulks.per_second() * count(CREATES_IN_BULK) / singles.per_second())
}

fn bulks_from(first: usize) -> impl Fn(usize) -> Request {
    move |number| {
        let first = first + number * CREATES_IN_BULK;
        let operations = (first..first + CREATES_IN_BULK)
            .map(|number| json!({"method": "POST", "path": "/Users", "bulkId": format!("b{number}"), "data": user(number)}));
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations.collect::<Value>()});
        request("POST", "/scim/v2/Bulk", TOKEN, Some(&body.to_string()))
    }
}

/// The most memory while users are read and the large group is sent, again and again.
async fn memory(server: &Server, ids: &[String], groups: &Groups) -> Result<f64, Failure> {
    let group = format!("/scim/v2/Groups/{}", groups.large);
    let (read, sent) = (
        load(server, READ_CONNECTIONS, false),
        load(server, 2, false),
    );
    let (reads, sends) = (
        read.run(REQUESTS * 30, get_of(ids)),
        sent.run(8, |_| request("GET", &group, TOKEN, None)),
    );
    let done = Arc::new(AtomicBool::new(false));
    let over = Arc::clone(&done);
    let watch = async {
        let mut most = 0.0_f64;
        while !over.load(Ordering::Relaxed) {
            most = most.max(server.rss_mib()?);
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok::<_, Failure>(most)
    };
    let work = async {
        let both = tokio::join!(reads, sends);
        done.store(true, Ordering::Relaxed);
        both
    };
    let ((reads, sends), most) = tokio::join!(work, watch);
    reads?;
    sends?;
    most
}

fn encoded(filter: &str) -> String {
    filter.replace(' ', "%20").replace('"', "%22")
}
