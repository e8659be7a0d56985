//! Long requests: those that may keep a processor busy, such as a bulk request or a group with many members. They are worked on by threads of their own, so
//! that everybody else is answered meanwhile, only so many at once and of each tenant only a part of them, and end when nobody waits for the answer.

use std::future::Future;
use std::panic::resume_unwind;

use axum::response::Response;
use directory::stop::Stop;
use directory::store::Fault;
use directory::tenant::TenantId;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use super::body::turn;
use crate::refusal::Failure;
use crate::state::State;

/// Is dropped with the future of a request: when that is answered, when its client has gone, or when its time is over.
struct Waiting {
    stop: Stop,
    _alive: oneshot::Sender<()>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.stop.set();
    }
}

/// Answers a request on a thread of its own, when it is its turn. `stop` is set as soon as the client has gone.
pub(super) async fn answer(
    state: &State,
    tenant: TenantId,
    stop: Stop,
    request: impl Future<Output = Result<Response, Failure>> + Send + 'static,
) -> Result<Response, Failure> {
    let share = state.long_requests.acquire(tenant, 1);
    let share = turn(
        &state.options,
        share,
        "Too many long requests are under way.",
    )
    .await?;
    let (alive, left) = oneshot::channel();
    let _waiting = Waiting {
        stop,
        _alive: alive,
    };
    let runtime = Handle::current();
    let worked = spawn_blocking(move || {
        let answer = runtime.block_on(async {
            tokio::select! {
                biased;
                _ = left => None,
                answer = request => Some(answer),
            }
        });
        drop(share);
        answer
    });
    match worked.await {
        Ok(Some(answer)) => answer,
        Ok(None) => Err(Fault::new("a request was given up").into()),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => Err(Fault::from_source("a request was not finished", error).into()),
        },
    }
}
