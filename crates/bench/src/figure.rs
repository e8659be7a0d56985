//! A figure beside the bound that it has to keep.

use serde_json::{Value, json};

/// A figure and the bound that it has to keep.
pub struct Figure {
    /// How many users the server has.
    pub users: usize,
    pub name: String,
    pub value: f64,
    pub bound: f64,
    pub at_least: bool,
    pub unit: &'static str,
}

impl Figure {
    pub fn at_most(users: usize, name: &str, value: f64, bound: f64, unit: &'static str) -> Self {
        Self {
            users,
            name: name.to_owned(),
            value,
            bound,
            at_least: false,
            unit,
        }
    }

    /// How many times as much something is.
    pub fn at_least(users: usize, name: &str, value: f64, bound: f64) -> Self {
        Self {
            users,
            name: name.to_owned(),
            value,
            bound,
            at_least: true,
            unit: "times",
        }
    }

    pub fn holds(&self) -> bool {
        if self.at_least {
            self.value >= self.bound
        } else {
            self.value <= self.bound
        }
    }

    pub fn line(&self) -> String {
        let word = if self.at_least { "at least" } else { "at most" };
        format!(
            "{} users: {}: {:.2} {}, {word} {} wanted",
            self.users, self.name, self.value, self.unit, self.bound
        )
    }

    pub fn row(&self) -> String {
        let word = if self.at_least { "at least" } else { "at most" };
        let kept = if self.holds() { "kept" } else { "MISSED" };
        format!(
            "| {} | {} | {:.2} {} | {word} {} | {kept} |\n",
            self.users, self.name, self.value, self.unit, self.bound
        )
    }

    pub fn json(&self) -> Value {
        json!({
            "users": self.users, "name": self.name, "value": self.value, "unit": self.unit, "bound": self.bound,
            "direction": if self.at_least { "at least" } else { "at most" }, "kept": self.holds(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_upper_or_lower() {
        let figure = |value: f64, at_least: bool| Figure {
            users: 1,
            name: "f".into(),
            value,
            bound: 2.0,
            at_least,
            unit: "ms",
        };
        assert!(
            figure(2.0, false).holds() && figure(1.0, false).holds() && !figure(2.1, false).holds()
        );
        assert!(figure(2.0, true).holds() && !figure(1.9, true).holds());
        assert!(
            figure(3.0, false).row().contains("MISSED") && figure(3.0, true).row().contains("kept")
        );
    }
}
