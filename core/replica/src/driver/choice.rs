//! The policy that a configuration names.

use super::policy::Policy;
use crate::topology::{PolicyChoice, PolicySection};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use tidelog_model::StoreId;
use tidelog_model::policy::{
    Complete, Metered, NewestFirst, PolicyError, PreferPeer, RepairPolicy, Round, Step,
};

/// A peer by its name, and the store behind it once that is known.
#[derive(Clone, Debug)]
pub(super) struct Preferred {
    pub(super) name: String,
    store: Arc<Mutex<Option<StoreId>>>,
}

impl Preferred {
    /// The store behind the name is this one from now on.
    pub(super) fn is(&self, store: StoreId) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(store);
    }
}

/// Prefers a peer that is known by its name alone at first: until it is linked everything is repaired.
struct PreferNamed(Preferred);

impl RepairPolicy for PreferNamed {
    fn name(&self) -> &str {
        "prefer-peer"
    }

    fn plan(&mut self, round: &Round) -> Result<Vec<Step>, PolicyError> {
        let store = *self.0.store.lock().unwrap_or_else(PoisonError::into_inner);
        match store {
            Some(store) => PreferPeer { store }.plan(round),
            None => Complete.plan(round),
        }
    }
}

impl Policy {
    /// The policy that a configuration names, with its bounds; `None` where everything is repaired at once. `component` loads one
    /// from a file, for hosts that can. `state` is where it is kept what has to survive a restart.
    ///
    /// # Errors
    /// What `component` says.
    pub fn of<E>(
        section: &PolicySection,
        state: &Path,
        component: impl FnOnce(&Path) -> Result<Box<dyn RepairPolicy>, E>,
    ) -> Result<Option<Self>, E> {
        let options = format!("{section:?}");
        let new = |policy| Policy::new(policy, options.as_bytes());
        let mut policy = match &section.choice {
            PolicyChoice::Complete if section.record.is_none() => return Ok(None),
            PolicyChoice::Complete => new(Box::new(Complete)),
            PolicyChoice::NewestFirst => new(Box::new(NewestFirst)),
            PolicyChoice::Metered => new(Box::new(Metered { raw: section.raw_hours })),
            PolicyChoice::PreferPeer => {
                let name = section.prefer.clone().unwrap_or_default();
                let preferred = Preferred { name, store: Arc::default() };
                let mut policy = new(Box::new(PreferNamed(preferred.clone())));
                policy.preferred = Some(preferred);
                policy
            }
            PolicyChoice::Component(path) => new(component(path)?),
        };
        policy.max_deferral = section.max_deferral;
        policy.timeout = section.timeout;
        policy.bytes_per_day = section.bytes_per_day;
        policy.record.clone_from(&section.record);
        policy.state = Some(state.to_owned());
        Ok(Some(policy))
    }
}
