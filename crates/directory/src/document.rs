//! The document of a resource in both of its shapes: the text that is stored and answered, and the tree that is decided with. It has the
//! shape that it came in; the other one is made at the first use, and once for all that share it. Checks nothing but that a text is JSON.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use serde::de::{Error, IgnoredAny};
use serde_json::{Map, Value};

/// What a resource holds, without `id`, `meta` and what is derived. Cloning it shares it.
#[derive(Clone, Default)]
pub struct Document {
    shapes: Arc<Shapes>,
}

#[derive(Default)]
struct Shapes {
    text: OnceLock<String>,
    tree: OnceLock<Map<String, Value>>,
}

impl Document {
    /// A document as it was stored. Fails where the text is not a JSON object.
    pub fn stored(text: String) -> Result<Self, serde_json::Error> {
        if !text.starts_with('{') {
            return Err(serde_json::Error::custom("a document is an object"));
        }
        // Reading past everything is a fraction of making a tree of it, which an answer does not need.
        serde_json::from_str::<IgnoredAny>(&text)?;
        Ok(Self {
            shapes: Arc::new(Shapes {
                text: text.into(),
                tree: OnceLock::new(),
            }),
        })
    }

    /// As JSON text: an object without spaces around it.
    pub fn text(&self) -> &str {
        // Maps with string keys and JSON values always can be JSON.
        self.shapes
            .text
            .get_or_init(|| serde_json::to_string(&**self).unwrap_or_default())
    }

    /// The tree itself; copied if the document is shared.
    pub fn into_tree(self) -> Map<String, Value> {
        let _made = &*self;
        Arc::try_unwrap(self.shapes).map_or_else(
            |shared| shared.tree.get().cloned().unwrap_or_default(),
            |alone| alone.tree.into_inner().unwrap_or_default(),
        )
    }
}

impl Deref for Document {
    type Target = Map<String, Value>;

    fn deref(&self) -> &Self::Target {
        // A document that was made without a tree was made from a text, which is known to be an object.
        self.shapes.tree.get_or_init(|| {
            self.shapes
                .text
                .get()
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default()
        })
    }
}

impl From<Map<String, Value>> for Document {
    fn from(tree: Map<String, Value>) -> Self {
        Self {
            shapes: Arc::new(Shapes {
                text: OnceLock::new(),
                tree: tree.into(),
            }),
        }
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(formatter)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_shapes_say_the_same() {
        let text = r#"{"userName":"ann","n":1.50,"é":["\u0001"]}"#;
        let stored = Document::stored(text.to_owned()).unwrap();
        assert_eq!(stored.text(), text, "what is stored is not written anew");
        assert_eq!(stored.get("userName"), Some(&json!("ann")));
        let made = Document::from((*stored).clone());
        assert_eq!(Document::stored(made.text().to_owned()).unwrap(), made);
        let shared = made.clone();
        assert_eq!(shared.into_tree(), stored.clone().into_tree());
        assert_eq!(made.into_tree(), stored.into_tree());
        assert_eq!(Document::default().text(), "{}");
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["", "[]", "{", "{\"a\":1}{", "null", "{\"a\":01}"] {
            assert!(Document::stored(text.to_owned()).is_err(), "{text}");
        }
    }
}
