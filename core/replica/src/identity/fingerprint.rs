//! The fingerprint of a public key: what the topology trusts, and what people compare aloud.

use std::fmt;
use std::str::FromStr;

/// BLAKE3 of a public key as it stands in a certificate (DER of its SubjectPublicKeyInfo): 32 bytes.
///
/// As text `tl1-` and 52 characters of lower-case base32 (RFC 4648, without padding). A certificate that is renewed
/// with the same key keeps it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub [u8; 32]);

/// How the text begins: the kind of hash, so that another one can come.
const PREFIX: &str = "tl1-";
const DIGITS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
/// 256 bits in groups of five.
const TEXT_LEN: usize = 52;

impl Fingerprint {
    /// Of a SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn of_public_key(der: &[u8]) -> Self {
        Fingerprint(*blake3::hash(der).as_bytes())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(PREFIX)?;
        let (mut bits, mut have) = (0_u32, 0);
        let mut digit = |five: u32| write!(f, "{}", DIGITS[(five & 31) as usize] as char);
        for byte in self.0 {
            bits = bits << 8 | u32::from(byte);
            have += 8;
            while have >= 5 {
                have -= 5;
                digit(bits >> have)?;
            }
            bits &= (1 << have) - 1;
        }
        // One bit is left of 256; it stands at the top of the last digit.
        digit(bits << (5 - have))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    /// Upper case is taken too, for fingerprints are read aloud and typed.
    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let lower = text.trim().to_ascii_lowercase();
        let digits = lower.strip_prefix(PREFIX).ok_or(FingerprintError::Prefix)?;
        let mut bytes = [0; 32];
        let (mut bits, mut have, mut count, mut at) = (0_u32, 0, 0, 0);
        for c in digits.chars() {
            let found = DIGITS.iter().position(|digit| char::from(*digit) == c);
            let five = found.ok_or(FingerprintError::Character { found: c })?;
            bits = (bits << 5 | u32::try_from(five).unwrap_or(0)) & 0xfff;
            have += 5;
            count += 1;
            if have >= 8 {
                have -= 8;
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = (bits >> have & 0xff) as u8;
                }
                at += 1;
            }
        }
        if count != TEXT_LEN {
            return Err(FingerprintError::Length { found: count });
        }
        // One text per fingerprint: what the last digit does not use is zero.
        if bits & ((1 << have) - 1) != 0 {
            return Err(FingerprintError::Rest);
        }
        Ok(Fingerprint(bytes))
    }
}

/// Why a text is not a fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FingerprintError {
    /// It does not begin as fingerprints do.
    #[error("a fingerprint begins with `tl1-`: copy it whole from the peer that it belongs to")]
    Prefix,
    /// It is too short or too long.
    #[error("a fingerprint has 52 characters after `tl1-`, not {found}: copy it whole")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// A character that never occurs.
    #[error(
        "{found:?} never occurs in a fingerprint, whose characters are a to z and 2 to 7: copy it again"
    )]
    Character {
        /// It.
        found: char,
    },
    /// The last character cannot be.
    #[error("the last character of the fingerprint cannot be: copy it again")]
    Rest,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_text_is_frozen() {
        let text = Fingerprint::of_public_key(b"key").to_string();
        let hash = blake3::hash(b"key");
        assert_eq!(text.len(), PREFIX.len() + TEXT_LEN);
        // By hand: the first five bits of the hash name the first digit.
        let first = DIGITS[usize::from(hash.as_bytes()[0] >> 3)] as char;
        assert_eq!(text.chars().nth(4), Some(first));
        assert_eq!(Fingerprint([0; 32]).to_string(), format!("tl1-{}", "a".repeat(52)));
        let ones = Fingerprint([0xff; 32]).to_string();
        assert_eq!(ones, format!("tl1-{}q", "7".repeat(51)));
    }

    #[test]
    fn what_is_not_a_fingerprint_is_refused_by_name() {
        let good = Fingerprint([7; 32]).to_string();
        assert_eq!("abc".parse::<Fingerprint>(), Err(FingerprintError::Prefix));
        let short = &good[..good.len() - 1];
        assert_eq!(short.parse::<Fingerprint>(), Err(FingerprintError::Length { found: 51 }));
        let long = format!("{good}aaaaaaaaaaaaaaaaaaaa");
        assert_eq!(long.parse::<Fingerprint>(), Err(FingerprintError::Length { found: 72 }));
        let odd = good.replace("tl1-", "tl1-1");
        let one = FingerprintError::Character { found: '1' };
        assert_eq!(odd.parse::<Fingerprint>(), Err(one));
        let rest = format!("tl1-{}b", "a".repeat(51));
        assert_eq!(rest.parse::<Fingerprint>(), Err(FingerprintError::Rest));
        assert_eq!("tl1-é".parse::<Fingerprint>(), Err(FingerprintError::Character { found: 'é' }));
    }

    proptest! {
        #[test]
        fn text_and_bytes_are_the_same(bytes: [u8; 32]) {
            let fingerprint = Fingerprint(bytes);
            let text = fingerprint.to_string();
            prop_assert_eq!(text.parse::<Fingerprint>(), Ok(fingerprint));
            prop_assert_eq!(text.to_uppercase().parse::<Fingerprint>(), Ok(fingerprint));
        }

        #[test]
        fn any_text_parses_or_is_refused(text in ".{0,80}") {
            let _ = text.parse::<Fingerprint>();
            let _ = format!("tl1-{text}").parse::<Fingerprint>();
        }
    }
}
