//! What a component may give a compiler to do, seen from its bytes before one gets them.
//!
//! A compiler has very different work with the same number of bytes. A megabyte of conversions of floats kept it busy for
//! half a minute, 64 kB of nothing but loops in one function for ten seconds, and a dozen bytes ask for a table of a
//! million functions. So operators are weighed, in steps of about a microsecond at worst; where work grows faster than
//! code does, with loops and with values that are alive over branches, that is counted too; and the steps of each function
//! and of all together are bounded. `benches/POLICY.md` has what was measured at these bounds. Code that compilers make
//! of programs has a few steps a byte, so that hundreds of kilobytes of it are loaded.

use crate::load::LoadError;
use wasmparser::{BinaryReaderError, CompositeInnerType, Encoding, FunctionBody, Operator};
use wasmparser::{Parser, Payload, RecGroup};

/// Steps of a compiler for a whole policy: two seconds of a usual processor at most.
pub const STEPS_MAX: u64 = 2_000_000;
/// For one function: what takes longer than in proportion shows in large ones.
const FUNCTION_STEPS_MAX: u64 = 200_000;
/// Parameters aside.
const LOCALS_MAX: u64 = 1_000;
const LOOPS_MAX: u64 = 200;
const PARAMETERS_MAX: u64 = 64;
const RESULTS_MAX: u64 = 4;
const MODULES_MAX: u64 = 16;
const COMPONENTS_MAX: u64 = 16;
/// Of all tables together; a plan is held to the same.
const TABLE_ENTRIES_MAX: u64 = crate::limits::TABLE_ENTRIES_MAX as u64;

/// Steps for a function, whatever is in it.
const FUNCTION: u64 = 100;
/// For a type, import, export, global, segment, and what else stands in the sections of a component.
const ITEM: u64 = 20;
/// So many pairs of a branch and an operator of the same function are a step: each value may be alive at each branch.
const PAIRS: u64 = 100;

/// Steps for an operator, by the first byte of its code.
fn steps_of(code: u8) -> u64 {
    match code {
        // Loops; blocks, ifs and jumps.
        0x03 => 60,
        0x02 | 0x04..=0x05 | 0x0c..=0x0e => 5,
        // Calls; calls through a table.
        0x10 => 40,
        0x11 => 120,
        // Loads, stores and divisions, which are checked by code.
        0x28..=0x3e | 0x6d..=0x70 | 0x7f..=0x82 => 25,
        // Constants, locals, the arithmetic of integers, comparisons; what is no code at all.
        0x00..=0x01 | 0x0b | 0x0f | 0x1a..=0x1b | 0x20..=0x22 | 0x41..=0x44 => 1,
        0x45..=0x8a | 0xa7 | 0xac..=0xad | 0xc0..=0xc4 => 1,
        // Floats, whose NaNs are made the same everywhere, conversions, vectors, memory and tables as a whole.
        _ => 40,
    }
}

/// Counts what there is in a component.
///
/// # Errors
/// [`LoadError::Bound`] names what there is too much of; [`LoadError::Compile`] when it cannot be read.
pub(crate) fn check(wasm: &[u8]) -> Result<(), LoadError> {
    let unread = |error: BinaryReaderError| LoadError::Compile(error.to_string());
    let mut all = All::default();
    for payload in Parser::new(0).parse_all(wasm) {
        all.take(wasm, payload.map_err(unread)?).map_err(|error| match error {
            Over::Bound(error) => error,
            Over::Unread(error) => unread(error),
        })?;
    }
    Ok(())
}

enum Over {
    Bound(LoadError),
    Unread(BinaryReaderError),
}

impl From<BinaryReaderError> for Over {
    fn from(error: BinaryReaderError) -> Self {
        Over::Unread(error)
    }
}

fn hold(place: &str, what: &'static str, found: u64, max: u64) -> Result<(), Over> {
    if found <= max {
        return Ok(());
    }
    Err(Over::Bound(LoadError::Bound { place: place.to_owned(), what, found, max }))
}

const WHOLE: &str = "the component";

#[derive(Default)]
struct All {
    /// What is open: the component, and what stands in it at this place.
    open: Vec<Encoding>,
    /// Code and functions of components in it. Between components wasmtime writes code of its own, by types that may be
    /// far larger than the bytes that say them; what tools make of a policy has none.
    inner: u64,
    modules: u64,
    components: u64,
    entries: u64,
    steps: u64,
}

impl All {
    fn take(&mut self, wasm: &[u8], payload: Payload<'_>) -> Result<(), Over> {
        match payload {
            Payload::Version { encoding, .. } => self.open.push(encoding),
            Payload::End(_) => drop(self.open.pop()),
            Payload::ModuleSection { .. } => {
                self.modules += 1;
                self.inner += u64::from(self.open.len() > 1);
            }
            Payload::ComponentSection { .. } => self.components += 1,
            Payload::CodeSectionEntry(body) => self.function(wasm, &body)?,
            Payload::TypeSection(section) => {
                for group in section {
                    self.types(&group?)?;
                }
            }
            Payload::CoreTypeSection(section) => self.steps += ITEM * u64::from(section.count()),
            Payload::TableSection(section) => {
                self.steps += ITEM * u64::from(section.count());
                for table in section {
                    self.entries = self.entries.saturating_add(table?.ty.initial);
                }
            }
            Payload::ImportSection(section) => self.steps += ITEM * u64::from(section.count()),
            Payload::TagSection(section) => self.steps += ITEM * u64::from(section.count()),
            Payload::GlobalSection(section) => self.steps += ITEM * u64::from(section.count()),
            Payload::MemorySection(section) => self.steps += ITEM * u64::from(section.count()),
            Payload::ExportSection(section) => self.steps += ITEM * u64::from(section.count()),
            Payload::DataSection(section) => self.steps += ITEM * u64::from(section.count()),
            Payload::ElementSection(section) => self.steps += ITEM * u64::from(section.count()),
            Payload::InstanceSection(section) => self.steps += ITEM * u64::from(section.count()),
            Payload::ComponentInstanceSection(one) => self.steps += ITEM * u64::from(one.count()),
            Payload::ComponentAliasSection(one) => self.steps += ITEM * u64::from(one.count()),
            Payload::ComponentTypeSection(one) => self.steps += ITEM * u64::from(one.count()),
            Payload::ComponentCanonicalSection(one) => {
                self.steps += ITEM * u64::from(one.count());
                self.inner += if self.open.len() > 1 { u64::from(one.count()) } else { 0 };
            }
            Payload::ComponentImportSection(one) => self.steps += ITEM * u64::from(one.count()),
            Payload::ComponentExportSection(one) => self.steps += ITEM * u64::from(one.count()),
            _ => {}
        }
        self.hold()
    }

    fn hold(&self) -> Result<(), Over> {
        hold(WHOLE, "modules", self.modules, MODULES_MAX)?;
        hold(WHOLE, "components in it", self.components, COMPONENTS_MAX)?;
        hold(WHOLE, "modules and functions inside components in it", self.inner, 0)?;
        hold(WHOLE, "entries in its tables", self.entries, TABLE_ENTRIES_MAX)?;
        hold(WHOLE, "steps for a compiler", self.steps, STEPS_MAX)
    }

    fn types(&mut self, group: &RecGroup) -> Result<(), Over> {
        for one in group.types() {
            self.steps += ITEM;
            if let CompositeInnerType::Func(function) = &one.composite_type.inner {
                let (parameters, results) = (function.params().len(), function.results().len());
                hold(WHOLE, "parameters of a type", parameters as u64, PARAMETERS_MAX)?;
                hold(WHOLE, "results of a type", results as u64, RESULTS_MAX)?;
            }
        }
        Ok(())
    }

    fn function(&mut self, wasm: &[u8], body: &FunctionBody<'_>) -> Result<(), Over> {
        let place = format!("the function at byte {}", body.range().start);
        let mut locals = 0;
        for group in body.get_locals_reader()? {
            locals += u64::from(group?.0);
        }
        hold(&place, "locals", locals, LOCALS_MAX)?;
        let (mut steps, mut loops, mut branches, mut operators) = (FUNCTION, 0, 0, 0);
        let mut reader = body.get_operators_reader()?;
        while !reader.eof() {
            operators += 1;
            // The last one is read below, or its byte would not be there.
            steps += wasm.get(reader.original_position()).map_or(0, |code| steps_of(*code));
            match reader.read()? {
                Operator::Loop { .. } => (loops, branches) = (loops + 1, branches + 1),
                Operator::BrTable { targets } => branches += 1 + u64::from(targets.len()),
                Operator::Block { .. }
                | Operator::If { .. }
                | Operator::Else
                | Operator::Br { .. }
                | Operator::BrIf { .. } => branches += 1,
                _ => {}
            }
        }
        hold(&place, "loops", loops, LOOPS_MAX)?;
        // A local may have another value on each way to a branch, and is moved there on each.
        steps += branches * (1 + locals + operators / PAIRS);
        hold(&place, "steps for a compiler", steps, FUNCTION_STEPS_MAX)?;
        self.steps += steps;
        Ok(())
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::testing::{HEAVY, component, module};

    /// What is said of a core module, in a component.
    fn of(functions: &str) -> Result<(), String> {
        check(&component(&module(functions, "(global.get $answer)"))).map_err(|e| e.to_string())
    }

    /// The text of a part with so many of something.
    type Text<'a> = &'a dyn Fn(u64) -> String;

    #[test]
    fn each_bound_is_exact_and_is_named() {
        let function = |inner: String| format!("(func (param i32) {inner})");
        let locals = |n: u64| function(format!("(local {})", "i64 ".repeat(n as usize)));
        let loops = |n: u64| function("(loop)".repeat(n as usize));
        let types = |n: u64| format!("(type (func (param {})))", "i32 ".repeat(n as usize));
        let results = |n: u64| format!("(type (func (result {})))", "i32 ".repeat(n as usize));
        let table = |n: u64| format!("(table {n} funcref)");
        let calls = |n: u64| {
            function("(call $allocate)".replace("$allocate", "$n").repeat(n as usize)) + "(func $n)"
        };
        let functions = |n: u64| "(func)".repeat(n as usize);
        // What it imports takes a table of its own; the other steps are those of each component.
        let few = TABLE_ENTRIES_MAX - 100;
        let cases: [(&str, u64, u64, Text<'_>); 7] = [
            ("1001 locals", LOCALS_MAX, LOCALS_MAX + 1, &locals),
            ("201 loops", LOOPS_MAX, LOOPS_MAX + 1, &loops),
            ("65 parameters", PARAMETERS_MAX, PARAMETERS_MAX + 1, &types),
            ("5 results", RESULTS_MAX, RESULTS_MAX + 1, &results),
            ("entries in its tables", few, TABLE_ENTRIES_MAX + 1, &table),
            ("200101 steps", FUNCTION_STEPS_MAX / 40 - 3, FUNCTION_STEPS_MAX / 40, &calls),
            ("steps for a compiler", STEPS_MAX / 101 - 100, STEPS_MAX / 101, &functions),
        ];
        for (named, most, over, text) in cases {
            assert_eq!(of(&text(most)), Ok(()), "{named}");
            let error = of(&text(over)).unwrap_err();
            assert!(error.contains(named), "{named}: {error}");
        }
    }

    #[test]
    fn what_is_hard_to_compile_is_refused_before_it_is() {
        for heavy in HEAVY {
            // One function that is too much, or many parts.
            let refused = [1, 35].iter().find_map(|count| {
                check(&heavy.component(100_000, *count)).err().map(|error| error.to_string())
            });
            let refused = refused.unwrap_or_else(|| panic!("{} is compiled", heavy.name));
            assert!(refused.contains("and a policy may have"), "{}: {refused}", heavy.name);
        }
    }
}
