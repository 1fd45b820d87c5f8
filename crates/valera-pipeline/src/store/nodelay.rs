//! Turns Nagle's algorithm off on the way to Postgres, which the driver leaves on.
//!
//! A COPY is two writes, the rows and then a few bytes that end them. With Nagle's algorithm the second waits until the
//! first is acknowledged, and the other end delays that for 40 ms: 40 ms for each COPY, three times in each fold. The
//! driver offers neither a switch nor its socket, so the socket is found by where it leads. The safe way to another's
//! descriptor, pidfd_getfd, is Linux's alone, and containers may forbid it. Unix sockets know no such delay.
//!
//! It does not fail: without it everything works, only slower.

#![allow(unsafe_code, reason = "the driver's socket can only be had by its number")]

use socket2::SockRef;
use std::os::fd::{BorrowedFd, RawFd};

/// Sends without delay on every socket of this process that leads to this port.
pub(super) fn send_at_once(port: u16) {
    let Ok(open) = std::fs::read_dir("/dev/fd") else { return };
    let numbers = open.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<RawFd>().ok());
    for number in numbers.filter(|number| *number >= 0) {
        // SAFETY: a borrowed descriptor should stay open while it is borrowed, and another thread may close this one in
        // between. Nothing here depends on it: the borrow ends with this iteration, never closes the descriptor, and
        // makes two system calls that touch no memory of ours. On a closed descriptor they fail; on one that was taken
        // up again for another connection they turn Nagle's algorithm off there too, which loses nothing.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let socket = SockRef::from(&descriptor);
        let peer = socket.peer_addr().ok().and_then(|peer| peer.as_socket());
        if peer.is_some_and(|peer| peer.port() == port)
            && let Err(cause) = socket.set_tcp_nodelay(true)
        {
            tracing::debug!(%cause, "Nagle's algorithm stays on");
        }
    }
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
        send_at_once(ours.peer_addr().unwrap().port());
        assert!(ours.nodelay().unwrap());
        assert!(!other.nodelay().unwrap());
    }
}
