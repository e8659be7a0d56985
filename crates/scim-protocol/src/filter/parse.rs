//! Text to tree, with spans and limits. Does not know which attributes exist: `Filter::check` does.

use std::ops::Range;

use serde_json::{Number, Value};

use super::{CompareOp, Filter, FilterLimits};
use crate::attribute_path::AttributePath;
use crate::error::{Error, ErrorKind};

/// Nesting beyond this is refused even where the limits allow more, so that no filter can exhaust the stack.
const DEPTH_CEILING: usize = 128;

/// A path of PATCH (RFC 7644 section 3.5.2, figure 7), taken apart.
#[derive(Clone, Debug, PartialEq)]
pub struct ValuePathParts {
    /// The attribute; has a sub-attribute only where there is no filter.
    pub attribute: AttributePath,
    /// What stands in brackets.
    pub filter: Option<Filter>,
    /// The sub-attribute after the brackets.
    pub sub_attribute: Option<String>,
}

/// Parses a filter; `invalidFilter` with the position and what was expected.
pub fn parse(text: &str, limits: FilterLimits) -> Result<Filter, Error> {
    let mut parser = Parser::new(text, limits)?;
    let filter = parser.disjunction(false)?;
    parser.skip_spaces();
    if parser.rest().is_empty() {
        Ok(filter)
    } else {
        Err(parser.expected("`and`, `or` or the end of the filter"))
    }
}

/// Parses `attribute`, `attribute.sub`, `attribute[filter]` or `attribute[filter].sub`. `invalidPath` where the path is malformed, `invalidFilter` where
/// what stands in its brackets is (RFC 7644 table 9).
pub fn parse_value_path(text: &str, limits: FilterLimits) -> Result<ValuePathParts, Error> {
    let mut parser = Parser::new(text, limits)?;
    let (word, start) = parser.word();
    let attribute = AttributePath::parse(word)?;
    if parser.rest().is_empty() {
        return Ok(ValuePathParts {
            attribute,
            filter: None,
            sub_attribute: None,
        });
    }
    let invalid_path =
        |parser: &Parser<'_>, what: &str| parser.expected(what).of_kind(ErrorKind::InvalidPath);
    if !parser.rest().starts_with('[') {
        return Err(invalid_path(&parser, "`[` or the end of the path"));
    }
    let filter = parser.brackets(&attribute, start)?;
    let sub_attribute = if parser.eat('.') {
        let (name, start) = parser.word();
        let parsed = AttributePath::parse_at(name, start)?;
        if parsed.schema.is_some() || parsed.sub_attribute.is_some() {
            return Err(parser
                .refuse(
                    "Only one sub-attribute name may follow `]`.".into(),
                    start..start + name.len(),
                )
                .of_kind(ErrorKind::InvalidPath));
        }
        Some(parsed.attribute)
    } else {
        None
    };
    if parser.rest().is_empty() {
        return Ok(ValuePathParts {
            attribute,
            filter: Some(filter),
            sub_attribute,
        });
    }
    Err(invalid_path(&parser, "the end of the path"))
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    depth_max: usize,
    terms: usize,
    terms_max: usize,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, limits: FilterLimits) -> Result<Self, Error> {
        if text.len() > limits.length_max {
            let detail = format!(
                "The filter is {} bytes long; at most {} are accepted.",
                text.len(),
                limits.length_max
            );
            return Err(Error::new(ErrorKind::InvalidFilter, detail)
                .spanning(limits.length_max..text.len()));
        }
        Ok(Self {
            text,
            at: 0,
            depth: 0,
            depth_max: limits.depth_max.min(DEPTH_CEILING),
            terms: 0,
            terms_max: limits.terms_max,
        })
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
    }

    fn eat(&mut self, expected: char) -> bool {
        let found = self.rest().starts_with(expected);
        if found {
            self.at += expected.len_utf8();
        }
        found
    }

    /// The longest run of path characters from here on, not consumed.
    fn peek_word(&self) -> &'a str {
        let rest = self.rest();
        let end = rest
            .find(|c| !AttributePath::is_path_char(c))
            .unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }

    fn word(&mut self) -> (&'a str, usize) {
        let (word, start) = (self.peek_word(), self.at);
        self.at += word.len();
        (word, start)
    }

    #[expect(
        clippy::unused_self,
        reason = "reads as what the parser does, beside `expected`"
    )]
    fn refuse(&self, detail: String, span: Range<usize>) -> Error {
        Error::new(ErrorKind::InvalidFilter, detail).spanning(span)
    }

    fn expected(&self, what: &str) -> Error {
        let word = self.peek_word();
        let found = if word.is_empty() {
            self.rest().chars().next().map(String::from)
        } else {
            Some(word.to_owned())
        };
        match found {
            Some(found) => {
                let detail = format!("At position {}: expected {what}, found `{found}`.", self.at);
                self.refuse(detail, self.at..self.at + found.len())
            }
            None => self.refuse(
                format!(
                    "At position {}: expected {what}, but the text ends there.",
                    self.at
                ),
                self.at..self.at,
            ),
        }
    }

    /// Runs `inner` one level deeper.
    fn nested(
        &mut self,
        inner: impl FnOnce(&mut Self) -> Result<Filter, Error>,
    ) -> Result<Filter, Error> {
        if self.depth >= self.depth_max {
            let detail = format!(
                "At position {}: the filter is nested deeper than {} levels.",
                self.at, self.depth_max
            );
            return Err(self.refuse(detail, self.at..self.at + 1));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn disjunction(&mut self, in_brackets: bool) -> Result<Filter, Error> {
        let first = self.conjunction(in_brackets)?;
        let mut all = vec![first];
        while self.eat_keyword("or") {
            all.push(self.conjunction(in_brackets)?);
        }
        Ok(joined(all, Filter::Or))
    }

    fn conjunction(&mut self, in_brackets: bool) -> Result<Filter, Error> {
        let first = self.term(in_brackets)?;
        let mut all = vec![first];
        while self.eat_keyword("and") {
            all.push(self.term(in_brackets)?);
        }
        Ok(joined(all, Filter::And))
    }

    fn eat_keyword(&mut self, keyword: &str) -> bool {
        let start = self.at;
        self.skip_spaces();
        if self.peek_word().eq_ignore_ascii_case(keyword) {
            self.at += keyword.len();
            return true;
        }
        self.at = start;
        false
    }

    fn term(&mut self, in_brackets: bool) -> Result<Filter, Error> {
        self.skip_spaces();
        if self.rest().starts_with('(') {
            return self.group(in_brackets);
        }
        if self.peek_word().eq_ignore_ascii_case("not") {
            self.at += "not".len();
            self.skip_spaces();
            if !self.rest().starts_with('(') {
                return Err(self.expected("`(` after `not`"));
            }
            return Ok(Filter::Not(Box::new(self.group(in_brackets)?)));
        }
        let (path, start) = self.path()?;
        if self.rest().starts_with('[') {
            if in_brackets {
                return Err(self.expected("an operator: brackets may not stand in brackets"));
            }
            let inner = self.brackets(&path, start)?;
            let filter = Box::new(self.after_brackets(inner)?);
            return Ok(Filter::ValuePath { path, filter });
        }
        if in_brackets && (path.schema.is_some() || path.sub_attribute.is_some()) {
            let detail = format!(
                "At position {start}: inside brackets only the plain name of a sub-attribute may stand, not `{path}`."
            );
            return Err(self.refuse(detail, start..self.at));
        }
        self.comparison(path)
    }

    fn group(&mut self, in_brackets: bool) -> Result<Filter, Error> {
        self.nested(|parser| {
            parser.at += 1;
            let inner = parser.disjunction(in_brackets)?;
            parser.skip_spaces();
            if parser.eat(')') {
                Ok(inner)
            } else {
                Err(parser.expected("`and`, `or` or `)`"))
            }
        })
    }

    fn path(&mut self) -> Result<(AttributePath, usize), Error> {
        if self.peek_word().is_empty() {
            return Err(self.expected("an attribute, `not` or `(`"));
        }
        let (word, start) = self.word();
        let path = AttributePath::parse_at(word, start)
            .map_err(|error| error.of_kind(ErrorKind::InvalidFilter))?;
        Ok((path, start))
    }

    /// `[filter]` after a path, from the bracket on.
    fn brackets(&mut self, path: &AttributePath, start: usize) -> Result<Filter, Error> {
        // With a URN in front that is only known once the attribute is found: a dot may stand behind the URN.
        if path.sub_attribute.is_some() && path.schema.is_none() {
            let detail = format!(
                "At position {start}: `{path}` is a sub-attribute; brackets follow the attribute itself."
            );
            return Err(self.refuse(detail, start..self.at));
        }
        self.nested(|parser| {
            parser.at += 1;
            let inner = parser.disjunction(true)?;
            parser.skip_spaces();
            if parser.eat(']') {
                Ok(inner)
            } else {
                Err(parser.expected("`and`, `or` or `]`"))
            }
        })
    }

    /// `emails[type eq "work"].value eq "x"` is not in the RFC's grammar but has one meaning: the same element satisfies both.
    fn after_brackets(&mut self, inner: Filter) -> Result<Filter, Error> {
        if !self.eat('.') {
            return Ok(inner);
        }
        let (path, start) = self.path()?;
        if path.schema.is_some() || path.sub_attribute.is_some() {
            let detail = format!(
                "At position {start}: only the plain name of a sub-attribute may follow `]`, not `{path}`."
            );
            return Err(self.refuse(detail, start..self.at));
        }
        let mut all = match inner {
            Filter::And(all) => all,
            other => vec![other],
        };
        all.push(self.comparison(path)?);
        Ok(Filter::And(all))
    }

    fn comparison(&mut self, path: AttributePath) -> Result<Filter, Error> {
        self.terms += 1;
        if self.terms > self.terms_max {
            let detail = format!(
                "At position {}: the filter has more than {} comparisons, which are as many as are accepted.",
                self.at, self.terms_max
            );
            return Err(self.refuse(detail, self.at..self.text.len()));
        }
        self.skip_spaces();
        let word = self.peek_word();
        if word.eq_ignore_ascii_case("pr") {
            self.at += word.len();
            return Ok(Filter::Present(path));
        }
        let Some(op) = CompareOp::from_name(word) else {
            return Err(self.expected(
                "an operator (`eq`, `ne`, `co`, `sw`, `ew`, `gt`, `ge`, `lt`, `le` or `pr`)",
            ));
        };
        self.at += word.len();
        self.skip_spaces();
        let value = self.literal()?;
        Ok(Filter::Compare { path, op, value })
    }

    fn literal(&mut self) -> Result<Value, Error> {
        const EXPECTED: &str =
            "a value: a string in double quotes, a number, `true`, `false` or `null`";
        if self.rest().starts_with('"') {
            return self.string();
        }
        let word = self.peek_word();
        let value = match word.bytes().next() {
            Some(b'-' | b'0'..=b'9') => number(word),
            _ if word.eq_ignore_ascii_case("true") => Some(Value::Bool(true)),
            _ if word.eq_ignore_ascii_case("false") => Some(Value::Bool(false)),
            _ if word.eq_ignore_ascii_case("null") => Some(Value::Null),
            _ => None,
        };
        let value = value.ok_or_else(|| self.expected(EXPECTED))?;
        self.at += word.len();
        Ok(value)
    }

    fn string(&mut self) -> Result<Value, Error> {
        let start = self.at;
        let mut escaped = false;
        let end = self
            .rest()
            .bytes()
            .enumerate()
            .skip(1)
            .find_map(|(at, byte)| {
                let closes = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                closes.then_some(start + at + 1)
            });
        let Some(end) = end else {
            let detail =
                format!("At position {start}: the string that begins here has no closing `\"`.");
            return Err(self.refuse(detail, start..self.text.len()));
        };
        let literal = self.text.get(start..end).unwrap_or_default();
        let Ok(value) = serde_json::from_str(literal) else {
            let detail = format!(
                "At position {start}: the string is not a JSON string; escape control characters, `\"` and `\\` with `\\`."
            );
            return Err(self.refuse(detail, start..end));
        };
        self.at = end;
        Ok(Value::String(value))
    }
}

fn joined(mut all: Vec<Filter>, join: fn(Vec<Filter>) -> Filter) -> Filter {
    match (all.len(), all.pop()) {
        (1, Some(only)) => only,
        (_, Some(last)) => {
            all.push(last);
            join(all)
        }
        (_, None) => join(all),
    }
}

/// A JSON number. `serde_json` checks its form; its value is read by the standard library, which rounds correctly.
fn number(word: &str) -> Option<Value> {
    serde_json::from_str::<Number>(word).ok()?;
    if let Ok(integer) = word.parse::<i64>() {
        return Some(integer.into());
    }
    if let Ok(integer) = word.parse::<u64>() {
        return Some(integer.into());
    }
    Number::from_f64(word.parse().ok()?).map(Value::Number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn tree(text: &str) -> Filter {
        parse(text, FilterLimits::default()).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn compare(path: &str, op: CompareOp, value: Value) -> Filter {
        Filter::Compare {
            path: AttributePath::parse(path).unwrap(),
            op,
            value,
        }
    }

    /// The examples of RFC 7644 section 3.4.2.2, figure 2 included.
    #[test]
    fn rfc7644_section_3_4_2_2_examples_parse_and_print() {
        for text in [
            r#"userName eq "bjensen""#,
            r#"name.familyName co "O'Malley""#,
            r#"userName sw "J""#,
            r#"urn:ietf:params:scim:schemas:core:2.0:User:userName sw "J""#,
            "title pr",
            r#"meta.lastModified gt "2011-05-13T04:42:34Z""#,
            r#"title pr and userType eq "Employee""#,
            r#"title pr or userType eq "Intern""#,
            r#"schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User""#,
            r#"userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")"#,
            r#"userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")"#,
            r#"userType eq "Employee" and (emails.type eq "work")"#,
            r#"userType eq "Employee" and emails[type eq "work" and value co "@example.com"]"#,
            r#"emails[type eq "work" and value co "@example.com"] or ims[type eq "xmpp" and value co "@foo.com"]"#,
        ] {
            let filter = tree(text);
            assert_eq!(tree(&filter.to_string()), filter, "{text}");
        }
    }

    #[test]
    fn precedence_is_not_then_and_then_or() {
        let a = || Filter::Present(AttributePath::of("a"));
        let check = |text: &str, expected: Filter| assert_eq!(tree(text), expected, "{text}");
        check(
            "a pr or a pr and a pr",
            Filter::Or(vec![a(), Filter::And(vec![a(), a()])]),
        );
        check(
            "(a pr or a pr) and a pr",
            Filter::And(vec![Filter::Or(vec![a(), a()]), a()]),
        );
        check(
            "not (a pr) and a pr",
            Filter::And(vec![Filter::Not(Box::new(a())), a()]),
        );
        check(
            "NOT(a PR) AND a Pr Or a pR",
            Filter::Or(vec![
                Filter::And(vec![Filter::Not(Box::new(a())), a()]),
                a(),
            ]),
        );
        check("((a pr))", a());
    }

    #[test]
    fn literals() {
        let check = |text: &str, expected: Value| {
            assert_eq!(
                tree(&format!("x eq {text}")),
                compare("x", CompareOp::Eq, expected),
                "{text}"
            );
        };
        check("TRUE", json!(true));
        check("False", json!(false));
        check("Null", json!(null));
        check("-1", json!(-1));
        check("1.5", json!(1.5));
        check("2E+3", json!(2000.0));
        check("18446744073709551615", json!(u64::MAX));
        check(
            r#""a\"b\\c\/\u00e9\uD83D\uDE00]""#,
            json!("a\"b\\c/\u{e9}\u{1F600}]"),
        );
        check(r#""\\""#, json!("\\"));
        check(r#""""#, json!(""));
    }

    #[test]
    fn a_comparison_after_brackets_is_about_the_same_element() {
        assert_eq!(
            tree(r#"emails[type eq "work"].value eq "x""#),
            tree(r#"emails[type eq "work" and value eq "x"]"#)
        );
        assert_eq!(
            tree(r#"emails[type eq "a" or type eq "b"].value pr"#),
            tree(r#"emails[(type eq "a" or type eq "b") and value pr]"#)
        );
    }

    #[test]
    fn errors_give_position_and_what_was_expected() {
        let check = |text: &str, start: usize, mentions: &str| {
            let error = parse(text, FilterLimits::default()).unwrap_err();
            assert_eq!(
                (error.kind(), error.span().unwrap().start),
                (ErrorKind::InvalidFilter, start),
                "{text}: {error}"
            );
            assert!(error.detail().contains(mentions), "{text}: {error}");
        };
        check("", 0, "an attribute");
        check("userName", 8, "an operator");
        check("userName is \"x\"", 9, "found `is`");
        check("userName eq", 11, "a value");
        check("userName eq bjensen", 12, "double quotes");
        check("userName eq \"x", 12, "no closing");
        check("userName eq \"\\ud800\"", 12, "JSON string");
        check("userName eq 'x'", 12, "double quotes");
        check("userName eq 1.", 12, "a value");
        check("userName eq 1e999", 12, "a value");
        check("userName eq \"x\" userType pr", 16, "`and`");
        check("(userName pr", 12, "`)`");
        check("userName pr)", 11, "end of the filter");
        check("not userName pr", 4, "`(`");
        check("emails[type eq \"work\"", 21, "`]`");
        check("emails[emails.type eq \"work\"]", 7, "plain name");
        check("emails[a[b pr]]", 8, "brackets");
        check("emails.type[value pr]", 0, "sub-attribute");
        check("a pr and", 8, "an attribute");
        check("a pr or or b pr", 11, "an operator");
        check("a pr and 1x pr", 9, "position 9");
    }

    #[test]
    fn limits_hold_and_no_depth_exhausts_the_stack() {
        let limits = FilterLimits::default();
        assert!(parse(&format!("{}a pr{}", "(".repeat(64), ")".repeat(64)), limits).is_ok());
        for open in ["(", "not (", "a["] {
            let deep = open.repeat(3_000);
            assert_eq!(
                parse(&deep, limits).unwrap_err().kind(),
                ErrorKind::InvalidFilter
            );
        }
        let unlimited = FilterLimits {
            length_max: usize::MAX,
            depth_max: usize::MAX,
            terms_max: usize::MAX,
        };
        assert!(
            parse(&"(".repeat(1_000_000), unlimited)
                .unwrap_err()
                .detail()
                .contains("nested deeper")
        );
        assert!(
            parse(&" ".repeat(limits.length_max + 1), limits)
                .unwrap_err()
                .detail()
                .contains("at most 16384")
        );
        let terms = |count: usize| vec!["a[b pr]"; count].join(" and ");
        assert!(parse(&terms(limits.terms_max), limits).is_ok());
        let refusal = parse(&terms(limits.terms_max + 1), limits).unwrap_err();
        assert_eq!(refusal.kind(), ErrorKind::InvalidFilter);
        assert!(
            refusal.detail().contains("more than 250 comparisons"),
            "{refusal}"
        );
    }

    #[test]
    fn value_paths_are_taken_apart() {
        let check = |text: &str, attribute: &str, filter: Option<&str>, sub: Option<&str>| {
            let parts = parse_value_path(text, FilterLimits::default()).unwrap();
            assert_eq!(parts.attribute, AttributePath::parse(attribute).unwrap());
            assert_eq!(parts.filter, filter.map(tree));
            assert_eq!(parts.sub_attribute.as_deref(), sub);
        };
        check("members", "members", None, None);
        check("name.familyName", "name.familyName", None, None);
        check(
            r#"addresses[type eq "work"]"#,
            "addresses",
            Some(r#"type eq "work""#),
            None,
        );
        check(
            r#"members[value eq "a]b"].displayName"#,
            "members",
            Some(r#"value eq "a]b""#),
            Some("displayName"),
        );
        let refused = |text: &str, kind: ErrorKind| {
            assert_eq!(
                parse_value_path(text, FilterLimits::default())
                    .unwrap_err()
                    .kind(),
                kind,
                "{text}"
            );
        };
        refused("", ErrorKind::InvalidPath);
        refused("a b", ErrorKind::InvalidPath);
        refused("a[b pr]x", ErrorKind::InvalidPath);
        refused("a[b pr].", ErrorKind::InvalidPath);
        refused("a[b pr].c.d", ErrorKind::InvalidPath);
        refused("a[b]", ErrorKind::InvalidFilter);
    }

    fn any_path() -> impl Strategy<Value = AttributePath> {
        "(urn:a:2\\.0:User:)?[a-z][A-Za-z0-9_-]{0,6}(\\.\\$?[a-z]{1,5})?"
            .prop_map(|text| AttributePath::parse(&text).unwrap())
    }

    fn any_comparison(path: impl Strategy<Value = AttributePath>) -> impl Strategy<Value = Filter> {
        let value = prop_oneof![
            any::<String>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_filter_map("finite", |n| Number::from_f64(n).map(Value::Number)),
            any::<bool>().prop_map(Value::from),
            Just(Value::Null),
        ];
        (
            path,
            proptest::sample::select(&CompareOp::ALL[..]),
            value,
            0..8u8,
        )
            .prop_map(|(path, op, value, kind)| {
                if kind == 0 {
                    Filter::Present(path)
                } else {
                    Filter::Compare { path, op, value }
                }
            })
    }

    fn any_tree<S: Strategy<Value = Filter> + 'static>(leaf: S) -> impl Strategy<Value = Filter> {
        leaf.prop_recursive(5, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 2..4).prop_map(Filter::And),
                proptest::collection::vec(inner.clone(), 2..4).prop_map(Filter::Or),
                inner.prop_map(|inner| Filter::Not(Box::new(inner))),
            ]
        })
    }

    fn any_filter() -> impl Strategy<Value = Filter> {
        let plain = || "[a-mo-z][A-Za-z0-9]{0,5}".prop_map(AttributePath::of);
        let inner = any_tree(any_comparison(plain()));
        let value_path = (plain(), inner).prop_map(|(path, filter)| Filter::ValuePath {
            path,
            filter: Box::new(filter),
        });
        let any_path = any_path().prop_filter("`not` is a keyword", |path| {
            !path.to_string().eq_ignore_ascii_case("not")
        });
        any_tree(prop_oneof![3 => any_comparison(any_path), 1 => value_path])
    }

    proptest! {
        #[test]
        fn what_is_printed_parses_to_the_same_tree(filter in any_filter()) {
            let text = filter.to_string();
            let limits = FilterLimits { length_max: usize::MAX, depth_max: 128, terms_max: usize::MAX };
            prop_assert_eq!(parse(&text, limits), Ok(filter), "{}", text);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-c .()\\[\\]\"\\\\enotqpr1\u{e9}-]{0,40}") {
            if let Err(error) = parse(&text, FilterLimits::default()) {
                let span = error.span().unwrap();
                prop_assert!(span.start <= span.end);
                prop_assert!(text.is_char_boundary(span.start));
            }
        }
    }
}
