/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every program of the corpus needs: types, sections, map definitions and small macros for exact
 * assembly. Nothing from the system's headers, so that the objects depend on clang alone.
 */
#pragma once

typedef signed char __s8;
typedef unsigned char __u8;
typedef short __s16;
typedef unsigned short __u16;
typedef int __s32;
typedef unsigned int __u32;
typedef long long __s64;
typedef unsigned long long __u64;

#define SEC(name) __attribute__((section(name), used))
#define __naked __attribute__((naked))
#define __noinline __attribute__((noinline))
#define __used __attribute__((used))
#define __weak __attribute__((weak))
#define __ksym __attribute__((section(".ksyms")))
#define __tag(text) __attribute__((btf_decl_tag(text)))

/* A program: the section tells libbpf its type. */
#define PROG(section, name) SEC(section) __naked void name(void)
/* A subprogram with static linkage. */
#define SUB(name) static __naked __noinline __used int name(void)
/* A subprogram with global linkage. */
#define GLOBAL(name) __naked __noinline int name(void)

#define ASM(...) asm volatile(__VA_ARGS__)

#define LICENSE char _license[] SEC("license") = "GPL"

#define STR_(x...) #x
#define STR(x...) STR_(x)

/* One raw instruction, for forms that the assembler does not know or will not write. */
#define INSN(code, dst, src, off, imm) \
	".8byte (" STR(code) ") | ((" STR(dst) ") << 8) | ((" STR(src) ") << 12) | (((" STR(off) \
	") & 0xffff) << 16) | (((" STR(imm) ") & 0xffffffff) << 32);"

/* Instruction codes used with INSN. */
#define LDX_B 0x71
#define LDX_H 0x69
#define LDX_W 0x61
#define LDX_DW 0x79
#define LDSX_B 0x91
#define LDSX_H 0x89
#define LDSX_W 0x81
#define ST_B 0x72
#define ST_H 0x6a
#define ST_W 0x62
#define ST_DW 0x7a
#define STX_B 0x73
#define STX_H 0x6b
#define STX_W 0x63
#define STX_DW 0x7b
#define ATOMIC_B 0xd3
#define ATOMIC_H 0xcb
#define ATOMIC_W 0xc3
#define ATOMIC_DW 0xdb
#define MOV64_X 0xbf
#define MOV32_X 0xbc
#define GOTOX 0x0d
#define MAY_GOTO_CODE 0xe5
#define CALL_CODE 0x85
#define LD_IND_B 0x50
#define LD_IND_H 0x48
#define LD_IND_W 0x40

/* imm of atomic instructions */
#define A_ADD 0x00
#define A_OR 0x40
#define A_AND 0x50
#define A_XOR 0xa0
#define A_FETCH 0x01
#define A_XCHG 0xe1
#define A_CMPXCHG 0xf1
#define A_LOAD_ACQ 0x100
#define A_STORE_REL 0x110

/* may_goto to an offset counted in instructions from the next one */
#define MAY_GOTO(off) INSN(MAY_GOTO_CODE, 0, 0, off, 0)
#define GOTO_X(reg) INSN(GOTOX, reg, 0, 0, 0)
/* addr_space_cast(src, to, from) as imm = to << 16 | from */
#define ADDR_SPACE_CAST(dst, src, imm) INSN(MOV64_X, dst, src, 1, imm)

/*
 * Stack arguments are addressed through r11: outgoing ones at negative offsets (-8 is the sixth argument),
 * incoming ones at positive offsets (+8 is the sixth argument).
 */
#define STACK_ARG_STX(off, src) INSN(STX_DW, 11, src, off, 0)
#define STACK_ARG_ST(off, imm) INSN(ST_DW, 11, 0, off, imm)
#define STACK_ARG_LDX(dst, off) INSN(LDX_DW, dst, 11, off, 0)

#define RET0 "r0 = 0; exit;"

/* Maps */
#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_MAP_TYPE_PROG_ARRAY 3
#define BPF_MAP_TYPE_PERF_EVENT_ARRAY 4
#define BPF_MAP_TYPE_PERCPU_ARRAY 6
#define BPF_MAP_TYPE_STACK_TRACE 7
#define BPF_MAP_TYPE_LPM_TRIE 11
#define BPF_MAP_TYPE_ARRAY_OF_MAPS 12
#define BPF_MAP_TYPE_HASH_OF_MAPS 13
#define BPF_MAP_TYPE_QUEUE 22
#define BPF_MAP_TYPE_STACK 23
#define BPF_MAP_TYPE_RINGBUF 27
#define BPF_MAP_TYPE_BLOOM_FILTER 30
#define BPF_MAP_TYPE_USER_RINGBUF 31
#define BPF_MAP_TYPE_ARENA 33
#define BPF_MAP_TYPE_INSN_ARRAY 34

/* A map with keys of `key` bytes and values of `value` bytes. */
#define DEFINE_MAP(name, map_type, key, value, entries) \
	struct {                                        \
		int (*type)[map_type];                  \
		int (*key_size)[key];                   \
		int (*value_size)[value];               \
		int (*max_entries)[entries];            \
	} name SEC(".maps")

#define DEFINE_RING(name, map_type, entries)            \
	struct {                                        \
		int (*type)[map_type];                  \
		int (*max_entries)[entries];            \
	} name SEC(".maps")

#include "helpers.h"
