//! The windows of a round as they lie in a policy's memory, and the function that takes them there.
//!
//! What the WIT package says of them is records, and wasmtime writes records field by field, asking for the memory anew
//! each time: for a thousand windows that took longer than all the rest of a plan. So each window is made into the bytes
//! of its record here, and all of them are written at once. Everything else of a round goes the usual way.

use crate::bindings::exports::tidelog::policy::repair::PolicyError;
use crate::bindings::tidelog::policy::types::{Divergence, PeerFacts, Step};
use std::mem::MaybeUninit;
use wasmtime::Error;
use wasmtime::component::__internal::{
    CanonicalAbiInfo, InstanceType, InterfaceType, LowerContext,
};
use wasmtime::component::{ComponentType, Lower, TypedFunc};

/// `plan` of the interface `repair`.
pub(crate) type Plan = TypedFunc<(Told,), (Result<Vec<Step>, PolicyError>,)>;

/// The record `round`.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(crate) struct Told {
    pub(crate) now: u64,
    pub(crate) peer: u32,
    pub(crate) budget: u64,
    #[component(name = "max-deferral")]
    pub(crate) max_deferral: u64,
    pub(crate) collections: Vec<String>,
    pub(crate) peers: Vec<PeerFacts>,
    pub(crate) windows: Vec<Window>,
}

/// The record `divergence`, as the canonical ABI lays it out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Window([u8; BYTES]);

const BYTES: usize = 80;

const _: () = assert!(
    Window::ABI.size32 as usize == BYTES && Window::ABI.align32 == 8,
    "the fields below stand where the record has them"
);

impl Window {
    pub(crate) fn new(one: &Divergence) -> Self {
        let mut bytes = [0; BYTES];
        let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
        put(0, &one.group.to_le_bytes());
        put(4, &one.collection.to_le_bytes());
        put(8, &one.first.to_le_bytes());
        put(16, &one.last.to_le_bytes());
        put(24, &one.devices.to_le_bytes());
        put(32, &one.ours.rows.to_le_bytes());
        put(40, &one.ours.bytes.to_le_bytes());
        put(48, &one.theirs.rows.to_le_bytes());
        put(56, &one.theirs.bytes.to_le_bytes());
        put(64, &one.age.to_le_bytes());
        put(72, &[u8::from(one.borrowed)]);
        Window(bytes)
    }
}

#[expect(unsafe_code, reason = "it says of itself what the record that it stands for says")]
// SAFETY: the layout and the check of types are those of the record, as wasmtime made them.
unsafe impl ComponentType for Window {
    type Lower = <Divergence as ComponentType>::Lower;

    const ABI: CanonicalAbiInfo = <Divergence as ComponentType>::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        Divergence::typecheck(ty, types)
    }
}

#[expect(unsafe_code, reason = "it is written as the record that it stands for")]
// SAFETY: `Window::new` puts each field where the canonical ABI has it, which a test holds to what wasmtime writes.
unsafe impl Lower for Window {
    fn linear_lower_to_flat<T>(
        &self,
        _: &mut LowerContext<'_, T>,
        _: InterfaceType,
        _: &mut MaybeUninit<Self::Lower>,
    ) -> wasmtime::Result<()> {
        Err(Error::msg("windows stand in lists, and lists in memory"))
    }

    fn linear_lower_to_memory<T>(
        &self,
        cx: &mut LowerContext<'_, T>,
        ty: InterfaceType,
        offset: usize,
    ) -> wasmtime::Result<()> {
        Self::linear_store_list_to_memory(cx, ty, offset, std::slice::from_ref(self))
    }

    fn linear_store_list_to_memory<T>(
        cx: &mut LowerContext<'_, T>,
        _: InterfaceType,
        offset: usize,
        items: &[Self],
    ) -> wasmtime::Result<()> {
        // That the room is there was seen when the policy gave it; it is looked at again, for it costs nothing.
        let room = cx.as_slice_mut().get_mut(offset..).and_then(|rest| {
            let (room, _) = rest.as_chunks_mut::<BYTES>();
            room.get_mut(..items.len())
        });
        let room = room.ok_or_else(|| Error::msg("windows end past the memory"))?;
        for (place, item) in room.iter_mut().zip(items) {
            *place = item.0;
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use crate::code::{Code, engine};
    use crate::golden::golden_round;
    use crate::testing::{component, module};
    use crate::{Limits, Manifest};
    use tidelog_model::policy::{Action, Round};
    use wasmtime::component::Component;

    /// Answers with a sum of all bytes of the windows, each by its place.
    const SUM: &str = "
        (local.set $peer (i32.mul (local.get $windows_len) (i32.const 80)))
        (local.set $budget (i64.const 0))
        (loop $l
          (local.set $budget (i64.mul
            (i64.add (local.get $budget) (i64.load8_u (i32.add (local.get $windows) (local.get $i))))
            (i64.const 0x100000001b3)))
          (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (local.get $peer))))
        (i32.store8 offset=1032 (i32.const 0) (i32.const 4))
        (i64.store offset=1040 (i32.const 0) (local.get $budget))
        (i32.store offset=4 (global.get $answer) (i32.const 1024))
        (i32.store offset=8 (global.get $answer) (i32.const 1)) (global.get $answer)";

    #[test]
    fn windows_lie_in_memory_as_wasmtime_writes_the_record() {
        // Its allocator begins behind the place for the answer.
        let wasm = component(&module("", SUM).replacen("(i32.const 1024)", "(i32.const 4096)", 1));
        let manifest = Manifest::of("sum", &wasm);
        let engine = engine(Limits::default()).unwrap();
        let code = Code::new(manifest, &Component::new(&engine, &wasm).unwrap()).unwrap();
        let mut round = Round { now: 666, ..golden_round(50) };
        for (at, window) in (0u64..).zip(&mut round.windows) {
            window.group = tidelog_model::GroupId(0x0102_0304 + at as u32);
            window.devices = 0x0506_0708;
            window.ours.bytes = 0x1122_3344_5566_7788 + at;
            window.theirs.rows = u64::MAX - at;
            window.age = 1 << 63;
            window.borrowed = at % 3 == 0;
        }
        let ours = code.plan(&round).0.unwrap();
        let theirs = code.plan_by_records(&round);
        assert!(
            matches!(ours[..], [step] if matches!(step.action, Action::Defer(sum) if sum != 0))
        );
        assert_eq!(ours, theirs);
    }
}
