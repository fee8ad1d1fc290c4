/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Programs that are right, that Linux 6.18 and 7.0 accept, and that Linux 7.1 to 7.3 refuse with "slot poisoned by dead
 * code elimination": their liveness analysis calls fp-8 dead although it is read. `livediff soundness` finds each.
 *
 * In all of them fp-8 is 0 or 8. States are compared at label 2 (in the last at label 1 of reads_through_r1), and there
 * fp-8 is taken for dead.
 */
#include "corpus.h"

struct {
	int (*type)[2];
	int (*max_entries)[1];
	__u32 *key;
	struct {
		char bytes[64];
	} *value;
} array SEC(".maps");
struct {
	int (*type)[22];
	int (*max_entries)[4];
	struct {
		char bytes[8];
	} *value;
} queue_8 SEC(".maps");
struct {
	int (*type)[22];
	int (*max_entries)[4];
	struct {
		char bytes[16];
	} *value;
} queue_16 SEC(".maps");
struct {
	int (*type)[30];
	int (*max_entries)[4];
	struct {
		char bytes[8];
	} *value;
} bloom SEC(".maps");

/* r8 is the value of the array. */
#define LOOKUP                                                                                                       \
	"*(u32 *)(r10 - 64) = 0; r2 = r10; r2 += -64; r1 = %[array] ll; call 1; if r0 != 0 goto 1f; exit;" \
	"1: r8 = r0;"
/* r7 is any number, fp-8 is 8 or 0. */
#define EIGHT_OR_ZERO                                                                                   \
	"call 7; r7 = r0; call 7; *(u64 *)(r10 - 8) = 8; if r0 == 1 goto 2f; *(u64 *)(r10 - 8) = 0;" \
	"if r7 == 7 goto 2f; r9 = 0; r9 = 1; r9 = 2; r9 = 3; 2: r9 = 0;"
#define USE "r2 &= 15; r8 += r2; *(u8 *)(r8 + 0) = 1; r0 = 0; exit;"

/* What is right about it: both kinds of kernels accept it. */
PROG("socket", plain)
{
	ASM(LOOKUP EIGHT_OR_ZERO "r2 = *(u64 *)(r10 - 8);" USE ::[array] "i"(&array));
}

/* r1 is r10 or no pointer into the frame. Moved by -8, it is taken for fp-8 and nothing else, and the store for certain. */
PROG("socket", joined_with_no_pointer)
{
	ASM(LOOKUP EIGHT_OR_ZERO
	    "r1 = r8; r1 += 8; if r7 == 5 goto 3f; r1 = r10; 3: r1 += -8; *(u64 *)(r1 + 0) = 1;"
	    "r2 = *(u64 *)(r10 - 8);" USE ::[array] "i"(&array));
}

/* r1 is one of two maps. The size of the larger value is taken for certainly written. */
PROG("socket", one_of_two_maps)
{
	ASM(LOOKUP EIGHT_OR_ZERO
	    "r1 = %[queue_8] ll; if r7 == 5 goto 3f; r1 = %[queue_16] ll;"
	    "3: r2 = r10; r2 += -16; call 88; r2 = *(u64 *)(r10 - 8);" USE ::[array] "i"(&array),
	    [queue_8] "i"(&queue_8), [queue_16] "i"(&queue_16));
}

/* A Bloom filter is asked for fp-8. Other maps would return a value there: it is taken for certainly written. */
PROG("socket", asked_of_a_bloom_filter)
{
	ASM(LOOKUP EIGHT_OR_ZERO "r1 = %[bloom] ll; r2 = r10; r2 += -8; call 89; r0 = 0; exit;" ::[array] "i"(&array),
	    [bloom] "i"(&bloom));
}

/* A spilled pointer comes back by an atomic load, which the path walk takes for a fill; the analysis forgets it. */
PROG("socket", filled_by_load_acquire)
{
	ASM("r1 = r10; r1 += -8; *(u64 *)(r10 - 16) = r1;" LOOKUP EIGHT_OR_ZERO
	    "r2 = load_acquire((u64 *)(r10 - 16)); r2 = *(u64 *)(r2 + 0);" USE ::[array] "i"(&array));
}

/* The same by an exchange. */
PROG("socket", filled_by_exchange)
{
	ASM("r1 = r10; r1 += -8; *(u64 *)(r10 - 16) = r1;" LOOKUP EIGHT_OR_ZERO
	    "r2 = 0; r2 = xchg_64(r10 - 16, r2); r2 = *(u64 *)(r2 + 0);" USE ::[array] "i"(&array));
}

/* The other way round: it is spilled by an atomic store, which the path walk takes for a spill. */
PROG("socket", spilled_by_store_release)
{
	ASM("r1 = r10; r1 += -8; store_release((u64 *)(r10 - 16), r1);" LOOKUP EIGHT_OR_ZERO
	    "r2 = *(u64 *)(r10 - 16); r2 = *(u64 *)(r2 + 0);" USE ::[array] "i"(&array));
}

/* Reads through r1, after a place where states are compared. */
SUB(reads_through_r1)
{
	ASM("r6 = r1; call 7; if r0 == 7 goto 1f; r9 = 0; r9 = 1; r9 = 2; r9 = 3; 1: r9 = 0; r0 = *(u64 *)(r6 + 0); exit;");
}

SUB(passes_on)
{
	ASM("call reads_through_r1; exit;");
}

/* Without arguments in frames: the analysis begins anew here, and takes this frame for the outermost. */
SUB(begins_anew)
{
	ASM("call 7; *(u64 *)(r10 - 8) = 8; if r0 == 1 goto 1f; *(u64 *)(r10 - 8) = 0; 1: r1 = r10; r1 += -8;"
	    "call passes_on; exit;");
}

SUB(goes_on)
{
	ASM("call passes_on; r0 = 0; exit;");
}

/*
 * Two chains of calls lead to the same call of reads_through_r1, both in the fourth frame. What is known of the first
 * counts its frames from begins_anew. Asked about it with frames counted from the program, the analysis finds, by the
 * call and the number of frames, the second chain, in which r1 is no pointer into a frame.
 */
PROG("socket", another_chain_of_that_depth)
{
	ASM(LOOKUP "call begins_anew; r7 = r0; r1 = r8; r2 = r10; call goes_on; r2 = r7;" USE ::[array] "i"(&array));
}

LICENSE;
