//! The figures that `/metrics` shows. Whoever knows a figure counts it here; no label holds a name, an id or a path that
//! somebody outside chooses, so that neither memory nor privacy depends on who asks.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Metric, Registry};
use std::sync::Arc;

/// Media type of the figures.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One answered request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Answered {
    /// `GET`, `POST`, ..., `other`.
    pub method: &'static str,
    /// The pattern of the route, never the path.
    pub route: String,
    /// Status.
    pub status: u16,
}

/// How something ended, by a word of the program.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct Outcome {
    /// `ok`, or why not.
    pub outcome: &'static str,
}

/// An outcome counted by a word.
pub type Outcomes = Family<Outcome, Counter>;

/// All figures, shared by cloning.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Requests by method, route and status.
    pub requests: Family<Answered, Counter>,
    /// How long requests took, parked ones excepted.
    pub request_seconds: Histogram,
    /// Handlers that panicked.
    pub panics: Counter,
    /// Open connections.
    pub connections: Gauge,
    /// Connections that were not let in, by reason.
    pub connections_refused: Outcomes,
    /// Syncs that wait for something to deliver.
    pub parked: Gauge,
    /// Syncs by how they ended.
    pub syncs: Outcomes,
    /// Webhooks by how they ended.
    pub hooks: Outcomes,
    /// Enrollments by how they ended.
    pub enrollments: Outcomes,
    /// Logins by how they ended.
    pub logins: Outcomes,
    /// Operations that wait for the writer of the store.
    pub writer_queue: Gauge,
    /// Operations in one transaction of that writer.
    pub writer_batch: Histogram,
    /// Alerts by what became of them.
    pub alerts: Outcomes,
    /// Messages about alerts by how sending ended.
    pub alert_deliveries: Outcomes,
    /// When the alert rules were asked last (Unix seconds).
    pub alerts_evaluated: Gauge,
    /// Rows that retention has removed.
    pub retired: Counter,
    /// When the served certificate ends (Unix seconds); 0 = none.
    pub certificate_ends: Gauge,
    /// Reloads of the certificate by how they ended.
    pub certificate_reloads: Outcomes,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn register<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

impl Metrics {
    /// All at nought.
    pub fn new() -> Self {
        let mut all = Registry::with_prefix("purser_control");
        let r = &mut all;
        let seconds = || Histogram::new(exponential_buckets(0.001, 4.0, 8));
        let sizes = || Histogram::new(exponential_buckets(1.0, 4.0, 7));
        let requests = register(r, "requests", "Requests by method, route and status", Family::default());
        let request_seconds =
            register(r, "request_seconds", "Time of a request, without parked ones", seconds());
        let panics = register(r, "panics", "Handlers that panicked", Counter::default());
        let connections = register(r, "connections", "Open connections", Gauge::default());
        let connections_refused =
            register(r, "connections_refused", "Connections that were not let in", Outcomes::default());
        let parked =
            register(r, "parked_syncs", "Syncs that wait for something to deliver", Gauge::default());
        let syncs = register(r, "syncs", "Syncs by how they ended", Outcomes::default());
        let hooks = register(r, "hooks", "Webhooks by how they ended", Outcomes::default());
        let enrollments = register(r, "enrollments", "Enrollments by how they ended", Outcomes::default());
        let logins = register(r, "logins", "Logins by how they ended", Outcomes::default());
        let writer_queue =
            register(r, "writer_queue", "Operations that wait for the writer of the store", Gauge::default());
        let writer_batch = register(r, "writer_batch", "Operations in one transaction", sizes());
        let alerts = register(r, "alerts", "Alerts opened, repeated and resolved", Outcomes::default());
        let alert_deliveries = register(
            r,
            "alert_deliveries",
            "Messages about alerts by how sending ended",
            Outcomes::default(),
        );
        let alerts_evaluated =
            register(r, "alerts_evaluated_seconds", "When the alert rules were asked last", Gauge::default());
        let retired = register(r, "retired_rows", "Rows that retention has removed", Counter::default());
        let certificate_ends =
            register(r, "certificate_ends_seconds", "When the served certificate ends", Gauge::default());
        let certificate_reloads =
            register(r, "certificate_reloads", "Reloads of the certificate", Outcomes::default());
        Self {
            registry: Arc::new(all),
            requests,
            request_seconds,
            panics,
            connections,
            connections_refused,
            parked,
            syncs,
            hooks,
            enrollments,
            logins,
            writer_queue,
            writer_batch,
            alerts,
            alert_deliveries,
            alerts_evaluated,
            retired,
            certificate_ends,
            certificate_reloads,
        }
    }

    /// The text that Prometheus reads.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if prometheus_client::encoding::text::encode(&mut text, &self.registry).is_err() {
            tracing::error!("the figures cannot be written as text");
        }
        text
    }
}

/// Counts one outcome.
pub fn count(outcomes: &Outcomes, outcome: &'static str) {
    outcomes.get_or_create(&Outcome { outcome }).inc();
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Dashboards and alarms are built on these names: a changed one is a breaking change.
    #[test]
    fn the_names_of_the_figures_stay() {
        let metrics = Metrics::new();
        let outcomes = [
            &metrics.connections_refused,
            &metrics.syncs,
            &metrics.hooks,
            &metrics.enrollments,
            &metrics.logins,
            &metrics.alerts,
            &metrics.alert_deliveries,
            &metrics.certificate_reloads,
        ];
        outcomes.iter().for_each(|outcomes| count(outcomes, "ok"));
        metrics.requests.get_or_create(&Answered { method: "GET", route: "/x".into(), status: 200 }).inc();
        let text = metrics.text();
        let names: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")).collect();
        assert_eq!(
            names,
            [
                "purser_control_requests counter",
                "purser_control_request_seconds histogram",
                "purser_control_panics counter",
                "purser_control_connections gauge",
                "purser_control_connections_refused counter",
                "purser_control_parked_syncs gauge",
                "purser_control_syncs counter",
                "purser_control_hooks counter",
                "purser_control_enrollments counter",
                "purser_control_logins counter",
                "purser_control_writer_queue gauge",
                "purser_control_writer_batch histogram",
                "purser_control_alerts counter",
                "purser_control_alert_deliveries counter",
                "purser_control_alerts_evaluated_seconds gauge",
                "purser_control_retired_rows counter",
                "purser_control_certificate_ends_seconds gauge",
                "purser_control_certificate_reloads counter",
            ]
        );
        assert!(text.contains("purser_control_hooks_total{outcome=\"ok\"} 1\n"), "{text}");
        assert!(text.ends_with("# EOF\n"));
    }
}
