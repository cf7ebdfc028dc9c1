//! The sockets of the challenge on the local network. What is sent, and what counts, is `trust::lan`'s.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::host::stopwatch;
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rand_chacha::ChaCha20Rng;
    use rand_core::SeedableRng;
    use zeroize::Zeroizing;

    use super::*;
    use crate::crypto::sign::SigningKey;
    use crate::trust::lan::{LanKey, lan_offer};

    /// Far more than a busy machine needs from one of its own sockets to another.
    const LIMIT: Duration = Duration::from_millis(400);

    fn key() -> LanKey {
        LanKey { key: Zeroizing::new([3; 32]), th2: [4; 32] }
    }

    fn device() -> SigningKey {
        SigningKey::from_seed(&[5; 32])
    }

    async fn probe(port: u16, addresses: &[IpAddr], device_pk: [u8; 32]) -> LanVerdict {
        let offer = lan_offer(port, addresses).unwrap();
        let mut rng = ChaCha20Rng::from_seed([6; 32]);
        run_probe(LanProbe::new(key(), device_pk, &offer, LIMIT, &mut rng).unwrap()).await
    }

    /// Passes datagrams on to `port` after `delay`, and answers back.
    async fn proxy(port: u16, delay: Duration) -> (u16, JoinHandle<()>) {
        let outer = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let inner = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        inner.connect(("127.0.0.1", port)).await.unwrap();
        let own = outer.local_addr().unwrap().port();
        let task = tokio::spawn(async move {
            let (mut datagram, mut back) = ([0; 512], [0; 512]);
            loop {
                let (length, from) = outer.recv_from(&mut datagram).await.unwrap();
                inner.send(&datagram[..length]).await.unwrap();
                let length = inner.recv(&mut back).await.unwrap();
                tokio::time::sleep(delay).await;
                outer.send_to(&back[..length], from).await.unwrap();
            }
        });
        (own, task)
    }

    #[tokio::test]
    async fn a_device_on_this_machine_is_near_over_real_sockets_of_both_families() {
        let listener = LanListener::open(LanResponder::new(key(), device()), None).await.unwrap();
        let loopback: [IpAddr; 2] = ["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        for addresses in [&loopback[..1], &loopback[..]] {
            let verdict = probe(listener.port, addresses, device().public()).await;
            assert!(verdict.is_near(), "{verdict:?}");
        }
        // The same device under another key does not exist.
        let other = SigningKey::from_seed(&[9; 32]).public();
        assert!(!probe(listener.port, &loopback[..1], other).await.was_answered());
    }

    #[tokio::test]
    async fn answers_through_a_proxy_that_takes_longer_than_the_limit_are_refused() {
        let listener = LanListener::open(LanResponder::new(key(), device()), None).await.unwrap();
        let here = ["127.0.0.1".parse().unwrap()];
        let (port, proxy) = proxy(listener.port, LIMIT + Duration::from_millis(50)).await;
        let verdict = probe(port, &here, device().public()).await;
        proxy.abort();
        assert!(verdict.was_answered() && !verdict.is_near(), "{verdict:?}");
        assert!(verdict.samples().iter().flatten().all(|took| *took >= LIMIT), "{verdict:?}");
    }

    #[tokio::test]
    async fn a_port_where_nobody_is_and_a_listener_that_ended_are_silent() {
        let listener = LanListener::open(LanResponder::new(key(), device()), None).await.unwrap();
        let port = listener.port;
        drop(listener);
        let verdict = probe(port, &["127.0.0.1".parse().unwrap()], device().public()).await;
        assert!(!verdict.was_answered() && !verdict.is_near());
    }

    #[tokio::test]
    async fn the_address_towards_the_relay_comes_first_and_nothing_is_sent_to_learn_the_others() {
        let towards: IpAddr = "127.0.0.1".parse().unwrap();
        let own = own_addresses(Some(towards)).await;
        assert_eq!(own.first(), Some(&towards));
        let mut unique = own.clone();
        unique.dedup();
        assert_eq!(unique, own);
    }
}
