//! The links that are open: one for each peer, whoever dialled; what is sent over them waits in queues of their channels.

use super::work::Work;
use crate::frames::{self, Sender};
use crate::{Backoff, BackoffOptions, CloseCode, Dialler, Endpoint, Link, LinkFigures, Permanence};
use bytes::Bytes;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tidelog_model::StoreId;
use tidelog_protocol::{Channel, Input, LinkId};
use tokio::sync::{mpsc, watch};

/// The protocol closed a link.
const CLOSED: CloseCode = CloseCode::FIRST_OF_PROTOCOL;
/// The other of two links stays.
const DOUBLE: CloseCode = CloseCode(CloseCode::FIRST_OF_PROTOCOL.0 + 1);

/// Links of two that dial each other at one time are made within so long.
const TOGETHER: Duration = Duration::from_millis(500);

/// A link that was just made.
pub(super) struct Linked(Arc<Link>);

impl Linked {
    pub(super) fn peer(&self) -> StoreId {
        self.0.peer().store
    }

    pub(super) fn link(&self) -> LinkId {
        LinkId(self.0.id().0)
    }

    pub(super) fn name(&self) -> Arc<str> {
        Arc::clone(&self.0.peer().name)
    }
}

/// Which peers are linked, and which were told not to come back soon: by name.
#[derive(Clone)]
pub(super) struct Watched {
    linked: watch::Receiver<Vec<Arc<str>>>,
    barred: watch::Receiver<Vec<Arc<str>>>,
}

struct Open {
    link: Arc<Link>,
    id: LinkId,
    queues: HashMap<Channel, mpsc::UnboundedSender<Bytes>>,
}

/// See the module documentation.
pub(super) struct Links {
    me: StoreId,
    open: HashMap<StoreId, Open>,
    work: mpsc::Sender<Work>,
    /// Which peers are linked, by name: those are not dialled.
    linked: watch::Sender<Vec<Arc<str>>>,
    /// Peers that were told not to come back soon.
    barred: watch::Sender<Vec<Arc<str>>>,
}

impl Links {
    pub(super) fn new(me: StoreId, work: mpsc::Sender<Work>) -> Self {
        let (linked, barred) = (watch::Sender::new(Vec::new()), watch::Sender::new(Vec::new()));
        Links { me, open: HashMap::new(), work, linked, barred }
    }

    pub(super) fn watch(&self) -> Watched {
        Watched { linked: self.linked.subscribe(), barred: self.barred.subscribe() }
    }

    /// Takes a link, unless the one there is stays: of two, both sides keep the one that the lesser store dialled.
    pub(super) fn admit(&mut self, linked: Linked) -> bool {
        let (peer, id) = (linked.peer(), linked.link());
        let link = linked.0;
        let dialled_by_lesser = |link: &Link| (link.dialler() == Dialler::Us) == (self.me < peer);
        if let Some(known) = self.open.get(&peer) {
            if dialled_by_lesser(&known.link) && !dialled_by_lesser(&link) {
                link.close(DOUBLE, "another link of the same two stores stays");
                return false;
            }
            known.link.close(DOUBLE, "another link of the same two stores stays");
        }
        let name = Arc::clone(&link.peer().name);
        self.linked.send_modify(|names| {
            names.retain(|own| *own != name);
            names.push(name);
        });
        tokio::spawn(read(Arc::clone(&link), id, self.work.clone()));
        self.open.insert(peer, Open { link, id, queues: HashMap::new() });
        true
    }

    /// A link ended; `false` when another one took its place before.
    pub(super) fn remove(&mut self, peer: StoreId, id: LinkId) -> bool {
        if self.open.get(&peer).is_none_or(|open| open.id != id) {
            return false;
        }
        if let Some(open) = self.open.remove(&peer) {
            let name = &open.link.peer().name;
            self.linked.send_modify(|names| names.retain(|own| own != name));
        }
        true
    }

    pub(super) fn send(&mut self, peer: StoreId, id: LinkId, channel: Channel, bytes: Vec<u8>) {
        let Some(open) = self.open.get_mut(&peer).filter(|open| open.id == id) else { return };
        let queue = open.queues.entry(channel).or_insert_with(|| {
            let (queue, frames) = mpsc::unbounded_channel();
            tokio::spawn(write(open.link.sender(), to_frames(channel), frames));
            queue
        });
        // What the protocol has under way is bounded by its windows, so the queue is, too.
        let _ = queue.send(Bytes::from(bytes));
    }

    /// Ends a channel when all that was sent is on its way.
    pub(super) fn finish(&mut self, peer: StoreId, id: LinkId, channel: Channel) {
        if let Some(open) = self.open.get_mut(&peer).filter(|open| open.id == id) {
            open.queues.remove(&channel);
        }
    }

    pub(super) fn close(&mut self, peer: StoreId, id: LinkId, why: &str, for_good: bool) {
        let Some(open) = self.open.get_mut(&peer).filter(|open| open.id == id) else { return };
        let name = Arc::clone(&open.link.peer().name);
        self.barred.send_modify(|names| {
            names.retain(|own| *own != name);
            if for_good {
                names.push(name);
            }
        });
        // What was said before, such as why, has to arrive: the channel's end is waited for.
        open.queues.clear();
        let (link, why) = (Arc::clone(&open.link), why.to_owned());
        tokio::spawn(async move {
            let sender = link.sender();
            let said = sender.finish(frames::Channel::Control);
            let _ = tokio::time::timeout(Duration::from_secs(1), said).await;
            link.close(CLOSED, &why);
        });
    }

    /// Somebody changed something: peers that were told not to come back soon may be dialled again at once.
    pub(super) fn unbar(&self) {
        self.barred.send_modify(Vec::clear);
    }

    pub(super) fn close_all(&mut self) {
        self.open
            .values()
            .for_each(|open| open.link.close(CloseCode::SHUTDOWN, "the store leaves"));
        self.open.clear();
    }

    pub(super) fn figures(&self, peer: StoreId) -> Option<LinkFigures> {
        Some(self.open.get(&peer)?.link.figures())
    }
}

/// Gives what arrives to the protocol. While it is busy nothing is read, and the peer is held back.
async fn read(link: Arc<Link>, id: LinkId, work: mpsc::Sender<Work>) {
    let peer = link.peer().store;
    while let Some((channel, bytes)) = link.recv().await {
        let (channel, bytes) = (from_frames(channel), bytes.to_vec());
        let input = Input::Frame { peer, link: id, channel, bytes };
        if work.send(Work::Input(input)).await.is_err() {
            return;
        }
    }
    let why = link.ended().await.to_string();
    let _ = work.send(Work::Ended { peer, link: id, why }).await;
}

/// Sends what a channel has to say, in order; ends the channel when nothing more comes.
async fn write(
    sender: Sender,
    channel: frames::Channel,
    mut frames: mpsc::UnboundedReceiver<Bytes>,
) {
    while let Some(bytes) = frames.recv().await {
        if let Err(error) = sender.send(channel, bytes).await {
            tracing::debug!(%error, "not sent");
            return;
        }
    }
    if channel != frames::Channel::Control {
        let _ = sender.finish(channel).await;
    }
}

/// Waits until the peer's own dial gave a link that ours does not join at once. Given up then: a dial whose first packets
/// were lost would, seconds later, take the place of a link that works, and all that is on its way would be sent again.
async fn overtaken(mut linked: watch::Receiver<Vec<Arc<str>>>, name: &Arc<str>) {
    loop {
        if linked.wait_for(|names| names.contains(name)).await.is_err() {
            // The node ends, and the dial with it.
            return std::future::pending().await;
        }
        // Two that dial at one time are done at about one time, and then both sides choose the same link.
        tokio::time::sleep(TOGETHER).await;
        if linked.borrow().contains(name) {
            return;
        }
    }
}

fn to_frames(channel: Channel) -> frames::Channel {
    match channel {
        Channel::Control => frames::Channel::Control,
        Channel::Tail => frames::Channel::Tail,
        Channel::Session(number) => frames::Channel::Session(number),
        Channel::Bulk(number) => frames::Channel::Bulk(number),
    }
}

fn from_frames(channel: frames::Channel) -> Channel {
    match channel {
        frames::Channel::Control => Channel::Control,
        frames::Channel::Tail => Channel::Tail,
        frames::Channel::Session(number) => Channel::Session(number),
        frames::Channel::Bulk(number) => Channel::Bulk(number),
    }
}

/// Accepts links for as long as the endpoint is open.
pub(super) async fn accept(endpoint: Endpoint, work: mpsc::Sender<Work>) {
    while let Some(link) = endpoint.accept().await {
        if work.send(Work::Linked(Linked(Arc::new(link)))).await.is_err() {
            return;
        }
    }
}

/// Keeps a peer linked: dials it whenever it is not.
pub(super) async fn keep(
    endpoint: Endpoint,
    (name, address): (Arc<str>, String),
    seed: u64,
    watched: Watched,
    work: mpsc::Sender<Work>,
) {
    let Watched { mut linked, mut barred } = watched;
    let mut backoff = Backoff::new(BackoffOptions::default(), seed);
    let mut since = None;
    loop {
        if linked.wait_for(|names| !names.contains(&name)).await.is_err() {
            return;
        }
        if let Some(since) = since.take() {
            let since: Instant = since;
            let is_barred = barred.borrow().contains(&name);
            let permanence = if is_barred { Permanence::Permanent } else { Permanence::Passing };
            tokio::select! {
                () = tokio::time::sleep(backoff.ended(since.elapsed(), permanence)) => {}
                _ = barred.wait_for(|names| !names.contains(&name)), if is_barred => {}
            }
            if linked.borrow().contains(&name) {
                continue;
            }
        }
        let dialled = tokio::select! {
            dialled = endpoint.dial(&name, &address) => dialled,
            () = overtaken(linked.clone(), &name) => continue,
        };
        match dialled {
            Ok(link) => {
                since = Some(Instant::now());
                if work.send(Work::Linked(Linked(Arc::new(link)))).await.is_err() {
                    return;
                }
                // Until it is known to be there or refused in favour of another one.
                let there = linked.wait_for(|names| names.contains(&name));
                let _ = tokio::time::timeout(Duration::from_secs(1), there).await;
            }
            Err(error) => {
                let wait = backoff.failed(error.permanence());
                tracing::debug!(peer = %name, %error, wait_ms = wait.as_millis() as u64, "not linked");
                if work.send(Work::NotDialled(Arc::clone(&name), error)).await.is_err() {
                    return;
                }
                tokio::time::sleep(wait).await;
            }
        }
    }
}
