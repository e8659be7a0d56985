//! What one operation does to the value of one attribute (RFC 7644 section 3.5.2.1 to 3.5.2.3). Does not check the operation's value, which `apply` has done.

use serde_json::{Map, Value};

use super::Op;
use super::work::{Work, steps_of, terms};
use crate::error::{Error, ErrorKind};
use crate::filter::Filter;
use crate::patch_path::element_from;
use crate::quirk::{Quirk, QuirkSet};
use crate::resource::distinct;
use crate::schema::Attribute;
use crate::validate::{self, Place};

/// Where a value goes.
#[derive(Clone, Copy)]
pub(super) struct Target<'a> {
    pub(super) extension: Option<&'a str>,
    pub(super) attribute: &'a Attribute,
    pub(super) sub: Option<&'a Attribute>,
    pub(super) filter: Option<&'a Filter>,
}

impl Target<'_> {
    pub(super) fn path(&self) -> String {
        let mut path = self
            .extension
            .map(|urn| format!("{urn}:"))
            .unwrap_or_default();
        path.push_str(&self.attribute.name);
        if let Some(sub) = self.sub {
            path.push('.');
            path.push_str(&sub.name);
        }
        path
    }

    /// The attribute whose characteristics the value must have.
    pub(super) fn leaf(&self) -> &Attribute {
        self.sub.unwrap_or(self.attribute)
    }
}

/// The value of an operation, checked.
#[derive(Clone, Debug)]
pub(super) enum Given {
    /// None: what the path names becomes unassigned.
    Nothing,
    /// All that the path names.
    Whole(Value),
    /// Sub-attributes of one complex value, with null for those that become unassigned. Other sub-attributes stay (RFC 7644 section 3.5.2.3).
    Parts(Map<String, Value>),
}

impl Given {
    fn steps(&self) -> usize {
        match self {
            Self::Nothing => 1,
            Self::Whole(value) => steps_of(value),
            Self::Parts(parts) => 1 + parts.values().map(|part| steps_of(part) - 1).sum::<usize>(),
        }
    }

    /// Whether there is something to put where nothing is yet.
    fn assigns(&self) -> bool {
        match self {
            Self::Nothing => false,
            Self::Whole(_) => true,
            Self::Parts(parts) => parts.values().any(|part| !part.is_null()),
        }
    }
}

/// One operation on one attribute.
pub(super) struct Change<'a> {
    pub(super) op: Op,
    pub(super) target: Target<'a>,
    /// Which values of a multi-valued sub-attribute a `remove` takes; all where it is `None`.
    pub(super) within: Option<&'a Filter>,
    pub(super) quirks: &'a QuirkSet,
    pub(super) work: &'a mut Work,
}

impl Change<'_> {
    /// Changes the attribute in the object that holds it: the resource, or an extension.
    pub(super) fn apply(
        &mut self,
        container: &mut Map<String, Value>,
        given: Given,
    ) -> Result<(), Error> {
        match (self.target.filter, self.target.attribute.multi_valued) {
            (Some(filter), true) => self.elements(container, filter, given),
            (Some(filter), false) => self.one_if(container, filter, given),
            (None, _) => self.unconditionally(container, given),
        }
    }

    fn unconditionally(
        &mut self,
        container: &mut Map<String, Value>,
        given: Given,
    ) -> Result<(), Error> {
        if self.target.sub.is_some() {
            self.sub_attribute(container, given)
        } else {
            self.whole(container, given)
        }
    }

    /// `attribute[filter]` where the attribute has one value.
    fn one_if(
        &mut self,
        container: &mut Map<String, Value>,
        filter: &Filter,
        given: Given,
    ) -> Result<(), Error> {
        let attribute = self.target.attribute;
        let held = container.get(&attribute.name);
        self.work
            .spend(held.map_or(1, steps_of).saturating_mul(terms(filter)))?;
        match (
            held.is_some_and(|held| filter.matches_element(attribute, held)),
            self.op,
        ) {
            (true, _) => self.unconditionally(container, given),
            (false, Op::Remove) => Ok(()),
            (false, Op::Add | Op::Replace) => Err(self.no_target(filter)),
        }
    }

    /// The whole attribute.
    fn whole(&mut self, container: &mut Map<String, Value>, given: Given) -> Result<(), Error> {
        let attribute = self.target.attribute;
        self.work.spend(1)?;
        match (container.get_mut(&attribute.name), given) {
            (_, Given::Nothing) => {
                container.remove(&attribute.name);
            }
            (Some(Value::Array(elements)), Given::Whole(Value::Array(new)))
                if self.op == Op::Add =>
            {
                self.add(elements, new)?;
            }
            (_, Given::Whole(value)) => {
                container.insert(attribute.name.clone(), value);
            }
            (Some(Value::Object(object)), Given::Parts(parts)) => {
                merge(object, self.op, attribute, parts);
                // An empty value counts as absent for the next operation too.
                if object.is_empty() {
                    container.remove(&attribute.name);
                }
            }
            (_, Given::Parts(parts)) => {
                if let Some(value) = self.complete(parts)? {
                    container.insert(attribute.name.clone(), value);
                }
            }
        }
        Ok(())
    }

    /// A complex value that is there only by this operation; `None` where nothing of it is assigned.
    fn complete(&self, mut parts: Map<String, Value>) -> Result<Option<Value>, Error> {
        parts.retain(|_, part| !part.is_null());
        if parts.is_empty() {
            return Ok(None);
        }
        validate::complete(
            Place::Path(&self.target.path()),
            self.target.attribute,
            &parts,
        )?;
        Ok(Some(Value::Object(parts)))
    }

    fn add(&mut self, elements: &mut Vec<Value>, new: Vec<Value>) -> Result<(), Error> {
        self.work
            .spend(elements.len().saturating_add(1).saturating_mul(new.len()))?;
        let attribute = self.target.attribute;
        let touched: Vec<usize> = new
            .into_iter()
            .map(|element| add_element(elements, attribute, element))
            .collect();
        demote(elements, &touched);
        once(elements, &touched);
        Ok(())
    }

    /// `attribute.sub`: of the one value, or of every element.
    fn sub_attribute(
        &mut self,
        container: &mut Map<String, Value>,
        given: Given,
    ) -> Result<(), Error> {
        let attribute = self.target.attribute;
        let (assigns, held) = (given.assigns(), container.get_mut(&attribute.name));
        self.work.spend(
            held.as_deref()
                .map_or(1, steps_of)
                .saturating_mul(given.steps()),
        )?;
        match held {
            Some(Value::Array(elements)) => {
                for element in elements.iter_mut() {
                    self.element(element, &given);
                }
                let all: Vec<usize> = (0..elements.len()).collect();
                settle(elements, &all);
            }
            Some(element @ Value::Object(_)) => self.element(element, &given),
            _ if assigns => {
                let mut element = Value::Object(Map::new());
                self.element(&mut element, &given);
                container.insert(
                    attribute.name.clone(),
                    if attribute.multi_valued {
                        Value::Array(vec![element])
                    } else {
                        element
                    },
                );
            }
            _ => {}
        }
        if container.get(&attribute.name).is_some_and(is_empty) {
            container.remove(&attribute.name);
        }
        Ok(())
    }

    /// `attribute[filter]` and `attribute[filter].sub` of a multi-valued attribute.
    fn elements(
        &mut self,
        container: &mut Map<String, Value>,
        filter: &Filter,
        given: Given,
    ) -> Result<(), Error> {
        let attribute = self.target.attribute;
        let mut none = Vec::new();
        let elements = match container.get_mut(&attribute.name) {
            Some(Value::Array(elements)) => elements,
            _ => &mut none,
        };
        self.work.spend(
            elements
                .iter()
                .map(steps_of)
                .sum::<usize>()
                .saturating_add(1)
                .saturating_mul(terms(filter).max(1)),
        )?;
        let matching = elements
            .iter()
            .enumerate()
            .filter(|(_, element)| filter.matches_element(attribute, element));
        let mut matched: Vec<usize> = matching.map(|(place, _)| place).collect();
        if matched.is_empty() {
            let Some(made) = self.made(filter, &given)? else {
                return Ok(());
            };
            matched.push(elements.len());
            elements.push(made);
        }
        // To add to a simple value is to add beside it.
        if let (Op::Add, None, Given::Whole(value)) = (self.op, self.target.sub, &given) {
            return self.add(elements, vec![value.clone()]);
        }
        self.work
            .spend(matched.len().saturating_mul(given.steps()))?;
        let given = self.replacement(given)?;
        for place in &matched {
            if let Some(element) = elements.get_mut(*place) {
                self.element(element, &given);
            }
        }
        settle(elements, &matched);
        let is_empty = elements.is_empty();
        if !none.is_empty() {
            container.insert(attribute.name.clone(), Value::Array(none));
        } else if is_empty {
            container.remove(&attribute.name);
        }
        Ok(())
    }

    /// An element for a filter that selects none, where there is something to put into it. Entra adds `emails[type eq "work"].value` to a user who has no
    /// such element yet, and means one to be made; a whole element that is to replace what is not there stays `noTarget` (RFC 7644 section 3.5.2.3).
    fn made(&self, filter: &Filter, given: &Given) -> Result<Option<Value>, Error> {
        if self.op == Op::Remove || (!given.assigns() && self.quirks.has(Quirk::ElementFromFilter))
        {
            return Ok(None);
        }
        let attribute = self.target.attribute;
        let made = (self.target.sub.is_some() || self.op == Op::Add)
            .then(|| element_from(attribute, filter))
            .flatten();
        let made = made
            .filter(|_| self.quirks.has(Quirk::ElementFromFilter))
            .ok_or_else(|| self.no_target(filter))?;
        for (name, value) in &made {
            if let (Some(sub), Some(text)) = (attribute.sub_attribute(name), value.as_str()) {
                let path = Target {
                    sub: None,
                    ..self.target
                }
                .path();
                validate::check_length(Place::Sub(&Place::Path(&path), name), sub, text)?;
            }
        }
        Ok(Some(Value::Object(made)))
    }

    /// RFC 7644 section 3.5.2.3: what replaces an element replaces all of it. A value that assigns nothing replaces nothing: it only unassigns what it names.
    fn replacement(&self, given: Given) -> Result<Given, Error> {
        match given {
            Given::Parts(parts)
                if self.op == Op::Replace && parts.values().any(|part| !part.is_null()) =>
            {
                Ok(self.complete(parts)?.map_or(Given::Nothing, Given::Whole))
            }
            given => Ok(given),
        }
    }

    /// One element, or the one value of a complex attribute.
    fn element(&self, element: &mut Value, given: &Given) {
        match (self.target.sub, given, element) {
            (Some(sub), Given::Nothing, Value::Object(object)) => {
                match (self.within, object.get_mut(&sub.name)) {
                    (Some(gone), Some(Value::Array(values))) => {
                        values.retain(|value| !gone.matches_element(sub, value));
                        if values.is_empty() {
                            object.remove(&sub.name);
                        }
                    }
                    _ => set_sub(object, self.op, sub, None),
                }
            }
            (Some(sub), Given::Whole(value), Value::Object(object)) => {
                set_sub(object, self.op, sub, Some(value));
            }
            (None, Given::Parts(parts), Value::Object(object)) => {
                merge(object, self.op, self.target.attribute, parts.clone());
            }
            (None, Given::Whole(value), element) => *element = value.clone(),
            (None, Given::Nothing, element) => *element = Value::Null,
            (Some(_), ..) | (None, Given::Parts(_), _) => {}
        }
    }

    fn no_target(&self, filter: &Filter) -> Error {
        let name = &self.target.attribute.name;
        Error::new(
            ErrorKind::NoTarget,
            format!("`{name}[{filter}]` selects no value; add one to `{name}` first."),
        )
        .at(self.target.path())
    }
}

/// Whether nothing is assigned in it (RFC 7643 section 2.5).
pub(super) fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.is_empty(),
        Value::Object(object) => object.is_empty(),
        _ => false,
    }
}

/// Changes the named sub-attributes of a complex value and no others.
fn merge(
    object: &mut Map<String, Value>,
    op: Op,
    attribute: &Attribute,
    parts: Map<String, Value>,
) {
    for (name, part) in parts {
        let Some(sub) = attribute.sub_attribute(&name) else {
            continue;
        };
        // An `add` of an unassigned value adds nothing.
        if !(part.is_null() && op == Op::Add) {
            set_sub(object, op, sub, Some(&part).filter(|part| !part.is_null()));
        }
    }
}

fn set_sub(object: &mut Map<String, Value>, op: Op, sub: &Attribute, value: Option<&Value>) {
    match (object.get_mut(&sub.name), value) {
        (_, None) => {
            object.remove(&sub.name);
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) if op == Op::Add => {
            old.extend(new.iter().cloned());
            distinct(old);
        }
        (_, Some(value)) => {
            object.insert(sub.name.clone(), value.clone());
        }
    }
}

/// Adds an element, or merges it into the one with the same `value` and `type`: RFC 7643 section 2.4 wants no such pair twice. Answers its place.
fn add_element(elements: &mut Vec<Value>, attribute: &Attribute, new: Value) -> usize {
    let same = |element: &Value| match (element, &new) {
        (Value::Object(old), Value::Object(new)) if new.contains_key("value") => ["value", "type"]
            .iter()
            .all(|name| old.get(*name) == new.get(*name)),
        (old, new) => old == new,
    };
    if let Some(place) = elements.iter().position(same) {
        if let (Some(Value::Object(old)), Value::Object(new)) = (elements.get_mut(place), new) {
            merge(old, Op::Add, attribute, new);
        }
        place
    } else {
        elements.push(new);
        elements.len() - 1
    }
}

/// What must hold of the elements once these were changed.
fn settle(elements: &mut Vec<Value>, touched: &[usize]) {
    demote(elements, touched);
    once(elements, touched);
    elements.retain(|element| !is_empty(element));
}

/// RFC 7644 section 3.5.2: a value that becomes primary makes every other one secondary.
fn demote(elements: &mut [Value], touched: &[usize]) {
    let is_primary = |element: &Value| element.get("primary") == Some(&Value::Bool(true));
    let Some(keep) = touched
        .iter()
        .rev()
        .copied()
        .find(|place| elements.get(*place).is_some_and(is_primary))
    else {
        return;
    };
    for (place, element) in elements.iter_mut().enumerate() {
        if place != keep
            && is_primary(element)
            && let Value::Object(object) = element
        {
            object.insert("primary".into(), Value::Bool(false));
        }
    }
}

/// What has become the same value is there once, as in a body of POST or PUT. Elements that were not touched were different before.
fn once(elements: &mut Vec<Value>, touched: &[usize]) {
    let [one] = touched else {
        return distinct(elements);
    };
    let Some(changed) = elements.get(*one) else {
        return;
    };
    let same: Vec<usize> = elements
        .iter()
        .enumerate()
        .filter(|(_, element)| *element == changed)
        .map(|(place, _)| place)
        .collect();
    for place in same.iter().skip(1).rev() {
        elements.remove(*place);
    }
}
