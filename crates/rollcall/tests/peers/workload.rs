//! Days at work in a company of five hundred: seeded joiners, movers, renames, groups and leavers, sent to `rollcall serve` as SCIM requests.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};

use crate::process::Rollcall;

const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";
const PATCH: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
const DEPARTMENTS: [&str; 5] = ["Research", "Sales", "Support", "Légal", "People & Places"];

/// Who is in the company now, by id.
pub struct Workload {
    random: u64,
    born: usize,
    pub users: Vec<String>,
    pub groups: Vec<String>,
    /// Names that were used and given up: whoever bears one afterwards is a twin.
    pub left: BTreeSet<String>,
}

impl Workload {
    pub fn new(seed: u64) -> Self {
        Self {
            random: seed | 1,
            born: 0,
            users: Vec::new(),
            groups: Vec::new(),
            left: BTreeSet::new(),
        }
    }

    fn draw(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from((self.random >> 11) % below.max(1) as u64).unwrap()
    }

    fn pick(&mut self, from: &[String]) -> String {
        let at = self.draw(from.len());
        from[at].clone()
    }

    /// The people and the groups of the first day.
    pub async fn found(&mut self, rollcall: &Rollcall, users: usize, groups: usize) {
        for _ in 0..users {
            self.join(rollcall).await;
        }
        for number in 0..groups {
            let count = 1 + self.draw(40);
            let people = self.users.clone();
            let members: BTreeSet<String> = (0..count).map(|_| self.pick(&people)).collect();
            let members: Vec<Value> = members.into_iter().map(|id| json!({"value": id})).collect();
            let body = json!({"schemas": [GROUP], "displayName": format!("Team {number}"), "members": members});
            let group = rollcall.call(Method::POST, "/Groups", Some(&body)).await;
            self.groups.push(group["id"].as_str().unwrap().to_owned());
        }
    }

    async fn join(&mut self, rollcall: &Rollcall) {
        let number = self.born;
        self.born += 1;
        let department = DEPARTMENTS[self.draw(DEPARTMENTS.len())];
        let body = json!({
            "schemas": [USER, ENTERPRISE],
            "userName": format!("person{number}@example.com"),
            "externalId": format!("hr-{number}"),
            "displayName": format!("Person {number} Ødegård"),
            "name": {"givenName": format!("Person{number}"), "familyName": "Ødegård"},
            "title": "Engineer",
            "active": true,
            "emails": [{"value": format!("person{number}@example.com"), "type": "work", "primary": true}],
            "phoneNumbers": [{"value": format!("+44 20 {number:06}"), "type": "work"}],
            ENTERPRISE: {"employeeNumber": number.to_string(), "department": department},
        });
        let user = rollcall.call(Method::POST, "/Users", Some(&body)).await;
        self.users.push(user["id"].as_str().unwrap().to_owned());
    }

    /// So many things that happen, one after the other.
    pub async fn live(&mut self, rollcall: &Rollcall, events: usize) {
        for _ in 0..events {
            match self.draw(100) {
                0..=9 => self.rename_user(rollcall).await,
                10..=39 => self.edit_user(rollcall).await,
                40..=49 => self.set_active(rollcall).await,
                50..=55 => self.leave(rollcall).await,
                56..=59 => self.join(rollcall).await,
                60..=64 => self.rename_group(rollcall).await,
                65..=96 => self.edit_members(rollcall).await,
                _ => self.dissolve(rollcall).await,
            }
        }
    }

    async fn patch(rollcall: &Rollcall, path: &str, operations: Value) {
        rollcall
            .call(
                Method::PATCH,
                path,
                Some(&json!({"schemas": [PATCH], "Operations": operations})),
            )
            .await;
    }

    async fn rename_user(&mut self, rollcall: &Rollcall) {
        let id = self.pick(&self.users.clone());
        let before = rollcall
            .call(Method::GET, &format!("/Users/{id}"), None)
            .await;
        self.left
            .insert(before["userName"].as_str().unwrap().to_owned());
        let name = format!("renamed{}@example.com", self.born * 1000 + self.left.len());
        let operations = json!([{"op": "replace", "path": "userName", "value": name}, {"op": "replace", "path": "emails[type eq \"work\"].value", "value": name}]);
        Self::patch(rollcall, &format!("/Users/{id}"), operations).await;
    }

    async fn edit_user(&mut self, rollcall: &Rollcall) {
        let id = self.pick(&self.users.clone());
        let number = self.draw(1000);
        let operations = match self.draw(5) {
            0 => json!([{"op": "replace", "path": "title", "value": format!("Title {number}")}]),
            1 => json!([{"op": "remove", "path": "title"}]),
            2 => {
                json!([{"op": "replace", "path": format!("{ENTERPRISE}:department"), "value": DEPARTMENTS[number % DEPARTMENTS.len()]}])
            }
            3 => {
                json!([{"op": "replace", "path": "name", "value": {"givenName": format!("Given{number}"), "familyName": "O'Hara \"Quoted\""}}])
            }
            _ => {
                json!([{"op": "replace", "path": "phoneNumbers", "value": [{"value": format!("+1 {number}"), "type": "mobile"}]}])
            }
        };
        Self::patch(rollcall, &format!("/Users/{id}"), operations).await;
    }

    async fn set_active(&mut self, rollcall: &Rollcall) {
        let id = self.pick(&self.users.clone());
        let active = self.draw(2) == 0;
        Self::patch(
            rollcall,
            &format!("/Users/{id}"),
            json!([{"op": "replace", "path": "active", "value": active}]),
        )
        .await;
    }

    async fn leave(&mut self, rollcall: &Rollcall) {
        let at = self.draw(self.users.len());
        let id = self.users.swap_remove(at);
        let before = rollcall
            .call(Method::GET, &format!("/Users/{id}"), None)
            .await;
        self.left
            .insert(before["userName"].as_str().unwrap().to_owned());
        rollcall
            .call(Method::DELETE, &format!("/Users/{id}"), None)
            .await;
    }

    async fn rename_group(&mut self, rollcall: &Rollcall) {
        let id = self.pick(&self.groups.clone());
        let name = format!("Team renamed {}", self.draw(1_000_000_000));
        Self::patch(
            rollcall,
            &format!("/Groups/{id}"),
            json!([{"op": "replace", "path": "displayName", "value": name}]),
        )
        .await;
    }

    async fn edit_members(&mut self, rollcall: &Rollcall) {
        let group = self.pick(&self.groups.clone());
        let user = self.pick(&self.users.clone());
        let operations = if self.draw(2) == 0 {
            json!([{"op": "add", "path": "members", "value": [{"value": user}]}])
        } else {
            let document = rollcall
                .call(Method::GET, &format!("/Groups/{group}"), None)
                .await;
            let member = document["members"]
                .as_array()
                .and_then(|members| members.first())
                .map(|member| member["value"].clone());
            let Some(Value::String(member)) = member else {
                return;
            };
            json!([{"op": "remove", "path": format!("members[value eq \"{member}\"]")}])
        };
        Self::patch(rollcall, &format!("/Groups/{group}"), operations).await;
    }

    async fn dissolve(&mut self, rollcall: &Rollcall) {
        if self.groups.len() > 30 {
            let at = self.draw(self.groups.len());
            let id = self.groups.swap_remove(at);
            rollcall
                .call(Method::DELETE, &format!("/Groups/{id}"), None)
                .await;
        }
    }
}
