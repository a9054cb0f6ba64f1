//! How a job is authorised: user id and secret stand inside every job description; there is no token to refresh.
//! Rotation is a new pair made in the vendor's portal and stored with `purser secrets set`.

use crate::secret::{Credential, Encoding, SecretText};
use serde_json::{Map, Value};
use spend::posting::{Failure, FailureClass};

/// The fields a credential of this vendor has, as the portal calls them.
pub const CREDENTIAL_FIELDS: &[&str] = &["partner_user_id", "partner_user_secret"];

/// What a person does about a refused credential.
pub(super) fn how_to_mend(secret: &str) -> String {
    format!(
        "make a new pair at https://www.expensify.com/tools/integrations/ and store both parts of `{secret}` with \
         `purser secrets set {secret}`"
    )
}

/// A job description with the credential in it.
///
/// # Errors
/// `Unauthorised` when the stored credential lacks a field.
pub(super) fn authorised(credential: &Credential, job: Map<String, Value>) -> Result<SecretText, Failure> {
    let field = |name: &str| {
        credential.get(name).ok_or_else(|| {
            let mend = how_to_mend(&credential.name);
            Failure::new(
                FailureClass::Unauthorised,
                format!("the secret `{}` has no field `{name}`: {mend}", credential.name),
            )
        })
    };
    let [id, secret] = [field("partner_user_id")?, field("partner_user_secret")?];
    // A JSON object's text begins with a brace; the credential is put right behind it.
    let rest = Value::Object(job).to_string();
    Ok(SecretText::plain(r#"{"credentials":{"partnerUserID":""#)
        .with(id, Encoding::Json)
        .text(r#"","partnerUserSecret":""#)
        .with(secret, Encoding::Json)
        .text(format!(r#""}},{}"#, &rest[1..])))
}
