//! Errors of replication as faults.

use crate::abi::*;
use crate::fault::{Fault, text};
use std::io;
use tidelog_engine::DropGroupError;
use tidelog_replica::identity::IdentityError;
use tidelog_replica::topology::ConfigError;
use tidelog_replica::{BindError, DropError, ForgetError, StartError};

impl From<IdentityError> for Fault {
    fn from(error: IdentityError) -> Self {
        let (code, kind) = match &error {
            IdentityError::Missing { .. } => (TIDELOG_NOT_FOUND, TIDELOG_KIND_FIX_CALL),
            IdentityError::Exists { .. } => (TIDELOG_LOCKED, TIDELOG_KIND_FIX_CALL),
            IdentityError::Io { .. } | IdentityError::Crypto { .. } => {
                (TIDELOG_IO, TIDELOG_KIND_RETRY)
            }
            _ => (TIDELOG_INVALID_ARGUMENT, TIDELOG_KIND_FIX_CALL),
        };
        Fault::new(code, kind, text(&error))
    }
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        let (code, kind) = match &error {
            ConfigError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                (TIDELOG_NOT_FOUND, TIDELOG_KIND_FIX_CALL)
            }
            ConfigError::Io { .. } => (TIDELOG_IO, TIDELOG_KIND_RETRY),
            _ => (TIDELOG_INVALID_ARGUMENT, TIDELOG_KIND_FIX_CALL),
        };
        Fault::new(code, kind, text(&error))
    }
}

impl From<StartError> for Fault {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Write(error) => error.into(),
            StartError::ReadOnly => {
                Fault::new(TIDELOG_READ_ONLY, TIDELOG_KIND_FIX_CALL, text(&error))
            }
            StartError::Bind(BindError::Io { .. }) => {
                Fault::new(TIDELOG_NETWORK, TIDELOG_KIND_RETRY, text(&error))
            }
            _ => Fault::argument(text(&error)),
        }
    }
}

impl From<ForgetError> for Fault {
    fn from(error: ForgetError) -> Self {
        let (code, kind) = match error {
            ForgetError::Store(error) => return error.into(),
            ForgetError::Unknown { .. } => (TIDELOG_NOT_FOUND, TIDELOG_KIND_FIX_CALL),
            ForgetError::Ending => (TIDELOG_CLOSED, TIDELOG_KIND_FIX_CALL),
            ForgetError::Linked { .. } => (TIDELOG_PEER, TIDELOG_KIND_RETRY),
            _ => (TIDELOG_PEER, TIDELOG_KIND_FIX_CALL),
        };
        Fault::new(code, kind, text(&error))
    }
}

impl From<DropError> for Fault {
    fn from(error: DropError) -> Self {
        let (code, kind) = match error {
            DropError::Store(DropGroupError::Upkeep(error)) => return error.into(),
            DropError::Placed { .. } | DropError::Store(DropGroupError::Unknown { .. }) => {
                (TIDELOG_INVALID_ARGUMENT, TIDELOG_KIND_FIX_CALL)
            }
            DropError::Ending => (TIDELOG_CLOSED, TIDELOG_KIND_FIX_CALL),
            DropError::Store(DropGroupError::Settled { .. }) => {
                (TIDELOG_SETTLED, TIDELOG_KIND_FIX_CALL)
            }
            DropError::Store(DropGroupError::Damaged { .. }) => {
                (TIDELOG_CORRUPT, TIDELOG_KIND_RETRY)
            }
            _ => (TIDELOG_PEER, TIDELOG_KIND_RETRY),
        };
        Fault::new(code, kind, text(&error))
    }
}
