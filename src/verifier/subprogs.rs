//! Where subprograms begin and end, and in which order they call each other.

use livediff_capture::insn::{class, jmp};

use super::error::{Error, Pass, errno};
use super::program::{Program, Subprog};

/// `BPF_MAX_SUBPROGS`.
const MAX_SUBPROGS: usize = 256;

/// Finds the subprograms: the entry, every target of a call or of a load of a subprogram's address, and the
/// exception callback (`add_subprog_and_kfunc`).
pub(crate) fn add_subprogs(program: &mut Program<'_>) -> Result<(), Error> {
    let fail = |errno, message: &str| Err(Error::new(Pass::AddSubprogs, errno, message));
    if program.is_empty() || i32::try_from(program.insns.len()).is_err() {
        return fail(errno::E2BIG, "the program has no instructions, or too many");
    }
    let mut starts = std::collections::BTreeSet::from([0u32]);
    let calls = program.insns.iter().enumerate().filter(|(_, i)| i.is_pseudo_func() || i.is_pseudo_call());
    let targets = calls.map(|(idx, insn)| idx as i64 + i64::from(insn.imm) + 1);
    for target in targets.chain(program.loaded.exception_callback.map(i64::from)) {
        match u32::try_from(target) {
            Ok(start) if start < program.len() => starts.insert(start),
            _ => return fail(errno::EINVAL, "call to invalid destination"),
        };
        if starts.len() > MAX_SUBPROGS {
            return fail(errno::E2BIG, "too many subprograms");
        }
    }
    let ends = starts.iter().skip(1).copied().chain([program.len()]);
    program.subprogs =
        starts.iter().zip(ends).map(|(&start, end)| Subprog { start, end, ..Subprog::default() }).collect();
    Ok(())
}

/// Checks that no jump and no fall-through leaves its subprogram, and notes each subprogram's last `exit`
/// (`check_subprogs`).
pub(crate) fn check_subprogs(program: &mut Program<'_>) -> Result<(), Error> {
    let fail = |message: String| Err(Error::new(Pass::CheckSubprogs, errno::EINVAL, message));
    let gotox_may_end = program.dialect.choices().gotox_may_end;
    for subprog in &mut program.subprogs {
        for idx in subprog.start..subprog.end {
            let insn = program.insns.get(idx as usize).copied().unwrap_or_default();
            if matches!(insn.class(), class::JMP | class::JMP32) {
                match insn.op() {
                    jmp::CALL => {}
                    jmp::EXIT => subprog.exit_idx = idx,
                    _ if insn.is_gotox() && gotox_may_end => {}
                    _ => {
                        let target = i64::from(idx) + i64::from(insn.jmp_offset()) + 1;
                        if target < subprog.start.into() || target >= subprog.end.into() {
                            return fail(format!("jump out of range from insn {idx} to {target}"));
                        }
                    }
                }
            }
            let ends_flow = insn.is_gotox()
                || [class::JMP | jmp::EXIT, class::JMP | jmp::JA, class::JMP32 | jmp::JA]
                    .contains(&insn.code);
            if idx + 1 == subprog.end && !ends_flow {
                return fail("last insn is not an exit or jmp".into());
            }
        }
    }
    Ok(())
}

/// Orders subprograms so that callees come before their callers (`sort_subprogs_topo`): a postorder of the call
/// graph whose edges are the calls and the loads of subprogram addresses in reachable code. A recursive call is
/// refused; a callback that leads back to itself is not.
pub(crate) fn sort_subprogs(program: &mut Program<'_>) -> Result<(), Error> {
    #[derive(Clone, Copy, PartialEq)]
    enum Color {
        Unvisited,
        OnStack,
        Done,
    }
    let cnt = program.subprogs.len();
    let mut color = vec![Color::Unvisited; cnt];
    let mut order = Vec::with_capacity(cnt);
    // Each subprogram on the stack remembers how far its calls are scanned: callees before that point are done.
    let mut stack: Vec<(usize, usize)> = Vec::new();
    for root in 0..cnt {
        if color[root] != Color::Unvisited {
            continue;
        }
        color[root] = Color::OnStack;
        stack.push((root, program.subprogs[root].postorder.start));
        while let Some((current, scanned)) = stack.last_mut() {
            let current = *current;
            let end = program.subprogs[current].postorder.end;
            let mut pushed = None;
            while *scanned < end {
                let idx = program.postorder[*scanned];
                *scanned += 1;
                let insn = program.insn(idx);
                if !insn.is_pseudo_call() && !insn.is_pseudo_func() {
                    continue;
                }
                let callee =
                    program.callee(idx).ok_or_else(|| Error::silent(Pass::SortSubprogs, errno::EFAULT))?;
                match color[callee] {
                    Color::Done => {}
                    Color::OnStack if insn.is_pseudo_func() => {}
                    Color::OnStack => {
                        let name = |subprog| program.subprog_name(subprog).unwrap_or_default();
                        let message =
                            format!("recursive call from {}() to {}()", name(current), name(callee));
                        return Err(Error::new(Pass::SortSubprogs, errno::EINVAL, message));
                    }
                    Color::Unvisited => {
                        pushed = Some(callee);
                        break;
                    }
                }
            }
            match pushed {
                Some(callee) => {
                    color[callee] = Color::OnStack;
                    stack.push((callee, program.subprogs[callee].postorder.start));
                }
                None => {
                    color[current] = Color::Done;
                    order.push(current as u32);
                    stack.pop();
                }
            }
        }
    }
    program.topo_order = order;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Dialect;
    use livediff_capture::{Insn, Loaded, insn::SRC_X};

    /// Linux 7.2 was the first not to take it for a jump to what is behind the subprogram.
    #[test]
    fn an_indirect_jump_ends_a_subprogram_since_7_2() {
        let gotox = Insn { code: class::JMP | jmp::JA | SRC_X, dst_reg: 1, ..Insn::default() };
        let exit = Insn { code: class::JMP | jmp::EXIT, ..Insn::default() };
        let check = |insns: &[Insn], dialect| {
            let loaded = Loaded { insns: insns.to_vec(), ..Loaded::default() };
            let mut program = Program::new(&loaded, dialect);
            add_subprogs(&mut program).unwrap();
            check_subprogs(&mut program).err().and_then(|error| error.message)
        };
        for dialect in Dialect::ALL {
            let refused = (dialect < Dialect::V7_2).then(|| "jump out of range from insn 1 to 2".to_owned());
            assert_eq!(check(&[exit, gotox], dialect), refused, "{dialect:?}");
            assert_eq!(check(&[gotox, exit], dialect), None, "{dialect:?}");
        }
    }
}
