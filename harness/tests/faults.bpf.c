// SPDX-License-Identifier: GPL-2.0-only
// Programs of which many cannot be loaded, for the test that each is told of and none spoils the others.
// Built by `scripts/corpus-build --include corpus/include harness/tests`.
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u32 (*bpf_get_prandom_u32)(void) = (void *)7;

#define MAP(name, kind, key_type, entries)                                                         \
	struct {                                                                                   \
		__uint(type, kind);                                                                \
		__uint(max_entries, entries);                                                      \
		__type(key, key_type);                                                             \
		__type(value, u64);                                                                \
	} name SEC(".maps")

MAP(good, 2, u32, 4);
MAP(no_size, 1, u32, 0);
// An array's key has 4 bytes.
MAP(bad_key, 2, u64, 4);
MAP(no_type, 250, u32, 4);

#define LOOKS_UP(name, map, key_type)                                                              \
	SEC("socket") int name(void *ctx)                                                          \
	{                                                                                          \
		key_type key = 1;                                                                  \
		u64 *value = bpf_map_lookup_elem(&map, &key);                                      \
		return value ? *value : 0;                                                         \
	}

LOOKS_UP(uses_good_map, good, u32)
LOOKS_UP(uses_map_without_size, no_size, u32)
LOOKS_UP(uses_map_with_bad_key, bad_key, u64)
LOOKS_UP(uses_map_of_no_type, no_type, u32)

SEC("?socket") int optional(void *ctx)
{
	return 0;
}

SEC("socket") int refused(void *ctx)
{
	return *(volatile int *)0;
}

__attribute__((noinline)) int replaceable(int x)
{
	volatile int y = x;
	return y + 1;
}

SEC("tc") int extended(void *ctx)
{
	return replaceable(3);
}

SEC("freplace/replaceable") int extension(int x)
{
	volatile int y = x;
	return y;
}

SEC("freplace/nothing") int extension_of_nothing(int x)
{
	return x;
}

SEC("fentry") int attaches_to_nothing(void *ctx)
{
	return 0;
}

SEC("fentry/no_such_function") int attaches_to_what_is_not_there(void *ctx)
{
	return 0;
}

SEC("whatever") int unknown_section(void *ctx)
{
	return 0;
}

// Only their argument says as what they can be verified.
struct xdp_md {
	u32 data;
};

struct __sk_buff {
	u32 len;
};

SEC("whatever") int unknown_section_known_context(struct xdp_md *ctx)
{
	return 0;
}

SEC("freplace") int extension_without_target(struct __sk_buff *ctx)
{
	return 0;
}

// Descriptor 0 is no map.
SEC("socket") int uses_what_is_no_map(void *ctx)
{
	const u32 key = 0;
	void *map;

	asm volatile(".8byte 0x1118; .8byte 0; %[map] = r1" : [map] "=r"(map)::"r1");
	return bpf_map_lookup_elem(map, &key) != 0;
}

SEC("struct_ops/nothing") int implements_nothing(void *ctx)
{
	return 0;
}

// More than the 4 MiB that the log's buffer has at first.
SEC("socket") int says_much(void *ctx)
{
	volatile u64 a[8] = {};
	u64 sum = 0;

	for (int i = 0; i < 500; i++) {
		a[i & 7] = sum;
		sum += a[(i + 1) & 7];
		if (sum == 7)
			sum = bpf_get_prandom_u32();
	}
	return sum;
}

char license_text[] SEC("license") = "GPL";
