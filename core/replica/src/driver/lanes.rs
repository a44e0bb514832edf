//! Lanes: asks that must be answered in order share one, and others pass beside it. Each has a bridge of its own, on threads
//! that may block.

use super::work::Work;
use crate::bridge::{Access, Bridge, Partials, PinBudget};
use std::collections::HashMap;
use std::sync::Arc;
use tidelog_engine::Store;
use tidelog_model::StoreId;
use tidelog_protocol::{Ask, AskId, Input};
use tokio::sync::mpsc;

/// Which asks go one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Lane {
    General,
    /// Reading the own log for a peer.
    Tail(StoreId),
    /// Taking what a peer wrote.
    Apply(StoreId),
    /// Deletes, schemas and options, for a peer or from it.
    State(StoreId),
    /// A comparison.
    Session(StoreId, u32),
    /// Files for a peer.
    Give(StoreId),
    /// What their pieces are to be.
    Sums(StoreId),
    /// Files of a peer.
    Take(StoreId),
    /// Making files, and making them durable, beside pieces that still come.
    Files(StoreId),
    /// Reading whole files of a peer, beside those that still come.
    Install(StoreId),
}

impl Lane {
    /// Whose rights count in it.
    fn peer(self) -> Option<StoreId> {
        match self {
            Lane::General => None,
            Lane::Tail(peer) | Lane::Apply(peer) | Lane::State(peer) => Some(peer),
            Lane::Session(peer, _) => Some(peer),
            Lane::Give(peer) | Lane::Sums(peer) | Lane::Take(peer) => Some(peer),
            Lane::Files(peer) | Lane::Install(peer) => Some(peer),
        }
    }
}

fn lane_of(ask: &Ask) -> Lane {
    match ask {
        Ask::Summary { view, .. }
        | Ask::Collections { view, .. }
        | Ask::Step { view, .. }
        | Ask::Weigh { view, .. } => Lane::Session(view.peer, view.session),
        Ask::State { peer, .. } | Ask::TakeState { peer, .. } => Lane::State(*peer),
        Ask::Forget { peer, session } => Lane::Session(*peer, *session),
        Ask::Apply { peer, .. } => Lane::Apply(*peer),
        Ask::Tail { peer, .. } | Ask::Pin { peer, .. } => Lane::Tail(*peer),
        Ask::Closed | Ask::SeeEpochs { .. } => Lane::General,
        Ask::PieceSums { peer, .. } => Lane::Sums(*peer),
        Ask::OfferSnapshot { peer, .. } | Ask::Piece { peer, .. } | Ask::EndSnapshot { peer } => {
            Lane::Give(*peer)
        }
        Ask::ChooseFiles { peer, .. } | Ask::TakePiece { peer, .. } => Lane::Take(*peer),
        Ask::OpenFile { peer, .. } | Ask::FinishFile { peer, .. } => Lane::Files(*peer),
        Ask::Install { peer, .. } => Lane::Install(*peer),
    }
}

/// See the module documentation.
pub(super) struct Lanes {
    store: Store,
    pins: PinBudget,
    access: HashMap<StoreId, Access>,
    open: HashMap<Lane, mpsc::UnboundedSender<(AskId, Ask)>>,
    partials: Partials,
    work: mpsc::Sender<Work>,
}

impl Lanes {
    pub(super) fn new(store: Store, pins: PinBudget, work: mpsc::Sender<Work>) -> Self {
        let (access, open) = (HashMap::new(), HashMap::new());
        Lanes { store, pins, access, open, partials: Partials::default(), work }
    }

    /// From now on a peer sees and sends only this. Lanes that are open keep to what they began with.
    pub(super) fn allow(&mut self, peer: StoreId, access: Access) {
        self.access.insert(peer, access);
        self.open.retain(|lane, _| lane.peer() != Some(peer));
    }

    /// Nothing more is asked of a peer.
    pub(super) fn forget(&mut self, peer: StoreId) {
        self.access.remove(&peer);
        self.open.retain(|lane, _| lane.peer() != Some(peer));
    }

    /// Sees to it that an ask is answered. The protocol has few of them under way, so a queue without a bound stays
    /// short.
    pub(super) fn ask(&mut self, id: AskId, ask: Ask) {
        let lane = lane_of(&ask);
        if matches!(ask, Ask::Forget { .. }) {
            // The bridge goes with its lane, and what it kept with it.
            self.open.remove(&lane);
            return;
        }
        let queue = self.open.entry(lane).or_insert_with(|| {
            // Of a peer nothing is asked before its rights are known.
            let access = lane.peer().map_or(Access::All, |peer| {
                let known = self.access.get(&peer).cloned();
                known.unwrap_or_else(|| Access::Groups(Arc::new(|_| false)))
            });
            let (queue, asks) = mpsc::unbounded_channel();
            let bridge = Bridge::new(self.store.clone(), self.pins).allowing(access);
            let bridge = bridge.sharing(self.partials.clone());
            tokio::spawn(serve(bridge, asks, self.work.clone()));
            queue
        });
        // The lane ends only after its queue.
        let _ = queue.send((id, ask));
    }
}

async fn serve(
    mut bridge: Bridge,
    mut asks: mpsc::UnboundedReceiver<(AskId, Ask)>,
    work: mpsc::Sender<Work>,
) {
    while let Some((id, ask)) = asks.recv().await {
        let answering = tokio::task::spawn_blocking(move || {
            let answer = bridge.answer(ask);
            (bridge, answer)
        });
        // A panic in the engine ends the lane, and with it the comparison: its peer hears nothing and gives up.
        let Ok((back, answer)) = answering.await else { return };
        bridge = back;
        if let Some(answer) = answer
            && work.send(Work::Input(Input::Answer { id, answer })).await.is_err()
        {
            return;
        }
    }
}
