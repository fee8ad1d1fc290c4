//! The control flow graph: reachability, hidden exits, jump tables, postorder, strongly connected components.
//!
//! ```text
//! successors(i) = jump table(i)                     if i is gotox, a tail call, LD_ABS or LD_IND
//!               = fall-through(i) ++ target(i)      else, as the opcode has them
//! postorder     = depth-first postorder of each subprogram in turn, over successors
//! scc(i)        = number of i's component of the graph, in the order in which components are finished;
//!                 0 if i is alone in it, has no edge to itself and runs no callback
//! ```

use livediff_capture::insn::func;

use super::error::{Error, Pass, errno};
use super::program::Program;

/// Checks that every instruction can be reached, and gives `gotox` and instructions with a hidden exit their
/// successors (`bpf_check_cfg`).
pub(crate) fn check_cfg(program: &mut Program<'_>) -> Result<(), Error> {
    let fail = |message: String| Err(Error::new(Pass::CheckCfg, errno::EINVAL, message));
    let len = program.len();
    let mut reached = vec![false; len as usize];
    let mut stack = vec![0u32];
    stack.extend(program.loaded.exception_callback);
    let mut edges = Vec::new();
    while let Some(idx) = stack.pop() {
        match reached.get_mut(idx as usize) {
            None => return fail(format!("jump out of range to insn {idx}")),
            Some(reached) if *reached => continue,
            Some(reached) => *reached = true,
        }
        let insn = program.insn(idx);
        edges.clear();
        if insn.is_gotox() {
            let table = jump_table(program, idx)?;
            edges.extend_from_slice(&table);
            program.jump_tables[idx as usize] = Some(table);
        } else {
            edges.extend_from_slice(program.successors(idx).as_slice());
        }
        if insn.is_pseudo_call() || insn.is_pseudo_func() {
            edges.extend(program.callee(idx).map(|callee| program.subprogs[callee].start));
        }
        stack.extend_from_slice(&edges);
    }
    let mut idx = 0;
    while idx < len {
        if !reached[idx as usize] {
            return fail(format!("unreachable insn {idx}"));
        }
        if program.insn(idx).is_ldimm64() {
            if reached.get(idx as usize + 1).copied().unwrap_or(true) {
                return fail(format!("jump into the middle of ldimm64 insn {idx}"));
            }
            idx += 1;
        }
        idx += 1;
    }
    add_hidden_exits(program);
    Ok(())
}

/// A tail call that succeeds and a packet load that fails leave the subprogram: each gets an edge to the
/// subprogram's last `exit` (`visit_abnormal_return_insn`).
fn add_hidden_exits(program: &mut Program<'_>) {
    for idx in 0..program.len() {
        let insn = program.insn(idx);
        let is_tail_call = insn.is_helper_call() && insn.imm == func::TAIL_CALL;
        let subprog = program.containing_subprog(idx).filter(|_| insn.is_ld_abs_ind() || is_tail_call);
        if let Some(subprog) = subprog {
            let exit_idx = program.subprogs[subprog].exit_idx;
            program.jump_tables[idx as usize] = Some([idx + 1, exit_idx].into());
        }
    }
}

/// The targets of the `gotox` at `idx`: all entries of every instruction array whose smallest entry lies in the
/// subprogram, sorted, each once (`create_jt`).
fn jump_table(program: &Program<'_>, idx: u32) -> Result<Box<[u32]>, Error> {
    let fail = |message: String| Err(Error::new(Pass::CheckCfg, errno::EINVAL, message));
    let Some(subprog) = program.containing_subprog(idx) else {
        return fail(format!("no subprogram contains insn {idx}"));
    };
    let (start, end) = (program.subprogs[subprog].start, program.subprogs[subprog].end);
    let mut targets = Vec::new();
    for array in program.loaded.maps.iter().filter_map(|map| map.insn_array.as_ref()) {
        match array.iter().min() {
            None => return fail("an instruction array is empty".into()),
            Some(first) if (start..end).contains(first) => targets.extend_from_slice(array),
            Some(_) => {}
        }
    }
    if targets.is_empty() {
        return fail(format!("no jump tables found for subprog starting at {start}"));
    }
    targets.sort_unstable();
    targets.dedup();
    if !targets.iter().all(|target| (start..end).contains(target)) {
        return fail(format!("jump table for insn {idx} points outside of the subprog [{start},{end}]"));
    }
    Ok(targets.into())
}

/// Lists each subprogram's reachable instructions in postorder (`bpf_compute_postorder`).
///
/// It is not the textbook's: all undiscovered successors of an instruction are discovered and stacked at once,
/// so that a later one is finished before an earlier one.
pub(crate) fn compute_postorder(program: &mut Program<'_>) {
    const DISCOVERED: u8 = 1;
    const EXPLORED: u8 = 2;
    let mut state = vec![0u8; program.insns.len()];
    let mut postorder = Vec::with_capacity(program.insns.len());
    let mut stack = Vec::new();
    for subprog in 0..program.subprogs.len() {
        let first = postorder.len();
        stack.push(program.subprogs[subprog].start);
        while let Some(&top) = stack.last() {
            let Some(top_state) = state.get_mut(top as usize) else {
                stack.pop();
                continue;
            };
            let explored = *top_state & EXPLORED != 0;
            *top_state = DISCOVERED | EXPLORED;
            if explored {
                postorder.push(top);
                stack.pop();
                continue;
            }
            for &successor in program.successors(top).as_slice() {
                if let Some(successor_state @ 0) = state.get_mut(successor as usize) {
                    *successor_state = DISCOVERED;
                    stack.push(successor);
                }
            }
        }
        program.subprogs[subprog].postorder = first..postorder.len();
    }
    program.postorder = postorder;
}

/// Numbers the strongly connected components (`bpf_compute_scc`): Tarjan's algorithm with an explicit stack, in
/// the variant that takes the minimum of `low` for every visited successor, a finished one having the largest.
pub(crate) fn compute_scc(program: &mut Program<'_>) {
    const FINISHED: u32 = u32::MAX;
    let cnt = program.insns.len();
    let mut pre = vec![0u32; cnt];
    let mut low = vec![0u32; cnt];
    let mut scc = vec![0u32; cnt];
    let mut component = Vec::new();
    // An instruction on the depth-first stack remembers how many of its successors are dealt with.
    let mut dfs: Vec<(u32, usize)> = Vec::new();
    let mut next_preorder = 1;
    let mut next_scc = 1;
    for root in 0..cnt as u32 {
        if pre[root as usize] != 0 {
            continue;
        }
        dfs.push((root, 0));
        while let Some((idx, dealt_with)) = dfs.last_mut() {
            let (idx, w) = (*idx, *idx as usize);
            if pre[w] == 0 {
                pre[w] = next_preorder;
                low[w] = next_preorder;
                next_preorder += 1;
                component.push(idx);
            }
            let successors = program.successors(idx);
            let mut descend = None;
            while let Some(&successor) = successors.as_slice().get(*dealt_with) {
                match pre.get(successor as usize) {
                    // Outside of the program: cannot happen after `check_subprogs`, but must not panic.
                    None => {}
                    Some(0) => {
                        descend = Some(successor);
                        break;
                    }
                    Some(_) => low[w] = low[w].min(low[successor as usize]),
                }
                *dealt_with += 1;
            }
            if let Some(successor) = descend {
                dfs.push((successor, 0));
                continue;
            }
            dfs.pop();
            if low[w] < pre[w] {
                continue;
            }
            let is_loop = component.last() != Some(&idx)
                || successors.as_slice().contains(&idx)
                || program.calls_callback(idx);
            while let Some(member) = component.pop() {
                low[member as usize] = FINISHED;
                if is_loop {
                    scc[member as usize] = next_scc;
                }
                if member == idx {
                    break;
                }
            }
            next_scc += u32::from(is_loop);
        }
    }
    program.scc = scc;
}
