//! Sessions of people at the console: a random id in a cookie, its hash in the store, and a life that is over after
//! half an hour without a request and after twelve hours in any case. Whoever holds the database holds no session.

use super::compare::equal;

/// Name of the cookie. The prefix makes browsers refuse it without `Secure`, with a domain, or for a path.
pub const COOKIE: &str = "__Host-purser";
/// Name of the header that proves that a page of ours sends the request.
pub const CSRF_HEADER: &str = "purser-csrf";
/// A session without requests ends after this, in milliseconds.
pub const IDLE: i64 = 30 * 60 * 1000;
/// A session ends after this, in milliseconds.
pub const ABSOLUTE: i64 = 12 * 60 * 60 * 1000;
/// How exactly the last request is remembered, so that not every request writes.
pub const TOUCH: i64 = 60 * 1000;

/// The times of a session, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// When it began.
    pub created: i64,
    /// When the last request was noted.
    pub seen: i64,
}

impl Life {
    /// Whether it is still alive. A clock that was set back does not make it longer.
    pub const fn is_alive(self, now: i64) -> bool {
        now - self.seen < IDLE
            && now - self.created < ABSOLUTE
            && self.created <= now + TOUCH
            && self.seen <= now + TOUCH
    }

    /// Whether this request is to be noted.
    pub const fn is_to_be_noted(self, now: i64) -> bool {
        now - self.seen >= TOUCH
    }
}

/// What a page of ours sends beside the cookie. It is derived from the session's id, so that nothing has to be kept, and
/// says nothing about it.
pub fn csrf_of(session: &str) -> String {
    blake3::Hash::from(blake3::derive_key("purser-control 2026 csrf of a session", session.as_bytes()))
        .to_hex()
        .to_string()
}

/// Whether a header is the one of the session; compares in constant time.
pub fn is_csrf_of(session: &str, header: &str) -> bool {
    equal(csrf_of(session).as_bytes(), header.as_bytes())
}

/// Whether a request that says where it comes from comes from this server.
pub fn is_own_origin(origin: &str, own: &url::Url) -> bool {
    url::Url::parse(origin).is_ok_and(|origin| origin.origin().is_tuple() && origin.origin() == own.origin())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_800_000_000_000;

    #[test]
    fn a_session_ends_after_half_an_hour_of_silence_or_twelve_hours() {
        let life = |created: i64, seen: i64| Life { created: NOW - created, seen: NOW - seen };
        assert!(life(IDLE, 0).is_alive(NOW));
        assert!(life(IDLE - 1, IDLE - 1).is_alive(NOW));
        assert!(!life(IDLE, IDLE).is_alive(NOW));
        assert!(life(ABSOLUTE - 1, 0).is_alive(NOW));
        assert!(!life(ABSOLUTE, 0).is_alive(NOW));
        assert!(!life(-2 * TOUCH, 0).is_alive(NOW), "made in the future");
        assert!(!life(0, -2 * TOUCH).is_alive(NOW), "seen in the future");
        assert!(!life(0, TOUCH - 1).is_to_be_noted(NOW) && life(0, TOUCH).is_to_be_noted(NOW));
    }

    #[test]
    fn a_csrf_word_belongs_to_one_session() {
        assert!(is_csrf_of("one", &csrf_of("one")));
        assert!(!is_csrf_of("two", &csrf_of("one")));
        assert!(!is_csrf_of("one", "") && !is_csrf_of("one", "one"));
    }

    #[test]
    fn an_origin_is_scheme_host_and_port() {
        let own = url::Url::parse("https://control.example.test/").unwrap();
        assert!(is_own_origin("https://control.example.test", &own));
        assert!(is_own_origin("https://control.example.test:443", &own));
        for foreign in [
            "http://control.example.test",
            "https://control.example.test:8443",
            "https://control.example.test.evil.example.test",
            "https://evil.example.test",
            "null",
            "",
        ] {
            assert!(!is_own_origin(foreign, &own), "{foreign}");
        }
    }
}
