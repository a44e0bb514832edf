//! Devices: the sources inside a collection, a name plus labels in one canonical text.
//!
//! Canonical form: `name,key=value,key2=value2`, keys sorted by their bytes, with a backslash before
//! each comma, equals sign, space and backslash of name, keys and values (line protocol's escapes,
//! plus the backslash itself, so that every text has exactly one canonical form).

use crate::name::{self, NameError};
use alloc::borrow::Cow;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// The most bytes a device's canonical form may have.
pub const DEVICE_BYTES_MAX: usize = 16 * 1024;

/// A device in canonical form. Equal devices have equal text, and the text's order is theirs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Device(String);

impl Device {
    /// A device with a name and no labels.
    ///
    /// # Errors
    /// When the name is empty, too long or holds a control character.
    pub fn named(name: &str) -> Result<Self, NameError> {
        Self::with_labels(name, core::iter::empty::<(&str, &str)>())
    }

    /// A device with a name and labels in any order.
    ///
    /// # Errors
    /// When a part is empty or holds a control character, a key stands twice, or all is too long.
    pub fn with_labels<'a>(
        name: &str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, NameError> {
        name::check("device", name, DEVICE_BYTES_MAX)?;
        let mut labels: Vec<(&str, &str)> = labels.into_iter().collect();
        labels.sort_unstable();
        let mut text = String::with_capacity(name.len());
        escape_into(name, &mut text);
        for (index, (key, value)) in labels.iter().enumerate() {
            name::check("label", key, DEVICE_BYTES_MAX)?;
            name::check("label value", value, DEVICE_BYTES_MAX)?;
            if index > 0 && labels[index - 1].0 == *key {
                return Err(NameError::Device {
                    text: name.to_string(),
                    why: "a label stands twice: keep one",
                });
            }
            text.push(',');
            escape_into(key, &mut text);
            text.push('=');
            escape_into(value, &mut text);
        }
        name::check("device", &text, DEVICE_BYTES_MAX)?;
        Ok(Device(text))
    }

    /// Reads text as users write it: canonical form when it has labels (`name,key=value`), else
    /// the whole text is the name, as it stands.
    ///
    /// # Errors
    /// As [`Self::with_labels`].
    pub fn parse(text: &str) -> Result<Self, NameError> {
        match split(text) {
            Some((name, labels)) if !labels.is_empty() || text.contains('\\') => {
                let labels = labels.iter().map(|(k, v)| (k.as_ref(), v.as_ref()));
                Self::with_labels(&name, labels).or_else(|_| Self::named(text))
            }
            _ => Self::named(text),
        }
    }

    /// Accepts exactly the canonical form: for bytes from a disk or a peer.
    ///
    /// # Errors
    /// When the text is not canonical.
    pub fn from_canonical(text: &str) -> Result<Self, NameError> {
        if is_plain(text) {
            return Ok(Device(text.to_string()));
        }
        let refuse = || NameError::Device { text: text.to_string(), why: "not in canonical form" };
        let (name, labels) = split(text).ok_or_else(refuse)?;
        let labels = labels.iter().map(|(k, v)| (k.as_ref(), v.as_ref()));
        let device = Self::with_labels(&name, labels)?;
        if device.0 == text { Ok(device) } else { Err(refuse()) }
    }

    /// The canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, without labels.
    #[must_use]
    pub fn name(&self) -> Cow<'_, str> {
        name_of(&self.0)
    }

    /// The labels, sorted by key.
    #[must_use]
    pub fn labels(&self) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
        labels_of(&self.0)
    }

    /// Text that [`Self::parse`] reads back as this device: the bare name where that is enough.
    #[must_use]
    pub fn to_text(&self) -> Cow<'_, str> {
        to_text(&self.0)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_text())
    }
}

impl fmt::Debug for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Is the text canonical? Cheap for a name without labels, escapes and non-ASCII characters.
#[must_use]
pub fn is_canonical(text: &str) -> bool {
    is_plain(text) || Device::from_canonical(text).is_ok()
}

/// A name of printable ASCII that needs no escape is its own canonical form.
fn is_plain(text: &str) -> bool {
    let plain = |byte: u8| matches!(byte, 0x21..=0x7e) && !matches!(byte, b',' | b'=' | b'\\');
    !text.is_empty() && text.len() <= DEVICE_BYTES_MAX && text.bytes().all(plain)
}

/// The name part of a canonical text.
#[must_use]
pub fn name_of(canonical: &str) -> Cow<'_, str> {
    match split(canonical) {
        Some((name, _)) => name,
        None => Cow::Borrowed(canonical),
    }
}

/// The labels of a canonical text, sorted by key.
#[must_use]
pub fn labels_of(canonical: &str) -> Vec<(Cow<'_, str>, Cow<'_, str>)> {
    split(canonical).map(|(_, labels)| labels).unwrap_or_default()
}

/// Text that [`Device::parse`] reads back as the device with this canonical text.
#[must_use]
pub fn to_text(canonical: &str) -> Cow<'_, str> {
    if !canonical.contains('\\') {
        return Cow::Borrowed(canonical);
    }
    let name = name_of(canonical);
    match Device::parse(&name) {
        Ok(device) if device.0 == canonical => name,
        _ => Cow::Borrowed(canonical),
    }
}

/// Which devices a query or a delete means.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DeviceSelector {
    /// Only these, when given.
    pub devices: Option<Vec<Device>>,
    /// Only devices whose name begins so, when given.
    pub prefix: Option<String>,
    /// Only devices that have all of these labels.
    pub labels: Vec<(String, String)>,
}

impl DeviceSelector {
    /// Every device.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// One device.
    #[must_use]
    pub fn one(device: Device) -> Self {
        DeviceSelector { devices: Some(alloc::vec![device]), ..Self::default() }
    }

    /// Is every device meant?
    #[must_use]
    pub fn is_all(&self) -> bool {
        self.devices.is_none() && self.prefix.is_none() && self.labels.is_empty()
    }

    /// Is the device with this canonical text meant?
    #[must_use]
    pub fn matches(&self, canonical: &str) -> bool {
        if let Some(devices) = &self.devices
            && !devices.iter().any(|device| device.as_str() == canonical)
        {
            return false;
        }
        if let Some(prefix) = &self.prefix
            && !name_of(canonical).starts_with(prefix.as_str())
        {
            return false;
        }
        if self.labels.is_empty() {
            return true;
        }
        let labels = labels_of(canonical);
        self.labels.iter().all(|(key, value)| labels.iter().any(|(k, v)| k == key && v == value))
    }
}

fn escape_into(part: &str, out: &mut String) {
    for c in part.chars() {
        if matches!(c, ',' | '=' | ' ' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
}

type Split<'a> = (Cow<'a, str>, Vec<(Cow<'a, str>, Cow<'a, str>)>);

/// Splits at unescaped commas and equals signs; `None` when a label has no `=` or no text.
fn split(text: &str) -> Option<Split<'_>> {
    let mut parts = split_unescaped(text, ',').into_iter();
    let name = parts.next()?;
    let mut labels = Vec::new();
    for part in parts {
        let pieces = split_unescaped(part, '=');
        let [key, value] = pieces.as_slice() else { return None };
        labels.push((unescape(key), unescape(value)));
    }
    Some((unescape(name), labels))
}

fn split_unescaped(text: &str, at: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, c) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == at {
            parts.push(&text[start..index]);
            start = index + at.len_utf8();
        }
    }
    parts.push(&text[start..]);
    parts
}

fn unescape(part: &str) -> Cow<'_, str> {
    if !part.contains('\\') {
        return Cow::Borrowed(part);
    }
    let mut out = String::with_capacity(part.len());
    let mut chars = part.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek()) {
            ('\\', Some(',' | '=' | ' ' | '\\')) => out.extend(chars.next()),
            _ => out.push(c),
        }
    }
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn labels_are_sorted_and_escaped() {
        let device = Device::with_labels("a b", [("z", "1"), ("k,=", "v\\")]).unwrap();
        assert_eq!(device.as_str(), "a\\ b,k\\,\\==v\\\\,z=1");
        assert_eq!(device.name(), "a b");
        assert_eq!(device.labels(), [("k,=".into(), "v\\".into()), ("z".into(), "1".into())]);
        assert_eq!(Device::from_canonical(device.as_str()).unwrap(), device);
    }

    #[test]
    fn text_without_labels_is_a_name_as_it_stands() {
        for text in ["host 1", "a,b", "x=y", "Redis/eastus/B8ms/Test__GET_-_P__50"] {
            assert_eq!(Device::parse(text).unwrap().name(), text);
            assert_eq!(Device::parse(text).unwrap().to_text(), text);
        }
        assert_eq!(Device::parse("cpu,host=a").unwrap().labels(), [("host".into(), "a".into())]);
    }

    #[test]
    fn a_label_may_not_stand_twice() {
        assert!(Device::with_labels("d", [("k", "1"), ("k", "2")]).is_err());
    }

    #[test]
    fn selectors_match_by_list_prefix_and_labels() {
        let device = Device::parse("cpu,host=a,rack=2").unwrap();
        let by_label = |k: &str, v: &str| DeviceSelector {
            labels: alloc::vec![(k.into(), v.into())],
            ..DeviceSelector::all()
        };
        assert!(by_label("rack", "2").matches(device.as_str()));
        assert!(!by_label("rack", "3").matches(device.as_str()));
        let prefix = DeviceSelector { prefix: Some("cp".into()), ..DeviceSelector::all() };
        assert!(prefix.matches(device.as_str()));
        assert!(!DeviceSelector::one(Device::named("cpu").unwrap()).matches(device.as_str()));
    }

    proptest! {
        #[test]
        fn text_reads_back_as_the_same_device(text in "[a-c,=\\\\ ]{1,12}") {
            let device = Device::parse(&text).unwrap();
            prop_assert_eq!(&Device::parse(&device.to_text()).unwrap(), &device);
            prop_assert_eq!(&Device::from_canonical(device.as_str()).unwrap(), &device);
        }

        #[test]
        fn labels_survive(name in "[a,= \\\\]{1,5}", key in "[a,= \\\\]{1,5}", value in "[a,= \\\\]{1,5}") {
            let device = Device::with_labels(&name, [(key.as_str(), value.as_str())]).unwrap();
            prop_assert_eq!(device.name(), name);
            prop_assert_eq!(device.labels(), [(key.into(), value.into())]);
        }
    }
}
