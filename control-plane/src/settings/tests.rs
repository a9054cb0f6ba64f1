//! Layers, findings, and that no secret is ever shown.

use super::*;
use std::collections::BTreeMap;
use std::path::Path;

fn nowhere() -> PathBuf {
    PathBuf::from("/nowhere/purser-control.toml")
}

fn findings(layers: Layers) -> BTreeMap<String, String> {
    let error = Settings::read(layers).unwrap_err();
    error.0.iter().map(|finding| (finding.path.clone(), finding.to_string())).collect()
}

fn environment<'a>(pairs: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| pairs.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
}

#[test]
fn the_defaults_serve_on_loopback_from_a_file() {
    let settings = Settings::defaults();
    assert_eq!(settings.database.shown(), "sqlite:control.db");
    assert!(settings.server.listen.ip().is_loopback());
    assert!(settings.tls.is_none() && settings.mail.is_none() && settings.metrics.listen.is_none());
    assert!(!settings.alerts.private_destinations && !settings.alerts.http_to_loopback);
}

#[test]
fn a_flag_is_stronger_than_the_environment_and_that_than_the_file() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\nworkers = 1\n[limits]\nheader_bytes = 4096\n";
    let layers = || {
        Layers::default().file(&nowhere(), file).environment(environment(&[
            ("PURSER_CONTROL_LISTEN", "127.0.0.1:2"),
            ("PURSER_CONTROL_WORKERS", "2"),
            ("PURSER_CONTROL_PORT", "tcp://10.0.0.1:80"),
        ]))
    };
    let settings = Settings::read(layers()).unwrap();
    assert_eq!((settings.server.listen.port(), settings.server.workers), (2, 2));
    assert_eq!(settings.limits.header_bytes, 4096);
    let settings = Settings::read(layers().flags([("server.listen", "127.0.0.1:3".to_owned())])).unwrap();
    assert_eq!((settings.server.listen.port(), settings.server.workers), (3, 2));
}

#[test]
fn every_fault_is_found_at_once_with_its_path() {
    let file = r#"
        top = 1
        [server]
        listen = "localhost"
        workers = 1000
        public_url = "ftp://host"
        lisen = "x"
        [tls]
        certificate = "cert.pem"
        [proxy]
        trusted = ["10.0.0.0/8", "10.1.2.3/8", "proxy"]
        [limits]
        header_bytes = "many"
        [log]
        format = "xml"
        [mail]
        host = "mail.example.test"
        security = "none"
        username = "u"
        [alerts]
        private_destinations = "yes"
    "#;
    let found = findings(Layers::default().file(&nowhere(), file));
    for path in [
        "top",
        "server.listen",
        "server.workers",
        "server.public_url",
        "server.lisen",
        "tls.key",
        "proxy.trusted[1]",
        "proxy.trusted[2]",
        "limits.header_bytes",
        "log.format",
        "mail.security",
        "mail.from",
        "mail.password",
        "alerts.private_destinations",
    ] {
        assert!(found.contains_key(path), "{path} in {found:#?}");
    }
    assert_eq!(found.len(), 14, "{found:#?}");
    assert!(found["server.lisen"].contains("did you mean `server.listen`?"));
}

#[test]
fn a_text_that_is_no_toml_is_found_with_its_line() {
    let error = Settings::read(Layers::default().file(&nowhere(), "[server]\nlisten = \n")).unwrap_err();
    assert_eq!(error.0[0].line, Some(2), "{error}");
}

#[test]
fn a_variable_that_is_wrong_is_named() {
    let found =
        findings(Layers::default().environment(environment(&[("PURSER_CONTROL_MAIL_PORT", "70000")])));
    assert!(found["mail.port"].contains("PURSER_CONTROL_MAIL_PORT"), "{found:?}");
}

#[test]
fn a_secret_comes_from_its_file_or_the_environment_and_is_never_shown() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "canary-token-of-a-file\n").unwrap();
    let file = "[metrics]\ntoken_file = \"token\"\n[database]\nurl = \"postgres://purser@db/purser\"\n";
    let layers = Layers::default()
        .file(&folder.path().join("purser-control.toml"), file)
        .environment(environment(&[("PURSER_CONTROL_DATABASE_PASSWORD", "canary p@ss/word")]));
    let shown = format!("{layers:?}");
    let settings = Settings::read(layers).unwrap();
    assert_eq!(settings.metrics.token.as_ref().unwrap().expose_secret(), "canary-token-of-a-file");
    let url = settings.database.url.expose_secret();
    assert_eq!(url, "postgres://purser:canary%20p%40ss%2Fword@db/purser");
    assert_eq!(settings.database.shown(), "postgres://purser@db/purser");
    assert!(!format!("{shown}{settings:?}").contains("canary"), "{settings:?}");
}

#[test]
fn secrets_in_the_wrong_place_are_refused_without_being_repeated() {
    let file = "[mail]\npassword = \"canary-1\"\n[database]\nurl = \"postgres://u:canary-2@h/d\"\n";
    let layers = Layers::default()
        .file(Path::new("purser-control.toml"), file)
        .flags([("metrics.token", "canary-3".to_owned())])
        .environment(environment(&[("PURSER_CONTROL_ALERTS_KEY", "canary-4")]));
    let shown = format!("{layers:?}");
    let error = Settings::read(layers).unwrap_err();
    let paths: Vec<_> = error.0.iter().map(|finding| finding.path.as_str()).collect();
    assert_eq!(paths, ["mail.password", "metrics.token", "database.url", "alerts.key"]);
    assert!(!format!("{shown}{error}{error:?}").contains("canary"), "{error}");
}

#[test]
fn a_password_within_the_address_is_taken_from_the_environment() {
    let given = [("PURSER_CONTROL_DATABASE", "postgres://u:canary-9@h/d")];
    let settings = Settings::read(Layers::default().environment(environment(&given))).unwrap();
    assert_eq!(settings.database.url.expose_secret(), given[0].1);
    assert_eq!(settings.database.shown(), "postgres://u@h/d");
}

#[test]
fn a_secret_file_that_is_missing_or_empty_is_found() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty"), "\n").unwrap();
    let file = "[metrics]\ntoken_file = \"empty\"\n[alerts]\nkey_file = \"missing\"\n";
    let found = findings(Layers::default().file(&folder.path().join("x.toml"), file));
    assert!(found["metrics.token_file"].contains("is empty"), "{found:?}");
    assert!(found["alerts.key_file"].contains("cannot be read"), "{found:?}");
}

#[test]
fn mail_goes_in_the_clear_to_loopback_only() {
    let mail = |host: &str| {
        let text = format!("[mail]\nhost = \"{host}\"\nsecurity = \"none\"\nfrom = \"p@example.test\"\n");
        Settings::read(Layers::default().file(&nowhere(), &text))
    };
    for host in ["localhost", "127.0.0.1", "::1"] {
        assert_eq!(mail(host).unwrap().mail.unwrap().port, 25, "{host}");
    }
    assert!(mail("10.0.0.1").is_err());
}
