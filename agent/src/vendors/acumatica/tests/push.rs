//! Push notifications: who sent them, what they hint at.

use super::super::webhook::{PushKind, PushRefused, header, hint as hint_of, read, verify};
use super::*;
use crate::vendors::webhook::{Delivery, Secrets};

/// Sheet item: Acumatica 25
#[test]
fn only_the_shared_secret_opens() {
    let origins = [crate::secret::Origin::parse("https://erp.example.test").unwrap()];
    let fields = [("webhook_secret".to_owned(), "s3cret".into())].into();
    let secrets = Secrets::of(&crate::secret::Credential::new("erp", fields, origins.into()));
    let sent = |name: &str, value: &str| {
        let headers = vec![(name.to_owned(), value.to_owned())];
        let delivery = Delivery { received_at: Default::default(), headers, body: Vec::new() };
        verify(&delivery, &secrets, &serde_json::Map::new()).map_err(|refusal| refusal.code())
    };
    assert!(sent("x-purser-secret", "s3cret").is_ok());
    for wrong in ["s3cre", "S3CRET", "s3cret "] {
        assert_eq!(sent("X-Purser-Secret", wrong), Err("wrong-secret"), "{wrong:?}");
    }
    assert_eq!(sent("X-Purser-Secret", ""), Err("missing-header"));
    assert_eq!(sent("X-Other", "s3cret"), Err("missing-header"));
    assert_eq!(header(&settings(json!({}))), "X-Purser-Secret");
    assert_eq!(header(&settings(json!({ "webhook_header": "X-Acu" }))), "X-Acu");
}

/// Sheet item: Acumatica 25
#[test]
fn a_notification_is_a_hint_with_keys_kinds_and_an_order() {
    let body = br#"{"Inserted":[{"AccountCD":"61000 ","Active":true,"Account_lastModifiedDateTime":"2026-01-31T15:16:23.1"},
            {"AccountCD":"62000","Active":null}],
        "Deleted":[{"AccountCD":"61000"},{"Account_accountCD":"63000"}],"Query":"ML-Accounts","CompanyId":"MYCO",
        "Id":"1af4d140-5321-41f2-a2ec-50b67f577c6c","TimeStamp":636295833829493672,"AdditionalInfo":{}}"#;
    let hint = read(body).unwrap();
    assert_eq!((hint.company.as_str(), hint.query.as_str()), ("MYCO", "ML-Accounts"));
    assert_eq!(hint.ordinal, 636_295_833_829_493_672, "larger than a double can hold");
    let kinds: Vec<_> = hint.records.iter().map(|(key, kind)| (key.as_str(), *kind)).collect();
    assert_eq!(
        kinds,
        [("61000", PushKind::Changed), ("62000", PushKind::Added), ("63000", PushKind::Removed)]
    );
    let common = hint_of(body).unwrap();
    assert_eq!(common.id.as_deref(), Some("ML-Accounts/1af4d140-5321-41f2-a2ec-50b67f577c6c"));
    assert_eq!((common.records.len(), common.wake, common.company.as_deref()), (3, true, Some("MYCO")));
    assert_eq!(hint, read(body).unwrap(), "the same again: told apart by query and id");
    let later = String::from_utf8_lossy(body).replace("672", "673");
    assert!(read(later.as_bytes()).unwrap().ordinal > hint.ordinal);
    for broken in [
        &b"{}"[..],
        b"",
        b"[]",
        b"{\"Query\":\"\",\"Id\":\"\"}",
        b"{\"Query\":\"q\",\"Id\":\"i\",\"TimeStamp\":1e99}",
    ] {
        assert_eq!(read(broken), Err(PushRefused::Malformed));
    }
    let many: Vec<Value> = (0..5000).map(|n| json!({ "VendorID": n.to_string() })).collect();
    let many = json!({ "Inserted": many, "Query": "q", "Id": "i" }).to_string();
    assert_eq!(read(many.as_bytes()).unwrap().records.len(), 200);
}
