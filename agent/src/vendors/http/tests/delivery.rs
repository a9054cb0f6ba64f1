//! What becomes of a call whose delivery goes wrong, and what an answer looks like.

use super::server::{Act, reply};
use super::*;
use spend::posting::{Failure, FailureClass};

async fn both(url: &str, gate: &Gate) -> (Failure, Failure) {
    (
        gate.send(call(url, Effect::Write)).await.unwrap_err(),
        gate.send(call(url, Effect::Read)).await.unwrap_err(),
    )
}

#[tokio::test]
async fn a_refused_connection_is_not_sent() {
    let (gate, kept) = gate();
    let (write, read) =
        both(&format!("http://127.0.0.1:{}/x?filter=private", dead_port().await), &gate).await;
    assert_eq!((&write.class, &read.class), (&FailureClass::NotSent, &FailureClass::NotSent));
    assert!(write.message.contains("connection refused") && write.message.contains("erp.test"), "{write}");
    assert!(!write.message.contains("private"), "{write}");
    assert_eq!(kept.all()[0].error.as_deref(), Some(write.message.as_str()));
    assert!(!kept.all()[0].security_event);
}

#[tokio::test]
async fn nothing_is_sent_while_no_record_can_be_kept() {
    let (gate, kept) = gate();
    let server = TestServer::start(|_, _| reply(200, &[], "{}")).await;
    kept.1.store(true, Ordering::Relaxed);
    let (write, read) = both(&server.url(), &gate).await;
    assert_eq!((&write.class, &read.class), (&FailureClass::NotSent, &FailureClass::NotSent));
    assert!(write.message.contains("erp.test") && write.message.contains("is full"), "{write}");
    assert_eq!((server.requests().len(), kept.all().len()), (0, 0));
    kept.1.store(false, Ordering::Relaxed);
    gate.send(call(&server.url(), Effect::Write)).await.unwrap();
    assert_eq!((server.requests().len(), kept.all().len()), (1, 1));
}

#[tokio::test]
async fn an_unknown_name_is_not_sent() {
    let (gate, _) = gate();
    let failure = gate.send(call("https://no-such-host.invalid/", Effect::Write)).await.unwrap_err();
    assert_eq!(failure.class, FailureClass::NotSent);
    assert!(failure.message.contains("could not be resolved"), "{failure}");
}

/// Sheet item: Epicor 20; Expensify 25 (an answer that never comes leaves a write in doubt).
#[tokio::test]
async fn silence_after_a_write_is_in_doubt() {
    let server = TestServer::start(|_, _| Act::Silence).await;
    let (gate, _) =
        gate_with(GateSettings { default_timeout: Duration::from_millis(300), ..settings(plain()) });
    let (write, read) = both(&server.url(), &gate).await;
    assert_eq!((&write.class, &read.class), (&FailureClass::InDoubt, &FailureClass::Unavailable));
    assert!(write.message.contains("within 0.3 s"), "{write}");
    assert_eq!(server.requests().len(), 2);
}

/// Sheet item: Expensify 24 (an export is given more time than other calls).
#[tokio::test]
async fn the_time_of_the_call_goes_before_the_connections() {
    let server = TestServer::start(|_, _| Act::Silence).await;
    let (gate, _) = gate_with(settings(NetworkSettings { timeout: Some(9), ..plain() }));
    let mut call = call(&server.url(), Effect::Read);
    call.timeout = Some(Duration::from_millis(100));
    let failure = gate.send(call).await.unwrap_err();
    assert!(failure.message.contains("within 0.1 s"), "{failure}");
}

#[tokio::test]
async fn a_reset_without_an_answer_is_in_doubt_and_is_not_sent_again() {
    let server = TestServer::start(|_, _| Act::Reset(Vec::new())).await;
    let (gate, _) = gate();
    let (write, read) = both(&server.url(), &gate).await;
    assert_eq!((&write.class, &read.class), (&FailureClass::InDoubt, &FailureClass::Unavailable));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_reset_in_the_middle_of_an_answer_is_in_doubt() {
    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"half".to_vec();
    let server = TestServer::start(move |_, _| Act::Reset(head.clone())).await;
    let (gate, _) = gate();
    let (write, read) = both(&server.url(), &gate).await;
    assert_eq!((&write.class, &read.class), (&FailureClass::InDoubt, &FailureClass::Unavailable));
}

#[tokio::test]
async fn an_answer_that_ends_early_is_in_doubt() {
    let bytes = b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"half".to_vec();
    let server = TestServer::start(move |_, _| Act::Reply(bytes.clone())).await;
    let (gate, _) = gate();
    let (write, read) = both(&server.url(), &gate).await;
    assert_eq!((&write.class, &read.class), (&FailureClass::InDoubt, &FailureClass::Unavailable));
}

#[tokio::test]
async fn an_oversized_answer_is_cut_off() {
    let server = TestServer::start(|_, _| reply(200, &[], vec![b'x'; 5000])).await;
    let (gate, _) = gate_with(GateSettings { max_body: 4999, ..settings(plain()) });
    let (write, read) = both(&server.url(), &gate).await;
    assert_eq!((&write.class, &read.class), (&FailureClass::InDoubt, &FailureClass::Unavailable));
    assert!(read.message.contains("larger than 4999 bytes"), "{read}");
    let (exact, _) = gate_with(GateSettings { max_body: 5000, ..settings(plain()) });
    assert_eq!(exact.send(call(&server.url(), Effect::Read)).await.unwrap().body.len(), 5000);
}

/// 64 MiB of zeros, packed by hand.
fn bomb() -> Vec<u8> {
    // One fixed-Huffman block: a literal 0, then matches of length 258 at distance 1.
    let mut bits = Bits::default();
    bits.put(1, 1); // last block
    bits.put(1, 2); // fixed codes
    bits.put_code(0x30, 8); // literal 0
    for _ in 0..(64 * 1024 * 1024 / 258) {
        bits.put_code(0b1100_0101, 8); // length 258
        bits.put_code(0, 5); // distance 1
    }
    bits.put_code(0, 7); // end of block
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
    gzip.extend(bits.bytes);
    gzip.extend([0; 8]);
    gzip
}

#[derive(Default)]
struct Bits {
    bytes: Vec<u8>,
    used: u32,
}

impl Bits {
    fn put(&mut self, value: u32, count: u32) {
        for at in 0..count {
            if self.used.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = u8::try_from(value >> at & 1).unwrap();
            *self.bytes.last_mut().unwrap() |= bit << (self.used % 8);
            self.used += 1;
        }
    }

    /// Huffman codes go in from their highest bit.
    fn put_code(&mut self, code: u32, count: u32) {
        for at in (0..count).rev() {
            self.put(code >> at & 1, 1);
        }
    }
}

#[tokio::test]
async fn a_gzip_bomb_is_cut_off_at_the_cap() {
    let packed = bomb();
    assert!(packed.len() < 1024 * 1024);
    let server = TestServer::start(move |_, _| reply(200, &[("content-encoding", "gzip")], &packed)).await;
    let (gate, _) = gate_with(GateSettings { max_body: 1024 * 1024, ..settings(plain()) });
    let failure = gate.send(call(&server.url(), Effect::Read)).await.unwrap_err();
    assert!(failure.message.contains("larger than 1048576 bytes"), "{failure}");
}

#[tokio::test]
async fn a_gzip_answer_is_unpacked() {
    // "purser" in a stored block.
    let mut packed = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1, 6, 0, 0xf9, 0xff];
    packed.extend(b"purser");
    packed.extend(0xbad2_f231_u32.to_le_bytes());
    packed.extend(6_u32.to_le_bytes());
    let server = TestServer::start(move |_, _| reply(200, &[("content-encoding", "gzip")], &packed)).await;
    let (gate, _) = gate();
    assert_eq!(gate.send(call(&server.url(), Effect::Read)).await.unwrap().body, b"purser");
}

#[tokio::test]
async fn a_form_is_encoded_with_its_secrets_inside() {
    let server = TestServer::start(|_, _| reply(200, &[], "ok")).await;
    let (gate, kept) = gate();
    let secret = bound("a\"b&c=ü", &server.url());
    let mut call = call(&server.url(), Effect::Write);
    let job = SecretText::new().text("{\"s\":\"").with(&secret, crate::secret::Encoding::Json).text("\"}");
    call.body = Body::Form(vec![
        ("requestJobDescription".to_owned(), job),
        ("t".to_owned(), SecretText::plain("1 2")),
    ]);
    gate.send(call).await.unwrap();
    let request = server.requests().remove(0);
    let body = request.split("\r\n\r\n").nth(1).unwrap();
    assert_eq!(body, "requestJobDescription=%7B%22s%22%3A%22a%5C%22b%26c%3D%C3%BC%22%7D&t=1+2");
    let head = request.to_lowercase();
    assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
    assert!(
        head.contains("content-length:") && !head.contains("expect:") && !head.contains("chunked"),
        "{head}"
    );
    assert_eq!(kept.all()[0].request_body, "requestJobDescription={\"s\":\"[secret]\"}\nt=1 2");
}

#[tokio::test]
async fn the_record_names_the_flow_run_and_posting() {
    let server = TestServer::start(|_, _| reply(422, &[], "{\"no\":1}")).await;
    let (gate, kept) = gate();
    let context =
        CallContext { flow: Some("cards".into()), run: Some("r1".into()), posting: Some("k1".into()) };
    context.clone().scope(gate.send(call(&server.url(), Effect::Write))).await.unwrap();
    let record = kept.all().remove(0);
    assert_eq!((record.context, record.status), (context, Some(422)));
    assert_eq!((record.answer_body.as_str(), record.method.as_str()), ("{\"no\":1}", "POST"));
    assert_eq!(CallContext::current(), CallContext::default());
}

#[tokio::test]
async fn long_bodies_are_cut_in_the_record_and_say_so() {
    let server = TestServer::start(|_, _| reply(200, &[], "ü".repeat(40_000))).await;
    let (gate, kept) = gate();
    let answer = gate.send(call(&server.url(), Effect::Read)).await.unwrap();
    assert_eq!(answer.body.len(), 80_000);
    assert!(kept.all()[0].answer_body.ends_with("[cut here: 14464 of 80000 bytes are not kept]"));
}

#[tokio::test]
async fn a_call_that_is_dropped_half_way_is_on_record() {
    let server = TestServer::start(|_, _| Act::Silence).await;
    let (gate, kept) = gate();
    {
        let sending = gate.send(call(&server.url(), Effect::Write));
        tokio::pin!(sending);
        while server.requests().is_empty() {
            tokio::select! {
                _ = &mut sending => unreachable!("the server is silent"),
                () = tokio::task::yield_now() => {}
            }
        }
    }
    assert!(kept.all()[0].error.as_deref().unwrap().contains("may have arrived"));
}

#[tokio::test]
async fn stats_count_by_outcome() {
    let server = TestServer::start(|_, before| reply([200, 404, 500][before], &[], "")).await;
    let (gate, _) = gate();
    for _ in 0..3 {
        gate.send(call(&server.url(), Effect::Read)).await.unwrap();
    }
    gate.send(call(&format!("http://127.0.0.1:{}", dead_port().await), Effect::Read)).await.unwrap_err();
    let stats = gate.stats();
    assert_eq!(stats.calls, 4);
    let counted: Vec<(&str, u64)> =
        stats.by_outcome.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(counted, [("2xx", 1), ("4xx", 1), ("5xx", 1), ("not-sent", 1)]);
    assert_eq!(stats.last_success, Some(noon()));
    assert!(stats.last_failure.unwrap().contains("connection refused"));
}

/// Sheet item: Expensify 4 (a 429 stops everybody with that credential).
#[tokio::test]
async fn a_429_closes_the_pace_for_everybody() {
    let server = TestServer::start(|_, _| reply(429, &[("retry-after", "120")], "slow down")).await;
    let (gate, _) = gate();
    assert_eq!(gate.send(call(&server.url(), Effect::Write)).await.unwrap().status, 429);
    let failure = gate.send(call(&server.url(), Effect::Write)).await.unwrap_err();
    let FailureClass::Throttled { until } = failure.class else { panic!("{failure}") };
    assert!((until - noon() - chrono::TimeDelta::seconds(120)).abs() < chrono::TimeDelta::seconds(5));
    assert_eq!(server.requests().len(), 1);
}

/// Sheet item: Acumatica 7 (an empty body without a length is refused by the web server).
#[tokio::test]
async fn an_empty_post_tells_its_length_and_every_cookie_of_an_answer_is_kept() {
    let headers = [("set-cookie", "a=1; path=/"), ("set-cookie", "b=2"), ("x-once", "1"), ("x-once", "2")];
    let server = TestServer::start(move |_, _| reply(200, &headers, "")).await;
    let (gate, _) = gate();
    for method in [reqwest::Method::POST, reqwest::Method::GET] {
        let empty = Call { method, body: Body::Empty, ..call(&server.url(), Effect::Read) };
        let answer = gate.send(empty).await.unwrap();
        assert_eq!(answer.headers["set-cookie"], "a=1; path=/\nb=2");
        assert_eq!(answer.headers["x-once"], "1");
    }
    let told: Vec<bool> =
        server.requests().iter().map(|text| text.to_lowercase().contains("content-length: 0")).collect();
    assert_eq!(told, [true, false]);
}
