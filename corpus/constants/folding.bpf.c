/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is a constant, and what ends it. Every value is shown by a branch: decided if known.
 *
 * Pins down (const_fold.c): const_reg_xfer, every case; const_reg_join, also of values that look equal but
 * carry another map or value left from before; loads from frozen read-only maps.
 */
#include "corpus.h"

const volatile __u8 bytes[16] SEC(".rodata") = { 0x11, 0x82, 0x33, 0xf4, 0x55, 0x66, 0x77, 0x88,
						 0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0 };
const volatile __u64 wide SEC(".rodata") = 0x123456789ULL;
const volatile __u64 narrow SEC(".rodata") = 42;
const volatile __u32 last SEC(".rodata.last") = 7;
const volatile __u32 other SEC(".rodata.other") = 7;
volatile __u32 writable SEC(".data") = 7;
DEFINE_MAP(map_a, BPF_MAP_TYPE_ARRAY, 4, 8, 1);
DEFINE_MAP(map_b, BPF_MAP_TYPE_HASH, 8, 16, 1);

#define IS(condition) "if " condition " goto +1; r0 += 1;"

/* MOV of immediates and registers, in 64 and 32 bits. */
PROG("socket", moves)
{
	ASM("r0 = 0;"
	    "r2 = 7;" IS("r2 == 7")
	    "r3 = r2;" IS("r3 == 7")
	    "w3 = -1;" IS("r3 == -1") IS("w3 == -1")
	    "w4 = w3;" IS("w4 == -1") IS("r4 > 5")
	    "r5 = -1; w5 = w5;" IS("w5 == -1")
	    "r6 = 0x100000007 ll;" IS("r6 == 7")
	    "w6 = w6;" IS("r6 == 7")
	    "r7 = 0x1234 ll;" IS("r7 == 0x1234")
	    "r8 = r10;" IS("r8 == 0")
	    "r9 = r9;" IS("r9 == 0")
	    "exit;");
}

/* Moves that sign-extend, from each width, to 64 and 32 bits. */
PROG("socket", moves_sign_extending)
{
	ASM("r0 = 0;"
	    "r1 = 0x17f;"
	    "r2 = (s8)r1;" IS("r2 == 127")
	    "r1 = 0x180;"
	    "r2 = (s8)r1;" IS("r2 == -128")
	    "w2 = w2;" IS("w2 == -128")
	    "w2 = (s8)w1;" IS("w2 == -128")
	    "r1 = 0x17fff;"
	    "r2 = (s16)r1;" IS("r2 == 0x7fff")
	    "r1 = 0x18000;"
	    "w2 = (s16)w1;" IS("w2 == -32768")
	    "r2 = (s16)r1;" IS("r2 == -32768")
	    "w2 = w2;" IS("w2 == -32768")
	    "r1 = 0x17fffffff ll;"
	    "r2 = (s32)r1;" IS("r2 == 0x7fffffff")
	    "r1 = 0x80000000 ll;"
	    "r2 = (s32)r1;" IS("r2 == -1")
	    "w2 = w2;" IS("w2 == 0x80000000")
	    "r3 = 5;" ADDR_SPACE_CAST(4, 3, 1) IS("r4 == 5")
	    "r5 = map_a ll;"
	    "r5 = (s32)r5;" IS("r5 == 0")
	    "exit;");
}

/* ADD, SUB and AND with an immediate, with wrap-around and out of 32 bits and back. */
PROG("socket", immediate_arithmetic)
{
	ASM("r0 = 0;"
	    "r1 = 5;"
	    "r1 += 3;" IS("r1 == 8")
	    "r1 -= 10;" IS("r1 == -2")
	    "r1 += 2;" IS("r1 == 0")
	    "r1 -= -9;" IS("r1 == 9")
	    "w1 += -10;" IS("w1 == -1")
	    "w1 += 1;" IS("r1 == 0")
	    "w1 -= 1;" IS("w1 == -1")
	    "r1 += 1;" IS("r1 == 0")
	    "r1 -= 1;" IS("w1 == -1")
	    "r1 &= 0xf0;" IS("r1 == 0xf0")
	    "w1 = -1;"
	    "r1 &= -16;" IS("w1 == -16")
	    "r2 = -1;"
	    "r2 &= 15;" IS("r2 == 15")
	    "r2 = -1;"
	    "w2 &= -16;" IS("w2 == -16")
	    "exit;");
}

/* AND with zero makes a constant of anything; AND of registers. */
PROG("socket", and_with_zero)
{
	ASM("r0 = 0;"
	    "r6 = *(u32 *)(r1 + 0);"
	    "r2 = r6; r2 &= 0;" IS("r2 == 0")
	    "r2 = r6; r2 &= 1;" IS("r2 == 0")
	    "r2 = r6; w2 &= 0;" IS("r2 == 0")
	    "r2 = 0; r2 &= r6;" IS("r2 == 0")
	    "r3 = 0; r2 = r6; r2 &= r3;" IS("r2 == 0")
	    "r3 = 1; r2 = r6; r2 &= r3;" IS("r2 == 0")
	    "r3 = 6; r2 = 3; r2 &= r3;" IS("r2 == 2")
	    "r3 = 1; r3 &= r6;" IS("r3 == 0")
	    "r4 = map_a ll;"
	    "r4 &= 0;" IS("r4 == 0")
	    "r4 = wide ll;"
	    "r3 = 0;"
	    "w4 &= w3;" IS("r4 == 0")
	    "exit;");
}

/* Every other operation gives the unknown, with constants on both sides. */
PROG("socket", other_operations)
{
	ASM("r0 = 0; r3 = 1;"
	    "r2 = 1; r2 += r3;" IS("r2 == 2")
	    "r2 = 1; r2 -= r3;" IS("r2 == 0")
	    "r2 = 1; r2 |= 2;" IS("r2 == 3")
	    "r2 = 1; r2 ^= 1;" IS("r2 == 0")
	    "r2 = 1; r2 *= 2;" IS("r2 == 2")
	    "r2 = 1; r2 <<= 1;" IS("r2 == 2")
	    "r2 = 1; r2 >>= 1;" IS("r2 == 0")
	    "r2 = 1; r2 s>>= 1;" IS("r2 == 0")
	    "r2 = 1; r2 /= 1;" IS("r2 == 1")
	    "r2 = 1; r2 = -r2;" IS("r2 == 0")
	    "r2 = 1; r2 = bswap64 r2;" IS("r2 == 0")
	    "r2 = 1; r2 = le16 r2;" IS("r2 == 1")
	    "r2 = 1; w2 |= w3;" IS("w2 == 1")
	    "r3 += 4;" IS("r3 == 5")
	    "exit;");
}

/* Loads of each size from a frozen read-only map; sign-extending ones shown after a 32-bit move. */
PROG("socket", readonly_sizes)
{
	ASM("r0 = 0;"
	    "r1 = bytes ll;"
	    "r2 = *(u8 *)(r1 + 0);" IS("r2 == 0x11")
	    "r2 = *(u8 *)(r1 + 1);" IS("r2 == 0x82")
	    "r2 = *(u16 *)(r1 + 0);" IS("r2 == 0x8211")
	    "r2 = *(u16 *)(r1 + 1);" IS("r2 == 0x3382")
	    "r2 = *(u32 *)(r1 + 8);" IS("r2 == 0x7fffffff")
	    "r2 = *(u64 *)(r1 + 8);" IS("r2 == 0x7fffffff")
	    "r2 = *(u64 *)(r1 + 0);" IS("r2 == 0")
	    "r2 = *(s8 *)(r1 + 0);" IS("r2 == 0x11")
	    "r2 = *(s8 *)(r1 + 1);" IS("w2 == 0")
	    "w2 = w2;" IS("w2 == -126")
	    "r2 = *(s16 *)(r1 + 0);" IS("w2 == 0")
	    "w2 = w2;" IS("w2 == -32239")
	    "r2 = *(s32 *)(r1 + 8);" IS("r2 == 0x7fffffff")
	    "r2 = *(s32 *)(r1 + 0);" IS("w2 == 0")
	    "w2 = w2;" IS("w2 == 0")
	    "r2 = *(s16 *)(r1 + 9);"
	    "w2 = w2;" IS("w2 == -1")
	    "exit;");
}

/* The offset in the load of the address, in the pointer, in the instruction; out of range at both ends. */
PROG("socket", readonly_offsets)
{
	ASM("r0 = 0;"
	    "r1 = narrow ll;"
	    "r2 = *(u64 *)(r1 + 0);" IS("r2 == 42")
	    "r1 = wide ll;"
	    "r2 = *(u64 *)(r1 + 0);" IS("r2 == 42")
	    "w2 = w2;" IS("r2 == 0x23456789")
	    "r3 = last ll;"
	    "r2 = *(u32 *)(r3 + 0);" IS("r2 == 7")
	    "r2 = *(u8 *)(r3 + 3);" IS("r2 == 0")
	    "r2 = *(u8 *)(r3 + 4);" IS("r2 == 0")
	    "r2 = *(u64 *)(r3 + 0);" IS("r2 == 7")
	    "r2 = *(u32 *)(r3 + 1);" IS("r2 == 0")
	    "r2 = *(u8 *)(r3 - 1);" IS("r2 == 0")
	    "r4 = r3; r4 += 2;"
	    "r2 = *(u8 *)(r4 - 2);" IS("r2 == 7")
	    "r4 -= 2;"
	    "r2 = *(u8 *)(r4 + 0);" IS("r2 == 7")
	    "r4 += -1;"
	    "r2 = *(u8 *)(r4 + 0);" IS("r2 == 7")
	    "r2 = *(u8 *)(r4 + 1);" IS("r2 == 7")
	    "r4 &= -1;"
	    "r2 = *(u8 *)(r4 + 1);" IS("r2 == 7")
	    "r4 = r3; w4 += 0;"
	    "r2 = *(u32 *)(r4 + 0);" IS("r2 == 7")
	    "r4 = r3; w4 = w4;"
	    "r2 = *(u32 *)(r4 + 0);" IS("r2 == 7")
	    "r4 = r3; r5 = 0; r4 += r5;"
	    "r2 = *(u32 *)(r4 + 0);" IS("r2 == 7")
	    "r3 = *(u32 *)(r3 + 0);" IS("r3 == 7")
	    "exit;");
}

/* A map that may be written gives no constants; a map pointer, a map value and a plain register neither. */
PROG("socket", not_readonly)
{
	ASM("r0 = 0;"
	    "r6 = r1;"
	    "r1 = writable ll;"
	    "r2 = *(u32 *)(r1 + 0);" IS("r2 == 7")
	    "if r1 == 0 goto +1;"
	    "r0 += 1;"
	    "r1 = map_a ll;"
	    "r2 = 7;"
	    "r2 = *(u32 *)(r1 + 0);" IS("r2 == 7")
	    "if r1 == 0 goto +1;"
	    "r0 += 1;"
	    "r2 = 7;"
	    "r2 = *(u32 *)(r6 + 0);" IS("r2 == 7")
	    "*(u64 *)(r10 - 8) = 7;"
	    "r2 = 7;"
	    "r2 = *(u64 *)(r10 - 8);" IS("r2 == 7")
	    "exit;");
}

/* Moves that sign-extend the address of a value: not known any more. */
PROG("socket", readonly_address_extended)
{
	ASM("r0 = 0;"
	    "r3 = last ll; r3 = (s8)r3;"
	    "r2 = *(u32 *)(r3 + 0);" IS("r2 == 7")
	    "r3 = last ll; r3 = (s16)r3;"
	    "r2 = *(u32 *)(r3 + 0);" IS("r2 == 7")
	    "r3 = last ll; r3 = (s32)r3;"
	    "r2 = *(u32 *)(r3 + 0);" IS("r2 == 7")
	    "r3 = last ll;" ADDR_SPACE_CAST(3, 3, 1)
	    "r2 = *(u32 *)(r3 + 0);" IS("r2 == 7")
	    "r3 = last ll; r3 = r3;"
	    "r2 = *(u32 *)(r3 + 0);" IS("r2 == 7")
	    "exit;");
}

/* Registers are unknown at the entry, not unvisited: joined with a constant they stay unknown. */
SUB(unknown_at_entry)
{
	ASM("r0 = 0;"
	    "if r1 == 0 goto +1;"
	    "r6 = 5;" IS("r6 == 5")
	    "exit;");
}

PROG("socket", entry_is_unknown)
{
	ASM("r0 = 0;"
	    "if r1 == 0 goto +1;"
	    "r7 = 5;" IS("r7 == 5")
	    "r6 = 5;"
	    "call unknown_at_entry;"
	    "exit;");
}

/* A 64-bit constant whose upper half counts: brought into 32 bits by subtraction. */
PROG("socket", wide_constant_brought_down)
{
	ASM("r0 = 0;"
	    "r1 = 0x100000001 ll;"
	    "r1 -= 0x7fffffff;" IS("r1 == 0x80000002")
	    "r1 -= 0x7fffffff;" IS("r1 == 3")
	    "r2 = 0x200000001 ll;"
	    "r2 -= 0x7fffffff;"
	    "r2 -= 0x7fffffff;" IS("r2 == 3")
	    "exit;");
}

/* Calls end the constants in r0 to r5 and keep those in r6 to r9; subprograms begin with none. */
SUB(knows_nothing)
{
	ASM("r0 = 0;" IS("r1 == 1") IS("r6 == 6")
	    "exit;");
}

PROG("socket", killed_by_calls)
{
	ASM("r0 = 0; r1 = 1; r2 = 2; r3 = 3; r4 = 4; r5 = 5; r6 = 6; r7 = 7; r8 = 8; r9 = 9;"
	    CALL(ktime_get_ns)
	    IS("r0 == 0") IS("r1 == 1") IS("r2 == 2") IS("r3 == 3") IS("r4 == 4") IS("r5 == 5")
	    IS("r6 == 6") IS("r7 == 7") IS("r8 == 8") IS("r9 == 9")
	    "r1 = 1; r5 = 5;"
	    "call knows_nothing;"
	    IS("r1 == 1") IS("r5 == 5") IS("r6 == 6")
	    "r0 = 0; exit;");
}

/* Packet loads end r0 to r5 as calls do. */
PROG("socket", killed_by_packet_load)
{
	ASM("r6 = r1;"
	    "r0 = 0; r1 = 1; r5 = 5; r7 = 7;"
	    "r0 = *(u8 *)skb[0];"
	    IS("r0 == 0") IS("r1 == 1") IS("r5 == 5") IS("r7 == 7")
	    "exit;");
}

/* Atomics end the constant in the register that they load, and in no other. */
PROG("socket", killed_by_atomics)
{
	ASM("*(u64 *)(r10 - 8) = 0;"
	    "r0 = 0; r1 = 1; r2 = 2; r3 = 3; r4 = 4; r5 = 5;"
	    INSN(ATOMIC_DW, 10, 1, -8, A_ADD) IS("r1 == 1")
	    INSN(ATOMIC_DW, 10, 1, -8, A_ADD | A_FETCH) IS("r1 == 1")
	    INSN(ATOMIC_DW, 10, 2, -8, A_XCHG) IS("r2 == 2")
	    "r0 = 0;"
	    INSN(ATOMIC_DW, 10, 3, -8, A_CMPXCHG) IS("r3 == 3") IS("r0 == 0")
	    "r0 = 0;"
	    INSN(ATOMIC_DW, 10, 4, -8, A_STORE_REL) IS("r4 == 4") IS("r0 == 0")
	    INSN(ATOMIC_DW, 5, 10, -8, A_LOAD_ACQ) IS("r5 == 5")
	    "r5 = 5; *(u64 *)(r10 - 8) = r5;" IS("r5 == 5")
	    "exit;");
}

/* Joins of equal and different constants; in a loop. */
PROG("socket", joins)
{
	ASM("r0 = 0;"
	    "r6 = *(u32 *)(r1 + 0);"
	    "r2 = 1; r3 = 1; r4 = 5; r5 = r10;"
	    "if r6 == 0 goto +4;"
	    "r2 = 1;"
	    "r3 = 2;"
	    "r4 = r6;"
	    "r5 = 7;"
	    IS("r2 == 1") IS("r3 == 1") IS("r4 == 5") IS("r5 == 7")
	    "r7 = 3; r8 = 1;"
	    "1: r7 -= 1;"
	    IS("r8 == 1")
	    "if r7 != 0 goto 1b;" IS("r7 == 0")
	    "exit;");
}

/* A constant keeps the map index that its register had before: equal numbers with other pasts do not join. */
PROG("socket", joins_with_other_past)
{
	ASM("r0 = 0;"
	    "r6 = *(u32 *)(r1 + 0);"
	    "r1 = map_a ll;"
	    "r2 = map_b ll;"
	    "r3 = map_b ll;"
	    "r4 = 5;"
	    "if r6 == 0 goto 1f;"
	    "r2 = 3;"
	    "r3 &= 0;"
	    "goto 2f;"
	    "1: r2 = map_a ll;"
	    "r2 = 3;"
	    "r3 = 0;"
	    "2: " IS("r2 == 3") IS("r3 == 0")
	    "exit;");
}

/* A map pointer keeps the value that its register had before: the same map with other pasts does not join. */
PROG("socket", joins_map_with_other_past)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "if r6 == 0 goto 1f;"
	    "r1 = 5;"
	    "r1 = map_a ll;"
	    "goto 2f;"
	    "1: r1 = 6;"
	    "r1 = map_a ll;"
	    "2: r2 = r10; r2 += -64;"
	    CALL(map_lookup_elem)
	    "r1 = map_b ll;"
	    "r2 = r10; r2 += -64;"
	    CALL(map_lookup_elem) RET0);
}

/* Values of maps: the same number at the same offset of two maps does not join as a pointer. */
PROG("socket", joins_of_map_values)
{
	ASM("r0 = 0;"
	    "r6 = *(u32 *)(r1 + 0);"
	    "r1 = last ll;"
	    "r2 = bytes ll;"
	    "r3 = other ll;"
	    "if r6 == 0 goto 1f;"
	    "r1 = other ll;"
	    "r2 = bytes ll;"
	    "r3 = other ll;"
	    "r3 += 1;"
	    "1: r4 = *(u32 *)(r1 + 0);" IS("r4 == 7")
	    "r4 = *(u8 *)(r2 + 0);" IS("r4 == 0x11")
	    "r4 = *(u8 *)(r3 + 0);" IS("r4 == 7")
	    "exit;");
}

/* What is not known keeps its past in a 32-bit move, and the constant that is put over it has that past too. */
PROG("socket", joins_unknown_with_other_past)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r5 = map_a ll;"
	    "r1 = map_b ll;"
	    "if r6 == 0 goto +1;"
	    "r1 = 7;"
	    "if r6 == 1 goto 1f;"
	    "w2 = w1;"
	    "r2 = 5;"
	    "goto 2f;"
	    "1: r2 = 5;"
	    "2: if r2 == 5 goto 3f;"
	    "r3 = r10;"
	    "3:" RET0);
}

LICENSE;
