//! Whom to believe: what a reverse proxy says of the client, and what a browser says of where a form stood.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;
use warp::http::{HeaderMap, Method, header};

use crate::platform::error::{Error, Result};

/// Reverse proxies whose word on the client's address is taken.
#[derive(Debug, Clone, Default)]
pub struct Proxies(pub Arc<[IpNet]>);

impl Proxies {
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|net| net.contains(&address))
    }

    /// The client's address: the peer's, or where that is a trusted proxy the last one in `X-Forwarded-For` that
    /// is not. What stands before it may be forged.
    pub fn client(&self, peer: SocketAddr, headers: &HeaderMap) -> IpAddr {
        let mut client = peer.ip().to_canonical();
        // As bytes: what a client wrote before the proxy's own words must not make them unreadable.
        let lines = headers.get_all("x-forwarded-for").iter();
        let hops: Vec<&[u8]> = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b',')).collect();
        for hop in hops.iter().rev() {
            if !self.trusts(client) {
                break;
            }
            match std::str::from_utf8(hop).unwrap_or("").trim().parse::<IpAddr>() {
                Ok(address) => client = address.to_canonical(),
                Err(_) => break,
            }
        }
        client
    }
}

/// Refuses a change that a page of another site asks for.
///
/// Browsers say where a request comes from; other clients say nothing, and bear no cookie either. Pages, which go
/// by cookie, need the proof; the API, which goes by bearer token, only no proof of the contrary.
///
/// Source: <https://developer.mozilla.org/docs/Web/HTTP/Headers/Sec-Fetch-Site>.
pub fn check_same_origin(method: &Method, is_api: bool, headers: &HeaderMap, public: Option<&str>) -> Result<()> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: header::HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let refused = || Err(Error::Forbidden("this form stood on another site: open the page here and try again".into()));
    match headers.get("sec-fetch-site").map(|value| value.as_bytes()) {
        Some(b"same-origin") => return Ok(()),
        Some(b"none") if is_api => return Ok(()),
        Some(_) => return refused(),
        None => {}
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), host) => {
            let own = public.map(|public| origin.eq_ignore_ascii_case(public));
            // Without a public origin, ours is whatever name the browser asked for.
            let same = own.unwrap_or_else(|| {
                let of = origin.split_once("://").map(|(_, rest)| rest);
                of.is_some() && of == host
            });
            if same { Ok(()) } else { refused() }
        }
        (None, _) if is_api => Ok(()),
        (None, _) => refused(),
    }
}
