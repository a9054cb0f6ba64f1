//! What a hostile control plane tries, by number. Each entry says what is sent and how an agent must take it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use purser_proto::link::enrollment::PublicKeys;
use sandbox::harness::AgentConfig;
use serde_json::{Value, json};

use super::super::hand::now;
use super::listener::Foreign;
use super::server::{AGENT, Raw};

/// How an agent must take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// A revision that is refused, with findings.
    RevisionRefused,
    /// A revision that is applied and yet lifts nothing.
    Harmless,
    /// A sealed secret that is not stored.
    SecretRefused,
    /// A command that ends like this.
    Command(&'static [&'static str]),
    /// A webhook that is not believed.
    WebhookRefused,
    /// Taken, and nothing follows.
    Ignored,
    /// No message at all: the agent tries again later.
    NoMessage,
}

/// What is sent.
pub(super) enum Blow {
    Delivery(Value),
    /// Under an id that was used before.
    Repeated(String, Value),
    Raw(Raw),
}

pub(super) struct Attack {
    pub(super) what: &'static str,
    pub(super) blow: Blow,
    pub(super) taken: Taken,
}

/// What an attacker knows, which is much: configuration, recipient, names of records, the product's source.
pub(super) struct Knowledge<'a> {
    pub(super) config: &'a AgentConfig,
    pub(super) foreign: &'a Foreign,
    pub(super) keys: &'a Value,
    /// Number of the revision in force.
    pub(super) revision: u64,
    /// A posting that is booked, and one that is held.
    pub(super) posted: &'a str,
    pub(super) held: &'a str,
    /// A delivery that was taken.
    pub(super) taken: &'a str,
    pub(super) flow: &'a str,
}

impl Knowledge<'_> {
    /// All attacks in their order. Those that make no message of the link come last: the agent waits after each.
    pub(super) fn attacks(&self) -> Vec<Attack> {
        let mut all = self.configurations();
        all.extend(self.secrets());
        all.extend(self.commands());
        all.extend(self.webhooks());
        all.extend(self.others());
        all
    }

    fn configurations(&self) -> Vec<Attack> {
        let good = self.config.render();
        let (epicor, brex) = (self.config.epicor.as_str(), self.config.brex.as_str());
        let elsewhere = self.foreign.url();
        let moved =
            |from: &str, to: &str| good.replace(&format!("url = \"{from}\""), &format!("url = \"{to}\""));
        let with_network = |what: &str| good.replacen("proxy = \"none\"", what, 1);
        let evil = |from: &str, to: &str| {
            let flow = good.find("[[flow]]").unwrap();
            let copy = good[flow..].replace(&format!("id = \"{}\"", self.flow), "id = \"evil\"");
            format!("{good}\n{}", copy.replace(from, to))
        };
        let renamed = |text: &str| {
            text.replace(&format!("[[flow]]\nid = \"{}\"", self.flow), "[[flow]]\nid = \"evil\"")
        };
        let port = self.foreign.port();
        let refused =
            |what, text: String| self.revision(what, self.revision + 1, &text, Taken::RevisionRefused);
        let invoices = evil("document = \"journal\"", "document = \"ap-invoice\"");
        let company = format!("company = \"{}\"", self.config.company);
        vec![
            refused("the ERP at a foreign address", moved(epicor, &elsewhere)),
            refused("the source at a foreign address", moved(brex, &elsewhere)),
            refused(
                "a foreign host by another name of this machine",
                moved(epicor, &format!("http://localhost:{port}")),
            ),
            refused(
                "a foreign host behind a login that looks like the ERP",
                moved(epicor, &format!("http://{}@127.0.0.1:{port}", epicor.trim_start_matches("http://"))),
            ),
            refused("a foreign place that issues tokens", {
                let oauth = format!("settings = {{ token_url = \"{elsewhere}/token\", ");
                good.replacen("settings = { types", &format!("{oauth}types"), 1)
            }),
            refused("a foreign proxy", with_network(&format!("proxy = \"{elsewhere}\""))),
            refused("a foreign authority", with_network("extra_ca = \"/tmp/foreign.pem\", proxy = \"none\"")),
            refused("another company", evil(&company, "company = \"ELSEWHERE\"")),
            refused("another kind of document", invoices),
            refused(
                "higher ceilings",
                format!("{good}\n[guard_rails]\nmax_per_document = {{ USD = \"9000000.00\" }}\n"),
            ),
            refused("a revision that renames the flow", renamed(&good)),
            refused("a twin of the flow, under another name of its source", self.twin(&good)),
            refused("a twin in the place of the flow", renamed(&self.twin(&good))),
            refused("no configuration at all", "dance = true\n".to_owned()),
            self.revision("an older number", self.revision - 1, &good, Taken::RevisionRefused),
            self.revision(
                "the number in force with another text",
                self.revision,
                &evil("cards", "evil"),
                Taken::RevisionRefused,
            ),
            Attack {
                what: "a text that is not the one that was hashed",
                ..self.falsified(&evil("cards", "evil"))
            },
            self.revision(
                "a revision without ceilings of its own",
                self.revision + 1,
                &good,
                Taken::Harmless,
            ),
        ]
    }

    /// The source once more under another name, with the same secret, and a flow from there beside the one that is good.
    fn twin(&self, good: &str) -> String {
        let (source, flow) =
            (good.find("[[connection]]\nid = \"brex\"").unwrap(), good.find("[[flow]]").unwrap());
        let end = good[source + 1..].find("\n[[").map_or(good.len(), |at| source + 1 + at);
        let again = good[source..end].replace("id = \"brex\"", "id = \"again\"\nsecret = \"brex\"");
        let prefix = good[flow..].lines().find(|line| line.starts_with("prefix = ")).unwrap();
        let twin = good[flow..]
            .replace(&format!("id = \"{}\"", self.flow), "id = \"twin\"")
            .replace("source = \"brex\"", "source = \"again\"")
            .replace(prefix, "prefix = \"TWIN\"");
        format!("{good}\n{again}\n{twin}")
    }

    fn revision(&self, what: &'static str, number: u64, toml: &str, taken: Taken) -> Attack {
        Attack { what, blow: Blow::Delivery(revision(number, toml)), taken }
    }

    fn falsified(&self, toml: &str) -> Attack {
        let mut body = revision(self.revision + 1, &self.config.render());
        body["toml"] = toml.into();
        Attack { what: "", blow: Blow::Delivery(body), taken: Taken::RevisionRefused }
    }

    fn secrets(&self) -> Vec<Attack> {
        let usual = json!({
            "version": 1, "agent": AGENT, "fingerprint": self.fingerprint(), "name": "epicor", "connection": "epicor",
            "kind": "epicor", "origins": [self.config.epicor],
            "fields": [["user", "MALLORY"], ["password", "mallory"], ["api_key", "mallory"]],
        });
        let with = |name: &str, value: Value| {
            let mut changed = usual.clone();
            changed[name] = value;
            self.sealed(&changed)
        };
        let refused = |what, armored: String| Attack {
            what,
            blow: Blow::Delivery(
                json!({ "kind": "secret", "name": "epicor", "armored": armored, "by": "mallory" }),
            ),
            taken: Taken::SecretRefused,
        };
        vec![
            refused("a secret for a foreign address", with("origins", json!([self.foreign.url()]))),
            refused(
                "a secret for the ERP and a foreign address",
                with("origins", json!([self.config.epicor, self.foreign.url()])),
            ),
            refused("a secret of another agent", with("agent", json!("asomebody"))),
            refused("a secret of another kind of system", with("kind", json!("brex"))),
            refused("a secret that names other keys", with("fingerprint", json!("0000-0000"))),
            refused("a secret that is not sealed", usual.to_string()),
            refused(
                "an old sealed secret",
                with("sealed_at", json!((now() - TimeDelta::days(1)).to_rfc3339())),
            ),
            refused("a sealed secret that does not say how old it is", self.sealed(&usual)),
        ]
    }

    fn commands(&self) -> Vec<Attack> {
        let command = |what, verb: Value, expires: i64, taken: &'static [&'static str]| Attack {
            what,
            blow: Blow::Delivery(json!({
                "kind": "command", "by": "mallory", "reason": "because", "verb": verb,
                "expires": (now() + TimeDelta::seconds(expires)).to_rfc3339(),
            })),
            taken: Taken::Command(taken),
        };
        let execute =
            json!({ "verb": "execute", "program": "/bin/sh", "arguments": ["-c", "touch /tmp/mallory"] });
        let flow = self.flow;
        vec![
            command("a command that runs a program", execute, 600, &["refused"]),
            command(
                "a command that came too late",
                json!({ "verb": "run", "flow": flow }),
                -600,
                &["expired"],
            ),
            command(
                "a command that this machine does not allow",
                json!({ "verb": "handle", "flow": flow, "posting": self.held }),
                600,
                &["refused"],
            ),
            command(
                "a replay of what is booked",
                json!({ "verb": "replay", "flow": flow, "posting": self.posted }),
                600,
                &["done", "refused"],
            ),
            command(
                "a test of a connection that is an address",
                json!({ "verb": "test-connection", "connection": self.foreign.url() }),
                600,
                &["refused", "failed"],
            ),
        ]
    }

    fn webhooks(&self) -> Vec<Attack> {
        let headers = json!({
            "webhook-id": "msg_mallory", "webhook-timestamp": now().timestamp().to_string(),
            "webhook-signature": format!("v1,{}", STANDARD.encode([7; 32])),
        });
        let received = |agent: &str, connection: &str| {
            json!({
                "agent": agent, "connection": connection, "received_at": now().to_rfc3339(), "headers": headers,
                "body_base64": STANDARD.encode(br#"{"event_type":"ACCOUNTING_RECORD_READY_FOR_EXPORT"}"#),
            })
        };
        let refused = |what, inside: Value| {
            let sealed = STANDARD.encode(self.seal(inside.to_string().as_bytes()));
            let body = json!({ "kind": "webhook", "connection": "brex", "sealed": sealed });
            Attack { what, blow: Blow::Delivery(body), taken: Taken::WebhookRefused }
        };
        vec![
            refused("a webhook that its sender has not signed", received(AGENT, "brex")),
            refused("a webhook of another agent", received("asomebody", "brex")),
            refused("a webhook of another connection", received(AGENT, "epicor")),
        ]
    }

    fn others(&self) -> Vec<Attack> {
        let place = self.foreign.url();
        let release =
            json!({ "kind": "release", "version": "99.0.0", "manifest": format!("{place}/release") });
        let strange = json!({ "kind": "dance", "steps": [1, 2] });
        let again = revision(self.revision + 2, "version = 1\n");
        let redirect = Raw {
            status: 307,
            headers: vec![("location", format!("{place}/v1/agent/sync"))],
            body: Vec::new(),
        };
        let bomb = Raw {
            status: 200,
            headers: vec![
                ("content-type", "application/json".to_owned()),
                ("content-encoding", "gzip".to_owned()),
            ],
            body: bomb(),
        };
        let attack = |what, blow, taken| Attack { what, blow, taken };
        vec![
            attack("a release at a foreign address", Blow::Delivery(release), Taken::Ignored),
            attack("a kind that nobody knows", Blow::Delivery(strange), Taken::Ignored),
            attack(
                "other content under an id that was taken",
                Blow::Repeated(self.taken.to_owned(), again),
                Taken::Ignored,
            ),
            attack("a way to somewhere else", Blow::Raw(redirect), Taken::NoMessage),
            attack("an answer that grows without end", Blow::Raw(bomb), Taken::NoMessage),
        ]
    }

    fn fingerprint(&self) -> String {
        let key = |name: &str| self.keys[name].as_str().unwrap().into();
        PublicKeys { signing: key("signing"), recipient: key("recipient") }.fingerprint()
    }

    fn recipient(&self) -> age::x25519::Recipient {
        self.keys["recipient"].as_str().unwrap().parse().unwrap()
    }

    fn seal(&self, plain: &[u8]) -> Vec<u8> {
        age::encrypt(&self.recipient(), plain).unwrap()
    }

    fn sealed(&self, inside: &Value) -> String {
        age::encrypt_and_armor(&self.recipient(), inside.to_string().as_bytes()).unwrap()
    }
}

/// A revision as it travels.
pub(super) fn revision(number: u64, toml: &str) -> Value {
    json!({
        "kind": "revision", "number": number, "toml": toml, "hash": blake3::hash(toml.as_bytes()).to_hex().as_str(),
        "by": "mallory", "note": "", "at": now().to_rfc3339(),
    })
}

/// 64 MiB of blanks, packed.
fn bomb() -> Vec<u8> {
    use std::io::Write as _;
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let blank = vec![b' '; 1 << 20];
    (0..64).try_for_each(|_| packer.write_all(&blank)).unwrap();
    packer.finish().unwrap()
}
