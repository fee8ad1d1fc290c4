//! The control flow graph: reachability, hidden exits, jump tables, postorder, strongly connected components.
//!
//! ```text
//! successors(i) = jump table(i)                     if i is gotox, a tail call, LD_ABS or LD_IND
//!               = fall-through(i) ++ target(i)      else, as the opcode has them
//! postorder     = depth-first postorder of each subprogram in turn, over successors
//! scc(i)        = number of i's component of the graph, in the order in which components are finished;
//!                 0 if i is alone in it, has no edge to itself and is no call that counts as a loop
//! ```

use livediff_capture::insn::{class, jmp};

use super::error::{Error, Pass, errno};
use super::program::Program;
use crate::log::{Event, Listener};

/// How far the walk over the program has come with an instruction (`enum { DISCOVERED, EXPLORED, .. }`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Visit {
    #[default]
    Unseen,
    Discovered,
    /// Its fall-through edge is dealt with.
    FallThrough,
    /// Its branch edge is dealt with too.
    Branch,
    Explored,
}

/// The walk of `bpf_check_cfg`: depth first, from the entry and from the exception callback, through calls.
///
/// The order of visits matters for one thing only: each visit of a call of kernel function 0 prints a line.
struct Walk<'a, 'p> {
    program: &'a mut Program<'p>,
    listener: &'a mut dyn Listener,
    state: Vec<Visit>,
    stack: Vec<u32>,
}

fn fail<T>(message: String) -> Result<T, Error> {
    Err(Error::new(Pass::CheckCfg, errno::EINVAL, message))
}

/// Checks that every instruction can be reached, and gives `gotox` and instructions with a hidden exit their
/// successors (`bpf_check_cfg`).
pub(crate) fn check_cfg(program: &mut Program<'_>, listener: &mut dyn Listener) -> Result<(), Error> {
    let exception_callback = program.loaded.exception_callback;
    let state = vec![Visit::Unseen; program.insns.len()];
    let mut walk = Walk { program, listener, state, stack: Vec::new() };
    for root in [Some(0), exception_callback].into_iter().flatten() {
        walk.run(root)?;
    }
    let Walk { state, .. } = walk;
    let mut idx = 0;
    while let Some(visit) = state.get(idx as usize) {
        if *visit != Visit::Explored {
            return fail(format!("unreachable insn {idx}"));
        }
        if program.insn(idx).is_ldimm64() {
            if state.get(idx as usize + 1) != Some(&Visit::Unseen) {
                return fail(format!("jump into the middle of ldimm64 insn {idx}"));
            }
            idx += 1;
        }
        idx += 1;
    }
    if program.dialect.choices().hidden_exits {
        add_hidden_exits(program);
    }
    Ok(())
}

impl Walk<'_, '_> {
    fn run(&mut self, root: u32) -> Result<(), Error> {
        if self.state.get(root as usize).is_none_or(|visit| *visit == Visit::Explored) {
            return Ok(());
        }
        self.state[root as usize] = Visit::Discovered;
        self.stack.push(root);
        while let Some(&idx) = self.stack.last() {
            if !self.visit(idx)? {
                self.state[idx as usize] = Visit::Explored;
                self.stack.pop();
            }
        }
        Ok(())
    }

    /// One visit of an instruction (`visit_insn`); true if it must be visited again.
    fn visit(&mut self, idx: u32) -> Result<bool, Error> {
        let insn = self.program.insn(idx);
        let is_jump = matches!(insn.class(), class::JMP | class::JMP32);
        let target = idx.wrapping_add_signed(insn.jmp_offset()).wrapping_add(1);
        let after = idx + insn.slots() as u32;
        if insn.is_pseudo_func() {
            return self.visit_call(idx, after, true);
        }
        match insn.op() {
            _ if !is_jump => self.push(idx, after, Visit::FallThrough),
            jmp::EXIT => Ok(false),
            jmp::CALL => {
                if self.program.is_invalid_kfunc_call(&insn) && self.listener.listens() {
                    self.listener.event(self.program, Event::InvalidKfunc { insn: idx });
                }
                self.visit_call(idx, after, insn.is_pseudo_call())
            }
            jmp::JA if insn.is_src_x() => self.visit_gotox(idx),
            jmp::JA => self.push(idx, target, Visit::FallThrough),
            _ => Ok(self.push(idx, after, Visit::FallThrough)? || self.push(idx, target, Visit::Branch)?),
        }
    }

    /// `visit_func_call_insn`.
    fn visit_call(&mut self, idx: u32, after: u32, into_callee: bool) -> Result<bool, Error> {
        if self.push(idx, after, Visit::FallThrough)? {
            return Ok(true);
        }
        match self.program.callee(idx).filter(|_| into_callee) {
            Some(callee) => self.push(idx, self.program.subprogs[callee].start, Visit::Branch),
            None => Ok(false),
        }
    }

    /// Follows an edge (`push_insn`); true if it leads to an instruction that was not seen before.
    fn push(&mut self, from: u32, to: u32, edge: Visit) -> Result<bool, Error> {
        if self.state[from as usize] >= edge {
            return Ok(false);
        }
        match self.state.get(to as usize) {
            None => fail(format!("jump out of range from insn {from} to {to}")),
            Some(Visit::Unseen) => {
                self.state[from as usize] = edge;
                self.state[to as usize] = Visit::Discovered;
                self.stack.push(to);
                Ok(true)
            }
            Some(Visit::Explored) => {
                self.state[from as usize] = edge;
                Ok(false)
            }
            // An edge back to where the walk comes from.
            Some(_) => Ok(false),
        }
    }

    /// `visit_gotox_insn`.
    fn visit_gotox(&mut self, idx: u32) -> Result<bool, Error> {
        if self.program.jump_tables[idx as usize].is_none() {
            self.program.jump_tables[idx as usize] = Some(jump_table(self.program, idx)?);
        }
        let targets = self.program.successors(idx);
        let depth = self.stack.len();
        for &target in targets.as_slice() {
            match self.state.get_mut(target as usize) {
                None => return fail(format!("indirect jump out of range from insn {idx} to {target}")),
                Some(visit @ Visit::Unseen) => {
                    *visit = Visit::Discovered;
                    self.stack.push(target);
                }
                Some(_) => {}
            }
        }
        Ok(self.stack.len() > depth)
    }
}

/// A tail call that succeeds and a packet load that fails leave the subprogram: each gets an edge to the
/// subprogram's last `exit` (`visit_abnormal_return_insn`).
fn add_hidden_exits(program: &mut Program<'_>) {
    for idx in 0..program.len() {
        let insn = program.insn(idx);
        let subprog = program.containing_subprog(idx).filter(|_| insn.is_abnormal_return());
        if let Some(subprog) = subprog {
            let exit_idx = program.subprogs[subprog].exit_idx;
            program.jump_tables[idx as usize] = Some([idx + 1, exit_idx].into());
        }
    }
}

/// The targets of the `gotox` at `idx`: all entries of every instruction array whose smallest entry lies in the
/// subprogram, sorted, each once (`create_jt`).
fn jump_table(program: &Program<'_>, idx: u32) -> Result<Box<[u32]>, Error> {
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
                || program.dialect.choices().callbacks_are_loops && program.calls_callback(idx);
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
