//! Commits that come while another one of their tenant is on its way go together into the next transaction, as each waits for the disk, and for the
//! tenant's counter, which the one before holds until it is on the disk. A change set that is refused costs its neighbours a second attempt, and nothing
//! else: it is taken out and committed alone.

use std::collections::{HashMap, VecDeque};
use std::error::Error as _;
use std::sync::{Arc, Mutex, PoisonError};

use directory::change_set::{Change, ChangeSet, Committed, Precondition};
use directory::store::{CommitError, Fault};
use directory::tenant::TenantId;
use futures_util::future::join_all;
use tokio::sync::oneshot;

use super::connections::Connections;
use super::together::{Failed, commit, commit_together};

/// Most change sets in one transaction.
const GROUP_MAX: usize = 128;
/// Most writes in one transaction, so that those who came first do not wait long for those who came last.
const GROUP_WRITES_MAX: usize = 512;
/// Most writes of a change set that goes together with others, and most members that they name. A larger one has a transaction of its own.
const SMALL_WRITES_MAX: usize = 16;
/// See there.
const SMALL_MEMBERS_MAX: usize = 100;
/// Transactions of one tenant at once: while one waits for the disk, the next one does its work.
const LANES_MAX: usize = 2;
/// How often those that are left over are tried together, before each is tried alone.
const ATTEMPTS_TOGETHER_MAX: usize = 2;

type Outcome = Result<Vec<Committed>, CommitError>;

struct Waiting {
    change_set: Arc<ChangeSet>,
    sender: oneshot::Sender<Outcome>,
}

impl Waiting {
    fn answer(self, outcome: Outcome) {
        // A sender that no longer waits does not want the answer.
        drop(self.sender.send(outcome));
    }
}

/// The change sets of one tenant that wait, and what is under way.
#[derive(Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    lanes: usize,
    /// The resources that transactions under way write.
    busy: Claims,
}

/// Resources by id, and whether every write to them only moves members, whatever the resource is by then: such writes may follow each other in a transaction.
#[derive(Default)]
struct Claims(HashMap<String, bool>);

impl Claims {
    fn allow(&self, change_set: &ChangeSet) -> bool {
        change_set.writes.iter().all(|write| {
            self.0
                .get(&write.id)
                .is_none_or(|only_members| *only_members && moves_members_only(&write.change))
        })
    }

    fn add(&mut self, change_set: &ChangeSet) {
        for write in &change_set.writes {
            let only_members = moves_members_only(&write.change);
            *self.0.entry(write.id.clone()).or_insert(true) &= only_members;
        }
    }
}

fn moves_members_only(change: &Change) -> bool {
    matches!(
        change,
        Change::Update {
            precondition: Precondition::Exists,
            content: None,
            ..
        }
    )
}

impl Queue {
    /// The next group: change sets that were decided with the same types and do not wait for each other's resources, nor for those under way.
    fn take(&mut self) -> Vec<Waiting> {
        let (mut group, mut left) = (Vec::<Waiting>::new(), VecDeque::new());
        let (mut claims, mut writes) = (Claims::default(), 0);
        for one in std::mem::take(&mut self.waiting) {
            let count = one.change_set.writes.len();
            let fits = group.len() < GROUP_MAX
                && writes + count <= GROUP_WRITES_MAX
                && group.first().is_none_or(|first| {
                    first.change_set.types_revision == one.change_set.types_revision
                })
                && claims.allow(&one.change_set)
                && one
                    .change_set
                    .writes
                    .iter()
                    .all(|write| !self.busy.0.contains_key(&write.id));
            if fits {
                claims.add(&one.change_set);
                writes += count;
                group.push(one);
            } else {
                left.push_back(one);
            }
        }
        self.waiting = left;
        self.busy.0.extend(claims.0);
        // Two nodes that write the same resources lock them in the same order.
        group.sort_by(|a, b| first_id(&a.change_set).cmp(first_id(&b.change_set)));
        group
    }
}

fn first_id(change_set: &ChangeSet) -> &str {
    change_set
        .writes
        .first()
        .map_or("", |write| write.id.as_str())
}

/// The commits of this node that wait, by tenant.
#[derive(Clone, Default)]
pub(super) struct Groups {
    queues: Arc<Mutex<HashMap<TenantId, Queue>>>,
}

impl Groups {
    /// Commits a change set, together with others where that is good for all.
    pub(super) async fn commit(
        &self,
        connections: &Connections,
        tenant: TenantId,
        change_set: Arc<ChangeSet>,
    ) -> Outcome {
        if !is_small(&change_set) {
            return alone(connections, tenant, &change_set, 0).await;
        }
        let (sender, receiver) = oneshot::channel();
        let waiting = Waiting { change_set, sender };
        if self.enter(tenant, waiting) {
            // A task of its own: the request that came first may be given up, and the others go on.
            tokio::spawn(self.clone().serve(connections.clone(), tenant));
        }
        receiver
            .await
            .unwrap_or_else(|_| Err(Fault::new("a commit was not carried out").into()))
    }

    fn with<T>(&self, change: impl FnOnce(&mut HashMap<TenantId, Queue>) -> T) -> T {
        change(&mut self.queues.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a further task has to serve the queue.
    fn enter(&self, tenant: TenantId, waiting: Waiting) -> bool {
        self.with(|queues| {
            let queue = queues.entry(tenant).or_default();
            queue.waiting.push_back(waiting);
            let is_wanted = queue.lanes < LANES_MAX;
            queue.lanes += usize::from(is_wanted);
            is_wanted
        })
    }

    /// The next group, or an end of the task where there is none.
    fn next(&self, tenant: TenantId) -> Option<Vec<Waiting>> {
        self.with(|queues| {
            let queue = queues.get_mut(&tenant)?;
            let group = queue.take();
            if !group.is_empty() {
                return Some(group);
            }
            queue.lanes = queue.lanes.saturating_sub(1);
            // What still waits does so for resources of another task, which goes on with it.
            if queue.lanes == 0 && queue.waiting.is_empty() {
                queues.remove(&tenant);
            }
            None
        })
    }

    fn free(&self, tenant: TenantId, ids: &[String]) {
        self.with(|queues| {
            if let Some(queue) = queues.get_mut(&tenant) {
                for id in ids {
                    queue.busy.0.remove(id);
                }
            }
        });
    }

    async fn serve(self, connections: Connections, tenant: TenantId) {
        loop {
            let share = connections.commits.acquire(tenant, 1).await;
            let Some(group) = self.next(tenant) else {
                return;
            };
            let ids: Vec<String> = group
                .iter()
                .flat_map(|one| one.change_set.writes.iter().map(|write| write.id.clone()))
                .collect();
            let connections = connections.clone();
            // In a task of its own, so that a panic is only that of this group: those who wait for it hear that it was not carried out.
            let carried = tokio::spawn(async move {
                let left = together(&connections, tenant, group).await;
                drop(share);
                let connections = &connections;
                let alone = left.into_iter().map(|(one, failed)| async move {
                    let outcome = alone(connections, tenant, &one.change_set, failed).await;
                    one.answer(outcome);
                });
                join_all(alone).await;
            });
            if carried.await.is_err() {
                tracing::error!("commits that went together were broken off");
            }
            self.free(tenant, &ids);
        }
    }
}

/// Commits a group; those that could not be committed with it, and how many attempts of each failed.
async fn together(
    connections: &Connections,
    tenant: TenantId,
    mut group: Vec<Waiting>,
) -> Vec<(Waiting, u32)> {
    let mut left = Vec::new();
    for _ in 0..ATTEMPTS_TOGETHER_MAX {
        if group.len() < 2 {
            break;
        }
        let change_sets: Vec<&ChangeSet> = group.iter().map(|one| &*one.change_set).collect();
        let outcome = match connections.get().await {
            Ok(mut connection) => commit_together(&mut connection, tenant, &change_sets).await,
            // Alone each is tried again until there is a connection.
            Err(_) => break,
        };
        match outcome {
            Ok(committed) => {
                for (one, committed) in group.into_iter().zip(committed) {
                    one.answer(Ok(committed));
                }
                return left;
            }
            Err(Failed::Refused(refused)) => {
                let is_refused = |place: usize| refused.iter().any(|(one, _)| *one == place);
                let mut stays = Vec::with_capacity(group.len());
                for (place, one) in group.into_iter().enumerate() {
                    if is_refused(place) {
                        left.push((one, 0));
                    } else {
                        stays.push(one);
                    }
                }
                group = stays;
            }
            // The transaction may have been committed all the same: each looks for its own change first.
            Err(Failed::Fault(fault)) => {
                tracing::debug!(
                    error = fault.source(),
                    "commits that went together are tried again alone"
                );
                left.extend(group.into_iter().map(|one| (one, 1)));
                return left;
            }
        }
    }
    left.extend(group.into_iter().map(|one| (one, 0)));
    left
}

async fn alone(
    connections: &Connections,
    tenant: TenantId,
    change_set: &ChangeSet,
    failed: u32,
) -> Outcome {
    let _share = connections.commits.acquire(tenant, 1).await;
    commit(connections, tenant, change_set, failed).await
}

/// Whether a change set holds up others only for a moment.
fn is_small(change_set: &ChangeSet) -> bool {
    let members = |change: &Change| match change {
        Change::Create { members, .. } => members.len(),
        Change::Update { members, .. } if members.replace => SMALL_MEMBERS_MAX + 1,
        Change::Update { members, .. } => members.added.len() + members.removed.len(),
        Change::Delete { .. } => 0,
    };
    let named: usize = change_set
        .writes
        .iter()
        .map(|write| members(&write.change))
        .sum();
    change_set.writes.len() <= SMALL_WRITES_MAX && named <= SMALL_MEMBERS_MAX
}
