//! One page per code: what it means, why the document is held, how to mend it, and what happens then. The command line
//! and the web console print the same text.

use super::FindingCode;

impl FindingCode {
    /// The page for people: meaning, reason, mend, and what happens next.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::CategoryUnmapped => CATEGORY_UNMAPPED,
            Self::CategoryMissing => CATEGORY_MISSING,
            Self::AccountUnknown => ACCOUNT_UNKNOWN,
            Self::AccountInactive => ACCOUNT_INACTIVE,
            Self::AccountNotEffective => ACCOUNT_NOT_EFFECTIVE,
            Self::SegmentUnknown => SEGMENT_UNKNOWN,
            Self::SegmentInactive => SEGMENT_INACTIVE,
            Self::TagMissing => TAG_MISSING,
            Self::TagUnmapped => TAG_UNMAPPED,
            Self::DimensionUnknown => DIMENSION_UNKNOWN,
            Self::DimensionInactive => DIMENSION_INACTIVE,
            Self::DimensionMissing => DIMENSION_MISSING,
            Self::ProjectUnknown => PROJECT_UNKNOWN,
            Self::ProjectClosed => PROJECT_CLOSED,
            Self::OwnerUnmapped => OWNER_UNMAPPED,
            Self::VendorUnknown => VENDOR_UNKNOWN,
            Self::VendorInactive => VENDOR_INACTIVE,
            Self::VendorPayHold => VENDOR_PAY_HOLD,
            Self::MerchantMissing => MERCHANT_MISSING,
            Self::MerchantUnmatched => MERCHANT_UNMATCHED,
            Self::MerchantsDiffer => MERCHANTS_DIFFER,
            Self::MerchantMatched => MERCHANT_MATCHED,
            Self::PeriodMissing => PERIOD_MISSING,
            Self::PeriodClosed => PERIOD_CLOSED,
            Self::CurrencyRefused => CURRENCY_REFUSED,
            Self::PaidByCard => PAID_BY_CARD,
            Self::OwedToOwner => OWED_TO_OWNER,
            Self::TotalMismatch => TOTAL_MISMATCH,
            Self::NothingToPost => NOTHING_TO_POST,
            Self::AmountInvalid => AMOUNT_INVALID,
            Self::DateMissing => DATE_MISSING,
            Self::ReferenceInvalid => REFERENCE_INVALID,
            Self::GuardRail => GUARD_RAIL,
            Self::ErpRefused => ERP_REFUSED,
            Self::ErpConflict => ERP_CONFLICT,
            Self::ChangedAfterPosting => CHANGED_AFTER_POSTING,
            Self::ExportedElsewhere => EXPORTED_ELSEWHERE,
            Self::NoLongerReady => NO_LONGER_READY,
            Self::BookedUnderOtherId => BOOKED_UNDER_OTHER_ID,
            Self::BookedByOtherFlow => BOOKED_BY_OTHER_FLOW,
            Self::OutcomeUnknown => OUTCOME_UNKNOWN,
            Self::AttemptsExhausted => ATTEMPTS_EXHAUSTED,
            Self::SourceUnreadable => SOURCE_UNREADABLE,
        }
    }
}

const CATEGORY_UNMAPPED: &str = "\
The line has a category, but nothing says which GL account it belongs to: no rule names it, the spend system attaches
no GL code to it, and the flow has no default.

It is held because booking it to a guessed account would put a wrong figure into the ledger that nobody would look for.
Nothing of the document has been written.

To mend it, add the category to `flow.mapping.categories` in purser.toml, spelled exactly as the line shows it, or
enter a GL code for the category in the spend system (used when `flow.mapping.use_category_code` is on), or set
`flow.mapping.default_category` as a catch-all.

Then replay the record with `purser records replay`. It is read and checked again; when every line has an account the
whole document is booked once.";

const CATEGORY_MISSING: &str = "\
The line has no category at all, so no rule can lead it to a GL account.

It is held because the whole document is booked or nothing of it. Nothing has been written.

To mend it, have the owner or approver categorise the expense in the spend system, or set
`flow.mapping.default_category` in purser.toml if such lines are to go to one account.

Then replay the record. A change in the spend system makes a new revision, which takes the place of this one by itself
at the next run.";

const ACCOUNT_UNKNOWN: &str = "\
The account that the rules lead to does not exist in the ERP's chart of accounts for this company, or a rule that must
name an account names none (the offset accounts of a journal).

It is held because the ERP would refuse the line, or leave it without an account. Nothing has been written.

To mend it, compare the account shown with the chart in the ERP. Either set the account up there, or correct the rule
in purser.toml that the finding names. Purser reads the chart again when its copy is older than
`flow.policy.reference_max_age`.

Then replay the record.";

const ACCOUNT_INACTIVE: &str = "\
The account exists in the ERP and is switched off for postings.

It is held because somebody decided that nothing is to be booked there any more. Nothing has been written.

To mend it, ask finance: either activate the account in the ERP, or lead the category to its successor in
`flow.mapping.categories` in purser.toml.

Then replay the record.";

const ACCOUNT_NOT_EFFECTIVE: &str = "\
The account exists and is active, but not on the posting date: it begins later or ended earlier.

It is held because the ERP would refuse the posting on that date. Nothing has been written.

To mend it, correct the account's effective dates in the ERP, lead the category to the account that was valid then, or
look at `flow.mapping.date` in purser.toml, which decides the posting date.

Then replay the record.";

const SEGMENT_UNKNOWN: &str = "\
An account has several segments (department, cost centre, ...). One of them has a value that the ERP does not know, or
nothing gives it a value.

It is held because an account with a wrong segment would move cost to nowhere. Nothing has been written.

To mend it, look at the segment and value shown. Values come from a tag first, then from the category's rule, then from
`flow.mapping.default_segments`. Correct the tag in the spend system, map it in `flow.mapping.tags`, or add the value in
the ERP.

Then replay the record.";

const SEGMENT_INACTIVE: &str = "\
A segment value (department, cost centre, ...) exists in the ERP and is inactive, or not effective on the posting date.

It is held because cost would be booked to a unit that is closed. Nothing has been written.

To mend it, correct the tag in the spend system, map it to its successor in `flow.mapping.tags` in purser.toml, or
activate the value in the ERP.

Then replay the record.";

const TAG_MISSING: &str = "\
A tag rule is marked `required`, and the line has no tag on that level.

It is held because the flow's owner asked for it: without the tag the cost cannot be assigned. Nothing has been written.

To mend it, have the expense tagged in the spend system, or lift `required` from the rule in `flow.mapping.tags` in
purser.toml so that the default applies.

Then replay the record; a change in the spend system is picked up at the next run.";

const TAG_UNMAPPED: &str = "\
The line's tag is not listed in the rule's `values`, and the rule does not pass unlisted tags through.

It is held because the tag might mean anything to the ERP. Nothing has been written.

To mend it, add the tag with the ERP's code to `values` in `flow.mapping.tags` in purser.toml, or set `pass_through` if
tags are the ERP's codes already.

Then replay the record.";

const DIMENSION_UNKNOWN: &str = "\
Beside the account a line can carry dimensions (project task, cost code, branch, department, class). One of them has a
value that the ERP does not have, or not within the line's project.

It is held because the ERP would refuse the line, or book it where nobody looks for it. Nothing has been written.

To mend it, look at the dimension and value shown. Values come from a tag first, then from the category's rule, then
from `flow.mapping.default_dimensions`. Correct the tag in the spend system, map it in `flow.mapping.tags` in
purser.toml, or add the value in the ERP.

Then replay the record.";

const DIMENSION_INACTIVE: &str = "\
A dimension's value (project task, cost code, branch, department, class) exists in the ERP and is inactive, or not
effective on the posting date.

It is held because somebody closed it on purpose. Nothing has been written.

To mend it, activate the value in the ERP, correct the tag in the spend system, or map it to its successor in
`flow.mapping.tags` in purser.toml.

Then replay the record.";

const DIMENSION_MISSING: &str = "\
The line's project is divided further in the ERP (into tasks, for instance), and nothing says to which part the line
belongs.

It is held because the ERP takes no line for the project as a whole, and a guessed part would be a wrong one. Nothing
has been written.

To mend it, tag the expense in the spend system, or give the value in the category's rule (`dimensions`) or in
`flow.mapping.default_dimensions` in purser.toml.

Then replay the record.";

const PROJECT_UNKNOWN: &str = "\
A tag names a project that the ERP does not have in this company.

It is held because the ERP would refuse it or lose the assignment. Nothing has been written.

To mend it, correct the tag in the spend system, map it in `flow.mapping.tags` in purser.toml, or set the project up in
the ERP.

Then replay the record.";

const PROJECT_CLOSED: &str = "\
A tag names a project that is closed, or that does not run on the posting date.

It is held because cost on a closed project spoils its settlement. Nothing has been written.

To mend it, ask the project's owner: reopen it in the ERP, or have the expense tagged with another project.

Then replay the record.";

const OWNER_UNMAPPED: &str = "\
An AP invoice pays somebody, and nothing says through which vendor (supplier) this employee is paid.

It is held because a payment must never go to a guessed payee. Nothing has been written.

To mend it, give the employee record in the ERP its supplier, or add the e-mail address to `flow.mapping.owners` in
purser.toml, or set `flow.mapping.default_vendor`.

Then replay the record.";

const VENDOR_UNKNOWN: &str = "\
The vendor that the rules or the employee record lead to does not exist in this company of the ERP.

It is held because the invoice would have no payee. Nothing has been written.

To mend it, set the supplier up in the ERP, or correct `flow.mapping.owners` in purser.toml. Codes are case-sensitive.

Then replay the record.";

const VENDOR_INACTIVE: &str = "\
The vendor exists and is inactive in the ERP.

It is held because nothing is to be paid to it any more; for an employee this often means that the employee has left.
Nothing has been written.

To mend it, ask finance: activate the supplier for the last payment, or name another in `flow.mapping.owners` in
purser.toml.

Then replay the record.";

const VENDOR_PAY_HOLD: &str = "\
Payments to the vendor are stopped in the ERP.

It is held because somebody stopped payments on purpose, and an invoice that nobody pays hides that. Nothing has been
written.

To mend it, ask who set the pay hold. Once it is lifted in the ERP, replay the record.";

const MERCHANT_MISSING: &str = "\
The flow makes invoices out to the vendor that the merchant is, and this record has a line without a merchant.

It is held because nobody can tell who is to be on the invoice. Nothing has been written.

To mend it, enter the merchant in the spend system, or set `flow.mapping.default_vendor` in purser.toml: records
without any merchant then go to that vendor.

Then replay the record.";

const MERCHANT_UNMATCHED: &str = "\
The flow makes invoices out to the vendor that the merchant is. No vendor's name is surely this merchant's: none is
alike enough (`flow.mapping.match_threshold`), several are alike, or a word or number sets them apart although they look
alike. The finding lists the nearest with their likeness in thousandths.

It is held because an invoice of the wrong company is paid to the wrong company. Nothing has been written.

To mend it, say which vendor the merchant is: `purser records choose RECORD VENDOR`. The choice is remembered for this
merchant and used for all its later records; `purser merchants list` shows all choices. If the vendor is not in the ERP
yet, set it up there first. Rules for merchants can also stand in `flow.mapping.merchants` in purser.toml.

The choice plans the record again at once. Other records of the same merchant that are held: `purser records replay`.";

const MERCHANTS_DIFFER: &str = "\
The lines of this record were spent at merchants that are different vendors, and an invoice has one vendor.

It is held because no line may be paid to another's vendor. Nothing has been written.

To mend it, split the record in the spend system, or book such records with a flow that writes journals, or with
`flow.mapping.vendor_from = \"owner\"` where it is the report of a person.

Then replay the record.";

const MERCHANT_MATCHED: &str = "\
The merchant of the record was taken for a vendor because their names are alike enough, no other vendor is near, and
no word or number sets them apart. The note shows the likeness in thousandths.

It holds nothing: it is there so that a person who looks at the record sees how the vendor was found.

To have it otherwise, name the vendor for this merchant in `flow.mapping.merchants` in purser.toml, or with
`purser records choose` before it is booked, or raise `flow.mapping.match_threshold`.";

const PERIOD_MISSING: &str = "\
No fiscal period of the company covers the posting date, so the ERP has nowhere to book it.

It is held because the ERP would refuse it. Nothing has been written.

To mend it, set up the fiscal year in the ERP, or look at the date: a mistyped year on the record is a common cause.

Then replay the record.";

const PERIOD_CLOSED: &str = "\
The posting date lies in a fiscal period that is closed.

It is held because the flow's policy is `closed_period = \"hold\"`, or because no later period is open. Nothing has been
written, and the closed books are as they were.

To mend it, open the period in the ERP for a moment, or set `flow.mapping.closed_period` to \"next-open\" in purser.toml:
such documents are then dated on the first day of the next open period.

Then replay the record.";

const CURRENCY_REFUSED: &str = "\
The record is in a currency that this flow may not post, or the vendor is paid in another one.

It is held because an amount in the wrong currency is a wrong amount. Nothing has been written.

To mend it, add the currency to `flow.mapping.currencies` in purser.toml, name a vendor of that currency in
`flow.mapping.owners`, or book the record by hand and close it with `purser records handle`.

Then replay the record.";

const PAID_BY_CARD: &str = "\
The flow writes AP invoices, and this line was paid by a company card already.

It is held because the invoice's vendor, be it the owner or the merchant, would be paid once more. Nothing has been
written.

To mend it, set `flow.mapping.select` to \"reimbursable\" in purser.toml, so that invoices contain only what the owner is
owed, and book card lines with a second flow that writes journals. Where such
invoices are meant, because their vendor is the bank of the card or because finance settles the merchant's invoice
against the card, say so with `flow.mapping.card_lines_on_invoice`.

Then replay the record.";

const OWED_TO_OWNER: &str = "\
The flow makes invoices out to merchants, and this line was paid by its owner, who is owed the money.

It is held because the merchant would be paid for what the owner has paid, and the owner would not get it back. Nothing
has been written.

To mend it, set `flow.mapping.select` to \"non-reimbursable\" in purser.toml for this flow, and book what owners are owed
with a second flow whose `vendor_from` is \"owner\".

Then replay the record.";

const TOTAL_MISMATCH: &str = "\
The lines of the record do not add up to the total that the spend system declares.

It is noted always, and holds the document when `flow.mapping.strict_total` is set. Usual causes are an exchange rate
applied to each line, a line that the spend system hides from exports, or an edit between two reads.

To mend it, open the record in the spend system and compare. If the lines are right, lift `strict_total` for this flow.

Then replay the record.";

const NOTHING_TO_POST: &str = "\
Nothing of the record is left to book: every line is zero, is left out by `flow.mapping.select`, or is cancelled by
another on the same account; or an invoice adds up to zero.

It is held so that somebody knows that the record left no trace in the ERP.

To mend it, close it with `purser records handle` and a note. If lines should have been booked, look at
`flow.mapping.select` and `flow.mapping.lines` in purser.toml and replay.";

const AMOUNT_INVALID: &str = "\
An amount cannot be used: it is in another currency than its record, its tax is larger than itself, or the sum is beyond
what can be represented.

It is held because no rounding or guess may touch money. Nothing has been written.

To mend it, correct the line in the spend system. The corrected record is a new revision and takes the place of this
one at the next run.";

const DATE_MISSING: &str = "\
The posting date is taken from a date that the record does not have (`flow.mapping.date`).

It is held because the date decides the fiscal period. Nothing has been written.

To mend it, complete the record in the spend system, or choose another date in `flow.mapping.date` in purser.toml:
`approved`, `submitted` or `last-expense`.

Then replay the record.";

const REFERENCE_INVALID: &str = "\
Every document in the ERP carries a reference made from the record's id, by which it is found again. This record has no
usable id.

It is held because without a reference a lost answer could lead to a second booking. Nothing has been written.

To mend it, open the record in the spend system; if it looks sound there, send the agent's diagnostics to support.";

const GUARD_RAIL: &str = "\
A limit that was set on this machine forbids the posting: company, kind of document, largest document, largest sum of a
run or a day, number of documents, or a day on which nothing is posted.

It is held because such limits protect against mistakes and against orders from elsewhere. They cannot be lifted
remotely. Nothing has been written.

To mend it, look at the record. If it is right, raise the limit in `guard_rails` in purser.toml on the machine itself,
or wait for another run or day.

Then replay the record.";

const ERP_REFUSED: &str = "\
The ERP read the document and refused it; the finding repeats its reason.

It is held because the same request would be refused again. What had been begun is cleaned up or resumed at the next
attempt.

To mend it, do what the reason says: usually a setting of a master record in the ERP, or a rule in purser.toml.

Then replay the record. It is looked up first, so nothing is booked twice.";

const ERP_CONFLICT: &str = "\
The ERP holds a document under this record's reference whose content differs: other lines, another total, or an earlier
revision of the same record.

It is held because overwriting would destroy somebody's work, and adding would book the record twice.

To mend it, compare the two documents. If the one in the ERP is right, close this posting with `purser records handle`.
If it is wrong, correct it or remove it in the ERP and replay.

Then it is looked up again: an equal document is adopted, a missing one is written.";

const CHANGED_AFTER_POSTING: &str = "\
The record was changed in the spend system after it had been booked. The finding names the earlier document.

It is held because the ledger already contains the earlier state; booking the new one too would double it.

To mend it, correct the earlier document in the ERP by hand (reverse it, or book the difference), then close this
posting with `purser records handle` and a note that names the correction.

Replaying is for the case that the earlier document has been removed from the ERP.";

const EXPORTED_ELSEWHERE: &str = "\
The spend system says that this record was exported, and it was not this flow that did it: a person, or another
program, has marked it since it was read.

It is held because whoever marked a record has as a rule booked it too; writing it now would book it twice. The ERP was
asked first: under the reference of this flow there is nothing whole.

To mend it, find out who exported the record (the spend system's history shows it) and whether the ERP has it under
another reference. If it is booked, close this one with `purser records handle` and a note. In the proof it stands as
exported elsewhere. If the finding names a half-written document of an earlier attempt, remove that one in the ERP.

If it is not booked and is to be, replay it with `purser records replay`: your word counts from then on, although the
mark stays.";

const NO_LONGER_READY: &str = "\
The record was read again right before it was to be booked, and the spend system does not give it any more, or gives it
in a state that is not booked: it was deleted, voided, or turned back for review.

It is held because only what is approved is booked. The ERP was asked first and does not have it whole.

To mend it, have the record approved again in the spend system. As soon as it is offered again it is booked by itself;
when it was edited meanwhile, the newer state takes the place of this one.

If it will not come back, close this one with `purser records handle` and a note. If the finding names a half-written
document of an earlier attempt, remove that one in the ERP.";

const BOOKED_UNDER_OTHER_ID: &str = "\
The spend system shows the same spend under two ids, and the other one is in the ERP already or on its way there: the
record was split after it had been booked, or the connection reads another list of the spend system than before. The
finding names the other record and its document.

It is held because booking this one too might double the spend. Nothing of this record has been written.

To mend it, compare this record with the document of the other one (`purser records show` with the id that is named).
If the document holds this spend, correct it in the ERP where a split changed the coding, and close this record with
`purser records handle` and a note. If this is another movement (a refund of the purchase, for instance), book it in the
ERP by hand and close it with a note as well.

Replaying is for the case that the other record turned out not to be booked: it is refused as long as that one may be
in the ERP.";

const BOOKED_BY_OTHER_FLOW: &str = "\
Another flow has begun to book this record into the same books, or a person has closed it there: the configuration was
changed so that the flow has a new name, or so that two flows read the same records. The finding names the other flow,
its posting and how far that has come.

It is held because the reference in the ERP carries the flow's name, so a look-up would not find what the other flow
has written, and the record would be booked twice. Nothing has been written under this flow.

To mend it, give the flow its former name back in the configuration: then it goes on with its own postings, settles
what is in doubt and marks what is booked, and what is held under the other name is closed with `purser records handle`,
also when the configuration has no flow of that name any more. If the new name is to stay, look at the other posting
(`purser records show` with its key) and at the ERP: if the document is there, close this record with `purser records
handle` and a note; if it is certainly not there, book it in the ERP by hand and close it with a note as well.

While the other flow is in the configuration it goes on with the record, and this one is left to it when it is closed:
do not book it by hand then, unless the other posting is closed first.

Replaying is for the case that the other posting turned out never to have been sent: it is refused as long as that one
may be in the ERP.";

const OUTCOME_UNKNOWN: &str = "\
A write was sent and its answer was lost. After the settle window the ERP shows no such document, but this ERP does not
refuse duplicates, so a late commit cannot be excluded by the agent.

It is held because writing again might book it twice.

To mend it, search the ERP for the reference. If it is there, replay: the look-up finds and adopts it. If it is
certainly not there, replay as well: after another look-up it is written once more. `purser records handle` closes it
without writing.

`flow.policy.rewrite_without_uniqueness` lets the agent decide this itself.";

const ATTEMPTS_EXHAUSTED: &str = "\
Every attempt failed for a passing reason (no connection, an answer that is no answer), more often in a row than
`flow.policy.max_attempts` allows.

It is held so that a lasting trouble is seen. The last cause is in the finding; nothing is in doubt.

To mend it, run `purser doctor`: it names the fault (DNS, proxy, certificate, credentials, the ERP's own state).

Then replay the record; the count starts anew.";

const SOURCE_UNREADABLE: &str = "\
The spend system delivered the record in a form that cannot be understood or that contradicts itself, such as the same
line twice.

It is held because a guess about a record is a guess about money. Other records are not affected. Nothing has been
written.

To mend it, open the record in the spend system and look at what the finding names. If it looks sound there, send the
agent's diagnostics to support.

It is read again at the next run, and by `purser records replay`.";
