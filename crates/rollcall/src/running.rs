//! The server and the engine at work, from the first request to the last: tasks, signals, the log. Builds no store and no directory.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use directory::request_log::RequestLog;
use server::tls::{Tls, TlsFiles};
use tokio::net::TcpListener;
#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tracing_subscriber::EnvFilter;

use crate::configuration::{Configuration, LogFormat};
use crate::failure::Failure;
use crate::forgetting::forget;
use crate::local_socket::Socket;
use crate::wiring::{Rollcall, event_options, public_url, server_options};

/// The server and the engine, at work.
pub struct Running {
    stop: watch::Sender<bool>,
    tasks: JoinSet<()>,
    request_log: Arc<dyn RequestLog>,
}

impl Running {
    /// Lets open requests and exchanges finish.
    pub async fn stop(mut self) -> Result<(), Failure> {
        self.stop.send_replace(true);
        while let Some(ended) = self.tasks.join_next().await {
            ended.map_err(|error| {
                Failure::failed(format!("a part of the program broke: {error}"))
            })?;
        }
        // What was asked last is written down, too.
        self.request_log.flush().await?;
        Ok(())
    }
}

/// The certificate that the configuration names; `None` where it names none.
pub fn tls(configuration: &Configuration) -> Result<Option<Arc<Tls>>, Failure> {
    let (Some(certificate), Some(key)) =
        (&configuration.tls_cert.value, &configuration.tls_key.value)
    else {
        return Ok(None);
    };
    let client_authorities = configuration.tls_client_ca.value.clone();
    let files = TlsFiles {
        certificate: certificate.clone(),
        key: key.clone(),
        client_authorities,
    };
    let tls = Tls::load(files).map_err(|error| {
        let cause = std::error::Error::source(&error)
            .map(|source| format!(": {source}"))
            .unwrap_or_default();
        Failure::usage(format!("TLS cannot be started: {error}{cause}"))
            .hint("--tls-cert and --tls-key name PEM files that go together")
    })?;
    Ok(Some(Arc::new(tls)))
}

/// Starts the server on a listener, and the engine.
pub fn start(
    rollcall: &Rollcall,
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    socket: Option<Socket>,
    configuration: &Configuration,
) -> Running {
    let options = server_options(configuration);
    let (woken, commits, spreading) = spread(&rollcall.store.committed);
    let listening = listener.local_addr().unwrap_or(configuration.listen.value);
    let url = public_url(configuration, listening, tls.is_some());
    let events = rollcall.events(&url, event_options(configuration), commits);
    let delivery = Arc::clone(&events.delivery);
    let state = rollcall.state(configuration, events);
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let until = wait_for_stop(stopped.clone());
    tasks.spawn(server::shorten_request_logs(
        Arc::clone(&state),
        wait_for_stop(stopped.clone()),
    ));
    let router = server::router(state);
    #[cfg(unix)]
    if let Some((socket, file)) = socket {
        let (router, options) = (router.clone(), options.clone());
        let until = wait_for_stop(stopped.clone());
        tasks.spawn(async move {
            server::local::serve_socket(socket, router, until, &options).await;
            drop(file);
        });
    }
    tasks.spawn(async move {
        match tls {
            Some(tls) => {
                // Without a signal to listen to, the files are still looked at from time to time.
                #[cfg(unix)]
                let _hangups = reload_on_hangup(Arc::clone(&tls)).ok();
                server::serve_tls(listener, tls, router, until, &options).await;
            }
            None => server::serve(listener, router, until, &options).await,
        }
    });
    let engine = rollcall.engine(woken);
    let ended = wait_for_stop(stopped.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = spreading => {}
            () = ended => {}
        }
    });
    tasks.spawn(delivery.run(stopped.clone()));
    tasks.spawn(forget(rollcall.forgetting(), stopped.clone()));
    tasks.spawn(async move { engine.run(stopped).await });
    Running {
        stop,
        tasks,
        request_log: Arc::clone(&rollcall.store.request_log),
    }
}

/// Looks at the certificate files whenever SIGHUP comes, as long as the answer lives.
#[cfg(unix)]
fn reload_on_hangup(tls: Arc<Tls>) -> std::io::Result<JoinSet<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while hangup.recv().await.is_some() {
            tls.reload();
        }
    });
    Ok(tasks)
}

/// How soon after one wake those who wait for events are woken again, so that many commits in a row do not wake all of them each time.
const WAKE_EVERY: Duration = Duration::from_millis(10);

/// Tells the engine and everybody who waits for events of each commit, as long as the third part of the answer runs.
fn spread(
    committed: &Arc<Notify>,
) -> (
    Arc<Notify>,
    watch::Receiver<u64>,
    impl Future<Output = ()> + Send + use<>,
) {
    let (committed, woken, heard) = (
        Arc::clone(committed),
        Arc::new(Notify::new()),
        Arc::new(Notify::new()),
    );
    let (announce, commits) = watch::channel(0);
    let engine = Arc::clone(&woken);
    let spreading = async move {
        let hear = async {
            loop {
                committed.notified().await;
                woken.notify_one();
                heard.notify_one();
            }
        };
        let tell = async {
            loop {
                heard.notified().await;
                announce.send_modify(|count| *count = u64::wrapping_add(*count, 1));
                tokio::time::sleep(WAKE_EVERY).await;
            }
        };
        tokio::join!(hear, tell);
    };
    (engine, commits, spreading)
}

async fn wait_for_stop(mut stopped: watch::Receiver<bool>) {
    // A sender that is gone means stop, too.
    drop(stopped.wait_for(|stopped| *stopped).await);
}

/// Begins to write log lines, on standard error.
pub fn start_log(configuration: &Configuration) -> Result<(), Failure> {
    let text = &configuration.log.value;
    if let Some(word) = unknown_level(text) {
        return Err(Failure::usage(format!("the log filter {text:?} has the word {word:?}, which is no level")).hint(
            "levels are off, error, warn, info, debug and trace; write a level for one part as PART=LEVEL, such as server=debug,warn",
        ));
    }
    let filter = EnvFilter::try_new(text).map_err(|error| {
        Failure::usage(format!("the log filter {text:?} cannot be read: {error}"))
            .hint("write a level (info) or levels of parts (server=debug,warn)")
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    let started = match configuration.log_format.value {
        LogFormat::Text => lines.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => lines.json().try_init(),
    };
    started.map_err(|error| Failure::failed(format!("the log cannot be started: {error}")))
}

/// A word of a filter that stands alone and is no level. The filter's own parser takes it for the name of a part and writes everything of that part, which is
/// nothing where a level is misspelt.
fn unknown_level(filter: &str) -> Option<&str> {
    let alone = filter
        .split(',')
        .map(str::trim)
        .filter(|word| !word.is_empty() && !word.contains(['=', '[']));
    alone.into_iter().find(|word| {
        word.parse::<tracing_subscriber::filter::LevelFilter>()
            .is_err()
    })
}

/// Ctrl-C, or the signal with which service managers stop a program. Heard from the moment on in which this is made, so it is made before anybody is told
/// that the program is there.
pub struct StopSignal {
    #[cfg(unix)]
    interrupt: Signal,
    #[cfg(unix)]
    terminate: Signal,
}

impl StopSignal {
    /// Begins to listen.
    pub fn listen() -> Result<Self, Failure> {
        Ok(Self {
            #[cfg(unix)]
            interrupt: signal(SignalKind::interrupt())?,
            #[cfg(unix)]
            terminate: signal(SignalKind::terminate())?,
        })
    }

    /// Waits for one of them.
    pub async fn heard(&mut self) -> Result<(), Failure> {
        #[cfg(unix)]
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        tokio::signal::ctrl_c().await?;
        Ok(())
    }
}
