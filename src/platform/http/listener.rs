//! The accept loop: limits what clients may hold, and stops without cutting off running requests.
//!
//! warp's own server has no header time-out, no cap on connections and no bounded drain; hyper gives us the first.
//! Bodies are timed by whoever reads them.

use std::error::Error;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use super::connections::{Activity, Connections};
pub use super::connections::{Drained, ListenerStats};
use super::socket::Socket;
use crate::platform::addresses::share_of;

type BoxError = Box<dyn Error + Send + Sync>;

/// What a listener lets its clients hold, and for how long.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections open at once; 4,096 by default. See [`raise_file_limit`].
    pub max_connections: usize,
    /// Connections open at once from one IPv4 address or one IPv6 /64; 1,024 by default.
    pub max_connections_per_address: usize,
    /// How long a connection may take to send a whole request header, and so how long it may idle; 10 s by default.
    pub header_timeout: Duration,
    /// How long a client may take nothing of its answer; 30 s by default.
    pub write_timeout: Duration,
    /// How long running requests may go on after the signal to stop; 10 s by default.
    pub drain: Duration,
    /// Bytes of a request's line and header, above which the answer is 431; 16 KiB by default.
    pub max_header_bytes: usize,
    /// Fields in a request's header, above which the answer is 431; 100 by default.
    pub max_headers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 4096,
            max_connections_per_address: 1024,
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            drain: Duration::from_secs(10),
            max_header_bytes: 16 << 10,
            max_headers: HYPER_MAX_HEADERS,
        }
    }
}

/// hyper parses this many on the stack; with any number set, even this one, it allocates for each request.
const HYPER_MAX_HEADERS: usize = 100;

/// The pause after an accept that failed for want of something, such as file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Failed accepts come in swarms; one line a minute tells enough.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// File handles kept for the database, its readers and other files.
const RESERVED_FILES: usize = 128;

/// The address at the other end of the connection, an extension of every request. A proxy's, if one stands between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer(pub SocketAddr);

/// Whether the socket is closed when serving on it ends, or kept for whoever serves next: clients wait in its backlog
/// meanwhile, instead of being refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leave {
    Closed,
    Open,
}

/// Serves HTTP/1.1 on `listener` until `shutdown` completes; then says what became of the running requests, and gives
/// the listener back if it is to stay open.
///
/// At a cap, a new connection takes the place of the one that has waited longest without a request in progress (idle,
/// or still sending its header): of the same address for the cap per address, of all for the other. It is refused
/// only if all of these are busy. Addresses in `trusted`, our reverse proxies, have no cap per address.
///
/// At `shutdown` it stops accepting at once, closes who waits, and lets running requests end for `limits.drain`.
///
/// A panic in `service` ends its connection only. No error of the listener ends the loop: it pauses and tries again.
///
/// warp's filters become a service by `TowerToHyperService::new(warp::service(filter))`.
pub async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    limits: Limits,
    trusted: Arc<[IpNet]>,
    stats: Arc<ListenerStats>,
    shutdown: impl Future<Output = Leave>,
) -> (Drained, Option<TcpListener>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    let http = http(&limits);
    let mut connections = Connections::new(stats.clone());
    let mut shutdown = pin!(shutdown);
    let mut logged = None;
    let leave = loop {
        let accepted = tokio::select! {
            biased;
            leave = &mut shutdown => break leave,
            () = connections.ended() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                recover(error, &mut logged, &mut connections).await;
                continue;
            }
        };
        stats.accepted_total.fetch_add(1, Relaxed);
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let address = counted_address(peer.ip(), &trusted);
        if !make_room(&mut connections, address, &limits).await {
            stats.refused_total.fetch_add(1, Relaxed);
            tracing::debug!(%peer, "refused a connection: all others are busy");
            continue;
        }
        connections.open(address, |activity, stop| {
            let socket = socket(stream, activity.clone(), limits.write_timeout);
            let connection = http.serve_connection(socket, answer(service.clone(), Peer(peer), activity));
            run(connection, stop, stats.clone())
        });
    };
    let kept = (leave == Leave::Open).then_some(listener);
    (connections.drain(limits.drain).await, kept)
}

fn http(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.header_timeout).max_header_size(limits.max_header_bytes);
    if limits.max_headers != HYPER_MAX_HEADERS {
        http.max_headers(limits.max_headers);
    }
    http
}

fn socket(stream: TcpStream, activity: Arc<Activity>, write_timeout: Duration) -> TokioIo<Socket> {
    // It fails only on a socket that is closed already, which the first read will tell.
    let _ = stream.set_nodelay(true);
    TokioIo::new(Socket::new(stream, activity, write_timeout))
}

/// The address whose share a connection counts against; none for trusted proxies, who bring many clients.
fn counted_address(ip: IpAddr, trusted: &[IpNet]) -> Option<IpAddr> {
    let is_trusted = trusted.iter().any(|net| net.contains(&ip));
    (!is_trusted).then(|| share_of(ip))
}

/// Whether one more connection fits in, once those that wait too long have made room.
async fn make_room(connections: &mut Connections, address: Option<IpAddr>, limits: &Limits) -> bool {
    let over_share =
        |all: &Connections| address.filter(|address| all.is_full_for(*address, limits.max_connections_per_address));
    if over_share(connections).is_some() || connections.is_full(limits.max_connections) {
        connections.settle().await;
    }
    if let Some(address) = over_share(connections)
        && !connections.evict(Some(address))
    {
        return false;
    }
    !connections.is_full(limits.max_connections) || connections.evict(None)
}

/// After a failed accept: makes room and pauses, unless it was but the one client who gave up.
async fn recover(error: io::Error, logged: &mut Option<Instant>, connections: &mut Connections) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted) {
        return;
    }
    if logged.is_none_or(|at| at.elapsed() > LOG_INTERVAL) {
        *logged = Some(Instant::now());
        tracing::warn!(%error, "can't accept connections; retrying");
    }
    // Most likely file handles have run out: whoever waits longest has one to spare.
    connections.evict(None);
    sleep(ACCEPT_PAUSE).await;
}

/// The service as one connection sees it: requests bear their peer, and keep the connection busy until answered.
fn answer<S, B>(
    service: S,
    peer: Peer,
    activity: Arc<Activity>,
) -> impl Service<
    Request<Incoming>,
    Response = Response<impl Body<Data = B::Data, Error = BoxError> + Send + 'static>,
    Error = BoxError,
    Future: Send,
> + Send
+ 'static
where
    S: Service<Request<Incoming>, Response = Response<B>> + Send + 'static,
    S::Future: Send,
    S::Error: Into<BoxError>,
    B: Body + Send + 'static,
    B::Error: Into<BoxError>,
{
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        let answering = activity.begin().map(|turn| (turn, service.call(request)));
        async move {
            let (turn, response) = answering.ok_or("the connection had to make room")?;
            let response = response.await.map_err(Into::into)?;
            // The turn lives as long as the body, and so ends with it.
            Ok::<_, BoxError>(response.map(|body| {
                body.map_err(move |error| {
                    let _held = &turn;
                    error.into()
                })
            }))
        }
    })
}

/// Drives a connection to its end, which comes after the present request once `stop` fires.
async fn run<S, B>(
    connection: http1::Connection<TokioIo<Socket>, S>,
    stop: oneshot::Receiver<()>,
    stats: Arc<ListenerStats>,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = BoxError>,
    B: Body<Error = BoxError> + 'static,
{
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        _ = stop => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        if timed_out(&error) {
            stats.timed_out_total.fetch_add(1, Relaxed);
        }
        tracing::debug!(%error, "a connection ended early");
    }
}

fn timed_out(error: &hyper::Error) -> bool {
    let cause = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    error.is_timeout() || cause.is_some_and(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

/// Raises this process's limit of open files as far as it may, and returns how many of the `wanted` connections fit.
///
/// 128 files are kept for other uses. A limit that can't be raised or read is logged, never an error.
///
/// Source: `RLIMIT_NOFILE` in getrlimit(2); a service gets more with systemd's `LimitNOFILE=`.
pub fn raise_file_limit(wanted: usize) -> usize {
    let files = rlimit::increase_nofile_limit(u64::MAX)
        .or_else(|error| {
            tracing::warn!(%error, "can't raise the limit of open files");
            rlimit::Resource::NOFILE.get_soft()
        })
        .unwrap_or(1024); // what Linux gives by default
    let fitting = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(RESERVED_FILES).max(1);
    if fitting < wanted {
        tracing::warn!(files, wanted, fitting, "the limit of open files permits fewer connections than wanted");
    }
    fitting.min(wanted)
}
