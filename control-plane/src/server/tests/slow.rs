//! Slow clients: they lose their connection, and nobody else notices them.

use super::*;
use std::time::Instant;

/// 1,000 connections that send a byte now and then, as the attack called slow-loris does.
#[actix_web::test]
async fn a_thousand_slow_connections_harm_nobody_and_are_closed() {
    const SLOW: usize = 1000;
    let served = serve(settings(|settings| settings.limits.header_time = Duration::from_secs(3)));
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        let mut io = served.connect().await;
        io.write_all(b"GET /who HT").await.unwrap();
        slow.push(io);
    }
    let all_there = async {
        while served.metrics.connections.get() < i64::try_from(SLOW).unwrap() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, all_there).await.unwrap();
    let mut times = Vec::new();
    for _ in 0..100 {
        let began = Instant::now();
        assert_eq!(status(&served.get("/who").await), 200);
        times.push(began.elapsed());
    }
    times.sort();
    // Without anybody slow these take a millisecond or two; a second would be harm.
    assert!(times[98] < Duration::from_secs(1), "{times:?}");
    for io in &mut slow {
        // Some are closed already.
        let _gone = io.write_all(b"T").await;
    }
    for mut io in slow {
        let answer = until_closed(&mut io).await;
        assert!(answer.is_empty() || status(&answer) == 408, "{answer}");
    }
    served.stop().await;
}

#[actix_web::test]
async fn a_second_head_on_a_connection_has_its_time_too() {
    let served = serve(settings(|settings| {
        settings.limits.header_time = Duration::from_secs(1);
        settings.limits.keep_alive = Duration::from_secs(600);
    }));
    let mut io = served.connect().await;
    io.write_all(get("/who", "").as_bytes()).await.unwrap();
    assert_eq!(status(&one_answer(&mut io).await), 200);
    io.write_all(b"GET /who HTTP/1.1\r\nx-slow: ").await.unwrap();
    assert_eq!(until_closed(&mut io).await, "");
    served.stop().await;
}

#[actix_web::test]
async fn a_connection_without_a_request_is_closed_in_time() {
    let served = serve(settings(|settings| {
        settings.limits.header_time = Duration::from_secs(1);
        settings.limits.keep_alive = Duration::from_secs(1);
    }));
    let mut used = served.connect().await;
    used.write_all(get("/who", "").as_bytes()).await.unwrap();
    assert_eq!(status(&one_answer(&mut used).await), 200);
    assert_eq!(until_closed(&mut used).await, "");
    let answer = until_closed(&mut served.connect().await).await;
    assert!(answer.is_empty() || status(&answer) == 408, "{answer}");
    served.stop().await;
}

#[actix_web::test]
async fn a_slow_body_is_answered_with_408() {
    let served = serve(settings(|settings| settings.limits.body_time = Duration::from_secs(1)));
    let mut io = served.connect().await;
    io.write_all(b"POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nx").await.unwrap();
    let answer = until_closed(&mut io).await;
    assert_eq!(status(&answer), 408, "{answer}");
    assert!(answer.contains("\"code\":\"body-too-slow\""), "{answer}");
    served.stop().await;
}

#[actix_web::test]
async fn a_parked_request_waits_longer_than_any_of_these_times() {
    let served = serve(settings(|settings| {
        settings.limits.header_time = Duration::from_secs(1);
        settings.limits.keep_alive = Duration::from_secs(1);
        settings.limits.body_time = Duration::from_secs(1);
        settings.limits.write_time = Duration::from_secs(1);
    }));
    let mut parked = served.connect().await;
    parked.write_all(get("/parked", "").as_bytes()).await.unwrap();
    // A connection that came later and has nothing to say is closed first, twice in turn.
    for _ in 0..2 {
        until_closed(&mut served.connect().await).await;
    }
    served.drain.begin();
    assert!(one_answer(&mut parked).await.ends_with("sent home"));
    served.stop().await;
}
