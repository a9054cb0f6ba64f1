//! The end: parked requests are answered, readiness says no, nothing hangs.

use super::*;
use std::time::Instant;

#[actix_web::test]
async fn at_the_end_parked_requests_are_answered_at_once_and_idle_connections_closed() {
    let served = serve(settings(|_| {}));
    let mut parked = Vec::new();
    for _ in 0..20 {
        let mut io = served.connect().await;
        io.write_all(get("/parked", "").as_bytes()).await.unwrap();
        parked.push(io);
    }
    let mut idle = served.connect().await;
    idle.write_all(get("/who", "").as_bytes()).await.unwrap();
    assert_eq!(status(&one_answer(&mut idle).await), 200);
    let address = served.address;
    let began = Instant::now();
    let answers = async {
        for io in &mut parked {
            assert!(until_closed(io).await.ends_with("sent home"));
        }
        assert_eq!(until_closed(&mut idle).await, "");
    };
    tokio::join!(served.stop(), answers);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(TcpStream::connect(address).await.is_err());
}

#[actix_web::test]
async fn readiness_says_no_once_the_end_has_begun_and_health_stays() {
    let served = serve(settings(|_| {}));
    assert_eq!(status(&served.get("/readyz").await), 200);
    let head = "HEAD /healthz HTTP/1.1\r\nhost: control.example.test\r\nconnection: close\r\n\r\n";
    let answer = served.ask(head).await;
    assert_eq!(status(&answer), 200);
    assert!(answer.ends_with("\r\n\r\n"), "a body: {answer}");
    served.drain.leave();
    let answer = served.get("/readyz").await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("it is about to end"), "{answer}");
    assert_eq!(status(&served.get("/healthz").await), 200);
    served.stop().await;
}

#[actix_web::test]
async fn readiness_says_no_while_the_store_is_away() {
    let settings = settings(|_| {});
    let parts = Parts {
        settings: Arc::new(settings),
        metrics: Metrics::new(),
        drain: Drain::new(),
        store: Arc::new(|| Box::pin(async { Err("the store cannot be reached") })),
        look: Arc::new(|| {}),
        routes: Arc::new(|_| {}),
    };
    let running = parts.start().unwrap();
    let (address, stopper) = (running.address, running.stopper());
    let ended = actix_web::rt::spawn(running.run());
    let io = TcpStream::connect(address).await.unwrap();
    let answer = ask(io, &get("/readyz", "connection: close\r\n")).await;
    assert_eq!(status(&answer), 503);
    assert!(answer.contains("the store cannot be reached"), "{answer}");
    stopper.stop().await;
    ended.await.unwrap().unwrap();
}
