// SPDX-License-Identifier: GPL-2.0-only
// Programs that need what is not in the object: a value of the kernel's configuration, and functions that no kernel
// has. Built like faults.bpf.c.
#define SEC(name) __attribute__((section(name), used))
#define WEAK __attribute__((weak))

extern int CONFIG_HZ __attribute__((section(".kconfig")));
extern void a_function_that_is_missing(void) __attribute__((section(".ksyms")));
extern void a_weak_function_that_is_missing(void) WEAK __attribute__((section(".ksyms")));
extern void no_function_either(void) __attribute__((section(".ksyms")));

SEC("tc") int reads_the_configuration(void *ctx)
{
	return CONFIG_HZ;
}

SEC("tc") int calls_what_is_missing(void *ctx)
{
	a_function_that_is_missing();
	return 0;
}

SEC("tc") int calls_what_is_missing_too(void *ctx)
{
	no_function_either();
	return 0;
}

SEC("tc") int calls_what_may_be_missing(void *ctx)
{
	if (a_weak_function_that_is_missing)
		a_weak_function_that_is_missing();
	return 0;
}

SEC("tc") int calls_nothing(void *ctx)
{
	return 0;
}

char license_text[] SEC("license") = "GPL";
