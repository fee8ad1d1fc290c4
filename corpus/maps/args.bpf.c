/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Keys and values of maps on the stack, as arguments of helpers.
 *
 * Pins down (verifier.c): bpf_helper_stack_access_bytes for map keys and values: the size of a known map, the
 * largest of all maps where it is not known, inner maps among them, sizes of zero, no map at all, where the
 * map's register is looked for, MEM_UNINIT; (const_fold.c) map pointers, joins of them.
 */
#include "corpus.h"

DEFINE_MAP(hash_12_20, BPF_MAP_TYPE_HASH, 12, 20, 4);
DEFINE_MAP(array_4_40, BPF_MAP_TYPE_ARRAY, 4, 40, 4);
DEFINE_MAP(hash_24_8, BPF_MAP_TYPE_HASH, 24, 8, 4);
DEFINE_MAP(wide_64_200, BPF_MAP_TYPE_HASH, 64, 200, 4);
DEFINE_MAP(odd_5_7, BPF_MAP_TYPE_HASH, 5, 7, 4);
DEFINE_MAP(tiny_1_1, BPF_MAP_TYPE_HASH, 1, 1, 4);
DEFINE_MAP(huge_512_600, BPF_MAP_TYPE_HASH, 512, 600, 4);
struct {
	int (*type)[BPF_MAP_TYPE_QUEUE];
	int (*value_size)[28];
	int (*max_entries)[4];
} queue_28 SEC(".maps");
struct {
	int (*type)[BPF_MAP_TYPE_STACK];
	int (*value_size)[12];
	int (*max_entries)[4];
} stack_12 SEC(".maps");
struct {
	int (*type)[BPF_MAP_TYPE_BLOOM_FILTER];
	int (*value_size)[16];
	int (*max_entries)[4];
} bloom_16 SEC(".maps");
DEFINE_RING(ring, BPF_MAP_TYPE_RINGBUF, 4096);

struct inner_map {
	int (*type)[BPF_MAP_TYPE_HASH];
	int (*key_size)[48];
	int (*value_size)[72];
	int (*max_entries)[2];
} inner_48_72 SEC(".maps");
struct {
	int (*type)[BPF_MAP_TYPE_ARRAY_OF_MAPS];
	int (*key_size)[4];
	int (*value_size)[4];
	int (*max_entries)[1];
	struct inner_map *values[];
} outer SEC(".maps") = { .values = { &inner_48_72 } };

DEFINE_MAP(sockets, 15 /* SOCKMAP */, 4, 8, 4);
struct {
	int (*type)[24 /* SK_STORAGE */];
	int (*map_flags)[1 /* BPF_F_NO_PREALLOC */];
	int *key;
	__u64 (*value)[3];
} storage_24 SEC(".maps");

/* Key and value of the known map, at fp-128 and fp-64; flags that look like a pointer are of unknown size. */
PROG("socket", known_map)
{
	ASM("r1 = hash_12_20 ll;"
	    "r2 = r10; r2 += -128;"
	    "r3 = r10; r3 += -64;"
	    "r4 = 0;"
	    CALL(map_update_elem)
	    "r1 = array_4_40 ll;"
	    "r2 = r10; r2 += -128;"
	    "r3 = r10; r3 += -64;"
	    "r4 = r10; r4 += -16;"
	    CALL(map_update_elem)
	    "r1 = hash_24_8 ll;"
	    "r2 = r10; r2 += -128;"
	    CALL(map_lookup_elem)
	    "r1 = odd_5_7 ll;"
	    "r2 = r10; r2 += -126;"
	    CALL(map_delete_elem) RET0);
}

/* A map pointer that was copied, and one that lives through a call in r6. */
PROG("socket", known_map_through_registers)
{
	ASM("r6 = hash_24_8 ll;"
	    "r7 = r6;"
	    CALL(ktime_get_ns)
	    "r1 = r7;"
	    "r2 = r10; r2 += -128;"
	    CALL(map_lookup_elem) RET0);
}

/* Two maps merged: the largest key and value of all maps that the program uses, wherever it uses them. */
PROG("socket", merged_maps)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r1 = hash_12_20 ll;"
	    "if r6 == 0 goto +2;"
	    "r1 = array_4_40 ll;"
	    "r2 = r10; r2 += -128;"
	    "r3 = r10; r3 += -256;"
	    "r4 = 0;"
	    CALL(map_update_elem)
	    "r1 = hash_24_8 ll;"
	    "r2 = r10; r2 += -128;"
	    CALL(map_lookup_elem)
	    "if r6 == 2 goto 1f;" RET0
	    "1: r2 = wide_64_200 ll;" RET0);
}

/* The same map loaded on both paths is known. */
PROG("socket", same_map_on_both_paths)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "if r6 == 0 goto +3;"
	    "r1 = hash_12_20 ll;"
	    "goto +2;"
	    "r1 = hash_12_20 ll;"
	    "r2 = r10; r2 += -128;"
	    CALL(map_lookup_elem)
	    "r1 = wide_64_200 ll;" RET0);
}

/* Arithmetic on the map pointer: not known; a second map in the program gives the size. */
PROG("socket", map_pointer_changed)
{
	ASM("r1 = hash_12_20 ll;"
	    "r1 += 0;"
	    "r2 = r10; r2 += -128;"
	    CALL(map_lookup_elem)
	    "r1 = hash_12_20 ll;"
	    "r1 -= 0;"
	    "r2 = r10; r2 += -128;"
	    CALL(map_lookup_elem)
	    "r1 = hash_12_20 ll;"
	    "w1 = w1;"
	    "r2 = r10; r2 += -128;"
	    CALL(map_lookup_elem)
	    "r1 = hash_24_8 ll;"
	    "*(u64 *)(r10 - 8) = r1;"
	    "r1 = *(u64 *)(r10 - 8);"
	    "r2 = r10; r2 += -128;"
	    CALL(map_lookup_elem) RET0);
}

/* No map in the whole program: unknown, everything from the pointer up to fp+0. */
PROG("socket", no_map_at_all)
{
	ASM("r2 = r10; r2 += -32;"
	    "r3 = r10; r3 += -128;"
	    "r4 = 0;"
	    CALL(map_update_elem)
	    "r2 = r10; r2 += -16;"
	    CALL(map_peek_elem) RET0);
}

/* Maps, but none with keys or values: as if there were none. */
PROG("socket", maps_without_sizes)
{
	ASM("r6 = ring ll;"
	    "r1 = 0;"
	    "r2 = r10; r2 += -32;"
	    "r3 = r10; r3 += -128;"
	    "r4 = 0;"
	    CALL(map_update_elem) RET0);
}

/* The largest key and value have one byte. */
PROG("socket", maps_with_sizes_of_one)
{
	ASM("r6 = tiny_1_1 ll;"
	    "r7 = ring ll;"
	    "r1 = 0;"
	    "r2 = r10; r2 += -32;"
	    "r3 = r10; r3 += -128;"
	    "r4 = 0;"
	    CALL(map_update_elem) RET0);
}

/* An unknown map (the result of a lookup): the inner map's sizes count. */
PROG("socket", inner_map)
{
	ASM("*(u32 *)(r10 - 4) = 0;"
	    "r1 = outer ll;"
	    "r2 = r10; r2 += -4;"
	    CALL(map_lookup_elem)
	    "if r0 == 0 goto 1f;"
	    "r1 = r0;"
	    "r2 = r10; r2 += -128;"
	    "r3 = r10; r3 += -256;"
	    "r4 = 0;"
	    CALL(map_update_elem)
	    "1: r0 = 0; exit;");
}

/* The inner map is smaller than another map of the program. */
PROG("socket", inner_map_smaller)
{
	ASM("*(u32 *)(r10 - 4) = 0;"
	    "r1 = outer ll;"
	    "r2 = r10; r2 += -4;"
	    CALL(map_lookup_elem)
	    "if r0 == 0 goto 1f;"
	    "r1 = r0;"
	    "r2 = r10; r2 += -128;"
	    "r3 = r10; r3 += -256;"
	    "r4 = 0;"
	    CALL(map_update_elem)
	    "1: r1 = wide_64_200 ll;" RET0);
}

/* Values without keys: push reads, pop and peek write. */
PROG("socket", queue_values)
{
	ASM("r1 = queue_28 ll;"
	    "r2 = r10; r2 += -64;"
	    "r3 = 0;"
	    CALL(map_push_elem)
	    "r1 = queue_28 ll;"
	    "r2 = r10; r2 += -64;"
	    CALL(map_pop_elem)
	    "r1 = stack_12 ll;"
	    "r2 = r10; r2 += -64;"
	    CALL(map_peek_elem)
	    "r1 = bloom_16 ll;"
	    "r2 = r10; r2 += -64;"
	    "r3 = 0;"
	    CALL(map_push_elem)
	    "r1 = bloom_16 ll;"
	    "r2 = r10; r2 += -64;"
	    CALL(map_peek_elem) RET0);
}

/* A known map without keys or values: size zero, no access. */
PROG("socket", zero_sizes)
{
	ASM("r1 = queue_28 ll;"
	    "r2 = r10; r2 += -64;"
	    CALL(map_lookup_elem)
	    "r1 = ring ll;"
	    "r2 = r10; r2 += -64;"
	    "r3 = r10; r3 += -128;"
	    CALL(map_update_elem) RET0);
}

/* A merged map that is written: the whole of the largest value is a def, through one offset only. */
PROG("socket", merged_maps_written)
{
	ASM("r6 = *(u32 *)(r1 + 0);"
	    "r1 = queue_28 ll;"
	    "if r6 == 0 goto +2;"
	    "r1 = stack_12 ll;"
	    "r7 = r1;"
	    "r2 = r10; r2 += -64;"
	    CALL(map_pop_elem)
	    "r1 = r7;"
	    "r2 = r10; r2 += -64;"
	    "if r6 == 1 goto +1;"
	    "r2 += -8;"
	    CALL(map_pop_elem)
	    "r1 = r7;"
	    "r2 = r10; r2 += r6;"
	    CALL(map_pop_elem)
	    "r1 = r7;"
	    "r2 = r10; r2 += r6;"
	    CALL(map_push_elem) RET0);
}

/* The map stands in r2, the key in r3. */
PROG("sockops", map_in_second_register)
{
	ASM("r6 = r1;"
	    "r2 = sockets ll;"
	    "r3 = r10; r3 += -32;"
	    "r4 = 0;"
	    CALL(sock_map_update)
	    "r1 = wide_64_200 ll;"
	    "r2 = 0;"
	    "r3 = r10; r3 += -128;"
	    "r4 = 0;"
	    CALL(sock_map_update) RET0);
}

/* A value that may be null, in r3, after another argument. */
PROG("tc", storage_value)
{
	ASM("r6 = r1;"
	    "r1 = storage_24 ll;"
	    "r2 = r10; r2 += -16;"
	    "r3 = r10; r3 += -64;"
	    "r4 = 0;"
	    CALL(sk_storage_get) RET0);
}

/* Keys and values longer than what is left of the stack; at fp+0; below it. */
PROG("socket", sizes_past_the_ends)
{
	ASM("r1 = huge_512_600 ll;"
	    "r2 = r10; r2 += -512;"
	    "r3 = r10; r3 += -512;"
	    CALL(map_update_elem)
	    "r1 = huge_512_600 ll;"
	    "r2 = r10; r2 += -600;"
	    "r3 = r10; r3 += -8;"
	    CALL(map_update_elem)
	    "r1 = huge_512_600 ll;"
	    "r2 = r10;"
	    "r3 = r10; r3 += 8;"
	    CALL(map_update_elem)
	    "r1 = queue_28 ll;"
	    "r2 = r10; r2 += -16;"
	    CALL(map_pop_elem)
	    "r1 = queue_28 ll;"
	    "r2 = r10; r2 += -530;"
	    CALL(map_pop_elem) RET0);
}

/* A pointer of the parent's frame, several offsets, an imprecise one. */
SUB(update_from_callee)
{
	ASM("r6 = *(u64 *)(r1 - 4);"
	    "r7 = r1;"
	    "r2 = r1;"
	    "r3 = r10; r3 += -64;"
	    "r1 = hash_12_20 ll;"
	    "r4 = 0;"
	    CALL(map_update_elem)
	    "r1 = hash_12_20 ll;"
	    "r2 = r6;"
	    "r3 = r7; r3 += -64;"
	    "if r0 == 0 goto +1;"
	    "r3 += -128;"
	    "r4 = 0;"
	    CALL(map_update_elem)
	    "r1 = queue_28 ll;"
	    "r2 = r6;"
	    CALL(map_pop_elem) RET0);
}

PROG("socket", key_of_parent)
{
	ASM("r1 = r10; r1 += -16;"
	    "call update_from_callee;" RET0);
}

LICENSE;
