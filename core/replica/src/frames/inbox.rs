//! Frames that arrived and are not read yet: a lane and a budget per kind of channel.
//!
//! A kind that is not read fills its own budget only, so a flood of bulk leaves room for control. A lane of a higher
//! priority is read first.

use super::{Channel, FrameBytes};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// What a frame costs beyond its bytes: a flood of empty frames is a flood.
const FRAME_COST: u32 = 64;
/// Eighths of the budget, by lane.
const SHARES: [u32; KINDS] = [1, 3, 2, 2];
const KINDS: usize = 4;

/// A kind of channel: the lane it is read from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Control,
    Tail,
    Session,
    Bulk,
}

impl From<Channel> for Kind {
    fn from(channel: Channel) -> Self {
        match channel {
            Channel::Control => Kind::Control,
            Channel::Tail => Kind::Tail,
            Channel::Session(_) => Kind::Session,
            Channel::Bulk(_) => Kind::Bulk,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Inbox {
    lanes: Mutex<Lanes>,
    changed: Notify,
    budgets: [Budget; KINDS],
}

#[derive(Debug, Default)]
struct Lanes {
    waiting: [VecDeque<Waiting>; KINDS],
    ended: bool,
}

#[derive(Debug)]
struct Waiting {
    channel: Channel,
    frame: FrameBytes,
    _room: Room,
}

/// What a frame holds of the budget, from its first byte until it is read.
#[derive(Debug)]
pub(crate) struct Room(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

#[derive(Debug)]
struct Budget {
    free: Arc<Semaphore>,
    bytes: u32,
}

impl Inbox {
    /// With so many bytes of unread frames over all lanes.
    pub(crate) fn new(unread_bytes_max: u32) -> Self {
        let eighth = (unread_bytes_max / 8).max(FRAME_COST);
        let budgets = SHARES.map(|share| {
            let bytes = eighth.saturating_mul(share);
            Budget { free: Arc::new(Semaphore::new(bytes as usize)), bytes }
        });
        Inbox { lanes: Mutex::default(), changed: Notify::new(), budgets }
    }

    /// Waits for room for a frame; `None` when nobody will read any more.
    pub(crate) async fn room(&self, kind: Kind, len: u32) -> Option<Room> {
        let budget = &self.budgets[kind as usize];
        let cost = len.saturating_add(FRAME_COST).min(budget.bytes);
        Arc::clone(&budget.free).acquire_many_owned(cost).await.ok().map(Room)
    }

    pub(crate) fn push(&self, channel: Channel, frame: FrameBytes, room: Room) {
        let mut lanes = self.lanes();
        if !lanes.ended {
            let lane = &mut lanes.waiting[Kind::from(channel) as usize];
            lane.push_back(Waiting { channel, frame, _room: room });
        }
        drop(lanes);
        self.changed.notify_one();
    }

    /// The next frame, of the highest lane that has one; `None` at the end.
    pub(crate) async fn pop(&self) -> Option<(Channel, FrameBytes)> {
        loop {
            {
                let mut lanes = self.lanes();
                let next = lanes.waiting.iter_mut().find_map(VecDeque::pop_front);
                let more = lanes.ended || lanes.waiting.iter().any(|lane| !lane.is_empty());
                let ended = lanes.ended;
                drop(lanes);
                if more {
                    // A wake-up is stored once: whoever takes it passes it on.
                    self.changed.notify_one();
                }
                match next {
                    Some(waiting) => return Some((waiting.channel, waiting.frame)),
                    None if ended => return None,
                    None => {}
                }
            }
            self.changed.notified().await;
        }
    }

    /// No frame comes any more. What arrived is still read, unless it is to be dropped.
    pub(crate) fn end(&self, drop_unread: bool) {
        let mut lanes = self.lanes();
        lanes.ended = true;
        if drop_unread {
            lanes.waiting = Default::default();
        }
        drop(lanes);
        self.budgets.iter().for_each(|budget| budget.free.close());
        self.changed.notify_one();
    }

    /// Bytes of frames that are here, or on their way here, and not read.
    pub(crate) fn unread_bytes(&self) -> u64 {
        let lanes = self.lanes();
        let waiting = lanes.waiting.iter().flatten().map(|waiting| waiting.frame.capacity() as u64);
        waiting.sum()
    }

    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        // Nothing panics while it is held; if something did, the lanes are whole between two lines.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    fn frame(len: usize) -> FrameBytes {
        let mut bytes = FrameBytes::new();
        bytes.resize(len, 0);
        bytes
    }

    async fn push(inbox: &Inbox, channel: Channel, len: u32) {
        let room = inbox.room(Kind::from(channel), len).await.unwrap();
        inbox.push(channel, frame(len as usize), room);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_lane_holds_its_own_kind_only_and_control_is_read_first() {
        let inbox = Inbox::new(8 << 10);
        push(&inbox, Channel::Bulk(1), 1000).await;
        push(&inbox, Channel::Bulk(1), 900).await;
        let wait = Duration::from_secs(1);
        assert!(timeout(wait, inbox.room(Kind::Bulk, 1000)).await.is_err());
        push(&inbox, Channel::Session(3), 100).await;
        push(&inbox, Channel::Control, 100).await;
        let mut order = Vec::new();
        for _ in 0..4 {
            order.push(inbox.pop().await.unwrap().0);
        }
        let bulk = Channel::Bulk(1);
        assert_eq!(order, [Channel::Control, Channel::Session(3), bulk, bulk]);
        assert!(timeout(wait, inbox.room(Kind::Bulk, 1000)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_frame_beyond_the_budget_waits_until_its_lane_is_empty() {
        let inbox = Inbox::new(8 << 10);
        push(&inbox, Channel::Tail, 10).await;
        let wait = Duration::from_secs(1);
        assert!(timeout(wait, inbox.room(Kind::Tail, 1 << 20)).await.is_err());
        inbox.pop().await.unwrap();
        push(&inbox, Channel::Tail, 1 << 20).await;
        assert!(timeout(wait, inbox.room(Kind::Tail, 0)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn empty_frames_cost_too() {
        let inbox = Inbox::new(8 << 10);
        for _ in 0..(1 << 10) / FRAME_COST {
            push(&inbox, Channel::Control, 0).await;
        }
        let wait = Duration::from_secs(1);
        assert!(timeout(wait, inbox.room(Kind::Control, 0)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_wakes_everyone_and_what_arrived_is_still_read() {
        let inbox = Arc::new(Inbox::new(8 << 10));
        push(&inbox, Channel::Control, 1).await;
        inbox.end(false);
        assert!(inbox.pop().await.is_some());
        assert!(inbox.pop().await.is_none() && inbox.pop().await.is_none());
        assert!(inbox.room(Kind::Control, 0).await.is_none());
        let dropped = Inbox::new(8 << 10);
        push(&dropped, Channel::Control, 1).await;
        dropped.end(true);
        assert!(dropped.pop().await.is_none());
    }
}
