//! Running file jobs to their end: start, wait, download, look whether the file is complete. The vendor gives no
//! signal that a file is ready, so a file is taken only when its own last line says so.

use super::calls::{self, ExportQuery};
use super::outcome::{Fetched, Judge, unavailable, wait_out};
use super::template::{self, ExportFile, Unusable};
use super::wire::{Envelope, FileName};
use super::{Expensify, time_until};
use crate::vendors::http::{Answer, Call, without_secrets};
use chrono::TimeDelta;
use spend::posting::{Failure, FailureClass};
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How fetching a file ended.
#[derive(Debug)]
enum Ended<T> {
    /// Complete and sound.
    Complete(T),
    /// Complete, with parts that are broken after a second download as well.
    Damaged(T),
    /// Blank from the first download to the last.
    Blank,
    /// Never complete.
    Incomplete(String),
}

/// What one download showed.
#[derive(Debug)]
enum Look<T> {
    /// Complete and sound.
    Complete(T),
    /// Complete, with broken parts.
    Damaged(T),
    /// Nothing in it.
    Blank,
    /// Not ready, why, and the least time to wait.
    NotYet(String, Duration),
}

impl Expensify {
    /// Exports reports. A file that never becomes complete, or is complete and damaged, is exported once more;
    /// damage that stays is part of the result. `blank_is_final`: a blank file means no reports at the first export
    /// already (safe where a false "none" only delays).
    pub(super) async fn export(
        &self,
        query: &ExportQuery,
        blank_is_final: bool,
    ) -> Result<ExportFile, Failure> {
        let mut why = String::new();
        for last in [false, true] {
            let file = self.start(calls::export(&self.credential, &self.base, query)?).await?;
            match self.fetch(&file, template::read_export, ExportFile::is_damaged).await? {
                Ended::Complete(file) => return Ok(file),
                Ended::Damaged(file) if last => return Ok(file),
                Ended::Blank if last || blank_is_final => return Ok(ExportFile::default()),
                Ended::Damaged(_) => why = "reports in the file are damaged".to_owned(),
                Ended::Blank => why = "the file stays blank".to_owned(),
                Ended::Incomplete(reason) => why = reason,
            }
            tracing::debug!(why, "an export did not become usable");
        }
        Err(unavailable(format!("expensify.export: two exports did not become complete; last: {why}")))
    }

    /// Marks reports and returns the ids that the vendor says it has marked.
    pub(super) async fn mark(&self, ids: &[&str]) -> Result<BTreeSet<String>, Failure> {
        let call = calls::mark(&self.credential, &self.base, ids, &self.settings.label)?;
        // Marking twice is harmless, so a lost answer is no doubt: it is done again later.
        let file = self.start(call).await.map_err(|failure| {
            let lost = failure.class == FailureClass::InDoubt;
            if lost { unavailable(failure.message) } else { failure }
        })?;
        match self.fetch(&file, template::read_marked, |_| false).await? {
            Ended::Complete(marked) | Ended::Damaged(marked) => Ok(marked),
            Ended::Blank => Ok(BTreeSet::new()),
            Ended::Incomplete(why) => {
                Err(unavailable(format!("expensify.mark: the list of marked reports did not arrive: {why}")))
            }
        }
    }

    async fn start(&self, call: Call) -> Result<FileName, Failure> {
        let operation = call.operation;
        let (envelope, answer) = self.job(call).await?;
        calls::file_name(envelope.as_ref(), &answer.body)
            .map_err(|why| unavailable(format!("{operation}: HTTP {}: {why}", answer.status)))
    }

    /// Sends a job and judges its answer. A refused credential is believed only when the plainest read is refused
    /// too, because the vendor words a refused job alike.
    pub(super) async fn job(&self, call: Call) -> Result<(Option<Envelope>, Answer), Failure> {
        let operation = call.operation;
        let answer = self.send(call).await?;
        let judge = self.judge(operation);
        match judge.job(&answer) {
            Ok(envelope) => {
                self.throttles.store(0, Ordering::Relaxed);
                Ok((envelope, answer))
            }
            Err(failure) => Err(self.confirmed(judge, failure).await),
        }
    }

    /// Sends a call. A refusal under HTTP 200 passes the gate as data; it becomes words, and words may repeat the request.
    async fn send(&self, call: Call) -> Result<Answer, Failure> {
        let answer = self.transport.send(call).await?;
        let refusal = Envelope::read(&answer.body).is_some_and(|envelope| !envelope.is_success());
        Ok(if refusal { without_secrets(answer, &self.credential) } else { answer })
    }

    async fn confirmed(&self, judge: Judge<'_>, failure: Failure) -> Failure {
        if matches!(failure.class, FailureClass::Throttled { .. }) {
            self.throttles.fetch_add(1, Ordering::Relaxed);
        }
        if failure.class != FailureClass::Unauthorised || judge.operation == "expensify.policy-list" {
            return failure;
        }
        let Ok(call) = calls::policy_list(&self.credential, &self.base) else { return failure };
        let Ok(answer) = self.send(call).await else { return failure };
        if self.judge("expensify.policy-list").job(&answer).is_err() {
            return failure;
        }
        judge.rejected(
            format!("{}: the job was refused although the credential is valid", judge.operation),
            "make the account that owns the credential an administrator of the workspace in Expensify",
        )
    }

    /// The first time ten seconds, from then on a minute, with jitter.
    pub(super) fn judge(&self, operation: &'static str) -> Judge<'_> {
        let least = if self.throttles.load(Ordering::Relaxed) == 0 { 10_000 } else { 60_000 };
        let throttle_wait = TimeDelta::milliseconds(least + fastrand::i64(0..5_000));
        Judge { operation, secret: &self.credential.name, throttle_wait }
    }

    async fn fetch<T>(
        &self,
        file: &FileName,
        read: impl Fn(&[u8]) -> Result<T, Unusable>,
        is_damaged: impl Fn(&T) -> bool,
    ) -> Result<Ended<T>, Failure> {
        let started = tokio::time::Instant::now();
        let mut waits = Waits::new(self);
        let (mut damaged_before, mut always_blank) = (false, true);
        tokio::time::sleep(waits.first).await;
        loop {
            let look = self.look(file, &read, &is_damaged).await?;
            always_blank &= matches!(look, Look::Blank);
            let (why, least) = match look {
                Look::Complete(whole) => return Ok(Ended::Complete(whole)),
                Look::Damaged(whole) if damaged_before => return Ok(Ended::Damaged(whole)),
                Look::Damaged(_) => {
                    damaged_before = true;
                    ("reports in it are damaged".to_owned(), Duration::ZERO)
                }
                Look::Blank => ("it is blank".to_owned(), Duration::ZERO),
                Look::NotYet(why, least) => (why, least),
            };
            let (spent, wait) = (started.elapsed(), waits.next().max(least));
            if always_blank && spent >= waits.blank_after {
                return Ok(Ended::Blank);
            }
            if spent + wait > waits.give_up {
                return Ok(if always_blank { Ended::Blank } else { Ended::Incomplete(why) });
            }
            tracing::debug!(why, wait = wait.as_secs(), "the file is not ready");
            tokio::time::sleep(wait).await;
        }
    }

    /// Downloads once and looks at what came.
    async fn look<T>(
        &self,
        file: &FileName,
        read: impl Fn(&[u8]) -> Result<T, Unusable>,
        is_damaged: impl Fn(&T) -> bool,
    ) -> Result<Look<T>, Failure> {
        let (fetched, body) = match self.download(file).await {
            Err(Failure { class: FailureClass::Throttled { until }, message }) => {
                return Ok(Look::NotYet(message, time_until(&self.clock, until)));
            }
            other => other?,
        };
        match fetched {
            Fetched::Blank => Ok(Look::Blank),
            Fetched::NotYet(why) => Ok(Look::NotYet(why, Duration::ZERO)),
            Fetched::File => match read(&body) {
                Ok(whole) if is_damaged(&whole) => Ok(Look::Damaged(whole)),
                Ok(whole) => Ok(Look::Complete(whole)),
                Err(Unusable::Incomplete(why)) => Ok(Look::NotYet(why, Duration::ZERO)),
                Err(Unusable::TemplateFailed) => Err(self.template_failed()),
            },
        }
    }

    async fn download(&self, file: &FileName) -> Result<(Fetched, Vec<u8>), Failure> {
        let call = calls::download(&self.credential, &self.base, file)?;
        let answer = match self.send(call).await {
            Ok(answer) => answer,
            Err(failure) => return wait_out(failure).map(|not_yet| (not_yet, Vec::new())),
        };
        let judge = self.judge("expensify.download");
        match judge.download(&answer) {
            Ok(fetched) => Ok((fetched, answer.body)),
            Err(failure) => Err(self.confirmed(judge, failure).await),
        }
    }

    fn template_failed(&self) -> Failure {
        self.judge("expensify.export").rejected(
            "expensify.export: Expensify's template engine refused the export template",
            "send `purser diagnostics` to support: the vendor has changed its report model",
        )
    }
}

/// The waits between downloads.
struct Waits {
    first: Duration,
    step: Duration,
    most: Duration,
    give_up: Duration,
    blank_after: Duration,
}

impl Waits {
    fn new(vendor: &Expensify) -> Self {
        let seconds = |value: u16| Duration::from_secs(value.into());
        let settings = &vendor.settings;
        Self {
            first: seconds(settings.first_wait),
            step: seconds(settings.wait_step),
            most: seconds(settings.wait_max),
            give_up: seconds(settings.give_up),
            blank_after: seconds(settings.blank_after),
        }
    }

    fn next(&mut self) -> Duration {
        let wait = self.step.min(self.most);
        self.step = self.step.saturating_mul(3) / 2;
        wait
    }
}
