//! The token cache.

use super::*;
use chrono::TimeDelta;
use spend::posting::{Failure, FailureClass};
use std::sync::atomic::{AtomicU32, Ordering};

struct Desk {
    cache: TokenCache,
    clock: Clock,
    logins: AtomicU32,
}

impl Desk {
    fn new() -> Self {
        let clock = Clock::manual(noon());
        Self { cache: TokenCache::new(clock.clone()), clock, logins: AtomicU32::new(0) }
    }

    fn logins(&self) -> u32 {
        self.logins.load(Ordering::SeqCst)
    }

    async fn get(&self, outcome: Result<i64, FailureClass>) -> Result<Token, Failure> {
        let fetch = || async move {
            let login = self.logins.fetch_add(1, Ordering::SeqCst) + 1;
            tokio::time::sleep(Duration::from_secs(1)).await;
            let value = bound(&format!("token-{login}"), "https://erp.example.test");
            outcome
                .map(|lifetime| Token::new(value, self.clock.now() + TimeDelta::seconds(lifetime)))
                .map_err(|class| Failure::new(class, "login refused"))
        };
        self.cache.get(fetch).await
    }
}

#[tokio::test(start_paused = true)]
async fn concurrent_callers_share_one_login() {
    let desk = Desk::new();
    let tokens = futures_util::future::join_all((0..20).map(|_| desk.get(Ok(3600)))).await;
    assert_eq!(desk.logins(), 1);
    assert!(tokens.iter().all(|token| token.as_ref().unwrap().value.expose() == "token-1"));
    assert!(tokens[0].as_ref().unwrap().value.may_go_to(&Origin::parse("https://erp.example.test").unwrap()));
}

#[tokio::test(start_paused = true)]
async fn concurrent_callers_share_one_failed_login() {
    let desk = Desk::new();
    let outcomes =
        futures_util::future::join_all((0..20).map(|_| desk.get(Err(FailureClass::Unauthorised)))).await;
    assert_eq!(desk.logins(), 1);
    assert!(outcomes.iter().all(|outcome| outcome.as_ref().unwrap_err().message == "login refused"));
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_tried_again_after_a_minute_and_not_before() {
    let desk = Desk::new();
    desk.get(Err(FailureClass::Unauthorised)).await.unwrap_err();
    for _ in 0..100 {
        let failure = desk.get(Ok(3600)).await.unwrap_err();
        assert_eq!(failure.class, FailureClass::Unauthorised);
        assert!(failure.message.contains("after 12:01:00Z"), "{failure}");
    }
    assert_eq!(desk.logins(), 1);
    desk.clock.advance(TimeDelta::seconds(60));
    desk.get(Ok(3600)).await.unwrap();
    assert_eq!(desk.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_never_left_may_be_tried_again_at_once() {
    let desk = Desk::new();
    desk.get(Err(FailureClass::NotSent)).await.unwrap_err();
    desk.get(Ok(3600)).await.unwrap();
    assert_eq!(desk.logins(), 2);
}

/// Sheet item: Epicor 4 (lifetime as the server says).
#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_a_minute_before_its_end() {
    let desk = Desk::new();
    desk.get(Ok(3600)).await.unwrap();
    desk.clock.advance(TimeDelta::seconds(3539));
    desk.get(Ok(3600)).await.unwrap();
    assert_eq!(desk.logins(), 1);
    desk.clock.advance(TimeDelta::seconds(1));
    assert_eq!(desk.get(Ok(3600)).await.unwrap().value.expose(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_short_lived_token_is_used_before_it_is_renewed() {
    let desk = Desk::new();
    desk.get(Ok(40)).await.unwrap();
    desk.clock.advance(TimeDelta::seconds(29));
    desk.get(Ok(40)).await.unwrap();
    assert_eq!(desk.logins(), 1);
    desk.clock.advance(TimeDelta::seconds(1));
    desk.get(Ok(40)).await.unwrap();
    assert_eq!(desk.logins(), 2);
}

/// Sheet item: Epicor 4 (revoked while in use).
#[tokio::test(start_paused = true)]
async fn only_the_refused_token_is_forgotten() {
    let desk = Desk::new();
    let first = desk.get(Ok(3600)).await.unwrap();
    desk.cache.invalidate(&first).await;
    desk.get(Ok(3600)).await.unwrap();
    desk.cache.invalidate(&first).await;
    assert_eq!(desk.get(Ok(3600)).await.unwrap().value.expose(), "token-2");
    assert_eq!(desk.logins(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_login_that_is_given_up_does_not_block_the_next() {
    let desk = Desk::new();
    assert!(tokio::time::timeout(Duration::from_millis(10), desk.get(Ok(3600))).await.is_err());
    desk.get(Ok(3600)).await.unwrap();
    assert_eq!(desk.logins(), 2);
}
