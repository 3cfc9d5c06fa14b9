//! What is signed here (RFC 7515, section 3.1).

use crate::Refusal;
use crate::keys::KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jobpass_domain::Secret;
use serde_json::Value;

pub(crate) fn sign(pair: &KeyPair, head: &Value, claims: &Value) -> Result<Secret, Refusal> {
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let mut jwt = format!("{}.{}", encode(head), encode(claims));
    let signature = pair.sign(jwt.as_bytes())?;
    jwt.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut jwt);
    Ok(Secret::new(jwt))
}
