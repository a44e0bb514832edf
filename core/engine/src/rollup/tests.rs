//! The rules of ROLLUP.md, each against a computation as plain as it can be.

use super::*;
use crate::ids::Tier;
use crate::rows::{Cells, SeriesRows, Versions};
use proptest::prelude::*;
use tidelog_model::{LeafWidth, TimeRange, Version, calendar};

fn column(values: Values) -> Column {
    Column::from_parts(values, None).unwrap()
}

fn rows(times: Vec<i64>, column: Column) -> SeriesRows {
    let columns = vec![Some(Cells { column, versions: None })];
    SeriesRows { times, versions: Versions::One(Version::default()), columns }
}

fn of(values: &[f64]) -> Numbers<f64> {
    let times: Vec<i64> = (0..values.len() as i64).collect();
    Numbers::of_block(&times, values, Wants::ALL)
}

/// Bits, so that NaN equals itself and zeros differ.
fn bits(rollup: &Rollup) -> String {
    let bits = |value: f64| value.to_bits();
    match rollup {
        Rollup::F64(n) => {
            let pair = |(value, time): (f64, i64)| (bits(value), time);
            let turned = |(time, value): (i64, f64)| (bits(value), time);
            let (least, greatest) = (n.least.map(pair), n.greatest.map(pair));
            let (first, last) = (n.first.map(turned), n.last.map(turned));
            let dropped = n.dropped.map(bits);
            format!(
                "{} {:x} {:x} {least:?} {greatest:?} {first:?} {last:?} {} {dropped:?}",
                n.count,
                bits(n.sum),
                bits(n.spread),
                n.falls
            )
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn nan_is_counted_and_skipped_by_extremes_and_zeros_have_signs() {
    let seen = of(&[f64::NAN, 0.0, -0.0, 0.0]);
    assert_eq!(seen.count, 4);
    assert_eq!(seen.sum.to_bits(), 0x7ff8_0000_0000_0000);
    let (least, greatest) = (seen.least.unwrap(), seen.greatest.unwrap());
    assert!(least.0.is_sign_negative() && least.1 == 2);
    assert!(greatest.0.is_sign_positive() && greatest.1 == 1, "ties: earliest");
    assert_eq!(of(&[f64::NAN; 9]).least, None);
    assert_eq!(of(&[f64::NAN, f64::INFINITY]).least, Some((f64::INFINITY, 1)));
    assert_eq!(of(&[f64::NEG_INFINITY]).greatest, Some((f64::NEG_INFINITY, 0)));
}

#[test]
fn variance_of_a_sample_is_the_same_in_one_piece_and_in_two() {
    let all = [2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0];
    let expected = 32.0f64 / 7.0;
    assert!((f64::variance(of(&all).part()) - expected).abs() < 1e-12);
    let mut halves = of(&all[..3]);
    halves.merge(&of(&all[3..]));
    assert!((f64::variance(halves.part()) - expected).abs() < 1e-12);
    let whole: Vec<i64> = all.iter().map(|value| *value as i64).collect();
    let numbers = Numbers::of_block(&[0; 8], &whole, Wants::ALL);
    assert_eq!(i64::variance(numbers.part()), expected);
}

#[test]
fn integers_at_the_ends_of_their_types_are_exact() {
    let values = [i64::MIN, i64::MAX, i64::MIN, -1];
    let numbers = Numbers::of_block(&[0, 1, 2, 3], &values, Wants::ALL);
    assert_eq!(numbers.sum, 2 * i128::from(i64::MIN) + i128::from(i64::MAX) - 1);
    let square = |value: i64| {
        let size = ethnum::U256::from(value.unsigned_abs());
        size * size
    };
    let squares = values.iter().map(|value| square(*value)).fold(ethnum::U256::ZERO, |a, b| a + b);
    assert_eq!(numbers.spread, squares);
    let same = Numbers::of_block(&[0, 1], &[u64::MAX; 2], Wants::ALL);
    assert_eq!(u64::variance(same.part()), 0.0);
    assert_eq!(same.sum, 2 * i128::from(u64::MAX));
}

#[test]
fn a_counter_that_restarts_is_joined_across_stretches() {
    let counted = [5.0, 9.0, 2.0, 4.0, 4.0, 1.0, 6.0, 8.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0, 9.0];
    let increase = 4.0 + 2.0 + 2.0 + 1.0 + 5.0 + 2.0 + 1.0;
    for cut in 1..counted.len() {
        let (a, b) = counted.split_at(cut);
        let mut joined = Numbers { dropped: Some(0.0), ..of(a) };
        let mut next = of(b);
        // Short pieces have too many falls for the rule; give what a long one would have.
        let dropped =
            |values: &[f64]| values.windows(2).filter(|p| p[1] < p[0]).map(|p| p[0]).sum::<f64>();
        (joined.dropped, next.dropped) = (Some(dropped(a)), Some(dropped(b)));
        joined.merge(&next);
        assert_eq!((joined.increase(), joined.falls), (Some(increase), 2), "cut at {cut}");
    }
    let noise: Vec<f64> = (0..64).map(|i| f64::from(i % 2)).collect();
    assert_eq!(of(&noise).increase(), None, "falls at every second step: no counter");
}

/// Any bits, many of them special.
fn value() -> impl Strategy<Value = f64> {
    prop_oneof![
        4 => (-1000i32..1000).prop_map(|n| f64::from(n) / 8.0),
        1 => any::<u64>().prop_map(f64::from_bits),
        1 => proptest::sample::select(vec![0.0, -0.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]),
    ]
}

/// Rows over some days, in leaves of very different size.
fn times() -> impl Strategy<Value = Vec<i64>> {
    let steps = prop_oneof![
        5 => 1i64..1_000_000,
        3 => (0i64..4).prop_map(|n| n * 900_000_000_000),
        1 => (0i64..40).prop_map(|n| n * calendar::DAY_NS / 3),
    ];
    (-3 * calendar::DAY_NS..0, proptest::collection::vec(steps, 1..400)).prop_map(
        |(start, steps)| {
            let mut time = start;
            let mut times: Vec<i64> = steps
                .into_iter()
                .map(|step| {
                    time += step;
                    time
                })
                .collect();
            times.dedup();
            times
        },
    )
}

/// The definition, word by word: leaves, then days, months and years that lie in the stretch.
fn plainly(times: &[i64], values: &[f64], stretch: TimeRange, leaf: LeafWidth) -> Rollup {
    fn merged(parts: Vec<Rollup>) -> Rollup {
        let mut parts = parts.into_iter().filter(|part| !part.is_empty());
        let mut sum = parts.next().unwrap_or(Rollup::new(FieldType::F64));
        parts.for_each(|part| sum.merge(&part));
        sum
    }
    fn node(tier: Tier, window: TimeRange, rows: &[(i64, f64)], leaf: LeafWidth) -> Rollup {
        let inside: Vec<(i64, f64)> =
            rows.iter().copied().filter(|r| window.contains(r.0)).collect();
        if tier == Tier::Hour {
            let block = |rows: &[(i64, f64)]| {
                let (times, values): (Vec<i64>, Vec<f64>) = rows.iter().copied().unzip();
                Rollup::F64(Numbers::of_block(&times, &values, Wants::ALL))
            };
            return merged(inside.chunks(BLOCK_ROWS).map(block).collect());
        }
        let below = Tier::ALL[tier as usize - 1];
        let mut parts = Vec::new();
        let mut windows: Vec<TimeRange> =
            inside.iter().map(|row| window_of(below, row.0, leaf)).collect();
        windows.dedup();
        for child in windows {
            parts.push(node(below, child, &inside, leaf));
        }
        merged(parts)
    }
    let rows: Vec<(i64, f64)> = times.iter().copied().zip(values.iter().copied()).collect();
    let rows: Vec<(i64, f64)> = rows.into_iter().filter(|row| stretch.contains(row.0)).collect();
    let mut parts = Vec::new();
    let mut after = i64::MIN;
    for row in &rows {
        if row.0 < after {
            continue;
        }
        let tiers = [Tier::Year, Tier::Month, Tier::Day];
        let covered = |tier: &Tier| stretch.covers(window_of(*tier, row.0, leaf));
        let tier = tiers.into_iter().find(covered).unwrap_or(Tier::Hour);
        let window = window_of(tier, row.0, leaf);
        parts.push(node(tier, window, &rows, leaf));
        after = window.last().saturating_add(1);
    }
    merged(parts)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn a_block_is_folded_in_eight_lanes(values in proptest::collection::vec(value(), 0..100)) {
        let seen = of(&values);
        let mut lanes = [0.0f64; 8];
        values.iter().enumerate().for_each(|(at, value)| lanes[at % 8] += value);
        let [a, b, c, d, e, f, g, h] = lanes;
        let sum = ((a + b) + (c + d)) + ((e + f) + (g + h));
        prop_assert!(sum.to_bits() == seen.sum.to_bits() || (sum.is_nan() && seen.sum.is_nan()));
        let by = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1).then(a.0.cmp(&b.0));
        let numbers = || values.iter().copied().enumerate().filter(|v| !v.1.is_nan());
        let least = numbers().min_by(by).map(|(at, value)| (value.to_bits(), at as i64));
        prop_assert_eq!(seen.least.map(|(value, at)| (value.to_bits(), at)), least);
        let greatest = numbers().rev().max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
        let greatest = greatest.map(|(at, value)| (value.to_bits(), at as i64));
        prop_assert_eq!(seen.greatest.map(|(value, at)| (value.to_bits(), at)), greatest);
        prop_assert_eq!(seen.falls, values.windows(2).filter(|p| p[1] < p[0]).count() as u64);
    }

    #[test]
    fn a_stretch_is_folded_as_defined_wherever_its_rows_come_from(
        times in times(),
        seed in any::<u64>(),
        cuts in proptest::collection::vec(0usize..400, 0..6),
        width in proptest::sample::select(vec![LeafWidth::Hour, LeafWidth::QuarterHour]),
        ends in (0usize..400, 0usize..400),
        replaced in proptest::sample::select(Tier::ALL.to_vec()),
    ) {
        let next = |state: &mut u64| {
            *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (*state >> 40) as f64 / 16.0
        };
        let mut state = seed;
        let values: Vec<f64> = times.iter().map(|_| next(&mut state)).collect();
        let at = |place: usize| times[place.min(times.len() - 1)];
        let (a, b) = (at(ends.0), at(ends.1));
        let day = calendar::DAY_NS;
        // Half of the stretches begin and end with days, so that nodes lie in them.
        let (a, b) = if seed % 2 == 0 { (a, b) } else { (a / day * day, b / day * day + day - 1) };
        let stretch = TimeRange::inclusive(a.min(b), a.max(b)).unwrap();
        let expected = bits(&plainly(&times, &values, stretch, width));

        // From rows, in slices.
        let inside: Vec<usize> = (0..times.len()).filter(|i| stretch.contains(times[*i])).collect();
        let (times, values): (Vec<i64>, Vec<f64>) =
            inside.iter().map(|i| (times[*i], values[*i])).unzip();
        let mut cuts: Vec<usize> = cuts.into_iter().filter(|cut| *cut < times.len()).collect();
        cuts.extend([0, times.len()]);
        cuts.sort_unstable();
        let mut fold = TreeFold::new(stretch, width, &[FieldType::F64], Wants::ALL);
        for pair in cuts.windows(2) {
            let part = column(Values::F64(values[pair[0]..pair[1]].to_vec()));
            let slice = rows(times[pair[0]..pair[1]].to_vec(), part);
            fold.rows(&slice, 0..slice.len());
        }
        prop_assert_eq!(bits(&fold.finish()[0]), expected.clone());

        // With nodes of one tier in place of rows, wherever they lie in the stretch.
        let mut fold = TreeFold::new(stretch, width, &[FieldType::F64], Wants::ALL);
        let mut from = 0;
        while from < times.len() {
            let window = window_of(replaced, times[from], width);
            let to = from + times[from..].partition_point(|time| *time <= window.last());
            let part = column(Values::F64(values[from..to].to_vec()));
            let slice = rows(times[from..to].to_vec(), part);
            if replaced != Tier::Raw && stretch.covers(window) {
                let mut node = TreeFold::new(window, width, &[FieldType::F64], Wants::ALL);
                node.rows(&slice, 0..slice.len());
                fold.node(replaced, window, &node.finish());
            } else {
                fold.rows(&slice, 0..slice.len());
            }
            from = to;
        }
        prop_assert_eq!(bits(&fold.finish()[0]), expected);
    }
}
