//! A node that travels: what is kept of one device in one window, as bytes that mean the same to another store. The
//! bytes are in FORMAT.md.

use super::bytes::write_rollups;
use super::read::read_rollups;
use super::{Rollup, window_of};
use crate::format::{Malformed, Reader, Writer};
use crate::ids::Tier;
use crate::rows::FieldKey;
use std::sync::Arc;
use tidelog_model::digest::TreeHasher;
use tidelog_model::{Device, Digest, LeafWidth, Stamp, TimeRange};

const VERSION: u8 = 1;

/// See the module documentation.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Parcel {
    pub(crate) tier: Tier,
    /// Of the collection: what a window of the finest tier is.
    pub(crate) leaf: LeafWidth,
    pub(crate) window: TimeRange,
    pub(crate) device: Arc<str>,
    /// Deletes up to this stamp were applied.
    pub(crate) cleaned: Stamp,
    /// One at least.
    pub(crate) rows: u64,
    /// Those that have values, ascending, with a rollup each.
    pub(crate) fields: Vec<FieldKey>,
    pub(crate) rollups: Vec<Rollup>,
}

/// The digest that stands for a node: of its rows and the fields that have values.
pub(crate) fn digest_of(
    hasher: &mut TreeHasher,
    (tier, window): (Tier, TimeRange),
    device: &str,
    (rows, fields, rollups): (u64, &[FieldKey], &[Rollup]),
) -> Digest {
    let mut writer = Writer::default();
    write_rollups(&mut writer, rows, fields, rollups);
    hasher.settled(tier.level(), window, device, &writer.bytes)
}

impl Parcel {
    pub(crate) fn digest(&self, hasher: &mut TreeHasher) -> Digest {
        let kept = (self.rows, &self.fields[..], &self.rollups[..]);
        digest_of(hasher, (self.tier, self.window), &self.device, kept)
    }

    /// Counts some fields as if they had no values.
    pub(crate) fn forget(&mut self, forgotten: impl Fn(&FieldKey) -> bool) {
        let kept =
            std::mem::take(&mut self.fields).into_iter().zip(std::mem::take(&mut self.rollups));
        (self.fields, self.rollups) = kept.filter(|(field, _)| !forgotten(field)).unzip();
    }

    /// A rollup for each of some fields, in their order; none of its own is missing among them.
    pub(crate) fn spread(&self, fields: &[FieldKey]) -> Vec<Rollup> {
        let of = |field: &FieldKey| match self.fields.binary_search(field) {
            Ok(at) => self.rollups[at].clone(),
            Err(_) => Rollup::new(field.kind),
        };
        fields.iter().map(of).collect()
    }

    pub(crate) fn encode(&self, hasher: &mut TreeHasher) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.u8(VERSION).u8(self.tier as u8).u8(self.leaf as u8);
        writer.i64(self.window.first()).u64(self.cleaned.0).text(&self.device);
        writer.raw(&self.digest(hasher).0);
        write_rollups(&mut writer, self.rows, &self.fields, &self.rollups);
        writer.bytes
    }

    /// Reads what [`Self::encode`] wrote, from bytes that may be anything: takes no more memory than they have.
    pub(crate) fn decode(bytes: &[u8], hasher: &mut TreeHasher) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u8()? != VERSION {
            return Err(Malformed("a node is of a version that is not known here"));
        }
        let tier = Tier::from_number(reader.u8()?).filter(|tier| *tier != Tier::Raw);
        let tier = tier.ok_or(Malformed("a node is of an unknown tier"))?;
        let leaf = LeafWidth::from_minutes(reader.u8()?);
        let leaf = leaf.ok_or(Malformed("leaves have no such width"))?;
        let start = reader.i64()?;
        let window = window_of(tier, start, leaf);
        if window.first() != start {
            return Err(Malformed("no window of the tier begins there"));
        }
        let cleaned = Stamp(reader.u64()?);
        let device = Arc::from(reader.text()?);
        if Device::from_canonical(&device).is_err() {
            return Err(Malformed("a device's name is not in its canonical form"));
        }
        let digest = Digest(reader.array()?);
        let (rows, fields, rollups) = read_rollups(&mut reader, window)?;
        reader.end()?;
        let parcel = Parcel { tier, leaf, window, device, cleaned, rows, fields, rollups };
        if parcel.digest(hasher) != digest {
            return Err(Malformed("a node does not have the digest it comes with"));
        }
        Ok(parcel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollup::Wants;
    use tidelog_model::{Column, FieldType, Name, Value};

    fn rollup(values: &[Value]) -> Rollup {
        let mut column = Column::new(values[0].field_type());
        values.iter().for_each(|value| assert!(column.push(value.as_ref())));
        let times: Vec<i64> = (0..values.len() as i64).map(|at| HOUR + 10 * at).collect();
        Rollup::of_block(&times, &column, 0..values.len(), Wants::ALL)
    }

    const HOUR: i64 = 3_600_000_000_000;

    fn parcel() -> Parcel {
        let values: [&[Value]; 7] = [
            &[Value::F64(1.5), Value::F64(f64::NAN), Value::F64(-0.0)],
            &[Value::F32(f32::NAN)],
            &[Value::I64(i64::MIN), Value::I64(7)],
            &[Value::U64(u64::MAX), Value::U64(0)],
            &[Value::Bool(true), Value::Bool(false)],
            &[Value::String("on".into()), Value::String("".into()), Value::String("on".into())],
            &[Value::Bytes([0, 255][..].into())],
        ];
        let key = |kind: FieldType| FieldKey { name: Name::new("field", "x").unwrap(), kind };
        Parcel {
            tier: Tier::Hour,
            leaf: LeafWidth::Hour,
            window: window_of(Tier::Hour, HOUR, LeafWidth::Hour),
            device: "pump,site=a".into(),
            cleaned: Stamp(77),
            rows: 3,
            fields: FieldType::ALL.into_iter().map(key).collect(),
            rollups: values.map(rollup).into(),
        }
    }

    /// What stores say to each other must not change unseen.
    #[test]
    fn the_bytes_of_a_parcel_are_frozen() {
        let bytes = parcel().encode(&mut TreeHasher::new());
        let hex: String = bytes[..30].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "01013c00a0b830460300004d000000000000000b70756d702c736974653d");
        assert_eq!(blake3::hash(&bytes).to_hex().as_str(), GOLDEN);
    }

    const GOLDEN: &str = "45423cc65e64c26bd09bdde15fec4f8622be951db9588457df51a91fb9dc64ef";

    #[test]
    fn a_parcel_comes_as_it_was_sent() {
        let hasher = &mut TreeHasher::new();
        let bytes = parcel().encode(hasher);
        let read = Parcel::decode(&bytes, hasher).unwrap();
        // Not equal as values, for a NaN is in it.
        assert_eq!(read.encode(hasher), bytes);
        assert_eq!((read.window, read.fields.len(), read.rows), (parcel().window, 7, 3));
    }

    #[test]
    fn what_is_cut_short_flipped_or_longer_is_refused() {
        let hasher = &mut TreeHasher::new();
        let bytes = parcel().encode(hasher);
        for len in 0..bytes.len() {
            assert!(Parcel::decode(&bytes[..len], hasher).is_err(), "{len} bytes");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(Parcel::decode(&longer, hasher).is_err());
        // The stamp alone is in no digest: it is of deletes, which the node does not show.
        let stamp = 11..19;
        for at in (0..bytes.len()).filter(|at| !stamp.contains(at)) {
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(Parcel::decode(&flipped, hasher).is_err(), "bit {bit} of byte {at}");
            }
        }
    }

    #[test]
    fn what_no_rows_can_give_is_refused_though_its_digest_is_right() {
        let hasher = &mut TreeHasher::new();
        type Spoil = fn(&mut Parcel);
        let refused: [(&str, Spoil); 6] = [
            ("no rows", |one| one.rows = 0),
            ("more rows than times", |one| one.rows = u64::MAX),
            ("fewer rows than values", |one| one.rows = 2),
            ("fields out of order", |one| one.fields.swap(0, 1)),
            ("a count of its own", |one| {
                let Rollup::I64(numbers) = &mut one.rollups[2] else { panic!() };
                numbers.count = 3_000;
            }),
            ("a time before the window", |one| {
                let Rollup::U64(numbers) = &mut one.rollups[3] else { panic!() };
                numbers.first = Some((5, 0));
            }),
        ];
        for (what, spoil) in refused {
            let mut spoilt = parcel();
            spoil(&mut spoilt);
            let bytes = spoilt.encode(hasher);
            assert!(Parcel::decode(&bytes, hasher).is_err(), "{what}");
        }
        // A length that is far beyond the bytes is not believed.
        let mut bytes = parcel().encode(hasher);
        let at = bytes.len() - 2 - 8 - 8 - 8;
        assert_eq!(bytes[at], 2, "here stands a length");
        bytes[at..at + 8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Parcel::decode(&bytes, hasher).is_err());
    }
}
