//! Who is connected: so many at once, and so many of one address, so that no single one takes all the places.
//!
//! An address of IPv6 stands for its /64, which one host may have to itself. It does not accept and does not serve.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Connections at once: those beyond wait in the queue of the system.
const ALL: usize = 512;

/// Connections of one address, unless told.
pub const PER_ADDRESS: usize = 128;

#[derive(Debug)]
pub(super) struct Connections {
    room: Arc<Semaphore>,
    per_address: usize,
    by_source: Mutex<HashMap<IpAddr, usize>>,
    refused: AtomicU64,
}

/// One connection's place; dropped, it is free again.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    source: IpAddr,
    _room: OwnedSemaphorePermit,
}

impl Connections {
    pub(super) fn new(per_address: usize) -> Arc<Self> {
        Arc::new(Self {
            room: Arc::new(Semaphore::new(ALL)),
            per_address: per_address.max(1),
            by_source: Mutex::default(),
            refused: AtomicU64::new(0),
        })
    }

    /// Waits until there is room for one more; nothing once there never will be.
    pub(super) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        self.room.clone().acquire_owned().await.ok()
    }

    /// A place for a connection from this address, unless it has its share.
    pub(super) fn take(self: &Arc<Self>, room: OwnedSemaphorePermit, from: IpAddr) -> Option<Place> {
        let source = source(from);
        let mut by_source = self.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        let open = by_source.entry(source).or_default();
        if *open >= self.per_address {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        *open += 1;
        Some(Place { connections: self.clone(), source, _room: room })
    }

    /// Connections that are open.
    pub(super) fn open(&self) -> usize {
        self.by_source.lock().unwrap_or_else(PoisonError::into_inner).values().sum()
    }

    /// Connections that their address had no place for.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_source = self.connections.by_source.lock().unwrap_or_else(PoisonError::into_inner);
        // Nothing is kept of an address that has gone: the map is no longer than there are connections.
        match by_source.get_mut(&self.source) {
            Some(open) if *open > 1 => *open -= 1,
            _ => drop(by_source.remove(&self.source)),
        }
    }
}

fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_has_its_share_and_what_it_leaves_is_free_again() {
        let connections = Connections::new(2);
        let take =
            async |address: &str| connections.take(connections.room().await.unwrap(), address.parse().unwrap());
        let (first, second) = (take("10.0.0.1").await, take("::ffff:10.0.0.1").await);
        assert!(first.is_some() && second.is_some());
        assert!(take("10.0.0.1").await.is_none());
        assert!(take("10.0.0.2").await.is_some());
        let neighbours = [take("2001:db8::1").await, take("2001:db8::2").await, take("2001:db8::3").await];
        assert_eq!(neighbours.iter().flatten().count(), 2);
        assert_eq!((connections.open(), connections.refused()), (4, 2));
        drop((first, second, neighbours));
        assert!(take("10.0.0.1").await.is_some());
        assert!(connections.by_source.lock().unwrap().is_empty());
        assert_eq!(connections.open(), 0);
    }
}
