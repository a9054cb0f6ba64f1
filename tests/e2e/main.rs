//! End to end: the agent's real clients against the simulators over real sockets, the real binary from start to end
//! and through kills, and the rules of the house.

#[cfg(test)]
mod canary;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod doctor;
#[cfg(test)]
mod flow;
#[cfg(test)]
mod house;
#[cfg(test)]
mod link;
#[cfg(test)]
mod reference;
#[cfg(test)]
mod reread;
#[cfg(test)]
mod routes;
#[cfg(test)]
mod sent_back;
#[cfg(test)]
mod stage;
#[cfg(test)]
mod supervision;
#[cfg(test)]
mod surfaces;
#[cfg(test)]
mod webhooks;
