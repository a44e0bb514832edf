//! A store that died and is back at its address tells peers that their links to the one before are gone.
//!
//! Without this a peer holds on to such a link until it is silent for too long, some 15 s, and meanwhile refuses a new one
//! where two stores keep the link that the lesser one dialled. QUIC has stateless resets for it (RFC 9000, 10.3): whoever gets
//! a packet of a link it does not know answers with a token that only it can make. For that the key behind tokens and ids of
//! links must outlive the process, so it follows from the identity. One process at a time serves a store, so no two endpoints
//! could be played off against each other (RFC 9000, 21.11).

use crate::identity::Identity;
use quinn::crypto::{CryptoError, HmacKey};
use quinn::{ConnectionIdGenerator, EndpointConfig};
use quinn_proto::HashedConnectionIdGenerator;
use std::sync::Arc;

/// Settings by which an endpoint knows what links of an earlier one of the same identity look like.
pub(crate) fn recognisable(identity: &Identity) -> EndpointConfig {
    let key = TokenKey(identity.secret("tidelog 2026 QUIC stateless reset tokens"));
    let ids = identity.secret("tidelog 2026 QUIC connection ids");
    let ids = u64::from_le_bytes(ids.first_chunk().copied().unwrap_or_default());
    let mut config = EndpointConfig::new(Arc::new(key));
    config.cid_generator(move || -> Box<dyn ConnectionIdGenerator> {
        Box::new(HashedConnectionIdGenerator::from_key(ids))
    });
    config
}

struct TokenKey([u8; blake3::KEY_LEN]);

impl HmacKey for TokenKey {
    fn sign(&self, data: &[u8], out: &mut [u8]) {
        out.copy_from_slice(blake3::keyed_hash(&self.0, data).as_bytes());
    }

    fn signature_len(&self) -> usize {
        blake3::OUT_LEN
    }

    fn verify(&self, data: &[u8], signature: &[u8]) -> Result<(), CryptoError> {
        // Compared in constant time.
        let is_same = blake3::keyed_hash(&self.0, data) == *signature;
        if is_same { Ok(()) } else { Err(CryptoError) }
    }
}
