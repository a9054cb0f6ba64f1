//! Who may call: tokens, Basic, API keys with scopes, sessions and their seats.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;

use super::docs::guid;
use super::json::{Json, Row, row, text_of};
use super::refusal::{Outcome, Refusal};
use super::{EpicorSim, Path, odata, returned};
use crate::server::{Reply, Request};

impl EpicorSim {
    /// Answers the two token paths; `None` = another path.
    pub(super) fn token_call(&mut self, request: &Request) -> Outcome<Option<Reply>> {
        if request.path.contains("/TokenResource.svc") {
            return self.token_resource(request).map(Some);
        }
        if request.path.ends_with("/connect/token") {
            return Ok(Some(self.identity_provider(request)));
        }
        Ok(None)
    }

    fn token_resource(&mut self, request: &Request) -> Outcome<Reply> {
        if !self.knobs.tokens {
            return Err(Refusal::new(
                404,
                "System.Web.HttpException",
                "Token authentication is not enabled.",
            ));
        }
        if request.method != "POST" {
            return Err(Refusal::new(405, "System.Web.HttpException", "Use POST.").wrong_call());
        }
        let sent = (request.header("username"), request.header("password"));
        if sent != (Some(&self.knobs.username), Some(&self.knobs.password)) {
            return Err(Refusal::unauthorized("Invalid username or password."));
        }
        let (token, seconds) = self.new_token(request);
        let json = request.header("accept").is_some_and(|accept| accept.contains("json"));
        if !json {
            let xml = format!(
                "<Token><AccessToken>{token}</AccessToken><ExpiresIn>{seconds}</ExpiresIn><RefreshToken/>\
                 <TokenType>Bearer</TokenType></Token>"
            );
            return Ok(Reply::new(200, "application/xml; charset=utf-8", xml));
        }
        let body = row([
            ("AccessToken", token.into()),
            ("ExpiresIn", seconds.into()),
            ("RefreshToken", "".into()),
            ("TokenType", "Bearer".into()),
        ]);
        Ok(Reply::new(200, "application/json", Json::Obj(body).text()))
    }

    fn identity_provider(&mut self, request: &Request) -> Reply {
        let form = odata::pairs(&String::from_utf8_lossy(&request.body));
        let of =
            |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value.as_str());
        let error = |word: &str| Reply::json(400, &serde_json::json!({ "error": word }));
        let client =
            of("client_id") == self.knobs.client_id && of("client_secret") == self.knobs.client_secret;
        let scope = of("scope").to_owned();
        match of("grant_type") {
            "client_credentials" if !client => return error("invalid_client"),
            "client_credentials" if scope != self.knobs.oauth_scope => return error("invalid_scope"),
            "client_credentials" => {}
            "password" if of("username") != self.knobs.username || of("password") != self.knobs.password => {
                return error("invalid_grant");
            }
            "password" => {}
            _ => return error("unsupported_grant_type"),
        }
        let (token, seconds) = self.new_token(request);
        let body = row([
            ("access_token", token.into()),
            ("expires_in", seconds.into()),
            ("token_type", "Bearer".into()),
            ("scope", scope.into()),
        ]);
        Reply::new(200, "application/json", Json::Obj(body).text())
    }

    fn new_token(&mut self, request: &Request) -> (String, i64) {
        let seconds = self.knobs.token_lifetime_seconds;
        self.tokens.retain(|_, expires| *expires > request.at);
        let token = format!("sandbox.{}", guid(i64::try_from(self.calls).unwrap_or_default(), 7));
        self.tokens.insert(token.clone(), request.at + TimeDelta::seconds(seconds));
        (token, seconds)
    }

    /// The user's name, when identity and key are good for the service.
    pub(super) fn check_access(&mut self, request: &Request, path: &Path) -> Outcome<String> {
        self.check_identity(request)?;
        if path.v2 {
            self.check_key(request, path)?;
        }
        Ok(self.knobs.username.clone())
    }

    fn check_identity(&self, request: &Request) -> Outcome<()> {
        let refused = || Refusal::unauthorized("Invalid username or password.");
        let sent = request.header("authorization").ok_or_else(refused)?;
        if let Some(token) = sent.strip_prefix("Bearer ") {
            let alive = self.tokens.get(token).is_some_and(|expires| *expires > request.at);
            return if alive {
                Ok(())
            } else {
                Err(Refusal::unauthorized("The token is expired or not valid."))
            };
        }
        let basic = sent.strip_prefix("Basic ").filter(|_| self.knobs.basic).ok_or_else(refused)?;
        let decoded = STANDARD.decode(basic).map_err(|_| refused())?;
        let wanted = format!("{}:{}", self.knobs.username, self.knobs.password);
        if decoded == wanted.as_bytes() { Ok(()) } else { Err(refused()) }
    }

    fn check_key(&mut self, request: &Request, path: &Path) -> Outcome<()> {
        let in_query = odata::pairs(&request.query).into_iter().find(|(name, _)| name == "api-key");
        if in_query.is_some() {
            self.note_misuse(request, "the API key is in the query, where it gets into logs");
        }
        let sent = request.header("x-api-key").map(str::to_owned).or(in_query.map(|(_, value)| value));
        let key = sent.and_then(|sent| self.knobs.api_keys.iter().find(|key| key.key == sent));
        let key = key.ok_or_else(|| Refusal::unauthorized("Invalid API key."))?;
        if key.scope.is_empty() || key.scope.contains(&path.service) {
            return Ok(());
        }
        Err(Refusal::forbidden(format!("The access scope of the API key does not contain {}.", path.service)))
    }

    /// A session id that is sent must be alive.
    pub(super) fn check_session(&self, request: &Request) -> Outcome<()> {
        for header in ["sessioninfo", "license"] {
            let Some(sent) = request.header(header) else { continue };
            let sent = Json::parse(sent.as_bytes()).ok();
            let id = sent.as_ref().and_then(Json::as_row).map_or("", |row| text_of(row, "SessionID"));
            if !id.is_empty() && self.sessions.get(id) != Some(&true) {
                let kind = "Ice.Common.InvalidSessionException";
                return Err(Refusal::new(410, kind, "The session is no longer valid."));
            }
        }
        Ok(())
    }

    pub(super) fn session_call(&mut self, name: &str, arguments: &Row) -> Outcome<Row> {
        match name {
            "GetPatchLevelApp" => Ok(returned("4.3.100.7")),
            "Login" => {
                if self.sessions.values().filter(|alive| **alive).count() >= self.knobs.seats {
                    let kind = "Ice.Security.License.LicenseException";
                    return Err(Refusal::new(self.knobs.seat_status, kind, self.knobs.seat_message.clone()));
                }
                let id = guid(i64::try_from(self.calls).unwrap_or_default(), 6);
                self.sessions.insert(id.clone(), true);
                Ok(returned(id))
            }
            "Logout" => {
                // Without a session in the headers there is only one that can be meant: the newest.
                if let Some(alive) = self.sessions.values_mut().rev().find(|alive| **alive) {
                    *alive = false;
                }
                Ok(Row::new())
            }
            "IsValidSession" => {
                Ok(returned(self.sessions.get(text_of(arguments, "sessionID")).copied().unwrap_or_default()))
            }
            _ => Ok(Row::new()),
        }
    }
}
