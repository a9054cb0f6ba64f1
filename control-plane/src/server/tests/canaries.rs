//! No secret of a request gets into the log, also with every level on.

use super::*;
use crate::server::log::subscriber;
use crate::settings::Log;
use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Mutex;
use tokio::net::TcpSocket;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt as _;

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Kept {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// By this address the log tells our requests from those of tests that run beside this one.
const OURS: &str = "127.0.0.77";

async fn ask_as_us(served: &Served, text: &str) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((OURS.parse::<Ipv4Addr>().unwrap(), 0).into()).unwrap();
    ask(socket.connect(served.address).await.unwrap(), text).await;
}

#[actix_web::test]
async fn the_log_has_its_fields_and_no_canary_at_any_level() {
    let kept = Kept::default();
    let log = Log { level: "trace".into(), json: true };
    subscriber(&log, kept.clone()).unwrap().init();
    std::panic::set_hook(Box::new(crate::server::log::log_panic));
    let served = serve(settings(|settings| settings.limits.admin_body_bytes = 1000));
    let headers = "connection: close\r\nauthorization: Bearer canary-token\r\npurser-assertion: canary-assertion\r\n\
                   cookie: session=canary-cookie\r\nx-request-id: canary id\r\n";
    let post = |path: &str, body: &str| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
    };
    ask_as_us(&served, &get("/who?token=canary-query", headers)).await;
    ask_as_us(&served, &get("/canary-path?canary-query", headers)).await;
    ask_as_us(&served, &get("/panic", headers)).await;
    ask_as_us(&served, &post("/hooks/canary-hook-id", "canary-body")).await;
    ask_as_us(&served, &post("/hooks/canary-hook-id/x", "canary-body")).await;
    ask_as_us(&served, &post("/length", &"canary-body".repeat(100))).await;
    ask_as_us(&served, "GET /canary-broken HTTP/9.9\r\ncanary\r\n\r\n").await;
    ask_as_us(&served, &get("/metrics?canary", headers)).await;
    served.stop().await;
    let text = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    let found: Vec<_> = text.lines().filter(|line| line.contains("canary")).collect();
    // The names of test functions and files in a backtrace are not secrets.
    let secrets: Vec<_> =
        found.iter().filter(|line| line.replace("canaries", "").contains("canary-")).collect();
    assert!(secrets.is_empty(), "{secrets:#?}");
    let access: Vec<serde_json::Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("each line is JSON"))
        .filter(|line: &serde_json::Value| {
            line["target"] == "purser_control::access" && line["client"] == OURS
        })
        .collect();
    assert_eq!(access.len(), 7, "{text}");
    assert_eq!(access[0]["route"], "/who");
    assert_eq!(access[0]["tenant"], "t-known");
    assert_eq!(access[0]["status"], 200);
    assert!(access[0]["ms"].is_u64() && access[0]["request_id"].as_str().unwrap().len() == 32);
    assert_eq!(access[3]["route"], "/hooks/{id}");
    assert!(
        text.contains("\"message\":\"panic\"") && text.contains("tests/mod.rs"),
        "the place of the panic"
    );
}
