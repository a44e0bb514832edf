//! Who is refused, what both sides are told, and links whose peer loses trust.

use crate::common::{
    Pair, address, closed_with, identity, options, pin, pins, raw, raw_files, soon, store, until,
};
use std::time::{Duration, SystemTime};
use tidelog_replica::identity::{Authority, Identity, LIFETIME};
use tidelog_replica::trust::{PeerPin, Pins, Refusal};
use tidelog_replica::{
    ALPN, BindError, CloseCode, DialError, Distrust, Endpoint, LinkEnd, Permanence,
};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn endpoint(own: &Identity, peers: &[(&str, &Identity)]) -> Endpoint {
    Endpoint::bind(options(own, pins(peers))).unwrap()
}

async fn dial_fails(from: &Endpoint, to: &Endpoint) -> DialError {
    soon(async {
        loop {
            match from.dial("b", &address(to)).await.expect_err("nobody may be let in") {
                // The machine was too busy to hear the reason in time: see `closed_with`.
                DialError::Broken { what, .. } if what.contains("knows it no more") => {}
                error => return error,
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_not_listed_is_refused_by_whichever_side_does_not_list_it() {
    let (key_a, key_b, other) = (identity(0xa), identity(0xb), identity(0xc));
    let a = endpoint(&key_a, &[("b", &key_b)]);
    let b = endpoint(&key_b, &[("c", &other)]);
    let error = dial_fails(&a, &b).await;
    let unknown = Distrust::UnknownKey;
    assert!(
        matches!(error, DialError::Distrusted { distrust, .. } if distrust == unknown),
        "{error}"
    );
    assert_eq!(error.permanence(), Permanence::Permanent);
    until("it is counted", || b.counters().refused_untrusted >= 1).await;
    let why = b.refused().pop().unwrap().why;
    let fingerprint = key_a.fingerprint();
    assert_eq!(why, Refusal::UnknownKey { fingerprint });
    assert!(why.to_string().contains(&fingerprint.to_string()), "{why}");

    let error = dial_fails(&endpoint(&key_a, &[("b", &other)]), &b).await;
    let DialError::Untrusted { refusal, .. } = &error else { panic!("{error}") };
    assert_eq!(*refusal, Refusal::UnknownKey { fingerprint: key_b.fingerprint() });
    assert_eq!(error.permanence(), Permanence::Permanent);
    assert_eq!(b.counters().links_accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_without_a_certificate_never_gets_a_link() {
    let (key_a, key_b) = (identity(0xa), identity(0xb));
    let b = endpoint(&key_b, &[("a", &key_a)]);
    if let Ok(connection) = soon(raw(None, ALPN, &b)).await {
        soon(connection.closed()).await;
    }
    until("it is counted", || b.counters().handshakes_failed == 1).await;
    assert_eq!(b.counters().links_accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stolen_certificate_is_useless_without_its_key() {
    // The chain of a peer that is trusted, with another key.
    let (key_a, key_b) = (identity(0xa), identity(0xb));
    let b = endpoint(&key_b, &[("a", &key_a)]);
    let (place, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    identity(0xa).save(place.path()).unwrap();
    key_a.save(other.path()).unwrap();
    let files = (place.path().join("node.key"), other.path().join("node.crt"));
    let connection = soon(raw_files(Some(files), ALPN, &b)).await;
    if let Ok(connection) = connection {
        soon(connection.closed()).await;
    }
    until("it is counted", || b.counters().handshakes_failed == 1).await;
    assert_eq!(b.counters().links_accepted, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_over_or_not_begun_is_refused_on_both_sides() {
    let key_b = identity(0xb);
    let past = SystemTime::now() - 10 * DAY;
    let over = Identity::generate(store(0xa), past, DAY).unwrap();
    let b = endpoint(&key_b, &[("a", &over)]);
    let connection = soon(raw(Some(&over), ALPN, &b)).await;
    if let Ok(connection) = connection {
        soon(connection.closed()).await;
    }
    until("it is counted", || b.counters().refused_expired == 1).await;
    let why = b.refused().pop().unwrap().why.to_string();
    assert!(why.contains("expired on 20") && why.contains("renew"), "{why}");
    // One that ran out while its endpoint was open is refused by whoever dials it.
    let short = Identity::generate(store(0xb), SystemTime::now(), Duration::from_secs(1)).unwrap();
    let ran_out = endpoint(&short, &[("a", &key_b)]);
    // TLS counts whole seconds.
    let second = Duration::from_secs(1);
    until("it ran out", || short.check(SystemTime::now() - second).is_err()).await;
    let error = dial_fails(&endpoint(&identity(0xa), &[("b", &short)]), &ran_out).await;
    let DialError::Untrusted { refusal: Refusal::Certificate(_), .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(error.permanence(), Permanence::Permanent);
    // Its own endpoint is not even bound.
    let error = Endpoint::bind(options(&over, Pins::default())).unwrap_err();
    assert!(matches!(error, BindError::Certificate(_)) && error.to_string().contains("renew"));
    let future = Identity::generate(store(0xa), SystemTime::now() + 10 * DAY, LIFETIME).unwrap();
    assert!(Endpoint::bind(options(&future, Pins::default())).is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_whose_pin_is_removed_is_disconnected_and_does_not_come_back() {
    let pair = Pair::new().await;
    tokio::time::timeout(Duration::from_secs(5), async {
        pair.b.set_pins(Pins::default());
        let end = pair.from_b.ended().await;
        assert!(matches!(end, LinkEnd::TrustEnded(Refusal::UnknownKey { .. })), "{end}");
        let end = pair.from_a.ended().await;
        assert!(closed_with(&end, CloseCode::NOT_TRUSTED), "{end}");
    })
    .await
    .expect("within five seconds");
    assert!(soon(pair.from_b.recv()).await.is_none());
    assert_eq!(pair.b.counters().trust_ended, 1);
    let error = dial_fails(&pair.a, &pair.b).await;
    assert!(matches!(error, DialError::Distrusted { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_runs_out_ends_its_links() {
    let key_a = Identity::generate(store(0xa), SystemTime::now(), Duration::from_secs(3)).unwrap();
    let key_b = identity(0xb);
    let (a, b) = (endpoint(&key_a, &[("b", &key_b)]), endpoint(&key_b, &[("a", &key_a)]));
    let to = address(&b);
    let (from_a, from_b) = soon(async { tokio::join!(a.dial("b", &to), b.accept()) }).await;
    let (_from_a, from_b) = (from_a.unwrap(), from_b.unwrap());
    let end = soon(from_b.ended()).await;
    assert!(matches!(end, LinkEnd::TrustEnded(Refusal::Certificate(_))), "{end}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rotated_with_two_pins_and_no_link_lost() {
    let Pair { a, b, from_a, from_b, key_a, .. } = Pair::new().await;
    let new = identity(0xa);
    let mut both = pin("a", &key_a);
    both.fingerprints.push(new.fingerprint());
    b.set_pins(Pins::new(vec![both]).unwrap());
    a.set_identity(&new).unwrap();
    assert_eq!(a.certificate().fingerprint, new.fingerprint());
    let to = address(&b);
    let (next_a, next_b) = soon(async { tokio::join!(a.dial("b", &to), b.accept()) }).await;
    let (_next_a, next_b) = (next_a.unwrap(), next_b.unwrap());
    assert_eq!(next_b.peer().fingerprint, new.fingerprint());
    assert_eq!(next_b.peer().store, from_b.peer().store);
    // The old link lives until the old key is dropped, the new one goes on.
    let sender = from_a.sender();
    soon(sender.send(tidelog_replica::frames::Channel::Tail, bytes::Bytes::new())).await.unwrap();
    soon(from_b.recv()).await.unwrap();
    b.set_pins(pins(&[("a", &new)]));
    assert!(matches!(soon(from_b.ended()).await, LinkEnd::TrustEnded(_)));
    let still = tokio::time::timeout(Duration::from_millis(300), next_b.ended()).await;
    assert!(still.is_err(), "the new key's link ended too");
    let other = identity(0xd);
    assert!(matches!(a.set_identity(&other), Err(BindError::OtherStore { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_key_may_stand_for_its_own_store_only() {
    let (key_b, expects) = (identity(0xb), store(0xee));
    // The topology fixes another store under this key.
    let key_a = identity(0xa);
    let mut fixed = pin("a", &key_a);
    fixed.store = Some(expects);
    let b = Endpoint::bind(options(&key_b, Pins::new(vec![fixed]).unwrap())).unwrap();
    let a = endpoint(&key_a, &[("b", &key_b)]);
    let error = dial_fails(&a, &b).await;
    let wrong = Distrust::WrongStore;
    assert!(
        matches!(error, DialError::Distrusted { distrust, .. } if distrust == wrong),
        "{error}"
    );
    until("it is counted", || b.counters().refused_untrusted >= 1).await;
    let why = b.refused().pop().unwrap().why;
    assert!(matches!(why, Refusal::WrongStore { expected, .. } if expected == expects), "{why}");

    // A copy of this very store.
    let copy = identity(0xb);
    let b = endpoint(&key_b, &[("a", &copy)]);
    dial_fails(&endpoint(&copy, &[("b", &key_b)]), &b).await;
    until("it is counted", || b.counters().refused_untrusted >= 1).await;
    assert!(matches!(b.refused().pop().unwrap().why, Refusal::OwnStore { .. }));

    // Two peers that say they are one store: the second is refused.
    let (first, second) = (identity(0xa), identity(0xa));
    let b = endpoint(&key_b, &[("first", &first), ("second", &second)]);
    let one = endpoint(&first, &[("b", &key_b)]);
    let _link = soon(one.dial("b", &address(&b))).await.unwrap();
    dial_fails(&endpoint(&second, &[("b", &key_b)]), &b).await;
    until("it is counted", || b.counters().refused_untrusted >= 1).await;
    assert!(matches!(b.refused().pop().unwrap().why, Refusal::StoreTaken { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_peer_at_the_dialled_address_is_said_by_name() {
    let (key_a, key_b, key_c) = (identity(0xa), identity(0xb), identity(0xc));
    let a = endpoint(&key_a, &[("b", &key_b), ("c", &key_c)]);
    let c = endpoint(&key_c, &[("a", &key_a)]);
    let error = dial_fails(&a, &c).await;
    assert!(error.to_string().contains("peer c answers where b was dialled"), "{error}");
    assert_eq!(error.permanence(), Permanence::Permanent);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_application_protocol_is_refused_before_any_frame() {
    let (key_a, key_b) = (identity(0xa), identity(0xb));
    let b = endpoint(&key_b, &[("a", &key_a)]);
    let error = soon(raw(Some(&key_a), b"tidelog/2", &b)).await.unwrap_err();
    assert!(error.to_string().contains("120"), "{error}");
    until("it is counted", || b.counters().refused_version == 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_vouches_for_stores_that_are_listed_by_id() {
    let now = SystemTime::now();
    let authority = Authority::generate("plant", now, LIFETIME).unwrap();
    let stranger = Authority::generate("plant", now, LIFETIME).unwrap();
    let bind = |own: &Identity, peers: Vec<PeerPin>| {
        let mut options = options(own, Pins::new(peers).unwrap());
        options.authority = Some(authority.certificate().to_vec());
        Endpoint::bind(options).unwrap()
    };
    let by_id = |name: &str, id| PeerPin {
        name: name.into(),
        store: Some(store(id)),
        fingerprints: Vec::new(),
    };
    let issue = |by: &Authority, id| by.issue(store(id), now, LIFETIME).unwrap();
    let b = bind(&issue(&authority, 0xb), vec![by_id("a", 0xa)]);
    let a = bind(&issue(&authority, 0xa), vec![by_id("b", 0xb)]);
    let link = soon(a.dial("b", &address(&b))).await.unwrap();
    assert_eq!(link.peer().store, store(0xb));

    // Vouched for, and not listed.
    let other = bind(&issue(&authority, 0xc), vec![by_id("b", 0xb)]);
    let error = dial_fails(&other, &b).await;
    assert!(error.to_string().contains("list this store's fingerprint"), "{error}");
    // Listed, and vouched for by another authority of the same name.
    let forged = bind(&issue(&stranger, 0xa), vec![by_id("b", 0xb)]);
    let error = dial_fails(&forged, &b).await;
    assert!(error.to_string().contains("authority sign"), "{error}");
    // Listed, and vouched for by nobody.
    let own = bind(&identity(0xa), vec![by_id("b", 0xb)]);
    let error = dial_fails(&own, &b).await;
    assert!(error.to_string().contains("authority sign"), "{error}");
    let why = b.refused().pop().unwrap().why;
    assert!(matches!(why, Refusal::NotVouched { .. }), "{why}");
}
