//! Who is believed and who is not.

use super::*;
use crate::secret::Origin;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use ring::hmac;
use secrecy::SecretString;
use std::sync::Arc;

/// The pair that the public documentation of the scheme uses.
const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx";
const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
const AT: i64 = 1_614_265_330;
const BODY: &[u8] = br#"{"test": 2432232314}"#;
const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

fn secrets(values: &[&str]) -> Secrets {
    let origins: Arc<[Origin]> = Arc::from([Origin::parse("https://api.example.test").unwrap()]);
    let fields = SECRET_FIELDS.iter().zip(values);
    let fields = fields.map(|(name, value)| ((*name).to_owned(), SecretString::from(*value))).collect();
    Secrets::of(&Credential::new("example", fields, origins))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_timestamp(seconds, 0).unwrap()
}

fn delivery(headers: &[(&str, &str)]) -> Delivery {
    let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Delivery { received_at: at(AT), headers, body: BODY.to_vec() }
}

fn of(family: &str, id: &str, timestamp: &str, signatures: &str) -> Delivery {
    let names = ["id", "timestamp", "signature"].map(|name| format!("{family}-{name}"));
    delivery(&[(&names[0], id), (&names[1], timestamp), (&names[2], signatures)])
}

fn signed_with(signatures: &str) -> Delivery {
    of("webhook", ID, &AT.to_string(), signatures)
}

fn sign(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = STANDARD.decode(secret.trim_start_matches("whsec_")).unwrap();
    let content = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), &content);
    format!("v1,{}", STANDARD.encode(tag))
}

fn judged(delivery: &Delivery) -> Result<Proven, Refusal> {
    svix::verify(delivery, &secrets(&[SECRET]))
}

#[track_caller]
fn refused(delivery: &Delivery, code: &str) {
    let refusal = judged(delivery).unwrap_err();
    assert_eq!(refusal.code(), code, "{refusal}");
    assert!(!refusal.to_string().contains(SECRET));
}

#[test]
fn the_documented_pair_of_message_and_signature_is_accepted() {
    assert_eq!(sign(SECRET, ID, &AT.to_string(), BODY), SIGNATURE);
    let proven = judged(&signed_with(SIGNATURE)).unwrap();
    assert_eq!(proven, Proven { id: Some(ID.to_owned()), signed_at: Some(at(AT)) });
}

#[test]
fn the_secret_may_begin_with_its_prefix_and_either_of_two_secrets_counts() {
    let good = signed_with(SIGNATURE);
    let prefixed = format!("whsec_{SECRET}");
    for values in [
        &[prefixed.as_str()][..],
        &[OTHER, SECRET],
        &[SECRET, OTHER],
        &["no base64!", SECRET],
        &[" MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n"],
    ] {
        assert!(svix::verify(&good, &secrets(values)).is_ok(), "{values:?}");
    }
    let old = svix::verify(&good, &secrets(&[OTHER])).unwrap_err();
    assert_eq!(old.code(), "bad-signature");
}

#[test]
fn a_secret_that_cannot_be_one_is_told_as_a_fault_of_the_configuration() {
    let good = signed_with(SIGNATURE);
    let short = STANDARD.encode([1_u8; 23]);
    let long = STANDARD.encode([1_u8; 65]);
    for value in ["", "whsec_", "no base64!", &short, &long] {
        let refusal = svix::verify(&good, &secrets(&[value])).unwrap_err();
        assert_eq!(refusal.code(), "malformed-secret", "{value}");
        assert!(
            value.is_empty()
                || !refusal.to_string().contains(value.trim_start_matches("whsec_"))
                || value == "whsec_"
        );
    }
    for length in [24, 64] {
        let secret = STANDARD.encode(vec![7_u8; length]);
        let one = signed_with(&sign(&secret, ID, &AT.to_string(), BODY));
        assert!(svix::verify(&one, &secrets(&[&secret])).is_ok());
    }
    assert_eq!(svix::verify(&good, &secrets(&[])).unwrap_err(), Refusal::NoSecret);
}

/// Sheet item: Brex 10
#[test]
fn headers_are_found_in_any_case_and_under_either_family() {
    for family in ["webhook", "Webhook", "WEBHOOK", "svix", "Svix"] {
        assert!(judged(&of(family, ID, &AT.to_string(), SIGNATURE)).is_ok(), "{family}");
    }
}

#[test]
fn the_two_families_of_headers_are_never_mixed() {
    let time = AT.to_string();
    refused(
        &delivery(&[("svix-id", ID), ("webhook-timestamp", &time), ("webhook-signature", SIGNATURE)]),
        "missing-header",
    );
    // The first family counts where it is whole, even when only the other one is right.
    refused(
        &delivery(&[
            ("svix-id", ID),
            ("svix-timestamp", &time),
            ("svix-signature", "v1,AAAA"),
            ("webhook-id", ID),
            ("webhook-timestamp", &time),
            ("webhook-signature", SIGNATURE),
        ]),
        "bad-signature",
    );
    // Where it is not whole it does not count.
    let rest = delivery(&[
        ("svix-id", "msg_other"),
        ("webhook-id", ID),
        ("webhook-timestamp", &time),
        ("webhook-signature", SIGNATURE),
    ]);
    assert_eq!(judged(&rest).unwrap().id.as_deref(), Some(ID));
}

#[test]
fn a_missing_empty_or_doubled_header_is_refused_by_name() {
    for missing in 0..3 {
        for empty in [false, true] {
            let mut one = signed_with(SIGNATURE);
            let name = one.headers[missing].0.clone();
            if empty {
                one.headers[missing].1.clear()
            } else {
                drop(one.headers.remove(missing))
            }
            assert_eq!(judged(&one).unwrap_err(), Refusal::MissingHeader(name));
        }
    }
    refused(&delivery(&[]), "missing-header");
    let mut twice = signed_with(SIGNATURE);
    twice.headers.push(("WEBHOOK-ID".to_owned(), "msg_other".to_owned()));
    refused(&twice, "ambiguous-header");
    twice.headers[3].1 = ID.to_owned();
    assert!(judged(&twice).is_ok());
}

#[test]
fn the_signed_time_lies_within_five_minutes_of_the_receipt() {
    for (offset, code) in [
        (-301, Some("ahead")),
        (-300, None),
        (-1, None),
        (0, None),
        (299, None),
        (300, None),
        (301, Some("stale")),
        (31_536_000, Some("stale")),
    ] {
        let mut one = signed_with(SIGNATURE);
        one.received_at = at(AT + offset);
        assert_eq!(judged(&one).err().map(|refusal| refusal.code()), code, "{offset}");
    }
    let table =
        ["", "soon", "+1614265330", "-1", "1614265330.0", " 1614265330", "0x60", "99999999999999999999"];
    for text in table.into_iter().skip(1) {
        refused(&of("webhook", ID, text, &sign(SECRET, ID, text, BODY)), "bad-timestamp");
    }
    let last = i64::MAX.to_string();
    refused(&of("webhook", ID, &last, &sign(SECRET, ID, &last, BODY)), "bad-timestamp");
    refused(&of("webhook", ID, "0", &sign(SECRET, ID, "0", BODY)), "stale");
    refused(&of("webhook", ID, "9999999999", &sign(SECRET, ID, "9999999999", BODY)), "ahead");
}

/// Sheet item: Brex 10
#[test]
fn among_several_signatures_any_of_the_known_version_counts_and_the_rest_is_passed_over() {
    let wrong = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=";
    let good: &[String] = &[
        format!("{wrong} {SIGNATURE}"),
        format!("{SIGNATURE} {wrong}"),
        format!("v1a,{} v2,AAAA nonsense {SIGNATURE}", STANDARD.encode([7_u8; 64])),
        format!(", v1 v1, ,x  {SIGNATURE}"),
    ];
    for header in good {
        assert!(judged(&signed_with(header)).is_ok(), "{header}");
    }
    let value = SIGNATURE.trim_start_matches("v1,");
    let none: &[String] = &[
        value.to_owned(),
        "v1".into(),
        "v1,".into(),
        format!("v2,{value}"),
        format!("v1a,{value}"),
        format!("V1,{value}"),
    ];
    for header in none {
        refused(&signed_with(header), "no-signature");
    }
    let bad: &[String] = &[
        wrong.to_owned(),
        "v1,not base64".into(),
        SIGNATURE.trim_end_matches('=').to_owned(),
        format!("{SIGNATURE}x"),
        format!("v1,{}", STANDARD.encode(&STANDARD.decode(value).unwrap()[..16])),
    ];
    for header in bad {
        refused(&signed_with(header), "bad-signature");
    }
    let many = format!("{}{SIGNATURE}", "v1,AAAA ".repeat(10_000));
    refused(&signed_with(&many), "bad-signature");
}

/// Sheet item: Brex 10
#[test]
fn what_was_written_anew_from_its_meaning_is_not_what_was_signed() {
    let mut one = signed_with(SIGNATURE);
    one.body = serde_json::to_vec(&serde_json::from_slice::<Value>(BODY).unwrap()).unwrap();
    refused(&one, "bad-signature");
    one.body = vec![b' '; MOST_BODY + 1];
    refused(&one, "too-large");
}

fn line(received_at: &str, headers: &Value, body: &str) -> String {
    serde_json::json!({ "received_at": received_at, "headers": headers, "body_base64": body, "id": 7, "more": [] })
        .to_string()
}

#[test]
fn a_line_is_read_with_its_exact_bytes_or_refused_in_words() {
    let headers = serde_json::json!({ "webhook-id": ID, "webhook-timestamp": AT.to_string(), "webhook-signature": SIGNATURE });
    let body = STANDARD.encode(BODY);
    let read = Delivery::from_line(&line("2021-02-25T16:02:10+01:00", &headers, &body)).unwrap();
    assert_eq!((read.received_at, read.body.as_slice()), (at(AT), BODY));
    assert!(judged(&read).is_ok());
    assert!(!format!("{read:?}").contains(SIGNATURE));
    let many: Map<String, Value> = (0..=MOST_HEADERS).map(|n| (format!("h{n}"), "x".into())).collect();
    let long = serde_json::json!({ "x": "y".repeat(20_000) });
    for (text, code) in [
        (String::new(), "no-delivery"),
        ("{".to_owned(), "no-delivery"),
        ("[1]".to_owned(), "no-delivery"),
        ("{}".to_owned(), "no-delivery"),
        (line("yesterday", &headers, &body), "no-delivery"),
        (line("2021-02-25T15:02:10Z", &serde_json::json!({ "a": 7 }), &body), "no-delivery"),
        (line("2021-02-25T15:02:10Z", &Value::Object(many), &body), "no-delivery"),
        (line("2021-02-25T15:02:10Z", &long, &body), "no-delivery"),
        (line("2021-02-25T15:02:10Z", &headers, "***"), "no-delivery"),
        (line("2021-02-25T15:02:10Z", &headers, &"A".repeat(1_500_000)), "too-large"),
    ] {
        assert_eq!(Delivery::from_line(&text).unwrap_err().code(), code, "{}", &text[..text.len().min(80)]);
    }
}

#[test]
fn a_shared_secret_is_compared_as_a_whole_and_an_empty_one_opens_nothing() {
    let check = |headers: &[(&str, &str)], values: &[&str]| {
        shared_secret::verify(&delivery(headers), "X-Purser-Push", &secrets(values)).map_err(|r| r.code())
    };
    assert_eq!(check(&[("x-purser-push", "sesame")], &["sesame"]), Ok(Proven::default()));
    assert_eq!(check(&[("x-purser-push", "sesame")], &["older", "sesame"]), Ok(Proven::default()));
    for wrong in ["Sesame", "sesam", "sesame ", "sesamesesame"] {
        assert_eq!(check(&[("x-purser-push", wrong)], &["sesame"]), Err("wrong-secret"), "{wrong}");
    }
    assert_eq!(check(&[("x-other", "sesame")], &["sesame"]), Err("missing-header"));
    assert_eq!(check(&[("x-purser-push", "")], &[""]), Err("missing-header"));
    assert_eq!(check(&[("x-purser-push", "a")], &[""]), Err("malformed-secret"));
    assert_eq!(check(&[("x-purser-push", "a")], &[]), Err("no-secret"));
    assert_eq!(check(&[("x-purser-push", "a"), ("X-PURSER-PUSH", "b")], &["a"]), Err("ambiguous-header"));
}

proptest! {
    #[test]
    fn nothing_that_arrives_makes_the_check_fail_to_answer(
        names in prop::collection::vec("(svix|webhook)-(id|timestamp|signature)", 0..8),
        values in prop::collection::vec("\\PC{0,80}|v1,[A-Za-z0-9+/=]{0,60}|[0-9]{0,25}", 8),
        body in prop::collection::vec(any::<u8>(), 0..200),
        received in any::<i32>(),
        secret in "\\PC{0,60}|whsec_[A-Za-z0-9+/=]{0,90}",
    ) {
        let headers = names.into_iter().zip(values).collect();
        let one = Delivery { received_at: at(received.into()), headers, body };
        prop_assert!(svix::verify(&one, &secrets(&[&secret])).is_err());
        prop_assert!(shared_secret::verify(&one, "x-none", &secrets(&[&secret])).is_err());
    }

    #[test]
    fn no_line_makes_the_reader_fail_to_answer(text in "\\PC{0,200}|\\{\"received_at\":\"\\PC{0,30}\"[,:{}\"a-z]{0,40}\\}") {
        prop_assert!(Delivery::from_line(&text).is_err());
    }

    #[test]
    fn any_flipped_bit_of_what_is_signed_or_of_the_signature_refuses(
        id in "[a-zA-Z0-9_]{1,40}",
        body in prop::collection::vec(any::<u8>(), 1..120),
        key in prop::collection::vec(any::<u8>(), 24..=64),
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let secret = STANDARD.encode(&key);
        let time = AT.to_string();
        let good = Delivery { body: body.clone(), ..of("svix", &id, &time, &sign(&secret, &id, &time, &body)) };
        prop_assert!(svix::verify(&good, &secrets(&[&secret])).is_ok());

        let mut other = good.clone();
        let at = place.index(other.body.len());
        other.body[at] ^= 1 << bit;
        prop_assert_eq!(svix::verify(&other, &secrets(&[&secret])).unwrap_err(), Refusal::BadSignature);

        // Headers are text, so only flips that leave it text can arrive.
        for header in 0..3 {
            let mut bytes = good.headers[header].1.clone().into_bytes();
            let at = place.index(bytes.len());
            bytes[at] ^= 1 << bit;
            if let Ok(text) = String::from_utf8(bytes) {
                let mut other = good.clone();
                other.headers[header].1 = text;
                prop_assert!(svix::verify(&other, &secrets(&[&secret])).is_err());
            }
        }

        let mut wrong = key;
        let at = place.index(wrong.len());
        wrong[at] ^= 1 << bit;
        let refusal = svix::verify(&good, &secrets(&[&STANDARD.encode(&wrong)])).unwrap_err();
        prop_assert_eq!(refusal, Refusal::BadSignature);
    }
}
