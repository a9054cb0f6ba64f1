//! People and programs that use the admin API: who they are, what they may do, how they prove it. What decides is pure;
//! [`service`] ties it to the store, and `api/admin` to HTTP.
//!
//! Roles are a table ([`roles`]); a route asks for a permission. Somebody belongs to one tenant, or to the fleet.
//! Nothing that opens anything is kept: passwords are hashed, sessions and tokens are hashes, second factors are sealed
//! with their owner's password.

mod common_passwords;
pub mod compare;
pub mod limits;
pub mod login;
pub mod oidc;
pub mod password;
pub mod people;
pub mod principal;
pub mod roles;
pub mod seal;
pub mod service;
pub mod sessions;
pub mod token;
pub mod totp;
