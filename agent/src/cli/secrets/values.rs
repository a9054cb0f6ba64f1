//! The values of a secret: asked for on a terminal, else read from standard input. No error repeats a value.

use crate::cli::Usage;
use anyhow::{Context as _, Result};
use purser_proto::suggest::nearest;
use secrecy::SecretString;
use std::collections::BTreeMap;
use std::io::{ErrorKind, Read};
use zeroize::{Zeroize, Zeroizing};

/// Fields with their values.
pub(in crate::cli) type Fields = BTreeMap<String, SecretString>;

/// Longest input: no secret is longer.
const LONGEST: u64 = 256 * 1024;

/// Refuses a field that the kind does not have.
pub(in crate::cli) fn known(field: &str, kind: &str, known: &[&str]) -> Result<()> {
    if known.contains(&field) {
        return Ok(());
    }
    let near = nearest(field, known.iter().copied())
        .map(|near| format!("did you mean `{near}`? "))
        .unwrap_or_default();
    Err(Usage(format!("a secret of kind {kind} has no field `{field}`; {near}it has: {}", known.join(", ")))
        .into())
}

/// Asks for each field; what is left empty is left out.
pub(in crate::cli) fn ask(known: &[&str], wanted: &[String]) -> Result<Fields> {
    let mut fields = Fields::new();
    let asked: Vec<&str> =
        if wanted.is_empty() { known.to_vec() } else { wanted.iter().map(String::as_str).collect() };
    for name in asked {
        let hint = if wanted.is_empty() { " (empty = none)" } else { "" };
        let mut value =
            rpassword::prompt_password(format!("{name}{hint}: ")).context("the prompt cannot be shown")?;
        if !value.is_empty() {
            fields.insert(name.to_owned(), SecretString::from(value.as_str()));
        }
        value.zeroize();
    }
    complete(fields, wanted)
}

/// Reads lines `field=value`, or one JSON object of texts.
pub(in crate::cli) fn read(
    input: impl Read,
    kind: &str,
    known_fields: &[&str],
    wanted: &[String],
) -> Result<Fields> {
    let mut text = Zeroizing::new(String::new());
    let mut bounded = input.take(LONGEST + 1);
    bounded.read_to_string(&mut text).map_err(|error| match error.kind() {
        // Its own words could repeat a value.
        ErrorKind::InvalidData => anyhow::Error::from(Usage("the input is not UTF-8 text".to_owned())),
        _ => anyhow::Error::from(error).context("the input cannot be read"),
    })?;
    if text.len() as u64 > LONGEST {
        return Err(Usage(format!("the input is longer than {LONGEST} bytes")).into());
    }
    let given = if text.trim_start().starts_with('{') { json(&text)? } else { lines(&text)? };
    let mut fields = Fields::new();
    for Given { place, name, value } in given {
        let Some(name) = known_fields.iter().find(|known| **known == name) else {
            return Err(Usage(stranger(&place, &name, kind, known_fields)).into());
        };
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            return Err(Usage(format!("{place} of the input gives `{name}`, which no --field names")).into());
        }
        if value.is_empty() {
            return Err(Usage(format!("field `{name}` has no value")).into());
        }
        if fields.insert((*name).to_owned(), SecretString::from(value.as_str())).is_some() {
            return Err(Usage(format!("{place} of the input gives `{name}` a second time")).into());
        }
    }
    complete(fields, wanted)
}

/// A field as it was given. Its name may be a value that was put in the wrong place.
struct Given {
    place: String,
    name: String,
    value: Zeroizing<String>,
}

fn stranger(place: &str, name: &str, kind: &str, known: &[&str]) -> String {
    let near = nearest(name, known.iter().copied())
        .map(|near| format!("did you mean `{near}`? "))
        .unwrap_or_default();
    format!("{place} of the input gives no field of kind {kind}; {near}it has: {}", known.join(", "))
}

fn json(text: &str) -> Result<Vec<Given>> {
    // The parser's own words could repeat a value.
    let wrong = |_| Usage("the input begins like JSON and is not one object of texts".to_owned());
    let values: BTreeMap<String, String> = serde_json::from_str(text).map_err(wrong)?;
    let given = values.into_iter().enumerate().map(|(at, (name, value))| Given {
        place: format!("member {}", at + 1),
        name,
        value: Zeroizing::new(value),
    });
    Ok(given.collect())
}

fn lines(text: &str) -> Result<Vec<Given>> {
    let mut given = Vec::new();
    for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let place = format!("line {}", at + 1);
        let Some((name, value)) = line.split_once('=') else {
            return Err(Usage(format!("{place} of the input is not `field=value`")).into());
        };
        given.push(Given { place, name: name.trim().to_owned(), value: Zeroizing::new(value.to_owned()) });
    }
    Ok(given)
}

fn complete(fields: Fields, wanted: &[String]) -> Result<Fields> {
    if let Some(missing) = wanted.iter().find(|name| !fields.contains_key(*name)) {
        return Err(Usage(format!("field `{missing}` has no value")).into());
    }
    if fields.is_empty() {
        return Err(
            Usage("no value was given; write lines `field=value` to standard input".to_owned()).into()
        );
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret as _;

    const KNOWN: &[&str] = &["api_key", "password", "user"];

    fn parsed(input: &str, wanted: &[&str]) -> Result<Vec<(String, String)>, String> {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        let fields =
            read(input.as_bytes(), "epicor", KNOWN, &wanted).map_err(|error| format!("{error:#}"))?;
        Ok(fields.into_iter().map(|(name, value)| (name, value.expose_secret().to_owned())).collect())
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn lines_and_json_give_the_same_fields() {
        let wanted = pairs(&[("password", " p=w "), ("user", "ann")]);
        assert_eq!(parsed("user=ann\r\npassword= p=w \n\n", &[]).unwrap(), wanted);
        assert_eq!(
            parsed(r#" {"user": "ann", "password": " p=w "}"#, &["user", "password"]).unwrap(),
            wanted
        );
    }

    #[test]
    fn no_refusal_repeats_a_value() {
        let canary = "CANARY-quince";
        let table = [
            (format!("pasword={canary}"), "did you mean `password`?"),
            (canary.to_owned(), "line 1 of the input is not `field=value`"),
            (format!("user={canary}\nuser={canary}"), "a second time"),
            (format!("{{\"user\": [\"{canary}\"]}}"), "not one object of texts"),
            (format!("{{\"user\": \"{canary}\""), "not one object of texts"),
            (format!("password=\nuser={canary}"), "`password` has no value"),
            (format!("{canary}="), "line 1 of the input gives no field"),
            (format!("{{\"{canary}\": \"x\"}}"), "member 1 of the input gives no field"),
            (String::new(), "no value was given"),
        ];
        for (input, words) in table {
            let refused = parsed(&input, &[]).unwrap_err();
            assert!(refused.contains(words) && !refused.contains(canary), "{refused}");
        }
        assert!(parsed("user=x", &["password"]).unwrap_err().contains("no --field names"));
        assert!(parsed("user=x", &["user", "password"]).unwrap_err().contains("`password` has no value"));
    }

    #[test]
    fn an_input_that_breaks_off_is_not_called_a_wrong_one() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
                Err(ErrorKind::ConnectionReset.into())
            }
        }
        let broken = read(Broken, "epicor", KNOWN, &[]).unwrap_err();
        assert!(broken.to_string().contains("cannot be read") && !broken.is::<Usage>(), "{broken:#}");
        let binary = read(&b"\xff\xfe"[..], "epicor", KNOWN, &[]).unwrap_err();
        assert!(binary.to_string().contains("not UTF-8") && binary.is::<Usage>(), "{binary:#}");
    }

    #[test]
    fn an_input_without_end_is_refused() {
        let refused = read(std::io::repeat(b'a'), "epicor", KNOWN, &[]).unwrap_err().to_string();
        assert!(refused.contains("longer than"), "{refused}");
    }
}
