//! Where the charges of a function go.
//!
//! A function is cut into **segments**: runs of instructions that are all executed once the first of them is, unless one
//! traps or a called function doesn't come back. A segment is paid for at its beginning. It ends where control can leave
//! (a branch, a condition) and where control can come in (a loop's header, the end of a block that a branch targets). A
//! call doesn't end it: whatever comes after is paid for before. Code that can't be reached belongs to none.
//!
//! The charge of a **light** segment is only noted in the function, and is looked at with that of the segment behind it. In
//! a loop whose condition stands at its head that halves what counting takes. Nobody can tell: a light segment neither
//! traps, calls, returns nor writes to memory, so there is nothing in it that could be seen or that a lack of fuel should
//! have prevented; whatever comes after it is charged for in full and looks at both; and it costs at most [`MAX_LIGHT`], so
//! that no more than that is done before its lack is seen.

use super::instruction::Flow;

/// What a light segment costs at most.
const MAX_LIGHT: u64 = 64;
/// How many segments are looked at to see what comes after one.
const MOST_LOOKS: usize = 8;

/// A run of instructions that is paid for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Where its charge goes in the function's new code.
    pub(super) at: usize,
    /// What its instructions cost together.
    pub(super) cost: u64,
    /// Whether its charge is looked at with the next one.
    pub(super) light: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Block,
    Loop,
    /// A condition of which no `else` was seen.
    If,
    Else,
}

#[derive(Clone, Debug)]
struct Frame {
    kind: Kind,
    /// Whether its beginning can be reached.
    entered: bool,
    /// Whether a branch that can be reached goes to its label.
    targeted: bool,
    /// For [`Kind::Else`]: whether the end of the first arm can be reached.
    first_arm_ends: bool,
    /// How many values a branch to its label takes along.
    carried: u32,
    /// The segments from where control goes to its end; for [`Kind::Loop`] the one at its header.
    segments: Vec<usize>,
    /// For [`Kind::If`] and [`Kind::Else`]: the segment of the condition.
    condition: usize,
}

/// To which segments control goes from one: where a condition holds, and where it doesn't.
#[derive(Clone, Copy, Debug, Default)]
struct Ways([Option<usize>; 2]);

/// Follows a function's instructions and cuts them into segments.
pub(super) struct Flows {
    segments: Vec<Segment>,
    /// For each segment, whether it may be light by what is in it.
    harmless: Vec<bool>,
    /// For each segment, to which others control goes from it, if it is harmless.
    ways: Vec<Ways>,
    /// Whether the next instruction can be reached; then it belongs to the last segment.
    reachable: bool,
    /// The function's own label first.
    frames: Vec<Frame>,
    shape: Shape,
    /// How many loops are around the next instruction.
    loops: u64,
    /// For each segment one, and one for each loop around it.
    looked_at: u64,
}

/// How many values a block takes and gives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) parameters: u32,
    pub(super) results: u32,
}

impl Flows {
    /// At the beginning of a function with so many results. Its first segment is there even if nothing in it costs anything.
    pub(super) fn new(results: u32) -> Self {
        let mut flows = Flows {
            segments: vec![Segment { at: 0, cost: 0, light: false }],
            // Here the counter is fetched and the stack is looked at.
            harmless: vec![false],
            ways: vec![Ways::default()],
            reachable: true,
            frames: Vec::new(),
            shape: Shape { parameters: 0, results },
            loops: 0,
            looked_at: 1,
        };
        flows.open(Kind::Block);
        flows
    }

    /// Says what the block that begins next takes and gives.
    pub(super) fn shape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// How many values a branch to the label at `depth` takes along; none if there is no such label.
    pub(super) fn carried(&self, depth: u32) -> u32 {
        self.index(depth).and_then(|index| self.frames.get(index)).map_or(0, |frame| frame.carried)
    }

    /// How many values the function gives.
    pub(super) fn results(&self) -> u32 {
        self.frames.first().map_or(0, |frame| frame.carried)
    }

    fn index(&self, depth: u32) -> Option<usize> {
        self.frames.len().checked_sub(usize::try_from(depth).ok()?)?.checked_sub(1)
    }

    /// Whether the next instruction can be reached.
    pub(super) fn reachable(&self) -> bool {
        self.reachable
    }

    /// How many labels are around the next instruction, the function's own included.
    pub(super) fn depth(&self) -> usize {
        self.frames.len()
    }

    /// All segments, in order.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// How often a compiler may have to look at each value: once in each segment, and once more for each loop around it.
    pub(super) fn looked_at(&self) -> u64 {
        self.looked_at
    }

    /// Adds the cost of the next instruction to the segment it is in.
    pub(super) fn charge(&mut self, cost: u32) {
        if let (true, Some(segment)) = (self.reachable, self.segments.last_mut()) {
            segment.cost = segment.cost.saturating_add(cost.into());
        }
    }

    /// Notes that the next instruction may end the run or the function, or change what can be seen from outside.
    pub(super) fn harm(&mut self) {
        if let (true, Some(harmless)) = (self.reachable, self.harmless.last_mut()) {
            *harmless = false;
        }
    }

    /// The segment that the next instruction is in, if it can be reached.
    fn here(&self) -> Option<usize> {
        self.segments.len().checked_sub(1).filter(|_| self.reachable)
    }

    /// Notes that control goes from here to the label at `depth`.
    fn way_to(&mut self, depth: u32) {
        let (Some(here), Some(index)) = (self.here(), self.index(depth)) else { return };
        let Some(frame) = self.frames.get_mut(index) else { return };
        match frame.kind {
            Kind::Loop => {
                let header = frame.segments.first().copied();
                self.add_way(here, header);
            }
            // Out of the function.
            _ if index == 0 => self.harm(),
            _ => frame.segments.push(here),
        }
    }

    /// Notes that control goes from one segment to another.
    fn add_way(&mut self, from: usize, to: Option<usize>) {
        let Some(ways) = self.ways.get_mut(from) else { return };
        match ways.0.iter_mut().find(|way| way.is_none()) {
            Some(free) => *free = to,
            // Only a table of branches has more, and that isn't harmless.
            None => self.harmless.get_mut(from).into_iter().for_each(|harmless| *harmless = false),
        }
    }

    /// Says which segments are light, once the whole function was followed: as many as can be, from its beginning on. None is
    /// right before or behind another, so there is no way round a loop without a full charge.
    pub(super) fn settle(&mut self) {
        // Segments that are reached from a light one.
        let mut behind = vec![false; self.segments.len()];
        let mut next = Vec::new();
        for segment in 0..self.segments.len() {
            let candidate = self.harmless.get(segment) == Some(&true) && behind.get(segment) == Some(&false);
            let cost = self.segments.get(segment).map_or(0, |segment| segment.cost);
            if !candidate || cost == 0 || cost > MAX_LIGHT {
                continue;
            }
            next.clear();
            if !self.next_charges(segment, &mut next, &mut 0) || next.contains(&segment) {
                continue;
            }
            if let Some(segment) = self.segments.get_mut(segment) {
                segment.light = true;
            }
            for place in &next {
                if let Some(behind) = behind.get_mut(*place) {
                    *behind = true;
                }
            }
        }
    }

    /// Whether whatever control comes to from a segment begins with a full charge, those without any cost passed over; and
    /// which ones they are.
    fn next_charges(&self, segment: usize, next: &mut Vec<usize>, looks: &mut usize) -> bool {
        let ways = self.ways.get(segment).copied().unwrap_or_default();
        let mut any = false;
        for to in ways.0.into_iter().flatten() {
            *looks += 1;
            let Some(found) = self.segments.get(to) else { return false };
            let charges = if found.cost > 0 {
                next.push(to);
                !found.light
            } else {
                self.harmless.get(to) == Some(&true) && self.next_charges(to, next, looks)
            };
            if !charges || *looks > MOST_LOOKS {
                return false;
            }
            any = true;
        }
        any
    }

    /// Notes that a branch goes to the label at `depth`.
    pub(super) fn target(&mut self, depth: u32) {
        let index = self.index(depth);
        if let (true, Some(frame)) = (self.reachable, index.and_then(|index| self.frames.get_mut(index))) {
            frame.targeted = true;
        }
    }

    /// Goes past an instruction, behind which the new code is `at` bytes long.
    pub(super) fn pass(&mut self, flow: Flow, at: usize) {
        match flow {
            Flow::Next | Flow::Select | Flow::Call | Flow::Sized(_) => {}
            Flow::Block => self.open(Kind::Block),
            Flow::Loop => {
                let before = self.here();
                self.open(Kind::Loop);
                let header = self.begin(self.reachable, at, before);
                if let Some(frame) = self.frames.last_mut() {
                    frame.segments.extend(header);
                }
            }
            Flow::If => {
                let condition = self.here();
                self.open(Kind::If);
                if let (Some(frame), Some(condition)) = (self.frames.last_mut(), condition) {
                    frame.condition = condition;
                }
                self.begin(self.reachable, at, condition);
            }
            Flow::Else => {
                let here = self.here();
                if let Some(frame) = self.frames.last_mut() {
                    frame.kind = Kind::Else;
                    frame.first_arm_ends = self.reachable;
                    frame.segments.extend(here);
                    let (entered, condition) = (frame.entered, frame.condition);
                    self.begin(entered, at, [condition]);
                }
            }
            Flow::End => {
                if let Some(frame) = self.frames.pop() {
                    self.close(frame, at);
                }
            }
            Flow::BranchIf(depth) => {
                self.way_to(depth);
                self.begin(self.reachable, at, self.here());
            }
            Flow::Branch(depth) => {
                self.way_to(depth);
                self.reachable = false;
            }
            Flow::BranchTable | Flow::Return | Flow::Unreachable => self.reachable = false,
        }
    }

    fn open(&mut self, kind: Kind) {
        self.loops += u64::from(kind == Kind::Loop);
        let Shape { parameters, results } = std::mem::take(&mut self.shape);
        let carried = if kind == Kind::Loop { parameters } else { results };
        self.frames.push(Frame {
            kind,
            entered: self.reachable,
            targeted: false,
            first_arm_ends: false,
            carried,
            segments: Vec::new(),
            condition: 0,
        });
    }

    fn close(&mut self, frame: Frame, at: usize) {
        self.loops = self.loops.saturating_sub(u64::from(frame.kind == Kind::Loop));
        if self.frames.is_empty() {
            // The function ends, and what it has counted must be known outside.
            self.harm();
        }
        let mut from = frame.segments;
        from.extend(self.here());
        match frame.kind {
            // Nothing comes in at a loop's end.
            Kind::Loop => {}
            Kind::Block if !frame.targeted => {}
            Kind::Block => {
                self.begin(true, at, from);
            }
            // Without an `else` the end is reached when the condition doesn't hold.
            Kind::If => {
                from.push(frame.condition);
                self.begin(frame.entered, at, from);
            }
            Kind::Else => {
                self.begin(self.reachable || frame.first_arm_ends || frame.targeted, at, from);
            }
        }
    }

    /// Begins a segment, to which control comes from others, if it can be reached.
    fn begin(&mut self, reachable: bool, at: usize, from: impl IntoIterator<Item = usize>) -> Option<usize> {
        self.reachable = reachable;
        if !reachable {
            return None;
        }
        self.looked_at = self.looked_at.saturating_add(1 + self.loops);
        let segment = self.segments.len();
        self.segments.push(Segment { at, cost: 0, light: false });
        // Behind the function's last `end` it ends.
        self.harmless.push(!self.frames.is_empty());
        self.ways.push(Ways::default());
        for from in from {
            self.add_way(from, Some(segment));
        }
        Some(segment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(flows: &[(u32, Flow)]) -> Vec<(usize, u64)> {
        // Those without cost aren't charged.
        let all = followed(flows);
        all.segments().iter().filter(|segment| segment.cost > 0).map(|segment| (segment.at, segment.cost)).collect()
    }

    fn followed(flows: &[(u32, Flow)]) -> Flows {
        let mut all = Flows::new(0);
        for (at, &(cost, flow)) in (1..).zip(flows) {
            all.charge(cost);
            if let Flow::Branch(depth) | Flow::BranchIf(depth) = flow {
                all.target(depth);
            }
            if flow == Flow::Call || flow == Flow::Return || flow == Flow::Unreachable {
                all.harm();
            }
            all.pass(flow, at);
        }
        all.settle();
        all
    }

    /// The places of the light segments.
    fn light(flows: &[(u32, Flow)]) -> Vec<usize> {
        followed(flows).segments().iter().filter(|segment| segment.light).map(|segment| segment.at).collect()
    }

    #[test]
    fn a_loops_head_is_light_if_all_behind_it_is_charged_for() {
        use Flow::{Block, Branch, BranchIf, Call, End, Loop, Next};
        let with = |head: (u32, Flow), behind: u32| {
            light(&[
                (0, Block),
                (5, Loop),
                head,
                (2, BranchIf(1)),
                (4, Call),
                (5, Branch(0)),
                (0, End),
                (0, End),
                (behind, Next),
                (0, Call),
                (0, End),
            ])
        };
        assert_eq!(with((1, Next), 8), [2]);
        // One that calls isn't, nor one that costs much, nor one behind which the function may end without a charge.
        assert_eq!(with((1, Call), 8), [0usize; 0]);
        assert_eq!(with((100, Next), 8), [0usize; 0]);
        assert_eq!(with((1, Next), 0), [0usize; 0]);
    }

    #[test]
    fn no_loop_goes_round_without_a_full_charge() {
        use Flow::{BranchIf, Call, Else, End, If, Loop, Next};
        // Its own header is what comes next.
        assert_eq!(
            light(&[(1, Loop), (1, Next), (1, BranchIf(0)), (1, Next), (0, Call), (0, End), (0, End)]),
            [0usize; 0]
        );
        // Every second one at the most.
        let arms = [
            (1, Loop),
            (1, If),
            (1, Next),
            (1, Else),
            (1, Next),
            (0, End),
            (1, Next),
            (1, BranchIf(0)),
            (0, End),
            (1, Call),
            (0, End),
        ];
        assert_eq!(light(&arms), [1]);
    }

    #[test]
    fn what_costs_nothing_is_passed_over_to_see_what_comes_next() {
        use Flow::{Block, BranchIf, Call, End, Next};
        let nested = |last: u32| {
            light(&[
                (1, Block),
                (0, Block),
                (0, Block),
                (1, BranchIf(2)),
                (1, BranchIf(1)),
                (1, Call),
                (1, BranchIf(0)),
                (0, End),
                (0, End),
                (0, End),
                (last, Next),
                (0, Call),
                (0, End),
            ])
        };
        assert_eq!(nested(1), [4]);
        assert_eq!(nested(0), [0usize; 0]);
    }

    #[test]
    fn a_way_out_of_the_function_is_charged_for_in_full() {
        use Flow::{Block, BranchIf, Call, End, Next};
        let code = |depth| {
            [(1, Block), (1, BranchIf(0)), (1, Next), (1, BranchIf(depth)), (1, Call), (0, End), (1, Next), (0, End)]
        };
        assert_eq!(light(&code(0)), [2]);
        assert_eq!(light(&code(1)), [0usize; 0]);
    }

    #[test]
    fn a_block_that_nothing_targets_cuts_nothing() {
        use Flow::{Block, End, Next};
        assert_eq!(follow(&[(1, Next), (0, Block), (2, Next), (0, End), (4, Next), (0, End)]), [(0, 7)]);
    }

    #[test]
    fn what_follows_a_targeted_block_is_paid_for_there() {
        use Flow::{Block, BranchIf, End, Next};
        let code = [(0, Block), (1, Next), (2, BranchIf(0)), (4, Next), (0, End), (8, Next), (0, End)];
        assert_eq!(follow(&code), [(0, 3), (3, 4), (5, 8)]);
    }

    #[test]
    fn code_that_cannot_be_reached_costs_nothing() {
        use Flow::{Block, Branch, End, Next, Unreachable};
        let code = [(1, Branch(0)), (2, Next), (0, Block), (4, Next), (0, End), (8, Next), (0, End)];
        assert_eq!(follow(&code), [(0, 1)]);
        let inner = [(0, Block), (1, Unreachable), (2, Next), (0, End), (4, Next), (0, End)];
        assert_eq!(follow(&inner), [(0, 1)]);
        let targeted = [(0, Block), (1, Branch(0)), (2, Branch(1)), (0, End), (4, Next), (0, End)];
        assert_eq!(follow(&targeted), [(0, 1), (4, 4)]);
    }

    #[test]
    fn both_arms_and_the_end_of_a_condition_are_segments() {
        use Flow::{Else, End, If, Next, Return};
        let code = [(1, If), (2, Next), (0, Else), (4, Next), (0, End), (8, Next), (0, End)];
        assert_eq!(follow(&code), [(0, 1), (1, 2), (3, 4), (5, 8)]);
        let never = [(1, If), (2, Return), (0, Else), (4, Return), (0, End), (8, Next), (0, End)];
        assert_eq!(follow(&never), [(0, 1), (1, 2), (3, 4)]);
        let without = [(1, If), (2, Return), (0, End), (8, Next), (0, End)];
        assert_eq!(follow(&without), [(0, 1), (1, 2), (3, 8)]);
    }

    #[test]
    fn a_loop_is_paid_for_at_its_header() {
        use Flow::{BranchIf, End, Loop, Next};
        let code = [(1, Next), (0, Loop), (2, Next), (4, BranchIf(0)), (8, Next), (0, End), (16, Next), (0, End)];
        assert_eq!(follow(&code), [(0, 1), (2, 6), (4, 24)]);
    }
}
