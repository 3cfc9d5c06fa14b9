//! The instance's encryption key: what the private keys in the database are sealed under. It comes from outside of the database.

use crate::{Refusal, entropy};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use jobpass_domain::Secret;
use jobpass_persistence::signing_key::SealedKey;
use std::fmt;
use uuid::Uuid;
use zeroize::Zeroizing;

const LENGTH: usize = 32;

/// 256 random bits.
#[derive(Clone)]
pub struct EncryptionKey(Zeroizing<[u8; LENGTH]>);

impl fmt::Debug for EncryptionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EncryptionKey(…)")
    }
}

impl EncryptionKey {
    pub fn generate() -> Result<EncryptionKey, Refusal> {
        Ok(EncryptionKey(Zeroizing::new(entropy::key()?)))
    }

    /// 32 bytes, as 64 hexadecimal digits or in base64; space around them does not count.
    pub fn parse(text: &str) -> Option<EncryptionKey> {
        let text = text.trim();
        let bytes =
            Zeroizing::new(if text.len() == 2 * LENGTH { from_hex(text)? } else { STANDARD.decode(text).ok()? });
        <[u8; LENGTH]>::try_from(bytes.as_slice()).ok().map(|bytes| EncryptionKey(Zeroizing::new(bytes)))
    }

    /// As `parse` reads it.
    pub fn text(&self) -> Secret {
        Secret::new(STANDARD.encode(*self.0))
    }

    /// Seals a private key under a new key of its own, and that one under this. `of`: what it is the key of; sealed for
    /// another it does not open.
    pub(crate) fn seal(&self, private: &[u8], of: &[u8]) -> Result<SealedKey, Refusal> {
        let data_key = EncryptionKey::generate()?;
        Ok(SealedKey { wrapped_key: self.encrypt(&*data_key.0, of)?, sealed: data_key.encrypt(private, of)? })
    }

    /// `None`: it was sealed under another key, or for something else.
    pub(crate) fn open(&self, sealed: &SealedKey, of: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let data_key = self.decrypt(&sealed.wrapped_key, of)?;
        let data_key = EncryptionKey(Zeroizing::new(data_key.as_slice().try_into().ok()?));
        data_key.decrypt(&sealed.sealed, of)
    }

    /// A key for another use: nobody can tell one from another, nor this one from any of them.
    pub(crate) fn derive(&self, usage: &str, of: Uuid) -> hmac::Key {
        let parent = hmac::Key::new(hmac::HMAC_SHA256, &*self.0);
        let derived = hmac::sign(&parent, &[usage.as_bytes(), of.as_bytes()].concat());
        hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
    }

    fn cipher(&self) -> ChaCha20Poly1305 {
        ChaCha20Poly1305::new(&Key::from(*self.0))
    }

    /// A random nonce, then the sealed bytes.
    fn encrypt(&self, plain: &[u8], of: &[u8]) -> Result<Vec<u8>, Refusal> {
        let nonce = entropy::nonce()?;
        let sealed = self.cipher().encrypt(&Nonce::from(nonce), Payload { msg: plain, aad: of });
        let sealed = sealed.map_err(|_| Refusal::Internal("could not seal a key".to_owned()))?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    fn decrypt(&self, kept: &[u8], of: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (nonce, sealed) = kept.split_first_chunk()?;
        let plain = self.cipher().decrypt(&Nonce::from(*nonce), Payload { msg: sealed, aad: of });
        plain.ok().map(Zeroizing::new)
    }
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    text.as_bytes().chunks(2).map(|pair| Some(digit(pair.first()?)? << 4 | digit(pair.get(1)?)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back() {
        let key = EncryptionKey::generate().unwrap();
        assert_eq!(EncryptionKey::parse(&format!(" {}\n", key.text().expose())).unwrap().0, key.0);
        let hex = "00ff".repeat(16);
        assert_eq!(EncryptionKey::parse(&hex).unwrap().0[..3], [0, 0xff, 0]);
        assert_eq!(EncryptionKey::parse(&hex.to_uppercase()).unwrap().0[..3], [0, 0xff, 0]);
        assert_eq!(format!("{key:?}"), "EncryptionKey(…)");
    }

    #[test]
    fn what_is_no_key() {
        for bad in ["", "secret", &"0".repeat(63), &"g".repeat(64), &"é".repeat(32), &STANDARD.encode([0; 31])] {
            assert!(EncryptionKey::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn only_what_was_sealed_under_it_for_this_opens() {
        let key = EncryptionKey::generate().unwrap();
        let sealed = key.seal(b"private", b"one").unwrap();
        assert_eq!(key.open(&sealed, b"one").unwrap().as_slice(), b"private");
        assert!(key.open(&sealed, b"two").is_none());
        assert!(EncryptionKey::generate().unwrap().open(&sealed, b"one").is_none());
        let mut changed = sealed.clone();
        changed.sealed[20] ^= 1;
        assert!(key.open(&changed, b"one").is_none());
        assert!(key.open(&SealedKey { wrapped_key: vec![1], sealed: vec![] }, b"one").is_none());
        // The same key sealed again is other bytes.
        assert_ne!(key.seal(b"private", b"one").unwrap(), sealed);
    }
}
