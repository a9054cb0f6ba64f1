//! Reading: entity sets with OData options, and the read methods.

use super::columns::Table;
use super::docs::{Company, View};
use super::json::{Json, Row, put, row, text_of};
use super::odata::{Filter, Ordered, Query};
use super::reference::day_in;
use super::refusal::{Outcome, Refusal};
use super::{EpicorSim, Path, methods, returned};
use crate::server::{Reply, Request};

impl EpicorSim {
    pub(super) fn entity_call(
        &mut self,
        request: &Request,
        path: &Path,
        company: usize,
        set: &'static str,
        tail: &str,
    ) -> Outcome<Reply> {
        match (request.method.as_str(), tail) {
            ("GET", "") => self.read_set(request, path, company, set),
            ("GET", "/$count") => self.count_set(request, company, set),
            ("GET", keys) => self.read_one(request, company, set, keys),
            ("POST", "") if matches!(set, "APInvGrps" | "GLJrnGrps") => {
                self.create_group(request, company, set)
            }
            ("DELETE", keys) if matches!(set, "APInvGrps" | "GLJrnGrps") => {
                let group = key_values(keys)?.pop().unwrap_or_default();
                self.delete_group(company, set, &group)?;
                Ok(Reply {
                    status: 204,
                    headers: Vec::new(),
                    body: Vec::new(),
                    delay: std::time::Duration::ZERO,
                })
            }
            (method, _) => {
                let message =
                    format!("{method} on {set} skips the document's own rules and is refused here.");
                Err(Refusal::bad_input(message))
            }
        }
    }

    fn query(&mut self, request: &Request, set: &str) -> Outcome<Query> {
        let query = Query::parse(&request.query, methods::table_of(set), self.knobs.width)?;
        let by_version = query.filter.as_ref().is_some_and(|filter| filter.mentions("SysRevID"));
        if by_version && !self.knobs.sysrevid_filter {
            let kind = "Microsoft.OData.ODataException";
            return Err(Refusal::new(400, kind, "The property 'SysRevID' cannot be used in $filter."));
        }
        if query.skip > 0 && query.order.is_empty() {
            self.note_misuse(request, "paging without $orderby: rows may be missed or doubled");
        }
        Ok(query)
    }

    fn read_set(
        &mut self,
        request: &Request,
        path: &Path,
        company: usize,
        set: &'static str,
    ) -> Outcome<Reply> {
        let query = self.query(request, set)?;
        let (width, table) = (self.knobs.width, methods::table_of(set));
        let company = &self.companies[company];
        let mut found = matching(company, set, table, width, query.filter.as_ref());
        sort(&mut found, company, table, width, &query.order);
        let total = found.len();
        let page = query.top.unwrap_or(self.knobs.default_page).min(self.knobs.page_cap);
        let rows: Vec<Json> = found
            .iter()
            .skip(query.skip)
            .take(page)
            .map(|view| {
                let mut row = view.row(company);
                table.widen(&mut row, width);
                if let Some(select) = &query.select {
                    row.retain(|name, _| select.iter().any(|wanted| wanted == name));
                }
                expand(&mut row, *view, company, &query.expand, width);
                Json::Obj(row)
            })
            .collect();
        let context = format!("https://{}/$metadata#{set}", request.header("host").unwrap_or_default());
        let shown = query.skip + rows.len();
        let name = if path.v2 { "@odata.context" } else { "odata.metadata" };
        let mut body = row([(name, context.into()), ("value", rows.into())]);
        if query.count {
            put(&mut body, "@odata.count", i64::try_from(total).unwrap_or_default());
        }
        let asked_for_all = query.top.is_none_or(|top| top > page);
        if self.knobs.next_link && asked_for_all && shown < total {
            let kept: Vec<&str> =
                request.query.split('&').filter(|pair| !pair.is_empty() && !pair.contains("skip=")).collect();
            let scheme = request.header("x-forwarded-proto").unwrap_or("http");
            let host = request.header("host").unwrap_or_default();
            let link = format!("{scheme}://{host}{}?{}&$skip={shown}", request.path, kept.join("&"));
            put(&mut body, "@odata.nextLink", link.replace("?&", "?"));
        }
        Ok(Reply::new(200, "application/json; charset=utf-8", Json::Obj(body).text()))
    }

    fn count_set(&mut self, request: &Request, company: usize, set: &'static str) -> Outcome<Reply> {
        let query = self.query(request, set)?;
        let table = methods::table_of(set);
        let found = matching(&self.companies[company], set, table, self.knobs.width, query.filter.as_ref());
        Ok(Reply::new(200, "text/plain", found.len().to_string()))
    }

    fn read_one(
        &mut self,
        request: &Request,
        company: usize,
        set: &'static str,
        keys: &str,
    ) -> Outcome<Reply> {
        let query = self.query(request, set)?;
        let (width, table) = (self.knobs.width, methods::table_of(set));
        let values = key_values(keys)?;
        if values.len() != table.key.len() {
            return Err(Refusal::odata(format!("The number of keys in '{set}{keys}' does not match.")));
        }
        let company = &self.companies[company];
        let found = candidates(company, set, None).find(|view| {
            table.key.iter().zip(&values).all(|(column, value)| {
                match view.get(company, table, width, column) {
                    Json::Str(text) => text == *value,
                    Json::Num(text) => *text == **value,
                    _ => false,
                }
            })
        });
        let view = found.ok_or_else(Refusal::no_record)?;
        let mut row = view.row(company);
        table.widen(&mut row, width);
        expand(&mut row, view, company, &query.expand, width);
        Ok(Reply::new(200, "application/json; charset=utf-8", Json::Obj(row).text()))
    }

    /// `GetRows` and `GetList`.
    pub(super) fn rows_by_clause(
        &mut self,
        company: usize,
        service: &str,
        name: &str,
        arguments: &Row,
    ) -> Outcome<Row> {
        let (set, member) = methods::main_set(service).ok_or_else(|| Refusal::unknown_name(name))?;
        let (width, table) = (self.knobs.width, methods::table_of(set));
        let own = format!("whereClause{member}");
        let clause = ["whereClause", own.as_str()]
            .iter()
            .map(|key| text_of(arguments, key))
            .find(|clause| !clause.is_empty())
            .unwrap_or_default();
        let filter = Filter::parse_where(clause, table, width)?;
        let number = |key: &str| -> Outcome<usize> {
            let text = methods::text_argument(arguments, key)?;
            Ok(text.parse().unwrap_or_default())
        };
        let (size, page) = (number("pageSize")?, number("absolutePage")?.saturating_sub(1));
        let company = &self.companies[company];
        let found = matching(company, set, table, width, filter.as_ref());
        let (skip, take) = if size == 0 { (0, usize::MAX) } else { (size * page, size) };
        let more = found.len() > skip.saturating_add(take);
        let rows: Vec<Json> = found
            .iter()
            .skip(skip)
            .take(take)
            .map(|view| {
                let mut row = view.row(company);
                if name == "GetRows" {
                    table.widen(&mut row, width);
                }
                Json::Obj(row)
            })
            .collect();
        let list = if name == "GetList" { format!("{member}List") } else { member.to_owned() };
        let dataset: Row = [(list.into(), Json::Arr(rows))].into();
        let mut answer = returned(dataset);
        put(&mut answer, "parameters", row([("morePages", more.into())]));
        Ok(answer)
    }

    /// Methods of reference services.
    pub(super) fn reference_call(
        &mut self,
        company: usize,
        service: &str,
        name: &str,
        arguments: &Row,
    ) -> Outcome<Row> {
        let company = &self.companies[company];
        let account = |key: &str| text_of(arguments, key).to_owned();
        match name {
            "GlAccountExists" => Ok(returned(company.reference.account_exists(&account("ipGLAccount")))),
            "ValidateGLAccount" => {
                let day = arguments.get("EffectiveDate").and_then(day_in).unwrap_or(self.today);
                company.reference.check_account(&account("GLAccount"), day, "GLAccount")?;
                Ok(Row::new())
            }
            _ => {
                let (set, member) = methods::main_set(service).ok_or_else(|| Refusal::unknown_name(name))?;
                let table = methods::table_of(set);
                let (column, argument) = match name {
                    "GetByVendID" => ("VendorID", "vendorID"),
                    _ => (table.key.get(1).copied().unwrap_or_default(), ""),
                };
                let argument = if argument.is_empty() {
                    arguments.keys().next().cloned().unwrap_or_default()
                } else {
                    argument.into()
                };
                let wanted = methods::text_argument(arguments, &argument)?;
                let found =
                    candidates(company, set, None).find(|view| match view.get(company, table, 0, column) {
                        Json::Str(text) => text == wanted,
                        Json::Num(text) => *text == *wanted,
                        _ => false,
                    });
                let mut found = found.ok_or_else(Refusal::no_record)?.row(company);
                table.widen(&mut found, self.knobs.width);
                let dataset: Row = [(member.into(), Json::Arr(vec![found.into()]))].into();
                Ok(returned(dataset))
            }
        }
    }
}

/// Rows of a set, narrowed by an index where the condition allows it.
fn candidates<'a>(
    company: &'a Company,
    set: &str,
    filter: Option<&Filter>,
) -> Box<dyn Iterator<Item = View<'a>> + 'a> {
    let demanded = |column: &str| filter.and_then(|filter| filter.demanded(column));
    match set {
        "APInvGrps" => Box::new(company.ap_groups.values().map(View::Stored)),
        "GLJrnGrps" => Box::new(company.gl_groups.values().map(View::Stored)),
        "APInvoices" | "APInvDtls" | "APInvExps" | "APInvExpTGLCs" => {
            let ids: Option<Vec<i64>> =
                demanded("InvoiceNum").map(|number| company.invoices_by_number(&number)).or_else(|| {
                    let group = demanded("GroupID").filter(|_| set == "APInvoices")?;
                    Some(
                        company
                            .invoices_of
                            .get(&group)
                            .map(|ids| ids.iter().copied().collect())
                            .unwrap_or_default(),
                    )
                });
            let invoices: Box<dyn Iterator<Item = _>> = match ids {
                Some(ids) => Box::new(ids.into_iter().filter_map(|id| company.invoices.get(&id))),
                None => Box::new(company.invoices.values()),
            };
            match set {
                "APInvoices" => Box::new(invoices.map(View::Invoice)),
                "APInvDtls" => Box::new(
                    invoices
                        .flat_map(|invoice| invoice.lines.iter().map(move |line| View::Line(invoice, line))),
                ),
                "APInvExps" => Box::new(invoices.flat_map(|invoice| {
                    let lines = invoice.lines.iter();
                    lines.flat_map(move |line| {
                        (1..=line.expenses).map(move |seq| View::Expense(invoice, line, seq))
                    })
                })),
                _ => Box::new(invoices.flat_map(|invoice| {
                    let lines = invoice.lines.iter();
                    lines.flat_map(move |line| {
                        line.accounts.iter().map(move |row| View::Account(invoice, line, row))
                    })
                })),
            }
        }
        "GLJournalEntries" | "GLJrnDtlMnls" | "GLJrnDtls" => {
            let number = demanded("JournalNum").and_then(|number| number.parse::<i64>().ok());
            let described = demanded("Description").filter(|_| set == "GLJournalEntries");
            let numbers = number.map(|number| vec![number]).or_else(|| {
                described.map(|description| company.journals_by_description(&description)).or_else(|| {
                    let group = demanded("GroupID")?;
                    Some(
                        company
                            .journals_of
                            .get(&group)
                            .map(|ids| ids.iter().copied().collect())
                            .unwrap_or_default(),
                    )
                })
            });
            let journals: Box<dyn Iterator<Item = _>> = match numbers {
                Some(numbers) => {
                    Box::new(numbers.into_iter().filter_map(|number| company.journals.get(&number)))
                }
                None => Box::new(company.journals.values()),
            };
            if set == "GLJournalEntries" {
                return Box::new(journals.map(View::Journal));
            }
            // The posted detail shows posted journals only.
            let posted_only = set == "GLJrnDtls";
            let journals = journals.filter(move |journal| !posted_only || journal.posted.is_some());
            Box::new(
                journals.flat_map(|journal| {
                    journal.lines.iter().map(move |line| View::JournalLine(journal, line))
                }),
            )
        }
        _ => Box::new(company.reference.sets.get(set).into_iter().flatten().map(View::Stored)),
    }
}

fn matching<'a>(
    company: &'a Company,
    set: &str,
    table: &Table,
    width: usize,
    filter: Option<&Filter>,
) -> Vec<View<'a>> {
    candidates(company, set, filter)
        .filter(|view| {
            filter.is_none_or(|filter| filter.holds(&|name| view.get(company, table, width, name)))
        })
        .collect()
}

fn sort(found: &mut [View<'_>], company: &Company, table: &Table, width: usize, order: &[(String, bool)]) {
    for (name, descending) in order.iter().rev() {
        found.sort_by_cached_key(|view| Ordered::of(&view.get(company, table, width, name)));
        if *descending {
            found.reverse();
        }
    }
}

/// `$expand` of an invoice's lines or a journal's lines, under the set's name.
fn expand(row: &mut Row, view: View<'_>, company: &Company, wanted: &[String], width: usize) {
    let wide = |set: &str, mut row: Row| {
        methods::table_of(set).widen(&mut row, width);
        Json::Obj(row)
    };
    for set in wanted {
        match (set.as_str(), view) {
            ("APInvDtls", View::Invoice(invoice)) => {
                let lines =
                    invoice.lines.iter().map(|line| wide("APInvDtls", invoice.line_row(company, line)));
                put(row, "APInvDtls", lines.collect::<Vec<_>>());
            }
            ("GLJrnDtlMnls", View::Journal(journal)) => {
                let lines = journal
                    .lines
                    .iter()
                    .map(|line| wide("GLJrnDtlMnls", journal.line_row(&company.id, line)));
                put(row, "GLJrnDtlMnls", lines.collect::<Vec<_>>());
            }
            _ => {}
        }
    }
}

/// Positional key values: `('EPIC06',123,'INV-1')`. A slash inside ends the path segment: not found, as at the vendor.
fn key_values(keys: &str) -> Outcome<Vec<String>> {
    let malformed = || Refusal::unknown_name(keys).wrong_call();
    let inner = keys.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')).ok_or_else(malformed)?;
    if inner.contains('/') {
        return Err(malformed());
    }
    Ok(inner.split(',').map(|value| value.trim().trim_matches('\'').replace("''", "'")).collect())
}
