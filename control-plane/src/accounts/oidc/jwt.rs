//! ID tokens: reading, and believing them. Only RS256 and ES256 are known, only by keys that the provider publishes,
//! and nothing in the token chooses how it is checked beyond naming one of those keys.

use crate::accounts::compare::equal;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{
    ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey,
};
use serde::Deserialize;

/// How far the provider's clock may be from ours, in seconds.
const LEEWAY: i64 = 60;
/// How old a token may be, in seconds: it was made for this login.
const OLDEST: i64 = 10 * 60;
/// Largest token.
const LARGEST: usize = 16 << 10;

/// Why an ID token is not believed. The words name the check and never the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Disbelief {
    /// No token at all.
    #[error("the ID token cannot be read")]
    Malformed,
    /// `none`, or a method that is not offered.
    #[error("the ID token is not signed with RS256 or ES256")]
    Algorithm,
    /// None of the published keys.
    #[error("the ID token is signed with a key that the provider does not publish")]
    UnknownKey,
    /// The signature is of something else.
    #[error("the signature of the ID token is wrong")]
    Signature,
    /// Another provider.
    #[error("the ID token is of another issuer")]
    Issuer,
    /// For another application.
    #[error("the ID token is for another client")]
    Audience,
    /// Too late, too early, too old.
    #[error("the ID token is not of this moment; compare the clocks of both servers")]
    Time,
    /// Of another login.
    #[error("the ID token belongs to another login")]
    Nonce,
    /// Nobody in it.
    #[error("the ID token names nobody")]
    Subject,
}

/// The published keys.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Jwks {
    keys: Vec<Jwk>,
}

#[derive(Clone, Debug, Deserialize)]
struct Jwk {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    purpose: Option<String>,
    #[serde(default)]
    alg: Option<String>,
    #[serde(default)]
    crv: String,
    #[serde(default)]
    n: String,
    #[serde(default)]
    e: String,
    #[serde(default)]
    x: String,
    #[serde(default)]
    y: String,
}

/// What a token must say.
#[derive(Clone, Copy, Debug)]
pub struct Expected<'a> {
    /// The provider.
    pub issuer: &'a str,
    /// Us.
    pub client: &'a str,
    /// This login.
    pub nonce: &'a str,
    /// Now, in milliseconds.
    pub now: i64,
}

/// Who the provider says it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The provider's id of the person; never given to another one.
    pub subject: String,
    /// The address, if the provider says that it has verified it.
    pub verified_email: Option<String>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default)]
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    #[serde(default)]
    azp: Option<String>,
    exp: f64,
    iat: f64,
    #[serde(default)]
    nbf: Option<f64>,
    #[serde(default)]
    nonce: String,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: serde_json::Value,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Several(Vec<String>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Algorithm {
    Rs256,
    Es256,
}

/// Believes a token, or says why not.
///
/// # Errors
/// [`Disbelief`].
pub fn believe(token: &str, keys: &Jwks, expected: Expected<'_>) -> Result<Identity, Disbelief> {
    let payload = verified(token, keys)?;
    let claims: Claims = serde_json::from_slice(&payload).map_err(|_| Disbelief::Malformed)?;
    judge(&claims, expected)?;
    let proven = claims.email_verified == true || claims.email_verified == "true";
    Ok(Identity { subject: claims.sub, verified_email: claims.email.filter(|_| proven) })
}

/// Whether the keys lack the one that the token names, so that reading them again may help.
pub fn names_unknown_key(token: &str, keys: &Jwks) -> bool {
    let header = token.split('.').next().and_then(|part| decoded(part).ok());
    let header: Option<Header> = header.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    header
        .and_then(|header| header.kid)
        .is_some_and(|kid| keys.keys.iter().all(|key| key.kid.as_deref() != Some(&kid)))
}

/// The payload of a token whose signature is right.
fn verified(token: &str, keys: &Jwks) -> Result<Vec<u8>, Disbelief> {
    if token.len() > LARGEST {
        return Err(Disbelief::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(Disbelief::Malformed)?;
    let (header, payload) = signed.split_once('.').ok_or(Disbelief::Malformed)?;
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| Disbelief::Malformed)?;
    let algorithm = match header.alg.as_str() {
        "RS256" => Algorithm::Rs256,
        "ES256" => Algorithm::Es256,
        _ => return Err(Disbelief::Algorithm),
    };
    if header.crit.is_some() {
        return Err(Disbelief::Algorithm);
    }
    let signature = decoded(signature)?;
    let fitting = keys.keys.iter().filter(|key| key.fits(algorithm, header.kid.as_deref()));
    let mut tried = false;
    for key in fitting {
        tried = true;
        if key.has_signed(algorithm, signed.as_bytes(), &signature) {
            return decoded(payload);
        }
    }
    Err(if tried { Disbelief::Signature } else { Disbelief::UnknownKey })
}

fn judge(claims: &Claims, expected: Expected<'_>) -> Result<(), Disbelief> {
    if claims.iss != expected.issuer {
        return Err(Disbelief::Issuer);
    }
    let (for_us, alone) = match &claims.aud {
        Audience::One(one) => (one == expected.client, true),
        Audience::Several(several) => (several.iter().any(|one| one == expected.client), several.len() == 1),
    };
    let party = claims.azp.as_deref().map_or(alone, |party| party == expected.client);
    if !for_us || !party {
        return Err(Disbelief::Audience);
    }
    let now = expected.now as f64 / 1000.0;
    let leeway = LEEWAY as f64;
    let timely = claims.exp > now - leeway
        && claims.iat <= now + leeway
        && claims.iat > now - leeway - OLDEST as f64
        && claims.nbf.is_none_or(|from| from <= now + leeway);
    if !timely {
        return Err(Disbelief::Time);
    }
    if expected.nonce.is_empty() || !equal(claims.nonce.as_bytes(), expected.nonce.as_bytes()) {
        return Err(Disbelief::Nonce);
    }
    if claims.sub.is_empty() || claims.sub.len() > 255 {
        return Err(Disbelief::Subject);
    }
    Ok(())
}

impl Jwk {
    fn fits(&self, algorithm: Algorithm, kid: Option<&str>) -> bool {
        let (kty, alg) = match algorithm {
            Algorithm::Rs256 => ("RSA", "RS256"),
            Algorithm::Es256 => ("EC", "ES256"),
        };
        self.kty == kty
            && self.alg.as_deref().is_none_or(|own| own == alg)
            && self.purpose.as_deref().is_none_or(|purpose| purpose == "sig")
            && kid.is_none_or(|kid| self.kid.as_deref() == Some(kid))
    }

    fn has_signed(&self, algorithm: Algorithm, message: &[u8], signature: &[u8]) -> bool {
        let verified = match algorithm {
            Algorithm::Rs256 => decoded(&self.n).and_then(|n| {
                let components = RsaPublicKeyComponents { n: without_zeros(&n), e: &decoded(&self.e)? };
                let verified = components.verify(&RSA_PKCS1_2048_8192_SHA256, message, signature);
                verified.map_err(|_| Disbelief::Signature)
            }),
            Algorithm::Es256 => self.point().and_then(|point| {
                let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
                key.verify(message, signature).map_err(|_| Disbelief::Signature)
            }),
        };
        verified.is_ok()
    }

    fn point(&self) -> Result<Vec<u8>, Disbelief> {
        let (x, y) = (decoded(&self.x)?, decoded(&self.y)?);
        if self.crv != "P-256" || x.len() != 32 || y.len() != 32 {
            return Err(Disbelief::UnknownKey);
        }
        Ok([&[4], &x[..], &y[..]].concat())
    }
}

fn without_zeros(mut number: &[u8]) -> &[u8] {
    while let [0, rest @ ..] = number {
        number = rest;
    }
    number
}

fn decoded(part: &str) -> Result<Vec<u8>, Disbelief> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Disbelief::Malformed)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ring::rand::SystemRandom;
    use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
    use serde_json::{Value, json};

    const NOW: i64 = 1_800_000_000_000;

    /// A key of a provider that tests make.
    pub(crate) struct Signer(EcdsaKeyPair);

    impl Signer {
        pub(crate) fn new() -> Self {
            let random = SystemRandom::new();
            let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
            Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).unwrap())
        }

        pub(crate) fn jwk(&self, kid: &str) -> Value {
            let point = self.0.public_key().as_ref();
            let (x, y) = (URL_SAFE_NO_PAD.encode(&point[1..33]), URL_SAFE_NO_PAD.encode(&point[33..]));
            json!({ "kty": "EC", "crv": "P-256", "kid": kid, "use": "sig", "alg": "ES256", "x": x, "y": y })
        }

        pub(crate) fn token(&self, header: &Value, claims: &Value) -> String {
            let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
            let signed = format!("{}.{}", part(header), part(claims));
            let signature = self.0.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
            format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature.as_ref()))
        }
    }

    fn claims() -> Value {
        let now = NOW / 1000;
        json!({
            "iss": "https://id.example.test", "sub": "7", "aud": "purser", "exp": now + 300, "iat": now,
            "nonce": "n", "email": "dora@example.test", "email_verified": true,
        })
    }

    fn expected() -> Expected<'static> {
        Expected { issuer: "https://id.example.test", client: "purser", nonce: "n", now: NOW }
    }

    fn keys(of: &Signer) -> Jwks {
        serde_json::from_value(json!({ "keys": [of.jwk("k1")] })).unwrap()
    }

    fn with(change: Value) -> Value {
        let mut claims = claims();
        claims.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        claims
    }

    #[test]
    fn a_right_token_is_believed() {
        let signer = Signer::new();
        let believed = |claims: &Value| {
            let token = signer.token(&json!({ "alg": "ES256", "kid": "k1" }), claims);
            believe(&token, &keys(&signer), expected()).unwrap()
        };
        let email = Some("dora@example.test".to_owned());
        assert_eq!(believed(&claims()), Identity { subject: "7".into(), verified_email: email });
        assert_eq!(believed(&with(json!({ "email_verified": false }))).verified_email, None);
        assert_eq!(believed(&with(json!({ "email_verified": null }))).verified_email, None);
        believed(&with(json!({ "aud": ["purser"] })));
        believed(&with(json!({ "aud": ["purser", "other"], "azp": "purser" })));
    }

    #[test]
    fn what_was_made_for_another_login_is_not_believed() {
        let signer = Signer::new();
        let now = NOW / 1000;
        for (change, why) in [
            (json!({ "iss": "https://evil.example.test" }), Disbelief::Issuer),
            (json!({ "aud": "other" }), Disbelief::Audience),
            (json!({ "aud": [] }), Disbelief::Audience),
            (json!({ "aud": ["purser", "other"] }), Disbelief::Audience),
            (json!({ "azp": "other" }), Disbelief::Audience),
            (json!({ "exp": now - 61 }), Disbelief::Time),
            (json!({ "iat": now + 61 }), Disbelief::Time),
            (json!({ "iat": now - 3600 }), Disbelief::Time),
            (json!({ "nbf": now + 61 }), Disbelief::Time),
            (json!({ "nonce": "m" }), Disbelief::Nonce),
            (json!({ "nonce": "" }), Disbelief::Nonce),
            (json!({ "sub": "" }), Disbelief::Subject),
            (json!({ "exp": "soon" }), Disbelief::Malformed),
        ] {
            let token = signer.token(&json!({ "alg": "ES256", "kid": "k1" }), &with(change.clone()));
            assert_eq!(believe(&token, &keys(&signer), expected()), Err(why), "{change}");
        }
    }

    #[test]
    fn the_token_does_not_choose_how_it_is_checked() {
        let (signer, stranger) = (Signer::new(), Signer::new());
        for (header, why) in [
            (json!({ "alg": "none" }), Disbelief::Algorithm),
            (json!({ "alg": "None", "kid": "k1" }), Disbelief::Algorithm),
            (json!({ "alg": "HS256", "kid": "k1" }), Disbelief::Algorithm),
            (json!({ "alg": "RS256", "kid": "k1" }), Disbelief::UnknownKey),
            (json!({ "alg": "ES256", "kid": "k2" }), Disbelief::UnknownKey),
            (json!({ "alg": "ES256", "kid": "k1", "crit": ["b64"], "b64": false }), Disbelief::Algorithm),
        ] {
            let token = signer.token(&header, &claims());
            assert_eq!(believe(&token, &keys(&signer), expected()), Err(why), "{header}");
        }
        let header = json!({ "alg": "ES256", "kid": "k1", "jwk": stranger.jwk("k1") });
        let foreign = stranger.token(&header, &claims());
        assert_eq!(believe(&foreign, &keys(&signer), expected()), Err(Disbelief::Signature));
        let right = signer.token(&json!({ "alg": "ES256", "kid": "k1" }), &claims());
        let (signed, _) = right.rsplit_once('.').unwrap();
        assert_eq!(believe(&format!("{signed}."), &keys(&signer), expected()), Err(Disbelief::Signature));
        for broken in ["", ".", "..", "a.b", "a.b.c", signed] {
            assert!(believe(broken, &keys(&signer), expected()).is_err(), "{broken}");
        }
        assert!(names_unknown_key(
            &signer.token(&json!({ "alg": "ES256", "kid": "k2" }), &claims()),
            &keys(&signer)
        ));
        assert!(!names_unknown_key(&right, &keys(&signer)));
    }

    #[test]
    fn signatures_of_the_rfc_are_verified() {
        // RFC 7515, appendices A.2 (RS256) and A.3 (ES256).
        let keys: Jwks = serde_json::from_value(json!({ "keys": [
            { "kty": "RSA", "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ", "e": "AQAB" },
            { "kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" },
        ] })).unwrap();
        let payload =
            "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let rs = format!(
            "eyJhbGciOiJSUzI1NiJ9.{payload}.cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw"
        );
        let es = format!(
            "eyJhbGciOiJFUzI1NiJ9.{payload}.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"
        );
        for token in [rs, es] {
            assert!(verified(&token, &keys).unwrap().starts_with(br#"{"iss":"joe""#));
            let forged = token.replacen(payload, &URL_SAFE_NO_PAD.encode(r#"{"iss":"eve"}"#), 1);
            assert_eq!(verified(&forged, &keys), Err(Disbelief::Signature));
        }
    }
}
