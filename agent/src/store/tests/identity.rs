//! The identity and the data key.

use crate::store::key::{
    KeyError, Keyring, create_or_open, data_key_path, identity_path, open_existing, recipient,
};
use age::secrecy::ExposeSecret as _;
use age::x25519::Identity;
use std::fs;
use std::str::FromStr as _;

/// Two sets of keys are the same if what one seals the other opens.
fn same(a: &crate::store::StoreKeys, b: &crate::store::StoreKeys) -> bool {
    a.open("t", b"k", &b.seal("t", b"k", b"value").unwrap()).is_ok()
}

#[test]
fn keys_are_made_once_and_opened_afterwards() {
    let home = tempfile::tempdir().unwrap();
    assert!(matches!(open_existing(home.path()), Err(KeyError::NotCreated { .. })));
    let made = create_or_open(home.path(), None).unwrap();
    let files =
        || (fs::read(identity_path(home.path())).unwrap(), fs::read(data_key_path(home.path())).unwrap());
    let before = files();
    assert!(same(&made, &create_or_open(home.path(), None).unwrap()));
    assert!(same(&made, &open_existing(home.path()).unwrap()));
    assert_eq!(files(), before);
    assert!(recipient(home.path()).unwrap().starts_with("age1"));
    let left: Vec<_> = fs::read_dir(home.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[test]
fn an_identity_that_others_can_read_is_refused_with_the_command_that_mends_it() {
    let home = tempfile::tempdir().unwrap();
    create_or_open(home.path(), None).unwrap();
    let path = identity_path(home.path());
    for mode in crate::service::private_files::tests::set_exposed_modes(&path) {
        let refused = create_or_open(home.path(), None).unwrap_err();
        let text = refused.to_string();
        assert!(matches!(refused, KeyError::Exposed { .. }), "{mode}: {text}");
        assert!(text.contains("chmod 600") && text.contains("identity.age-key"), "{text}");
        assert!(matches!(open_existing(home.path()), Err(KeyError::Exposed { .. })));
    }
}

#[test]
fn the_recovery_key_opens_the_data_key() {
    let home = tempfile::tempdir().unwrap();
    let recovery = Identity::generate();
    let keys = create_or_open(home.path(), Some(&recovery.to_public().to_string())).unwrap();
    let opened = age::decrypt(&recovery, &fs::read(data_key_path(home.path())).unwrap()).unwrap();
    let from_recovery = crate::store::StoreKeys::from_data_key(opened.as_slice().try_into().unwrap());
    assert!(same(&keys, &from_recovery));
    // A recovery key can also stand in for a lost identity.
    let text = recovery.to_string().expose_secret().to_owned();
    fs::remove_file(identity_path(home.path())).unwrap();
    crate::service::private_files::write_private(&identity_path(home.path()), text.as_bytes(), false)
        .unwrap();
    assert!(same(&keys, &open_existing(home.path()).unwrap()));
}

#[test]
fn a_mistyped_recovery_recipient_makes_nothing() {
    let home = tempfile::tempdir().unwrap();
    assert!(matches!(create_or_open(home.path(), Some("age1nonsense")), Err(KeyError::NotARecipient)));
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn a_missing_key_file_beside_a_store_is_an_error_and_nothing_is_made() {
    let home = tempfile::tempdir().unwrap();
    let keys = create_or_open(home.path(), None).unwrap();
    let store_dir = crate::store::dir_of(home.path());
    super::samples::open_with_keys(&store_dir, keys).close();
    let (identity, data_key) = (identity_path(home.path()), data_key_path(home.path()));
    let away = home.path().join("away");

    fs::rename(&identity, &away).unwrap();
    assert!(matches!(create_or_open(home.path(), None), Err(KeyError::IdentityMissing { .. })));
    assert!(matches!(open_existing(home.path()), Err(KeyError::IdentityMissing { .. })));
    assert!(!identity.exists());
    fs::rename(&away, &identity).unwrap();

    fs::rename(&data_key, &away).unwrap();
    assert!(matches!(create_or_open(home.path(), None), Err(KeyError::DataKeyMissing { .. })));
    assert!(!data_key.exists());
    fs::rename(&identity, home.path().join("away-too")).unwrap();
    assert!(matches!(create_or_open(home.path(), None), Err(KeyError::IdentityMissing { .. })));
}

#[test]
fn another_identity_or_a_damaged_data_key_is_a_named_error() {
    let home = tempfile::tempdir().unwrap();
    create_or_open(home.path(), None).unwrap();
    let path = data_key_path(home.path());
    let good = fs::read(&path).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(&path, &bad).unwrap();
    assert!(matches!(create_or_open(home.path(), None), Err(KeyError::Unwrap { .. })));
    fs::write(&path, &good).unwrap();
    let identity = identity_path(home.path());
    fs::write(&identity, Identity::generate().to_string().expose_secret()).unwrap();
    assert!(matches!(create_or_open(home.path(), None), Err(KeyError::Unwrap { .. })));
    fs::write(&identity, "no key here").unwrap();
    let refused = create_or_open(home.path(), None).unwrap_err();
    assert!(matches!(refused, KeyError::NotAnIdentity { .. }));
    assert!(!refused.to_string().contains("no key here"));
}

#[test]
fn a_service_manager_credential_is_preferred_to_the_file() {
    let (home, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let identity = Identity::generate();
    let credential = credentials.path().join("purser-identity");
    fs::write(&credential, identity.to_string().expose_secret()).unwrap();
    let ring = Keyring::new(home.path(), Some(credentials.path().to_owned()));
    let keys = ring.create_or_open(None).unwrap();
    assert!(!identity_path(home.path()).exists());
    assert!(same(&keys, &ring.create_or_open(None).unwrap()));
    let wrapped = fs::read(data_key_path(home.path())).unwrap();
    assert!(age::decrypt(&identity, &wrapped).is_ok());
    assert!(Identity::from_str(identity.to_string().expose_secret()).is_ok());
}
