//! Which registers hold a known constant, map or subprogram before each instruction, and which conditional jumps
//! that decides.
//!
//! ```text
//! value     = unvisited | unknown | constant u64 | map | map value + offset | subprogram
//! in[entry of a subprogram] = unknown for every register
//! in[s]     = join of out[i] over the predecessors i of s, in the order of a reverse postorder walk
//! out[i]    = transfer(i, in[i])
//! join(unvisited, x) = x;  join(x, x) = x;  join(x, y) = unknown
//! ```
//! A value is kept only if it is a map, a subprogram, or a constant that fits into 32 bits unsigned.

use livediff_capture::Insn;
use livediff_capture::insn::{MAX_BPF_REG, alu, class, jmp, mode, pseudo};

use super::cfg;
use super::error::{Error, Pass, errno};
use super::program::Program;

/// `BPF_MAP_TYPE_INSN_ARRAY`.
const MAP_TYPE_INSN_ARRAY: u32 = 34;

/// What the registers r0 to r9 are known to hold before an instruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConstRegs {
    constants: u16,
    maps: u16,
    subprogs: u16,
    values: [u32; 10],
}

impl ConstRegs {
    fn get(&self, mask: u16, reg: usize) -> Option<u32> {
        let value = *self.values.get(reg)?;
        (mask >> reg & 1 == 1).then_some(value)
    }

    /// The constant in the register; nothing for r10 and above (`const_reg_mask`).
    pub fn constant(&self, reg: usize) -> Option<u32> {
        self.get(self.constants, reg)
    }

    /// The index into [`livediff_capture::Loaded::maps`] of the map in the register (`const_reg_map_mask`).
    pub fn map(&self, reg: usize) -> Option<u32> {
        self.get(self.maps, reg)
    }

    /// The subprogram whose address is in the register (`const_reg_subprog_mask`).
    pub fn subprog(&self, reg: usize) -> Option<u32> {
        self.get(self.subprogs, reg)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Unvisited,
    Unknown,
    Const,
    Map,
    MapValue,
    Subprog,
}

/// What a register holds (`struct const_arg_info`).
///
/// The kernel writes only the fields that a new state uses and compares all of them where paths join. So
/// `value` and `map` must keep what an earlier state left there: a constant that was loaded over a map differs
/// from the same constant that was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Value {
    state: State,
    map: u32,
    value: u64,
}

impl Value {
    const UNKNOWN: Value = Value { state: State::Unknown, map: 0, value: 0 };

    fn is_const(&self) -> bool {
        self.state == State::Const
    }

    fn set_const(&mut self, value: u64) {
        self.state = State::Const;
        self.value = value;
    }
}

type Regs = [Value; MAX_BPF_REG];

/// Computes [`Program::const_regs`] (`bpf_compute_const_regs`).
pub(crate) fn compute_const_regs(program: &mut Program<'_>) {
    let mut regs_in = vec![Regs::default(); program.insns.len()];
    for subprog in &program.subprogs {
        regs_in[subprog.start as usize] = [Value::UNKNOWN; MAX_BPF_REG];
    }
    // A value that was joined already changes nothing when it is joined again, so an instruction has its say once
    // and then whenever something before it has changed.
    let mut has_news = vec![true; program.insns.len()];
    loop {
        let mut changed = false;
        for &idx in program.postorder.iter().rev() {
            if !std::mem::take(&mut has_news[idx as usize]) {
                continue;
            }
            let mut out = regs_in[idx as usize];
            transfer(program, idx, &mut out);
            for &successor in program.successors(idx).as_slice() {
                if let Some(target) = regs_in.get_mut(successor as usize)
                    && join(target, &out)
                {
                    has_news[successor as usize] = true;
                    changed = true;
                }
            }
        }
        if !changed {
            break;
        }
    }
    program.const_regs = regs_in.iter().map(keep).collect();
}

fn keep(regs: &Regs) -> ConstRegs {
    let mut kept = ConstRegs::default();
    for (reg, (value, slot)) in regs.iter().zip(&mut kept.values).enumerate() {
        let (mask, kept_value) = match value.state {
            State::Const => match u32::try_from(value.value) {
                Ok(value) => (&mut kept.constants, value),
                Err(_) => continue,
            },
            State::Map => (&mut kept.maps, value.map),
            State::Subprog => (&mut kept.subprogs, value.value as u32),
            State::Unvisited | State::Unknown | State::MapValue => continue,
        };
        *mask |= 1 << reg;
        *slot = kept_value;
    }
    kept
}

/// `const_reg_join`.
fn join(target: &mut Regs, out: &Regs) -> bool {
    let mut changed = false;
    for (old, new) in target.iter_mut().zip(out) {
        match old.state {
            State::Unvisited if new.state != State::Unvisited => *old = *new,
            State::Unvisited | State::Unknown => continue,
            _ if old == new => continue,
            _ => old.state = State::Unknown,
        }
        changed = true;
    }
    changed
}

/// `const_reg_xfer`.
fn transfer(program: &Program<'_>, idx: u32, regs: &mut Regs) {
    let insn = program.insn(idx);
    let src = regs.get(insn.src_reg as usize).copied().unwrap_or(Value::UNKNOWN);
    let changed = match insn.class() {
        class::LD if insn.is_ld_abs_ind() => return clobber(regs),
        class::JMP if insn.code & !0x07 == jmp::CALL => return clobber(regs),
        class::ALU | class::ALU64 | class::LDX => insn.dst_reg,
        class::LD if insn.is_ldimm64() => insn.dst_reg,
        class::STX => match insn.atomic_load_reg() {
            Some(reg) => reg,
            None => return,
        },
        // Neither a jump nor a store, be it of a stack argument, changes a register.
        _ => return,
    };
    let Some(dst) = regs.get_mut(changed as usize) else { return };
    match insn.class() {
        class::ALU | class::ALU64 => transfer_alu(&insn, dst, &src),
        class::LD => transfer_ldimm64(program, idx, dst),
        class::LDX => match read_rdonly(program, &src, &insn) {
            Some(value) => dst.set_const(value),
            None => *dst = Value::UNKNOWN,
        },
        _ => *dst = Value::UNKNOWN,
    }
}

/// A call leaves nothing known in r0 to r5.
fn clobber(regs: &mut Regs) {
    regs[..=5].fill(Value::UNKNOWN);
}

fn transfer_alu(insn: &Insn, dst: &mut Value, src: &Value) {
    let imm = i64::from(insn.imm) as u64;
    let can_offset = matches!(dst.state, State::Const | State::MapValue);
    match (insn.op(), insn.is_src_x()) {
        (alu::MOV, false) => dst.set_const(imm),
        (alu::MOV, true) => {
            *dst = *src;
            let value = match insn.off {
                0 => None,
                8 if dst.is_const() => Some(dst.value as i8 as u64),
                16 if dst.is_const() => Some(dst.value as i16 as u64),
                32 if dst.is_const() => Some(dst.value as i32 as u64),
                _ => {
                    *dst = Value::UNKNOWN;
                    None
                }
            };
            dst.value = value.unwrap_or(dst.value);
        }
        (alu::ADD, false) if can_offset => dst.value = dst.value.wrapping_add(imm),
        (alu::SUB, false) if can_offset => dst.value = dst.value.wrapping_sub(imm),
        (alu::AND, false) if dst.is_const() => dst.value &= imm,
        (alu::AND, false) if imm == 0 => dst.set_const(0),
        (alu::AND, true) if dst.is_const() && dst.value == 0 => {}
        (alu::AND, true) if src.is_const() && src.value == 0 => dst.set_const(0),
        (alu::AND, true) if dst.is_const() && src.is_const() => dst.value &= src.value,
        _ => *dst = Value::UNKNOWN,
    }
    if insn.class() == class::ALU {
        match dst.state {
            State::Const => dst.value = u64::from(dst.value as u32),
            State::Unknown => {}
            _ => *dst = Value::UNKNOWN,
        }
    }
}

fn transfer_ldimm64(program: &Program<'_>, idx: u32, dst: &mut Value) {
    let (first, second) = (program.insn(idx), program.insn(idx + 1));
    match first.src_reg {
        pseudo::FUNC => match program.callee(idx) {
            Some(callee) => {
                dst.state = State::Subprog;
                dst.value = callee as u64;
            }
            None => *dst = Value::UNKNOWN,
        },
        pseudo::MAP_VALUE | pseudo::MAP_IDX_VALUE => {
            *dst = Value { state: State::MapValue, map: first.imm as u32, value: second.imm as u32 as u64 };
        }
        pseudo::MAP_FD | pseudo::MAP_IDX => {
            dst.state = State::Map;
            dst.map = first.imm as u32;
        }
        0 => dst.set_const(u64::from(first.imm as u32) | u64::from(second.imm as u32) << 32),
        _ => *dst = Value::UNKNOWN,
    }
}

/// Reads a constant through `src` out of a frozen map that programs cannot write (`bpf_map_direct_read`).
fn read_rdonly(program: &Program<'_>, src: &Value, insn: &Insn) -> Option<u64> {
    if src.state != State::MapValue {
        return None;
    }
    let map = program.loaded.maps.get(src.map as usize)?;
    let value = map.rdonly_value.as_ref().filter(|_| map.map_type != MAP_TYPE_INSN_ARRAY)?;
    // The kernel computes the offset in 32 bits.
    let start = (src.value as i32).wrapping_add(insn.off.into());
    let start = usize::try_from(start).ok()?;
    let end = start.checked_add(insn.size_bytes() as usize)?;
    if end > map.shape.value_size as usize {
        return None;
    }
    let signed = insn.mode() == mode::MEMSX;
    Some(match (value.get(start..end)?, signed) {
        (&[byte], false) => byte.into(),
        (&[byte], true) => byte as i8 as u64,
        (&[a, b], false) => u16::from_le_bytes([a, b]).into(),
        (&[a, b], true) => i16::from_le_bytes([a, b]) as u64,
        (&[a, b, c, d], false) => u32::from_le_bytes([a, b, c, d]).into(),
        (&[a, b, c, d], true) => i32::from_le_bytes([a, b, c, d]) as u64,
        (bytes, _) => u64::from_le_bytes(bytes.try_into().ok()?),
    })
}

/// Rewrites conditional jumps whose outcome is known into unconditional ones, and recomputes the postorder if
/// there were any (`bpf_prune_dead_branches`).
pub(crate) fn prune_dead_branches(program: &mut Program<'_>) -> Result<(), Error> {
    let mut changed = false;
    for idx in 0..program.insns.len() {
        let insn = program.insns[idx];
        if !insn.is_cond_jump() || insn.is_may_goto() {
            continue;
        }
        let regs = &program.const_regs[idx];
        let Some(dst) = regs.constant(insn.dst_reg.into()) else { continue };
        let src = match insn.is_src_x() {
            false => i64::from(insn.imm) as u64,
            true => match regs.constant(insn.src_reg.into()) {
                Some(src) => src.into(),
                None => continue,
            },
        };
        let (dst, src) = match insn.class() {
            class::JMP32 => (dst as i32 as u64, src as i32 as u64),
            _ => (dst.into(), src),
        };
        let Some(taken) = eval_const_branch(insn.op(), dst, src) else {
            let message = format!("Unknown conditional jump {:x}", insn.code);
            return Err(Error::new(Pass::PruneDeadBranches, errno::EFAULT, message));
        };
        program.insns[idx] =
            Insn { code: class::JMP | jmp::JA, off: if taken { insn.off } else { 0 }, ..Insn::default() };
        changed = true;
    }
    if changed {
        cfg::compute_postorder(program);
    }
    Ok(())
}

fn eval_const_branch(op: u8, dst: u64, src: u64) -> Option<bool> {
    let (signed_dst, signed_src) = (dst as i64, src as i64);
    Some(match op {
        jmp::JEQ => dst == src,
        jmp::JNE => dst != src,
        jmp::JGT => dst > src,
        jmp::JGE => dst >= src,
        jmp::JLT => dst < src,
        jmp::JLE => dst <= src,
        jmp::JSGT => signed_dst > signed_src,
        jmp::JSGE => signed_dst >= signed_src,
        jmp::JSLT => signed_dst < signed_src,
        jmp::JSLE => signed_dst <= signed_src,
        jmp::JSET => dst & src != 0,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn insn(code: u8, dst_reg: u8, src_reg: u8, off: i16, imm: i32) -> Insn {
        Insn { code, dst_reg, src_reg, off, imm }
    }

    fn alu(insn: Insn, mut dst: Value, src: Value) -> Value {
        transfer_alu(&insn, &mut dst, &src);
        dst
    }

    fn constant(value: u64) -> Value {
        Value { state: State::Const, map: 0, value }
    }

    fn joined(old: Value, new: Value) -> Value {
        let mut regs = [old; MAX_BPF_REG];
        let changed = join(&mut regs, &[new; MAX_BPF_REG]);
        assert_eq!(changed, regs[0] != old, "{old:?} {new:?}");
        regs[0]
    }

    /// Values of every state, with what earlier states may have left in them.
    fn values() -> Vec<Value> {
        let mut values = vec![Value::default()];
        for state in [State::Unknown, State::Const, State::Map, State::MapValue, State::Subprog] {
            for (map, value) in [(0, 0), (0, 7), (1, 0), (1, 7)] {
                values.push(Value { state, map, value });
            }
        }
        values
    }

    /// What an unvisited instruction would hand on is the exception, as the kernel has it: it is joined like a value
    /// that differs. None is handed on, because an instruction is visited before what follows it.
    #[test]
    fn a_join_keeps_equals_and_does_not_depend_on_the_order_of_what_was_visited() {
        let visited = |value: &Value| value.state != State::Unvisited;
        for a in values() {
            assert_eq!(joined(a, a), a);
            assert_eq!(joined(Value::default(), a), a);
            let unvisited_last = if visited(&a) { State::Unknown } else { State::Unvisited };
            assert_eq!(joined(a, Value::default()).state, unvisited_last);
            for b in values().into_iter().filter(visited) {
                assert!(!visited(&a) || joined(a, b).state == joined(b, a).state, "{a:?} {b:?}");
                for c in values().into_iter().filter(visited) {
                    let (left, right) = (joined(joined(a, b), c), joined(a, joined(b, c)));
                    assert_eq!(left.state, right.state, "{a:?} {b:?} {c:?}");
                    if left.state != State::Unknown {
                        assert_eq!(left, right, "{a:?} {b:?} {c:?}");
                    }
                }
            }
        }
    }

    /// The fixed point may pass over what has no news, see the same law in `arg_track`.
    #[test]
    fn what_was_joined_once_changes_nothing_ever_after() {
        let visited: Vec<Value> =
            values().into_iter().filter(|value| value.state != State::Unvisited).collect();
        for known in values() {
            for &a in &visited {
                let first = joined(known, a);
                assert_eq!(joined(first, a), first, "{known:?} {a:?}");
                for &other in &visited {
                    let later = joined(first, other);
                    assert_eq!(joined(later, a), later, "{known:?} {a:?} {other:?}");
                }
            }
        }
    }

    #[test]
    fn a_constant_over_a_map_is_not_the_same_constant() {
        let map = Value { state: State::Map, map: 3, value: 0 };
        let over_map = alu(insn(class::ALU64 | alu::MOV, 1, 0, 0, 7), map, Value::UNKNOWN);
        let plain = alu(insn(class::ALU64 | alu::MOV, 1, 0, 0, 7), Value::UNKNOWN, Value::UNKNOWN);
        assert_eq!((over_map.state, over_map.value), (State::Const, 7));
        let mut regs = [plain; MAX_BPF_REG];
        assert!(join(&mut regs, &[over_map; MAX_BPF_REG]));
        assert_eq!(regs[0].state, State::Unknown);
        assert!(!join(&mut regs, &[plain; MAX_BPF_REG]), "unknown stays unknown");
    }

    #[test]
    fn the_second_half_of_a_load_is_no_load() {
        let loaded = livediff_capture::Loaded {
            insns: vec![insn(class::LD | mode::IMM | 0x18, 1, 0, 0, 7), insn(0, 0, 0, 0, 9)],
            ..livediff_capture::Loaded::default()
        };
        let program = Program::new(&loaded, crate::Dialect::V7_2);
        let mut regs = [Value::UNKNOWN; MAX_BPF_REG];
        transfer(&program, 1, &mut regs);
        assert_eq!(regs, [Value::UNKNOWN; MAX_BPF_REG]);
        transfer(&program, 0, &mut regs);
        assert_eq!(regs[1], constant(9 << 32 | 7));
    }

    #[test]
    fn moves_extend_the_sign_of_constants_only() {
        let mov = |class, off| insn(class | alu::MOV | 8, 1, 2, off, 0);
        let from = constant(0xffff_80fe);
        assert_eq!(alu(mov(class::ALU64, 0), Value::UNKNOWN, from).value, 0xffff_80fe);
        assert_eq!(alu(mov(class::ALU64, 8), Value::UNKNOWN, from).value, -2i64 as u64);
        assert_eq!(alu(mov(class::ALU64, 16), Value::UNKNOWN, from).value, 0xffff_ffff_ffff_80fe);
        assert_eq!(alu(mov(class::ALU64, 32), Value::UNKNOWN, from).value, 0xffff_ffff_ffff_80fe);
        assert_eq!(alu(mov(class::ALU, 8), Value::UNKNOWN, from).value, 0xffff_fffe);
        assert_eq!(alu(mov(class::ALU64, 1), Value::UNKNOWN, from), Value::UNKNOWN);
        let map = Value { state: State::Map, map: 3, value: 0 };
        assert_eq!(alu(mov(class::ALU64, 8), Value::UNKNOWN, map), Value::UNKNOWN);
        assert_eq!(alu(mov(class::ALU64, 0), Value::UNKNOWN, map), map);
        assert_eq!(alu(mov(class::ALU, 0), Value::UNKNOWN, map), Value::UNKNOWN);
    }

    #[test]
    fn and_with_zero_is_zero_whatever_the_other_is() {
        let and_imm = |imm| insn(class::ALU64 | alu::AND, 1, 0, 0, imm);
        let and_reg = insn(class::ALU64 | alu::AND | 8, 1, 2, 0, 0);
        assert_eq!(alu(and_imm(0), Value::UNKNOWN, Value::UNKNOWN), constant(0));
        assert_eq!(alu(and_imm(1), Value::UNKNOWN, Value::UNKNOWN), Value::UNKNOWN);
        assert_eq!(alu(and_imm(-2), constant(u64::MAX), Value::UNKNOWN), constant(-2i64 as u64));
        assert_eq!(alu(and_reg, constant(0), Value::UNKNOWN), constant(0));
        assert_eq!(alu(and_reg, Value::UNKNOWN, constant(0)), constant(0));
        assert_eq!(alu(and_reg, constant(6), constant(3)), constant(2));
        assert_eq!(alu(and_reg, constant(6), Value::UNKNOWN), Value::UNKNOWN);
    }

    #[test]
    fn conditions_are_decided_as_signed_and_unsigned() {
        let minus_one = u64::MAX;
        for (op, minus_one_to_one, equal, one_to_minus_one) in [
            (jmp::JEQ, false, true, false),
            (jmp::JNE, true, false, true),
            (jmp::JGT, true, false, false),
            (jmp::JGE, true, true, false),
            (jmp::JLT, false, false, true),
            (jmp::JLE, false, true, true),
            (jmp::JSGT, false, false, true),
            (jmp::JSGE, false, true, true),
            (jmp::JSLT, true, false, false),
            (jmp::JSLE, true, true, false),
            (jmp::JSET, true, true, true),
        ] {
            assert_eq!(eval_const_branch(op, minus_one, 1), Some(minus_one_to_one), "{op:#x}");
            assert_eq!(eval_const_branch(op, 1, 1), Some(equal), "{op:#x}");
            assert_eq!(eval_const_branch(op, 1, minus_one), Some(one_to_minus_one), "{op:#x}");
        }
        assert_eq!(eval_const_branch(jmp::JSET, 2, 1), Some(false));
        assert_eq!(eval_const_branch(0xf0, 1, 1), None);
    }
}
