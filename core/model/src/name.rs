//! Names of databases, collections and fields, validated once.
//!
//! A name is data: no path is ever built from one, so `../x` is a legal name. Control characters
//! are not, because they would break line-based output.

use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;

/// The most bytes a name may have.
pub const NAME_BYTES_MAX: usize = 4096;

/// Why a name was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// The name has no characters.
    #[error("a {what} name may not be empty")]
    Empty {
        /// What was to be named.
        what: &'static str,
    },
    /// The name is too long.
    #[error("the {what} name has {bytes} bytes, at most {max} are allowed")]
    TooLong {
        /// What was to be named.
        what: &'static str,
        /// Its length in bytes.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The name holds a control character.
    #[error("the {what} name {name:?} holds the control character {character:?}: remove it")]
    Control {
        /// What was to be named.
        what: &'static str,
        /// The name.
        name: String,
        /// The character.
        character: char,
    },
    /// `database.collection` without the dot.
    #[error("{name:?} names no collection: write database.collection")]
    NoCollection {
        /// What was given.
        name: String,
    },
    /// A database name with a dot in it.
    #[error("the database name {name:?} may not hold a dot: it would be read as the collection")]
    DatabaseDot {
        /// The name.
        name: String,
    },
    /// A label key twice, or a label without `=`.
    #[error("{text:?} is not a device: {why}")]
    Device {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: &'static str,
    },
}

/// A validated name: 1 to 4,096 bytes of UTF-8 without control characters. Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// Checks a name. `what` stands in the error: "field", "database".
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn new(what: &'static str, name: &str) -> Result<Self, NameError> {
        check(what, name, NAME_BYTES_MAX)?;
        Ok(Name(name.into()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::ops::Deref for Name {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl core::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

pub(crate) fn check(what: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { what });
    }
    if name.len() > max {
        return Err(NameError::TooLong { what, bytes: name.len(), max });
    }
    if let Some(character) = name.chars().find(|c| c.is_control()) {
        return Err(NameError::Control { what, name: name.to_string(), character });
    }
    Ok(())
}

/// The full name of a collection, `database.collection`. Cheap to clone.
///
/// The database has no dot; the collection may have some.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CollectionName {
    database: Name,
    collection: Name,
}

impl CollectionName {
    /// Checks both parts.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn new(database: &str, collection: &str) -> Result<Self, NameError> {
        if database.contains('.') {
            return Err(NameError::DatabaseDot { name: database.to_string() });
        }
        Ok(CollectionName {
            database: Name::new("database", database)?,
            collection: Name::new("collection", collection)?,
        })
    }

    /// Splits `database.collection` at its first dot.
    ///
    /// # Errors
    /// See [`NameError`].
    pub fn parse(name: &str) -> Result<Self, NameError> {
        match name.split_once('.') {
            Some((database, collection)) => Self::new(database, collection),
            None => Err(NameError::NoCollection { name: name.to_string() }),
        }
    }

    /// The database's name.
    #[must_use]
    pub fn database(&self) -> &Name {
        &self.database
    }

    /// The collection's name inside its database.
    #[must_use]
    pub fn collection(&self) -> &Name {
        &self.collection
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.database, self.collection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_data_and_only_control_characters_are_refused() {
        assert!(Name::new("field", "../../etc/passwd").is_ok());
        assert!(Name::new("field", &"x".repeat(4096)).is_ok());
        assert!(matches!(
            Name::new("field", &"x".repeat(4097)),
            Err(NameError::TooLong { bytes: 4097, .. })
        ));
        assert!(matches!(Name::new("field", ""), Err(NameError::Empty { .. })));
        assert!(matches!(Name::new("field", "a\nb"), Err(NameError::Control { .. })));
    }

    #[test]
    fn a_collection_is_split_at_the_first_dot() {
        let name = CollectionName::parse("a.b.c").unwrap();
        assert_eq!((name.database().as_str(), name.collection().as_str()), ("a", "b.c"));
        assert!(CollectionName::parse("ab").is_err());
        assert!(CollectionName::new("a.b", "c").is_err());
    }
}
