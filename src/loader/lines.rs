//! Which lines of the source the instructions of a loaded program come from.
//!
//! `.BTF.ext` tells it of the sections of an object. A program that was loaded has functions of several sections, in an
//! order of its own, and some of its instructions are other ones than the object's: relocations changed them. So it is
//! put together by functions: one of the object's is one of the program's if they have the name, the length and the
//! codes of the instructions in common, except where a CO-RE relocation may have put another instruction. What is not
//! found so, as in an object that was built anew since, has no lines rather than wrong ones.

use super::{
    OpenError,
    ext::{Part, records},
    limits, section,
};
use crate::bpf::btf::Btf;
use livediff_capture::{Insn, Loaded};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

/// Most records that are read of an object.
const MAX_RECORDS: usize = 4 << 20;
/// Most bytes of a name or a line that are kept.
const MAX_TEXT: usize = 200;
/// Most bytes of all of them together. Compilers write each once.
const MAX_TEXTS: usize = 64 << 20;

/// A line of a source.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Line {
    /// The file, as the compiler was given it.
    pub file: Arc<str>,
    /// From 1.
    pub line: u32,
    /// From 1; 0 where it is not known.
    pub column: u32,
    /// The line itself, without blanks around it; empty where the compiler did not have it.
    pub text: Arc<str>,
}

/// The lines of an object's functions.
#[derive(Clone, Debug, Default)]
pub struct Lines {
    functions: HashMap<String, Vec<Function>>,
}

#[derive(Clone, Debug)]
struct Function {
    /// The code of each instruction; nothing where a CO-RE relocation may change it.
    codes: Vec<Option<u8>>,
    /// By instruction of the function, where a line begins.
    lines: BTreeMap<usize, Line>,
}

impl Lines {
    /// Reads them. An object without `.BTF.ext` has none.
    pub fn read(object: &[u8]) -> Result<Lines, OpenError> {
        let failed = |error: object::Error| OpenError::Elf(error.to_string());
        let (Some(btf), Some(ext)) = (section(object, ".BTF")?, section(object, ".BTF.ext")?) else {
            return Ok(Lines::default());
        };
        let btf = Btf::parse(&btf).map_err(|error| OpenError::Elf(error.to_string()))?;
        let file = object::read::elf::ElfFile64::<object::LittleEndian>::parse(object).map_err(failed)?;
        limits::check(&file, object.len())?;

        let mut texts: HashMap<u32, Arc<str>> = HashMap::new();
        let mut bytes = 0;
        let mut text = |offset: u32| -> Result<Arc<str>, OpenError> {
            if let Some(known) = texts.get(&offset) {
                return Ok(known.clone());
            }
            let text: Arc<str> = cut(btf.string(offset).unwrap_or_default().trim()).into();
            bytes += text.len();
            if bytes > MAX_TEXTS {
                let what = format!("its lines and the names of their files have more than {MAX_TEXTS} bytes");
                return Err(OpenError::TooLarge(what));
            }
            texts.insert(offset, text.clone());
            Ok(text)
        };
        // By section and instruction.
        let mut lines: HashMap<Arc<str>, BTreeMap<usize, Line>> = HashMap::new();
        for (name, [offset, file, line, place]) in records(&ext, Part::Lines).take(MAX_RECORDS) {
            let line =
                Line { file: text(file)?, line: place >> 10, column: place & 0x3ff, text: text(line)? };
            // Line 0 is that of code that the compiler made by itself.
            if line.line > 0 && !line.file.is_empty() {
                lines.entry(text(name)?).or_default().insert(offset as usize / 8, line);
            }
        }
        let mut changed: HashSet<(Arc<str>, usize)> = HashSet::new();
        for (name, [offset, ..]) in records(&ext, Part::CoreRelocations).take(MAX_RECORDS) {
            let insn = offset as usize / 8;
            // Of an instruction of two slots both may change.
            let name = text(name)?;
            changed.extend([(name.clone(), insn), (name, insn + 1)]);
        }

        let mut functions: HashMap<String, Vec<Function>> = HashMap::new();
        for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
            let Some(section) = symbol.section_index().and_then(|index| file.section_by_index(index).ok())
            else {
                continue;
            };
            let Ok(name) = section.name() else { continue };
            let Some(known) = lines.get(name) else { continue };
            let Some(code) = section.data_range(symbol.address(), symbol.size()).ok().flatten() else {
                continue;
            };
            let (start, count) = (symbol.address() as usize / 8, code.len() / 8);
            let section: Arc<str> = name.into();
            let codes = code.chunks_exact(8).enumerate().map(|(at, insn)| {
                insn.first().copied().filter(|_| !changed.contains(&(section.clone(), start + at)))
            });
            let lines = known.range(start..start.saturating_add(count));
            let lines = lines.map(|(at, line)| (at - start, line.clone())).collect();
            let function = Function { codes: codes.collect(), lines };
            functions.entry(symbol.name().unwrap_or_default().to_owned()).or_default().push(function);
        }
        Ok(Lines { functions })
    }

    /// The lines of a program's instructions: the instruction from which on, up to the next, the line is that; nothing
    /// from where on it is not known.
    pub fn of(&self, loaded: &Loaded) -> BTreeMap<u32, Option<&Line>> {
        let mut all = BTreeMap::new();
        let ends = loaded.func_info.iter().skip(1).map(|info| info.insn_off);
        let ends = ends.chain([loaded.insns.len() as u32]);
        for (info, end) in std::iter::zip(&loaded.func_info, ends) {
            all.insert(info.insn_off, None);
            let Some(insns) = loaded.insns.get(info.insn_off as usize..end as usize) else { continue };
            for (at, line) in self.of_function(&info.name, insns).into_iter().flatten() {
                all.insert(info.insn_off.saturating_add(*at as u32), Some(line));
            }
        }
        all
    }

    /// The line of one instruction.
    pub fn at(&self, loaded: &Loaded, insn: u32) -> Option<&Line> {
        self.of(loaded).range(..=insn).next_back().and_then(|(_, line)| *line)
    }

    fn of_function(&self, name: &str, insns: &[Insn]) -> Option<&BTreeMap<usize, Line>> {
        let mut found = self.functions.get(name)?.iter().filter(|function| {
            function.codes.len() == insns.len()
                && std::iter::zip(&function.codes, insns)
                    .all(|(code, insn)| code.is_none_or(|code| code == insn.code))
        });
        let first = &found.next()?.lines;
        // Static functions of different files can be alike.
        found.all(|other| &other.lines == first).then_some(first)
    }
}

/// The beginning of a text that is too long.
fn cut(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT)).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loader;
    use std::fs;

    fn object(name: &str) -> Vec<u8> {
        fs::read(format!("{}/corpus/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn loaded(name: &str, program: &str) -> Loaded {
        let programs = loader::open(name, &object(name), None).unwrap();
        programs.into_iter().find(|found| found.name == program).unwrap().loaded.unwrap()
    }

    /// Each line that is found stands in the source, and calls lead to the lines of the callee.
    #[test]
    fn lines_are_those_of_the_source() {
        let source = String::from_utf8(object("frames/calls.bpf.c")).unwrap();
        let source: Vec<&str> = source.lines().collect();
        let lines = Lines::read(&object("frames/calls.bpf.o")).unwrap();
        let (mut functions, mut found) = (HashSet::new(), 0);
        for program in loader::open("calls.bpf.o", &object("frames/calls.bpf.o"), None).unwrap() {
            let Ok(loaded) = program.loaded else { continue };
            for (insn, line) in lines.of(&loaded) {
                let Some(line) = line else { continue };
                found += 1;
                assert!(line.file.ends_with("calls.bpf.c") || line.file.ends_with(".h"), "{line:?}");
                if line.file.ends_with("calls.bpf.c") {
                    let text = source[line.line as usize - 1];
                    assert_eq!(&*line.text, text.trim(), "insn {insn} of {}", program.name);
                }
                let of = loaded.func_info.iter().rev().find(|info| info.insn_off <= insn).unwrap();
                functions.insert(of.name.clone());
            }
        }
        assert!(found > 20 && functions.len() > 3, "{found} lines of {functions:?}");
    }

    #[test]
    fn another_object_has_no_lines() {
        let lines = Lines::read(&object("frames/calls.bpf.o")).unwrap();
        let mut program = loaded("frames/calls.bpf.o", &first_program());
        let known = |loaded: &Loaded| lines.of(loaded).values().flatten().count();
        assert!(known(&program) > 0);
        assert!(lines.at(&program, 0).is_some());
        // Operands are what relocations change, and codes are not.
        program.insns[0].imm ^= 1;
        assert!(known(&program) > 0);
        let mut altered = program.clone();
        altered.func_info.truncate(1);
        altered.insns[0].code ^= 0x08;
        assert_eq!(known(&altered), 0);
        altered = program.clone();
        altered.func_info[0].name.push('x');
        assert!(known(&altered) < known(&program));
        altered = program.clone();
        altered.func_info.clear();
        assert_eq!(known(&altered), 0);
    }

    fn first_program() -> String {
        let programs = loader::open("calls.bpf.o", &object("frames/calls.bpf.o"), None).unwrap();
        programs.into_iter().find(|program| program.loaded.is_ok()).unwrap().name
    }

    #[test]
    fn hostile_bytes_have_none() {
        let whole = object("frames/calls.bpf.o");
        for cut in (0..whole.len()).step_by(97) {
            let _ = Lines::read(&whole[..cut]);
        }
        for at in (0..whole.len()).step_by(11) {
            let mut altered = whole.clone();
            altered[at] ^= 0xff;
            let _ = Lines::read(&altered);
        }
        assert!(Lines::read(b"no object").is_err());
    }
}
