//! Alerts: what operators are told without asking.
