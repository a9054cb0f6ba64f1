//! What every answer carries, what is refused, and who called.

use super::*;

#[actix_web::test]
async fn every_answer_carries_an_id_and_the_headers_that_protect() {
    let served = serve(settings(|_| {}));
    for path in ["/healthz", "/readyz", "/who", "/nothing", "/metrics"] {
        let answer = served.get(path).await;
        assert_eq!(header(&answer, "x-content-type-options"), Some("nosniff"), "{answer}");
        assert!(header(&answer, "content-security-policy").unwrap().contains("frame-ancestors 'none'"));
        assert_eq!(header(&answer, "strict-transport-security"), None);
        assert_eq!(header(&answer, "x-request-id").unwrap().len(), 32, "{answer}");
    }
    let id = |given: &'static str| {
        let text = get("/who", &format!("connection: close\r\nx-request-id: {given}\r\n"));
        let served = &served;
        async move { header(&served.ask(&text).await, "x-request-id").unwrap().to_owned() }
    };
    assert_eq!(id("order-0042.a_b").await, "order-0042.a_b");
    for malformed in ["short", "with blank in it", "quote\"quote", &"x".repeat(65)] {
        let malformed: &'static str = Box::leak(malformed.to_owned().into_boxed_str());
        assert_ne!(id(malformed).await, malformed);
    }
    served.stop().await;
}

#[actix_web::test]
async fn what_is_not_there_is_a_problem_and_a_sender_of_webhooks_reads_later() {
    let served = serve(settings(|_| {}));
    let answer = served.get("/nothing").await;
    assert_eq!(status(&answer), 404);
    assert_eq!(header(&answer, "content-type"), Some("application/problem+json"));
    assert!(answer.contains("\"code\":\"not-found\""), "{answer}");
    // A route that exists, with another method.
    let answer = served.get("/hooks/h1").await;
    assert_eq!(status(&answer), 503, "{answer}");
    assert_eq!(status(&served.get("/hooks/h1/more").await), 503);
    served.stop().await;
}

#[actix_web::test]
async fn a_panic_is_answered_counted_and_survived() {
    let served = serve(settings(|_| {}));
    for _ in 0..3 {
        let answer = served.get("/panic").await;
        assert_eq!(status(&answer), 500);
        assert_eq!(header(&answer, "content-type"), Some("application/problem+json"));
        assert!(header(&answer, "x-request-id").is_some() && !answer.contains("canary"), "{answer}");
    }
    assert_eq!(status(&served.get("/who").await), 200);
    assert_eq!(served.metrics.panics.get(), 3);
    let text = served.metrics.text();
    assert!(
        text.contains("purser_control_requests_total{method=\"GET\",route=\"/who\",status=\"200\"} 1"),
        "{text}"
    );
    served.stop().await;
}

#[actix_web::test]
async fn a_body_has_the_limit_of_its_group_announced_or_not() {
    let served = serve(settings(|settings| {
        settings.limits.admin_body_bytes = 1000;
        settings.limits.hook_body_bytes = 2000;
    }));
    for (path, length, expected) in
        [("/length", 1000, 200), ("/length", 1001, 413), ("/hooks/h1", 2000, 200), ("/hooks/h1", 2001, 503)]
    {
        let body = "x".repeat(length);
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n");
        let announced = format!("{head}content-length: {length}\r\n\r\n{body}");
        let answer = served.ask(&announced).await;
        assert_eq!(status(&answer), expected, "{path} {length}: {answer}");
        let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n");
        let answer = served.ask(&chunked).await;
        assert_eq!(status(&answer), expected, "chunked {path} {length}: {answer}");
        if expected == 413 {
            assert!(answer.contains("\"code\":\"too-large\""), "{answer}");
        }
    }
    served.stop().await;
}

#[actix_web::test]
async fn bodies_that_are_being_read_share_one_room() {
    let served = serve(settings(|settings| settings.limits.bodies_bytes = 100_000));
    let half =
        |length: usize| format!("POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
    let mut first = served.connect().await;
    first.write_all(half(60_001).as_bytes()).await.unwrap();
    first.write_all("x".repeat(60_000).as_bytes()).await.unwrap();
    // Until the first body has taken its part, the second is still let in.
    let refused = async {
        loop {
            let body = "x".repeat(60_000);
            let head = "POST /length HTTP/1.1\r\nhost: a\r\nconnection: close\r\n";
            let answer = served.ask(&format!("{head}content-length: 60000\r\n\r\n{body}")).await;
            if status(&answer) != 200 {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(PATIENCE, refused).await.unwrap();
    assert_eq!(status(&answer), 503, "{answer}");
    assert_eq!(header(&answer, "retry-after"), Some("5"));
    first.write_all(b"x").await.unwrap();
    assert!(one_answer(&mut first).await.ends_with("60001"));
    served.stop().await;
}

#[actix_web::test]
async fn a_body_keeps_its_part_of_the_room_until_its_request_is_answered() {
    let served = serve(settings(|settings| settings.limits.bodies_bytes = 100_000));
    let body = "x".repeat(60_000);
    let mut first = served.connect().await;
    let head = "POST /keeps HTTP/1.1\r\nhost: a\r\ncontent-length: 60000\r\n\r\n";
    first.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
    // Nothing else takes room before it has what it needs.
    tokio::time::timeout(PATIENCE, KEPT.notified()).await.unwrap();
    let until = async |expected: u16| {
        let head = "POST /length HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 60000\r\n\r\n";
        while status(&served.ask(&format!("{head}{body}")).await) != expected {}
    };
    tokio::time::timeout(PATIENCE, until(503)).await.unwrap();
    // All of it was read long ago, and its handler still has it.
    for _ in 0..5 {
        tokio::time::timeout(PATIENCE, until(503)).await.unwrap();
    }
    served.drain.begin();
    assert!(one_answer(&mut first).await.ends_with("60000"));
    tokio::time::timeout(PATIENCE, until(200)).await.unwrap();
    served.stop().await;
}

#[actix_web::test]
async fn a_head_that_is_too_large_is_refused() {
    let served = serve(settings(|settings| settings.limits.header_bytes = 2048));
    let large = |bytes| get("/who", &format!("connection: close\r\nx-large: {}\r\n", "x".repeat(bytes)));
    assert_eq!(status(&served.ask(&large(1500)).await), 200);
    assert_eq!(status(&served.ask(&large(2048)).await), 431);
    assert_eq!(status(&served.ask(&large(200_000)).await), 431);
    served.stop().await;
}

#[actix_web::test]
async fn a_stranger_names_nobody_and_a_listed_proxy_names_its_client() {
    let spoof = get(
        "/who",
        "connection: close\r\nx-forwarded-for: 198.51.100.7\r\nx-forwarded-proto: https\r\nx-subject: CN=concur\r\n",
    );
    let trust = |network: &'static str| {
        settings(move |settings| {
            settings.proxy.trusted = vec![network.parse().unwrap()];
            settings.proxy.client_certificate_header = Some("x-subject".into());
        })
    };
    let served = serve(trust("10.0.0.0/8"));
    let answer = served.ask(&spoof).await;
    assert!(answer.contains("address: 127.0.0.1, https: false, certificate_subject: None"), "{answer}");
    assert_eq!(header(&answer, "strict-transport-security"), None);
    served.stop().await;
    let served = serve(trust("127.0.0.0/8"));
    let answer = served.ask(&spoof).await;
    assert!(
        answer.contains("address: 198.51.100.7, https: true, certificate_subject: Some(\"CN=concur\")"),
        "{answer}"
    );
    assert!(header(&answer, "strict-transport-security").unwrap().contains("max-age=31536000"));
    served.stop().await;
}

#[actix_web::test]
async fn the_figures_need_their_token_or_their_own_listener() {
    let served = serve(settings(|_| {}));
    assert_eq!(status(&served.get("/metrics").await), 404);
    served.stop().await;
    let served = serve(settings(|settings| {
        settings.metrics.token = Some("a-token-of-the-figures".to_owned().into());
        settings.metrics.listen = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
    }));
    assert_eq!(status(&served.get("/metrics").await), 401);
    let bearer =
        |token: &str| get("/metrics", &format!("connection: close\r\nauthorization: Bearer {token}\r\n"));
    assert_eq!(status(&served.ask(&bearer("a-token-of-the-figure")).await), 401);
    let answer = served.ask(&bearer("a-token-of-the-figures")).await;
    assert_eq!(status(&answer), 200);
    assert!(header(&answer, "content-type").unwrap().starts_with("application/openmetrics-text"));
    let own = TcpStream::connect(served.metrics_address.unwrap()).await.unwrap();
    let answer = ask(own, &get("/metrics", "connection: close\r\n")).await;
    assert!(answer.contains("purser_control_parked_syncs 0"), "{answer}");
    let own = TcpStream::connect(served.metrics_address.unwrap()).await.unwrap();
    assert_eq!(status(&ask(own, &get("/who", "connection: close\r\n")).await), 404);
    served.stop().await;
}

#[actix_web::test]
async fn one_source_has_its_share_of_connections() {
    let served = serve(settings(|settings| settings.limits.connections_per_source = 3));
    let mut kept = Vec::new();
    for _ in 0..3 {
        let mut io = served.connect().await;
        io.write_all(get("/who", "").as_bytes()).await.unwrap();
        assert_eq!(status(&one_answer(&mut io).await), 200);
        kept.push(io);
    }
    assert_eq!(until_closed(&mut served.connect().await).await, "");
    kept.pop();
    // The server notices the end of a connection when it reads it.
    let again = async { while ask_or_nothing(&served).await.is_empty() {} };
    tokio::time::timeout(PATIENCE, again).await.unwrap();
    served.stop().await;
}

async fn ask_or_nothing(served: &Served) -> String {
    let mut io = served.connect().await;
    match io.write_all(get("/who", "connection: close\r\n").as_bytes()).await {
        Ok(()) => until_closed(&mut io).await,
        Err(_) => String::new(),
    }
}

#[cfg(target_os = "linux")]
#[actix_web::test]
async fn many_connections_at_once_find_a_place_before_they_are_taken() {
    let most = std::fs::read_to_string("/proc/sys/net/core/somaxconn").unwrap();
    let wanted = 400.min(most.trim().parse::<usize>().unwrap());
    // Nobody takes them: a client without a place waits a second, and another one.
    let (_listener, address) = crate::server::listen(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let mut connections = Vec::new();
    for number in 0..wanted {
        let connected = tokio::time::timeout(PATIENCE, TcpStream::connect(address)).await;
        connections.push(connected.unwrap_or_else(|_| panic!("connection {number} finds no place")).unwrap());
    }
}
