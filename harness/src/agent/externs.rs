//! Kernel functions that an object calls and the kernel does not have.
//!
//! libbpf refuses an object as a whole if a function that it declares is missing, unless the declaration is weak:
//! then calls of it are replaced by a call of a helper that does not exist. So that the programs which do not call
//! it can be loaded, the declarations are made weak; those that do are known by that call.

use object::{
    LittleEndian as Le,
    elf::{self, FileHeader64},
    read::elf::{FileHeader, SectionHeader, Sym},
};
use std::collections::BTreeMap;

/// libbpf puts a call of this helper, plus the place in its table of externs, for a call of a function that is not
/// there.
const POISONED_CALL: i32 = 2_002_000_000;
/// Size of a symbol and offset of its `st_info`, which has the binding in its upper half.
const SYMBOL: (usize, usize) = (24, 4);

/// An object whose declarations of kernel functions are weak.
pub(super) struct Weakened {
    pub(super) bytes: Vec<u8>,
    pub(super) functions: Functions,
}

/// By the number of the helper that stands in for it: the function whose declaration was not weak before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Functions(BTreeMap<i32, String>);

impl Functions {
    /// The function that is missing if this helper is called.
    pub(super) fn missing(&self, helper: i32) -> Option<&str> {
        self.0.get(&helper).map(String::as_str)
    }
}

/// Makes the declarations of kernel functions weak. Nothing if there is none that was not.
pub(super) fn weaken(file: &[u8], is_function: impl Fn(&str) -> bool) -> Option<Weakened> {
    let header = FileHeader64::<Le>::parse(file).ok()?;
    let sections = header.sections(Le, file).ok()?;
    let symbols = sections.symbols(Le, file, elf::SHT_SYMTAB).ok()?;
    let start = usize::try_from(sections.section(symbols.section()).ok()?.sh_offset(Le)).ok()?;
    let mut bytes = file.to_vec();
    // In libbpf's order: values of the configuration first, the rest by name.
    let mut declared = Vec::new();
    let mut values = 0;
    for (place, symbol) in symbols.iter().enumerate() {
        let declares = symbol.st_shndx(Le) == elf::SHN_UNDEF
            && matches!(symbol.st_bind(), elf::STB_GLOBAL | elf::STB_WEAK)
            && symbol.st_type() == elf::STT_NOTYPE;
        let name = symbols.symbol_name(Le, symbol).ok().filter(|name| declares && !name.is_empty());
        let Some(name) = name.map(|name| String::from_utf8_lossy(name).into_owned()) else { continue };
        if name.starts_with("CONFIG_") || name.starts_with("LINUX_") {
            values += 1;
            continue;
        }
        let strong = symbol.st_bind() == elf::STB_GLOBAL && is_function(&name);
        if strong {
            let info = bytes.get_mut(start + place * SYMBOL.0 + SYMBOL.1)?;
            *info = elf::STB_WEAK.0 << 4 | *info & 0xf;
        }
        declared.push((name, strong));
    }
    declared.sort();
    let functions: BTreeMap<i32, String> = (POISONED_CALL + values..)
        .zip(declared)
        .filter(|(_, (_, strong))| *strong)
        .map(|(helper, (name, _))| (helper, name))
        .collect();
    (!functions.is_empty()).then_some(Weakened { bytes, functions: Functions(functions) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBJECT: &[u8] = include_bytes!("../../tests/externs.bpf.o");

    #[test]
    fn declarations_are_made_weak_once() {
        let is_function = |name: &str| name.contains("function");
        let weakened = weaken(OBJECT, is_function).unwrap();
        // Before them stands CONFIG_HZ; between them, by name, a function that is weak already.
        let functions = &weakened.functions;
        assert_eq!(functions.missing(POISONED_CALL + 1), Some("a_function_that_is_missing"));
        assert_eq!(functions.missing(POISONED_CALL + 2), None);
        assert_eq!(functions.missing(POISONED_CALL + 3), Some("no_function_either"));
        let changed = OBJECT.iter().zip(&weakened.bytes).filter(|(old, new)| old != new).count();
        assert_eq!((changed, weakened.bytes.len()), (2, OBJECT.len()));
        assert!(weaken(&weakened.bytes, is_function).is_none());
        assert!(weaken(OBJECT, |_| false).is_none());
    }

    #[test]
    fn damage_is_no_panic() {
        for cut in 0..OBJECT.len() {
            let _ = weaken(&OBJECT[..cut], |_| true);
        }
        for at in 0..OBJECT.len() {
            let mut damaged = OBJECT.to_vec();
            damaged[at] ^= 0xff;
            let _ = weaken(&damaged, |_| true);
        }
    }
}
