// SPDX-License-Identifier: GPL-2.0-only
//
// The first program of the guests of scripts/bench. It does what the lines of /job say, and turns the machine off:
//
//   w FILE TEXT    writes TEXT and a newline to FILE, at its end; a failure is told and no more
//   c FILE         copies FILE to the port
//   x FILE         runs the program whose arguments are the lines of FILE, with its output to the port
//
// What it says itself, and what went wrong, begins with "bench:".
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS 100000

static void failed(const char *what)
{
	printf("bench: %s: %s\n", what, strerror(errno));
}

static void append(const char *path, const char *text)
{
	int file = open(path, O_WRONLY | O_APPEND);

	if (file < 0 || dprintf(file, "%s\n", text) < 0)
		failed(text);
	close(file);
}

static void copy(const char *path)
{
	static char bytes[1 << 16];
	int file = open(path, O_RDONLY);
	ssize_t count;

	if (file < 0)
		failed(path);
	while (file >= 0 && (count = read(file, bytes, sizeof(bytes))) > 0)
		fwrite(bytes, 1, count, stdout);
	close(file);
}

static void run(const char *path)
{
	static char *arguments[ARGUMENTS];
	FILE *file = fopen(path, "r");
	size_t count = 0, size;
	int status = 0;
	pid_t child;

	if (!file)
		return failed(path);
	for (; count < ARGUMENTS - 1; count++) {
		ssize_t length;

		arguments[count] = NULL;
		length = getline(&arguments[count], &size, file);
		if (length <= 0)
			break;
		arguments[count][length - 1] = '\0';
	}
	arguments[count] = NULL;
	fclose(file);
	fflush(stdout);
	child = fork();
	if (child == 0) {
		execv(arguments[0], arguments);
		failed(arguments[0]);
		fflush(stdout);
		_exit(127);
	}
	if (child < 0 || waitpid(child, &status, 0) != child)
		failed("wait");
	printf("bench: %s: status %d\n", arguments[0], status);
}

int main(void)
{
	struct rlimit endless = { RLIM_INFINITY, RLIM_INFINITY };
	char *line = NULL;
	size_t size = 0;
	ssize_t length;
	FILE *job;

	mkdir("/dev", 0755);
	mkdir("/proc", 0755);
	mkdir("/sys", 0755);
	mkdir("/tmp", 0755);
	mount("dev", "/dev", "devtmpfs", 0, NULL);
	mount("proc", "/proc", "proc", 0, NULL);
	mount("sys", "/sys", "sysfs", 0, NULL);
	mount("bpf", "/sys/fs/bpf", "bpf", 0, NULL);
	mount("tracing", "/sys/kernel/tracing", "tracefs", 0, NULL);
	setrlimit(RLIMIT_MEMLOCK, &endless);
	freopen("/dev/vport0p1", "w", stdout);
	job = fopen("/job", "r");
	while (job && (length = getline(&line, &size, job)) > 0) {
		char *path = line + 2, *text;

		line[length - 1] = '\0';
		switch (length > 2 ? line[0] : 0) {
		case 'w':
			text = strchr(path, ' ');
			if (text) {
				*text = '\0';
				append(path, text + 1);
			}
			break;
		case 'c':
			copy(path);
			break;
		case 'x':
			run(path);
			break;
		}
		fflush(stdout);
	}
	printf("bench: done\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 1;
}
