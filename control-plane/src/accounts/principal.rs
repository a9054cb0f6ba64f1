//! Who asks, after they have proven it: a person in a session, or a program with a token.

use super::roles::{Permission, Role};
use crate::store::users::FLEET;

/// Who asks.
#[derive(Clone)]
pub struct Principal {
    /// Id of the person, also of the one to whom the token belongs.
    pub user: String,
    /// For people: the address, and the token's name.
    pub shown: String,
    /// The tenant of the person, or [`FLEET`].
    pub tenant: String,
    /// Their role.
    pub role: Role,
    /// How they prove it.
    pub by: By,
    /// Made of the credential that was presented; opens what was sealed for it. Never shown, never kept.
    pub own_key: [u8; 32],
}

/// How somebody has proven who they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum By {
    /// A session at the console.
    Session {
        /// Its id.
        id: String,
    },
    /// A token.
    Token {
        /// Its id.
        id: String,
        /// What it may do at most.
        scopes: Vec<Permission>,
    },
}

impl std::fmt::Debug for Principal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("Principal");
        shown
            .field("user", &self.user)
            .field("tenant", &self.tenant)
            .field("by", &self.by)
            .finish_non_exhaustive()
    }
}

/// Why a principal does not get what they ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Role or scopes do not allow it.
    Forbidden(Permission),
    /// The tenant is not theirs; it is not said whether there is one.
    NoSuchTenant,
    /// People of the fleet have to say which tenant they mean.
    WhichTenant,
}

impl Principal {
    /// Whether role and, of a token, scopes allow it.
    pub fn may(&self, permission: Permission) -> bool {
        let scoped = match &self.by {
            By::Session { .. } => true,
            By::Token { scopes, .. } => scopes.contains(&permission),
        };
        scoped && self.role.may(permission) && (self.is_of_the_fleet() || !permission.is_of_the_fleet())
    }

    /// Whether they look after all tenants.
    pub fn is_of_the_fleet(&self) -> bool {
        self.tenant == FLEET
    }

    /// Id for the audit log: of the token, else of the person.
    pub fn id(&self) -> &str {
        match &self.by {
            By::Session { .. } => &self.user,
            By::Token { id, .. } => id,
        }
    }

    /// The tenant that is meant: their own, or for people of the fleet the one that they name.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn tenant_for(&self, permission: Permission, named: Option<&str>) -> Result<String, Refusal> {
        let tenant = match named {
            Some(FLEET) if !permission.concerns_people() => return Err(Refusal::NoSuchTenant),
            Some(named) if self.is_of_the_fleet() || named == self.tenant => named.to_owned(),
            Some(_) => return Err(Refusal::NoSuchTenant),
            None if self.is_of_the_fleet() => return Err(Refusal::WhichTenant),
            None => self.tenant.clone(),
        };
        self.require(permission)?;
        Ok(tenant)
    }

    /// Asks for a permission.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`].
    pub fn require(&self, permission: Permission) -> Result<(), Refusal> {
        if self.may(permission) { Ok(()) } else { Err(Refusal::Forbidden(permission)) }
    }
}

/// The key that only who has this credential can make.
pub fn own_key(credential: &str) -> [u8; 32] {
    blake3::derive_key("purser-control 2026 answers to the holder of a credential", credential.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn principal(tenant: &str, role: Role, by: By) -> Principal {
        let own_key = own_key("x");
        Principal { user: "u1".into(), shown: "dora".into(), tenant: tenant.into(), role, by, own_key }
    }

    fn session() -> By {
        By::Session { id: "s1".into() }
    }

    #[test]
    fn a_token_may_what_both_its_scopes_and_its_owner_may() {
        let by = By::Token { id: "k1".into(), scopes: vec![Permission::AgentsRead, Permission::UsersWrite] };
        let token = principal("t1", Role::Operator, by);
        assert!(token.may(Permission::AgentsRead));
        assert!(!token.may(Permission::UsersWrite), "the owner of the token may not");
        assert!(!token.may(Permission::AgentsWrite), "the token may not");
        assert_eq!((token.id(), principal("t1", Role::Owner, session()).id()), ("k1", "u1"));
    }

    #[test]
    fn only_people_of_the_fleet_see_tenants() {
        assert!(principal(FLEET, Role::Owner, session()).may(Permission::TenantsWrite));
        assert!(!principal("t1", Role::Owner, session()).may(Permission::TenantsRead));
    }

    #[test]
    fn a_tenant_is_ones_own_or_named_by_the_fleet() {
        let own = principal("t1", Role::Viewer, session());
        assert_eq!(own.tenant_for(Permission::AgentsRead, None), Ok("t1".into()));
        assert_eq!(own.tenant_for(Permission::AgentsRead, Some("t1")), Ok("t1".into()));
        assert_eq!(own.tenant_for(Permission::AgentsRead, Some("t2")), Err(Refusal::NoSuchTenant));
        assert_eq!(own.tenant_for(Permission::AgentsWrite, Some("t2")), Err(Refusal::NoSuchTenant));
        let refused = Err(Refusal::Forbidden(Permission::AgentsWrite));
        assert_eq!(own.tenant_for(Permission::AgentsWrite, None), refused);
        let fleet = principal(FLEET, Role::Operator, session());
        assert_eq!(fleet.tenant_for(Permission::AgentsRead, None), Err(Refusal::WhichTenant));
        assert_eq!(fleet.tenant_for(Permission::AgentsRead, Some("t2")), Ok("t2".into()));
        let chief = principal(FLEET, Role::Owner, session());
        assert_eq!(chief.tenant_for(Permission::AuditRead, Some(FLEET)), Ok(FLEET.into()));
        assert_eq!(fleet.tenant_for(Permission::AgentsRead, Some(FLEET)), Err(Refusal::NoSuchTenant));
        assert_eq!(own.tenant_for(Permission::AuditRead, Some(FLEET)), Err(Refusal::NoSuchTenant));
    }
}
