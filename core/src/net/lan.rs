//! The sockets of the challenge on the local network. What is sent, and what counts, is `trust::lan`'s.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::clock::stopwatch;
use crate::trust::{LanProbe, LanResponder, LanVerdict};

/// Longer datagrams are none of ours.
const DATAGRAM_BYTES: usize = 512;

/// Addresses that no network has (RFC 5737, RFC 3849). "Connecting" a datagram socket to one sends nothing, but the system
/// then says from which of its own addresses it would send.
const NOWHERE: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 9),
    SocketAddr::new(IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)), 9),
];

/// A socket for both families where there is one.
async fn bind() -> io::Result<UdpSocket> {
    // On Windows a socket of IPv6 speaks IPv6 alone.
    if !cfg!(windows)
        && let Ok(socket) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).await
    {
        return Ok(socket);
    }
    UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).await
}

/// The addresses of this machine: the one from which it speaks with the relay, and those from which it would reach the
/// rest of the world; without repetition.
async fn own_addresses(towards_relay: Option<IpAddr>) -> Vec<IpAddr> {
    let mut own: Vec<IpAddr> = towards_relay.into_iter().collect();
    for to in NOWHERE {
        let any: IpAddr = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let Ok(socket) = UdpSocket::bind((any, 0)).await else { continue };
        if socket.connect(to).await.is_ok()
            && let Ok(local) = socket.local_addr()
            && !own.contains(&local.ip())
        {
            own.push(local.ip());
        }
    }
    own
}

/// Answers challenges until it is dropped.
pub(super) struct LanListener {
    /// The port.
    pub(super) port: u16,
    /// This machine's addresses.
    pub(super) addresses: Vec<IpAddr>,
    task: JoinHandle<()>,
}

impl LanListener {
    /// Opens a socket. `towards_relay` is the address from which this device speaks with the relay, when it is known.
    ///
    /// # Errors
    /// When there is no socket to be had: then there is no such evidence.
    pub(super) async fn open(mut responder: LanResponder, towards_relay: Option<IpAddr>) -> io::Result<Self> {
        let socket = bind().await?;
        let port = socket.local_addr()?.port();
        let addresses = own_addresses(towards_relay).await;
        // A task of its own: an answer must not wait for whatever else this device is doing.
        let task = tokio::spawn(async move {
            let mut datagram = [0; DATAGRAM_BYTES];
            loop {
                // Systems report an unreachable sender of an earlier answer here; that is nothing to end for.
                let Ok((length, from)) = socket.recv_from(&mut datagram).await else {
                    tokio::task::yield_now().await;
                    continue;
                };
                if let Some(answer) = datagram.get(..length).and_then(|datagram| responder.answer(datagram)) {
                    let _ = socket.send_to(&answer, from).await;
                }
            }
        });
        Ok(Self { port, addresses, task })
    }
}

impl Drop for LanListener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs a challenge to its verdict.
pub(super) async fn run_probe(mut probe: LanProbe) -> LanVerdict {
    let Ok(socket) = bind().await else { return LanVerdict::silence() };
    let mapped = socket.local_addr().is_ok_and(|local| local.is_ipv6());
    let elapsed = stopwatch();
    let mut datagram = [0; DATAGRAM_BYTES];
    loop {
        probe.handle_time(elapsed());
        while let Some((to, challenge)) = probe.poll_transmit() {
            let to = match to.ip() {
                IpAddr::V4(v4) if mapped => SocketAddr::new(v4.to_ipv6_mapped().into(), to.port()),
                _ => to,
            };
            // An address that cannot be reached is one that does not answer.
            let _ = socket.send_to(&challenge, to).await;
        }
        if let Some(verdict) = probe.verdict() {
            return verdict.clone();
        }
        let wait = probe.poll_timeout().unwrap_or_default().saturating_sub(elapsed());
        tokio::select! {
            received = socket.recv_from(&mut datagram) => {
                if let Ok((length, from)) = received
                    && let Some(datagram) = datagram.get(..length)
                {
                    probe.handle_datagram(from, datagram, elapsed());
                }
            }
            () = tokio::time::sleep(wait) => {}
        }
    }
}
