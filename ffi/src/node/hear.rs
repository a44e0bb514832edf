//! What happens with a node, handed to the host on a thread for each callback.

use super::ask::outcome_name;
use super::{OpenNode, locked};
use crate::abi::*;
use crate::fault::Fault;
use std::thread;
use tidelog_replica::Happening;
use tidelog_replica::protocol::snapshot::Transfer;
use tidelog_replica::protocol::{Event, Report};
use tokio::sync::broadcast::error::RecvError;

/// Something that happened, as the host is told.
#[derive(Default)]
pub struct Heard {
    pub kind: u32,
    pub peer: Option<String>,
    pub outcome: Option<&'static str>,
    pub why: Option<String>,
    pub session: u64,
    pub leaves: u64,
    pub rows_sent: u64,
    pub rows_taken: u64,
    pub bytes_sent: u64,
    pub bytes_received: u64,
    pub bytes_total: u64,
    pub elapsed_ms: u64,
    pub lost: u64,
}

impl OpenNode {
    pub fn listen(
        &self,
        mut hears: impl FnMut(&Heard) -> bool + Send + 'static,
    ) -> Result<(), Fault> {
        let (_, node) = self.parts()?;
        let mut events = node.events();
        drop(node);
        let hear = move || {
            let mut lost = 0;
            loop {
                match events.blocking_recv() {
                    Ok(happening) => {
                        let heard = Heard { lost, ..told(happening) };
                        lost = 0;
                        if !hears(&heard) {
                            return;
                        }
                    }
                    Err(RecvError::Lagged(count)) => lost += count,
                    Err(RecvError::Closed) => return,
                }
            }
        };
        let thread = thread::Builder::new().name("tidelog-events".to_owned()).spawn(hear);
        let thread = thread.map_err(|error| {
            let message = format!(
                "no thread could be started for events ({error}): raise the limit on threads"
            );
            Fault::new(TIDELOG_IO, TIDELOG_KIND_RETRY, message)
        })?;
        locked(&self.listeners).push(thread);
        Ok(())
    }
}

fn told(happening: Happening) -> Heard {
    let heard = Heard { peer: happening.peer.map(|peer| peer.to_string()), ..Heard::default() };
    match happening.event {
        Event::Connected { .. } => Heard { kind: TIDELOG_EVENT_CONNECTED, ..heard },
        Event::Disconnected { why, .. } => {
            Heard { kind: TIDELOG_EVENT_DISCONNECTED, why: Some(why), ..heard }
        }
        Event::Refused { refusal, .. } => {
            Heard { kind: TIDELOG_EVENT_REFUSED, why: Some(refusal.text), ..heard }
        }
        Event::Started { session, .. } => {
            Heard { kind: TIDELOG_EVENT_STARTED, session: session.into(), ..heard }
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
