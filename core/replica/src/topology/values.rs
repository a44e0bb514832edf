//! Values of the configuration as they are spelt, read into types at once, so that an error knows its line.

use super::{Right, Selection, parse_duration};
use crate::Congestion;
use crate::identity::Fingerprint;
use crate::trust::KEYS_PER_PEER_MAX;
use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;
use tidelog_model::policy::Cost;
use tidelog_model::{GroupId, Name, StoreId};

/// A value that is written as a text.
pub(super) trait FromText: Sized {
    fn from_text(text: &str) -> Result<Self, String>;
}

/// For `deserialize_with`.
pub(super) fn text<'de, T: FromText, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::from_text(&String::deserialize(from)?).map_err(Error::custom)
}

/// The same for what may be left out.
pub(super) fn some_text<'de, T, D>(from: D) -> Result<Option<T>, D::Error>
where
    T: FromText,
    D: Deserializer<'de>,
{
    text(from).map(Some)
}

impl FromText for Fingerprint {
    fn from_text(text: &str) -> Result<Self, String> {
        Fingerprint::from_str(text).map_err(|error| error.to_string())
    }
}

impl FromText for StoreId {
    fn from_text(text: &str) -> Result<Self, String> {
        StoreId::parse(text).ok_or_else(|| {
            "a store is 32 hexadecimal digits in lower case: `tidelog status` there prints them"
                .into()
        })
    }
}

impl FromText for SocketAddr {
    fn from_text(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| {
            format!("{text:?} is no address to listen on: write it as 0.0.0.0:7447 or [::]:7447")
        })
    }
}

impl FromText for Right {
    fn from_text(text: &str) -> Result<Self, String> {
        Right::ALL.into_iter().find(|right| right.name() == text).ok_or_else(|| {
            format!("{text:?} is no right: rights are replicate, snapshot and repair")
        })
    }
}

impl FromText for Cost {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "free" => Ok(Cost::Free),
            "metered" => Ok(Cost::Metered),
            _ => Err(format!("{text:?} is no cost: write free or metered")),
        }
    }
}

impl FromText for Congestion {
    fn from_text(text: &str) -> Result<Self, String> {
        match text {
            "cubic" => Ok(Congestion::Cubic),
            "bbr" => Ok(Congestion::Bbr),
            _ => Err(format!("{text:?} is no way to send: write cubic or bbr")),
        }
    }
}

impl FromText for Duration {
    fn from_text(text: &str) -> Result<Self, String> {
        parse_duration(text).map_err(|error| error.to_string())
    }
}

/// At least a second: what runs again and again may not run hot.
pub(super) fn at_least_a_second<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let duration: Duration = text(from)?;
    if duration < Duration::from_secs(1) {
        return Err(Error::custom("it is shorter than a second: give at least \"1s\""));
    }
    Ok(duration)
}

/// `host:port`; whether the host exists is seen when it is dialled.
pub(super) fn address<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let parts = text.rsplit_once(':');
    let good = parts.is_some_and(|(host, port)| {
        let bracketed = host.starts_with('[') && host.ends_with(']');
        let host_is_good = !host.is_empty() && (bracketed || !host.contains([':', '/', ' ', '@']));
        host_is_good && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if good {
        return Ok(text);
    }
    Err(Error::custom(format!("{text:?} is no address: write host:port, such as 10.0.0.2:7447")))
}

/// A name of a peer: printable, without spaces at its ends, at most 64 characters.
pub(super) fn name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let good = !text.is_empty() && text.trim() == text && text.chars().count() <= 64;
    if good && !text.chars().any(char::is_control) {
        return Ok(text);
    }
    Err(Error::custom("a name has 1 to 64 printable characters and no spaces at its ends"))
}

pub(super) fn groups<'de, D>(from: D) -> Result<Selection<GroupId>, D::Error>
where
    D: Deserializer<'de>,
{
    selection(from, "\"all\" or a list of group numbers", |number: u32| Ok(GroupId(number)))
}

pub(super) fn databases<'de, D>(from: D) -> Result<Selection<String>, D::Error>
where
    D: Deserializer<'de>,
{
    selection(from, "\"all\" or a list of databases", |name: String| {
        match Name::new("database", &name) {
            Ok(_) => Ok(name),
            Err(error) => Err(error.to_string()),
        }
    })
}

pub(super) fn rights<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<Right>, D::Error> {
    let read =
        selection(from, "\"all\" or a list of rights", |name: String| Right::from_text(&name))?;
    Ok(match read {
        Selection::All => Right::ALL.into(),
        Selection::Only(rights) => rights,
    })
}

/// One fingerprint, or two while rotating.
pub(super) fn fingerprints<'de, D>(from: D) -> Result<Vec<Fingerprint>, D::Error>
where
    D: Deserializer<'de>,
{
    from.deserialize_any(OneOrTwo)
}

struct OneOrTwo;

impl<'de> Visitor<'de> for OneOrTwo {
    type Value = Vec<Fingerprint>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fingerprint, or a list of two while rotating")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Fingerprint::from_text(text).map(|one| vec![one]).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            found.push(Fingerprint::from_text(&text).map_err(A::Error::custom)?);
        }
        if found.is_empty() || found.len() > KEYS_PER_PEER_MAX {
            let count = found.len();
            return Err(A::Error::custom(format!(
                "{count} fingerprints are listed: give one, or two while rotating"
            )));
        }
        Ok(found)
    }
}

fn selection<'de, D, R, T>(
    from: D,
    expected: &'static str,
    read: fn(R) -> Result<T, String>,
) -> Result<Selection<T>, D::Error>
where
    D: Deserializer<'de>,
    R: Deserialize<'de>,
    T: Ord,
{
    from.deserialize_any(AllOrListed { expected, read, of: PhantomData })
}

struct AllOrListed<R, T> {
    expected: &'static str,
    read: fn(R) -> Result<T, String>,
    of: PhantomData<R>,
}

impl<'de, R: Deserialize<'de>, T: Ord> Visitor<'de> for AllOrListed<R, T> {
    type Value = Selection<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        match text {
            "all" => Ok(Selection::All),
            other => Err(E::custom(format!("{other:?} was given: give {}", self.expected))),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut listed = BTreeSet::new();
        while let Some(one) = list.next_element()? {
            listed.insert((self.read)(one).map_err(A::Error::custom)?);
        }
        Ok(Selection::Only(listed))
    }
}
