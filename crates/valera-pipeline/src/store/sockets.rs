//! Settings of the sockets that lead to Postgres, which the driver offers neither a switch for nor a way to.
//!
//! *Without delay.* A COPY is two writes, the rows and then a few bytes that end them. With Nagle's algorithm the second
//! waits until the first is acknowledged, and the other end delays that for 40 ms: 40 ms for each COPY, three times in
//! each fold. *Not for ever.* All deadlines of a session are the server's, so where its host has vanished without a word
//! nobody is left to keep them: a writer would wait for its COMMIT's answer until somebody looks. Keepalives notice.
//!
//! A socket is found by where it leads. The safe way to another's descriptor, pidfd_getfd, is Linux's alone, and
//! containers may forbid it. Unix sockets know neither trouble.
//!
//! It does not fail: without it everything works, only slower, and a vanished host is noticed late.

#![allow(unsafe_code, reason = "the driver's socket can only be had by its number")]

use socket2::{SockRef, TcpKeepalive};
use std::{
    io,
    os::fd::{BorrowedFd, RawFd},
    time::Duration,
};

/// Silence after which the other end is asked, how often then, and how many unanswered times count as its end.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(10)).with_interval(Duration::from_secs(5)).with_retries(3);

/// How long what was sent may go unacknowledged. Longer than a restart of the network, shorter than the quarter of an
/// hour that the kernel would try; a server that is only frozen keeps acknowledging.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);

/// Settles every socket of this process that leads to this port.
pub(super) fn settle(port: u16) {
    let Ok(open) = std::fs::read_dir("/dev/fd") else { return };
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    for number in numbers.filter(|number| *number >= 0) {
        // SAFETY: a borrowed descriptor should stay open while it is borrowed, and another thread may close this one in
        // between. Nothing here depends on it: the borrow ends with this iteration, never closes the descriptor, and
        // makes a few system calls that touch no memory of ours. On a closed descriptor they fail; on one that was taken
        // up again for another connection they change the same options there, which loses nothing.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let socket = SockRef::from(&descriptor);
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        if peer.is_some_and(|peer| peer.port() == port)
            && let Err(cause) = settle_one(&socket)
        {
            tracing::debug!(%cause, "a connection to Postgres keeps the system's settings");
        }
    }
}

fn settle_one(socket: &SockRef<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&KEEPALIVE)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn only_sockets_that_lead_to_the_port_are_changed() {
        let listeners = [0; 2].map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        let [ours, other] = listeners.each_ref().map(|listener| {
            let address = listener.local_addr().unwrap();
            TcpStream::connect(address).unwrap()
        });
        settle(ours.peer_addr().unwrap().port());
        for (socket, changed) in [(&ours, true), (&other, false)] {
            assert_eq!(socket.nodelay().unwrap(), changed);
            assert_eq!(SockRef::from(socket).keepalive().unwrap(), changed);
        }
    }
}
