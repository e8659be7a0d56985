//! How many claims may be at work at once: each application and each receiver has a lane of its own, so one that hangs never takes the room of another. Claims
//! nothing.

use std::collections::HashMap;

use crate::application::ApplicationId;

/// Limits of the claims at work on one node.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Most applications at work at once. Those that did not answer last time use at most half of them.
    pub applications_max: usize,
    /// Most claims of one application at work at once, on all nodes together.
    pub per_application: usize,
    /// Most claims at work at once beyond the first of each application.
    pub shared_max: usize,
}

/// An application that has something to do.
#[derive(Clone, Copy, Debug)]
pub struct Lane {
    /// The application.
    pub application: ApplicationId,
    /// How many of its entries are leased, on all nodes together.
    pub leased: usize,
    /// How many requests to it stayed without an answer since it last answered.
    pub unanswered: u32,
}

/// The claims of one application at work on this node.
#[derive(Clone, Copy, Debug, Default)]
struct AtWork {
    claims: usize,
    is_probe: bool,
}

/// Which claims are at work on one node, and how many more there may be.
#[derive(Clone, Debug)]
pub struct Room {
    limits: Limits,
    at_work: HashMap<ApplicationId, AtWork>,
    /// Applications that share what is free.
    sharing: usize,
}

impl Room {
    /// Nothing is at work.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            at_work: HashMap::new(),
            sharing: 1,
        }
    }

    /// Says which applications have something to do, as they share what is free with those at work.
    pub fn share_among(&mut self, waiting: impl Iterator<Item = ApplicationId>) {
        let newcomers = waiting
            .filter(|application| !self.at_work.contains_key(application))
            .count();
        self.sharing = (self.at_work.len() + newcomers).max(1);
    }

    /// How many entries of an application may be claimed now. One that answers always gets its first; the others come out of what all share, in equal parts.
    /// One that did not answer is asked by one claim at a time.
    pub fn free_for(&self, lane: &Lane) -> usize {
        let here = self
            .at_work
            .get(&lane.application)
            .map_or(0, |at_work| at_work.claims);
        let most = if lane.unanswered > 0 {
            1
        } else {
            self.limits.per_application.max(1)
        };
        let wanted = most.saturating_sub(lane.leased.max(here));
        if here == 0 && !self.has_lane(lane.unanswered > 0) {
            return 0;
        }
        let shared: usize = self
            .at_work
            .values()
            .map(|at_work| at_work.claims.saturating_sub(1))
            .sum();
        let fair = self
            .limits
            .shared_max
            .div_ceil(self.sharing)
            .saturating_sub(here.saturating_sub(1));
        let extra = self.limits.shared_max.saturating_sub(shared).min(fair);
        wanted.min(usize::from(here == 0) + extra)
    }

    fn has_lane(&self, is_probe: bool) -> bool {
        let probes = self
            .at_work
            .values()
            .filter(|at_work| at_work.is_probe)
            .count();
        self.at_work.len() < self.limits.applications_max
            && !(is_probe && probes >= self.limits.applications_max.div_ceil(2))
    }

    /// A claim begins.
    pub fn begin(&mut self, application: ApplicationId, unanswered: u32) {
        let at_work = self.at_work.entry(application).or_default();
        at_work.claims += 1;
        at_work.is_probe = unanswered > 0;
    }

    /// A claim has ended.
    pub fn end(&mut self, application: ApplicationId) {
        if let Some(at_work) = self.at_work.get_mut(&application) {
            at_work.claims = at_work.claims.saturating_sub(1);
            if at_work.claims == 0 {
                self.at_work.remove(&application);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        applications_max: 100,
        per_application: 4,
        shared_max: 32,
    };

    fn lane(application: i64, unanswered: u32) -> Lane {
        Lane {
            application: ApplicationId(application),
            leased: 0,
            unanswered,
        }
    }

    /// Claims as much as there is for so many applications that have endless work; says how many claims each got.
    fn fill(room: &mut Room, lanes: &[Lane]) -> Vec<usize> {
        room.share_among(lanes.iter().map(|lane| lane.application));
        let claim = |lane: &Lane| {
            let free = room.free_for(lane);
            for _ in 0..free {
                room.begin(lane.application, lane.unanswered);
            }
            free
        };
        lanes.iter().map(claim).collect()
    }

    #[test]
    fn applications_that_hang_never_take_the_lane_of_another() {
        for hanging in [1_i64, 8, 40, 99] {
            let mut room = Room::new(LIMITS);
            let lanes: Vec<Lane> = (0..hanging)
                .map(|application| lane(application, 0))
                .collect();
            for _ in 0..10 {
                fill(&mut room, &lanes);
            }
            assert!(room.free_for(&lane(1_000, 0)) >= 1, "{hanging} hang");
        }
    }

    #[test]
    fn what_is_shared_is_shared_in_equal_parts() {
        let check = |applications: i64, expected: &[usize]| {
            let lanes: Vec<Lane> = (0..applications)
                .map(|application| lane(application, 0))
                .collect();
            let mut got = fill(&mut Room::new(LIMITS), &lanes);
            got.dedup();
            assert_eq!(got, expected, "{applications} applications");
        };
        check(1, &[4]);
        check(10, &[4]);
        check(16, &[3]);
        check(32, &[2]);
        // The last of the shared ones are used up by those who waited longest.
        check(99, &[2, 1]);
    }

    #[test]
    fn one_that_did_not_answer_is_asked_by_one_claim_at_a_time() {
        let mut room = Room::new(LIMITS);
        assert_eq!(room.free_for(&lane(1, 1)), 1);
        room.begin(ApplicationId(1), 1);
        assert_eq!(room.free_for(&lane(1, 1)), 0);
        assert_eq!(
            room.free_for(&Lane {
                leased: 1,
                ..lane(2, 1)
            }),
            0,
            "another node asks it"
        );
        room.end(ApplicationId(1));
        assert_eq!(room.free_for(&lane(1, 0)), 4, "it answers again");
    }

    #[test]
    fn those_that_do_not_answer_leave_half_of_the_lanes() {
        let mut room = Room::new(LIMITS);
        let silent: Vec<Lane> = (0..200).map(|application| lane(application, 3)).collect();
        assert_eq!(fill(&mut room, &silent).iter().sum::<usize>(), 50);
        let healthy: Vec<Lane> = (200..400).map(|application| lane(application, 0)).collect();
        assert_eq!(
            fill(&mut room, &healthy)
                .iter()
                .filter(|claims| **claims > 0)
                .count(),
            50
        );
    }
}
