//! Reading, deleting and attaching files.

use super::AcumaticaSim;
use super::access::{Caller, no_content};
use super::contract::Entity;
use super::filter::{Eye, Reading};
use super::json::{Json, Row};
use super::query::{Query, Show};
use super::record::Record;
use super::refusal::{Outcome, Refusal};
use super::upsert::bill_type;
use crate::server::{Reply, Request};

impl AcumaticaSim {
    pub(super) fn query(&mut self, request: &Request, entity: &'static Entity) -> Outcome<Query> {
        let newest = request.path.split('/').any(|part| part >= "25" && part.ends_with(".200.001"));
        let reading = Reading { entity, bad_literal: self.knobs.bad_literal_status, dates: newest };
        let query = Query::parse(&request.query, &reading)?;
        for option in &query.strange {
            self.note_misuse(request, &format!("the query option {option} is not in the contract"));
        }
        if query.filter.as_ref().is_some_and(super::filter::Filter::is_nonsense) {
            self.note_misuse(request, "a filter on details finds nobody knows what");
        }
        Ok(query)
    }

    fn eye(&self) -> Eye {
        Eye { style: self.style(), any_case: self.knobs.case_insensitive }
    }

    /// Positions of the records that a filter lets through.
    pub(super) fn matching(&self, tenant: usize, entity: &'static Entity, query: &Query) -> Vec<usize> {
        let Some(set) = self.tenants[tenant].set(entity.name) else { return Vec::new() };
        let Some(filter) = &query.filter else { return (0..set.records().len()).collect() };
        if filter.joins_views(&self.knobs.foreign_view) {
            return Vec::new();
        }
        let eye = self.eye();
        let candidates = match filter.demanded(entity.indexed) {
            Some(text) if !entity.indexed.is_empty() => set.indexed(text),
            _ => (0..set.records().len()).collect(),
        };
        candidates
            .into_iter()
            .filter(|at| set.get(*at).is_some_and(|record| filter.holds(record, eye)))
            .collect()
    }

    pub(super) fn list_call(
        &mut self,
        request: &Request,
        base: &str,
        entity: &'static Entity,
        caller: &Caller,
    ) -> Outcome<Reply> {
        let query = self.query(request, entity)?;
        self.check_export(entity, &query)?;
        let tenant = self.tenant_index(&caller.tenant)?;
        let mut found = self.matching(tenant, entity, &query);
        let style = self.style();
        let Some(set) = self.tenants[tenant].set(entity.name) else {
            return Err(Refusal::server("The entity cannot be read."));
        };
        if self.knobs.unstable_order {
            found.sort_by_key(|at| set.get(*at).map(|record| record.revision));
        }
        let show = Show { entity, query: &query, style, base, only_sent: false };
        let page = found.iter().skip(query.skip).take(query.top.unwrap_or(usize::MAX));
        let rows: Vec<Json> = page
            .filter_map(|at| set.get(*at))
            .enumerate()
            .map(|(index, record)| Json::Obj(show.record(record, query.skip + index + 1)))
            .collect();
        Ok(Reply::new(200, "application/json; charset=utf-8", Json::Arr(rows).text()))
    }

    fn check_export(&self, entity: &Entity, query: &Query) -> Outcome<()> {
        let exported = query.exports(entity.shape);
        let bad = exported.iter().find(|name| {
            let path = format!("{}/{name}", entity.name);
            self.knobs.unexportable.contains(&path)
        });
        match bad {
            None => Ok(()),
            Some(name) => Err(Refusal::new(
                500,
                "PX.Api.ContractBased.OptimizationException",
                format!(
                    "Optimization cannot be performed. The following fields cause the error: {}.{name}: View \
                     {} has BQL delegate",
                    entity.name, entity.name
                ),
            )),
        }
    }

    /// The place of a record by its id or its keys.
    fn place(&self, tenant: usize, entity: &Entity, keys: &[String]) -> Outcome<usize> {
        let set = self.tenants[tenant].set(entity.name).ok_or_else(Refusal::no_entity)?;
        let found = match keys {
            [one] if is_guid(one) => set.by_id(one).or_else(|| set.with_detail(one)),
            keys if keys.len() == entity.keys.len() => {
                let known = |key: &String| match entity.name {
                    "Bill" => bill_type(key).map_or_else(|| key.clone(), str::to_owned),
                    _ => key.clone(),
                };
                let keys: Vec<String> = keys.iter().map(known).collect();
                set.by_keys(keys.iter().map(String::as_str))
            }
            _ => None,
        };
        found.ok_or_else(Refusal::no_entity)
    }

    pub(super) fn one_call(
        &mut self,
        request: &Request,
        base: &str,
        entity: &'static Entity,
        keys: &[String],
        caller: &Caller,
    ) -> Outcome<Reply> {
        let query = self.query(request, entity)?;
        let tenant = self.tenant_index(&caller.tenant)?;
        let at = self.place(tenant, entity, keys)?;
        let style = self.style();
        let record = self.tenants[tenant].set(entity.name).and_then(|set| set.get(at));
        let record = record.ok_or_else(Refusal::no_entity)?;
        let show = Show { entity, query: &query, style, base, only_sent: false };
        Ok(Reply::new(200, "application/json; charset=utf-8", Json::Obj(show.record(record, 1)).text()))
    }

    pub(super) fn delete_call(
        &mut self,
        entity: &'static Entity,
        keys: &[String],
        caller: &Caller,
    ) -> Outcome<Reply> {
        let tenant = self.tenant_index(&caller.tenant)?;
        let at = self.place(tenant, entity, keys)?;
        let record = self.tenants[tenant].set(entity.name).and_then(|set| set.get(at));
        let status = record.map_or("", |record| record.text("Status"));
        if matches!(status, "Open" | "Closed" | "Posted" | "Unposted") {
            return Err(Refusal::server(format!("{} cannot be deleted: it is {status}.", entity.record)));
        }
        self.forget(tenant, entity, at);
        Ok(no_content())
    }

    /// Deletes a record and tells whoever listens.
    pub(super) fn forget(&mut self, tenant: usize, entity: &'static Entity, at: usize) {
        self.revision += 1;
        let removed = self.tenants[tenant].set_mut(entity.name).and_then(|set| set.remove(at));
        self.announce(tenant, entity, removed.as_ref(), None);
    }

    /// `PUT .../files/{filename}`.
    pub(super) fn file_call(
        &mut self,
        entity: &'static Entity,
        keys: &[String],
        file: &str,
        caller: &Caller,
    ) -> Outcome<Reply> {
        let tenant = self.tenant_index(&caller.tenant)?;
        let at = self.place(tenant, entity, keys)?;
        let record = self.tenants[tenant].set(entity.name).and_then(|set| set.get(at)).cloned();
        let mut record: Record = record.ok_or_else(Refusal::no_entity)?;
        if !record.files.iter().any(|known| known == file) {
            record.files.push(file.to_owned());
        }
        self.store(tenant, entity, Some(at), record);
        Ok(no_content())
    }

    /// `GET .../$adHocSchema`.
    pub(super) fn schema_call(&self, entity: &Entity) -> Reply {
        let mut schema: Row =
            entity.shape.fields.iter().map(|(name, _)| ((*name).into(), Row::new().into())).collect();
        schema.insert("custom".into(), Row::new().into());
        Reply::new(200, "application/json; charset=utf-8", Json::Obj(schema).text())
    }
}

fn is_guid(text: &str) -> bool {
    text.len() == 36 && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}
