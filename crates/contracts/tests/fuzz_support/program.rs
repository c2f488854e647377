//! Contracts that ask the host for one thing after the other, made of any bytes: which import, which pointers and lengths,
//! inside the memory, at its end, beyond it.

use super::{below, bytes, one_of};
use arbitrary::Unstructured;
use core::fmt::Write;

/// What a parameter is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// A pointer to bytes whose length comes next.
    Bytes,
    /// The length of what the parameter before points to.
    Length,
    /// The same, where -1 is no bytes at all.
    LengthOrEnd,
    /// A pointer to so many bytes.
    Fixed(i64),
    /// A pointer to bytes whose length comes after the next parameter, which is an offset into something else.
    Copied,
    /// That offset.
    Offset,
    /// Anything.
    Number,
    /// Anything, of 64 bits.
    Wide,
}

/// A function of the host's, as its documentation says.
#[derive(Debug)]
pub(crate) struct Import {
    pub(crate) name: &'static str,
    roles: &'static [Role],
    result: &'static str,
}

use Role::{Bytes, Copied, Fixed, Length, LengthOrEnd, Number, Offset, Wide};

const fn import(name: &'static str, roles: &'static [Role], result: &'static str) -> Import {
    Import { name, roles, result }
}

/// All of them.
pub(crate) const IMPORTS: &[Import] = &[
    import("arguments", &[Copied, Offset, Length], ""),
    import("arguments_len", &[], "i32"),
    import("result", &[Copied, Offset, Length], ""),
    import("result_len", &[], "i32"),
    import("get", &[Bytes, Length], "i64"),
    import("put", &[Bytes, Length, Bytes, Length], ""),
    import("delete", &[Bytes, Length], ""),
    import("scan", &[Bytes, Length, Bytes, LengthOrEnd, Number], "i32"),
    import("emit", &[Bytes, Length, Bytes, Length], ""),
    import("caller", &[Fixed(32)], ""),
    import("contract", &[Fixed(32)], ""),
    import("chain", &[Fixed(32)], ""),
    import("transaction", &[Fixed(32)], "i32"),
    import("height", &[], "i64"),
    import("timestamp", &[], "i64"),
    import("is_read_only", &[], "i32"),
    import("fuel_left", &[], "i64"),
    import("charge", &[Wide], ""),
    import("hash_blake3", &[Bytes, Length, Fixed(32)], ""),
    import("hash_sha256", &[Bytes, Length, Fixed(32)], ""),
    import("verify_ed25519", &[Fixed(32), Bytes, Length, Fixed(64)], "i32"),
    import("call", &[Fixed(32), Bytes, Length, Bytes, Length, Wide, Number], "i64"),
    import("return", &[Bytes, Length], ""),
    import("refuse", &[Number, Bytes, Length], ""),
];

/// Where the arguments are copied to; they begin with [`CONTRACTS`] ids.
const IDS: i32 = 1_024;
/// How many ids of contracts the arguments begin with: the program's own, and others.
pub(crate) const CONTRACTS: usize = 5;
/// Names of methods, [`NAME_BYTES`] apart.
const NAMES: i32 = 2_048;
const NAME_BYTES: i32 = 16;
const METHODS: [&str; 12] =
    ["m", "n", "put", "get", "relay", "ask", "describe", "upload", "spin", "refuse", "echo", "swallow"];
/// A key, a signature and a message of one byte that belong together: RFC 8032, section 7.1, test 2.
const SIGNED: i32 = 3_072;
const KEY: &str = "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c";
const SIGNATURE: &str = "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
                         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00";

/// A value that a step gives to an import.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operand {
    Known(i64),
    /// What the step before answered, cut to 32 bits or extended from them.
    Last,
}

/// One thing that a program does.
#[derive(Debug)]
pub(crate) enum Step {
    Ask(&'static Import, Vec<Operand>),
    /// Grows the memory by so many pages, up to the four that it may have.
    Grow(i32),
}

/// A contract.
#[derive(Debug)]
pub(crate) struct Program {
    pages: Option<i32>,
    data: Vec<u8>,
    arguments: Vec<u8>,
    pub(crate) fuel: u64,
    pub(crate) construct: Vec<Step>,
    /// The method `m`.
    pub(crate) main: Vec<Step>,
    /// The method `n`, which is for others to call.
    pub(crate) other: Vec<Step>,
}

/// What is known beforehand of a method's end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Forecast {
    /// It comes to a step that reaches outside of what there is.
    pub(crate) outside: bool,
    /// It may: that depends on what the host answers.
    pub(crate) perhaps_outside: bool,
    /// It comes to a step that refuses.
    pub(crate) refuses: bool,
}

const MOST_PAGES: i32 = 4;
const PAGE: i64 = 64 << 10;

impl Program {
    pub(crate) fn new(input: &mut Unstructured<'_>) -> Self {
        let pages = one_of(input, &[Some(1), Some(1), Some(1), Some(2), Some(0), None]);
        let fuel = one_of(input, &[3_000_000, 300_000, 100_000, 30_000, 10_000_000]) + below(input, 5_000) as u64;
        let data = bytes(input, 96);
        let arguments = bytes(input, 64);
        let size = PAGE * i64::from(pages.unwrap_or(0));
        let steps = |input: &mut Unstructured<'_>, most: usize| -> Vec<Step> {
            let count = below(input, most + 1);
            (0..count).map(|_| Step::new(input, size)).collect()
        };
        let main = steps(input, 16);
        let other = steps(input, 6);
        let construct = if below(input, 4) == 0 { steps(input, 4) } else { Vec::new() };
        Program { pages, data, arguments, fuel, construct, main, other }
    }

    /// What `m` is called with, the program's own id and those of others at its front.
    pub(crate) fn arguments(&self, contracts: [[u8; 32]; CONTRACTS]) -> Vec<u8> {
        [contracts.concat(), self.arguments.clone()].concat()
    }

    /// Whether one of the methods has such a step.
    pub(crate) fn asks(&self, name: &str) -> bool {
        let all = self.construct.iter().chain(&self.main).chain(&self.other);
        all.into_iter().any(|step| matches!(step, Step::Ask(import, _) if import.name == name))
    }

    /// The imports that a method asks for, each time it does.
    pub(crate) fn imports(steps: &[Step]) -> impl Iterator<Item = &'static str> {
        steps.iter().filter_map(|step| match step {
            Step::Ask(import, _) => Some(import.name),
            Step::Grow(_) => None,
        })
    }

    /// What is known of how `steps` end, called with so many bytes of arguments.
    pub(crate) fn forecast(&self, steps: &[Step], arguments: usize) -> Forecast {
        let mut forecast = Forecast::default();
        let mut pages = self.pages.unwrap_or(0);
        for step in steps {
            match step {
                Step::Grow(by) if self.pages.is_some() && *by <= MOST_PAGES - pages => pages += by,
                Step::Grow(_) => {}
                Step::Ask(import, operands) => {
                    match import.outside(operands, PAGE * i64::from(pages), arguments) {
                        Some(true) => forecast.outside = true,
                        Some(false) => {}
                        None => forecast.perhaps_outside = true,
                    }
                    forecast.refuses |= import.name == "refuse";
                    if forecast.outside || forecast.refuses {
                        break;
                    }
                }
            }
        }
        forecast
    }

    /// The module in the text format.
    pub(crate) fn text(&self) -> String {
        let mut text = "(module\n".to_owned();
        for Import { name, roles, result } in IMPORTS {
            let types = roles.iter().map(|role| if *role == Wide { "i64 " } else { "i32 " }).collect::<String>();
            let _ =
                writeln!(text, r#"(import "ledgerkit.1" "{name}" (func ${name} (param {types}) (result {result})))"#);
        }
        if let Some(pages) = self.pages {
            let _ = writeln!(text, "(memory {pages} {MOST_PAGES})");
        }
        if self.pages > Some(0) {
            let _ = writeln!(text, "(data (i32.const 0) \"{}\")", escaped(&self.data));
            for (place, name) in (0..).zip(METHODS) {
                let _ = writeln!(text, "(data (i32.const {}) \"{name}\")", NAMES + place * NAME_BYTES);
            }
            let signed = [KEY, SIGNATURE, "72"].concat();
            let signed: Vec<u8> =
                (0..signed.len()).step_by(2).map(|at| u8::from_str_radix(&signed[at..at + 2], 16).unwrap()).collect();
            let _ = writeln!(text, "(data (i32.const {SIGNED}) \"{}\")", escaped(&signed));
        }
        for (name, steps) in [("construct", &self.construct), ("call_m", &self.main), ("call_n", &self.other)] {
            let _ = writeln!(text, "(func (export \"{name}\") (local $last i32)");
            if self.pages > Some(0) && name == "call_m" {
                let _ = writeln!(text, "(call $arguments (i32.const {IDS}) (i32.const 0) (call $arguments_len))");
            }
            for step in steps {
                step.write(&mut text, self.pages.is_some());
            }
            text.push_str(")\n");
        }
        text.push(')');
        text
    }
}

fn escaped(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "\\{byte:02x}");
        text
    })
}

impl Step {
    fn new(input: &mut Unstructured<'_>, size: i64) -> Self {
        let which = below(input, IMPORTS.len() + 1);
        let Some(import) = IMPORTS.get(which) else { return Step::Grow(one_of(input, &[0, 1, 2, 5, -1])) };
        // Otherwise hardly a program comes to its end.
        let tame = below(input, 8) != 0;
        let operands = import.roles.iter().map(|role| Operand::new(input, *role, tame, size));
        let mut operands: Vec<Operand> = operands.collect();
        // Bytes alone seldom make a call that arrives, or a signature that is one.
        let known = |place: i32| Operand::Known(place.into());
        match import.name {
            "call" if below(input, 4) != 0 => {
                let method = below(input, METHODS.len());
                let place = NAMES + i32::try_from(method).unwrap() * NAME_BYTES;
                let length = Operand::Known(i64::try_from(METHODS[method].len()).unwrap());
                let callee = IDS + 32 * i32::try_from(below(input, CONTRACTS)).unwrap();
                operands.splice(0..3, [known(callee), known(place), length]);
            }
            "result" if tame => {
                operands.truncate(1);
                operands.extend([known(0), one_of(input, &[known(0), Operand::Last])]);
            }
            "verify_ed25519" if below(input, 2) == 0 => {
                operands = vec![known(SIGNED), known(SIGNED + 96), known(1), known(SIGNED + 32)];
            }
            _ => {}
        }
        Step::Ask(import, operands)
    }

    fn write(&self, text: &mut String, memory: bool) {
        match self {
            Step::Grow(by) if memory => {
                let _ = writeln!(text, "(local.set $last (memory.grow (i32.const {by})))");
            }
            Step::Grow(_) => {}
            Step::Ask(import, operands) => {
                let mut call = format!("(call ${}", import.name);
                for (operand, role) in operands.iter().zip(import.roles) {
                    let _ = match (operand, role) {
                        (Operand::Known(value), Wide) => write!(call, " (i64.const {value})"),
                        (Operand::Known(value), _) => write!(call, " (i32.const {value})"),
                        (Operand::Last, Wide) => write!(call, " (i64.extend_i32_s (local.get $last))"),
                        (Operand::Last, _) => write!(call, " (local.get $last)"),
                    };
                }
                call.push(')');
                let _ = match import.result {
                    "" => writeln!(text, "{call}"),
                    "i32" => writeln!(text, "(local.set $last {call})"),
                    _ => writeln!(text, "(local.set $last (i32.wrap_i64 {call}))"),
                };
            }
        }
    }
}

impl Operand {
    fn new(input: &mut Unstructured<'_>, role: Role, tame: bool, size: i64) -> Self {
        let way = below(input, if tame { 12 } else { 16 });
        let edge = |input: &mut Unstructured<'_>| size + below(input, 130) as i64 - 65;
        let small = |input: &mut Unstructured<'_>, most: usize| below(input, most) as i64;
        Operand::Known(match (role, way) {
            (_, 15) => return Operand::Last,
            (Wide, 0..=4) => small(input, 3) - 1,
            (Wide, 5..=8) => small(input, 1 << 12),
            (Wide, ..=11) => small(input, 1 << 20),
            (Wide, _) => input.arbitrary().unwrap_or(0),
            (_, 14) => input.arbitrary::<i32>().unwrap_or(0).into(),
            (Length | LengthOrEnd | Number, 13) => -small(input, 3),
            (Length | LengthOrEnd, 12) => edge(input),
            (Length | LengthOrEnd, _) => small(input, 48),
            (Number, _) => small(input, 8),
            (Offset, 12 | 13) => small(input, 300),
            (Offset, _) => small(input, 99),
            (_, 13) => edge(input),
            (_, 0..=3) => i64::from(IDS) + 32 * small(input, CONTRACTS + 1),
            (_, 4) => i64::from(NAMES) + i64::from(NAME_BYTES) * small(input, METHODS.len()),
            (_, 5..=9) => small(input, 96),
            (_, _) => 4_096 + small(input, 1_024),
        })
    }

    /// As the host sees it: 32 bits without sign.
    fn unsigned(self) -> Option<i64> {
        match self {
            Operand::Known(value) => Some(value & 0xffff_ffff),
            Operand::Last => None,
        }
    }
}

impl Import {
    /// Whether one of the operands reaches outside of a memory of `size` bytes, or of the arguments, as the documentation
    /// says; `None` if that depends on the host.
    fn outside(&self, operands: &[Operand], size: i64, arguments: usize) -> Option<bool> {
        let mut unknown = false;
        let mut reach = |from: Option<i64>, length: Option<i64>, size: i64| match (from, length) {
            (Some(from), Some(length)) => from + length > size,
            (Some(alone), None) | (None, Some(alone)) => {
                unknown |= alone <= size;
                alone > size
            }
            (None, None) => {
                unknown = true;
                false
            }
        };
        let mut outside = false;
        for (at, role) in self.roles.iter().enumerate() {
            let operand = |at: usize| operands[at].unsigned();
            outside |= match role {
                Fixed(length) => reach(operand(at), Some(*length), size),
                Bytes if self.roles[at + 1] == LengthOrEnd && operand(at + 1) == Some(0xffff_ffff) => false,
                Bytes if self.roles[at + 1] == LengthOrEnd && operand(at + 1).is_none() => {
                    // It may be the end.
                    reach(None, None, size)
                }
                Bytes => reach(operand(at), operand(at + 1), size),
                Copied => reach(operand(at), operand(at + 2), size),
                Offset if self.name == "arguments" => {
                    reach(operand(at), operand(at + 1), i64::try_from(arguments).unwrap())
                }
                Offset => reach(None, None, size),
                Length | LengthOrEnd | Number | Wide => false,
            };
        }
        if outside { Some(true) } else { (!unknown).then_some(false) }
    }
}
