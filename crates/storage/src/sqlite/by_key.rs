//! Pages of searches that indexes answer, by the way that reads least: few candidates from one index, or the beginning of the list of all, or generated
//! SQL over whole sets. All three find the same; they differ in what they cost.

use directory::search::{Condition, Position, Probe, SearchPlan, ValueTest};
use directory::store::Fault;
use directory::tenant::TenantId;
use rusqlite::{Connection, OptionalExtension, Row, params};
use scim_protocol::TypeSchema;

use super::explain::fault;
use super::query::{for_each_key, for_each_row, number};
use super::statements as sql;
use crate::candidates::wanted;
use crate::filter_sql::{Dialect, Query, candidates, count, keys};
use crate::row_condition::{Facts, RowCondition, compare, position, value_holds};
use crate::rows::attribute_key;
use crate::totals::{Keys, State, Total, Totals};

/// Candidates of an index that are looked at one by one.
const CANDIDATES_MAX: usize = 4_000;
/// From so many candidates on, what was found is remembered; fewer are looked at again as fast.
const REMEMBERED_MIN: usize = 500;
/// Rows at the beginning of a list that are looked at one by one, before whole sets are asked for.
const ROWS_MAX: usize = 2_000;

/// So far into the list of all it is read; what is farther is found among its keys.
const NEAR_MAX: u64 = 500;
/// Different values of an attribute that are looked at one by one.
const VALUES_MAX: usize = 200;
/// Changes after which what is remembered is still brought up to date, one by one.
const CHANGES_MAX: i64 = 1_000;

/// What was found: how many in all, and the positions of the page.
pub(super) struct Found {
    pub total: u64,
    pub rows: Vec<Position>,
}

/// One search in one snapshot.
pub(super) struct Look<'a> {
    connection: &'a Connection,
    tenant: TenantId,
    plan: &'a SearchPlan,
    totals: &'a Totals,
    state: State,
}

/// One type of the plan, and what of it is wanted.
struct Part<'a> {
    schema: &'a TypeSchema,
    condition: &'a Condition,
    /// Keys up to this one were on pages before.
    after: i64,
    offset: u64,
    limit: usize,
}

impl<'a> Look<'a> {
    pub(super) fn new(
        connection: &'a Connection,
        tenant: TenantId,
        plan: &'a SearchPlan,
        totals: &'a Totals,
    ) -> Result<Self, Fault> {
        let read = |row: &Row<'_>| {
            Ok(State {
                tenant: tenant.0,
                created: row.get(0)?,
                sequence: row.get(1)?,
            })
        };
        let mut statement = connection.prepare_cached(sql::READ_STATE).map_err(fault)?;
        let state = statement
            .query_row([tenant.0], read)
            .optional()
            .map_err(fault)?;
        // A tenant that is gone has nothing.
        let state = state.unwrap_or(State {
            tenant: tenant.0,
            created: 0,
            sequence: -1,
        });
        Ok(Self {
            connection,
            tenant,
            plan,
            totals,
            state,
        })
    }

    pub(super) fn page(&self) -> Result<Found, Fault> {
        if self.plan.sort.is_some() {
            self.sorted()
        } else {
            self.unsorted()
        }
    }

    /// In order of creation, type after type.
    fn unsorted(&self) -> Result<Found, Fault> {
        let plan = self.plan;
        let after = plan
            .keyset
            .as_ref()
            .and_then(|keyset| keyset.after.as_ref());
        let (mut total, mut rows, mut offset) = (0_u64, Vec::new(), plan.offset);
        for (place, (schema, condition)) in (0..).zip(plan.types.iter().zip(&plan.conditions)) {
            let limit = wanted(plan).saturating_sub(rows.len());
            let is_before = after.is_some_and(|after| place < after.place);
            let after = after
                .filter(|after| place == after.place)
                .map_or(i64::MIN, |after| after.key);
            let part = Part {
                schema,
                condition,
                after,
                offset,
                limit,
            };
            // What is not read is counted only.
            let (found, counted) = if limit == 0 || is_before {
                (Vec::new(), None)
            } else {
                self.of_type(&part)?
            };
            let counted = match counted {
                Some(counted) => counted,
                None => self.count(&part, &found)?.count,
            };
            offset = offset.saturating_sub(counted);
            total += counted;
            rows.extend(found.into_iter().map(|key| Position {
                place,
                missing: false,
                value: Vec::new(),
                key,
            }));
        }
        Ok(Found { total, rows })
    }

    /// The wanted keys of one type, and how many there are where finding them has told.
    fn of_type(&self, part: &Part<'_>) -> Result<(Vec<i64>, Option<u64>), Fault> {
        match part.condition {
            Condition::Nothing => return Ok((Vec::new(), Some(0))),
            Condition::All => return Ok((self.everything(part)?, None)),
            _ => {}
        }
        let remembered = self.remembered(part, &self.query(part))?;
        if let Some(keys) = remembered.as_ref().and_then(|total| total.keys.as_ref()) {
            return Ok((
                keys.slice(part.after, part.offset, part.limit),
                Some(keys.count()),
            ));
        }
        if let Some(keys) = self.few(part)? {
            return Ok((
                slice(&keys, part),
                Some(u64::try_from(keys.len()).unwrap_or(u64::MAX)),
            ));
        }
        if let Some(found) = self.at_the_beginning(part)? {
            return Ok((found, None));
        }
        if remembered.is_none()
            && let Some(keys) = self.all_of_one_index(part)?
        {
            let total = Total::of(&keys);
            self.totals
                .remember(self.query(part), self.state, total.clone());
            return Ok((slice(&keys, part), Some(total.count)));
        }
        let mut found = Vec::new();
        for_each_row(self.connection, &self.part_query(part), |position| {
            found.push(position.key);
            Ok(true)
        })?;
        Ok((found, None))
    }

    /// Keys of all resources of a type.
    fn everything(&self, part: &Part<'_>) -> Result<Vec<i64>, Fault> {
        if part.offset > NEAR_MAX
            && let Some(keys) = self.count(part, &[])?.keys
        {
            return Ok(keys.slice(part.after, part.offset, part.limit));
        }
        let values = params![
            self.tenant.0,
            part.schema.name(),
            part.after,
            i64::try_from(part.limit).unwrap_or(i64::MAX),
            i64::try_from(part.offset).unwrap_or(i64::MAX)
        ];
        let mut statement = self
            .connection
            .prepare_cached(sql::LIST_KEYS)
            .map_err(fault)?;
        let rows = statement
            .query_map(values, |row| row.get(0))
            .map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// All keys that match, in order, where one index names few candidates.
    fn few(&self, part: &Part<'_>) -> Result<Option<Vec<i64>>, Fault> {
        for (probe, rest) in drivers(part.condition) {
            let Some(query) = candidates(part.schema, probe, Dialect::Sqlite, self.tenant) else {
                continue;
            };
            if is_scan(probe) {
                continue;
            }
            let mut found = Vec::new();
            for_each_key(self.connection, &query, |key| {
                found.push(key);
                found.len() <= CANDIDATES_MAX
            })?;
            let looked_at = found.len();
            if looked_at <= CANDIDATES_MAX {
                let keys = self.tested(part.schema, found, &rest)?;
                if let Some(keys) = keys.as_ref().filter(|_| looked_at >= REMEMBERED_MIN) {
                    self.totals
                        .remember(self.query(part), self.state, Total::of(keys));
                }
                return Ok(keys);
            }
        }
        Ok(None)
    }

    /// The same for an index that names many, or that has to be read as a whole.
    fn all_of_one_index(&self, part: &Part<'_>) -> Result<Option<Vec<i64>>, Fault> {
        let Some((probe, rest)) = drivers(part.condition).into_iter().next() else {
            return Ok(None);
        };
        if let Some(found) = self.of_few_values(part.schema, probe)? {
            return self.tested(part.schema, found, &rest);
        }
        let Some(query) = candidates(part.schema, probe, Dialect::Sqlite, self.tenant) else {
            return Ok(None);
        };
        let mut found = Vec::new();
        for_each_key(self.connection, &query, |key| {
            found.push(key);
            true
        })?;
        self.tested(part.schema, found, &rest)
    }

    /// Keys that a probe selects which no index begins with, by way of the different values that there are; `None` where these are many. Thousands of people
    /// have some dozens of titles and departments.
    fn of_few_values(&self, schema: &TypeSchema, probe: &Probe) -> Result<Option<Vec<i64>>, Fault> {
        let Probe::Value {
            path,
            unique: false,
            test,
        } = probe
        else {
            return Ok(None);
        };
        if !is_scan(probe) {
            return Ok(None);
        }
        let (tenant, attribute) = (self.tenant.0, attribute_key(schema.name(), path));
        let mut next = self
            .connection
            .prepare_cached(sql::NEXT_VALUE)
            .map_err(fault)?;
        let mut having = self
            .connection
            .prepare_cached(sql::LIST_HAVING)
            .map_err(fault)?;
        let (mut found, mut last): (Vec<i64>, Option<Vec<u8>>) = (Vec::new(), None);
        for _ in 0..=VALUES_MAX {
            let value: Option<Vec<u8>> = next
                .query_row(params![tenant, attribute, last], |row| row.get(0))
                .optional()
                .map_err(fault)?;
            let Some(value) = value else {
                return Ok(Some(found));
            };
            if value_holds(test, &value) {
                let keys = having
                    .query_map(params![tenant, attribute, value], |row| row.get(0))
                    .map_err(fault)?;
                for key in keys {
                    found.push(key.map_err(fault)?);
                }
            }
            last = Some(value);
        }
        Ok(None)
    }

    /// Those of these candidates of which the rest of the condition holds; `None` where the rest is about memberships.
    fn tested(
        &self,
        schema: &TypeSchema,
        mut keys: Vec<i64>,
        rest: &[&Condition],
    ) -> Result<Option<Vec<i64>>, Fault> {
        let Some(tests) = rest
            .iter()
            .map(|condition| RowCondition::of(schema, condition))
            .collect::<Option<Vec<_>>>()
        else {
            return Ok(None);
        };
        keys.sort_unstable();
        keys.dedup();
        if tests.is_empty() {
            return Ok(Some(keys));
        }
        let test = RowCondition::All(tests);
        let mut kept = Vec::new();
        self.for_each_facts(schema, keys, |key, facts| {
            if test.holds(facts) {
                kept.push(key);
            }
        })?;
        Ok(Some(kept))
    }

    /// Looks at what is known of each of these, where it is of the type.
    fn for_each_facts(
        &self,
        schema: &TypeSchema,
        keys: Vec<i64>,
        mut look: impl FnMut(i64, &Facts<'_>),
    ) -> Result<(), Fault> {
        let mut statement = self
            .connection
            .prepare_cached(sql::READ_FACTS)
            .map_err(fault)?;
        for key in keys {
            let read = |row: &Row<'_>| facts(row).map(|facts| look(key, &facts));
            statement
                .query_row(params![self.tenant.0, schema.name(), key], read)
                .optional()
                .map_err(fault)?;
        }
        Ok(())
    }

    /// The wanted keys, where the beginning of the list holds enough of them.
    fn at_the_beginning(&self, part: &Part<'_>) -> Result<Option<Vec<i64>>, Fault> {
        let Some(test) = RowCondition::of(part.schema, part.condition) else {
            return Ok(None);
        };
        let offset = usize::try_from(part.offset).unwrap_or(usize::MAX);
        let most = offset.saturating_add(part.limit);
        if most > ROWS_MAX {
            return Ok(None);
        }
        let mut statement = self
            .connection
            .prepare_cached(sql::LIST_FACTS)
            .map_err(fault)?;
        let limit = i64::try_from(ROWS_MAX).unwrap_or(i64::MAX);
        let mut rows = statement
            .query(params![
                self.tenant.0,
                part.schema.name(),
                part.after,
                limit
            ])
            .map_err(fault)?;
        let (mut found, mut looked_at) = (Vec::new(), 0);
        while let Some(row) = rows.next().map_err(fault)? {
            looked_at += 1;
            if test.holds(&facts(row).map_err(fault)?) {
                found.push(row.get(4).map_err(fault)?);
            }
            if found.len() == most {
                break;
            }
        }
        let is_enough = found.len() == most || looked_at < ROWS_MAX;
        Ok(is_enough.then(|| found.into_iter().skip(offset).collect()))
    }

    /// How many of a type match, in all.
    fn count(&self, part: &Part<'_>, page: &[i64]) -> Result<Total, Fault> {
        let is_whole =
            part.after == i64::MIN && part.offset == 0 && part.limit > 0 && page.len() < part.limit;
        if is_whole && part.condition != &Condition::All {
            return Ok(Total::counted(
                u64::try_from(page.len()).unwrap_or(u64::MAX),
            ));
        }
        let query = self.query(part);
        if let Some(total) = self.remembered(part, &query)? {
            return Ok(total);
        }
        let keys = match part.condition {
            Condition::Nothing => return Ok(Total::default()),
            Condition::All => Some(self.all_keys(part)?),
            _ => self.all_of_one_index(part)?,
        };
        let total = match keys {
            Some(keys) => Total::of(&keys),
            None => Total::counted(number(self.connection, &query)?),
        };
        self.totals.remember(query, self.state, total.clone());
        Ok(total)
    }

    fn all_keys(&self, part: &Part<'_>) -> Result<Vec<i64>, Fault> {
        let mut statement = self
            .connection
            .prepare_cached(sql::LIST_ALL_KEYS)
            .map_err(fault)?;
        let rows = statement
            .query_map(params![self.tenant.0, part.schema.name()], |row| row.get(0))
            .map_err(fault)?;
        rows.collect::<Result<_, _>>().map_err(fault)
    }

    /// What is remembered of a part, brought up to this state.
    fn remembered(&self, part: &Part<'_>, query: &Query) -> Result<Option<Total>, Fault> {
        let Some((sequence, total)) = self.totals.find_last(query, self.state) else {
            return Ok(None);
        };
        if sequence == self.state.sequence {
            return Ok(Some(total));
        }
        let Some(keys) = total.keys else {
            return Ok(None);
        };
        let brought_up: Option<Total> = self
            .brought_up(part, sequence, Keys::clone(&keys))?
            .map(Total::from);
        if let Some(total) = &brought_up {
            self.totals
                .remember(query.clone(), self.state, total.clone());
        }
        Ok(brought_up)
    }

    /// Keys that matched at an earlier sequence, with those that were written since looked at again. `None` where these are many, where one of them is gone (the
    /// log does not say which key it had), where the log no longer has them all, and where no row tells whether it matches.
    fn brought_up(
        &self,
        part: &Part<'_>,
        since: i64,
        mut keys: Keys,
    ) -> Result<Option<Keys>, Fault> {
        let Some(test) = RowCondition::of(part.schema, part.condition) else {
            return Ok(None);
        };
        let changes = self.state.sequence - since;
        if changes > CHANGES_MAX {
            return Ok(None);
        }
        let mut statement = self
            .connection
            .prepare_cached(sql::LIST_WRITTEN)
            .map_err(fault)?;
        let mut rows = statement
            .query(params![self.tenant.0, since, self.state.sequence])
            .map_err(fault)?;
        let (mut told, mut written) = (0, Vec::new());
        while let Some(row) = rows.next().map_err(fault)? {
            told += 1;
            if row
                .get_ref(0)
                .and_then(|name| Ok(name.as_str()? != part.schema.name()))
                .map_err(fault)?
            {
                continue;
            }
            let Some(key) = row.get(1).map_err(fault)? else {
                return Ok(None);
            };
            written.push(key);
        }
        if told != changes {
            return Ok(None);
        }
        written.sort_unstable();
        written.dedup();
        let mut is_possible = true;
        self.for_each_facts(part.schema, written, |key, facts| {
            is_possible &= keys.set(key, test.holds(facts));
        })?;
        Ok(is_possible.then_some(keys))
    }

    /// The query by which the count of a type is remembered, and which counts it where nothing else does.
    fn query(&self, part: &Part<'_>) -> Query {
        count(part.schema, part.condition, Dialect::Sqlite, self.tenant)
    }

    /// The part as a query of its own.
    fn part_query(&self, part: &Part<'_>) -> Query {
        let types = self
            .plan
            .types
            .iter()
            .filter(|schema| schema.name() == part.schema.name())
            .cloned()
            .collect();
        let mut plan = SearchPlan {
            types,
            conditions: vec![part.condition.clone()],
            offset: part.offset,
            ..self.plan.clone()
        };
        plan.limit = u64::try_from(part.limit).unwrap_or(u64::MAX);
        plan.keyset = None;
        let mut query = plan;
        if part.after != i64::MIN {
            // One more than is wanted does no harm; the page is cut.
            query = query.by_position(Some(Position {
                place: 0,
                missing: false,
                value: Vec::new(),
                key: part.after,
            }));
        }
        keys(&query, Dialect::Sqlite, self.tenant, true)
    }

    /// In an order that an index knows.
    fn sorted(&self) -> Result<Found, Fault> {
        let plan = self.plan;
        if let ([schema], [condition]) = (plan.types.as_slice(), plan.conditions.as_slice()) {
            let part = Part {
                schema,
                condition,
                after: i64::MIN,
                offset: 0,
                limit: usize::MAX,
            };
            if let Some(keys) = self.few(&part)? {
                return self.few_sorted(schema, keys);
            }
        }
        let mut rows = Vec::new();
        if plan.limit > 0 {
            for_each_row(
                self.connection,
                &keys(plan, Dialect::Sqlite, self.tenant, true),
                |position| {
                    rows.push(position);
                    Ok(true)
                },
            )?;
        }
        let mut total = 0;
        for (schema, condition) in plan.types.iter().zip(&plan.conditions) {
            total += self
                .count(
                    &Part {
                        schema,
                        condition,
                        after: 0,
                        offset: 0,
                        limit: 0,
                    },
                    &[],
                )?
                .count;
        }
        Ok(Found { total, rows })
    }

    fn few_sorted(&self, schema: &TypeSchema, keys: Vec<i64>) -> Result<Found, Fault> {
        let plan = self.plan;
        let mut rows = Vec::with_capacity(keys.len());
        self.for_each_facts(schema, keys, |key, facts| {
            rows.push(position(plan, 0, schema, key, facts));
        })?;
        let total = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        rows.sort_by(|a, b| compare(plan, a, b));
        let after = plan
            .keyset
            .as_ref()
            .and_then(|keyset| keyset.after.as_ref());
        let is_behind =
            |row: &Position| after.is_none_or(|after| compare(plan, row, after).is_gt());
        let offset = usize::try_from(plan.offset).unwrap_or(usize::MAX);
        Ok(Found {
            total,
            rows: rows
                .into_iter()
                .filter(is_behind)
                .skip(offset)
                .take(wanted(plan))
                .collect(),
        })
    }
}

fn facts<'r>(row: &'r Row<'_>) -> Result<Facts<'r>, rusqlite::Error> {
    Ok(Facts {
        id: row.get_ref(0)?.as_str()?,
        created: row.get(1)?,
        modified: row.get(2)?,
        entries: row.get_ref(3)?.as_blob()?,
    })
}

/// The part of all matching keys that is wanted.
fn slice(keys: &[i64], part: &Part<'_>) -> Vec<i64> {
    let behind = keys.iter().copied().filter(|key| *key > part.after);
    behind
        .skip(usize::try_from(part.offset).unwrap_or(usize::MAX))
        .take(part.limit)
        .collect()
}

/// The probes one of which must hold, the most selective first, each with what must hold beside it.
fn drivers(condition: &Condition) -> Vec<(&Probe, Vec<&Condition>)> {
    let all = match condition {
        Condition::And(all) => all.as_slice(),
        one => std::slice::from_ref(one),
    };
    let mut found: Vec<(&Probe, Vec<&Condition>)> = Vec::new();
    for (index, one) in all.iter().enumerate() {
        let Condition::Probe(probe) = one else {
            continue;
        };
        if matches!(
            probe,
            Probe::Created(_) | Probe::HasMembers | Probe::InGroup(_) | Probe::InGroups
        ) {
            continue;
        }
        found.push((
            probe,
            all.iter()
                .enumerate()
                .filter(|(other, _)| *other != index)
                .map(|(_, other)| other)
                .collect(),
        ));
    }
    found.sort_by_key(|(probe, _)| rank(probe));
    found
}

/// How many a probe is likely to select, from few to many.
fn rank(probe: &Probe) -> u8 {
    match probe {
        Probe::Id(_) => 0,
        Probe::Value {
            unique: true,
            test: ValueTest::Equal(_),
            ..
        } => 1,
        Probe::HasMember(_) => 2,
        // One byte is a boolean, which half of all may have.
        Probe::Value {
            test: ValueTest::Equal(key),
            ..
        } if key.len() > 1 => 3,
        Probe::Value {
            test:
                ValueTest::Range {
                    from: Some(_),
                    to: Some(_),
                    ..
                },
            ..
        } => 4,
        Probe::LastModified(_) => 5,
        Probe::Value {
            test: ValueTest::Equal(_) | ValueTest::Range { .. },
            ..
        } => 6,
        Probe::Value {
            test: ValueTest::Present,
            ..
        } => 7,
        Probe::Value { .. } => 8,
        Probe::Created(_) | Probe::HasMembers | Probe::InGroup(_) | Probe::InGroups => 9,
    }
}

/// Whether all of an attribute's values have to be looked at, however few are selected.
fn is_scan(probe: &Probe) -> bool {
    matches!(
        probe,
        Probe::Value {
            test: ValueTest::Contains(_) | ValueTest::EndsWith(_),
            ..
        }
    )
}
