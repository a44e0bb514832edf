//! Messages: what is written reads back equal, no cut of it does, and no bytes panic.

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tidelog_model::policy::Side;
use tidelog_model::{
    CollectionName, Digest, GroupEpoch, GroupId, Horizon, Incarnation, LeafWidth, Level, Position,
    Stamp, StoreId, TimeRange,
};
use tidelog_protocol::compare::{CollectionClaim, Difference, Item, LeftOut, Look, Print, Scope};
use tidelog_protocol::message::{Control, Hello, Pulse, Roots, SessionMessage, TailBatch};
use tidelog_protocol::snapshot::{FileOffer, SnapshotMessage};
use tidelog_protocol::{Refusal, RefusalKind};

fn store() -> impl Strategy<Value = StoreId> {
    any::<[u8; 16]>().prop_map(StoreId)
}

fn position() -> impl Strategy<Value = Position> {
    (any::<[u8; 16]>(), any::<u64>())
        .prop_map(|(id, offset)| Position { incarnation: Incarnation(id), offset })
}

fn stamp() -> impl Strategy<Value = Stamp> {
    any::<u64>().prop_map(Stamp)
}

fn time() -> impl Strategy<Value = i64> {
    prop_oneof![
        4 => -100i64..100,
        2 => (0i64..50).prop_map(|second| 1_700_000_000_000_000_000 + second * 1_000_000_000),
        1 => select(vec![i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX]),
        1 => any::<i64>(),
    ]
}

fn range() -> impl Strategy<Value = TimeRange> {
    (time(), time()).prop_map(|(a, b)| TimeRange::inclusive(a.min(b), a.max(b)).unwrap())
}

fn device() -> impl Strategy<Value = String> {
    select(vec!["a", "pump_1", "cpu,host=a", "温度", "cpu,host=b,rack=2"]).prop_map(Into::into)
}

fn scope() -> impl Strategy<Value = Scope> {
    let name = select(vec!["plant.boiler", "lab.x"]);
    (0u32..3, name).prop_map(|(group, name)| Scope {
        group: GroupId(group),
        collection: CollectionName::parse(name).unwrap(),
    })
}

fn texts() -> impl Strategy<Value = String> {
    "\\PC{0,30}"
}

fn blobs() -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(vec(any::<u8>(), 0..20), 0..4)
}

fn claim() -> impl Strategy<Value = Vec<CollectionClaim>> {
    let leaf = select(vec![LeafWidth::Hour, LeafWidth::default()]);
    btree_map(select(vec!["a.b", "a.c", "x.y"]), (leaf, time(), any::<u64>()), 0..3).prop_map(
        |all| {
            let claim = |(name, (leaf, cut, root))| CollectionClaim {
                name: CollectionName::parse(name).unwrap(),
                leaf,
                cut,
                root,
            };
            all.into_iter().map(claim).collect()
        },
    )
}

fn prints() -> impl Strategy<Value = Vec<Print>> {
    btree_map(time(), (any::<u32>(), stamp()), 0..12).prop_map(|all| {
        let print = |(time, (print, stamp))| Print { time, print, stamp };
        all.into_iter().map(print).collect()
    })
}

fn item() -> impl Strategy<Value = Item> {
    let level = select(vec![Level::Year, Level::Month, Level::Day, Level::Window]);
    let sixteen = || proptest::array::uniform16(prop_oneof![Just(0u64), any::<u64>()]);
    let parts = proptest::array::uniform16(prop_oneof![Just(0u32), any::<u32>()]);
    let why = select(vec![
        LeftOut::LeafWidth,
        LeftOut::Settled,
        LeftOut::Forbidden,
        LeftOut::ClockAhead,
        LeftOut::NotAsked,
    ]);
    let buckets = (any::<u8>(), any::<u8>()).prop_map(|(a, b)| (a.min(b), a.max(b)));
    prop_oneof![
        (0u32..9, claim(), any::<bool>()).prop_map(|(group, entries, claimed)| {
            Item::Collections { group: GroupId(group), entries, claimed }
        }),
        (scope(), range(), level, btree_map(time(), any::<u64>(), 0..9)).prop_map(
            |(scope, range, level, entries)| {
                let entries = entries.into_iter().collect();
                Item::Windows { scope, range, level, entries }
            }
        ),
        (scope(), time(), option::of(0u8..16), sixteen()).prop_map(
            |(scope, window, outer, entries)| Item::Buckets { scope, window, outer, entries }
        ),
        (scope(), time(), buckets, btree_map(device(), any::<u64>(), 0..4), any::<bool>())
            .prop_map(|(scope, window, buckets, entries, partial)| {
                let entries = entries.into_iter().collect();
                Item::Series { scope, window, buckets, entries, partial }
            }),
        (scope(), device(), range(), parts).prop_map(|(scope, device, range, entries)| {
            Item::Parts { scope, device, range, entries }
        }),
        (scope(), device(), range(), prints())
            .prop_map(|(scope, device, range, rows)| Item::Prints { scope, device, range, rows }),
        (scope(), option::of(device()), range(), option::of((device(), time()))).prop_map(
            |(scope, device, range, after)| Item::WantRange { scope, device, range, after }
        ),
        (scope(), device(), btree_set(time(), 0..9), any::<bool>()).prop_map(
            |(scope, device, times, contested)| {
                let times = times.into_iter().collect();
                Item::WantTimes { scope, device, times, contested }
            }
        ),
        (any::<bool>(), blobs())
            .prop_map(|(contested, archives)| Item::Rows { contested, archives }),
        (scope(), range(), vec((device(), any::<bool>()), 0..4))
            .prop_map(|(scope, range, devices)| Item::Suspects { scope, range, devices }),
        (scope(), device(), range(), any::<[u64; 5]>()).prop_map(
            |(scope, device, range, counts)| {
                let [ours, theirs, missing, extra, mismatched] = counts;
                let rows = (ours, theirs);
                Item::Difference(Difference {
                    scope,
                    device,
                    range,
                    rows,
                    missing,
                    extra,
                    mismatched,
                })
            }
        ),
        (scope(), why, any::<u64>()).prop_map(|(scope, why, windows)| Item::LeftOut {
            scope,
            why,
            windows
        }),
    ]
}

fn roots() -> impl Strategy<Value = Roots> {
    let digest = || option::of(any::<[u8; 32]>().prop_map(Digest));
    let groups = vec((any::<u32>().prop_map(GroupId), any::<u64>()), 0..4);
    (digest(), digest(), option::of(groups)).prop_map(|(store, state, groups)| Roots {
        store,
        state,
        groups,
    })
}

fn horizon() -> impl Strategy<Value = Horizon> {
    vec((store(), stamp()), 0..4).prop_map(Horizon::new)
}

fn session() -> impl Strategy<Value = SessionMessage> {
    let groups = btree_set(any::<u32>().prop_map(GroupId), 0..4);
    let items = || vec(item(), 0..5);
    let hashes = || vec(any::<u64>(), 0..4);
    let parts = vec((any::<u8>(), vec(any::<u8>(), 0..9)), 0..4);
    let look = select(vec![Look::First, Look::Second]);
    prop_oneof![
        (any::<u32>(), any::<bool>(), horizon(), any::<u64>(), groups, roots()).prop_map(
            |(epoch, eager, horizon, salt, groups, roots)| {
                let groups = groups.into_iter().collect();
                SessionMessage::Open { epoch, eager, horizon, salt, groups, roots }
            }
        ),
        (roots(), option::of(hashes()), items())
            .prop_map(|(roots, state, items)| SessionMessage::Opened { roots, state, items }),
        (parts, hashes()).prop_map(|(parts, want)| SessionMessage::State { parts, want }),
        (any::<u32>(), any::<u32>(), look, items()).prop_map(|(turn, epoch, look, items)| {
            SessionMessage::Turn { turn, epoch, look, items }
        }),
        (any::<u32>(), items(), items()).prop_map(|(turn, items, later)| SessionMessage::Reply {
            turn,
            items,
            later
        }),
        (any::<u32>(), roots()).prop_map(|(epoch, roots)| SessionMessage::Close { epoch, roots }),
        (roots(), any::<u64>()).prop_map(|(roots, ahead)| SessionMessage::Closed { roots, ahead }),
        texts().prop_map(SessionMessage::Abort),
        (any::<u32>(), vec(item(), 0..8))
            .prop_map(|(epoch, items)| SessionMessage::Weigh { epoch, items }),
        vec((any::<u64>(), any::<u64>()), 0..8).prop_map(|sides| {
            let side = |(rows, bytes)| Side { rows, bytes };
            SessionMessage::Weighed(sides.into_iter().map(side).collect())
        }),
    ]
}

const REFUSALS: [RefusalKind; 4] =
    [RefusalKind::Passing, RefusalKind::Permanent, RefusalKind::Epoch, RefusalKind::Forgotten];

fn control() -> impl Strategy<Value = Control> {
    let ids = (store(), any::<[u8; 16]>().prop_map(Incarnation), any::<u32>());
    let hello = (any::<u16>(), ids, option::of(position()), stamp(), any::<u64>(), any::<bool>());
    let epochs = btree_map(0u32..99, any::<u64>(), 0..4).prop_map(|epochs| {
        let one = |(group, epoch)| (GroupId(group), GroupEpoch(epoch));
        epochs.into_iter().map(one).collect::<Vec<_>>()
    });
    let hello =
        (hello, any::<u64>(), epochs, any::<u64>()).prop_map(|(hello, held, epochs, policy)| {
            let (canonical, (store, incarnation, groups), cursor, closed, wall, once) = hello;
            let version = tidelog_protocol::message::VERSION;
            Hello {
                version,
                canonical,
                store,
                incarnation,
                groups,
                cursor,
                closed,
                wall,
                once,
                held,
                epochs,
                policy,
            }
        });
    let pulse = (stamp(), position(), vec((store(), stamp()), 0..4))
        .prop_map(|(closed, position, known)| Pulse { closed, position, known });
    prop_oneof![
        hello.prop_map(Control::Hello),
        pulse.prop_map(Control::Pulse),
        position().prop_map(Control::Ack),
        option::of(position()).prop_map(Control::Resend),
        (select(REFUSALS.to_vec()), texts())
            .prop_map(|(kind, text)| Control::Goodbye(Refusal { kind, text })),
        Just(Control::Compare),
    ]
}

fn snapshot() -> impl Strategy<Value = SnapshotMessage> {
    let digest = || any::<[u8; 32]>().prop_map(Digest);
    let held = btree_map(0u32..99, any::<u64>(), 0..5)
        .prop_map(|held| held.into_iter().map(|(group, bytes)| (GroupId(group), bytes)).collect());
    let parts = vec((any::<u8>(), vec(any::<u8>(), 0..9)), 0..4);
    let file = (0u32..9, 1u64..=128 << 30, digest()).prop_map(|(group, len, digest)| FileOffer {
        group: GroupId(group),
        len,
        digest,
    });
    let files = vec(file, 0..5).prop_map(|mut files| {
        files.sort_by_key(|file| file.group);
        files
    });
    prop_oneof![
        held.prop_map(|held| SnapshotMessage::Request { held }),
        parts.prop_map(|parts| SnapshotMessage::State { parts }),
        files.prop_map(|files| SnapshotMessage::Offer { files }),
        (digest(), any::<u64>()).prop_map(|(file, from)| SnapshotMessage::WantSums { file, from }),
        (digest(), any::<u64>(), vec(any::<[u8; 32]>(), 0..5))
            .prop_map(|(file, from, sums)| SnapshotMessage::Sums { file, from, sums }),
        (digest(), any::<u64>()).prop_map(|(file, piece)| SnapshotMessage::Want { file, piece }),
        (digest(), any::<u64>(), vec(any::<u8>(), 1..99))
            .prop_map(|(file, piece, bytes)| SnapshotMessage::Piece { file, piece, bytes }),
        select(vec![SnapshotMessage::Gone, SnapshotMessage::Alive, SnapshotMessage::Done]),
        texts().prop_map(SnapshotMessage::Abort),
    ]
}

fn tail() -> impl Strategy<Value = TailBatch> {
    (position(), any::<u32>(), option::of(stamp()), blobs(), blobs()).prop_map(
        |(from, more, floor, tombstones, batches)| {
            let offset = from.offset.saturating_add(u64::from(more));
            let next = Position { offset, ..from };
            TailBatch { from, next, floor, tombstones, batches }
        },
    )
}

/// What is behind a message that was cut off cannot be missing without notice.
fn cuts<T: std::fmt::Debug>(bytes: &[u8], decode: impl Fn(&[u8]) -> Option<T>) {
    for cut in 0..bytes.len() {
        let read = decode(&bytes[..cut]);
        assert!(read.is_none(), "cut at {cut} of {}: {read:?}", bytes.len());
    }
    let longer = [bytes, &[0]].concat();
    assert!(decode(&longer).is_none(), "a byte more");
}

proptest! {
    #[test]
    fn a_control_message_reads_back_and_no_cut_of_it_does(message in control()) {
        let bytes = message.encode();
        prop_assert_eq!(Control::decode(&bytes), Ok(message));
        cuts(&bytes, |bytes| Control::decode(bytes).ok());
    }

    #[test]
    fn a_tail_reads_back_and_no_cut_of_it_does(message in tail()) {
        let bytes = message.encode();
        prop_assert_eq!(TailBatch::decode(&bytes), Ok(message));
        cuts(&bytes, |bytes| TailBatch::decode(bytes).ok());
    }

    #[test]
    fn a_message_of_a_session_reads_back_and_no_cut_of_it_does(message in session()) {
        let bytes = message.encode();
        prop_assert_eq!(SessionMessage::decode(&bytes), Ok(message));
        cuts(&bytes, |bytes| SessionMessage::decode(bytes).ok());
    }

    #[test]
    fn a_message_of_a_snapshot_reads_back_and_no_cut_of_it_does(message in snapshot()) {
        let bytes = message.encode();
        prop_assert_eq!(SnapshotMessage::decode(&bytes), Ok(message));
        cuts(&bytes, |bytes| SnapshotMessage::decode(bytes).ok());
    }

    #[test]
    fn an_item_takes_no_more_than_twice_what_is_said_of_it(item in item()) {
        let said = item.bytes();
        let reply = SessionMessage::Reply { turn: 0, items: vec![item], later: Vec::new() };
        prop_assert!(reply.encode().len() <= 2 * said + 64);
    }

    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200), kind in 0u8..12) {
        for start in [None, Some(kind)] {
            let bytes: Vec<u8> = start.into_iter().chain(bytes.iter().copied()).collect();
            let _ = Control::decode(&bytes);
            let _ = TailBatch::decode(&bytes);
            let _ = SessionMessage::decode(&bytes);
            let _ = SnapshotMessage::decode(&bytes);
        }
    }

    #[test]
    fn a_changed_byte_is_an_error_or_another_message_and_no_panic(
        message in session(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = message.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(read) = SessionMessage::decode(&bytes) {
            // What was read can be said on.
            let again = SessionMessage::decode(&read.encode());
            prop_assert_eq!(again, Ok(read));
        }
    }
}

#[test]
fn a_message_of_a_snapshot_that_is_too_large_is_none() {
    let piece = |len: usize| {
        let bytes = vec![7; len];
        SnapshotMessage::Piece { file: Digest([1; 32]), piece: 0, bytes }.encode()
    };
    assert!(SnapshotMessage::decode(&piece(1 << 20)).is_ok());
    assert!(SnapshotMessage::decode(&piece((1 << 20) + 1)).is_err());
    assert!(SnapshotMessage::decode(&piece(0)).is_err());
    let offer = |group, len| FileOffer { group: GroupId(group), len, digest: Digest([2; 32]) };
    let read = |files| SnapshotMessage::decode(&SnapshotMessage::Offer { files }.encode());
    assert!(read(vec![offer(0, 0)]).is_err(), "no bytes");
    assert!(read(vec![offer(0, u64::MAX)]).is_err(), "more than are received");
    assert!(read(vec![offer(1, 9), offer(0, 9)]).is_err(), "not by group");
    // The most files there may be fit a message; one more is refused before it is read to its end.
    assert!(read(vec![offer(300, 1 << 36); 16_384]).is_ok());
    assert!(read(vec![offer(300, 1 << 36); 16_385]).is_err());
}
