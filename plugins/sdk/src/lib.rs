#![doc = include_str!("../README.md")]
//!
//! A plan follows from its round alone: each is made by a fresh instance, with nothing kept from the one before. What is
//! the same on every machine can be tested there: natively, [`export!`] does nothing, and [`log()`] neither.

mod round;

/// The example of `plugins/README.md`, which is compiled as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Guide;

/// What the WIT package says, as Rust. For [`export!`]; the types stand at the root of the crate.
#[doc(hidden)]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../wit/0.1",
        world: "repair-policy",
        additional_derives: [PartialEq],
        pub_export_macro: true,
        export_macro_name: "export_world",
    });
}

pub use bindings::exports::tidelog::policy::repair::PolicyError;
pub use bindings::tidelog::policy::log::Level;
pub use bindings::tidelog::policy::types::{
    Action, Cost, Divergence, PeerFacts, Round, Side, Step, StoreId,
};

/// A repair policy.
pub trait Policy {
    /// Plans a round. Windows that no step names are skipped; each may be named once.
    ///
    /// # Errors
    /// When there is no plan: the round is repaired completely, and the policy is asked again later.
    fn plan(round: &Round) -> Result<Vec<Step>, PolicyError>;
}

/// Makes a [`Policy`] the policy of the component. Once in a crate of type `cdylib`.
#[macro_export]
macro_rules! export {
    ($policy:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Component;
            impl $crate::bindings::exports::tidelog::policy::repair::Guest for Component {
                fn plan(
                    round: $crate::Round,
                ) -> ::core::result::Result<::std::vec::Vec<$crate::Step>, $crate::PolicyError>
                {
                    <$policy as $crate::Policy>::plan(&round)
                }
            }
    $crate::bindings::export_world!(Component with_types_in $crate::bindings);
        };
    };
}

/// Tells the operator a line. 32 lines of 256 bytes are kept of each plan. Natively it is lost.
pub fn log(level: Level, text: &str) {
    #[cfg(target_arch = "wasm32")]
    bindings::tidelog::policy::log::log(level, text);
    #[cfg(not(target_arch = "wasm32"))]
    let _ = (level, text);
}
