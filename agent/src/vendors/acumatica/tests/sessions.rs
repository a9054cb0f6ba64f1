//! Sessions by cookie: each one holds a licensed seat, so each one is signed out or taken up again.

use super::*;
use crate::vendors::http::{Body, Call};
use crate::vendors::{ErpTarget, Probe, Verdict};
use async_trait::async_trait;
use reqwest::Method;
use spend::posting::{Failure, FailureClass, LookUp};

/// A site with sessions and two seats.
#[derive(Default)]
struct Site {
    state: Mutex<SiteState>,
}

#[derive(Default)]
struct SiteState {
    open: Vec<String>,
    opened: u32,
    most: usize,
    bodies: Vec<String>,
    refuses: Option<Answer>,
    outs: usize,
    /// What a sign-out is refused with.
    out_fails: Option<u16>,
}

impl Site {
    fn state(&self) -> std::sync::MutexGuard<'_, SiteState> {
        self.state.lock().unwrap()
    }
}

#[async_trait]
impl Transport for Site {
    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let mut state = self.state();
        let cookie = call.headers.iter().find(|(name, _)| *name == "cookie");
        let cookie = cookie.map(|(_, value)| value.expose().expose_secret().to_owned());
        let path = call.url.path().to_owned();
        if path.ends_with("/auth/login") {
            let Body::Json(body) = &call.body else { panic!() };
            state.bodies.push(body.expose().expose_secret().to_owned());
            if let Some(answer) = &state.refuses {
                return Ok(answer.clone());
            }
            state.opened += 1;
            let session = format!("ASP.NET_SessionId=s{}; .ASPXAUTH=a", state.opened);
            state.open.push(session.clone());
            state.most = state.most.max(state.open.len());
            let mut signed_in = answer(204, "");
            let lines: Vec<String> =
                session.split("; ").map(|pair| format!("{pair}; path=/; HttpOnly; SameSite=Lax")).collect();
            signed_in.headers.insert("set-cookie".to_owned(), lines.join("\n"));
            return Ok(signed_in);
        }
        if path.ends_with("/auth/logout") {
            assert!(
                call.method == Method::POST && matches!(call.body, Body::Empty),
                "the gate writes the length"
            );
            state.outs += 1;
            if let Some(status) = state.out_fails {
                return Ok(answer(status, ""));
            }
            state.open.retain(|open| Some(open) != cookie.as_ref());
            return Ok(answer(204, ""));
        }
        if !state.open.iter().any(|open| Some(open) == cookie.as_ref()) {
            let mut login = answer(302, "<html>Object moved</html>");
            login.headers.insert("location".to_owned(), "/AcumaticaERP/Frames/Login.aspx".to_owned());
            return Ok(login);
        }
        if path.ends_with("/entity") {
            return Ok(answer(200, r#"[{"name":"Default","version":"24.200.001"}]"#));
        }
        Ok(answer(200, "[]"))
    }
}

impl Site {
    /// Sessions that are open, that were ever opened, the most at a time, and sign-outs.
    fn figures(&self) -> (usize, u32, usize, usize) {
        let state = self.state();
        (state.open.len(), state.opened, state.most, state.outs)
    }
}

fn cookie(linger: u16) -> Value {
    json!({ "auth": { "method": "cookie", "tenant": "My Company", "branch": "HQ", "linger_seconds": linger } })
}

fn connect_kept(site: &Arc<Site>, linger: u16, secrets: &[(&str, &str)], kept: &Arc<Kept>) -> Acumatica {
    connect_with(site.clone(), cookie(linger), secrets, kept.clone(), Clock::manual(now()))
}

/// Sheet items: Acumatica 5, Acumatica 7
#[tokio::test]
async fn a_session_is_noted_before_it_is_used_and_signed_out_after_the_work() {
    let (site, kept) = (Arc::new(Site::default()), Arc::default());
    let erp = connect_kept(&site, 0, &[], &kept);
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert_eq!(kept.of("session"), ["ASP.NET_SessionId=s1; .ASPXAUTH=a", ""]);
    assert!(site.state().open.is_empty(), "no seat is left taken");
    let sent: Value = serde_json::from_str(&site.state().bodies[0]).unwrap();
    let wanted =
        json!({ "name": "api_ap", "password": "s3cret-pass", "tenant": "My Company", "branch": "HQ" });
    assert_eq!(sent, wanted);
}

/// Sheet item: Acumatica 5
#[tokio::test(start_paused = true)]
async fn an_idle_session_is_signed_out_and_a_busy_one_is_not() {
    let (site, kept) = (Arc::new(Site::default()), Arc::default());
    let erp = connect_kept(&site, 30, &[], &kept);
    for _ in 0..5 {
        assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
        tokio::time::sleep(std::time::Duration::from_secs(20)).await;
    }
    assert_eq!(site.figures(), (1, 1, 1, 0));
    tokio::time::sleep(std::time::Duration::from_secs(31)).await;
    assert_eq!(site.figures(), (0, 1, 1, 1));
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert_eq!(site.state().opened, 2);
}

/// Sheet items: Acumatica 5, Acumatica 23
#[tokio::test]
async fn a_session_that_a_crash_left_behind_is_used_again_and_a_dead_one_is_closed_before_the_next() {
    let (site, kept) = (Arc::new(Site::default()), Arc::default());
    site.state().open.push("left=behind".to_owned());
    let erp = connect_kept(&site, 30, &[("session", "left=behind")], &kept);
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert_eq!(site.figures(), (1, 0, 0, 0), "no second seat");
    // It dies meanwhile; the call that met it is repeated once with a new one.
    site.state().open.clear();
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert_eq!(site.figures(), (1, 1, 1, 1));
    // The next process finds it too.
    let session = kept.of("session").last().unwrap().clone();
    let erp = connect_kept(&site, 0, &[("session", &session)], &kept);
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert!(site.state().open.is_empty());
    assert_eq!(kept.of("session").last().unwrap(), "");
}

#[tokio::test]
async fn a_session_that_cannot_be_noted_is_closed_at_once() {
    let (site, kept) = (Arc::new(Site::default()), Arc::<Kept>::default());
    *kept.broken.lock().unwrap() = true;
    let erp = connect_kept(&site, 30, &[], &kept);
    let failure = erp.look_up(&invoice_plan()).await.unwrap_err();
    assert!(failure.message.contains("the disk is full"), "{failure}");
    assert!(site.state().open.is_empty());
}

#[tokio::test]
async fn a_sign_out_that_failed_is_made_up_for() {
    let (site, kept) = (Arc::new(Site::default()), Arc::default());
    let erp = connect_kept(&site, 0, &[], &kept);
    site.state().out_fails = Some(500);
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert_eq!(site.state().open.len(), 1);
    site.state().out_fails = None;
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert_eq!(site.figures(), (0, 2, 1, 3), "never two at a time");
}

/// Sheet items: Acumatica 5, Acumatica 7
#[tokio::test]
async fn a_session_that_cannot_be_signed_out_is_used_on_and_no_second_seat_is_taken() {
    for status in [400, 403, 404, 411, 429, 500, 503] {
        let (site, kept) = (Arc::new(Site::default()), Arc::default());
        let erp = connect_kept(&site, 0, &[], &kept);
        site.state().out_fails = Some(status);
        for _ in 0..3 {
            assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
        }
        let (_, opened, most, _) = site.figures();
        assert_eq!((opened, most), (1, 1), "{status}");
        let noted = kept.of("session").last().cloned().unwrap();
        assert_eq!(noted, "ASP.NET_SessionId=s1; .ASPXAUTH=a", "{status}: the next process closes it");
        // When it has died at last, it holds no seat, and a new one may be opened.
        site.state().open.clear();
        assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
        let (_, opened, most, _) = site.figures();
        assert_eq!((opened, most), (2, 1), "{status}");
    }
}

#[tokio::test]
async fn a_sign_out_of_a_session_that_is_not_known_any_more_is_done() {
    let (site, kept) = (Arc::new(Site::default()), Arc::default());
    let erp = connect_kept(&site, 0, &[], &kept);
    site.state().out_fails = Some(401);
    assert_eq!(erp.look_up(&invoice_plan()).await, Ok(LookUp::Absent));
    assert_eq!(kept.of("session").last().unwrap(), "");
}

/// Sheet item: Acumatica 6
#[tokio::test]
async fn bad_credentials_under_500_are_a_matter_of_the_credential() {
    for (kind, words) in [
        ("PX.Data.PXException", "Error: Invalid credentials. Please try again."),
        ("PX.Data.PXUndefinedCompanyException", "The tenant is not defined."),
    ] {
        let (site, kept) = (Arc::new(Site::default()), Arc::default());
        site.state().refuses = Some(exception(500, kind, words));
        let erp = connect_kept(&site, 0, &[], &kept);
        for _ in 0..3 {
            let failure = erp.look_up(&invoice_plan()).await.unwrap_err();
            assert_eq!(failure.class, FailureClass::Unauthorised, "{failure}");
        }
        assert_eq!(site.state().bodies.len(), 1, "repeated sign-ins lock accounts");
    }
}

/// Sheet item: Acumatica 6
#[tokio::test]
async fn a_sign_in_without_a_tenant_is_warned_about() {
    let site = Arc::new(Site::default());
    let erp = connect(site, json!({ "auth": { "method": "cookie", "linger_seconds": 0 } }));
    let results = erp.probe().await;
    let tenant = results.iter().find(|r| r.check == "tenant").unwrap();
    assert_eq!(tenant.verdict, Verdict::Warn, "{tenant:?}");
}
