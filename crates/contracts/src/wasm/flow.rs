//! Where the charges of a function go.
//!
//! A function is cut into **segments**: runs of instructions that are all executed once the first of them is, unless one
//! traps or a called function doesn't come back. A segment is paid for at its beginning. It ends where control can leave
//! (a branch, a condition) and where control can come in (a loop's header, the end of a block that a branch targets). A
//! call doesn't end it: whatever comes after is paid for before. Code that can't be reached belongs to none.

use super::instruction::Flow;

/// A run of instructions that is paid for at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// Where its charge goes in the function's new code.
    pub(super) at: usize,
    /// What its instructions cost together.
    pub(super) cost: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Block,
    Loop,
    /// A condition of which no `else` was seen.
    If,
    Else,
}

#[derive(Clone, Copy, Debug)]
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
}

/// Follows a function's instructions and cuts them into segments.
pub(super) struct Flows {
    segments: Vec<Segment>,
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
            segments: vec![Segment { at: 0, cost: 0 }],
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
                self.open(Kind::Loop);
                self.begin(self.reachable, at);
            }
            Flow::If => {
                self.open(Kind::If);
                self.begin(self.reachable, at);
            }
            Flow::Else => {
                if let Some(frame) = self.frames.last_mut() {
                    frame.kind = Kind::Else;
                    frame.first_arm_ends = self.reachable;
                    let entered = frame.entered;
                    self.begin(entered, at);
                }
            }
            Flow::End => {
                if let Some(frame) = self.frames.pop() {
                    self.close(frame, at);
                }
            }
            Flow::BranchIf(_) => self.begin(self.reachable, at),
            Flow::Branch(_) | Flow::BranchTable | Flow::Return | Flow::Unreachable => self.reachable = false,
        }
    }

    fn open(&mut self, kind: Kind) {
        self.loops += u64::from(kind == Kind::Loop);
        let Shape { parameters, results } = std::mem::take(&mut self.shape);
        let carried = if kind == Kind::Loop { parameters } else { results };
        self.frames.push(Frame { kind, entered: self.reachable, targeted: false, first_arm_ends: false, carried });
    }

    fn close(&mut self, frame: Frame, at: usize) {
        self.loops = self.loops.saturating_sub(u64::from(frame.kind == Kind::Loop));
        match frame.kind {
            // Nothing comes in at a loop's end.
            Kind::Loop => {}
            Kind::Block if !frame.targeted => {}
            Kind::Block => self.begin(true, at),
            // Without an `else` the end is reached when the condition doesn't hold.
            Kind::If => self.begin(frame.entered, at),
            Kind::Else => self.begin(self.reachable || frame.first_arm_ends || frame.targeted, at),
        }
    }

    fn begin(&mut self, reachable: bool, at: usize) {
        self.reachable = reachable;
        if reachable {
            self.looked_at = self.looked_at.saturating_add(1 + self.loops);
            self.segments.push(Segment { at, cost: 0 });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(flows: &[(u32, Flow)]) -> Vec<(usize, u64)> {
        let mut all = Flows::new(0);
        for (at, &(cost, flow)) in (1..).zip(flows) {
            all.charge(cost);
            if let Flow::Branch(depth) | Flow::BranchIf(depth) = flow {
                all.target(depth);
            }
            all.pass(flow, at);
        }
        // Those without cost aren't charged.
        all.segments().iter().filter(|segment| segment.cost > 0).map(|segment| (segment.at, segment.cost)).collect()
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
