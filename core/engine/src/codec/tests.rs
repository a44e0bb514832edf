//! Round trips bit for bit, and damage that must be refused or misread, never panic.

use proptest::prelude::*;
use tidelog_model::{FieldType, ValueRef, Values, VarBytes};

use super::*;

const EFFORTS: [Effort; 3] = [Effort::Fast, Effort::Dense, Effort::Quick];

fn decode(chunk: &EncodedChunk, kind: FieldType, lengths: &[u32]) -> Result<Values, CodecError> {
    let total = lengths.iter().sum::<u32>() as usize;
    let decoder = ChunkDecoder::parse(&chunk.meta, kind, total)?;
    let mut out = Values::new(kind);
    let mut scratch = Scratch::default();
    let mut first = 0;
    for (index, length) in lengths.iter().enumerate() {
        let count = *length as usize;
        let bytes = chunk.page(index).unwrap_or_default();
        decoder.decode_page(Page { first, count, bytes }, &mut out, &mut scratch)?;
        first += count;
    }
    Ok(out)
}

fn assert_round_trip(values: &Values, lengths: &[u32]) {
    for effort in EFFORTS {
        let chunk = encode(values, lengths, effort);
        assert_eq!(chunk.page_count(), lengths.len());
        let found = decode(&chunk, values.field_type(), lengths).expect("decodes");
        assert!(found == *values, "{effort:?}: codec {:?}", chunk.meta.first());
        let total = lengths.iter().sum::<u32>() as usize;
        assert_pages_stand_alone(&chunk, values, lengths, total);
    }
}

fn assert_pages_stand_alone(chunk: &EncodedChunk, values: &Values, lengths: &[u32], total: usize) {
    let kind = values.field_type();
    let decoder = ChunkDecoder::parse(&chunk.meta, kind, total).expect("parses");
    let mut first = total;
    for (index, length) in lengths.iter().enumerate().rev() {
        first -= *length as usize;
        let bytes = chunk.page(index).expect("a page per length");
        let mut out = Values::new(kind);
        let page = Page { first, count: *length as usize, bytes };
        decoder.decode_page(page, &mut out, &mut Scratch::default()).expect("decodes alone");
        let mut expected = Values::new(kind);
        expected.extend_from(values, first, first + *length as usize);
        assert!(out == expected);
    }
}

/// Cuts `count` values into pages of up to `page`, with an empty page in front and behind.
fn cut(count: usize, page: usize) -> Vec<u32> {
    let mut lengths = vec![0];
    let mut left = count;
    while left > 0 {
        let length = left.min(page);
        lengths.push(length as u32);
        left -= length;
    }
    lengths.push(0);
    lengths
}

fn strings(values: impl IntoIterator<Item = impl AsRef<[u8]>>) -> VarBytes {
    let mut out = VarBytes::new();
    values.into_iter().for_each(|value| out.push(value.as_ref()));
    out
}

/// A deterministic stream of noise.
fn noise() -> impl Iterator<Item = u64> {
    let mut state = 42u64;
    core::iter::repeat_with(move || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state >> 33
    })
}

/// One chunk for each codec there is.
fn one_of_each(count: usize) -> Vec<Values> {
    let noise: Vec<u64> = noise().take(count).collect();
    let at = |i: usize| noise[i % noise.len()];
    let each = |f: &dyn Fn(usize) -> f64| Values::F64((0..count).map(f).collect());
    vec![
        each(&|_| f64::NAN),
        each(&|i| (at(i) % 1000) as f64 / 100.0),
        each(&|i| if i % 50 == 7 { f64::NAN } else { (at(i) % 1000) as f64 / 10.0 }),
        each(&|i| (at(i) as f64).sqrt()),
        each(&|i| f64::from((at(i) as f32).sqrt())),
        Values::F32((0..count).map(|i| (at(i) as f32).sqrt()).collect()),
        Values::F32((0..count).map(|i| (at(i) % 100) as f32 / 10.0).collect()),
        Values::I64((0..count).map(|i| i as i64 * -1_000).collect()),
        Values::I64((0..count).map(|i| (at(i) % 77) as i64 * 1_000_000 - 5).collect()),
        Values::I64((0..count).map(|i| i64::MIN + (i as i64 % 7) * at(i % 7) as i64).collect()),
        Values::U64((0..count).map(|i| at(i) << (at(i + 1) % 33)).collect()),
        Values::U64(vec![u64::MAX; count]),
        Values::Bool((0..count).map(|i| at(i) % 2 == 0).collect()),
        Values::Bool((0..count).map(|i| at(i) % 20 == 0).collect()),
        Values::Bool((0..count).map(|i| i > count / 2).collect()),
        Values::Bool((0..count).map(|i| i * i % 61 < 20).collect()),
        Values::I64((0..count).map(|i| (i as i64 * 1_000_000_000 + 3) / 360).collect()),
        Values::U64(
            (0..count).map(|i| i as u64 * 1_000_007 + [0, 9, 77, 3, 500][i * i % 61 % 5]).collect(),
        ),
        Values::String(strings((0..count).map(|i| format!("état {}", at(i) % 5)))),
        Values::String(strings((0..count).map(|i| format!("{:x} ünd {i}", at(i))))),
        Values::Bytes(strings((0..count).map(|i| vec![at(i) as u8; (at(i) % 4) as usize]))),
        Values::Bytes(strings((0..count).map(|_| b"same \xff"))),
        Values::String(strings((0..count).map(|i| format!("request {i} done in {i} ms")))),
    ]
}

#[test]
fn every_codec_round_trips_at_every_size() {
    for count in [1, 2, 3, 9, 255, 256, 257, 1_500, 5_000] {
        for values in one_of_each(count) {
            assert_round_trip(&values, &cut(count, 720));
        }
    }
}

#[test]
fn the_samples_use_every_codec() {
    let used: std::collections::BTreeSet<u8> = [40, 300, 5_000]
        .into_iter()
        .flat_map(one_of_each)
        .flat_map(|values| {
            let lengths = cut(values.len(), 150);
            EFFORTS.map(|effort| encode(&values, &lengths, effort).meta[0])
        })
        .collect();
    assert_eq!(used, (id::CONSTANT..=id::PLAIN_FLOATS).collect());
}

#[test]
fn a_full_chunk_round_trips() {
    for values in one_of_each(MAX_CHUNK_VALUES) {
        let lengths = cut(MAX_CHUNK_VALUES, 1_024);
        let chunk = encode(&values, &lengths, Effort::Fast);
        assert!(decode(&chunk, values.field_type(), &lengths).expect("decodes") == values);
    }
    let lengths = cut(MAX_CHUNK_VALUES, MAX_CHUNK_VALUES);
    let wide = Values::U64(noise().take(MAX_CHUNK_VALUES).collect());
    assert_round_trip(&wide, &lengths);
}

#[test]
fn a_chunk_without_values_has_no_bytes() {
    for kind in FieldType::ALL {
        let chunk = encode(&Values::new(kind), &[0, 0, 0], Effort::Dense);
        assert_eq!((chunk.byte_len(), chunk.page_count()), (0, 3));
        assert!(decode(&chunk, kind, &[0, 0, 0]).expect("decodes").is_empty());
    }
}

#[test]
fn special_floats_keep_their_bits() {
    let signalling = f64::from_bits(0x7ff0_0000_dead_beef);
    let special = [0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, -f64::NAN, signalling];
    let edges = [f64::MIN, f64::MAX, f64::MIN_POSITIVE, 5e-324, 1e300, 0.1, 123.45];
    let values: Vec<f64> = special.into_iter().chain(edges).cycle().take(3_000).collect();
    assert_round_trip(&Values::F64(values.clone()), &cut(3_000, 720));
    let singles = values.iter().map(|v| f32::from_bits((v.to_bits() >> 32) as u32)).collect();
    assert_round_trip(&Values::F32(singles), &cut(3_000, 720));
    for value in special {
        assert_round_trip(&Values::F64(vec![value, 1.5, 2.25]), &[3]);
    }
}

#[test]
fn regular_times_take_no_bytes_per_page() {
    let times: Vec<i64> =
        (0..3_600).map(|i| 1_700_000_000_000_000_000 + i * 10_000_000_000).collect();
    let chunk = encode_i64s(&times, &cut(3_600, 720), Effort::Fast);
    assert_eq!((chunk.meta.len(), chunk.pages.len()), (17, 0));
}

#[test]
fn a_page_of_another_count_is_refused() {
    for values in one_of_each(600) {
        let chunk = encode(&values, &[300, 300], Effort::Fast);
        let decoder = ChunkDecoder::parse(&chunk.meta, values.field_type(), 600).expect("parses");
        let bytes = chunk.page(0).expect("there are two pages");
        let mut out = Values::new(values.field_type());
        let mut scratch = Scratch::default();
        for count in [0, 1, 20, 299, 301, 556, 601, usize::MAX] {
            let page = Page { first: 0, count, bytes };
            let result = decoder.decode_page(page, &mut out, &mut scratch);
            // Nothing or one byte says a constant of any length, bits end in the same byte, and
            // a number that is sure takes no bits.
            if bytes.len() > 1 && !(299..=301).contains(&count) || count > 600 {
                assert!(result.is_err(), "{count} of {}", values.field_type());
                assert!(out.is_empty());
            }
            out.clear();
        }
    }
}

#[test]
fn another_type_is_refused() {
    let chunk = encode(&Values::I64(vec![1, 5, 2]), &[3], Effort::Fast);
    assert!(ChunkDecoder::parse(&chunk.meta, FieldType::F64, 3).is_err());
    let decoder = ChunkDecoder::parse(&chunk.meta, FieldType::I64, 3).expect("parses");
    let page = Page { first: 0, count: 3, bytes: chunk.page(0).expect("one page") };
    let wrong =
        decoder.decode_page(page, &mut Values::new(FieldType::U64), &mut Scratch::default());
    assert!(matches!(wrong, Err(CodecError::WrongType { .. })));
}

/// pco would take 256 MiB for this dictionary before it finds that the words are missing.
#[test]
fn a_dictionary_without_its_words_is_refused_unread() {
    let head = 4u32 | ((1 << 25) - 1) << 4;
    let meta = [&[id::FLOATS][..], &head.to_le_bytes(), &[0; 20]].concat();
    let error = ChunkDecoder::parse(&meta, FieldType::F64, 10).expect_err("no words");
    assert!(matches!(error, CodecError::Damaged(_)), "{error}");
}

/// A column of few values that are no decimals, the case for a dictionary of floats.
#[test]
fn repeated_odd_floats_round_trip() {
    let odd: Vec<f64> = noise().take(40).map(|v| (v as f64).sqrt()).collect();
    let values = noise().take(9_000).map(|v| odd[v as usize % odd.len()]).collect();
    assert_round_trip(&Values::F64(values), &cut(9_000, 1_000));
}

#[test]
fn text_that_is_not_utf8_is_refused() {
    let cases = [
        strings([b"\xff", b"\xff"]),
        strings([&b"a"[..], b"\xc3", b"\xa9"]),
        strings([&b"a"[..], b"\xff", b"a", b"a", b"a", b"\xff"]),
    ];
    for bytes in cases {
        let lengths = [bytes.len() as u32];
        for effort in EFFORTS {
            let chunk = encode(&Values::Bytes(bytes.clone()), &lengths, effort);
            assert!(decode(&chunk, FieldType::String, &lengths).is_err());
        }
    }
}

/// Damage is found by checksums, not here: a flipped bit may give other values, but each string
/// is still text, the count is right and nothing panics.
#[test]
fn damage_never_panics() {
    for values in one_of_each(300) {
        let lengths = [100, 0, 200];
        for effort in EFFORTS {
            let chunk = encode(&values, &lengths, effort);
            for at in 0..chunk.byte_len() {
                for bit in 0..8 {
                    survive(&damaged(&chunk, at, |byte| *byte ^= 1 << bit), &values, &lengths);
                }
                survive(&damaged(&chunk, at, |byte| *byte = 0xff), &values, &lengths);
            }
        }
    }
}

fn damaged(chunk: &EncodedChunk, at: usize, change: impl Fn(&mut u8)) -> EncodedChunk {
    let mut copy = chunk.clone();
    match at.checked_sub(copy.meta.len()) {
        None => change(&mut copy.meta[at]),
        Some(at) => change(&mut copy.pages[at]),
    }
    copy
}

fn survive(chunk: &EncodedChunk, values: &Values, lengths: &[u32]) {
    if let Ok(found) = decode(chunk, values.field_type(), lengths) {
        assert_eq!(found.len(), values.len());
        if let Values::String(found) = found {
            assert!(found.iter().all(|text| core::str::from_utf8(text).is_ok()));
        }
    }
}

#[test]
fn every_truncation_is_refused() {
    for values in one_of_each(300) {
        let kind = values.field_type();
        for effort in EFFORTS {
            let chunk = encode(&values, &[300], effort);
            for len in 0..chunk.meta.len() {
                let mut cut = chunk.clone();
                cut.meta.truncate(len);
                let text = matches!(kind, FieldType::String | FieldType::Bytes);
                let constant = text && chunk.pages.is_empty() && chunk.meta[0] == id::CONSTANT;
                assert!(decode(&cut, kind, &[300]).is_err() || constant && len > 0);
            }
            for len in 0..chunk.pages.len() {
                let mut cut = chunk.clone();
                cut.pages.truncate(len);
                cut.page_ends = vec![len as u32];
                assert!(decode(&cut, kind, &[300]).is_err(), "{kind} cut at {len}");
            }
        }
    }
}

fn any_values() -> impl Strategy<Value = Values> {
    let bits = prop_oneof![any::<u64>(), 0u64..1000, Just(u64::MAX), Just(0), Just(1 << 63)];
    let numbers = prop::collection::vec(bits, 0..1_200);
    let decimals = prop::collection::vec((-100_000i64..100_000, any::<u8>()), 0..1_200);
    let text = prop::collection::vec(".{0,12}", 0..300);
    let few = prop::collection::vec(prop::sample::select(vec!["", "a", "bé", "ccc"]), 0..600);
    prop_oneof![
        numbers.clone().prop_map(Values::U64),
        numbers.clone().prop_map(|v| Values::I64(v.into_iter().map(|v| v as i64).collect())),
        numbers.clone().prop_map(|v| Values::F64(v.into_iter().map(f64::from_bits).collect())),
        numbers.clone().prop_map(|v| Values::F32(
            v.into_iter().map(|v| f32::from_bits((v ^ (v >> 32)) as u32)).collect()
        )),
        numbers.prop_map(|v| Values::Bool(v.into_iter().map(|v| v % 3 == 0).collect())),
        decimals.prop_map(|v| Values::F64(
            v.into_iter()
                .map(|(n, odd)| if odd == 0 { f64::from_bits(n as u64) } else { n as f64 / 1e3 })
                .collect()
        )),
        text.clone().prop_map(|v| Values::Bytes(strings(v))),
        text.prop_map(|v| Values::String(strings(v))),
        few.prop_map(|v| Values::String(strings(v))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_values_round_trip(values in any_values(), page in 1usize..500) {
        assert_round_trip(&values, &cut(values.len(), page));
    }

    #[test]
    fn any_bytes_are_refused_or_decoded(
        meta in prop::collection::vec(any::<u8>(), 0..200),
        id in 0u8..16,
        pages in prop::collection::vec(any::<u8>(), 0..400),
        count in 0u32..2_000,
    ) {
        let meta = [&[id][..], &meta].concat();
        let chunk = EncodedChunk { meta, page_ends: vec![pages.len() as u32], pages };
        for kind in FieldType::ALL {
            if let Ok(values) = decode(&chunk, kind, &[count]) {
                assert_eq!(values.len(), count as usize);
                if count > 0 {
                    let _: ValueRef<'_> = values.at(0);
                }
            }
        }
    }
}
