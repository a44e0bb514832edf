//! What happens with a node, handed to the host on a thread for each callback.

use super::ask::outcome_name;
use super::{OpenNode, locked};
use crate::abi::*;
use crate::fault::Fault;
use crate::node_words::Heard;
use std::sync::mpsc::channel;
use std::thread;
use tidelog_replica::Happening;
use tidelog_replica::protocol::snapshot::Transfer;
use tidelog_replica::protocol::{Event, Report};
use tokio::sync::broadcast::{Receiver, error::RecvError};

impl OpenNode {
    pub fn listen(&self, hears: impl FnMut(&Heard) -> bool + Send + 'static) -> Result<(), Fault> {
        // Locked until the thread stands among the listeners: a stop either waits for it, or this finds the node stopped.
        let mut listeners = locked(&self.listeners);
        let (_, node) = self.parts()?;
        let events = node.events();
        drop(node);
        // The thread is handed its function once nothing is locked: where it cannot be started, the function goes here, and that calls
        // the host.
        let (hand, handed) = channel();
        let thread = thread::Builder::new().name("tidelog-events".to_owned()).spawn(move || {
            if let Ok(hears) = handed.recv() {
                hear(events, hears);
            }
        });
        let thread = thread.map_err(|error| {
            let message = format!(
                "no thread could be started for events ({error}): raise the limit on threads"
            );
            Fault::new(TIDELOG_IO, TIDELOG_KIND_RETRY, message)
        })?;
        // Those that wanted no more have nobody to wait for.
        listeners.retain(|listener| !listener.is_finished());
        listeners.push(thread);
        drop(listeners);
        // It waits for this alone.
        let _ = hand.send(hears);
        Ok(())
    }
}

/// Hands over what happens until nobody wants it any more, or the node has stopped.
fn hear(mut events: Receiver<Happening>, mut hears: impl FnMut(&Heard) -> bool) {
    let mut lost = 0;
    loop {
        match events.blocking_recv() {
            Ok(Happening { peer, event, .. }) => {
                let heard = Heard { lost, ..told(peer.as_deref(), event) };
                lost = 0;
                if !hears(&heard) {
                    return;
                }
            }
            Err(RecvError::Lagged(count)) => lost += count,
            Err(RecvError::Closed) => return,
        }
    }
}

fn told(peer: Option<&str>, event: Event) -> Heard {
    let heard = Heard { peer: peer.map(str::to_owned), ..Heard::default() };
    match event {
        Event::Connected { .. } => Heard { kind: TIDELOG_EVENT_CONNECTED, ..heard },
        Event::Disconnected { why, .. } => {
            Heard { kind: TIDELOG_EVENT_DISCONNECTED, why: Some(why), ..heard }
        }
        Event::Refused { refusal, .. } => {
            Heard { kind: TIDELOG_EVENT_REFUSED, why: Some(refusal.text), ..heard }
        }
        Event::Started { session, groups, epochs, .. } => Heard {
            kind: TIDELOG_EVENT_STARTED,
            session: session.into(),
            groups: groups.iter().zip(&epochs).map(|(group, epoch)| (group.0, epoch.0)).collect(),
            ..heard
        },
        Event::Damaged { file, group, rows } => Heard {
            kind: TIDELOG_EVENT_DAMAGED,
            file: Some(file),
            groups: vec![(group.0, 0)],
            rows_taken: rows,
            ..heard
        },
        Event::Healed { file, group, .. } => Heard {
            kind: TIDELOG_EVENT_HEALED,
            file: Some(file),
            groups: vec![(group.0, 0)],
            ..heard
        },
        Event::Planned { session, policy, windows, repaired, rollups, overdue, fault, .. } => {
            Heard {
                kind: TIDELOG_EVENT_PLANNED,
                why: fault.map(|fault| fault.to_string()),
                session: session.into(),
                policy: Some(policy),
                windows,
                repaired,
                rollups,
                overdue,
                ..heard
            }
        }
        Event::Progress { session, report, .. } => {
            heard.comparison(TIDELOG_EVENT_PROGRESS, session, &report)
        }
        Event::Receiving { transfer, .. } => heard.files(TIDELOG_EVENT_RECEIVING, &transfer),
        Event::Received { transfer, .. } => heard.files(TIDELOG_EVENT_RECEIVED, &transfer),
        Event::NotReceived { why, transfer, .. } => {
            Heard { why: Some(why), ..heard.files(TIDELOG_EVENT_NOT_RECEIVED, &transfer) }
        }
        Event::Completed { session, outcome, report, .. } => Heard {
            outcome: Some(outcome_name(&outcome)),
            ..heard.comparison(TIDELOG_EVENT_COMPLETED, session, &report)
        },
        Event::Failed { session, why, report, .. } => Heard {
            outcome: Some("aborted"),
            why: Some(why),
            ..heard.comparison(TIDELOG_EVENT_FAILED, session, &report)
        },
        Event::Stalled { why, .. } => {
            Heard { kind: TIDELOG_EVENT_STALLED, why: Some(why), ..heard }
        }
        Event::Resumed { .. } => Heard { kind: TIDELOG_EVENT_RESUMED, ..heard },
        Event::Ready => Heard { kind: TIDELOG_EVENT_READY, ..heard },
        _ => Heard { kind: TIDELOG_EVENT_OTHER, ..heard },
    }
}

impl Heard {
    fn comparison(self, kind: u32, session: u32, report: &Report) -> Self {
        Heard {
            kind,
            session: session.into(),
            leaves: report.counts.leaves,
            rows_sent: report.counts.rows_sent,
            rows_taken: report.counts.rows_taken,
            bytes_sent: report.sent,
            bytes_received: report.received,
            elapsed_ms: report.millis,
            ..self
        }
    }

    fn files(self, kind: u32, transfer: &Transfer) -> Self {
        Heard {
            kind,
            rows_taken: transfer.rows,
            bytes_received: transfer.bytes,
            bytes_total: transfer.bytes_total,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidelog_engine::{GroupId, StoreId};
    use tidelog_model::policy::{PolicyError, PolicyErrorKind};

    fn heard(event: Event) -> Heard {
        told(Some("office"), event)
    }

    #[test]
    fn damage_and_its_end_name_the_file_and_the_group() {
        let file = "g3/7.tide".to_owned();
        let damaged = heard(Event::Damaged { file: file.clone(), group: GroupId(3), rows: 9 });
        assert_eq!((damaged.kind, damaged.rows_taken), (TIDELOG_EVENT_DAMAGED, 9));
        assert_eq!(
            (damaged.file.as_deref(), &damaged.groups[..]),
            (Some("g3/7.tide"), &[(3, 0)][..])
        );
        let healed = heard(Event::Healed { peer: StoreId([1; 16]), file, group: GroupId(3) });
        assert_eq!((healed.kind, healed.peer.as_deref()), (TIDELOG_EVENT_HEALED, Some("office")));
        assert_eq!(
            (healed.file.as_deref(), &healed.groups[..]),
            (Some("g3/7.tide"), &[(3, 0)][..])
        );
    }

    #[test]
    fn a_round_of_a_policy_is_told_with_what_comes_of_it() {
        let error = PolicyError::new(PolicyErrorKind::Deadline, "no plan came in time");
        let planned = |fault| Event::Planned {
            peer: StoreId([1; 16]),
            session: 4,
            policy: "newest-first".to_owned(),
            windows: 9,
            repaired: 5,
            rollups: 3,
            overdue: 2,
            fault,
        };
        let told = heard(planned(None));
        assert_eq!((told.kind, told.session, told.why), (TIDELOG_EVENT_PLANNED, 4, None));
        assert_eq!(told.policy.as_deref(), Some("newest-first"));
        assert_eq!((told.windows, told.repaired, told.rollups, told.overdue), (9, 5, 3, 2));
        let why = heard(planned(Some(error))).why.unwrap();
        assert_eq!(why, "the policy ran over its deadline: no plan came in time");
    }
}
