//! The points at which a crash is worth trying.
//!
//! The loop and the handlers announce them to a probe they are given. The product's does nothing; the tests' own
//! binary passes one that aborts the process. No switch in the product turns it on.

/// A durable point on the way of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Point {
    /// Messages are in memory, nothing has been done about them.
    Pulled,
    /// Effects and evidence are written, the transaction is open.
    BeforeCommit,
    /// The transaction is committed, nothing has been acked.
    AfterCommit,
    /// The acks are on their way.
    Acked,
}

/// Is told of each [`Point`] as it is reached.
pub trait Probe: Send + Sync {
    /// Called on the thread that reached the point.
    fn reached(&self, point: Point);
}

/// The product's probe.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    fn reached(&self, _: Point) {}
}
