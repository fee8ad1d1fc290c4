// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads from the running kernel what its liveness analysis finds of a program being loaded, and every answer that
 * its path walk gets. The agent attaches these programs; `livediff_capture::trace` reads what they write.
 *
 * Only loads of threads that are registered in `tasks` are looked at. Each such thread has a place in `threads`, which
 * the agent maps: its loads write there one after another, and nobody else does. What finds no room is counted.
 *
 * The kernel's structures are declared with no more than is read; their layout is that of the running kernel (CO-RE).
 */
typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define SEC(name) __attribute__((section(name), used))
#define __always_inline inline __attribute__((always_inline))
#define __noinline __attribute__((noinline))
#define __uint(name, value) int(*name)[value]
#define __type(name, value) typeof(value) *name

#define BPF_MAP_TYPE_HASH 1
#define BPF_MAP_TYPE_ARRAY 2
#define BPF_F_MMAPABLE (1 << 10)

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*bpf_probe_read_kernel)(void *to, u32 size, const void *from) = (void *)113;
static long (*bpf_loop)(u32 count, void *callback, void *context, u64 flags) = (void *)181;

extern void *bpf_rdonly_cast(const void *address, u32 type) __attribute__((section(".ksyms"), weak));

/* Keeps the compiler from leaving out a check that the verifier wants to see. */
#define OPAQUE(value) asm volatile("" : "+r"(value))
/* Memory of the kernel as a structure of its own. */
#define CAST(address, type) \
	((type *)bpf_rdonly_cast((const void *)(address), __builtin_btf_type_id(*(typeof(type) *)0, 1)))
#define OFFSET(type, field) ((u64)__builtin_preserve_field_info(((type *)0)->field, 0))
#define SIZE(type, field) ((u64)__builtin_preserve_field_info(((type *)0)->field, 1))
/* A field that lies too far from the beginning for a load. */
#define FAR(to, thread, structure, type, field)                                                          \
	do {                                                                                              \
		if (bpf_probe_read_kernel(&(to), sizeof(to), (void *)((u64)(structure) + OFFSET(type, field)))) \
			(thread)->failed++;                                                               \
	} while (0)
#define SIZE_OF(type) ((u64)__builtin_preserve_type_info(*(typeof(type) *)0, 1))

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)
struct hlist_node {
	struct hlist_node *next;
};
struct hlist_head {
	struct hlist_node *first;
};
struct per_frame_masks {
	struct {
		u64 v[2];
	} may_read, must_write, live_before;
};
struct func_instance {
	struct hlist_node hl_node;
	u32 callsite;
	u32 depth;
	u32 subprog;
	u32 subprog_start;
	u32 insn_cnt;
	struct per_frame_masks *frames[8];
};
struct bpf_liveness {
	struct hlist_head func_instances[256];
};
struct bpf_prog {
	u32 len;
};
struct bpf_insn_aux_data {
	u16 const_reg_mask;
	u16 const_reg_map_mask;
	u16 const_reg_subprog_mask;
	u32 const_reg_vals[10];
};
struct bpf_subprog_info {
	u32 start;
	u32 postorder_start;
};
struct bpf_verifier_env {
	struct bpf_prog *prog;
	struct bpf_insn_aux_data *insn_aux_data;
	struct bpf_liveness *liveness;
	struct bpf_subprog_info subprog_info[1];
	u32 subprog_cnt;
	struct {
		int *insn_postorder;
		int cur_postorder;
	} cfg;
};
struct bpf_func_state {
	u32 callsite;
	u32 subprogno;
};
struct bpf_verifier_state {
	struct bpf_func_state *frame[8];
	u32 insn_idx;
	u32 curframe;
};
#pragma clang attribute pop

/* Most frames of a call chain in any kernel. */
#define FRAMES 16
/* Bytes for the records of a load, and of the largest piece of kernel memory that is copied at a time. */
#define ROOM (32u << 20)
#define PIECE (64u << 10)
/* How many queries are remembered, so that one that is asked again and answered alike is told once. */
#define REMEMBERED 4096
/* Instances in a bucket that are looked at, at most. */
#define STEPS (1u << 20)

/* What a record is; behind it stands the number of bytes that follow. */
enum kind {
	/* insn, mask of constants, of maps, of subprograms, r0 to r9 */
	CONSTANTS = 1,
	/* instructions, the result of bpf_compute_const_regs */
	CONSTANTS_END = 2,
	/* instructions in postorder, a piece of them */
	POSTORDER = 3,
	/* first instruction of a subprogram, where its postorder begins */
	SUBPROG = 4,
	/* callsite, depth, subprogram, its first instruction, instructions, a bit for each frame that has masks */
	INSTANCE = 5,
	/* frame, bytes that came before, then a piece of the frame's masks */
	MASKS = 6,
	/* instances, subprograms, instructions in postorder, the result of bpf_compute_subprog_arg_access */
	INSTANCES_END = 7,
	/* last frame, instruction, and for each frame: subprogram, callsite, half-slots that are alive, that are not */
	QUERY = 8,
	/* size of struct per_frame_masks, offsets of may_read, must_write and live_before in it */
	LAYOUT = 9,
};

enum hook {
	CONST_REGS,
	ARG_ACCESS,
	QUERY_INIT,
	SLOT_ALIVE,
	HOOKS,
};

struct frame {
	u32 subprog;
	u32 callsite;
	u64 alive[2];
	u64 dead[2];
};

/* The agent knows this layout. */
struct thread {
	/* bytes in `data` */
	u64 used;
	/* records that found no room */
	u64 lost;
	/* memory that could not be read, and questions without a query */
	u64 failed;
	/* how often each hook was reached */
	u64 fired[HOOKS];
	/* queries that were written down */
	u64 queries;
	/* tells one load of the thread from another */
	u64 load;
	/* the query that answers are being given to */
	u32 open;
	u32 insn;
	u32 last_frame;
	u32 padding;
	struct frame frames[FRAMES];
	u64 remembered[REMEMBERED];
	u8 data[ROOM + PIECE + 64];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 64);
	__type(key, u32);
	__type(value, u32);
} tasks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, u32);
	__type(value, struct thread);
} threads SEC(".maps");

char _license[] SEC("license") = "GPL";

static __always_inline struct thread *this_thread(enum hook hook)
{
	u32 task = (u32)bpf_get_current_pid_tgid();
	u32 *place = bpf_map_lookup_elem(&tasks, &task);
	struct thread *thread;

	if (!place)
		return 0;
	thread = bpf_map_lookup_elem(&threads, place);
	if (thread)
		thread->fired[hook]++;
	return thread;
}

/* Room for a record of that many bytes, at most PIECE and a multiple of 4; none if there is none. */
static __always_inline u32 *record(struct thread *thread, enum kind kind, u64 bytes)
{
	u64 at = *(volatile u64 *)&thread->used;
	u32 *record;

	if (at > ROOM) {
		thread->lost++;
		return 0;
	}
	record = (u32 *)(thread->data + at);
	record[0] = kind;
	record[1] = bytes;
	thread->used = at + 8 + bytes;
	return record + 2;
}

struct piece {
	struct thread *thread;
	/* address in the kernel, and bytes from there */
	u64 from;
	u64 bytes;
	u32 kind;
	u32 frame;
};

static long copy_piece(u32 number, struct piece *piece)
{
	u64 done = (u64)number * PIECE;
	u64 bytes = piece->bytes - done;
	u32 *to;

	if (bytes > PIECE)
		bytes = PIECE;
	bytes &= PIECE | (PIECE - 1);
	to = record(piece->thread, piece->kind, bytes + 8);
	if (!to)
		return 1;
	to[0] = piece->frame;
	to[1] = done;
	if (bpf_probe_read_kernel(to + 2, bytes, (void *)(piece->from + done)))
		piece->thread->failed++;
	return 0;
}

/* Copies memory of the kernel into as many records as that takes. */
static __always_inline void copy(struct thread *thread, enum kind kind, u32 frame, u64 from, u64 bytes)
{
	struct piece piece = { .thread = thread, .from = from, .bytes = bytes, .kind = kind, .frame = frame };

	bpf_loop((bytes + PIECE - 1) / PIECE, copy_piece, &piece, 0);
}

struct walk {
	struct thread *thread;
	/* of an array in the kernel */
	u64 base;
	u64 next;
	u32 count;
	u32 padding;
};

static long one_insn(u32 insn, struct walk *walk)
{
	struct bpf_insn_aux_data *aux =
		CAST(walk->base + insn * SIZE_OF(struct bpf_insn_aux_data), struct bpf_insn_aux_data);
	u32 constants = aux->const_reg_mask, maps = aux->const_reg_map_mask;
	u32 subprogs = aux->const_reg_subprog_mask;
	u32 *to;

	if (!(constants | maps | subprogs))
		return 0;
	to = record(walk->thread, CONSTANTS, 14 * 4);
	if (!to)
		return 1;
	to[0] = insn;
	to[1] = constants;
	to[2] = maps;
	to[3] = subprogs;
	to[4] = aux->const_reg_vals[0];
	to[5] = aux->const_reg_vals[1];
	to[6] = aux->const_reg_vals[2];
	to[7] = aux->const_reg_vals[3];
	to[8] = aux->const_reg_vals[4];
	to[9] = aux->const_reg_vals[5];
	to[10] = aux->const_reg_vals[6];
	to[11] = aux->const_reg_vals[7];
	to[12] = aux->const_reg_vals[8];
	to[13] = aux->const_reg_vals[9];
	return 0;
}

SEC("fexit/bpf_compute_const_regs")
int const_regs(u64 *ctx)
{
	struct bpf_verifier_env *env = (void *)ctx[0];
	struct thread *thread = this_thread(CONST_REGS);
	struct walk walk = {};
	u32 insns, *to;
	u64 prog = 0;

	if (!thread)
		return 0;
	walk.thread = thread;
	FAR(walk.base, thread, env, struct bpf_verifier_env, insn_aux_data);
	FAR(prog, thread, env, struct bpf_verifier_env, prog);
	insns = CAST(prog, struct bpf_prog)->len;
	bpf_loop(insns, one_insn, &walk, 0);
	to = record(thread, CONSTANTS_END, 2 * 4);
	if (to) {
		to[0] = insns;
		to[1] = ctx[1];
	}
	return 0;
}

static long one_subprog(u32 number, struct walk *walk)
{
	struct bpf_subprog_info *info =
		CAST(walk->base + number * SIZE_OF(struct bpf_subprog_info), struct bpf_subprog_info);
	u32 *to = record(walk->thread, SUBPROG, 2 * 4);

	if (!to)
		return 1;
	to[0] = info->start;
	to[1] = info->postorder_start;
	return 0;
}

struct instance {
	struct thread *thread;
	u64 address;
	u64 bytes;
	u32 present;
};

static __always_inline u64 masks_of(u64 instance, u32 frame, struct thread *thread)
{
	u64 masks = 0;
	u64 at = instance + OFFSET(struct func_instance, frames) + frame * 8;

	if (bpf_probe_read_kernel(&masks, 8, (void *)at))
		thread->failed++;
	return masks;
}

static long one_frame_present(u32 frame, struct instance *instance)
{
	if (masks_of(instance->address, frame & 31, instance->thread))
		instance->present |= 1u << (frame & 31);
	return 0;
}

static long one_frame(u32 frame, struct instance *instance)
{
	u64 masks = masks_of(instance->address, frame & 31, instance->thread);

	if (masks)
		copy(instance->thread, MASKS, frame, masks, instance->bytes);
	return 0;
}

static long one_instance(u32 number, struct walk *walk)
{
	struct instance instance = {};
	struct func_instance *func;
	u32 frames, *to;

	if (!walk->next)
		return 1;
	func = CAST(walk->next - OFFSET(struct func_instance, hl_node), struct func_instance);
	walk->next = (u64)CAST(walk->next, struct hlist_node)->next;
	walk->count++;
	instance.thread = walk->thread;
	instance.address = (u64)func;
	instance.bytes = (u64)func->insn_cnt * SIZE_OF(struct per_frame_masks);
	frames = func->depth + 1;
	if (frames > SIZE(struct func_instance, frames) / 8) {
		walk->thread->failed++;
		return 1;
	}
	bpf_loop(frames, one_frame_present, &instance, 0);
	to = record(walk->thread, INSTANCE, 6 * 4);
	if (!to)
		return 1;
	to[0] = func->callsite;
	to[1] = func->depth;
	to[2] = func->subprog;
	to[3] = func->subprog_start;
	to[4] = func->insn_cnt;
	to[5] = instance.present;
	bpf_loop(frames, one_frame, &instance, 0);
	return 0;
}

/* The bucket is the number of the iteration: were it counted, the verifier would go through all of them. */
static long one_bucket(u32 bucket, struct walk *walk)
{
	walk->next = (u64)CAST(walk->base + bucket * 8, struct hlist_head)->first;
	if (!walk->next)
		return 0;
	bpf_loop(STEPS, one_instance, walk, 0);
	if (walk->next)
		walk->thread->failed++;
	return 0;
}

SEC("fexit/bpf_compute_subprog_arg_access")
int subprog_arg_access(u64 *ctx)
{
	struct bpf_verifier_env *env = (void *)ctx[0];
	struct thread *thread = this_thread(ARG_ACCESS);
	u32 subprogs = 0, postorder = 0, *to;
	struct walk walk = {};
	u64 insns = 0;

	if (!thread)
		return 0;
	FAR(subprogs, thread, env, struct bpf_verifier_env, subprog_cnt);
	FAR(postorder, thread, env, struct bpf_verifier_env, cfg.cur_postorder);
	FAR(insns, thread, env, struct bpf_verifier_env, cfg.insn_postorder);
	to = record(thread, LAYOUT, 4 * 4);
	if (to) {
		to[0] = SIZE_OF(struct per_frame_masks);
		to[1] = OFFSET(struct per_frame_masks, may_read);
		to[2] = OFFSET(struct per_frame_masks, must_write);
		to[3] = OFFSET(struct per_frame_masks, live_before);
	}
	copy(thread, POSTORDER, 0, insns, (u64)postorder * 4);
	walk.thread = thread;
	walk.base = (u64)env + OFFSET(struct bpf_verifier_env, subprog_info);
	bpf_loop(subprogs, one_subprog, &walk, 0);
	FAR(walk.base, thread, env, struct bpf_verifier_env, liveness);
	walk.base += OFFSET(struct bpf_liveness, func_instances);
	bpf_loop(SIZE(struct bpf_liveness, func_instances) / 8, one_bucket, &walk, 0);
	to = record(thread, INSTANCES_END, 4 * 4);
	if (to) {
		to[0] = walk.count;
		to[1] = subprogs;
		to[2] = postorder;
		to[3] = ctx[1];
	}
	return 0;
}

static __always_inline u64 mixed(u64 hash, u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ (hash >> 29);
}

/* Writes down the answers of the query that is open, unless they have been. */
static __noinline int close_query(struct thread *thread)
{
	u64 hash = mixed(0, thread->load), answered = 0;
	u32 last, i, *to;

	last = *(volatile u32 *)&thread->last_frame & (FRAMES - 1);
	hash = mixed(hash, (u64)last << 32 | thread->insn);
	for (i = 0; i < FRAMES; i++) {
		struct frame *frame = &thread->frames[i];

		OPAQUE(last);
		if (i > last)
			break;
		answered |= frame->alive[0] | frame->alive[1] | frame->dead[0] | frame->dead[1];
		hash = mixed(hash, (u64)frame->subprog << 32 | frame->callsite);
		hash = mixed(hash, frame->alive[0]);
		hash = mixed(hash, frame->alive[1]);
		hash = mixed(hash, frame->dead[0]);
		hash = mixed(hash, frame->dead[1]);
	}
	thread->open = 0;
	if (!answered || thread->remembered[hash % REMEMBERED] == hash)
		return 0;
	to = record(thread, QUERY, 2 * 4 + (last + 1) * (10 * 4));
	if (!to)
		return 0;
	thread->remembered[hash % REMEMBERED] = hash;
	thread->queries++;
	to[0] = last;
	to[1] = thread->insn;
	for (i = 0; i < FRAMES; i++) {
		struct frame *frame = &thread->frames[i];
		u32 *told = to + 2 + i * 10;

		OPAQUE(last);
		if (i > last)
			break;
		told[0] = frame->subprog;
		told[1] = frame->callsite;
		told[2] = frame->alive[0];
		told[3] = frame->alive[0] >> 32;
		told[4] = frame->alive[1];
		told[5] = frame->alive[1] >> 32;
		told[6] = frame->dead[0];
		told[7] = frame->dead[0] >> 32;
		told[8] = frame->dead[1];
		told[9] = frame->dead[1] >> 32;
	}
	return 0;
}

SEC("fexit/bpf_live_stack_query_init")
int query_init(u64 *ctx)
{
	struct bpf_verifier_state *state = (void *)ctx[1];
	struct thread *thread = this_thread(QUERY_INIT);
	u32 last, i;

	if (!thread)
		return 0;
	if (thread->open)
		close_query(thread);
	last = state->curframe;
	if (last >= FRAMES || ctx[2]) {
		thread->failed++;
		return 0;
	}
	thread->last_frame = last;
	thread->insn = state->insn_idx;
	for (i = 0; i < FRAMES; i++) {
		u64 at = (u64)state + OFFSET(struct bpf_verifier_state, frame) + i * 8, address = 0;
		struct frame *frame = &thread->frames[i];
		struct bpf_func_state *of;

		OPAQUE(last);
		if (i > last)
			break;
		if (bpf_probe_read_kernel(&address, 8, (void *)at))
			thread->failed++;
		of = CAST(address, struct bpf_func_state);
		frame->subprog = of->subprogno;
		frame->callsite = of->callsite;
		frame->alive[0] = 0;
		frame->alive[1] = 0;
		frame->dead[0] = 0;
		frame->dead[1] = 0;
	}
	thread->open = 1;
	return 0;
}

SEC("fexit/bpf_stack_slot_alive")
int slot_alive(u64 *ctx)
{
	struct thread *thread = this_thread(SLOT_ALIVE);
	u32 frame = ctx[1], half_slot = ctx[2];
	u64 *answers;

	if (!thread)
		return 0;
	if (!thread->open || frame > thread->last_frame || frame >= FRAMES || half_slot >= 128) {
		thread->failed++;
		return 0;
	}
	answers = (u8)ctx[3] ? thread->frames[frame].alive : thread->frames[frame].dead;
	if (half_slot >= 64)
		answers[1] |= 1ull << (half_slot - 64);
	else
		answers[0] |= 1ull << half_slot;
	return 0;
}
