//! People, departments, locations, titles, legal entities and the company.

use super::BrexSim;
use super::books::{Label, User};
use super::fields::{optional, required};
use super::query::Query;
use super::refusal::{Outcome, Refusal};
use super::wire;
use serde_json::{Value, json};

/// The three lists of names that work alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Departments,
    Locations,
    Titles,
}

impl Named {
    pub(super) fn of(word: &str) -> Option<Self> {
        match word {
            "departments" => Some(Self::Departments),
            "locations" => Some(Self::Locations),
            "titles" => Some(Self::Titles),
            _ => None,
        }
    }

    pub(super) fn read_scopes(self) -> &'static [&'static str] {
        match self {
            Self::Departments => &["departments.readonly", "departments"],
            Self::Locations => &["locations.readonly", "locations"],
            Self::Titles => &["titles.readonly", "titles"],
        }
    }

    pub(super) fn write_scopes(self) -> &'static [&'static str] {
        match self {
            Self::Departments => &["departments"],
            Self::Locations => &["locations"],
            Self::Titles => &["titles"],
        }
    }

    fn prefix(self) -> &'static str {
        match self {
            Self::Departments => "dep",
            Self::Locations => "loc",
            Self::Titles => "title",
        }
    }
}

impl BrexSim {
    pub(super) fn list_users(&self, query: &Query) -> Outcome<Value> {
        let wanted = |user: &&User| {
            query.one("email").is_none_or(|email| user.data.email.eq_ignore_ascii_case(email))
                && query.one("remote_display_id").is_none_or(|number| user.data.number == number)
        };
        let found: Vec<&User> = self.books.users.iter().filter(wanted).collect();
        self.listed(query, &found, |user| self.user_body(user))
    }

    /// The person behind the token is the first one.
    pub(super) fn me(&self) -> Value {
        self.books.users.first().map_or(Value::Null, |user| self.user_body(user))
    }

    pub(super) fn one_user(&self, id: &str) -> Outcome<Value> {
        let user = self.books.user(id);
        let user = user.ok_or_else(|| Refusal::not_found("User not found", Some("USER_NOT_FOUND")))?;
        Ok(self.user_body(user))
    }

    fn user_body(&self, user: &User) -> Value {
        let blank = if self.knobs.trailing_blanks { " " } else { "" };
        json!({
            "id": user.id,
            "first_name": format!("{}{blank}", user.data.first_name),
            "last_name": format!("{}{blank}", user.data.last_name),
            "email": user.data.email,
            "status": if user.data.active { "ACTIVE" } else { "DISABLED" },
            "manager_id": user.manager,
            "department_id": user.department,
            "location_id": user.location,
            "title_id": null,
            "metadata": null,
            "remote_display_id": user.data.number})
    }

    fn named(&self, kind: Named) -> &Vec<Label> {
        match kind {
            Named::Departments => &self.books.departments,
            Named::Locations => &self.books.locations,
            Named::Titles => &self.books.titles,
        }
    }

    pub(super) fn list_named(&self, kind: Named, query: &Query) -> Outcome<Value> {
        let rule = self.knobs.name_match;
        let wanted = |label: &&Label| query.one("name").is_none_or(|name| rule.holds(name, &label.name));
        let found: Vec<&Label> = self.named(kind).iter().filter(wanted).collect();
        self.listed(query, &found, |label| label_body(label))
    }

    pub(super) fn one_named(&self, kind: Named, id: &str) -> Outcome<Value> {
        let label = self.named(kind).iter().find(|label| label.id == id);
        Ok(label_body(label.ok_or_else(|| Refusal::not_found("Not Found", None))?))
    }

    pub(super) fn create_named(&mut self, kind: Named, body: &Value) -> Outcome<Value> {
        let label = Label {
            id: wire::id(&mut self.rng, kind.prefix()),
            name: required(body, "name")?,
            description: optional(body, "description")?,
        };
        let answer = label_body(&label);
        match kind {
            Named::Departments => self.books.departments.push(label),
            Named::Locations => self.books.locations.push(label),
            Named::Titles => self.books.titles.push(label),
        }
        Ok(answer)
    }

    /// Members are partly in camel case, as documented.
    pub(super) fn legal_entities(&self, query: &Query) -> Outcome<Value> {
        let entity = json!({
            "id": self.books.entity_id, "display_name": "Example Works", "status": "ACTIVE", "isDefault": true,
            "billingAddress": null, "createdAt": "2024-01-01T00:00:00Z"});
        self.listed(query, &[entity], Value::clone)
    }

    pub(super) fn company(&self) -> Value {
        json!({
            "id": self.books.company_id, "legal_name": "Example Works, Inc.",
            "mailing_address": {"line1": "1 Example Street", "line2": null, "city": "Springfield", "state": "IL",
                "country": "US", "postal_code": "62701", "phone_number": null},
            "accountType": "BREX_EMPOWER"})
    }
}

fn label_body(label: &Label) -> Value {
    json!({"id": label.id, "name": label.name, "description": label.description})
}
