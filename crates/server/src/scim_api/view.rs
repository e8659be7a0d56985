//! What a caller sees of a resource, and under which URL. Does not decide what is in a resource.

use directory::Directory;
use directory::access::Caller;
use directory::document::Document;
use directory::store::StoredResource;
use scim_protocol::TypeSchema;
use scim_protocol::projection::Projection;
use serde_json::{Map, Value};

/// A view on resources: under which URL, and how much of them.
pub(crate) struct View<'a> {
    /// The base URL the caller used, without a slash at its end.
    pub base_url: &'a str,
    /// Who asked; their tenant's resource types are for references.
    pub caller: &'a Caller,
    /// What the caller wants to see.
    pub projection: &'a Projection,
    /// Where members come from that are sent later.
    pub directory: &'a Directory,
}

impl View<'_> {
    /// Where a resource is.
    pub fn location(&self, schema: &TypeSchema, id: &str) -> String {
        let endpoint = &schema.resource_type.endpoint;
        let slash = if endpoint.starts_with('/') { "" } else { "/" };
        format!("{}{slash}{endpoint}/{id}", self.base_url)
    }

    /// The resource as the caller sees it: what it holds, and what the directory says of it.
    pub fn halves(
        &self,
        schema: &TypeSchema,
        resource: StoredResource,
    ) -> (Document, Map<String, Value>) {
        let locate =
            |resource_type: &str, id: &str| match self.caller.schemas.by_name(resource_type) {
                Some(schema) => self.location(schema, id),
                None => String::new(),
            };
        let shows_names = self.caller.tenant.settings.member_display;
        // Empty where the caller may not read who the member is.
        let names: Vec<String> = resource
            .members
            .iter()
            .filter(|_| shows_names)
            .map(|member| member.display.clone())
            .collect();
        let (mut document, mut said) = resource.into_halves(Some(&locate));
        let elements = said
            .get_mut("members")
            .and_then(Value::as_array_mut)
            .into_iter()
            .flatten()
            .filter_map(Value::as_object_mut);
        for (element, name) in elements.zip(names).filter(|(_, name)| !name.is_empty()) {
            element.insert("display".to_owned(), name.into());
        }
        let is_group = schema
            .core_attribute("members")
            .is_some_and(|members| members.multi_valued);
        if is_group && self.caller.tenant.settings.empty_members && !said.contains_key("members") {
            said.insert("members".to_owned(), Value::Array(Vec::new()));
        }
        // Most are answered with the text that is stored; a tree is only made of what has something to hide.
        if !self.projection.keeps_all_of(schema, document.text()) {
            let mut tree = document.into_tree();
            self.projection.apply(schema, &mut tree);
            document = tree.into();
        }
        self.projection.apply(schema, &mut said);
        (document, said)
    }
}
